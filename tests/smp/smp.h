/*
 * smp.h - what the workloads ask of the program they run in: the kernel, or a host process.
 */
#pragma once

#include <stdint.h>

/* Runs work(argument) on cpus 0..cpus-1 at once, the calling cpu 0 included; returns at the end. */
void smp_run(void (*work)(void *argument), void *argument, unsigned cpus);

/* Nanoseconds since some fixed time, the same on all cpus. */
uint64_t smp_nanoseconds(void);
