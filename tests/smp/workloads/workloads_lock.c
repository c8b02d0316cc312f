/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workloads_lock.c - one lock, and no allocator: each cpu acquires it, holds it for hold= instructions,
 * releases it, and does something else for think= instructions.
 *
 * The loop adds instructions: the lock's, two readings of the clock and the counting.
 * They are the same for every hold= and think=, fixed or random, so a run on one cpu shows how many
 * they are. Between acquire and release there are about ten of them; the rest counts as thinking.
 *
 * A run ends for all cpus when the first has done its ops, or when its time is over. So cpus that
 * are served more often have done more: that is what Jain's index is about.
 *
 * Writers: the holder of the lock writes `acquired`; each cpu writes its own struct lock_cpu; any
 * cpu sets `is_over`.
 */
#include "tests/smp/workloads/workloads.h"

#include "mm/global/zone.h"
#include "sync/ck.h"
#include "sync/spinlock.h"
#include "tests/smp/workloads/delay.h"
#include "tests/smp/workloads/lock_figures.h"

struct lock_cpu {
	_Alignas(64) uint64_t acquired;
	uint64_t contended, wait_ticks, worst_ticks, overtaken_most;
	uint32_t waits[WAIT_BUCKETS];
};

struct lock_delay {
	uint64_t mean;
	struct delay_quantiles quantiles;
};

struct lock_workload {
	struct spinlock lock;
	_Alignas(64) uint64_t acquired; /* by all cpus */
	_Alignas(64) uint32_t is_over;
	struct lock_delay hold, think;
	struct lock_cpu cpu[]; /* then the lock's own memory */
};

static void set_delay(struct lock_delay *delay, struct smp_delay asked)
{
	delay->mean = asked.instructions;
	if (asked.is_random)
		delay_quantiles_make(&delay->quantiles);
	else
		delay_quantiles_make_fixed(&delay->quantiles);
}

/* The kind is that of the zones' locks, so lock= chooses this one too. */
bool lock_setup(struct workload_run *run)
{
	size_t bytes = sizeof(struct lock_workload) + run->cpus * sizeof(struct lock_cpu);
	struct smp_delay hold, think;
	struct lock_workload *shared;

	if (!workload_share(run, bytes + spin_bytes(run->cpus)))
		return false;
	shared = run->shared;
	spin_init(&shared->lock, "workload", zones.zone[0].lock.kind, run->cpus,
		  (char *)run->shared + bytes);
	smp_lock_delays(&hold, &think);
	set_delay(&shared->hold, hold);
	set_delay(&shared->think, think);
	run->lock = &shared->lock;
	return true;
}

static uint64_t draw(const struct lock_delay *delay, uint64_t *random)
{
	return delay_draw(&delay->quantiles, random, delay->mean);
}

static void count_wait(struct lock_cpu *cpu, uint64_t ticks, uint64_t overtaken)
{
	cpu->contended++;
	cpu->wait_ticks += ticks;
	cpu->waits[wait_bucket(ticks)]++;
	if (ticks > cpu->worst_ticks)
		cpu->worst_ticks = ticks;
	if (overtaken > cpu->overtaken_most)
		cpu->overtaken_most = overtaken;
}

static void acquire_and_hold(struct lock_workload *shared, struct lock_cpu *cpu,
			     uint64_t instructions)
{
	uint64_t acquired = ck_pr_load_64(&shared->acquired), now, asked_ticks, got_ticks;
	struct spin_node node;

	asked_ticks = port_clock();
	spin_lock(&shared->lock, &node);
	got_ticks = port_clock();
	now = shared->acquired;
	ck_pr_store_64(&shared->acquired, now + 1);
	delay(instructions);
	spin_unlock(&shared->lock, &node);
	cpu->acquired++;
	if (node.contended)
		count_wait(cpu, got_ticks - asked_ticks, now - acquired);
	else
		cpu->waits[0]++;
}

static bool is_over(struct workload_run *run, unsigned number)
{
	struct lock_workload *shared = run->shared;

	if (ck_pr_load_32(&shared->is_over))
		return true;
	if (shared->cpu[number].acquired != run->ops || !run->ops)
		return workload_is_over(run, number);
	ck_pr_store_32(&shared->is_over, 1);
	return true;
}

/* The first acquisitions are spread over one round: else all cpus would begin in line. */
void lock_work(struct workload_run *run, unsigned number)
{
	struct lock_workload *shared = run->shared;
	struct lock_cpu *cpu = &shared->cpu[number];
	uint64_t *random = &run->cpu[number].random;

	delay(random_below(random, shared->hold.mean + shared->think.mean + 1));
	while (!is_over(run, number)) {
		acquire_and_hold(shared, cpu, draw(&shared->hold, random));
		delay(draw(&shared->think, random));
	}
	run->cpu[number].allocs = cpu->acquired;
}

bool lock_locked_relaxed(const struct workload_run *run)
{
	return spin_locked_relaxed(run->lock);
}

void lock_figures_add(struct lock_figures *sum, const struct workload_run *run)
{
	const struct lock_workload *shared = run->shared;
	uint64_t jain = jain_index(run->cpu, run->cpus);

	if (!sum->jain || jain < sum->jain)
		sum->jain = jain;
	for (unsigned number = 0; number < run->cpus; number++) {
		const struct lock_cpu *cpu = &shared->cpu[number];

		sum->acquisitions += cpu->acquired;
		sum->contended += cpu->contended;
		sum->wait_ticks += cpu->wait_ticks;
		if (cpu->worst_ticks > sum->worst_ticks)
			sum->worst_ticks = cpu->worst_ticks;
		if (cpu->overtaken_most > sum->overtaken_most)
			sum->overtaken_most = cpu->overtaken_most;
		for (unsigned i = 0; i < WAIT_BUCKETS; i++)
			sum->waits[i] += cpu->waits[i];
	}
}
