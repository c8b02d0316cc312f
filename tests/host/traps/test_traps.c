/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_traps.c - stops the allocator at every point of its slow paths, and lets others in there.
 *
 * First systematically: for one operation, all its points are counted, and then it is done once
 * for each of them and each thing that a trap handler, or another cpu, may do there. Then at
 * random: several cpus stopped in the middle of each other, traps on any of them. What a point is
 * and why no point is missed: tests/host/traps/traps.h.
 *
 * The model is a byte a frame, in or out; so a frame that is handed out twice is found at once,
 * and after each run every frame must be in exactly one place.
 *
 * A failure of the systematic part prints a line that begins with ONLY=. With that line in the
 * environment, only that case runs.
 *
 * Covers: mm/frame.c mm/frame_called.c mm/percpu/ mm/global/zone.c mm/heap/kmalloc.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "tests/host/traps/traps.h"
#include "unit.h"
#include "tests/smp/zone_direct.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define CHUNK_FRAMES 512  /* of the segment tree: a run of them has a separate way */
#define SPAN_MAX     1280 /* frames of a whole machine, holes included */
#define ZONES_MAX    3
#define SLOTS_MAX    320

/* ---- machines ---------------------------------------------------------------------------- */

struct layout {
	const char *name;
	unsigned count;
	struct host_range range[ZONES_MAX];
};

static const struct layout layouts[] = {
	{"one zone", 1, {{0x80200, 900, 0}}},
	{"a border within a word", 2, {{0x80003, 400, 0}, {0x80003 + 400, 300, 1}}},
	{"a small zone between", 3, {{0x80000, 333, 0}, {0x80000 + 333, 20, 0}, {0x80300, 333, 1}}},
	{"a whole chunk", 1, {{0x80200, 1200, 0}}},
};

static const struct machine {
	unsigned layout;
	uint32_t capacity, batch;
} machines[] = {
	{0, 192, 64},				       /* refills are planned */
	{0, SLOTS_MAX, 0},			       /* the batch grows and shrinks */
	{0, 2, 1},	   {1, 192, 64}, {1, 128, 64}, /* refills are not */
	{2, 192, 64},	   {2, 0, 0}, /* the last one: each frame is an operation on a zone */
	{3, 192, 64},
};

/* Machines by their numbers, for operations that make sense on few. */
#define ADAPTIVE (1u << 1)
#define UNCACHED (1u << 6)
#define CHUNK	 (1u << 7)
#define ORDINARY ((1u << 7) - 1)

static struct frame_cache *cache_of(unsigned cpu)
{
	return port_area_of(cpu);
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static struct zone *home_zone(void)
{
	return &zones.zone[frame_cache_self()->home];
}

/* ---- the model --------------------------------------------------------------------------- */

struct run {
	uint64_t first, count;
};

struct pile {
	unsigned count;
	uint64_t frame[SPAN_MAX];
};

/* An allocation in progress: the fewest frames that were free at any instant of it. */
struct call {
	struct call *next;
	uint64_t fewest;
};

/* Plain data: a snapshot copies it. */
static struct {
	uint64_t first; /* pfn of state[0] */
	uint64_t total_free, out_count;
	uint8_t out[SPAN_MAX];
	struct pile mine; /* the interrupted code's */
	struct pile kept; /* the handlers' */
	struct run run[64];
	unsigned runs;
	struct call *calls;
	bool failed;	   /* an allocation of the interrupted code failed */
	uint64_t missed;   /* frames that seemed free when an allocation that was let in failed */
	uint64_t in_hands; /* of the interrupted code: this many frames may seem so */
	uint64_t giving;   /* if it gives one back: which; 0: it does not */
} model;

/*
 * The code that was let in has ended, with no operation half done, when the interrupted code goes
 * on and fails.
 */
static bool is_exact;

static char story[200];

const char *traps_story(void)
{
	return story;
}

/* Failures here carry the story, too. */
#define HOLD(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			port_panic("line %d: %s", __LINE__, #condition);                           \
	} while (0)

/* As zone_of() does, but without points. */
static bool is_frame(uint64_t frame)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (zone_holds(&zones.zone[i], frame))
			return true;
	return false;
}

static void set_out(uint64_t first, uint64_t count, bool out)
{
	for (uint64_t frame = first; frame < first + count; frame++) {
		uint64_t at = frame - model.first;

		if (at >= SPAN_MAX || !is_frame(frame))
			port_panic("frame %#llx was handed out and is none",
				   (unsigned long long)frame);
		if (model.out[at] == out)
			port_panic("frame %#llx was handed out to two", (unsigned long long)frame);
		model.out[at] = out;
	}
	model.out_count += out ? count : -count;
	for (struct call *call = model.calls; call; call = call->next)
		if (model.total_free - model.out_count < call->fewest)
			call->fewest = model.total_free - model.out_count;
}

/* Calls end in any order: a call that waits may outlast the call that it has interrupted. */
static void call_begins(struct call *call)
{
	*call = (struct call){model.calls, model.total_free - model.out_count};
	model.calls = call;
}

static void call_ends(const struct call *call)
{
	struct call **link = &model.calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
}

/*
 * The answer "no frame" is right if no frame was free at some instant of the call. Frames that the
 * stopped operation holds for itself are not free; the operation says how many that may be.
 */
static void judge_failure(const struct pile *pile, const struct call *call)
{
	if (pile == &model.mine)
		model.failed = true;
	if (!is_exact)
		return;
	if (pile == &model.mine) {
		if (call->fewest)
			port_panic("no frame, but there were always %llu free",
				   (unsigned long long)call->fewest);
		return;
	}
	if (call->fewest > model.missed)
		model.missed = call->fewest;
	if (model.giving && model.total_free - model.out_count == 1)
		HOLD(!model.out[model.giving - model.first]);
}

static bool take(struct pile *pile)
{
	struct call call;
	pfn_t frame;

	call_begins(&call);
	frame = frame_alloc_called();
	call_ends(&call);
	if (pfn_is_none(frame)) {
		judge_failure(pile, &call);
		return false;
	}
	set_out(frame.value, 1, true);
	pile->frame[pile->count++] = frame.value;
	return true;
}

/* The model first: the allocator may give the frame to another owner before the free returns. */
static void give(struct pile *pile, unsigned at)
{
	uint64_t frame = pile->frame[at];

	pile->frame[at] = pile->frame[--pile->count];
	if (pile == &model.mine)
		model.giving = frame;
	set_out(frame, 1, false);
	if (frame % 8)
		frame_free_called(pfn(frame));
	else
		frame_free_address(pfn_to_phys(pfn(frame)));
}

static void note_run(pfn_t first, uint64_t count)
{
	set_out(first.value, count, true);
	if (model.runs == LENGTH(model.run))
		port_panic("too many runs for the test");
	model.run[model.runs++] = (struct run){first.value, count};
}

static bool take_run(uint64_t count, uint64_t align)
{
	pfn_t first;

	if (model.runs >= LENGTH(model.run) / 2) /* the operation that stops us may have more */
		return false;
	first = frame_alloc_run(count, align);
	if (pfn_is_none(first))
		return false;
	HOLD(first.value % align == 0);
	note_run(first, count);
	return true;
}

static void give_run(void)
{
	struct run run;

	if (!model.runs)
		return;
	run = model.run[--model.runs];
	set_out(run.first, run.count, false);
	frame_free_run(pfn(run.first), run.count);
}

/* A frame of the zone of this cpu's cache, or of another zone; -1: there is no such frame. */
static int find(const struct pile *pile, bool home)
{
	const struct frame_cache *cache = frame_cache_self();

	for (unsigned i = pile->count; i-- > 0;)
		if ((cache->zone && zone_holds(cache->zone, pile->frame[i])) == home)
			return (int)i;
	return -1;
}

static void give_some(struct pile *pile, bool home)
{
	int at = find(pile, home);

	if (at >= 0)
		give(pile, (unsigned)at);
}

/* ---- what is done in the middle ------------------------------------------------------------ */

static void take_and_give(void)
{
	if (take(&model.kept))
		give(&model.kept, model.kept.count - 1);
}

static void take_and_keep(void)
{
	take(&model.kept);
}

static void give_one(void)
{
	give_some(&model.kept, true);
}

static void give_remote(void)
{
	give_some(&model.kept, false);
}

static void take_many(void)
{
	for (unsigned i = 0; i < 150 && take(&model.kept); i++)
		;
}

static void give_many(void)
{
	for (unsigned i = 0; i < 150 && model.kept.count; i++)
		give(&model.kept, model.kept.count - 1);
}

static void give_many_remote(void)
{
	for (unsigned i = 0; i < 70; i++)
		give_some(&model.kept, false);
}

static void through_many(void)
{
	unsigned before = model.kept.count;

	for (unsigned i = 0; i < 150 && take(&model.kept); i++)
		;
	while (model.kept.count > before)
		give(&model.kept, model.kept.count - 1);
}

static uint64_t fires; /* points at which a handler or another CPU came in */

static void flush(void)
{
	const struct frame_cache *cache = frame_cache_self();
	uint64_t before = fires;

	frame_cache_flush();
	HOLD(frame_cache_level(cache) == 0 || fires != before);
}

static void run_and_give(void)
{
	if (take_run(8, 4))
		give_run();
}

static void run_and_keep(void)
{
	take_run(65, 1);
}

static void give_a_run(void)
{
	give_run();
}

/* Ends in a drain of all caches, which cannot help. */
static void run_in_vain(void)
{
	HOLD(!take_run(SPAN_MAX, 1));
}

static void take_all(void)
{
	while (take(&model.kept))
		;
}

static void through_all(void)
{
	unsigned before = model.kept.count;

	take_all();
	while (model.kept.count > before)
		give(&model.kept, model.kept.count - 1);
}

struct action {
	const char *name;
	void (*work)(void);
	bool may_exhaust; /* leaves others without a frame, if only for a moment */
};

static const struct action actions[] = {
	{"take-give", take_and_give, false},
	{"take", take_and_keep, false},
	{"give", give_one, false},
	{"give-remote", give_remote, false},
	{"take-many", take_many, true},
	{"give-many", give_many, false},
	{"give-many-remote", give_many_remote, false},
	{"through-many", through_many, true},
	{"flush", flush, false},
	{"run", run_and_give, false},
	{"run-keep", run_and_keep, true},
	{"run-give", give_a_run, false},
	{"run-in-vain", run_in_vain, false},
	{"take-all", take_all, true},
	{"through-all", through_all, true},
};

/* ---- operations, and what is made ready for each ------------------------------------------- */

/* A shortage while it was made ready is over: the next free opens a cache that was shut. */
static void open_caches(void)
{
	unsigned before = port_cpu();

	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		if (cache_of(cpu)->state == FRAME_CACHE_OPEN)
			continue;
		become(cpu);
		give(&model.mine, model.mine.count - 1);
		HOLD(take(&model.mine) && cache_of(cpu)->state == FRAME_CACHE_OPEN);
	}
	become(before);
}

/* The cache is empty, its home has plenty; both piles hold frames of every zone. */
static void make_stock(void)
{
	for (unsigned cpu = host_cpu_count; cpu-- > 0;) {
		become(cpu);
		for (unsigned i = 0; i < 60; i++)
			HOLD(take(i & 1 ? &model.mine : &model.kept));
	}
	take_run(65, 1);
	take_run(20, 4);
	/* Every other frame of some words, so that a batch is of several. */
	for (unsigned i = 0; i < 40; i++)
		HOLD(take(&model.mine));
	for (unsigned i = 0; i < 40; i += 2)
		give(&model.mine, model.mine.count - 1 - i / 2);
	for (unsigned cpu = host_cpu_count; cpu-- > 0;) {
		become(cpu);
		frame_cache_flush();
	}
}

static void ready_hit(void)
{
	take(&model.mine);
	take(&model.mine);
	give_some(&model.mine, true);
}

static void ready_fragments(void)
{
	unsigned before = model.mine.count;

	for (unsigned i = 0; i < 300 && take(&model.mine); i++)
		;
	open_caches();
	for (unsigned i = before; i < model.mine.count; i++)
		give(&model.mine, i);
	frame_cache_flush();
}

/* Home has nothing any more; others have. */
static void ready_elsewhere(void)
{
	struct zone *home = &zones.zone[frame_cache_self()->home];

	while (take(&model.mine))
		;
	open_caches();
	for (unsigned i = model.mine.count; i-- > 0;)
		if (!zone_holds(home, model.mine.frame[i]))
			give(&model.mine, i);
	frame_cache_flush();
}

static void ready_nothing(void)
{
	while (take(&model.mine))
		;
	open_caches();
}

/* And while it was found, the caches were shut. */
static void ready_nothing_shut(void)
{
	while (take(&model.mine))
		;
	HOLD(frame_cache_self()->state == FRAME_CACHE_PARKED);
}

/* The last free frames are on the stack of another cpu, and on their way home there. */
static void ready_other_stack(void)
{
	ready_nothing();
	become(1);
	for (unsigned i = 0; i < 5; i++) {
		give_some(&model.mine, true);
		give_some(&model.mine, false);
	}
	HOLD(frame_cache_level(cache_of(1)) > 0 || !cache_of(1)->capacity);
	become(0);
}

/* Another cpu has asked for what this one has: its stack and, if there are zones, more. */
static void ready_asked(void)
{
	ready_nothing();
	for (unsigned i = 0; i < 100; i++) {
		give_some(&model.mine, true);
		if (i % 4 == 0)
			give_some(&model.mine, false);
	}
	become(1);
	traps_lose_ipis(true);
	frame_drain_ask();
	traps_lose_ipis(false);
	become(0);
}

static void ready_own_remote(void)
{
	ready_nothing();
	for (unsigned i = 0; i < 5; i++)
		give_some(&model.mine, false);
}

/* Another CPU holds the lock of this CPU's home zone, until this one waits for it. */
static void hold_home(bool again)
{
	if (host_cpu_count > 1)
		traps_hold(home_zone(), (port_cpu() + 1) % host_cpu_count, again);
}

static void ready_shrink(void)
{
	struct frame_cache *cache = frame_cache_self();

	hold_home(false);
	take(&model.mine); /* waits, and grows the batch */
	traps_hold_end();
	frame_cache_flush();
	HOLD(cache->batch == 2 * cache->batch_min);
	cache->uncontended_streak = 1000;
}

static void check_shrunk(void)
{
	const struct frame_cache *cache = frame_cache_self();

	HOLD(cache->batch == cache->batch_min && cache->batch < cache->batch_max);
}

static void fill(void)
{
	const struct frame_cache *cache = frame_cache_self();

	while (cache->top != cache->limit && find(&model.mine, true) >= 0)
		give_some(&model.mine, true);
}

static void ready_full(void)
{
	const struct frame_cache *cache = frame_cache_self();

	while (model.mine.count < cache->capacity + 100 && take(&model.mine))
		;
	open_caches();
	fill();
	while (find(&model.mine, true) < 0 && find(&model.kept, true) >= 0) {
		int at = find(&model.kept, true);

		model.mine.frame[model.mine.count++] = model.kept.frame[at];
		model.kept.frame[at] = model.kept.frame[--model.kept.count];
	}
}

/* The stack is full, and so high up in its memory that a larger one would have to move down. */
static void ready_full_high(void)
{
	const struct frame_cache *cache = frame_cache_self();

	if (cache->batch_max == cache->batch_min) {
		ready_full(); /* never has a larger one */
		return;
	}
	while (model.mine.count < 750 && take(&model.mine))
		;
	open_caches();
	for (unsigned i = 0; i < 20 && cache->end - cache->bottom >= SLOTS_MAX + 64; i++) {
		fill();
		give_some(&model.mine, true);
	}
	fill();
	HOLD(cache->end - cache->bottom < SLOTS_MAX + 64);
}

static void ready_high(void)
{
	const struct frame_cache *cache = frame_cache_self();

	ready_full_high();
	give_some(&model.mine, true);
	while (cache->top != cache->bottom)
		take(&model.mine);
}

static void ready_remote_full(void)
{
	const struct frame_cache *cache = frame_cache_self();

	for (unsigned i = 0; i < 3 * FRAME_CACHE_BATCH; i++) {
		int at = find(&model.mine, false);
		struct zone *zone;

		if (at < 0)
			return;
		zone = zone_of(model.mine.frame[at]);
		if (cache->remote[zone->number].count == FRAME_CACHE_BATCH)
			return;
		give(&model.mine, (unsigned)at);
	}
}

/* As above, with enough of them allocated. */
static void ready_remote_overflow(void)
{
	become(1);
	for (unsigned i = 0; i < 80; i++)
		take(&model.mine);
	become(0);
	open_caches();
	ready_remote_full();
}

static void ready_levels(void)
{
	ready_hit();
	for (unsigned i = 0; i < 20; i++)
		give_some(&model.mine, true);
	for (unsigned i = 0; i < 10; i++)
		give_some(&model.mine, false);
}

/* A run that is there once the cache is flushed, and not before. */
static void ready_cached_run(void)
{
	uint64_t first = model.run[0].first, count = model.run[0].count;

	ready_nothing();
	/* A run is single frames from now on, as if they had been taken one by one. */
	model.run[0] = model.run[--model.runs];
	set_out(first, count, false);
	frame_free_run(pfn(first), count);
	for (uint64_t i = 0; i < count; i++)
		take(&model.mine);
	open_caches();
	for (uint64_t i = 0; i < count; i++)
		give(&model.mine, model.mine.count - 1);
}

static void ready_no_more(void)
{
}

/*
 * The next claim of the home zone crosses its low mark, and another CPU's cache has frames of that zone.
 */
static void ready_low(void)
{
	struct zone *home = home_zone();

	/* A mark is at most at half of the zone; what the caches give back meanwhile is less than 100. */
	while (zone_free_frames(home) > (home->total_frames - home->reserved_frames) / 2 - 100)
		HOLD(take(&model.mine));
	frame_cache_flush();
	become(1);
	for (unsigned i = 0; i < 5; i++) {
		give_some(&model.mine, true);
		give_some(&model.mine, false);
	}
	become(0);
	zone_set_low(home, zone_free_frames(home));
	HOLD(home->low == zone_free_frames(home));
}

/* An early request has been made if it was worth it. */
static void check_asked_early(void)
{
	HOLD(!cache_of(1)->capacity || home_zone()->early_drains == 1);
}

static void check_not_failed(void)
{
	HOLD(!model.failed);
}

/* Each acquire reads the clock, so there is no short way past a cache. */
static void ready_timed(void)
{
	spin_stats_configure(SPIN_STATS_ALL);
}

/* The short ways past a cache were prepared while locks counted nothing. */
static void ready_renew(void)
{
	const struct frame_cache *cache = frame_cache_self();

	spin_stats_configure(SPIN_STATS_OFF);
	frame_cache_configure(cache->capacity, 0);
	spin_stats_configure(SPIN_STATS_CONTENDED);
}

static void check_is_prepared(void)
{
	const struct frame_cache *cache = frame_cache_self();

	HOLD(cache->runs && !spin_fast_is_stale(&cache->runs->run.claim));
	HOLD(cache->capacity || !spin_fast_is_stale(&cache->uncached->one.claim));
}

/* A whole chunk is allocated, and no frame of its zone is free. */
static void ready_last_chunk(void)
{
	HOLD(take_run(CHUNK_FRAMES, CHUNK_FRAMES));
	ready_nothing();
}

/* A whole chunk, and no other frame of its zone, is free. */
static void ready_free_chunk(void)
{
	ready_last_chunk();
	give_run();
}

#define RUN_FRAMES 12

static void do_take(void)
{
	model.in_hands = 1;
	take(&model.mine);
}

static void do_give(void)
{
	model.in_hands = 1;
	give_some(&model.mine, true);
}

static void do_give_remote(void)
{
	model.in_hands = 1;
	give_some(&model.mine, false);
}

static void do_run(void)
{
	model.in_hands = RUN_FRAMES;
	model.failed = !take_run(RUN_FRAMES, 4);
}

static void check_zeroed(const struct run *run)
{
	uint64_t *words = frame_bytes(pfn(run->first));

	for (uint64_t i = 0; i < run->count * FRAME_SIZE / sizeof(*words); i++)
		HOLD(words[i] == 0);
	memset(words, 0xa5, run->count * FRAME_SIZE); /* a snapshot does not restore it */
}

static void do_run_zeroed(void)
{
	pfn_t first;

	model.in_hands = 1;
	first = frame_alloc_run_flags(1, 1, FRAME_ZERO);
	model.failed = pfn_is_none(first);
	if (model.failed)
		return;
	note_run(first, 1);
	check_zeroed(&model.run[model.runs - 1]);
}

static void do_run_of_a_chunk(void)
{
	model.in_hands = CHUNK_FRAMES;
	model.failed = !take_run(CHUNK_FRAMES, CHUNK_FRAMES);
}

/* The run belongs to the caller, so no other code frees it meanwhile. */
static void do_shrink_run(void)
{
	struct run run = model.run[--model.runs];
	uint64_t kept = run.count / 3;

	model.in_hands = run.count - kept;
	set_out(run.first + kept, run.count - kept, false);
	frame_shrink_run(pfn(run.first), run.count, kept);
	model.run[model.runs++] = (struct run){run.first, kept};
}

static void do_run_of_one(void)
{
	struct call call;

	model.in_hands = 1;
	call_begins(&call);
	model.failed = !take_run(1, 1);
	call_ends(&call);
	HOLD(!model.failed || call.fewest == 0);
}

static void do_give_run(void)
{
	model.in_hands = model.run[model.runs - 1].count;
	give_run();
}

static void answer(void)
{
	while (frame_drain_answer())
		;
	HOLD(frame_cache_level(frame_cache_self()) == 0);
}

/* As the handler of an IPI would. */
static void do_answer(void)
{
	traps_trap(0, answer);
}

/* A trap may leave something behind it. */
static void do_flush(void)
{
	frame_cache_flush();
}

static void do_configure(void)
{
	const struct frame_cache *cache = frame_cache_self();

	frame_cache_configure(cache->capacity ? 100 : 0, 0);
}

/*
 * The frames that an operation holds while it is stopped: neither free nor given out.
 */
enum hands {
	HANDS_EMPTY,
	HANDS_TAKE, /* the frame that it is about to return */
	HANDS_GIVE, /* the frame that it was given, until it is free */
};

struct operation {
	const char *name;
	void (*ready)(void);
	void (*work)(void);
	unsigned zones_min;
	bool is_contended; /* finds the lock of its home taken */
	bool may_fail;	   /* there may be no frame for it */
	enum hands hands;
};

static const struct operation operations[] = {
	{"take-hit", ready_hit, do_take, 1, false, false, HANDS_TAKE},
	{"take-refill", ready_no_more, do_take, 1, false, false, HANDS_TAKE},
	{"take-contended", ready_no_more, do_take, 1, true, false, HANDS_TAKE},
	{"take-contended-high", ready_high, do_take, 1, true, false, HANDS_TAKE},
	{"take-fragments", ready_fragments, do_take, 1, false, false, HANDS_TAKE},
	{"take-elsewhere", ready_elsewhere, do_take, 2, false, false, HANDS_TAKE},
	{"take-own-remote", ready_own_remote, do_take, 2, false, false, HANDS_TAKE},
	{"take-other-stack", ready_other_stack, do_take, 1, false, false, HANDS_TAKE},
	{"take-nothing", ready_nothing, do_take, 1, false, true, HANDS_TAKE},
	{"take-nothing-shut", ready_nothing_shut, do_take, 1, false, true, HANDS_TAKE},
	{"give-hit", ready_hit, do_give, 1, false, false, HANDS_GIVE},
	{"give-shut", ready_nothing_shut, do_give, 1, false, false, HANDS_GIVE},
	{"give-overflow", ready_full, do_give, 1, false, false, HANDS_GIVE},
	{"give-contended", ready_full, do_give, 1, true, false, HANDS_GIVE},
	{"give-contended-high", ready_full_high, do_give, 1, true, false, HANDS_GIVE},
	{"give-remote", ready_no_more, do_give_remote, 2, false, false, HANDS_GIVE},
	{"give-remote-overflow", ready_remote_overflow, do_give_remote, 2, false, false, HANDS_GIVE},
	{"flush", ready_levels, do_flush, 1, false, false, HANDS_EMPTY},
	{"flush-full", ready_full, do_flush, 1, true, false, HANDS_EMPTY},
	{"answer", ready_asked, do_answer, 1, false, false, HANDS_EMPTY},
	{"run", ready_levels, do_run, 1, false, false, HANDS_TAKE},
	{"run-cached", ready_cached_run, do_run, 1, false, false, HANDS_TAKE},
	{"run-of-one", ready_other_stack, do_run_of_one, 1, false, false, HANDS_TAKE},
	{"run-in-vain", ready_levels, run_in_vain, 1, false, false, HANDS_EMPTY},
	{"run-give", ready_levels, do_give_run, 1, false, false, HANDS_GIVE},
	{"configure", ready_levels, do_configure, 1, false, false, HANDS_EMPTY},
};

/* Operations that make sense on few machines. */
static const struct special {
	struct operation operation;
	unsigned machines; /* a bit for each */
	void (*check)(
		void); /* after a run without an interruption: that it was the way it is to be; or NULL */
} specials[] = {
	{{"take-shrink", ready_shrink, do_take, 1, false, false, HANDS_TAKE}, ADAPTIVE, check_shrunk},
	{{"take-low", ready_low, do_take, 1, false, false, HANDS_TAKE}, ORDINARY, check_asked_early},
	{{"take-low-contended", ready_low, do_take, 1, true, false, HANDS_TAKE}, UNCACHED, NULL},
	{{"run-low", ready_low, do_run, 1, false, false, HANDS_TAKE}, ORDINARY, check_asked_early},
	{{"run-low-contended", ready_low, do_run, 1, true, false, HANDS_TAKE},
	 ADAPTIVE,
	 check_asked_early},
	{{"run-give-contended", ready_levels, do_give_run, 1, true, false, HANDS_GIVE},
	 ADAPTIVE,
	 NULL},
	{{"take-timed", ready_timed, do_take, 1, false, false, HANDS_TAKE}, UNCACHED, NULL},
	{{"give-timed", ready_timed, do_give, 1, false, false, HANDS_GIVE}, UNCACHED, NULL},
	{{"run-timed", ready_timed, do_run, 1, false, false, HANDS_TAKE}, UNCACHED, NULL},
	{{"run-give-timed", ready_timed, do_give_run, 1, false, false, HANDS_GIVE}, UNCACHED, NULL},
	{{"take-renew", ready_renew, do_take, 1, false, false, HANDS_TAKE},
	 UNCACHED,
	 check_is_prepared},
	{{"give-renew", ready_renew, do_give, 1, false, false, HANDS_GIVE},
	 UNCACHED,
	 check_is_prepared},
	{{"run-renew", ready_renew, do_run, 1, false, false, HANDS_TAKE},
	 UNCACHED | ADAPTIVE,
	 check_is_prepared},
	{{"run-give-renew", ready_renew, do_give_run, 1, false, false, HANDS_GIVE},
	 UNCACHED,
	 check_is_prepared},
	{{"run-shrink", ready_levels, do_shrink_run, 1, false, false, HANDS_GIVE},
	 ADAPTIVE | UNCACHED,
	 NULL},
	{{"run-zeroed", ready_levels, do_run_zeroed, 1, false, false, HANDS_TAKE}, ADAPTIVE, NULL},
	{{"chunk", ready_no_more, do_run_of_a_chunk, 1, false, false, HANDS_TAKE}, CHUNK, NULL},
	{{"chunk-last", ready_free_chunk, do_run_of_a_chunk, 1, false, true, HANDS_TAKE},
	 CHUNK,
	 check_not_failed},
	{{"chunk-give", ready_last_chunk, do_give_run, 1, false, false, HANDS_GIVE}, CHUNK, NULL},
};

/* ---- machines and their snapshots ---------------------------------------------------------- */

#define CPUS 2

static void start(const struct machine *machine, unsigned cpus, enum spin_kind lock)
{
	const struct layout *layout = &layouts[machine->layout];
	struct host_machine wanted = {
		.lock = lock, .cpus = cpus, .capacity = machine->capacity, .batch = machine->batch};

	spin_stats_configure(SPIN_STATS_CONTENDED);
	host_machine_start(&wanted, layout->range, layout->count);
	traps_reset();
	memset(&model, 0, sizeof(model));
	model.first = layout->range[0].first;
	model.total_free = frame_free_count();
	HOLD(zones.count == layout->count);
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		become(cpu);
		cache_of(cpu)->home = cpu * (zones.count - 1) % zones.count;
		frame_cache_configure(machine->capacity, machine->batch);
	}
	become(0);
}

struct region {
	void *at;
	size_t bytes;
};

static struct {
	unsigned regions;
	struct region region[2 + CPUS + 2 * ZONES_MAX];
	size_t bytes, room;
	char *copy;
} snapshot;

static void add_region(void *at, size_t bytes)
{
	snapshot.region[snapshot.regions++] = (struct region){at, bytes};
	snapshot.bytes += bytes;
}

/*
 * All that changes between here and the next restore, but for the tickets and openings that drain.c
 * counts: these go on, which does no harm.
 */
static void snapshot_take(void)
{
	char *to;

	snapshot.regions = 0;
	snapshot.bytes = 0;
	add_region(&model, sizeof(model));
	add_region(host_cpus, host_cpu_count * sizeof(*host_cpus));
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		struct frame_cache *cache = cache_of(cpu);
		uint32_t slots = cache->slots;

		add_region(cache->base - PORT_CACHE_LINE / sizeof(uint64_t),
			   frame_cache_bytes(slots, zones.count));
	}
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];

		add_region(zone, sizeof(*zone));
		add_region(port_phys_pointer(zone->first << FRAME_SHIFT),
			   zone->policy_bytes + zone->state_bytes + zone->lock_bytes + 64);
	}
	if (snapshot.bytes > snapshot.room) {
		free(snapshot.copy);
		snapshot.room = 2 * snapshot.bytes;
		snapshot.copy = malloc(snapshot.room);
	}
	to = snapshot.copy;
	for (unsigned i = 0; i < snapshot.regions; to += snapshot.region[i++].bytes)
		memcpy(to, snapshot.region[i].at, snapshot.region[i].bytes);
}

static void snapshot_restore(void)
{
	const char *from = snapshot.copy;

	for (unsigned i = 0; i < snapshot.regions; from += snapshot.region[i++].bytes)
		memcpy(snapshot.region[i].at, from, snapshot.region[i].bytes);
}

/* ---- at rest ------------------------------------------------------------------------------ */

/* Frames that the model has as allocated go straight to the zone, by the word. */
static void release_all_out(struct zone *zone)
{
	struct frame_word words[SPAN_MAX / 64 + 2];
	unsigned count = 0, frames = 0;

	for (uint64_t frame = zone->first; zone_holds(zone, frame); frame++) {
		uint64_t base = frame & ~UINT64_C(63);

		if (!model.out[frame - model.first])
			continue;
		if (!count || words[count - 1].first != base)
			words[count++] = (struct frame_word){base, 0};
		words[count - 1].bits |= UINT64_C(1) << (frame & 63);
		frames++;
	}
	if (count)
		zone_give(zone, words, count, frames);
}

/*
 * Every frame is in exactly one place: the cached and the allocated frames go back to their zones,
 * which panic if they already have a frame; then no frame may be missing. The machine is of no use
 * afterwards.
 */
static void check_every_frame(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		become(cpu);
		frame_cache_flush();
		HOLD(frame_cache_level(cache_of(cpu)) == 0);
	}
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];

		release_all_out(zone);
		zone_validate(zone);
		HOLD(zone_free_frames(zone) == zone->total_frames - zone->reserved_frames);
	}
}

static void check_at_rest(void)
{
	frame_validate();
	HOLD(!frame_drain_pressure());
	HOLD(frame_free_count() == model.total_free - model.out_count);
}

/* ---- every point -------------------------------------------------------------------------- */

static const struct action *action_now;
static unsigned where_now;
static void (*check_now)(void);
static uint64_t runs_done;

/* Invariants that must hold wherever a trap may land. */
static void check_cache_is_whole(void)
{
	const struct frame_cache *cache = frame_cache_self();

	HOLD(cache->bottom[-1] == UINT64_MAX);
	HOLD(cache->base <= cache->bottom && cache->bottom <= cache->top &&
	     cache->top <= cache->limit && cache->limit <= cache->end);
}

static void act(void)
{
	const struct zone *zone = frame_cache_self()->zone;

	check_cache_is_whole();
	action_now->work();
	check_cache_is_whole();
	if (where_now == TRAPS_HERE)
		HOLD(frame_cache_self()->zone == zone); /* C2 */
}

/* The other cpu is not at rest where it answers an IPI of ours. */
static void fire_once(void)
{
	if (where_now == TRAPS_HERE)
		traps_trap(0, act);
	else if (port_cpu() == 0)
		traps_elsewhere(1, act);
}

/*
 * An operation that was let in and found no frame may have missed only the frames that the stopped
 * operation held.
 */
static void check_missed(const struct operation *operation)
{
	if (!model.missed)
		return;
	if (operation->hands == HANDS_EMPTY || model.missed != model.in_hands)
		port_panic("%llu free frames were not found", (unsigned long long)model.missed);
	if (operation->hands == HANDS_TAKE)
		HOLD(!model.failed);
}

static void tell(unsigned machine, const struct operation *operation, uint64_t point)
{
	snprintf(story, sizeof(story), "ONLY=%s/%s/%s/%u/%llu (%s; cache %u, batch %u)",
		 where_now == TRAPS_HERE ? "trap" : "cpu", operation->name, action_now->name,
		 machine, (unsigned long long)point, layouts[machines[machine].layout].name,
		 machines[machine].capacity, machines[machine].batch);
}

/*
 * A cache that was emptied for a run may open again, and take part of that run, before it is found.
 */
static bool may_lose(const struct operation *operation)
{
	return operation->ready == ready_cached_run;
}

/* The operation from the snapshot, interrupted at one point. False if it has fewer points. */
static bool run_one(const struct operation *operation, uint64_t point)
{
	bool stopped;

	snapshot_restore();
	traps_reset();
	become(0);
	model.failed = false;
	model.missed = model.giving = 0;
	is_exact = true;
	if (operation->is_contended)
		hold_home(where_now == TRAPS_HERE);
	traps_arm(where_now, point, fire_once);
	operation->work();
	stopped = traps_points() > point;
	traps_disarm();
	traps_finish();
	traps_hold_end();
	is_exact = false;
	become(0);
	runs_done++;
	check_missed(operation);
	if (!stopped && check_now)
		check_now();
	if (!operation->may_fail)
		HOLD(!model.failed || action_now->may_exhaust || (stopped && may_lose(operation)));
	check_at_rest();
	check_every_frame();
	return stopped;
}

/* True when the next part of `*only` is this one, or there is none. */
static bool next_is(const char **only, const char *part)
{
	size_t length = strcspn(*only, "/ ");
	bool is = !length || (!strncmp(part, *only, length) && part[length] == '\0');

	*only += length + ((*only)[length] == '/');
	return is;
}

/* ONLY= as tell() prints it, or the first parts of that; *point UINT64_MAX: every point. */
static bool is_wanted(unsigned machine, const struct operation *operation, uint64_t *point)
{
	const char *only = getenv("ONLY");
	char number[12];

	*point = UINT64_MAX;
	snprintf(number, sizeof(number), "%u", machine);
	if (!only)
		return true;
	if (!next_is(&only, where_now == TRAPS_HERE ? "trap" : "cpu") ||
	    !next_is(&only, operation->name) || !next_is(&only, action_now->name) ||
	    !next_is(&only, number))
		return false;
	if (*only)
		*point = strtoull(only, NULL, 10);
	return true;
}

static void run_every_point(unsigned machine, const struct operation *operation)
{
	for (unsigned i = 0; i < LENGTH(actions); i++) {
		uint64_t only, point = 0;

		action_now = &actions[i];
		if (!is_wanted(machine, operation, &only))
			continue;
		if (only != UINT64_MAX)
			point = only;
		for (;; point += traps_every()) {
			tell(machine, operation, point);
			if (!run_one(operation, point) || only != UINT64_MAX)
				break;
		}
	}
}

static void every_point_of(unsigned machine, const struct operation *operation)
{
	if (operation->zones_min > layouts[machines[machine].layout].count)
		return;
	snprintf(story, sizeof(story), "%s is made ready", operation->name);
	start(&machines[machine], CPUS, SPIN_FAS);
	make_stock();
	become(0);
	operation->ready();
	snapshot_take();
	run_every_point(machine, operation);
	host_machine_end();
}

static void every_point(unsigned where)
{
	where_now = where;
	runs_done = 0;
	for (unsigned machine = 0; machine < LENGTH(machines); machine++) {
		check_now = NULL;
		for (unsigned i = 0; ORDINARY >> machine & 1 && i < LENGTH(operations); i++)
			every_point_of(machine, &operations[i]);
		for (unsigned i = 0; i < LENGTH(specials); i++) {
			check_now = specials[i].check;
			if (specials[i].machines >> machine & 1)
				every_point_of(machine, &specials[i].operation);
		}
	}
	printf("# %llu runs\n", (unsigned long long)runs_done);
}

TEST(a_trap_at_every_point_of_every_operation)
{
	every_point(TRAPS_HERE);
}

TEST(another_cpu_at_every_point_of_every_operation)
{
	every_point(TRAPS_ELSEWHERE);
}

/* ---- the last frame, never in the same zone ------------------------------------------------- */

static unsigned swap_one_in;

/* Gives back its frame of the other zone, then takes the free frame. */
static void swap_frames(void)
{
	uint64_t given = model.kept.frame[0];

	give(&model.kept, 0);
	cache_of(1)->home = 1 - zone_of(given)->number;
	take(&model.kept);
}

static void fire_swap(void)
{
	if (port_cpu() == 0 && model.kept.count)
		traps_elsewhere(1, swap_frames);
	traps_rearm(traps_points() + unit_random_below(2 * swap_one_in));
}

static void take_all_of_mine(void)
{
	become(0);
	while (take(&model.mine))
		;
}

/* All is out but one frame; cpu 1 has one frame of the other zone, to be free in its stead. */
static void ready_swap(void)
{
	for (unsigned number = 0; number < 2; number++)
		for (unsigned i = model.mine.count; i-- > 0;) {
			if (zone_of(model.mine.frame[i])->number != number)
				continue;
			if (number) {
				model.kept.frame[model.kept.count++] = model.mine.frame[i];
				model.mine.frame[i] = model.mine.frame[--model.mine.count];
			} else {
				give(&model.mine, i);
			}
			break;
		}
	HOLD(model.kept.count == 1 && frame_free_count() == 1);
}

/* At every moment a frame is free, so a look that finds none must be repeated. */
TEST(a_frame_that_moves_from_zone_to_zone_is_found)
{
	static const struct machine machine = {1, 0, 0};
	unsigned drains = 0;

	start(&machine, CPUS, SPIN_FAS);
	take_all_of_mine();
	ready_swap();
	snapshot_take();
	for (unsigned round = 0; round < 6000; round++) {
		snprintf(story, sizeof(story), "round %u", round);
		snapshot_restore();
		traps_reset();
		become(0);
		model.failed = false;
		swap_one_in = 2 + (unsigned)unit_random_below(20);
		traps_arm(TRAPS_ELSEWHERE, unit_random_below(2 * swap_one_in), fire_swap);
		take(&model.mine);
		traps_disarm();
		traps_finish();
		HOLD(!model.failed);
		check_at_rest();
		drains += cache_of(0)->stats.drains > 0;
	}
	host_machine_end();
	CHECK(drains > 100);
}

/*
 * The frame is always in the zone that is not looked at. So each look at the zones one by one finds none,
 * and the search takes all locks at once: then it must find the frame.
 */
static unsigned dodges;
static uint64_t releases_after;		/* of all zones */
static uint64_t traps_seen, trap_point; /* of the points at which a trap may land */

static bool is_in_zone(const void *address, const struct zone *zone)
{
	return (const char *)address >= (const char *)zone &&
	       (const char *)address < (const char *)(zone + 1);
}

/* One frame more is free meanwhile. Its own search may take all locks, too. */
static void exchange_in_trap(void)
{
	give(&model.mine, model.mine.count - 1);
	HOLD(take(&model.mine));
}

static void fire_dodge(void)
{
	const void *address = traps_next_access();

	for (unsigned i = 0; i < zones.count && port_cpu() == 0; i++) {
		if (!is_in_zone(address, &zones.zone[i]) || !zone_free_frames(&zones.zone[i]) ||
		    !model.kept.count || !traps_may_switch())
			continue;
		dodges++;
		traps_elsewhere(1, swap_frames);
	}
	traps_rearm(traps_points());
	if (port_cpu() == 0 && traps_may_trap(0) && traps_seen++ == trap_point)
		traps_trap(0, exchange_in_trap);
}

/* With a trap at this point; false if there are fewer. */
static bool dodge(uint64_t point)
{
	snprintf(story, sizeof(story), "a trap at point %llu", (unsigned long long)point);
	snapshot_restore();
	traps_reset();
	become(0);
	model.failed = false;
	traps_seen = 0;
	trap_point = point;
	traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, 0, fire_dodge);
	take(&model.mine);
	traps_disarm();
	traps_finish();
	HOLD(!model.failed);
	releases_after = zones.zone[0].releases + zones.zone[1].releases;
	check_at_rest();
	check_every_frame();
	return traps_seen > point;
}

TEST(a_frame_that_is_never_where_it_is_looked_for_is_found)
{
	static const struct machine machine = {1, 0, 0};
	uint64_t point = 0;

	start(&machine, CPUS, SPIN_FAS);
	take_all_of_mine();
	ready_swap();
	snapshot_take();
	dodges = 0;
	while (dodge(point))
		point += traps_every();
	host_machine_end();
	printf("# %llu runs, %u dodges\n", (unsigned long long)point, dodges);
	CHECK(dodges > point);
}

/*
 * The counts of releases wrap after this number of further releases: before the search, or in one of
 * its looks. A look that compares two counts by their order takes the wrap for "nothing was freed".
 */
TEST(such_a_frame_is_found_where_the_count_of_releases_wraps)
{
	static const struct machine machine = {1, 0, 0};

	for (uint64_t left = 1; left <= 40; left++) {
		start(&machine, CPUS, SPIN_FAS);
		take_all_of_mine();
		zones.zone[0].releases = -left - zones.zone[1].releases;
		HOLD(!take(&model.mine)); /* and notes the counts */
		ready_swap();
		snapshot_take();
		dodge(UINT64_MAX);
		HOLD(releases_after < 1000); /* they have wrapped */
		host_machine_end();
	}
}

/* ---- at random ---------------------------------------------------------------------------- */

#define DEPTH_MAX 3 /* one in the middle of another */
/*
 * Let in in one step. The code that is let in may take all memory, frame by frame, and has
 * thousands of points then; so without a bound a step could grow without end. After the bound, the
 * operations in progress must end.
 */
#define FIRES_MAX 3000

static unsigned depth, one_in;
static uint64_t fires_last; /* of this step */

/* Mostly the first ones, which are short. */
static void any_action(void)
{
	uint64_t kinds = unit_random() & 7 ? 4 : LENGTH(actions);

	action_now = &actions[unit_random_below(kinds)];
	act();
}

/* Single frames mostly; whatever this cpu does, it may be stopped. */
static void any_operation(void)
{
	unsigned cpu = port_cpu();
	uint64_t draw = unit_random_below(64);

	traps_set_busy(cpu, true);
	if (draw < 24)
		take(&model.mine);
	else if (draw < 48 && model.mine.count)
		give(&model.mine, (unsigned)unit_random_below(model.mine.count));
	else if (draw < 52)
		take_run(1 + unit_random_below(40), UINT64_C(1) << unit_random_below(5));
	else if (draw < 55)
		give_run();
	else if (draw < 56)
		frame_cache_configure(cache_of(cpu)->slots & (unit_random() & 1 ? ~1u : 2), 0);
	else
		any_action();
	traps_set_busy(cpu, false);
}

static uint64_t next_point(void)
{
	return traps_points() + unit_random_below(2 * one_in);
}

/* A handler or another CPU comes in, which may be interrupted in turn. */
static void fire_any(void)
{
	unsigned here = port_cpu(), cpu = (unsigned)unit_random_below(host_cpu_count);
	bool trap = cpu == here || traps_is_busy(cpu);

	/* Even one at rest may be answering an IPI. */
	if (traps_may_trap(cpu) &&
	    (trap ? cpu == here || traps_all_may_trap() : traps_may_switch())) {
		fires++;
		if (++depth < DEPTH_MAX && fires < fires_last)
			traps_rearm(next_point());
		if (trap)
			traps_trap(cpu, any_action);
		else
			traps_elsewhere(cpu, any_operation);
		depth--;
	}
	if (fires < fires_last)
		traps_rearm(next_point());
}

static void random_steps(unsigned machine, unsigned cpus, unsigned steps)
{
	for (unsigned step = 0; step < steps; step++) {
		snprintf(story, sizeof(story), "machine %u, %u cpus, one in %u points, step %u",
			 machine, cpus, one_in, step);
		become((unsigned)unit_random_below(cpus));
		fires_last = fires + FIRES_MAX;
		if (unit_random_below(8) == 0)
			hold_home(unit_random() & 1);
		traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, unit_random_below(2 * one_in), fire_any);
		any_operation();
		traps_disarm();
		traps_finish();
		traps_hold_end();
		check_at_rest();
	}
}

static void random_round(unsigned machine, unsigned cpus, unsigned steps)
{
	depth = 0;
	snprintf(story, sizeof(story), "machine %u, %u cpus: start", machine, cpus);
	start(&machines[machine], cpus, (enum spin_kind)unit_random_below(SPIN_KINDS));
	random_steps(machine, cpus, steps);
	check_every_frame();
	host_machine_end();
}

TEST(cpus_and_traps_in_the_middle_of_each_other)
{
	static const unsigned rates[] = {30, 200, 1000};
	const char *rounds = getenv("ROUNDS");

	for (unsigned round = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 6; round-- > 0;)
		for (unsigned machine = 0; machine < LENGTH(machines); machine++)
			for (unsigned i = 0; i < LENGTH(rates); i++) {
				one_in = rates[i];
				random_round(machine, 1 + (unsigned)unit_random_below(4), 60);
			}
}
