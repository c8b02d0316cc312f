/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_table.c - creates, maps, translates, walks, validates and destroys; page_change.c unmaps and
 * protects.
 *
 * Every function that walks down a tree has a range, and does in each table on the path all of the
 * range's work there, so no table is found twice. Recursion is as deep as there are levels.
 *
 * A map goes over the range twice. mapping_plan() checks that nothing is mapped there and counts
 * the missing tables; below an absent entry their number follows from the ends of the range. If the
 * reserve has that number of frames, mapping_fill() writes, and cannot fail.
 */
#include "mm/paging/page_table.h"

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/paging/entries.h"

#define SATP_MODE_SV39	8
#define SATP_MODE_SHIFT 60
#define SATP_ASID_SHIFT 44

const char *page_status_text(enum page_status status)
{
	static const char *const text[] = {
		[PAGE_OK] = "done",
		[PAGE_AGAIN] = "done in part, the gather is full",
		[PAGE_EMPTY] = "length 0",
		[PAGE_UNALIGNED] = "not a multiple of 4096",
		[PAGE_WRAPS] = "beyond the last address",
		[PAGE_NOT_CANONICAL] = "not canonical",
		[PAGE_BAD_FRAME] = "beyond physical addresses",
		[PAGE_BAD_FLAGS] = "flags that no page can have",
		[PAGE_MAPPED] = "mapped already",
		[PAGE_NOT_MAPPED] = "not mapped",
		[PAGE_SHORT] = "too few frames in the reserve",
		[PAGE_NO_FRAMES] = "no frames for tables",
		[PAGE_REFUSED] = "frames cannot be shared",
	};

	return (unsigned)status < sizeof(text) / sizeof(*text) ? text[status] : "no status";
}

/* ---- life of a space --------------------------------------------------------------------- */

enum page_status page_table_create(struct page_table *table, unsigned levels, uint16_t asid)
{
	check(levels == SV39_LEVELS || levels == SV48_LEVELS,
	      "page_table_create: %u levels, there are spaces of %u and %u", levels, SV39_LEVELS,
	      SV48_LEVELS);
	table->root = frame_alloc(FRAME_ZERO);
	table->levels = levels;
	table->asid = asid;
	table->tables = 1;
	return pfn_is_none(table->root) ? PAGE_NO_FRAMES : PAGE_OK;
}

struct destruction {
	page_drop drop;
	void *context;
	uint64_t tables;
};

static void destroy_below(struct destruction *destruction, pfn_t frame, unsigned level)
{
	const pte_t *table = page_entries(frame);

	for (unsigned i = 0; i < PAGE_ENTRIES; i++) {
		pte_t entry = entry_load(&table[i]);
		unsigned flags = pte_flags(entry);

		if (!pte_is_valid(entry))
			continue;
		if (!pte_is_leaf(entry)) {
			destroy_below(destruction, pte_frame(entry), level - 1);
			continue;
		}
		if (!(flags & PAGE_OWNED))
			continue;
		check(destruction->drop, "page_table_destroy: owned frames, and drop is NULL");
		destruction->drop(destruction->context, pte_frame(entry), page_frames(level),
				  flags & PAGE_SHARED);
	}
	destruction->tables++;
	frame_free(frame);
}

void page_table_destroy(struct page_table *table, page_drop drop, void *context)
{
	struct destruction destruction = {drop, context, 0};

	check(!pfn_is_none(table->root), "page_table_destroy: destroyed already");
	destroy_below(&destruction, table->root, table->levels - 1);
	check(destruction.tables == table->tables, "page table: %llu tables, it counted %llu",
	      (unsigned long long)destruction.tables, (unsigned long long)table->tables);
	table->root = PFN_NONE;
	table->tables = 0;
}

uint64_t page_table_satp(const struct page_table *table)
{
	uint64_t mode = SATP_MODE_SV39 + table->levels - SV39_LEVELS;

	return mode << SATP_MODE_SHIFT | (uint64_t)table->asid << SATP_ASID_SHIFT |
	       table->root.value;
}

/* ---- ranges ------------------------------------------------------------------------------ */

static uint64_t page_number(const struct page_table *table, virt_t address)
{
	return vpn_floor(address).value & ((UINT64_C(1) << PAGE_INDEX_BITS * table->levels) - 1);
}

enum page_status page_range_from(const struct page_table *table, virt_t address, uint64_t length,
				 struct page_range *range)
{
	virt_t last = virt(address.value + (length - 1));

	if (length == 0)
		return PAGE_EMPTY;
	if (!virt_is_aligned(address) || !virt_is_aligned(virt(length)))
		return PAGE_UNALIGNED;
	if (last.value < address.value)
		return PAGE_WRAPS;
	if (!virt_is_canonical(address, table->levels) || !virt_is_canonical(last, table->levels) ||
	    (address.value ^ last.value) >> 63)
		return PAGE_NOT_CANONICAL;
	range->first = page_number(table, address);
	range->end = page_number(table, last) + 1;
	return PAGE_OK;
}

/* ---- mapping ----------------------------------------------------------------------------- */

/* The part [first, end) of the mapping. */
static struct mapping mapping_part(struct mapping mapping, uint64_t first, uint64_t end)
{
	mapping.first_frame += first - mapping.pages.first;
	mapping.pages = (struct page_range){first, end};
	return mapping;
}

/* Whether the whole mapping is one page of this level. */
static bool mapping_is_leaf(struct mapping mapping, unsigned level)
{
	return piece_is_whole(mapping.pages.first, mapping.pages.end, level) &&
	       (mapping.first_frame & (page_frames(level) - 1)) == 0;
}

/* The number of entries of this level that the mapping touches and that do not become leaves. */
static uint64_t tables_at(struct mapping mapping, unsigned level)
{
	uint64_t first = mapping.pages.first, end = mapping.pages.end;
	uint64_t inside = page_frames(level) - 1;
	unsigned bits = PAGE_INDEX_BITS * level;
	uint64_t touched = ((end - 1) >> bits) - (first >> bits) + 1;
	uint64_t whole_first = (first + inside) >> bits, whole_end = end >> bits;

	if (((first ^ mapping.first_frame) & inside) != 0 || whole_first >= whole_end)
		return touched;
	return touched - (whole_end - whole_first);
}

/*
 * The number of tables below an absent entry of this level. The part below a large page counts as
 * leaves of each smaller size, so it adds no table.
 */
static uint64_t tables_below(struct mapping mapping, unsigned level)
{
	uint64_t tables = 0;

	for (; level > 0; level--)
		tables += tables_at(mapping, level);
	return tables;
}

bool mapping_plan(const pte_t *table, unsigned level, struct mapping mapping, uint64_t *needed)
{
	uint64_t next;

	if (!table) {
		*needed += tables_below(mapping, level);
		return true;
	}
	for (uint64_t page = mapping.pages.first; page < mapping.pages.end; page = next) {
		struct mapping part;
		pte_t entry = entry_load(&table[entry_index(page, level)]);
		const pte_t *below = NULL;

		next = piece_end(page, mapping.pages.end, level);
		part = mapping_part(mapping, page, next);
		if (pte_is_valid(entry)) {
			if (pte_is_leaf(entry))
				return false;
			below = entry_table(entry);
		} else if (mapping_is_leaf(part, level)) {
			continue;
		} else {
			++*needed;
		}
		if (!mapping_plan(below, level - 1, part, needed))
			return false;
	}
	return true;
}

/* A new table is filled before it is published. */
static void fill_new_table(struct page_table *space, pte_t *entry, unsigned level,
			   struct mapping mapping, struct page_reserve *reserve)
{
	pfn_t frame = page_reserve_take(reserve);

	mapping_fill(space, page_entries(frame), level, mapping, reserve);
	entry_publish(entry, pte_table(frame));
	space->tables++;
}

/* Writes pages of 4 KiB in one table. */
static void fill_pages(pte_t *table, struct mapping mapping)
{
	pte_t *entry = &table[entry_index(mapping.pages.first, 0)];
	uint64_t frame = mapping.first_frame;

	for (uint64_t left = mapping.pages.end - mapping.pages.first; left > 0; left--)
		entry_store(entry++, pte_leaf(pfn(frame++), mapping.flags));
}

void mapping_fill(struct page_table *space, pte_t *table, unsigned level, struct mapping mapping,
		  struct page_reserve *reserve)
{
	uint64_t next;

	if (level == 0) {
		fill_pages(table, mapping);
		return;
	}
	for (uint64_t page = mapping.pages.first; page < mapping.pages.end; page = next) {
		pte_t *entry = &table[entry_index(page, level)];
		pte_t old = entry_load(entry);
		struct mapping part;

		next = piece_end(page, mapping.pages.end, level);
		part = mapping_part(mapping, page, next);
		if (pte_is_valid(old))
			mapping_fill(space, entry_table(old), level - 1, part, reserve);
		else if (mapping_is_leaf(part, level))
			entry_store(entry, pte_leaf(pfn(part.first_frame), mapping.flags));
		else
			fill_new_table(space, entry, level - 1, part, reserve);
	}
}

enum page_status page_table_map(struct page_table *table, virt_t address, pfn_t frame,
				uint64_t length, unsigned flags, struct page_reserve *reserve)
{
	struct mapping mapping = {.first_frame = frame.value, .flags = flags};
	pte_t *root = page_entries(table->root);
	enum page_status status = page_range_from(table, address, length, &mapping.pages);
	uint64_t needed = 0, left;

	if (status != PAGE_OK)
		return status;
	if (!page_flags_are_good(flags))
		return PAGE_BAD_FLAGS;
	if (frame.value >= PAGE_PFN_END ||
	    mapping.pages.end - mapping.pages.first > PAGE_PFN_END - frame.value)
		return PAGE_BAD_FRAME;
	if (!mapping_plan(root, table->levels - 1, mapping, &needed))
		return PAGE_MAPPED;
	if (!page_reserve_has(reserve, needed))
		return PAGE_SHORT;
	left = reserve->frames - needed;
	/*
	 * Orders earlier reads and writes of the frames before the mapping, through which other
	 * CPUs may write. The partner is a walk: its accesses depend on the entry that it has read.
	 */
	ck_pr_fence_release();
	mapping_fill(table, root, table->levels - 1, mapping, reserve);
	assert(reserve->frames == left);
	return PAGE_OK;
}

/* ---- translation and walks --------------------------------------------------------------- */

static struct page_leaf leaf_of(pte_t entry, unsigned level, uint64_t page, unsigned levels)
{
	uint64_t first = page & ~(page_frames(level) - 1);

	return (struct page_leaf){vpn_to_virt(page_vpn(first, levels)), pte_frame(entry), level,
				  pte_flags(entry)};
}

bool page_table_translate(const struct page_table *table, virt_t address, struct page_leaf *leaf)
{
	const pte_t *entries = page_entries(table->root);
	uint64_t page = page_number(table, address);

	if (!virt_is_canonical(address, table->levels))
		return false;
	for (unsigned level = table->levels; level-- > 0;) {
		pte_t entry = entry_follow(&entries[entry_index(page, level)]);

		if (!pte_is_valid(entry))
			return false;
		if (pte_is_leaf(entry)) {
			*leaf = leaf_of(entry, level, page, table->levels);
			return true;
		}
		entries = entry_table(entry);
	}
	port_panic("page table: the entry for %#llx leads below the last level",
		   (unsigned long long)address.value);
}

bool leaves_visit(pte_t *table, unsigned level, struct page_range range, leaf_visitor visit,
		  void *context)
{
	uint64_t next;

	for (uint64_t page = range.first; page < range.end; page = next) {
		pte_t *entry = &table[entry_index(page, level)];
		pte_t value = entry_load(entry);
		struct page_range piece;
		bool goes_on = true;

		next = piece_end(page, range.end, level);
		piece = (struct page_range){page, next};
		if (!pte_is_valid(value))
			continue;
		if (pte_is_leaf(value))
			goes_on = visit(context, entry, level, piece);
		else
			goes_on = leaves_visit(entry_table(value), level - 1, piece, visit, context);
		if (!goes_on)
			return false;
	}
	return true;
}

struct walk {
	page_visitor visit;
	void *context;
	unsigned levels;
};

static bool walk_leaf(void *context, pte_t *entry, unsigned level, struct page_range piece)
{
	const struct walk *walk = context;
	struct page_leaf leaf = leaf_of(entry_load(entry), level, piece.first, walk->levels);

	return walk->visit(walk->context, &leaf);
}

enum page_status page_table_walk(const struct page_table *table, virt_t address, uint64_t length,
				 page_visitor visit, void *context)
{
	struct walk walk = {visit, context, table->levels};
	struct page_range range;
	enum page_status status = page_range_from(table, address, length, &range);

	if (status == PAGE_OK)
		leaves_visit(page_entries(table->root), table->levels - 1, range, walk_leaf, &walk);
	return status;
}

static void validate_leaf(pte_t leaf, unsigned level)
{
	check(page_flags_are_good(pte_flags(leaf)) && (leaf.value & PTE_RESERVED) == 0 &&
		      (leaf.value & PTE_ACCESSED) && (leaf.value & PTE_DIRTY),
	      "page table: a leaf %#llx that cannot be", (unsigned long long)leaf.value);
	check((pte_frame(leaf).value & (page_frames(level) - 1)) == 0,
	      "page table: a leaf %#llx of level %u is not aligned", (unsigned long long)leaf.value,
	      level);
}

/* Returns the number of tables, this one included. */
static uint64_t validate_below(pfn_t frame, unsigned level, bool is_root)
{
	const pte_t *table = page_entries(frame);
	uint64_t tables = 1;
	unsigned used = 0;

	for (unsigned i = 0; i < PAGE_ENTRIES; i++) {
		pte_t entry = entry_load(&table[i]);

		if (entry.value == 0)
			continue;
		used++;
		check(pte_is_valid(entry),
		      "page table: an entry %#llx that is neither valid nor zero",
		      (unsigned long long)entry.value);
		if (pte_is_leaf(entry)) {
			validate_leaf(entry, level);
			continue;
		}
		check(level > 0 && entry.value == pte_table(pte_frame(entry)).value,
		      "page table: a pointer %#llx at level %u that cannot be",
		      (unsigned long long)entry.value, level);
		tables += validate_below(pte_frame(entry), level - 1, false);
	}
	check(used > 0 || is_root, "page table: an empty table of level %u", level);
	return tables;
}

void page_table_validate(const struct page_table *table)
{
	uint64_t tables = validate_below(table->root, table->levels - 1, true);

	check(tables == table->tables, "page table: %llu tables, it counts %llu",
	      (unsigned long long)tables, (unsigned long long)table->tables);
}
