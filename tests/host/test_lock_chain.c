/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_lock_chain.c - how the kernel prints which cpu waits for which: chains, circles, and locks that
 * are broken.
 *
 * Covers: kernel/diag/lock_chain.c
 */
#include "kernel/diag/lock_chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "kernel/settings.h"
#include "lock_play.h"
#include "sync/lock_owners.h"
#include "tried_lock.h"
#include "printed.h"
#include "unit.h"

#define WAITS true
#define TAKES false

struct settings settings;

static unsigned looks;
static char waited[40], held[40]; /* as a site is printed */

/* What is printed now begins with this; goes on behind it. */
static void expect(char **text, const char *wanted)
{
	if (strncmp(*text, wanted, strlen(wanted)) != 0)
		unit_fail(__FILE__, __LINE__, "expected \"%s\" at \"%s\" in \"%s\"", wanted, *text,
			  printed);
	*text += strlen(wanted);
}

/* " waits for NAME (T ms, at [<0x...>])" */
static void expect_wait(char **text, const char *name)
{
	expect(text, " waits for ");
	expect(text, name);
	expect(text, " (");
	CHECK(strtod(*text, text) >= 0);
	expect(text, " ms, ");
	expect(text, waited);
	expect(text, ")");
}

static void expect_holder(char **text, const char *cpu)
{
	expect(text, " held by ");
	expect(text, cpu);
	expect(text, " (");
	expect(text, held);
	expect(text, ")");
}

static char *print_chain(unsigned cpu)
{
	listen();
	lock_chain_print(cpu);
	stop_listening();
	return printed;
}

static void play(const struct play_step *steps, unsigned count, void (*look)(void))
{
	settings.timebase = 10000000;
	looks = 0;
	lock_play_start(SPIN_FAS, 5);
	snprintf(waited, sizeof(waited), "at [<%#llx>]", (unsigned long long)lock_play_wait_site());
	snprintf(held, sizeof(held), "at [<%#llx>]", (unsigned long long)lock_play_hold_site());
	lock_play(steps, count, look);
	CHECK_EQ(looks, 1);
	lock_play_end();
	free(printed);
	printed = NULL;
}

#define PLAY(steps, look) play(steps, LENGTH(steps), look)

/* ---- chains -------------------------------------------------------------------------------- */

static void look_at_chain(void)
{
	char *text, circle[80];

	looks++;
	text = print_chain(4);
	expect(&text, "cpu 4");
	expect_wait(&text, "lock1");
	expect_holder(&text, "cpu 2");
	expect(&text, ", which");
	expect_wait(&text, "lock0");
	expect_holder(&text, "cpu 3");
	expect(&text, ", which runs\n");
	CHECK_EQ(*text, 0);
	text = print_chain(3);
	expect(&text, "cpu 3 waits for no lock\n");
	CHECK(!lock_chain_circle(4, circle, sizeof(circle)));
	listen();
	CHECK_EQ(lock_chains_print(), 2);
	stop_listening();
	text = printed;
	expect(&text, "cpu 2 waits for lock0 (");
	CHECK(strstr(text, "\ncpu 4 waits for lock1 ("));
	CHECK(!strstr(text, "deadlock"));
}

TEST(a_chain_ends_in_a_cpu_that_runs)
{
	static const struct play_step steps[] = {
		{3, 0, TAKES}, {2, 1, TAKES}, {4, 1, WAITS}, {2, 0, WAITS}};

	PLAY(steps, look_at_chain);
}

static void look_at_free(void)
{
	char *text;

	looks++;
	lock_play_release(0);
	text = print_chain(1);
	expect(&text, "cpu 1");
	expect_wait(&text, "lock0");
	expect(&text, ", whose holder is not known\n");
	listen();
	CHECK(!lock_chain_print_holder(&played[0]));
	lock_play_hold(3, 0);
	CHECK(lock_chain_print_holder(&played[0]));
	stop_listening();
	text = printed;
	expect(&text, "lock0 is held by cpu 3 (");
	expect(&text, held);
	expect(&text, ")\n");
	CHECK_EQ(*text, 0);
}

TEST(a_lock_that_was_released_has_no_holder)
{
	static const struct play_step steps[] = {{0, 0, TAKES}, {1, 0, WAITS}};

	PLAY(steps, look_at_free);
}

/* ---- circles ------------------------------------------------------------------------------- */

static void check_circle(unsigned cpu, const char *wanted)
{
	char circle[100];

	CHECK(lock_chain_circle(cpu, circle, sizeof(circle)));
	if (strcmp(circle, wanted) != 0)
		unit_fail(__FILE__, __LINE__, "\"%s\", expected \"%s\"", circle, wanted);
}

/* How often the text is in what lock_chains_print() prints. */
static unsigned times_printed(const char *wanted)
{
	unsigned times = 0;

	listen();
	lock_chains_print();
	stop_listening();
	for (const char *text = printed; (text = strstr(text, wanted)); text++)
		times++;
	return times;
}

#define CIRCLE_2 "cpu 1 -> lock2 -> cpu 4 -> lock0 -> cpu 1"

static void look_at_two(void)
{
	char *text, cut[12];

	looks++;
	check_circle(1, CIRCLE_2);
	check_circle(4, CIRCLE_2);
	CHECK_EQ(times_printed("deadlock: " CIRCLE_2 "\n"), 1);
	text = print_chain(4);
	expect(&text, "cpu 4");
	expect_wait(&text, "lock0");
	expect_holder(&text, "cpu 1");
	expect(&text, ", which");
	expect_wait(&text, "lock2");
	expect_holder(&text, "cpu 4");
	expect(&text, ", which is in this chain already\n");
	CHECK(lock_chain_circle(4, cut, sizeof(cut)));
	CHECK_EQ(strlen(cut), sizeof(cut) - 1);
}

TEST(a_circle_of_two_begins_with_its_lowest_cpu)
{
	static const struct play_step steps[] = {
		{1, 0, TAKES}, {4, 2, TAKES}, {4, 0, WAITS}, {1, 2, WAITS}};

	PLAY(steps, look_at_two);
}

#define CIRCLE_3 "cpu 1 -> lock2 -> cpu 3 -> lock0 -> cpu 4 -> lock1 -> cpu 1"

/* Cpu 0 waits for a lock of the circle, and cpu 2 for the same. */
static void look_at_three(void)
{
	looks++;
	for (unsigned cpu = 0; cpu < 5; cpu++)
		check_circle(cpu, CIRCLE_3);
	CHECK_EQ(times_printed("deadlock: "), 1);
	CHECK_EQ(times_printed("deadlock: " CIRCLE_3 "\n"), 1);
	CHECK_EQ(times_printed("which is in this chain already\n"), 5);
}

TEST(a_chain_runs_into_a_circle_that_its_first_cpu_is_not_in)
{
	static const struct play_step steps[] = {{1, 1, TAKES}, {4, 0, TAKES}, {3, 2, TAKES},
						 {0, 0, WAITS}, {2, 0, WAITS}, {4, 1, WAITS},
						 {1, 2, WAITS}, {3, 0, WAITS}};

	PLAY(steps, look_at_three);
}

static void acquire_again(void)
{
	struct spin_node node;

	spin_lock(&played[1], &node);
}

/* As a panic prints it: the cpu is still in the wait that was refused. */
TEST(a_cpu_that_waits_for_itself_is_a_circle_of_one)
{
	settings.timebase = 10000000;
	lock_play_start(SPIN_FAS, 5);
	lock_play_hold(3, 1);
	become(3);
	EXPECT_PANIC(acquire_again(), "deadlock: cpu 3 acquires lock lock1");
	check_circle(3, "cpu 3 -> lock1 -> cpu 3");
	CHECK_EQ(times_printed("deadlock: cpu 3 -> lock1 -> cpu 3\n"), 1);
	lock_play_end();
}

/* ---- broken locks -------------------------------------------------------------------------- */

static const void *unreadable;

static bool read_all_but_one(const void *address, size_t bytes)
{
	const char *from = address;

	return (const char *)unreadable < from || (const char *)unreadable >= from + bytes;
}

static void look_at_broken(void)
{
	uint64_t note = played[0].word.note.holder;
	char *text;

	looks++;
	lock_chain_can_read = read_all_but_one;
	unreadable = &played[0].word;
	text = print_chain(1);
	expect(&text, "cpu 1");
	expect_wait(&text, "lock0");
	expect(&text, ", but there is no lock at 0x");
	unreadable = played[0].name;
	text = print_chain(1);
	expect(&text, "cpu 1");
	expect_wait(&text, "?");
	unreadable = NULL;
	played[0].word.note.holder |= 0xffff; /* a cpu that does not exist */
	text = print_chain(1);
	expect(&text, "cpu 1");
	expect_wait(&text, "lock0");
	expect(&text, ", whose holder is not known\n");
	played[0].word.note.holder = note;
	lock_chain_can_read = NULL;
}

TEST(a_broken_lock_is_not_followed)
{
	static const struct play_step steps[] = {{0, 0, TAKES}, {1, 0, WAITS}};

	PLAY(steps, look_at_broken);
}

static void look_at_name(void)
{
	char *text;

	looks++;
	text = print_chain(1);
	expect(&text, "cpu 1 waits for ?ery??ong-name-o (");
}

TEST(a_name_is_cut_and_has_no_control_characters)
{
	static const struct play_step steps[] = {{0, 0, TAKES}, {1, 0, WAITS}};

	settings.timebase = 10000000;
	lock_play_start(SPIN_FAS, 2);
	played[0].name = "\033ery\n\xff"
			 "ong-name-of-a-lock";
	looks = 0;
	lock_play(steps, LENGTH(steps), look_at_name);
	CHECK_EQ(looks, 1);
	lock_play_end();
}

/* ---- long chains --------------------------------------------------------------------------- */

#define CPUS_MANY (LOCK_CHAIN_LINKS + 8)

/* Made by hand: each cpu waits for a lock of the next one. */
TEST(a_chain_has_a_bound)
{
	static struct spinlock locks[CPUS_MANY];
	static struct lock_wait_noted noted[CPUS_MANY];
	struct spin_node node = {0};
	char circle[80], *text;
	void *records;
	unsigned links = 0;

	settings.timebase = 10000000;
	host_memory_start(1 << 20, CPUS_MANY);
	records = aligned_alloc(PORT_CACHE_LINE, lock_owners_bytes(CPUS_MANY));
	lock_owners_start(records, CPUS_MANY);
	for (unsigned cpu = 0; cpu < CPUS_MANY; cpu++) {
		spin_init(&locks[cpu], "many", SPIN_FAS, CPUS_MANY, NULL);
		locks[cpu].word.note.holder = lock_owner_pack(locks, (cpu + 1) % CPUS_MANY);
		become(cpu);
		lock_wait_begin(&locks[cpu], &node, &noted[cpu]);
	}
	text = print_chain(0);
	for (const char *at = text; (at = strstr(at, " waits for many ")); at++)
		links++;
	CHECK_EQ(links, LOCK_CHAIN_LINKS);
	CHECK(strstr(text, ", and so on\n"));
	CHECK(!lock_chain_circle(0, circle, sizeof(circle)));
	become(0);
	lock_owners_start(NULL, 0);
	free(records);
	host_memory_end();
	free(printed);
	printed = NULL;
}
