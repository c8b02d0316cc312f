/* SPDX-License-Identifier: BSD-2-Clause */
/* paging_model.c - see paging_model.h. */
#include "paging_model.h"

#include <stdlib.h>
#include <string.h>

#include <port.h>

#include "unit.h"

uint64_t model_pages(unsigned levels)
{
	return (uint64_t)1 << 9 * levels;
}

uint64_t model_address(unsigned levels, uint64_t page)
{
	uint64_t address = page << 12;

	return page >= model_pages(levels) / 2 ? address | ~((model_pages(levels) << 12) - 1)
					       : address;
}

static bool is_canonical(unsigned levels, uint64_t address)
{
	uint64_t top = address >> (9 * levels + 11);

	return top == 0 || top == ~(uint64_t)0 >> (9 * levels + 11);
}

enum page_status model_range(unsigned levels, uint64_t address, uint64_t length, uint64_t *first,
			     uint64_t *end)
{
	uint64_t last = address + length - 1;

	if (length == 0)
		return PAGE_EMPTY;
	if (address % 4096 || length % 4096)
		return PAGE_UNALIGNED;
	if (last < address)
		return PAGE_WRAPS;
	if (!is_canonical(levels, address) || !is_canonical(levels, last) ||
	    address >> 63 != last >> 63)
		return PAGE_NOT_CANONICAL;
	*first = (address >> 12) % model_pages(levels);
	*end = *first + length / 4096;
	return PAGE_OK;
}

bool model_flags_are_good(unsigned flags)
{
	bool r = flags & PAGE_READ, w = flags & PAGE_WRITE, x = flags & PAGE_EXECUTE;

	if (flags & ~0x33eu)
		return false;
	return (r || x) && (r || !w) && ((flags & PAGE_OWNED) || !(flags & PAGE_SHARED));
}

const struct model_piece *model_find(const struct model_space *space, uint64_t page)
{
	for (unsigned i = 0; i < space->count; i++)
		if (space->piece[i].first <= page && page < space->piece[i].end)
			return &space->piece[i];
	return NULL;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t pages_in(const struct model_space *space, uint64_t first, uint64_t end)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < space->count; i++) {
		uint64_t from = most(first, space->piece[i].first);
		uint64_t to = least(end, space->piece[i].end);

		pages += from < to ? to - from : 0;
	}
	return pages;
}

bool model_is_clear(const struct model_space *space, uint64_t first, uint64_t end)
{
	return pages_in(space, first, end) == 0;
}

bool model_is_full(const struct model_space *space, uint64_t first, uint64_t end)
{
	return pages_in(space, first, end) == end - first;
}

void model_map(struct model_space *space, uint64_t first, uint64_t end, uint64_t frame,
	       unsigned flags)
{
	CHECK(space->count < MODEL_PIECES);
	space->piece[space->count++] = (struct model_piece){first, end, frame, flags};
}

/* No piece goes on across this page's beginning. */
static void cut(struct model_space *space, uint64_t page)
{
	for (unsigned i = 0; i < space->count; i++) {
		struct model_piece *piece = &space->piece[i];

		if (piece->first < page && page < piece->end) {
			uint64_t end = piece->end;

			piece->end = page;
			model_map(space, page, end, piece->frame + (page - piece->first),
				  piece->flags);
			return;
		}
	}
}

static int by_first(const void *a, const void *b)
{
	const struct model_piece *left = a, *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

/* The pieces of a range, cut at its ends and sorted; *count of them. */
static struct model_piece *pieces_of(struct model_space *space, uint64_t first, uint64_t end,
				     unsigned *count)
{
	unsigned at = 0;

	cut(space, first);
	cut(space, end);
	qsort(space->piece, space->count, sizeof(*space->piece), by_first);
	while (at < space->count && space->piece[at].first < first)
		at++;
	*count = 0;
	while (at + *count < space->count && space->piece[at + *count].first < end)
		++*count;
	return &space->piece[at];
}

void model_add_run(struct model_runs *runs, uint64_t first, uint64_t frames, bool shared)
{
	struct model_run *last = &runs->run[runs->count ? runs->count - 1 : 0];

	if (runs->count > 0 && last->shared == shared && last->first + last->frames == first) {
		last->frames += frames;
		return;
	}
	CHECK(runs->count < MODEL_PIECES);
	runs->run[runs->count++] = (struct model_run){first, frames, shared};
}

void model_drop(void *context, pfn_t first, uint64_t frames, bool shared)
{
	model_add_run(context, first.value, frames, shared);
}

void model_compare_runs(const struct model_runs *found, const struct model_runs *expected)
{
	CHECK_EQ(found->count, expected->count);
	for (unsigned i = 0; i < found->count; i++) {
		CHECK_EQ(found->run[i].first, expected->run[i].first);
		CHECK_EQ(found->run[i].frames, expected->run[i].frames);
		CHECK_EQ(found->run[i].shared, expected->run[i].shared);
	}
}

void model_unmap(struct model_space *space, uint64_t first, uint64_t end, struct model_runs *runs)
{
	unsigned count;
	struct model_piece *pieces = pieces_of(space, first, end, &count);

	for (unsigned i = 0; i < count; i++)
		if (pieces[i].flags & PAGE_OWNED)
			model_add_run(runs, pieces[i].frame, pieces[i].end - pieces[i].first,
				      pieces[i].flags & PAGE_SHARED);
	memmove(pieces, pieces + count,
		(size_t)((char *)(space->piece + space->count) - (char *)(pieces + count)));
	space->count -= count;
}

void model_protect(struct model_space *space, uint64_t first, uint64_t end, unsigned flags)
{
	unsigned count;
	struct model_piece *pieces = pieces_of(space, first, end, &count);

	for (unsigned i = 0; i < count; i++)
		pieces[i].flags = flags | (pieces[i].flags & (PAGE_OWNED | PAGE_SHARED));
}

void model_unshare(struct model_space *space, uint64_t first, uint64_t end)
{
	unsigned count;
	struct model_piece *pieces = pieces_of(space, first, end, &count);

	for (unsigned i = 0; i < count; i++)
		pieces[i].flags &= ~(unsigned)PAGE_SHARED;
}

void model_clone(struct model_space *to, struct model_space *from, uint64_t first, uint64_t end)
{
	unsigned count;
	struct model_piece *pieces = pieces_of(from, first, end, &count);

	for (unsigned i = 0; i < count; i++) {
		if (pieces[i].flags & PAGE_OWNED)
			pieces[i].flags |= PAGE_SHARED;
		model_map(to, pieces[i].first, pieces[i].end, pieces[i].frame, pieces[i].flags);
	}
}

/* ---- the reader -------------------------------------------------------------------------- */

#define BIT(number) ((uint64_t)1 << (number))

static const uint64_t *words_of(uint64_t frame)
{
	return port_phys_pointer(frame << 12);
}

/* Bits 53..10. */
static uint64_t frame_of(uint64_t word)
{
	return word << 10 >> 20;
}

static bool is_leaf(uint64_t word)
{
	return word & (BIT(1) | BIT(2) | BIT(3));
}

uint64_t model_entry(const struct page_table *table, uint64_t page, unsigned *level)
{
	uint64_t frame = table->root.value;

	for (*level = table->levels - 1;; --*level) {
		uint64_t word = __atomic_load_n(&words_of(frame)[page >> 9 * *level & 511],
						__ATOMIC_RELAXED);

		if (!(word & BIT(0)))
			return 0;
		if (is_leaf(word))
			return word;
		CHECK(*level > 0);
		frame = frame_of(word);
	}
}

uint64_t model_expected(const struct model_space *space, uint64_t page, unsigned level)
{
	const struct model_piece *piece = model_find(space, page);
	uint64_t first = page >> 9 * level << 9 * level, word;

	if (!piece)
		return 0;
	word = (piece->frame + (first - piece->first)) << 10 | BIT(0) | BIT(6) | BIT(7);
	word |= piece->flags & (BIT(1) | BIT(3) | BIT(4) | BIT(5));
	if (piece->flags & PAGE_SHARED)
		return word | BIT(9) | (piece->flags & PAGE_WRITE ? BIT(8) : 0);
	return word | (piece->flags & PAGE_WRITE ? BIT(2) : 0) |
	       (piece->flags & PAGE_OWNED ? BIT(8) : 0);
}

struct reading {
	const struct model_space *space;
	uint64_t tables, pages;
};

static void check_leaf(struct reading *reading, uint64_t word, uint64_t page, unsigned level)
{
	const struct model_piece *piece = model_find(reading->space, page);

	CHECK(piece && page + BIT(9 * level) <= piece->end);
	CHECK_EQ(word, model_expected(reading->space, page, level));
	CHECK_EQ(frame_of(word) % BIT(9 * level), 0);
	reading->pages += BIT(9 * level);
}

static void check_table(struct reading *reading, uint64_t frame, uint64_t page, unsigned level)
{
	bool is_root = level == reading->space->levels - 1;
	unsigned used = 0;

	reading->tables++;
	for (unsigned i = 0; i < 512; i++) {
		uint64_t word = words_of(frame)[i], at = page + i * BIT(9 * level);

		if (word == 0)
			continue;
		used++;
		CHECK(word & BIT(0));
		if (is_leaf(word)) {
			check_leaf(reading, word, at, level);
			continue;
		}
		CHECK(level > 0);
		CHECK_EQ(word, frame_of(word) << 10 | BIT(0));
		check_table(reading, frame_of(word), at, level - 1);
	}
	CHECK(used > 0 || is_root);
}

void model_check(const struct model_space *space, const struct page_table *table)
{
	struct reading reading = {space, 0, 0};

	check_table(&reading, table->root.value, 0, space->levels - 1);
	CHECK_EQ(reading.tables, table->tables);
	CHECK_EQ(reading.pages, pages_in(space, 0, model_pages(space->levels)));
}

/* ---- snapshots --------------------------------------------------------------------------- */

static void take_table(struct model_snapshot *snapshot, uint64_t frame, unsigned level)
{
	uint64_t at = snapshot->count++;

	/* Room grows by powers of two. */
	if ((at & (at - 1)) == 0)
		snapshot->table = realloc(snapshot->table,
					  (at ? 2 * at : 1) * sizeof(*snapshot->table));
	snapshot->table[at].frame = frame;
	memcpy(snapshot->table[at].word, words_of(frame), 4096);
	for (unsigned i = 0; i < 512; i++) {
		uint64_t word = words_of(frame)[i];

		if ((word & BIT(0)) && !is_leaf(word) && level > 0)
			take_table(snapshot, frame_of(word), level - 1);
	}
}

struct model_snapshot model_snapshot(const struct page_table *table)
{
	struct model_snapshot snapshot = {0, NULL};

	take_table(&snapshot, table->root.value, table->levels - 1);
	return snapshot;
}

void model_snapshot_end(struct model_snapshot *snapshot)
{
	free(snapshot->table);
	snapshot->table = NULL;
}

void model_unchanged(struct model_snapshot *before, const struct page_table *table)
{
	struct model_snapshot now = model_snapshot(table);
	bool same = before->count == now.count &&
		    !memcmp(before->table, now.table, now.count * sizeof(*now.table));

	model_snapshot_end(&now);
	model_snapshot_end(before);
	CHECK(same);
	CHECK_EQ(before->count, table->tables);
}
