/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - sends lines to the firmware; see console.h. The buffer belongs to the cpu that
 * prints.
 */
#include "kernel/diag/console.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "arch/riscv/sbi.h"

static bool has_debug_console;
static char line[256];
static unsigned line_bytes;
static bool line_is_open;

void console_init(void)
{
	has_debug_console = sbi_has(SBI_DBCN);
}

void console_flush(void)
{
	unsigned sent = 0;

	while (has_debug_console && sent < line_bytes) {
		struct sbi_result result = sbi_console_write(line_bytes - sent,
							     (uint64_t)(uintptr_t)&line[sent]);

		if (result.error)
			has_debug_console = false;
		else
			sent += (unsigned)result.value;
	}
	for (; sent < line_bytes; sent++)
		sbi_legacy_putchar(line[sent]);
	line_bytes = 0;
}

bool console_line_is_open(void)
{
	return line_is_open;
}

static int put(char byte, FILE *file)
{
	(void)file;
	line[line_bytes++] = byte;
	line_is_open = byte != '\n';
	if (byte == '\n' || line_bytes >= sizeof(line))
		console_flush();
	return (unsigned char)byte;
}

static FILE console = FDEV_SETUP_STREAM(put, NULL, NULL, _FDEV_SETUP_WRITE);
FILE *const stdin = &console;
FILE *const stdout = &console;
FILE *const stderr = &console;
