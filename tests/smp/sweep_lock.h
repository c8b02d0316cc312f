/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_lock.h - what a sweep prints and records of the cells of one lock alone (workload=lock). The
 * figures are lock_figures.h's; docs/measuring.md, "Locks alone", says what each is.
 */
#pragma once

#include <stdbool.h>

#include "tests/smp/cell.h"

/*
 * A line of the table, with `mark` at its end; before it the table's head, if wanted. For a cell with
 * lock_figures.
 */
void sweep_lock_print(const struct cell *cell, bool with_head, const char *mark);

/* Its members of the open record. */
void sweep_lock_record(const struct cell *cell);
