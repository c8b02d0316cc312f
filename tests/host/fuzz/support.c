/* SPDX-License-Identifier: BSD-2-Clause */
/* support.c - unit.h for fuzz targets: a failure has no test to end, so it ends the program.
 */
#include "fuzz.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

jmp_buf unit_panic_return;
bool unit_panic_expected;
char unit_panic_message[1024];

/* replay.c has another. */
__attribute__((weak)) _Noreturn void fuzz_failed(const char *message)
{
	fprintf(stderr, "FAILED: %s\n", message);
	abort();
}

void unit_fail(const char *file, int line, const char *format, ...)
{
	char text[1536], message[2048];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(message, sizeof(message), "%s:%d: %s", file, line, text);
	fuzz_failed(message);
}

void unit_panicked(const char *message)
{
	snprintf(unit_panic_message, sizeof(unit_panic_message), "%s", message);
	if (unit_panic_expected)
		longjmp(unit_panic_return, 1);
	unit_fail("panic", 0, "%s", message);
}

bool unit_message_has(const char *wanted)
{
	return strstr(unit_panic_message, wanted) != NULL;
}
