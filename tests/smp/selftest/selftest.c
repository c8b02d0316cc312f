/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest.c - run=selftest: the in-kernel tests, quick and exact, on all cpus; KTAP, and a `test`
 * record each.
 *
 * A test is a function that returns NULL, or what was wrong. Tests of panics run the mistake and
 * look at what the panic would have said. None depends on the speed of the machine.
 *
 * Covers: mm/frame.c mm/heap/kmalloc.c kernel/diag/panic.c
 */
#include <stdio.h>
#include <string.h>

#include "kernel/smp/cpu.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "sync/barrier.h"
#include "tests/smp/selftest/exact.h"
#include "tests/smp/selftest/nodes.h"
#include "tests/smp/random.h"
#include "tests/smp/selftest/restart.h"
#include "tests/smp/selftest/selftest_cpus.h"
#include "tests/smp/selftest/selftest_locks.h"
#include "tests/smp/selftest/selftest_paging.h"
#include "tests/smp/stamp.h"

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return #condition;                                                         \
	} while (0)

/* mistake(a, b) must panic and say `text`. */
#define EXPECT_PANIC(mistake, a, b, text)                                                          \
	do {                                                                                       \
		if (!panics(mistake, a, b))                                                        \
			return #mistake "(" #a ", " #b ") did not panic";                          \
		if (!strstr(cpu_self()->panic_message, text))                                      \
			return #mistake "(" #a ", " #b ") panicked without saying \"" text "\"";   \
	} while (0)

/* ---- addresses --------------------------------------------------------------------------- */

static const char *test_addresses(void)
{
	pfn_t frame = pfn(7);

	EXPECT(pfn_floor(phys(0x80000fff)).value == 0x80000);
	EXPECT(pfn_ceil(phys(0x80000001)).value == 0x80001);
	EXPECT(pfn_ceil(phys(0x80000000)).value == 0x80000);
	EXPECT(pfn_ceil(phys(UINT64_MAX)).value == UINT64_C(1) << 52);
	EXPECT(phys_page_offset(phys(0x80000123)) == 0x123);
	EXPECT(!pfn_from_phys(phys(0x80000008), &frame) && frame.value == 7);
	EXPECT(pfn_from_phys(phys(0x80001000), &frame) && frame.value == 0x80001);
	EXPECT(pfn_is_none(PFN_NONE) && !pfn_is_none(pfn(0)));
	return NULL;
}

/* ---- frames ------------------------------------------------------------------------------ */

static const char *test_zero(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);
	uint64_t *words, sum = 0;

	EXPECT(!pfn_is_none(frame));
	memset(frame_bytes(frame), 0xff, FRAME_SIZE);
	frame_free(frame);
	frame = frame_alloc(FRAME_ZERO);
	words = frame_bytes(frame);
	for (unsigned i = 0; i < FRAME_SIZE / 8; i++)
		sum |= words[i];
	frame_free(frame);
	EXPECT(sum == 0);
	return NULL;
}

static const char *test_count_is_exact(void)
{
	uint64_t before = frame_free_count();
	pfn_t frames[300];

	for (unsigned i = 0; i < 300; i++) {
		frames[i] = frame_alloc(FRAME_ANY);
		EXPECT(!pfn_is_none(frames[i]));
		EXPECT(frame_free_count() == before - i - 1);
	}
	frame_validate();
	for (unsigned i = 0; i < 300; i++)
		frame_free(frames[i]);
	EXPECT(frame_free_count() == before);
	frame_validate();
	return NULL;
}

static const char *test_owner(void)
{
	uint64_t before = frame_free_count();
	pfn_t kept;

	{
		frame_owner first = frame_own(frame_alloc(FRAME_ANY));
		frame_owner second = frame_own(frame_alloc(FRAME_ANY));
		frame_owner none = frame_own(PFN_NONE);

		EXPECT(pfn_is_none(none.frame));
		EXPECT(frame_free_count() == before - 2);
		EXPECT(!pfn_is_none(first.frame));
		kept = frame_disown(&second);
	}
	EXPECT(frame_free_count() == before - 1);
	frame_free(kept);
	EXPECT(frame_free_count() == before);
	return NULL;
}

static const char *test_runs(void)
{
	uint64_t before = frame_free_count();

	for (uint64_t count = 1; count <= 600; count += 37) {
		for (uint64_t align = 1; align <= 512; align *= 2) {
			pfn_t first = frame_alloc_run(count, align);

			EXPECT(!pfn_is_none(first));
			EXPECT(first.value % align == 0);
			EXPECT(frame_free_count() == before - count);
			memset(frame_bytes(first), 0x5a, count << FRAME_SHIFT);
			frame_free_run(first, count);
		}
	}
	EXPECT(frame_free_count() == before);
	EXPECT(pfn_is_none(frame_alloc_run(frame_total_count() + 1, 0)));
	EXPECT(frame_free_count() == before);
	frame_validate();
	return NULL;
}

/* ---- callers' mistakes ------------------------------------------------------------------- */

#if CHECKS
static void free_frame(uint64_t number, uint64_t unused)
{
	(void)unused;
	frame_free(pfn(number));
}

static void free_address(uint64_t address, uint64_t unused)
{
	(void)unused;
	frame_free_address(phys(address));
}

static void free_run(uint64_t first, uint64_t count)
{
	frame_free_run(pfn(first), count);
}

static void alloc_run(uint64_t count, uint64_t align)
{
	frame_alloc_run(count, align);
}

#endif

static void free_block(uint64_t address, uint64_t unused)
{
	(void)unused;
	kfree((void *)address);
}

#if CHECKS
static const char *test_double_free(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	frame_free(frame);
	EXPECT_PANIC(free_frame, frame.value, 0, "freed twice");
	return NULL;
}

static const char *test_foreign_free(void)
{
	struct zone *last = &zones.zone[zones.count - 1];

	EXPECT_PANIC(free_frame, 1, 0, "foreign");
	EXPECT_PANIC(free_frame, PFN_NONE.value, 0, "foreign");
	EXPECT_PANIC(free_frame, last->first + last->total_frames, 0, "foreign");
	EXPECT_PANIC(free_frame, zones.zone[0].first, 0, "reserved");
	return NULL;
}

static const char *test_misaligned_free(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	EXPECT_PANIC(free_address, pfn_to_phys(frame).value + 8, 0, "misaligned");
	frame_free_address(pfn_to_phys(frame));
	return NULL;
}

static const char *test_never_allocated(void)
{
	struct zone *zone = &zones.zone[0];
	pfn_t last = pfn(zone->first + zone->total_frames - 1);

	EXPECT_PANIC(free_frame, last.value, 0, "never allocated");
	return NULL;
}

static const char *test_run_mistakes(void)
{
	pfn_t run = frame_alloc_run(8, 8);

	EXPECT_PANIC(free_frame, run.value, 0, "part of a run");
	EXPECT_PANIC(free_frame, run.value + 3, 0, "part of a run");
	EXPECT_PANIC(free_run, run.value + 1, 7, "expected the head");
	EXPECT_PANIC(free_run, run.value, 9, "has 8 frames");
	EXPECT_PANIC(free_run, run.value, 7, "more than 7");
	EXPECT_PANIC(alloc_run, 0, 1, "0 frames");
	EXPECT_PANIC(alloc_run, 4, 3, "power of two");
	frame_free_run(run, 8);
	EXPECT_PANIC(free_run, run.value, 8, "freed twice");
	return NULL;
}
#endif

/* ---- the heap ---------------------------------------------------------------------------- */

static const char *test_heap(void)
{
	uint64_t before = frame_free_count();
	char *block = kmalloc(100), *zeroed = kcalloc(10, 30), *aligned;
	volatile size_t huge = SIZE_MAX / 2; /* the compiler would refuse a constant */

	EXPECT(block && zeroed);
	for (unsigned i = 0; i < 300; i++)
		EXPECT(zeroed[i] == 0);
	memset(block, 7, 100);
	block = krealloc(block, 10000);
	EXPECT(block && block[0] == 7 && block[99] == 7);
	EXPECT(kmalloc_usable_size(block) >= 10000);
	aligned = kmalloc_aligned(100, 65536);
	EXPECT(aligned && (uintptr_t)aligned % 65536 == 0);
	EXPECT(!kcalloc(huge, 3));
	EXPECT(!kmalloc(0));
	EXPECT(!kmalloc_aligned(8, 24));
	kheap_validate();
	kfree(block);
	kfree(zeroed);
	kfree(aligned);
	EXPECT_PANIC(free_block, (uintptr_t)aligned, 0, "freed twice");
	EXPECT_PANIC(free_block, 0x1000, 0, "kfree");
	kheap_trim();
	EXPECT(frame_free_count() == before);
	return NULL;
}

/* ---- many cpus --------------------------------------------------------------------------- */

struct bound_test {
	unsigned violations;
	uint64_t seed;
};

#define BOUND_FRAMES 512
#define BOUND_OPS    20000

static uint64_t lock_holds(const struct frame_cache *cache)
{
	const struct frame_cache_stats *stats = &cache->stats;

	return stats->refills + stats->flushes + stats->direct_allocs + stats->direct_frees;
}

/*
 * Swings of every width between empty and full, at random and at the very edges: every lock hold
 * must be paid for by a batch of operations. What the stack held at the start pays for one.
 */
static void work_bound(void *argument)
{
	struct bound_test *test = argument;
	struct frame_cache *cache = frame_cache_self();
	uint64_t random = test->seed + port_cpu() * 2 + 1;
	uint64_t before = lock_holds(cache);
	pfn_t newest = PFN_NONE;
	unsigned level = 0;
	bool up = true;

	for (uint64_t op = 1; op <= BOUND_OPS || level; op++) {
		if (level == BOUND_FRAMES || op > BOUND_OPS || random_below(&random, 100) < 3)
			up = false;
		if (level == 0 || (op <= BOUND_OPS && random_below(&random, 100) < 3))
			up = true;
		if (up) {
			pfn_t frame = frame_alloc(FRAME_ANY);

			*(pfn_t *)frame_bytes(frame) = newest;
			newest = frame;
			level++;
		} else {
			pfn_t frame = newest;

			newest = *(pfn_t *)frame_bytes(frame);
			frame_free(frame);
			level--;
		}
		if ((lock_holds(cache) - before - 1) * cache->batch_min > op &&
		    lock_holds(cache) > before)
			ck_pr_inc_uint(&test->violations);
	}
}

static const char *test_lock_bound(void)
{
	static struct bound_test test;

	if (settings.arguments.cache_frames == 0 ||
	    frame_free_count() < settings.cpus * (BOUND_FRAMES + 512))
		return NULL;
	test.violations = 0;
	test.seed = settings.arguments.seed;
	cpus_run(work_bound, &test, settings.cpus);
	EXPECT(test.violations == 0);
	return NULL;
}

struct exhaust_test {
	struct barrier barrier;
	uint64_t *taken; /* of each cpu */
};

static void work_exhaust(void *argument)
{
	struct exhaust_test *test = argument;
	unsigned cpu = port_cpu();
	pfn_t newest = PFN_NONE, frame;

	barrier_wait(&test->barrier);
	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		stamp_write(frame, cpu);
		((pfn_t *)frame_bytes(frame))[1] = newest;
		newest = frame;
		test->taken[cpu]++;
	}
	barrier_wait(&test->barrier);
	while (!pfn_is_none(frame = newest)) {
		newest = ((pfn_t *)frame_bytes(frame))[1];
		stamp_check(frame, cpu);
		frame_free(frame);
	}
}

/* All cpus take all there is: the sum is the whole, and the end of it is an answer. */
static const char *test_exhaustion(void)
{
	static struct exhaust_test test;
	uint64_t before, sum = 0;

	test.taken = kcalloc(settings.cpus, sizeof(uint64_t));
	EXPECT(test.taken);
	kheap_trim();
	before = frame_free_count();
	barrier_init(&test.barrier, settings.cpus);
	cpus_run(work_exhaust, &test, settings.cpus);
	for (unsigned i = 0; i < settings.cpus; i++)
		sum += test.taken[i];
	kfree(test.taken);
	EXPECT(sum == before);
	kheap_trim();
	frame_validate();
	return NULL;
}

static const char *test_every_cpu_is_itself(void)
{
	for (unsigned i = 0; i < settings.cpus; i++) {
		EXPECT(cpu_of(i)->arch.number == i);
		for (unsigned j = 0; j < i; j++)
			EXPECT(cpu_of(i)->arch.hart_id != cpu_of(j)->arch.hart_id);
	}
	return NULL;
}

/* ---- the list ---------------------------------------------------------------------------- */

/* Of the policy; else it is skipped. */
enum test_needs {
	NEEDS_NOTHING,
	NEEDS_RUNS,	 /* of several frames, and aligned ones */
	NEEDS_EXACT_RUNS /* found whenever there are any */
};

struct test {
	const char *name;
	const char *(*run)(void);
	enum test_needs needs;
};

static const struct test tests[] = {
	{"addresses: floor, ceil, offset, checked conversion", test_addresses, NEEDS_NOTHING},
	{"cpus: dense numbers, distinct harts", test_every_cpu_is_itself, NEEDS_NOTHING},
	{"frames: FRAME_ZERO is all zero", test_zero, NEEDS_NOTHING},
	{"frames: the free count is exact at rest", test_count_is_exact, NEEDS_NOTHING},
	{"frames: a scoped owner frees at the end of its scope", test_owner, NEEDS_NOTHING},
	{"frames: runs of any size and alignment", test_runs, NEEDS_RUNS},
#if CHECKS
	{"checks: a double free is caught and called that", test_double_free, NEEDS_NOTHING},
	{"checks: a foreign and a reserved frame are caught", test_foreign_free, NEEDS_NOTHING},
	{"checks: a misaligned address is caught", test_misaligned_free, NEEDS_NOTHING},
	{"checks: a frame never allocated is caught", test_never_allocated, NEEDS_NOTHING},
	{"checks: mistakes with runs are caught", test_run_mistakes, NEEDS_RUNS},
#endif
	{"heap: sizes, alignment, mistakes, and all of it given back", test_heap, NEEDS_RUNS},
#define LOCK_TEST(kind_name, kind)                                                                 \
	{"locks: " #kind_name ": exclusion, progress, order, tries, exact counts",                 \
	 locks_test_##kind_name, NEEDS_NOTHING},
	SPIN_FOR_EACH_KIND(LOCK_TEST){"locks: none finds out who is not alone", locks_test_none,
				      NEEDS_NOTHING},
	{"locks: a wait is put on who held the lock, and where", locks_test_wait_matrix,
	 NEEDS_NOTHING},
	{"cache: at least a batch of operations between two locks", test_lock_bound, NEEDS_NOTHING},
	{"cache: traps inside the pop and the push allocate and free", restart_test, NEEDS_NOTHING},
	{"frames: exhaustion is exact and is an answer", test_exhaustion, NEEDS_NOTHING},
	{"frames: none is stranded in a busy cpu's full cache", exact_test_busy, NEEDS_NOTHING},
	{"frames: none is stranded either where runs of one are asked for", exact_test_busy_runs,
	 NEEDS_NOTHING},
	{"frames: a run that is cached on another cpu is found", exact_test_cached_run,
	 NEEDS_EXACT_RUNS},
	{"ledger: it adds up in a trap handler, wherever that lands", exact_test_ledger,
	 NEEDS_NOTHING},
	{"zones: a fall below the low mark asks once", exact_test_low_mark, NEEDS_NOTHING},
	{"cpus: stops and starts that cannot be are refused", cpus_test_answers, NEEDS_NOTHING},
	{"cpus: idle ones sleep, and no work is missed", cpus_test_sleep, NEEDS_NOTHING},
	{"cpus: each is stopped, keeps no frame, and goes on", cpus_test_each, NEEDS_NOTHING},
	{"cpus: one that does not answer is not stopped later", cpus_test_deaf, NEEDS_NOTHING},
	{"cpus: a hart that nobody asked for stays away", cpus_test_stranger, NEEDS_NOTHING},
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
	for (unsigned i = 0; i < count; i++)
		passed[i] = run_one(i + 1, &tests[i]);
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
