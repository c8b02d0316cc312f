/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drain.h - requests to other CPUs for the frames in their caches, so that no free frame is out of
 * reach. The protocol, its argument and its fences are at the top of drain.c.
 *
 * Called by: the frame allocator, where no zone has what it needs; the zones' side, when a zone
 * falls below its low mark; and the port, when an IPI arrives or a CPU waits with interrupts
 * masked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/platform.h"

struct zone;

/*
 * For a CPU that has found no zone with what it needs: has all CPUs that are on line empty their
 * caches, waits until they have, and looks into the zones again, in its own order. They return the
 * zone from which *frame, or the run that begins at *first, was claimed; or NULL.
 *
 * For a single frame the answer is exact: caches stay shut until it is known, and NULL means that
 * at some instant during the call no zone and no cache had a frame. For a run the zones are looked
 * at once.
 *
 * A request that would repeat this CPU's last failed one returns NULL at once, as long as no zone
 * has been given a frame and no parked cache has been opened since.
 *
 * Waits for other CPUs: any context in which no other CPU waits for the caller without answering
 * (docs/porting.md). Interrupts may be masked; the caller answers requests of other CPUs meanwhile.
 */
struct zone *frame_drained_one(uint64_t *frame);
struct zone *frame_drained_run(uint64_t count, uint64_t align, uint64_t *first);

/*
 * Ask other CPUs to empty their caches, and do not wait: frame_drain_ask() all of them,
 * frame_drain_low() those that seem to have frames of a zone that has fallen below its low mark.
 * Any context, no zone's lock held. One IPI call for each 64 CPUs.
 */
void frame_drain_ask(void);
void frame_drain_low(struct zone *zone);

/*
 * For a CPU that gets an IPI of port_ipi_send(), or waits with interrupts masked, outside every
 * zone's lock: one step of what it is asked for, at most FRAME_CACHE_STEP frames in one hold of a
 * zone's lock with interrupts masked. True: there is more; call again, and let interrupts in
 * between if you can. Two loads if nothing is asked.
 */
bool frame_drain_answer(void);

/* For each turn of a loop in which a CPU waits for another one with interrupts masked. */
static inline void frame_relax(void)
{
	frame_drain_answer();
	port_relax();
}

/*
 * Sets each zone's low mark, in frames. The CPU whose claim takes a zone below the mark asks other
 * CPUs for their frames (frame_drain_low), before any CPU has to wait for them. 0: no mark.
 * FRAME_LOW_DEFAULT: one batch for each CPU, at most a sixteenth of the zone. On one CPU, while no
 * other allocates.
 */
#define FRAME_LOW_DEFAULT UINT64_MAX
void frame_drain_set_low(uint64_t frames);

/*
 * Waits until all CPUs have answered what they were asked so far. From then on no frame moves as
 * long as no CPU calls the allocator. Any context, no lock held.
 */
void frame_drain_settle(void);

/* True while at least one CPU needs a single frame and has found none. Relaxed. */
bool frame_drain_pressure(void);

/*
 * True if this CPU waits for its own request. A trap handler must not take the CPU off line then.
 */
bool frame_drain_is_asking(void);

/* For cache.c: counts that a parked cache opens. Before the stack gets room. */
void frame_drain_count_opening(void);

/*
 * This CPU takes part in requests from here on, with an empty, parked cache; or no longer, and all
 * its frames are back in their zones. Offline: with interrupts masked until the CPU stops. Both
 * panic where that is not possible: frames in the cache, or an open request of this CPU.
 */
void frame_cache_online(void);
void frame_cache_offline(void);
