/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait_report.h - which cpu waited for which at a lock, and at which places in the code: a table
 * for people and members of a record for programs.
 */
#pragma once

#include <stdbool.h>

#include "sync/spinlock.h"

/* Of one lock, now or over several runs. */
struct wait_report {
	const char *name;
	unsigned cpus;
	/* The waits of `waiter` for `holder`; the same cpu twice: for an unknown holder. */
	struct spin_waits (*read)(const struct wait_report *report, unsigned waiter,
				  unsigned holder);
	const struct spinlock *lock; /* as it is now; or */
	struct spin_waits *sum;	     /* by waiter, then by holder; NULL: there was no memory */
	struct spin_sites sites;
};

/* The lock as it is now. At rest. */
void wait_report_now(struct wait_report *report, const struct spinlock *lock, unsigned cpus);

/* True where every wait is in one cell of its waiter's row, and in one pair of sites. At rest. */
bool wait_report_adds_up(const struct spinlock *lock);

/* Begins a sum over runs, in program memory. On cpu 0, at rest. */
void wait_report_begin(struct wait_report *report, unsigned cpus);

/* Adds the lock as it is now, and takes over its name. At rest. */
void wait_report_add(struct wait_report *report, const struct spinlock *lock);

/*
 * A table: all cpus where they are up to 8, else the heaviest pairs; then the heaviest pairs of
 * sites, whose functions the launcher adds. Nothing where no cpu waited, and nothing where that is
 * not measurable (contention.h), which the caller has said then.
 */
void wait_report_print(const struct wait_report *report);

/* Members of the open record; docs/measuring.md says what they are. None where not measurable. */
void wait_report_record(const struct wait_report *report);
