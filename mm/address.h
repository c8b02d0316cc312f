/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * address.h - physical and virtual addresses and page numbers, as types the compiler keeps apart.
 *
 * Each is one 64-bit word wrapped in a structure: passing one where another is meant does not
 * compile, and the wrapping costs nothing (a one-word structure travels in a register).
 *
 *	phys_t  physical address, in bytes	pfn_t  physical frame number  (address / 4096)
 *	virt_t  virtual address, in bytes	vpn_t  virtual page number    (address / 4096)
 *
 * Every function here is pure, O(1), and legal in any context.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FRAME_SHIFT 12
#define FRAME_SIZE  (UINT64_C(1) << FRAME_SHIFT)

typedef struct {
	uint64_t value;
} phys_t;

typedef struct {
	uint64_t value;
} virt_t;

typedef struct {
	uint64_t value;
} pfn_t;

typedef struct {
	uint64_t value;
} vpn_t;

/* "No frame": negative when read as signed, which one branch can test. */
#define PFN_NONE ((pfn_t){UINT64_MAX})

static inline phys_t phys(uint64_t address)
{
	return (phys_t){address};
}

static inline virt_t virt(uint64_t address)
{
	return (virt_t){address};
}

/*@ terminates \true;
    assigns \nothing;
    ensures \result.value == number; */
static inline pfn_t pfn(uint64_t number)
{
	return (pfn_t){number};
}

static inline vpn_t vpn(uint64_t number)
{
	return (vpn_t){number};
}

static inline bool pfn_is_none(pfn_t frame)
{
	return (int64_t)frame.value < 0;
}

static inline bool pfn_equal(pfn_t a, pfn_t b)
{
	return a.value == b.value;
}

static inline pfn_t pfn_add(pfn_t frame, uint64_t frames)
{
	return pfn(frame.value + frames);
}

/* Bytes above the start of the page, 0..4095. */
/*@ terminates \true;
    assigns \nothing;
    ensures \result == address.value % 4096; */
static inline uint64_t phys_page_offset(phys_t address)
{
	//@ ghost parts_of_frame(address.value);
	return address.value & (FRAME_SIZE - 1);
}

static inline uint64_t virt_page_offset(virt_t address)
{
	return address.value & (FRAME_SIZE - 1);
}

/*@ terminates \true;
    assigns \nothing;
    ensures \result <==> address.value % 4096 == 0; */
static inline bool phys_is_aligned(phys_t address)
{
	return phys_page_offset(address) == 0;
}

static inline bool virt_is_aligned(virt_t address)
{
	return virt_page_offset(address) == 0;
}

/* The frame that contains the byte at `address`. */
/*@ terminates \true;
    assigns \nothing;
    ensures \result.value == address.value / 4096; */
static inline pfn_t pfn_floor(phys_t address)
{
	//@ ghost parts_of_frame(address.value);
	return pfn(address.value >> FRAME_SHIFT);
}

static inline vpn_t vpn_floor(virt_t address)
{
	return vpn(address.value >> FRAME_SHIFT);
}

/* The first frame that starts at or above `address`; no sum that could wrap at the top of memory. */
/*@ terminates \true;
    assigns \nothing;
    ensures \result.value == (address.value + 4095) / 4096; */
static inline pfn_t pfn_ceil(phys_t address)
{
	//@ ghost parts_of_frame(address.value);
	return pfn((address.value >> FRAME_SHIFT) + !phys_is_aligned(address));
}

static inline vpn_t vpn_ceil(virt_t address)
{
	return vpn((address.value >> FRAME_SHIFT) + !virt_is_aligned(address));
}

static inline phys_t pfn_to_phys(pfn_t frame)
{
	return phys(frame.value << FRAME_SHIFT);
}

static inline virt_t vpn_to_virt(vpn_t page)
{
	return virt(page.value << FRAME_SHIFT);
}

/*
 * Checked conversion: true and *frame set when `address` is the first byte of a frame; false
 * and *frame untouched when it is not aligned. Callers must look at the answer.
 */
__attribute__((warn_unused_result)) static inline bool pfn_from_phys(phys_t address, pfn_t *frame)
{
	if (!phys_is_aligned(address))
		return false;
	*frame = pfn_floor(address);
	return true;
}

__attribute__((warn_unused_result)) static inline bool vpn_from_virt(virt_t address, vpn_t *page)
{
	if (!virt_is_aligned(address))
		return false;
	*page = vpn_floor(address);
	return true;
}
