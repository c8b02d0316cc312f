/* SPDX-License-Identifier: BSD-2-Clause */
/* cell.c - see cell.h. */
#include "tests/smp/cell.h"

#include <stdlib.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hint.h"
#include "kernel/diag/clock.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/timing.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/cell_lines.h"
#include "tests/smp/cell_thresholds.h"

/* ---- one run -------------------------------------------------------------------------------- */

/* Noted where instructions are counted by the only cpu that works, just before and after it does.
 */
static uint64_t instructions_before, instructions_after;

static void note_before(void)
{
	if (settings.virtual_time)
		cell_lines_join();
	if (port_cpu() == 0)
		instructions_before = csr_read(instret);
}

/* Each cpu turns its own cache off while all are there: configure() then has no cpu to wait for. */
static void note_after_and_shut(void)
{
	if (port_cpu() == 0)
		instructions_after = csr_read(instret);
	frame_cache_configure(0, 0);
}

static void note_after(void)
{
	instructions_after = csr_read(instret);
}

static void no_work(struct workload_run *run, unsigned cpu)
{
	(void)run;
	(void)cpu;
}

/* What an empty run counts between the two: barriers and clocks. */
static uint64_t instructions_of_nothing(struct workload_run like)
{
	static const struct workload nothing = {.name = "nothing", .work = no_work};

	like.workload = &nothing;
	like.leave = note_after;
	like.sampler = NULL;
	like.worked = NULL;
	return workload_execute(&like) ? instructions_after - instructions_before : 0;
}

/* Of the run that was the last to work. */
static struct result worked;
static struct lock_figures *worked_lock;

static void note_result(struct workload_run *work)
{
	result_collect(&worked, work);
	if (worked_lock)
		lock_figures_add(worked_lock, work);
}

static bool execute(struct workload_run *work, struct cell_run *run)
{
	bool counts = settings.counts_exactly && run->cpus == 1;
	uint64_t nothing = 0;

	if (counts)
		nothing = instructions_of_nothing(*work);
	statistics_reset();
	if (run->lines_of) {
		work->begin = cell_lines_work_begins;
		work->end = cell_lines_work_ends;
		cell_lines_begin(run->lines_of->number, run->halvings, run->sequence, work);
	}
	if (!workload_execute(work))
		return false;
	if (run->lines_of)
		cell_lines_end(worked.ops);
	if (counts)
		run->instructions = instructions_after - instructions_before - nothing;
	return true;
}

static uint64_t shortest(const struct workload_run *work)
{
	uint64_t least = UINT64_MAX;

	for (unsigned cpu = 0; cpu < work->cpus; cpu++)
		if (work->cpu[cpu].end_ns - work->cpu[cpu].start_ns < least)
			least = work->cpu[cpu].end_ns - work->cpu[cpu].start_ns;
	return least;
}

/* One settling for all: on an oversubscribed host each waits for all cpus to be scheduled. */
static bool nothing_leaked(const struct cell *cell, uint64_t free_before)
{
	kheap_trim();
	frame_validate();
	kheap_validate();
	if (frame_free_count() == free_before)
		return true;
	verdict_fail("%s on %s: %llu frames were free before, %llu after", cell->workload->name,
		     cell->configuration.policy->name, (unsigned long long)free_before,
		     (unsigned long long)frame_free_count());
	return false;
}

bool cell_run(const struct cell *cell, struct cell_run *run)
{
	struct configuration configuration = cell->configuration;
	size_t mark = program_memory_mark();
	struct workload_run work = {.workload = cell->workload,
				    .cpus = run->cpus,
				    .ops = run->ops,
				    .seed = settings.arguments.seed + run->sequence,
				    .limit_ns = run->limit_ns,
				    .stride = run->stride,
				    .enter = note_before,
				    .leave = note_after_and_shut,
				    .worked = note_result,
				    .sampler = run->sampler};
	uint64_t free_before;
	bool ran;

	configuration.cpus = run->cpus;
	configure(&configuration);
	work.cpu = program_memory_need(run->cpus * sizeof(*work.cpu), "the cpus' results");
	free_before = frame_free_count();
	run->instructions = 0;
	worked_lock = run->lock_figures;
	clock_choose_turns(run->halvings, run->sequence);
	ran = execute(&work, run);
	run->result = worked;
	run->ns_least = shortest(&work);
	ran = nothing_leaked(cell, free_before) && ran;
	program_memory_release(mark);
	return ran;
}

/* ---- how much ------------------------------------------------------------------------------- */

#define PILOT_OPS   16
#define PILOT_SHARE 8 /* a pilot that takes this part of the target says enough */
#define OPS_MAX	    (UINT64_C(1) << 32)

/* An operation that takes so long, because it waits for the host, costs the same with a look at the
 * clock. */
#define SLOW_NS 10000

/* The host may be elsewhere in one of them. Where several cpus take part a second is dear. */
static bool run_pilot(const struct cell *cell, struct cell_run *pilot, uint64_t *ns)
{
	if (!cell_run(cell, pilot))
		return false;
	*ns = pilot->ns_least ? pilot->ns_least : 1;
	if (pilot->cpus > 1 || *ns < pilot->limit_ns / PILOT_SHARE)
		return true;
	if (!cell_run(cell, pilot))
		return false;
	if (pilot->ns_least < *ns)
		*ns = pilot->ns_least ? pilot->ns_least : 1;
	return true;
}

/* Of one cpu; of what was done, for the pilot may have been cut short. */
static bool is_slow(const struct cell_run *pilot)
{
	uint64_t ns = ratio(pilot->ns_least * pilot->cpus, pilot->result.ops, 1);

	return ns > SLOW_NS || pilot->result.ops == 0;
}

/* Not by the time from the first start to the last end: the host may be milliseconds between those.
 */
bool cell_choose_ops(struct cell *cell, uint64_t target_ns, uint64_t ops_of_another)
{
	uint64_t start = ops_of_another * 2 /
			 PILOT_SHARE; /* as fast as that one, it needs no second pilot */
	struct cell_run pilot = {.ops = start > PILOT_OPS ? start : PILOT_OPS,
				 .limit_ns = target_ns,
				 .stride = 1,
				 .cpus = settings.virtual_time ? 1 : cell->configuration.cpus};
	uint64_t ns;

	for (;; pilot.ops *= PILOT_SHARE) {
		if (!run_pilot(cell, &pilot, &ns))
			return false;
		if (ns >= target_ns / PILOT_SHARE || pilot.ops >= OPS_MAX / PILOT_SHARE)
			break;
		pilot.stride = cell->stride;
	}
	if (is_slow(&pilot))
		cell->stride = 1;
	cell->ops = ratio(pilot.ops, ns / 1000 + 1, target_ns / 1000); /* 64 bits hold the product */
	if (cell->ops == 0)
		cell->ops = 1;
	if (!settings.virtual_time)
		cell->limit_ns = target_ns;
	return true;
}

bool cell_measure_hold(struct cell *cell, uint64_t limit_ns)
{
	struct cell_run alone = {.ops = cell->ops, .limit_ns = limit_ns, .cpus = 1};
	const struct spin_times *hold = &alone.result.zone_locks.hold;
	bool ran;

	spin_stats_configure(SPIN_STATS_ALL);
	ran = cell_run(cell, &alone);
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	cell->hold_alone_ticks = hold->samples ? hold->ticks_total / hold->samples : 0;
	return ran;
}

/* ---- rounds --------------------------------------------------------------------------------- */

static void add_counts(struct result *sum, const struct result *result)
{
	sum->ops += result->ops;
	sum->ns += result->ns;
	sum->refills += result->refills;
	sum->flushes += result->flushes;
	sum->direct += result->direct;
	sum->failures += result->failures;
	spin_stats_sum(&sum->zone_locks, &result->zone_locks);
	spin_stats_sum(&sum->heap_lock, &result->heap_lock);
}

static struct cell_run round_of(const struct cell *cell)
{
	return (struct cell_run){.ops = cell->ops,
				 .limit_ns = cell->limit_ns,
				 .stride = cell->stride,
				 .cpus = cell->configuration.cpus,
				 .lock_figures = cell->lock_figures};
}

static bool run_without_statistics(const struct cell *cell, struct cell_run *run)
{
	bool ran;

	spin_stats_configure(SPIN_STATS_OFF);
	ran = cell_run(cell, run);
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	return ran;
}

bool cell_add_round(struct cell *cell)
{
	struct cell_run run = round_of(cell);
	const struct result *result = &run.result;

	if (settings.virtual_time) {
		run.halvings = cell->rounds_done % 2;
		run.sequence = cell->rounds_done / 2 % HINT_SEQUENCES;
		run.lines_of = cell;
	}
	if (!(settings.virtual_time ? run_without_statistics : cell_run)(cell, &run))
		return false;
	cell->rounds[cell->rounds_done++] = (struct cell_round){result->ops, result->ns,
								run.halvings};
	cell->rounds_cut += result->is_cut;
	if (!settings.virtual_time)
		add_counts(&cell->sum, result);
	cell->timed_ops += result->ops;
	cell->instructions += run.instructions;
	return true;
}

bool cell_add_counts(struct cell *cell)
{
	struct cell_run run = round_of(cell);

	run.lock_figures = NULL;
	if (!cell_run(cell, &run))
		return false;
	add_counts(&cell->sum, &run.result);
	return true;
}

uint64_t cell_round_hundredths(const struct cell *cell, unsigned round)
{
	const struct cell_round *of = &cell->rounds[round];

	return ratio(of->ns * cell->configuration.cpus, of->operations, 100);
}

/* By nanoseconds an operation. */
static int compare_rounds(const void *left, const void *right)
{
	const struct cell_round *a = left, *b = right;
	uint64_t first = ratio(a->ns, a->operations, 1000),
		 second = ratio(b->ns, b->operations, 1000);

	return (first > second) - (first < second);
}

unsigned cell_median_round(struct cell *cell)
{
	qsort(cell->rounds, cell->rounds_done, sizeof(*cell->rounds), compare_rounds);
	return cell->rounds_done / 2;
}

/* ---- what the times are worth --------------------------------------------------------------- */

/* The time beyond that is the host's. */
static bool holds_are_explained(const struct cell *cell)
{
	const struct spin_times *hold = &cell->sum.zone_locks.hold;
	uint64_t explained = hold->samples * HOLD_FACTOR * cell->hold_alone_ticks;
	uint64_t beyond = hold->ticks_total > explained ? hold->ticks_total - explained : 0;

	if (cell->hold_alone_ticks == 0)
		return true;
	return ticks_to_ns(beyond, cell->configuration.cpus) * 100 <=
	       cell->sum.ns * STOLEN_PERCENT_MOST;
}

static bool queue_collapsed(const struct cell *cell)
{
	const struct spin_times *wait = &cell->sum.zone_locks.wait;
	uint64_t line = cell->configuration.cpus * cell->hold_alone_ticks;

	return spin_kind_hands_over(cell->configuration.lock) && wait->samples &&
	       wait->ticks_total / wait->samples > WAIT_FACTOR_MOST * line;
}

/* A round that did nothing, because its time was over at once, says nothing either. */
static bool rounds_agree(const struct cell *cell)
{
	uint64_t fastest = cell_round_hundredths(cell, 0);
	uint64_t slowest = cell_round_hundredths(cell, cell->rounds_done - 1);

	return fastest && slowest * 100 <= fastest * ROUNDS_PERCENT_MOST;
}

/* Time of an operation in the rounds of this length of turns, in hundredths; 0: there are none. */
static uint64_t mean_of_turns(const struct cell *cell, unsigned halvings)
{
	uint64_t sum = 0, count = 0;

	for (unsigned i = 0; i < cell->rounds_done; i++)
		if (cell->rounds[i].halvings == halvings) {
			sum += cell_round_hundredths(cell, i);
			count++;
		}
	return ratio(sum, count, 1);
}

static void judge_turns(struct cell *cell)
{
	unsigned last = cell->rounds_done - 1;
	uint64_t whole = mean_of_turns(cell, 0), half = mean_of_turns(cell, 1);

	if (half)
		cell->half_turn = ratio(half > whole ? half - whole : whole - half, whole, 10000);
	cell->spread = ratio(cell_round_hundredths(cell, last) - cell_round_hundredths(cell, 0),
			     whole, 10000);
}

void cell_judge(struct cell *cell, uint64_t cores_percent)
{
	cell_median_round(cell);
	cell->cores_percent = cores_percent;
	if (settings.virtual_time)
		judge_turns(cell);
	if (settings.virtual_time)
		cell->validity = cores_are_enough(cores_percent) ? CELL_VALID : CELL_UNFAIR;
	else if (!cores_are_enough(cores_percent))
		cell->validity = queue_collapsed(cell) ? CELL_QUEUE : CELL_NO_CORES;
	else if (!holds_are_explained(cell))
		cell->validity = CELL_HOLDS;
	else if (!rounds_agree(cell))
		cell->validity = CELL_UNSTEADY;
	else
		cell->validity = CELL_VALID;
}
