/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_program.c - which registered programs run, in which order, and what the parser of boot
 * arguments learns of them.
 *
 * The kernel's own program.c. The lists that linker.ld makes are tables here, and the verdict, the
 * panic's activity, the trace's and the size of memory are this file's.
 *
 * Covers: kernel/program.c
 */
#include "unit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "kernel/program.h"
#include "kernel/settings.h"

struct settings settings;

/* ---- the programs -------------------------------------------------------------------------- */

static char done[200]; /* what was called, in its order */

static void note(const char *what)
{
	strcat(strcat(done, " "), what);
}

#define HOOKS(name)                                                                                \
	static void name##_prepare(void)                                                           \
	{                                                                                          \
		note("prepare-" #name);                                                            \
	}                                                                                          \
	static void name##_run(void)                                                               \
	{                                                                                          \
		note(#name);                                                                       \
	}

HOOKS(crash)
HOOKS(trial)
HOOKS(race)
HOOKS(sweep)
HOOKS(shell)
HOOKS(timers)

static size_t race_bytes, sweep_bytes;

static size_t race_memory(void)
{
	return race_bytes;
}

static size_t sweep_memory(void)
{
	return sweep_bytes;
}

static bool crash_is_wanted(bool is_named)
{
	CHECK(!is_named); /* it has no name in run= */
	return settings.arguments.crash != 0;
}

static bool race_is_wanted(bool is_named)
{
	return is_named && !settings.arguments.sweeps;
}

static bool sweep_is_wanted(bool is_named)
{
	CHECK(!is_named);
	return settings.arguments.sweeps;
}

static const struct program crash = {.name = "crash",
				     .is_unnamed = true,
				     .is_wanted = crash_is_wanted,
				     .prepare = crash_prepare,
				     .run = crash_run};
static const struct program trial = {.name = "trial",
				     .help = "helps",
				     .is_default = true,
				     .prepare = trial_prepare,
				     .run = trial_run};
static const struct program race = {.name = "race",
				    .help = "races",
				    .compares = true,
				    .is_wanted = race_is_wanted,
				    .memory_bytes = race_memory,
				    .prepare = race_prepare,
				    .run = race_run};
static const struct program sweep = {.name = "sweep",
				     .is_unnamed = true,
				     .is_wanted = sweep_is_wanted,
				     .memory_bytes = sweep_memory,
				     .prepare = sweep_prepare,
				     .run = sweep_run};
static const struct program shell = {
	.name = "shell", .help = "asks", .prepare = shell_prepare, .run = shell_run};
static const struct program timers = {.name = "timers",
				      .help = "ticks",
				      .owns_timers = true,
				      .prepare = timers_prepare,
				      .run = timers_run};

/* ---- what linker.ld makes of them, and what the code under test asks of the kernel ---------- */

#define PROGRAMS 6

const struct program_entry test_programs[PROGRAMS] = {{&crash, 10}, {&trial, 20}, {&race, 40},
						      {&sweep, 41}, {&shell, 50}, {&timers, 60}};

static const char *const crash_names[] = {"none", "loud"};
static const char *const work_names[] = {"a", "b", "c"};
static const unsigned two = 2, three = 3;
static const struct argument_values crash_values = {"crash", crash_names, &two, 0};
static const struct argument_values work_values = {"workload", work_names, &three, 1};

#define VALUES 2

const struct argument_values *const test_values[VALUES] = {&crash_values, &work_values};

/* Symbols behind the last entries, as the linker defines them: 16 and 8 bytes each. */
_Static_assert(sizeof(test_programs) == 96 && sizeof(test_values) == 16, "see below");
__asm__(".globl test_programs_end\n.set test_programs_end, test_programs + 96\n"
	".globl test_values_end\n.set test_values_end, test_values + 16\n");

#define RAM_FRAMES 1000

static uint64_t test_ram_frames(void)
{
	return RAM_FRAMES;
}

static char failure[200];
static jmp_buf verdict;

void verdict_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(failure, sizeof(failure), format, arguments);
	va_end(arguments);
}

void verdict_end(void)
{
	longjmp(verdict, 1);
}

void panic_set_activity(const char *what, const char *which)
{
	CHECK(!which);
	note("panic:");
	note(what);
}

void trace_set_activity(const char *name)
{
	note("trace:");
	note(name);
}

#define memory_ram_frames	test_ram_frames
#define __programs_start	test_programs
#define __programs_end		test_programs_end
#define __argument_values_start test_values
#define __argument_values_end	test_values_end
#include "kernel/program.c"

/* ---- the tests ----------------------------------------------------------------------------- */

static struct bootargs_known known;

/* Reads the boot arguments as the kernel does, and forgets what was called and printed. */
static void begin(const char *text)
{
	struct bootargs_error error;

	memset(run_names, 0, sizeof(run_names));
	programs_know(&known);
	CHECK(bootargs_parse(text, &known, &settings.arguments, &error));
	race_bytes = sweep_bytes = 0;
	done[0] = failure[0] = '\0';
}

/* programs_run(), and what it printed. */
static const char *run_all(void)
{
	static char printed[1000];
	FILE *output = stdout, *console;

	memset(printed, 0, sizeof(printed));
	console = fmemopen(printed, sizeof(printed), "w");
	CHECK(console);
	stdout = console;
	programs_run();
	stdout = output;
	fclose(console);
	return printed;
}

#define CALLED(name) " panic: " name " trace: " name " " name

TEST(the_parser_learns_what_is_registered)
{
	begin("");
	CHECK_EQ(known.programs.names.count, 4);
	CHECK(!strcmp(known.programs.names.name[0], "trial"));
	CHECK(!strcmp(known.programs.names.name[1], "race"));
	CHECK(!strcmp(known.programs.names.name[2], "shell"));
	CHECK(!strcmp(known.programs.names.name[3], "timers"));
	CHECK_EQ(known.programs.defaults, 1);
	CHECK_EQ(known.programs.compares, 2);
	CHECK_EQ(known.programs.switches, 8);
	CHECK_EQ(known.values_count, 2);
	CHECK(!strcmp(known.values[1].key, "workload"));
	CHECK_EQ(known.values[1].names.count, 3);
	CHECK_EQ(known.values[1].besides, 1);
	CHECK_EQ(known.values[0].besides, 0);
	CHECK(!strcmp(known.values[1].names.name[2], "c"));
}

TEST(programs_run_by_their_numbers)
{
	begin("");
	programs_run();
	CHECK(!strcmp(done, CALLED("trial")));
	begin("run=shell,race,trial crash=loud");
	CHECK(!run_all()[0]);
	CHECK(!strcmp(done, CALLED("crash") CALLED("trial") CALLED("race") CALLED("shell")));
}

TEST(a_sweep_runs_instead_of_the_program_that_compares)
{
	begin("run=race workload=b");
	CHECK(settings.arguments.sweeps);
	programs_prepare();
	programs_run();
	CHECK(!strcmp(done, " prepare-sweep" CALLED("sweep")));
}

TEST(only_what_runs_is_prepared)
{
	begin("run=timers");
	CHECK(programs_own_timers());
	programs_prepare();
	CHECK(!strcmp(done, " prepare-timers"));
	begin("run=race,shell");
	CHECK(!programs_own_timers());
	programs_prepare();
	CHECK(!strcmp(done, " prepare-race prepare-shell"));
}

TEST(a_program_is_alone_or_not)
{
	begin("run=shell");
	CHECK(programs_only("shell"));
	CHECK(!programs_only("race") && !programs_only("crash") && !programs_only("nonesuch"));
	begin("run=shell,race");
	CHECK(!programs_only("shell") && !programs_only("race"));
	settings.arguments.run = 0;
	CHECK(!programs_only("crash") && !programs_only("shell"));
}

TEST(nothing_to_run_is_said_with_what_there_is)
{
	const char *printed;

	begin("");
	settings.arguments.run = 0; /* as without a program that is a default */
	printed = run_all();
	CHECK(!done[0]);
	CHECK(strstr(printed, "nothing to run: "));
	CHECK(strstr(printed,
		     "  run=trial     helps\n  run=race      races\n  run=shell     asks\n"));
	CHECK(!strstr(printed, "crash") && !strstr(printed, "sweep"));
}

TEST(memory_is_for_those_that_run_and_an_eighth_at_most)
{
	size_t eighth = RAM_FRAMES * FRAME_SIZE / 8;

	begin("run=shell");
	race_bytes = sweep_bytes = 5;
	CHECK_EQ(programs_memory_bytes(), 0);
	begin("run=race,shell");
	race_bytes = eighth;
	sweep_bytes = 7;
	CHECK_EQ(programs_memory_bytes(), eighth);
	begin("run=race workload=a");
	sweep_bytes = eighth + 1;
	if (!setjmp(verdict)) {
		programs_memory_bytes();
		CHECK(!"the run goes on");
	}
	CHECK(strstr(failure, "the sweep needs 512001 bytes"));
}

TEST(programs_that_cannot_stand_together_are_a_panic)
{
	static const struct program_entry later = {&race, 40}, earlier = {&trial, 20};
	static const struct argument_values again = {"crash", work_names, &three, 0};
	struct bootargs_programs learnt = {.names.name = run_names};

	begin("");
	check_numbers(&earlier, &later);
	EXPECT_PANIC(check_numbers(&later, &earlier), "trial is number 20 and comes after race");
	EXPECT_PANIC(check_numbers(&later, &later), "none twice");
	EXPECT_PANIC(know_values(&known, &again), "two have names for crash=");
	memset(run_names, 0, sizeof(run_names));
	know_program(&learnt, &race);
	EXPECT_PANIC(know_program(&learnt, &race), "two are called race");
}
