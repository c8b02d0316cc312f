/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - the lines for programs: one JSON object a line, each with a "record" member.
 *
 *	record_begin("lock");
 *	record_string("name", lock->name);
 *	record_number("acquisitions", stats.acquisitions);
 *	record_end();
 *
 * Printed on cpu 0, or by the cpu that panics. Portable: prints with printf.
 */
#pragma once

#include <stdint.h>

void record_begin(const char *kind);
void record_string(const char *name, const char *value);
void record_number(const char *name, uint64_t value);
/* value / 10^decimals, as a decimal fraction: no floating point is needed to print one. */
void record_fraction(const char *name, uint64_t value, unsigned decimals);
void record_numbers(const char *name, const uint64_t *values, unsigned count);
void record_numbers32(const char *name, const uint32_t *values, unsigned count);
void record_bool(const char *name, int value);
void record_end(void);
