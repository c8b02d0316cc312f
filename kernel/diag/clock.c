/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c - see clock.h. */
#include "kernel/diag/clock.h"

#include <port.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "kernel/settings.h"

/* The fine clock is counted over 10 ms of the coarse one. */
void clock_measure(void)
{
	uint64_t start = hart_time(), clock = port_clock(), now;

	while ((now = hart_time()) - start < settings.timebase / 100)
		;
	settings.clock_hertz = (port_clock() - clock) * settings.timebase / (now - start);
}

/*
 * An emulator that counts in its host's time has many ticks between two reads in a row, and never
 * the same number. An emulator that counts instructions may count a power of two for each.
 */
void clock_measure_counter(void)
{
	uint64_t step = 0;

	for (unsigned i = 0; i < 100; i++) {
		uint64_t first = csr_read(instret), second = csr_read(instret);

		if (i == 0)
			step = second - first;
		else if (second - first != step)
			step = 0;
	}
	settings.count_step = step;
	settings.counts_exactly = step == 1;
}

uint64_t clock_nanoseconds(void)
{
	const uint64_t second = 1000000000;
	uint64_t ticks = hart_time(), hertz = settings.timebase;

	return ticks / hertz * second + ticks % hertz * second / hertz;
}
