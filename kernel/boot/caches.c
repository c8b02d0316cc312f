/* SPDX-License-Identifier: BSD-2-Clause */
/* caches.c - see caches.h. */
#include "kernel/boot/caches.h"

#include <port.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/boot/early.h"
#include "kernel/boot/memory.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/front.h"

_Static_assert(KHEAP_FRONT_AT + sizeof(struct kheap_front) <= ARCH_CPU_AREA_BYTES,
	       "the area holds the cache and the heap's front end");

static char *memory;
static uint32_t slots; /* frames of each */
static size_t bytes;   /* of each */
static unsigned zone_room;

void caches_reserve(unsigned frames)
{
	slots = frames ? frames : 1;
	zone_room = memory_zones_at_most(); /* a sweep may make more zones than there are now */
	bytes = frame_cache_bytes(slots, zone_room);
	memory = early_alloc(port_cpu_count() * bytes, 64);
}

void caches_start(void)
{
	for (unsigned i = 0; i < port_cpu_count(); i++)
		frame_cache_init_for(port_area_of(i), memory + i * bytes, slots, zone_largest(),
				     zone_room);
}
