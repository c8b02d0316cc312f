/* SPDX-License-Identifier: BSD-2-Clause */
/* wait_matrix.c - see wait_matrix.h. All of it runs outside critical sections. */
#include "sync/wait_matrix.h"

#if WAIT_MATRIX

#include <string.h>

#include "sync/lock_hooks.h"
#include "sync/spinlock.h"

static bool matrix_wanted;

static struct wait_matrix *matrix_row_of(const struct spinlock *lock, unsigned cpu)
{
	return (struct wait_matrix *)(lock->matrix.rows + cpu * lock->matrix.row_bytes);
}

static void waits_add(struct spin_waits *waits, const struct spin_waits *more)
{
	counter_add(&waits->count, counter_read(&more->count));
	counter_add(&waits->ticks, counter_read(&more->ticks));
}

/*
 * The entry of the pair, or the entry to use for it: an empty entry, or the entry with the fewest
 * ticks.
 */
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

/* ---- counting: by the waiter, after its release ------------------------------------------- */

void wait_matrix_count(struct spinlock *lock, const struct spin_node *node)
{
	const struct spin_cpu *waiter = node->stats.counted;
	const struct spin_waits wait = {1, node->stats.waited_ticks};
	unsigned self = (unsigned)(waiter - lock->cpus);
	struct lock_owner holder = lock_owner_unpack(waiter->matrix.holder);
	struct wait_matrix *own;

	if (!lock->matrix.rows)
		return;
	if (!holder.site || holder.cpu == self)
		holder = (struct lock_owner){.cpu = self};
	own = matrix_row_of(lock, self);
	waits_add(&own->holder[holder.cpu], &wait);
	sites_add(&own->sites, lock_owner_unpack(node->owner.note).site, holder.site, &wait);
}

/* ---- making ------------------------------------------------------------------------------- */

void wait_matrix_configure(bool wanted)
{
	matrix_wanted = wanted;
}

static size_t row_bytes(unsigned cpu_count)
{
	return cache_line_round_up(sizeof(struct wait_matrix) +
				   cpu_count * sizeof(struct spin_waits));
}

size_t wait_matrix_bytes(unsigned cpu_count)
{
	return matrix_wanted ? cpu_count * row_bytes(cpu_count) : 0;
}

void wait_matrix_start(struct spinlock *lock, void *memory)
{
	if (!matrix_wanted)
		return;
	lock->matrix.rows = memory;
	lock->matrix.row_bytes = row_bytes(lock->cpu_count);
	wait_matrix_reset(lock);
}

void wait_matrix_reset(struct spinlock *lock)
{
	if (lock->matrix.rows)
		memset(lock->matrix.rows, 0, lock->cpu_count * lock->matrix.row_bytes);
}

/* ---- reading ------------------------------------------------------------------------------ */

bool wait_matrix_exists(const struct spinlock *lock)
{
	return lock->matrix.rows != NULL;
}

struct spin_waits wait_matrix_read(const struct spinlock *lock, unsigned waiter, unsigned holder)
{
	struct spin_waits waits = {0};

	if (lock->matrix.rows)
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
	for (unsigned cpu = 0; lock->matrix.rows && cpu < lock->cpu_count; cpu++)
		spin_sites_merge(sum, &matrix_row_of(lock, cpu)->sites);
}

#endif
