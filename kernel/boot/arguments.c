/* SPDX-License-Identifier: BSD-2-Clause */
/* arguments.c - see arguments.h. */
#include "kernel/boot/arguments.h"

#include <stdint.h>
#include <stdio.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "kernel/boot/bootargs.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "kernel/boot/tree.h"
#include "kernel/diag/panic.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "mm/frame.h"
#include "mm/global/policies.h"
#include "mm/heap/debug.h"
#include "mm/percpu/drain.h"

_Static_assert((int)BOOTARGS_LOCK_ANDERSON == (int)SPIN_ANDERSON, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_TICKET_PB == (int)SPIN_TICKET_PB, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_COHORT == (int)SPIN_COHORT, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_QSPINLOCK == (int)SPIN_QSPINLOCK, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_RECIPROCATING == (int)SPIN_RECIPROCATING, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_HCLH == (int)SPIN_HCLH, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_NONE == (int)SPIN_NONE, "one order of locks");
_Static_assert(BOOTARGS_NOT_GIVEN == FRAME_LOW_DEFAULT, "one value for it");
_Static_assert((int)BOOTARGS_LOCKSTAT_ALL == (int)SPIN_STATS_ALL, "one order of modes");

#define IS_WORD(name) (1 << BOOTARGS_HEAPDEBUG_##name == (int)KHEAP_DEBUG_##name)

_Static_assert(IS_WORD(REDZONE) && IS_WORD(POISON) && IS_WORD(QUARANTINE) && IS_WORD(OWNERS) &&
		       IS_WORD(LEAKS) && IS_WORD(GUARD),
	       "one order of words");

/* Caches of more frames than this cannot count them. */
#define CACHE_MAX (UINT32_MAX / 4)

/* Where the user does not say, all caches together hold at most this part of memory. */
#define CACHES_SHARE 6

void arguments_read(void)
{
	/* The error points into all of these. */
	static const char *policy_names[BOOTARGS_NAMES_MAX];
	static struct bootargs_known known;
	struct bootargs_error bad;
	struct devicetree_error error;
	const char *text = NULL, *meant;

	programs_know(&known);
	for (unsigned i = 0; i < policy_count && i < BOOTARGS_NAMES_MAX; i++)
		policy_names[i] = policies[i]->name;
	known.policies = (struct bootargs_names){policy_names, policy_count};
	if (!tree_has(machine_bootargs(settings.tree, &text, &error), &error))
		text = NULL;
	if (bootargs_parse(text, &known, &settings.arguments, &bad))
		return;
	bootargs_print_error(&bad, printf);
	if (bootargs_error_is_of(&bad, "run"))
		programs_print();
	meant = bootargs_suggest(&bad);
	verdict_fail("bootargs: %.*s: %s%s%s%s", (int)bad.word_length, bad.word, bad.reason,
		     meant ? " (did you mean " : "", meant ? meant : "", meant ? "?)" : "");
	verdict_end();
}

static uint64_t most_of(const struct bootargs_list *list)
{
	uint64_t most = 0;

	for (uint64_t i = 0; i < list->count; i++)
		if (list->value[i] > most)
			most = list->value[i];
	return most;
}

unsigned arguments_choose_cpus(unsigned harts)
{
	uint64_t wanted = most_of(&settings.arguments.cpu_counts);

	if (wanted > harts) {
		verdict_fail("bootargs: cpus=%llu: too large; valid: 1 to %u, the harts of this "
			     "machine that can run",
			     (unsigned long long)wanted, harts);
		verdict_end();
	}
	return wanted ? (unsigned)wanted : harts;
}

/* A sweep leaves out lock=none where several cpus run; without a sweep it is a mistake. */
void arguments_choose_lock(void)
{
	struct bootargs *arguments = &settings.arguments;

	if (arguments->lock != SPIN_NONE || port_cpu_count() == 1)
		return;
	if (!arguments->sweeps) {
		verdict_fail(
			"bootargs: lock=none is for one cpu, and %u would run; valid: with cpus=1",
			port_cpu_count());
		verdict_end();
	}
	arguments->lock = SPIN_FAS;
}

/* A hart that waits in the firmware takes no interrupt of a timer that would end its turn. */
void arguments_choose_flush(void)
{
	uint64_t asked = settings.arguments.flush;
	bool can = mmu_can_flush_harts();

	if (asked == BOOTARGS_FLUSH_FIRMWARE && !can) {
		verdict_fail(
			"bootargs: flush=firmware: the firmware has no RFENCE extension; valid: "
			"auto, kick");
		verdict_end();
	}
	if (asked == BOOTARGS_FLUSH_AUTO)
		asked = can && !programs_own_timers() ? BOOTARGS_FLUSH_FIRMWARE
						      : BOOTARGS_FLUSH_IPI;
	shootdown_choose(asked == BOOTARGS_FLUSH_IPI ? SHOOTDOWN_IPI : SHOOTDOWN_FIRMWARE);
}

/*
 * As many frames as an adaptive cache can use, cut to its share of memory; at least as many as a
 * cache with the smallest batch wants.
 */
static uint64_t default_capacity(void)
{
	uint64_t share = memory_ram_frames() / CACHES_SHARE / port_cpu_count();
	uint64_t least = 2 * FRAME_CACHE_BATCH + FRAME_CACHE_SURPLUS;

	if (share < least)
		return least;
	return share < FRAME_CACHE_CAPACITY_MAX ? share : FRAME_CACHE_CAPACITY_MAX;
}

/*
 * Checks what the parser cannot know: what this machine has room for, and what this cache can work
 * with.
 */
static void check_cache(uint64_t cache)
{
	uint64_t batch = most_of(&settings.arguments.batches);
	uint64_t batch_max = cache / 2 < FRAME_CACHE_BATCH_MAX ? cache / 2 : FRAME_CACHE_BATCH_MAX;
	uint64_t cache_max = memory_ram_frames() / port_cpu_count();

	if (cache_max > CACHE_MAX)
		cache_max = CACHE_MAX;
	if (cache > cache_max) {
		verdict_fail("bootargs: cache=%llu: too large; valid: 0 to %llu, memory over cpus",
			     (unsigned long long)cache, (unsigned long long)cache_max);
		verdict_end();
	}
	if (cache && batch > batch_max) {
		verdict_fail(
			"bootargs: batch=%llu: too large; valid: 1 to %llu with caches of %llu",
			(unsigned long long)batch, (unsigned long long)batch_max,
			(unsigned long long)cache);
		verdict_end();
	}
}

unsigned arguments_choose_caches(void)
{
	struct bootargs_list *caches = &settings.arguments.caches;

	if (caches->value[0] == BOOTARGS_NOT_GIVEN)
		settings.arguments.cache_frames = caches->value[0] = bootargs_bypass_caches(
									     &settings.arguments)
									     ? 0
									     : default_capacity();
	for (uint64_t i = 0; i < caches->count; i++)
		check_cache(caches->value[i]);
	return (unsigned)most_of(caches);
}
