/* SPDX-License-Identifier: BSD-2-Clause */
/* printed.h - what the code under test prints, for a test to look at. One test program, one thread. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "unit.h"

static char *printed; /* between two calls of listen(); after stop_listening() it is complete */
static size_t printed_bytes;
static FILE *console, *output;

/* From here on, what is printed goes to `printed`, which begins empty. */
static inline void listen(void)
{
	free(printed);
	printed = NULL;
	output = stdout;
	console = open_memstream(&printed, &printed_bytes);
	CHECK(console);
	stdout = console;
}

static inline void stop_listening(void)
{
	stdout = output;
	fclose(console);
}
