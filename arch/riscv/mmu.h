/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.h - satp, and the translation caches of this hart and of others.
 *
 * SFENCE.VMA orders the stores to page tables that this hart sees before its own later walks. For
 * other harts the firmware can be asked to have them execute one (SBI RFENCE), and answers when
 * they have; or they are sent an IPI and execute it themselves (kernel/smp/shootdown.h).
 *
 * A write of satp orders nothing (Privileged ISA 20211203, 4.1.11): neither the stores to tables
 * before the walks, which begin with the fetch of the very next instruction, nor the walks before
 * what follows. As a write of a CSR it is device output, which no fence of memory orders either. So
 * each write of satp stands between two fences of fence.h:
 *
 *	before	what this hart did in memory: above all, its note to others that it will walk the
 *		tables (the CPU mask of a space), which must be seen before the first walk
 *	after	what this hart does in memory next: above all, its note to others that it has left
 *		the tables, which may be freed then
 *
 * Implicit accesses are not ordered by any FENCE. They come after the write of satp that makes them
 * possible, and those of the former tables end with it and the SFENCE.VMA behind it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/fence.h"

#define MMU_OFF 0 /* satp without translation */

/* The most pages that are flushed one by one; for more, everything is. */
#define MMU_FLUSH_PAGES_MAX 64

static inline void mmu_flush_all(void)
{
	arch_fence_translations();
}

/*
 * This hart walks these tables from here on. It has dropped all cached translations of other
 * tables.
 *
 * The first SFENCE.VMA orders the stores to the tables before the walks: without it the fetch of
 * the instruction behind the write of satp may walk tables that it does not see yet. It also drops
 * what the caches hold from before: a hart that was off, or whose ASID had another owner, may have
 * anything there, and would use it for that fetch. The second one drops what was walked in between
 * for the former satp, of global pages and of an ASID that both share.
 */
static inline void mmu_use(uint64_t satp)
{
	arch_fence_memory_to_device();
	mmu_flush_all();
	csr_write(satp, satp);
	mmu_flush_all();
	arch_fence_device_to_memory();
}

/*
 * The same, and what is cached stays: for a satp whose ASID this hart has had before, and in whose
 * CPU mask it has been ever since.
 *
 * There is no SFENCE.VMA: an SFENCE.VMA that orders all tables of the ASID would drop all cached
 * translations of it. It is not needed. Without it a walk may find, for each entry, what it held at
 * any time since the last SFENCE.VMA of this hart that covers it. For each change that takes a
 * right or a table away the hart has executed one, as it was in the mask. Only changes that add
 * remain: an entry that is not seen yet is a page fault, after which the handler flushes and tries
 * again, as it must for entries that are cached as not valid.
 */
static inline void mmu_switch(uint64_t satp)
{
	arch_fence_memory_to_device();
	csr_write(satp, satp);
	arch_fence_device_to_memory();
}

static inline uint64_t mmu_used(void)
{
	return csr_read(satp);
}

/* Whether the hart takes this satp, tried out. False: it does not, and nothing has changed. */
bool mmu_takes(uint64_t satp);

/*
 * The most that the ASID in satp may be, on this hart; 0: it has none. Only while satp translates:
 * for a satp that does not, the privileged specification reserves every ASID but 0.
 */
uint64_t mmu_asid_max(void);

/* [start, start + bytes) on this hart, multiples of 4096; all there is when that is long. */
void mmu_flush(uint64_t start, uint64_t bytes);

/*
 * The same on other harts, first_hart + i for each bit i of mask, and waits for them. False: the
 * firmware refused. Interrupts may be masked; the other harts need not do anything.
 */
__attribute__((warn_unused_result)) bool mmu_flush_harts(uint64_t first_hart, uint64_t mask,
							 uint64_t start, uint64_t bytes);

/* The firmware can (SBI RFENCE). */
bool mmu_can_flush_harts(void);

/*
 * One access that may fault: false, and nothing read or written, where no mapping allows it. The
 * trap comes back here (trap.c). 8-aligned.
 */
bool mmu_try_load(const uint64_t *address, uint64_t *value);
bool mmu_try_store(uint64_t *address, uint64_t value);
