/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.h - address spaces that many cpus share: maps, unmaps and copies, and the flushes of other
 * harts that these need.
 *
 * A space is a page table, a lock, and a mask of the cpus that may have cached any translation of
 * it. The kernel is mapped in each space (kernel_space.h), so a cpu that enters one runs on, and
 * sees the pages of the space besides. A page mapped with PAGE_OWNED is a single frame of
 * frame_alloc() that belongs to its mappings: the frame is freed with the last of them. Clones
 * share owned pages; each gets a frame for itself when it writes.
 *
 * No frame that was unmapped is freed, and nothing is mapped in its place, before every cpu of the
 * mask has flushed its translations. A store of one cpu to a page is visible to every cpu that
 * learns of it, whatever is cloned and copied meanwhile.
 *
 * A mapping or permission that a call has made is valid when the call returns: for the calling cpu,
 * also if that enters the space only later; and for every other cpu that learns of it from the
 * caller (by a lock, or by a release and an acquire) and then accesses it in the space. Neither
 * sees a fault. A mapping where nothing was interrupts no other cpu. A cpu whose hardware has
 * cached that there was nothing takes one page fault, in whose trap space_fault_is_stale() flushes,
 * and the access is repeated. That costs the cpu this trap and one SFENCE.VMA for all mappings
 * since its last flush. A fault for which there is no page costs the same more, if there were
 * mappings since. Accesses in trap handlers are repeated, too.
 *
 * No frame is allocated, zeroed or freed under a space's lock, and no cpu waits for another one
 * there.
 *
 * Context of all functions but space_fault_is_stale(): any cpu, outside of trap handlers, with
 * interrupts enabled and no lock held. Many cpus may call those of one space at once, except create
 * and destroy.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/paging/page_table.h"
#include "sync/spinlock.h"

struct space {
	struct spinlock lock; /* guards `table` */
	struct page_table table;
	uint64_t *cpu_mask; /* a bit for each cpu that may have cached translations; atomic */
	uint32_t inside;    /* cpus that are in the space; atomic */
	uint32_t flushing;  /* changes that others must not overtake, not flushed yet; atomic */
	uint64_t maps;	    /* calls that mapped pages where nothing was; atomic */
	uint64_t remote_flushes; /* statistics: cpus that others were asked to flush; atomic */
	uint64_t stale_faults;	 /* statistics: page faults that were repeated; atomic */
	void *memory;		 /* of the lock's statistics and cpu_mask */
};

/*
 * Before the first space and after the last one, on cpu 0 at rest: allocate and free the reference
 * counts of shared frames and the set of ASIDs. False: not enough memory, or the kernel runs
 * without paging.
 */
bool spaces_open(void);
void spaces_close(void);

/* Makes an empty space. PAGE_OK or PAGE_NO_FRAMES. */
PAGE_MUST_USE enum page_status space_create(struct space *space);

/*
 * Unmaps everything, flushes, frees. Panics where a cpu is in the space. O(entries of its tables).
 */
void space_destroy(struct space *space);

/* From here on the calling cpu sees the space; or, after space_leave(), only the kernel. */
void space_enter(struct space *space);
void space_leave(void);

/* As the functions of page_table.h; on return every cpu that must flush has flushed. */
PAGE_MUST_USE enum page_status space_map(struct space *space, virt_t address, pfn_t frame,
					 uint64_t length, unsigned flags);
PAGE_MUST_USE enum page_status space_unmap(struct space *space, virt_t address, uint64_t length);
PAGE_MUST_USE enum page_status space_protect(struct space *space, virt_t address, uint64_t length,
					     unsigned flags);

/*
 * Copies the mappings of `from` in the range to `to`, which has none there. Owned pages are shared
 * from now on: neither space can write to them before space_write_fault(). No other cpu may use
 * `to` yet.
 */
PAGE_MUST_USE enum page_status space_clone(struct space *to, struct space *from, virt_t address,
					   uint64_t length);

/*
 * Called in the trap of a page fault, before any other handling. True: pages were mapped in this
 * cpu's space since its last flush, so the fault may be stale; the cpu has flushed, and the access
 * must be repeated. False: the fault is real. It returns true at most once for each value of
 * `maps`, so a real fault is not repeated for ever. Interrupts are masked; takes no lock, and a
 * lock may be held. O(1).
 */
bool space_fault_is_stale(void);

/*
 * After a store that faulted: makes the page writable if it is copy on write. PAGE_OK: repeat the
 * store (another cpu may have made the page writable). PAGE_NOT_MAPPED: there is no page that may
 * be written to. PAGE_NO_FRAMES: no frame for the copy. Copies a frame at most.
 */
PAGE_MUST_USE enum page_status space_write_fault(struct space *space, virt_t address);
