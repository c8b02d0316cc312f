/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.c - run=stress: the chosen workloads, each with the caches and without, and the report.
 *
 * Each workload runs twice in the same boot: as configured, and as the baseline with cache=0,
 * where every frame takes the zone's lock. Operations per second of the two, and their ratio,
 * are of one machine in one state, so the ratio means something on any host. After each run, at
 * rest, leaks are looked for: every frame is back, and every structure checks itself.
 */
#include <stdio.h>

#include "arch/riscv/csr.h"
#include "kernel/boot/bootargs.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/diag/contention.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/progress.h"
#include "kernel/program.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "tests/smp/bench_paging.h"
#include "tests/smp/leak_check.h"
#include "tests/smp/workloads/churn.h"
#include "tests/smp/report.h"
#include "tests/smp/trace_check.h"
#include "tests/smp/workloads/workload.h"

/* The baseline is tens of times slower; its rate is as good from a sixteenth of the work. */
#define BASELINE_SHARE 16

static void set_caches(void *capacity)
{
	uint32_t frames = (uint32_t)(uintptr_t)capacity;

	frame_cache_configure(frames, frames ? (uint32_t)settings.arguments.batch_frames : 0);
}

static uint64_t ops_for(const struct workload *workload, bool baseline)
{
	uint64_t ops = settings.arguments.ops ? settings.arguments.ops : workload->ops;

	if (!baseline)
		return ops;
	return ops > BASELINE_SHARE ? ops / BASELINE_SHARE : 1;
}

static bool run_once(const struct workload *workload, bool baseline, struct result *result)
{
	size_t mark = program_memory_mark();
	struct workload_run run = {.workload = workload,
				   .cpus = settings.cpus,
				   .ops = ops_for(workload, baseline),
				   .seed = settings.arguments.seed};
	uint64_t free_before;
	bool ran;

	run.cpu = program_memory_need(settings.cpus * sizeof(*run.cpu), "the cpus' results");
	cpus_run(set_caches, baseline ? NULL : (void *)(uintptr_t)settings.arguments.cache_frames,
		 settings.cpus);
	free_before = leak_check_begin();
	statistics_reset();
	trace_check_begin(workload->name, baseline);
	ran = workload_execute(&run);
	result_collect(result, &run);
	trace_check_end(workload->name, result);
	if (ran && !baseline)
		report_add(&run);
	if (!ran)
		verdict_fail("%s: not enough memory to set it up", workload->name);
	ran = leak_check_end(workload->name, free_before) && ran;
	program_memory_release(mark);
	return ran;
}

static bool run_workload(const struct workload *workload)
{
	struct result cached, baseline;
	bool passed;

	if (!workload_is_supported(workload, zones.zone[0].policy)) {
		printf("  %-12s not supported by %s\n", workload->name, zones.zone[0].policy->name);
		return true;
	}
	if (workload->needs_paging && !kernel_space_table()) {
		printf("  %-12s not supported: paging is off\n", workload->name);
		return true;
	}
	passed = run_once(workload, false, &cached) && run_once(workload, true, &baseline);
	contention_look();
	if (passed)
		report_workload_end(workload, &cached, &baseline);
	return passed;
}

static unsigned workloads_chosen(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < workload_count; i++)
		count += bootargs_set_has(settings.arguments.workload, i);
	return count;
}

static void tell_progress(const struct workload *workload, unsigned done)
{
	char what[80];

	snprintf(what, sizeof(what), "%s: %s", workload->name, workload->what);
	progress_record("stress", what, done, workloads_chosen());
}

static void stress_run(void)
{
	unsigned done = 0;

	contention_look();
	report_begin();
	for (unsigned i = 0; i < workload_count; i++) {
		bool passed;

		if (!bootargs_set_has(settings.arguments.workload, i))
			continue;
		tell_progress(&workloads[i], done++);
		passed = run_workload(&workloads[i]);
		verdict_count_test(passed);
	}
	cpus_run(set_caches, (void *)(uintptr_t)settings.arguments.cache_frames, settings.cpus);
	report_end();
	churn_report();
	/* All that this hart has executed, the firmware's included, up to here. */
	if (settings.counts_exactly)
		bench_report("instructions_to_the_end", csr_read(instret) * 100, "instructions",
			     settings.cpus, true);
}

static const struct program stress = {
	.name = "stress",
	.help = "each workload with caches and without, and what the locks cost",
	.is_default = true,
	.run = stress_run,
};
PROGRAM(30, stress);

/* Of all programs that run workloads, not of this one alone. */
ARGUMENT_VALUES_BESIDES(workload, workload_names, workload_count, WORKLOADS_BESIDES);
