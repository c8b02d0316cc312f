/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor_act.c - commands of the monitor that allocate and free, stop and start cpus, and check. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "arch/riscv/hart.h"
#include "kernel/diag/contention.h"
#include "kernel/diag/monitor.h"
#include "kernel/diag/monitor_input.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"

/* ---- frames ---------------------------------------------------------------------------------- */

/* Frames that `alloc` took, chained through their first bytes. */
static pfn_t held = PFN_NONE;
static uint64_t held_count;

uint64_t monitor_frames_held(void)
{
	return held_count;
}

static const struct monitor_command alloc_command, free_command;

static void do_alloc(const struct monitor_words *words)
{
	uint64_t count, got = 0;
	pfn_t frame;

	if (!monitor_number(&alloc_command, words->word[1], &count))
		return;
	while (got < count && !pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		*(pfn_t *)frame_bytes(frame) = held;
		held = frame;
		got++;
	}
	held_count += got;
	printf("%" PRIu64 " frames more, %" PRIu64 " held%s\n", got, held_count,
	       got < count ? ": none is free anywhere" : "");
}

static const struct monitor_command alloc_command = {
	.name = "alloc",
	.arguments = "FRAMES",
	.help = "take this number of frames and hold them",
	.least = 1,
	.most = 1,
	.run = do_alloc,
};
MONITOR_COMMAND(40, alloc_command);

void monitor_free_held(uint64_t count)
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

static void do_free(const struct monitor_words *words)
{
	uint64_t count;

	if (monitor_number(&free_command, words->word[1], &count))
		monitor_free_held(count);
}

static const struct monitor_command free_command = {
	.name = "free",
	.arguments = "FRAMES",
	.help = "give this number of those back",
	.least = 1,
	.most = 1,
	.run = do_free,
};
MONITOR_COMMAND(41, free_command);

static void do_drain(const struct monitor_words *words)
{
	(void)words;
	frame_cache_flush();
	frame_drain_ask();
	frame_drain_settle();
	monitor_print_ledger();
}

static const struct monitor_command drain_command = {
	.name = "drain",
	.arguments = "",
	.help = "ask all cpus for what they have cached",
	.run = do_drain,
};
MONITOR_COMMAND(42, drain_command);

static void do_validate(const struct monitor_words *words)
{
	(void)words;
	frame_drain_settle();
	frame_validate();
	kheap_validate();
	printf("zones, caches and heap are whole\n");
}

static const struct monitor_command validate_command = {
	.name = "validate",
	.arguments = "",
	.help = "zones, caches and heap check themselves",
	.more = "Panics where an invariant is broken.\n",
	.run = do_validate,
};
MONITOR_COMMAND(45, validate_command);

/* ---- cpus ------------------------------------------------------------------------------------ */

static const char *cpu_value(const struct monitor_words *before, const char *typed, unsigned number)
{
	(void)before;
	(void)typed;
	return monitor_cpu_value(number);
}

/* No machine has a cpu of the largest number. */
static void on_cpu(const struct monitor_command *command, const char *word,
		   enum cpu_result (*change)(unsigned))
{
	uint64_t cpu;

	if (!monitor_number(command, word, &cpu))
		return;
	printf("cpu %" PRIu64 ": %s\n", cpu,
	       cpu_result_text(change(cpu < UINT_MAX ? (unsigned)cpu : UINT_MAX)));
}

static const struct monitor_command stop_command, start_command;

static void do_stop(const struct monitor_words *words)
{
	on_cpu(&stop_command, words->word[1], cpu_stop);
}

static const struct monitor_command stop_command = {
	.name = "stop",
	.arguments = "CPU",
	.help = "take its hart off line",
	.least = 1,
	.most = 1,
	.run = do_stop,
	.value = cpu_value,
};
MONITOR_COMMAND(43, stop_command);

static void do_start(const struct monitor_words *words)
{
	on_cpu(&start_command, words->word[1], cpu_start);
}

static const struct monitor_command start_command = {
	.name = "start",
	.arguments = "CPU",
	.help = "and bring it back",
	.least = 1,
	.most = 1,
	.run = do_start,
	.value = cpu_value,
};
MONITOR_COMMAND(44, start_command);

/* ---- load ------------------------------------------------------------------------------------ */

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

/* Keys do not end it: they are the next line. */
static void sleep_a_second(void)
{
	uint64_t until = hart_time() + settings.timebase;

	while (hart_time() < until && !monitor_is_interrupted())
		monitor_sleep_until(until);
}

static void load_cpu(void *seconds)
{
	if (port_cpu() != 0) {
		while (!ck_pr_load_32(&load_is_over))
			work_on_load();
		return;
	}
	for (uint64_t left = *(const uint64_t *)seconds; left && !monitor_is_interrupted(); left--) {
		sleep_a_second();
		monitor_print_ledger();
		monitor_print_holders();
	}
	ck_pr_store_32(&load_is_over, 1);
}

static const struct monitor_command load_command;

static void do_load(const struct monitor_words *words)
{
	uint64_t seconds;

	if (!monitor_number(&load_command, words->word[1], &seconds) ||
	    !monitor_all_cpus_run("a load"))
		return;
	load_is_over = 0;
	contention_look();
	cpus_run(load_cpu, &seconds, settings.cpus);
	contention_look();
}

static const struct monitor_command load_command = {
	.name = "load",
	.arguments = "SECONDS",
	.help = "all cpus but 0 allocate and free; ledger and holders once a second",
	.least = 1,
	.most = 1,
	.run = do_load,
};
MONITOR_COMMAND(31, load_command);
