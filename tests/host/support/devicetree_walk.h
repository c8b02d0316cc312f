/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree_walk.h - asks an opened tree everything that can be asked of it, so that a
 * sanitizer sees every read. For the tests with damaged trees, and for fuzzing.
 */
#pragma once

#include "kernel/boot/devicetree.h"

/* Something of all answers, so that none can be optimized away; equal for equal trees. */
uint64_t devicetree_walk(const struct devicetree *tree);
