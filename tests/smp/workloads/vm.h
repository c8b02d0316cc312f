/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.h - what the workloads of address spaces ask of the hardware, and the words that they leave in
 * pages.
 *
 * Pages are looked at as programs see them: a cpu enters the space, and loads or stores where the
 * page is. Only the kernel has an MMU to do that with, so on a host there are no such workloads
 * (workloads.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/mmu.h"
#include "mm/address.h"

/* In the upper half of Sv39 and of Sv48: the kernel's own addresses are all in the lower. */
#define VM_WINDOW UINT64_C(0xffffffd000000000)

/* One access of 8 bytes; false where it faults. */
static inline bool vm_load(uint64_t address, uint64_t *word)
{
	return mmu_try_load((const uint64_t *)(uintptr_t)address, word);
}

static inline bool vm_store(uint64_t address, uint64_t word)
{
	return mmu_try_store((uint64_t *)(uintptr_t)address, word);
}

/*
 * A word that says whose it is: 16 bits of owner, 24 of a count, and 24 that follow from both and
 * from the place where it stands. A word of another page, of another place, or half of one
 * and half of another, does not pass for it.
 */
#define VM_COUNT_BITS 24
#define VM_COUNT_MASK ((UINT64_C(1) << VM_COUNT_BITS) - 1)

static inline uint64_t vm_word(uint64_t owner, uint64_t count, uint64_t place)
{
	uint64_t name = owner << 48 | (count & VM_COUNT_MASK) << VM_COUNT_BITS;

	return name | (name + place + 1) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - VM_COUNT_BITS);
}

static inline uint64_t vm_word_count(uint64_t word)
{
	return word >> VM_COUNT_BITS & VM_COUNT_MASK;
}

static inline bool vm_word_is_of(uint64_t word, uint64_t owner, uint64_t place)
{
	return word == vm_word(owner, vm_word_count(word), place);
}

/* Counts wrap: how far `count` is ahead of `from`, negative where it is behind. */
static inline int64_t vm_count_ahead(uint64_t count, uint64_t from)
{
	return (int64_t)((count - from) << (64 - VM_COUNT_BITS)) >> (64 - VM_COUNT_BITS);
}
