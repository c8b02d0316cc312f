/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu_work.c - how a cpu comes on line, and work for all cpus at once: cpus_init(), cpus_run() and
 * cpu_serve() of cpu.h.
 *
 * A cpu that waits for work masks interrupts before it looks for some: then an IPI that comes after
 * the look is still pending when it goes to sleep (hart_sleep), ends that, and is taken once they
 * are let in again.
 *
 * Hand-over of work: cpu 0 writes work and argument, then (release) work_number, then sends the IPI.
 * The cpu reads work_number (acquire), and sleeps only if it is the old one. Back: the cpu writes
 * done_number (release), cpu 0 reads it (acquire).
 */
#include <port.h>

#include "kernel/smp/cpu.h"
#include "kernel/smp/ipi.h"
#include "kernel/smp/shootdown.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "sync/trace.h"

/* This cpu takes part in flushes, and lets IPIs in. */
static void join(void)
{
	shootdown_online();
	ipi_enable();
}

void cpus_init(void)
{
	ipi_on_stop = cpu_stop_if_asked;
	ipi_on_flush = shootdown_answer;
	ipi_on_drain = frame_drain_answer;
	join();
}

/* The mailboxes of up to 64 cpus, then one IPI for all of them. */
void cpus_run(cpu_work *work, void *argument, unsigned count)
{
	uint64_t given = 0;

	cpu_check_may_wait("runs work on others");
	for (unsigned i = 1; i < count; i++) {
		struct cpu *cpu = cpu_of(i);

		cpu->work = work;
		cpu->argument = argument;
		ck_pr_fence_release();
		ck_pr_store_32(&cpu->work_number, cpu->work_number + 1);
		given |= UINT64_C(1) << i % 64;
		if (i % 64 == 63 || i + 1 == count) {
			port_ipi_send(i & ~63u, given);
			given = 0;
		}
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

	join();
	ck_pr_fence_release();
	ck_pr_store_32(&self->online, 1);
	for (;;) {
		uint64_t begun = trace_begin(); /* before the mask: under it only work is read */
		unsigned long flags = port_irq_save();
		uint32_t number = ck_pr_load_32(&self->work_number);

		if (number == self->done_number) {
			hart_sleep(self->arrival);
			trace_end(TRACE_SLEEP, begun, 0, 0);
			port_irq_restore(flags);
			continue;
		}
		port_irq_restore(flags);
		ck_pr_fence_acquire();
		self->work(self->argument);
		ck_pr_fence_release();
		ck_pr_store_32(&self->done_number, number);
	}
}
