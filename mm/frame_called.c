/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_called.c - frame_alloc() and frame_free() as functions; see frame.h.
 *
 * The two functions have a separate file because it is built without frame pointers and with tail
 * calls. So a cache hit does not touch the stack.
 */
#include "mm/frame.h"

pfn_t frame_alloc_called(void)
{
	return frame_alloc(FRAME_ANY);
}

void frame_free_called(pfn_t frame)
{
	frame_free(frame);
}
