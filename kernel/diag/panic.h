/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * panic.h - the end of a run that cannot go on, and of one that can.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/trap.h"

/* Where the machine's finisher device is; 0: it has none, and no status can be carried out. */
void verdict_set_finisher(uint64_t address);

/* One more thing that went wrong; the verdict will name the first few, and say fail. */
void verdict_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool verdict_is_pass(void);

/* One more check passed or failed, for the verdict's count. */
void verdict_count_test(bool passed);

/* The run has a schedule that its seed decides: the verdict will carry both, asked for at its end. */
void verdict_set_schedule(uint64_t seed, uint64_t (*digest)(void));

/* Prints the verdict, human and record, and ends the machine with its status. */
_Noreturn void verdict_end(void);

/*
 * What the machine is at, in two strings that are kept, for a panic to say ("workload", "bulk");
 * the second may be NULL. By cpu 0, at rest.
 */
void panic_set_activity(const char *what, const char *which);

/* In the handler of an IPI that interrupted `pc`: stays there for good if another cpu has panicked. */
void panic_park(uint64_t pc);

/* For trap_on_exception: a panic that prints the trap's registers and the backtrace from where it was. */
_Noreturn void panic_exception(const struct trap_frame *frame, const struct trap_cause *cause);

/* For trap_on_fatal: a failing verdict with this message, from this hart alone. */
_Noreturn void panic_without_stack(const char *message);

/*
 * Calls mistake(a, b), which is expected to panic on this cpu; true when it did, and its text is
 * in cpu_self()->panic_message. It holds no lock where it panics.
 */
bool panics(void (*mistake)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);
