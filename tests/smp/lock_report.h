/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_report.h - what several runs together did to each lock: a table, histograms and which cpu
 * waited for which; and the `lock` records.
 *
 * Acquisitions are always printed and recorded. Where contention.h says so, waits are NOT
 * MEASURABLE, and so are holds, which are times: then neither is printed or recorded.
 */
#pragma once

#include "sync/spinlock.h"
#include "kernel/diag/wait_report.h"

struct lock_totals {
	struct spin_stats stats;
	struct wait_report waits;
};

/* names[i] is of totals[i]. On cpu 0, at rest. */
void lock_report_print(const struct lock_totals *totals, const char *const *names, unsigned count);
void lock_report_record(const struct lock_totals *totals, const char *const *names, unsigned count);
