/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_table.h - a sweep's tables for people: docs/measuring.md says what each figure is.
 */
#pragma once

#include "tests/smp/cell.h"

/* All cells, in their order: a table for each workload, no line of it wider than 80 columns. */
void sweep_print(const struct cell *cells, unsigned count);
