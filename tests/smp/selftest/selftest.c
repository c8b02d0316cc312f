/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest.c - run=selftest: the list of self-tests; runs them on all CPUs and prints KTAP and records.
 *
 * A test is a function that returns NULL, or what was wrong (expect.h). No test depends on the
 * speed of the machine.
 *
 * Covers: mm/frame.c mm/heap/kmalloc.c kernel/diag/panic.c
 */
#include <stdbool.h>
#include <stdio.h>

#include "kernel/diag/progress.h"
#include "kernel/diag/record.h"
#include "kernel/diag/verdict.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "mm/global/zone.h"
#include "tests/smp/selftest/exact.h"
#include "tests/smp/selftest/nodes.h"
#include "tests/smp/selftest/restart.h"
#include "tests/smp/selftest/selftest_cpus.h"
#include "tests/smp/selftest/selftest_frames.h"
#include "tests/smp/selftest/selftest_locks.h"
#include "tests/smp/selftest/selftest_paging.h"
#include "tests/smp/selftest/selftest_parallel.h"

/* What a test needs of the policy; without it the test is skipped. */
enum test_needs {
	NEEDS_NOTHING,
	NEEDS_RUNS,	 /* of several frames, and aligned ones */
	NEEDS_EXACT_RUNS /* a run that is free is found */
};

struct test {
	const char *name;
	const char *(*run)(void);
	enum test_needs needs;
};

static const struct test tests[] = {
	{"addresses: floor, ceil, offset, checked conversion", frames_test_addresses, NEEDS_NOTHING},
	{"cpus: dense numbers, distinct harts", parallel_test_every_cpu_is_itself, NEEDS_NOTHING},
	{"frames: FRAME_ZERO is all zero", frames_test_zero, NEEDS_NOTHING},
	{"frames: the free count is exact at rest", frames_test_count_is_exact, NEEDS_NOTHING},
	{"frames: a scoped owner frees at the end of its scope", frames_test_owner, NEEDS_NOTHING},
	{"frames: runs of any size and alignment", frames_test_runs, NEEDS_RUNS},
#if CHECKS
	{"checks: a double free is caught and called that", frames_test_double_free, NEEDS_NOTHING},
	{"checks: a foreign and a reserved frame are caught", frames_test_foreign_free,
	 NEEDS_NOTHING},
	{"checks: a misaligned address is caught", frames_test_misaligned_free, NEEDS_NOTHING},
	{"checks: a frame never allocated is caught", frames_test_never_allocated, NEEDS_NOTHING},
	{"checks: mistakes with runs are caught", frames_test_run_mistakes, NEEDS_RUNS},
#endif
	{"heap: sizes, alignment, mistakes, and all of it given back", frames_test_heap, NEEDS_RUNS},
#define LOCK_TEST(kind_name, kind)                                                                 \
	{"locks: " #kind_name ": exclusion, progress, order, tries, exact counts",                 \
	 locks_test_##kind_name, NEEDS_NOTHING},
	SPIN_FOR_EACH_KIND(LOCK_TEST){"locks: kind none panics where two cpus take it",
				      locks_test_none, NEEDS_NOTHING},
	{"locks: a wait is charged to the holder and its call site", locks_test_wait_matrix,
	 NEEDS_NOTHING},
	{"cache: at least a batch of operations between two locks", parallel_test_lock_bound,
	 NEEDS_NOTHING},
	{"cache: traps inside the pop and the push allocate and free", restart_test, NEEDS_NOTHING},
	{"frames: exhaustion is exact and is an answer", parallel_test_exhaustion, NEEDS_NOTHING},
	{"frames: exhaustion finds what a busy cpu's cache holds", exact_test_busy, NEEDS_NOTHING},
	{"frames: a run of one frame finds it, too", exact_test_busy_runs, NEEDS_NOTHING},
	{"frames: a run that is cached on another cpu is found", exact_test_cached_run,
	 NEEDS_EXACT_RUNS},
	{"ledger: it adds up in a trap handler at any instruction", exact_test_ledger,
	 NEEDS_NOTHING},
	{"zones: a fall below the low mark asks once", exact_test_low_mark, NEEDS_NOTHING},
	{"cpus: stops and starts that cannot be are refused", cpus_test_answers, NEEDS_NOTHING},
	{"cpus: idle ones sleep, and no work is missed", cpus_test_sleep, NEEDS_NOTHING},
	{"cpus: each is stopped, keeps no frame, and goes on", cpus_test_each, NEEDS_NOTHING},
	{"cpus: one that does not answer is not stopped later", cpus_test_deaf, NEEDS_NOTHING},
	{"cpus: a hart that is not awaited parks itself", cpus_test_stranger, NEEDS_NOTHING},
	{"cpus: exhaustion is exact while harts come and go", cpus_test_exhaustion, NEEDS_NOTHING},
	{"paging: text, data, stacks and holes are what they should be", paging_test_kernel,
	 NEEDS_NOTHING},
	{"paging: a handler that meets a foreseen fault returns to where it was",
	 paging_test_nested_fault, NEEDS_NOTHING},
	{"paging: a page is mapped, protected, unmapped, and the hardware agrees",
	 paging_test_space, NEEDS_NOTHING},
	{"paging: mistakes are answered and change nothing", paging_test_mistakes, NEEDS_NOTHING},
	{"paging: a map that finds too few frames changes nothing and keeps none",
	 paging_test_no_frames, NEEDS_NOTHING},
	{"paging: copies on write are apart", paging_test_copies, NEEDS_NOTHING},
	{"paging: no cpu sees a page that another has replaced", paging_test_flush, NEEDS_NOTHING},
	{"nodes: each cpu takes the nearest frames, and all go home", nodes_test, NEEDS_NOTHING},
};

static bool is_supported(const struct test *test)
{
	const struct policy *policy = zones.zone[0].policy;

	return test->needs == NEEDS_NOTHING ||
	       (policy->has_runs && policy->aligns_runs &&
		(policy->exact_runs || test->needs != NEEDS_EXACT_RUNS));
}

static bool run_one(unsigned number, const struct test *test)
{
	const char *wrong;

	if (!is_supported(test)) {
		printf("ok %u %s # SKIP not supported by %s\n", number, test->name,
		       zones.zone[0].policy->name);
		return true;
	}
	wrong = test->run();
	if (wrong) {
		printf("not ok %u %s # %s\n", number, test->name, wrong);
		verdict_fail("%s: %s", test->name, wrong);
	} else {
		printf("ok %u %s\n", number, test->name);
	}
	verdict_count_test(!wrong);
	return !wrong;
}

static void selftest_run(void)
{
	const unsigned count = sizeof(tests) / sizeof(tests[0]);
	bool passed[sizeof(tests) / sizeof(tests[0])];

	printf("\nKTAP version 1\n# selftest, %u cpus, seed %llu\n1..%u\n", settings.cpus,
	       (unsigned long long)settings.arguments.seed, count);
	for (unsigned i = 0; i < count; i++) {
		progress_record("selftest", tests[i].name, i, count);
		passed[i] = run_one(i + 1, &tests[i]);
	}
	printf("# %s\n", restart_test_coverage());
	for (unsigned i = 0; i < count; i++) {
		if (!is_supported(&tests[i]))
			continue;
		record_begin("test");
		record_string("name", tests[i].name);
		record_bool("pass", passed[i]);
		record_end();
	}
	locks_test_records();
}

static const struct program selftest = {
	.name = "selftest",
	.help = "the in-kernel tests, on all cpus",
	.is_default = true,
	.run = selftest_run,
};
PROGRAM(20, selftest);
