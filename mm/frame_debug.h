/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_debug.h - diagnostics of frames that are chosen at boot: poison and owners.
 *
 * POISON. A frame that is freed is filled with FRAME_POISON, and compared with it when it is next
 * allocated. A difference is a write after the free, and a panic: it names the frame, the place in
 * it, what was found, and, with OWNERS, where the frame was freed. A frame that was never freed is
 * not compared. Where the zone's policy keeps its own data in free frames (policy.h, uses_frames),
 * the first FRAME_DEBUG_POLICY_BYTES are left out.
 *
 * OWNERS. For each frame the table notes the last allocation or free: CPU, call, and time. So the
 * panics of wrong frees say where the frame was last allocated or freed; without the state bytes of
 * CHECKS, frees of what is not allocated are found in the table. frame_debug_next_site() lists what
 * is allocated, by call.
 *
 * All of it is on the slow paths: the kernel sets frame_cache_bypass and configures every CPU's cache
 * after that (mm/percpu/cache.h). While nothing is chosen, a hit and the short way of a cache that
 * is off contain no instruction for it.
 *
 * Writers: an entry of the table belongs to the owner of its frame, as the state byte does. The rest
 * is written by frame_debug_start(). Locks: none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_debug { FRAME_DEBUG_POISON = 1, FRAME_DEBUG_OWNERS = 2 };

/* As an address it is not canonical, so a load or store through it faults. */
#define FRAME_POISON UINT64_C(0xf5eef5eef5eef5ee)

#define FRAME_DEBUG_POLICY_BYTES 64

/* Bytes of the table for that many frames: 32 a frame. */
size_t frame_debug_bytes(uint64_t frames);

/*
 * Starts what is chosen, a set of enum frame_debug, for the frames [first, first + frames); frames
 * outside of it are not watched. `memory` is of frame_debug_bytes(), aligned to 8, and stays in use.
 * A second call forgets what was noted. While no other CPU allocates, and no frame is allocated.
 * O(frames).
 */
void frame_debug_start(unsigned chosen, void *memory, uint64_t first, uint64_t frames);

/*
 * Forgets what was noted of a frame. For a caller that takes it from a zone itself, past frame_alloc().
 */
void frame_debug_forget(uint64_t frame);

/* What is chosen; 0: nothing. */
extern unsigned frame_debug_chosen;

/* What is allocated by calls from one place. */
struct frame_site {
	const void *site;
	uint64_t frames;
	uint64_t allocations; /* single frames, and runs */
	uint64_t oldest;      /* its time, in ticks of port_clock() */
};

/*
 * The place with the lowest address above previous->site; NULL: the first. False: there is none.
 * Exact at rest; else an estimate. O(frames).
 */
bool frame_debug_next_site(const struct frame_site *previous, struct frame_site *next);

/*
 * For mm/ alone. `site` is the call of the public function. The frames are the caller's: just
 * allocated, or about to be given back.
 */
void frame_debug_allocated(uint64_t first, uint64_t count, const void *site);
void frame_debug_freed(uint64_t first, uint64_t count, const void *site);

/*
 * For the message of a panic: which CPU allocated or freed the frame last, and where; or "". It is
 * valid until the next call on any CPU.
 */
const char *frame_debug_text(uint64_t frame);
