/*
 * cpu.c - see cpu.h.
 *
 * Hand-over of work: cpu 0 writes work and argument, then (release) work_number, then kicks.
 * The cpu clears its kick, then reads work_number (acquire), then sleeps only if it is the old
 * one: a kick that comes in between is pending and ends the sleep at once. Back: the cpu writes
 * done_number (release), cpu 0 reads it (acquire).
 */
#include "kernel/cpu.h"

#include <port.h>

#include "sync/ck.h"

_Static_assert(offsetof(struct cpu, arch) == 0, "tp points to both");

struct cpu *cpu_of(unsigned number)
{
	return port_area_of(number);
}

unsigned cpu_online_count(void)
{
	unsigned count = 0;

	while (count < port_cpu_count() && ck_pr_load_32(&cpu_of(count)->online))
		count++;
	return count;
}

void cpus_run(cpu_work *work, void *argument, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		struct cpu *cpu = cpu_of(i);

		cpu->work = work;
		cpu->argument = argument;
		ck_pr_fence_release();
		ck_pr_store_32(&cpu->work_number, cpu->work_number + 1);
		hart_kick(cpu->arch.hart_id);
	}
	work(argument);
	for (unsigned i = 1; i < count; i++) {
		struct cpu *cpu = cpu_of(i);

		while (ck_pr_load_32(&cpu->done_number) != cpu->work_number)
			port_relax();
	}
	ck_pr_fence_acquire();
}

void cpu_serve(void)
{
	struct cpu *self = cpu_self();

	ck_pr_fence_release();
	ck_pr_store_32(&self->online, 1);
	for (;;) {
		uint32_t number;

		hart_kick_clear();
		number = ck_pr_load_32(&self->work_number);
		if (number == self->done_number) {
			hart_wait();
			continue;
		}
		ck_pr_fence_acquire();
		self->work(self->argument);
		ck_pr_fence_release();
		ck_pr_store_32(&self->done_number, number);
	}
}
