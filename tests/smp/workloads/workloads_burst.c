/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_burst.c - all cpus in step: between two barriers all do the same at the same time. */
#include "tests/smp/workloads/workloads.h"

#include <stdlib.h>

#include "mm/check.h"
#include "tests/smp/workloads/workload_frames.h"

/*
 * While cpu 0 takes a sample, the others are between these two barriers and use no frame. False:
 * the time is over; all cpus get the same answer.
 */
static bool look_at_rest(struct workload_run *run, unsigned number, uint64_t done, const char *phase)
{
	struct slots *slots = run->shared;

	barrier_wait(&run->barrier);
	if (number == 0) {
		workload_sample(run, done, phase, true);
		slots->over = workload_was_cut(run) ||
			      (done < run->ops && workload_is_over(run, 0));
	}
	barrier_wait(&run->barrier);
	return !slots->over;
}

static uint64_t least(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

/* ---- burst: a pause, then all cpus allocate many frames ------------------------------------- */

#define BURST_FRAMES 2048

bool burst_setup(struct workload_run *run)
{
	return slots_setup(run, BURST_FRAMES);
}

/*
 * There are enough free frames for all bursts at once, wherever they are, so no allocation may
 * fail. Returns the number of frames that there was time for: the barriers alone may take all of
 * it.
 */
static uint64_t burst_take(struct workload_run *run, unsigned number, pfn_t *slot, uint64_t count,
			   uint64_t done)
{
	uint64_t taken = 0;

	do {
		uint64_t end = stride_end(run, taken, count);

		for (; taken < end; taken++) {
			slot[taken] = take(&run->cpu[number], number);
			check(!pfn_is_none(slot[taken]),
			      "burst: cpu %u got %llu of %llu frames, although more than all cpus "
			      "want "
			      "were free",
			      number, (unsigned long long)taken, (unsigned long long)count);
		}
		if (number == 0)
			workload_sample(run, done + taken / 2, "take", false);
	} while (taken < count && !workload_is_over(run, number));
	return taken;
}

static void burst_give(struct workload_run *run, unsigned number, const pfn_t *slot, uint64_t count,
		       uint64_t done)
{
	uint64_t given = 0;

	while (given < count && !workload_is_over(run, number)) {
		uint64_t end = stride_end(run, given, count);

		for (; given < end; given++)
			give(&run->cpu[number], number, slot[given]);
		if (number == 0)
			workload_sample(run, done + (count + given) / 2, "give", false);
	}
	if (given < count)
		slots_leave(run, number, given, count);
}

void burst_work(struct workload_run *run, unsigned number)
{
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);

	uint64_t done = 0;

	while ((look_at_rest(run, number, done, "idle") || done == 0) && done < run->ops) {
		uint64_t count = least(width, run->ops - done);
		uint64_t taken = burst_take(run, number, slot, count, done);

		look_at_rest(run, number, done + count / 2, "hold");
		burst_give(run, number, slot, taken, done);
		done += count;
	}
}

/* ---- cache_thrash: neighbouring frames on different cpus ------------------------------------ */

#define THRASH_FRAMES 64 /* dealt to each cpu in a round */
#define THRASH_TURNS  16 /* how often each frame is freed and allocated again */

/*
 * Cpu 0 allocates frames and deals them to the cpus in turn, by address: no cpu gets two
 * neighbours. A frame has 4 KiB, so the cpus' data never share a cache line. But the allocator's
 * metadata of neighbours do: a line has 64 state bytes, or 512 bits of the bitmap. Each cpu writes
 * all of its frames, frees and allocates them again and again, and at last frees what it has. (With
 * a cache, mostly the same frame comes back, so its state byte goes to 0 and to 1 in a line that
 * all cpus write.) The idea is that of cache-thrash and cache-scratch of the Hoard benchmarks, one
 * level lower: those ask whether an allocator gives two cpus blocks on one line; this one measures
 * what shared metadata cost. With one cpu, that cpu has all frames: the same work without sharing,
 * for comparison.
 */
static uint64_t thrash_round(const struct workload_run *run, uint64_t done)
{
	return least(((struct slots *)run->shared)->width * THRASH_TURNS, run->ops - done);
}

bool cache_thrash_setup(struct workload_run *run)
{
	return slots_setup(run, least(THRASH_FRAMES, run->ops));
}

static int by_address(const void *one, const void *other)
{
	const pfn_t *a = one, *b = other;

	return a->value < b->value ? -1 : a->value > b->value;
}

/* Puts frames into a shared table; cpu c takes every cpus-th of them, from c on. */
static void thrash_deal(struct workload_run *run)
{
	struct slots *slots = run->shared;
	uint64_t count = slots->width * run->cpus;

	for (uint64_t i = 0; i < count; i++) {
		slots->slot[i] = take(&run->cpu[0], 0);
		check(!pfn_is_none(slots->slot[i]),
		      "cache_thrash: cpu 0 got %llu of %llu frames, although more were free",
		      (unsigned long long)i, (unsigned long long)count);
	}
	qsort(slots->slot, count, sizeof(pfn_t), by_address);
}

static uint64_t thrash_value(pfn_t frame, unsigned number, uint64_t word)
{
	return stamp_of(frame, number) + word;
}

/* Writes every word between the two words of the stamp. */
static void thrash_write(pfn_t frame, unsigned number)
{
	uint64_t *words = frame_bytes(frame);

	stamp_write(frame, number);
	for (uint64_t i = 1; i < STAMP_LAST; i++)
		words[i] = thrash_value(frame, number, i);
}

static void thrash_check(pfn_t frame, unsigned number)
{
	const uint64_t *words = frame_bytes(frame);

	ck_pr_barrier(); /* so that memory is read, as in stamp_check() */
	for (uint64_t i = 1; i < STAMP_LAST; i++)
		check(words[i] == thrash_value(frame, number, i),
		      "cache_thrash: word %llu of frame %#llx of cpu %u is %#llx, expected %#llx",
		      (unsigned long long)i, (unsigned long long)frame.value, number,
		      (unsigned long long)words[i],
		      (unsigned long long)thrash_value(frame, number, i));
}

/* A frame from the table has the stamp of cpu 0, and gets that of this cpu. */
static void thrash_take_up(pfn_t frame, unsigned number)
{
	stamp_check(frame, 0);
	thrash_write(frame, number);
}

static void thrash_turn(struct workload_cpu *cpu, unsigned number, pfn_t *frame)
{
	thrash_check(*frame, number);
	give(cpu, number, *frame);
	*frame = take(cpu, number);
	check(!pfn_is_none(*frame), "cache_thrash: cpu %u has freed a frame and then gets none",
	      number);
	thrash_write(*frame, number);
}

static void thrash_turns(struct workload_run *run, unsigned number, pfn_t *hand, uint64_t done)
{
	uint64_t width = ((struct slots *)run->shared)->width;
	uint64_t turns = thrash_round(run, done);

	for (uint64_t turn = 0; turn < turns && !workload_is_over(run, number);) {
		uint64_t end = stride_end(run, turn, turns);

		while (turn < end) {
			thrash_turn(&run->cpu[number], number, &hand[turn++ % width]);
			if (number == 0)
				workload_sample(run, done + turn, "mixed", false);
		}
	}
}

/* The cpu's frames are listed on its stack, so that cpus do not share lines of the table. */
static void thrash_play(struct workload_run *run, unsigned number, uint64_t done)
{
	const struct slots *slots = run->shared;
	pfn_t hand[THRASH_FRAMES];

	for (uint64_t i = 0; i < slots->width; i++) {
		hand[i] = slots->slot[i * run->cpus + number];
		thrash_take_up(hand[i], number);
	}
	thrash_turns(run, number, hand, done);
	for (uint64_t i = 0; i < slots->width; i++) {
		thrash_check(hand[i], number);
		give(&run->cpu[number], number, hand[i]);
	}
}

/* The barriers hand the frames over: a release of cpu 0 before, an acquire of the others after. */
void cache_thrash_work(struct workload_run *run, unsigned number)
{
	bool goes_on = true;

	for (uint64_t done = 0; goes_on && done < run->ops; done += thrash_round(run, done)) {
		if (number == 0)
			thrash_deal(run);
		goes_on = look_at_rest(run, number, done, "hold");
		thrash_play(run, number, done);
		barrier_wait(&run->barrier);
	}
}
