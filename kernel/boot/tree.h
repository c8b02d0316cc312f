/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tree.h - the device tree of this boot: where it lies, and the end of the run where it is
 * malformed.
 *
 * It is opened where the firmware put it, and moved next to the kernel as soon as there is early
 * memory, so that the place where it lay cuts no zone in two. On cpu 0, before other harts start.
 */
#pragma once

#include <stdbool.h>

#include "kernel/boot/devicetree.h"

/* Opens the tree and sets settings.tree; notes the test finisher, which the verdict needs. */
void tree_open(const void *blob);

/* Copies it into early memory; settings.tree is the copy. */
void tree_move(void);

/* Ends the run with a failing verdict that says what is malformed. */
_Noreturn void tree_refuse(const struct devicetree_error *error);

/* Whether the answer is there. It may be absent; where it is malformed the run ends here. */
bool tree_has(enum devicetree_result result, const struct devicetree_error *error);

/* settings.timebase; a tree without one ends the run. */
void tree_read_timebase(void);

/* Ends the run now, before any hart is started, where the orders of zones cannot be made of the map. */
void tree_check_distances(void);
