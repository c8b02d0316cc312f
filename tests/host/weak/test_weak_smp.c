/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_smp.c - starts, stops, work and flushes of CPUs on the weak-memory explorer. The kernel's
 * files are unchanged, down to the registers and the firmware's calls (harts.h).
 *
 * Data is handed over by plain accesses: where no fence orders them they are a race.
 *
 * Covers: kernel/smp/cpu_stop.c kernel/smp/cpu_work.c kernel/smp/ipi.c kernel/smp/shootdown.c
 *	arch/riscv/hart.c arch/riscv/mmu.c
 */
#include <port.h>

#include <string.h>

#include "kernel/smp/cpu.h"
#include "kernel/smp/shootdown.h"
#include "mm/percpu/cache.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/weak.h"

#define CPUS 3

static uint64_t input, output[WEAK_CPUS_MAX];

static void setup(void)
{
	struct host_machine machine = {.cpus = CPUS, .capacity = 4, .batch = 2, .lock = SPIN_FAS};
	struct host_range range = {0x80200, 8, 0};

	if (host_cpus)
		host_machine_end();
	host_machine_start(&machine, &range, 1);
	harts_start(CPUS);
	cpus_init();
	input = 0;
	memset(output, 0, sizeof(output));
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

static void double_input(void *argument)
{
	output[port_cpu()] = 2 * *(uint64_t *)argument;
}

static void run_doubling(uint64_t value)
{
	input = value;
	cpus_run(double_input, &input, CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		if (output[cpu] != 2 * value)
			weak_fail("cpu %u has done other work", cpu);
}

/* ---- starts, and work ------------------------------------------------------------------------ */

static void hand_out_work(unsigned cpu)
{
	if (cpu) {
		harts_serve(cpu);
		return;
	}
	start_others();
	run_doubling(1);
	run_doubling(2);
}

/* ---- stops ----------------------------------------------------------------------------------- */

/* CPU 1 stops in the middle of serving, comes back, and works again. */
static void stop_one(unsigned cpu)
{
	if (cpu) {
		harts_serve(cpu);
		return;
	}
	start_others();
	run_doubling(1);
	if (cpu_stop(1) != CPU_DONE)
		weak_fail("cpu 1 did not stop");
	output[1] = 0; /* what it has written before is before */
	if (cpu_start(1) != CPU_DONE)
		weak_fail("cpu 1 did not come back");
	run_doubling(2);
}

/* ---- two that stop the same CPU -------------------------------------------------------------- */

static uint64_t shared; /* of CPU 1, and while it is stopped of who has stopped it */

static void stop_or_be_stopped(void *unused)
{
	(void)unused;
	if (port_cpu() == 1) {
		for (unsigned i = 0; i < 4; i++) {
			port_relax();
			shared++;
		}
	} else if (cpu_stop(1) == CPU_DONE) {
		shared += 100;
		if (cpu_start(1) != CPU_DONE)
			weak_fail("cpu 1 did not come back");
	}
}

static void two_stop_one(unsigned cpu)
{
	if (cpu) {
		harts_serve(cpu);
		return;
	}
	start_others();
	shared = 0;
	cpus_run(stop_or_be_stopped, NULL, CPUS);
	if (shared % 100 != 4)
		weak_fail("cpu 1 has counted to %llu", (unsigned long long)shared);
}

TEST(cpus_work_stop_and_start)
{
	static const struct {
		const char *name;
		void (*work)(unsigned cpu);
	} tests[] = {
		{"smp-work", hand_out_work}, {"smp-stop", stop_one}, {"smp-stops", two_stop_one}};

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct weak_workload workload = {.name = tests[i].name,
						 .cpus = CPUS,
						 .setup = setup,
						 .work = tests[i].work,
						 .handler = harts_interrupted,
						 .some = 1000};

		weak_explore(&workload);
	}
}
