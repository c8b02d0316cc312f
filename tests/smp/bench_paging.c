/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_paging.c - see bench_paging.h.
 *
 * Mapped pages are never touched, so they need no memory: 1 GiB of addresses leads to a
 * range of frames that have no owner. Tables are frames of frame_alloc(), and counted.
 */
#include "tests/smp/bench_paging.h"

#include <stddef.h>

#include "arch/riscv/csr.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/paging/page_table.h"
#include "kernel/diag/timing.h"
#include "tests/smp/workloads/vm.h"

#define GIB	   (UINT64_C(1) << 30)
#define SMALL_PAGE FRAME_SIZE
#define LARGE_PAGE (512 * FRAME_SIZE)
#define DATA	   (PAGE_READ | PAGE_WRITE)

/* A frame so that pages of 2 MiB fit and no larger, and one so that only those of 4 KiB do. */
static pfn_t first_frame(uint64_t page_bytes)
{
	return pfn(page_bytes == LARGE_PAGE ? 512 : 1);
}

static void expect_ok(const char *what, enum page_status status)
{
	if (status != PAGE_OK)
		port_panic("bench: %s: %s", what, page_status_text(status));
}

static void map(struct page_table *table, virt_t at, pfn_t frame, uint64_t bytes)
{
	struct page_reserve stock;
	enum page_status status;

	page_reserve_init(&stock);
	do {
		status = page_table_map(table, at, frame, bytes, DATA, &stock);
	} while (page_reserve_refill(&stock, &status));
	expect_ok("map", status);
}

static void unmap_at(struct page_table *table, virt_t at, uint64_t bytes, struct page_gather *gather)
{
	struct page_reserve stock;
	enum page_status status;

	page_reserve_init(&stock);
	do {
		status = page_table_unmap(table, at, bytes, gather, &stock);
	} while (page_reserve_refill(&stock, &status));
	expect_ok("unmap", status);
}

static void unmap(struct page_table *table, uint64_t bytes)
{
	struct page_gather gather;

	page_gather_init(&gather);
	unmap_at(table, virt(VM_WINDOW), bytes, &gather);
	page_gather_release(&gather, NULL, NULL); /* no hart has ever used the space */
}

/* In a range mapped by one call, in hundredths of an instruction a page. */
static void count_range(const char *map_name, const char *unmap_name, uint64_t page_bytes,
			uint64_t pages)
{
	struct page_table table;
	uint64_t start, mapped, unmapped;

	expect_ok("create", page_table_create(&table, SV39_LEVELS, 0));
	start = csr_read(instret);
	map(&table, virt(VM_WINDOW), first_frame(page_bytes), pages * page_bytes);
	mapped = csr_read(instret);
	unmap(&table, pages * page_bytes);
	unmapped = csr_read(instret);
	page_table_destroy(&table, NULL, NULL);
	bench_report(map_name, (mapped - start) * 100 / pages, "instructions", 1, true);
	bench_report(unmap_name, (unmapped - mapped) * 100 / pages, "instructions", 1, true);
}

/* One page by itself, its neighbour being mapped: no table comes or goes. */
static void count_single(void)
{
	virt_t at = virt(VM_WINDOW + SMALL_PAGE);
	struct page_table table;
	struct page_gather gather;
	uint64_t start, mapped, unmapped;

	expect_ok("create", page_table_create(&table, SV39_LEVELS, 0));
	map(&table, virt(VM_WINDOW), pfn(1), SMALL_PAGE);
	page_gather_init(&gather);
	start = csr_read(instret);
	map(&table, at, pfn(7), SMALL_PAGE);
	mapped = csr_read(instret);
	unmap_at(&table, at, SMALL_PAGE, &gather);
	unmapped = csr_read(instret);
	page_gather_release(&gather, NULL, NULL);
	page_table_destroy(&table, NULL, NULL);
	bench_report("map_one_4k", (mapped - start) * 100, "instructions", 1, true);
	bench_report("unmap_one_4k", (unmapped - mapped) * 100, "instructions", 1, true);
}

void bench_paging_counts(void)
{
	count_single();
	count_range("map_range_4k_page", "unmap_range_4k_page", SMALL_PAGE, 4096);
	count_range("map_range_2m_page", "unmap_range_2m_page", LARGE_PAGE, 512);
}

/* `rounds` times 1 GiB mapped and unmapped, in a table that is each cpu's own. */
static void build(uint64_t page_bytes, uint64_t rounds)
{
	struct page_table table;

	expect_ok("create", page_table_create(&table, SV39_LEVELS, 0));
	for (uint64_t i = 0; i < rounds; i++) {
		map(&table, virt(VM_WINDOW), first_frame(page_bytes), GIB);
		unmap(&table, GIB);
	}
	page_table_destroy(&table, NULL, NULL);
}

static void build_small(uint64_t rounds)
{
	build(SMALL_PAGE, rounds);
}

static void build_large(uint64_t rounds)
{
	build(LARGE_PAGE, rounds);
}

#define SMALL_ROUNDS 4
#define LARGE_ROUNDS 400

void bench_paging_times(unsigned cpus)
{
	bool valid = cores_for_all(cpus);
	const char *unit = settings.virtual_time ? "kinstr" : "us"; /* thousands of instructions */

	bench_report("gib_of_4k_pages_us",
		     time_all(NULL, build_small, SMALL_ROUNDS, cpus) / (SMALL_ROUNDS * 10), unit,
		     cpus, valid);
	bench_report("gib_of_2m_pages_us",
		     time_all(NULL, build_large, LARGE_ROUNDS, cpus) / (LARGE_ROUNDS * 10), unit,
		     cpus, valid);
}
