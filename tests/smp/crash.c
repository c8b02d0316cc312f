/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crash.c - crash=: one forbidden thing, done on purpose, to see that the machine ends as it
 * should.
 *
 * The last cpu does it while the others are busy; for a deadlock and a long wait for a lock the cpu
 * before it has a part, too, and stuck= says after what time that is noticed. The run does not come back
 * from it where it is noticed; where it is not, the run fails.
 */
#include <string.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "arch/riscv/trap.h"
#include "kernel/diag/lock_watch.h"
#include "kernel/diag/panic.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"

extern char __kernel_start[], __text_end[];

/* The compiler must not know where this points. */
static uintptr_t hidden(uintptr_t address)
{
	__asm__("" : "+r"(address));
	return address;
}

/* These two are inlined, so that a backtrace has such functions. */
static inline __attribute__((always_inline)) void store(uintptr_t address)
{
	*(volatile uint64_t *)address = 0;
}

static inline __attribute__((always_inline)) void jump(uintptr_t address)
{
	((void (*)(void))hidden(address))();
}

static __attribute__((noinline)) void read_null(void)
{
	(void)*(volatile uint64_t *)hidden(8);
}

static void read_null_in_handler(struct trap_frame *trap)
{
	(void)trap;
	read_null();
}

/* What the interrupt has interrupted is in the backtrace, too. */
static void wait_for_handler(void)
{
	trap_on_timer = read_null_in_handler;
	hart_timer_arm(0);
	csr_set(sie, SIE_TIMER);
	__asm__ volatile("j .");
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

/* What is called here has no stack frame. */
static void fill_null(void)
{
	memset((void *)hidden(16), 1, hidden(16));
	__asm__ volatile("" ::: "memory"); /* not by a jump */
}

static void do_nothing_legal(void)
{
	__asm__ volatile("unimp");
}

/* Less than a page at a time, so that it cannot step over a guard page. Its end is never reached. */
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

/* ---- frames ------------------------------------------------------------------------------ */

/* Without framedebug=poison it is not noticed. */
static __attribute__((noinline)) void write_after_free(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);
	uint64_t *words = frame_bytes(frame);

	frame_free(frame);
	((volatile uint64_t *)words)[3] = 0x1234;
	while (!pfn_is_none(frame_alloc(FRAME_ANY)))
		;
}

static __attribute__((noinline)) void free_twice(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	frame_free(frame);
	frame_free(frame); /* again */
	__asm__ volatile("" ::: "memory");
}

/* No mistake that a cpu can notice: the report at the end of the run shows it. */
static __attribute__((noinline)) void leak_frames(void)
{
	for (unsigned i = 0; i < 5; i++)
		(void)*(volatile uint64_t *)frame_bytes(frame_alloc(FRAME_ZERO));
	(void)*(volatile uint64_t *)frame_bytes(frame_alloc_run(16, 16));
}

/* ---- blocks of the heap: heapdebug= finds these ---------------------------------------------- */

static __attribute__((noinline)) char *allocate_block(void)
{
	char *block = kmalloc(64);

	__asm__ volatile(
		""
		: "+r"(block)); /* not by a jump, and the compiler must not know the block */
	return block;
}

static __attribute__((noinline)) void free_block(char *block)
{
	kfree(block);
	__asm__ volatile("" ::: "memory");
}

static void write_behind_block(void)
{
	char *block = allocate_block();

	((volatile char *)block)[64] = 1;
	free_block(block);
}

static void write_freed_block(void)
{
	char *block = allocate_block();

	free_block(block);
	((volatile char *)block)[7] = 1;
}

static void free_block_twice(void)
{
	char *block = allocate_block();

	free_block(block);
	free_block(block); /* again */
}

static void free_frame_as_block(void)
{
	kfree(frame_bytes(frame_alloc(FRAME_ANY)));
}

/* No panic comes of this one. */
static void lose_blocks(void)
{
	for (unsigned i = 0; i < 3; i++)
		allocate_block();
}

/* ---- deadlocks --------------------------------------------------------------------------- */

/* The cpus that hold their first lock; atomic. */
static uint32_t holding;

static void wait_for_both(void)
{
	ck_pr_inc_32(&holding);
	while (ck_pr_load_32(&holding) < 2)
		port_relax();
}

/* The last cpu acquires in this order, the cpu before it in the other. */
static __attribute__((noinline)) void lock_heap_then_zone(void)
{
	struct spin_node heap, zone;

	port_irq_save();
	spin_lock(kheap_lock(), &heap);
	wait_for_both();
	spin_lock(&zones.zone[0].lock, &zone);
	__asm__ volatile("" ::: "memory"); /* not by a jump */
}

static __attribute__((noinline)) void lock_zone_then_heap(void)
{
	struct spin_node heap, zone;

	port_irq_save();
	spin_lock(&zones.zone[0].lock, &zone);
	wait_for_both();
	spin_lock(kheap_lock(), &heap);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void lock_heap_twice(void)
{
	struct spin_node first, second;

	port_irq_save();
	spin_lock(kheap_lock(), &first);
	spin_lock(kheap_lock(), &second);
	__asm__ volatile("" ::: "memory");
}

/* No mistake: the last cpu holds the lock until the cpu before it has printed that it waits. */
static __attribute__((noinline)) void hold_heap_long(void)
{
	unsigned long flags = port_irq_save();
	struct spin_node node;

	spin_lock(kheap_lock(), &node);
	ck_pr_inc_32(&holding);
	while (!lock_watch_reports())
		port_relax();
	spin_unlock(kheap_lock(), &node);
	port_irq_restore(flags);
}

static __attribute__((noinline)) void wait_for_heap(void)
{
	unsigned long flags = port_irq_save();
	struct spin_node node;

	while (!ck_pr_load_32(&holding))
		port_relax();
	spin_lock(kheap_lock(), &node);
	spin_unlock(kheap_lock(), &node);
	port_irq_restore(flags);
}

static void do_nothing_wrong(void)
{
}

#define KINDS(entry)                                                                               \
	entry("none", do_nothing_wrong) entry("null-read", read_null) entry(                       \
		"null-jump", jump_to_null) entry("text-store", store_to_text)                      \
		entry("rodata-store", store_to_rodata) entry("data-jump", jump_to_data) entry(     \
			"frame-jump",                                                              \
			jump_to_frame) entry("leaf", fill_null) entry("handler", wait_for_handler) \
			entry("illegal", do_nothing_legal) entry("stack", fill_stack) entry(       \
				"no-stack", lose_stacks) entry("deadlock", lock_heap_then_zone)    \
				entry("self-deadlock", lock_heap_twice) entry("long-hold",         \
									      hold_heap_long)      \
					entry("frame-store", write_after_free) entry(              \
						"frame-twice", free_twice) entry("frame-leak",     \
										 leak_frames)      \
						entry("heap-behind", write_behind_block) entry(    \
							"heap-freed",                              \
							write_freed_block) entry("heap-twice",     \
										 free_block_twice) \
							entry("heap-frame", free_frame_as_block)   \
								entry("heap-leak", lose_blocks)

#define NAME(name, function)	 name,
#define FUNCTION(name, function) function,

static const char *const names[] = {KINDS(NAME)};
static void (*const kinds[])(void) = {KINDS(FUNCTION)};
static const unsigned count = sizeof(names) / sizeof(names[0]);

ARGUMENT_VALUES(crash, names, count);

/* Written by the last cpu, read by the others; orders nothing. */
static uint32_t survived;

/* The part of the cpu before the last one, where two cpus are needed. */
static void do_other_part(void (*kind)(void))
{
	if (kind == lock_heap_then_zone)
		lock_zone_then_heap();
	else if (kind == hold_heap_long)
		wait_for_heap();
}

static void crash_last(void *number)
{
	void (*kind)(void) = kinds[(uintptr_t)number];

	if (port_cpu() == settings.cpus - 1) {
		kind();
		ck_pr_store_32(&survived, 1);
	} else if (port_cpu() + 2 == settings.cpus) {
		do_other_part(kind);
	}
	while (!ck_pr_load_32(&survived))
		port_relax();
}

static void crash_run(void)
{
	cpus_run(crash_last, (void *)(uintptr_t)settings.arguments.crash, settings.cpus);
	verdict_fail("crash: no panic came of it");
}

static bool is_wanted(bool is_named)
{
	(void)is_named;
	return settings.arguments.crash != 0;
}

/* Before all others. */
static const struct program crash = {
	.name = "crash",
	.is_unnamed = true,
	.is_wanted = is_wanted,
	.run = crash_run,
};
PROGRAM(10, crash);
