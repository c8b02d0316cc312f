/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drain.h - asks other cpus for the frames in their caches, so that none is out of reach.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/platform.h"

struct zone;

/*
 * What a cpu does that found no zone to have what it needs: has all cpus that are on line empty their
 * caches, waits until they have, and looks into the zones again, in its own order. They return the zone
 * that *frame, or the run that begins at *first, was claimed from; or NULL.
 *
 * For a single frame the answer is exact: caches stay shut until it is known, and NULL means that at some
 * instant during the call no zone and no cache had a frame. For a run the zones are looked at once.
 *
 * A request for what this cpu did not find before is not repeated, and NULL is returned at once, while no
 * zone has been given a frame and no parked cache has been opened since. Waits for other cpus: any context
 * in which no other cpu waits for the caller without answering (docs/porting.md); interrupts may be
 * masked, requests of others are answered meanwhile.
 */
struct zone *frame_drained_one(uint64_t *frame);
struct zone *frame_drained_run(uint64_t count, uint64_t align, uint64_t *first);

/*
 * Asks the other cpus to empty their caches, and waits for none: all of them, or those that seem to
 * have frames of a zone that has fallen below its low mark. Any context, no zone's lock held.
 */
void frame_drain_ask(void);
void frame_drain_low(struct zone *zone);

/*
 * What a cpu does when it gets an IPI (port_ipi_send), or waits with interrupts masked, outside of
 * every zone's lock: one step of what is asked of it, at most FRAME_CACHE_STEP frames in one hold of a
 * zone's lock with interrupts masked. True: there is more, call again; interrupts may be let in between.
 * Cheap when nothing is asked.
 */
bool frame_drain_answer(void);

/* What a cpu does in each turn of a loop in which it waits for another one with interrupts masked. */
static inline void frame_relax(void)
{
	frame_drain_answer();
	port_relax();
}

/*
 * Sets each zone's low mark: below it, the cpu that took it there asks the others for their frames
 * (frame_drain_low), before any has to wait for them. FRAME_LOW_DEFAULT: what one batch for
 * every cpu takes, at most a sixteenth of the zone; 0: none. On one cpu, while no other allocates.
 */
#define FRAME_LOW_DEFAULT UINT64_MAX
void frame_drain_set_low(uint64_t frames);

/*
 * Waits until all cpus have answered what they were asked so far: from then on, if no cpu does anything,
 * none moves a frame. Any context, no lock held.
 */
void frame_drain_settle(void);

/* At least one cpu needs a single frame at this moment, and has found none. */
bool frame_drain_pressure(void);

/* The calling handler has interrupted a request of this cpu, which may not go off line now. */
bool frame_drain_is_asking(void);

/* For cache.c: a parked cache opens now; before it is given room. */
void frame_drain_count_opening(void);

/*
 * This cpu takes part from here on, with an empty, parked cache; or, with interrupts masked until it
 * stops, no longer: its frames are back in their zones.
 */
void frame_cache_online(void);
void frame_cache_offline(void);
