/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_litmus.c - the memory of the weak-memory explorer on the standard litmus tests: an outcome
 * that RVWMO allows is seen, one that it forbids never.
 *
 * A test is a few CPUs with one or two accesses each, and an outcome. The outcome is a cycle: for it
 * to happen, at least one CPU must have its two accesses the other way round. So RVWMO forbids it if
 * and only if on each CPU with two accesses something orders them: a fence that names the kinds of
 * both, or a dependency of the second access on what the first one read. (RISC-V Unprivileged ISA,
 * "RVWMO", preserved program order rules 4 and 9 to 11.) Two accesses of one address are always
 * ordered (rules 1 to 3), so the tests with one address are always forbidden.
 *
 * Each test runs with each fence on each of its CPUs, in all combinations, through all executions.
 *
 * Covers: tests/host/weak/memory.c tests/host/weak/schedule.c
 */
#include <port.h>

#include <stdlib.h>
#include <string.h>

#include "tests/host/support/unit.h"
#include "tests/host/weak/weak.h"

#define EXECUTIONS_MAX 2000000

enum kind { NONE, LOAD, STORE };

struct access {
	enum kind kind;
	unsigned word;	/* 0: x, 1: y */
	uint64_t value; /* that is stored, or that the outcome has it read */
};

struct litmus {
	const char *name;
	struct access access[4][2];
	uint64_t last[2];  /* the outcome's last values of x and y; 0: any */
	bool is_coherence; /* one address: forbidden with no fence at all */
};

static const struct litmus tests[] = {
	{"SB", {{{STORE, 0, 1}, {LOAD, 1, 0}}, {{STORE, 1, 1}, {LOAD, 0, 0}}}, {0, 0}, false},
	{"MP", {{{STORE, 0, 1}, {STORE, 1, 1}}, {{LOAD, 1, 1}, {LOAD, 0, 0}}}, {0, 0}, false},
	{"LB", {{{LOAD, 0, 1}, {STORE, 1, 1}}, {{LOAD, 1, 1}, {STORE, 0, 1}}}, {0, 0}, false},
	{"S", {{{STORE, 0, 2}, {STORE, 1, 1}}, {{LOAD, 1, 1}, {STORE, 0, 1}}}, {2, 0}, false},
	{"R", {{{STORE, 0, 1}, {STORE, 1, 1}}, {{STORE, 1, 2}, {LOAD, 0, 0}}}, {0, 2}, false},
	{"2+2W", {{{STORE, 0, 1}, {STORE, 1, 2}}, {{STORE, 1, 1}, {STORE, 0, 2}}}, {1, 1}, false},
	{"WRC",
	 {{{STORE, 0, 1}}, {{LOAD, 0, 1}, {STORE, 1, 1}}, {{LOAD, 1, 1}, {LOAD, 0, 0}}},
	 {0, 0},
	 false},
	{"IRIW",
	 {{{STORE, 0, 1}},
	  {{STORE, 1, 1}},
	  {{LOAD, 0, 1}, {LOAD, 1, 0}},
	  {{LOAD, 1, 1}, {LOAD, 0, 0}}},
	 {0, 0},
	 false},
	{"CoRR", {{{STORE, 0, 1}}, {{LOAD, 0, 1}, {LOAD, 0, 0}}}, {0, 0}, true},
	{"CoWW", {{{STORE, 0, 1}, {STORE, 0, 2}}}, {1, 0}, true},
	{"CoWR", {{{STORE, 0, 1}, {LOAD, 0, 0}}, {{STORE, 0, 2}}}, {0, 0}, true},
	{"CoRW", {{{LOAD, 0, 2}, {STORE, 0, 1}}, {{STORE, 0, 2}}}, {2, 0}, true},
};

/* Between two accesses: nothing, a dependency, or a fence. */
static const struct between {
	const char *name;
	bool depends;
	unsigned before, after;
} betweens[] = {
	{"nothing", false, 0, 0},
	{"a dependency", true, 0, 0},
	{"fence r, r", false, WEAK_R, WEAK_R},
	{"fence r, w", false, WEAK_R, WEAK_W},
	{"fence w, r", false, WEAK_W, WEAK_R},
	{"fence w, w", false, WEAK_W, WEAK_W},
	{"fence r, rw", false, WEAK_R, WEAK_RW},
	{"fence rw, w", false, WEAK_RW, WEAK_W},
	{"fence rw, rw", false, WEAK_RW, WEAK_RW},
};

#define BETWEENS (sizeof(betweens) / sizeof(betweens[0]))
#define ORDINARY 0

static const struct litmus *test;
static const struct between *between[4];
static uint64_t words[2], was_read[4][2];
static bool was_seen;

static void setup(void)
{
	memset(words, 0, sizeof(words));
}

static void fence(const struct between *kind)
{
	struct weak_site site = {__FILE__,     kind->name,  kind->name, (int)(kind - betweens),
				 kind->before, kind->after, NULL,	WEAK_UNKNOWN};

	if (kind->before)
		weak_fence(&site);
}

static void work(unsigned cpu)
{
	unsigned first = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct access *access = &test->access[cpu][i];
		struct weak_site *site = access->word ? WEAK_SITE("y", 0, 0) : WEAK_SITE("x", 0, 0);
		bool depends = i == 1 && first && between[cpu]->depends;

		if (i == 1)
			fence(between[cpu]);
		if (access->kind == LOAD && depends) {
			was_read[cpu][i] = weak_load_after(&words[access->word], first, site);
		} else if (access->kind == LOAD) {
			struct weak_loaded loaded = weak_load_late(&words[access->word], site);

			was_read[cpu][i] = loaded.value;
			first = loaded.number;
		} else if (access->kind == STORE && depends) {
			weak_store_after(&words[access->word], access->value, first, site);
		} else if (access->kind == STORE) {
			weak_store(&words[access->word], 8, access->value, site);
		}
	}
}

static void look(void)
{
	bool is_it = true;

	for (unsigned word = 0; word < 2; word++)
		is_it &= !test->last[word] || words[word] == test->last[word];
	for (unsigned cpu = 0; cpu < 4; cpu++)
		for (unsigned i = 0; i < 2; i++)
			is_it &= test->access[cpu][i].kind != LOAD ||
				 was_read[cpu][i] == test->access[cpu][i].value;
	was_seen |= is_it;
}

static unsigned cpus_of(const struct litmus *litmus)
{
	unsigned cpus = 0;

	while (cpus < 4 && litmus->access[cpus][0].kind != NONE)
		cpus++;
	return cpus;
}

static bool orders(const struct between *kind, const struct access *access)
{
	unsigned first = access[0].kind == LOAD ? WEAK_R : WEAK_W;
	unsigned second = access[1].kind == LOAD ? WEAK_R : WEAK_W;

	if (kind->depends)
		return first == WEAK_R;
	return kind->before & first && kind->after & second;
}

static bool is_forbidden(void)
{
	bool all = true;

	if (test->is_coherence)
		return true;
	for (unsigned cpu = 0; cpu < cpus_of(test); cpu++)
		if (test->access[cpu][1].kind != NONE)
			all &= orders(between[cpu], test->access[cpu]);
	return all;
}

static uint64_t executions, combinations;

static void run_combination(void)
{
	static const char *const names[] = {"forbidden", "allowed"};
	struct weak_workload workload = {.name = test->name,
					 .cpus = cpus_of(test),
					 .setup = setup,
					 .work = work,
					 .check = look,
					 .foresees = true,
					 .here = true};
	struct weak_result result;

	was_seen = false;
	result = weak_all(&workload, EXECUTIONS_MAX);
	executions += result.executions;
	combinations++;
	if (result.failed || !result.complete)
		unit_fail(__FILE__, __LINE__, "%s: %s", test->name,
			  result.failed ? result.message : "not all executions were tried");
	if (was_seen == is_forbidden())
		unit_fail(__FILE__, __LINE__, "%s with %s, %s, %s, %s is %s, and was %sseen",
			  test->name, between[0]->name, between[1]->name, between[2]->name,
			  between[3]->name, names[!is_forbidden()], was_seen ? "" : "not ");
}

/* All combinations of what is between the two accesses of the CPUs from `cpu` on. */
static void run_from(unsigned cpu)
{
	if (cpu == cpus_of(test)) {
		run_combination();
		return;
	}
	for (unsigned i = 0; i < (test->access[cpu][1].kind == NONE ? 1 : BETWEENS); i++) {
		between[cpu] = &betweens[i];
		run_from(cpu + 1);
	}
	between[cpu] = &betweens[ORDINARY];
}

TEST(an_outcome_is_seen_if_and_only_if_rvwmo_allows_it)
{
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		uint64_t before = executions, of_it = combinations;

		for (unsigned cpu = 0; cpu < 4; cpu++)
			between[cpu] = &betweens[ORDINARY];
		test = &tests[i];
		run_from(0);
		printf("# %-5s %4llu combinations of fences, %llu executions\n", test->name,
		       (unsigned long long)(combinations - of_it),
		       (unsigned long long)(executions - before));
	}
}
