/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore.c - weak_explore() of weak.h: a workload as a test, and what its fences are for.
 *
 * FENCES: each fence alone, and each of its pairs; TIMES: with this many times the executions. TOGETHER: a list of what no execution has died without,
 * "file:line", or "file:line/pair", separated by spaces. Each of these fences is taken away together with
 * each other one, and with each pair of a fence of its file. An execution that dies of that shows that either of the two is enough.
 */
#include "tests/host/weak/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/support/unit.h"

/* A weakened fence gets more executions than a test has time for; of two there are many. */
#define MORE_EXECUTIONS	    4
#define TOGETHER_EXECUTIONS 1
#define ITEMS_MAX	    256

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

static uint64_t times(uint64_t by_default)
{
	const char *wanted = getenv("TIMES");

	return wanted ? strtoull(wanted, NULL, 0) : by_default;
}

static void print_quoted(const char *text)
{
	putchar('"');
	for (; *text; text++)
		printf(*text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	putchar('"');
}

static const struct weak_fence *partner_of(const struct weak_fence *fence)
{
	const struct weak_fence *partner = NULL;
	uint64_t times = 0;

	for (unsigned i = 0; i < WEAK_PARTNERS_MAX; i++)
		if (fence->times[i] > times) {
			times = fence->times[i];
			partner = fence->partner[i];
		}
	return partner;
}

/* A line of JSON: tools/fences.py makes the table of these. `with`: the other item, or "". */
static void print_fence(const struct weak_workload *workload, const struct weak_fence *fence,
			const char *pair, const char *with, const struct weak_result *result)
{
	const struct weak_fence *partner = partner_of(fence);

	printf("# fence {\"file\": \"%s\", \"line\": %d, \"function\": \"%s\", \"what\": \"%s\", "
	       "\"pair\": \"%s\", \"workload\": \"%s\", \"caught\": %s, \"executions\": %llu",
	       fence->file, fence->line, fence->function, fence->what, pair, workload->name,
	       result->failed ? "true" : "false", (unsigned long long)result->executions);
	if (partner)
		printf(", \"partner\": \"%s:%d\"", partner->file, partner->line);
	if (*with)
		printf(", \"with\": \"%s\"", with);
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
	result = run(workload, times(MORE_EXECUTIONS));
	fence->pairs_now = fence->pairs;
	print_fence(workload, fence, name, "", &result);
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

/* ---- two at once ----------------------------------------------------------------------------- */

/* A fence, and what is left of it. */
struct item {
	struct weak_fence *fence;
	unsigned pairs;
	char name[160];
};

static struct weak_fence *find_fence(const char *file, size_t length, int line)
{
	struct weak_fence *fence;

	for (unsigned i = 0; (fence = weak_fence_number(i)); i++)
		if (fence->line == line && fence->passed && strlen(fence->file) == length &&
		    !strncmp(fence->file, file, length))
			return fence;
	return NULL;
}

static unsigned pairs_without(const struct weak_fence *fence, const char *pair)
{
	for (unsigned i = 0; i < sizeof(pair_names) / sizeof(pair_names[0]); i++)
		if (!strcmp(pair_names[i], pair))
			return fence->pairs & ~(1u << i);
	return 0;
}

/* The items of TOGETHER whose fences the workload has passed. */
static unsigned read_items(struct item *items, const char *list)
{
	unsigned count = 0;

	for (; *list && count < ITEMS_MAX; list += strspn(list, " ")) {
		struct item *item = &items[count];
		const char *colon, *slash;

		snprintf(item->name, sizeof(item->name), "%.*s", (int)strcspn(list, " "), list);
		list += strcspn(list, " ");
		colon = strchr(item->name, ':');
		slash = colon ? strchr(colon, '/') : NULL;
		if (!colon)
			continue;
		item->fence = find_fence(item->name, (size_t)(colon - item->name), atoi(colon + 1));
		if (!item->fence)
			continue;
		item->pairs = slash ? pairs_without(item->fence, slash + 1) : 0;
		count++;
	}
	return count;
}

static bool die_together(const struct weak_workload *workload, const struct item *one,
			 const struct item *other)
{
	struct weak_result result;

	one->fence->pairs_now = one->pairs;
	other->fence->pairs_now = other->pairs;
	result = run(workload, times(TOGETHER_EXECUTIONS));
	one->fence->pairs_now = one->fence->pairs;
	other->fence->pairs_now = other->fence->pairs;
	if (result.failed)
		print_fence(workload, one->fence, "all", other->name, &result);
	return result.failed;
}

/* A part of a fence is tried with fences of its own file only. */
static bool may_cover(const struct item *one, const struct item *other)
{
	return one->fence != other->fence && !one->fence->is_needed &&
	       (!other->pairs || !strcmp(one->fence->file, other->fence->file));
}

/* Each whole fence of the list with each item. What has died in an earlier workload is not tried again. */
static void weaken_together(const struct weak_workload *workload, const char *list)
{
	static struct item items[ITEMS_MAX];
	unsigned count = read_items(items, list);

	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count && !items[i].pairs; j++)
			if (may_cover(&items[i], &items[j]))
				items[i].fence->is_needed = die_together(workload, &items[i],
									 &items[j]);
}

/* `wanted`: "all", a part of the file's name, or "file:line". */
static bool is_wanted(const struct weak_fence *fence, const char *wanted)
{
	char place[200];

	snprintf(place, sizeof(place), "%s:%d", fence->file, fence->line);
	return fence->passed &&
	       (!strcmp(wanted, "all") || strstr(fence->file, wanted) || !strcmp(place, wanted));
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
	if (!getenv("FENCES") && !getenv("TOGETHER"))
		return;
	weak_is_quiet = true;
	if (getenv("TOGETHER"))
		weaken_together(workload, getenv("TOGETHER"));
	for (unsigned i = 0; (fence = weak_fence_number(i)); i++) {
		if (getenv("FENCES") && is_wanted(fence, getenv("FENCES")))
			weaken(workload, fence);
		fence->passed = 0;
		memset(fence->partner, 0, sizeof(fence->partner));
		memset(fence->times, 0, sizeof(fence->times));
	}
	weak_is_quiet = false;
}
