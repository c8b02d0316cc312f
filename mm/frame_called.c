/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_called.c - frame_alloc() and frame_free() as functions; see frame.h.
 *
 * They have a file of their own because it is built without frame pointers and with tail calls: a hit then
 * does not touch the stack.
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
