/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_burst.c - all cpus in step: between two barriers everybody does the same at once. */
#include "tests/smp/workloads/workloads.h"

#include <stdlib.h>

#include "mm/check.h"
#include "tests/smp/workloads/workload_frames.h"

/*
 * While cpu 0 looks, the others are between these two barriers and touch no frame. False when time
 * is over; all cpus are told the same.
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

/* ---- burst: nobody asks for anything, then everybody for a lot ------------------------------ */

#define BURST_FRAMES 2048

bool burst_setup(struct workload_run *run)
{
	return slots_setup(run, BURST_FRAMES);
}

/*
 * What is free is enough for all bursts at once, wherever it is: so nobody may be told otherwise. How
 * many there was time for: some, for the barriers alone may have taken all of it.
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

/* ---- cache_thrash: neighbouring frames in the hands of different cpus ----------------------- */

#define THRASH_FRAMES 64 /* dealt to each cpu in a round */
#define THRASH_TURNS  16 /* how often each of them is freed and taken again */

/*
 * Cpu 0 takes frames and deals them out like cards, in the order of their addresses: of two
 * neighbours no cpu has both. A frame is 4 KiB, so the owners' data never share a cache line;
 * what the allocator keeps for neighbours does: 64 state bytes to a line, 512 bits of the bitmap.
 * Each cpu writes all of its frames, frees and takes them again and again (with a cache it is
 * mostly the same frame that comes back, so its state byte goes to 0 and to 1 in a line that all
 * cpus write), and at last frees what it has. The idea is cache-thrash and cache-scratch of the
 * Hoard benchmarks, one floor down: those ask whether an allocator makes blocks of two cpus share
 * a line, this one what it costs that an allocator's own notes do. One cpu has all the cards;
 * then this is the same work without sharing, to compare with.
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

/* Puts the cards on the table: cpu c takes up every cpus-th of them, from c on. */
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

/* Every word between the two of the stamp. */
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

	ck_pr_barrier(); /* what is in memory, as in stamp_check() */
	for (uint64_t i = 1; i < STAMP_LAST; i++)
		check(words[i] == thrash_value(frame, number, i),
		      "cache_thrash: word %llu of frame %#llx of cpu %u is %#llx, expected %#llx",
		      (unsigned long long)i, (unsigned long long)frame.value, number,
		      (unsigned long long)words[i],
		      (unsigned long long)thrash_value(frame, number, i));
}

/* A card taken up has the dealer's stamp, and gets the player's. */
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
	check(!pfn_is_none(*frame),
	      "cache_thrash: cpu %u has freed a frame and is told that there is none", number);
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

/* The hand is on the stack: the table, which all cpus read, is not what they should fight for. */
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

/* The barriers hand the cards over: cpu 0's release before the one, the others' acquire after it.
 */
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
