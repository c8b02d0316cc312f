/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spinlock.c - the choice of algorithm and the statistics; the algorithms are in spin_kinds.c.
 *
 * What a cpu counts, it counts after its release, and what can be worked out for that is worked out
 * before it tries: nothing of it lengthens the critical section but the note of who holds the lock,
 * a store, and the reading of the clock where the mode asks for one.
 */
#include "sync/spinlock.h"

#include <string.h>

#include "sync/spin_kinds.h"
#include "sync/trace.h"

static enum spin_stats_mode stats_mode = SPIN_STATS_CONTENDED;
static bool matrix_wanted;

_Static_assert(offsetof(struct ck_spinlock_anderson, pad) <= 32 &&
		       offsetof(struct ck_spinlock_anderson, next) >= 40 &&
		       sizeof(struct ck_spinlock_ticket) <= 32 &&
		       sizeof(struct ck_spinlock_dec) <= 32,
	       "the holder's note lies beside the lock's word");

const char *spin_kind_name(enum spin_kind kind)
{
#define KIND_NAME(kind_name, kind) [kind] = #kind_name,
	static const char *const names[] = {SPIN_FOR_EACH_KIND(KIND_NAME)
						    KIND_NAME(none, SPIN_NONE)};
#undef KIND_NAME

	return (unsigned)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

bool spin_kind_is_fifo(enum spin_kind kind)
{
	return kind == SPIN_TICKET || kind == SPIN_MCS || kind == SPIN_CLH || kind == SPIN_ANDERSON;
}

bool spin_kind_needs_memory(enum spin_kind kind)
{
	return kind == SPIN_CLH || kind == SPIN_ANDERSON;
}

static size_t round_up_to_line(size_t bytes)
{
	return (bytes + PORT_CACHE_LINE - 1) & ~(size_t)(PORT_CACHE_LINE - 1);
}

/* One more clh node than cpus is in the lock itself; anderson's slots are one a cpu. */
size_t spin_bytes(unsigned cpu_count)
{
	size_t slots = cpu_count * sizeof(struct ck_spinlock_anderson_thread);

	return cpu_count * sizeof(struct spin_cpu) + round_up_to_line(slots);
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
	lock->name = name;
	lock->kind = kind;
	if (memory) {
		memset(memory, 0, spin_bytes(cpu_count));
		lock->cpu_count = cpu_count;
		lock->cpus = memory;
		lock->anderson_slots = (void *)(lock->cpus + cpu_count);
	} else if (spin_kind_needs_memory(kind)) {
		port_panic("spin_init: lock %s: no memory for %s", name, spin_kind_name(kind));
	}
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
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

/* ---- who waited for whom ----------------------------------------------------------------- */

static struct wait_matrix *matrix_row_of(const struct spinlock *lock, unsigned cpu)
{
	return (struct wait_matrix *)(lock->matrix + cpu * lock->matrix_stride);
}

static void waits_add(struct spin_waits *waits, const struct spin_waits *more)
{
	counter_add(&waits->count, counter_read(&more->count));
	counter_add(&waits->ticks, counter_read(&more->ticks));
}

/* Where the pair is, or where it may be: an empty entry, or the one with the least ticks. */
static struct spin_site_pair *place_of(struct spin_sites *sites, uint64_t waiter, uint64_t holder)
{
	struct spin_site_pair *place = &sites->pair[0];

	for (unsigned i = 0; i < SPIN_SITE_PAIRS; i++) {
		struct spin_site_pair *pair = &sites->pair[i];

		if (!pair->waits.count || (pair->waiter == waiter && pair->holder == holder))
			return pair;
		if (pair->waits.ticks < place->waits.ticks)
			place = pair;
	}
	return place;
}

static void sites_add(struct spin_sites *sites, uint64_t waiter, uint64_t holder,
		      const struct spin_waits *waits)
{
	struct spin_site_pair *pair = place_of(sites, waiter, holder);

	if (pair->waiter != waiter || pair->holder != holder) {
		waits_add(&sites->others, &pair->waits);
		counter_set(&pair->waits.count, 0);
		counter_set(&pair->waits.ticks, 0);
		counter_set(&pair->waiter, waiter);
		counter_set(&pair->holder, holder);
	}
	waits_add(&pair->waits, waits);
}

/* By the waiter, after its release. */
static void matrix_add_wait(struct spinlock *lock, const struct spin_node *node)
{
	const struct spin_waits wait = {1, node->waited_ticks};
	const struct spin_wait *begun = &node->counted->wait;
	uint64_t self = (uintptr_t)node->counted;
	uint64_t holder = begun->holder ? begun->holder : self;
	uint64_t site = holder == self ? 0 : begun->holder_site;
	struct wait_matrix *own = matrix_row_of(lock, (unsigned)(node->counted - lock->cpus));

	waits_add(&own->holder[(struct spin_cpu *)(uintptr_t)holder - lock->cpus], &wait);
	sites_add(&own->sites, counter_read(&node->counted->site), site, &wait);
}

void wait_matrix_configure(bool wanted)
{
	matrix_wanted = wanted;
}

static size_t matrix_stride(unsigned cpu_count)
{
	size_t bytes = sizeof(struct wait_matrix) + cpu_count * sizeof(struct spin_waits);

	return round_up_to_line(bytes);
}

size_t wait_matrix_bytes(unsigned cpu_count)
{
	return matrix_wanted ? cpu_count * matrix_stride(cpu_count) : 0;
}

void wait_matrix_start(struct spinlock *lock, void *memory)
{
	if (!matrix_wanted)
		return;
	lock->matrix_stride = matrix_stride(lock->cpu_count);
	memset(memory, 0, lock->cpu_count * lock->matrix_stride);
	lock->matrix = memory;
}

/* ---- acquire and release ------------------------------------------------------------------ */

/* Before it takes its place, and before the clock: what is read here is why it must wait. */
static void matrix_note_holder(struct spinlock *lock, struct spin_wait *wait)
{
	uint64_t holder = counter_read(&lock->word.note.holder);

	wait->holder = holder;
	wait->holder_site = holder ? counter_read(&((struct spin_cpu *)(uintptr_t)holder)->site)
				   : 0;
}

static __attribute__((noinline)) void wait_for(struct spinlock *lock, struct spin_node *node)
{
	uint64_t started_ticks;

	node->contended = true;
	if (!node->counted) {
		acquire_kind(lock, node);
		return;
	}
	node->counted->wait.trace_begun = trace_begin();
	matrix_note_holder(lock, &node->counted->wait);
	started_ticks = port_clock();
	acquire_kind(lock, node);
	counter_set(&lock->word.note.holder, (uintptr_t)node->counted);
	node->acquired_ticks = port_clock();
	node->waited_ticks = node->acquired_ticks - started_ticks;
}

/* Apart for each mode, so that none of them has to ask for it in its hold. */
static inline __attribute__((always_inline)) void lock_counted(struct spinlock *lock,
							       struct spin_node *node, bool timed)
{
	if (__builtin_expect(!try_kind(lock, node), 0)) {
		wait_for(lock, node);
		return;
	}
	counter_set(&lock->word.note.holder, (uintptr_t)node->counted);
	if (timed)
		node->acquired_ticks = port_clock();
}

void spin_lock(struct spinlock *lock, struct spin_node *node)
{
	enum spin_stats_mode mode = stats_mode;

	node->acquired_ticks = 0;
	node->contended = false;
	if (mode == SPIN_STATS_OFF || !lock->cpus) {
		node->counted = NULL;
		if (__builtin_expect(!try_kind(lock, node), 0))
			wait_for(lock, node);
		return;
	}
	node->counted = &lock->cpus[port_cpu()];
	counter_set(&node->counted->site, (uintptr_t)__builtin_return_address(0));
	if (mode == SPIN_STATS_CONTENDED)
		lock_counted(lock, node, false);
	else
		lock_counted(lock, node, true);
}

static __attribute__((noinline)) void count_wait(struct spinlock *lock, const struct spin_node *node)
{
	struct spin_stats *stats = &node->counted->stats;

	counter_add(&stats->contended, 1);
	times_add(&stats->wait, node->waited_ticks);
	trace_end(TRACE_LOCK_WAIT, node->counted->wait.trace_begun, trace_name(lock->name),
		  node->waited_ticks);
	if (lock->matrix)
		matrix_add_wait(lock, node);
}

/* Of an acquire that has read the clock, as it waited or as all do, there is more to count. */
void spin_unlock(struct spinlock *lock, struct spin_node *node)
{
	uint64_t released_ticks = node->acquired_ticks ? port_clock() : 0;

	release_kind(lock, node);
	if (!node->counted)
		return;
	counter_add(&node->counted->stats.acquisitions, 1);
	if (__builtin_expect(!released_ticks, 1))
		return;
	if (node->contended)
		count_wait(lock, node);
	times_add(&node->counted->stats.hold, released_ticks - node->acquired_ticks);
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

struct spin_waits wait_matrix_read(const struct spinlock *lock, unsigned waiter, unsigned holder)
{
	struct spin_waits waits = {0};

	if (lock->matrix)
		waits_add(&waits, &matrix_row_of(lock, waiter)->holder[holder]);
	return waits;
}

void spin_sites_merge(struct spin_sites *sum, const struct spin_sites *sites)
{
	for (unsigned i = 0; i < SPIN_SITE_PAIRS; i++)
		if (sites->pair[i].waits.count)
			sites_add(sum, sites->pair[i].waiter, sites->pair[i].holder,
				  &sites->pair[i].waits);
	waits_add(&sum->others, &sites->others);
}

void spin_sites_add(const struct spinlock *lock, struct spin_sites *sum)
{
	for (unsigned cpu = 0; lock->matrix && cpu < lock->cpu_count; cpu++)
		spin_sites_merge(sum, &matrix_row_of(lock, cpu)->sites);
}

void spin_stats_reset(struct spinlock *lock)
{
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
		memset(&lock->cpus[cpu].stats, 0, sizeof(lock->cpus[cpu].stats));
	if (lock->matrix)
		memset(lock->matrix, 0, lock->cpu_count * lock->matrix_stride);
}
