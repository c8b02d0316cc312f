/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_known_bugs_mm.c - mistakes in mm/ that no other test has an eye for; see tests/mutants/.
 *
 * Some need another cpu in the middle of a refill, a flush or a request: files of mm/ are here once
 * more, with a function of ours wherever interrupts are masked or a full fence stands.
 *
 * Covers: mm/global/segment_tree*.c mm/global/run_tree.c mm/global/zone.c mm/percpu/cache.c
 * Covers: mm/percpu/refill.c
 * Covers: mm/percpu/flush.c mm/percpu/drain.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/segment_tree.h"
#include "mm/global/segment_tree_private.h"
#include "mm/global/zone.h"
#include "mm/global/zone_one.h"
#include "mm/global/zone_run.h"
#include "mm/words.h"
#include "tests/smp/zone_direct.h"
#include "unit.h"

/* The zone again, with a lock that asks whether interrupts are masked: this host has none. */
static bool irq_masked;

static unsigned long seen_irq_save(void)
{
	unsigned long flags = irq_masked;

	irq_masked = true;
	return flags;
}

static void seen_irq_restore(unsigned long flags)
{
	irq_masked = flags;
}

static uint64_t free_at_lock, releases_at_lock;
static unsigned locks;

static void seen_lock(struct spinlock *lock, struct spin_node *node)
{
	const struct zone *zone = (struct zone *)((char *)lock - offsetof(struct zone, lock));

	CHECK(irq_masked);
	spin_lock(lock, node);
	locks++;
	free_at_lock = zone->free_frames;
	releases_at_lock = zone->releases;
}

static void seen_lock_found_held(struct spinlock *lock, struct spin_node *node)
{
	const struct zone *zone = (struct zone *)((char *)lock - offsetof(struct zone, lock));

	CHECK(irq_masked);
	spin_lock_found_held(lock, node);
	locks++;
	free_at_lock = zone->free_frames;
	releases_at_lock = zone->releases;
}

/* A cpu that gave frames back has counted them under the same hold. */
static void seen_unlock(struct spinlock *lock, struct spin_node *node)
{
	const struct zone *zone = (struct zone *)((char *)lock - offsetof(struct zone, lock));

	CHECK(irq_masked);
	CHECK_EQ(zone->releases - releases_at_lock, zone->free_frames > free_at_lock);
	spin_unlock(lock, node);
}

struct seen_zones {
	struct zone *zone;
	unsigned count;
};

#define port_irq_save		    seen_irq_save
#define port_irq_restore	    seen_irq_restore
#define spin_lock		    seen_lock
#define spin_unlock		    seen_unlock
#define spin_lock_found_held	    seen_lock_found_held
#define zone_claim_one_found_held   seen_zone_claim_one_found_held
#define zone_release_one_found_held seen_zone_release_one_found_held
#define zone_crosses_low	    seen_zone_crosses_low
bool zone_crosses_low(struct zone *zone, uint64_t before, uint64_t left);
#define zones			    seen_zones
#define zone_metadata_frames	    seen_zone_metadata_frames
#define zone_init		    seen_zone_init
#define zone_set_low		    seen_zone_set_low
#define zone_plan_claim		    seen_zone_plan_claim
#define zone_claim_masked	    seen_zone_claim_masked
#define zone_claim_one_masked	    seen_zone_claim_one_masked
#define zones_claim_one_masked	    seen_zones_claim_one_masked
#define zone_plan_release	    seen_zone_plan_release
#define zone_release_masked	    seen_zone_release_masked
#define zone_claim_run		    seen_zone_claim_run
#define zone_release_run	    seen_zone_release_run
#define zone_claim_run_found_held   seen_zone_claim_run_found_held
#define zone_release_run_found_held seen_zone_release_run_found_held
#define zone_largest		    seen_zone_largest
#define zone_order_sort		    seen_zone_order_sort
#define zone_of			    seen_zone_of
#define zone_validate		    seen_zone_validate
#define round_up_64		    seen_round_up_64
#include "mm/global/zone.c"
#undef port_irq_save
#undef port_irq_restore
#undef spin_lock
#undef spin_unlock
#undef spin_lock_found_held
#undef zone_claim_one_found_held
#undef zone_release_one_found_held
#undef zone_crosses_low
#undef zones
#undef zone_metadata_frames
#undef zone_init
#undef zone_set_low
#undef zone_plan_claim
#undef zone_claim_masked
#undef zone_claim_one_masked
#undef zones_claim_one_masked
#undef zone_plan_release
#undef zone_release_masked
#undef zone_claim_run
#undef zone_release_run
#undef zone_claim_run_found_held
#undef zone_release_run_found_held
#undef zone_largest
#undef zone_order_sort
#undef zone_of
#undef zone_validate
#undef round_up_64

/* The cache and the drain again, as one copy: with a handler wherever interrupts get masked. */
static unsigned long drained_irq_save(void);
static void drained_irq_restore(unsigned long flags);
static void drained_ipi_send(unsigned first, uint64_t set);
static void drained_fence(void);
static void drained_release_fence(void);
static void drained_store_64(uint64_t *target, uint64_t value);
static void drained_store_32(uint32_t *target, uint32_t value);
static void drained_inc_64(uint64_t *target);
static uint64_t drained_load_64(const uint64_t *target);
static uint64_t drained_faa_64(uint64_t *target, uint64_t delta);
static uint64_t drained_releases(const struct zone *zone);

/* Where the copy meets a zone, or moves its stack, interrupts are masked. */
static bool contended; /* each hold has been waited for */

static unsigned drained_claim(struct zone *zone, unsigned min, unsigned max,
			      const struct policy_plan *plan, struct frame_word *words,
			      unsigned *taken, struct zone_hold *hold)
{
	unsigned count;

	CHECK(host_self->masked);
	count = zone_claim_masked(zone, min, max, plan, words, taken, hold);
	hold->contended = contended;
	return count;
}

static void drained_release(struct zone *zone, const struct policy_plan *plan,
			    const struct frame_word *words, unsigned count, unsigned frames,
			    struct zone_hold *hold)
{
	CHECK(host_self->masked);
	zone_release_masked(zone, plan, words, count, frames, hold);
	hold->contended = contended;
}

static bool drained_claim_single(struct zone *zone, uint64_t *frame, struct zone_hold *hold)
{
	bool found;

	CHECK(host_self->masked);
	found = zone_claim_one_masked(zone, frame, hold);
	hold->contended = contended;
	return found;
}

static enum zone_one drained_claim_fast(struct zone *zone, const struct zone_one_notes *notes,
					uint64_t *frame, uint64_t *before)
{
	CHECK(host_self->masked);
	return contended ? ZONE_ONE_HELD : zone_claim_one(zone, notes, frame, before);
}

static enum zone_one drained_release_fast(struct zone *zone, const struct zone_one_notes *notes,
					  uint64_t frame)
{
	CHECK(host_self->masked);
	return contended ? ZONE_ONE_HELD : zone_release_one(zone, notes, frame);
}

static bool drained_claim_held(struct zone *zone, uint64_t *frame, struct zone_hold *hold)
{
	CHECK(host_self->masked);
	return zone_claim_one_found_held(zone, frame, hold);
}

static void drained_release_held(struct zone *zone, uint64_t frame)
{
	CHECK(host_self->masked);
	zone_release_one_found_held(zone, frame);
}

static void drained_move_down(uint64_t *to, const uint64_t *from, size_t count)
{
	CHECK(host_self->masked);
	words_move_down(to, from, count);
}

#define port_irq_save		   drained_irq_save
#define port_irq_restore	   drained_irq_restore
#define port_ipi_send		   drained_ipi_send
#define frame_cache_bytes	   seen_cache_bytes
#define frame_cache_init	   seen_cache_init
#define frame_cache_init_for	   seen_cache_init_for
#define frame_cache_set_order	   seen_cache_set_order
#define frame_cache_configure	   seen_cache_configure
#define frame_cache_level	   seen_cache_level
#define frame_cache_may_hold	   seen_cache_may_hold
#define frame_cache_park_step	   seen_cache_park_step
#define frame_cache_refill	   seen_cache_refill
#define frame_cache_overflow	   seen_cache_overflow
#define frame_cache_may_keep	   seen_cache_may_keep
#define frame_alloc_behind	   seen_alloc_behind
#define frame_cache_free_elsewhere seen_cache_free_elsewhere
#define frame_cache_flush	   seen_cache_flush
#define frame_cache_bad_free	   seen_cache_bad_free
#define frame_cache_validate	   seen_cache_validate
#define frame_cache_online	   seen_cache_online
#define frame_drain_start_counters seen_drain_start_counters
#define frame_cache_offline	   seen_cache_offline
#define cache_capacity_for	   seen_cache_capacity_for
#define cache_move_to_base	   seen_cache_move_to_base
#define cache_set_zone		   seen_cache_set_zone
#define cache_grow		   seen_cache_grow
#define cache_renew_direct	   seen_cache_renew_direct
#define cache_open		   seen_cache_open
#define cache_flush_coldest	   seen_cache_flush_coldest
#define cache_flush_remote	   seen_cache_flush_remote
#define cache_zone_of		   seen_cache_zone_of
#define frame_drain_pressure	   seen_drain_pressure
#define frame_drain_ask		   seen_drain_ask
#define frame_drain_low		   seen_drain_low
#define frame_drain_is_asking	   seen_drain_is_asking
#define frame_drain_answer	   seen_drain_answer
#define frame_drain_settle	   seen_drain_settle
#define frame_drain_set_low	   seen_drain_set_low
#define frame_drain_count_opening  seen_drain_count_opening
#define frame_drained_one	   seen_drained_one
#define frame_drained_run	   seen_drained_run
#define cache_claim_one		   seen_cache_claim_one
#define cache_claim_run		   seen_cache_claim_run
bool frame_drain_pressure(void);
bool frame_drain_answer(void);
void frame_drain_low(struct zone *zone);
void frame_drain_count_opening(void);
void frame_cache_online(void);
struct zone *frame_drained_one(uint64_t *frame);
struct zone *frame_drained_run(uint64_t count, uint64_t align, uint64_t *first);
struct zone *cache_claim_one(struct frame_cache *cache, uint64_t *frame);
struct zone *cache_claim_run(struct frame_cache *cache, uint64_t count, uint64_t align,
			     uint64_t *first);
bool frame_cache_park_step(struct frame_cache *cache);
bool frame_cache_may_hold(const struct frame_cache *cache, const struct zone *zone);
uint64_t frame_cache_level(const struct frame_cache *cache);
void frame_cache_init_for(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home,
			  unsigned zone_room);
void frame_cache_flush(void);
bool frame_cache_may_keep(void);
pfn_t frame_alloc_behind(unsigned flags);
void frame_cache_bad_free(uint64_t frame);
uint32_t cache_capacity_for(const struct frame_cache *cache, uint32_t batch);
void cache_move_to_base(struct frame_cache *cache);
void cache_set_zone(struct frame_cache *cache, struct zone *zone);
void cache_grow(struct frame_cache *cache);
void cache_renew_direct(struct frame_cache *cache);
bool cache_open(struct frame_cache *cache);
unsigned cache_flush_coldest(struct frame_cache *cache, unsigned wanted);
void cache_flush_remote(struct frame_cache *cache, unsigned zone);
struct zone *cache_zone_of(uint64_t frame);
#pragma push_macro("ck_pr_store_64")
#pragma push_macro("ck_pr_store_32")
#pragma push_macro("ck_pr_inc_64")
#pragma push_macro("ck_pr_load_64")
#pragma push_macro("ck_pr_faa_64")
#undef ck_pr_store_64
#undef ck_pr_store_32
#undef ck_pr_inc_64
#undef ck_pr_load_64
#undef ck_pr_faa_64
#define ck_pr_load_64		    drained_load_64
#define ck_pr_faa_64		    drained_faa_64
#define ck_pr_store_64		    drained_store_64
#define ck_pr_store_32		    drained_store_32
#define ck_pr_inc_64		    drained_inc_64
#define zone_releases		    drained_releases
#define zone_claim_masked	    drained_claim
#define zone_claim_one_masked	    drained_claim_single
#define zone_release_masked	    drained_release
#define zone_claim_one		    drained_claim_fast
#define zone_release_one	    drained_release_fast
#define zone_claim_one_found_held   drained_claim_held
#define zone_release_one_found_held drained_release_held
#define words_move_down		    drained_move_down
#define ck_pr_fence_memory	    drained_fence
#pragma push_macro("ck_pr_fence_release")
#undef ck_pr_fence_release
#define ck_pr_fence_release drained_release_fence
#include "mm/percpu/cache_private.h"
#include "mm/percpu/cache.c"
#include "mm/percpu/refill.c"
#include "mm/percpu/flush.c"
/* A request looks for what the test sets, if it sets anything. */
static bool (*looking)(void *argument, struct spin_node *all_zones);
static void *looking_argument;

static struct zone *drained_claim_one(struct frame_cache *cache, uint64_t *frame)
{
	if (!looking)
		return cache_claim_one(cache, frame);
	return looking(looking_argument, NULL) ? zones.zone : NULL;
}

static struct zone *drained_claim_run(struct frame_cache *cache, uint64_t count, uint64_t align,
				      uint64_t *first)
{
	if (!looking)
		return cache_claim_run(cache, count, align, first);
	return looking(looking_argument, NULL) ? zones.zone : NULL;
}

static struct zone *drained_claim_of_all(struct spin_node *nodes, uint64_t *frame)
{
	if (!looking)
		return zones_claim_one_masked(nodes, frame);
	return looking(looking_argument, nodes) ? zones.zone : NULL;
}

#undef cache_claim_one
#undef cache_claim_run
#define cache_claim_one	       drained_claim_one
#define cache_claim_run	       drained_claim_run
#define zones_claim_one_masked drained_claim_of_all
#include "mm/percpu/drain.c"
#undef cache_claim_one
#undef cache_claim_run
#undef zones_claim_one_masked

static bool seen_drained(bool (*look)(void *argument, struct spin_node *all_zones), void *argument,
			 uint64_t count, uint64_t align)
{
	struct zone *zone;
	uint64_t first;

	looking = look;
	looking_argument = argument;
	zone = count == 1 && align == 1 ? seen_drained_one(&first)
					: seen_drained_run(count, align, &first);
	looking = NULL;
	return zone != NULL;
}
#pragma pop_macro("ck_pr_store_64")
#pragma pop_macro("ck_pr_store_32")
#pragma pop_macro("ck_pr_inc_64")
#pragma pop_macro("ck_pr_load_64")
#pragma pop_macro("ck_pr_faa_64")
#undef zone_releases
#undef zone_claim_masked
#undef zone_claim_one_masked
#undef zone_release_masked
#undef zone_claim_one
#undef zone_release_one
#undef zone_claim_one_found_held
#undef zone_release_one_found_held
#undef words_move_down
#undef ck_pr_fence_memory
#pragma pop_macro("ck_pr_fence_release")
#undef port_irq_save
#undef port_irq_restore
#undef port_ipi_send
#undef frame_cache_bytes
#undef frame_cache_init
#undef frame_cache_init_for
#undef frame_cache_set_order
#undef frame_cache_configure
#undef frame_cache_level
#undef frame_cache_may_hold
#undef frame_cache_park_step
#undef frame_cache_refill
#undef frame_cache_overflow
#undef frame_cache_free_elsewhere
#undef frame_cache_flush
#undef frame_cache_bad_free
#undef frame_cache_validate
#undef frame_cache_online
#undef frame_cache_offline
#undef cache_capacity_for
#undef cache_move_to_base
#undef cache_set_zone
#undef cache_grow
#undef cache_renew_direct
#undef cache_open
#undef cache_flush_coldest
#undef cache_flush_remote
#undef cache_zone_of
#undef frame_drain_pressure
#undef frame_drain_ask
#undef frame_drain_low
#undef frame_drain_is_asking
#undef frame_drain_answer
#undef frame_drain_settle
#undef frame_drain_set_low
#undef frame_drain_count_opening
#undef frame_drained_one
#undef frame_drained_run

static const struct policy_plan no_plan;

/* ---- the tree ---------------------------------------------------------------------------- */

static const struct policy *const tree_policy = &segment_tree_policy;

static struct segment_tree *start_tree(uint64_t first, uint64_t count)
{
	static _Alignas(64) char memory[8192];

	CHECK(tree_policy->metadata_bytes(first, count) <= sizeof(memory));
	return tree_policy->init(memory, first, count);
}

TEST(a_plan_that_has_enough_takes_no_word_more)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct policy_plan plan = {.words = 0};
	struct segment_tree *tree = start_tree(0x80000, 4096);
	unsigned taken;

	tree_policy->release_run(tree, 0x80000, 4096);
	tree_policy->plan_claim(tree, 64, words, &plan);
	CHECK_EQ(plan.words, 1);
	CHECK_EQ(tree_policy->claim(tree, 64, 127, &plan, words, &taken), 1);
	CHECK_EQ(taken, 64);
	CHECK_EQ(tree_policy->validate(tree), 4096 - 64);
}

/* Another cpu took the word after the summary was read: both looks of the planner, one moment. */
TEST(a_word_emptied_since_the_summary_was_read_is_not_planned)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct policy_plan plan = {.words = 0};
	struct segment_tree *tree = start_tree(0x80000, 4096);

	tree_policy->release_run(tree, 0x80000, 4096);
	tree->frames.level[0][0] = 0;
	tree->frames.level[0][2] = 0;
	tree_policy->plan_claim(tree, 100, words, &plan);
	CHECK_EQ(plan.words, 2);
	CHECK_EQ(words[0].first, 0x80040);
	CHECK_EQ(words[1].first, 0x800c0);
}

/* One frame free already among others that are not, in a word alone and in the second of two. */
TEST(one_frame_of_a_word_freed_twice_is_refused)
{
	struct frame_word words[2] = {{0x80000, 0xff}, {0x80040, 0x3}};
	struct policy_plan plan;
	struct segment_tree *tree = start_tree(0x80000, 4096);

	tree_policy->release_run(tree, 0x80041, 1);
	EXPECT_PANIC(tree_policy->release(tree, &no_plan, &words[1], 1), "freed twice");
	tree_policy->plan_release(tree, words, 2, &plan);
	EXPECT_PANIC(tree_policy->release(tree, &plan, words, 2), "freed twice");
}

/* The last frame of a run, and no other, is free already; wherever in its word it lies. */
TEST(a_run_whose_last_frame_is_free_is_refused)
{
	for (unsigned last = 100; last < 100 + 65; last++) {
		struct segment_tree *tree = start_tree(0x80000, 1024);

		tree_policy->release_run(tree, 0x80000 + last, 1);
		EXPECT_PANIC(tree_policy->release_run(tree, 0x80000 + 90, last - 90 + 1),
			     "freed twice");
		CHECK_EQ(tree_policy->validate(tree), 1);
	}
}

/* S4 for a run that reaches over several groups: the first of them is where to look next. */
TEST(a_run_over_two_groups_is_claimed_from_its_start)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct segment_tree *tree = start_tree(0x80000, 3 * 4096);
	unsigned taken;
	uint64_t first;

	tree_policy->release_run(tree, 0x80000, 3 * 4096);
	CHECK_EQ(tree_policy->claim_run(tree, 2 * 4096, 1, 0, &first), RUN_FOUND);
	CHECK_EQ(tree_policy->claim(tree, 1, 1, &no_plan, words, &taken), 1);
	CHECK_EQ(words[0].first, 0x80000 + 2 * 4096);
	tree_policy->release_run(tree, 0x80000 + 4000, 200);
	CHECK_EQ(tree_policy->validate(tree), 4096 - 1 + 200);
	CHECK_EQ(tree_policy->claim(tree, 1, 1, &no_plan, words, &taken), 1);
	CHECK_EQ(words[0].first, 0x80000 + 3968);
}

/* ---- the zone ---------------------------------------------------------------------------- */

/* After each operation: the lock is free, and interrupts are as the caller had them. */
static void check_left(const struct zone *zone, bool masked)
{
	CHECK(!spin_locked_relaxed((struct spinlock *)&zone->lock));
	CHECK_EQ(irq_masked, masked);
}

static void use_zone(struct zone *zone, bool masked)
{
	struct frame_word words[POLICY_WORDS_MAX];
	uint64_t first, total = zone->free_frames;
	bool was_masked = masked, low;
	struct zone_hold hold;
	unsigned taken, count;
	struct policy_plan plan;

	irq_masked =
		true; /* claims and releases of single frames are made in their caller's section */
	seen_zone_plan_claim(zone, 70, 140, words, &plan);
	count = seen_zone_claim_masked(zone, 70, 140, &plan, words, &taken, &hold);
	check_left(zone, true);
	seen_zone_plan_release(zone, words, count, &plan);
	seen_zone_release_masked(zone, &plan, words, count, taken, &hold);
	check_left(zone, true);
	irq_masked = was_masked;
	CHECK(!seen_zone_claim_run(zone, total, 1024, &first, &low));
	check_left(zone, masked);
	CHECK(seen_zone_claim_run(zone, total, 1, &first, &low));
	check_left(zone, masked);
	locks = 0;
	CHECK(!seen_zone_claim_run(zone, 1, 1, &first, &low));
	CHECK_EQ(locks, 1);    /* without it, that is no last look */
	zone->free_frames = 1; /* as a cpu sees it that is about to find nothing */
	irq_masked = true;
	CHECK(!seen_zone_claim_one_masked(zone, &first, &hold));
	irq_masked = was_masked;
	zone->free_frames = 0;
	check_left(zone, masked);
	seen_zone_release_run(zone, zone->first + zone->reserved_frames, total);
	check_left(zone, masked);
	CHECK_EQ(zone->free_frames, total);
}

TEST(a_zone_is_locked_with_interrupts_masked_and_left_unlocked)
{
	struct zone zone;
	pfn_t memory;

	host_memory_start(8 << 20, 1);
	memory = frame_alloc_run(1000, 1);
	CHECK(seen_zone_init(&zone, 0, 0, memory.value, 1000, &segment_tree_policy, SPIN_FAS));
	use_zone(&zone, false);
	use_zone(&zone, true);
	irq_masked = false;
	frame_free_run(memory, 1000);
	host_memory_end();
}

/* ---- the cache --------------------------------------------------------------------------- */

static pfn_t *held;
static unsigned held_count;

/* Once, so that what the handler itself does is not interrupted. */
static void interrupt(void (**handler)(void))
{
	void (*run)(void) = *handler;

	*handler = NULL;
	if (run)
		run();
}

static void start_frames(uint64_t frames, uint32_t capacity, uint32_t batch)
{
	struct host_machine machine = {
		.policy = &segment_tree_policy, .capacity = capacity, .batch = batch};
	struct host_range range = {0x80200, frames, 0};

	host_machine_start(&machine, &range, 1);
	held = calloc(frames, sizeof(*held));
	held_count = 0;
}

static void take(unsigned frames)
{
	while (frames--) {
		pfn_t frame = frame_alloc(FRAME_ANY); /* its handler may change held_count */

		CHECK(!pfn_is_none(frame));
		held[held_count++] = frame;
	}
}

static void give(unsigned frames)
{
	while (frames--)
		frame_free(held[--held_count]);
}

static void end_frames(void)
{
	uint64_t total = frame_total_count() - zones.zone[0].reserved_frames;

	frame_validate();
	CHECK_EQ(frame_free_count(), total - held_count);
	give(held_count);
	frame_cache_flush();
	frame_validate();
	CHECK_EQ(zone_free_frames(&zones.zone[0]), total);
	free(held);
	host_machine_end();
}

/* C4: however the batch comes out of words, there is room for a flush's worth above it. */
TEST(a_refill_leaves_room_for_a_batch)
{
	static const struct {
		uint32_t capacity, batch;
	} settings[] = {{2, 1}, {100, 50}, {126, 63}, {127, 50}, {191, 64}, {192, 96}, {1000, 500}};

	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		struct frame_cache *cache;
		uint64_t refills;

		start_frames(8000, settings[i].capacity, settings[i].batch);
		cache = frame_cache_self();
		for (unsigned j = 0; j < 4000; j++) {
			refills = cache->stats.refills;
			take(1);
			if (cache->stats.refills != refills)
				CHECK(cache->limit - cache->top > settings[i].batch);
		}
		end_frames();
	}
}

/* The bottom has wandered far up under a small cache; a large one needs its room above. */
TEST(a_larger_cache_after_a_smaller_one_stays_in_its_memory)
{
	start_frames(8000, 1000, 64);
	frame_cache_configure(0, 0);
	take(3000);
	frame_cache_configure(2, 1);
	give(1500);
	frame_cache_configure(1000, 64);
	CHECK(frame_cache_self()->limit <= frame_cache_self()->end);
	give(1000);
	end_frames();
}

#if CHECKS
/* As if two refills had brought the same frame: the first owner's free says so. */
TEST(a_frame_out_of_a_cache_twice_is_caught_at_the_first_free)
{
	struct frame_cache *cache;
	pfn_t first, second, lost;
	uint8_t *state;

	start_frames(8000, 192, 64);
	cache = frame_cache_self();
	take(1);
	lost = pfn(cache->top[-1]);
	cache->top[-1] = cache->top[-2];
	first = frame_alloc_called();
	second = frame_alloc_called();
	CHECK_EQ(first.value, second.value);
	EXPECT_PANIC(frame_free_called(first), "handed out more than once");
	state = zones.zone[0].state - zones.zone[0].first;
	state[first.value] = state[lost.value] = FRAME_STATE_ALLOCATED;
	frame_free_called(first);
	frame_free_called(lost);
	end_frames();
}
#endif

/* A handler comes between the pop that found nothing and the refill: the stack is not empty. */
TEST(a_stack_with_frames_does_not_shrink)
{
	struct frame_cache *cache;

	start_frames(8000, FRAME_CACHE_CAPACITY_MAX, 0);
	cache = frame_cache_self();
	cache->batch = cache->batch_max; /* as after many a wait for the lock */
	cache->limit = cache->bottom + cache->capacity;
	take(3000);
	frame_cache_flush();
	give(1000);
	cache->uncontended_streak = UINT32_MAX / 2;
	held[held_count++] = frame_cache_refill(FRAME_ANY);
	CHECK(cache->top <= cache->limit);
	end_frames();
}

/* Every chunk dirty and none with a run: the search takes several holds, and finds nothing. */
TEST(a_run_searched_in_several_holds_is_counted_once)
{
	unsigned kept = 0;
	uint64_t first;
	bool low;

	start_frames(70000, 192, 64);
	take(69000);
	for (unsigned i = 0; i < 69000; i++)
		if (held[i].value % 2)
			frame_free(held[i]);
		else
			held[kept++] = held[i];
	held_count = kept;
	frame_cache_flush();
	CHECK(!zone_claim_run(&zones.zone[0], 2000, 1, &first, &low));
	CHECK(!spin_locked_relaxed(&zones.zone[0].lock)); /* or what follows would hang */
	end_frames();
}

/* ---- the drain --------------------------------------------------------------------------- */

/*
 * In the copy of the cache and the drain another cpu is short from some masked section on, until
 * the operation ends. From its request to then: nothing is cached, and the cache is parked.
 */
static bool short_of_frames, in_handler, asks_early;
static unsigned sections, due; /* at the due-th section the other asks; 0: never */
static void (*in_fence)(void), (*in_ipi)(void), (*behind_load)(void);
static void (*before_section)(void); /* a trap handler, right before the next section */
static bool ipis_are_lost;
/* f: a full fence, t: a ticket, r: a sum of releases, l: a look at zones one by one, L: at all. */
static char order[128];
static unsigned order_length;
static bool opening_is_unfenced; /* counted, and no release fence since */

static void note_order(char what)
{
	if (order_length < sizeof(order) - 1)
		order[order_length++] = what;
	order[order_length] = 0;
}

static void check_parked(const struct frame_cache *cache)
{
	CHECK_EQ(cache->state, FRAME_CACHE_PARKED);
	CHECK(cache->limit == cache->bottom);
	CHECK(cache->top == cache->bottom);
	CHECK_EQ(cache->remote_frames, 0);
	CHECK_EQ(cache->frames_moving, 0);
}

/* As a requester on another cpu would, which this one then answers. */
static void another_cpu_asks(void)
{
	struct frame_cache *cache = frame_cache_self();

	in_handler = true;
	drain.pressure += !asks_early;
	if (cache->state != FRAME_CACHE_PARKED)
		cache->asked = ++drain.requests;
	while (seen_drain_answer())
		;
	short_of_frames = !asks_early;
	in_handler = false;
}

static unsigned long drained_irq_save(void)
{
	unsigned long flags = port_irq_save();

	if (flags || in_handler)
		return flags;
	in_handler = before_section != NULL;
	interrupt(&before_section);
	in_handler = false;
	if (++sections == due)
		another_cpu_asks();
	if (short_of_frames)
		check_parked(frame_cache_self());
	return flags;
}

static void drained_irq_restore(unsigned long flags)
{
	CHECK(!opening_is_unfenced);
	if (!flags && !in_handler && short_of_frames)
		check_parked(frame_cache_self());
	port_irq_restore(flags);
}

/* The cpus that are asked are at rest. */
static void drained_ipi_send(unsigned first, uint64_t set)
{
	struct host_cpu *sender = host_self;

	for (unsigned i = 0; i < 64 && !ipis_are_lost; i++) {
		if (!(set >> i & 1))
			continue;
		host_self = &host_cpus[first + i];
		while (seen_drain_answer())
			;
	}
	host_self = sender;
	interrupt(&in_ipi);
}

static void drained_fence(void)
{
	note_order('f');
	interrupt(&in_fence);
}

static void drained_release_fence(void)
{
	if (opening_is_unfenced)
		CHECK(frame_cache_self()->limit == frame_cache_self()->bottom);
	opening_is_unfenced = false;
}

/* By the time a cpu says that it has answered, it has; and is parked. */
static void drained_store_64(uint64_t *target, uint64_t value)
{
	struct frame_cache *cache = frame_cache_self();

	if (target == &cache->answered) {
		check_parked(cache);
		CHECK(value >= cache->answered);
	}
	*target = value;
}

/* And by the time it says that it is parked, it has nothing, and room for nothing. */
static void drained_store_32(uint32_t *target, uint32_t value)
{
	const struct frame_cache *cache = frame_cache_self();

	if (target == &cache->state && value == FRAME_CACHE_PARKED) {
		CHECK(cache->limit == cache->bottom && cache->top == cache->bottom);
		CHECK_EQ(cache->remote_frames, 0);
	}
	*target = value;
}

/* Another cpu gets in between what is read of a cache's tickets and what is made of it. */
static uint64_t drained_load_64(const uint64_t *target)
{
	uint64_t value = *(const volatile uint64_t *)target;

	if (target == &((const struct frame_cache *)port_area_of(port_cpu_count() - 1))->asked)
		interrupt(&behind_load);
	return value;
}

static uint64_t drained_releases(const struct zone *zone)
{
	if (!order_length || order[order_length - 1] != 'r')
		note_order('r');
	return zone_releases(zone);
}

static uint64_t drained_faa_64(uint64_t *target, uint64_t delta)
{
	uint64_t before = *target;

	note_order('t');
	*target += delta;
	return before;
}

/* An opening is said, and counted, before there is room. */
static void drained_inc_64(uint64_t *target)
{
	const struct frame_cache *cache = frame_cache_self();

	if (target == &drain.openings) {
		CHECK_EQ(cache->state, FRAME_CACHE_OPEN);
		CHECK(cache->limit == cache->bottom);
		opening_is_unfenced = true;
	}
	++*target;
}

static pfn_t drained_alloc(void)
{
	struct frame_cache *cache = frame_cache_self();
	uint64_t number;

	frame_cache_pop(cache, number, empty);
	frame_mark_allocated(cache->state_bias, number);
	return pfn(number);
empty:
	return seen_cache_refill(FRAME_ANY);
}

static void drained_free(pfn_t frame)
{
	struct frame_cache *cache = frame_cache_self();

	if (frame.value - cache->first >= cache->count) {
		seen_cache_free_elsewhere(frame.value);
		return;
	}
	zones.zone[cache->zone->number].state[frame.value - cache->first] = FRAME_STATE_FREE;
	frame_cache_push(cache, frame.value, full);
	return;
full:
	seen_cache_overflow(frame.value);
}

static struct policy counted;
static unsigned claims;
static bool all_are_locked; /* while a claim is made */

static unsigned count_claim(void *instance, unsigned min, unsigned max,
			    const struct policy_plan *plan, struct frame_word *words,
			    unsigned *taken)
{
	claims++;
	for (unsigned i = 0; i < zones.count && all_are_locked; i++)
		CHECK(spin_locked_relaxed(&zones.zone[i].lock));
	return segment_tree_policy.claim(instance, min, max, plan, words, taken);
}

static void start_drained(unsigned cpus)
{
	struct host_machine machine = {
		.policy = &counted, .cpus = cpus, .capacity = 1000, .batch = 500};
	static const struct host_range ranges[] = {{0x80200, 12000, 0}, {0x90000, 3000, 0}};

	counted = segment_tree_policy;
	counted.claim = count_claim;
	host_machine_start(&machine, ranges, 2);
	short_of_frames = in_handler = asks_early = false;
	sections = due = 0;
	in_fence = in_ipi = behind_load = before_section = NULL;
	ipis_are_lost = contended = all_are_locked = opening_is_unfenced = false;
	drain.pressure = 0;
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		((struct frame_cache *)port_area_of(cpu))->answered =
			((struct frame_cache *)port_area_of(cpu))->asked;
	held = calloc(15000, sizeof(*held));
	held_count = 0;
}

static void end_drained(void)
{
	uint64_t total = frame_total_count();

	for (unsigned i = 0; i < zones.count; i++)
		total -= zones.zone[i].reserved_frames;
	frame_validate();
	CHECK_EQ(frame_free_count(), total - held_count);
	while (held_count)
		drained_free(held[--held_count]);
	seen_cache_flush();
	frame_validate();
	CHECK_EQ(frame_free_count(), total);
	free(held);
	host_machine_end();
}

static void drained_take(unsigned frames)
{
	while (frames--) {
		held[held_count] = drained_alloc();
		CHECK(!pfn_is_none(held[held_count]));
		held_count++;
	}
}

static void free_lone_frames(void)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < held_count; i++)
		if (held[i].value % 3 == 1)
			drained_free(held[i]);
		else
			held[kept++] = held[i];
	held_count = kept;
}

static void refill(void)
{
	drained_take(1);
}

static void overflow(void)
{
	for (unsigned i = 0; i < 1001; i++)
		drained_free(held[--held_count]);
}

static void send_home(void)
{
	for (unsigned i = 0; i < 65; i++)
		seen_cache_free_elsewhere(held[--held_count].value);
}

static void flush(void)
{
	seen_cache_flush();
}

/* Until there are no more sections in it. */
static bool ask_in(void (*operation)(void), unsigned section, bool early)
{
	bool asked;

	start_drained(1);
	asks_early = early;
	drained_take(5000);
	if (operation == refill || operation == send_home)
		seen_cache_flush();
	sections = 0;
	due = section;
	operation();
	asked = sections >= due;
	due = 0;
	short_of_frames = false;
	drain.pressure = 0;
	end_drained();
	return asked;
}

static void ask_in_all_sections(bool early)
{
	static void (*const operations[])(void) = {refill, overflow, free_lone_frames, send_home,
						   flush};

	for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
		unsigned section = 1;

		while (ask_in(operations[i], section, early) && section < 60)
			section++;
		CHECK(section > 1);
	}
}

TEST(a_request_in_any_section_finds_nothing_left_behind)
{
	ask_in_all_sections(false);
}

/*
 * No cpu needs a frame at once, so the cache may open again: what was given back is not there
 * twice.
 */
TEST(an_early_request_in_any_section_takes_what_there_is_once)
{
	ask_in_all_sections(true);
}

/*
 * The request comes in the middle of the opening: after OPEN was stored, before pressure is read.
 */
static void another_cpu_asks_who_opens(void)
{
	const struct frame_cache *cache = frame_cache_self();

	CHECK_EQ(cache->state, FRAME_CACHE_OPEN);
	CHECK(cache->limit == cache->bottom);
	another_cpu_asks();
}

TEST(a_cache_opens_only_without_pressure)
{
	start_drained(1);
	drained_take(600);
	another_cpu_asks();
	short_of_frames = false;
	drain.pressure = 0;
	in_fence = another_cpu_asks_who_opens;
	drained_take(1);
	CHECK(in_fence == NULL);
	check_parked(frame_cache_self());
	short_of_frames = false;
	drain.pressure = 0;
	drained_take(1);
	CHECK_EQ(frame_cache_self()->state, FRAME_CACHE_OPEN);
	end_drained();
}

static void free_one(void)
{
	drained_free(held[--held_count]);
}

static unsigned looks;

static bool look_at_parked_caches(void *argument, struct spin_node *all_zones)
{
	(void)argument;
	CHECK(!all_zones);
	looks++;
	CHECK(seen_drain_pressure());
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		check_parked(port_area_of(cpu));
	return true;
}

/* Before any cpu is asked. */
static void expect_pressure(void)
{
	CHECK(seen_drain_pressure());
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		CHECK_EQ(((struct frame_cache *)port_area_of(cpu))->asked, 0);
}

TEST(the_last_look_is_at_parked_caches)
{
	start_drained(3);
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		host_self = &host_cpus[cpu];
		drained_take(1000);
		for (unsigned i = 0; i < 600; i++)
			drained_free(held[--held_count]);
	}
	host_self = &host_cpus[0];
	looks = 0;
	in_fence = expect_pressure;
	CHECK(seen_drained(look_at_parked_caches, NULL, 1, 1));
	CHECK(in_fence == NULL);
	CHECK_EQ(looks, 1);
	CHECK(!seen_drain_pressure());
	end_drained();
}

/* Values read without the lock may be old, and may be of different moments. */
TEST(the_last_look_takes_the_lock_of_each_zone)
{
	start_drained(1);
	drained_take((unsigned)frame_free_count());
	claims = 0;
	CHECK(pfn_is_none(drained_alloc()));
	CHECK_EQ(claims, zones.count);
	end_drained();
}

/* A handler answers a later request between the look at `asked` and the masked section. */
TEST(an_answer_does_not_go_back)
{
	struct frame_cache *cache;

	start_drained(1);
	cache = frame_cache_self();
	drained_take(10);
	cache->asked = ++drain.requests;
	asks_early = true;
	sections = 0;
	due = 1;
	while (seen_drain_answer())
		;
	CHECK(sections >= 1);
	due = 0;
	CHECK_EQ(cache->answered, cache->asked);
	CHECK_EQ(cache->answered, drain.requests);
	end_drained();
}

/*
 * In each of the first `moves` looks one frame goes back into a zone that the look has seen
 * already.
 */
static unsigned moves, looks_at_all;

static bool look_past_a_release(void *argument, struct spin_node *all_zones)
{
	struct frame_word word = {held[0].value & ~UINT64_C(63), UINT64_C(1)
									 << (held[0].value & 63)};
	struct zone *zone = zone_of(held[0].value);

	(void)argument;
	note_order(all_zones ? 'L' : 'l');
	if (all_zones) {
		looks_at_all++;
		return false;
	}
	if (looks++ >= moves)
		return true;
	zone->state[held[0].value - zone->first] = FRAME_STATE_FREE;
	zone_give(zone, &word, 1, 1);
	held[0] = held[--held_count];
	return false;
}

TEST(a_release_during_the_look_is_looked_for)
{
	start_drained(1);
	drained_take(10);
	looks = looks_at_all = 0;
	moves = 1;
	CHECK(seen_drained(look_past_a_release, NULL, 1, 1));
	CHECK_EQ(looks, 2);
	CHECK_EQ(looks_at_all, 0);
	end_drained();
}

/*
 * (a), (c), (d) and (f) in drain.c: a full fence before a ticket; and between a sum of releases and
 * the look behind it. No run on a host with total store order shows that one is missing.
 */
static void check_fences(unsigned looks_wanted, uint64_t count)
{
	unsigned found = 0;

	start_drained(1);
	drained_take(100);
	looks = looks_at_all = order_length = 0;
	moves = looks_wanted == 2 ? 1 : UINT32_MAX;
	(void)seen_drained(look_past_a_release, NULL, count, 1);
	CHECK(!strncmp(order, "ft",
		       2)); /* pressure and openings, then the ticket and what is looked at */
	for (unsigned i = 2; i < order_length; i++) {
		if (order[i] == 'f' || order[i] == 'r')
			continue;
		CHECK(order[i - 2] == 'r' && order[i - 1] == 'f');
		found++;
	}
	CHECK_EQ(found, looks_wanted);
	end_drained();
}

TEST(a_full_fence_stands_before_a_ticket_and_before_each_look)
{
	check_fences(2, 1);
	check_fences(LOOKS_APART + 1, 1);
	check_fences(1, 4);
}

/* Other cpus may go on like that for ever; the requester may not. */
TEST(a_look_that_never_comes_to_rest_has_a_bound)
{
	start_drained(1);
	drained_take(100);
	looks = looks_at_all = 0;
	moves = UINT32_MAX;
	CHECK(!seen_drained(look_past_a_release, NULL, 1, 1));
	CHECK_EQ(looks, LOOKS_APART);
	CHECK_EQ(looks_at_all, 1);
	end_drained();
}

/* All zones' locks at once, for the only free frame, in whichever zone. */
TEST(a_frame_of_any_zone_is_found_under_all_locks)
{
	for (unsigned from = 0; from < 2; from++) {
		struct zone *zone;
		uint64_t frame = 0;

		start_drained(1);
		drained_take((unsigned)frame_free_count());
		for (unsigned i = 0; i < held_count; i++) {
			if (zone_holds(&zones.zone[from], held[i].value)) {
				struct frame_word word = {held[i].value & ~UINT64_C(63),
							  UINT64_C(1) << (held[i].value & 63)};

				zone_give(&zones.zone[from], &word, 1, 1);
				all_are_locked = true;
				zone = zones_claim_one_masked(frame_cache_self()->work->nodes,
							      &frame);
				CHECK(zone == &zones.zone[from] && frame == held[i].value);
				break;
			}
		}
		CHECK(frame != 0);
		CHECK(!zones_claim_one_masked(frame_cache_self()->work->nodes, &frame));
		all_are_locked = false;
		CHECK(!spin_locked_relaxed(&zones.zone[0].lock));
		end_drained();
	}
}

/* A CPU that found no frame does not ask again until a frame has been freed, wherever it went. */
TEST(a_request_is_not_repeated_while_nothing_was_freed)
{
	struct frame_cache *cache;
	uint64_t drains;

	start_drained(1);
	cache = frame_cache_self();
	drained_take((unsigned)frame_free_count());
	CHECK(pfn_is_none(drained_alloc()));
	drains = cache->stats.drains;
	for (unsigned i = 0; i < 100; i++)
		CHECK(pfn_is_none(drained_alloc()));
	CHECK_EQ(cache->stats.drains, drains);
	free_one(); /* opens the cache, and is in it */
	CHECK(frame_cache_level(cache) > 0);
	drained_take(1);
	CHECK(pfn_is_none(drained_alloc()));
	CHECK_EQ(cache->stats.drains, drains + 1);
	end_drained();
}

static bool look_for_a_run(void *argument, struct spin_node *all_zones)
{
	(void)argument;
	CHECK(!all_zones);
	CHECK(!seen_drain_pressure());
	looks++;
	return false;
}

/* It counts for what is harder to find than what was noted, and for nothing easier. */
TEST(a_note_is_for_what_is_as_hard_to_find)
{
	struct frame_cache *cache;
	uint64_t drains;

	start_drained(1);
	cache = frame_cache_self();
	drains = cache->stats.drains;
	looks = 0;
	CHECK(!seen_drained(look_for_a_run, NULL, 20000, 4));
	CHECK(!seen_drained(look_for_a_run, NULL, 20000, 4));
	CHECK(!seen_drained(look_for_a_run, NULL, 20001, 8)); /* harder */
	CHECK_EQ(looks, 1);
	moves = looks = 0;
	CHECK(seen_drained(look_past_a_release, NULL, 20000, 2)); /* less aligned */
	CHECK(seen_drained(look_past_a_release, NULL, 19999, 4)); /* shorter */
	CHECK_EQ(cache->stats.drains, drains + 3);
	CHECK_EQ(looks, 2);
	end_drained();
}

/* Freed after the count of openings was read, and before the request ended. */
TEST(what_is_freed_during_a_request_is_not_missed_by_its_note)
{
	start_drained(1);
	drained_take((unsigned)frame_free_count());
	in_fence = free_one;
	(void)seen_drained(look_past_a_release, NULL, 1, 1);
	drained_take(1);
	end_drained();
}

TEST(a_cpu_that_goes_leaves_nothing_and_comes_back_parked)
{
	struct frame_cache *cache;
	unsigned long flags;

	start_drained(1);
	cache = frame_cache_self();
	drained_take(10);
	CHECK(frame_cache_level(cache) > 0);
	flags = port_irq_save();
	seen_cache_offline();
	CHECK_EQ(frame_cache_level(cache), 0);
	CHECK(!cache->online);
	port_irq_restore(flags);
	cache->asked = ++drain.requests; /* while it was away */
	seen_cache_online();
	CHECK(cache->online);
	check_parked(cache);
	CHECK_EQ(cache->answered, cache->asked);
	end_drained();
}

/* ---- several cpus that ask --------------------------------------------------------------- */

static struct frame_cache *become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
	return frame_cache_self();
}

static void all_answer(void)
{
	for (unsigned cpu = port_cpu_count(); cpu-- > 0;) {
		become(cpu);
		while (seen_drain_answer())
			;
	}
}

static void cpu_1_asks(void)
{
	become(1);
	seen_drain_ask();
	become(0);
}

/*
 * The first ticket reaches a cpu after the second one, or while it does; it must answer the second.
 */
static void overtake(void (**where)(void))
{
	const struct frame_cache *cache;

	start_drained(3);
	cache = port_area_of(2);
	ipis_are_lost = true;
	*where = cpu_1_asks;
	seen_drain_ask();
	CHECK(*where == NULL);
	CHECK_EQ(cache->asked, drain.requests);
	all_answer();
	CHECK_EQ(cache->answered, drain.requests);
	end_drained();
}

TEST(a_later_ticket_is_not_taken_back)
{
	overtake(&in_fence);
	overtake(&behind_load);
}

/*
 * A handler of the same cpu answers a later request than the request that this cpu has just read.
 */
static void a_later_ticket_is_answered(void)
{
	struct frame_cache *cache = frame_cache_self();

	cache->asked = ++drain.requests;
	while (seen_drain_answer())
		;
	CHECK_EQ(cache->answered, cache->asked);
}

static void cpu_0_answers(void)
{
	become(0);
	while (seen_drain_answer())
		;
	become(1);
}

TEST(an_answer_of_a_cpu_that_waits_does_not_go_back)
{
	struct frame_cache *cache;

	start_drained(2);
	drained_take(1);
	cache = become(1);
	drained_take(1);
	cache->asked = ++drain.requests;
	ipis_are_lost = true;
	behind_load = a_later_ticket_is_answered;
	host_on_relax = cpu_0_answers;
	CHECK(seen_drained(look_at_parked_caches, NULL, 1, 1));
	host_on_relax = NULL;
	CHECK(behind_load == NULL);
	CHECK_EQ(cache->answered, cache->asked);
	end_drained();
}

/* Others may wait for an answer to a ticket that it has given, and not yet announced. */
static void expect_asking(void)
{
	CHECK(seen_drain_is_asking());
}

TEST(a_cpu_that_asks_early_may_not_go_off_line)
{
	start_drained(2);
	in_fence = in_ipi = expect_asking;
	seen_drain_ask();
	CHECK(in_fence == NULL && in_ipi == NULL);
	CHECK(!seen_drain_is_asking());
	end_drained();
}

TEST(tickets_go_on_beyond_32_bits)
{
	start_drained(2);
	drain.requests = UINT32_MAX - 1;
	for (unsigned i = 0; i < 4; i++) {
		become(1);
		drained_take(1);
		become(0);
		CHECK(seen_drained(look_at_parked_caches, NULL, 1, 1));
	}
	CHECK(drain.requests > UINT32_MAX);
	end_drained();
}

/* It has begun to answer, has frames yet, and must be asked for them. */
TEST(a_cache_that_is_closing_is_asked_and_waited_for)
{
	struct frame_cache *cache;

	start_drained(2);
	cache = become(1);
	drained_take(1);
	CHECK(seen_cache_park_step(cache));
	CHECK_EQ(cache->state, FRAME_CACHE_CLOSING);
	CHECK(frame_cache_level(cache) > 0);
	become(0);
	CHECK(seen_drained(look_at_parked_caches, NULL, 1, 1));
	end_drained();
}

static unsigned waits;

static void wait_in_vain(void)
{
	CHECK(++waits < 1000);
}

/* A cpu that was parked when the others were asked frees a frame before they have all answered. */
static void cpu_1_opens(void)
{
	become(1);
	drained_free(held[--held_count]);
	CHECK_EQ(frame_cache_level(frame_cache_self()), 1);
	become(0);
}

/* It was not asked, so nothing may wait for it; and what it has is not missed the next time. */
TEST(a_cache_that_opens_during_a_request_for_a_run)
{
	start_drained(3);
	drained_take(10);
	while (seen_cache_park_step(become(1)))
		;
	become(0);
	host_on_relax = wait_in_vain;
	looks = waits = 0;
	in_ipi = cpu_1_opens;
	CHECK(!seen_drained(look_for_a_run, NULL, 2, 1));
	CHECK(in_ipi == NULL);
	CHECK(!seen_drained(look_for_a_run, NULL, 2, 1));
	CHECK_EQ(looks, 2);
	CHECK(!seen_drained(look_for_a_run, NULL, 2, 1));
	CHECK_EQ(looks, 2); /* nothing since */
	host_on_relax = NULL;
	end_drained();
}

/*
 * A frame that is freed during the only look, where it has already looked, is found the next time.
 */
TEST(a_release_during_the_look_for_a_run_is_not_missed_by_its_note)
{
	start_drained(1);
	drained_take(10);
	looks = 0;
	moves = UINT32_MAX;
	CHECK(!seen_drained(look_past_a_release, NULL, 4, 1));
	CHECK(!seen_drained(look_past_a_release, NULL, 4, 1));
	CHECK_EQ(looks, 2);
	end_drained();
}

/* ---- handlers, and holds that were waited for --------------------------------------------- */

/*
 * Home is empty and so is the stack. A handler gets a frame of another zone, past the cache (C2).
 */
TEST(a_handler_does_not_change_the_zone_of_the_cache)
{
	const struct zone *home = NULL;
	struct frame_cache *cache;

	start_drained(1);
	cache = frame_cache_self();
	home = &zones.zone[cache->home];
	while (zone_free_frames(home) || frame_cache_level(cache))
		drained_take(1);
	CHECK(cache->zone == home);
	host_self->in_trap = true;
	drained_take(1);
	host_self->in_trap = false;
	CHECK(!zone_holds(home, held[held_count - 1].value));
	CHECK(cache->zone == home);
	end_drained();
}

/* The last free frames are on their way home to a zone, which is not the cache's. */
TEST(frames_on_their_way_home_are_taken_back)
{
	struct frame_cache *cache;
	unsigned others = 0;

	start_drained(1);
	cache = frame_cache_self();
	drained_take((unsigned)frame_free_count());
	for (unsigned i = held_count; i-- > 0 && others < 5;) {
		pfn_t frame = held[i];

		if (zone_holds(cache->zone, frame.value))
			continue;
		held[i] = held[--held_count];
		seen_cache_free_elsewhere(frame.value);
		others++;
	}
	CHECK_EQ(cache->remote_frames, 5);
	drained_take(5);
	CHECK_EQ(cache->remote_frames, 0);
	CHECK_EQ(cache->stats.drains, 0);
	end_drained();
}

static void fill_the_stack(void)
{
	for (unsigned i = 0; i < 900; i++)
		drained_free(held[--held_count]);
}

TEST(what_a_handler_leaves_before_a_refill_is_used)
{
	struct frame_cache *cache;
	uint64_t refills;

	start_drained(1);
	cache = frame_cache_self();
	drained_take(5000);
	CHECK_EQ(frame_cache_level(cache), 0);
	refills = cache->stats.refills;
	before_section = fill_the_stack;
	drained_take(1);
	CHECK(before_section == NULL);
	CHECK_EQ(frame_cache_level(cache), 899);
	CHECK_EQ(cache->stats.refills, refills);
	CHECK(cache->top <= cache->limit);
	end_drained();
}

/* A batch of 128: one refill was waited for. Then the stack is filled. */
static struct frame_cache *start_adaptive(void)
{
	struct frame_cache *cache;

	start_drained(1);
	cache = frame_cache_self();
	seen_cache_configure(1000, 0);
	contended = true;
	drained_take(1);
	contended = false;
	CHECK_EQ(cache->batch, 2 * FRAME_CACHE_BATCH);
	drained_take(1000);
	return cache;
}

/* Long without a wait: half of it, on an empty stack, and never less than the least. */
TEST(a_calm_batch_is_halved_down_to_its_least)
{
	struct frame_cache *cache = start_adaptive();

	for (unsigned i = 0; i < 3; i++) {
		while (frame_cache_level(cache))
			drained_take(1);
		cache->uncontended_streak = UNCONTENDED_HOLDS;
		drained_take(1);
		CHECK_EQ(cache->batch, FRAME_CACHE_BATCH);
		CHECK_EQ(cache->limit - cache->bottom, 2 * FRAME_CACHE_BATCH + FRAME_CACHE_SURPLUS);
	}
	end_drained();
}

/*
 * The batch grows in the hold of a flush, which moves the stack; the flush then moves its bottom.
 */
TEST(a_flush_that_was_waited_for_loses_no_frame)
{
	struct frame_cache *cache = start_adaptive();
	uint64_t flushes;

	while (cache->stats.flushes < 2)
		drained_free(held[--held_count]);
	CHECK(cache->bottom > cache->base);
	flushes = cache->stats.flushes;
	contended = true;
	while (cache->stats.flushes == flushes)
		drained_free(held[--held_count]);
	contended = false;
	CHECK_EQ(cache->batch, 4 * FRAME_CACHE_BATCH);
	frame_cache_validate(cache);
	end_drained();
}

/* Even if the lock was contended meanwhile: from the first step on the cache has no room. */
TEST(a_cache_that_is_closing_does_not_grow)
{
	struct frame_cache *cache = start_adaptive();

	while (cache->top != cache->limit)
		drained_free(held[--held_count]);
	CHECK(frame_cache_level(cache) > FRAME_CACHE_STEP);
	contended = true;
	CHECK(seen_cache_park_step(cache));
	CHECK(cache->limit == cache->top);
	CHECK_EQ(cache->batch, 2 * FRAME_CACHE_BATCH);
	while (seen_cache_park_step(cache))
		;
	contended = false;
	check_parked(cache);
	end_drained();
}
