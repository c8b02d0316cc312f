/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_cpus.c - harts that stop and start; see selftest_cpus.h.
 *
 * In cpus_test_each() each cpu is stopped in turn, cpu 0 too, by its neighbour. Meanwhile the
 * victim runs a loop that keeps a sum in registers and reads its own interrupt bits: both must
 * survive every stop. The last start is at the entry point of the boot hart, as some firmware does
 * (hart.c).
 *
 * Covers: kernel/smp/cpu*.c kernel/smp/ipi.c arch/riscv/hart.c arch/riscv/sbi.c
 */
#include "tests/smp/selftest/selftest_cpus.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/fence.h"
#include "arch/riscv/hart.h"
#include "arch/riscv/sbi.h"
#include "kernel/smp/cpu.h"
#include "kernel/boot/machine.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/smp/smp.h"
#include "tests/smp/selftest/expect.h"
#include "tests/smp/stamp.h"

#define STOPS_EACH	3
#define WAKE_UPS	500
#define WARM_FRAMES	100
#define SILENCE_SECONDS 30
#define EXHAUST_ROUNDS	4
#define EXHAUST_FRAMES	16384 /* of all cpus; the rest of memory is put aside */
#define ASIDE_FRAMES	256

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

/* Work arrives before a cpu sleeps, after it, or while it falls asleep: no work is missed. */
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

/* ---- each cpu is stopped ------------------------------------------------------------------ */

struct each_test {
	struct barrier barrier;
	unsigned stopper, victim;
	uint64_t turns; /* of the victim's loop */
	uint32_t over;
	uint64_t free_before;
	const char *wrong, *victim_wrong; /* found by the stopper and by the victim */
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

/* A request for a run that no machine has empties all caches; its size differs in each call. */
static bool all_caches_are_emptied(void)
{
	static uint64_t frames = UINT64_MAX;

	return pfn_is_none(frame_alloc_run(frames--, 1));
}

extern struct hart_arrival *hart_awaited;
void _start(void);

/* As cpu_start(), but the firmware starts the hart at the entry point of the boot hart. */
static bool start_astray(unsigned number)
{
	struct cpu *cpu = cpu_of(number);
	uint64_t since = hart_time();
	struct sbi_result result;

	cpu->arrival->state = 0;
	cpu->arrival->block = &cpu->arch;
	cpu->arrival->hart_id = cpu->arch.hart_id;
	hart_awaited = cpu->arrival;
	arch_fence_memory_to_device(); /* pairs with the fence at _start */
	result = sbi_hart_start(cpu->arch.hart_id, (uint64_t)(uintptr_t)_start, 1);
	while (!result.error && cpu_is_stopped(number)) {
		if (hart_time() - since > SILENCE_SECONDS * settings.timebase)
			return false;
		port_relax();
	}
	ck_pr_fence_acquire();
	return !result.error;
}

static const char *stop_once(struct each_test *test, bool astray)
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
	EXPECT(all_caches_are_emptied()); /* and does not wait for the victim */
	EXPECT(frame_free_count() == test->free_before);
	EXPECT(ck_pr_load_64(&test->turns) == turns);
	EXPECT(astray ? start_astray(test->victim) : cpu_start(test->victim) == CPU_DONE);
	EXPECT(ck_pr_load_32(&cache->online) == 1);
	EXPECT(goes_round(test));
	EXPECT(!hart_is_stopped(hart_id));
	EXPECT(all_caches_are_emptied()); /* its IPIs come in again */
	return NULL;
}

/* Puts frames into this cpu's cache. */
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
		test->wrong = stop_once(test, i == STOPS_EACH - 1);
	/* Without the victim the test would not end. */
	check(!cpu_is_stopped(test->victim) || cpu_start(test->victim) == CPU_DONE,
	      "cpu %u was stopped and does not come back: %s", test->victim, test->wrong);
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

/* ---- a cpu that does not answer, and a hart that was not requested --------------------------- */

struct deaf_test {
	struct barrier barrier;
	uint32_t over;
	enum cpu_result stop;
};

/*
 * The stopper's time-out is short. The other cpu masks its interrupts until the stopper has given
 * up.
 */
static void work_deaf(void *argument)
{
	struct deaf_test *test = argument;
	unsigned long flags = port_irq_save();

	if (port_cpu() != 0) {
		barrier_wait(&test->barrier);
		while (!ck_pr_load_32(&test->over))
			port_relax();
		port_irq_restore(flags);
		return;
	}
	port_irq_restore(flags);
	barrier_wait(&test->barrier);
	settings.timebase /= 1000;
	test->stop = cpu_stop(1);
	settings.timebase *= 1000;
	ck_pr_store_32(&test->over, 1);
}

/* The IPI arrives later, and must not stop the cpu any more. */
const char *cpus_test_deaf(void)
{
	static struct deaf_test test;
	uint64_t hart_id;

	if (settings.cpus < 2)
		return NULL;
	test.over = 0;
	barrier_init(&test.barrier, 2);
	cpus_run(work_deaf, &test, 2);
	EXPECT(test.stop == CPU_LOST);
	EXPECT(!cpu_is_stopped(1));
	EXPECT(cpu_stop(1) == CPU_DONE);
	hart_id = cpu_of(1)->arch.hart_id;
	cpu_of(1)->arch.hart_id = UINT64_C(1) << 20; /* an id that the firmware refuses */
	EXPECT(cpu_start(1) == CPU_REFUSED);
	cpu_of(1)->arch.hart_id = hart_id;
	EXPECT(cpu_start(1) == CPU_DONE);
	return NULL;
}

static bool is_ours(uint64_t hart_id)
{
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		if (cpu_of(cpu)->arch.hart_id == hart_id)
			return true;
	return false;
}

/* A hart that cpus= has left stopped, or UINT64_MAX. */
static uint64_t find_stranger(void)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;

	while (machine_next_hart(settings.tree, &hart, &error) == DEVICETREE_FOUND)
		if (!hart.unusable && !is_ours(hart.id) && hart_is_stopped(hart.id))
			return hart.id;
	return UINT64_MAX;
}

/*
 * A hart arrives at the boot address that is not the awaited one. It must park and change nothing.
 * It gives no sign of its arrival, so the test watches for a fixed time.
 */
const char *cpus_test_stranger(void)
{
	static _Alignas(64) char stack[4096];
	static struct arch_cpu block;
	static struct hart_arrival arrival;
	uint64_t since, stranger = find_stranger();
	struct sbi_result result;

	if (stranger == UINT64_MAX)
		return NULL;
	block.stack_top = (uintptr_t)stack + sizeof(stack);
	arrival = (struct hart_arrival){.block = &block, .hart_id = cpu_self()->arch.hart_id};
	hart_awaited = &arrival;
	arch_fence_memory_to_device(); /* pairs with the fence at _start */
	result = sbi_hart_start(stranger, (uint64_t)(uintptr_t)_start,
				(uint64_t)(uintptr_t)&arrival);
	EXPECT(result.error == 0);
	since = hart_time();
	while (hart_time() - since < settings.timebase / 5)
		EXPECT(ck_pr_load_32(&arrival.state) == 0);
	return NULL;
}

/* ---- exhaustion while harts come and go ------------------------------------------------------ */

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

/* Takes runs until `keep` frames are left, and links them by their first words. */
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
