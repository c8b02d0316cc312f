/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_change.c - changes of mappings: unmap, protect, copy on write.
 *
 * Each change first reads its whole range, then checks that the reserve has the frames that it
 * needs, and only then writes. It needs frames where an end of the range is inside a large page,
 * which is split there.
 *
 * A split replaces a leaf by a table whose 512 leaves map the same, filled before it is published.
 * So a hart that has cached the large page and a hart that walks again translate alike.
 */
#include <stddef.h>

#include "mm/check.h"
#include "mm/paging/entries.h"
#include "mm/paging/page_table.h"

static pte_t *root_of(const struct page_table *space)
{
	return page_entries(space->root);
}

static void note(struct page_gather *gather, const struct page_table *space,
		 struct page_range changed)
{
	vpn_t last = page_vpn(changed.end - 1, space->levels);

	page_gather_note(gather, page_vpn(changed.first, space->levels), vpn(last.value + 1));
}

/* ---- splitting --------------------------------------------------------------------------- */

/*
 * The entry of the large page that contains `page` but does not begin with it; NULL: there is none.
 */
static pte_t *leaf_across(const struct page_table *space, uint64_t page, unsigned *level)
{
	pte_t *table = root_of(space);

	if (page >> PAGE_INDEX_BITS * space->levels)
		return NULL;
	for (*level = space->levels - 1; *level > 0; --*level) {
		pte_t *entry = &table[entry_index(page, *level)];
		pte_t value = entry_load(entry);

		if ((page & (page_frames(*level) - 1)) == 0 || !pte_is_valid(value))
			return NULL;
		if (pte_is_leaf(value))
			return entry;
		table = entry_table(value);
	}
	return NULL;
}

/* Whether the page of `level`, at most `top`, that contains `page` begins before it. */
static bool is_across(uint64_t page, unsigned top, unsigned level)
{
	return level <= top && (page & (page_frames(level) - 1)) != 0;
}

uint64_t split_needed(const struct page_table *space, struct page_range range)
{
	uint64_t first = range.first, end = range.end, needed = 0;
	unsigned first_level, end_level;

	if (!leaf_across(space, first, &first_level))
		first_level = 0;
	if (!leaf_across(space, end, &end_level))
		end_level = 0;
	for (unsigned level = 1; level < space->levels; level++) {
		bool at_first = is_across(first, first_level, level);
		bool at_end = is_across(end, end_level, level);
		unsigned bits = PAGE_INDEX_BITS * level;

		/* Where both ends are in one page, it is split once. */
		needed += at_first;
		needed += at_end && !(at_first && first >> bits == end >> bits);
	}
	return needed;
}

/* Makes a table that maps the same as the leaf, split so far down that a page begins at `page`. */
static pte_t split_table(struct page_table *space, pte_t leaf, unsigned level, uint64_t page,
			 struct page_reserve *reserve)
{
	pfn_t frame = page_reserve_take(reserve);
	pte_t *table = page_entries(frame);
	uint64_t frames = page_frames(level - 1);
	unsigned cut = entry_index(page, level - 1);

	for (unsigned i = 0; i < PAGE_ENTRIES; i++)
		entry_store(&table[i],
			    pte_leaf(pfn_add(pte_frame(leaf), i * frames), pte_flags(leaf)));
	if (level > 1 && (page & (frames - 1)) != 0)
		entry_publish(&table[cut], split_table(space, entry_load(&table[cut]), level - 1,
						       page, reserve));
	space->tables++;
	return pte_table(frame);
}

static void split_at(struct page_table *space, uint64_t page, struct page_reserve *reserve,
		     struct page_gather *gather)
{
	unsigned level;
	pte_t *entry = leaf_across(space, page, &level);
	uint64_t first;

	if (!entry)
		return;
	first = page & ~(page_frames(level) - 1);
	entry_publish(entry, split_table(space, entry_load(entry), level, page, reserve));
	note(gather, space, (struct page_range){first, first + page_frames(level)});
	gather->tables_too = true;
}

void split_ends(struct page_table *space, struct page_range range, struct page_reserve *reserve,
		struct page_gather *gather)
{
	split_at(space, range.first, reserve, gather);
	split_at(space, range.end, reserve, gather);
}

/* ---- the beginning of a change ----------------------------------------------------------- */

static bool has_no_hole(const pte_t *table, unsigned level, struct page_range range)
{
	uint64_t next;

	for (uint64_t page = range.first; page < range.end; page = next) {
		pte_t entry = entry_load(&table[entry_index(page, level)]);

		next = piece_end(page, range.end, level);
		if (!pte_is_valid(entry))
			return false;
		if (!pte_is_leaf(entry) &&
		    !has_no_hole(entry_table(entry), level - 1, (struct page_range){page, next}))
			return false;
	}
	return true;
}

static enum page_status split(struct page_table *space, struct page_range range, uint64_t needed,
			      struct page_gather *gather, struct page_reserve *reserve)
{
	uint64_t left;

	if (!page_reserve_has(reserve, needed))
		return PAGE_SHORT;
	left = reserve->frames - needed;
	split_ends(space, range, reserve, gather);
	assert(reserve->frames == left);
	return PAGE_OK;
}

/*
 * Checks that the range is valid and mapped from end to end, and splits pages that cross its ends.
 */
static enum page_status begin_change(struct page_table *space, virt_t address, uint64_t length,
				     struct page_gather *gather, struct page_reserve *reserve,
				     struct page_range *range)
{
	enum page_status status = page_range_from(space, address, length, range);
	uint64_t needed;

	if (status != PAGE_OK)
		return status;
	if (!has_no_hole(root_of(space), space->levels - 1, *range))
		return PAGE_NOT_MAPPED;
	needed = split_needed(space, *range);
	return needed > 0 ? split(space, *range, needed, gather, reserve) : PAGE_OK;
}

/* ---- unmapping --------------------------------------------------------------------------- */

/*
 * Whether the whole table is empty. The entries between `first` and `last` have just been cleared;
 * these two were cleared as far as the range went. The search goes outwards from there: a caller
 * that empties a table in order then finds the next entry in use at once.
 */
static bool is_empty_around(const pte_t *table, unsigned first, unsigned last)
{
	for (;; first--, last++) {
		bool goes_down = first < PAGE_ENTRIES, goes_up = last < PAGE_ENTRIES;

		if (!goes_down && !goes_up)
			return true;
		if (goes_up && entry_load(&table[last]).value != 0)
			return false;
		if (goes_down && entry_load(&table[first]).value != 0)
			return false;
	}
}

/* E3: clear the entry first, then gather the table. */
static void detach_table(struct page_table *space, pte_t *entry, struct page_gather *gather)
{
	pfn_t table = pte_frame(entry_load(entry));

	entry_store(entry, PTE_NONE);
	page_gather_table(gather, table);
	space->tables--;
}

static bool clear_leaf(pte_t *entry, unsigned level, struct page_range piece,
		       struct page_gather *gather)
{
	check(piece_is_whole(piece.first, piece.end, level),
	      "page_table_unmap_rest: a page of level %u was mapped across the end", level);
	if (!page_gather_leaf(gather, entry_load(entry), level))
		return false;
	entry_store(entry, PTE_NONE);
	return true;
}

/*
 * Returns the end of what it has cleared: the range's end, or the page at which the gather was
 * full.
 */
static uint64_t clear(struct page_table *space, pte_t *table, unsigned level,
		      struct page_range range, struct page_gather *gather)
{
	uint64_t next;

	for (uint64_t page = range.first; page < range.end; page = next) {
		pte_t *entry = &table[entry_index(page, level)];
		pte_t value = entry_load(entry);
		struct page_range piece;
		uint64_t reached;

		next = piece_end(page, range.end, level);
		piece = (struct page_range){page, next};
		if (!pte_is_valid(value))
			continue;
		if (pte_is_leaf(value)) {
			if (!clear_leaf(entry, level, piece, gather))
				return page;
			continue;
		}
		reached = clear(space, entry_table(value), level - 1, piece, gather);
		if (reached != next)
			return reached;
		if (is_empty_around(entry_table(value), entry_index(page, level - 1),
				    entry_index(next - 1, level - 1)))
			detach_table(space, entry, gather);
	}
	return range.end;
}

enum page_status page_table_unmap_rest(struct page_table *table, struct page_gather *gather)
{
	struct page_range rest = {gather->rest_first, gather->rest_end};

	if (rest.first == rest.end)
		return PAGE_OK;
	gather->rest_first = clear(table, root_of(table), table->levels - 1, rest, gather);
	if (gather->rest_first != rest.first)
		note(gather, table, (struct page_range){rest.first, gather->rest_first});
	return gather->rest_first == rest.end ? PAGE_OK : PAGE_AGAIN;
}

enum page_status page_table_unmap(struct page_table *table, virt_t address, uint64_t length,
				  struct page_gather *gather, struct page_reserve *reserve)
{
	struct page_range range;
	enum page_status status;

	check(gather->rest_first == gather->rest_end,
	      "page_table_unmap: the gather has a rest, which page_table_unmap_rest() ends");
	status = begin_change(table, address, length, gather, reserve, &range);
	if (status != PAGE_OK)
		return status;
	gather->rest_first = range.first;
	gather->rest_end = range.end;
	return page_table_unmap_rest(table, gather);
}

/* ---- other flags ------------------------------------------------------------------------- */

struct reflag {
	unsigned keep, set;
};

static bool reflag_leaf(void *context, pte_t *entry, unsigned level, struct page_range piece)
{
	const struct reflag *reflag = context;
	pte_t leaf = entry_load(entry);

	assert(piece_is_whole(piece.first, piece.end, level));
	entry_store(entry,
		    pte_leaf(pte_frame(leaf), (pte_flags(leaf) & reflag->keep) | reflag->set));
	return true;
}

static enum page_status reflag(struct page_table *table, virt_t address, uint64_t length,
			       struct reflag reflag, struct page_gather *gather,
			       struct page_reserve *reserve)
{
	struct page_range range;
	enum page_status status = begin_change(table, address, length, gather, reserve, &range);

	if (status != PAGE_OK)
		return status;
	leaves_visit(root_of(table), table->levels - 1, range, reflag_leaf, &reflag);
	note(gather, table, range);
	return PAGE_OK;
}

enum page_status page_table_protect(struct page_table *table, virt_t address, uint64_t length,
				    unsigned flags, struct page_gather *gather,
				    struct page_reserve *reserve)
{
	struct page_range range;
	enum page_status status = page_range_from(table, address, length, &range);

	if (status != PAGE_OK)
		return status;
	if ((flags & ~(unsigned)PAGE_ACCESS_FLAGS) || !page_flags_are_good(flags))
		return PAGE_BAD_FLAGS;
	return reflag(table, address, length, (struct reflag){PAGE_OWNED | PAGE_SHARED, flags},
		      gather, reserve);
}

enum page_status page_table_unshare(struct page_table *table, virt_t address, uint64_t length,
				    struct page_gather *gather, struct page_reserve *reserve)
{
	return reflag(table, address, length, (struct reflag){~(unsigned)PAGE_SHARED, 0}, gather,
		      reserve);
}

/* ---- copy on write ----------------------------------------------------------------------- */

/* Finds the entry of a page of 4 KiB, after a split where it was part of a larger page. */
static bool find_entry(void *context, pte_t *entry, unsigned level, struct page_range piece)
{
	assert(level == 0 && piece_is_whole(piece.first, piece.end, level));
	*(pte_t **)context = entry;
	return false;
}

enum page_status page_table_replace(struct page_table *table, virt_t address, pfn_t frame,
				    struct page_gather *gather, struct page_reserve *reserve)
{
	struct page_leaf old;
	struct page_range range;
	enum page_status status = page_range_from(table, address, FRAME_SIZE, &range);
	pte_t *entry;
	unsigned flags;

	if (status != PAGE_OK)
		return status;
	if (frame.value >= PAGE_PFN_END)
		return PAGE_BAD_FRAME;
	if (!page_table_translate(table, address, &old))
		return PAGE_NOT_MAPPED;
	if ((old.flags & PAGE_OWNED) && gather->runs == PAGE_GATHER_RUNS)
		return PAGE_AGAIN;
	status = begin_change(table, address, FRAME_SIZE, gather, reserve, &range);
	if (status != PAGE_OK)
		return status;
	leaves_visit(root_of(table), table->levels - 1, range, find_entry, &entry);
	page_gather_leaf(gather, entry_load(entry), 0);
	flags = old.flags | PAGE_OWNED | PAGE_SHARED;
	/* E2: the copy's contents before the entry. */
	entry_publish(entry, pte_leaf(frame, flags));
	note(gather, table, range);
	return PAGE_OK;
}
