/*
 * test_museum_mm.c - mistakes in mm/ that no other test has an eye for; see tests/mutants/.
 *
 * Some need a trap handler in the middle of a refill or a flush. A policy plans without the
 * zone's lock, so a policy whose planning calls us is such a moment, always the same one.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "unit.h"

/* The tree itself, under another name, so that a test can see a word as another cpu leaves it. */
#define segment_tree_policy seen_tree_policy
#include "mm/global/segment_tree.c"
#undef segment_tree_policy
extern const struct policy segment_tree_policy;

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

static void seen_lock(struct spinlock *lock, struct spin_node *node)
{
	CHECK(irq_masked);
	spin_lock(lock, node);
}

static void seen_unlock(struct spinlock *lock, struct spin_node *node)
{
	CHECK(irq_masked);
	spin_unlock(lock, node);
}

struct seen_zones {
	struct zone *zone;
	unsigned count;
};

#define port_irq_save	     seen_irq_save
#define port_irq_restore     seen_irq_restore
#define spin_lock	     seen_lock
#define spin_unlock	     seen_unlock
#define zones		     seen_zones
#define zone_metadata_frames seen_zone_metadata_frames
#define zone_init	     seen_zone_init
#define zone_claim	     seen_zone_claim
#define zone_release	     seen_zone_release
#define zone_claim_run	     seen_zone_claim_run
#define zone_release_run     seen_zone_release_run
#define zone_largest	     seen_zone_largest
#define zone_of		     seen_zone_of
#define zone_validate	     seen_zone_validate
#define round_up_64	     seen_round_up_64
#include "mm/global/zone.c"
#undef port_irq_save
#undef port_irq_restore
#undef spin_lock
#undef spin_unlock
#undef zones
#undef zone_metadata_frames
#undef zone_init
#undef zone_claim
#undef zone_release
#undef zone_claim_run
#undef zone_release_run
#undef zone_largest
#undef zone_of
#undef zone_validate
#undef round_up_64

static const struct claim_plan no_plan;

/* ---- the tree ---------------------------------------------------------------------------- */

static struct segment_tree *start_tree(uint64_t first, uint64_t count)
{
	static _Alignas(64) char memory[8192];

	CHECK(tree_metadata_bytes(first, count) <= sizeof(memory));
	return tree_init(memory, first, count);
}

TEST(a_plan_that_has_enough_takes_no_word_more)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct claim_plan plan = {.words = 0};
	struct segment_tree *tree = start_tree(0x80000, 4096);
	unsigned taken;

	tree_release_run(tree, 0x80000, 4096);
	tree_plan(tree, 64, words, &plan);
	CHECK_EQ(plan.words, 1);
	CHECK_EQ(tree_claim(tree, 64, 127, &plan, words, &taken), 1);
	CHECK_EQ(taken, 64);
	CHECK_EQ(tree_validate(tree), 4096 - 64);
}

/* Another cpu took the word after the summary was read: both looks of the planner, one moment. */
TEST(a_word_emptied_since_the_summary_was_read_is_not_planned)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct claim_plan plan = {.words = 0};
	struct segment_tree *tree = start_tree(0x80000, 4096);

	tree_release_run(tree, 0x80000, 4096);
	tree->frames.level[0][0] = 0;
	tree->frames.level[0][2] = 0;
	tree_plan(tree, 100, words, &plan);
	CHECK_EQ(plan.words, 2);
	CHECK_EQ(words[0].first, 0x80040);
	CHECK_EQ(words[1].first, 0x800c0);
}

/* One frame free already among others that are not, in a word alone and in the second of two. */
TEST(one_frame_of_a_word_freed_twice_is_refused)
{
	struct frame_word words[2] = {{0x80000, 0xff}, {0x80040, 0x3}};
	struct claim_plan plan;
	struct segment_tree *tree = start_tree(0x80000, 4096);

	tree_release_run(tree, 0x80041, 1);
	EXPECT_PANIC(tree_release(tree, &no_plan, &words[1], 1), "freed twice");
	tree_plan_release(tree, words, 2, &plan);
	EXPECT_PANIC(tree_release(tree, &plan, words, 2), "freed twice");
}

/* The last frame of a run, and no other, is free already; wherever in its word it lies. */
TEST(a_run_whose_last_frame_is_free_is_refused)
{
	for (unsigned last = 100; last < 100 + 65; last++) {
		struct segment_tree *tree = start_tree(0x80000, 1024);

		tree_release_run(tree, 0x80000 + last, 1);
		EXPECT_PANIC(tree_release_run(tree, 0x80000 + 90, last - 90 + 1), "freed twice");
		CHECK_EQ(tree_validate(tree), 1);
	}
}

/* S4 for a run that reaches over several groups: the first of them is where to look next. */
TEST(a_run_over_two_groups_is_claimed_from_its_start)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct segment_tree *tree = start_tree(0x80000, 3 * 4096);
	unsigned taken;
	uint64_t first;

	tree_release_run(tree, 0x80000, 3 * 4096);
	CHECK_EQ(tree_claim_run(tree, 2 * 4096, 1, 0, &first), RUN_FOUND);
	CHECK_EQ(tree_claim(tree, 1, 1, &no_plan, words, &taken), 1);
	CHECK_EQ(words[0].first, 0x80000 + 2 * 4096);
	tree_release_run(tree, 0x80000 + 4000, 200);
	CHECK_EQ(tree_validate(tree), 4096 - 1 + 200);
	CHECK_EQ(tree_claim(tree, 1, 1, &no_plan, words, &taken), 1);
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
	unsigned taken, count;
	bool contended;

	irq_masked = masked;
	count = seen_zone_claim(zone, 70, 140, words, &taken, &contended);
	check_left(zone, masked);
	seen_zone_release(zone, words, count, taken, &contended);
	check_left(zone, masked);
	CHECK(!seen_zone_claim_run(zone, total, 1024, &first));
	check_left(zone, masked);
	CHECK(seen_zone_claim_run(zone, total, 1, &first));
	check_left(zone, masked);
	zone->free_frames = 1; /* as one who is about to find nothing sees it */
	CHECK_EQ(seen_zone_claim(zone, 1, 1, words, &taken, &contended), 0);
	zone->free_frames = 0;
	check_left(zone, masked);
	seen_zone_release_run(zone, first, total);
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

static struct policy interrupted;
static void (*in_plan_claim)(void), (*in_plan_release)(void);
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

static void plan_claim(const void *instance, unsigned min, struct frame_word *words,
		       struct claim_plan *plan)
{
	interrupt(&in_plan_claim);
	segment_tree_policy.plan_claim(instance, min, words, plan);
}

static void plan_release(const void *instance, const struct frame_word *words, unsigned count,
			 struct claim_plan *plan)
{
	interrupt(&in_plan_release);
	segment_tree_policy.plan_release(instance, words, count, plan);
}

static void start_frames(uint64_t frames, uint32_t capacity, uint32_t batch)
{
	struct host_machine machine = {
		.policy = &interrupted, .capacity = capacity, .batch = batch};
	struct host_range range = {0x80200, frames, 0};

	interrupted = segment_tree_policy;
	interrupted.plan_claim = plan_claim;
	interrupted.plan_release = plan_release;
	in_plan_claim = in_plan_release = NULL;
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

static void fill_the_stack(void)
{
	give(190);
}

/* What was claimed for a stack that a handler has filled meanwhile goes back to the zone. */
TEST(a_batch_that_finds_the_stack_full_goes_back)
{
	start_frames(8000, 192, 64);
	take(400);
	frame_cache_flush();
	in_plan_claim = fill_the_stack;
	take(1);
	CHECK(in_plan_claim == NULL);
	end_frames();
}

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
	cache->calm = UINT32_MAX / 2;
	held[held_count++] = frame_cache_refill();
	CHECK(cache->top <= cache->limit);
	end_frames();
}

/* Every chunk dirty and none with a run: the search takes several holds, and finds nothing. */
TEST(a_run_searched_in_several_holds_is_counted_once)
{
	unsigned kept = 0;
	uint64_t first;

	start_frames(70000, 192, 64);
	take(69000);
	for (unsigned i = 0; i < 69000; i++)
		if (held[i].value % 2)
			frame_free(held[i]);
		else
			held[kept++] = held[i];
	held_count = kept;
	frame_cache_flush();
	CHECK(!zone_claim_run(&zones.zone[0], 2000, 1, &first));
	CHECK(!spin_locked_relaxed(&zones.zone[0].lock)); /* or what follows would hang */
	end_frames();
}

/*
 * A flush of frames that lie in more words than one hold carries, so that some still lie below
 * the bottom while the others are given back: there the handler comes.
 */
static void flush_lone_frames(void (*handler)(void))
{
	static pfn_t lone[1001];
	unsigned count = 0;

	start_frames(70000, 1000, 500);
	take(69000);
	frame_cache_flush();
	for (unsigned i = 0; i < held_count && count < 1001; i++)
		if (held[i].value % 64 == 7) {
			lone[count++] = held[i];
			held[i] = held[--held_count];
		}
	CHECK_EQ(count, 1001);
	for (unsigned i = 0; i < 1000; i++)
		frame_free(lone[i]);
	in_plan_release = handler;
	frame_free(lone[1000]);
	CHECK(in_plan_release == NULL);
	end_frames();
}

static void free_many(void)
{
	give(5000);
}

TEST(a_flush_within_a_flush_leaves_alone_what_is_detached)
{
	flush_lone_frames(free_many);
}

static void empty_the_stack(void)
{
	take(600);
}

TEST(a_refill_within_a_flush_leaves_alone_what_is_detached)
{
	flush_lone_frames(empty_the_stack);
}
