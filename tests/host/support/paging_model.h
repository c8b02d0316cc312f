/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paging_model.h - address spaces as lists of what is mapped where, and a reader of page tables
 * that shares nothing with mm/paging/.
 *
 * The model is too simple to be wrong: pieces [first, end) of pages, in no order, looked through
 * from end to end. The reader goes by the specification's words: bits by number, every entry of
 * every table that the root leads to.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/paging/page_table.h"

#define MODEL_PIECES 4096

/* Pages by their number in the space, 0 up to 512^levels. */
struct model_piece {
	uint64_t first, end;
	uint64_t frame;
	unsigned flags;
};

struct model_space {
	unsigned levels;
	unsigned count;
	struct model_piece piece[MODEL_PIECES];
};

/* Frames that left a space, in order, neighbours joined. */
struct model_run {
	uint64_t first, frames;
	bool shared;
};

struct model_runs {
	unsigned count;
	struct model_run run[MODEL_PIECES];
};

uint64_t model_pages(unsigned levels);
uint64_t model_address(unsigned levels, uint64_t page);

/* The status that any call with this range must first give; *first and *end set for PAGE_OK. */
enum page_status model_range(unsigned levels, uint64_t address, uint64_t length, uint64_t *first,
			     uint64_t *end);
bool model_flags_are_good(unsigned flags);

const struct model_piece *model_find(const struct model_space *space, uint64_t page);
bool model_is_clear(const struct model_space *space, uint64_t first, uint64_t end);
bool model_is_full(const struct model_space *space, uint64_t first, uint64_t end);

void model_map(struct model_space *space, uint64_t first, uint64_t end, uint64_t frame,
	       unsigned flags);
void model_unmap(struct model_space *space, uint64_t first, uint64_t end, struct model_runs *runs);
void model_protect(struct model_space *space, uint64_t first, uint64_t end, unsigned flags);
void model_unshare(struct model_space *space, uint64_t first, uint64_t end);
void model_clone(struct model_space *to, struct model_space *from, uint64_t first, uint64_t end);

void model_add_run(struct model_runs *runs, uint64_t first, uint64_t frames, bool shared);
/* A page_drop that adds to the struct model_runs in its context. */
void model_drop(void *context, pfn_t first, uint64_t frames, bool shared);
void model_compare_runs(const struct model_runs *found, const struct model_runs *expected);

/* The tree is what the model says, and has no table too many; a failed CHECK if not. */
void model_check(const struct model_space *space, const struct page_table *table);

/* The whole entry that a page has, or 0: as the hardware goes down. *level: where it stands. */
uint64_t model_entry(const struct page_table *table, uint64_t page, unsigned *level);
/* The entry that the model would have for the page in a leaf of this level, or 0. */
uint64_t model_expected(const struct model_space *space, uint64_t page, unsigned level);

/* Every table of a space with all its bits. */
struct model_table {
	uint64_t frame;
	uint64_t word[512];
};

struct model_snapshot {
	uint64_t count;
	struct model_table *table;
};

struct model_snapshot model_snapshot(const struct page_table *table);
/* Fails where anything differs; ends the snapshot. */
void model_unchanged(struct model_snapshot *before, const struct page_table *table);
void model_snapshot_end(struct model_snapshot *snapshot);
