/* SPDX-License-Identifier: BSD-2-Clause */
/* leak_check.c - see leak_check.h. */
#include "tests/smp/leak_check.h"

#include "kernel/diag/frame_owners.h"
#include "kernel/diag/panic.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"

uint64_t leak_check_begin(void)
{
	kheap_trim();
	frame_drain_settle();
	return frame_free_count();
}

bool leak_check_end(const char *workload, uint64_t free_before)
{
	uint64_t free_after = leak_check_begin();

	frame_validate();
	kheap_validate();
	if (free_after == free_before)
		return true;
	frame_report_owners();
	verdict_fail("%s: %llu frames were free before, %llu after", workload,
		     (unsigned long long)free_before, (unsigned long long)free_after);
	return false;
}
