/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.h - the console, to which printf prints.
 *
 * Output is sent line by line through the SBI debug console, or, where the firmware has none, byte
 * by byte through the legacy call. One cpu prints at a time: cpu 0, or the first cpu that panics,
 * or a cpu that has waited long for a lock, between two lines; there is no lock.
 */
#pragma once

#include <stdbool.h>

/* Finds out which call the firmware has. On cpu 0, before the first line. */
void console_init(void);

/* True while a cpu has printed a part of a line and not its end; may be stale. */
bool console_line_is_open(void);

/* Sends the part of an unfinished line that is still in the buffer. */
void console_flush(void);
