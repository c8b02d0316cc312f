/* SPDX-License-Identifier: BSD-2-Clause */
/* figures.c - see figures.h. */
#include "kernel/diag/figures.h"

#include "kernel/settings.h"

uint64_t ticks_to_ns(uint64_t ticks)
{
	uint64_t hertz = settings.clock_hertz;

	return ticks / hertz * 1000000000 + ticks % hertz * 1000000000 / hertz;
}

uint64_t ratio(uint64_t part, uint64_t whole, uint64_t unit)
{
	return whole ? (part * unit + whole / 2) / whole : 0;
}
