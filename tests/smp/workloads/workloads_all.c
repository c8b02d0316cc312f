/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workloads_all.c - all cpus allocate until no frame is left.
 *
 * Allocated frames are linked through their second word; the stamp has the first and the last one.
 */
#include "tests/smp/workloads/workloads.h"

#include "mm/check.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "tests/smp/workloads/workload_blocks.h"
#include "tests/smp/workloads/workload_frames.h"

struct all {
	uint64_t rounds;
	uint64_t free_frames; /* before each round */
	/* frag's: a run that exists while no frame is taken; 0 frames: no such run is known. */
	uint64_t witness_frames;
	bool over; /* written by cpu 0: the time is over */
	struct {
		uint64_t taken; /* in this round, by this cpu */
		pfn_t held;	/* list of frames that it had no time to free */
	} cpu[];
};

/*
 * The number of rounds that make the requested operations; at least one. `more_bytes` are behind the
 * struct in the shared memory.
 */
static bool all_setup(struct workload_run *run, uint64_t more_bytes)
{
	struct all *all;

	if (!workload_share(run, sizeof(*all) + run->cpus * sizeof(all->cpu[0]) + more_bytes))
		return false;
	all = run->shared;
	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		all->cpu[cpu].held = PFN_NONE;
	frame_drain_settle();
	all->free_frames = frame_free_count();
	all->rounds = 1 + run->ops * run->cpus / (all->free_frames + 1);
	return true;
}

/* When an allocation of every cpu has failed, all frames must be allocated. */
static void check_taken(const struct workload_run *run, uint64_t rounds_left)
{
	const struct all *all = run->shared;
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		sum += all->cpu[cpu].taken;
	check(sum == all->free_frames,
	      "%s: %u cpus got %llu frames until each found no more, expected "
	      "all %llu that were free; %llu rounds to go",
	      run->workload->name, run->cpus, (unsigned long long)sum,
	      (unsigned long long)all->free_frames, (unsigned long long)rounds_left);
}

/* The frame that was allocated before this one. */
static pfn_t *link_of(pfn_t frame)
{
	return (pfn_t *)frame_bytes(frame) + 1;
}

/* Adds to the list until there is no frame or no time left; returns the newest frame. */
static pfn_t take_all(struct workload_run *run, unsigned number, pfn_t newest)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct all *all = run->shared;
	uint64_t allocs_before = cpu->allocs;
	pfn_t frame;

	do {
		uint64_t pause = cpu->allocs + run->stride;

		frame = PFN_NONE;
		if (workload_is_over(run, number))
			break;
		while (cpu->allocs != pause && !pfn_is_none(frame = take(cpu, number))) {
			*link_of(frame) = newest;
			newest = frame;
		}
	} while (!pfn_is_none(frame));
	all->cpu[number].taken = cpu->allocs - allocs_before;
	return newest;
}

/*
 * Frees all frames of the list but those whose pfn ends a group of 2^order; returns the list of
 * these. When the time is over, all that are left count as such.
 */
static pfn_t thin_out(struct workload_run *run, unsigned number, pfn_t newest, unsigned order)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t last = (UINT64_C(1) << order) - 1, pause = cpu->frees;
	pfn_t kept = PFN_NONE;

	while (!pfn_is_none(newest)) {
		pfn_t frame = newest;

		newest = *link_of(frame);
		if (cpu->frees == pause) {
			pause += run->stride;
			if (workload_is_over(run, number))
				last = 0;
		}
		if ((frame.value & last) == last) {
			*link_of(frame) = kept;
			kept = frame;
		} else {
			give(cpu, number, frame);
		}
	}
	return kept;
}

/* Returns the list of frames that there was no time to free. */
static pfn_t give_chain(struct workload_run *run, unsigned number, pfn_t newest)
{
	struct workload_cpu *cpu = &run->cpu[number];

	while (!pfn_is_none(newest) && !workload_is_over(run, number)) {
		uint64_t pause = cpu->frees + run->stride;

		while (cpu->frees != pause && !pfn_is_none(newest)) {
			pfn_t frame = newest;

			newest = *link_of(frame);
			give(cpu, number, frame);
		}
	}
	return newest;
}

static void all_teardown(struct workload_run *run)
{
	const struct all *all = run->shared;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		for (pfn_t next = all->cpu[cpu].held; !pfn_is_none(next);) {
			pfn_t frame = next;

			next = *link_of(frame);
			stamp_check(frame, cpu);
			frame_free(frame);
		}
}

/* ---- exhaust: all cpus allocate until no frame is left -------------------------------------- */

bool exhaust_setup(struct workload_run *run)
{
	return all_setup(run, 0);
}

/*
 * Called between the two barriers. A cpu that had no time to take all frames has set `cut` before
 * the first barrier. A cpu that has no time to free them may set it at this moment; if it is not
 * seen here, it is seen in the next round, in which that cpu takes no frame.
 */
static void exhaust_look(struct workload_run *run, uint64_t rounds_left)
{
	struct all *all = run->shared;

	all->over = workload_was_cut(run);
	if (!all->over)
		check_taken(run, rounds_left);
}

void exhaust_work(struct workload_run *run, unsigned number)
{
	struct all *all = run->shared;
	uint64_t rounds = all->rounds;
	pfn_t held = PFN_NONE;

	while (!all->over && rounds--) {
		held = take_all(run, number, held);
		barrier_wait(&run->barrier);
		if (number == 0)
			exhaust_look(run, rounds);
		held = give_chain(run, number, held);
		barrier_wait(&run->barrier);
	}
	all->cpu[number].held = held;
}

void exhaust_teardown(struct workload_run *run)
{
	all_teardown(run);
}

/* ---- scarce: blocks of the heap, and then all frames ------------------------------------------- */

#define SCARCE_BLOCKS	24
#define SCARCE_SIZE_MAX 2048

/*
 * Each cpu allocates blocks, some of which another cpu frees, and takes frames until it finds no more.
 * It has freed all blocks at some moment before that, at random: so blocks are freed, to full and to
 * empty stacks, slabs and arenas, while other cpus ask for all that there is. When the last cpu finds
 * no frame, no block is left, so all frames must be allocated, though the last blocks that were freed
 * may be on any cpu's stack.
 */
static struct stamped_block *scarce_blocks(const struct workload_run *run, unsigned cpu)
{
	struct all *all = run->shared;

	return (struct stamped_block *)(void *)&all->cpu[run->cpus] + (size_t)cpu * SCARCE_BLOCKS;
}

bool scarce_setup(struct workload_run *run)
{
	return all_setup(run, run->cpus * SCARCE_BLOCKS * sizeof(struct stamped_block));
}

/* Half of the cpus find the blocks of their neighbours, between two barriers, and free these. */
static void scarce_make_blocks(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct stamped_block *mine = scarce_blocks(run, number);
	unsigned next = (number + 1) % run->cpus;

	for (unsigned i = 0; i < 2 * SCARCE_BLOCKS; i++) {
		struct stamped_block *held = &mine[random_below(&cpu->random, SCARCE_BLOCKS)];

		if (held->block)
			block_give(cpu, held);
		else
			block_take(cpu, held, block_size(cpu, 8, SCARCE_SIZE_MAX));
	}
	barrier_wait(&run->barrier);
	if (next != number)
		for (unsigned i = 0; i < SCARCE_BLOCKS; i += 2)
			if (scarce_blocks(run, next)[i].block)
				block_give(cpu, &scarce_blocks(run, next)[i]);
	barrier_wait(&run->barrier);
}

static pfn_t take_some(struct workload_run *run, unsigned number, uint64_t count, pfn_t newest)
{
	struct workload_cpu *cpu = &run->cpu[number];
	pfn_t frame;

	while (count-- > 0 && !pfn_is_none(frame = take(cpu, number))) {
		*link_of(frame) = newest;
		newest = frame;
	}
	return newest;
}

static pfn_t scarce_take(struct workload_run *run, unsigned number, pfn_t held)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct all *all = run->shared;
	struct stamped_block *mine = scarce_blocks(run, number);
	uint64_t share = all->free_frames / run->cpus, some = 0;

	for (unsigned i = 0; i < SCARCE_BLOCKS; i++) {
		uint64_t before = cpu->allocs;

		if (random_below(&cpu->random, 2))
			held = take_some(run, number, random_below(&cpu->random, share / 8 + 1),
					 held);
		some += cpu->allocs - before;
		if (mine[i].block)
			block_give(cpu, &mine[i]);
	}
	held = take_all(run, number, held);
	all->cpu[number].taken += some;
	return held;
}

void scarce_work(struct workload_run *run, unsigned number)
{
	struct all *all = run->shared;
	uint64_t rounds = all->rounds;
	pfn_t held = PFN_NONE;

	while (!all->over && rounds--) {
		scarce_make_blocks(run, number);
		held = scarce_take(run, number, held);
		barrier_wait(&run->barrier);
		if (number == 0)
			exhaust_look(run, rounds);
		held = give_chain(run, number, held);
		barrier_wait(&run->barrier);
	}
	all->cpu[number].held = held;
}

void scarce_teardown(struct workload_run *run)
{
	blocks_end(scarce_blocks(run, 0), (uint64_t)run->cpus * SCARCE_BLOCKS);
	all_teardown(run);
}

/* ---- frag: runs in fragmented memory -------------------------------------------------------- */

#define FRAG_ORDERS	    6 /* the last holes have 63 frames */
#define FRAG_WITNESS_FRAMES 512
#define FRAG_STEPS	    (FRAG_ORDERS + 2) /* in a round: full, each order, empty */

/*
 * All frames are allocated, then freed step by step. After step k the frames whose pfn ends in k
 * ones are still allocated, and all others are free. So every hole has 2^k - 1 frames and begins at
 * a multiple of 2^k. Then no run of 2^k frames exists, whatever the policy. Runs of 2^k - 1 frames
 * do exist, and a policy with exact_runs must find one, though its frames may be in any cpu's
 * cache. A witness, an aligned run that was free before, shows that such runs exist in spite of the
 * borders of zones. At the end the same run must be free again.
 */
bool frag_setup(struct workload_run *run)
{
	uint64_t frames = FRAG_WITNESS_FRAMES;
	struct all *all;
	pfn_t witness = PFN_NONE;

	if (!all_setup(run, 0))
		return false;
	all = run->shared;
	while (frames > 1 && pfn_is_none(witness = frame_alloc_run(frames, frames)))
		frames /= 2;
	if (pfn_is_none(witness))
		return true;
	frame_free_run(witness, frames);
	if (zones.zone[0].policy->exact_runs)
		all->witness_frames = frames;
	return true;
}

/* On cpu 0 while the others wait: checks, and returns whether there is time for the rest. */
static bool frag_look(struct workload_run *run, unsigned number, uint64_t step, const char *phase)
{
	struct all *all = run->shared;
	uint64_t steps = all->rounds * FRAG_STEPS;

	barrier_wait(&run->barrier);
	if (number == 0) {
		workload_sample(run, run->ops / steps * step + run->ops % steps * step / steps,
				phase, true);
		all->over = workload_was_cut(run) || (step + 1 < steps && workload_is_over(run, 0));
	}
	barrier_wait(&run->barrier);
	return !all->over;
}

static pfn_t frag_take_run(struct workload_run *run, unsigned number, uint64_t count, uint64_t align)
{
	pfn_t first = frame_alloc_run(count, align);

	if (pfn_is_none(first))
		return first;
	check(first.value % align == 0, "frag: run %#llx is not aligned to %llu frames",
	      (unsigned long long)first.value, (unsigned long long)align);
	for (uint64_t i = 0; i < count; i++)
		stamp_write(pfn_add(first, i), number);
	run->cpu[number].allocs += count;
	return first;
}

static void frag_give_run(struct workload_run *run, unsigned number, pfn_t first, uint64_t count)
{
	if (pfn_is_none(first))
		return;
	for (uint64_t i = 0; i < count; i++)
		stamp_check(pfn_add(first, i), number);
	frame_free_run(first, count);
	run->cpu[number].frees += count;
}

/*
 * On all cpus at once: requests runs that cannot exist and runs that may, and holds those it got.
 */
static void frag_ask(struct workload_run *run, unsigned number, unsigned order)
{
	uint64_t group = UINT64_C(1) << order;
	pfn_t first = frag_take_run(run, number, group, 1);

	check(pfn_is_none(first),
	      "frag: cpu %u got a run of %llu frames at %#llx, although every %lluth frame is held",
	      number, (unsigned long long)group, (unsigned long long)first.value,
	      (unsigned long long)group);
	first = frag_take_run(run, number, group - 1, 1);
	check(pfn_is_none(first) || first.value % group == 0,
	      "frag: cpu %u got a run of %llu frames at %#llx, which is not where a hole begins",
	      number, (unsigned long long)(group - 1), (unsigned long long)first.value);
	barrier_wait(&run->barrier);
	frag_give_run(run, number, first, group - 1);
	barrier_wait(&run->barrier);
}

/* On cpu 0 alone: a run that exists must be found. */
static void frag_insist(struct workload_run *run, uint64_t count, uint64_t align, const char *when)
{
	pfn_t first = frag_take_run(run, 0, count, align);

	check(!pfn_is_none(first),
	      "frag: %s policy %s finds no run of %llu frames aligned to %llu, and there is one",
	      when, zones.zone[0].policy->name, (unsigned long long)count,
	      (unsigned long long)align);
	frag_give_run(run, 0, first, count);
}

/* Only if each cpu had the time to free what it should. */
static void frag_insist_on_holes(struct workload_run *run, unsigned order)
{
	const struct all *all = run->shared;
	uint64_t group = UINT64_C(1) << order;

	if (all->witness_frames < group || workload_was_cut(run))
		return;
	frag_insist(run, group - 1, 1, "among held frames");
	frag_insist(run, group / 2, group / 2, "among held frames");
}

/* From full memory to the largest holes; false: the time was over before. */
static bool frag_thin_out(struct workload_run *run, unsigned number, uint64_t step, pfn_t *held)
{
	for (unsigned order = 1; order <= FRAG_ORDERS; order++) {
		*held = thin_out(run, number, *held, order);
		barrier_wait(&run->barrier);
		frag_ask(run, number, order);
		if (number == 0)
			frag_insist_on_holes(run, order);
		if (!frag_look(run, number, step++, "holes"))
			return false;
	}
	return true;
}

void frag_work(struct workload_run *run, unsigned number)
{
	struct all *all = run->shared;
	pfn_t held = PFN_NONE;
	bool goes_on = true;

	for (uint64_t round = 0; goes_on && round < all->rounds; round++) {
		uint64_t step = round * FRAG_STEPS;

		held = take_all(run, number, held);
		if (!frag_look(run, number, step++, "full"))
			break;
		if (number == 0)
			check_taken(run, all->rounds - round - 1);
		if (!frag_thin_out(run, number, step, &held))
			break;
		held = give_chain(run, number, held);
		barrier_wait(&run->barrier);
		if (number == 0 && all->witness_frames && !workload_was_cut(run))
			frag_insist(run, all->witness_frames, all->witness_frames, "at the end");
		goes_on = frag_look(run, number, step + FRAG_ORDERS, "empty");
	}
	all->cpu[number].held = held;
}

void frag_teardown(struct workload_run *run)
{
	all_teardown(run);
}
