/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.h - the console: where printf goes.
 *
 * A line at a time through the SBI debug console where the firmware has one, byte by byte through
 * the legacy call where it has not. One cpu prints at a time: cpu 0, or the one that panics.
 */
#pragma once

void console_init(void);

/* Sends what is still held back of an unfinished line. */
void console_flush(void);
