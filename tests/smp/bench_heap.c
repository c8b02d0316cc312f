/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_heap.c - run=bench: instructions of a pair of kmalloc() and kfree() that hits, and how often
 * the heap's lock is held on the traces that ask most for it.
 */
#include "tests/smp/bench_heap.h"

#include "arch/riscv/csr.h"
#include "kernel/settings.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/bench_paging.h"

#define PAIRS	   10000
#define BLOCKS	   400
#define OPS	   4000
#define HITS_UP_TO 2048 /* bytes */

static uint64_t instructions(void)
{
	return csr_read(instret);
}

static void report(const char *name, uint64_t counted, uint64_t empty)
{
	bench_report(name, ((counted - empty) * 100 + PAIRS / 2) / PAIRS, "instructions", 1, true);
}

/* A loop of PAIRS turns: how many instructions it takes. */
#define COUNT(statement)                                                                           \
	({                                                                                         \
		uint64_t start_ = instructions();                                                  \
                                                                                                   \
		for (unsigned i_ = 0; i_ < PAIRS; i_++) {                                          \
			statement;                                                                 \
			__asm__ volatile("" ::: "memory");                                         \
		}                                                                                  \
		instructions() - start_;                                                           \
	})

/* With heapdebug=, whose price it is: so that no arena is wholly free after each pair. */
static void count_among_others(uint64_t empty)
{
	static void *live[256];

	for (unsigned i = 0; i < 256; i++)
		live[i] = kmalloc(64);
	report("kmalloc_pair_256_live", COUNT(kfree(kmalloc(64))), empty);
	for (unsigned i = 0; i < 256; i++)
		kfree(live[i]);
}

/* The compiler does not know the size of the last two; it is in a register, as in a caller. */
void bench_heap_counts(void)
{
	uint64_t empty = COUNT();
	size_t size = 64;

	__asm__("" : "+r"(size));
	kfree(kmalloc(64)); /* so that the first of the loop hits as well */
	report("kmalloc_pair_constant", COUNT(kfree(kmalloc(64))), empty);
	report("kmalloc_pair_inlined", COUNT(kfree(kmalloc(size))), empty);
	report("kmalloc_pair_called", COUNT(kfree_called(kmalloc_called(size))), empty);
	kfree(kcalloc(1, 4096));
	report("kcalloc_4096_pair", COUNT(kfree(kcalloc(1, 4096))), empty);
	count_among_others(empty);
	kheap_trim();
}

/* ---- holds of the lock --------------------------------------------------------------------- */

static uint64_t holds(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(kheap_lock(), &stats);
	return stats.acquisitions;
}

/* A saw-tooth from an empty heap: so slabs are added and given back too. Holds a thousand operations. */
static uint64_t saw_tooth(void **block, size_t size, unsigned height)
{
	uint64_t before = holds(), ops = 0;

	while (ops < OPS) {
		for (unsigned i = 0; i < height; i++)
			block[i] = kmalloc(size);
		for (unsigned i = 0; i < height; i++)
			kfree(block[i]);
		ops += 2 * height;
	}
	before = holds() - before;
	kheap_trim();
	return before * 1000 / ops;
}

void bench_heap_holds(void)
{
	static const unsigned heights[] = {1,  2,  31,	32,  33,  48,  63,  64,	 65,
					   96, 97, 127, 128, 129, 192, 200, 256, BLOCKS};
	void **block = kmalloc(BLOCKS * sizeof(*block));
	uint64_t worst = 0;

	if (!block)
		return;
	spin_stats_configure(SPIN_STATS_CONTENDED);
	for (size_t size = 16; size <= HITS_UP_TO; size += size < 128 ? 16 : size / 8) {
		for (unsigned i = 0; i < sizeof(heights) / sizeof(heights[0]); i++) {
			uint64_t some = saw_tooth(block, size, heights[i]);

			if (some > worst)
				worst = some;
		}
	}
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	kfree(block);
	kheap_trim();
	bench_report("heap_holds_per_32_ops_worst", worst * 32 * 100 / 1000, "holds", 1, true);
}
