/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_status.h - the answers of calls that change a page table. A call that answers anything but
 * PAGE_OK and PAGE_AGAIN has changed nothing (page_table.h).
 */
#pragma once

enum page_status {
	PAGE_OK,
	PAGE_AGAIN,	    /* done in part: the gather is full */
	PAGE_EMPTY,	    /* length 0 */
	PAGE_UNALIGNED,	    /* address or length is no multiple of 4096 */
	PAGE_WRAPS,	    /* the end is beyond the last address */
	PAGE_NOT_CANONICAL, /* not an address of this mode, or a range across both halves */
	PAGE_BAD_FRAME,	    /* frames beyond 56 bits of physical address */
	PAGE_BAD_FLAGS,	    /* W without R, none of R, W, X, unknown ones; see enum page_flags */
	PAGE_MAPPED,	    /* something in the range is mapped already */
	PAGE_NOT_MAPPED,    /* something in the range is not mapped */
	PAGE_SHORT,	    /* the reserve has too few frames: page_reserve_refill(), then repeat */
	PAGE_NO_FRAMES,	    /* there are no frames for tables */
	PAGE_REFUSED	    /* the caller's `share` returned false */
};

/* A phrase for messages. */
const char *page_status_text(enum page_status status);
