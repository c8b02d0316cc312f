/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - the machine's clocks: the time CSR, which all harts share, and the finer clock of the
 * locks' statistics (port_clock()); and whether instret counts instructions.
 */
#pragma once

#include <stdint.h>

/*
 * Sets settings.clock_hertz. Lasts a hundredth of a second. When all harts have been started, which
 * an emulator's clock may be slowed by. On cpu 0.
 */
void clock_measure(void);

/* Sets settings.count_step and settings.counts_exactly. On cpu 0. */
void clock_measure_counter(void);

/* Nanoseconds of the time CSR: since some fixed time, the same on all cpus. Any context. */
uint64_t clock_nanoseconds(void);
