/* panic.c - see panic.h. */
#include "kernel/panic.h"

#include <stdarg.h>
#include <stdio.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/record.h"
#include "sync/ck.h"

#define FAILURES_NAMED 8

static uint64_t finisher;
static char failures[FAILURES_NAMED][160];
static unsigned failure_count;
static unsigned tests_passed, tests_failed;
static uint64_t schedule_seed;
static uint64_t (*schedule_digest)(void); /* NULL: the run has no schedule of its own */
static uint32_t panicking; /* the number of the cpu that did first, plus 1 */

void verdict_set_finisher(uint64_t address)
{
	finisher = address;
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

void verdict_set_schedule(uint64_t seed, uint64_t (*digest)(void))
{
	schedule_seed = seed;
	schedule_digest = digest;
}

/* As text: 64 bits are more than programs that read JSON take for a number. */
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
	hart_power_off(finisher, pass);
}

/* Not inlined: nothing of it may live in a register across the setjmp below. */
static __attribute__((noinline)) void expect_panic(jmp_buf *here)
{
	cpu_self()->panic_return = here;
}

bool panics(void (*mistake)(uint64_t a, uint64_t b), uint64_t a, uint64_t b)
{
	unsigned long flags = port_irq_save();
	jmp_buf here;

	port_irq_restore(flags);
	if (setjmp(here)) {
		expect_panic(NULL);
		port_irq_restore(flags); /* it may have come out of a masked section */
		return true;
	}
	expect_panic(&here);
	mistake(a, b);
	expect_panic(NULL);
	return false;
}

/*
 * The frame pointer chain (the psABI's: return address at -8, caller's at -16). A pointer that
 * is not 16-aligned, or goes down, ends it.
 */
static void print_backtrace(void)
{
	const uintptr_t *frame = __builtin_frame_address(0);

	printf("backtrace:\n");
	for (unsigned depth = 0; depth < 16 && frame; depth++) {
		uintptr_t next = frame[-2];

		printf("  [<%#lx>]\n", (unsigned long)frame[-1]);
		if (next <= (uintptr_t)frame || next % 16 || next - (uintptr_t)frame > 32768)
			break;
		frame = (const uintptr_t *)next;
	}
}

/*
 * The first to panic prints; another that panics meanwhile stops where it is. One that panics
 * while it prints its panic can only end the machine.
 */
void port_panic(const char *format, ...)
{
	struct cpu *self = cpu_self();
	char message[320];
	uint32_t first;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (self->panic_return && !port_in_trap()) { /* what a handler does was not expected */
		snprintf(self->panic_message, sizeof(self->panic_message), "%s", message);
		longjmp(*self->panic_return, 1);
	}
	port_irq_save();
	if (!ck_pr_cas_32_value(&panicking, 0, self->arch.number + 1, &first)) {
		if (first == self->arch.number + 1)
			hart_power_off(finisher, false);
		for (;;)
			__asm__ volatile("wfi");
	}
	printf("\n\nPANIC on cpu %u (hart %llu): %s\n", self->arch.number,
	       (unsigned long long)self->arch.hart_id, message);
	print_backtrace();
	verdict_fail("panic on cpu %u: %s", self->arch.number, message);
	verdict_end();
}
