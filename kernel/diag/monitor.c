/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.c - run=monitor: a prompt on the console, to inspect the machine and to act on it.
 *
 * It stops, starts and drains cpus and puts a load on them through the functions that all other
 * callers use, so what is seen here is what the tests test. On cpu 0, with no lock held.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/sbi.h"
#include "kernel/diag/console.h"
#include "kernel/diag/contention.h"
#include "kernel/diag/heap_leaks.h"
#include "kernel/diag/heap_report.h"
#include "kernel/diag/lock_chain.h"
#include "kernel/diag/trace.h"
#include "kernel/diag/wait_report.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/debug.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"

/* Between two looks for a key; short for a hand, long for the host. */
#define LOOKS_A_SECOND 50

#define LINE_BYTES 80

/* ---- a line from the console --------------------------------------------------------------- */

/* Until the clock says so or an interrupt is pending, which is taken when this returns. */
static void sleep_until(uint64_t when)
{
	unsigned long flags = port_irq_save();

	hart_timer_arm(when);
	hart_timer_enable();
	hart_wait();
	hart_timer_disable();
	hart_timer_disarm();
	port_irq_restore(flags);
}

static int read_key(void)
{
	int key;

	console_flush();
	while ((key = sbi_legacy_getchar()) < 0)
		sleep_until(hart_time() + settings.timebase / LOOKS_A_SECOND);
	return key;
}

enum { KEY_BACKSPACE = 8, KEY_KILL = 21, KEY_DELETE = 127 };

static void rub_out(unsigned characters)
{
	while (characters--)
		printf("\b \b");
}

/* A line without its end, cut to what fits; the terminal does not echo, so this does. */
static void read_line(char *line)
{
	unsigned length = 0;
	int key;

	while ((key = read_key()) != '\r' && key != '\n') {
		if (key == KEY_KILL) {
			rub_out(length);
			length = 0;
		} else if ((key == KEY_BACKSPACE || key == KEY_DELETE) && length) {
			rub_out(1);
			length--;
		} else if (key >= ' ' && key < KEY_DELETE && length < LINE_BYTES - 1) {
			putchar(key);
			line[length++] = (char)key;
		}
	}
	line[length] = '\0';
	printf("\n");
}

/* ---- what the commands look at ------------------------------------------------------------- */

static void print_ledger(void)
{
	struct frame_ledger ledger;

	frame_ledger(&ledger);
	printf("total %" PRIu64 " = reserved %" PRIu64 " + free %" PRIu64 " + cached %" PRIu64
	       " (at most %" PRIu64 ") + in flight %" PRIu64 " + allocated %" PRIu64 "\n",
	       ledger.total, ledger.reserved, ledger.free, ledger.cached, ledger.cached_max,
	       ledger.in_flight, ledger.allocated);
}

static void do_ledger(uint64_t unused)
{
	(void)unused;
	print_ledger();
}

static void do_zones(uint64_t unused)
{
	(void)unused;
	printf("%-8s %4s %-14s %10s %10s %10s %10s %9s\n", "zone", "node", "policy", "total",
	       "reserved", "free", "low mark", "releases");
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		printf("%-8s %4u %-14s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64
		       " %9" PRIu64 "\n",
		       zone->name, zone->node, zone->policy->name, zone->total_frames,
		       zone->reserved_frames, zone_free_frames(zone), zone->low,
		       zone_releases(zone));
	}
}

static void do_cpus(uint64_t unused)
{
	(void)unused;
	printf("%-4s %6s %-8s %6s %7s %9s %9s %9s\n", "cpu", "hart", "state", "cached", "batch",
	       "refills", "flushes", "drains");
	for (unsigned i = 0; i < settings.cpus; i++) {
		const struct frame_cache *cache = port_area_of(i);

		printf("%-4u %6" PRIu64 " %-8s %6" PRIu64 " %7u %9" PRIu64 " %9" PRIu64 " %9" PRIu64
		       "\n",
		       i, cpu_of(i)->arch.hart_id, cpu_is_stopped(i) ? "stopped" : "runs",
		       frame_cache_level(cache), cache->batch, counter_read(&cache->stats.refills),
		       counter_read(&cache->stats.flushes), counter_read(&cache->stats.drains));
	}
}

static void do_heap(uint64_t unused)
{
	(void)unused;
	heap_report_now();
}

static void print_lock(const struct spinlock *lock)
{
	struct spin_stats stats = {0};

	spin_stats_add(lock, &stats);
	printf("%-8s %-8s %12" PRIu64, lock->name, spin_kind_name(lock->kind), stats.acquisitions);
	contention_print_share(15, stats.contended, stats.acquisitions, contention_is_measurable());
	printf("\n");
}

/* Since the boot, or since the last run of a workload began. */
static void print_waits(const struct spinlock *lock)
{
	struct wait_report waits;

	wait_report_now(&waits, lock, settings.cpus);
	wait_report_print(&waits);
}

/* Which cpus hold locks and wait for locks. Locks of address spaces show where a cpu waits for one. */
static void print_holders(void)
{
	unsigned held = 0;

	for (unsigned i = 0; i < zones.count; i++)
		held += lock_chain_print_holder(&zones.zone[i].lock);
	held += lock_chain_print_holder(kheap_lock());
	if (lock_chains_print() + held == 0)
		printf("at this moment no cpu holds a zone's lock or the heap's, and none waits "
		       "for a lock\n");
}

static void do_locks(uint64_t unused)
{
	(void)unused;
	print_holders();
	printf("%-8s %-8s %12s %15s\n", "lock", "kind", "acquisitions", "contended");
	for (unsigned i = 0; i < zones.count; i++)
		print_lock(&zones.zone[i].lock);
	print_lock(kheap_lock());
	if (!contention_is_measurable())
		printf("which cpu waited for which is NOT MEASURABLE: %s\n", contention_why_not());
	for (unsigned i = 0; i < zones.count; i++)
		print_waits(&zones.zone[i].lock);
	print_waits(kheap_lock());
}

#define EVENTS_SHOWN 16

static void do_trace(uint64_t cpu)
{
	if (!trace_is_kept())
		printf("there is no trace: it needs trace=on\n");
	else if (cpu >= settings.cpus)
		printf("there is no such cpu\n");
	else
		trace_print_last((unsigned)cpu, EVENTS_SHOWN);
}

/* ---- what they do -------------------------------------------------------------------------- */

/* Frames that `alloc` took, chained through their first bytes. */
static pfn_t held = PFN_NONE;
static uint64_t held_count;

static void do_alloc(uint64_t count)
{
	uint64_t got = 0;
	pfn_t frame;

	while (got < count && !pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		*(pfn_t *)frame_bytes(frame) = held;
		held = frame;
		got++;
	}
	held_count += got;
	printf("%" PRIu64 " frames more, %" PRIu64 " held%s\n", got, held_count,
	       got < count ? ": none is free anywhere" : "");
}

static void do_free(uint64_t count)
{
	uint64_t given = 0;

	for (; given < count && !pfn_is_none(held); given++) {
		pfn_t frame = held;

		held = *(pfn_t *)frame_bytes(frame);
		frame_free(frame);
	}
	held_count -= given;
	printf("%" PRIu64 " frames given back, %" PRIu64 " held\n", given, held_count);
}

/* No machine has a cpu of the largest number. */
static unsigned cpu_number(uint64_t number)
{
	return number < UINT_MAX ? (unsigned)number : UINT_MAX;
}

static void do_stop(uint64_t cpu)
{
	printf("cpu %" PRIu64 ": %s\n", cpu, cpu_result_text(cpu_stop(cpu_number(cpu))));
}

static void do_start(uint64_t cpu)
{
	printf("cpu %" PRIu64 ": %s\n", cpu, cpu_result_text(cpu_start(cpu_number(cpu))));
}

static void do_drain(uint64_t unused)
{
	(void)unused;
	frame_cache_flush();
	frame_drain_ask();
	frame_drain_settle();
	print_ledger();
}

static void do_leaks(uint64_t unused)
{
	(void)unused;
	if (kheap_debug_words())
		heap_leaks();
	else
		printf("the heap knows no call sites: heapdebug= is off\n");
}

static void do_validate(uint64_t unused)
{
	(void)unused;
	frame_drain_settle();
	frame_validate();
	kheap_validate();
	printf("zones, caches and heap are whole\n");
}

/* Written by cpu 0, read by the others; orders nothing. */
static uint32_t load_is_over;

/* More than a cache holds, so that zones are asked too. */
#define LOAD_FRAMES 2000

static void work_on_load(void)
{
	pfn_t chain = PFN_NONE, frame;

	for (unsigned i = 0; i < LOAD_FRAMES && !pfn_is_none(frame = frame_alloc(FRAME_ANY)); i++) {
		*(pfn_t *)frame_bytes(frame) = chain;
		chain = frame;
	}
	while (!pfn_is_none(chain)) {
		frame = chain;
		chain = *(pfn_t *)frame_bytes(frame);
		frame_free(frame);
	}
}

static void load_cpu(void *seconds)
{
	if (port_cpu() != 0) {
		while (!ck_pr_load_32(&load_is_over))
			work_on_load();
		return;
	}
	for (uint64_t left = (uint64_t)(uintptr_t)seconds; left; left--) {
		uint64_t until = hart_time() + settings.timebase;

		while (hart_time() < until)
			sleep_until(until);
		print_ledger();
		print_holders();
	}
	ck_pr_store_32(&load_is_over, 1);
}

static void do_load(uint64_t seconds)
{
	for (unsigned i = 0; i < settings.cpus; i++) {
		if (cpu_is_stopped(i)) {
			printf("cpu %u is stopped: a load is on all of them\n", i);
			return;
		}
	}
	load_is_over = 0;
	contention_look();
	cpus_run(load_cpu, (void *)(uintptr_t)seconds, settings.cpus);
	contention_look();
}

/* ---- the prompt ---------------------------------------------------------------------------- */

static void do_help(uint64_t unused);

static const struct command {
	const char *name;
	const char *number; /* what its number is; NULL: it takes none */
	const char *what;
	void (*run)(uint64_t number);
} commands[] = {
	{"help", NULL, "this list", do_help},
	{"ledger", NULL, "where all frames are, this moment", do_ledger},
	{"zones", NULL, "each zone's frames and marks", do_zones},
	{"cpus", NULL, "each cpu's hart, state and cache", do_cpus},
	{"heap", NULL, "each size class: its slabs, blocks, and what is lost in them", do_heap},
	{"locks", NULL, "which cpu holds and waits for which lock, and what each was asked for",
	 do_locks},
	{"trace", "cpu", "its last events, with trace=on", do_trace},
	{"alloc", "frames", "take this number of frames and hold them", do_alloc},
	{"free", "frames", "give this number of those back", do_free},
	{"drain", NULL, "ask all cpus for what they have cached", do_drain},
	{"stop", "cpu", "take its hart off line", do_stop},
	{"start", "cpu", "and bring it back", do_start},
	{"load", "seconds", "all cpus but 0 allocate and free; ledger and holders once a second",
	 do_load},
	{"validate", NULL, "zones, caches and heap check themselves", do_validate},
	{"leaks", NULL, "live blocks by call site, with heapdebug=leaks", do_leaks},
	{"quit", NULL, "end the run with its verdict", NULL},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void do_help(uint64_t unused)
{
	(void)unused;
	for (unsigned i = 0; i < COMMANDS; i++)
		printf("%-9s %-8s %s\n", commands[i].name,
		       commands[i].number ? commands[i].number : "", commands[i].what);
}

/* Decimal; false, and nothing set, for anything else and for what does not fit. */
static bool read_number(const char *text, uint64_t *number)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	}
	*number = value;
	return true;
}

/* A word of the line, ended in place; *rest moves on. */
static const char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " ");
	char *end = word + strcspn(word, " ");

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

/* Follows one line; false when it said to quit. */
static bool follow(char *line)
{
	const char *name = next_word(&line), *argument = next_word(&line);
	uint64_t number = 0;

	if (!*name)
		return true;
	for (unsigned i = 0; i < COMMANDS; i++) {
		const struct command *command = &commands[i];

		if (strcmp(name, command->name) != 0)
			continue;
		if (*next_word(&line) || !*argument != !command->number ||
		    (command->number && !read_number(argument, &number))) {
			printf("%s takes %s%s\n", name, command->number ? "one number: " : "nothing",
			       command->number ? command->number : "");
			return true;
		}
		if (command->run)
			command->run(number);
		return command->run != NULL;
	}
	printf("no command \"%s\"; help lists them\n", name);
	return true;
}

/* Reads and follows commands until one of them is `quit`. */
static void monitor_run(void)
{
	char line[LINE_BYTES];

	printf("monitor: help lists the commands\n");
	do {
		printf("hartframe> ");
		read_line(line);
	} while (follow(line));
	do_free(held_count);
}

static const struct program monitor = {
	.name = "monitor",
	.help = "a prompt on the console",
	.run = monitor_run,
};
PROGRAM(50, monitor);
