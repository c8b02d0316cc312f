/* SPDX-License-Identifier: BSD-2-Clause */
/* handler_ops.c - see handler_ops.h. */
#include "tests/smp/handler_ops.h"

#include "mm/check.h"
#include "tests/smp/stamp.h"

static pfn_t take(const struct handler_ops *handler_ops)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (!pfn_is_none(frame))
		stamp_write(frame, handler_ops->owner);
	return frame;
}

static void give(const struct handler_ops *handler_ops, pfn_t frame)
{
	stamp_check(frame, handler_ops->owner);
	frame_free(frame);
}

void handler_ops_init(struct handler_ops *handler_ops, unsigned owner, unsigned burst_frames)
{
	check(burst_frames <= INTRUDER_BURST_MAX, "handler_ops: a burst of %u frames, at most %u",
	      burst_frames, INTRUDER_BURST_MAX);
	handler_ops->burst_frames = burst_frames;
	handler_ops->owner = owner;
	handler_ops->kept_count = 0;
}

static void take_and_give(const struct handler_ops *handler_ops)
{
	pfn_t frame = take(handler_ops);

	if (!pfn_is_none(frame))
		give(handler_ops, frame);
}

static void keep(struct handler_ops *handler_ops)
{
	unsigned count = handler_ops->kept_count;

	if (count < INTRUDER_KEPT_MAX && !pfn_is_none(handler_ops->kept[count] = take(handler_ops)))
		handler_ops->kept_count++;
}

static void give_kept(struct handler_ops *handler_ops)
{
	if (handler_ops->kept_count)
		give(handler_ops, handler_ops->kept[--handler_ops->kept_count]);
}

static void burst_through(struct handler_ops *handler_ops)
{
	unsigned count = 0;

	while (count < handler_ops->burst_frames &&
	       !pfn_is_none(handler_ops->burst[count] = take(handler_ops)))
		count++;
	while (count)
		give(handler_ops, handler_ops->burst[--count]);
}

void handler_ops_act(struct handler_ops *handler_ops, enum handler_ops_act act)
{
	switch (act) {
	case HANDLER_TAKE_AND_GIVE:
		take_and_give(handler_ops);
		break;
	case HANDLER_KEEP:
		keep(handler_ops);
		break;
	case HANDLER_GIVE_KEPT:
		give_kept(handler_ops);
		break;
	case HANDLER_BURST_THROUGH:
		burst_through(handler_ops);
		break;
	default:
		frame_cache_flush();
	}
}

void handler_ops_end(struct handler_ops *handler_ops)
{
	while (handler_ops->kept_count)
		give_kept(handler_ops);
}
