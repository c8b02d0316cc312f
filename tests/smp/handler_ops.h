/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handler_ops.h - what a trap handler does to the allocator while it interrupts a user of it.
 *
 * It takes a frame and gives it back; takes a frame and keeps it; gives back a frame that it kept;
 * goes through more frames than a batch, so that the interrupted stack is refilled and flushed
 * underneath the sequence that was looking at it; flushes the cache. All of its frames carry its
 * stamp. One handler_ops belongs to one cpu.
 */
#pragma once

#include "mm/frame.h"

#define INTRUDER_KEPT_MAX  300
#define INTRUDER_BURST_MAX 200

struct handler_ops {
	unsigned owner; /* of its stamps */
	unsigned burst_frames;
	unsigned kept_count;
	pfn_t kept[INTRUDER_KEPT_MAX];
	pfn_t burst[INTRUDER_BURST_MAX];
};

enum handler_ops_act {
	HANDLER_TAKE_AND_GIVE,
	HANDLER_KEEP,
	HANDLER_GIVE_KEPT,
	HANDLER_BURST_THROUGH,
	HANDLER_FLUSH,
	HANDLER_OPS
};

/* owner: of its stamps, below 2^16; burst_frames <= INTRUDER_BURST_MAX. */
void handler_ops_init(struct handler_ops *handler_ops, unsigned owner, unsigned burst_frames);
void handler_ops_act(struct handler_ops *handler_ops, enum handler_ops_act act);
/* Gives back all that it kept. */
void handler_ops_end(struct handler_ops *handler_ops);
