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

static uint64_t percentile(const struct cell *cell, unsigned percent)
{
	return ticks_to_ns(lock_figures_percentile(cell->lock_figures, percent),
			   cell->configuration.cpus);
}

static uint64_t worst(const struct cell *cell)
{
	return ticks_to_ns(cell->lock_figures->worst_ticks, cell->configuration.cpus);
}

/* Of all acquisitions, in hundredths. */
static uint64_t mean_wait(const struct cell *cell)
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
	record_fraction("wait_mean", mean_wait(cell), 2);
	record_number("wait_p50", percentile(cell, 50));
	record_number("wait_p99", percentile(cell, 99));
	record_number("wait_worst", worst(cell));
	record_fraction("jain", figures->jain, 4);
	record_number("overtaken_most", figures->overtaken_most);
}

/* ---- for people --------------------------------------------------------------------------- */

static void print_hundredths(int width, uint64_t hundredths)
{
	printf(" %*" PRIu64 ".%02" PRIu64, width, hundredths / 100, hundredths % 100);
}

static void print_head(const struct cell *cell)
{
	const struct bootargs *arguments = &settings.arguments;
	unsigned cpus = cell->configuration.cpus;
	const char *unit = settings.virtual_time ? "instr" : "ns";

	printf("\n%s, %u cpu%s: held for %" PRIu64 " (%s), wanted again after %" PRIu64
	       " instructions (%s); waits in %s\n",
	       cell->workload->name, cpus, cpus == 1 ? "" : "s", arguments->hold,
	       spread_of(arguments->hold_spread), arguments->think,
	       spread_of(arguments->think_spread), unit);
	printf("  %-13s %11s %9s %9s %9s %8s %8s %8s %9s %7s %9s", "lock",
	       settings.virtual_time ? "ops/Minstr" : "ops/s",
	       settings.virtual_time ? "instr/op" : "ns/op", "wait/op", "contended", "wait p50",
	       "p99", "worst", "overtaken", "Jain", "spread");
	printf("%s\n", settings.virtual_time ? " half turn" : "");
}

static void print_waits(const struct cell *cell)
{
	const struct lock_figures *figures = cell->lock_figures;

	print_hundredths(6, mean_wait(cell));
	print_hundredths(4, ratio(figures->contended, figures->acquisitions, 10000));
	printf(" %% %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9" PRIu64 "  %" PRIu64 ".%04" PRIu64,
	       percentile(cell, 50), percentile(cell, 99), worst(cell), figures->overtaken_most,
	       figures->jain / 10000, figures->jain % 10000);
}

/* In virtual time the slowest round is compared with the mean, as in the other tables. */
static void print_spread(const struct cell *cell)
{
	uint64_t least = cell_round_hundredths(cell, 0);
	uint64_t most = cell_round_hundredths(cell, cell->rounds_done - 1);

	print_hundredths(6,
			 settings.virtual_time ? cell->spread : ratio(most - least, least, 10000));
	printf(" %%");
	if (!settings.virtual_time)
		return;
	print_hundredths(4, cell->half_turn);
	printf(" %%%s", cell->half_turn > HALF_TURN_MOST ? " depends on the turns" : "");
}

void sweep_lock_print(const struct cell *cell, bool with_head, const char *mark)
{
	uint64_t cost, unit = settings.virtual_time ? 1000000 : 1000000000;

	if (with_head)
		print_head(cell);
	printf("  %-13s", spin_kind_name(cell->configuration.lock));
	if (cell->unsupported) {
		printf("   not run: %s\n", cell->unsupported);
		return;
	}
	cost = cell_round_hundredths(cell, cell->rounds_done / 2);
	printf(" %11" PRIu64, ratio(cell->configuration.cpus, cost, unit * 100));
	print_hundredths(6, cost);
	if (cell_waits_are_measurable(cell))
		print_waits(cell);
	else
		printf(" %9s %9s %8s %8s %8s %9s %7s", "-", "-", "-", "-", "-", "-", "-");
	print_spread(cell);
	printf("%s%s\n", *mark ? "  " : "", mark);
}
