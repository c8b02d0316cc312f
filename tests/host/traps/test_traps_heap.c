/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_traps_heap.c - kmalloc says NULL only if at some instant of the call no memory for the block
 * was free anywhere: with another cpu at every point of its slow paths.
 *
 * All memory of a small machine is allocated, but for what a test has freed: a block in a slab, on a
 * stack, in an arena, or a frame. What a point is: tests/host/traps/traps.h.
 *
 *   - Memory that moves. While a cpu allocates, another cpu frees a block that would serve as well,
 *     and then allocates. So at every instant memory for one block is free, in one place or in
 *     another one, and the allocation must find it.
 *   - Memory in hands. At every point of an operation another cpu allocates. If it finds memory both
 *     before the operation and after it, it must find some at every point.
 *
 * A failure prints what was free where, and the point.
 *
 * Covers: mm/heap/kmalloc.c mm/heap/front.c mm/heap/slab.c mm/heap/arena.c mm/heap/kmalloc_frames.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/percpu/drain.h"
#include "tests/host/traps/traps.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define CPUS	   3
#define FRAMES	   96
#define FIRST	   0x80200
#define BLOCKS_MAX 16384
#define SIZE	   256 /* of the blocks that move */

#define HOLD(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			port_panic("line %d: %s", __LINE__, #condition);                           \
	} while (0)

static char story[200];

const char *traps_story(void)
{
	return story;
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

/* ---- the blocks ------------------------------------------------------------------------------ */

enum kind { SLAB, ARENA, RUN };

static struct {
	unsigned count;
	void *block[BLOCKS_MAX]; /* NULL: it has been freed, or given to a cpu */
} table;

static void *lock_memory, *front_memory;

static enum kind kind_of(const void *block)
{
	struct found found = {.slab = NULL};

	if (slab_find(port_phys_address(block), &found))
		return SLAB;
	found = kheap_find_locked(block);
	return found.arena ? ARENA : RUN;
}

static void take_all(size_t size, unsigned most)
{
	void *block;

	while (most-- && (block = kmalloc_called(size)) != NULL) {
		HOLD(table.count < BLOCKS_MAX);
		table.block[table.count++] = block;
	}
}

/* Takes a block of this kind and size out of the table. The blocks of a table's end come first. */
static void *pick(enum kind kind, size_t size)
{
	for (unsigned i = table.count; i-- > 0;) {
		void *block = table.block[i];

		if (!block || kind_of(block) != kind || kmalloc_usable_size(block) != size)
			continue;
		table.block[i] = NULL;
		return block;
	}
	port_panic("no block of kind %d and %zu bytes", (int)kind, size);
}

static void start(void)
{
	struct host_machine machine = {.lock = SPIN_FAS, .cpus = CPUS, .capacity = 8, .batch = 2};
	struct host_range range = {FIRST, FRAMES, 0};

	host_machine_start(&machine, &range, 1);
	traps_reset();
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(CPUS));
	front_memory = aligned_alloc(PORT_CACHE_LINE, kheap_front_bytes(FRAMES));
	kheap_init(SPIN_FAS, lock_memory);
	kheap_front_start(front_memory, FIRST, zones.zone[0].total_frames);
	memset(&table, 0, sizeof(table));
}

/* Slabs of two classes, whole frames, and blocks of an arena: all allocated, to the last one. */
static void allocate_all(void)
{
	take_all(512, 1);
	take_all(SIZE, 1);
	take_all(4096, 12);
	for (size_t size = 4096; size >= 16; size /= 2)
		take_all(size, UINT32_MAX);
	HOLD(!kmalloc_called(1) && pfn_is_none(frame_alloc(FRAME_ANY)));
}

static void end(void)
{
	host_machine_end();
	free(lock_memory);
	free(front_memory);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

struct region {
	void *at;
	size_t bytes;
};

static struct {
	unsigned regions;
	struct region region[CPUS + 8];
	char *copy[CPUS + 8];
} snapshot;

static void add_region(void *at, size_t bytes)
{
	struct region *region = &snapshot.region[snapshot.regions];

	HOLD(snapshot.regions < LENGTH(snapshot.region));
	*region = (struct region){at, bytes};
	snapshot.copy[snapshot.regions] = malloc(bytes);
	memcpy(snapshot.copy[snapshot.regions++], at, bytes);
}

static void snapshot_take(void)
{
	snapshot.regions = 0;
	add_region(&table.count, sizeof(table.count));
	add_region(&kheap, sizeof(kheap));
	add_region(front_memory, kheap_front_bytes(zones.zone[0].total_frames));
	add_region(lock_memory, spin_bytes(CPUS));
	add_region(host_cpus, host_cpu_count * sizeof(*host_cpus));
	add_region(&zones.zone[0], sizeof(zones.zone[0]));
	add_region(host_memory, FRAMES * FRAME_SIZE);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		struct frame_cache *cache = port_area_of(cpu);

		add_region(cache->base - PORT_CACHE_LINE / sizeof(uint64_t),
			   frame_cache_bytes(cache->slots, zones.count));
	}
}

static void snapshot_restore(void)
{
	for (unsigned i = 0; i < snapshot.regions; i++)
		memcpy(snapshot.region[i].at, snapshot.copy[i], snapshot.region[i].bytes);
}

static void snapshot_drop(void)
{
	while (snapshot.regions)
		free(snapshot.copy[--snapshot.regions]);
}

/* ---- where memory is free --------------------------------------------------------------------- */

static void park(unsigned cpu)
{
	become(cpu);
	while (frame_cache_park_step(frame_cache_self()))
		;
}

enum place {
	IN_SLAB,
	IN_LARGER_SLAB,
	ON_STACK,
	ON_LARGER_STACK,
	IN_ARENA,
	IN_ZONE,
	IN_CACHE,
	PLACES
};

static const char *const place_names[PLACES] = {"a slab",   "a slab of a larger class",
						"a stack",  "a stack of a larger class",
						"an arena", "the zone",
						"a cache"};

static void *pick_for(enum place place)
{
	switch (place) {
	case IN_SLAB:
	case ON_STACK:
		return pick(SLAB, SIZE);
	case IN_LARGER_SLAB:
	case ON_LARGER_STACK:
		return pick(SLAB, 512);
	case IN_ARENA:
		return pick(ARENA, FRAME_SIZE);
	default:
		return pick(RUN, FRAME_SIZE);
	}
}

/* By the cpu that owns it: frees the block so that it ends in that place. */
static void free_into(enum place place, void *block)
{
	struct frame_cache *cache = frame_cache_self();
	bool parked = place == IN_SLAB || place == IN_LARGER_SLAB || place == IN_ZONE;

	kfree(block);
	while (parked && frame_cache_park_step(cache))
		;
}

/* ---- memory that moves ------------------------------------------------------------------------ */

static void *moving; /* what cpu 1 has, and frees before it allocates */
static enum place moving_to;
static unsigned moves;

static void move(void)
{
	void *block = moving;

	if (!block)
		return;
	moving = NULL;
	moves++;
	free_into(moving_to, block);
	moving = kmalloc_called(SIZE);
	HOLD(moving);
}

static void fire_move(void)
{
	if (port_cpu() == 0)
		traps_elsewhere(1, move);
}

/* The other cpu is not at rest where it answers; the allocation goes on at once then. */
static bool move_at(uint64_t point)
{
	bool stopped;
	void *block;

	snapshot_restore();
	traps_reset();
	become(0);
	traps_arm(TRAPS_ELSEWHERE, point, fire_move);
	block = kmalloc_called(SIZE);
	stopped = traps_points() > point;
	traps_disarm();
	traps_finish();
	become(0);
	if (!block)
		port_panic("no block, but at every instant one was free");
	frame_drain_settle();
	kheap_validate();
	return stopped;
}

static uint64_t points_done;

/* Frees three more blocks: then the slab has enough for a refill, which adds no slab. */
static void free_batch(enum place place)
{
	for (unsigned i = 0; i < 3 && (place == IN_SLAB || place == IN_LARGER_SLAB); i++)
		free_into(place, pick_for(place));
}

static void every_move(enum place from, unsigned owner, enum place to)
{
	void *block, *kept;
	uint64_t point = 0;
	bool stopped;

	snprintf(story, sizeof(story), "making ready: %s, %s", place_names[from], place_names[to]);
	start();
	allocate_all();
	block = pick_for(from);
	kept = pick_for(to);
	park(0);
	park(2);
	park(1);
	become(owner);
	free_into(from, block);
	free_batch(from);
	become(0);
	snapshot_take();
	do {
		moving = kept;
		moving_to = to;
		snprintf(
			story, sizeof(story),
			"cpu %u frees into %s; then cpu 1 frees into %s, and allocates; point %llu",
			owner, place_names[from], place_names[to], (unsigned long long)point);
		points_done++;
		stopped = move_at(point);
		point += traps_every();
	} while (stopped);
	snapshot_drop();
	end();
}

TEST(memory_that_moves_from_place_to_place_is_found)
{
	points_done = 0;
	for (unsigned from = 0; from < PLACES; from++)
		for (unsigned to = 0; to < PLACES; to++)
			for (unsigned owner = 0; owner < CPUS; owner++)
				every_move((enum place)from, owner, (enum place)to);
	printf("# %llu runs\n", (unsigned long long)points_done);
}

/*
 * The same several times, at random points: cpu 1 frees one of its blocks, of any kind, and then takes
 * one of 256 or of 512 bytes, or none if there is only a smaller one.
 */
#define MOVERS	  5
#define MOVES_MAX 6

static void *movers[MOVERS];
static bool mover_busy;

static void move_any(void)
{
	unsigned at = (unsigned)unit_random_below(MOVERS);
	bool parked = unit_random_below(4) == 0;

	mover_busy = true;
	if (movers[at]) {
		kfree(movers[at]);
		while (parked && frame_cache_park_step(frame_cache_self()))
			;
		movers[at] = kmalloc_called(unit_random_below(2) ? SIZE : (size_t)2 * SIZE);
	}
	mover_busy = false;
}

static void fire_moves(void)
{
	if (port_cpu() == 0 && !mover_busy && moves < MOVES_MAX) {
		moves++;
		traps_elsewhere(1, move_any);
	}
	traps_rearm(traps_points() + unit_random_below(200));
}

static void move_often(void)
{
	void *block;

	snapshot_restore();
	traps_reset();
	become(0);
	moves = 0;
	traps_arm(TRAPS_ELSEWHERE, unit_random_below(600), fire_moves);
	block = kmalloc_called(SIZE);
	traps_disarm();
	traps_finish();
	become(0);
	if (!block)
		port_panic("no block, but at every instant one was free");
	frame_drain_settle();
	kheap_validate();
}

TEST(memory_that_moves_often_is_found)
{
	static const enum place kinds[MOVERS] = {IN_SLAB, IN_LARGER_SLAB, IN_LARGER_SLAB, IN_ARENA,
						 IN_ZONE};
	void *first[MOVERS];

	for (unsigned round = 0; round < 3 * PLACES; round++) {
		enum place from = (enum place)(round % PLACES);
		void *block;

		snprintf(story, sizeof(story), "round %u is made ready", round);
		start();
		allocate_all();
		block = pick_for(from);
		for (unsigned i = 0; i < MOVERS; i++)
			first[i] = pick_for(kinds[i]);
		for (unsigned cpu = CPUS; cpu-- > 0;)
			park(cpu);
		become(round % CPUS);
		free_into(from, block);
		free_batch(from);
		become(0);
		snapshot_take();
		for (unsigned step = 0; step < 2000; step++) {
			snprintf(story, sizeof(story), "round %u, step %u", round, step);
			memcpy(movers, first, sizeof(movers));
			move_often();
		}
		snapshot_drop();
		end();
	}
}

/* ---- memory in hands --------------------------------------------------------------------------- */

/* What an operation works on, and what it has got. */
static void *mine[8];

static void free_mine(void)
{
	kfree(mine[0]);
}

static void take_64(void)
{
	mine[0] = kmalloc_called(64);
}

static void take_256(void)
{
	mine[0] = kmalloc_called(256);
}

static void take_2000(void)
{
	mine[0] = kmalloc_called(2000);
}

static void take_frame(void)
{
	mine[0] = frame_bytes(frame_alloc(FRAME_ANY));
}

static void trim(void)
{
	kheap_trim();
}

/* A slab, all of whose blocks are free but one, which is mine. */
static void ready_nearly_empty_slab(void)
{
	unsigned blocks = kheap.class[kheap_class_of(512)].blocks;

	mine[0] = pick(SLAB, 512);
	while (--blocks)
		kfree(pick(SLAB, 512));
}

/* The stack's last block comes back when its cpu is parked, and then the slab stays. */
static void ready_empty_slab(void)
{
	ready_nearly_empty_slab();
	kfree(mine[0]);
}

/* The first frame of the arena that the block, or the record of its slab, is in. */
static uint64_t arena_of(void *block)
{
	struct found found = {.slab = NULL};

	found = kheap_find_locked(slab_find(port_phys_address(block), &found) ? found.slab : block);
	return found.arena && arena_frames(found.arena) >= 8 ? found.arena->first : 0;
}

/* Of several frames, and without records. */
static uint64_t find_arena(void)
{
	uint64_t records = 0;

	for (unsigned i = 0; i < table.count; i++)
		if (kind_of(table.block[i]) == SLAB)
			records = arena_of(table.block[i]);
	for (unsigned i = 0; i < table.count; i++)
		if (arena_of(table.block[i]) && arena_of(table.block[i]) != records)
			return arena_of(table.block[i]);
	port_panic("no arena without records");
}

/* An arena that nothing is allocated from. */
static void ready_idle_arena(void)
{
	uint64_t arena = find_arena();

	for (unsigned i = 0; i < table.count; i++)
		if (arena_of(table.block[i]) == arena) {
			kfree(table.block[i]);
			table.block[i] = table.block[--table.count];
			i--;
		}
	HOLD(kheap.idle);
}

/* Room for the record of a slab, and none for the slab. */
static void ready_room_for_a_record(void)
{
	kfree(pick(ARENA, 1024));
}

static void ready_frames(unsigned frames)
{
	while (frames--)
		free_into(IN_ZONE, pick(RUN, FRAME_SIZE));
}

static void ready_one_frame(void)
{
	ready_frames(1);
}

static void ready_two_frames(void)
{
	ready_frames(2);
}

static void ready_three_frames(void)
{
	ready_frames(3);
}

/* A slab is to be had, and frames for one, but for its record. */
static void ready_a_run(void)
{
	ready_nearly_empty_slab();
	kfree(mine[0]);
	kheap_trim();
}

static const struct {
	const char *name;
	void (*ready)(void);
	void (*work)(void);
} operations[] = {
	{"the last block of a slab is freed", ready_nearly_empty_slab, free_mine},
	{"2000 bytes where a slab is nearly empty", ready_nearly_empty_slab, take_2000},
	{"an empty slab goes back for 2000 bytes", ready_empty_slab, take_2000},
	{"an empty slab goes back for a frame", ready_empty_slab, take_frame},
	{"an arena goes back for 2000 bytes", ready_idle_arena, take_2000},
	{"an arena goes back for a frame", ready_idle_arena, take_frame},
	{"an arena goes back by a trim", ready_idle_arena, trim},
	{"a slab of 64 bytes where there is only room for its record", ready_room_for_a_record,
	 take_64},
	{"a slab of 2000 bytes where there is only room for its record", ready_room_for_a_record,
	 take_2000},
	{"64 bytes of the last frame", ready_one_frame, take_64},
	{"64 bytes of the last two frames", ready_two_frames, take_64},
	{"64 bytes of the last three frames", ready_three_frames, take_64},
	{"256 bytes of frames for a slab", ready_a_run, take_256},
	{"64 bytes of frames for a slab", ready_a_run, take_64},
};

/* What the other cpu asks for meanwhile. */
static const struct {
	size_t size; /* 0: a frame */
} requests[] = {{16}, {200}, {256}, {500}, {512}, {1000}, {4000}, {4096}, {0}};

static unsigned request_now;
static bool asked, served;

static void ask(void)
{
	size_t size = requests[request_now].size;

	asked = true;
	served = size ? kmalloc_called(size) != NULL : !pfn_is_none(frame_alloc(FRAME_ANY));
}

static void fire_ask(void)
{
	if (port_cpu() == 0 && !asked)
		traps_elsewhere(1, ask);
}

static void (*work_now)(void);

/* Whether the request is served at this point of the operation; false if it has fewer points. */
static bool ask_at(uint64_t point)
{
	bool stopped;

	snapshot_restore();
	traps_reset();
	become(0);
	asked = served = false;
	traps_arm(TRAPS_ELSEWHERE, point, fire_ask);
	work_now();
	stopped = traps_points() > point;
	traps_disarm();
	traps_finish();
	become(0);
	frame_drain_settle();
	kheap_validate();
	points_done++;
	return stopped;
}

/* Before the operation, or after it. */
static bool is_served(bool before)
{
	snapshot_restore();
	traps_reset();
	become(before ? 1 : 0);
	if (before)
		ask();
	become(0);
	work_now();
	become(1);
	if (!before)
		ask();
	become(0);
	return served;
}

static unsigned always_served;

static void every_request(const char *name)
{
	for (request_now = 0; request_now < LENGTH(requests); request_now++) {
		uint64_t point = 0;

		if (!is_served(true) || !is_served(false))
			continue;
		always_served++;
		while (ask_at(point)) {
			if (asked && !served)
				port_panic("%zu bytes are not found at point %llu, but before and "
					   "after: %s",
					   requests[request_now].size, (unsigned long long)point,
					   name);
			point += traps_every();
		}
	}
}

TEST(memory_in_hands_is_waited_for)
{
	points_done = 0;
	for (unsigned i = 0; i < LENGTH(operations); i++) {
		snprintf(story, sizeof(story), "%s", operations[i].name);
		always_served = 0;
		start();
		allocate_all();
		operations[i].ready();
		for (unsigned cpu = CPUS; cpu-- > 0;)
			park(cpu);
		snapshot_take();
		work_now = operations[i].work;
		every_request(operations[i].name);
		printf("# %s: %u requests\n", operations[i].name, always_served);
		snapshot_drop();
		end();
	}
	printf("# %llu runs\n", (unsigned long long)points_done);
}

/* ---- at random --------------------------------------------------------------------------------- */

#define DEPTH_MAX 3
#define FIRES_MAX 300

/* Each cpu, and each cpu's trap handlers, has a block. */
static void *own[CPUS][2];
static unsigned depth, one_in, fires;

/*
 * One block is freed and one is taken, so memory for a block is always free, whatever the others
 * do: each of them has freed a block before it takes one, too.
 */
static void exchange(unsigned level)
{
	void **mine_now = &own[port_cpu()][level];

	kfree(*mine_now);
	if (unit_random_below(4) == 0)
		frame_drain_ask();
	*mine_now = kmalloc_called(SIZE);
	if (!*mine_now)
		port_panic("cpu %u, level %u: no block, but it has freed one", port_cpu(), level);
}

static void exchange_in_trap(void)
{
	exchange(1);
}

static void exchange_elsewhere(void)
{
	unsigned cpu = port_cpu();

	traps_set_busy(cpu, true);
	exchange(0);
	traps_set_busy(cpu, false);
}

static uint64_t next_point(void)
{
	return traps_points() + unit_random_below(2 * one_in);
}

static void fire_any(void)
{
	unsigned here = port_cpu(), cpu = (unsigned)unit_random_below(CPUS);
	bool trap = cpu == here || traps_is_busy(cpu);

	/* A handler cannot wait for a lock of code that it has stopped. */
	if (traps_may_trap(cpu) && !spin_locked_relaxed(&kheap.lock) &&
	    (trap ? cpu == here || traps_all_may_trap() : traps_may_switch())) {
		fires++;
		if (++depth < DEPTH_MAX && fires < FIRES_MAX)
			traps_rearm(next_point());
		if (trap)
			traps_trap(cpu, exchange_in_trap);
		else
			traps_elsewhere(cpu, exchange_elsewhere);
		depth--;
	}
	if (fires < FIRES_MAX)
		traps_rearm(next_point());
}

/* There are few blocks of a frame each. */
static void *pick_any(unsigned number)
{
	return pick_for(number < 3 ? IN_ZONE : (enum place)unit_random_below(IN_ZONE));
}

static void random_step(void)
{
	snapshot_restore();
	traps_reset();
	depth = fires = 0;
	become((unsigned)unit_random_below(CPUS));
	traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, unit_random_below(2 * one_in), fire_any);
	exchange_elsewhere();
	traps_disarm();
	traps_finish();
	become(0);
	frame_drain_settle();
	kheap_validate();
}

TEST(a_cpu_that_frees_a_block_gets_one)
{
	static const unsigned rates[] = {30, 200, 1000};
	uint64_t all_fires = 0;
	void *first[CPUS][2];

	for (unsigned round = 0; round < 30; round++) {
		snprintf(story, sizeof(story), "round %u is made ready", round);
		start();
		allocate_all();
		for (unsigned i = 0; i < 2 * CPUS; i++)
			first[i / 2][i % 2] = pick_any(i);
		for (unsigned cpu = CPUS; cpu-- > 0;)
			park(cpu);
		snapshot_take();
		for (unsigned step = 0; step < 40; step++) {
			one_in = rates[step % LENGTH(rates)];
			snprintf(story, sizeof(story), "round %u, step %u", round, step);
			memcpy(own, first, sizeof(own));
			random_step();
			all_fires += fires;
		}
		snapshot_drop();
		end();
	}
	printf("# %llu exchanges\n", (unsigned long long)all_fires);
}
