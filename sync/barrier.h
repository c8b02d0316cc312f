/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * barrier.h - a centralised sense-reversing barrier for any number of CPUs (Mellor-Crummey and
 * Scott, TOCS 1991, section 3.1). All CPUs of a workload start and end together by it.
 *
 * The last CPU that arrives resets `arrived` and then begins a new `round`; the others wait for the
 * new round. Writers: every CPU increments `arrived`; only the last one writes `round`.
 */
#pragma once

#include <stdint.h>

#include "sync/cache_line.h"

struct barrier {
	uint32_t cpu_count; /* read-only after barrier_init */
	_Alignas(PORT_CACHE_LINE) uint32_t arrived;
	_Alignas(PORT_CACHE_LINE) uint32_t round;
};

/* Makes a barrier for `cpu_count` CPUs. No CPU may be waiting at it. */
void barrier_init(struct barrier *barrier, uint32_t cpu_count);

/*
 * Waits until all CPUs have come. After it, all CPUs see what any of them wrote before it. No lock
 * may be held.
 */
void barrier_wait(struct barrier *barrier);
