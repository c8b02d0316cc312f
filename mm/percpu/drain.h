/*
 * drain.h - asks all cpus for the frames in their caches, so that none is out of reach.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Empties and shuts the caches of all cpus that are on line, waits until they have answered, and
 * then calls look(argument), which takes what it wants from the zones and says whether it got it.
 * `exact`: a look that found nothing is repeated until no zone was given a frame meanwhile; so
 * false then means that at some instant during the call no zone, no cache and no batch in flight
 * had a frame. Returns what the last look said. Any context in which no lock is held; interrupts
 * may be masked, requests of others are answered meanwhile.
 */
bool frame_drained(bool (*look)(void *argument), void *argument, bool exact);

/* Asks the others to empty their caches, and waits for nobody. Any context, no lock held. */
void frame_drain_ask(void);

/*
 * What a kicked cpu does (port_kick), outside of every lock: answers all requests so far. Cheap
 * when there is none.
 */
void frame_drain_answer(void);

/*
 * Sets each zone's low mark: below it, the cpu that took it there asks the others for their frames
 * (frame_drain_ask), before anybody has to wait for them. FRAME_LOW_DEFAULT: what one batch for
 * every cpu takes, at most a sixteenth of the zone; 0: none. On one cpu, while nobody allocates.
 */
#define FRAME_LOW_DEFAULT UINT64_MAX
void frame_drain_set_low(uint64_t frames);

/*
 * Waits until all have answered what was asked so far, by those too who did not wait: from then
 * on, if no cpu does anything, none moves a frame. Any context, no lock held.
 */
void frame_drain_settle(void);

/* Somebody is short of frames at this moment. */
bool frame_drain_pressure(void);

/* This cpu is, in an operation that this call has interrupted: it may not go off line now. */
bool frame_drain_is_asking(void);

/*
 * This cpu takes part from here on, with an empty cache; or, with interrupts masked until it
 * stops, no longer: its frames are back in their zones.
 */
void frame_cache_online(void);
void frame_cache_offline(void);
