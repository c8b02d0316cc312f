/* SPDX-License-Identifier: BSD-2-Clause */
/* frame_owners.c - see frame_owners.h. */
#include "kernel/diag/frame_owners.h"

#include <stdint.h>
#include <stdio.h>

#include <port.h>

#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "mm/frame_debug.h"

static uint64_t age_us(const struct frame_site *site)
{
	uint64_t ticks = port_clock() - site->oldest, hertz = settings.clock_hertz;

	return hertz ? ticks / hertz * 1000000 + ticks % hertz * 1000000 / hertz : 0;
}

void frame_report_owners(void)
{
	struct frame_site site;
	uint64_t frames = 0;

	if (!(frame_debug_chosen & FRAME_DEBUG_OWNERS))
		return;
	printf("\nframes that are allocated, by call\n");
	for (bool found = frame_debug_next_site(NULL, &site); found;
	     found = frame_debug_next_site(&(struct frame_site){site.site, 0, 0, 0}, &site)) {
		printf("  %8llu frames in %llu allocations, the oldest %llu us ago, at [<%p>]\n",
		       (unsigned long long)site.frames, (unsigned long long)site.allocations,
		       (unsigned long long)age_us(&site), site.site);
		frames += site.frames;
	}
	printf("  %8llu frames in all\n", (unsigned long long)frames);
}

void frame_record_owners(void)
{
	struct frame_site site;

	for (bool found = frame_debug_next_site(NULL, &site); found;
	     found = frame_debug_next_site(&(struct frame_site){site.site, 0, 0, 0}, &site)) {
		record_begin("frame_site");
		record_number("address", (uintptr_t)site.site);
		record_number("frames", site.frames);
		record_number("allocations", site.allocations);
		record_number("oldest_us", age_us(&site));
		record_end();
	}
}
