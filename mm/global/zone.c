/* SPDX-License-Identifier: BSD-2-Clause */
/* zone.c - see zone.h: the lock around the policy, and the zone's metadata. */
#include "mm/global/zone.h"

#include <stdio.h>
#include <string.h>

#include "mm/check.h"
#include "mm/global/bits.h"
#include "mm/global/zone_one.h"
#include "mm/global/zone_run.h"
#include "mm/words.h"
#include "sync/counter_start.h"

struct zones zones;

/*
 * Holds after which a search must have seen the whole zone even if all of it was dirty, twice
 * over; if others kept dirtying it, it is ended in one hold.
 */
static uint64_t run_holds_max(const struct zone *zone)
{
	return 16 + 2 * (zone->total_frames / 512 / ZONE_RUN_STEPS);
}

static size_t round_up_to_line(size_t bytes)
{
	return (bytes + PORT_CACHE_LINE - 1) & ~(size_t)(PORT_CACHE_LINE - 1);
}

/*
 * States of the 64 frames of a word lie in one line: so CPUs that take whole words share no line of
 * states. Before the first state there is room for the frames of its word that are not the zone's.
 * Without checks of callers no state is kept.
 */
static size_t frame_state_bytes(uint64_t first, uint64_t count)
{
	return round_up_to_line(first % FRAMES_PER_WORD + count);
}

/* The frames' and the words' states. Those of words begin with the chunk that `first` is in. */
static size_t state_bytes(uint64_t first, uint64_t count)
{
	if (!CHECKS)
		return 0;
	return frame_state_bytes(first, count) +
	       round_up_to_line((first % 512 + count + FRAMES_PER_WORD - 1) / FRAMES_PER_WORD);
}

static uint64_t frames_for(size_t bytes)
{
	return (bytes + FRAME_SIZE - 1) >> FRAME_SHIFT;
}

static size_t metadata_bytes(uint64_t first, uint64_t count, const struct policy *policy)
{
	return round_up_to_line(policy->metadata_bytes(first, count)) + state_bytes(first, count) +
	       spin_bytes(port_cpu_count()) + wait_matrix_bytes(port_cpu_count());
}

uint64_t zone_metadata_frames(uint64_t first, uint64_t count, const struct policy *policy)
{
	return frames_for(metadata_bytes(first, count, policy));
}

/* Sizes are of the whole range, metadata frames included: they have a state too. */
bool zone_init(struct zone *zone, unsigned number, unsigned node, uint64_t first, uint64_t count,
	       const struct policy *policy, enum spin_kind lock_kind)
{
	uint64_t reserved = zone_metadata_frames(first, count, policy);
	char *memory = port_phys_pointer(first << FRAME_SHIFT), *states, *locks;

	check(count <= ZONE_FRAMES_MAX, "zone_init: %llu frames in one zone, at most %llu",
	      (unsigned long long)count, (unsigned long long)ZONE_FRAMES_MAX);
	if (reserved >= count)
		return false;
	memset(zone, 0, sizeof(*zone));
	zone->first = first;
	zone->total_frames = count;
	zone->reserved_frames = reserved;
	zone->policy = policy;
	zone->number = number;
	zone->node = node;
	zone->releases = COUNTER_START_64;
	zone->policy_bytes = policy->metadata_bytes(first, count);
	zone->state_bytes = state_bytes(first, count);
	zone->lock_bytes = spin_bytes(port_cpu_count());
	snprintf(zone->name, sizeof(zone->name), "zone%u", number);

	zone->instance = policy->init(memory, first, count);
	states = memory + round_up_to_line(zone->policy_bytes);
	if (CHECKS) {
		memset(states, FRAME_STATE_FREE, zone->state_bytes);
		zone->state = (uint8_t *)states + first % FRAMES_PER_WORD;
		zone->word_state_bias = (uintptr_t)states + frame_state_bytes(first, count) -
					first / 512 * (512 / FRAMES_PER_WORD);
		memset(zone->state, FRAME_STATE_RESERVED, reserved);
	}
	locks = states + zone->state_bytes;
	spin_init(&zone->lock, zone->name, lock_kind, port_cpu_count(), locks);
	wait_matrix_start(&zone->lock, locks + zone->lock_bytes);
	policy->release_run(zone->instance, first + reserved, count - reserved);
	zone->free_frames = count - reserved;
	return true;
}

void zone_set_low(struct zone *zone, uint64_t frames)
{
	uint64_t most = (zone->total_frames - zone->reserved_frames) / 2;

	zone->low = frames < most ? frames : most;
	zone->low_rearm = zone->low + zone->low / 2;
	zone->low_notified = 0;
}

/*
 * Each step between two levels is one claim's, so a mark is crossed by one cpu, whatever others
 * claim. True: this claim has crossed it, and no other has since the zone had recovered.
 */
__attribute__((noinline)) bool zone_crosses_low(struct zone *zone, uint64_t before, uint64_t left)
{
	if (before >= zone->low_rearm)
		ck_pr_store_32(&zone->low_notified, 0);
	return before >= zone->low && left < zone->low && ck_pr_fas_32(&zone->low_notified, 1) == 0;
}

void zone_plan_claim(const struct zone *zone, unsigned min, unsigned max, struct frame_word *words,
		     struct policy_plan *plan)
{
	plan->words = 0;
	plan->ordinary = false;
	if (max >= min + FRAMES_PER_WORD - 1 && zone->policy->plan_claim)
		zone->policy->plan_claim(zone->instance, min, words, plan);
}

unsigned zone_claim_masked(struct zone *zone, unsigned min, unsigned max,
			   const struct policy_plan *plan, struct frame_word *words,
			   unsigned *taken, struct zone_hold *hold)
{
	struct spin_node node;
	uint64_t before, left;
	unsigned count;

	spin_lock(&zone->lock, &node);
	before = zone->free_frames;
	count = zone->policy->claim(zone->instance, min, max, plan, words, taken);
	left = before - *taken;
	counter_set(&zone->free_frames, left);
	spin_unlock(&zone->lock, &node);
	hold->contended = node.contended;
	hold->low = false;
	if (__builtin_expect(left < zone->low_rearm, 0))
		hold->low = zone_crosses_low(zone, before, left);
	return count;
}

/* One frame, or one word of them, is not worth a plan. */
static const struct policy_plan no_plan;

bool zone_claim_one_masked(struct zone *zone, uint64_t *frame, struct zone_hold *hold)
{
	struct frame_word word;
	unsigned taken = 0;

	if (!zone_claim_masked(zone, 1, 1, &no_plan, &word, &taken, hold))
		return false;
	assert(word.bits);
	*frame = word.first + bits_lowest(word.bits);
	return true;
}

bool zone_claim_one_found_held(struct zone *zone, uint64_t *frame, struct zone_hold *hold)
{
	struct spin_node node;
	uint64_t before;

	spin_lock_found_held(&zone->lock, &node);
	*frame = zone_one_take(zone, &before);
	if (*frame != FRAME_WORD_NONE)
		counter_set(&zone->free_frames, before - 1);
	spin_unlock(&zone->lock, &node);
	hold->contended = true;
	hold->low = *frame != FRAME_WORD_NONE && zone_crosses_low(zone, before, before - 1);
	return *frame != FRAME_WORD_NONE;
}

void zone_release_one_found_held(struct zone *zone, uint64_t frame)
{
	struct spin_node node;

	spin_lock_found_held(&zone->lock, &node);
	zone_one_give(zone, frame);
	spin_unlock(&zone->lock, &node);
}

struct zone *zones_claim_one_masked(struct spin_node *nodes, uint64_t *frame)
{
	struct zone *found = NULL;
	struct frame_word word;
	unsigned taken = 0;

	for (unsigned i = 0; i < zones.count; i++)
		spin_lock(&zones.zone[i].lock, &nodes[i]);
	for (unsigned i = 0; i < zones.count && !found; i++) {
		struct zone *zone = &zones.zone[i];

		if (!zone->policy->claim(zone->instance, 1, 1, &no_plan, &word, &taken))
			continue;
		counter_set(&zone->free_frames, zone->free_frames - 1);
		*frame = word.first + bits_lowest(word.bits);
		found = zone;
	}
	for (unsigned i = zones.count; i-- > 0;)
		spin_unlock(&zones.zone[i].lock, &nodes[i]);
	return found;
}

void zone_plan_release(const struct zone *zone, const struct frame_word *words, unsigned count,
		       struct policy_plan *plan)
{
	plan->ordinary = false;
	if (count > 2 && zone->policy->plan_release)
		zone->policy->plan_release(zone->instance, words, count, plan);
}

/* Counted as a release with what it released, under one hold: a request looks for both (drain.c). */
void zone_release_masked(struct zone *zone, const struct policy_plan *plan,
			 const struct frame_word *words, unsigned count, unsigned frames,
			 struct zone_hold *hold)
{
	struct spin_node node;

	spin_lock(&zone->lock, &node);
	zone->policy->release(zone->instance, plan, words, count);
	counter_set(&zone->free_frames, zone->free_frames + frames);
	counter_add(&zone->releases, 1);
	spin_unlock(&zone->lock, &node);
	hold->contended = node.contended;
	hold->low = false;
}

static inline void lock_run(struct zone *zone, struct spin_node *node, bool found_held)
{
	if (found_held)
		spin_lock_found_held(&zone->lock, node);
	else
		spin_lock(&zone->lock, node);
}

/* found_held: of the first hold. */
static inline __attribute__((always_inline)) bool claim_run(struct zone *zone, uint64_t count,
							    uint64_t align, uint64_t *first,
							    bool *low, bool found_held)
{
	enum run_result result = RUN_AGAIN;

	*low = false;
	if ((count > 1 && !zone->policy->has_runs) || (align > 1 && !zone->policy->aligns_runs))
		return false;
	for (uint64_t holds = 0; result == RUN_AGAIN; holds++) {
		struct spin_node node;
		unsigned long flags;
		uint64_t before;

		/*
		 * Not before the lock: a last look (drain.c) may not rest on what is read without.
		 */
		flags = port_irq_save();
		lock_run(zone, &node, found_held && !holds);
		before = zone->free_frames;
		result = before < count
				 ? RUN_NONE
				 : zone->policy->claim_run(
					   zone->instance, count, align,
					   holds < run_holds_max(zone) ? ZONE_RUN_STEPS : 0, first);
		if (result == RUN_FOUND)
			counter_set(&zone->free_frames, before - count);
		spin_unlock(&zone->lock, &node);
		port_irq_restore(flags);
		if (result == RUN_FOUND && before - count < zone->low_rearm)
			*low = zone_crosses_low(zone, before, before - count);
	}
	return result == RUN_FOUND;
}

bool zone_claim_run(struct zone *zone, uint64_t count, uint64_t align, uint64_t *first, bool *low)
{
	return claim_run(zone, count, align, first, low, false);
}

bool zone_claim_run_found_held(struct zone *zone, uint64_t count, uint64_t align, uint64_t *first,
			       bool *low)
{
	return claim_run(zone, count, align, first, low, true);
}

static inline __attribute__((always_inline)) void release_run(struct zone *zone, uint64_t first,
							      uint64_t count, bool found_held)
{
	struct spin_node node;
	unsigned long flags = port_irq_save();

	lock_run(zone, &node, found_held);
	zone->policy->release_run(zone->instance, first, count);
	counter_set(&zone->free_frames, zone->free_frames + count);
	counter_add(&zone->releases, 1);
	spin_unlock(&zone->lock, &node);
	port_irq_restore(flags);
}

void zone_release_run(struct zone *zone, uint64_t first, uint64_t count)
{
	release_run(zone, first, count, false);
}

void zone_release_run_found_held(struct zone *zone, uint64_t first, uint64_t count)
{
	release_run(zone, first, count, true);
}

unsigned zone_largest(void)
{
	unsigned largest = 0;

	for (unsigned i = 1; i < zones.count; i++)
		if (zones.zone[i].total_frames > zones.zone[largest].total_frames)
			largest = i;
	return largest;
}

struct zone *zone_of(uint64_t pfn)
{
	unsigned low = 0, high = zones.count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		struct zone *zone = &zones.zone[middle];

		if (zone_holds(zone, pfn))
			return zone;
		if (pfn < zone->first)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void zone_validate(struct zone *zone)
{
	uint64_t free = zone->policy->validate(zone->instance);

	check(free == zone->free_frames,
	      "%s: the policy holds %llu free frames, the zone counts %llu", zone->name,
	      (unsigned long long)free, (unsigned long long)zone->free_frames);
	for (uint64_t i = 0; CHECKS && i < zone->reserved_frames; i++)
		check(zone->state[i] == FRAME_STATE_RESERVED,
		      "%s: metadata frame %#llx has state %#x, expected reserved", zone->name,
		      (unsigned long long)(zone->first + i), zone->state[i]);
}
