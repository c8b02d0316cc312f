/* SPDX-License-Identifier: BSD-2-Clause */
/* panic.c - see panic.h. */
#include "kernel/diag/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "kernel/diag/console.h"
#include "kernel/smp/cpu.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "kernel/diag/trace.h"
#include "mm/address.h"
#include "sync/ck.h"

#define FAILURES_NAMED 8

static uint64_t finisher;
static char failures[FAILURES_NAMED][160];
static unsigned failure_count;
static unsigned tests_passed, tests_failed;
static uint64_t schedule_seed;
static uint64_t (*schedule_digest)(void); /* NULL: the run has no schedule of its own */
static uint32_t panicking;		  /* the number of the cpu that did first, plus 1 */
static const char *doing_what = "boot", *doing_which;

extern char __kernel_start[], __text_end[], __rodata_end[], __kernel_end[];

void verdict_set_finisher(uint64_t address)
{
	finisher = address;
}

/* Far longer than a busy host needs to act on the finisher. */
#define FINISHER_SECONDS 10
#define TIMEBASE_UNKNOWN UINT64_C(100000000) /* the tree has not been read so far: more than most */

static _Noreturn void power_off(bool pass)
{
	uint64_t timebase = settings.timebase ? settings.timebase : TIMEBASE_UNKNOWN;

	hart_power_off(finisher, FINISHER_SECONDS * timebase, pass);
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
	power_off(pass);
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

/* ---- panics ------------------------------------------------------------------------------- */

void panic_set_activity(const char *what, const char *which)
{
	doing_what = what;
	doing_which = which;
}

static bool has_work(const struct cpu *cpu)
{
	return cpu->arch.number == 0 ||
	       ck_pr_load_32(&cpu->work_number) != ck_pr_load_32(&cpu->done_number);
}

static void print_doing(const struct cpu *cpu)
{
	if (!has_work(cpu))
		printf("waiting for work");
	else if (doing_which)
		printf("%s %s", doing_what, doing_which);
	else
		printf("%s", doing_what);
}

static bool is_on_stack(const struct cpu *cpu, uintptr_t address)
{
	return address - cpu->arch.stack_low < ARCH_STACK_BYTES ||
	       address - (cpu->arch.emergency_top - ARCH_EMERGENCY_BYTES) < ARCH_EMERGENCY_BYTES;
}

/*
 * The frame pointer chain (the psABI's: return address at -8, caller's at -16). A pointer that is
 * not 16-aligned, leaves the cpu's stack, or goes down, ends it.
 */
static void print_frames(uintptr_t frame)
{
	const struct cpu *self = cpu_self();

	for (unsigned depth = 0; depth < 16 && frame % 16 == 0 && is_on_stack(self, frame - 16);
	     depth++) {
		const uintptr_t *top = (const uintptr_t *)frame;

		printf("  [<%#lx>]\n", (unsigned long)top[-1]);
		if (top[-2] <= frame)
			break;
		frame = top[-2];
	}
}

/* A function that calls nobody saves no return address, and its caller's frame pointer at -8. */
static void print_trap_backtrace(const struct trap_frame *trap)
{
	const uintptr_t *top = (const uintptr_t *)trap->x[8];
	uintptr_t frame = trap->x[8];

	printf("backtrace:\n  [<%#llx>]\n", (unsigned long long)trap->pc);
	if (frame % 16 == 0 && is_on_stack(cpu_self(), frame - 16) &&
	    is_on_stack(cpu_self(), top[-1])) {
		printf("  [<%#llx>]\n", (unsigned long long)trap->x[1]);
		frame = top[-1];
	}
	print_frames(frame);
}

static void print_registers(const struct trap_frame *frame)
{
	static const char names[32][4] = {
		"",   "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
		"a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
		"s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
	};

	printf("registers:\n  pc  %016llx", (unsigned long long)frame->pc);
	for (unsigned i = 1; i < 32; i++)
		printf("%s%-3s %016llx", i % 4 ? "  " : "\n  ", names[i],
		       (unsigned long long)frame->x[i]);
	printf("\n");
}

static _Noreturn void park(uint64_t pc)
{
	struct cpu *self = cpu_self();

	self->parked_pc = pc;
	ck_pr_fence_release(); /* pairs with stop_others */
	ck_pr_store_32(&self->parked, 1);
	for (;;)
		__asm__ volatile("wfi");
}

void panic_park(uint64_t pc)
{
	if (ck_pr_load_32(&panicking))
		park(pc);
}

/* Long for a host that is busy, short for who waits. */
#define PARKING_PART_OF_A_SECOND 5

static bool all_parked(void)
{
	for (unsigned i = 0; i < settings.cpus; i++)
		if (i != port_cpu() && !cpu_is_stopped(i) && !ck_pr_load_32(&cpu_of(i)->parked))
			return false;
	return true;
}

static void print_other(const struct cpu *cpu)
{
	printf("cpu %u (hart %llu): ", cpu->arch.number, (unsigned long long)cpu->arch.hart_id);
	if (cpu_is_stopped(cpu->arch.number)) {
		printf("off line");
	} else if (!ck_pr_load_32(&cpu->parked)) {
		printf("did not stop, its interrupts are masked; ");
		print_doing(cpu);
	} else {
		ck_pr_fence_acquire(); /* pairs with park */
		if (cpu->panic_message[0])
			printf("panicked too: %s; ", cpu->panic_message);
		print_doing(cpu);
		printf(", stopped at [<%#llx>]", (unsigned long long)cpu->parked_pc);
	}
	printf("\n");
}

/* Those of the 64 cpus from `first` on that run, but for this one: as a set. */
static uint64_t others_from(unsigned first)
{
	uint64_t set = 0;

	for (unsigned i = first; i < settings.cpus && i < first + 64; i++)
		if (i != port_cpu() && !cpu_is_stopped(i))
			set |= UINT64_C(1) << i % 64;
	return set;
}

/* Those that hear an IPI stop where they are, and it is said where that was. */
static void stop_others(void)
{
	uint64_t start = hart_time();

	for (unsigned first = 0; first < settings.cpus; first += 64)
		port_ipi_send(first, others_from(first));
	/* Masked, but bounded: cpus that wait for this one may hear of the end a little later. */
	while (!all_parked() && hart_time() - start < settings.timebase / PARKING_PART_OF_A_SECOND)
		port_relax();
	for (unsigned i = 0; i < settings.cpus; i++)
		if (i != port_cpu())
			print_other(cpu_of(i));
}

/*
 * The first to panic comes back from here, and prints; another that panics meanwhile stops where
 * it is. One that panics while it prints its panic can only end the machine.
 */
static void begin(uint64_t pc, const char *message)
{
	struct cpu *self = cpu_self();
	uint32_t first;

	port_irq_save();
	if (!ck_pr_cas_32_value(&panicking, 0, self->arch.number + 1, &first)) {
		if (first == self->arch.number + 1)
			power_off(false);
		snprintf(self->panic_message, sizeof(self->panic_message), "%s", message);
		park(pc);
	}
	printf("\n\nPANIC on cpu %u (hart %llu), ", self->arch.number,
	       (unsigned long long)self->arch.hart_id);
	print_doing(self);
	printf(": %s\n", message);
}

/* Of each cpu, with trace=on. */
#define EVENTS_SHOWN 6

static _Noreturn void finish(const char *message)
{
	stop_others();
	for (unsigned i = 0; i < settings.cpus; i++)
		trace_print_last(i, EVENTS_SHOWN);
	verdict_fail("panic on cpu %u: %s", port_cpu(), message);
	verdict_end();
}

void port_panic(const char *format, ...)
{
	struct cpu *self = cpu_self();
	char message[sizeof(self->panic_message)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (self->panic_return && !port_in_trap()) { /* what a handler does was not expected */
		snprintf(self->panic_message, sizeof(self->panic_message), "%s", message);
		longjmp(*self->panic_return, 1);
	}
	begin((uintptr_t)__builtin_return_address(0), message);
	printf("backtrace:\n");
	print_frames((uintptr_t)__builtin_frame_address(0));
	finish(message);
}

/* There is no block of this cpu to look at, and none of another that is worth a wait. */
void panic_without_stack(const char *message)
{
	printf("\n\nPANIC: %s\n", message);
	verdict_fail("%s", message);
	verdict_end();
}

/* What is at the address that a trap is about; written into `text`. */
static void describe(char *text, size_t bytes, const struct trap_cause *cause)
{
	uint64_t address = cause->address;

	text[0] = '\0';
	if (!cause->has_address)
		return;
	for (unsigned i = 0; i < port_cpu_count(); i++) {
		if (cpu_of(i)->arch.stack_low - address - 1 < ARCH_GUARD_BYTES) {
			snprintf(text, bytes, ", the guard page of cpu %u's stack", i);
			return;
		}
	}
	if (address < FRAME_SIZE)
		snprintf(text, bytes, ", in the null page");
	else if (address - (uintptr_t)__kernel_start < (uintptr_t)(__text_end - __kernel_start))
		snprintf(text, bytes, ", kernel text");
	else if (address - (uintptr_t)__text_end < (uintptr_t)(__rodata_end - __text_end))
		snprintf(text, bytes, ", kernel read-only data");
	else if (address - (uintptr_t)__rodata_end < (uintptr_t)(__kernel_end - __rodata_end))
		snprintf(text, bytes, ", kernel data");
}

void panic_exception(const struct trap_frame *frame, const struct trap_cause *cause)
{
	struct cpu *self = cpu_self();
	char message[sizeof(self->panic_message)], where[64];

	describe(where, sizeof(where), cause);
	snprintf(message, sizeof(message), "%s%s (scause %#llx), stval %#llx%s, at [<%#llx>]",
		 cause->off_stack ? "stack overflow: " : "trap: ", cause->name,
		 (unsigned long long)cause->scause, (unsigned long long)cause->address, where,
		 (unsigned long long)frame->pc);
	begin(frame->pc, message);
	if (cause->off_stack)
		printf("the stack of cpu %u is [%#lx, %#lx), sp is %#llx\n", self->arch.number,
		       (unsigned long)self->arch.stack_low,
		       (unsigned long)self->arch.stack_low + ARCH_STACK_BYTES,
		       (unsigned long long)frame->x[2]);
	print_registers(frame);
	print_trap_backtrace(frame);
	finish(message);
}
