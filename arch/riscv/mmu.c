/* SPDX-License-Identifier: BSD-2-Clause */
/* mmu.c - see mmu.h. */
#include "arch/riscv/mmu.h"

#include "arch/riscv/sbi.h"

#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK	UINT64_C(0xffff)
#define PAGE_BYTES	UINT64_C(4096)

bool mmu_can_flush_harts(void)
{
	return sbi_has(SBI_RFENCE);
}

/* A mode that is not there leaves satp as it was. */
bool mmu_takes(uint64_t satp)
{
	uint64_t before = mmu_used();
	bool taken;

	mmu_use(satp);
	taken = mmu_used() == satp;
	mmu_use(before);
	return taken;
}

uint64_t mmu_asid_max(void)
{
	uint64_t before = mmu_used(), max;

	mmu_use(before | SATP_ASID_MASK << SATP_ASID_SHIFT);
	max = mmu_used() >> SATP_ASID_SHIFT & SATP_ASID_MASK;
	mmu_use(before);
	return max;
}

static uint64_t all_if_long(uint64_t bytes)
{
	return bytes > MMU_FLUSH_PAGES_MAX * PAGE_BYTES ? UINT64_MAX : bytes;
}

void mmu_flush(uint64_t start, uint64_t bytes)
{
	if (all_if_long(bytes) == UINT64_MAX) {
		mmu_flush_all();
		return;
	}
	for (uint64_t page = start; page != start + bytes; page += PAGE_BYTES)
		arch_fence_translations_of(page);
}

/*
 * The first fence comes before the firmware's message to the harts, whose SFENCE.VMA is its
 * partner. The second comes after the firmware's reads of their answers: all that those harts did
 * before their SFENCE.VMA comes before all that the caller does next.
 */
bool mmu_flush_harts(uint64_t first_hart, uint64_t mask, uint64_t start, uint64_t bytes)
{
	struct sbi_result result;

	arch_fence_memory_to_device();
	result = sbi_remote_sfence(mask, first_hart, start, all_if_long(bytes));
	arch_fence_device_to_memory();
	return result.error == 0;
}
