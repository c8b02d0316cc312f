/* intruder.c - see intruder.h. */
#include "tests/smp/intruder.h"

#include "mm/check.h"
#include "tests/smp/stamp.h"

static pfn_t take(const struct intruder *intruder)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (!pfn_is_none(frame))
		stamp_write(frame, intruder->owner);
	return frame;
}

static void give(const struct intruder *intruder, pfn_t frame)
{
	stamp_check(frame, intruder->owner);
	frame_free(frame);
}

void intruder_init(struct intruder *intruder, unsigned owner, unsigned burst_frames)
{
	check(burst_frames <= INTRUDER_BURST_MAX, "intruder: a burst of %u frames, at most %u",
	      burst_frames, INTRUDER_BURST_MAX);
	intruder->burst_frames = burst_frames;
	intruder->owner = owner;
	intruder->kept_count = 0;
}

static void take_and_give(const struct intruder *intruder)
{
	pfn_t frame = take(intruder);

	if (!pfn_is_none(frame))
		give(intruder, frame);
}

static void keep(struct intruder *intruder)
{
	unsigned count = intruder->kept_count;

	if (count < INTRUDER_KEPT_MAX && !pfn_is_none(intruder->kept[count] = take(intruder)))
		intruder->kept_count++;
}

static void give_kept(struct intruder *intruder)
{
	if (intruder->kept_count)
		give(intruder, intruder->kept[--intruder->kept_count]);
}

static void burst_through(struct intruder *intruder)
{
	unsigned count = 0;

	while (count < intruder->burst_frames &&
	       !pfn_is_none(intruder->burst[count] = take(intruder)))
		count++;
	while (count)
		give(intruder, intruder->burst[--count]);
}

void intruder_act(struct intruder *intruder, enum intruder_act act)
{
	switch (act) {
	case INTRUDER_TAKE_AND_GIVE:
		take_and_give(intruder);
		break;
	case INTRUDER_KEEP:
		keep(intruder);
		break;
	case INTRUDER_GIVE_KEPT:
		give_kept(intruder);
		break;
	case INTRUDER_BURST_THROUGH:
		burst_through(intruder);
		break;
	default:
		frame_cache_flush();
	}
}

void intruder_end(struct intruder *intruder)
{
	while (intruder->kept_count)
		give_kept(intruder);
}
