/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - the port's IPIs on the machine of weak.h, as kernel/smp/ipi.c and kernel/smp/cpu.c have
 * them: a fence, then the write to the device; the handler clears the pending bit, then a fence.
 */
#include <port.h>

#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/weak/machine.h"

/* The instant at which each CPU's IPI was sent. */
static uint64_t sent_at[WEAK_CPUS_MAX];

static void reach(uint64_t cpu)
{
	weak_interrupt((unsigned)cpu);
}

/* kernel/smp/ipi.c has the real one. */
__attribute__((weak)) void weak_ipi_send(unsigned first, uint64_t set)
{
	weak_fence(WEAK_SITE("arch_fence_memory_to_device", WEAK_RW, WEAK_O | WEAK_W));
	for (; set; set &= set - 1) {
		unsigned cpu = first + (unsigned)__builtin_ctzll(set);

		sent_at[cpu] = weak_device_out(reach, cpu, WEAK_SITE("an IPI", 0, 0));
	}
}

void machine_take_ipi(unsigned cpu)
{
	weak_device_in(sent_at[cpu]);
	weak_fence(WEAK_SITE("arch_fence_device_to_memory", WEAK_I | WEAK_R | WEAK_O, WEAK_RW));
}

/* Steps, so that what depends on it repeats. */
uint64_t weak_clock(void)
{
	static uint64_t ticks;

	return ++ticks;
}

unsigned weak_cpu_number(void)
{
	return host_self->number;
}

static uint32_t flag;

void machine_reset_flag(void)
{
	flag = 0;
}

void machine_set_flag_without_fence(void)
{
	ck_pr_store_32(&flag, 1);
}

void machine_set_flag(void)
{
	ck_pr_fence_release(); /* pairs with machine_wait_for_flag() */
	machine_set_flag_without_fence();
}

void machine_wait_for_flag(void)
{
	while (ck_pr_load_32(&flag) == 0)
		port_relax();
	ck_pr_fence_acquire(); /* pairs with machine_set_flag() */
}
