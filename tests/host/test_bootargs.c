/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_bootargs.c - the boot arguments: every key, every refusal and its words, and junk.
 *
 * Texts are handed over in allocations of their exact size, so that the address sanitizer sees a
 * read of one byte too many.
 *
 * Covers: kernel/boot/bootargs*.c
 */
#include "unit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/boot/bootargs.h"

static const char *const workload_list[] = {"churn", "burst", "ring"};
static const char *const policy_list[] = {"tree", "map", "list"};
static const char *const program_list[] = {"selftest", "stress", "bench", "monitor", "explore"};
static const char *const crash_list[] = {"none", "null-read", "stack"};
static const char *const mode_list[] = {"any", "locks", "stack", "stall"};

/* The programs' bits, as they are registered in the kernel. */
enum { SELFTEST = 1, STRESS = 2, BENCH = 4, MONITOR = 8, EXPLORE = 16 };

static const struct bootargs_values values[] = {{"workload", {workload_list, 3}, 0},
						{"crash", {crash_list, 3}, 0},
						{"preempt", {mode_list, 4}, 0}};
static const struct bootargs_known known = {
	.programs = {.names = {program_list, 5},
		     .defaults = SELFTEST | STRESS,
		     .compares = BENCH,
		     .switches = EXPLORE},
	.policies = {policy_list, 3},
	.values = values,
	.values_count = 3,
};

static char printed[8192];
static size_t printed_length;

__attribute__((format(printf, 1, 2))) static int print_captured(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(printed + printed_length, sizeof(printed) - printed_length, format,
			   arguments);
	va_end(arguments);
	printed_length += (size_t)length;
	return length;
}

/* Parses a copy of exactly `length` bytes and a terminator; the printed error is captured. */
static bool parse_knowing(const struct bootargs_known *names, const char *bytes, size_t length,
			  struct bootargs *args)
{
	struct bootargs_error error;
	char *text = malloc(length + 1);
	bool accepted;

	memcpy(text, bytes, length);
	text[length] = '\0';
	accepted = bootargs_parse(text, names, args, &error);
	printed_length = 0;
	printed[0] = '\0';
	if (!accepted)
		bootargs_print_error(&error, print_captured);
	free(text);
	return accepted;
}

static bool parse_bytes(const char *bytes, size_t length, struct bootargs *args)
{
	return parse_knowing(&known, bytes, length, args);
}

static bool parse(const char *text, struct bootargs *args)
{
	return parse_bytes(text, strlen(text), args);
}

#define CHECK_ACCEPTED(text, args)                                                                 \
	do {                                                                                       \
		if (!parse(text, args))                                                            \
			unit_fail(__FILE__, __LINE__, "refused: %s", printed);                     \
	} while (0)

/* Refused by a caller that knows these names, with exactly this line. */
#define CHECK_REFUSED_KNOWING(names, text, line)                                                   \
	do {                                                                                       \
		struct bootargs args_;                                                             \
		if (parse_knowing(names, text, strlen(text), &args_))                              \
			unit_fail(__FILE__, __LINE__, "accepted: %s", text);                       \
		if (strcmp(printed, "bootargs: " line "\n") != 0)                                  \
			unit_fail(__FILE__, __LINE__, "says: %s", printed);                        \
	} while (0)

#define CHECK_REFUSED(text, line) CHECK_REFUSED_KNOWING(&known, text, line)

#define LOCKS                                                                                      \
	"; valid: fas cas dec ticket mcs clh anderson ticket_pb cohort qspinlock "                 \
	"reciprocating hclh none all"
#define POLICIES  "; valid: tree map list all"
#define WORKLOADS "; valid: churn burst ring all"

static void check_defaults(const struct bootargs *args)
{
	CHECK_EQ(args->run, SELFTEST | STRESS);
	CHECK_EQ(args->policies, 1);
	CHECK_EQ(args->policy, 0);
	CHECK_EQ(args->locks, 1);
	CHECK_EQ(args->lock, BOOTARGS_LOCK_FAS);
	CHECK_EQ(args->caches.count, 1);
	CHECK_EQ(args->batches.count, 1);
	CHECK_EQ(args->cpu_counts.count, 1);
	CHECK_EQ(args->sweeps, 0);
	CHECK_EQ(args->rounds, 0);
	CHECK_EQ(args->cell_ms, 0);
	CHECK_EQ(args->samples, 0);
	CHECK_EQ(args->fail_nth, 0);
	CHECK_EQ(args->fail_rate, 0);
	CHECK_EQ(args->fail_seed, 1);
	CHECK_EQ(args->frame_debug, 0);
	CHECK(!bootargs_bypass_caches(args));
	CHECK_EQ(args->cache_frames, BOOTARGS_NOT_GIVEN);
	CHECK_EQ(args->batch_frames, 0);
	CHECK_EQ(args->low_frames, BOOTARGS_NOT_GIVEN);
	CHECK_EQ(args->workload, 7);
	CHECK_EQ(args->ops, 0);
	CHECK_EQ(args->cpus, 0);
	CHECK_EQ(args->seed, 1);
	CHECK_EQ(args->lockstat, BOOTARGS_LOCKSTAT_CONTENDED);
	CHECK_EQ(args->trace, BOOTARGS_TRACE_OFF);
	CHECK_EQ(args->stuck_s, 10);
	CHECK_EQ(args->hold, 200);
	CHECK_EQ(args->hold_spread, BOOTARGS_SPREAD_FIXED);
	CHECK_EQ(args->think, 1800);
	CHECK_EQ(args->think_spread, BOOTARGS_SPREAD_FIXED);
	CHECK_EQ(args->preempt_min_ticks, 200);
	CHECK_EQ(args->preempt_range_ticks, 4000);
	CHECK_EQ(args->preempt_mode, 0);
	CHECK_EQ(args->crash, 0);
}

TEST(nothing_given_is_all_defaults)
{
	static const char *const nothing[] = {"", " ", " \t\r\n  "};
	struct bootargs_error error;
	struct bootargs args;

	CHECK(bootargs_parse(NULL, &known, &args, &error));
	check_defaults(&args);
	for (size_t i = 0; i < 3; i++) {
		memset(&args, 0xa5, sizeof(args));
		CHECK_ACCEPTED(nothing[i], &args);
		check_defaults(&args);
	}
}

TEST(every_key_reaches_its_field)
{
	struct bootargs args;

	CHECK_ACCEPTED("  run=stress policy=list lock=mcs\tcache=256 batch=64 low=77 "
		       "workload=ring,churn ops=5000 "
		       "cpus=3 seed=0xBeef lockstat=all trace=on ",
		       &args);
	CHECK_EQ(args.run, STRESS);
	CHECK_EQ(args.policy, 2);
	CHECK_EQ(args.policies, 4);
	CHECK_EQ(args.lock, BOOTARGS_LOCK_MCS);
	CHECK_EQ(args.locks, 1u << BOOTARGS_LOCK_MCS);
	CHECK_EQ(args.cache_frames, 256);
	CHECK_EQ(args.batch_frames, 64);
	CHECK_EQ(args.low_frames, 77);
	CHECK_EQ(args.workload, 5);
	CHECK_EQ(args.ops, 5000);
	CHECK_EQ(args.cpus, 3);
	CHECK_EQ(args.seed, 0xbeef);
	CHECK_EQ(args.lockstat, BOOTARGS_LOCKSTAT_ALL);
	CHECK_EQ(args.trace, BOOTARGS_TRACE_ON);
}

TEST(one_key_leaves_the_others_at_their_defaults)
{
	struct bootargs args;

	CHECK_ACCEPTED("seed=7", &args);
	CHECK_EQ(args.seed, 7);
	args.seed = 1;
	check_defaults(&args);
}

TEST(every_choice_has_its_number)
{
	static const char *const locks[] = {
		"fas",	     "cas",    "dec",	    "ticket",	     "mcs",  "clh", "anderson",
		"ticket_pb", "cohort", "qspinlock", "reciprocating", "hclh", "none"};
	static const char *const modes[] = {"off", "contended", "all"};
	struct bootargs args;
	char text[64];

	for (unsigned i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
		snprintf(text, sizeof(text), "lock=%s", locks[i]);
		CHECK_ACCEPTED(text, &args);
		CHECK_EQ(args.lock, i);
	}
	for (unsigned i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "lockstat=%s", modes[i]);
		CHECK_ACCEPTED(text, &args);
		CHECK_EQ(args.lockstat, i);
	}
	CHECK_ACCEPTED("heap=buddy", &args);
	CHECK_EQ(args.heap, BOOTARGS_HEAP_BUDDY);
	CHECK_ACCEPTED("trace=off", &args);
	CHECK_EQ(args.heap, BOOTARGS_HEAP_SLABS);
	CHECK_EQ(args.trace, BOOTARGS_TRACE_OFF);
	CHECK_REFUSED("trace=1", "\"trace=1\": no such value \"1\"; valid: off on");
	CHECK_REFUSED("trace=On",
		      "\"trace=On\": no such value \"On\" (did you mean on?); valid: off on");
}

TEST(sets_are_sets)
{
	struct bootargs args;

	CHECK_ACCEPTED("run=stress,selftest", &args);
	CHECK_EQ(args.run, SELFTEST | STRESS);
	CHECK_ACCEPTED("run=selftest", &args);
	CHECK_EQ(args.run, SELFTEST);
	CHECK_ACCEPTED("workload=all", &args);
	CHECK_EQ(args.workload, 7);
	CHECK_ACCEPTED("workload=burst", &args);
	CHECK_EQ(args.workload, 2);
}

TEST(numbers_reach_the_last_bit)
{
	struct bootargs args;

	CHECK_ACCEPTED("seed=18446744073709551615", &args);
	CHECK_EQ(args.seed, UINT64_MAX);
	CHECK_ACCEPTED("seed=0XFFFFFFFFFFFFFFFF", &args);
	CHECK_EQ(args.seed, UINT64_MAX);
	CHECK_ACCEPTED("seed=0", &args);
	CHECK_EQ(args.seed, 0);
	CHECK_ACCEPTED("seed=00000000000000000000000000000000012", &args);
	CHECK_EQ(args.seed, 12);
}

TEST(ops_take_a_suffix)
{
	struct bootargs args;

	CHECK_ACCEPTED("ops=20k", &args);
	CHECK_EQ(args.ops, 20000);
	CHECK_ACCEPTED("ops=3M", &args);
	CHECK_EQ(args.ops, 3000000);
	CHECK_ACCEPTED("ops=18446744073709551k", &args);
	CHECK_EQ(args.ops, 18446744073709551000u);
}

TEST(a_cache_holds_two_batches)
{
	struct bootargs args;

	CHECK_ACCEPTED("batch=96", &args);
	CHECK_ACCEPTED("cache=2 batch=1", &args);
	CHECK_ACCEPTED("cache=0 batch=500", &args);
	CHECK_ACCEPTED("cache=0", &args);
	CHECK_EQ(args.cache_frames, 0);
#define TOO_LARGE                                                                                  \
	": a cache holds two batches, so this is at most half of cache=; "                         \
	"valid: 1 to 512, and to half of cache="
	CHECK_REFUSED("batch=97 cache=192", "\"batch=97\"" TOO_LARGE);
	CHECK_REFUSED("batch=2 cache=3", "\"batch=2\"" TOO_LARGE);
	CHECK_REFUSED("cache=1",
		      "\"cache=1\": a cache holds two batches, so it cannot be one frame; "
		      "valid: 0 (off), or 2 and more");
}

TEST(faults_and_what_watches_frames_turn_caches_off)
{
	static const char *const bypassing[] = {"failnth=1", "failrate=1/1000", "framedebug=poison"};
	struct bootargs args;
	char text[100], line[200];

	CHECK_ACCEPTED("failnth=18446744073709551615", &args);
	CHECK_EQ(args.fail_nth, UINT64_MAX);
	CHECK_ACCEPTED("failseed=0 failrate=1/0x40", &args);
	CHECK_EQ(args.fail_rate, 64);
	CHECK_EQ(args.fail_seed, 0);
	CHECK_ACCEPTED("framedebug=owners", &args);
	CHECK_EQ(args.frame_debug, 1 << BOOTARGS_FRAMEDEBUG_OWNERS);
	CHECK_ACCEPTED("framedebug=all", &args);
	CHECK_EQ(args.frame_debug,
		 1 << BOOTARGS_FRAMEDEBUG_OWNERS | 1 << BOOTARGS_FRAMEDEBUG_POISON);
	for (size_t i = 0; i < sizeof(bypassing) / sizeof(bypassing[0]); i++) {
		CHECK_ACCEPTED(bypassing[i], &args);
		CHECK(bootargs_bypass_caches(&args));
		snprintf(text, sizeof(text), "%s cache=0", bypassing[i]);
		CHECK_ACCEPTED(text, &args);
		snprintf(text, sizeof(text), "cache=64 %s", bypassing[i]);
		snprintf(line, sizeof(line),
			 "bootargs: \"cache=64\": failnth=, failrate= and framedebug= turn caches "
			 "off; "
			 "valid: 0 (off), or 2 and more\n");
		CHECK(!parse(text, &args));
		CHECK(strcmp(printed, line) == 0);
	}
	CHECK_REFUSED("run=bench cache=0,64 failnth=1",
		      "\"cache=0,64\": failnth=, failrate= and framedebug= turn caches off; "
		      "valid: 0 (off), or 2 and more");
	CHECK_REFUSED("failnth=0", "\"failnth=0\": too small; valid: 1 and more");
	CHECK_REFUSED("failseed=7", "\"failseed=7\": only failrate= has a seed; valid: any number");
	CHECK_REFUSED("failseed=7 failnth=7",
		      "\"failseed=7\": only failrate= has a seed; valid: any number");
	CHECK_REFUSED("framedebug=poisen", "\"framedebug=poisen\": no such value \"poisen\" (did "
					   "you mean poison?); valid: poison owners all");
#define RATE "; valid: 1/N, N at least 1"
	CHECK_REFUSED("failrate=1/0", "\"failrate=1/0\": too small" RATE);
	CHECK_REFUSED("failrate=1/x", "\"failrate=1/x\": not a number" RATE);
	CHECK_REFUSED("failrate=1/18446744073709551616",
		      "\"failrate=1/18446744073709551616\": too large for 64 bits" RATE);
	CHECK_REFUSED("failrate=1/", "\"failrate=1/\": not of the form 1/N" RATE);
	CHECK_REFUSED("failrate=/2", "\"failrate=/2\": not of the form 1/N" RATE);
	CHECK_REFUSED("failrate=2/3", "\"failrate=2/3\": not of the form 1/N" RATE);
	CHECK_REFUSED("failrate=100", "\"failrate=100\": not of the form 1/N" RATE);
}

TEST(unknown_keys_are_refused)
{
#define KEYS                                                                                       \
	"valid keys: run policy lock cache batch low workload ops cpus seed lockstat "             \
	"paging trace flush heap time turn stuck crash "                                           \
	"failnth failrate failseed framedebug "                                                    \
	"rounds cell samples hold think preempt schedule switches heapdebug"
	CHECK_REFUSED("polcy=x", "\"polcy=x\": no such key (did you mean policy?); " KEYS);
	CHECK_REFUSED("seed=1 Lock=fas", "\"Lock=fas\": no such key (did you mean lock?); " KEYS);
	CHECK_REFUSED("=5", "\"=5\": no such key; " KEYS);
	CHECK_REFUSED("=", "\"=\": no such key; " KEYS);
	CHECK_REFUSED("quiet", "\"quiet\": no such key; " KEYS);
	CHECK_REFUSED("loc=fas", "\"loc=fas\": no such key (did you mean lock?); " KEYS);
	CHECK_REFUSED("locks=fas", "\"locks=fas\": no such key (did you mean lock?); " KEYS);
}

TEST(heapdebug_takes_words_and_a_number)
{
#define WORDS                                                                                      \
	"; valid: words with commas between, guard also as guard=N: redzone poison quarantine "    \
	"owners leaks guard all"
	struct bootargs_error error;
	struct bootargs args;

	CHECK(bootargs_parse("", &known, &args, &error));
	CHECK_EQ(args.heapdebug, 0);
	CHECK_EQ(args.guard_every, BOOTARGS_GUARD_EVERY);
	CHECK(bootargs_parse("heapdebug=all", &known, &args, &error));
	CHECK_EQ(args.heapdebug, 63);
	CHECK(bootargs_parse("heapdebug=guard=7,redzone", &known, &args, &error));
	CHECK_EQ(args.heapdebug, 1 << BOOTARGS_HEAPDEBUG_GUARD | 1 << BOOTARGS_HEAPDEBUG_REDZONE);
	CHECK_EQ(args.guard_every, 7);
	CHECK_REFUSED(
		"heapdebug=redzones",
		"\"heapdebug=redzones\": no such value \"redzones\" (did you mean redzone?)" WORDS);
	CHECK_REFUSED("heapdebug=", "\"heapdebug=\": no value" WORDS);
	CHECK_REFUSED("heapdebug=all,leaks",
		      "\"heapdebug=all,leaks\": names twice \"leaks\"" WORDS);
	CHECK_REFUSED("heapdebug=guard=0", "\"heapdebug=guard=0\": too small \"guard=0\"" WORDS);
	CHECK_REFUSED("heapdebug=guard=", "\"heapdebug=guard=\": not a number \"guard=\"" WORDS);
	CHECK_REFUSED(
		"heapdebug=poison=2",
		"\"heapdebug=poison=2\": no such value \"poison=2\" (did you mean poison?)" WORDS);
}

TEST(unknown_values_are_refused)
{
	CHECK_REFUSED("lock=futex", "\"lock=futex\": no such value \"futex\"" LOCKS);
	CHECK_REFUSED("lock=fas,futex", "\"lock=fas,futex\": no such value \"futex\"" LOCKS);
	CHECK_REFUSED("policy=heap", "\"policy=heap\": no such value \"heap\"" POLICIES);
	CHECK_REFUSED("lock=fas=cas",
		      "\"lock=fas=cas\": no such value \"fas=cas\" (did you mean fas?)" LOCKS);
	CHECK_REFUSED(
		"run=all",
		"\"run=all\": no such value \"all\"; valid: selftest stress bench monitor explore");
	CHECK_REFUSED("workload=churn,pop,ring",
		      "\"workload=churn,pop,ring\": no such value \"pop\"" WORKLOADS);
	CHECK_REFUSED("workload=churn,", "\"workload=churn,\": no such value \"\"" WORKLOADS);
	CHECK_REFUSED("workload=,churn", "\"workload=,churn\": no such value \"\"" WORKLOADS);
	CHECK_REFUSED("workload=ring,ring",
		      "\"workload=ring,ring\": names twice \"ring\"" WORKLOADS);
	CHECK_REFUSED("workload=ring,all", "\"workload=ring,all\": names twice \"all\"" WORKLOADS);
}

TEST(a_mistyped_key_or_value_gets_what_was_meant)
{
	CHECK_REFUSED("lcok=fas", "\"lcok=fas\": no such key (did you mean lock?); " KEYS);
	CHECK_REFUSED("WORKLOAD", "\"WORKLOAD\": no such key (did you mean workload?); " KEYS);
	CHECK_REFUSED("work=ring", "\"work=ring\": no such key (did you mean workload?); " KEYS);
	CHECK_REFUSED("lock=tikcet",
		      "\"lock=tikcet\": no such value \"tikcet\" (did you mean ticket?)" LOCKS);
	CHECK_REFUSED("lock=fas,al",
		      "\"lock=fas,al\": no such value \"al\" (did you mean all?)" LOCKS);
	CHECK_REFUSED("policy=tere",
		      "\"policy=tere\": no such value \"tere\" (did you mean tree?)" POLICIES);
	CHECK_REFUSED(
		"workload=ring,chrun",
		"\"workload=ring,chrun\": no such value \"chrun\" (did you mean churn?)" WORKLOADS);
	CHECK_REFUSED("run=stres", "\"run=stres\": no such value \"stres\" (did you mean stress?); "
				   "valid: selftest stress bench monitor explore");
}

TEST(what_is_suggested_is_accepted)
{
	unsigned suggested = 0;

	for (unsigned i = 0; i < 5000; i++) {
		char text[] = "lock=reciprocating", corrected[40];
		struct bootargs_error error;
		struct bootargs args;
		const char *meant;

		for (unsigned edits = 1 + (unsigned)unit_random_below(8); edits; edits--)
			text[5 + unit_random_below(sizeof(text) - 6)] =
				(char)('a' + unit_random_below(26));
		if (bootargs_parse(text, &known, &args, &error))
			continue;
		meant = bootargs_suggest(&error);
		if (!meant)
			continue;
		snprintf(corrected, sizeof(corrected), "lock=%s", meant);
		CHECK_ACCEPTED(corrected, &args);
		suggested++;
	}
	CHECK(suggested > 1000 && suggested < 4000);
}

TEST(incomplete_words_are_refused)
{
	CHECK_REFUSED("lock", "\"lock\": no '=' and value" LOCKS);
	CHECK_REFUSED("lock=", "\"lock=\": no value" LOCKS);
	CHECK_REFUSED("seed=", "\"seed=\": no value; valid: any number");
	CHECK_REFUSED("ops= 5", "\"ops=\": no value; valid: 1 and more, also as 20k or 3M");
}

TEST(keys_given_twice_are_refused)
{
	CHECK_REFUSED("lock=fas seed=1 lock=cas", "\"lock=cas\": key given twice" LOCKS);
	CHECK_REFUSED("seed=1 seed=1", "\"seed=1\": key given twice; valid: any number");
}

TEST(bad_numbers_are_refused)
{
	static const char *const no_numbers[] = {"x",	"-1",  "+1",  "1.5", "0x", "0xg", "1_000",
						 "12a", "0b1", "1e3", "k",   "1k", "ten", "0x-1"};
	struct bootargs args;
	char text[64];

	for (size_t i = 0; i < sizeof(no_numbers) / sizeof(no_numbers[0]); i++) {
		snprintf(text, sizeof(text), "seed=%s", no_numbers[i]);
		CHECK(!parse(text, &args));
		CHECK(strstr(printed, ": not a number; valid: any number\n"));
	}
#define TOO_LONG ": too large for 64 bits; valid: "
	CHECK_REFUSED("seed=18446744073709551616",
		      "\"seed=18446744073709551616\"" TOO_LONG "any number");
	CHECK_REFUSED("seed=0x10000000000000000",
		      "\"seed=0x10000000000000000\"" TOO_LONG "any number");
	CHECK_REFUSED("ops=18446744073709552k",
		      "\"ops=18446744073709552k\"" TOO_LONG "1 and more, also as 20k or 3M");
	CHECK_REFUSED("ops=k", "\"ops=k\": not a number; valid: 1 and more, also as 20k or 3M");
	CHECK_REFUSED("ops=1kk", "\"ops=1kk\": not a number; valid: 1 and more, also as 20k or 3M");
}

TEST(a_low_mark_is_any_number_and_0_is_none)
{
	struct bootargs args;

	CHECK_ACCEPTED("low=0", &args);
	CHECK_EQ(args.low_frames, 0);
	CHECK_ACCEPTED("low=0xfffffffffffffffe", &args);
	CHECK_EQ(args.low_frames, UINT64_MAX - 1);
	CHECK_REFUSED("low=4k",
		      "\"low=4k\": not a number; valid: 0 (off) and more, cut to half of a zone");
	CHECK_REFUSED("low=1 low=2",
		      "\"low=2\": key given twice; valid: 0 (off) and more, cut to half of "
		      "a zone");
}

TEST(zero_is_refused_where_it_means_nothing)
{
	CHECK_REFUSED("batch=0", "\"batch=0\": too small; "
				 "valid: 1 to 512, and to half of cache=");
	CHECK_REFUSED("ops=0", "\"ops=0\": too small; valid: 1 and more, also as 20k or 3M");
	CHECK_REFUSED("ops=0k", "\"ops=0k\": too small; valid: 1 and more, also as 20k or 3M");
	CHECK_REFUSED("cpus=0", "\"cpus=0\": too small; valid: 1 to the harts there are");
}

TEST(a_refusal_leaves_the_result_alone)
{
	struct bootargs args, before;

	memset(&args, 0x5a, sizeof(args));
	before = args;
	CHECK(!parse("seed=9 lock=mcs polcy=x", &args));
	CHECK(memcmp(&args, &before, sizeof(args)) == 0);
}

TEST(errors_print_safely)
{
	char text[5000];
	struct bootargs args;

	CHECK(!parse("lock=\x1b[2J\xff", &args));
	CHECK(strstr(printed, "\"lock=?[2J?\": no such value \"?[2J?\""));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CHECK(!parse(text, &args));
	CHECK(strstr(printed, "xxx...\": no such key"));
	CHECK(strspn(strchr(printed, '"') + 1, "x") <= 64); /* the word is cut */
	memset(text, '0', sizeof(text) - 1);
	memcpy(text, "seed=", 5);
	CHECK_ACCEPTED(text, &args);
	CHECK_EQ(args.seed, 0);
	memset(text, ' ', sizeof(text) - 1);
	memcpy(text + sizeof(text) - 7, "seed=5", 6);
	CHECK_ACCEPTED(text, &args);
	CHECK_EQ(args.seed, 5);
}

TEST(as_many_workloads_as_bits)
{
	static const char *names[65];
	static char storage[65][8];
	struct bootargs_values workloads = {"workload", {names, 64}, 0};
	struct bootargs_known many = {.values = &workloads, .values_count = 1};
	struct bootargs_error error;
	struct bootargs args;

	for (unsigned i = 0; i < 65; i++) {
		snprintf(storage[i], sizeof(storage[i]), "w%u", i);
		names[i] = storage[i];
	}
	CHECK(bootargs_parse("", &many, &args, &error));
	CHECK_EQ(args.workload, UINT64_MAX);
	CHECK(bootargs_parse("workload=w63,w0", &many, &args, &error));
	CHECK_EQ(args.workload, 1 | UINT64_C(1) << 63);
	workloads.names.count = 65;
	CHECK(!bootargs_parse("", &many, &args, &error));
	printed_length = 0;
	bootargs_print_error(&error, print_captured);
	CHECK(strstr(printed, "more names of workload= than 64"));
	many.values_count = 0;
	many.programs.names = (struct bootargs_names){names, 65};
	CHECK(!bootargs_parse("", &many, &args, &error));
	CHECK(strstr(error.reason, "more names of run= than 64"));
	many.programs.names.count = 64;
	CHECK(bootargs_parse("run=w63", &many, &args, &error));
	CHECK_EQ(args.run, UINT64_C(1) << 63);
	many.policies = (struct bootargs_names){names, 65};
	CHECK(!bootargs_parse("", &many, &args, &error));
	printed_length = 0;
	bootargs_print_error(&error, print_captured);
	CHECK(strstr(printed, "more names of policy= than 64"));
}

TEST(lists_are_for_a_sweep)
{
	struct bootargs args;

	CHECK_ACCEPTED("run=bench policy=list,tree lock=mcs,fas,none cache=128,0,64 batch=32,0x4 "
		       "cpus=4,1,2 workload=ring",
		       &args);
	CHECK_EQ(args.sweeps, 1);
	CHECK_EQ(args.policies, 5);
	CHECK_EQ(args.policy, 0);
	CHECK_EQ(args.locks,
		 1u << BOOTARGS_LOCK_FAS | 1u << BOOTARGS_LOCK_MCS | 1u << BOOTARGS_LOCK_NONE);
	CHECK_EQ(args.lock, BOOTARGS_LOCK_FAS);
	CHECK_EQ(args.caches.count, 3);
	CHECK_EQ(args.caches.value[0], 128);
	CHECK_EQ(args.caches.value[1], 0);
	CHECK_EQ(args.caches.value[2], 64);
	CHECK_EQ(args.cache_frames, 128);
	CHECK_EQ(args.batches.count, 2);
	CHECK_EQ(args.batches.value[1], 4);
	CHECK_EQ(args.batch_frames, 32);
	CHECK_EQ(args.cpu_counts.count, 3);
	CHECK_EQ(args.cpus, 4);
	CHECK_EQ(args.cpu_counts.value[2], 2);
}

TEST(all_is_every_policy_and_every_lock_that_locks)
{
	struct bootargs args;

	CHECK_ACCEPTED("run=bench policy=all lock=all", &args);
	CHECK_EQ(args.policies, 7);
	CHECK_EQ(args.locks, 0xfff);
	CHECK_ACCEPTED("run=bench lock=all,none", &args);
	CHECK_EQ(args.locks, 0x1fff);
	CHECK_REFUSED("run=bench lock=all,mcs", "\"lock=all,mcs\": names twice \"mcs\"" LOCKS);
	CHECK_REFUSED("run=bench policy=map,all",
		      "\"policy=map,all\": names twice \"all\"" POLICIES);
}

TEST(a_sweep_is_a_bench_with_a_workload_or_a_list)
{
	static const char *const sweeps[] = {"workload=ring", "policy=tree,map", "lock=fas,cas",
					     "cache=2,4",     "batch=1,2",	 "cpus=1,2"};
	static const char *const none[] = {"", "lock=mcs cache=0 batch=3 cpus=2 policy=map"};
	struct bootargs args;
	char text[100];

	for (size_t i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++) {
		snprintf(text, sizeof(text), "run=bench %s rounds=7 cell=9 samples=4", sweeps[i]);
		CHECK_ACCEPTED(text, &args);
		CHECK_EQ(args.sweeps, 1);
		CHECK_EQ(args.rounds, 7);
		CHECK_EQ(args.cell_ms, 9);
		CHECK_EQ(args.samples, 4);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		snprintf(text, sizeof(text), "run=bench %s", none[i]);
		CHECK_ACCEPTED(text, &args);
		CHECK_EQ(args.sweeps, 0);
	}
	CHECK_ACCEPTED("run=stress,bench workload=ring", &args);
	CHECK_EQ(args.sweeps, 0);
#define ONLY ": only a sweep has that: run=bench with workload= or a list; valid: "
	CHECK_REFUSED("run=bench rounds=2", "\"rounds=2\"" ONLY "1 to 1000");
	CHECK_REFUSED("workload=ring samples=2", "\"samples=2\"" ONLY "0 (none) to 1000");
	CHECK_REFUSED("cell=2", "\"cell=2\"" ONLY "1 to 1000000");
	CHECK_REFUSED("run=bench cpus=1,2 rounds=1001",
		      "\"rounds=1001\": too large; valid: 1 to 1000");
}

TEST(lists_elsewhere_are_refused)
{
	static const char *const runs[] = {"", "run=stress ", "run=selftest ", "run=explore ",
					   "run=stress,bench "};
	struct bootargs args;
	char text[100];

	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		snprintf(text, sizeof(text), "%slock=mcs,clh", runs[i]);
		CHECK(!parse(text, &args));
		CHECK(strstr(printed, "\"lock=mcs,clh\": a list of locks is for run=bench" LOCKS));
	}
	CHECK_REFUSED("policy=all", "\"policy=all\": a list of policies is for run=bench" POLICIES);
	CHECK_REFUSED("cache=2,4",
		      "\"cache=2,4\": a list of caches is for run=bench; valid: 0 (off), "
		      "or 2 and more");
	CHECK_REFUSED("batch=2,4", "\"batch=2,4\": a list of batches is for run=bench; valid: 1 to "
				   "512, and to half of cache=");
	CHECK_REFUSED("cpus=2,4",
		      "\"cpus=2,4\": a list of numbers of cpus is for run=bench; valid: "
		      "1 to the harts there are");
}

TEST(bad_lists_are_refused)
{
#define CPUS "; valid: 1 to the harts there are"
	CHECK_REFUSED("run=bench cpus=1,,2", "\"cpus=1,,2\": not a number \"\"" CPUS);
	CHECK_REFUSED("run=bench cpus=1,", "\"cpus=1,\": not a number \"\"" CPUS);
	CHECK_REFUSED("run=bench cpus=,1", "\"cpus=,1\": not a number \"\"" CPUS);
	CHECK_REFUSED("run=bench cpus=1,x", "\"cpus=1,x\": not a number \"x\"" CPUS);
	CHECK_REFUSED("run=bench cpus=1,0", "\"cpus=1,0\": too small \"0\"" CPUS);
	CHECK_REFUSED("run=bench cpus=1,all", "\"cpus=1,all\": not a number \"all\"" CPUS);
	CHECK_REFUSED("run=bench cpus=16,0x10", "\"cpus=16,0x10\": names twice \"0x10\"" CPUS);
	CHECK_REFUSED(
		"run=bench cpus=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
		"\"cpus=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\": more than 16 values, from "
		"\"17\"" CPUS);
	CHECK_REFUSED("run=bench ops=1,2",
		      "\"ops=1,2\": not a number; valid: 1 and more, also as 20k "
		      "or 3M");
	CHECK_REFUSED("run=bench cache=0,1,4",
		      "\"cache=0,1,4\": a cache holds two batches, so it cannot be one frame; "
		      "valid: 0 (off), or 2 and more");
	CHECK_REFUSED("run=bench cache=0,64,8 batch=1,5", "\"batch=1,5\"" TOO_LARGE);
}

#define PREEMPT                                                                                    \
	"; valid: MIN:RANGE or MIN:RANGE:MODE, each at most 1000000, MODE one of any "             \
	"locks stack stall"

#define NO_USE ": no program of this kernel has a use for it; valid: nothing"

TEST(a_kernel_without_programs_refuses_what_is_theirs)
{
	static const struct bootargs_known bare = {.policies = {policy_list, 3}};
	struct bootargs_error error;
	struct bootargs args;

	CHECK(bootargs_parse("", &bare, &args, &error));
	CHECK_EQ(args.run, 0);
	CHECK_EQ(args.workload, 0);
	CHECK(bootargs_parse("policy=map cpus=2 ops=5 trace=on", &bare, &args, &error));
	CHECK_EQ(args.policy, 1);
	CHECK_REFUSED_KNOWING(&bare, "workload=churn", "\"workload=churn\"" NO_USE);
	CHECK_REFUSED_KNOWING(&bare, "workload=all", "\"workload=all\"" NO_USE);
	CHECK_REFUSED_KNOWING(&bare, "run=stress", "\"run=stress\"" NO_USE);
	CHECK_REFUSED_KNOWING(&bare, "crash=stack", "\"crash=stack\"" NO_USE);
	CHECK_REFUSED_KNOWING(&bare, "preempt=1:2", "\"preempt=1:2\"" NO_USE);
	CHECK_REFUSED_KNOWING(&bare, "policy=all",
			      "\"policy=all\": a list of policies is for a sweep, and no program "
			      "here makes one" POLICIES);
	CHECK_REFUSED_KNOWING(&bare, "rounds=2",
			      "\"rounds=2\": only a sweep has that, and no program here makes one; "
			      "valid: 1 to 1000");
	CHECK_REFUSED_KNOWING(NULL, "policy=map",
			      "\"policy=map\": no such value \"map\"; valid: all");
	CHECK(bootargs_parse("policy=all", NULL, &args, &error));
	CHECK_EQ(args.policies, 0);
}

TEST(programs_say_which_of_them_run_and_compare_and_switch)
{
	static const char *const other_list[] = {"shell", "race", "trial"};
	static const struct bootargs_known other = {
		.programs = {{other_list, 3}, .defaults = 2, .compares = 4, .switches = 1},
		.policies = {policy_list, 3},
		.values = values,
		.values_count = 3};
	struct bootargs_error error;
	struct bootargs args;

	CHECK(bootargs_parse("", &other, &args, &error));
	CHECK_EQ(args.run, 2);
	CHECK(bootargs_parse("run=trial policy=all", &other, &args, &error));
	CHECK_EQ(args.sweeps, 1);
	CHECK(bootargs_parse("run=shell preempt=1:2:stack", &other, &args, &error));
	CHECK_EQ(args.preempt_mode, 2);
	CHECK_REFUSED_KNOWING(&other, "run=bench",
			      "\"run=bench\": no such value \"bench\"; valid: shell race trial");
	CHECK_REFUSED_KNOWING(&other, "run=shell,race",
			      "\"run=shell,race\": shell goes alone; valid: shell race trial");
	CHECK_REFUSED_KNOWING(&other, "policy=all",
			      "\"policy=all\": a list of policies is for run=trial" POLICIES);
	CHECK_REFUSED_KNOWING(&other, "preempt=1:2",
			      "\"preempt=1:2\": only run=shell has switches" PREEMPT);
	CHECK_REFUSED_KNOWING(&other, "samples=1",
			      "\"samples=1\": only a sweep has that: run=trial with workload= or a "
			      "list; valid: 0 (none) to 1000");
}

TEST(names_for_a_key_that_takes_none_are_a_mistake)
{
	static const char *const wrong[] = {"lock", "crahs", "run", "seed"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bootargs_values lost = {wrong[i], {crash_list, 3}, 0};
		struct bootargs_known mistaken = {.values = &lost, .values_count = 1};
		struct bootargs_error error;
		struct bootargs args;

		CHECK(!bootargs_parse("", &mistaken, &args, &error));
		CHECK(strstr(error.reason, wrong[i]) && strstr(error.reason, "which takes none"));
	}
}

TEST(an_error_knows_its_key)
{
	struct bootargs_error error;
	struct bootargs args;

	CHECK(!bootargs_parse("run=dance", &known, &args, &error));
	CHECK(bootargs_error_is_of(&error, "run") && !bootargs_error_is_of(&error, "seed"));
	CHECK(!bootargs_parse("dance=run", &known, &args, &error));
	CHECK(!bootargs_error_is_of(&error, "run"));
}

TEST(help_lists_every_key)
{
	static const char *const wanted[] = {
		"\n  run ",	  "\n  lock ",	   "\n  cache ",  "\n  batch ",	  "\n  low ",
		"\n  ops ",	  "\n  workload ", "\n  cpus ",	  "\n  seed ",	  "\n  lockstat ",
		" none all\n",	  " ring all\n",   "\n  policy ", " list all\n",  "\n  rounds ",
		"\n  cell ",	  "\n  samples ",  "\n  paging ", "\n  trace ",	  "\n  flush ",
		"\n  heap ",	  "\n  stuck ",	   "\n  crash ",  "\n  failnth ", "\n  failrate ",
		"\n  framedebug "};

	printed_length = 0;
	bootargs_print_valid(&known, print_captured);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (!strstr(printed, wanted[i]))
			unit_fail(__FILE__, __LINE__, "no \"%s\" in: %s", wanted[i], printed);
	}
}

/* Pieces that make junk look enough like arguments to get far into the parser. */
static const char *const pieces[] = {"run",   "lock", "cache", "batch",	 "workload", "ops",
				     "cpus",  "seed", "=",     "=",	 "low",	     ",",
				     " ",     " ",    "0x",    "9",	 "k",	     "M",
				     "churn", "all",  "fas",   "stress", "\xff",     "lockstat",
				     "bench", "none", "map",   "policy", "rounds",   "cell"};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

static size_t random_bytes(char *bytes, size_t size)
{
	size_t length = unit_random_below(size);

	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)(1 + unit_random_below(255));
	return length;
}

static size_t random_pieces(char *bytes, size_t size)
{
	size_t length = 0;

	for (;;) {
		const char *piece = pieces[unit_random_below(PIECES)];

		if (length + strlen(piece) > size || unit_random_below(20) == 0)
			return length;
		memcpy(bytes + length, piece, strlen(piece));
		length += strlen(piece);
	}
}

/* Accepted arguments obey every rule. */
static void check_sound(const struct bootargs *args)
{
	bool only_bench = args->run == BENCH;

	CHECK(args->run && args->run < 32 && args->workload < 8 && args->policies < 8 &&
	      args->locks < 256);
	CHECK(args->lock <= BOOTARGS_LOCK_NONE && args->lockstat <= BOOTARGS_LOCKSTAT_ALL);
	CHECK((args->locks >> args->lock & 1) && (args->policies >> args->policy & 1));
	CHECK(args->cache_frames != 1);
	CHECK(args->cache_frames == 0 || args->batch_frames <= args->cache_frames / 2);
	CHECK(args->caches.count >= 1 && args->caches.count <= BOOTARGS_LIST_MAX);
	CHECK(only_bench || (args->caches.count == 1 && !(args->locks & (args->locks - 1))));
	CHECK(only_bench || !args->sweeps);
}

TEST(junk_is_refused_or_sound)
{
	unsigned accepted = 0;
	char bytes[200];

	for (unsigned round = 0; round < 100000; round++) {
		size_t length = round % 4 ? random_pieces(bytes, sizeof(bytes))
					  : random_bytes(bytes, sizeof(bytes));
		struct bootargs args;

		if (parse_bytes(bytes, length, &args)) {
			check_sound(&args);
			accepted++;
		} else {
			CHECK(strncmp(printed, "bootargs: \"", 11) == 0);
			CHECK(strstr(printed, "valid"));
		}
	}
	CHECK(accepted > 0);
}

TEST(a_schedule_has_two_numbers_and_a_mode)
{
	struct bootargs args;

	CHECK_ACCEPTED("run=explore preempt=5:0", &args);
	CHECK_EQ(args.run, EXPLORE);
	CHECK_EQ(args.preempt_min_ticks, 5);
	CHECK_EQ(args.preempt_range_ticks, 0);
	CHECK_EQ(args.preempt_mode, 0);
	CHECK_ACCEPTED("preempt=0x10:1000000:stall run=explore", &args);
	CHECK_EQ(args.preempt_min_ticks, 16);
	CHECK_EQ(args.preempt_range_ticks, 1000000);
	CHECK_EQ(args.preempt_mode, 3);
	CHECK_ACCEPTED("run=explore preempt=1:2:locks", &args);
	CHECK_EQ(args.preempt_mode, 1);
	CHECK_ACCEPTED("run=explore preempt=1:2:stack", &args);
	CHECK_EQ(args.preempt_mode, 2);
}

TEST(a_delay_has_a_number_and_a_spread)
{
	struct bootargs args;

	CHECK_ACCEPTED("hold=0 think=1000000:random", &args);
	CHECK_EQ(args.hold, 0);
	CHECK_EQ(args.hold_spread, BOOTARGS_SPREAD_FIXED);
	CHECK_EQ(args.think, 1000000);
	CHECK_EQ(args.think_spread, BOOTARGS_SPREAD_RANDOM);
	CHECK_ACCEPTED("hold=0x10:random think=3:fixed", &args);
	CHECK_EQ(args.hold, 16);
	CHECK_EQ(args.hold_spread, BOOTARGS_SPREAD_RANDOM);
	CHECK_EQ(args.think, 3);
	CHECK_EQ(args.think_spread, BOOTARGS_SPREAD_FIXED);
#define DELAY "; valid: N or N:SPREAD, N at most 1000000, SPREAD one of fixed random"
	CHECK_REFUSED("hold=1000001", "\"hold=1000001\": too large \"1000001\"" DELAY);
	CHECK_REFUSED("hold=:random", "\"hold=:random\": not a number \"\"" DELAY);
	CHECK_REFUSED("think=5:", "\"think=5:\": no such spread \"\"" DELAY);
	CHECK_REFUSED("think=-1", "\"think=-1\": not a number \"-1\"" DELAY);
	CHECK_REFUSED("think=5:rand",
		      "\"think=5:rand\": no such spread \"rand\" (did you mean random?)" DELAY);
	CHECK_REFUSED("hold=5:fixed:fixed", "\"hold=5:fixed:fixed\": no such spread "
					    "\"fixed:fixed\" (did you mean fixed?)" DELAY);
}

/* The last name is not in `all`, and has to be named. */
TEST(all_leaves_out_what_the_caller_wants_left_out)
{
	static const struct bootargs_values two_of_three = {"workload", {workload_list, 3}, 1};
	static const struct bootargs_known besides = {
		.programs = {.names = {program_list, 5}, .compares = BENCH},
		.policies = {policy_list, 3},
		.values = &two_of_three,
		.values_count = 1};
	struct bootargs_error error;
	struct bootargs args;

	CHECK(bootargs_parse("", &besides, &args, &error));
	CHECK_EQ(args.workload, 3);
	CHECK(bootargs_parse("workload=all", &besides, &args, &error));
	CHECK_EQ(args.workload, 3);
	CHECK(bootargs_parse("workload=ring", &besides, &args, &error));
	CHECK_EQ(args.workload, 4);
	CHECK(bootargs_parse("workload=ring,all", &besides, &args, &error));
	CHECK_EQ(args.workload, 7);
}

TEST(a_bad_schedule_is_refused)
{
	CHECK_REFUSED("run=explore preempt=5", "\"preempt=5\": no ':' and range" PREEMPT);
	CHECK_REFUSED("run=explore preempt=:5", "\"preempt=:5\": not a number \"\"" PREEMPT);
	CHECK_REFUSED("run=explore preempt=5:", "\"preempt=5:\": not a number \"\"" PREEMPT);
	CHECK_REFUSED("run=explore preempt=5:k", "\"preempt=5:k\": not a number \"k\"" PREEMPT);
	CHECK_REFUSED("run=explore preempt=5:1000001",
		      "\"preempt=5:1000001\": too large \"1000001\"" PREEMPT);
	CHECK_REFUSED("run=explore preempt=1:2:", "\"preempt=1:2:\": no such mode \"\"" PREEMPT);
	CHECK_REFUSED(
		"run=explore preempt=1:2:any:any",
		"\"preempt=1:2:any:any\": no such mode \"any:any\" (did you mean any?)" PREEMPT);
}

TEST(a_schedule_has_a_kind_steps_and_a_depth)
{
	struct bootargs args;

	CHECK_ACCEPTED("run=explore", &args);
	CHECK_EQ(args.schedule, BOOTARGS_SCHEDULE_SEEDS);
	CHECK_ACCEPTED("run=explore schedule=pct", &args);
	CHECK_EQ(args.schedule, BOOTARGS_SCHEDULE_PCT);
	CHECK_EQ(args.schedule_steps, BOOTARGS_SCHEDULE_STEPS);
	CHECK_EQ(args.schedule_depth, BOOTARGS_SCHEDULE_DEPTH);
	CHECK_ACCEPTED("run=explore schedule=pct:0x10:64", &args);
	CHECK_EQ(args.schedule_steps, 16);
	CHECK_EQ(args.schedule_depth, 64);
	CHECK_ACCEPTED("schedule=walk:1000000000 run=explore", &args);
	CHECK_EQ(args.schedule, BOOTARGS_SCHEDULE_WALK);
	CHECK_EQ(args.schedule_steps, 1000000000);
#define SCHEDULE                                                                                   \
	"; valid: KIND, pct:STEPS, pct:STEPS:DEPTH or walk:STEPS, STEPS at most 1000000000, "      \
	"DEPTH at most 64, KIND one of seeds pct walk list"
	CHECK_REFUSED("run=explore schedule=pcp",
		      "\"schedule=pcp\": no such schedule \"pcp\" (did you mean pct?)" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=:5", "\"schedule=:5\": no such schedule \"\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=seeds:5",
		      "\"schedule=seeds:5\": this schedule has no steps \"5\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=pct:", "\"schedule=pct:\": not a number \"\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=pct:0", "\"schedule=pct:0\": too small \"0\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=walk:1000000001",
		      "\"schedule=walk:1000000001\": too large \"1000000001\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=walk:5:3",
		      "\"schedule=walk:5:3\": only pct has a depth \"3\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=pct:5:65",
		      "\"schedule=pct:5:65\": too large \"65\"" SCHEDULE);
	CHECK_REFUSED("run=explore schedule=pct:5:2:1",
		      "\"schedule=pct:5:2:1\": not a number \"2:1\"" SCHEDULE);
}

TEST(a_list_of_switches_has_steps_that_rise)
{
	struct bootargs args;
	uint64_t step = 0, cpu = 0;
	const char *at, *end;

	CHECK_ACCEPTED("run=explore schedule=list", &args);
	CHECK_EQ(args.switches_length, 0);
	CHECK_ACCEPTED("switches=7:1,0x10:0,1000000000:4294967295 run=explore schedule=list", &args);
	CHECK_EQ(args.switches_length, strlen("7:1,0x10:0,1000000000:4294967295"));
	/* Not the text that was parsed, which is gone: an equal one. */
	at = "7:1,0x10:0";
	end = at + strlen(at);
	CHECK(bootargs_next_switch(&at, end, &step, &cpu));
	CHECK(step == 7 && cpu == 1 && at < end);
	CHECK(bootargs_next_switch(&at, end, &step, &cpu));
	CHECK(step == 16 && cpu == 0 && at == end);
#define SWITCHES "; valid: STEP:CPU,STEP:CPU and so on, steps rising"
#define LIST	 "run=explore schedule=list "
	CHECK_REFUSED(LIST "switches=5", "\"switches=5\": not of the form STEP:CPU \"5\"" SWITCHES);
	CHECK_REFUSED(LIST "switches=5:1,",
		      "\"switches=5:1,\": not of the form STEP:CPU \"\"" SWITCHES);
	CHECK_REFUSED(LIST "switches=:1",
		      "\"switches=:1\": not of the form STEP:CPU \":1\"" SWITCHES);
	CHECK_REFUSED(LIST "switches=1:",
		      "\"switches=1:\": not of the form STEP:CPU \"1:\"" SWITCHES);
	CHECK_REFUSED(LIST "switches=1:2:3",
		      "\"switches=1:2:3\": not of the form STEP:CPU \"1:2:3\"" SWITCHES);
	CHECK_REFUSED(
		LIST "switches=1000000001:0",
		"\"switches=1000000001:0\": not of the form STEP:CPU \"1000000001:0\"" SWITCHES);
	CHECK_REFUSED(
		LIST "switches=1:4294967296",
		"\"switches=1:4294967296\": not of the form STEP:CPU \"1:4294967296\"" SWITCHES);
	CHECK_REFUSED(LIST "switches=5:1,5:2",
		      "\"switches=5:1,5:2\": the steps do not rise \"5:2\"" SWITCHES);
	CHECK_REFUSED("run=explore schedule=pct switches=5:1",
		      "\"switches=5:1\": only schedule=list has a list of switches" SWITCHES);
	CHECK_REFUSED("run=explore switches=5:1",
		      "\"switches=5:1\": only schedule=list has a list of switches" SWITCHES);
	CHECK_REFUSED("switches=5:1", "\"switches=5:1\": only run=explore has switches" SWITCHES);
	CHECK_REFUSED("schedule=walk", "\"schedule=walk\": only run=explore has switches" SCHEDULE);
}

TEST(schedules_and_other_runs_do_not_mix)
{
	CHECK_REFUSED("preempt=1:2", "\"preempt=1:2\": only run=explore has switches" PREEMPT);
	CHECK_REFUSED("run=stress,explore", "\"run=stress,explore\": explore goes alone; valid: "
					    "selftest stress bench monitor explore");
}
