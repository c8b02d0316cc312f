/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs_keys.c - the table of all boot arguments.
 *
 * It says everything about a key: its values, its default, where it is stored and what it means.
 * Parsing, refusing and the printed help all read it, so they cannot disagree.
 */
#include "kernel/boot/bootargs_private.h"

#define NAMES(variable, ...)                                                                       \
	static const char *const variable##_list[] = {__VA_ARGS__};                                \
	static const struct bootargs_names variable = {                                            \
		variable##_list, sizeof(variable##_list) / sizeof(variable##_list[0])}

NAMES(lock_names, [BOOTARGS_LOCK_FAS] = "fas", [BOOTARGS_LOCK_CAS] = "cas",
      [BOOTARGS_LOCK_DEC] = "dec", [BOOTARGS_LOCK_TICKET] = "ticket", [BOOTARGS_LOCK_MCS] = "mcs",
      [BOOTARGS_LOCK_CLH] = "clh", [BOOTARGS_LOCK_ANDERSON] = "anderson",
      [BOOTARGS_LOCK_TICKET_PB] = "ticket_pb", [BOOTARGS_LOCK_COHORT] = "cohort",
      [BOOTARGS_LOCK_QSPINLOCK] = "qspinlock", [BOOTARGS_LOCK_RECIPROCATING] = "reciprocating",
      [BOOTARGS_LOCK_HCLH] = "hclh", [BOOTARGS_LOCK_NONE] = "none");

NAMES(lockstat_names, [BOOTARGS_LOCKSTAT_OFF] = "off", [BOOTARGS_LOCKSTAT_CONTENDED] = "contended",
      [BOOTARGS_LOCKSTAT_ALL] = "all");

NAMES(paging_names, [BOOTARGS_PAGING_OFF] = "off", [BOOTARGS_PAGING_ON] = "on");

NAMES(trace_names, [BOOTARGS_TRACE_OFF] = "off", [BOOTARGS_TRACE_ON] = "on");
NAMES(flush_names, [BOOTARGS_FLUSH_AUTO] = "auto", [BOOTARGS_FLUSH_FIRMWARE] = "firmware",
      [BOOTARGS_FLUSH_IPI] = "kick");

NAMES(heap_names, [BOOTARGS_HEAP_SLABS] = "slabs", [BOOTARGS_HEAP_BUDDY] = "buddy");

NAMES(framedebug_names, [BOOTARGS_FRAMEDEBUG_POISON] = "poison",
      [BOOTARGS_FRAMEDEBUG_OWNERS] = "owners");

NAMES(spread_names, [BOOTARGS_SPREAD_FIXED] = "fixed", [BOOTARGS_SPREAD_RANDOM] = "random");

NAMES(heapdebug_names, [BOOTARGS_HEAPDEBUG_REDZONE] = "redzone", [BOOTARGS_HEAPDEBUG_POISON] = "poison",
      [BOOTARGS_HEAPDEBUG_QUARANTINE] = "quarantine", [BOOTARGS_HEAPDEBUG_OWNERS] = "owners",
      [BOOTARGS_HEAPDEBUG_LEAKS] = "leaks", [BOOTARGS_HEAPDEBUG_GUARD] = "guard");

NAMES(time_names, [BOOTARGS_TIME_HOST] = "host", [BOOTARGS_TIME_VIRTUAL] = "virtual");

NAMES(schedule_names, [BOOTARGS_SCHEDULE_SEEDS] = "seeds", [BOOTARGS_SCHEDULE_PCT] = "pct",
      [BOOTARGS_SCHEDULE_WALK] = "walk", [BOOTARGS_SCHEDULE_LIST] = "list");

/* Of a set: all the names there are. */
#define ALL UINT64_MAX

#define KEY(key, field_form, field)                                                                \
	.name = (key), .form = (field_form), .offset = offsetof(struct bootargs, field)

#define SWEEPS(first_field, what)                                                                  \
	.sweeps = true, .first = offsetof(struct bootargs, first_field), .listed = (what)

/* clang-format off */
const struct bootargs_key bootargs_keys[BOOTARGS_KEYS] = {
	{KEY("run", FORM_SET, run), .naming = NAMING_PROGRAMS,
	 .meaning = "what to run"},
	{KEY("policy", FORM_SET, policies), SWEEPS(policy, "policies"), .naming = NAMING_POLICIES,
	 .initial = BIT(0), .all = ALL,
	 .meaning = "the algorithm that manages every zone"},
	{KEY("lock", FORM_SET, locks), SWEEPS(lock, "locks"), .names = &lock_names,
	 .initial = BIT(BOOTARGS_LOCK_FAS), .all = BIT(BOOTARGS_LOCK_NONE) - 1,
	 .meaning = "the algorithm of every spinlock; none is for one cpu, and not among all"},
	{KEY("cache", FORM_LIST, caches), SWEEPS(cache_frames, "caches"),
	 .initial = BOOTARGS_NOT_GIVEN,
	 .valid = "0 (off), or 2 and more",
	 .meaning = "most frames in each cpu's cache; by memory and cpus if not given"},
	{KEY("batch", FORM_LIST, batches), SWEEPS(batch_frames, "batches"), .least = 1,
	 .valid = "1 to 512, and to half of cache=",
	 .meaning = "frames in one refill or flush; follows contention if not given"},
	{KEY("low", FORM_NUMBER, low_frames),
	 .initial = BOOTARGS_NOT_GIVEN,
	 .valid = "0 (off) and more, cut to half of a zone",
	 .meaning = "frames left in a zone below which cpus are asked for their cached ones; one batch a cpu if not given"},
	{KEY("workload", FORM_SET, workload), .naming = NAMING_VALUES, .initial = ALL, .all = ALL,
	 .meaning = "what the cpus do to the allocator"},
	{KEY("ops", FORM_NUMBER, ops), .least = 1, .takes_suffix = true,
	 .valid = "1 and more, also as 20k or 3M",
	 .meaning = "operations of a workload on each cpu"},
	{KEY("cpus", FORM_LIST, cpu_counts), SWEEPS(cpus, "numbers of cpus"), .least = 1,
	 .valid = "1 to the harts there are", .meaning = "cpus to start, all if not given"},
	{KEY("seed", FORM_NUMBER, seed), .initial = 1,
	 .valid = "any number", .meaning = "of every random choice"},
	{KEY("lockstat", FORM_CHOICE, lockstat), .names = &lockstat_names,
	 .initial = BOOTARGS_LOCKSTAT_CONTENDED,
	 .meaning = "which acquisitions of a lock read the clock"},
	{KEY("paging", FORM_CHOICE, paging), .names = &paging_names, .initial = BOOTARGS_PAGING_ON,
	 .meaning = "whether the kernel runs on its own page tables"},
	{KEY("trace", FORM_CHOICE, trace), .names = &trace_names, .initial = BOOTARGS_TRACE_OFF,
	 .meaning = "whether each cpu keeps its last slow events, written out at the end"},
	{KEY("flush", FORM_CHOICE, flush), .names = &flush_names, .initial = BOOTARGS_FLUSH_AUTO,
	 .meaning = "how other cpus are made to flush translations; auto: the firmware if it can, unless a program owns the timers"},
	{KEY("heap", FORM_CHOICE, heap), .names = &heap_names, .initial = BOOTARGS_HEAP_SLABS,
	 .meaning = "buddy: no slabs and no stacks of blocks, every kmalloc takes the heap's lock"},
	{KEY("time", FORM_CHOICE, time), .names = &time_names, .initial = BOOTARGS_TIME_HOST,
	 .meaning = "virtual: harts take turns, and a time is a number of instructions (make VTIME=1)"},
	{KEY("turn", FORM_NUMBER, turn), .initial = BOOTARGS_TURN, .least = 1, .most = 1000000,
	 .valid = "1 to 1000000",
	 .meaning = "instructions in a turn of virtual time"},
	{KEY("stuck", FORM_NUMBER, stuck_s), .initial = 10, .most = 100000,
	 .valid = "0 (off) to 100000",
	 .meaning = "seconds of a wait for a lock after which the cpu says so, or panics in a deadlock"},
	{KEY("crash", FORM_CHOICE, crash), .naming = NAMING_VALUES,
	 .meaning = "what to do wrong first, on purpose"},
	{KEY("failnth", FORM_NUMBER, fail_nth), .least = 1,
	 .valid = "1 and more",
	 .meaning = "the allocation of a frame, a run or a block that fails on purpose, counted from the first program on"},
	{KEY("failrate", FORM_RATE, fail_rate),
	 .valid = "1/N, N at least 1",
	 .meaning = "with what probability each such allocation fails on purpose"},
	{KEY("failseed", FORM_NUMBER, fail_seed), .initial = 1,
	 .valid = "any number", .meaning = "of failrate="},
	{KEY("framedebug", FORM_SET, frame_debug), .names = &framedebug_names, .all = ALL,
	 .meaning = "what is watched of frames, to find wrong uses of them"},
	{KEY("rounds", FORM_NUMBER, rounds), .least = 1, .most = 1000,
	 .valid = "1 to 1000",
	 .meaning = "how often a sweep runs each combination; 3 at most if not given"},
	{KEY("cell", FORM_NUMBER, cell_ms), .least = 1, .most = 1000000,
	 .valid = "1 to 1000000",
	 .meaning = "milliseconds that a run of a sweep takes about, or with ops= at most; 25 if neither is given"},
	{KEY("samples", FORM_NUMBER, samples), .most = 1000,
	 .valid = "0 (none) to 1000",
	 .meaning = "looks at the state of memory, in one more run of each combination of a sweep"},
	{KEY("hold", FORM_DELAY, hold), .names = &spread_names, .initial = BOOTARGS_HOLD,
	 .most = BOOTARGS_DELAY_MOST, .valid = "N or N:SPREAD, N at most 1000000, SPREAD one of",
	 .meaning = "instructions that workload=lock holds its lock"},
	{KEY("think", FORM_DELAY, think), .names = &spread_names, .initial = BOOTARGS_THINK,
	 .most = BOOTARGS_DELAY_MOST, .valid = "N or N:SPREAD, N at most 1000000, SPREAD one of",
	 .meaning = "instructions from a release of workload=lock to the next acquire"},
	{KEY("preempt", FORM_PREEMPT, preempt_min_ticks), .naming = NAMING_VALUES, .initial = 200,
	 .valid = "MIN:RANGE or MIN:RANGE:MODE, each at most 1000000, MODE one of",
	 .meaning = "ticks of the clock between the switches of a schedule, and where to make more"},
	{KEY("schedule", FORM_SCHEDULE, schedule), .names = &schedule_names,
	 .valid = "KIND, pct:STEPS, pct:STEPS:DEPTH or walk:STEPS, STEPS at most 1000000000, DEPTH at most 64, KIND one of",
	 .meaning = "how the cpu that goes on at a switch is chosen"},
	{KEY("switches", FORM_SWITCHES, switches_at),
	 .valid = "STEP:CPU,STEP:CPU and so on, steps rising",
	 .meaning = "the switches of schedule=list; elsewhere a cpu goes on as long as it does not wait"},
	{KEY("heapdebug", FORM_WORDS, heapdebug), .names = &heapdebug_names, .all = ALL,
	 .least = 1, .most = 1000000, .valid = "words with commas between, guard also as guard=N:",
	 .meaning = "diagnostics of the heap; of N blocks one has guard pages"},
};
/* clang-format on */

static const struct bootargs_names no_names;

const struct bootargs_names *bootargs_names_of(const struct bootargs_key *key,
					       const struct bootargs_known *known)
{
	switch (key->naming) {
	case NAMING_PROGRAMS:
		return &known->programs.names;
	case NAMING_POLICIES:
		return &known->policies;
	case NAMING_VALUES:
		for (unsigned i = 0; i < known->values_count; i++)
			if (strcmp(known->values[i].key, key->name) == 0)
				return &known->values[i].names;
		return &no_names;
	case NAMING_OWN:
		break;
	}
	return key->names ? key->names : &no_names;
}

uint64_t bootargs_all_of(const struct bootargs_key *key, const struct bootargs_known *known)
{
	unsigned besides = 0;

	for (unsigned i = 0; key->naming == NAMING_VALUES && i < known->values_count; i++)
		if (strcmp(known->values[i].key, key->name) == 0)
			besides = known->values[i].besides;
	return key->all & set_of_first(bootargs_names_of(key, known)->count - besides);
}

bool bootargs_has_no_value(const struct bootargs_key *key, const struct bootargs_known *known)
{
	return (key->naming == NAMING_PROGRAMS || key->naming == NAMING_VALUES) &&
	       bootargs_names_of(key, known)->count == 0;
}
