/* SPDX-License-Identifier: BSD-2-Clause */
/* space_machine.c - see space_machine.h. */
#include "tests/host/weak/space_machine.h"

#include <port.h>

#include <stdlib.h>

#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/ipi.h"
#include "kernel/vm/heap_guard.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/vm/space.h"
#include "mm/heap/kheap.h"
#include "tests/host/support/host.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/weak.h"

static void *lock_memory;

/* ---- the rest of the kernel ------------------------------------------------------------------ */

void cpus_run(cpu_work *work, void *argument, unsigned count)
{
	for (unsigned cpu = 0; cpu < count; cpu++) {
		host_self = &host_cpus[cpu];
		work(argument);
	}
	host_self = &host_cpus[0];
}

_Noreturn void cpu_serve(void)
{
	weak_fail("no CPU serves here");
}

unsigned kernel_space_levels(void)
{
	return SV39_LEVELS;
}

uint64_t kernel_space_satp(void)
{
	return HARTS_KERNEL_SATP;
}

enum page_status kernel_space_map_into(struct page_table *table)
{
	(void)table;
	return PAGE_OK;
}

void heap_guard_share(struct page_table *table)
{
	(void)table;
}

void heap_guard_unshare(struct page_table *table)
{
	(void)table;
}

bool heap_guard_fault_is_stale(void)
{
	return false;
}

/* ---- the machine ----------------------------------------------------------------------------- */

void space_machine_end(void)
{
	if (host_cpus)
		host_machine_end();
	free(lock_memory);
	lock_memory = NULL;
}

void space_machine_start(unsigned cpus, enum shootdown_way way)
{
	struct host_machine machine = {.cpus = cpus, .lock = SPIN_FAS};
	struct host_range range = {0x80200, 64, 0};

	space_machine_end();
	host_machine_start(&machine, &range, 1);
	lock_memory = aligned_alloc(64, spin_bytes(cpus));
	kheap_init(SPIN_FAS, lock_memory);
	shootdown_choose(way);
	harts_start_all(cpus);
	ipi_on_flush = shootdown_answer;
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		host_self = &host_cpus[cpu];
		shootdown_online();
		ipi_enable();
	}
	host_self = &host_cpus[0];
	machine_reset_flag();
	if (!spaces_open())
		weak_fail("no spaces");
}
