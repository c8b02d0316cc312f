/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_points.c - see heap_points.h. */
#include "tests/host/traps/heap_points.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/percpu/drain.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define BURST	       70 /* more than a stack holds */
#define MACHINE_FRAMES 128

static char story[120];

const char *traps_story(void)
{
	return story;
}

/* ---- blocks that carry a stamp ---------------------------------------------------------------- */

struct pile mine = {.owner = 0x1111}, kept = {.owner = 0x2222};

void pile_stamp(const struct pile *pile, uint64_t *block)
{
	block[0] = block[SIZE / 8 - 1] = pile->owner ^ (uintptr_t)block;
}

void pile_check(const struct pile *pile, const uint64_t *block)
{
	HOLD(block[0] == (pile->owner ^ (uintptr_t)block));
	HOLD(block[SIZE / 8 - 1] == block[0]);
}

void pile_add(struct pile *pile, uint64_t *block)
{
	pile_stamp(pile, block);
	HOLD(pile->count < PILE_MAX);
	pile->block[pile->count++] = block;
}

bool pile_take(struct pile *pile)
{
	uint64_t *block = kmalloc_called(SIZE);

	if (!block)
		return false;
	pile_add(pile, block);
	return true;
}

void pile_give(struct pile *pile)
{
	uint64_t *block;

	if (!pile->count)
		return;
	block = pile->block[--pile->count];
	pile_check(pile, block);
	if (pile == &mine)
		kfree(block);
	else
		kfree_called(block);
}

/* ---- what comes in ------------------------------------------------------------------------------ */

static void take_and_give(void)
{
	if (pile_take(&kept))
		pile_give(&kept);
}

static void take_and_keep(void)
{
	pile_take(&kept);
}

static void give_kept(void)
{
	pile_give(&kept);
}

/* The stack runs empty, and over. */
static void through_many(void)
{
	unsigned before = kept.count;

	while (kept.count < before + BURST && pile_take(&kept))
		;
	while (kept.count > before)
		pile_give(&kept);
}

static void take_many(void)
{
	for (unsigned i = 0; i < BURST && pile_take(&kept); i++)
		;
}

static void give_many(void)
{
	while (kept.count)
		pile_give(&kept);
}

static void flush(void)
{
	kheap_front_flush();
}

/* Another CPU has asked for memory: the stacks are emptied and closed, and the cache is parked. */
static void drain(void)
{
	host_self = &host_cpus[1];
	traps_lose_ipis(true);
	frame_drain_ask();
	traps_lose_ipis(false);
	host_self = &host_cpus[0];
	while (frame_drain_answer())
		;
}

static const struct action {
	const char *name;
	void (*work)(void);
	bool handler_only;
} actions[] = {
	{"take-give", take_and_give, false},
	{"take", take_and_keep, false},
	{"give", give_kept, false},
	{"through-many", through_many, false},
	{"take-many", take_many, false},
	{"give-many", give_many, false},
	{"flush", flush, false},
	{"drain", drain, true},
};

/* ---- what is made ready ------------------------------------------------------------------------- */

struct kheap_stack *size_stack(void)
{
	return &kheap_front_self()->stack[kheap_class_of(SIZE)];
}

uint64_t *size_bottom(void)
{
	return kheap_front_self()->base[kheap_class_of(SIZE)];
}

unsigned size_level(void)
{
	return (unsigned)(size_stack()->top - size_bottom());
}

void ready_some(void)
{
	for (unsigned i = 0; i < 40; i++)
		HOLD(pile_take(i % 2 ? &mine : &kept));
}

/* Frames and blocks that no pile has, each linked to the next one. */
static pfn_t all_frames;
static void **all_blocks;

void ready_nothing(void)
{
	/* SIZE: what slabs have left, in the quick way. */
	static const size_t sizes[] = {4096, 2048, 1024, 512, 256, SIZE, 128, 64, 32, 16};

	ready_some();
	for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame); all_frames = frame)
		*(uint64_t *)frame_bytes(frame) = all_frames.value;
	for (unsigned i = 0; i < LENGTH(sizes); i++)
		for (void **block; (block = kmalloc_called(sizes[i])) != NULL; all_blocks = block)
			*block = all_blocks;
}

static void give_all(void)
{
	while (!pfn_is_none(all_frames)) {
		pfn_t frame = all_frames;

		all_frames = pfn(*(uint64_t *)frame_bytes(frame));
		frame_free(frame);
	}
	while (all_blocks) {
		void **block = all_blocks;

		all_blocks = *block;
		kfree(block);
	}
}

/* ---- every point ------------------------------------------------------------------------------- */

static void *lock_memory, *front_memory;
static uint64_t frames_at_start, runs_done;
static const struct action *action_now;
static bool elsewhere;

static void start(void)
{
	struct host_machine machine = {.lock = SPIN_FAS, .cpus = 2, .capacity = 64, .batch = 32};
	struct host_range range = {0x80200, MACHINE_FRAMES, 0};

	host_machine_start(&machine, &range, 1);
	traps_reset();
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(2));
	front_memory = aligned_alloc(PORT_CACHE_LINE, kheap_front_bytes(MACHINE_FRAMES));
	kheap_init(SPIN_FAS, lock_memory);
	kheap_front_start(front_memory, range.first, MACHINE_FRAMES);
	frames_at_start = frame_free_count();
	mine.count = kept.count = 0;
	all_frames = PFN_NONE;
	all_blocks = NULL;
}

/* Frees everything, and checks that no frame is missing. */
static void settle(void)
{
	host_self = &host_cpus[0];
	HOLD(frame_cache_self()->state == FRAME_CACHE_OPEN || size_stack()->limit == size_bottom());
	kheap_validate();
	while (mine.count)
		pile_give(&mine);
	while (kept.count)
		pile_give(&kept);
	give_all();
	kheap_validate();
	kheap_trim();
	frame_validate();
	HOLD(frame_free_count() == frames_at_start);
}

static void end(void)
{
	host_machine_end();
	free(lock_memory);
	free(front_memory);
}

static void act(void)
{
	action_now->work();
}

/* The other CPU is not at rest where it answers an IPI. */
static void fire(void)
{
	if (!elsewhere)
		traps_trap(0, act);
	else if (port_cpu() == 0)
		traps_elsewhere(1, act);
}

/* False if the operation has fewer points. */
static bool run_one(const struct heap_operation *operation, uint64_t point)
{
	bool stopped;

	snprintf(story, sizeof(story), "ONLY=%s/%s/%s, point %llu", elsewhere ? "cpu" : "trap",
		 operation->name, action_now->name, (unsigned long long)point);
	operation->ready();
	traps_arm(elsewhere ? TRAPS_ELSEWHERE : TRAPS_HERE, point, fire);
	operation->work();
	stopped = traps_points() > point;
	traps_disarm();
	traps_finish();
	settle();
	runs_done++;
	return stopped;
}

/* ONLY= as a failure prints it, or its first parts. */
static bool is_wanted(const struct heap_operation *operation)
{
	const char *only = getenv("ONLY");
	size_t length = only ? strlen(only) : 0;
	char name[80];

	snprintf(name, sizeof(name), "%s/%s/%s", elsewhere ? "cpu" : "trap", operation->name,
		 action_now->name);
	return !only || !strncmp(only, name, length < strlen(name) ? length : strlen(name));
}

static void run_every_point(const struct heap_operation *operation)
{
	for (unsigned i = 0; i < LENGTH(actions); i++) {
		uint64_t point = 0;

		action_now = &actions[i];
		if (!is_wanted(operation) || (elsewhere && action_now->handler_only))
			continue;
		start();
		while (run_one(operation, point))
			point += traps_every();
		end();
	}
}

uint64_t heap_points_run(const struct heap_operation *operations, unsigned count)
{
	runs_done = 0;
	for (unsigned i = 0; i < 2 * count; i++) {
		elsewhere = i >= count;
		run_every_point(&operations[i % count]);
	}
	printf("# %llu runs\n", (unsigned long long)runs_done);
	if (!getenv("ONLY") && traps_every() == 1)
		CHECK(runs_done > (uint64_t)10 * count * LENGTH(actions));
	return runs_done;
}
