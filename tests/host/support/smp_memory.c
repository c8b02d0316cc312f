/* SPDX-License-Identifier: BSD-2-Clause */
/* smp_memory.c - memory for tests/smp/ in a host process, for threads and for simulated cpus. */
#include <stdlib.h>
#include <string.h>

#include "tests/smp/smp.h"

void *smp_memory(uint64_t bytes)
{
	void *block = aligned_alloc(64, (bytes + 63) & ~UINT64_C(63));

	return block ? memset(block, 0, bytes) : NULL;
}

void smp_memory_end(void *block)
{
	free(block);
}
