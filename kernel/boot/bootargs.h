/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs.h - the boot arguments: one line of key=value words, read into one structure.
 *
 * Nothing is guessed and nothing is skipped: an unknown key, an unknown value, a number that
 * does not fit, a key given twice are all refused, with an error that names the word and lists
 * what would have been valid. A run that did something else than its boot arguments say is worse
 * than no run.
 *
 * Pure functions of their arguments: no allocation, no lock, no machine; any context with a few
 * hundred bytes of stack. The caller checks what depends on the machine: whether it has that many
 * cpus, and whether its memory holds such caches.
 *
 * Where several values are to be compared in one boot (a sweep), some keys take lists of them.
 *
 * The keys are the kernel's, a table in bootargs_keys.c: a new key is a field in struct bootargs
 * and a line there. The names of some values are the programs' (kernel/program.h); the caller
 * collects them in a struct bootargs_known. The parser is in bootargs.c, what words must not say
 * together in bootargs_check.c, the texts of errors and of the help in bootargs_print.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of enum spin_kind; arguments.c asserts that. */
enum bootargs_lock {
	BOOTARGS_LOCK_FAS,
	BOOTARGS_LOCK_CAS,
	BOOTARGS_LOCK_DEC,
	BOOTARGS_LOCK_TICKET,
	BOOTARGS_LOCK_MCS,
	BOOTARGS_LOCK_CLH,
	BOOTARGS_LOCK_ANDERSON,
	BOOTARGS_LOCK_TICKET_PB,
	BOOTARGS_LOCK_COHORT,
	BOOTARGS_LOCK_QSPINLOCK,
	BOOTARGS_LOCK_RECIPROCATING,
	BOOTARGS_LOCK_HCLH,
	BOOTARGS_LOCK_NONE, /* for one cpu; not among `all` */
};

/* In the order of enum spin_stats_mode; arguments.c asserts that. */
enum bootargs_lockstat {
	BOOTARGS_LOCKSTAT_OFF,
	BOOTARGS_LOCKSTAT_CONTENDED,
	BOOTARGS_LOCKSTAT_ALL,
};

/* Whether the kernel runs on its page tables. */
enum bootargs_paging {
	BOOTARGS_PAGING_OFF,
	BOOTARGS_PAGING_ON,
};

/* Whether each cpu records its last events (kernel/diag/trace.h). */
enum bootargs_trace {
	BOOTARGS_TRACE_OFF,
	BOOTARGS_TRACE_ON,
};

/* Diagnostics of the heap, in the order of enum kheap_debug_words; arguments.c asserts that. */
enum bootargs_heapdebug {
	BOOTARGS_HEAPDEBUG_REDZONE,
	BOOTARGS_HEAPDEBUG_POISON,
	BOOTARGS_HEAPDEBUG_QUARANTINE,
	BOOTARGS_HEAPDEBUG_OWNERS,
	BOOTARGS_HEAPDEBUG_LEAKS,
	BOOTARGS_HEAPDEBUG_GUARD,
};

/* With heapdebug=guard and no number, one block in BOOTARGS_GUARD_EVERY has guard pages. */
#define BOOTARGS_GUARD_EVERY 64

/* Which clock times are taken from (kernel/diag/clock.h). */
enum bootargs_time {
	BOOTARGS_TIME_HOST,
	BOOTARGS_TIME_VIRTUAL,
};

/* Instructions in a turn of virtual time, where turn= is not given. tools/launcher/command.py has it too. */
#define BOOTARGS_TURN 25

/* How a cpu makes other cpus flush their translation caches (shootdown.h). */
enum bootargs_flush {
	BOOTARGS_FLUSH_AUTO,
	BOOTARGS_FLUSH_FIRMWARE,
	BOOTARGS_FLUSH_IPI,
};

/* Whether the heap has its front end, slabs and stacks, or is one buddy heap under one lock. */
enum bootargs_heap {
	BOOTARGS_HEAP_SLABS,
	BOOTARGS_HEAP_BUDDY,
};

/* What is watched of frames (mm/frame_debug.h): a set. */
enum bootargs_framedebug {
	BOOTARGS_FRAMEDEBUG_POISON,
	BOOTARGS_FRAMEDEBUG_OWNERS,
};

/* How the delays of a workload vary around the stated number of instructions. */
enum bootargs_spread {
	BOOTARGS_SPREAD_FIXED,
	BOOTARGS_SPREAD_RANDOM,
};

/* How run=explore chooses the cpu that goes on (tests/smp/schedule.h). */
enum bootargs_schedule {
	BOOTARGS_SCHEDULE_SEEDS,
	BOOTARGS_SCHEDULE_PCT,
	BOOTARGS_SCHEDULE_WALK,
	BOOTARGS_SCHEDULE_LIST,
};

/* Of schedule=pct and schedule=walk, where they are not given. */
#define BOOTARGS_SCHEDULE_STEPS 200
#define BOOTARGS_SCHEDULE_DEPTH 3

/* Instructions of a delay, where hold= or think= is not given, and the most that can be given. */
#define BOOTARGS_HOLD	    200
#define BOOTARGS_THINK	    1800
#define BOOTARGS_DELAY_MOST 1000000

/* The value of a key that was not given, where 0 is a value that can be given. */
#define BOOTARGS_NOT_GIVEN UINT64_MAX

/* The numbers of one key, in the order given and none twice; at least one. */
#define BOOTARGS_LIST_MAX 16

struct bootargs_list {
	uint64_t count;
	uint64_t value[BOOTARGS_LIST_MAX];
};

/* Every field is made of 64-bit words, so that the table of keys can say where each one is. */
struct bootargs {
	uint64_t run;	   /* set of indices into the caller's programs */
	uint64_t policies; /* set of indices into the caller's names */
	uint64_t locks;	   /* set of enum bootargs_lock */
	struct bootargs_list caches, batches, cpu_counts;
	/* The first of each of those five; it is the only one, except in a sweep. */
	uint64_t policy;
	uint64_t lock;	       /* enum bootargs_lock */
	uint64_t cache_frames; /* of each cpu; 0: no caches; BOOTARGS_NOT_GIVEN */
	uint64_t batch_frames; /* 0: not given, it adapts; else at most half a cache */
	uint64_t cpus;	       /* 0: not given, all of them */
	uint64_t low_frames;   /* low mark of each zone; 0: none; BOOTARGS_NOT_GIVEN */
	uint64_t workload;     /* set of indices into the caller's names */
	uint64_t ops;	       /* on each cpu; 0: not given */
	uint64_t seed;
	uint64_t lockstat;  /* enum bootargs_lockstat */
	uint64_t paging;    /* enum bootargs_paging */
	uint64_t trace;	    /* enum bootargs_trace */
	uint64_t flush;	    /* enum bootargs_flush */
	uint64_t heap;	    /* enum bootargs_heap */
	uint64_t time;	    /* enum bootargs_time */
	uint64_t turn;	    /* instructions in a turn of virtual time */
	uint64_t stuck_s;   /* seconds that a wait for a lock may take; 0: any */
	uint64_t crash;	    /* index into the caller's names; 0: nothing is done wrong */
	uint64_t fail_nth;  /* this allocation fails (mm/fault.h); 0: not given */
	uint64_t fail_rate; /* each fails with probability 1/fail_rate; 0: not given */
	uint64_t fail_seed;
	uint64_t frame_debug; /* set of enum bootargs_framedebug */
	uint64_t sweeps;      /* 1: all combinations are measured (programs.compares, below) */
	uint64_t rounds;      /* of a sweep; 0: not given */
	uint64_t cell_ms;     /* that one run of one combination may take; 0: not given */
	uint64_t samples;     /* of each combination's state of memory; 0: none */
	/* hold=N or hold=N:SPREAD, one key for two fields: they stay together and in order. */
	uint64_t hold;	      /* instructions that workload=lock holds its lock */
	uint64_t hold_spread; /* enum bootargs_spread */
	uint64_t think;	      /* the same between a release and the next acquire */
	uint64_t think_spread;
	/* preempt=MIN:RANGE:MODE, one key for three fields: they stay together and in order. */
	uint64_t preempt_min_ticks;
	uint64_t preempt_range_ticks;
	uint64_t preempt_mode; /* index into the caller's names; 0 where it is not given */
	/* schedule=KIND:STEPS:DEPTH, one key for three fields: they stay together and in order. */
	uint64_t schedule; /* enum bootargs_schedule */
	uint64_t schedule_steps, schedule_depth;
	/*
	 * switches=: where it stands in the parsed text, and how long it is; 0: not given.
	 * bootargs_next_switch() reads it.
	 */
	uint64_t switches_at, switches_length;
	/* One key for two fields: they stay together and in order. */
	uint64_t heapdebug;   /* set of enum bootargs_heapdebug */
	uint64_t guard_every; /* of guard=N in it */
};

/* Names that a value may have; a name's index is what is stored. */
struct bootargs_names {
	const char *const *name;
	unsigned count;
};

#define BOOTARGS_NAMES_MAX 64

/* The names of one key's values. */
struct bootargs_values {
	const char *key;
	struct bootargs_names names;
	unsigned besides; /* as many of the last names are not in `all`, nor in the default */
};

/*
 * The names that run= accepts, in the order in which they run. The sets are of indices into the
 * names.
 */
struct bootargs_programs {
	struct bootargs_names names;
	uint64_t defaults; /* these run where run= is not given */
	uint64_t compares; /* alone, and given a list or workload=, these sweep all combinations */
	uint64_t switches; /* these run alone, and have the switches of preempt= */
};

/*
 * What only the caller knows: at most BOOTARGS_NAMES_MAX names of each kind. A key of the table
 * that takes registered names (workload, crash, preempt) and is not in `values` is refused in
 * every use.
 */
struct bootargs_known {
	struct bootargs_programs programs;
	struct bootargs_names policies; /* the first is the default */
	const struct bootargs_values *values;
	unsigned values_count;
};

struct bootargs_key;

/* The error in the first bad word; for bootargs_print_error(). Points into the text. */
struct bootargs_error {
	const char *word;
	size_t word_length;
	char reason[112];
	const char *value; /* the one bad item of a list or choice, or NULL */
	size_t value_length;
	bool value_is_unknown;		/* it should be a name, and is none of the key's */
	const struct bootargs_key *key; /* NULL: there is no such key */
	const struct bootargs_known *known;
};

/* printf's own type. */
typedef int bootargs_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * True and *out set; or false, *out untouched and *error set. `text` may be NULL or empty: all
 * defaults. `known` are the caller's names, or NULL for none; more than BOOTARGS_NAMES_MAX of a
 * kind, or names for a key that takes none, are an error. O(words * keys).
 */
__attribute__((warn_unused_result)) bool bootargs_parse(const char *text,
							const struct bootargs_known *known,
							struct bootargs *out,
							struct bootargs_error *error);

/*
 * The valid key or value that was probably meant, where the refused word has an unknown one; NULL:
 * none is close to it (kernel/diag/suggest.h).
 */
const char *bootargs_suggest(const struct bootargs_error *error);

/*
 * One line: the word, why it was refused, what was probably meant, what is valid. Bytes that do not print are shown as
 * '?', long words are cut. The text given to bootargs_parse() must still be there.
 */
void bootargs_print_error(const struct bootargs_error *error, bootargs_printf *print);

/*
 * Reads one STEP:CPU of a value of switches= and moves *text behind it and the comma after it; false
 * where it is no such item. Every item of a value that was accepted is one.
 */
bool bootargs_next_switch(const char **text, const char *end, uint64_t *step, uint64_t *cpu);

/* Whether the refused word has this key. */
bool bootargs_error_is_of(const struct bootargs_error *error, const char *key);

/* All keys, one to a line, with their values and what they mean. */
void bootargs_print_valid(const struct bootargs_known *known, bootargs_printf *print);

/*
 * Whether these arguments send every allocation and every free to the slow paths, and so turn all
 * caches off.
 */
static inline bool bootargs_bypass_caches(const struct bootargs *args)
{
	return args->fail_nth || args->fail_rate || args->frame_debug;
}

static inline bool bootargs_set_has(uint64_t set, unsigned item)
{
	return set >> item & 1;
}
