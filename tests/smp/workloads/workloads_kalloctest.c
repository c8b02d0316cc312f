/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workloads_kalloctest.c - the output of kalloctest, the test of MIT's xv6 lock lab.
 *
 * Users of the lab know that output: how often the locks of the page allocator were acquired, how
 * often that failed at first, and whether all pages are found again. The lines are the same, and so
 * are the limits of the two grades (fewer than 10 for test1, no page lost for test2). Differences
 * are printed below them, in brackets. The grade of test1 is no verdict: with cache=0 it should be
 * FAIL, as in the lab before it is solved. A lost page ends the run.
 */
#include "tests/smp/workloads/workloads.h"

#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "tests/smp/workloads/workload_frames.h"

#define CONTENDED_LIMIT 10 /* the lab's, for test1 */
#define TOP_LOCKS	5
#define DOTS		5
#define RECOUNTS_MAX	50	  /* the lab's */
#define COUNTED_FRAMES	(1 << 18) /* in all recounts together, about */

struct kalloctest_lock {
	const struct spinlock *lock;
	uint64_t acquisitions, contended; /* in test1 */
	bool listed;
};

struct kalloctest {
	uint64_t free_frames; /* by the allocator's counts, before test2 */
	uint64_t counted;     /* by the first count of test2 */
	uint64_t recounted;   /* by the first recount that differed, else by the last */
	unsigned recounts;
	bool waits_are_measurable;
	unsigned locks;
	struct kalloctest_lock lock[]; /* of all zones, and the heap's */
};

/* Each cpu writes its own counters only; between two barriers no counter changes. */
static void note_locks(struct kalloctest *test)
{
	for (unsigned i = 0; i < test->locks; i++) {
		struct spin_stats stats = {0};

		spin_stats_add(test->lock[i].lock, &stats);
		test->lock[i].acquisitions = stats.acquisitions - test->lock[i].acquisitions;
		test->lock[i].contended = stats.contended - test->lock[i].contended;
	}
}

/* The second call subtracts what the locks had counted before the first. */
bool kalloctest_setup(struct workload_run *run)
{
	unsigned locks = zones.count + 1;
	struct kalloctest *test;

	if (!workload_share(run, sizeof(*test) + locks * sizeof(test->lock[0])))
		return false;
	test = run->shared;
	test->locks = locks;
	for (unsigned i = 0; i < zones.count; i++)
		test->lock[i].lock = &zones.zone[i].lock;
	test->lock[zones.count].lock = kheap_lock();
	note_locks(test);
	return true;
}

/* ---- test1: all cpus allocate and free one page --------------------------------------------- */

static void test1(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number); i++) {
		pfn_t frame = take(cpu, number);

		if (!pfn_is_none(frame))
			give(cpu, number, frame);
		if (number == 0)
			workload_sample(run, i + 1, "repeat", false);
	}
}

/* ---- test2: cpu 0 counts all pages again and again, while the others wait ------------------- */

/* Counts all free frames by allocating them; they are linked through their second word. */
static uint64_t count_free(struct workload_cpu *cpu)
{
	pfn_t newest = PFN_NONE, frame;
	uint64_t count = 0;

	for (; !pfn_is_none(frame = take(cpu, 0)); count++) {
		((pfn_t *)frame_bytes(frame))[1] = newest;
		newest = frame;
	}
	while (!pfn_is_none(frame = newest)) {
		newest = ((pfn_t *)frame_bytes(frame))[1];
		give(cpu, 0, frame);
	}
	return count;
}

/* The lab has 50 recounts; here there are fewer with few operations or much memory. */
static unsigned recounts_of(const struct workload_run *run, uint64_t frames)
{
	uint64_t times = COUNTED_FRAMES / (frames + 1);

	if (times > run->ops / 1024)
		times = run->ops / 1024;
	return times < RECOUNTS_MAX ? (unsigned)times : RECOUNTS_MAX;
}

static void test2(struct workload_run *run)
{
	struct kalloctest *test = run->shared;

	frame_drain_settle();
	test->free_frames = frame_free_count();
	test->recounts = recounts_of(run, test->free_frames);
	test->counted = test->recounted = count_free(&run->cpu[0]);
	for (unsigned i = 0;
	     i < test->recounts && test->recounted == test->counted && !workload_is_over(run, 0);
	     i++)
		test->recounted = count_free(&run->cpu[0]);
}

void kalloctest_work(struct workload_run *run, unsigned number)
{
	test1(run, number);
	barrier_wait(&run->barrier);
	if (number == 0) {
		note_locks(run->shared);
		test2(run);
	}
	barrier_wait(&run->barrier);
}

/* ---- the output ----------------------------------------------------------------------------- */

static void print_lock(const struct kalloctest *test, const struct kalloctest_lock *lock)
{
	bool of_zone = lock != &test->lock[test->locks - 1];

	smp_print("lock: %s%s: #test-and-set ", of_zone ? "kmem." : "", lock->lock->name);
	if (test->waits_are_measurable)
		smp_print("%llu", (unsigned long long)lock->contended);
	else
		smp_print("NOT MEASURABLE");
	smp_print(" #acquire() %llu\n", (unsigned long long)lock->acquisitions);
}

static void print_top(struct kalloctest *test)
{
	for (unsigned n = 0; n < TOP_LOCKS && n < test->locks; n++) {
		struct kalloctest_lock *top = NULL;

		for (unsigned i = 0; i < test->locks; i++) {
			struct kalloctest_lock *lock = &test->lock[i];

			if (!lock->listed && (!top || lock->contended > top->contended))
				top = lock;
		}
		top->listed = true;
		print_lock(test, top);
	}
}

/* test2 has emptied all zones: a lock without acquisitions counts nothing. */
static const char *test1_grade(const struct kalloctest *test, uint64_t contended,
			       uint64_t acquired_ever)
{
	if (acquired_ever == 0)
		return "NOT MEASURABLE: locks are not counted (lockstat=off)";
	if (!test->waits_are_measurable)
		return "NOT MEASURABLE: the host has not given each cpu a core";
	return contended < CONTENDED_LIMIT ? "OK" : "FAIL";
}

static void print_test1(struct kalloctest *test)
{
	uint64_t contended = 0, acquired_ever = 0;

	smp_print("start test1\ntest1 results:\n--- lock kmem/bcache stats\n");
	for (unsigned i = 0; i + 1 < test->locks; i++) {
		struct spin_stats ever = {0};

		spin_stats_add(test->lock[i].lock, &ever);
		acquired_ever += ever.acquisitions;
		contended += test->lock[i].contended;
		print_lock(test, &test->lock[i]);
	}
	if (test->waits_are_measurable) {
		smp_print("--- top %u contended locks:\n", TOP_LOCKS);
		print_top(test);
		smp_print("tot= %llu\n", (unsigned long long)contended);
	}
	smp_print("test1 %s\n", test1_grade(test, contended, acquired_ever));
}

static void print_test2(const struct kalloctest *test)
{
	smp_print("start test2\ntotal free number of pages: %llu (out of %llu)\n",
		  (unsigned long long)test->counted, (unsigned long long)frame_total_count());
	if (test->counted != test->free_frames)
		port_panic("test2 FAILED: cannot allocate enough memory: %llu pages, %llu are free",
			   (unsigned long long)test->counted, (unsigned long long)test->free_frames);
	if (test->recounted != test->counted)
		port_panic("test2 FAIL: losing pages %llu %llu", (unsigned long long)test->counted,
			   (unsigned long long)test->recounted);
	for (unsigned i = 0; i < DOTS; i++)
		smp_print(".");
	smp_print("\ntest2 OK\n");
}

void kalloctest_teardown(struct workload_run *run)
{
	struct kalloctest *test = run->shared;
	unsigned capacity = frame_cache_self()->capacity;

	test->waits_are_measurable = smp_waits_are_measurable(run->cpus);
	smp_print("\nkalloctest: %u cpus, caches of %u frames\n", run->cpus, capacity);
	print_test1(test);
	print_test2(test);
	smp_print("(#test-and-set is how many of the acquisitions had to wait, not how often\n"
		  "each of them tried. There are no processes: test1 is of %llu pages\n"
		  "on each cpu, test2 counted %u times, test3 does not apply. There is no\n"
		  "bcache.)\n",
		  (unsigned long long)run->ops, test->recounts + 1);
}
