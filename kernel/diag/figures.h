/* SPDX-License-Identifier: BSD-2-Clause */
/* figures.h - the arithmetic of what is printed and recorded. Any context; O(1). */
#pragma once

#include <stdint.h>

/*
 * Ticks of the locks' clock (settings.clock_hertz) in nanoseconds; in virtual time, in instructions of
 * one cpu, if `cpus` cpus executed meanwhile.
 */
uint64_t ticks_to_ns(uint64_t ticks, unsigned cpus);

/* The unit of long times that are printed, "us" or "instr", and how many ns (or instructions) it has. */
const char *time_unit(void);
uint64_t time_unit_ns(void);

/* part * unit / whole, rounded; 0 where `whole` is 0. part * unit must fit 64 bits. */
uint64_t ratio(uint64_t part, uint64_t whole, uint64_t unit);
