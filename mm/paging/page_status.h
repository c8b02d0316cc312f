/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_status.h - what a call that is given a space says.
 *
 * What each leaves behind is in page_table.h: anything but PAGE_OK and PAGE_AGAIN has changed
 * nothing.
 */
#pragma once

enum page_status {
	PAGE_OK,
	PAGE_AGAIN,	    /* done up to where the gather was full */
	PAGE_EMPTY,	    /* length 0 */
	PAGE_UNALIGNED,	    /* address or length is no multiple of 4096 */
	PAGE_WRAPS,	    /* the end is beyond the last address */
	PAGE_NOT_CANONICAL, /* an address that this mode does not have, or between the halves */
	PAGE_BAD_FRAME,	    /* frames beyond 56 bits of physical address */
	PAGE_BAD_FLAGS,	    /* W without R, none of R, W, X, unknown ones; see enum page_flags */
	PAGE_MAPPED,	    /* something in the range is mapped already */
	PAGE_NOT_MAPPED,    /* something in the range is not */
	PAGE_SHORT,	    /* the reserve has too few frames: page_reserve_refill(), and again */
	PAGE_NO_FRAMES,	    /* for tables */
	PAGE_REFUSED	    /* by the caller's `share` */
};

/* In words, for messages. */
const char *page_status_text(enum page_status status);
