/* SPDX-License-Identifier: BSD-2-Clause */
/* gather.c - notes what to flush and to free; see gather.h. */
#include "mm/paging/gather.h"

#include <stddef.h>

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/paging/entries.h"

void page_gather_init(struct page_gather *gather)
{
	gather->first = gather->end = vpn(0);
	gather->tables_too = false;
	gather->table = PFN_NONE;
	gather->tables = 0;
	gather->runs = 0;
	gather->rest_first = gather->rest_end = 0;
}

void page_gather_note(struct page_gather *gather, vpn_t first, vpn_t end)
{
	if (!page_gather_needs_flush(gather)) {
		gather->first = first;
		gather->end = end;
		return;
	}
	if (first.value < gather->first.value)
		gather->first = first;
	if (end.value > gather->end.value)
		gather->end = end;
}

/* The last run, if these frames continue it; else NULL. */
static struct page_run *run_before(struct page_gather *gather, uint64_t first, bool shared)
{
	struct page_run *last;

	if (gather->runs == 0)
		return NULL;
	last = &gather->run[gather->runs - 1];
	return last->shared == shared && last->first.value + last->frames == first ? last : NULL;
}

bool page_gather_leaf(struct page_gather *gather, pte_t leaf, unsigned level)
{
	unsigned flags = pte_flags(leaf);
	uint64_t first = pte_frame(leaf).value;
	uint64_t frames = page_frames(level);
	bool shared = flags & PAGE_SHARED;
	struct page_run *before = run_before(gather, first, shared);

	if (!(flags & PAGE_OWNED))
		return true;
	if (before) {
		before->frames += frames;
		return true;
	}
	if (gather->runs == PAGE_GATHER_RUNS)
		return false;
	gather->run[gather->runs++] = (struct page_run){pfn(first), frames, shared};
	return true;
}

/* The link has V clear, so a walker that still reads the table finds it empty. */
void page_gather_table(struct page_gather *gather, pfn_t table)
{
	pfn_t next = gather->table;
	uint64_t link = pfn_is_none(next) ? 0 : next.value << PTE_PFN_SHIFT;

	entry_store(page_entries(table), (pte_t){link});
	gather->table = table;
	gather->tables++;
	gather->tables_too = true;
}

static void free_tables(struct page_gather *gather)
{
	pfn_t table = gather->table;

	for (; gather->tables > 0; gather->tables--) {
		pfn_t next = pte_frame(entry_load(page_entries(table)));

		frame_free(table);
		table = next;
	}
	gather->table = PFN_NONE;
}

void page_gather_release(struct page_gather *gather, page_drop drop, void *context)
{
	check(gather->runs == 0 || drop, "page_gather_release: %u runs of frames, and drop is NULL",
	      gather->runs);
	free_tables(gather);
	for (unsigned i = 0; i < gather->runs; i++)
		drop(context, gather->run[i].first, gather->run[i].frames, gather->run[i].shared);
	gather->runs = 0;
	gather->first = gather->end = vpn(0);
	gather->tables_too = false;
}
