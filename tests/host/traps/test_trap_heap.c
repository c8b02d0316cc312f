/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_trap_heap.c - stops kmalloc, kfree and krealloc at every point, and lets a trap handler
 * allocate and free blocks of the same class there.
 *
 * For each operation and each thing that a handler may do, the operation is done once for each of
 * its points; traps.h says what a point is. Every block carries its owner's stamp, so a block with two
 * owners is found; after each run the heap must be valid, and when all blocks are freed no frame may be
 * missing.
 *
 * A failure prints a line that begins with ONLY=. With that in the environment, only this operation
 * and this handler run.
 *
 * Covers: mm/heap/front.c mm/heap/front.h mm/heap/kmalloc.c mm/heap/kmalloc_hit.c mm/percpu/stack.h
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/percpu/drain.h"
#include "tests/host/traps/traps.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define SIZE	       200 /* of all blocks but those that are resized */
#define OTHER_SIZE     300
#define BURST	       70 /* more than a stack holds */
#define PILE_MAX       400
#define MACHINE_FRAMES 300

static char story[120];

const char *traps_story(void)
{
	return story;
}

#define HOLD(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			port_panic("line %d: %s", __LINE__, #condition);                           \
	} while (0)

/* ---- blocks that carry a stamp ---------------------------------------------------------------- */

struct pile {
	uint64_t owner;
	unsigned count;
	uint64_t *block[PILE_MAX];
};

/* The interrupted code's and the handler's. */
static struct pile mine = {.owner = 0x1111}, kept = {.owner = 0x2222};

static void stamp(const struct pile *pile, uint64_t *block)
{
	block[0] = block[SIZE / 8 - 1] = pile->owner ^ (uintptr_t)block;
}

static void check_stamp(const struct pile *pile, const uint64_t *block)
{
	HOLD(block[0] == (pile->owner ^ (uintptr_t)block));
	HOLD(block[SIZE / 8 - 1] == block[0]);
}

static bool take(struct pile *pile)
{
	uint64_t *block = kmalloc_called(SIZE);

	if (!block)
		return false;
	stamp(pile, block);
	HOLD(pile->count < PILE_MAX);
	pile->block[pile->count++] = block;
	return true;
}

static void give(struct pile *pile)
{
	uint64_t *block;

	if (!pile->count)
		return;
	block = pile->block[--pile->count];
	check_stamp(pile, block);
	kfree(block);
}

/* ---- what a handler does ------------------------------------------------------------------------ */

static void take_and_give(void)
{
	if (take(&kept))
		give(&kept);
}

static void take_and_keep(void)
{
	take(&kept);
}

static void give_kept(void)
{
	give(&kept);
}

/* The stack runs empty, and over. */
static void through_many(void)
{
	unsigned before = kept.count;

	while (kept.count < before + BURST && take(&kept))
		;
	while (kept.count > before)
		give(&kept);
}

static void take_many(void)
{
	for (unsigned i = 0; i < BURST; i++)
		take(&kept);
}

static void give_many(void)
{
	while (kept.count)
		give(&kept);
}

static void flush(void)
{
	kheap_front_flush();
}

/* Another cpu has asked for memory: the stacks are emptied and closed, and the cache is parked. */
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
} actions[] = {
	{"take-give", take_and_give},
	{"take", take_and_keep},
	{"give", give_kept},
	{"through-many", through_many},
	{"take-many", take_many},
	{"give-many", give_many},
	{"flush", flush},
	{"drain", drain},
};

/* ---- what is interrupted --------------------------------------------------------------------------- */

static struct kheap_stack *stack(void)
{
	return &kheap_front_self()->stack[kheap_class_of(SIZE)];
}

static uint64_t *bottom(void)
{
	return kheap_front_self()->base[kheap_class_of(SIZE)];
}

static unsigned level(void)
{
	return (unsigned)(stack()->top - bottom());
}

static void ready_some(void)
{
	for (unsigned i = 0; i < 40; i++)
		HOLD(take(i % 2 ? &mine : &kept));
}

static void ready_empty(void)
{
	ready_some();
	while (level())
		take(&mine);
}

static void ready_full(void)
{
	for (unsigned i = 0; i < 120; i++)
		HOLD(take(i % 3 ? &mine : &kept));
	while (stack()->top != stack()->limit)
		give(&mine);
}

static void ready_closed(void)
{
	ready_some();
	kheap_front_flush();
}

/* No frame and no block is left but those that the piles have. */
static pfn_t all_frames;

static void ready_nothing(void)
{
	ready_some();
	for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame); all_frames = frame)
		*(uint64_t *)frame_bytes(frame) = all_frames.value;
}

static void do_take(void)
{
	take(&mine);
}

static void do_give(void)
{
	give(&mine);
}

static void do_zeroed(void)
{
	uint64_t *block = kcalloc(SIZE / 8, 8);

	if (!block)
		return;
	for (unsigned i = 0; i < SIZE / 8; i++)
		HOLD(block[i] == 0);
	stamp(&mine, block);
	mine.block[mine.count++] = block;
}

/* The old block is of the handlers' class, the new one of another. */
static void do_resize(void)
{
	uint64_t *old = mine.block[--mine.count], *block, seen = old[0];

	check_stamp(&mine, old);
	block = krealloc(old, OTHER_SIZE);
	HOLD(block && block[0] == seen);
	kfree_sized(block, OTHER_SIZE);
}

static const struct operation {
	const char *name;
	void (*ready)(void);
	void (*work)(void);
} operations[] = {
	{"take-hit", ready_some, do_take},	{"take-refill", ready_empty, do_take},
	{"take-closed", ready_closed, do_take}, {"take-nothing", ready_nothing, do_take},
	{"give-hit", ready_some, do_give},	{"give-overflow", ready_full, do_give},
	{"give-closed", ready_closed, do_give}, {"give-nothing", ready_nothing, do_give},
	{"zeroed", ready_some, do_zeroed},	{"resize", ready_some, do_resize},
};

/* ---- every point ------------------------------------------------------------------------------------ */

static void *lock_memory, *front_memory;
static uint64_t frames_at_start, runs_done;
static const struct action *action_now;

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
}

/* Frees everything, and checks that no frame is missing. */
static void settle(void)
{
	HOLD(frame_cache_self()->state == FRAME_CACHE_OPEN || stack()->limit == bottom());
	kheap_validate();
	while (mine.count)
		give(&mine);
	while (kept.count)
		give(&kept);
	while (!pfn_is_none(all_frames)) {
		pfn_t frame = all_frames;

		all_frames = pfn(*(uint64_t *)frame_bytes(frame));
		frame_free(frame);
	}
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

static void fire(void)
{
	traps_trap(0, act);
}

/* False if the operation has fewer points. */
static bool run_one(const struct operation *operation, uint64_t point)
{
	bool stopped;

	snprintf(story, sizeof(story), "ONLY=%s/%s, point %llu", operation->name, action_now->name,
		 (unsigned long long)point);
	operation->ready();
	traps_arm(TRAPS_HERE, point, fire);
	operation->work();
	stopped = traps_points() > point;
	traps_disarm();
	traps_finish();
	settle();
	runs_done++;
	return stopped;
}

static bool is_wanted(const struct operation *operation)
{
	const char *only = getenv("ONLY");
	char name[80];

	snprintf(name, sizeof(name), "%s/%s", operation->name, action_now->name);
	return !only || !strncmp(only, name, strlen(name));
}

static void run_every_point(const struct operation *operation)
{
	for (unsigned i = 0; i < LENGTH(actions); i++) {
		uint64_t point = 0;

		action_now = &actions[i];
		if (!is_wanted(operation))
			continue;
		start();
		while (run_one(operation, point++))
			;
		end();
	}
}

TEST(a_trap_at_every_point_of_kmalloc_and_kfree)
{
	runs_done = 0;
	for (unsigned i = 0; i < LENGTH(operations); i++)
		run_every_point(&operations[i]);
	printf("# %llu runs\n", (unsigned long long)runs_done);
	CHECK(getenv("ONLY") || runs_done > 10 * LENGTH(operations) * LENGTH(actions));
}
