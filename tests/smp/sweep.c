/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep.c - run=bench with workload= or lists: every combination of policy, lock, cache, batch,
 * cpus and workload, in one boot.
 *
 * Each round runs each cell once, so what drifts on the host meets all cells alike; each run
 * begins with zones made again, so no cell inherits the memory that another has scattered. First
 * come pilots: a run that finds how many operations fit a cell's time, and where several cpus
 * work, a run on a single cpu that times every hold, to decide whether the lock or the host caused
 * the times.
 */
#include <stdio.h>

#include "kernel/diag/console.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/progress.h"
#include "kernel/diag/timing.h"
#include "kernel/program.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "kernel/vm/kernel_space.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "tests/smp/cell.h"
#include "tests/smp/cell_thresholds.h"
#include "tests/smp/sampler.h"
#include "tests/smp/smp.h"
#include "tests/smp/smp_kernel.h"
#include "tests/smp/sweep_report.h"
#include "tests/smp/sweep_table.h"

/* Without cell=, all runs together take about SWEEP_MS, and no run takes more than CELL_MS_MOST. */
#define SWEEP_MS     30000
#define CELL_MS_MOST 25
#define PILOTS	     2 /* they take about as long as this number of rounds */
#define ROUNDS_MOST  3

/*
 * In virtual time: instructions of a run on a single cpu. Rounds differ in the length and in the
 * sequence of the turns: two of each.
 */
#define VIRTUAL_CELL   300000
#define VIRTUAL_ROUNDS 4

/* A run of one lock alone takes this many times as long, so that each of 16 cpus gets it about 100 times. */
#define LOCK_ALONE_TIMES 2

/*
 * Without rounds=, no round is begun that would end later than this: an oversubscribed host can
 * need many times what a cell's runs are meant to take.
 */
#define SWEEP_MS_MOST 75000

static struct sweep {
	struct cell *cells;
	unsigned count;
	uint64_t rounds, start_ns;
	uint64_t runs, runs_done; /* of all cells, pilots included */
	uint64_t *cores_percent;  /* of each number of cpus asked for, the worst yet */
} sweep;

/* ---- the cells ------------------------------------------------------------------------------ */

static unsigned count_bits(uint64_t set)
{
	unsigned count = 0;

	for (; set; set &= set - 1)
		count++;
	return count;
}

static unsigned cells_at_most(void)
{
	const struct bootargs *arguments = &settings.arguments;

	return count_bits(arguments->policies) * count_bits(arguments->locks) *
	       count_bits(arguments->workload) *
	       (unsigned)(arguments->caches.count * arguments->batches.count *
			  arguments->cpu_counts.count);
}

static uint64_t rounds_at_most(void)
{
	if (settings.arguments.rounds)
		return settings.arguments.rounds;
	return settings.virtual_time ? VIRTUAL_ROUNDS : ROUNDS_MOST;
}

static bool is_of_locks(void)
{
	for (unsigned i = 0; i < workload_count; i++)
		if (bootargs_set_has(settings.arguments.workload, i) && workloads[i].is_lock_alone)
			return true;
	return false;
}

/* Of program memory. */
static size_t sweep_bytes(void)
{
	const struct bootargs *arguments = &settings.arguments;
	size_t cell = sizeof(struct cell) + rounds_at_most() * sizeof(struct cell_round) + 64;

	if (is_of_locks())
		cell += sizeof(struct lock_figures) + 64;
	return cells_at_most() * cell + BOOTARGS_LIST_MAX * sizeof(uint64_t) + 256 +
	       sampler_bytes((unsigned)arguments->samples);
}

static const char *not_supported_by(const struct policy *policy)
{
	static char text[8][48];
	unsigned number = 0;

	while (number < policy_count && policies[number] != policy)
		number++;
	number %= sizeof(text) / sizeof(text[0]);
	snprintf(text[number], sizeof(text[number]), "not supported by %s", policy->name);
	return text[number];
}

static const char *why_not(const struct cell *cell)
{
	const struct configuration *configuration = &cell->configuration;

	if (configuration->lock == SPIN_NONE && configuration->cpus != 1)
		return "lock none is for one cpu";
	if (cell->workload->needs_paging && !kernel_space_table())
		return "paging is off";
	if (!workload_is_supported(cell->workload, configuration->policy))
		return not_supported_by(configuration->policy);
	return NULL;
}

/* cpus= that was not given is all there are. */
static unsigned cpus_asked(uint64_t number)
{
	uint64_t asked = settings.arguments.cpu_counts.value[number];

	return asked ? (unsigned)asked : settings.cpus;
}

static void add_cell(const struct workload *workload, struct configuration configuration)
{
	struct cell *cell = &sweep.cells[sweep.count++];

	cell->number = sweep.count - 1;
	cell->workload = workload;
	cell->configuration = configuration;
	cell->unsupported = why_not(cell);
	cell->ops = settings.arguments.ops;
	cell->limit_ns = settings.arguments.cell_ms * 1000000;
	cell->rounds = program_memory_need(sweep.rounds * sizeof(*cell->rounds), "a cell's rounds");
	if (workload->is_lock_alone)
		cell->lock_figures = program_memory_need(sizeof(*cell->lock_figures),
							 "a cell's waits");
}

/* Without a cache a batch means nothing, and one cell stands for all. */
static void add_caches(const struct workload *workload, struct configuration configuration)
{
	const struct bootargs_list *caches = &settings.arguments.caches;
	const struct bootargs_list *batches = &settings.arguments.batches;

	for (uint64_t i = 0; i < caches->count; i++)
		for (uint64_t j = 0; j < (caches->value[i] ? batches->count : 1); j++) {
			configuration.cache_frames = (uint32_t)caches->value[i];
			configuration.batch_frames = caches->value[i] ? (uint32_t)batches->value[j]
								      : 0;
			add_cell(workload, configuration);
		}
}

/* Policies and caches mean nothing to it: the first policy, and no caches. */
static void add_lock_alone(const struct workload *workload, unsigned cpus)
{
	const struct bootargs *arguments = &settings.arguments;

	for (unsigned lock = 0; lock <= SPIN_NONE; lock++)
		if (bootargs_set_has(arguments->locks, lock))
			add_cell(workload,
				 (struct configuration){.policy = policies[arguments->policy],
							.lock = (enum spin_kind)lock,
							.cpus = cpus});
}

static void add_table(const struct workload *workload, unsigned cpus)
{
	const struct bootargs *arguments = &settings.arguments;

	for (unsigned policy = 0; policy < policy_count; policy++)
		for (unsigned lock = 0; lock <= SPIN_NONE; lock++)
			if (bootargs_set_has(arguments->policies, policy) &&
			    bootargs_set_has(arguments->locks, lock))
				add_caches(workload,
					   (struct configuration){.policy = policies[policy],
								  .lock = (enum spin_kind)lock,
								  .cpus = cpus});
}

/* In the order of the tables. */
static void make_cells(void)
{
	const struct bootargs *arguments = &settings.arguments;

	sweep.count = 0;
	sweep.rounds = rounds_at_most();
	sweep.cores_percent = program_memory_need(BOOTARGS_LIST_MAX * sizeof(uint64_t), "a sweep");
	sweep.cells = program_memory_need(cells_at_most() * sizeof(*sweep.cells),
					  "a sweep's cells");
	for (unsigned i = 0; i < workload_count; i++)
		for (uint64_t j = 0; j < arguments->cpu_counts.count; j++)
			if (bootargs_set_has(arguments->workload, i))
				(workloads[i].is_lock_alone ? add_lock_alone : add_table)(
					&workloads[i], cpus_asked(j));
}

/* ---- the runs ------------------------------------------------------------------------------- */

static uint64_t target_ns(void)
{
	uint64_t runs = sweep.count * (sweep.rounds + PILOTS);
	uint64_t ms = settings.arguments.cell_ms;

	if (!ms && settings.virtual_time)
		return VIRTUAL_CELL;
	if (!ms)
		ms = SWEEP_MS / runs < CELL_MS_MOST ? SWEEP_MS / runs : CELL_MS_MOST;
	return (ms ? ms : 1) * 1000000;
}

/* In virtual time one look is enough: the machine is the same all the time. */
static void look_for_cores(void)
{
	if (settings.virtual_time && sweep.cores_percent[0])
		return;
	for (uint64_t i = 0; i < settings.arguments.cpu_counts.count; i++) {
		uint64_t percent = cores_percent(cpus_asked(i));

		if (percent > sweep.cores_percent[i])
			sweep.cores_percent[i] = percent;
	}
}

static uint64_t percent_for(const struct cell *cell)
{
	uint64_t i = 0;

	while (cpus_asked(i) != cell->configuration.cpus)
		i++;
	return sweep.cores_percent[i];
}

static bool has_cores(const struct cell *cell)
{
	return cores_are_enough(percent_for(cell));
}

/* Of an earlier cell of the same table and caches, with another policy or lock. */
static uint64_t ops_of_another(const struct cell *cell)
{
	const struct configuration *mine = &cell->configuration;

	for (const struct cell *other = cell; other-- != sweep.cells;) {
		const struct configuration *its = &other->configuration;

		if (!other->unsupported && other->workload == cell->workload &&
		    its->cpus == mine->cpus && its->cache_frames == mine->cache_frames &&
		    its->batch_frames == mine->batch_frames)
			return other->ops;
	}
	return 0;
}

/*
 * The holds of one cpu are known only where all holds are timed. Without a core for each cpu the
 * times mean nothing, and only a queue has to be recognised. With lockstat=all the user has asked
 * for the holds.
 */
static bool wants_hold(const struct cell *cell)
{
	if (settings.arguments.lockstat == SPIN_STATS_ALL)
		return true;
	return cell->configuration.cpus > 1 &&
	       (has_cores(cell) || spin_kind_hands_over(cell->configuration.lock));
}

/*
 * Without cores for all cpus a turn in the line of such a lock takes as long as the host likes, and
 * times are worth nothing anyway: so the clock is looked at before each.
 */
static bool waits_for_host(const struct cell *cell)
{
	const struct configuration *configuration = &cell->configuration;

	return !has_cores(cell) && spin_kind_hands_over(configuration->lock) &&
	       (configuration->cache_frames == 0 || cell->workload->uses_heap);
}

/* An earlier cell with the same work on each cpu; NULL: there is none. */
static const struct cell *cell_with_same_work(const struct cell *cell)
{
	for (const struct cell *other = sweep.cells; other != cell; other++)
		if (!other->unsupported && other->workload == cell->workload &&
		    other->configuration.cache_frames == cell->configuration.cache_frames &&
		    other->configuration.batch_frames == cell->configuration.batch_frames)
			return other;
	return NULL;
}

static bool pilot_in_virtual_time(struct cell *cell)
{
	const struct cell *same = cell_with_same_work(cell);

	cell->stride = WORKLOAD_STRIDE;
	if (settings.arguments.ops)
		return true;
	if (!same)
		return cell_choose_ops(cell, target_ns(), 0);
	cell->ops = same->ops;
	return true;
}

/* It runs for a time, so there are no operations to choose. */
static bool pilot_of_lock_alone(struct cell *cell)
{
	cell->stride = 1;
	if (!cell->limit_ns && !cell->ops)
		cell->limit_ns = target_ns() * (settings.virtual_time ? LOCK_ALONE_TIMES : 1);
	return settings.virtual_time || !wants_hold(cell) ||
	       cell_measure_hold(cell, target_ns() / 4);
}

static bool pilot(struct cell *cell)
{
	if (cell->workload->is_lock_alone)
		return pilot_of_lock_alone(cell);
	if (settings.virtual_time)
		return pilot_in_virtual_time(cell);
	cell->stride = waits_for_host(cell) ? 1 : WORKLOAD_STRIDE;
	if (!settings.arguments.ops && !cell_choose_ops(cell, target_ns(), ops_of_another(cell)))
		return false;
	if (!wants_hold(cell))
		return true;
	return cell_measure_hold(cell, target_ns() / 4);
}

/* ---- all runs, in their order --------------------------------------------------------------- */

static void tell_progress(const char *phase, const struct cell *cell)
{
	unsigned cpus = cell->configuration.cpus;
	char what[64];

	snprintf(what, sizeof(what), "%s, %s on %u cpu%s", phase, cell->workload->name, cpus,
		 cpus == 1 ? "" : "s");
	progress_record("sweep", what, sweep.runs_done++, sweep.runs);
}

/* A run that fails has failed the verdict, unless it only found no memory to be set up in. */
static bool for_each_cell(const char *phase, bool (*run)(struct cell *cell))
{
	for (unsigned i = 0; i < sweep.count; i++) {
		struct cell *cell = &sweep.cells[i];

		tell_progress(phase, cell);
		if (cell->unsupported || run(cell))
			continue;
		if (!verdict_is_pass())
			return false;
		cell->unsupported = "not enough memory to set it up";
	}
	return true;
}

static uint64_t elapsed_ms(void)
{
	return (smp_nanoseconds() - sweep.start_ns) / 1000000;
}

/* After `done` rounds that began at `began_ms`: whether one more fits, or was asked for. */
static bool has_time_for_more(uint64_t done, uint64_t began_ms)
{
	uint64_t now_ms = elapsed_ms();

	if (settings.arguments.rounds || done == 0)
		return true;
	if (now_ms + (now_ms - began_ms) / done <= SWEEP_MS_MOST)
		return true;
	printf("sweep: this host needs %llu s for a round, so there is no time for more than "
	       "%llu\n",
	       (unsigned long long)((now_ms - began_ms) / done / 1000), (unsigned long long)done);
	return false;
}

static bool run_rounds(void)
{
	uint64_t began_ms = elapsed_ms(), most = sweep.rounds;
	char phase[32];

	for (sweep.rounds = 0; sweep.rounds < most && has_time_for_more(sweep.rounds, began_ms);) {
		snprintf(phase, sizeof(phase), "round %llu of %llu",
			 (unsigned long long)++sweep.rounds, (unsigned long long)most);
		look_for_cores();
		if (!for_each_cell(phase, cell_add_round))
			return false;
	}
	if (settings.virtual_time && !for_each_cell("counts", cell_add_counts))
		return false;
	look_for_cores();
	progress_record("sweep", "done", sweep.runs, sweep.runs);
	return true;
}

static void judge(void)
{
	for (unsigned i = 0; i < sweep.count; i++)
		if (!sweep.cells[i].unsupported)
			cell_judge(&sweep.cells[i], percent_for(&sweep.cells[i]));
}

static bool tell(void)
{
	unsigned samples = (unsigned)settings.arguments.samples;

	sweep_print(sweep.cells, sweep.count);
	for (unsigned i = 0; i < sweep.count; i++) {
		const struct cell *cell = &sweep.cells[i];

		sweep_record(cell);
		if (samples && !cell->unsupported && !cell->lock_figures &&
		    !sampler_run(cell, samples))
			return false;
	}
	return true;
}

static bool run_all(void)
{
	look_for_cores();
	sweep.runs_done = 0;
	sweep.runs = sweep.count * (1 + sweep.rounds + settings.virtual_time);
	if (!for_each_cell("pilots", pilot))
		return false;
	if (!run_rounds())
		return false;
	judge();
	return tell();
}

/* Leaves the machine as it was. */
static void sweep_run(void)
{
	const struct bootargs *arguments = &settings.arguments;
	struct configuration at_boot = {.policy = zones.zone[0].policy,
					.lock = (enum spin_kind)arguments->lock,
					.cache_frames = (uint32_t)arguments->cache_frames,
					.batch_frames = (uint32_t)arguments->batch_frames,
					.cpus = settings.cpus};

	sweep.start_ns = smp_nanoseconds();
	make_cells();
	smp_set_quiet(true); /* hundreds of runs would print too many lines */
	if (settings.virtual_time)
		printf("\nsweep: %u combinations, %llu rounds, about %llu instructions each on one "
		       "cpu\n",
		       sweep.count, (unsigned long long)sweep.rounds,
		       (unsigned long long)target_ns());
	else
		printf("\nsweep: %u combinations, %llu rounds, about %llu ms each\n", sweep.count,
		       (unsigned long long)sweep.rounds,
		       (unsigned long long)(target_ns() / 1000000));
	console_flush();
	sweep_report_begin(sweep.count, (unsigned)sweep.rounds,
			   (unsigned)settings.arguments.samples);
	verdict_count_test(run_all());
	smp_set_quiet(false);
	configure(&at_boot);
}

static bool is_wanted(bool is_named)
{
	(void)is_named;
	return settings.arguments.sweeps;
}

/* Asked for as run=bench, which runs where nothing is to be compared. */
static const struct program sweep_program = {
	.name = "sweep",
	.is_unnamed = true,
	.is_wanted = is_wanted,
	.memory_bytes = sweep_bytes,
	.run = sweep_run,
};
PROGRAM(41, sweep_program);
