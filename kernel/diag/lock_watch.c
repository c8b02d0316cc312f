/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_watch.c - see lock_watch.h.
 *
 * Only a deadlock is a panic. A cpu whose hart the host does not run may hold a lock for any time, so a
 * long wait alone proves nothing: it is printed, and the wait goes on.
 *
 * `reported` and `reports` are written by the cpus that print, by atomics.
 */
#include "kernel/diag/lock_watch.h"

#include <stdio.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "kernel/boot/early.h"
#include "kernel/boot/memory.h"
#include "kernel/diag/console.h"
#include "kernel/diag/lock_chain.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "sync/ck.h"
#include "sync/lock_owners.h"

/* Clocks of two harts differ by less than this part of a second. */
#define CLOCKS_PART_OF_A_SECOND 1000

static uint64_t reported; /* when a long wait was last printed; 0: never; atomic */
static uint32_t reports;  /* atomic */

/* True for one cpu in the time that makes a wait a long one. */
static bool may_report(uint64_t now, uint64_t bound)
{
	uint64_t last = ck_pr_load_64(&reported);

	return (!last || now - last >= bound) && ck_pr_cas_64(&reported, last, now);
}

/*
 * A cpu that prints meanwhile has not ended its line: this one looks again later. Two cpus that begin
 * to print at the same instant still mix their lines.
 */
static void report(const struct lock_wait *wait, uint64_t now, uint64_t bound)
{
	if (console_line_is_open() || !may_report(now, bound))
		return;
	printf("cpu %u has waited for a lock for %llu s:\n", port_cpu(),
	       (unsigned long long)((now - wait->since) / settings.timebase));
	lock_chains_print();
	ck_pr_inc_32(&reports);
}

unsigned lock_watch_reports(void)
{
	return ck_pr_load_32(&reports);
}

static void look(void)
{
	uint64_t bound = settings.arguments.stuck_s * settings.timebase, now;
	char circle[160];
	struct lock_wait wait;

	if (!lock_wait_of(port_cpu(), &wait))
		return;
	panic_park(wait.site - 1); /* within the call */
	now = hart_time();
	if (!bound || now - wait.since < bound)
		return;
	/* The last cpu of a circle that comes here panics; the others wait for it. */
	if (lock_wait_is_deadlock(settings.timebase / CLOCKS_PART_OF_A_SECOND) &&
	    lock_chain_circle(port_cpu(), circle, sizeof(circle)))
		port_panic("deadlock: %s", circle);
	if (!lock_chain_circle(port_cpu(), circle, sizeof(circle)))
		report(&wait, now, bound);
}

/* All of RAM is mapped, but for the pages that guard stacks. */
static bool can_read(const void *address, size_t bytes)
{
	uint64_t from = (uintptr_t)address, start, end;

	for (unsigned i = 0; memory_ram_range(i, &start, &end); i++)
		if (from >= start && from < end && end - from >= bytes)
			return true;
	return false;
}

void lock_watch_reserve(void)
{
	unsigned cpus = port_cpu_count();

	lock_owners_start(early_alloc(lock_owners_bytes(cpus), 64), cpus);
	lock_chain_can_read = can_read;
	lock_wait_on_look = look;
}
