/*
 * mmu.h - satp, and the translation caches of this hart and of others.
 *
 * SFENCE.VMA orders the stores to page tables that this hart sees before its own later walks. For
 * other harts the firmware can be asked to have them execute one (SBI RFENCE), and answers when they
 * have; or they are kicked and execute it themselves (kernel/shootdown.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/csr.h"

#define MMU_OFF 0 /* satp without translation */

/* The most pages that are flushed one by one; for more, everything is. */
#define MMU_FLUSH_PAGES_MAX 64

/* This hart walks these tables from here on; what it has cached of others is gone. */
static inline void mmu_use(uint64_t satp)
{
	csr_write(satp, satp);
	__asm__ volatile("sfence.vma" ::: "memory");
}

/* The same, and what is cached stays: for an ASID of which nothing is that would be wrong. */
static inline void mmu_switch(uint64_t satp)
{
	csr_write(satp, satp);
}

static inline uint64_t mmu_used(void)
{
	return csr_read(satp);
}

/* Whether the hart takes this satp, tried out. False: it does not, and nothing has changed. */
bool mmu_takes(uint64_t satp);

/* The most that the ASID in satp may be, on this hart; 0: it has none. */
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
