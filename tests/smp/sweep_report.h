/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_report.h - a sweep's records for programs: docs/measuring.md says what each figure is.
 */
#pragma once

#include "tests/smp/cell.h"

void sweep_report_begin(unsigned cells, unsigned rounds, unsigned samples);

/* A cell that was judged, or that is not supported. */
void sweep_record(const struct cell *cell);

/* The settings of a cell, as members of a record that is begun. */
void sweep_record_settings(const struct cell *cell);

/* A word for the row of a cell whose times are NOT MEASURABLE, and why they are not; "" where they are. */
const char *sweep_mark(enum cell_validity validity);
const char *sweep_reason(enum cell_validity validity);
