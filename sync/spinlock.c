/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spinlock.c - the choice of algorithm; the algorithms are in spin_kinds.c.
 *
 * lock_stats_on_*() are the hooks of the layers over the lock (lock_hooks.h). A build without these
 * layers has nothing there.
 */
#include "sync/spinlock.h"

#include <string.h>

#include "sync/counter_start.h"
#include "sync/lock_hooks.h"
#include "sync/spin_kinds.h"

#if LOCK_OWNERS
_Static_assert(offsetof(struct lock_owner_note, holder) == 32 &&
		       offsetof(struct ck_spinlock_anderson, pad) <= 32 &&
		       offsetof(struct ck_spinlock_anderson, next) >= 40 &&
		       sizeof(struct ck_spinlock_ticket) <= 32 &&
		       sizeof(struct ck_spinlock_dec) <= 32 && sizeof(struct spin_qspinlock) <= 32 &&
		       sizeof(struct spin_reciprocating) <= 32 && sizeof(struct spin_hclh) <= 32,
	       "the holder's note lies beside the lock's word");
#endif

#if COUNTERS_NEAR_WRAP
uint32_t counters_left = COUNTER_LEFT;
#endif

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
	return kind == SPIN_TICKET || kind == SPIN_MCS || kind == SPIN_CLH ||
	       kind == SPIN_ANDERSON || kind == SPIN_TICKET_PB || kind == SPIN_QSPINLOCK;
}

bool spin_kind_hands_over(enum spin_kind kind)
{
	return spin_kind_is_fifo(kind) || kind == SPIN_COHORT || kind == SPIN_RECIPROCATING ||
	       kind == SPIN_HCLH;
}

bool spin_kind_needs_memory(enum spin_kind kind)
{
	return kind == SPIN_CLH || kind == SPIN_ANDERSON || kind == SPIN_COHORT ||
	       kind == SPIN_HCLH;
}

/*
 * clh and hclh have one more node than there are CPUs, in the lock itself; anderson has a slot for
 * each CPU; the groups of cohort and hclh are in the parts of some CPUs.
 */
size_t spin_bytes(unsigned cpu_count)
{
	size_t slots = cpu_count * sizeof(struct ck_spinlock_anderson_thread);

	return cpu_count * sizeof(struct spin_cpu) + cache_line_round_up(slots);
}

static void init_groups(struct spinlock *lock)
{
	ck_spinlock_ticket_init(&lock->word.ticket);
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++) {
		struct spin_group *group = &lock->cpus[cpu].group;

		ck_spinlock_mcs_init(&group->local);
		ck_cohort_spin_init(&group->cohort, &lock->word.ticket, &group->local,
				    CK_COHORT_DEFAULT_LOCAL_PASS_LIMIT);
	}
}

static void init_hclh(struct spinlock *lock)
{
	spin_hclh_init(&lock->word.hclh, &lock->hclh_unowned);
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++) {
		spin_hclh_init(&lock->cpus[cpu].hclh_queue, &lock->hclh_unowned);
		lock->cpus[cpu].hclh = &lock->cpus[cpu].hclh_node;
	}
}

static void init_clh(struct spinlock *lock)
{
	ck_spinlock_clh_init(&lock->word.clh, &lock->clh_unowned);
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
		lock->cpus[cpu].clh = &lock->cpus[cpu].clh_node;
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
	case SPIN_TICKET_PB:
		ck_spinlock_ticket_init(&lock->word.ticket);
		break;
	case SPIN_MCS:
		ck_spinlock_mcs_init(&lock->word.mcs);
		break;
	case SPIN_CLH:
		init_clh(lock);
		break;
	case SPIN_ANDERSON:
		ck_spinlock_anderson_init(&lock->word.anderson, lock->anderson_slots,
					  lock->cpu_count);
		break;
	case SPIN_COHORT:
		init_groups(lock);
		break;
	case SPIN_QSPINLOCK:
		spin_qspinlock_init(&lock->word.qspinlock);
		break;
	case SPIN_RECIPROCATING:
		spin_reciprocating_init(&lock->word.reciprocating);
		break;
	case SPIN_HCLH:
		init_hclh(lock);
		break;
	case SPIN_NONE: /* without an owner since the memset */
		break;
	default:
		port_panic("spin_init: lock %s: no algorithm %d", lock->name, (int)lock->kind);
	}
}

#if COUNTERS_NEAR_WRAP
/*
 * At the same distance from the wrap as other counters. In the slots of anderson the CPU that has the place
 * `next` finds its slot free.
 */
static void start_near_wrap(struct spinlock *lock)
{
	struct ck_spinlock_anderson *anderson = &lock->word.anderson;

	if (lock->kind == SPIN_ANDERSON) {
		anderson->slots[0].locked = true;
		anderson->next = COUNTER_START_32;
		anderson->slots[anderson->next % anderson->count].locked = false;
	}
#if !defined(CK_F_SPINLOCK_TICKET_TRYLOCK) /* where the whole ticket lock is not one word */
	if (lock->kind == SPIN_TICKET || lock->kind == SPIN_TICKET_PB || lock->kind == SPIN_COHORT)
		lock->word.ticket.next = lock->word.ticket.position = COUNTER_START_32;
#endif
}
#endif

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
	init_word(lock);
#if COUNTERS_NEAR_WRAP
	start_near_wrap(lock);
#endif
	lock->algorithm = spin_algorithms[kind];
}

/* ---- one function of the lock's kind ------------------------------------------------------ */

static inline bool try_kind(struct spinlock *lock, struct spin_node *node)
{
	return lock->algorithm.try_acquire(lock, node);
}

static inline void acquire_kind(struct spinlock *lock, struct spin_node *node)
{
	lock->algorithm.acquire(lock, node);
}

static inline void release_kind(struct spinlock *lock, struct spin_node *node)
{
	lock->algorithm.release(lock, node);
}

/* Also of a lock of zeros, which has not been made yet: it is free. */
bool spin_locked_relaxed(struct spinlock *lock)
{
	return lock->algorithm.held && lock->algorithm.held(lock);
}

/* ---- acquire and release ------------------------------------------------------------------ */

/* Not inlined, so that an acquire without a wait does not save registers for the wait. */
static __attribute__((noinline)) void wait_for(struct spinlock *lock, struct spin_node *node)
{
	struct lock_wait_noted noted;
	uint64_t started_ticks;

	node->contended = true;
	lock_wait_begin(lock, node, &noted);
	started_ticks = lock_stats_on_wait(lock, node);
	acquire_kind(lock, node);
	lock_wait_end(&noted);
	lock_stats_on_waited(lock, node, started_ticks);
}

static inline __attribute__((always_inline)) void acquire(struct spinlock *lock,
							  struct spin_node *node,
							  enum spin_stats_mode mode)
{
	if (__builtin_expect(!try_kind(lock, node), 0))
		wait_for(lock, node);
	else
		lock_stats_on_acquire(lock, node, mode);
}

/*
 * The mode is a constant in each call of acquire(), so no critical section begins with testing it.
 */
void spin_lock(struct spinlock *lock, struct spin_node *node)
{
	enum spin_stats_mode mode = lock_stats_on_lock(lock, node, __builtin_return_address(0));

	node->contended = false;
	if (mode == SPIN_STATS_OFF)
		acquire(lock, node, SPIN_STATS_OFF);
	else if (mode == SPIN_STATS_CONTENDED)
		acquire(lock, node, SPIN_STATS_CONTENDED);
	else
		acquire(lock, node, SPIN_STATS_ALL);
}

void spin_lock_found_held(struct spinlock *lock, struct spin_node *node)
{
	(void)lock_stats_on_lock(lock, node, __builtin_return_address(0));
	wait_for(lock, node);
}

void spin_unlock(struct spinlock *lock, struct spin_node *node)
{
	uint64_t released_ticks = lock_stats_on_unlock(lock, node);

	release_kind(lock, node);
	lock_stats_on_unlocked(lock, node, released_ticks);
}
