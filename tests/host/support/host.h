/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.h - what a host test does with the port: makes memory and zones, runs cpus.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/global/policy.h"
#include "sync/spinlock.h"

/* One zone to be: frames [first, first + count) by pfn. */
struct host_range {
	uint64_t first, count;
	unsigned node;
};

/* How host_machine_start sets things up; zeros are the defaults. */
struct host_machine {
	const struct policy *policy; /* NULL: segment_tree */
	enum spin_kind lock;
	unsigned cpus;	   /* 0: one */
	uint32_t capacity; /* of each cache; 0: off */
	uint32_t batch;	   /* 0: adaptive */
};

/*
 * Maps memory that spans the ranges (by rising address), makes their zones and `cpus` cpus with
 * their caches; the caller becomes cpu 0. Ends with host_machine_end(), in the same thread.
 */
void host_machine_start(const struct host_machine *machine, const struct host_range *ranges,
			unsigned count);
void host_machine_end(void);

/* The common case: one zone of `bytes`, caches of 192 frames, batches of 64. */
void host_memory_start(uint64_t bytes, unsigned cpus);
void host_memory_end(void);

/* Runs work(argument) on every cpu at once (the caller is cpu 0) and waits for all. */
void host_run(void (*work)(void *argument), void *argument);

/* All text given to smp_print() since it was last forgotten. */
const char *smp_host_printed(void);
void smp_host_forget_printed(void);
/* The answer of smp_waits_are_measurable(); false at first. */
void smp_host_set_waits_measurable(bool are);
