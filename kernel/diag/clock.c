/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c - see clock.h. */
#include "kernel/diag/clock.h"

#include <port.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "arch/riscv/hint.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"

/* The fine clock is counted over 10 ms of the coarse one. */
void clock_measure(void)
{
	uint64_t start = hart_time(), clock = port_clock(), now;

	while ((now = hart_time()) - start < settings.timebase / 100)
		;
	settings.clock_hertz = (port_clock() - clock) * settings.timebase / (now - start);
}

/* Pairs of reads, and how many of them have to agree: between two reads a hart may lose its turn. */
#define PAIRS	    100
#define PAIRS_AGREE 90

/*
 * An emulator that counts in its host's time has many ticks between two reads in a row, and never
 * the same number. An emulator that counts instructions may count a power of two for each.
 */
void clock_measure_counter(void)
{
	uint64_t least = UINT64_MAX;
	unsigned agree = 0;

	for (unsigned i = 0; i < PAIRS; i++) {
		uint64_t first = csr_read(instret), step = csr_read(instret) - first;

		if (step < least) {
			least = step;
			agree = 0;
		}
		agree += step == least;
	}
	settings.count_step = agree >= PAIRS_AGREE ? least : 0;
	settings.counts_exactly = settings.count_step == 1;
}

void clock_choose(void)
{
	settings.virtual_time = settings.arguments.time == BOOTARGS_TIME_VIRTUAL;
	if (!settings.virtual_time || settings.counts_exactly)
		return;
	verdict_fail(
		"bootargs: time=virtual: instret does not count instructions one by one on this "
		"machine; valid: on the machine that `make run VTIME=1` boots");
	verdict_end();
}

static unsigned turns; /* the hint for a run of several cpus */

void clock_choose_turns(unsigned halvings, unsigned sequence)
{
	turns = HINT_TURNS + halvings * HINT_SEQUENCES + sequence;
}

/*
 * Instructions of one cpu up to a count of instret, and how many cpus have shared it since. Written by
 * cpu 0 at rest; other cpus read it in work that cpus_run() has handed to them, whose fences order it.
 */
static struct {
	uint64_t base, count;
	unsigned cpus;
} shared = {.cpus = 1};

void clock_share(unsigned cpus)
{
	uint64_t now;

	if (!settings.virtual_time)
		return;
	hint(cpus == 1 ? HINT_LONG_TURNS : turns);
	now = csr_read(instret);
	shared.base += (now - shared.count) / shared.cpus;
	shared.count = now;
	shared.cpus = cpus;
}

void clock_record(void)
{
	record_string("clock", settings.virtual_time ? "virtual" : "host");
	if (settings.virtual_time)
		record_number("turn", settings.arguments.turn);
}

static uint64_t time_csr_nanoseconds(void)
{
	const uint64_t second = 1000000000;
	uint64_t ticks = hart_time(), hertz = settings.timebase;

	return ticks / hertz * second + ticks % hertz * second / hertz;
}

uint64_t clock_nanoseconds(void)
{
	if (settings.virtual_time)
		return shared.base + (csr_read(instret) - shared.count) / shared.cpus;
	return time_csr_nanoseconds();
}
