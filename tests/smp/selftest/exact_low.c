/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact_low.c - a zone that falls below its low mark asks the other cpus for frames exactly once,
 * and again only after it has been above the mark by half.
 *
 * Covers: mm/percpu/drain.c mm/global/zone.c
 */
#include "tests/smp/selftest/exact.h"

#include <stdbool.h>
#include <stdint.h>

#include <port.h>

#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "tests/smp/selftest/exact_memory.h"
#include "tests/smp/selftest/expect.h"
#include "tests/smp/zone_direct.h"

static uint64_t early_drains(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < zones.count; i++)
		sum += zones.zone[i].early_drains;
	return sum;
}

/*
 * Frames taken from one zone past the caches, and a model of its low mark: how often the zone
 * should have asked, and whether it may ask again.
 */
struct ballast {
	struct zone *zone;
	pfn_t newest;
	uint64_t mark, asked;
	bool rearmed;
};

/* The other cpus are at rest. */
static bool any_other_may_hold(const struct zone *zone)
{
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		if (cpu != port_cpu() && frame_cache_may_hold(port_area_of(cpu), zone))
			return true;
	return false;
}

static void take_until(struct ballast *ballast, uint64_t left)
{
	uint64_t frame, before = zone_free_frames(ballast->zone);

	ballast->rearmed |= before >= ballast->mark + ballast->mark / 2;
	if (before >= ballast->mark && left < ballast->mark && ballast->rearmed) {
		ballast->asked += any_other_may_hold(ballast->zone);
		ballast->rearmed = false;
	}
	/*
	 * By count: frames that come back meanwhile stay in the zone, or it would cross the mark
	 * twice.
	 */
	for (; before > left && zone_take_one(ballast->zone, &frame); before--)
		exact_chain(&ballast->newest, pfn(frame));
}

static void give_until(struct ballast *ballast, uint64_t left)
{
	pfn_t frame;

	while (zone_free_frames(ballast->zone) < left && exact_unchain(&ballast->newest, &frame)) {
		struct frame_word word = {frame.value & ~UINT64_C(63),
					  UINT64_C(1) << (frame.value & 63)};

		zone_give(ballast->zone, &word, 1, 1);
	}
	frame_drain_settle(); /* so that the next fall meets no request of this one */
}

static uint64_t cached_elsewhere(void)
{
	return frame_cache_level(port_area_of(settings.cpus - 1));
}

static const char *cross_marks(struct ballast *ballast)
{
	uint64_t before = early_drains(), all = zone_free_frames(ballast->zone);
	bool holds = any_other_may_hold(ballast->zone);

	take_until(ballast, ballast->mark);
	EXPECT(early_drains() == before); /* at the mark is not below it */
	EXPECT(any_other_may_hold(ballast->zone) == holds);
	take_until(ballast, ballast->mark - 1);
	EXPECT(early_drains() == before + ballast->asked);
	EXPECT(ballast->asked == holds);
	frame_drain_settle();
	EXPECT(!holds || cached_elsewhere() == 0);
	take_until(ballast, 0); /* frames that came back may have rearmed the mark */
	EXPECT(early_drains() == before + ballast->asked);
	give_until(ballast, ballast->mark + ballast->mark / 2 - 1);
	take_until(ballast, 0);
	EXPECT(early_drains() == before + ballast->asked);
	give_until(ballast, ballast->mark + ballast->mark / 2);
	take_until(ballast, ballast->mark / 2);
	EXPECT(early_drains() == before + ballast->asked);
	give_until(ballast, all);
	frame_drain_set_low(0);
	ballast->rearmed = false; /* no mark, no crossing */
	take_until(ballast, 0);
	EXPECT(early_drains() == before + ballast->asked);
	return NULL;
}

/*
 * Among the zones whose frames the last cpu has cached (or has not): the zone with the most free
 * frames.
 */
static struct zone *zone_with_most(bool cached)
{
	const struct frame_cache *last = port_area_of(settings.cpus - 1);
	struct zone *most = NULL;

	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];

		if (frame_cache_may_hold(last, zone) == cached &&
		    (!most || zone_free_frames(zone) > zone_free_frames(most)))
			most = zone;
	}
	return most && zone_free_frames(most) >= 4 ? most : NULL;
}

/* No cache has frames of this zone, so it asks no cpu. */
static const char *cross_without_asking(struct zone *zone)
{
	struct ballast ballast = {.zone = zone, .newest = PFN_NONE};
	uint64_t before = early_drains(), cached = cached_elsewhere(), all = zone_free_frames(zone);

	frame_drain_set_low(all / 4);
	take_until(&ballast, 0);
	give_until(&ballast, all);
	frame_drain_set_low(0);
	EXPECT(early_drains() == before);
	EXPECT(cached_elsewhere() == cached);
	return NULL;
}

/* The cache of the last cpu is full meanwhile. */
const char *exact_test_low_mark(void)
{
	struct ballast ballast = {.newest = PFN_NONE, .rearmed = true};
	const char *wrong = NULL;
	struct zone *other;

	exact_begin();
	if (settings.cpus > 1)
		exact_fill_elsewhere();
	other = zone_with_most(false);
	if (other && settings.cpus > 1)
		wrong = cross_without_asking(other);
	ballast.zone = zone_with_most(settings.cpus > 1 && exact_has_caches());
	if (!ballast.zone)
		ballast.zone = other;
	ballast.mark = zone_free_frames(ballast.zone) / 4;
	frame_drain_set_low(ballast.mark);
	if (!wrong)
		wrong = cross_marks(&ballast);
	frame_drain_set_low(0);
	give_until(&ballast, UINT64_MAX);
	if (settings.cpus > 1)
		exact_empty_elsewhere();
	exact_end();
	return wrong;
}
