/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h - records: lines for programs, one JSON object each, with a "record" member.
 *
 *	record_begin("lock");
 *	record_string("name", lock->name);
 *	record_number("acquisitions", stats.acquisitions);
 *	record_end();
 *
 * Called on cpu 0, or by the first cpu that panics; between record_begin() and record_end() nothing
 * else may print. Strings are escaped. Portable: prints with printf.
 */
#pragma once

#include <stdint.h>

void record_begin(const char *kind);
void record_string(const char *name, const char *value);
void record_number(const char *name, uint64_t value);
/* Prints value / 10^decimals as a decimal fraction, without floating point. */
void record_fraction(const char *name, uint64_t value, unsigned decimals);
void record_numbers(const char *name, const uint64_t *values, unsigned count);
void record_numbers32(const char *name, const uint32_t *values, unsigned count);
void record_bool(const char *name, int value);
void record_end(void);
