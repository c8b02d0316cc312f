/* SPDX-License-Identifier: BSD-2-Clause */
/* heap.c - step 4 of the set-up. A program without mm/heap/ leaves this file out. */
#include <stdint.h>

#include "mm/heap/front.h"
#include "mm/heap/kheap.h"

#include "setup.h"

_Static_assert(KHEAP_FRONT_AT + sizeof(struct kheap_front) <= sizeof(((struct demo_cpu *)0)->area),
	       "struct demo_cpu: area too small");

void demo_heap_start(uint64_t frames)
{
	kheap_init(SPIN_FAS, demo_zeroed(spin_bytes(port_cpu_count())));
	kheap_front_start(demo_zeroed(kheap_front_bytes(frames)), DEMO_BASE >> FRAME_SHIFT, frames);
}
