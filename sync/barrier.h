/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * barrier.h - a sense-reversing barrier for any number of cpus (Mellor-Crummey and Scott, TOCS
 * 1991, section 3.1), used to start all cpus of a workload together and to end it.
 */
#pragma once

#include <stdint.h>

#include "sync/cache_line.h"

struct barrier {
	uint32_t cpu_count;
	_Alignas(PORT_CACHE_LINE) uint32_t arrived;
	_Alignas(PORT_CACHE_LINE) uint32_t round;
};

/* For `cpu_count` cpus; nobody may be waiting. */
void barrier_init(struct barrier *barrier, uint32_t cpu_count);

/*
 * Waits until all cpus have come. What any of them wrote before is seen by all of them after.
 * Not with a lock held.
 */
void barrier_wait(struct barrier *barrier);
