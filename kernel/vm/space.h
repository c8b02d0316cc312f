/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.h - address spaces that many cpus share: maps, unmaps and copies, and the flushes of other
 * harts that these need.
 *
 * A space is a page table, a lock, and a note of which cpus may have any of it in their translation
 * caches. The kernel is mapped in each (kernel_space.h), so a cpu that enters one goes on as it
 * was, and sees the space's own pages besides. What is mapped PAGE_OWNED are single frames of
 * frame_alloc(), which belong to their mappings: the last one that goes frees them. Addresses of
 * owned pages may be shared by clones, each of which gets a frame of its own when it writes.
 *
 * No frame that was unmapped is freed before every cpu of that note has flushed what it had of it,
 * and nothing is mapped in its place before that. What one cpu has stored to a page, every cpu that
 * hears of it finds there, whatever is cloned and copied meanwhile.
 *
 * What a call has mapped or permitted is there when it returns: for the calling cpu, also if that
 * enters the space only later, and for every other cpu that learns of it from the caller (a lock, or
 * a release and an acquire) and then accesses it in the space. Neither sees a fault. No other cpu is
 * interrupted for a mapping where nothing was: a cpu whose hardware has cached that there was nothing
 * takes one page fault, in whose trap space_fault_is_stale() flushes, and the access is repeated. It
 * costs such a cpu that trap and one SFENCE.VMA for all mappings since its last one; a fault for
 * which there is no page costs as much more, when there have been mappings since. An access in a trap
 * handler is repeated in the same way.
 *
 * No frame is allocated, zeroed or freed under a space's lock, and no cpu is waited for.
 *
 * All functions: on any cpu that is not in a trap handler, with interrupts let in and no lock held.
 * Those of one space may be called by many cpus at once, but for create and destroy.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/paging/page_table.h"
#include "sync/spinlock.h"

struct space {
	struct spinlock lock; /* of the table */
	struct page_table table;
	uint64_t *cpu_mask; /* a bit for each cpu that may have cached any of it; atomic */
	uint32_t inside;    /* cpus that are in it; atomic */
	uint32_t flushing; /* changes that nobody may overtake, and that are not flushed yet; atomic */
	uint64_t maps;	   /* changes that mapped pages where nothing was; atomic */
	uint64_t remote_flushes; /* for people; atomic */
	uint64_t stale_faults;	 /* for people: page faults that were tried again; atomic */
	void *memory;		 /* the lock's, and cpu_mask */
};

/*
 * Once before the first space, and after the last one, on cpu 0 at rest; takes and gives back what
 * counts shared frames, and the ASIDs. False: not enough memory, or the kernel runs without paging.
 */
bool spaces_open(void);
void spaces_close(void);

/* An empty space. PAGE_OK or PAGE_NO_FRAMES. */
PAGE_MUST_USE enum page_status space_create(struct space *space);

/* No cpu is in it. Unmaps all there is, flushes, frees. */
void space_destroy(struct space *space);

/* The calling cpu sees the space from here on; or only the kernel again. */
void space_enter(struct space *space);
void space_leave(void);

/* As in page_table.h; each has flushed every cpu that must be when it returns. */
PAGE_MUST_USE enum page_status space_map(struct space *space, virt_t address, pfn_t frame,
					 uint64_t length, unsigned flags);
PAGE_MUST_USE enum page_status space_unmap(struct space *space, virt_t address, uint64_t length);
PAGE_MUST_USE enum page_status space_protect(struct space *space, virt_t address, uint64_t length,
					     unsigned flags);

/*
 * Copies what `from` has mapped in the range into `to`, where nothing is: owned pages are shared
 * from now on, and can be written to by neither until space_write_fault(). `to` is used by nobody
 * else yet.
 */
PAGE_MUST_USE enum page_status space_clone(struct space *to, struct space *from, virt_t address,
					   uint64_t length);

/*
 * In the trap of a page fault, before anything else is made of it. True: this cpu has flushed, and
 * the access is to be repeated, for pages have been mapped in the space that the cpu is in since it
 * flushed last, and the fault may be of before. False: the fault is to be taken as it is. It is said
 * at most once for a count of mappings, so a fault that is none of that kind is not repeated for
 * ever. Interrupts masked; takes no lock, and a lock may be held.
 */
bool space_fault_is_stale(void);

/*
 * After a store that faulted: makes the page writable if it is copy on write. PAGE_OK: try again
 * (another cpu may have done it). PAGE_NOT_MAPPED: there is no page that may be written to.
 * PAGE_NO_FRAMES: no frame for the copy.
 */
PAGE_MUST_USE enum page_status space_write_fault(struct space *space, virt_t address);
