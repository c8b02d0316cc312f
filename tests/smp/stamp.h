/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stamp.h - the owner stamp: a word at each end of an allocated frame that says whose it is.
 *
 * Written after an allocation, checked before the free, and wiped. When a frame has two owners,
 * the owner that stamps last makes the other's check fail, and the owner that frees first wipes
 * what the other will look for: in any order, one of the two notices.
 */
#pragma once

#include <stdint.h>

#include "mm/check.h"
#include "mm/frame.h"
#include "sync/ck.h"

#define STAMP_LAST (FRAME_SIZE / sizeof(uint64_t) - 1)

/* Differs for every pair of frame and owner; owners are below 2^16. */
static inline uint64_t stamp_of(pfn_t frame, unsigned owner)
{
	return (frame.value << 16 | owner) ^ UINT64_C(0x6861727466726d65);
}

static inline void stamp_write(pfn_t frame, unsigned owner)
{
	uint64_t *words = frame_bytes(frame);
	uint64_t stamp = stamp_of(frame, owner);

	words[0] = stamp;
	words[STAMP_LAST] = ~stamp;
}

static inline void stamp_check(pfn_t frame, unsigned owner)
{
	uint64_t *words = frame_bytes(frame);
	uint64_t stamp = stamp_of(frame, owner);

	ck_pr_barrier(); /* what is in memory, not what the compiler remembers having written */
	check(words[0] == stamp && words[STAMP_LAST] == ~stamp,
	      "owner stamp: frame %#llx of owner %u holds %#llx and %#llx, expected %#llx and "
	      "%#llx: "
	      "it has another owner, or it was written to",
	      (unsigned long long)frame.value, owner, (unsigned long long)words[0],
	      (unsigned long long)words[STAMP_LAST], (unsigned long long)stamp,
	      (unsigned long long)~stamp);
	words[0] = 0;
	words[STAMP_LAST] = 0;
}
