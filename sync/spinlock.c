/*
 * spinlock.c - the choice of algorithm and the statistics; the algorithms are in spin_kinds.c.
 *
 * What a cpu counts, it counts after its release: nothing of it lengthens the critical section
 * but the reading of the clock where the mode asks for one.
 */
#include "sync/spinlock.h"

#include <string.h>

#include "sync/spin_kinds.h"

static enum spin_stats_mode stats_mode = SPIN_STATS_CONTENDED;

const char *spin_kind_name(enum spin_kind kind)
{
#define KIND_NAME(kind_name, kind) [kind] = #kind_name,
	static const char *const names[] = {
		SPIN_FOR_EACH_KIND(KIND_NAME) KIND_NAME(none, SPIN_NONE)};
#undef KIND_NAME

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

bool spin_kind_is_fifo(enum spin_kind kind)
{
	return kind == SPIN_TICKET || kind == SPIN_MCS || kind == SPIN_CLH || kind == SPIN_ANDERSON;
}

/* One more clh node than cpus is in the lock itself; anderson's slots are one a cpu. */
size_t spin_bytes(unsigned cpu_count)
{
	size_t slots = cpu_count * sizeof(struct ck_spinlock_anderson_thread);

	return cpu_count * sizeof(struct spin_cpu) + ((slots + 63) & ~(size_t)63);
}

static void init_word(struct spinlock *lock)
{
	switch (lock->kind) {
	case SPIN_FAS:
		ck_spinlock_fas_init(&lock->word.fas);
		break;
	case SPIN_CAS:
		ck_spinlock_cas_init(&lock->word.cas);
		break;
	case SPIN_DEC:
		ck_spinlock_dec_init(&lock->word.dec);
		break;
	case SPIN_TICKET:
		ck_spinlock_ticket_init(&lock->word.ticket);
		break;
	case SPIN_MCS:
		ck_spinlock_mcs_init(&lock->word.mcs);
		break;
	case SPIN_CLH:
		ck_spinlock_clh_init(&lock->word.clh, &lock->clh_unowned);
		break;
	case SPIN_ANDERSON:
		ck_spinlock_anderson_init(&lock->word.anderson, lock->anderson_slots,
					  lock->cpu_count);
		break;
	case SPIN_NONE: /* nobody's, by the memset */
		break;
	default:
		port_panic("spin_init: lock %s: no algorithm %d", lock->name, (int)lock->kind);
	}
}

void spin_init(struct spinlock *lock, const char *name, enum spin_kind kind, unsigned cpu_count,
	       void *memory)
{
	memset(lock, 0, sizeof(*lock));
	memset(memory, 0, spin_bytes(cpu_count));
	lock->name = name;
	lock->kind = kind;
	lock->cpu_count = cpu_count;
	lock->cpus = memory;
	lock->anderson_slots = (void *)(lock->cpus + cpu_count);
	for (unsigned cpu = 0; cpu < cpu_count; cpu++)
		lock->cpus[cpu].clh = &lock->cpus[cpu].clh_node;
	init_word(lock);
}

#define DISPATCH(lock, call)                                                                       \
	switch ((lock)->kind) {                                                                    \
	default:                                                                                   \
		SPIN_FOR_EACH_KIND(call) call(none, SPIN_NONE)                                     \
	}

static bool try_kind(struct spinlock *lock, struct spin_node *node)
{
#define TRY(kind_name, kind)                                                                       \
	case kind:                                                                                 \
		return spin_try_##kind_name(lock, node);
	DISPATCH(lock, TRY)
#undef TRY
}

static void acquire_kind(struct spinlock *lock, struct spin_node *node)
{
#define ACQUIRE(kind_name, kind)                                                                   \
	case kind:                                                                                 \
		spin_acquire_##kind_name(lock, node);                                              \
		return;
	DISPATCH(lock, ACQUIRE)
#undef ACQUIRE
}

static void release_kind(struct spinlock *lock, struct spin_node *node)
{
#define RELEASE(kind_name, kind)                                                                   \
	case kind:                                                                                 \
		spin_release_##kind_name(lock, node);                                              \
		return;
	DISPATCH(lock, RELEASE)
#undef RELEASE
}

bool spin_locked_relaxed(struct spinlock *lock)
{
#define HELD(kind_name, kind)                                                                      \
	case kind:                                                                                 \
		return spin_held_##kind_name(lock);
	DISPATCH(lock, HELD)
#undef HELD
}

static unsigned bucket_of(uint64_t ticks)
{
	unsigned bucket = ticks ? 63 - (unsigned)__builtin_clzll(ticks) : 0;

	return bucket < SPIN_HISTOGRAM_BUCKETS ? bucket : SPIN_HISTOGRAM_BUCKETS - 1;
}

static void times_add(struct spin_times *times, uint64_t ticks)
{
	counter_add(&times->samples, 1);
	counter_add(&times->ticks_total, ticks);
	counter_add(&times->histogram[bucket_of(ticks)], 1);
	if (ticks > times->ticks_max)
		counter_set(&times->ticks_max, ticks);
}

static __attribute__((noinline)) void wait_for(struct spinlock *lock, struct spin_node *node)
{
	uint64_t started_ticks;

	node->contended = true;
	if (stats_mode == SPIN_STATS_OFF) {
		acquire_kind(lock, node);
		return;
	}
	started_ticks = port_clock();
	acquire_kind(lock, node);
	node->acquired_ticks = port_clock();
	node->waited_ticks = node->acquired_ticks - started_ticks;
}

void spin_lock(struct spinlock *lock, struct spin_node *node)
{
	node->acquired_ticks = 0;
	node->contended = false;
	if (__builtin_expect(!try_kind(lock, node), 0))
		wait_for(lock, node);
	else if (stats_mode == SPIN_STATS_ALL)
		node->acquired_ticks = port_clock();
}

void spin_unlock(struct spinlock *lock, struct spin_node *node)
{
	uint64_t released_ticks = node->acquired_ticks ? port_clock() : 0;
	struct spin_stats *stats;

	release_kind(lock, node);
	if (stats_mode == SPIN_STATS_OFF)
		return;
	stats = &lock->cpus[port_cpu()].stats;
	counter_add(&stats->acquisitions, 1);
	if (node->contended) {
		counter_add(&stats->contended, 1);
		times_add(&stats->wait, node->waited_ticks);
	}
	if (node->acquired_ticks)
		times_add(&stats->hold, released_ticks - node->acquired_ticks);
}

void spin_stats_configure(enum spin_stats_mode mode)
{
	stats_mode = mode;
}

static void times_merge(struct spin_times *sum, const struct spin_times *times)
{
	uint64_t ticks_max = counter_read(&times->ticks_max);

	sum->samples += counter_read(&times->samples);
	sum->ticks_total += counter_read(&times->ticks_total);
	if (ticks_max > sum->ticks_max)
		sum->ticks_max = ticks_max;
	for (unsigned i = 0; i < SPIN_HISTOGRAM_BUCKETS; i++)
		sum->histogram[i] += counter_read(&times->histogram[i]);
}

void spin_stats_add(const struct spinlock *lock, struct spin_stats *sum)
{
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++) {
		const struct spin_stats *stats = &lock->cpus[cpu].stats;

		sum->acquisitions += counter_read(&stats->acquisitions);
		sum->contended += counter_read(&stats->contended);
		times_merge(&sum->wait, &stats->wait);
		times_merge(&sum->hold, &stats->hold);
	}
}

void spin_stats_reset(struct spinlock *lock)
{
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
		memset(&lock->cpus[cpu].stats, 0, sizeof(lock->cpus[cpu].stats));
}
