/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * panic.h - the end of a run that cannot go on.
 *
 * A panic prints the message, a backtrace, and where each other cpu is, and ends the machine with a
 * failing verdict (verdict.h). It takes no lock and allocates nothing; it waits at most a fraction
 * of a second for other cpus to stop. port_panic() of the port is the way to start one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/trap.h"
#include "kernel/diag/verdict.h"

/* Registers what arch/ and kernel/smp/ do in a panic. First thing at boot. */
void panic_init(void);

/*
 * Sets what the machine is doing, for a panic to print ("workload", "bulk"). The strings are not
 * copied; `which` may be NULL. On cpu 0, at rest.
 */
void panic_set_activity(const char *what, const char *which);

/*
 * In the handler of an IPI that interrupted the code at `pc`: stops this cpu for good if another
 * cpu has panicked, else returns.
 */
void panic_park(uint64_t pc);

/*
 * For trap_on_exception: a panic with the trap's registers and the backtrace of the interrupted
 * code.
 */
_Noreturn void panic_exception(const struct trap_frame *frame, const struct trap_cause *cause);

/*
 * For trap_on_fatal: a failing verdict with this message; needs neither a cpu block nor other cpus.
 */
_Noreturn void panic_without_stack(const char *message);

/*
 * Calls mistake(a, b), which must panic on this cpu. True when it has; the text is then in
 * cpu_self()->panic_message. The mistake must hold no lock at its panic: the lock would stay taken.
 */
bool panics(void (*mistake)(uint64_t a, uint64_t b), uint64_t a, uint64_t b);
