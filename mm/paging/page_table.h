/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_table.h - an address space as the hardware reads it: Sv39 or Sv48 tables made of frames.
 *
 *	struct page_table table;
 *
 *	if (page_table_create(&table, SV39_LEVELS, asid) != PAGE_OK)
 *		return false;
 *	page_reserve_init(&reserve);
 *	do {
 *		lock the space
 *		status = page_table_map(&table, virt(0x40000000), frame, 64 * MIB,
 *					PAGE_READ | PAGE_WRITE | PAGE_USER | PAGE_OWNED, &reserve);
 *		unlock
 *	} while (page_reserve_refill(&reserve, &status));
 *	csr_write(satp, page_table_satp(&table));
 *
 * Pages are as large as alignment and length allow. Parts of large pages can be unmapped and
 * protected: the page is then split, and is not united again.
 *
 * Locking. The caller has one lock for each space and holds it during every call, except
 * page_table_translate() and page_table_satp(). It may be a spinlock: the calls do not wait, and
 * allocate, zero or free no frame. Exceptions are page_table_create() and page_table_destroy(),
 * during which no other CPU may use the table. Frames for new tables come from a struct
 * page_reserve (page_reserve.h). A call that takes one may answer PAGE_SHORT; it is then repeated
 * after a refill.
 *
 * All or nothing: a call that answers anything but PAGE_OK or PAGE_AGAIN has changed no table, and
 * has taken nothing from the reserve but frames for reference counts, which stay (refcount.h).
 *
 * Flushing. The caller flushes, for only it knows which harts use the space. A change that takes
 * something away puts it into a struct page_gather (gather.h): first flush, then free.
 * page_table_map() takes nothing away. But hardware may have cached "not valid". So the hart that
 * uses the pages next executes one SFENCE.VMA. Other harts may take a page fault for a page that is
 * mapped; they flush and repeat the access.
 *
 * Invariants: an entry is valid or zero; a table other than the root has an entry in use; a large
 * page is aligned to its size, both in virtual and in physical addresses. entries.h says how
 * entries are written.
 *
 * Costs are in entries and tables, never in pages of 4 KiB: to map 1 GiB in pages of 2 MiB writes
 * 512 entries, and finds their table once. The check whether a table is empty reads from the
 * changed entry outwards to the first entry in use, which is usually the neighbour.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/gather.h"
#include "mm/paging/page_status.h"
#include "mm/paging/pte.h"
#include "mm/paging/page_reserve.h"

struct page_table {
	pfn_t root;
	unsigned levels; /* SV39_LEVELS or SV48_LEVELS */
	uint16_t asid;
	uint64_t tables; /* number of tables (frames), the root included */
};

/* One mapped page of any size. */
struct page_leaf {
	virt_t address; /* of its first byte */
	pfn_t frame;
	unsigned level; /* page_size(level) is its size in bytes */
	unsigned flags; /* enum page_flags */
};

#define PAGE_MUST_USE __attribute__((warn_unused_result))

/*
 * Makes an empty space of one frame. PAGE_OK or PAGE_NO_FRAMES. Panics on levels other than 3 and
 * 4.
 */
PAGE_MUST_USE enum page_status page_table_create(struct page_table *table, unsigned levels,
						 uint16_t asid);

/*
 * Frees all tables. No hart may have the space in satp, or translations of it in its caches, any
 * more. `drop` is called for each PAGE_OWNED page; NULL where there is none.
 */
void page_table_destroy(struct page_table *table, page_drop drop, void *context);

/* The value of satp for this space: mode, ASID, root. */
uint64_t page_table_satp(const struct page_table *table);

/*
 * Maps `length` bytes at `address` to the frames from `frame` on. Nothing may be mapped there. A
 * CPU that sees the mapping sees what was written to the frames before. PAGE_OWNED without
 * PAGE_SHARED says that the frames have no other mapping. A frame with other mappings must be
 * mapped PAGE_SHARED, and the caller must have taken a reference for the new mapping; with
 * PAGE_WRITE it is copied when written to.
 */
PAGE_MUST_USE enum page_status page_table_map(struct page_table *table, virt_t address, pfn_t frame,
					      uint64_t length, unsigned flags,
					      struct page_reserve *reserve);

/*
 * Unmaps a range that is mapped from end to end. PAGE_AGAIN: the gather had no room for more runs
 * of frames, and only the beginning of the range is unmapped. Flush, release the gather, and
 * continue:
 *
 *	status = page_table_unmap(&table, address, length, &gather, &reserve), as above
 *	while (status == PAGE_AGAIN) {
 *		unlock, flush, page_gather_release(), lock
 *		status = page_table_unmap_rest(&table, &gather);
 *	}
 *
 * page_table_unmap_rest() answers PAGE_OK or PAGE_AGAIN, and needs no frames. It skips pages that
 * others have unmapped meanwhile. It panics where others have mapped a page across an end of the
 * range.
 */
PAGE_MUST_USE enum page_status page_table_unmap(struct page_table *table, virt_t address,
						uint64_t length, struct page_gather *gather,
						struct page_reserve *reserve);
PAGE_MUST_USE enum page_status page_table_unmap_rest(struct page_table *table,
						     struct page_gather *gather);

/*
 * Sets the PAGE_ACCESS_FLAGS of a range that is mapped from end to end. PAGE_OWNED and PAGE_SHARED
 * stay as they are, and PAGE_SHARED pages stay protected from writes.
 */
PAGE_MUST_USE enum page_status page_table_protect(struct page_table *table, virt_t address,
						  uint64_t length, unsigned flags,
						  struct page_gather *gather,
						  struct page_reserve *reserve);

/* ---- copy on write ----------------------------------------------------------------------- */

/*
 * How clone counts references, under the lock. `share` takes one more reference to each of the
 * frames; or it returns false and takes none. It may lack frames in the reserve, and is then called
 * again. `drop` undoes it.
 */
struct page_sharing {
	bool (*share)(void *context, pfn_t first, uint64_t frames, struct page_reserve *reserve);
	page_drop drop;
	void *context;
};

/*
 * Maps in `to` what `from` has mapped in the range, at the same addresses; holes stay holes. `to`
 * must have nothing mapped there. PAGE_OWNED pages become PAGE_SHARED in both spaces, so neither
 * can write to them; other pages are copied as they are. `gather` is for `from`: its harts must be
 * flushed before any CPU writes to these pages in either space. The caller holds both spaces'
 * locks. PAGE_REFUSED: `share` returned false. O(entries in use in the range), and one call of
 * `share` for each page.
 */
PAGE_MUST_USE enum page_status page_table_clone(struct page_table *to, struct page_table *from,
						virt_t address, uint64_t length,
						const struct page_sharing *sharing,
						struct page_gather *gather,
						struct page_reserve *reserve);

/*
 * First step of a copy on write: gives the page at `address` (4 KiB; a larger one is split) the
 * frame `frame`, PAGE_OWNED, and puts the old frame into the gather. The page is PAGE_SHARED, so no
 * CPU can write to it: other CPUs may still read the old frame and would not see the write. After
 * all harts have flushed, page_table_unshare() permits writes. PAGE_AGAIN: the gather is full and
 * nothing was changed.
 */
PAGE_MUST_USE enum page_status page_table_replace(struct page_table *table, virt_t address,
						  pfn_t frame, struct page_gather *gather,
						  struct page_reserve *reserve);

/*
 * unshare: no other space refers to these frames any more, so the writes that PAGE_WRITE asked for
 * are allowed. The whole range is mapped. The call only adds permissions, so the flush can be left
 * to the faults.
 */
PAGE_MUST_USE enum page_status page_table_unshare(struct page_table *table, virt_t address,
						  uint64_t length, struct page_gather *gather,
						  struct page_reserve *reserve);

/* ---- translation and walks --------------------------------------------------------------- */

/*
 * The page that contains `address`; false where there is none. O(levels). May be called without the
 * lock, as the hardware walks: the answer was right at some moment of the call. Then gathered
 * tables must not be freed during the call. So the flush before they are freed must wait for this
 * CPU: a flush by an IPI does, while this CPU masks interrupts; the firmware's remote fence does
 * not.
 */
bool page_table_translate(const struct page_table *table, virt_t address, struct page_leaf *leaf);

/* The physical address of a byte of that page. */
static inline phys_t page_leaf_phys(const struct page_leaf *leaf, virt_t address)
{
	return phys(pfn_to_phys(leaf->frame).value + (address.value - leaf->address.value));
}

/*
 * Calls `visit` for each page that overlaps the range, by rising address, until it returns false.
 */
typedef bool (*page_visitor)(void *context, const struct page_leaf *leaf);
PAGE_MUST_USE enum page_status page_table_walk(const struct page_table *table, virt_t address,
					       uint64_t length, page_visitor visit, void *context);

/* Panics where an invariant is broken. O(tables * 512). */
void page_table_validate(const struct page_table *table);
