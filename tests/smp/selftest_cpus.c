/*
 * selftest_cpus.c - see selftest_cpus.h.
 *
 * In the second test each cpu in turn is the victim, cpu 0 too, and its neighbour stops it. The
 * victim meanwhile goes round a loop that keeps a sum in registers and looks at its own interrupt
 * bits: both must come through every stop.
 */
#include "tests/smp/selftest_cpus.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "kernel/cpu.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/smp/smp.h"
#include "tests/smp/stamp.h"

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return #condition;                                                         \
	} while (0)

#define STOPS_EACH	 3
#define WAKE_UPS	 500
#define WARM_FRAMES	 100
#define SILENCE_SECONDS	 30
#define EXHAUST_ROUNDS	 4
#define EXHAUST_FRAMES	 16384 /* in all; the rest of memory is put aside */
#define ASIDE_FRAMES	 256

const char *cpus_test_answers(void)
{
	EXPECT(cpu_stop(settings.cpus) == CPU_ABSENT);
	EXPECT(cpu_stop(UINT32_MAX) == CPU_ABSENT);
	EXPECT(cpu_start(settings.cpus) == CPU_ABSENT);
	EXPECT(cpu_stop(port_cpu()) == CPU_ITSELF);
	EXPECT(cpu_start(port_cpu()) == CPU_ITSELF);
	if (settings.cpus < 2)
		return NULL;
	EXPECT(cpu_start(1) == CPU_ALREADY);
	EXPECT(cpu_stop(1) == CPU_DONE);
	EXPECT(cpu_stop(1) == CPU_ALREADY);
	EXPECT(cpu_is_stopped(1));
	EXPECT(cpu_start(1) == CPU_DONE);
	EXPECT(cpu_start(1) == CPU_ALREADY);
	EXPECT(!cpu_is_stopped(1));
	return NULL;
}

/* ---- sleep ------------------------------------------------------------------------------ */

static void count_one(void *argument)
{
	ck_pr_inc_32(argument);
}

/* Work comes now before a cpu sleeps, now after, now between: none of it is missed. */
const char *cpus_test_sleep(void)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < WAKE_UPS; i++) {
		cpus_run(count_one, &done, settings.cpus);
		for (unsigned steps = i % 32 * 64; steps; steps--)
			port_relax();
	}
	EXPECT(done == WAKE_UPS * settings.cpus);
	for (unsigned cpu = 1; cpu < settings.cpus; cpu++) {
		uint64_t since = hart_time();

		while (hart_can_sleep() && !hart_is_asleep(cpu_of(cpu)->arch.hart_id))
			EXPECT(hart_time() - since < SILENCE_SECONDS * settings.timebase);
	}
	cpus_run(count_one, &done, settings.cpus);
	EXPECT(done == (WAKE_UPS + 1) * settings.cpus);
	return NULL;
}

/* ---- each of them ------------------------------------------------------------------------- */

struct each_test {
	struct barrier barrier;
	unsigned stopper, victim;
	uint64_t turns; /* of the victim's loop */
	uint32_t over;
	uint64_t free_before;
	const char *wrong, *victim_wrong; /* the stopper's and the victim's */
};

static const char *go_round(struct each_test *test)
{
	uint64_t turns = 0, sum = 0;

	while (!ck_pr_load_32(&test->over)) {
		EXPECT(csr_read(sstatus) & SSTATUS_SIE);
		EXPECT(csr_read(sie) & SIE_SOFTWARE);
		EXPECT(!port_in_trap());
		EXPECT(port_cpu() == test->victim);
		turns++;
		sum += turns;
		EXPECT(sum == turns * (turns + 1) / 2);
		ck_pr_store_64(&test->turns, turns);
	}
	return NULL;
}

static bool goes_round(const struct each_test *test)
{
	uint64_t turns = ck_pr_load_64(&test->turns), since = hart_time();

	while (ck_pr_load_64(&test->turns) == turns) {
		if (hart_time() - since > SILENCE_SECONDS * settings.timebase)
			return false;
		port_relax();
	}
	return true;
}

static bool look_for_nothing(void *argument)
{
	(void)argument;
	return false;
}

static const char *stop_once(struct each_test *test)
{
	const struct frame_cache *cache = port_area_of(test->victim);
	uint64_t hart_id = cpu_of(test->victim)->arch.hart_id, turns;

	EXPECT(goes_round(test));
	EXPECT(cpu_stop(test->victim) == CPU_DONE);
	EXPECT(hart_is_stopped(hart_id));
	EXPECT(frame_cache_level(cache) == 0 && cache->top == cache->bottom);
	EXPECT(ck_pr_load_32(&cache->online) == 0);
	turns = ck_pr_load_64(&test->turns);
	EXPECT(frame_free_count() == test->free_before);
	EXPECT(!frame_drained(look_for_nothing, NULL, true)); /* and does not wait for the victim */
	EXPECT(frame_free_count() == test->free_before);
	EXPECT(ck_pr_load_64(&test->turns) == turns);
	EXPECT(cpu_start(test->victim) == CPU_DONE);
	EXPECT(ck_pr_load_32(&cache->online) == 1);
	EXPECT(goes_round(test));
	EXPECT(!hart_is_stopped(hart_id));
	EXPECT(!frame_drained(look_for_nothing, NULL, true)); /* its kicks come in again */
	return NULL;
}

/* So that its cache holds some. */
static void warm_up(void)
{
	pfn_t frame[WARM_FRAMES];
	unsigned count = 0;

	while (count < WARM_FRAMES && !pfn_is_none(frame[count] = frame_alloc(FRAME_ANY)))
		count++;
	while (count)
		frame_free(frame[--count]);
}

static void work_each(void *argument)
{
	struct each_test *test = argument;

	warm_up();
	barrier_wait(&test->barrier);
	if (port_cpu() == test->victim)
		test->victim_wrong = go_round(test);
	if (port_cpu() != test->stopper)
		return;
	for (unsigned i = 0; i < STOPS_EACH && !test->wrong; i++)
		test->wrong = stop_once(test);
	if (cpu_is_stopped(test->victim) && cpu_start(test->victim) != CPU_DONE)
		test->wrong = "a victim that is back";
	ck_pr_store_32(&test->over, 1);
}

const char *cpus_test_each(void)
{
	static struct each_test test;

	for (unsigned victim = 0; victim < settings.cpus && settings.cpus > 1; victim++) {
		memset(&test, 0, sizeof(test));
		barrier_init(&test.barrier, settings.cpus);
		test.victim = victim;
		test.stopper = (victim + 1) % settings.cpus;
		test.free_before = frame_free_count();
		cpus_run(work_each, &test, settings.cpus);
		if (test.wrong || test.victim_wrong)
			return test.wrong ? test.wrong : test.victim_wrong;
	}
	frame_validate();
	return NULL;
}

/* ---- exhaustion meanwhile ------------------------------------------------------------------- */

struct exhaust_test {
	struct barrier barrier;
	uint64_t *taken; /* by each cpu, in all rounds */
};

static void work_exhaust(void *argument)
{
	struct exhaust_test *test = argument;
	struct smp_churner churner = {0};
	unsigned cpu = port_cpu();
	uint64_t random = (settings.arguments.seed + cpu + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;

	for (unsigned round = 0; round < EXHAUST_ROUNDS; round++) {
		pfn_t newest = PFN_NONE, frame;

		barrier_wait(&test->barrier);
		while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
			stamp_write(frame, cpu);
			((pfn_t *)frame_bytes(frame))[1] = newest;
			newest = frame;
			test->taken[cpu]++;
			smp_churn_step(&churner, &random);
		}
		smp_churn_leave(&churner, &random);
		barrier_wait(&test->barrier);
		while (!pfn_is_none(frame = newest)) {
			newest = ((pfn_t *)frame_bytes(frame))[1];
			stamp_check(frame, cpu);
			frame_free(frame);
		}
	}
}

/* So much of memory that the rest is taken quickly; as a list through the runs' first words. */
static pfn_t put_aside(uint64_t keep)
{
	pfn_t newest = PFN_NONE, run;

	while (frame_free_count() > keep + ASIDE_FRAMES &&
	       !pfn_is_none(run = frame_alloc_run(ASIDE_FRAMES, 0))) {
		*(pfn_t *)frame_bytes(run) = newest;
		newest = run;
	}
	return newest;
}

static void give_aside(pfn_t newest)
{
	while (!pfn_is_none(newest)) {
		pfn_t run = newest;

		newest = *(pfn_t *)frame_bytes(run);
		frame_free_run(run, ASIDE_FRAMES);
	}
}

const char *cpus_test_exhaustion(void)
{
	static struct exhaust_test test;
	uint64_t before, sum = 0;
	bool churned;
	pfn_t aside;

	test.taken = kcalloc(settings.cpus, sizeof(uint64_t));
	EXPECT(test.taken);
	kheap_trim();
	aside = put_aside(EXHAUST_FRAMES);
	before = frame_free_count();
	barrier_init(&test.barrier, settings.cpus);
	smp_churn_begin(settings.cpus);
	cpus_run(work_exhaust, &test, settings.cpus);
	churned = smp_churn_end();
	give_aside(aside);
	for (unsigned i = 0; i < settings.cpus; i++)
		sum += test.taken[i];
	kfree(test.taken);
	EXPECT(sum == EXHAUST_ROUNDS * before);
	EXPECT(churned);
	kheap_trim();
	frame_validate();
	return NULL;
}
