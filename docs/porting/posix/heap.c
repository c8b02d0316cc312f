/* SPDX-License-Identifier: BSD-2-Clause */
/* heap.c - step 4 of the set-up. A program without mm/heap/ leaves this file out. */
#include "mm/heap/kheap.h"

#include "setup.h"

void demo_heap_start(void)
{
	kheap_init(SPIN_FAS, demo_zeroed(spin_bytes(port_cpu_count())));
}
