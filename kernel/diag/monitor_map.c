/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor_map.c - the command `map`: a zone as a picture, a character for some frames.
 *
 * It reads the state byte of each frame, which the frame's owner writes, without a lock and without
 * stopping a cpu. Each byte is whole; but a picture is of as many moments as it has frames, and a frame
 * may have been allocated or freed since it was read. Free frames in caches are free here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/diag/monitor.h"
#include "mm/address.h"
#include "mm/global/zone.h"

#define COLUMNS	  64
#define ROWS_MAX  16
#define READS_MAX 512 /* frames of a character; of more, some are read, evenly */

enum kind { FREE, SINGLE, RUN, HEAP, RESERVED, KINDS };

struct counts {
	uint64_t of[KINDS], frames;
};

/* Whether the run that the last frame belongs to is the heap's: only its head says so. */
static bool is_heaps;

static enum kind kind_of(unsigned state)
{
	switch (state) {
	case FRAME_STATE_FREE:
		return FREE;
	case FRAME_STATE_HEAP:
		return HEAP;
	case FRAME_STATE_HEAP_RUN:
	case FRAME_STATE_RUN_HEAD:
		is_heaps = state == FRAME_STATE_HEAP_RUN;
		return is_heaps ? HEAP : RUN;
	case FRAME_STATE_RUN_BODY:
		return is_heaps ? HEAP : RUN;
	case FRAME_STATE_RESERVED:
		return RESERVED;
	}
	return SINGLE;
}

static struct counts count(const struct zone *zone, uint64_t start, uint64_t frames, uint64_t step)
{
	struct counts counts = {0};

	for (uint64_t i = start; i < start + frames && i < zone->total_frames; i += step) {
		counts.of[kind_of(zone_frame_state(zone, zone->first + i))]++;
		counts.frames++;
	}
	return counts;
}

/* The kind that most of the used frames are of, as a capital where at least half of all are used. */
static char character(const struct counts *counts)
{
	static const char small[] = {[SINGLE] = 's', [RUN] = 'r', [HEAP] = 'h', [RESERVED] = '='};
	enum kind most = SINGLE;

	if (counts->of[FREE] == counts->frames)
		return '.';
	for (enum kind kind = RUN; kind < KINDS; kind++)
		if (counts->of[kind] > counts->of[most])
			most = kind;
	if (most == RESERVED || 2 * counts->of[FREE] > counts->frames)
		return small[most];
	return (char)(small[most] - 'a' + 'A');
}

static uint64_t frames_of_character(const struct zone *zone)
{
	uint64_t frames = 1;

	while (zone->total_frames > frames * COLUMNS * ROWS_MAX)
		frames *= 2;
	return frames;
}

static void print_row(const struct zone *zone, uint64_t start, uint64_t frames, struct counts *all)
{
	uint64_t step = frames > READS_MAX ? frames / READS_MAX : 1;
	char row[COLUMNS + 1] = "";

	for (unsigned i = 0; i < COLUMNS && start + i * frames < zone->total_frames; i++) {
		struct counts counts = count(zone, start + i * frames, frames, step);

		row[i] = character(&counts);
		for (unsigned kind = 0; kind < KINDS; kind++)
			all->of[kind] += counts.of[kind];
		all->frames += counts.frames;
	}
	printf("%#13" PRIx64 " %s\n", (zone->first + start) << FRAME_SHIFT, row);
}

static void print_zone(const struct zone *zone)
{
	uint64_t frames = frames_of_character(zone);
	struct counts all = {0};

	printf("%s, %" PRIu64 " frames; a character is %" PRIu64 " frames, a row %" PRIu64 " KiB\n",
	       zone->name, zone->total_frames, frames, frames * COLUMNS * (FRAME_SIZE / 1024));
	is_heaps = false;
	for (uint64_t start = 0; start < zone->total_frames; start += frames * COLUMNS)
		print_row(zone, start, frames, &all);
	printf("of %" PRIu64 " frames read: free %" PRIu64 ", single %" PRIu64 ", runs %" PRIu64
	       ", heap %" PRIu64 ", reserved %" PRIu64 "\n",
	       all.frames, all.of[FREE], all.of[SINGLE], all.of[RUN], all.of[HEAP],
	       all.of[RESERVED]);
}

/* By name or number; NULL, and a message printed: there is none. */
static const struct zone *find_zone(const char *word)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (strcmp(zones.zone[i].name, word) == 0)
			return &zones.zone[i];
	printf("there is no zone \"%s\"; zones lists them\n", word);
	return NULL;
}

static void print_legend(void)
{
	printf(". free or cached; most of the others: s single frames, r runs, h heap, = reserved\n"
	       "s r h: less than half of the frames are used; S R H: half or more\n"
	       "Each frame was read once, while cpus went on: exact only while none allocates.\n");
}

static void do_map(const struct monitor_words *words)
{
	const struct zone *zone = NULL;

	if (!CHECKS) {
		printf("this kernel keeps no states of frames (CHECKS=0)\n");
		return;
	}
	if (words->count == 2 && !(zone = find_zone(words->word[1])))
		return;
	for (unsigned i = 0; i < zones.count; i++)
		if (!zone || zone == &zones.zone[i])
			print_zone(&zones.zone[i]);
	print_legend();
}

static const char *map_value(const struct monitor_words *before, const char *typed, unsigned number)
{
	(void)before;
	(void)typed;
	return number < zones.count ? zones.zone[number].name : NULL;
}

static const struct monitor_command map_command = {
	.name = "map",
	.arguments = "[ZONE]",
	.help = "a picture of the zones' frames, or of one zone's",
	.more = "It stops no cpu and takes no lock. Where a character stands for more than 512 "
		"frames, 512 of "
		"them are read.\n"
		"Frames of a large block of the heap may show as a run.\n",
	.most = 1,
	.run = do_map,
	.value = map_value,
};
MONITOR_COMMAND(13, map_command);
