/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_paging.h - what mapping costs: part of run=bench. On cpu 0, at rest. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* bench.c's: prints one figure and records it; `hundredths` is in hundredths of `unit`. */
void bench_report(const char *name, uint64_t hundredths, const char *unit, unsigned cpus,
		  bool valid);

/* Instructions, where the counter counts them. */
void bench_paging_counts(void);

/* Nanoseconds, of `cpus` cpus at once; nothing where the kernel runs without paging. */
void bench_paging_times(unsigned cpus);
