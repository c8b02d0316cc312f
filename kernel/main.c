/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the order of boot, on the hart that the firmware chose.
 *
 * Console, device tree, boot arguments (a bad word ends the run here), early memory, zones, caches,
 * heap, the other harts, and then the programs that the arguments ask for. Every step that can fail
 * says what failed and ends the run with a failing verdict. docs/harts.md, "Boot", says why each
 * step comes where it does.
 */
#include <stdint.h>
#include <stdio.h>

#include <port.h>

#include "arch/riscv/trap.h"
#include "kernel/boot/arguments.h"
#include "kernel/boot/caches.h"
#include "kernel/boot/configure.h"
#include "kernel/boot/early.h"
#include "kernel/boot/faults.h"
#include "kernel/boot/memory.h"
#include "kernel/boot/nodes.h"
#include "kernel/boot/tree.h"
#include "kernel/boot/boot_report.h"
#include "kernel/diag/clock.h"
#include "kernel/diag/console.h"
#include "kernel/diag/frame_owners.h"
#include "kernel/diag/heap_leaks.h"
#include "kernel/diag/lock_watch.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/trace.h"
#include "kernel/program.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/boot/start.h"
#include "kernel/vm/kernel_space.h"
#include "mm/global/policies.h"

extern char __kernel_start[], __kernel_end[];

/* Early memory, if the kernel can stay in the place that it is in. */
static void open_early_memory(void)
{
	bool pages = settings.arguments.paging == BOOTARGS_PAGING_ON;
	struct devicetree_error error;
	char wrong[160];

	if (!early_init(settings.tree, (uintptr_t)__kernel_start, (uintptr_t)__kernel_end, &error))
		tree_refuse(&error);
	if (!early_kernel_can_stay(pages, wrong, sizeof(wrong))) {
		verdict_fail("%s", wrong);
		verdict_end();
	}
}

static void collect_memory(void)
{
	struct devicetree_error error;

	if (!memory_collect(settings.tree, &error))
		tree_refuse(&error);
}

static void choose_page_tables(void)
{
	char wrong[96];

	if (settings.arguments.paging != BOOTARGS_PAGING_ON ||
	    kernel_space_choose(settings.tree, wrong, sizeof(wrong)))
		return;
	verdict_fail("paging: %s", wrong);
	verdict_end();
}

/* From the firmware's tree to settings.arguments, and the tree next to the kernel. */
static void read_tree(const void *blob)
{
	tree_open(blob);
	arguments_read();
	open_early_memory();
	tree_move();
	tree_check_distances();
	tree_read_timebase();
}

/* Blocks for all cpus, and what depends on how many there are. */
static void make_cpus(void)
{
	start_make_cpus(arguments_choose_cpus(start_count_harts()));
	arguments_choose_lock();
	wait_matrix_configure(settings.arguments.lockstat != BOOTARGS_LOCKSTAT_OFF);
	arguments_choose_flush();
}

/* All early memory is taken here, and then ends: zones, caches and heap are of what is left. */
static void make_memory(void)
{
	collect_memory();
	configure_reserve();
	choose_page_tables();
	caches_reserve(arguments_choose_caches());
	nodes_reserve();
	trace_reserve();
	lock_watch_reserve();
	program_memory_reserve(port_cpu_count(), programs_memory_bytes());
	configure_first(policies[settings.arguments.policy],
			(enum spin_kind)settings.arguments.lock);
	caches_start();
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
}

/* A program that owns the timers has to have them before a second hart runs. */
static void run_harts(void)
{
	cpus_init();
	programs_prepare();
	start_harts();
	configure_cpus();
	if (settings.arguments.paging == BOOTARGS_PAGING_ON)
		kernel_space_on();
	clock_measure();
}

void kernel_main(uint64_t hart_id, const void *blob)
{
	(void)hart_id;
	panic_init();
	console_init();
	printf("\n");
	read_tree(blob);
	clock_measure_counter();
	clock_choose();
	make_cpus();
	make_memory();
	run_harts();
	boot_report_print();
	boot_report_record();
	faults_begin();
	programs_run();
	faults_end();
	frame_report_owners();
	frame_record_owners();
	heap_leaks();
	trace_write();
	verdict_end();
}
