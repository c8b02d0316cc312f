/* SPDX-License-Identifier: BSD-2-Clause */
/* story.c - what an execution of weak.h did, a line for each step. */
#include "tests/host/weak/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool story_is_told;
static unsigned line_number;

void story_begin(void)
{
	line_number = 0;
}

void story_line(unsigned cpu, const struct weak_site *site, const char *format, ...)
{
	char text[400], place[200] = "";
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (site)
		snprintf(place, sizeof(place), "%s:%d %s", site->file, site->line, site->function);
	printf("# %4u  cpu %u  %-60s %s\n", ++line_number, cpu, text, place);
}
