/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timing.h - the same loop on all cpus at once, timed; and whether the host gave each of them a
 * core.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Nanoseconds (clock_nanoseconds()) that work(count) took the slowest of cpus 0..cpus-1, which all
 * began at once. `enter` is called on each before, or is NULL. At rest, on cpu 0.
 */
uint64_t time_all(void (*enter)(void), void (*work)(uint64_t count), uint64_t count, unsigned cpus);

/*
 * From where on the host has not given each cpu a core: work that shares nothing takes so long on
 * all cpus, where one alone takes 100. Found by tools/calibrate.py, like the thresholds of a
 * sweep's cells (tests/smp/cell_thresholds.h).
 */
#define CORES_PERCENT_MOST 115

/* In virtual time the emulator gives all cpus equal turns; then it is at most this. */
#define TURNS_PERCENT_MOST 102

/*
 * Work that shares nothing takes as long on all cpus at once as on one cpu, if each has a core of
 * the host. Returns how long it took on all, in percent of the time on one. A single cpu is
 * compared with its clock instead: the time it watched the clock, in percent of what is left
 * without the gaps in which the host ran something else. Lasts some tens of milliseconds.
 *
 * In virtual time the fastest cpu counts too: 103 means that a cpu took 3 % more or 3 % less than
 * alone.
 */
uint64_t cores_percent(unsigned cpus);

/* Whether that is little enough. */
bool cores_are_enough(uint64_t percent);

/* Whether cores_percent() is little enough now. A single cpu always has its core. */
bool cores_for_all(unsigned cpus);
