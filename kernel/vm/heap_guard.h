/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap_guard.h - addresses for heap blocks with guard pages (mm/heap/debug.h): the last 2 MiB of the
 * lower half of the address space, far above RAM, with one table of pages that all spaces share.
 *
 * The firmware flushes on all cpus at once, also while interrupts are masked. So there are guard pages only
 * if the kernel runs on page tables and the firmware flushes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/page_table.h"

/* Adds the table to the kernel's page tables, before these are in use. On cpu 0, at rest. */
void heap_guard_build(struct page_table *kernel);

/* From here on, and up to here, blocks may have guard pages. On cpu 0, at rest. */
void heap_guard_open(void);
void heap_guard_close(void);

/* Why there are no guard pages; NULL: there are. */
const char *heap_guard_missing(void);

/* Blocks with guard pages are mapped in this space too; the second call comes before its tables end. */
void heap_guard_share(struct page_table *space);
void heap_guard_unshare(struct page_table *space);

/* Whether the address may be that of a block with guard pages. */
bool heap_guard_has(uint64_t address);

/* For struct kheap_debug_port. Any context; wait for no cpu. */
void heap_guard_map(uint64_t address, pfn_t frame);
void heap_guard_unmap(uint64_t address, uint64_t bytes);
void heap_guard_flush(void);

/*
 * In the trap of a page fault. True: pages were mapped since this cpu last looked, so the fault may be
 * stale; the cpu has flushed, and the access must be repeated. Interrupts masked. O(1).
 */
bool heap_guard_fault_is_stale(void);
