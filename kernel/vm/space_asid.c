/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space_asid.c - ASIDs: which of them spaces have.
 *
 * A bit set, written by atomic operations alone, without a lock. The release in space_asid_give()
 * and the acquire in space_asid_take() order the last flush of the old space before the first use
 * by a new one.
 */
#include "kernel/vm/space_private.h"

#include "arch/riscv/mmu.h"
#include "kernel/settings.h"
#include "mm/heap/kmalloc.h"

/* A set bit is an ASID that a space has. ASID 0 means that a space has none. */
static uint64_t *asids;
static uint64_t asid_max;

/* Hardware may have more. This many bits fit half a frame, which every policy can allocate. */
#define ASIDS_MOST 16383

/* Each cpu lowers asid_max to the largest ASID of its hart; cpus_run() orders that. */
static void count_asids(void *unused)
{
	uint64_t mine = mmu_asid_max(), seen = ck_pr_load_64(&asid_max);

	(void)unused;
	while (mine < seen && !ck_pr_cas_64_value(&asid_max, seen, mine, &seen))
		;
}

bool space_asids_open(void)
{
	asid_max = ASIDS_MOST;
	cpus_run(count_asids, NULL, settings.cpus);
	asids = kcalloc(asid_max / 64 + 1, sizeof(uint64_t));
	if (asids)
		asids[0] = 1;
	return asids != NULL;
}

uint16_t space_asid_take(void)
{
	for (uint64_t asid = 1; asid <= asid_max; asid++) {
		uint64_t bit = UINT64_C(1) << asid % 64, *word = &asids[asid / 64];
		uint64_t seen = ck_pr_load_64(word);

		while (!(seen & bit))
			if (ck_pr_cas_64_value(word, seen, seen | bit, &seen)) {
				ck_pr_fence_acquire(); /* pairs with space_asid_give */
				return (uint16_t)asid;
			}
	}
	return 0;
}

void space_asid_give(uint16_t asid)
{
	ck_pr_fence_release(); /* after the flush; pairs with space_asid_take */
	ck_pr_and_64(&asids[asid / 64], ~(UINT64_C(1) << asid % 64));
}

void space_asids_close(void)
{
	kfree(asids);
}
