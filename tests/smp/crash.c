/* SPDX-License-Identifier: BSD-2-Clause */
/* crash.c - see crash.h. */
#include "tests/smp/crash.h"

#include "kernel/boot/bootargs.h"
#include "kernel/smp/cpu.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "sync/ck.h"

extern char __kernel_start[], __text_end[];

/* The compiler must not know where this points. */
static uintptr_t hidden(uintptr_t address)
{
	__asm__("" : "+r"(address));
	return address;
}

static void store(uintptr_t address)
{
	*(volatile uint64_t *)address = 0;
}

static void jump(uintptr_t address)
{
	((void (*)(void))hidden(address))();
}

static void read_null(void)
{
	(void)*(volatile uint64_t *)hidden(8);
}

static void jump_to_null(void)
{
	jump(0);
}

static void store_to_text(void)
{
	store((uintptr_t)__kernel_start + 64);
}

static void store_to_rodata(void)
{
	store((uintptr_t)__text_end + 64);
}

static uint64_t data[2] = {0x8082, 0}; /* `ret`, where data could be run */

static void jump_to_data(void)
{
	jump((uintptr_t)data);
}

static void jump_to_frame(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	*(uint64_t *)frame_bytes(frame) = data[0];
	__asm__ volatile("fence.i" ::: "memory");
	jump((uintptr_t)frame_bytes(frame));
}

static void do_nothing_legal(void)
{
	__asm__ volatile(".word 0");
}

/* Less than a page at a time, so that it cannot step over a guard page. Ends for no one to see. */
static __attribute__((noinline)) uint64_t recurse(uint64_t depth)
{
	volatile char part[1024];

	part[0] = (char)depth;
	return depth == UINT64_MAX ? 0 : recurse(depth + 1) + (uint64_t)part[0];
}

static void fill_stack(void)
{
	recurse(0);
}

/* Both of the cpu's stacks are in the null page now, and the next instruction traps. */
static void lose_stacks(void)
{
	cpu_self()->arch.emergency_top = 2048;
	__asm__ volatile("li sp, 1024\n\tebreak");
}

static void (*const kinds[])(void) = {
	[BOOTARGS_CRASH_NULL_READ] = read_null,
	[BOOTARGS_CRASH_NULL_JUMP] = jump_to_null,
	[BOOTARGS_CRASH_TEXT_STORE] = store_to_text,
	[BOOTARGS_CRASH_RODATA_STORE] = store_to_rodata,
	[BOOTARGS_CRASH_DATA_JUMP] = jump_to_data,
	[BOOTARGS_CRASH_FRAME_JUMP] = jump_to_frame,
	[BOOTARGS_CRASH_ILLEGAL] = do_nothing_legal,
	[BOOTARGS_CRASH_STACK] = fill_stack,
	[BOOTARGS_CRASH_NO_STACK] = lose_stacks,
};

/* Written by the last cpu, read by the others; orders nothing. */
static uint32_t survived;

static void crash_last(void *kind)
{
	if (port_cpu() == settings.cpus - 1) {
		kinds[(uintptr_t)kind]();
		ck_pr_store_32(&survived, 1);
	}
	while (!ck_pr_load_32(&survived))
		port_relax();
}

void crash_run(uint64_t kind)
{
	cpus_run(crash_last, (void *)(uintptr_t)kind, settings.cpus);
	verdict_fail("crash: nobody noticed");
}
