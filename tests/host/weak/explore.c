/* SPDX-License-Identifier: BSD-2-Clause */
/* explore.c - weak_explore() of weak.h: a workload as a test, and what its fences are for. */
#include "tests/host/weak/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/support/unit.h"

/* A weakened fence gets more executions than a test has time for. */
#define MORE_EXECUTIONS 4

static const char *const pair_names[] = {"r,r", "r,w", "w,r", "w,w",	"r,o",
					 "w,o", "i,r", "i,w", "w,walks"};

static struct weak_result run(const struct weak_workload *workload, uint64_t times)
{
	struct weak_result all = {0}, some = {0};

	if (workload->all)
		all = weak_all(workload, workload->all * times);
	if (workload->some && !all.failed)
		some = weak_some(workload, unit_seed(), workload->some * times);
	if (workload->all && !all.failed && workload->some) {
		all.failed = some.failed;
		memcpy(all.message, some.message, sizeof(all.message));
		all.executions += some.executions;
		return all;
	}
	return workload->all ? all : some;
}

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++)
		printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	putchar('"');
}

/* A line of JSON: tools/fences.py makes the table of these. */
static void print_fence(const struct weak_workload *workload, const struct weak_fence *fence,
			const char *pair, const struct weak_result *result)
{
	const struct weak_fence *partner = NULL;
	uint64_t times = 0;

	for (unsigned i = 0; i < WEAK_PARTNERS_MAX; i++)
		if (fence->times[i] > times) {
			times = fence->times[i];
			partner = fence->partner[i];
		}
	printf("# fence {\"file\": \"%s\", \"line\": %d, \"function\": \"%s\", \"what\": \"%s\", "
	       "\"pair\": \"%s\", \"workload\": \"%s\", \"caught\": %s, \"executions\": %llu",
	       fence->file, fence->line, fence->function, fence->what, pair, workload->name,
	       result->failed ? "true" : "false", (unsigned long long)result->executions);
	if (partner)
		printf(", \"partner\": \"%s:%d\"", partner->file, partner->line);
	printf(", \"by\": ");
	print_quoted(result->failed ? result->message : "");
	puts("}");
	fflush(stdout);
}

static bool dies(const struct weak_workload *workload, struct weak_fence *fence, unsigned pairs,
		 const char *name)
{
	struct weak_result result;

	fence->pairs_now = pairs;
	result = run(workload, MORE_EXECUTIONS);
	fence->pairs_now = fence->pairs;
	print_fence(workload, fence, name, &result);
	return result.failed;
}

/*
 * The whole fence first: where no execution dies of that, none dies of a part. What an earlier
 * workload has died of is not tried again.
 */
static void weaken(const struct weak_workload *workload, struct weak_fence *fence)
{
	if (!fence->is_needed)
		fence->is_needed = dies(workload, fence, 0, "all");
	for (unsigned i = 0; fence->is_needed && i < sizeof(pair_names) / sizeof(pair_names[0]);
	     i++) {
		unsigned pair = fence->pairs & 1u << i;

		if (pair && !(fence->pairs_needed & pair) &&
		    dies(workload, fence, fence->pairs & ~pair, pair_names[i]))
			fence->pairs_needed |= pair;
	}
}

static bool is_wanted(const struct weak_fence *fence, const char *files)
{
	return fence->passed && (!strcmp(files, "all") || strstr(fence->file, files));
}

void weak_explore(const struct weak_workload *workload)
{
	struct weak_result result;
	struct weak_fence *fence;

	if (getenv("WORKLOAD") && strcmp(getenv("WORKLOAD"), workload->name))
		return;
	result = run(workload, 1);

	printf("# %-28s %u CPUs: %llu executions%s\n", workload->name, workload->cpus,
	       (unsigned long long)result.executions, result.complete ? ", all there are" : "");
	if (result.failed)
		unit_fail(__FILE__, __LINE__, "%s: %s", workload->name, result.message);
	if (!getenv("FENCES"))
		return;
	weak_is_quiet = true;
	for (unsigned i = 0; (fence = weak_fence_number(i)); i++) {
		if (is_wanted(fence, getenv("FENCES")))
			weaken(workload, fence);
		fence->passed = 0;
		memset(fence->partner, 0, sizeof(fence->partner));
		memset(fence->times, 0, sizeof(fence->times));
	}
	weak_is_quiet = false;
}
