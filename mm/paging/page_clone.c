/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_clone.c - a second space with the same pages, which are copied when they are written to.
 *
 * All that may fail comes first: the check that the copy's range is free, the check that the
 * reserve has the frames for all tables, and the references, which may need frames of the reserve,
 * too. References can be given up again. Then both trees are walked in step, and the copy is
 * written. Where an end of the range is inside a large page of the original, that page is split.
 */
#include <stddef.h>

#include "mm/check.h"
#include "mm/paging/entries.h"
#include "mm/paging/page_table.h"

static bool stop_at_any(void *context, pte_t *entry, unsigned level, struct page_range piece)
{
	(void)context;
	(void)entry;
	(void)level;
	(void)piece;
	return false;
}

/* The part of a leaf that is in the range, as a mapping for the copy. */
static struct mapping mapping_of(pte_t leaf, unsigned level, struct page_range piece)
{
	uint64_t offset = piece.first & (page_frames(level) - 1);

	return (struct mapping){piece, pte_frame(leaf).value + offset, pte_flags(leaf)};
}

/*
 * Adds the number of tables that the copy lacks below `to` (NULL: `to` itself is missing, too).
 * Nothing of the range is mapped there. Returns whether the original has anything in the range.
 */
static bool copy_plan(const pte_t *to, const pte_t *from, unsigned level, struct page_range range,
		      uint64_t *needed)
{
	bool any = false;
	uint64_t next;

	for (uint64_t page = range.first; page < range.end; page = next) {
		unsigned index = entry_index(page, level);
		pte_t entry = entry_load(&from[index]);
		pte_t there = to ? entry_load(&to[index]) : PTE_NONE;
		const pte_t *below = pte_is_valid(there) ? entry_table(there) : NULL;
		uint64_t here = below ? 0 : 1;
		struct page_range piece;

		next = piece_end(page, range.end, level);
		piece = (struct page_range){page, next};
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
	struct page_reserve *reserve;
};

/* Copies one leaf of the original. Leaves that cross an end of the range have been split before. */
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
		      struct page_range range)
{
	uint64_t next;

	for (uint64_t page = range.first; page < range.end; page = next) {
		unsigned index = entry_index(page, level);
		pte_t *from = (pte_t *)&from_table[index];
		pte_t entry = entry_load(from);
		pte_t there = entry_load(&to[index]);
		struct page_range piece;

		next = piece_end(page, range.end, level);
		piece = (struct page_range){page, next};
		if (!pte_is_valid(entry))
			continue;
		if (pte_is_leaf(entry)) {
			copy_leaf(&to[index], from);
		} else if (pte_is_valid(there)) {
			copy_fill(copy, entry_table(there), entry_table(entry), level - 1, piece);
		} else if (!leaves_visit(entry_table(entry), level - 1, piece, stop_at_any, NULL)) {
			pfn_t table = page_reserve_take(copy->reserve);

			copy_fill(copy, page_entries(table), entry_table(entry), level - 1, piece);
			entry_publish(&to[index], pte_table(table));
			copy->to->tables++;
		}
	}
}

/* ---- references -------------------------------------------------------------------------- */

struct sharer {
	const struct page_sharing *sharing;
	struct page_reserve *reserve;
	uint64_t refused_at; /* page */
};

static bool share_leaf(void *context, pte_t *entry, unsigned level, struct page_range piece)
{
	struct sharer *sharer = context;
	struct mapping mapping = mapping_of(entry_load(entry), level, piece);

	if (!(mapping.flags & PAGE_OWNED) ||
	    sharer->sharing->share(sharer->sharing->context, pfn(mapping.first_frame),
				   piece.end - piece.first, sharer->reserve))
		return true;
	sharer->refused_at = piece.first;
	return false;
}

static bool unshare_leaf(void *context, pte_t *entry, unsigned level, struct page_range piece)
{
	const struct sharer *sharer = context;
	struct mapping mapping = mapping_of(entry_load(entry), level, piece);

	if (mapping.flags & PAGE_OWNED)
		sharer->sharing->drop(sharer->sharing->context, pfn(mapping.first_frame),
				      piece.end - piece.first, true);
	return true;
}

/*
 * Takes a reference for the copy to each owned frame of the range; or takes none and returns false.
 */
static bool share_all(const struct page_table *from, struct page_range range,
		      const struct page_sharing *sharing, struct page_reserve *reserve)
{
	struct sharer sharer = {sharing, reserve, 0};
	pte_t *root = page_entries(from->root);

	if (leaves_visit(root, from->levels - 1, range, share_leaf, &sharer))
		return true;
	range.end = sharer.refused_at;
	leaves_visit(root, from->levels - 1, range, unshare_leaf, &sharer);
	return false;
}

/* ---- clone ------------------------------------------------------------------------------- */

/* Does all that may fail. *needed becomes the number of tables. */
static enum page_status begin_copy(struct page_table *to, struct page_table *from,
				   struct page_range range, const struct page_sharing *sharing,
				   struct page_reserve *reserve, uint64_t *needed)
{
	bool shared;

	if (!leaves_visit(page_entries(to->root), to->levels - 1, range, stop_at_any, NULL))
		return PAGE_MAPPED;
	*needed = split_needed(from, range);
	copy_plan(page_entries(to->root), page_entries(from->root), from->levels - 1, range, needed);
	if (!page_reserve_has(reserve, *needed))
		return PAGE_SHORT;
	reserve->kept = *needed;
	shared = share_all(from, range, sharing, reserve);
	reserve->kept = 0;
	if (shared)
		return PAGE_OK;
	return page_reserve_is_short(reserve) ? PAGE_SHORT : PAGE_REFUSED;
}

enum page_status page_table_clone(struct page_table *to, struct page_table *from, virt_t address,
				  uint64_t length, const struct page_sharing *sharing,
				  struct page_gather *gather, struct page_reserve *reserve)
{
	struct copy copy = {to, reserve};
	struct page_range range;
	enum page_status status = page_range_from(from, address, length, &range);
	uint64_t needed, left;
	vpn_t last;

	check(to->levels == from->levels && to != from,
	      "page_table_clone: from %u levels to %u, or to itself", from->levels, to->levels);
	if (status == PAGE_OK)
		status = begin_copy(to, from, range, sharing, reserve, &needed);
	if (status != PAGE_OK)
		return status;
	left = reserve->frames - needed;
	split_ends(from, range, reserve, gather);
	copy_fill(&copy, page_entries(to->root), page_entries(from->root), from->levels - 1, range);
	assert(reserve->frames == left);
	last = page_vpn(range.end - 1, from->levels);
	page_gather_note(gather, page_vpn(range.first, from->levels), vpn(last.value + 1));
	return PAGE_OK;
}
