/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pte.h - pages and page table entries of Sv39 and Sv48, as values.
 *
 * The format is that of the RISC-V privileged specification, "Sv39" and "Sv48":
 *
 *	63    54 53        10 9 8 7 6 5 4 3 2 1 0
 *	  zero       pfn      RSW D A G U X W R V
 *
 * A valid entry with any of R, W, X is a leaf; one with none of them points to a table of the level
 * below. An entry that is not in use is all zero. A leaf has A and D set from the start, so no hart
 * has a reason to write an entry or to trap for it. The two bits for software say how a leaf's
 * frames are owned; see enum page_flags.
 *
 * A level is a page size: level 0 is 4 KiB, each further level 512 times the level before. Every
 * function here is pure, O(1), and legal in any context.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/frame.h"

#define PAGE_INDEX_BITS 9
#define PAGE_ENTRIES	(1u << PAGE_INDEX_BITS)

/* Levels of tables, the root's included. */
#define SV39_LEVELS	3
#define SV48_LEVELS	4
#define PAGE_LEVELS_MAX SV48_LEVELS

/* Page sizes, by the level at which such a leaf stands. */
enum page_level {
	PAGE_4K,
	PAGE_2M,
	PAGE_1G,
	PAGE_512G /* Sv48 */
};

/* Physical addresses have 56 bits. */
#define PAGE_PFN_BITS 44
#define PAGE_PFN_END  (UINT64_C(1) << PAGE_PFN_BITS)

/*
 * The accesses that a mapping allows, and the ownership of its frames. The first five are bits of
 * the entry.
 *
 *	PAGE_WRITE without PAGE_READ is reserved by the specification, and none of R, W, X means a
 *	pointer: both are refused.
 *	PAGE_OWNED: the frames belong to their mappings. When one is unmapped, it is reported for
 *	its reference to be dropped; clone shares it. Without it (devices, the kernel itself) an
 *	unmap reports nothing, and clone copies the mapping as it is.
 *	PAGE_SHARED, with PAGE_OWNED only: other mappings may have these frames too. The
 *	hardware refuses to write, also where PAGE_WRITE asks for it: together the two are
 *	"copy on write".
 */
enum page_flags {
	PAGE_READ = 1 << 1,
	PAGE_WRITE = 1 << 2,
	PAGE_EXECUTE = 1 << 3,
	PAGE_USER = 1 << 4,
	PAGE_GLOBAL = 1 << 5,
	PAGE_OWNED = 1 << 8,
	PAGE_SHARED = 1 << 9
};

#define PAGE_ACCESS_FLAGS (PAGE_READ | PAGE_WRITE | PAGE_EXECUTE | PAGE_USER | PAGE_GLOBAL)
#define PAGE_FLAGS	  (PAGE_ACCESS_FLAGS | PAGE_OWNED | PAGE_SHARED)

typedef struct {
	uint64_t value;
} pte_t;

/*
 * Bits of an entry that are no flags. In a shared leaf, bit 8 keeps PAGE_WRITE, hidden from
 * hardware.
 */
#define PTE_VALID	 (UINT64_C(1) << 0)
#define PTE_ACCESSED	 (UINT64_C(1) << 6)
#define PTE_DIRTY	 (UINT64_C(1) << 7)
#define PTE_SHARED_WRITE (UINT64_C(1) << 8)
#define PTE_PFN_SHIFT	 10
#define PTE_RESERVED	 (~(uint64_t)0 << (PTE_PFN_SHIFT + PAGE_PFN_BITS))
#define PTE_NONE	 ((pte_t){0})

_Static_assert(PAGE_ENTRIES * sizeof(pte_t) == FRAME_SIZE, "a table is a frame");

/* ---- sizes and numbers ------------------------------------------------------------------- */

static inline uint64_t page_frames(unsigned level)
{
	return UINT64_C(1) << PAGE_INDEX_BITS * level;
}

static inline uint64_t page_size(unsigned level)
{
	return page_frames(level) << FRAME_SHIFT;
}

/* The index, 0..511, of this page's entry in a table of `level`. */
static inline unsigned vpn_index(vpn_t page, unsigned level)
{
	return page.value >> PAGE_INDEX_BITS * level & (PAGE_ENTRIES - 1);
}

/* Bits of a virtual address that are translated; those above must equal the topmost of these. */
static inline unsigned virt_bits(unsigned levels)
{
	return FRAME_SHIFT + PAGE_INDEX_BITS * levels;
}

static inline bool virt_is_canonical(virt_t address, unsigned levels)
{
	unsigned above = 64 - virt_bits(levels);

	return (uint64_t)((int64_t)(address.value << above) >> above) == address.value;
}

/* False, and *page unchanged, where the address is not aligned or not canonical. */
__attribute__((warn_unused_result)) static inline bool vpn_from_canonical(virt_t address,
									  unsigned levels,
									  vpn_t *page)
{
	return virt_is_canonical(address, levels) && vpn_from_virt(address, page);
}

/* ---- the contents of a page -------------------------------------------------------------- */

static inline uint8_t *page_bytes(pfn_t frame)
{
	return frame_bytes(frame);
}

static inline pte_t *page_entries(pfn_t frame)
{
	return frame_bytes(frame);
}

/* The frame as an object of `type`, which must fit. */
#define page_object(type, frame)                                                                   \
	({                                                                                         \
		_Static_assert(sizeof(type) <= FRAME_SIZE, #type " does not fit a page");          \
		(type *)frame_bytes(frame);                                                        \
	})

/*
 * The frame that begins at `bytes`; false, and *frame unchanged, where `bytes` is inside a frame.
 */
__attribute__((warn_unused_result)) static inline bool page_frame(const void *bytes, pfn_t *frame)
{
	return pfn_from_phys(phys(port_phys_address(bytes)), frame);
}

/* ---- entries ----------------------------------------------------------------------------- */

/* True for flags that a leaf may have; see enum page_flags. */
static inline bool page_flags_are_good(unsigned flags)
{
	if (flags & ~(unsigned)PAGE_FLAGS)
		return false;
	if (!(flags & (PAGE_READ | PAGE_EXECUTE)))
		return false;
	if ((flags & PAGE_WRITE) && !(flags & PAGE_READ))
		return false;
	return !(flags & PAGE_SHARED) || (flags & PAGE_OWNED);
}

/* A leaf; page_flags_are_good(flags). */
static inline pte_t pte_leaf(pfn_t frame, unsigned flags)
{
	uint64_t value = frame.value << PTE_PFN_SHIFT | PTE_VALID | PTE_ACCESSED | PTE_DIRTY | flags;

	if (flags & PAGE_SHARED) {
		value &= ~(uint64_t)(PAGE_WRITE | PTE_SHARED_WRITE);
		value |= flags & PAGE_WRITE ? PTE_SHARED_WRITE : 0;
	}
	return (pte_t){value};
}

static inline pte_t pte_table(pfn_t table)
{
	return (pte_t){table.value << PTE_PFN_SHIFT | PTE_VALID};
}

static inline bool pte_is_valid(pte_t entry)
{
	return entry.value & PTE_VALID;
}

/* Of a valid entry. */
static inline bool pte_is_leaf(pte_t entry)
{
	return entry.value & (PAGE_READ | PAGE_WRITE | PAGE_EXECUTE);
}

/* The first frame of a leaf, or the frame of a table. */
static inline pfn_t pte_frame(pte_t entry)
{
	return pfn((entry.value & ~PTE_RESERVED) >> PTE_PFN_SHIFT);
}

/* The flags that were given to pte_leaf(). */
static inline unsigned pte_flags(pte_t leaf)
{
	unsigned flags = leaf.value & PAGE_FLAGS;

	if (!(flags & PAGE_SHARED))
		return flags;
	return flags | PAGE_OWNED | (leaf.value & PTE_SHARED_WRITE ? PAGE_WRITE : 0);
}
