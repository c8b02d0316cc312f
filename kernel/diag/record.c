/* SPDX-License-Identifier: BSD-2-Clause */
/* record.c - prints records; see record.h. Keeps no state. */
#include "kernel/diag/record.h"

#include <stdio.h>

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			printf("\\%c", byte);
		else if (byte < ' ' || byte > '~')
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	putchar('"');
}

static void print_name(const char *name)
{
	putchar(',');
	print_string(name);
	putchar(':');
}

void record_begin(const char *kind)
{
	printf("{\"record\":");
	print_string(kind);
}

void record_string(const char *name, const char *value)
{
	print_name(name);
	print_string(value);
}

void record_number(const char *name, uint64_t value)
{
	print_name(name);
	printf("%llu", (unsigned long long)value);
}

void record_fraction(const char *name, uint64_t value, unsigned decimals)
{
	uint64_t unit = 1;

	for (unsigned i = 0; i < decimals; i++)
		unit *= 10;
	print_name(name);
	printf("%llu.%0*llu", (unsigned long long)(value / unit), (int)decimals,
	       (unsigned long long)(value % unit));
}

void record_numbers(const char *name, const uint64_t *values, unsigned count)
{
	print_name(name);
	for (unsigned i = 0; i < count; i++)
		printf("%c%llu", i ? ',' : '[', (unsigned long long)values[i]);
	printf(count ? "]" : "[]");
}

void record_numbers32(const char *name, const uint32_t *values, unsigned count)
{
	print_name(name);
	for (unsigned i = 0; i < count; i++)
		printf("%c%lu", i ? ',' : '[', (unsigned long)values[i]);
	printf(count ? "]" : "[]");
}

void record_bool(const char *name, int value)
{
	print_name(name);
	printf(value ? "true" : "false");
}

void record_end(void)
{
	printf("}\n");
}
