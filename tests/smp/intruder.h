/*
 * intruder.h - what a trap handler does to the allocator while it interrupts a user of it.
 *
 * It takes a frame and gives it back; takes one and keeps it; gives back one that it kept; goes
 * through more frames than a batch, so that the interrupted stack is refilled and flushed
 * underneath the sequence that was looking at it; flushes the cache. All of its frames carry
 * its stamp. One intruder belongs to one cpu.
 */
#pragma once

#include "mm/frame.h"

#define INTRUDER_KEPT_MAX  300
#define INTRUDER_BURST_MAX 200

struct intruder {
	unsigned owner; /* of its stamps */
	unsigned burst_frames;
	unsigned kept_count;
	pfn_t kept[INTRUDER_KEPT_MAX];
	pfn_t burst[INTRUDER_BURST_MAX];
};

enum intruder_act {
	INTRUDER_TAKE_AND_GIVE,
	INTRUDER_KEEP,
	INTRUDER_GIVE_KEPT,
	INTRUDER_BURST_THROUGH,
	INTRUDER_FLUSH,
	INTRUDER_ACTS
};

/* owner: of its stamps, below 2^16; burst_frames <= INTRUDER_BURST_MAX. */
void intruder_init(struct intruder *intruder, unsigned owner, unsigned burst_frames);
void intruder_act(struct intruder *intruder, enum intruder_act act);
/* Gives back all that it kept. */
void intruder_end(struct intruder *intruder);
