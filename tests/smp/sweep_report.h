/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_report.h - a sweep's table for people, and its records for programs: docs/measuring.md says
 * what each figure is.
 */
#pragma once

#include "tests/smp/cell.h"

void sweep_report_begin(unsigned cells, unsigned rounds, unsigned samples);

/* All cells, in their order: a table for each workload and number of cpus. */
void sweep_print(const struct cell *cells, unsigned count);

/* A cell that was judged, or that is not supported. */
void sweep_record(const struct cell *cell);

/* The settings of a cell, as members of a record that is begun. */
void sweep_record_settings(const struct cell *cell);
