/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_paging.c - page tables against lists of what is mapped, and against a hardware that looks at
 * every moment.
 *
 * The sources of mm/paging/ are compiled in here under other names, so that every store to an entry
 * and every frame taken or freed can be seen: between any two stores the whole tree is read as a
 * walker would read it, and any of the frames that a call wants can be refused.
 *
 * Covers: mm/paging/
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "sync/ck.h"
#include "unit.h"

/* ---- what is seen ------------------------------------------------------------------------ */

#define UNLIMITED UINT64_MAX

/* Of tests on one cpu: with many, nothing is noted. */
static struct {
	bool on;
	uint64_t budget; /* frames to be had */
	uint64_t stores, loads, allocs, frees;
	void (*after_store)(void);
	void (*before_free)(pfn_t frame);
	void (*after_load_32)(void);
	void (*before_cas_ptr)(void);
} seen;

static void see(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.on = true;
	seen.budget = UNLIMITED;
}

/* Where a kernel would hold a space's lock: in paging_calls.h, on each cpu. */
static __thread bool paging_locked;

static void not_under_the_lock(const char *what)
{
	if (paging_locked)
		port_panic("%s under the lock of a space", what);
}

static void seen_frame_zero(pfn_t frame)
{
	not_under_the_lock("frame_zero");
	frame_zero(frame);
}

static pfn_t seen_frame_alloc(unsigned flags)
{
	not_under_the_lock("frame_alloc");
	if (seen.on && seen.budget == 0)
		return PFN_NONE;
	if (seen.on) {
		seen.budget--;
		seen.allocs++;
	}
	return frame_alloc(flags);
}

static void seen_frame_free(pfn_t frame)
{
	not_under_the_lock("frame_free");
	if (seen.on)
		seen.frees++;
	if (seen.on && seen.before_free)
		seen.before_free(frame);
	frame_free(frame);
}

static void seen_store_64(uint64_t *word, uint64_t value)
{
	ck_pr_store_64(word, value);
	if (seen.on)
		seen.stores++;
	if (seen.on && seen.after_store)
		seen.after_store();
}

static uint64_t seen_load_64(const uint64_t *word)
{
	if (seen.on)
		seen.loads++;
	return ck_pr_load_64(word);
}

/* Done by another cpu between a look at a count and its change. */
static uint32_t seen_load_32(const uint32_t *word)
{
	uint32_t value = ck_pr_load_32(word);
	void (*other)(void) = seen.on ? seen.after_load_32 : NULL;

	if (other) {
		seen.after_load_32 = NULL;
		other();
	}
	return value;
}

/* Done by another cpu just before a first pointer is stored. */
static bool seen_cas_ptr(void *target, void *old, void *new)
{
	void (*other)(void) = seen.on ? seen.before_cas_ptr : NULL;

	if (other) {
		seen.before_cas_ptr = NULL;
		other();
	}
	return ck_pr_cas_ptr(target, old, new);
}

#undef ck_pr_store_64
#undef ck_pr_load_64
#undef ck_pr_load_32
#undef ck_pr_cas_ptr
#define frame_alloc    seen_frame_alloc
#define frame_free     seen_frame_free
#define frame_zero     seen_frame_zero
#define ck_pr_store_64 seen_store_64
#define ck_pr_load_64  seen_load_64
#define ck_pr_load_32  seen_load_32
#define ck_pr_cas_ptr  seen_cas_ptr

#define page_status_text	seen_page_status_text
#define page_table_create	seen_page_table_create
#define page_table_destroy	seen_page_table_destroy
#define page_table_satp		seen_page_table_satp
#define page_table_map		seen_page_table_map
#define page_table_unmap	seen_page_table_unmap
#define page_table_unmap_rest	seen_page_table_unmap_rest
#define page_table_protect	seen_page_table_protect
#define page_table_clone	seen_page_table_clone
#define page_table_replace	seen_page_table_replace
#define page_table_unshare	seen_page_table_unshare
#define page_table_translate	seen_page_table_translate
#define page_table_walk		seen_page_table_walk
#define page_table_validate	seen_page_table_validate
#define page_gather_init	seen_page_gather_init
#define page_gather_release	seen_page_gather_release
#define page_gather_note	seen_page_gather_note
#define page_gather_leaf	seen_page_gather_leaf
#define page_gather_table	seen_page_gather_table
#define page_reserve_settle	seen_page_stock_settle
#define page_reserve_has	seen_page_stock_has
#define page_reserve_take	seen_page_stock_take
#define page_reserve_take_spare seen_page_stock_take_spare
#define page_reserve_put_back	seen_page_stock_put_back
#define page_range_from		seen_stretch_from
#define mapping_plan		seen_mapping_plan
#define mapping_fill		seen_mapping_fill
#define leaves_visit		seen_leaves_visit
#define split_needed		seen_split_needed
#define split_ends		seen_split_ends
#define frame_refs_init		seen_frame_refs_init
#define frame_refs_end		seen_frame_refs_end
#define frame_refs_share	seen_frame_refs_share
#define frame_refs_drop		seen_frame_refs_drop
#define frame_refs_count	seen_frame_refs_count
#define frame_refs_overhead	seen_frame_refs_overhead

#include "mm/paging/gather.c"
#include "mm/paging/page_change.c"
#include "mm/paging/page_clone.c"
#include "mm/paging/page_table.c"
#include "mm/paging/refcount.c"
#include "mm/paging/page_reserve.c"

#undef frame_alloc
#undef frame_free
#undef frame_zero

#include "paging_calls.h"
#include "paging_model.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define RW  (PAGE_READ | PAGE_WRITE)

/* ---- a machine and two spaces ------------------------------------------------------------ */

struct spaces {
	struct page_table table[2];
	struct model_space *model[2];
	struct page_gather gather;
	struct model_runs *found, *expected;
	uint64_t frames_at_start;
};

static struct spaces spaces;

static void start(unsigned levels)
{
	host_memory_start(32 * MIB, 1);
	see();
	memset(&spaces, 0, sizeof(spaces));
	spaces.frames_at_start = frame_free_count();
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(page_table_create(&spaces.table[i], levels, 5), PAGE_OK);
		spaces.model[i] = calloc(1, sizeof(*spaces.model[i]));
		spaces.model[i]->levels = levels;
	}
	spaces.found = calloc(1, sizeof(*spaces.found));
	spaces.expected = calloc(1, sizeof(*spaces.expected));
	page_gather_init(&spaces.gather);
}

/* Walkers may be in gathered tables until the flush: nothing in there is valid. */
static void check_gathered(void)
{
	uint64_t frame = spaces.gather.table.value;

	for (uint64_t left = spaces.gather.tables; left > 0; left--) {
		const uint64_t *words = port_phys_pointer(frame << FRAME_SHIFT);

		for (unsigned i = 0; i < PAGE_ENTRIES; i++)
			CHECK((words[i] & 1) == 0 && (i == 0 || words[i] == 0));
		frame = words[0] >> 10;
	}
}

static void flush_and_release(void)
{
	check_gathered();
	CHECK(spaces.gather.tables == 0 || spaces.gather.tables_too);
	page_gather_release(&spaces.gather, model_drop, spaces.found);
	CHECK(!page_gather_needs_flush(&spaces.gather) && spaces.gather.tables == 0);
}

static void check_spaces(void)
{
	for (unsigned i = 0; i < 2; i++) {
		model_check(spaces.model[i], &spaces.table[i]);
		page_table_validate(&spaces.table[i]);
	}
	CHECK_EQ(frame_free_count() + spaces.table[0].tables + spaces.table[1].tables +
			 spaces.gather.tables,
		 spaces.frames_at_start);
}

/* At the end all remaining mappings are removed, and every frame is back. */
static void finish(void)
{
	seen.after_store = NULL;
	seen.before_free = NULL;
	seen.budget = UNLIMITED;
	flush_and_release();
	for (unsigned i = 0; i < 2; i++) {
		spaces.found->count = spaces.expected->count = 0;
		page_table_destroy(&spaces.table[i], model_drop, spaces.found);
		model_unmap(spaces.model[i], 0, model_pages(spaces.model[i]->levels),
			    spaces.expected);
		model_compare_runs(spaces.found, spaces.expected);
		free(spaces.model[i]);
	}
	free(spaces.found);
	free(spaces.expected);
	frame_validate();
	CHECK_EQ(frame_free_count(), spaces.frames_at_start);
	host_memory_end();
	seen.on = false;
}

/* ---- values ------------------------------------------------------------------------------ */

TEST(paging_entries_are_as_specified)
{
	pte_t leaf = pte_leaf(pfn(0x12345), RW | PAGE_USER);

	CHECK_EQ(leaf.value, UINT64_C(0x12345) << 10 | 0xd7);
	CHECK_EQ(pte_leaf(pfn(1), PAGE_EXECUTE | PAGE_GLOBAL).value, 1 << 10 | 0xe9);
	CHECK_EQ(pte_leaf(pfn(1), PAGE_READ | PAGE_OWNED).value, 1 << 10 | 0x1c3);
	CHECK_EQ(pte_leaf(pfn(1), RW | PAGE_OWNED | PAGE_SHARED).value, 1 << 10 | 0x3c3);
	CHECK_EQ(pte_leaf(pfn(1), PAGE_READ | PAGE_OWNED | PAGE_SHARED).value, 1 << 10 | 0x2c3);
	CHECK_EQ(pte_table(pfn(PAGE_PFN_END - 1)).value, ((UINT64_C(1) << 54) - 1) & ~0x3feul);
	CHECK_EQ(pte_frame(pte_leaf(pfn(PAGE_PFN_END - 1), RW)).value, PAGE_PFN_END - 1);
	CHECK(!pte_is_leaf(pte_table(pfn(1))) && pte_is_valid(pte_table(pfn(1))));
	CHECK(!pte_is_valid(PTE_NONE));
	for (unsigned flags = 0; flags < 4096; flags++) {
		CHECK_EQ(page_flags_are_good(flags), model_flags_are_good(flags));
		if (page_flags_are_good(flags))
			CHECK_EQ(pte_flags(pte_leaf(pfn(77), flags)), flags);
	}
}

TEST(paging_addresses_are_checked)
{
	uint64_t word[2];
	vpn_t page = vpn(7);
	pfn_t frame = pfn(7);

	CHECK(virt_is_canonical(virt(0x3fffffffff), 3));
	CHECK(!virt_is_canonical(virt(0x4000000000), 3));
	CHECK(!virt_is_canonical(virt(0xffffffbfffffffff), 3));
	CHECK(virt_is_canonical(virt(0xffffffc000000000), 3));
	CHECK(virt_is_canonical(virt(0x4000000000), 4));
	CHECK(!virt_is_canonical(virt(0x800000000000), 4));
	CHECK(virt_is_canonical(virt(0xffff800000000000), 4));
	CHECK(!vpn_from_canonical(virt(0x1001), 3, &page) && page.value == 7);
	CHECK(!vpn_from_canonical(virt(0x4000000000), 3, &page) && page.value == 7);
	CHECK(vpn_from_canonical(virt(UINT64_MAX << 12), 3, &page));
	CHECK_EQ(page.value, (UINT64_C(1) << 52) - 1);
	for (unsigned level = 0; level < 4; level++)
		CHECK_EQ(vpn_index(vpn(UINT64_C(0x123456789)), level),
			 UINT64_C(0x123456789) >> 9 * level & 511);
	CHECK_EQ(page_size(PAGE_4K), 4 * KIB);
	CHECK_EQ(page_size(PAGE_2M), 2 * MIB);
	CHECK_EQ(page_size(PAGE_1G), GIB);
	CHECK_EQ(page_size(PAGE_512G), 512 * GIB);
	start(SV39_LEVELS);
	CHECK_EQ(page_table_satp(&spaces.table[0]),
		 UINT64_C(8) << 60 | UINT64_C(5) << 44 | spaces.table[0].root.value);
	CHECK(page_frame(page_bytes(spaces.table[0].root), &frame));
	CHECK(pfn_equal(frame, spaces.table[0].root));
	CHECK(!page_frame(page_bytes(frame) + 8, &frame));
	CHECK(page_object(struct model_run, frame) == (void *)page_entries(frame));
	CHECK(sizeof(word) == 16);
	finish();
	start(SV48_LEVELS);
	CHECK_EQ(page_table_satp(&spaces.table[0]) >> 60, 9);
	EXPECT_PANIC((void)!page_table_create(&spaces.table[0], 5, 0), "5 levels");
	finish();
}

/* ---- mistakes ---------------------------------------------------------------------------- */

struct range_case {
	uint64_t address, length;
	enum page_status status;
};

static const struct range_case range_cases[] = {
	{0x1000, 0, PAGE_EMPTY},
	{0x1001, 0x1000, PAGE_UNALIGNED},
	{0x1000, 0x1001, PAGE_UNALIGNED},
	{0x1000, 0xfff, PAGE_UNALIGNED},
	{0xfffffffffffff000, 0x2000, PAGE_WRAPS},
	{0x2000, UINT64_MAX & ~(uint64_t)4095, PAGE_WRAPS},
	{0x0000008000000000, 0x1000, PAGE_NOT_CANONICAL},
	{0x0000004000000000, 0x1000, PAGE_NOT_CANONICAL},
	{0x0000003ffffff000, 0x2000, PAGE_NOT_CANONICAL},
	{0xffffffbffffff000, 0x2000, PAGE_NOT_CANONICAL},
	{0, 0xfffffffffffff000, PAGE_NOT_CANONICAL},
	{0x0000003ffffff000, UINT64_C(0xffffffc000002000) - 0x3ffffff000, PAGE_NOT_CANONICAL},
};

static const unsigned bad_flags[] = {
	0,
	PAGE_WRITE,
	PAGE_WRITE | PAGE_EXECUTE,
	PAGE_USER,
	PAGE_GLOBAL | PAGE_OWNED,
	PAGE_READ | PAGE_SHARED,
	PAGE_READ | 1,
	PAGE_READ | 1 << 6,
	PAGE_READ | 1 << 10,
};

static bool never_visit(void *context, const struct page_leaf *leaf)
{
	(void)context;
	(void)leaf;
	CHECK(false);
	return false;
}

static void check_range_case(const struct range_case *range)
{
	struct page_table *table = &spaces.table[0];
	struct page_sharing sharing = {NULL, NULL, NULL};
	virt_t at = virt(range->address);

	CHECK_EQ(locked_map(table, at, pfn(1), range->length, RW), range->status);
	CHECK_EQ(locked_unmap(table, at, range->length, &spaces.gather), range->status);
	CHECK_EQ(locked_protect(table, at, range->length, RW, &spaces.gather), range->status);
	CHECK_EQ(locked_unshare(table, at, range->length, &spaces.gather), range->status);
	CHECK_EQ(page_table_walk(table, at, range->length, never_visit, NULL), range->status);
	CHECK_EQ(locked_clone(&spaces.table[1], table, at, range->length, &sharing, &spaces.gather),
		 range->status);
}

static void check_bad_flags(unsigned flags)
{
	struct page_table *table = &spaces.table[0];

	CHECK_EQ(locked_map(table, virt(0x1000), pfn(1), 0x1000, flags), PAGE_BAD_FLAGS);
	CHECK_EQ(locked_protect(table, virt(GIB), 0x1000, flags, &spaces.gather), PAGE_BAD_FLAGS);
}

TEST(paging_mistakes_change_nothing)
{
	struct page_table *table;
	struct model_snapshot before;
	struct page_gather *gather = &spaces.gather;

	start(SV39_LEVELS);
	table = &spaces.table[0];
	CHECK_EQ(locked_map(table, virt(GIB), pfn(512), 4 * MIB, RW), PAGE_OK);
	CHECK_EQ(locked_map(table, virt(GIB + 8 * MIB), pfn(77), 0x3000, RW), PAGE_OK);
	model_map(spaces.model[0], GIB >> 12, (GIB + 4 * MIB) >> 12, 512, RW);
	model_map(spaces.model[0], (GIB + 8 * MIB) >> 12, ((GIB + 8 * MIB) >> 12) + 3, 77, RW);
	before = model_snapshot(table);
	for (unsigned i = 0; i < sizeof(range_cases) / sizeof(*range_cases); i++)
		check_range_case(&range_cases[i]);
	for (unsigned i = 0; i < sizeof(bad_flags) / sizeof(*bad_flags); i++)
		check_bad_flags(bad_flags[i]);
	CHECK_EQ(locked_protect(table, virt(GIB), 0x1000, RW | PAGE_OWNED, gather), PAGE_BAD_FLAGS);
	CHECK_EQ(locked_map(table, virt(0), PFN_NONE, 0x1000, RW), PAGE_BAD_FRAME);
	CHECK_EQ(locked_map(table, virt(0), pfn(PAGE_PFN_END - 1), 0x2000, RW), PAGE_BAD_FRAME);
	/* Over a mapping: its beginning, its end, its middle, around it, through its large page. */
	CHECK_EQ(locked_map(table, virt(GIB - MIB), pfn(0), 2 * MIB, RW), PAGE_MAPPED);
	CHECK_EQ(locked_map(table, virt(GIB + 4 * MIB - 4096), pfn(0), 0x2000, RW), PAGE_MAPPED);
	CHECK_EQ(locked_map(table, virt(0), pfn(0), 2 * GIB, RW), PAGE_MAPPED);
	CHECK_EQ(locked_map(table, virt(GIB + MIB), pfn(0), 0x1000, RW), PAGE_MAPPED);
	CHECK_EQ(locked_map(table, virt(GIB + 8 * MIB), pfn(512), 2 * MIB, RW), PAGE_MAPPED);
	/* Holes: at the end, at the beginning, in the middle, nothing but. */
	CHECK_EQ(locked_unmap(table, virt(GIB), 4 * MIB + 4096, gather), PAGE_NOT_MAPPED);
	CHECK_EQ(locked_unmap(table, virt(GIB - 4096), 4 * MIB, gather), PAGE_NOT_MAPPED);
	CHECK_EQ(locked_unmap(table, virt(GIB), 8 * MIB + 4096, gather), PAGE_NOT_MAPPED);
	CHECK_EQ(locked_protect(table, virt(8 * GIB), 4096, RW, gather), PAGE_NOT_MAPPED);
	CHECK_EQ(locked_unshare(table, virt(GIB - 4096), 8192, gather), PAGE_NOT_MAPPED);
	CHECK_EQ(locked_replace(table, virt(GIB - 4096), pfn(1), gather), PAGE_NOT_MAPPED);
	CHECK_EQ(locked_replace(table, virt(GIB + 1), pfn(1), gather), PAGE_UNALIGNED);
	CHECK_EQ(locked_replace(table, virt(GIB), pfn(PAGE_PFN_END), gather), PAGE_BAD_FRAME);
	EXPECT_PANIC((void)!page_table_clone(table, table, virt(0), 4096, NULL, gather, NULL),
		     "itself");
	CHECK(!page_gather_needs_flush(gather) && gather->runs == 0 && gather->tables == 0);
	model_unchanged(&before, table);
	check_spaces();
	for (int status = PAGE_OK; status <= PAGE_REFUSED; status++)
		CHECK(strlen(page_status_text(status)) > 3);
	finish();
}

/* ---- sizes of pages ---------------------------------------------------------------------- */

struct sizes {
	uint64_t count[PAGE_LEVELS_MAX];
	uint64_t next; /* address */
};

static bool count_size(void *context, const struct page_leaf *leaf)
{
	struct sizes *sizes = context;

	CHECK(leaf->address.value >= sizes->next);
	sizes->next = leaf->address.value + page_size(leaf->level);
	sizes->count[leaf->level]++;
	return true;
}

static void check_sizes(virt_t address, uint64_t length, uint64_t small, uint64_t mega,
			uint64_t giga, uint64_t tera)
{
	struct sizes sizes = {{0}, 0};

	CHECK_EQ(page_table_walk(&spaces.table[0], address, length, count_size, &sizes), PAGE_OK);
	CHECK_EQ(sizes.count[0], small);
	CHECK_EQ(sizes.count[1], mega);
	CHECK_EQ(sizes.count[2], giga);
	CHECK_EQ(sizes.count[3], tera);
}

static void map(unsigned which, uint64_t address, uint64_t frame, uint64_t length, unsigned flags)
{
	struct model_space *model = spaces.model[which];
	uint64_t first = 0, end = 0;

	CHECK_EQ(model_range(model->levels, address, length, &first, &end), PAGE_OK);
	CHECK_EQ(locked_map(&spaces.table[which], virt(address), pfn(frame), length, flags),
		 PAGE_OK);
	model_map(model, first, end, frame, flags);
	check_spaces();
}

static void unmap(unsigned which, uint64_t address, uint64_t length)
{
	struct model_space *model = spaces.model[which];
	uint64_t first = 0, end = 0;

	CHECK_EQ(model_range(model->levels, address, length, &first, &end), PAGE_OK);
	spaces.found->count = spaces.expected->count = 0;
	CHECK_EQ(locked_unmap(&spaces.table[which], virt(address), length, &spaces.gather), PAGE_OK);
	model_unmap(model, first, end, spaces.expected);
	check_spaces();
	flush_and_release();
	check_spaces();
	model_compare_runs(spaces.found, spaces.expected);
}

TEST(paging_pages_are_as_large_as_can_be)
{
	start(SV39_LEVELS);
	map(0, 4 * GIB, 1 << 18, GIB, RW);
	check_sizes(virt(4 * GIB), GIB, 0, 0, 1, 0);
	unmap(0, 4 * GIB, GIB);
	/* A frame aligned to 2 MiB only: 512 entries, and the entry that leads to them. */
	seen.stores = seen.loads = 0;
	CHECK_EQ(locked_map(&spaces.table[0], virt(4 * GIB), pfn(512), GIB, RW), PAGE_OK);
	CHECK_EQ(seen.stores, 513);
	CHECK(seen.loads <= 520);
	model_map(spaces.model[0], 4 << 18, 5 << 18, 512, RW);
	check_sizes(virt(4 * GIB), GIB, 0, 512, 0, 0);
	CHECK_EQ(spaces.table[0].tables, 2);
	unmap(0, 4 * GIB, GIB);
	/* From below a border of 1 GiB to above one of 2 MiB. */
	map(0, 5 * GIB - 8192, (5 << 18) - 2, 2 * MIB + 16384, RW);
	check_sizes(virt(4 * GIB), 2 * GIB, 4, 1, 0, 0);
	unmap(0, 5 * GIB - 8192, 2 * MIB + 16384);
	map(0, GIB, (1 << 18) + 1, 4 * MIB, RW);
	check_sizes(virt(GIB), GIB, 1024, 0, 0, 0);
	/* The whole of both halves. */
	unmap(0, GIB, 4 * MIB);
	map(0, 0, 0, 256 * GIB, RW);
	map(0, UINT64_C(0xffffffc000000000), 0, 256 * GIB, RW);
	CHECK_EQ(spaces.table[0].tables, 1);
	finish();
	start(SV48_LEVELS);
	map(0, 512 * GIB, 1 << 27, 513 * GIB, RW);
	check_sizes(virt(512 * GIB), 1024 * GIB, 0, 0, 1, 1);
	unmap(0, 512 * GIB, 513 * GIB);
	finish();
}

TEST(paging_a_page_out_of_a_large_one)
{
	start(SV48_LEVELS);
	map(0, 512 * GIB, 1 << 27, 512 * GIB, RW | PAGE_OWNED);
	unmap(0, 700 * GIB + 6 * MIB + 4096, 4096);
	CHECK(spaces.table[0].tables == 4);
	check_sizes(virt(512 * GIB), 512 * GIB, 511, 511, 511, 0);
	unmap(0, 512 * GIB, 188 * GIB + 6 * MIB + 4096);
	unmap(0, 700 * GIB + 6 * MIB + 8192, 324 * GIB - 6 * MIB - 8192);
	CHECK(spaces.table[0].tables == 1);
	/* Both ends in one page of 2 MiB, and in two of one of 1 GiB. */
	map(0, GIB, 1 << 18, GIB, RW);
	unmap(0, GIB + 2 * MIB + 4096, 8192);
	check_sizes(virt(GIB), GIB, 510, 511, 0, 0);
	unmap(0, GIB + 8 * MIB + 4096, 8 * MIB);
	check_sizes(virt(GIB), GIB, 1022, 506, 0, 0);
	finish();
}

TEST(paging_translate)
{
	struct page_leaf leaf;

	start(SV39_LEVELS);
	map(0, UINT64_C(0xffffffffc0000000), 1 << 18, GIB, RW | PAGE_GLOBAL);
	map(0, 2 * MIB, 512, 2 * MIB + 4096, PAGE_READ | PAGE_USER | PAGE_OWNED | PAGE_SHARED);
	CHECK(page_table_translate(&spaces.table[0], virt(UINT64_MAX), &leaf));
	CHECK_EQ(leaf.level, PAGE_1G);
	CHECK_EQ(leaf.flags, RW | PAGE_GLOBAL);
	CHECK_EQ(page_leaf_phys(&leaf, virt(UINT64_MAX)).value, 2 * GIB - 1);
	CHECK(page_table_translate(&spaces.table[0], virt(4 * MIB + 5), &leaf));
	CHECK_EQ(leaf.level, PAGE_4K);
	CHECK_EQ(page_leaf_phys(&leaf, virt(4 * MIB + 5)).value, 4 * MIB + 5);
	CHECK_EQ(leaf.flags, PAGE_READ | PAGE_USER | PAGE_OWNED | PAGE_SHARED);
	CHECK(!page_table_translate(&spaces.table[0], virt(4 * MIB + 4096), &leaf));
	CHECK(!page_table_translate(&spaces.table[0], virt(UINT64_C(0x3fffffffc0000000)), &leaf));
	CHECK(!page_table_translate(&spaces.table[0], virt(1 << 20), &leaf));
	finish();
}

/* ---- gathers ----------------------------------------------------------------------------- */

#define SCATTERED 100

static void map_scattered(unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		CHECK_EQ(locked_map(&spaces.table[0], virt(GIB + i * FRAME_SIZE), pfn(1000 + 2 * i),
				    FRAME_SIZE, RW | PAGE_OWNED),
			 PAGE_OK);
}

TEST(paging_a_full_gather_ends_a_step)
{
	struct page_table *table = &spaces.table[0];
	struct page_gather other;
	enum page_status status;
	volatile unsigned steps = 1;

	start(SV39_LEVELS);
	map_scattered(SCATTERED);
	page_gather_init(&other);
	status = locked_unmap(table, virt(GIB), SCATTERED * FRAME_SIZE, &spaces.gather);
	CHECK_EQ(status, PAGE_AGAIN);
	CHECK_EQ(spaces.gather.runs, PAGE_GATHER_RUNS);
	CHECK_EQ(spaces.gather.first.value, GIB >> 12);
	CHECK_EQ(spaces.gather.end.value, (GIB >> 12) + PAGE_GATHER_RUNS);
	CHECK_EQ(locked_replace(table, virt(GIB + 99 * FRAME_SIZE), pfn(1), &spaces.gather),
		 PAGE_AGAIN);
	EXPECT_PANIC((void)!page_table_unmap(table, virt(GIB + 99 * FRAME_SIZE), FRAME_SIZE,
					     &spaces.gather, NULL),
		     "rest");
	/* Another caller unmaps two pages of the rest meanwhile. */
	CHECK_EQ(locked_unmap(table, virt(GIB + 50 * FRAME_SIZE), 2 * FRAME_SIZE, &other), PAGE_OK);
	page_gather_release(&other, model_drop, spaces.expected);
	while (status == PAGE_AGAIN) {
		steps = steps + 1;
		flush_and_release();
		status = locked_unmap_rest(table, &spaces.gather);
	}
	CHECK_EQ(status, PAGE_OK);
	CHECK_EQ(steps, (SCATTERED + PAGE_GATHER_RUNS - 1) / PAGE_GATHER_RUNS);
	CHECK_EQ(table->tables, 1);
	CHECK_EQ(spaces.gather.tables, 2);
	CHECK(spaces.gather.tables_too);
	flush_and_release();
	CHECK_EQ(spaces.found->count, SCATTERED - 2);
	check_spaces();
	/* Another caller maps a large page across the rest. */
	map_scattered(PAGE_GATHER_RUNS + 1);
	CHECK_EQ(locked_unmap(table, virt(GIB), (PAGE_GATHER_RUNS + 1) * FRAME_SIZE, &spaces.gather),
		 PAGE_AGAIN);
	CHECK_EQ(locked_unmap(table, virt(GIB + PAGE_GATHER_RUNS * FRAME_SIZE), FRAME_SIZE, &other),
		 PAGE_OK);
	CHECK_EQ(locked_map(table, virt(GIB), pfn(512), 2 * MIB, RW), PAGE_OK);
	EXPECT_PANIC((void)!page_table_unmap_rest(table, &spaces.gather), "across the end");
	CHECK_EQ(locked_unmap(table, virt(GIB), 2 * MIB, &other), PAGE_OK);
	CHECK_EQ(locked_unmap_rest(table, &spaces.gather), PAGE_OK);
	EXPECT_PANIC(page_gather_release(&spaces.gather, NULL, NULL), "drop is NULL");
	CHECK_EQ(locked_map(table, virt(0), pfn(1), FRAME_SIZE, RW | PAGE_OWNED), PAGE_OK);
	EXPECT_PANIC(page_table_destroy(table, NULL, NULL), "drop is NULL");
	model_map(spaces.model[0], 0, 1, 1, RW | PAGE_OWNED);
	page_gather_release(&other, model_drop, spaces.found);
	finish();
}

/* ---- a hardware that looks at every moment ----------------------------------------------- */

#define SAMPLES 16

static struct {
	const struct page_table *table;
	struct model_space *before, *after;
	uint64_t sample[SAMPLES];
} watch;

/* Each entry in reach is valid or zero, and no table in reach has been freed or gathered. */
static void check_reach(pfn_t frame, unsigned level)
{
	const pte_t *table = page_entries(frame);

#if CHECKS
	CHECK(zones.zone->state[frame.value - zones.zone->first] == FRAME_STATE_ALLOCATED);
#endif
	for (unsigned i = 0; i < PAGE_ENTRIES; i++) {
		pte_t entry = table[i];

		CHECK(entry.value == 0 || pte_is_valid(entry));
		if (pte_is_valid(entry) && !pte_is_leaf(entry))
			check_reach(pte_frame(entry), level - 1);
	}
}

/* Between any two stores each page is as it was, or as it will be. */
static void look(void)
{
	check_reach(watch.table->root, watch.table->levels - 1);
	for (unsigned i = 0; i < SAMPLES; i++) {
		unsigned level = 0;
		uint64_t page = watch.sample[i];
		uint64_t found = model_entry(watch.table, page, &level);

		CHECK(found == model_expected(watch.before, page, level) ||
		      found == model_expected(watch.after, page, level));
	}
}

static void no_free(pfn_t frame)
{
	(void)frame;
	CHECK(!"a frame is freed while a hart may still reach it");
}

/* ---- traces ------------------------------------------------------------------------------ */

enum operation { MAP, UNMAP, PROTECT, UNSHARE, REPLACE, CLONE, OPERATIONS };

/* One call, decided before it is made, so that it can be made again. */
struct call {
	enum operation operation;
	unsigned which; /* space */
	uint64_t address, length;
	uint64_t frame;
	unsigned flags;
	uint64_t first, end; /* pages, where the range is one */
	enum page_status range;
};

/* The results of a trace: [operation][status]. */
static unsigned tally[OPERATIONS][PAGE_REFUSED + 1];

static uint64_t shared_calls, refuse_at;
static struct model_runs *references;

static bool count_share(void *context, pfn_t first, uint64_t frames, struct page_reserve *stock)
{
	(void)context;
	(void)stock;
	if (shared_calls++ == refuse_at)
		return false;
	model_add_run(references, first.value, frames, true);
	return true;
}

/* Undoing comes in the same order as doing: the lists are to be equal. */
static void count_drop(void *context, pfn_t first, uint64_t frames, bool shared)
{
	CHECK(shared);
	model_add_run(context, first.value, frames, true);
}

static enum page_status make_untold(const struct call *call)
{
	struct page_table *table = &spaces.table[call->which];
	struct page_sharing sharing = {count_share, count_drop, spaces.found};
	virt_t at = virt(call->address);

	switch (call->operation) {
	case MAP:
		return locked_map(table, at, pfn(call->frame), call->length, call->flags);
	case UNMAP:
		return locked_unmap(table, at, call->length, &spaces.gather);
	case PROTECT:
		return locked_protect(table, at, call->length, call->flags, &spaces.gather);
	case UNSHARE:
		return locked_unshare(table, at, call->length, &spaces.gather);
	case REPLACE:
		return locked_replace(table, at, pfn(call->frame), &spaces.gather);
	default:
		return locked_clone(&spaces.table[!call->which], table, at, call->length, &sharing,
				    &spaces.gather);
	}
}

static enum page_status make_call(const struct call *call)
{
	enum page_status status = make_untold(call);

	tally[call->operation][status]++;
	return status;
}

/* The status that the call must give when there are enough frames. */
static enum page_status expected_status(const struct call *call)
{
	const struct model_space *model = spaces.model[call->which];

	if (call->range != PAGE_OK)
		return call->range;
	switch (call->operation) {
	case MAP:
		if (!model_flags_are_good(call->flags))
			return PAGE_BAD_FLAGS;
		if (call->frame + (call->end - call->first) > PAGE_PFN_END)
			return PAGE_BAD_FRAME;
		return model_is_clear(model, call->first, call->end) ? PAGE_OK : PAGE_MAPPED;
	case CLONE:
		return model_is_clear(spaces.model[!call->which], call->first, call->end)
			       ? PAGE_OK
			       : PAGE_MAPPED;
	case PROTECT:
		if (!model_flags_are_good(call->flags) || (call->flags & ~0x3eu))
			return PAGE_BAD_FLAGS;
		break;
	default:
		break;
	}
	return model_is_full(model, call->first, call->end) ? PAGE_OK : PAGE_NOT_MAPPED;
}

static void apply(const struct call *call)
{
	struct model_space *model = spaces.model[call->which];
	unsigned flags;

	switch (call->operation) {
	case MAP:
		model_map(model, call->first, call->end, call->frame, call->flags);
		break;
	case UNMAP:
		model_unmap(model, call->first, call->end, spaces.expected);
		break;
	case PROTECT:
		model_protect(model, call->first, call->end, call->flags);
		break;
	case UNSHARE:
		model_unshare(model, call->first, call->end);
		break;
	case REPLACE:
		flags = model_find(model, call->first)->flags;
		model_unmap(model, call->first, call->end, spaces.expected);
		model_map(model, call->first, call->end, call->frame,
			  flags | PAGE_OWNED | PAGE_SHARED);
		break;
	default:
		model_clone(spaces.model[!call->which], model, call->first, call->end);
	}
}

/* Borders where something is different, as pages. */
static uint64_t choose_border(unsigned levels)
{
	uint64_t pages = model_pages(levels);
	uint64_t borders[] = {
		0,	 pages / 2,	   pages / 2, pages, 1 << 18, (3 << 18) + 512, pages - 1024,
		5 * 512, (uint64_t)1 << 27};

	return borders[unit_random_below(levels == SV48_LEVELS ? 9 : 8)];
}

static uint64_t choose_length(void)
{
	switch (unit_random_below(8)) {
	case 0:
		return 512 * (1 + unit_random_below(3));
	case 1:
		return ((uint64_t)1 << 18) + unit_random_below(3) * 512;
	case 2:
		return 1 + unit_random_below(2000);
	default:
		return 1 + unit_random_below(20);
	}
}

/* Frames that go with large pages, and such as do not. */
static uint64_t choose_frame(uint64_t page)
{
	uint64_t frame = (page & ((1 << 18) - 1)) + (unit_random_below(1000) << 18);

	switch (unit_random_below(8)) {
	case 0:
		return frame + 1;
	case 1:
		return frame + 512;
	case 2:
		return PAGE_PFN_END - unit_random_below(600);
	default:
		return frame;
	}
}

static unsigned choose_flags(void)
{
	static const unsigned choices[] = {
		RW,
		RW | PAGE_OWNED,
		RW | PAGE_USER | PAGE_OWNED,
		PAGE_READ | PAGE_OWNED,
		PAGE_READ | PAGE_EXECUTE | PAGE_OWNED,
		PAGE_EXECUTE,
		RW | PAGE_OWNED | PAGE_SHARED,
		PAGE_READ | PAGE_GLOBAL,
		PAGE_WRITE | PAGE_EXECUTE,
		0,
	};

	return choices[unit_random_below(10)];
}

/* Mostly what is mapped, or part of it: else nothing would ever be found. */
static void choose_range(struct call *call)
{
	const struct model_space *model = spaces.model[call->which];
	uint64_t pages = model_pages(model->levels), border = choose_border(model->levels);
	uint64_t length = choose_length(), page = border + unit_random_below(600);

	if (call->operation != MAP && model->count > 0 && unit_random_below(8)) {
		const struct model_piece *piece = &model->piece[unit_random_below(model->count)];
		uint64_t size = piece->end - piece->first;

		page = piece->first + (unit_random_below(3) ? unit_random_below(size) : 0);
		if (length > piece->end - page || unit_random_below(4) == 0)
			length = piece->end - page;
	} else if (unit_random_below(2)) {
		page = border - unit_random_below(600);
	}
	if (call->operation == MAP && unit_random_below(2)) {
		page &= ~(uint64_t)511;
		length = (length | 511) + 1;
	}
	call->address = model_address(model->levels, page % pages);
	call->length = (call->operation == REPLACE ? 1 : length) * FRAME_SIZE;
	if (unit_random_below(50) == 0)
		call->address += 0x800;
}

static struct call choose_call(void)
{
	static const enum operation often[] = {MAP,	MAP,	 MAP,	  UNMAP,   UNMAP,
					       PROTECT, PROTECT, UNSHARE, REPLACE, CLONE};
	struct call call = {.operation = often[unit_random_below(10)],
			    .which = (unsigned)unit_random_below(2)};

	choose_range(&call);
	call.range = model_range(spaces.model[0]->levels, call.address, call.length, &call.first,
				 &call.end);
	call.frame = choose_frame(call.first);
	if (call.operation == REPLACE)
		call.frame %= PAGE_PFN_END;
	call.flags = choose_flags();
	if (call.operation == PROTECT)
		call.flags &= unit_random_below(20) ? (unsigned)PAGE_ACCESS_FLAGS : ~0u;
	return call;
}

/* A call that cannot have what it needs leaves no trace; any other has been made. */
static enum page_status attempt(const struct call *call, uint64_t budget, uint64_t refuse)
{
	struct model_snapshot before[2] = {model_snapshot(&spaces.table[0]),
					   model_snapshot(&spaces.table[1])};
	uint64_t frames = frame_free_count();
	enum page_status status;

	spaces.found->count = references->count = 0;
	shared_calls = 0;
	refuse_at = refuse;
	seen.budget = budget;
	status = make_call(call);
	seen.budget = UNLIMITED;
	refuse_at = UNLIMITED;
	if (status == PAGE_OK || status == PAGE_AGAIN) {
		model_snapshot_end(&before[0]);
		model_snapshot_end(&before[1]);
		return status;
	}
	CHECK_EQ(frame_free_count(), frames);
	CHECK(!page_gather_needs_flush(&spaces.gather) && spaces.gather.runs == 0);
	model_compare_runs(spaces.found, references);
	model_unchanged(&before[0], &spaces.table[0]);
	model_unchanged(&before[1], &spaces.table[1]);
	return status;
}

#define FAILURES 40

/* Each frame that the call takes, and each share, is refused once; then all are refused. */
static enum page_status make_with_failures(const struct call *call)
{
	enum page_status status = PAGE_NO_FRAMES;

	for (uint64_t budget = 0; status == PAGE_NO_FRAMES && budget < FAILURES; budget++)
		status = attempt(call, budget, 0);
	for (uint64_t refuse = 1; status == PAGE_REFUSED && refuse < FAILURES; refuse++)
		status = attempt(call, UNLIMITED, refuse);
	if (status == PAGE_NO_FRAMES || status == PAGE_REFUSED)
		status = attempt(call, UNLIMITED, UNLIMITED);
	return status;
}

static void check_flush(const struct call *call)
{
	vpn_t first = vpn(model_address(spaces.model[0]->levels, call->first) >> 12);

	CHECK(spaces.gather.first.value <= first.value);
	CHECK(spaces.gather.end.value >= first.value + (call->end - call->first));
}

/* Several steps, where the gather was too small for one. */
static void settle(const struct call *call, enum page_status status, uint64_t tables_before)
{
	if (call->operation != MAP)
		check_flush(call);
	if (spaces.table[call->which].tables != tables_before && call->operation != MAP)
		CHECK(spaces.gather.tables_too);
	flush_and_release();
	while (status == PAGE_AGAIN) {
		status = locked_unmap_rest(&spaces.table[call->which], &spaces.gather);
		flush_and_release();
	}
	CHECK_EQ(status, PAGE_OK);
}

static void choose_samples(const struct call *call)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t within = call->end - call->first;
		uint64_t page = call->first + unit_random_below(within);

		if (i < 8)
			page = (i & 1 ? call->end : call->first) + i / 2 - 2;
		watch.sample[i] = page % model_pages(spaces.model[0]->levels);
	}
}

static struct model_space *copy_model(const struct model_space *model)
{
	struct model_space *copy = malloc(sizeof(*copy));

	*copy = *model;
	return copy;
}

/* Makes the call while the hardware looks at the space that is changed, or the new copy. */
static void call_watched(const struct call *call)
{
	unsigned which = call->operation == CLONE ? !call->which : call->which;
	uint64_t tables = spaces.table[call->which].tables;
	enum page_status status;

	watch.table = &spaces.table[which];
	watch.before = copy_model(spaces.model[which]);
	spaces.found->count = spaces.expected->count = references->count = 0;
	apply(call);
	watch.after = spaces.model[which];
	choose_samples(call);
	seen.after_store = look;
	seen.before_free = no_free;
	status = make_call(call);
	seen.after_store = NULL;
	seen.before_free = NULL;
	free(watch.before);
	CHECK(status == PAGE_OK || status == PAGE_AGAIN);
	spaces.found->count = 0;
	settle(call, status, tables);
	model_compare_runs(spaces.found, spaces.expected);
}

static void call_once(const struct call *call, enum page_status (*make)(const struct call *call))
{
	uint64_t tables = spaces.table[call->which].tables;
	enum page_status status;

	spaces.found->count = spaces.expected->count = references->count = 0;
	status = make(call);
	spaces.found->count = 0;
	if (status != PAGE_AGAIN || call->operation != UNMAP)
		CHECK_EQ(status, expected_status(call));
	if (status != PAGE_OK && status != PAGE_AGAIN)
		return;
	apply(call);
	settle(call, status, tables);
	model_compare_runs(spaces.found, spaces.expected);
}

/* A trace in which nothing succeeds, or nothing fails, is no test of it. */
static void check_tally(void)
{
	unsigned splits_without_frames = 0;

	for (unsigned operation = 0; operation < OPERATIONS; operation++) {
		CHECK(tally[operation][PAGE_OK] > 50);
		splits_without_frames += operation == MAP ? 0 : tally[operation][PAGE_NO_FRAMES];
	}
	CHECK(tally[MAP][PAGE_NO_FRAMES] > 5 && splits_without_frames > 5);
	CHECK(tally[MAP][PAGE_MAPPED] > 10 && tally[UNMAP][PAGE_NOT_MAPPED] > 10);
	CHECK(tally[CLONE][PAGE_REFUSED] > 10);
}

static void trace(unsigned levels, unsigned calls)
{
	start(levels);
	references = calloc(1, sizeof(*references));
	refuse_at = UNLIMITED;
	memset(tally, 0, sizeof(tally));
	for (unsigned i = 0; i < calls; i++) {
		struct call call = choose_call();
		unsigned how = (unsigned)unit_random_below(8);

		if (how == 0 && expected_status(&call) == PAGE_OK && call.end - call.first < 3000)
			call_watched(&call);
		else if (how < 5)
			call_once(&call, make_with_failures);
		else
			call_once(&call, make_call);
		if (i % 16 == 0)
			check_spaces();
	}
	check_spaces();
	check_tally();
	free(references);
	finish();
}

TEST(paging_traces_sv39)
{
	trace(SV39_LEVELS, 2500);
}

TEST(paging_traces_sv48)
{
	trace(SV48_LEVELS, 2500);
}

/* From nothing to nothing, looked at all the way: every table comes and goes. */
static void watched(enum operation operation, uint64_t address, uint64_t length, unsigned flags)
{
	struct call call = {.operation = operation,
			    .address = address,
			    .length = length,
			    .frame = address >> FRAME_SHIFT & 0x3ffff,
			    .flags = flags};

	call.range = model_range(spaces.model[0]->levels, address, length, &call.first, &call.end);
	CHECK_EQ(expected_status(&call), PAGE_OK);
	call_watched(&call);
	check_spaces();
}

TEST(paging_watched_from_nothing_to_nothing)
{
	for (unsigned levels = SV39_LEVELS; levels <= SV48_LEVELS; levels++) {
		start(levels);
		references = calloc(1, sizeof(*references));
		watched(MAP, GIB - 4 * MIB - 8192, 4 * MIB + 16384, RW | PAGE_OWNED);
		watched(PROTECT, GIB - 4 * MIB + 4096, 8192, PAGE_READ);
		watched(REPLACE, GIB - 2 * MIB + 4096, 4096, 0);
		watched(UNMAP, GIB - 4096, 8192, 0);
		watched(UNMAP, GIB - 4 * MIB - 8192, 4 * MIB + 4096, 0);
		watched(UNMAP, GIB + 4096, 4096, 0);
		CHECK_EQ(spaces.table[0].tables, 1);
		free(references);
		finish();
	}
}

/* ---- stocks ------------------------------------------------------------------------------ */

/* Where there is not enough the first time, the second time there is just enough. */
TEST(paging_takes_the_frames_it_needs)
{
	static const uint64_t lengths[] = {1, 2, 511, 512, 513, 1024, 1 << 18, (1 << 18) + 513};
	uint64_t taken = 0;

	start(SV39_LEVELS);
	for (unsigned i = 0; i < 400; i++) {
		uint64_t page = (2 << 18) - 1500 + unit_random_below(3000);
		uint64_t frame = unit_random_below(2) ? page : page + unit_random_below(1024);
		uint64_t length = lengths[unit_random_below(8)];
		virt_t at = virt(page << FRAME_SHIFT);
		uint64_t tables = spaces.table[0].tables;

		seen.allocs = seen.frees = 0;
		if (locked_map(&spaces.table[0], at, pfn(frame), length << FRAME_SHIFT, RW) ==
		    PAGE_OK) {
			CHECK_EQ(seen.allocs, spaces.table[0].tables - tables);
			CHECK_EQ(paging_rounds, seen.allocs > 0 ? 2 : 1);
			CHECK_EQ(seen.frees, 0);
			taken += seen.allocs;
			model_map(spaces.model[0], page, page + length, frame, RW);
		} else {
			const struct model_piece piece = spaces.model[0]->piece[0];

			unmap(0, piece.first << FRAME_SHIFT,
			      (piece.end - piece.first) << FRAME_SHIFT);
		}
	}
	CHECK(taken > 100);
	check_spaces();
	finish();
}

#define NEIGHBOUR (GIB + 4096)
#define FAR	  (GIB + 4 * MIB)

static void map_meanwhile(void)
{
	CHECK_EQ(locked_map(&spaces.table[0], virt(NEIGHBOUR), pfn(3), 4096, RW), PAGE_OK);
	model_map(spaces.model[0], NEIGHBOUR >> 12, (NEIGHBOUR >> 12) + 1, 3, RW);
}

static void unmap_meanwhile(void)
{
	CHECK_EQ(locked_unmap(&spaces.table[0], virt(NEIGHBOUR), 4096, &spaces.gather), PAGE_OK);
	model_unmap(spaces.model[0], NEIGHBOUR >> 12, (NEIGHBOUR >> 12) + 1, spaces.expected);
}

/*
 * The space has changed while the reserve was filled: spare frames go back, missing frames are
 * taken.
 */
TEST(paging_a_space_changes_while_a_stock_is_filled)
{
	start(SV39_LEVELS);
	paging_meanwhile = map_meanwhile;
	seen.allocs = seen.frees = 0;
	/* Both tables are there by then. */
	CHECK_EQ(locked_map(&spaces.table[0], virt(GIB), pfn(1), 4096, RW), PAGE_OK);
	model_map(spaces.model[0], GIB >> 12, (GIB >> 12) + 1, 1, RW);
	CHECK(seen.allocs == 4 && seen.frees == 2);
	CHECK_EQ(paging_rounds, 2);
	check_spaces();
	unmap(0, GIB, 4096);
	/* Two tables of four are there, and then none. */
	paging_meanwhile = unmap_meanwhile;
	seen.allocs = seen.frees = 0;
	CHECK_EQ(locked_map(&spaces.table[0], virt(NEIGHBOUR + 4096), pfn(7), FAR - NEIGHBOUR, RW),
		 PAGE_OK);
	model_map(spaces.model[0], (NEIGHBOUR >> 12) + 1, (FAR >> 12) + 1, 7, RW);
	CHECK_EQ(paging_rounds, 3);
	CHECK_EQ(seen.allocs, 4);
	check_spaces();
	flush_and_release();
	/* And there is none to be got for what lacks. */
	unmap(0, NEIGHBOUR + 4096, FAR - NEIGHBOUR);
	map_meanwhile();
	paging_meanwhile = unmap_meanwhile;
	seen.budget = 2;
	CHECK_EQ(locked_map(&spaces.table[0], virt(NEIGHBOUR + 4096), pfn(7), FAR - NEIGHBOUR, RW),
		 PAGE_NO_FRAMES);
	check_spaces();
	finish();
}

/* ---- costs ------------------------------------------------------------------------------- */

/*
 * Loads and stores of entries to unmap the pages of one full table one by one, `order` giving the
 * next. The table is looked through for others each time.
 */
static uint64_t loads_to_empty(const unsigned *order)
{
	struct page_table *table = &spaces.table[0];

	CHECK_EQ(locked_map(table, virt(GIB), pfn(1), 2 * MIB, RW), PAGE_OK);
	seen.loads = seen.stores = 0;
	for (unsigned i = 0; i < PAGE_ENTRIES; i++)
		CHECK_EQ(locked_unmap(table, virt(GIB + order[i] * FRAME_SIZE), FRAME_SIZE,
				      &spaces.gather),
			 PAGE_OK);
	flush_and_release();
	CHECK_EQ(table->tables, 1);
	return seen.loads;
}

TEST(paging_costs_are_in_entries)
{
	unsigned order[PAGE_ENTRIES];
	uint64_t up, down, random;

	start(SV39_LEVELS);
	for (unsigned i = 0; i < PAGE_ENTRIES; i++)
		order[i] = i;
	up = loads_to_empty(order);
	for (unsigned i = 0; i < PAGE_ENTRIES; i++)
		order[i] = PAGE_ENTRIES - 1 - i;
	down = loads_to_empty(order);
	for (unsigned i = PAGE_ENTRIES - 1; i > 0; i--) {
		unsigned j = (unsigned)unit_random_below(i + 1), kept = order[i];

		order[i] = order[j];
		order[j] = kept;
	}
	random = loads_to_empty(order);
	printf("# entries loaded to unmap one of 512 pages, on the average: rising %.1f, falling "
	       "%.1f, in any order %.1f\n",
	       up / 512.0, down / 512.0, random / 512.0);
	CHECK(up < 20 * 512 && down < 20 * 512 && random < 32 * 512);
	/* All at once: each entry looked at twice, and the two tables above. */
	map(0, GIB, 1, 2 * MIB, RW);
	seen.loads = seen.stores = 0;
	CHECK_EQ(locked_unmap(&spaces.table[0], virt(GIB), 2 * MIB, &spaces.gather), PAGE_OK);
	CHECK(seen.loads < 5 * 512 && seen.stores <= 512 + 4);
	model_unmap(spaces.model[0], GIB >> 12, (GIB >> 12) + 512, spaces.expected);
	finish();
}

/* ---- references -------------------------------------------------------------------------- */

static struct frame_refs refs;
static pfn_t shared_frame;

static void start_refs(unsigned cpus)
{
	host_memory_start(32 * MIB, cpus);
	see();
	seen.on = cpus == 1;
	spaces.frames_at_start = frame_free_count();
	CHECK(frame_refs_init(&refs, zones.zone->first, zones.zone->total_frames));
}

static void finish_refs(void)
{
	frame_refs_end(&refs);
	frame_validate();
	CHECK_EQ(frame_free_count(), spaces.frames_at_start);
	host_memory_end();
	seen.on = false;
}

TEST(paging_references)
{
	pfn_t first = PFN_NONE;

	start_refs(1);
	first = pfn(zones.zone->first + 1000);
	CHECK_EQ(frame_refs_overhead(&refs), 1);
	CHECK_EQ(frame_refs_count(&refs, first), 1);
	CHECK(frame_refs_drop(&refs, first));
	CHECK_EQ(frame_refs_overhead(&refs), 1);
	/* Across a border of 1024: two frames for counts, and none where there is only one. */
	seen.budget = 1;
	CHECK(!locked_share(&refs, first, 100));
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(frame_refs_count(&refs, pfn_add(first, i)), 1);
	seen.budget = UNLIMITED;
	CHECK(locked_share(&refs, first, 100));
	CHECK(locked_share(&refs, pfn_add(first, 99), 1));
	CHECK_EQ(frame_refs_overhead(&refs), 3);
	CHECK_EQ(frame_refs_count(&refs, first), 2);
	CHECK_EQ(frame_refs_count(&refs, pfn_add(first, 99)), 3);
	CHECK(!frame_refs_drop(&refs, pfn_add(first, 99)));
	for (unsigned i = 0; i < 100; i++) {
		CHECK(!frame_refs_drop(&refs, pfn_add(first, i)));
		CHECK(frame_refs_drop(&refs, pfn_add(first, i)));
	}
	/* At its most, a count refuses, and what was taken of the others goes back. */
	CHECK(locked_share(&refs, first, 2));
	refs.chunk[0][1001] = FRAME_REFS_MAX - 1;
	CHECK(!locked_share(&refs, first, 2));
	CHECK_EQ(frame_refs_count(&refs, first), 2);
	CHECK_EQ(frame_refs_count(&refs, pfn_add(first, 1)), FRAME_REFS_MAX);
	refs.chunk[0][1001] = 0;
	EXPECT_PANIC(frame_refs_end(&refs), "1 references too many");
	CHECK(!frame_refs_drop(&refs, first));
	EXPECT_PANIC((void)frame_refs_drop(&refs, pfn(zones.zone->first - 1)), "no count");
	EXPECT_PANIC(
		(void)frame_refs_share(&refs, pfn(zones.zone->first + (32 * MIB >> 12)), 1, NULL),
		"no count");
	finish_refs();
}

static bool share_frames(void *context, pfn_t first, uint64_t frames, struct page_reserve *stock)
{
	return frame_refs_share(context, first, frames, stock);
}

/* A clone is undone: another reference must remain. */
static void undo_share(void *context, pfn_t first, uint64_t frames, bool shared)
{
	(void)shared;
	for (uint64_t i = 0; i < frames; i++)
		CHECK(!frame_refs_drop(context, pfn_add(first, i)));
}

/* Frames that are mapped but that no caller may free. */
static void drop_counts(void *context, pfn_t first, uint64_t frames, bool shared)
{
	for (uint64_t i = 0; shared && i < frames; i++)
		frame_refs_drop(context, pfn_add(first, i));
}

#define CHUNK 1024

/* Clones pages whose counts are in `chunks` frames, none of them there, with `budget` frames. */
static enum page_status clone_counted(unsigned chunks, uint64_t budget)
{
	struct page_sharing sharing = {share_frames, undo_share, &refs};
	struct page_table from, to;
	struct page_gather gather;
	uint64_t free_frames;
	enum page_status status;

	page_gather_init(&gather);
	CHECK_EQ(page_table_create(&from, SV39_LEVELS, 0), PAGE_OK);
	CHECK_EQ(page_table_create(&to, SV39_LEVELS, 0), PAGE_OK);
	for (unsigned i = 0; i < chunks; i++)
		CHECK_EQ(locked_map(&from, virt(GIB + i * FRAME_SIZE),
				    pfn(refs.first + i * CHUNK + i), FRAME_SIZE, RW | PAGE_OWNED),
			 PAGE_OK);
	free_frames = frame_free_count() + frame_refs_overhead(&refs);
	seen.budget = budget;
	status = locked_clone(&to, &from, virt(GIB), chunks * FRAME_SIZE, &sharing, &gather);
	seen.budget = UNLIMITED;
	CHECK_EQ(frame_free_count() + frame_refs_overhead(&refs) + (to.tables - 1), free_frames);
	for (unsigned i = 0; i < chunks; i++)
		CHECK_EQ(frame_refs_count(&refs, pfn(refs.first + i * CHUNK + i)),
			 status == PAGE_OK ? 2 : 1);
	page_gather_release(&gather, NULL, NULL);
	page_table_destroy(&from, drop_counts, &refs);
	page_table_destroy(&to, drop_counts, &refs);
	return status;
}

/*
 * A clone needs frames for tables and for counts, whose number is not known before; each of them is
 * refused once. With as many frames as it needs the clone succeeds, and it asks seldom.
 */
TEST(paging_clone_takes_frames_for_counts)
{
	const unsigned chunks = 7, tables = 2;

	for (uint64_t budget = 0; budget <= chunks + tables; budget++) {
		start_refs(1);
		CHECK_EQ(clone_counted(chunks, budget),
			 budget < chunks + tables ? PAGE_NO_FRAMES : PAGE_OK);
		if (budget == chunks + tables)
			CHECK_EQ(frame_refs_overhead(&refs), 1 + chunks);
		finish_refs();
	}
	start_refs(1);
	CHECK_EQ(clone_counted(chunks, UNLIMITED), PAGE_OK);
	/* None; the tables; one frame for counts; two; four. */
	CHECK_EQ(paging_rounds, 5);
	CHECK_EQ(frame_refs_overhead(&refs), 1 + chunks);
	finish_refs();
}

/* A count at its most, behind counts that are yet to be made: not short, though it was. */
TEST(paging_a_full_count_is_no_shortage)
{
	pfn_t border = PFN_NONE;

	start_refs(1);
	border = pfn(refs.first + CHUNK);
	CHECK(locked_share(&refs, border, 1));
	refs.chunk[1][0] = FRAME_REFS_MAX - 1;
	CHECK_EQ(locked_share_status(&refs, pfn(border.value - 4), 8), PAGE_REFUSED);
	CHECK_EQ(paging_rounds, 2);
	CHECK_EQ(frame_refs_overhead(&refs), 3);
	CHECK_EQ(frame_refs_count(&refs, pfn(border.value - 4)), 1);
	refs.chunk[1][0] = 0;
	finish_refs();
}

static void share_neighbour(void)
{
	CHECK(locked_share(&refs, pfn_add(shared_frame, 1), 1));
}

/* Of two cpus that make the same counts one wins; the other's frame goes back. */
TEST(paging_counts_are_made_once)
{
	start_refs(1);
	shared_frame = pfn(zones.zone->first + 5);
	seen.before_cas_ptr = share_neighbour;
	CHECK(locked_share(&refs, shared_frame, 1));
	CHECK_EQ(frame_refs_overhead(&refs), 2);
	CHECK_EQ(frame_refs_count(&refs, shared_frame), 2);
	CHECK_EQ(frame_refs_count(&refs, pfn_add(shared_frame, 1)), 2);
	CHECK(!frame_refs_drop(&refs, shared_frame));
	CHECK(!frame_refs_drop(&refs, pfn_add(shared_frame, 1)));
	finish_refs();
}

static void share_meanwhile(void)
{
	CHECK(locked_share(&refs, shared_frame, 1));
}

static void drop_meanwhile(void)
{
	CHECK(!frame_refs_drop(&refs, shared_frame));
}

/* Another cpu changes a count between the look at it and the change: neither is lost. */
TEST(paging_references_change_under_a_look)
{
	start_refs(1);
	shared_frame = pfn(zones.zone->first + 5);
	CHECK(locked_share(&refs, shared_frame, 1));
	seen.after_load_32 = share_meanwhile;
	CHECK(locked_share(&refs, shared_frame, 1));
	CHECK_EQ(frame_refs_count(&refs, shared_frame), 4);
	seen.after_load_32 = drop_meanwhile;
	CHECK(!frame_refs_drop(&refs, shared_frame));
	CHECK_EQ(frame_refs_count(&refs, shared_frame), 2);
	seen.after_load_32 = drop_meanwhile;
	CHECK(frame_refs_drop(&refs, shared_frame));
	CHECK_EQ(frame_refs_count(&refs, shared_frame), 1);
	finish_refs();
}

#define RACES 20000

static void share_and_drop(void *argument)
{
	uint64_t random = port_cpu() * 77777 + unit_seed();

	(void)argument;
	for (unsigned i = 0; i < RACES; i++) {
		pfn_t frame;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		frame = pfn_add(shared_frame, random >> 40 & 3);
		if (!locked_share(&refs, frame, 1) || frame_refs_drop(&refs, frame))
			port_panic("a frame that others have was dropped as the last");
	}
}

CONCURRENT_TEST(paging_references_race)
{
	start_refs(4);
	shared_frame = pfn(zones.zone->first + 1022);
	host_run(share_and_drop, NULL);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(frame_refs_count(&refs, pfn_add(shared_frame, i)), 1);
	finish_refs();
}

/* The last owner to drop a frame sees what each of the others wrote there before it dropped. */
#define LEAVERS	    4
#define LEFT_FRAMES 256

static pfn_t left_frames[LEFT_FRAMES];
static uint32_t leavers;

static void leave_frame(pfn_t frame, unsigned self)
{
	uint64_t *words = page_object(uint64_t, frame);

	words[self] = self + 1;
	if (!frame_refs_drop(&refs, frame))
		return;
	for (unsigned cpu = 0; cpu < LEAVERS; cpu++)
		if (words[cpu] != cpu + 1)
			port_panic("the last owner does not see what cpu %u wrote", cpu);
	memset(words, 0, FRAME_SIZE);
	frame_free(frame);
}

static void leave_all(void *argument)
{
	(void)argument;
	__atomic_fetch_add(&leavers, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&leavers, __ATOMIC_RELAXED) < LEAVERS)
		port_relax();
	for (unsigned i = 0; i < LEFT_FRAMES; i++)
		leave_frame(left_frames[i], port_cpu());
}

CONCURRENT_TEST(paging_last_owner_sees_all)
{
	start_refs(LEAVERS);
	leavers = 0;
	for (unsigned i = 0; i < LEFT_FRAMES; i++) {
		left_frames[i] = frame_alloc(FRAME_ZERO);
		for (unsigned other = 1; other < LEAVERS; other++)
			CHECK(locked_share(&refs, left_frames[i], 1));
	}
	host_run(leave_all, NULL);
	finish_refs();
}

/* ---- cpus -------------------------------------------------------------------------------- */

/*
 * What a kernel does, with a space for each cpu: all are clones of one space, so all begin with the
 * same frames. A write is a fault, and gets the cpu its own copy, or the frame if it is the last to
 * have it. At the end all is unmapped, and every frame is back.
 */
#define FORK_CPUS  4
#define FORK_PAGES 64
#define FORK_AT	   GIB
#define FORK_FLAGS (RW | PAGE_USER | PAGE_OWNED)

static struct page_table forks[FORK_CPUS];
static unsigned forks_started;

static void drop_frames(void *context, pfn_t first, uint64_t frames, bool shared)
{
	for (uint64_t i = 0; i < frames; i++)
		if (!shared || frame_refs_drop(context, pfn_add(first, i)))
			frame_free(pfn_add(first, i));
}

static void must(enum page_status status)
{
	if (status != PAGE_OK)
		port_panic("page table: %s", page_status_text(status));
}

static void copy_page(struct page_table *table, virt_t at, const struct page_leaf *leaf)
{
	struct page_gather gather;
	pfn_t copy = frame_alloc(0);

	page_gather_init(&gather);
	if (pfn_is_none(copy))
		port_panic("no frame for a copy");
	memcpy(page_bytes(copy), page_bytes(leaf->frame), FRAME_SIZE);
	must(locked_replace(table, at, copy, &gather));
	page_gather_release(&gather, drop_frames, &refs);
}

static void write_page(struct page_table *table, virt_t at, uint64_t value)
{
	struct page_gather gather;
	struct page_leaf leaf;

	page_gather_init(&gather);
	if (!page_table_translate(table, at, &leaf))
		port_panic("a page is lost");
	if ((leaf.flags & PAGE_SHARED) && frame_refs_count(&refs, leaf.frame) != 1) {
		copy_page(table, at, &leaf);
		if (!page_table_translate(table, at, &leaf) || !(leaf.flags & PAGE_SHARED) ||
		    frame_refs_count(&refs, leaf.frame) != 1)
			port_panic("a copy is not a page's own, or can be written to at once");
	}
	if (leaf.flags & PAGE_SHARED)
		must(locked_unshare(table, at, FRAME_SIZE, &gather));
	if (!page_table_translate(table, at, &leaf) || (leaf.flags & PAGE_SHARED))
		port_panic("a page that was written to is shared");
	*(uint64_t *)port_phys_pointer(page_leaf_phys(&leaf, at).value) = value;
}

static uint64_t read_page(struct page_table *table, virt_t at)
{
	struct page_leaf leaf;

	if (!page_table_translate(table, at, &leaf))
		port_panic("a page is lost");
	return *(uint64_t *)port_phys_pointer(page_leaf_phys(&leaf, at).value);
}

static void unmap_fork(struct page_table *table)
{
	struct page_gather gather;
	enum page_status status;

	page_gather_init(&gather);
	status = locked_unmap(table, virt(FORK_AT), FORK_PAGES * FRAME_SIZE, &gather);
	while (status == PAGE_AGAIN) {
		page_gather_release(&gather, drop_frames, &refs);
		status = locked_unmap_rest(table, &gather);
	}
	must(status);
	page_gather_release(&gather, drop_frames, &refs);
	page_table_destroy(table, NULL, NULL);
}

static void live_as_fork(void *argument)
{
	unsigned self = port_cpu();
	struct page_table *table = &forks[self];

	(void)argument;
	__atomic_fetch_add(&forks_started, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&forks_started, __ATOMIC_RELAXED) < FORK_CPUS)
		port_relax();
	for (unsigned i = 0; i < FORK_PAGES; i++) {
		unsigned page = (i * 7 + self * 13) % FORK_PAGES;
		virt_t at = virt(FORK_AT + page * FRAME_SIZE);

		if (read_page(table, at) != page)
			port_panic("page %u of cpu %u was written by another", page, self);
		write_page(table, at, (uint64_t)self << 32 | page);
	}
	for (unsigned page = 0; page < FORK_PAGES; page++)
		if (read_page(table, virt(FORK_AT + page * FRAME_SIZE)) !=
		    ((uint64_t)self << 32 | page))
			port_panic("page %u of cpu %u has changed", page, self);
	unmap_fork(table);
}

static void make_forks(void)
{
	struct page_sharing sharing = {share_frames, drop_frames, &refs};
	struct page_gather gather;

	page_gather_init(&gather);
	for (unsigned i = 0; i < FORK_CPUS; i++)
		must(page_table_create(&forks[i], SV39_LEVELS, 0));
	for (unsigned page = 0; page < FORK_PAGES; page++) {
		pfn_t frame = frame_alloc(FRAME_ZERO);

		*page_object(uint64_t, frame) = page;
		must(locked_map(&forks[0], virt(FORK_AT + page * FRAME_SIZE), frame, FRAME_SIZE,
				FORK_FLAGS));
	}
	for (unsigned i = 1; i < FORK_CPUS; i++)
		must(locked_clone(&forks[i], &forks[i / 2], virt(0), 256 * GIB, &sharing, &gather));
	page_gather_release(&gather, drop_frames, &refs);
}

CONCURRENT_TEST(paging_cpus_with_copies)
{
	start_refs(FORK_CPUS);
	for (unsigned round = 0; round < 8; round++) {
		forks_started = 0;
		make_forks();
		host_run(live_as_fork, NULL);
	}
	finish_refs();
}

/*
 * One cpu changes a space under its lock, the others translate without: each answer is right for
 * some moment. A freed frame waits for all of them, as after a flush that they answer.
 */
#define LOOK_CPUS  3
#define LOOK_TURNS 300

static struct {
	struct page_table table;
	uint64_t asked, answered[LOOK_CPUS]; /* flushes */
	uint32_t done;
} looked;

static void answer_flush(void)
{
	ck_pr_fence_release();
	ck_pr_store_64(&looked.answered[port_cpu()], ck_pr_load_64(&looked.asked));
	ck_pr_fence_acquire();
}

static void flush_others(void)
{
	uint64_t number = looked.asked + 1;

	ck_pr_fence_release();
	ck_pr_store_64(&looked.asked, number);
	for (unsigned cpu = 1; cpu < LOOK_CPUS; cpu++)
		while (ck_pr_load_64(&looked.answered[cpu]) != number)
			port_relax();
	ck_pr_fence_acquire();
}

/* A page of the range is mapped to the frame of its own number, however large, or not at all. */
static void look_up(uint64_t page)
{
	struct page_leaf leaf;
	virt_t at = virt(page << FRAME_SHIFT);

	if (page_table_translate(&looked.table, at, &leaf) &&
	    page_leaf_phys(&leaf, at).value != at.value)
		port_panic("page %#llx is at %#llx", (unsigned long long)page,
			   (unsigned long long)page_leaf_phys(&leaf, at).value);
}

static void change_and_flush(unsigned turn)
{
	struct page_gather gather;
	uint64_t from = 2 * GIB + turn % 3 * 4096;

	page_gather_init(&gather);
	must(locked_map(&looked.table, virt(from), pfn(from >> 12), 4 * MIB, RW));
	must(locked_protect(&looked.table, virt(2 * GIB + 2 * MIB + 8192), 4096, PAGE_READ,
			    &gather));
	must(locked_unmap(&looked.table, virt(from), 4 * MIB, &gather));
	flush_others();
	page_gather_release(&gather, NULL, NULL);
}

static void change_or_look(void *argument)
{
	uint64_t page = 2 * GIB >> 12;

	(void)argument;
	for (unsigned turn = 0; port_cpu() == 0 && turn < LOOK_TURNS; turn++)
		change_and_flush(turn);
	if (port_cpu() == 0)
		ck_pr_store_32(&looked.done, 1);
	for (unsigned i = 0; port_cpu() != 0 && !ck_pr_load_32(&looked.done); i++) {
		look_up(page + (i * 97 & 1023));
		if (i % 16 == 0)
			answer_flush();
		if (i % 256 == 0)
			port_relax();
	}
}

CONCURRENT_TEST(paging_looking_without_the_lock)
{
	start_refs(LOOK_CPUS);
	memset(&looked, 0, sizeof(looked));
	must(page_table_create(&looked.table, SV39_LEVELS, 0));
	host_run(change_or_look, NULL);
	page_table_destroy(&looked.table, NULL, NULL);
	finish_refs();
}
