/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_stop.c - CPUs that stop and come back on the weak-memory explorer, beside others that want
 * something of them: flushes by the firmware, which refuses a hart that has stopped; and what a CPU does
 * as it comes back.
 *
 * Covers: kernel/smp/cpu_stop.c kernel/smp/shootdown.c arch/riscv/hart.c
 */
#include <port.h>

#include <string.h>

#include "kernel/smp/cpu.h"
#include "kernel/smp/shootdown.h"
#include "mm/address.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/weak.h"

#define CPUS 3

static uint64_t returns; /* of CPU 1, which it counts before it is back; plain */

static void count_return(void)
{
	returns++;
}

static void setup(void)
{
	struct host_machine machine = {.cpus = CPUS, .capacity = 4, .batch = 2, .lock = SPIN_FAS};
	struct host_range range = {0x80200, 8, 0};

	if (host_cpus)
		host_machine_end();
	host_machine_start(&machine, &range, 1);
	harts_start(CPUS);
	cpus_init();
	shootdown_choose(SHOOTDOWN_FIRMWARE);
	cpu_on_return = count_return;
	returns = 0;
}

static void start_others(void)
{
	for (unsigned i = 1; i < CPUS; i++) {
		struct cpu *cpu = cpu_of(i);
		long error;

		cpu->done_number = cpu->work_number = 0; /* by the boot CPU, before the start */
		if (hart_start(cpu->arch.hart_id, cpu->arrival, &cpu->arch, 1 << 20, &error) !=
		    HART_START_OK)
			weak_fail("cpu %u did not come", i);
	}
}

static void stop_and_start(void)
{
	if (cpu_stop(1) != CPU_DONE)
		weak_fail("cpu 1 did not stop");
	if (cpu_start(1) != CPU_DONE)
		weak_fail("cpu 1 did not come back");
}

/* The firmware refuses a flush of a hart that has just stopped: then it is asked without that hart. */
static void flush_or_stop(void *unused)
{
	(void)unused;
	if (port_cpu() == 0)
		stop_and_start();
	else if (port_cpu() == 2)
		for (unsigned i = 0; i < 2; i++)
			shootdown(0, 2, 0, FRAME_SIZE);
}

static void flush_beside_a_stop(unsigned cpu)
{
	if (cpu) {
		harts_serve(cpu);
		return;
	}
	start_others();
	cpus_run(flush_or_stop, NULL, CPUS);
}

/* What CPU 1 has done on its way back, the CPU that starts it sees. */
static void see_the_return(unsigned cpu)
{
	if (cpu) {
		harts_serve(cpu);
		return;
	}
	start_others();
	for (uint64_t i = 1; i <= 2; i++) {
		stop_and_start();
		if (returns++ != 2 * i - 1)
			weak_fail("cpu 1 is back, and has not counted that");
	}
}

static void run(const char *name, void (*work)(unsigned cpu), uint64_t executions)
{
	struct weak_workload workload = {.name = name,
					 .cpus = CPUS,
					 .setup = setup,
					 .work = work,
					 .handler = harts_interrupted,
					 .some = executions};

	weak_explore(&workload);
	cpu_on_return = NULL;
}

TEST(cpus_stop_beside_others)
{
	run("stop-flush", flush_beside_a_stop, 1000);
	run("stop-return", see_the_return, 500);
}
