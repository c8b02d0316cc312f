/* stock.c - see stock.h. */
#include "mm/paging/stock.h"

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/paging/pte.h"

static void push(struct page_stock *stock, pfn_t frame)
{
	*page_object(uint64_t, frame) = stock->first.value;
	stock->first = frame;
	stock->frames++;
}

pfn_t page_stock_take(struct page_stock *stock)
{
	pfn_t frame = stock->first;
	uint64_t *link = page_object(uint64_t, frame);

	assert(stock->frames > 0);
	stock->first = pfn(*link);
	stock->frames--;
	*link = 0;
	return frame;
}

bool page_stock_has(struct page_stock *stock, uint64_t frames)
{
	if (stock->frames >= frames)
		return true;
	stock->wanted = stock->least = frames;
	return false;
}

pfn_t page_stock_take_spare(struct page_stock *stock)
{
	if (stock->frames > stock->kept) {
		stock->counts++;
		return page_stock_take(stock);
	}
	stock->least = stock->kept + 1;
	stock->wanted = stock->least + stock->counts;
	return PFN_NONE;
}

void page_stock_put_back(struct page_stock *stock, pfn_t frame)
{
	stock->counts--;
	push(stock, frame);
}

/* False: there are not even as many as will do. */
static bool fill(struct page_stock *stock)
{
	while (stock->frames < stock->wanted) {
		pfn_t frame = frame_alloc(FRAME_ZERO);

		if (pfn_is_none(frame))
			break;
		push(stock, frame);
	}
	stock->wanted = 0;
	return stock->frames >= stock->least;
}

bool page_stock_settle(struct page_stock *stock, enum page_status *status)
{
	if (*status == PAGE_SHORT) {
		/* So each time round there is one frame more: there is a last time. */
		assert(page_stock_is_short(stock) && stock->frames < stock->least);
		if (fill(stock))
			return true;
		*status = PAGE_NO_FRAMES;
	}
	while (stock->frames > 0)
		frame_free(page_stock_take(stock));
	return false;
}
