/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.h - loads and stores through an MMU, and the words that workloads of address spaces write to
 * pages.
 *
 * These workloads see pages as programs do: a cpu enters the space, and loads or stores at the
 * page's address. Only the kernel has an MMU for that, so a host has no such workloads
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
 * A word that names its owner: 16 bits of owner, 24 bits of a count, and 24 check bits, computed
 * from both and from the place of the word. So a word of another page or place, or a mixture of two
 * words, is recognised as wrong.
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
