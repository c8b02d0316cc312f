/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_bounds.c - what an operation may cost at most: holds of zones' locks, calls of the policy, IPIs and
 * requests to other CPUs, for each public function of mm/frame.h, mm/percpu/cache.h and mm/percpu/drain.h.
 *
 * A policy between the zone and the real one counts calls, and checks in which context each comes: plans
 * without the lock, all else under it with interrupts masked. The statistics of the locks count holds, the
 * port counts IPIs. A long random exercise compares each operation with its bound, and prints the most that
 * each has cost. One thread runs all CPUs, so no operation is disturbed; the bounds of operations that
 * others disturb follow from LOOKS_APART and are argued in drain.c.
 *
 * Covers: mm/frame.c mm/percpu/ mm/global/zone.c
 */
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a policy that counts -------------------------------------------------------------------- */

static const struct policy *base;
static struct policy counting;
static uint64_t policy_calls, plans, ordinary_claims, planned_claims;

static const struct zone *zone_with(const void *instance)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (zones.zone[i].instance == instance)
			return &zones.zone[i];
	return NULL; /* it is being made */
}

static void called(const void *instance)
{
	const struct zone *zone = zone_with(instance);

	policy_calls++;
	if (!zone)
		return;
	CHECK(spin_locked_relaxed((struct spinlock *)&zone->lock));
	CHECK(host_self->masked);
}

static void planned(const void *instance)
{
	plans++;
	CHECK(!spin_locked_relaxed((struct spinlock *)&zone_with(instance)->lock));
}

static void plan_claim(const void *instance, unsigned min, struct frame_word *words,
		       struct policy_plan *plan)
{
	planned(instance);
	base->plan_claim(instance, min, words, plan);
	planned_claims++;
	ordinary_claims += plan->ordinary;
}

static void plan_release(const void *instance, const struct frame_word *words, unsigned count,
			 struct policy_plan *plan)
{
	planned(instance);
	base->plan_release(instance, words, count, plan);
}

static unsigned claim(void *instance, unsigned min, unsigned max, const struct policy_plan *plan,
		      struct frame_word *words, unsigned *taken)
{
	called(instance);
	return base->claim(instance, min, max, plan, words, taken);
}

static void release(void *instance, const struct policy_plan *plan, const struct frame_word *words,
		    unsigned count)
{
	called(instance);
	base->release(instance, plan, words, count);
}

static uint64_t claim_one(void *instance)
{
	called(instance);
	return base->claim_one(instance);
}

static void release_one(void *instance, uint64_t frame)
{
	called(instance);
	base->release_one(instance, frame);
}

static enum run_result claim_run(void *instance, uint64_t count, uint64_t align, unsigned steps,
				 uint64_t *first)
{
	called(instance);
	return base->claim_run(instance, count, align, steps, first);
}

static void release_run(void *instance, uint64_t first, uint64_t count)
{
	called(instance);
	base->release_run(instance, first, count);
}

static const struct policy *counting_of(const struct policy *policy)
{
	base = policy;
	counting = *policy;
	counting.plan_claim = policy->plan_claim ? plan_claim : NULL;
	counting.plan_release = policy->plan_release ? plan_release : NULL;
	counting.claim = claim;
	counting.release = release;
	counting.claim_one = policy->claim_one ? claim_one : NULL;
	counting.release_one = policy->release_one ? release_one : NULL;
	counting.claim_run = claim_run;
	counting.release_run = release_run;
	return &counting;
}

/* ---- costs and bounds ------------------------------------------------------------------------ */

struct cost {
	uint64_t holds;	       /* of zones' locks, by this CPU */
	uint64_t holds_others; /* by all other CPUs */
	uint64_t calls;	       /* of the policy, for this CPU and the others */
	uint64_t plans;
	uint64_t ipi_calls, ipi_cpus;
	uint64_t drains; /* requests of this CPU that wait */
};

/*
 * The most holds of an operation by its own CPU: fixed, for each zone, and for emptying this CPU's cache.
 * And the most requests that wait, and the most that do not.
 */
static struct operation {
	const char *name;
	unsigned holds, holds_a_zone, empties, drains, asks;
	uint64_t times;
	struct cost most;
} operations[] = {
#define HIT 0
	{"frame_alloc, the cache has frames", 0, 0, 0, 0, 0, 0, {0}},
#define REFILL 1
	{"frame_alloc, the home has a batch", 1, 0, 0, 0, 0, 0, {0}},
#define ALLOC 2 /* its frames of other zones go back to these; one look at each zone, and a batch */
	{"frame_alloc, else", 1, 2, 0, 1, 0, 0, {0}},
#define REPEATED 3
	{"frame_alloc, refused once more", 0, 0, 0, 0, 0, 0, {0}},
#define NOWAIT 4
	{"frame_alloc, FRAME_NOWAIT", 1, 1, 0, 0, 0, 0, {0}},
#define FREE 5
	{"frame_free, the cache has room", 0, 0, 0, 0, 0, 0, {0}},
#define OVERFLOW 6
	{"frame_free, the cache is full", 1, 0, 0, 0, 0, 0, {0}},
#define REMOTE 7
	{"frame_free, of another zone", 1, 0, 0, 0, 0, 0, {0}},
#define RUN 8 /* a look at each zone before the request, and one after it */
	{"frame_alloc_run", 1, 2, 1, 1, 0, 0, {0}},
#define RUN_NOWAIT 9
	{"frame_alloc_run, FRAME_NOWAIT", 1, 1, 0, 0, 0, 0, {0}},
#define FREE_RUN 10
	{"frame_free_run", 1, 0, 0, 0, 0, 0, {0}},
#define SHRINK 11
	{"frame_shrink_run", 1, 0, 0, 0, 0, 0, {0}},
#define FLUSH 12
	{"frame_cache_flush", 0, 0, 1, 0, 0, 0, {0}},
#define OFFLINE 13
	{"frame_cache_offline, online", 0, 0, 1, 0, 0, 0, {0}},
#define CONFIGURE 14
	{"frame_cache_configure", 0, 0, 1, 0, 0, 0, {0}},
#define ASK 15
	{"frame_drain_ask", 0, 0, 0, 0, 1, 0, {0}},
#define LOW 16
	{"frame_drain_low", 0, 0, 0, 0, 1, 0, {0}},
#define STEP 17
	{"frame_cache_park_step", 1, 0, 0, 0, 0, 0, {0}},
#define LOOK 18
	{"frame_ledger and the counts", 0, 0, 0, 0, 0, 0, {0}},
};

static struct cost before;
static uint64_t most_words; /* of 64 CPUs */

static uint64_t holds_of(unsigned cpu)
{
	uint64_t holds = 0;

	for (unsigned i = 0; i < zones.count; i++)
		holds += spin_stats_of(&zones.zone[i].lock, cpu)->acquisitions;
	return holds;
}

static struct cost cost_now(void)
{
	struct cost now = {.holds = holds_of(port_cpu()),
			   .calls = policy_calls,
			   .plans = plans,
			   .ipi_calls = host_ipi_calls,
			   .ipi_cpus = host_ipi_cpus,
			   .drains = frame_cache_self()->stats.drains};

	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		now.holds_others += cpu == port_cpu() ? 0 : holds_of(cpu);
	return now;
}

static void begin(void)
{
	before = cost_now();
}

static void raise(uint64_t *most, uint64_t value)
{
	if (value > *most)
		*most = value;
}

/* A hold moves 128 words at most, and each frame may be a word of its own; each other zone has a stack. */
static uint64_t holds_to_empty(void)
{
	uint64_t frames = frame_cache_self()->slots;

	return (frames + POLICY_WORDS_MAX - 1) / POLICY_WORDS_MAX + zones.count;
}

static void end(unsigned number)
{
	struct operation *operation = &operations[number];
	struct cost now = cost_now(), cost;
	uint64_t requests;

	cost.holds = now.holds - before.holds;
	cost.holds_others = now.holds_others - before.holds_others;
	cost.calls = now.calls - before.calls;
	cost.plans = now.plans - before.plans;
	cost.ipi_calls = now.ipi_calls - before.ipi_calls;
	cost.ipi_cpus = now.ipi_cpus - before.ipi_cpus;
	cost.drains = now.drains - before.drains;
	operation->times++;
	raise(&operation->most.holds, cost.holds);
	raise(&operation->most.holds_others, cost.holds_others);
	raise(&operation->most.calls, cost.calls);
	raise(&operation->most.plans, cost.plans);
	raise(&operation->most.ipi_calls, cost.ipi_calls);
	raise(&operation->most.ipi_cpus, cost.ipi_cpus);
	raise(&operation->most.drains, cost.drains);

	requests = cost.drains + operation->asks;
	if (cost.holds > operation->holds + operation->holds_a_zone * zones.count +
				 operation->empties * holds_to_empty() ||
	    cost.drains > operation->drains || cost.ipi_calls > requests * most_words ||
	    cost.ipi_cpus > requests * (host_cpu_count - 1) ||
	    cost.holds_others > cost.ipi_cpus * holds_to_empty() ||
	    cost.calls > cost.holds + cost.holds_others ||
	    cost.plans > cost.holds + cost.holds_others)
		unit_fail(
			__FILE__, __LINE__,
			"%s: %llu holds, %llu of other CPUs, %llu calls of the policy, %llu plans, "
			"%llu calls for IPIs to %llu CPUs, %llu requests",
			operation->name, (unsigned long long)cost.holds,
			(unsigned long long)cost.holds_others, (unsigned long long)cost.calls,
			(unsigned long long)cost.plans, (unsigned long long)cost.ipi_calls,
			(unsigned long long)cost.ipi_cpus, (unsigned long long)cost.drains);
}

/* ---- the exercise ---------------------------------------------------------------------------- */

#define HELD_MAX 6000

static struct run {
	uint64_t first, count;
} run[40];
static uint64_t frames[HELD_MAX];
static unsigned frame_count, runs;
static bool refused[130];

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static unsigned kind_of_alloc(unsigned flags)
{
	const struct frame_cache *cache = frame_cache_self();

	if (cache->top != cache->bottom)
		return HIT;
	if (flags & FRAME_NOWAIT)
		return NOWAIT;
	if (zone_free_frames(&zones.zone[cache->home]) >= (cache->batch ? cache->batch : 1))
		return REFILL;
	return refused[port_cpu()] ? REPEATED : ALLOC;
}

/* A frame that goes to a zone, and a cache that opens, make the next request of each CPU worthwhile. */
static void something_is_free(void)
{
	memset(refused, 0, sizeof(refused));
}

static bool alloc(unsigned flags)
{
	unsigned kind = kind_of_alloc(flags);
	pfn_t frame;

	if (frame_count == HELD_MAX)
		return false;
	begin();
	frame = frame_alloc(flags);
	end(kind);
	if (pfn_is_none(frame)) {
		refused[port_cpu()] |= !(flags & FRAME_NOWAIT);
		return false;
	}
	CHECK(kind != REPEATED);
	frames[frame_count++] = frame.value;
	return true;
}

static void give(unsigned at)
{
	const struct frame_cache *cache = frame_cache_self();
	uint64_t frame = frames[at];
	bool home = !CHECKS || zone_holds(cache->zone, frame);
	bool room = cache->top != cache->limit;

	frames[at] = frames[--frame_count];
	something_is_free();
	begin();
	frame_free(pfn(frame));
	end(!home ? REMOTE : room ? FREE : OVERFLOW);
}

static void alloc_run(unsigned flags)
{
	uint64_t count = 1 + unit_random_below(unit_random_below(10) ? 40 : 3000);
	pfn_t first;

	if (runs == LENGTH(run))
		return;
	begin();
	first = frame_alloc_run_flags(count, UINT64_C(1) << unit_random_below(8), flags);
	end(flags & FRAME_NOWAIT ? RUN_NOWAIT : RUN);
	something_is_free(); /* a request for a run opens caches again */
	if (!pfn_is_none(first))
		run[runs++] = (struct run){first.value, count};
}

static void give_run(unsigned at)
{
	struct run one = run[at];

	run[at] = run[--runs];
	something_is_free();
	if (one.count > 1 && unit_random_below(3) == 0) {
		begin();
		frame_shrink_run(pfn(one.first), one.count, one.count / 2);
		end(SHRINK);
		run[runs++] = (struct run){one.first, one.count / 2};
		return;
	}
	begin();
	frame_free_run(pfn(one.first), one.count);
	end(FREE_RUN);
}

static void leave_and_return(void)
{
	unsigned long flags = port_irq_save();

	begin();
	frame_cache_offline();
	frame_cache_online();
	end(OFFLINE);
	port_irq_restore(flags);
}

static void ask_others(void)
{
	unsigned choice = (unsigned)unit_random_below(3);
	struct frame_ledger ledger;

	something_is_free();
	begin();
	if (choice == 0) {
		frame_drain_ask();
		end(ASK);
	} else if (choice == 1) {
		frame_drain_low(&zones.zone[unit_random_below(zones.count)]);
		end(LOW);
	} else {
		frame_ledger(&ledger);
		CHECK_EQ(frame_cached_count(), ledger.cached);
		CHECK_EQ(frame_free_count(), ledger.cached + ledger.free);
		frame_drain_settle();
		end(LOOK);
	}
}

static void empty_cache(const struct host_machine *machine)
{
	unsigned choice = (unsigned)unit_random_below(4);
	bool more = true;

	something_is_free();
	if (choice == 0)
		leave_and_return();
	for (unsigned i = 0; choice == 1 && more; i++) {
		begin();
		more = frame_cache_park_step(frame_cache_self());
		end(STEP);
		CHECK(i <= holds_to_empty());
	}
	begin();
	if (choice == 2) {
		frame_cache_flush();
		end(FLUSH);
	} else if (choice == 3) {
		frame_cache_configure(machine->capacity, machine->batch);
		end(CONFIGURE);
	}
}

static void do_something(const struct host_machine *machine)
{
	uint64_t choice = unit_random_below(1000);

	become((unsigned)unit_random_below(host_cpu_count));
	if (choice < 420)
		alloc(unit_random_below(8) ? FRAME_ANY : FRAME_NOWAIT);
	else if (choice < 900 && frame_count)
		give((unsigned)unit_random_below(frame_count));
	else if (choice < 940)
		alloc_run(unit_random_below(2) ? FRAME_ANY : FRAME_NOWAIT);
	else if (choice < 980 && runs)
		give_run((unsigned)unit_random_below(runs));
	else if (choice < 990)
		ask_others();
	else if (choice < 998)
		empty_cache(machine);
	else /* several refusals in a row */
		while (alloc(FRAME_ANY) || alloc(FRAME_ANY))
			;
}

static void exercise(const struct policy *policy, const struct host_machine *settings,
		     const struct host_range *ranges, unsigned count)
{
	struct host_machine machine = *settings;
	uint64_t free_frames;

	machine.policy = counting_of(policy);
	host_machine_start(&machine, ranges, count);
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		((struct frame_cache *)port_area_of(cpu))->home = cpu % zones.count;
		become(cpu);
		frame_cache_configure(machine.capacity, machine.batch);
	}
	something_is_free();
	most_words = (host_cpu_count + 63) / 64;
	free_frames = frame_free_count();
	for (unsigned i = 0; i < 12000; i++)
		do_something(settings);
	while (runs)
		give_run(0);
	while (frame_count)
		give(frame_count - 1);
	become(0);
	frame_validate();
	CHECK_EQ(frame_free_count(), free_frames);
	host_machine_end();
}

TEST(no_operation_costs_more_than_its_bound)
{
	static const struct host_machine machines[] = {
		{.cpus = 2, .capacity = 192, .batch = 64},
		{.cpus = 66, .capacity = 128, .batch = 64},
		{.cpus = 3, .capacity = 0},
		{.cpus = 2, .capacity = 8, .batch = 2},
		{.cpus = 2, .capacity = 256, .batch = 128},
	};
	static const struct host_range one[] = {{0x80200, 5000, 0}};
	static const struct host_range three[] = {
		{0x80003, 1200, 0}, {0x80003 + 1200, 300, 0}, {0x90000, 3000, 1}};

	for (unsigned i = 0; i < policy_count; i++)
		for (unsigned j = 0; j < LENGTH(machines); j++)
			if (j % 2)
				exercise(policies[i], &machines[j], one, 1);
			else
				exercise(policies[i], &machines[j], three, 3);
	for (unsigned i = 0; i < LENGTH(operations); i++) {
		const struct operation *operation = &operations[i];

		printf("# %s: %llu times, at most %llu holds (bound %u + %u a zone%s), %llu of "
		       "others, "
		       "%llu IPI calls, %llu requests (bound %u)\n",
		       operation->name, (unsigned long long)operation->times,
		       (unsigned long long)operation->most.holds, operation->holds,
		       operation->holds_a_zone, operation->empties ? " + emptying the cache" : "",
		       (unsigned long long)operation->most.holds_others,
		       (unsigned long long)operation->most.ipi_calls,
		       (unsigned long long)operation->most.drains, operation->drains);
		CHECK(operation->times > 0);
	}
}

/*
 * In a zone that is hardly used, all but one batch of each group of 64 words is as it was planned: then the
 * critical section is the short one.
 */
TEST(plans_are_ordinary)
{
	struct host_machine machine = {.cpus = 1, .capacity = 192, .batch = 64};
	struct host_range range = {0x80000, 1 << 16, 0};
	uint64_t groups;

	machine.policy = counting_of(policies[0]);
	host_machine_start(&machine, &range, 1);
	groups = range.count / (64 * FRAMES_PER_WORD);
	planned_claims = ordinary_claims = plans = 0;
	for (unsigned i = 0; i < HELD_MAX; i++)
		frames[i] = frame_alloc(FRAME_ANY).value;
	CHECK_EQ(planned_claims, frame_cache_self()->stats.refills);
	CHECK(planned_claims >= HELD_MAX / 128);
	CHECK(ordinary_claims + groups * HELD_MAX / range.count + 1 >= planned_claims);
	for (unsigned i = 0; i < HELD_MAX; i++)
		frame_free(pfn(frames[i]));
	CHECK(plans - planned_claims <= frame_cache_self()->stats.flushes);
	host_machine_end();
}
