/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_trial.c - see lock_trial.h. It looks into the locks' own words, as only a test may.
 *
 * Covers: sync/spinlock.c sync/spin_kinds.c
 */
#include "tests/smp/selftest/lock_trial.h"

#include <limits.h>
#include <string.h>

#include <port.h>

#include "sync/ck.h"
#include "sync/spin_kinds.h"
#include "tests/smp/random.h"
#include "tests/smp/smp.h"

#define TRIES	5
#define ANYBODY UINT32_MAX

static size_t round_up(size_t bytes)
{
	return (bytes + PORT_CACHE_LINE - 1) & ~(size_t)(PORT_CACHE_LINE - 1);
}

size_t lock_trial_bytes(unsigned cpus)
{
	return round_up(spin_bytes(port_cpu_count())) + cpus * sizeof(struct lock_trier) +
	       round_up(2 * cpus * sizeof(unsigned));
}

static void prepare(struct lock_trial *trial, char *memory)
{
	spin_init(&trial->lock, "trial", trial->kind, port_cpu_count(), memory);
	memory += round_up(spin_bytes(port_cpu_count()));
	trial->triers = (struct lock_trier *)memory;
	trial->turns = (unsigned *)(trial->triers + trial->cpus);
	trial->served = trial->turns + trial->cpus;
	memset(memory, 0, lock_trial_bytes(trial->cpus) - round_up(spin_bytes(port_cpu_count())));
	barrier_init(&trial->barrier, trial->cpus);
	trial->progress = 0;
	trial->out_of_order = trial->served_count = 0;
	trial->tried = trial->come = trial->over = 0;
	trial->last = trial->streak = 0;
	trial->group_last = trial->group_streak = trial->passed_too_long = 0;
	trial->streak_max = 0;
	trial->plain_holds = trial->left = trial->right = 0;
	trial->inside = 0;
}

/* ---- the words of the queues -------------------------------------------------------------- */

#if defined(CK_F_SPINLOCK_TICKET_TRYLOCK)
/* Where the kit knows x86, the next ticket is above the position, in one word. */
#define TICKET_BITS 16
_Static_assert(sizeof(struct ck_spinlock_ticket) * 8 == 2 * TICKET_BITS, "two halves");

static unsigned tickets_taken(struct ck_spinlock_ticket *ticket)
{
	return ck_pr_load_32(&ticket->value) >> TICKET_BITS;
}

static unsigned tickets_waiting(struct ck_spinlock_ticket *ticket)
{
	uint32_t value = ck_pr_load_32(&ticket->value);

	return ((value >> TICKET_BITS) - value - 1) & 0xffff;
}

static void tickets_start(struct ck_spinlock_ticket *ticket, unsigned start)
{
	ticket->value = start << TICKET_BITS | (start & 0xffff);
}
#else
static unsigned tickets_taken(struct ck_spinlock_ticket *ticket)
{
	return ck_pr_load_uint(&ticket->next);
}

static unsigned tickets_waiting(struct ck_spinlock_ticket *ticket)
{
	return ck_pr_load_uint(&ticket->next) - ck_pr_load_uint(&ticket->position) - 1;
}

static void tickets_start(struct ck_spinlock_ticket *ticket, unsigned start)
{
	ticket->next = ticket->position = start;
}
#endif

/* Something that is another with each cpu that takes its place in the queue. */
static uintptr_t queue_end(struct spinlock *lock)
{
	switch (lock->kind) {
	case SPIN_TICKET:
	case SPIN_TICKET_PB:
		return tickets_taken(&lock->word.ticket);
	case SPIN_QSPINLOCK:
		return ck_pr_load_64(&lock->word.qspinlock.word);
	case SPIN_RECIPROCATING:
		return ck_pr_load_64(&lock->word.reciprocating.arrivals);
	case SPIN_MCS:
		return (uintptr_t)ck_pr_load_ptr(&lock->word.mcs);
	case SPIN_CLH:
		return (uintptr_t)ck_pr_load_ptr(&lock->word.clh);
	case SPIN_HCLH:
		return (uintptr_t)ck_pr_load_ptr(&lock->word.hclh.end);
	case SPIN_ANDERSON:
		return ck_pr_load_uint(&lock->word.anderson.next);
	default:
		return 0;
	}
}

/*
 * Whether queue_end() shows that a cpu has its place. That of hclh is one in the global queue, with
 * the last cpu of a batch.
 */
static bool shows_places(enum spin_kind kind)
{
	return spin_kind_is_fifo(kind) || kind == SPIN_RECIPROCATING || kind == SPIN_HCLH;
}

/* The pending cpu, and at least one more if the queue is not empty. */
static unsigned qspinlock_waiting(struct spin_qspinlock *word)
{
	uint64_t value = ck_pr_load_64(&word->word);

	return ((value & SPIN_QSPINLOCK_PENDING) != 0) + ((value & ~SPIN_QSPINLOCK_BITS) != 0);
}

/* A cpu below the holder in its segment, or one that has arrived since the segment was taken. */
static unsigned reciprocating_waiting(struct spin_reciprocating *word,
				      struct spin_reciprocating_node *node)
{
	return node->successor != 0 || ck_pr_load_64(&word->arrivals) != ck_pr_load_64(&node->gate);
}

static unsigned anderson_waiting(struct ck_spinlock_anderson *word, const struct spin_node *node)
{
	unsigned next = ck_pr_load_uint(&word->next) % word->count;

	return (next + word->count - node->anderson->position - 1) % word->count;
}

/*
 * By the holder: cpus that wait in the queue, at least. mcs, clh, reciprocating and hclh show whether
 * there is one.
 */
static unsigned queue_waiting(struct spinlock *lock, struct spin_node *node)
{
	switch (lock->kind) {
	case SPIN_TICKET:
	case SPIN_TICKET_PB:
		return tickets_waiting(&lock->word.ticket);
	case SPIN_QSPINLOCK:
		return qspinlock_waiting(&lock->word.qspinlock);
	case SPIN_RECIPROCATING:
		return reciprocating_waiting(&lock->word.reciprocating, &node->reciprocating);
	case SPIN_MCS:
		return ck_pr_load_ptr(&lock->word.mcs) != &node->mcs;
	case SPIN_CLH:
		return ck_pr_load_ptr(&lock->word.clh) != lock->cpus[port_cpu()].clh;
	case SPIN_HCLH:
		return ck_pr_load_ptr(&lock->word.hclh.end) != lock->cpus[port_cpu()].hclh;
	case SPIN_ANDERSON:
		return anderson_waiting(&lock->word.anderson, node);
	default:
		return 0;
	}
}

/* At rest: sets the counters so that one goes back to 0 after `turns` more acquires. */
static void queue_wraps_after(struct spinlock *lock, unsigned turns)
{
	struct ck_spinlock_anderson *anderson = &lock->word.anderson;
	unsigned start = UINT_MAX - turns + 1;

	if (lock->kind == SPIN_TICKET || lock->kind == SPIN_TICKET_PB || lock->kind == SPIN_COHORT)
		tickets_start(&lock->word.ticket, start);
	if (lock->kind != SPIN_ANDERSON)
		return;
	anderson->next = start;
	for (unsigned i = 0; i < anderson->count; i++)
		anderson->slots[i].locked = i != start % anderson->count;
}

/* ---- a hold ------------------------------------------------------------------------------ */

/* Everything a hold does to what the lock guards; says which hold it is, counted from 0. */
static uint64_t hold(struct lock_trial *trial, struct lock_trier *self)
{
	uint64_t number = ck_pr_faa_64(&trial->progress, 1), plain = trial->plain_holds;
	unsigned me = port_cpu() + 1;

	self->met += trial->inside != 0 || trial->left != trial->right;
	trial->inside = me;
	trial->left = number + 1;
	if (number % 16 == 0)
		port_relax();
	self->met += trial->inside != me || trial->left != number + 1;
	trial->right = number + 1;
	trial->inside = 0;
	trial->plain_holds = plain + 1;
	self->holds++;
	return number;
}

/* ---- tries ------------------------------------------------------------------------------- */

static bool try_once(struct spinlock *lock, struct spin_node *node)
{
#define TRY(kind_name, kind)                                                                       \
	case kind:                                                                                 \
		return spin_try_##kind_name(lock, node);
	switch (lock->kind) {
	default:
		SPIN_FOR_EACH_KIND(TRY)
	}
#undef TRY
}

static void give_back(struct spinlock *lock, struct spin_node *node)
{
#define RELEASE(kind_name, kind)                                                                   \
	case kind:                                                                                 \
		spin_release_##kind_name(lock, node);                                              \
		return;
	switch (lock->kind) {
	default:
		SPIN_FOR_EACH_KIND(RELEASE)
	}
#undef RELEASE
}

/* The last cpu has it by a try; everybody tries in vain, itself too; and it is free again. */
static void work_tries(void *argument)
{
	struct lock_trial *trial = argument;
	struct lock_trier *self = &trial->triers[port_cpu()];
	bool is_holder = port_cpu() == trial->cpus - 1;
	struct spin_node node, in_vain;

	if (is_holder) {
		self->tries_wrong += spin_locked_relaxed(&trial->lock);
		self->tries_wrong += !try_once(&trial->lock, &node);
	}
	barrier_wait(&trial->barrier);
	for (unsigned i = 0; i < TRIES; i++)
		self->tries_wrong += try_once(&trial->lock, &in_vain);
	self->tries_wrong += !spin_locked_relaxed(&trial->lock);
	barrier_wait(&trial->barrier);
	if (is_holder)
		give_back(&trial->lock, &node);
}

/* ---- arranged arrivals ------------------------------------------------------------------- */

/* Cpus 1 and up in a different random order each round; cpu 0 comes last, for the second time. */
static void draw_turns(struct lock_trial *trial, uint64_t *random)
{
	for (unsigned i = 0; i + 1 < trial->cpus; i++) {
		unsigned other = (unsigned)random_below(random, i + 1);

		trial->turns[i] = trial->turns[other];
		trial->turns[other] = i + 1;
	}
	trial->turns[trial->cpus - 1] = 0;
}

/*
 * The word that calls a cpu: different in each round, because the word of the last round is still
 * there.
 */
static uint32_t call_of(const struct lock_trial *trial, unsigned round, unsigned cpu)
{
	return round * trial->cpus + cpu + 1;
}

/* By cpu 0, the holder: calls the other cpus in, each when the previous cpu is in the queue. */
static void call_in(struct lock_trial *trial, unsigned round)
{
	for (unsigned i = 0; i + 1 < trial->cpus; i++) {
		uintptr_t end = queue_end(&trial->lock);

		ck_pr_store_32(&trial->called, call_of(trial, round, trial->turns[i]));
		while (queue_end(&trial->lock) == end)
			port_relax();
	}
}

static void be_served(struct lock_trial *trial, struct lock_trier *self)
{
	struct spin_node node;
	unsigned place;

	spin_lock(&trial->lock, &node);
	hold(trial, self);
	place = ck_pr_faa_uint(&trial->served_count, 1) % trial->cpus;
	trial->served[place] = port_cpu();
	spin_unlock(&trial->lock, &node);
}

/*
 * Which cpu the lock promises at this place of a round. A stack serves the called cpus from the last
 * to the first; cpu 0, which comes after its release, is in a later segment.
 */
static unsigned promised(const struct lock_trial *trial, unsigned place)
{
	if (trial->kind == SPIN_RECIPROCATING && place + 1 < trial->cpus)
		place = trial->cpus - 2 - place;
	return trial->turns[place];
}

/* Under the lock, so that what the others noted under it is seen. */
static void look_at_round(struct lock_trial *trial)
{
	struct spin_node node;

	spin_lock(&trial->lock, &node);
	for (unsigned i = 0; i < trial->cpus; i++)
		trial->out_of_order += trial->served[i] != promised(trial, i);
	hold(trial, &trial->triers[0]);
	spin_unlock(&trial->lock, &node);
}

/* By cpu 0. A cpu that is served out of turn may come after cpu 0, so cpu 0 waits for all. */
static void arrange(struct lock_trial *trial, struct lock_trier *self, unsigned round)
{
	struct spin_node node;

	spin_lock(&trial->lock, &node);
	hold(trial, self);
	call_in(trial, round);
	spin_unlock(&trial->lock, &node);
	be_served(trial, self);
	while (ck_pr_load_uint(&trial->served_count) < (round + 1) * trial->cpus)
		port_relax();
	look_at_round(trial);
}

static void work_arrivals(void *argument)
{
	struct lock_trial *trial = argument;
	struct lock_trier *self = &trial->triers[port_cpu()];
	uint64_t random = trial->seed * 2 + 1;

	for (unsigned round = 0; round < trial->arrivals; round++) {
		if (port_cpu() == 0) {
			draw_turns(trial, &random);
			arrange(trial, self, round);
			continue;
		}
		while (ck_pr_load_32(&trial->called) != call_of(trial, round, port_cpu()))
			port_relax();
		be_served(trial, self);
	}
}

/* ---- the crowd --------------------------------------------------------------------------- */

/*
 * By cpu 0, which holds the lock: lets the others try for it and waits until all do. That they are
 * in a queue can be seen; of the other algorithms no more than that they are about to call.
 */
static void let_crowd_in(struct lock_trial *trial)
{
	if (shows_places(trial->kind))
		call_in(trial, 0);
	else
		ck_pr_store_32(&trial->called, ANYBODY);
	while (ck_pr_load_32(&trial->tried) + 1 < trial->cpus)
		port_relax();
}

static void wait_to_be_let_in(struct lock_trial *trial)
{
	uint32_t called;

	do {
		port_relax();
		called = ck_pr_load_32(&trial->called);
	} while (called != ANYBODY && called != call_of(trial, 0, port_cpu()));
	ck_pr_inc_32(&trial->tried);
}

/*
 * In the critical section of a cohort: holds in a row by cpus of one group, from the first at which
 * another group was seen waiting for the global lock. Such a row is part of one hold of that lock.
 */
static void count_group(struct lock_trial *trial)
{
	unsigned group = port_cpu_group() + 1;

	if (trial->kind != SPIN_COHORT)
		return;
	trial->group_streak = trial->group_last == group ? trial->group_streak + 1 : 1;
	trial->passed_too_long += trial->group_streak > CK_COHORT_DEFAULT_LOCAL_PASS_LIMIT;
	trial->group_last = tickets_waiting(&trial->lock.word.ticket) ? group : 0;
}

/*
 * In the critical section, with the hold's number: counts the holds of this cpu, and those that
 * came before its turn. The cpus that were called in all wait before cpu 0 releases the lock, so
 * each of them comes before a cpu that has been served since. Ends the crowd when there are enough holds.
 */
static void count_hold(struct lock_trial *trial, struct lock_trier *self, uint64_t number)
{
	bool measured = number < trial->measured_to;

	self->too_early += number < self->not_before;
	if (self->crowd_holds == 0 && port_cpu() != 0 && shows_places(trial->kind))
		self->too_late += number >= trial->measured_to - trial->holds - 1 + trial->cpus;
	count_group(trial);
	self->crowd_holds++;
	self->measured_holds += measured;
	trial->streak = trial->last == port_cpu() + 1 ? trial->streak + 1 : 1;
	trial->last = port_cpu() + 1;
	if (measured && trial->streak > trial->streak_max)
		trial->streak_max = trial->streak;
	if (self->crowd_holds == 1)
		ck_pr_inc_32(&trial->come);
	if (!measured && ck_pr_load_32(&trial->come) == trial->cpus)
		ck_pr_store_32(&trial->over, 1);
}

static void crowd_once(struct lock_trial *trial, struct lock_trier *self)
{
	uint64_t called = ck_pr_load_64(&trial->progress), number;
	struct spin_node node;

	spin_lock(&trial->lock, &node);
	number = hold(trial, self);
	count_hold(trial, self, number);
	if (number - called > self->overtaken_max && number < trial->measured_to)
		self->overtaken_max = number - called;
	self->not_before = number + 1 + queue_waiting(&trial->lock, &node);
	spin_unlock(&trial->lock, &node);
}

static void work_crowd(void *argument)
{
	struct lock_trial *trial = argument;
	struct lock_trier *self = &trial->triers[port_cpu()];

	if (port_cpu() == 0) {
		struct spin_node node;

		spin_lock(&trial->lock, &node);
		hold(trial, self);
		let_crowd_in(trial);
		spin_unlock(&trial->lock, &node);
	} else {
		wait_to_be_let_in(trial);
	}
	while (!ck_pr_load_32(&trial->over))
		crowd_once(trial, self);
}

static void measure(struct lock_trial *trial)
{
	struct lock_fairness *fairness = &trial->fairness;
	uint64_t squares = 0;

	memset(fairness, 0, sizeof(*fairness));
	fairness->least = UINT64_MAX;
	fairness->streak_max = trial->streak_max;
	for (unsigned cpu = 0; cpu < trial->cpus; cpu++) {
		const struct lock_trier *trier = &trial->triers[cpu];
		uint64_t holds = trier->measured_holds;

		fairness->holds += holds;
		squares += holds * holds;
		fairness->least = holds < fairness->least ? holds : fairness->least;
		fairness->most = holds > fairness->most ? holds : fairness->most;
		if (trier->overtaken_max > fairness->overtaken_max)
			fairness->overtaken_max = trier->overtaken_max;
	}
	fairness->jain_thousandths = 1000 * fairness->holds / trial->cpus * fairness->holds /
				     squares;
}

/* ---- what was wrong ---------------------------------------------------------------------- */

static const char *look_at_times(const struct spin_times *times, uint64_t samples)
{
	uint64_t in_histogram = 0;

	for (unsigned i = 0; i < SPIN_HISTOGRAM_BUCKETS; i++)
		in_histogram += times->histogram[i];
	return times->samples != samples || in_histogram != samples
		       ? "waits and contended acquisitions are not as many"
		       : NULL;
}

/* Between `least` and `most` acquisitions had to wait. */
static const char *look_at_statistics(const struct lock_trial *trial, uint64_t least, uint64_t most)
{
	struct spin_stats sum = {0};

	for (unsigned cpu = 0; cpu < trial->cpus; cpu++) {
		uint64_t holds = trial->counted ? trial->triers[cpu].holds : 0;

		if (spin_stats_of(&trial->lock, cpu)->acquisitions != holds)
			return "a cpu's acquisitions are miscounted";
	}
	spin_stats_add(&trial->lock, &sum);
	if (sum.acquisitions != (trial->counted ? trial->progress : 0))
		return "acquisitions do not add up";
	if (trial->counted && (sum.contended < least || sum.contended > most))
		return "acquisitions that had to wait are miscounted";
	return look_at_times(&sum.wait, sum.contended);
}

static const char *look_at_holds(struct lock_trial *trial)
{
	unsigned met = 0, too_early = 0, too_late = 0;

	for (unsigned cpu = 0; cpu < trial->cpus; cpu++) {
		met += trial->triers[cpu].met;
		too_early += trial->triers[cpu].too_early;
		too_late += trial->triers[cpu].too_late;
	}
	if (met)
		return "two cpus were inside at once";
	if (trial->plain_holds != trial->progress)
		return "updates were lost";
	if (trial->out_of_order)
		return "cpus were not served in the order that the lock promises";
	if (too_early)
		return "a cpu was served again before others that had waited";
	if (too_late)
		return "a cpu that had waited was served after a cpu that came later";
	if (trial->passed_too_long)
		return "a group kept the lock too long while another group waited";
	return spin_locked_relaxed(&trial->lock) ? "no cpu holds it, and it is not free" : NULL;
}

static const char *look_at_tries(const struct lock_trial *trial)
{
	for (unsigned cpu = 0; cpu < trial->cpus; cpu++)
		if (trial->triers[cpu].tries_wrong)
			return "a try took a lock that was held, or not one that was free";
	return NULL;
}

static const char *try_arrivals(struct lock_trial *trial)
{
	/*
	 * The called cpus wait. Cpu 0 may find that all have left, or that the last is leaving,
	 * twice.
	 */
	uint64_t waits = (uint64_t)trial->arrivals * (trial->cpus - 1);
	const char *wrong;

	if (!shows_places(trial->kind) || trial->cpus == 1)
		return NULL;
	trial->called = 0;
	queue_wraps_after(&trial->lock, trial->cpus / 2 + 1);
	smp_run(work_arrivals, trial, trial->cpus);
	wrong = look_at_holds(trial);
	return wrong ? wrong : look_at_statistics(trial, waits, waits + 2 * trial->arrivals);
}

static const char *try_crowd(struct lock_trial *trial)
{
	uint64_t random = trial->seed * 2 + 1;
	const char *wrong;

	queue_wraps_after(&trial->lock, trial->cpus + 2);
	draw_turns(trial, &random);
	trial->called = 0;
	trial->measured_to = trial->progress + 1 + trial->holds;
	smp_run(work_crowd, trial, trial->cpus);
	measure(trial);
	wrong = look_at_holds(trial);
	return wrong ? wrong : look_at_statistics(trial, 0, trial->cpus > 1 ? trial->progress : 0);
}

const char *lock_trial_run(struct lock_trial *trial, void *memory)
{
	const char *wrong;

	prepare(trial, memory);
	smp_run(work_tries, trial, trial->cpus);
	wrong = look_at_tries(trial);
	if (!wrong)
		wrong = try_arrivals(trial);
	return wrong ? wrong : try_crowd(trial);
}
