/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor_input.h - what is typed at the monitor, byte by byte, while it waits and while a command runs.
 *
 * What is typed while a command runs is kept for the lines after it. Ctrl-C is for the command: it
 * drops what was typed before it, as on a Unix terminal. The bytes that are kept are bounded; beyond
 * them nothing is read, and the firmware and the emulator hold the rest back, so nothing is lost, but
 * a Ctrl-C behind them is not seen.
 *
 * A line feed after a carriage return is dropped: the two are one end of line.
 *
 * All functions are for cpu 0, which owns the state; its timer hook is cpu 0's, too.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The next byte; waits for it, and sends what was printed before it waits. */
unsigned char monitor_key(void);

/* A command begins: no Ctrl-C has come for it. */
void monitor_command_begins(void);

/* Whether Ctrl-C has come since then. Costs a call of the firmware. */
bool monitor_is_interrupted(void);

/* Whether a byte waits to be read. */
bool monitor_has_key(void);

/* Sleeps until the time CSR is `when`; returns earlier for a byte that was typed. */
void monitor_sleep_until(uint64_t when);

/*
 * Until monitor_stop_watching() the timer of cpu 0 looks for a Ctrl-C, while cpu 0 does something that
 * does not ask: on_interrupt() is called then, once, in the timer's hook. For a program that does not
 * use the timer of cpu 0.
 */
void monitor_watch_for_interrupt(void (*on_interrupt)(void));
void monitor_stop_watching(void);
