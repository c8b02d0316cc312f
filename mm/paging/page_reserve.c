/* SPDX-License-Identifier: BSD-2-Clause */
/* page_reserve.c - a list of zeroed frames; see page_reserve.h. */
#include "mm/paging/page_reserve.h"

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/spare_list.h"

static void push(struct page_reserve *reserve, pfn_t frame)
{
	spare_list_push(&reserve->first, frame_bytes(frame));
	reserve->frames++;
}

pfn_t page_reserve_take(struct page_reserve *reserve)
{
	assert(reserve->frames > 0);
	reserve->frames--;
	return pfn_floor(phys(port_phys_address(spare_list_pop(&reserve->first))));
}

bool page_reserve_has(struct page_reserve *reserve, uint64_t frames)
{
	if (reserve->frames >= frames)
		return true;
	reserve->wanted = reserve->least = frames;
	return false;
}

pfn_t page_reserve_take_spare(struct page_reserve *reserve)
{
	if (reserve->frames > reserve->kept) {
		reserve->counts++;
		return page_reserve_take(reserve);
	}
	reserve->least = reserve->kept + 1;
	reserve->wanted = reserve->least + reserve->counts;
	return PFN_NONE;
}

void page_reserve_put_back(struct page_reserve *reserve, pfn_t frame)
{
	reserve->counts--;
	push(reserve, frame);
}

/* False: the reserve has fewer than `least` frames. */
static bool fill(struct page_reserve *reserve)
{
	while (reserve->frames < reserve->wanted) {
		pfn_t frame = frame_alloc(FRAME_ZERO);

		if (pfn_is_none(frame))
			break;
		push(reserve, frame);
	}
	reserve->wanted = 0;
	return reserve->frames >= reserve->least;
}

bool page_reserve_settle(struct page_reserve *reserve, enum page_status *status)
{
	if (*status == PAGE_SHORT) {
		/* Each time there is at least one frame more, so the caller's loop ends. */
		assert(page_reserve_is_short(reserve) && reserve->frames < reserve->least);
		if (fill(reserve))
			return true;
		*status = PAGE_NO_FRAMES;
	}
	while (reserve->frames > 0)
		frame_free(page_reserve_take(reserve));
	return false;
}
