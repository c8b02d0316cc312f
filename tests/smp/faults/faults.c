/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.c - run=faults: every allocation of the kernel fails once.
 *
 * Each part (faults_parts.c) runs with N = 1, 2, 3, ... while its N-th allocation fails, until a run
 * of it has fewer than N. Then it runs while each allocation fails with some probability, by seeds.
 * After every run all memory must be back and all structures whole. All caches are off meanwhile, as
 * fault.h asks.
 *
 * It also notes from where allocations were called that failed: the call itself, and the calls below
 * it on the stack. tools/check/fault_sites.py compares them with the calls in the kernel's code.
 */
#include <stdint.h>
#include <stdio.h>

#include "kernel/boot/configure.h"
#include "kernel/diag/backtrace.h"
#include "kernel/diag/progress.h"
#include "kernel/diag/record.h"
#include "kernel/diag/verdict.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "kernel/vm/kernel_space.h"
#include "mm/check.h"
#include "mm/fault.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/smp/faults/faults_parts.h"

#define SITES_MAX   512 /* calls on the stacks of allocations that failed */
#define SITES_BELOW 6
#define SEEDS	    32

/* ---- where it failed --------------------------------------------------------------------- */

/* Written by the cpus on which allocations fail: atomic. `address` is written once. */
static struct {
	uint64_t address;
	uint64_t failed; /* allocations that were called from here directly */
} sites[SITES_MAX];

static unsigned add_site(uint64_t address)
{
	unsigned i = 0;

	while (i < SITES_MAX && ck_pr_load_64(&sites[i].address) != address &&
	       !ck_pr_cas_64(&sites[i].address, 0, address))
		i++;
	check(i < SITES_MAX, "faults: more than %d calls on the stacks of allocations", SITES_MAX);
	return i;
}

static void observe(enum fault_kind kind, const void *site, bool fails)
{
	uintptr_t below[SITES_BELOW];
	unsigned depth;

	(void)kind;
	if (!fails)
		return;
	ck_pr_inc_64(&sites[add_site((uintptr_t)site)].failed);
	depth = backtrace_take((uintptr_t)__builtin_frame_address(0), below, SITES_BELOW);
	for (unsigned i = 0; i < depth; i++)
		add_site(below[i]);
}

static void report_sites(void)
{
	static uint64_t addresses[SITES_MAX];
	unsigned count = 0, direct = 0;

	printf("\nfaults: where allocations that failed were called\n");
	for (; count < SITES_MAX && sites[count].address; count++) {
		addresses[count] = sites[count].address;
		if (!sites[count].failed)
			continue;
		direct++;
		printf("  %6llu at [<%#llx>]\n", (unsigned long long)sites[count].failed,
		       (unsigned long long)sites[count].address);
	}
	printf("faults: %u places\n", direct);
	record_begin("fault_sites");
	record_number("places", direct);
	record_numbers("addresses", addresses, count);
	record_end();
}

/* ---- one run of a part ------------------------------------------------------------------- */

static uint64_t free_at_rest(void)
{
	kheap_trim();
	frame_drain_settle();
	return frame_free_count();
}

/* NULL, or what is not as it was before. */
static const char *look_for_leaks(uint64_t free_before)
{
	struct kheap_stats stats;

	kheap_validate();
	if (free_at_rest() != free_before)
		return "frames are missing, or more than before are free";
	frame_validate();
	kheap_validate();
	kheap_stats(&stats);
	if (stats.frames_held || stats.live_blocks || stats.allocated_bytes)
		return "the heap holds memory";
	return NULL;
}

/* Whether a run that is free is found: else large blocks may fail with memory left. */
static bool finds_runs(void)
{
	return zones.zone[0].policy->exact_runs && zones.zone[0].policy->aligns_runs;
}

static const char *run_with(const struct faults_part *part, const struct fault_plan *plan,
			    struct fault_counts *counts)
{
	uint64_t free_before = free_at_rest();
	const char *wrong, *leak;

	ck_pr_store_64(&faults_operations_failed, 0);
	fault_start(plan);
	wrong = part->run();
	*counts = fault_stop();
	leak = look_for_leaks(free_before);
	if (!wrong && !counts->failed && finds_runs() && ck_pr_load_64(&faults_operations_failed))
		wrong = "an operation failed although no allocation was made to";
	return wrong ? wrong : leak;
}

/* ---- all runs of a part ------------------------------------------------------------------ */

static bool is_wrong(const struct faults_part *part, const struct fault_plan *plan,
		     const char *wrong)
{
	if (wrong)
		verdict_fail("faults: %s: %s, with nth %llu, rate 1/%llu, seed %llu", part->name,
			     wrong, (unsigned long long)plan->nth, (unsigned long long)plan->rate,
			     (unsigned long long)plan->seed);
	return wrong != NULL;
}

/* *allocations: of a run of which none fails. False: something was wrong. */
static bool fail_each(const struct faults_part *part, uint64_t *allocations)
{
	struct fault_counts counts;

	for (uint64_t n = 1;; n++) {
		struct fault_plan plan = {.nth = n};

		if (is_wrong(part, &plan, run_with(part, &plan, &counts)))
			return false;
		*allocations = counts.seen;
		if (!counts.failed)
			return true;
	}
}

static bool fail_many(const struct faults_part *part)
{
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct fault_plan plan = {.rate = 2 + seed % 8 * seed % 8,
					  .seed = settings.arguments.seed + seed};
		struct fault_counts counts;

		if (is_wrong(part, &plan, run_with(part, &plan, &counts)))
			return false;
	}
	return true;
}

static bool is_supported(const struct faults_part *part)
{
	const struct policy *policy = zones.zone[0].policy;

	return (!part->needs_paging || kernel_space_table()) &&
	       (!part->needs_runs || (policy->has_runs && policy->aligns_runs));
}

static void run_part(unsigned number, const struct faults_part *part)
{
	uint64_t count = 0;
	bool passed;

	if (!is_supported(part)) {
		printf("ok %u faults: %s # SKIP not supported here\n", number, part->name);
		return;
	}
	passed = fail_each(part, &count) && fail_many(part);
	printf("%s %u faults: %s\n", passed ? "ok" : "not ok", number, part->name);
	printf("# %llu allocations, of which each has failed\n", (unsigned long long)count);
	verdict_count_test(passed);
	record_begin("fault_part");
	record_string("name", part->name);
	record_number("allocations", count);
	record_bool("pass", passed);
	record_end();
}

static void faults_run(void)
{
	if (settings.arguments.fail_nth || settings.arguments.fail_rate) {
		verdict_fail("bootargs: run=faults injects faults by itself; valid: without "
			     "failnth= and failrate=");
		return;
	}
	configure_bypass(true);
	fault_on_decision = observe;
	printf("\nKTAP version 1\n# faults, %u cpus, seed %llu\n1..%u\n", settings.cpus,
	       (unsigned long long)settings.arguments.seed, faults_part_count);
	for (unsigned i = 0; i < faults_part_count; i++) {
		progress_record("faults", faults_parts[i].name, i, faults_part_count);
		run_part(i + 1, &faults_parts[i]);
	}
	fault_on_decision = NULL;
	report_sites();
	configure_bypass(false);
}

static const struct program faults = {
	.name = "faults",
	.help = "every allocation of the kernel fails once",
	.run = faults_run,
};
PROGRAM(25, faults);
