/* SPDX-License-Identifier: BSD-2-Clause */
/* figures.c - see figures.h. */
#include "kernel/diag/figures.h"

#include "kernel/settings.h"

uint64_t ticks_to_ns(uint64_t ticks, unsigned cpus)
{
	uint64_t hertz = settings.clock_hertz;

	if (settings.virtual_time)
		return ticks / cpus;
	return ticks / hertz * 1000000000 + ticks % hertz * 1000000000 / hertz;
}

const char *time_unit(void)
{
	return settings.virtual_time ? "instr" : "us";
}

uint64_t time_unit_ns(void)
{
	return settings.virtual_time ? 1 : 1000;
}

uint64_t ratio(uint64_t part, uint64_t whole, uint64_t unit)
{
	return whole ? (part * unit + whole / 2) / whole : 0;
}
