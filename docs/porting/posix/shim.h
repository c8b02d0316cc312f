/*
 * shim.h - the calls of mm/ that the example uses and this tree does not have yet, in terms of those
 * that it has. To be removed, with each line that says "shim", once the tree has them.
 */
#pragma once

#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"

#define FRAME_NOWAIT 2u

static inline bool shim_answer(void)
{
	frame_drain_answer();
	return false;
}

#define frame_drain_answer() shim_answer()

static inline void frame_relax(void)
{
	shim_answer();
	port_relax();
}

/* Without waiting: what this cpu has cached, or none. */
static inline pfn_t shim_alloc(unsigned flags)
{
	struct frame_cache *cache = frame_cache_self();
	uint64_t number;

	if (!(flags & FRAME_NOWAIT))
		return frame_alloc(flags);
	frame_cache_pop(cache, number, empty);
	frame_count_out(cache, number);
	return pfn(number);
empty:
	return PFN_NONE;
}

#define frame_alloc(flags) shim_alloc(flags)
#define frame_alloc_run_flags(count, align, flags)                                                 \
	((flags) & FRAME_NOWAIT ? PFN_NONE : frame_alloc_run(count, align))

static inline void *kmalloc_flags(size_t size, size_t align, unsigned flags)
{
	return flags & FRAME_NOWAIT ? NULL : kmalloc_aligned(size, align);
}
