/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_called.c - frame_alloc and frame_free as functions; see frame.h.
 *
 * In a file of their own because they are built without a frame pointer and with tail calls: a
 * hit then touches no stack at all.
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
