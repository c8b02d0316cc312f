/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smp.h - what the workloads ask of the program they run in: the kernel, or a host process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Runs work(argument) on cpus 0..cpus-1 at once, the calling cpu 0 included; returns at the end. */
void smp_run(void (*work)(void *argument), void *argument, unsigned cpus);

/*
 * Zeroed memory outside of all zones, 64-aligned; NULL when there is not so much. Blocks end in the
 * reverse order. On cpu 0, at rest.
 */
void *smp_memory(uint64_t bytes);
void smp_memory_end(void *block);

/* Nanoseconds since some fixed time, the same on all cpus. */
uint64_t smp_nanoseconds(void);

/* As printf, on cpu 0 at rest. A host process keeps it for its tests and shows nothing. */
void smp_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Whether the waits for locks of a run on cpus 0..cpus-1 are its own doing: false where the host has
 * not given each of them a core. On cpu 0, at rest, after the run.
 */
bool smp_waits_are_measurable(unsigned cpus);

/* What the workload `lock` does: numbers of instructions, and whether they are random around that. */
struct smp_delay {
	uint64_t instructions;
	bool is_random;
};

void smp_lock_delays(struct smp_delay *hold, struct smp_delay *think);

/*
 * Harts that come and go (churn.h): begin on cpu 0 and end on it, at rest; step after each operation
 * of every cpu, and leave when it has no more, again and again until it is true. On a host, where
 * cpus are threads, all of it does nothing. smp_churn_end() is false when harts could have been
 * stopped and none was, though there was time, or one was not started again.
 */
struct smp_churner {
	uint64_t pause; /* operations until it tries to stop others */
	bool has_stopped;
	bool is_over; /* its time: it stops no others to leave */
};

void smp_churn_begin(unsigned cpus);
void smp_churn_step(struct smp_churner *churner, uint64_t *random);
bool smp_churn_leave(struct smp_churner *churner, uint64_t *random);
bool smp_churn_end(void);
