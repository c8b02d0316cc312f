/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.h - the result of a run, and the end of the machine.
 *
 * All functions are called by cpu 0, or by the cpu that has panicked first, after it has stopped
 * the others. They take no lock and wait for no cpu. verdict_end() prints; the others are O(1).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The address of the machine's finisher device; 0: there is none, so no exit status can be given.
 */
void verdict_set_finisher(uint64_t address);

/* Records a failure: the verdict will be "fail" and name the first few. */
void verdict_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether there was no failure so far. */
bool verdict_is_pass(void);

/* Counts a check that has passed or failed, for the figures of the verdict. */
void verdict_count_test(bool passed);

/*
 * The run has a schedule that its seed decides. The verdict records the seed and digest(), called
 * then. Before the verdict report() is called, which may print and record.
 */
void verdict_set_schedule(uint64_t seed, uint64_t (*digest)(void), void (*report)(bool passed));

/* Prints the verdict, as text and as a record, and ends the machine with its status. */
_Noreturn void verdict_end(void);

/*
 * Ends the machine without a verdict, with the status of a pass or a failure. A machine that nothing
 * can power off says so on the console, and its harts do nothing more.
 */
_Noreturn void verdict_power_off(bool pass);
