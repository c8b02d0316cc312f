/* SPDX-License-Identifier: BSD-2-Clause */
/* sweep_lock.c - see sweep_lock.h. */
#include "tests/smp/sweep_lock.h"

#include <inttypes.h>
#include <stdio.h>

#include "kernel/diag/figures.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"

static const char *spread_of(uint64_t spread)
{
	return spread == BOOTARGS_SPREAD_RANDOM ? "random" : "fixed";
}

uint64_t sweep_lock_percentile(const struct cell *cell, unsigned percent)
{
	return ticks_to_ns(lock_figures_percentile(cell->lock_figures, percent),
			   cell->configuration.cpus);
}

uint64_t sweep_lock_worst(const struct cell *cell)
{
	return ticks_to_ns(cell->lock_figures->worst_ticks, cell->configuration.cpus);
}

/* Of all acquisitions, in hundredths. */
uint64_t sweep_lock_mean_wait(const struct cell *cell)
{
	uint64_t waited = ticks_to_ns(cell->lock_figures->wait_ticks, cell->configuration.cpus);

	return ratio(waited, cell->lock_figures->acquisitions, 100);
}

/* ---- for programs ------------------------------------------------------------------------- */

void sweep_lock_record(const struct cell *cell)
{
	const struct bootargs *arguments = &settings.arguments;
	const struct lock_figures *figures = cell->lock_figures;

	record_number("hold", arguments->hold);
	record_string("hold_spread", spread_of(arguments->hold_spread));
	record_number("think", arguments->think);
	record_string("think_spread", spread_of(arguments->think_spread));
	if (!cell_waits_are_measurable(cell))
		return;
	record_fraction("wait_mean", sweep_lock_mean_wait(cell), 2);
	record_number("wait_p50", sweep_lock_percentile(cell, 50));
	record_number("wait_p99", sweep_lock_percentile(cell, 99));
	record_number("wait_worst", sweep_lock_worst(cell));
	record_fraction("jain", figures->jain, 4);
	record_number("overtaken_most", figures->overtaken_most);
}

/* ---- for people --------------------------------------------------------------------------- */

void sweep_lock_print_delays(void)
{
	const struct bootargs *arguments = &settings.arguments;

	printf("  held for %" PRIu64 " instructions (%s), wanted again after %" PRIu64 " (%s)\n",
	       arguments->hold, spread_of(arguments->hold_spread), arguments->think,
	       spread_of(arguments->think_spread));
}
