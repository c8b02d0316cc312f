/* SPDX-License-Identifier: BSD-2-Clause */
/* segment_tree.h - the default policy; the theory is at the top of segment_tree.c. */
#pragma once

#include "mm/global/policy.h"

extern const struct policy segment_tree_policy;
