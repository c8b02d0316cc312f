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

/*
 * Ends the run with a failing verdict where time=virtual was asked for and instret does not count
 * instructions one by one. After clock_measure_counter(), on cpu 0.
 */
void clock_choose(void);

/*
 * In virtual time, the turns of the runs that follow: of the stated length divided by 2^halvings, of
 * this random sequence; below HINT_HALVINGS and HINT_SEQUENCES (arch/riscv/hint.h). On cpu 0, at rest.
 */
void clock_choose_turns(unsigned halvings, unsigned sequence);

/*
 * Nanoseconds of the time CSR: since some fixed time, the same on all cpus. In virtual time,
 * instructions of one cpu: those that all have executed, divided by the number of cpus that execute
 * (clock_share). Any context.
 */
uint64_t clock_nanoseconds(void);

/*
 * From now on this number of cpus executes, until the next call; all others are asleep. In virtual
 * time a run has to say so: instret counts the instructions of all of them. For one
 * cpu, turns are long, which saves the host's time. Without virtual time, nothing. On cpu 0, at rest.
 */
void clock_share(unsigned cpus);

/* Members of the open record: "clock", and in virtual time "turn". */
void clock_record(void);
