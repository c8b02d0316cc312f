/* frame.c - see frame.h: runs, the functions behind the inline ones, and the ledger. */
#include "mm/frame.h"

#include <string.h>

#include "mm/global/zone.h"
#include "mm/words.h"

void frame_zero(pfn_t frame)
{
	words_fill(frame_bytes(frame), 0, FRAME_SIZE / sizeof(uint64_t));
}

static void mark_run(struct zone *zone, uint64_t first, uint64_t count)
{
#if CHECKS
	uint8_t *state = &zone->state[first - zone->first];

	state[0] = FRAME_STATE_RUN_HEAD;
	memset(state + 1, FRAME_STATE_RUN_BODY, count - 1);
#else
	(void)zone;
	(void)first;
	(void)count;
#endif
}

static bool claim_run_anywhere(uint64_t count, uint64_t align, uint64_t *first)
{
	unsigned home = frame_cache_self()->home;

	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[(home + i) % zones.count];

		if (zone_claim_run(zone, count, align, first)) {
			mark_run(zone, *first, count);
			return true;
		}
	}
	return false;
}

/* What this cpu has cached may be just what the run lacks, so it is given back for a second try. */
pfn_t frame_alloc_run(uint64_t count, uint64_t align)
{
	uint64_t first;

	if (align == 0)
		align = 1;
	check(count > 0, "frame_alloc_run: 0 frames, called from [<%p>]",
	      __builtin_return_address(0));
	check((align & (align - 1)) == 0,
	      "frame_alloc_run: align %llu is not a power of two, called from [<%p>]",
	      (unsigned long long)align, __builtin_return_address(0));
	if (claim_run_anywhere(count, align, &first))
		return pfn(first);
	frame_cache_flush();
	if (claim_run_anywhere(count, align, &first))
		return pfn(first);
	return PFN_NONE;
}

static void unmark_run(struct zone *zone, uint64_t first, uint64_t count, const void *caller)
{
#if CHECKS
	uint8_t *state = &zone->state[first - zone->first];
	uint64_t end = first + count;

	check(state[0] != FRAME_STATE_FREE,
	      "frame_free_run: run %#llx is freed twice: its state is free, called from [<%p>]",
	      (unsigned long long)first, caller);
	check(state[0] == FRAME_STATE_RUN_HEAD,
	      "frame_free_run: frame %#llx has state %#x, expected the head of a run, called from "
	      "[<%p>]",
	      (unsigned long long)first, state[0], caller);
	for (uint64_t i = 1; i < count; i++)
		check(state[i] == FRAME_STATE_RUN_BODY,
		      "frame_free_run: run %#llx has %llu frames, not %llu, called from [<%p>]",
		      (unsigned long long)first, (unsigned long long)i, (unsigned long long)count,
		      caller);
	check(!zone_holds(zone, end) || state[count] != FRAME_STATE_RUN_BODY,
	      "frame_free_run: run %#llx has more than %llu frames, called from [<%p>]",
	      (unsigned long long)first, (unsigned long long)count, caller);
	memset(state, FRAME_STATE_FREE, count);
#else
	(void)zone;
	(void)first;
	(void)count;
	(void)caller;
#endif
}

void frame_free_run(pfn_t first, uint64_t count)
{
	void *caller = __builtin_return_address(0);
	struct zone *zone = zone_of(first.value);

	check(count > 0, "frame_free_run: 0 frames at %#llx, called from [<%p>]",
	      (unsigned long long)first.value, caller);
	check(zone && count <= zone->first + zone->total_frames - first.value,
	      "frame_free_run: %llu frames at %#llx are foreign: no zone holds them, called from "
	      "[<%p>]",
	      (unsigned long long)count, (unsigned long long)first.value, caller);
	unmark_run(zone, first.value, count, caller);
	zone_release_run(zone, first.value, count);
}

void frame_free_address(phys_t address)
{
	pfn_t frame;

	check(pfn_from_phys(address, &frame),
	      "frame_free: address %#llx is misaligned: expected a multiple of %llu, called from "
	      "[<%p>]",
	      (unsigned long long)address.value, (unsigned long long)FRAME_SIZE,
	      __builtin_return_address(0));
	frame_free(frame);
}

uint64_t frame_cached_count(void)
{
	uint64_t frames = 0;

	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		frames += frame_cache_level(port_area_of(cpu));
	return frames;
}

uint64_t frame_free_count(void)
{
	uint64_t frames = frame_cached_count();

	for (unsigned i = 0; i < zones.count; i++)
		frames += zone_free_frames(&zones.zone[i]);
	return frames;
}

uint64_t frame_total_count(void)
{
	uint64_t frames = 0;

	for (unsigned i = 0; i < zones.count; i++)
		frames += zones.zone[i].total_frames;
	return frames;
}

/* Frames that their state byte calls neither free nor reserved. */
static uint64_t frames_out(const struct zone *zone)
{
	uint64_t frames = 0;

	for (uint64_t i = zone->reserved_frames; i < zone->total_frames;) {
		/* Eight at a time where none is out, which is nearly everywhere at rest. */
		if (i % 8 == 0 && *(const uint64_t *)(zone->state + i) == 0) {
			i += 8;
			continue;
		}
		frames += zone->state[i++] != FRAME_STATE_FREE;
	}
	return frames;
}

void frame_validate(void)
{
	uint64_t sum = frame_cached_count();

	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		frame_cache_validate(port_area_of(cpu));
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];

		zone_validate(zone);
		sum += zone->free_frames + zone->reserved_frames + frames_out(zone);
	}
	if (CHECKS)
		check(sum == frame_total_count(),
		      "ledger: free + cached + allocated + reserved is %llu frames, the zones have "
		      "%llu",
		      (unsigned long long)sum, (unsigned long long)frame_total_count());
}
