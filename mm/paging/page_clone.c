/*
 * page_clone.c - a second space with the same pages, to be copied when they are written to.
 *
 * First everything that may fail, in an order in which it can be undone without a trace: looking
 * whether the copy's range is free, whether the stock has the frames for all tables, and taking
 * references, for which the stock may have to give frames too. Then the writing: where the range
 * cuts large pages of the original these are split, and both trees are gone down in step.
 */
#include <stddef.h>

#include "mm/check.h"
#include "mm/paging/entries.h"
#include "mm/paging/page_table.h"

static bool stop_at_any(void *context, pte_t *entry, unsigned level, struct stretch piece)
{
	(void)context;
	(void)entry;
	(void)level;
	(void)piece;
	return false;
}

/* The pages of one leaf, or the part of them in the range, as a mapping for the copy. */
static struct mapping mapping_of(pte_t leaf, unsigned level, struct stretch piece)
{
	uint64_t offset = piece.first & (page_frames(level) - 1);

	return (struct mapping){piece, pte_frame(leaf).value + offset, pte_flags(leaf)};
}

/*
 * Tables that the copy lacks below `to` (NULL: `to` itself is one of them). Nothing of the range
 * is mapped there. Says whether the original has anything in the range.
 */
static bool copy_plan(const pte_t *to, const pte_t *from, unsigned level, struct stretch stretch,
		      uint64_t *needed)
{
	bool any = false;
	uint64_t next;

	for (uint64_t page = stretch.first; page < stretch.end; page = next) {
		unsigned index = entry_index(page, level);
		pte_t entry = entry_load(&from[index]);
		pte_t there = to ? entry_load(&to[index]) : PTE_NONE;
		const pte_t *below = pte_is_valid(there) ? entry_table(there) : NULL;
		uint64_t here = below ? 0 : 1;
		struct stretch piece;

		next = piece_end(page, stretch.end, level);
		piece = (struct stretch){page, next};
		if (!pte_is_valid(entry))
			continue;
		if (!pte_is_leaf(entry)) {
			if (!copy_plan(below, entry_table(entry), level - 1, piece, &here))
				continue;
		} else if (!piece_is_whole(page, next, level)) {
			mapping_plan(below, level - 1, mapping_of(entry, level, piece), &here);
		} else {
			here = 0;
		}
		*needed += here;
		any = true;
	}
	return any;
}

struct copy {
	struct page_table *to;
	struct page_stock *stock;
};

/* One leaf of the original, which has been split where the range cut it. */
static void copy_leaf(pte_t *to, pte_t *from)
{
	pte_t leaf = entry_load(from);
	unsigned flags = pte_flags(leaf);

	if (flags & PAGE_OWNED) {
		leaf = pte_leaf(pte_frame(leaf), flags | PAGE_SHARED);
		entry_store(from, leaf);
	}
	entry_store(to, leaf);
}

static void copy_fill(const struct copy *copy, pte_t *to, const pte_t *from_table, unsigned level,
		      struct stretch stretch)
{
	uint64_t next;

	for (uint64_t page = stretch.first; page < stretch.end; page = next) {
		unsigned index = entry_index(page, level);
		pte_t *from = (pte_t *)&from_table[index];
		pte_t entry = entry_load(from);
		pte_t there = entry_load(&to[index]);
		struct stretch piece;

		next = piece_end(page, stretch.end, level);
		piece = (struct stretch){page, next};
		if (!pte_is_valid(entry))
			continue;
		if (pte_is_leaf(entry)) {
			copy_leaf(&to[index], from);
		} else if (pte_is_valid(there)) {
			copy_fill(copy, entry_table(there), entry_table(entry), level - 1, piece);
		} else if (!leaves_visit(entry_table(entry), level - 1, piece, stop_at_any, NULL)) {
			pfn_t table = page_stock_take(copy->stock);

			copy_fill(copy, page_entries(table), entry_table(entry), level - 1, piece);
			entry_publish(&to[index], pte_table(table));
			copy->to->tables++;
		}
	}
}

/* ---- references -------------------------------------------------------------------------- */

struct sharer {
	const struct page_sharing *sharing;
	struct page_stock *stock;
	uint64_t refused_at; /* page */
};

static bool share_leaf(void *context, pte_t *entry, unsigned level, struct stretch piece)
{
	struct sharer *sharer = context;
	struct mapping mapping = mapping_of(entry_load(entry), level, piece);

	if (!(mapping.flags & PAGE_OWNED) ||
	    sharer->sharing->share(sharer->sharing->context, pfn(mapping.first_frame),
				   piece.end - piece.first, sharer->stock))
		return true;
	sharer->refused_at = piece.first;
	return false;
}

static bool unshare_leaf(void *context, pte_t *entry, unsigned level, struct stretch piece)
{
	const struct sharer *sharer = context;
	struct mapping mapping = mapping_of(entry_load(entry), level, piece);

	if (mapping.flags & PAGE_OWNED)
		sharer->sharing->drop(sharer->sharing->context, pfn(mapping.first_frame),
				      piece.end - piece.first, true);
	return true;
}

/* A reference for the copy to each frame of the range, or none. */
static bool share_all(const struct page_table *from, struct stretch stretch,
		      const struct page_sharing *sharing, struct page_stock *stock)
{
	struct sharer sharer = {sharing, stock, 0};
	pte_t *root = page_entries(from->root);

	if (leaves_visit(root, from->levels - 1, stretch, share_leaf, &sharer))
		return true;
	stretch.end = sharer.refused_at;
	leaves_visit(root, from->levels - 1, stretch, unshare_leaf, &sharer);
	return false;
}

/* ---- both -------------------------------------------------------------------------------- */

/* All that may fail. *needed: tables. */
static enum page_status begin_copy(struct page_table *to, struct page_table *from,
				   struct stretch stretch, const struct page_sharing *sharing,
				   struct page_stock *stock, uint64_t *needed)
{
	bool shared;

	if (!leaves_visit(page_entries(to->root), to->levels - 1, stretch, stop_at_any, NULL))
		return PAGE_MAPPED;
	*needed = split_needed(from, stretch);
	copy_plan(page_entries(to->root), page_entries(from->root), from->levels - 1, stretch,
		  needed);
	if (!page_stock_has(stock, *needed))
		return PAGE_SHORT;
	stock->kept = *needed;
	shared = share_all(from, stretch, sharing, stock);
	stock->kept = 0;
	if (shared)
		return PAGE_OK;
	return page_stock_is_short(stock) ? PAGE_SHORT : PAGE_REFUSED;
}

enum page_status page_table_clone(struct page_table *to, struct page_table *from, virt_t address,
				  uint64_t length, const struct page_sharing *sharing,
				  struct page_gather *gather, struct page_stock *stock)
{
	struct copy copy = {to, stock};
	struct stretch stretch;
	enum page_status status = stretch_from(from, address, length, &stretch);
	uint64_t needed, left;
	vpn_t last;

	check(to->levels == from->levels && to != from,
	      "page_table_clone: from %u levels to %u, or to itself", from->levels, to->levels);
	if (status == PAGE_OK)
		status = begin_copy(to, from, stretch, sharing, stock, &needed);
	if (status != PAGE_OK)
		return status;
	left = stock->frames - needed;
	split_ends(from, stretch, stock, gather);
	copy_fill(&copy, page_entries(to->root), page_entries(from->root), from->levels - 1,
		  stretch);
	assert(stock->frames == left);
	last = page_vpn(stretch.end - 1, from->levels);
	page_gather_note(gather, page_vpn(stretch.first, from->levels), vpn(last.value + 1));
	return PAGE_OK;
}
