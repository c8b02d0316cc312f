/* SPDX-License-Identifier: BSD-2-Clause */
/* barrier.c - see barrier.h. */
#include "sync/barrier.h"

#include <port.h>

#include "sync/ck.h"
#include "sync/counter_start.h"

void barrier_init(struct barrier *barrier, uint32_t cpu_count)
{
	barrier->cpu_count = cpu_count;
	barrier->arrived = 0;
	barrier->round = COUNTER_START_32;
}

/*
 * Each CPU's release fence before the increment of `arrived` pairs with the last CPU's acquire fence
 * after it. The last CPU's release fence before the store of `round` pairs with the acquire fence of
 * each CPU that reads the new round. `arrived` is reset before the new round is seen, so a CPU that
 * comes back at once counts for the next round.
 */
void barrier_wait(struct barrier *barrier)
{
	uint32_t round = ck_pr_load_32(&barrier->round);

	ck_pr_fence_release();
	if (ck_pr_faa_32(&barrier->arrived, 1) + 1 == barrier->cpu_count) {
		ck_pr_fence_acqrel();
		ck_pr_store_32(&barrier->arrived, 0);
		ck_pr_fence_release();
		ck_pr_store_32(&barrier->round, round + 1);
		return;
	}
	while (ck_pr_load_32(&barrier->round) == round)
		port_relax();
	ck_pr_fence_acquire();
}
