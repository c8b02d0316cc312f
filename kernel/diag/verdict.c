/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.c - the result of a run, and the end of the machine; see verdict.h.
 *
 * All variables belong to cpu 0, or to the cpu that has panicked first.
 */
#include "kernel/diag/verdict.h"

#include <stdarg.h>
#include <stdio.h>

#include "arch/riscv/hart.h"
#include "kernel/diag/console.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"

#define FAILURES_NAMED 8

/* Much longer than a busy host needs to act on the finisher. */
#define FINISHER_SECONDS 10

/* tools/launcher/console.py waits for this line, and then ends QEMU. */
#define VERDICT_HALTED "halted: nothing can power this machine off"

#define TIMEBASE_UNKNOWN                                                                           \
	UINT64_C(100000000) /* before the tree is read: more than most machines have */

static uint64_t finisher;
static char failures[FAILURES_NAMED][400];
static unsigned failure_count;
static unsigned tests_passed, tests_failed;
static uint64_t schedule_seed;
static uint64_t (*schedule_digest)(void); /* NULL: no seed decides the schedule of this run */
static void (*schedule_report)(bool passed);

void verdict_set_finisher(uint64_t address)
{
	finisher = address;
}

_Noreturn void verdict_power_off(bool pass)
{
	uint64_t timebase = settings.timebase ? settings.timebase : TIMEBASE_UNKNOWN;
	static bool tried; /* the line below may panic, and then this is called again */

	if (!tried) {
		tried = true;
		hart_power_off(finisher, FINISHER_SECONDS * timebase, pass);
		printf("%s\n", VERDICT_HALTED);
	}
	hart_halt();
}

void verdict_fail(const char *format, ...)
{
	va_list arguments;

	if (failure_count < FAILURES_NAMED) {
		va_start(arguments, format);
		vsnprintf(failures[failure_count], sizeof(failures[0]), format, arguments);
		va_end(arguments);
	}
	failure_count++;
}

bool verdict_is_pass(void)
{
	return failure_count == 0;
}

void verdict_count_test(bool passed)
{
	if (passed)
		tests_passed++;
	else
		tests_failed++;
}

void verdict_set_schedule(uint64_t seed, uint64_t (*digest)(void), void (*report)(bool passed))
{
	schedule_seed = seed;
	schedule_digest = digest;
	schedule_report = report;
}

/* The digest is a string: many readers of JSON cannot read a number of 64 bits exactly. */
static void record_schedule(void)
{
	char text[17];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)schedule_digest());
	record_number("seed", schedule_seed);
	record_string("digest", text);
}

static void print_failures(void)
{
	unsigned named = failure_count < FAILURES_NAMED ? failure_count : FAILURES_NAMED;

	for (unsigned i = 0; i < named; i++)
		printf("  failed: %s\n", failures[i]);
	if (failure_count > named)
		printf("  and %u more\n", failure_count - named);
}

void verdict_end(void)
{
	bool pass = verdict_is_pass();

	printf("\n%s: %u checks passed, %u failed\n", pass ? "PASS" : "FAIL", tests_passed,
	       tests_failed);
	print_failures();
	if (schedule_report)
		schedule_report(pass);
	record_begin("verdict");
	record_string("result", pass ? "pass" : "fail");
	record_number("passed", tests_passed);
	record_number("tests_failed", tests_failed);
	if (!pass)
		record_string("failed", failures[0]);
	if (schedule_digest)
		record_schedule();
	record_end();
	console_flush();
	verdict_power_off(pass);
}
