/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor_locks.c - commands of the monitor about locks and the trace. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/diag/contention.h"
#include "kernel/diag/figures.h"
#include "kernel/diag/lock_chain.h"
#include "kernel/diag/monitor.h"
#include "kernel/diag/trace.h"
#include "kernel/diag/wait_report.h"
#include "kernel/settings.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"

/* The zones' locks, and then the heap's. */
static unsigned lock_count(void)
{
	return zones.count + 1;
}

static struct spinlock *lock_at(unsigned i)
{
	return i < zones.count ? &zones.zone[i].lock : kheap_lock();
}

/* Locks of address spaces show where a cpu waits for one. */
void monitor_print_holders(void)
{
	unsigned held = 0;

	for (unsigned i = 0; i < lock_count(); i++)
		held += lock_chain_print_holder(lock_at(i));
	if (lock_chains_print() + held == 0)
		printf("at this moment no cpu holds a zone's lock or the heap's, and none waits "
		       "for a lock\n");
}

static uint64_t long_time(uint64_t ticks)
{
	return ticks_to_ns(ticks, settings.cpus) / time_unit_ns();
}

static void print_lock(const struct spinlock *lock)
{
	struct spin_stats stats = {0};

	spin_stats_add(lock, &stats);
	printf("%-8s %-13s %12" PRIu64, lock->name, spin_kind_name(lock->kind), stats.acquisitions);
	contention_print_share(15, stats.contended, stats.acquisitions, contention_is_measurable());
	if (contention_is_measurable())
		printf(" %12" PRIu64 " %12" PRIu64, long_time(stats.wait.ticks_total),
		       long_time(stats.wait.ticks_max));
	printf("\n");
}

static void do_locks(const struct monitor_words *words)
{
	(void)words;
	monitor_print_holders();
	printf("%-8s %-13s %12s %15s", "lock", "kind", "acquisitions", "contended");
	if (contention_is_measurable())
		printf("   waited, %-2s   longest, %s", time_unit(), time_unit());
	printf("\n");
	for (unsigned i = 0; i < lock_count(); i++)
		print_lock(lock_at(i));
}

static const struct monitor_command locks_command = {
	.name = "locks",
	.arguments = "",
	.help = "which cpu holds and waits for which lock, and what each lock was asked for",
	.more = "Counted since the boot, or since the last run of a workload began. blame says who "
		"waited "
		"for whom.\n",
	.run = do_locks,
};
MONITOR_COMMAND(18, locks_command);

static void do_blame(const struct monitor_words *words)
{
	uint64_t contended = 0;

	(void)words;
	if (!contention_is_measurable()) {
		printf("which cpu waited for which is NOT MEASURABLE: %s\n", contention_why_not());
		return;
	}
	for (unsigned i = 0; i < lock_count(); i++) {
		struct wait_report waits;
		struct spin_stats stats = {0};

		spin_stats_add(lock_at(i), &stats);
		contended += stats.contended;
		wait_report_now(&waits, lock_at(i), settings.cpus);
		wait_report_print(&waits);
	}
	if (!contended)
		printf("no cpu has waited for a zone's lock or the heap's\n");
}

static const struct monitor_command blame_command = {
	.name = "blame",
	.arguments = "",
	.help = "the wait matrix of each lock: which cpu waited for which, and where",
	.more = "Rows wait, columns held the lock when the wait began; below each count the time "
		"waited.\n"
		"Counted since the boot, or since the last run of a workload began: `load` or "
		"`run` makes "
		"some.\n",
	.run = do_blame,
};
MONITOR_COMMAND(19, blame_command);

/* ---- the trace ------------------------------------------------------------------------------- */

#define EVENTS_SHOWN 16

static const struct monitor_command trace_command;

static void print_last(const char *word)
{
	uint64_t cpu;

	if (!monitor_number(&trace_command, word, &cpu))
		return;
	if (cpu >= settings.cpus)
		printf("there is no such cpu\n");
	else
		trace_print_last((unsigned)cpu, EVENTS_SHOWN);
}

static void switch_trace(bool on)
{
	if (!monitor_all_cpus_run(on ? "trace on" : "trace off"))
		return;
	if (trace_switch(on))
		printf("cpus %s events\n", on ? "note" : "do not note");
	else
		printf("the trace was written, which has ended it\n");
}

static void do_trace(const struct monitor_words *words)
{
	if (!trace_is_kept())
		printf("there is no trace: it needs trace=on\n");
	else if (strcmp(words->word[1], "on") == 0 || strcmp(words->word[1], "off") == 0)
		switch_trace(words->word[1][1] == 'n');
	else if (strcmp(words->word[1], "write") == 0)
		trace_write();
	else
		print_last(words->word[1]);
}

static const char *trace_value(const struct monitor_words *before, const char *typed,
			       unsigned number)
{
	static const char *const names[] = {"on", "off", "write"};

	(void)before;
	(void)typed;
	return number < 3 ? names[number] : monitor_cpu_value(number - 3);
}

static const struct monitor_command trace_command = {
	.name = "trace",
	.arguments = "CPU|on|off|write",
	.help = "a cpu's last events; note events or not; write all; with trace=on",
	.more = "The boot argument trace=on gives the trace its memory. `write` prints all events "
		"as records "
		"now, which\n"
		"ends the trace; else that is done at the end of the run.\n",
	.least = 1,
	.most = 1,
	.run = do_trace,
	.value = trace_value,
};
MONITOR_COMMAND(20, trace_command);
