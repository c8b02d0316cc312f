/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.h - run=monitor: a prompt on the console, to inspect the machine and to act on it.
 *
 * What commands ask of the monitor is here; how they register is in monitor_commands.h, and what is
 * typed in monitor_input.h. They run on cpu 0, with no lock held, and inspect and act through the
 * functions that all other callers use, so what is seen here is what the tests test.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/diag/monitor_commands.h"

/* All commands of this kernel. */
const struct monitor_table *monitor_table(void);

/* The monitor ends after this command. */
void monitor_end(void);

/* False, and a message printed: a cpu is stopped, and `what` is on all of them. */
bool monitor_all_cpus_run(const char *what);

/* One line: where all frames are, this moment. */
void monitor_print_ledger(void);

/* Which cpus hold locks and wait for locks; a line that says so if there are none. */
void monitor_print_holders(void);

/* Frames that the command `alloc` holds; gives back `count` of them, or all, and prints how many. */
uint64_t monitor_frames_held(void);
void monitor_free_held(uint64_t count);

/* For `value` of a command: the numbers of cpus. */
const char *monitor_cpu_value(unsigned number);
