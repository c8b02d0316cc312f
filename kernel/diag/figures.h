/* SPDX-License-Identifier: BSD-2-Clause */
/* figures.h - the arithmetic of what is printed and recorded. Any context; O(1). */
#pragma once

#include <stdint.h>

/* Ticks of the locks' clock (settings.clock_hertz) in nanoseconds. */
uint64_t ticks_to_ns(uint64_t ticks);

/* part * unit / whole, rounded; 0 where `whole` is 0. part * unit must fit 64 bits. */
uint64_t ratio(uint64_t part, uint64_t whole, uint64_t unit);
