/* SPDX-License-Identifier: BSD-2-Clause */
/* sweep_columns.c - see sweep_columns.h. */
#include "tests/smp/sweep_columns.h"

#include <inttypes.h>
#include <stdio.h>

#include "kernel/diag/figures.h"
#include "kernel/settings.h"
#include "mm/global/policy.h"
#include "tests/smp/sweep_lock.h"

/* ---- settings ----------------------------------------------------------------------------------- */

static uint64_t cpus_of(const struct cell *cell)
{
	return cell->configuration.cpus;
}

static uint64_t policy_of(const struct cell *cell)
{
	return cell->lock_figures ? SWEEP_NONE : (uintptr_t)cell->configuration.policy;
}

static uint64_t lock_of(const struct cell *cell)
{
	return cell->configuration.lock;
}

/* One lock alone needs no frames: it has no policy, and no caches. */
static uint64_t cache_of(const struct cell *cell)
{
	return cell->lock_figures ? SWEEP_NONE : cell->configuration.cache_frames;
}

static uint64_t batch_of(const struct cell *cell)
{
	return cell->configuration.cache_frames ? cell->configuration.batch_frames : SWEEP_NONE;
}

static const char *number_text(uint64_t value, char *text, size_t bytes)
{
	snprintf(text, bytes, "%" PRIu64, value);
	return value == SWEEP_NONE ? "-" : text;
}

static const char *policy_text(uint64_t value, char *text, size_t bytes)
{
	(void)text, (void)bytes;
	return ((const struct policy *)(uintptr_t)value)->name;
}

static const char *lock_text(uint64_t value, char *text, size_t bytes)
{
	(void)text, (void)bytes;
	return spin_kind_name((enum spin_kind)value);
}

static const char *batch_text(uint64_t value, char *text, size_t bytes)
{
	return value ? number_text(value, text, bytes) : "auto";
}

const struct setting sweep_settings[SWEEP_SETTINGS] = {
	{"cpus", 4, cpus_of, number_text},  {"policy", -14, policy_of, policy_text},
	{"lock", -13, lock_of, lock_text},  {"cache", 5, cache_of, number_text},
	{"batch", 5, batch_of, batch_text},
};

/* ---- figures ------------------------------------------------------------------------------------ */

static void print_nothing(int width)
{
	printf(" %*s", width, "-");
}

static void print_number(int width, uint64_t value)
{
	printf(" %*" PRIu64, width, value);
}

static void print_hundredths(int width, uint64_t hundredths)
{
	printf(" %*" PRIu64 ".%02" PRIu64, width - 3, hundredths / 100, hundredths % 100);
}

static void print_percent(int width, uint64_t hundredths)
{
	print_hundredths(width - 2, hundredths);
	printf(" %%");
}

static uint64_t time_of_operation(const struct cell *cell)
{
	return cell_round_hundredths(cell, cell->rounds_done / 2);
}

/* The zones' locks; in virtual time the heap's too. */
static struct spin_stats locks_of(const struct cell *cell)
{
	struct spin_stats locks = cell->sum.zone_locks;

	if (settings.virtual_time)
		spin_stats_sum(&locks, &cell->sum.heap_lock);
	return locks;
}

static void print_rate(const struct cell *cell, int width)
{
	uint64_t unit = settings.virtual_time ? 1000000 : 1000000000;

	print_number(width, ratio(cell->configuration.cpus, time_of_operation(cell), unit * 100));
}

static void print_time(const struct cell *cell, int width)
{
	print_hundredths(width, time_of_operation(cell));
}

static void print_fastest(const struct cell *cell, int width)
{
	print_hundredths(width, cell_round_hundredths(cell, 0));
}

static void print_slowest(const struct cell *cell, int width)
{
	print_hundredths(width, cell_round_hundredths(cell, cell->rounds_done - 1));
}

static void print_instructions(const struct cell *cell, int width)
{
	if (cell->instructions)
		print_hundredths(width, ratio(cell->instructions, cell->timed_ops, 100));
	else
		print_nothing(width);
}

static void print_wait(const struct cell *cell, int width)
{
	struct spin_stats locks = locks_of(cell);

	print_hundredths(width, ratio(ticks_to_ns(locks.wait.ticks_total, cell->configuration.cpus),
				      cell->sum.ops, 100));
}

/* In virtual time a share is measurable even where the times are not: turns are not the host's. */
static void print_contended(const struct cell *cell, int width)
{
	struct spin_stats locks = locks_of(cell);

	if (settings.virtual_time || (cell_waits_are_measurable(cell) && locks.acquisitions))
		print_percent(width, ratio(locks.contended, locks.acquisitions, 10000));
	else
		print_nothing(width);
}

static void print_acquisitions(const struct cell *cell, int width)
{
	print_hundredths(width, ratio(locks_of(cell).acquisitions, cell->sum.ops, 100000));
}

static void print_spread(const struct cell *cell, int width)
{
	print_percent(width, cell->spread);
}

static void print_half_turn(const struct cell *cell, int width)
{
	print_percent(width, cell->half_turn);
}

static const struct figure in_virtual_time[] = {
	{"ops/Minstr", 10, print_rate},	   {"wait/op", 8, print_wait},
	{"contended", 9, print_contended}, {"locks/1k", 8, print_acquisitions},
	{"instr/op", 8, print_time},	   {"spread", 8, print_spread},
	{"half turn", 9, print_half_turn}, {NULL, 0, NULL},
};

static const struct figure in_host_time[] = {
	{"ns/op", 10, print_time},	     {"contended", 9, print_contended},
	{"locks/1k", 8, print_acquisitions}, {"fastest", 10, print_fastest},
	{"slowest", 10, print_slowest},	     {NULL, 0, NULL},
};

static const struct figure where_instructions_count[] = {
	{"ns/op", 10, print_time},
	{"instr/op", 9, print_instructions},
	{"contended", 9, print_contended},
	{"locks/1k", 8, print_acquisitions},
	{"fastest", 10, print_fastest},
	{"slowest", 10, print_slowest},
	{NULL, 0, NULL},
};

/* ---- figures of one lock alone ------------------------------------------------------------------ */

static void print_lock_figure(const struct cell *cell, int width, uint64_t value)
{
	if (cell_waits_are_measurable(cell))
		print_number(width, value);
	else
		print_nothing(width);
}

static void print_lock_contended(const struct cell *cell, int width)
{
	const struct lock_figures *figures = cell->lock_figures;

	if (cell_waits_are_measurable(cell))
		print_percent(width, ratio(figures->contended, figures->acquisitions, 10000));
	else
		print_nothing(width);
}

static void print_lock_wait(const struct cell *cell, int width)
{
	if (cell_waits_are_measurable(cell))
		print_hundredths(width, sweep_lock_mean_wait(cell));
	else
		print_nothing(width);
}

static void print_lock_p50(const struct cell *cell, int width)
{
	print_lock_figure(cell, width, sweep_lock_percentile(cell, 50));
}

static void print_lock_p99(const struct cell *cell, int width)
{
	print_lock_figure(cell, width, sweep_lock_percentile(cell, 99));
}

static void print_lock_worst(const struct cell *cell, int width)
{
	print_lock_figure(cell, width, sweep_lock_worst(cell));
}

static void print_lock_overtaken(const struct cell *cell, int width)
{
	print_lock_figure(cell, width, cell->lock_figures->overtaken_most);
}

static void print_jain(const struct cell *cell, int width)
{
	uint64_t jain = cell->lock_figures->jain;

	if (cell_waits_are_measurable(cell))
		printf(" %*" PRIu64 ".%04" PRIu64, width - 5, jain / 10000, jain % 10000);
	else
		print_nothing(width);
}

static const struct figure of_a_lock[] = {
	{"ops/Minstr", 10, print_rate},
	{"contended", 9, print_lock_contended},
	{"wait/op", 8, print_lock_wait},
	{"p99", 8, print_lock_p99},
	{"worst", 8, print_lock_worst},
	{"Jain", 6, print_jain},
	{"p50", 8, print_lock_p50},
	{"overtaken", 9, print_lock_overtaken},
	{"spread", 8, print_spread},
	{"half turn", 9, print_half_turn},
	{NULL, 0, NULL},
};

static const struct figure of_a_lock_in_host_time[] = {
	{"ops/s", 11, print_rate},
	{"contended", 9, print_lock_contended},
	{"wait/op", 8, print_lock_wait},
	{"p99", 8, print_lock_p99},
	{"worst", 8, print_lock_worst},
	{"Jain", 6, print_jain},
	{"p50", 8, print_lock_p50},
	{"overtaken", 9, print_lock_overtaken},
	{NULL, 0, NULL},
};

const struct figure *sweep_figures(const struct cell *cell)
{
	if (cell->lock_figures)
		return settings.virtual_time ? of_a_lock : of_a_lock_in_host_time;
	if (settings.virtual_time)
		return in_virtual_time;
	return settings.counts_exactly ? where_instructions_count : in_host_time;
}
