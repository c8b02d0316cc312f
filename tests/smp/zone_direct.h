/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone_direct.h - for tests: frames from and to one zone, past the caches. On any cpu. If a claim
 * crosses the low mark, frames are asked for as the caches do. What framedebug= has noted of them is
 * forgotten.
 */
#pragma once

#include "mm/frame_debug.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"

static inline unsigned zone_take(struct zone *zone, unsigned min, unsigned max,
				 struct frame_word *words, unsigned *taken)
{
	struct policy_plan plan;
	struct zone_hold hold;
	unsigned long flags;
	unsigned count;

	zone_plan_claim(zone, min, max, words, &plan);
	flags = port_irq_save();
	count = zone_claim_masked(zone, min, max, &plan, words, taken, &hold);
	port_irq_restore(flags);
	for (unsigned i = 0; frame_debug_chosen && i < count; i++)
		for (uint64_t bits = words[i].bits; bits; bits &= bits - 1)
			frame_debug_forget(words[i].first + (unsigned)__builtin_ctzll(bits));
	if (hold.low)
		frame_drain_low(zone);
	return count;
}

static inline bool zone_take_one(struct zone *zone, uint64_t *frame)
{
	unsigned long flags = port_irq_save();
	struct zone_hold hold;
	bool taken = zone_claim_one_masked(zone, frame, &hold);

	port_irq_restore(flags);
	if (taken && frame_debug_chosen)
		frame_debug_forget(*frame);
	if (hold.low)
		frame_drain_low(zone);
	return taken;
}

static inline void zone_give(struct zone *zone, const struct frame_word *words, unsigned count,
			     unsigned frames)
{
	struct policy_plan plan;
	struct zone_hold hold;
	unsigned long flags;

	zone_plan_release(zone, words, count, &plan);
	flags = port_irq_save();
	zone_release_masked(zone, &plan, words, count, frames, &hold);
	port_irq_restore(flags);
}
