/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.c - the cpus by their numbers. Stops and starts are in cpu_stop.c, work for all cpus is in
 * cpu_work.c, and what an IPI does is in ipi.c; this file needs none of them.
 *
 * Waits with interrupts masked. A cpu that waits for another one while it lets no interrupt in
 * keeps every IPI waiting, and two such cpus may wait for each other. So the waits of cpu_stop.c,
 * cpu_work.c, shootdown.c and space.c are for callers that let interrupts in, and the functions that
 * wait check it (cpu_check_may_wait): cpus_run, cpu_stop, cpu_start (whose wait in hart_start lies in
 * the stopper's turn), shootdown. The masked waits that are left end for these reasons:
 *
 *	a lock		that is taken with interrupts masked is held by a cpu that waits for nothing
 *	frame_drained_one	may be called masked or in a handler; it answers drains while it
 *			waits, and waits for answers of drains only, which every other wait lets in
 *	run=explore	its handler that sleeps takes IPIs itself (ipi_handle), or sleeps until it gets
 *			its turn: a cpu that waits loses its own (tests/smp/directed.c)
 *	a panic		waits for a bounded time
 *	a sleeping cpu	wakes up for each IPI
 */
#include "kernel/smp/cpu.h"

#include <port.h>

#include "mm/check.h"
#include "sync/ck.h"

_Static_assert(offsetof(struct cpu, arch) == 0, "tp points into both");

struct cpu *cpu_of(unsigned number)
{
	return (struct cpu *)((char *)port_area_of(number) - ARCH_CPU_AREA_AT);
}

unsigned cpu_online_count(void)
{
	unsigned count = 0;

	while (count < port_cpu_count() && ck_pr_load_32(&cpu_of(count)->online))
		count++;
	return count;
}

void cpu_check_may_wait(const char *doing)
{
	check(!port_in_trap(), "cpu %u %s in a trap handler", port_cpu(), doing);
	check(!hart_irqs_are_masked(), "cpu %u %s with its interrupts masked", port_cpu(), doing);
}
