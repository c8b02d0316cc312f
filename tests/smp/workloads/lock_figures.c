/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_figures.c - see lock_figures.h. */
#include "tests/smp/workloads/lock_figures.h"

unsigned wait_bucket(uint64_t ticks)
{
	unsigned power, shift;

	if (ticks >> WAIT_BITS)
		return WAIT_BUCKETS - 1;
	if (ticks < WAIT_PARTS)
		return (unsigned)ticks;
	power = 63 - (unsigned)__builtin_clzll(ticks);
	shift = power - WAIT_PART_BITS;
	return (shift << WAIT_PART_BITS) + (unsigned)(ticks >> shift);
}

uint64_t wait_bucket_middle(unsigned bucket)
{
	unsigned shift = bucket >> WAIT_PART_BITS;
	uint64_t part = bucket & (WAIT_PARTS - 1);

	if (shift <= 1)
		return bucket;
	return ((WAIT_PARTS + part) << (shift - 1)) + (UINT64_C(1) << (shift - 2));
}

/* The squares of what is left after the shift, and their product with 10,000, fit 64 bits. */
#define JAIN_SUM_BITS 24

uint64_t jain_index(const struct workload_cpu *cpu, unsigned cpus)
{
	uint64_t sum = 0, scaled = 0, squares = 0;
	unsigned shift = 0;

	for (unsigned i = 0; i < cpus; i++)
		sum += cpu[i].allocs;
	while (sum >> shift >> JAIN_SUM_BITS)
		shift++;
	for (unsigned i = 0; i < cpus; i++) {
		uint64_t share = cpu[i].allocs >> shift;

		scaled += share;
		squares += share * share;
	}
	return squares ? (scaled * scaled * 10000 + cpus * squares / 2) / (cpus * squares) : 0;
}

uint64_t lock_figures_percentile(const struct lock_figures *figures, unsigned percent)
{
	uint64_t rank = (figures->acquisitions * percent + 99) / 100, seen = 0;

	for (unsigned i = 0; i < WAIT_BUCKETS; i++) {
		seen += figures->waits[i];
		if (seen && seen >= rank)
			return wait_bucket_middle(i);
	}
	return 0;
}
