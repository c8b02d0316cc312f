/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * panic.c - panics: prints what is broken and where each cpu is, and ends the run with a failing
 * verdict.
 *
 * `panicking` is set once, by compare-and-swap, by the first cpu that panics. That cpu alone
 * prints. The others stop in park(): they write their struct cpu's `parked_pc` and `panic_message`,
 * then `parked` with a release (pairs with the acquire in print_other). The activity is written by
 * cpu 0 at rest.
 */
#include "kernel/diag/panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/mmu.h"
#include "kernel/diag/backtrace.h"
#include "kernel/diag/lock_chain.h"
#include "kernel/diag/trace.h"
#include "kernel/diag/trap_text.h"
#include "kernel/diag/verdict.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/ipi.h"
#include "mm/address.h"
#include "mm/heap/debug.h"
#include "mm/paging/page_table.h"
#include "sync/ck.h"

static uint32_t panicking; /* number of the first cpu that panicked, plus 1; 0: none; atomic */
static const char *doing_what = "boot", *doing_which;

extern char __kernel_start[], __text_end[], __rodata_end[], __kernel_end[];

/* ---- panics that a test expects -------------------------------------------------------------- */

/* Not inlined, so that the compiler keeps nothing of it in a register across the setjmp below. */
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
		port_irq_restore(flags); /* the panic may have been in a masked section */
		return true;
	}
	expect_panic(&here);
	mistake(a, b);
	expect_panic(NULL);
	return false;
}

/* ---- what cpus are doing --------------------------------------------------------------------- */

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

/* ---- the other cpus -------------------------------------------------------------------------- */

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

/* A fifth of a second: long for a busy host, short for a user who waits for the message. */
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
		printf(", stopped at pc [<%#llx>]", (unsigned long long)cpu->parked_pc);
	}
	printf("\n");
}

/* The set of the running cpus among the 64 from `first` on, without this one. */
static uint64_t others_from(unsigned first)
{
	uint64_t set = 0;

	for (unsigned i = first; i < settings.cpus && i < first + 64; i++)
		if (i != port_cpu() && !cpu_is_stopped(i))
			set |= UINT64_C(1) << i % 64;
	return set;
}

/* Stops the other cpus by an IPI and prints for each where it was. */
static void stop_others(void)
{
	uint64_t start = hart_time();

	for (unsigned first = 0; first < settings.cpus; first += 64)
		port_ipi_send(first, others_from(first));
	/* Interrupts are masked, so this wait has a limit: other cpus may wait for this one. */
	while (!all_parked() && hart_time() - start < settings.timebase / PARKING_PART_OF_A_SECOND)
		port_relax();
	for (unsigned i = 0; i < settings.cpus; i++)
		if (i != port_cpu())
			print_other(cpu_of(i));
}

/* ---- the panic ------------------------------------------------------------------------------- */

/*
 * Returns on the first cpu that panics, which then prints. A cpu that panics after it stops here.
 * Where the first cpu panics again while it prints, only the end of the machine is left.
 */
static void begin(uint64_t pc, const char *message)
{
	struct cpu *self = cpu_self();
	uint32_t first;

	port_irq_save();
	if (!ck_pr_cas_32_value(&panicking, 0, self->arch.number + 1, &first)) {
		if (first == self->arch.number + 1)
			verdict_power_off(false);
		snprintf(self->panic_message, sizeof(self->panic_message), "%s", message);
		park(pc);
	}
	printf("\n\nPANIC on cpu %u (hart %llu), ", self->arch.number,
	       (unsigned long long)self->arch.hart_id);
	print_doing(self);
	printf(": %s\n", message);
}

/* Events of each cpu, with trace=on. */
#define EVENTS_SHOWN 6

static _Noreturn void finish(const char *message)
{
	stop_others();
	lock_chains_print();
	for (unsigned i = 0; i < settings.cpus; i++)
		trace_print_last(i, EVENTS_SHOWN);
	verdict_fail("panic on cpu %u: %s", port_cpu(), message);
	verdict_end();
}

/* The body of port_panic(). */
static void panic_called(uintptr_t site, const char *format, va_list arguments)
{
	struct cpu *self = cpu_self();
	char message[sizeof(self->panic_message)];

	vsnprintf(message, sizeof(message), format, arguments);
	if (self->panic_return && !port_in_trap()) { /* a panic in a handler is not expected */
		snprintf(self->panic_message, sizeof(self->panic_message), "%s", message);
		longjmp(*self->panic_return, 1);
	}
	begin(site, message);
	backtrace_print((uintptr_t)__builtin_frame_address(0), site);
	finish(message);
}

/* This hart has no cpu block, so it neither prints one nor stops other cpus. */
void panic_without_stack(const char *message)
{
	printf("\n\nPANIC: %s\n", message);
	verdict_fail("%s", message);
	verdict_end();
}

/* Writes to `text` what part of memory the trap's address is in; "": unknown. */
static void describe(char *text, size_t bytes, uint64_t address)
{
	const char *part = NULL;

	text[0] = '\0';
	if (kheap_debug_describe(address, text, bytes))
		return;
	for (unsigned i = 0; i < port_cpu_count(); i++) {
		if (cpu_of(i)->arch.stack_low - address - 1 < ARCH_GUARD_BYTES) {
			snprintf(text, bytes, "the address is in the guard page of cpu %u's stack",
				 i);
			return;
		}
	}
	if (address < FRAME_SIZE)
		part = "the null page";
	else if (address - (uintptr_t)__kernel_start < (uintptr_t)(__text_end - __kernel_start))
		part = "the kernel's text";
	else if (address - (uintptr_t)__text_end < (uintptr_t)(__rodata_end - __text_end))
		part = "the kernel's read-only data";
	else if (address - (uintptr_t)__rodata_end < (uintptr_t)(__kernel_end - __rodata_end))
		part = "the kernel's data";
	if (part)
		snprintf(text, bytes, "the address is in %s", part);
}

/* satp: the mode, 8 for Sv39 with three levels and 9 for Sv48 with four; the ASID; the root's frame. */
#define SATP_MODE_SHIFT	       60
#define SATP_MODE_OF_NO_LEVELS 5
#define SATP_ROOT	       ((UINT64_C(1) << 44) - 1)

/* In the page tables that this hart uses, whoever made them. */
static void look_up(uint64_t address, struct trap_context *context)
{
	uint64_t satp = mmu_used();
	struct page_table table = {
		.root = pfn(satp & SATP_ROOT),
		.levels = (unsigned)(satp >> SATP_MODE_SHIFT) - SATP_MODE_OF_NO_LEVELS,
	};
	struct page_leaf leaf;

	if (satp == MMU_OFF)
		return;
	context->mapping = TRAP_NOT_MAPPED;
	if (!page_table_translate(&table, virt(address), &leaf))
		return;
	context->mapping = TRAP_MAPPED;
	context->readable = leaf.flags & PAGE_READ;
	context->writable = leaf.flags & PAGE_WRITE;
	context->executable = leaf.flags & PAGE_EXECUTE;
}

/* At `pc`, where this is the kernel's text: 2 or 4 bytes. */
static uint64_t instruction_at(uint64_t pc)
{
	const uint16_t *halves = (const uint16_t *)pc;

	if (pc - (uintptr_t)__kernel_start >= (uintptr_t)(__text_end - __kernel_start) - 4)
		return 0;
	return (halves[0] & 3) == 3 ? halves[0] | (uint64_t)halves[1] << 16 : halves[0];
}

/* Room for what a trap saves is missing at sp, which has not left the stack and its guard page. */
static bool stack_is_full(const struct cpu *cpu, uint64_t sp)
{
	return sp - (cpu->arch.stack_low - ARCH_GUARD_BYTES) <
	       ARCH_GUARD_BYTES + sizeof(struct trap_frame);
}

void panic_exception(const struct trap_frame *frame, const struct trap_cause *cause)
{
	struct cpu *self = cpu_self();
	struct trap_context context = {
		.instruction = instruction_at(frame->pc),
		.stack_is_full = stack_is_full(self, frame->x[2]),
	};
	char message[sizeof(self->panic_message)], what[240], where[240] = "";

	if (cause->has_address) {
		look_up(cause->address, &context);
		describe(where, sizeof(where), cause->address);
	}
	trap_text(what, sizeof(what), cause, &context);
	snprintf(message, sizeof(message), "%s, at pc [<%#llx>]%s%s", what,
		 (unsigned long long)frame->pc, where[0] ? "; " : "", where);
	begin(frame->pc, message);
	if (cause->off_stack)
		printf("the stack of cpu %u is [%#lx, %#lx), sp is %#llx\n", self->arch.number,
		       (unsigned long)self->arch.stack_low,
		       (unsigned long)self->arch.stack_low + ARCH_STACK_BYTES,
		       (unsigned long long)frame->x[2]);
	backtrace_print_registers(frame);
	backtrace_print_trap(frame);
	finish(message);
}

void panic_init(void)
{
	port_on_panic = panic_called;
	trap_on_exception = panic_exception;
	trap_on_fatal = panic_without_stack;
	ipi_on_panic = panic_park;
}
