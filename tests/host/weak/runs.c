/* SPDX-License-Identifier: BSD-2-Clause */
/* runs.c - many executions of weak.h, and what is made of the first one that fails. */
#include "tests/host/weak/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHRINK_STEPS 20000000
#define SHRINK_MAX   4000 /* executions */

static const struct weak_workload *workload;

bool weak_is_quiet;

/* ---- children --------------------------------------------------------------------------------- */

/*
 * An execution that fails leaves the code under test as it was then. So executions run in a child of
 * the program, and the next one that must begin from a clean state in another child. This is what
 * they hand over.
 */
struct shared {
	int died; /* by this signal */
	enum end end;
	unsigned made;
	char message[sizeof(schedule_message)];
	struct weak_result result;
	unsigned choices[CHOICES_MAX];
};

static struct shared *shared;

static void share(void)
{
	if (shared)
		return;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		abort();
	memory_share_fences();
}

static void in_child(void (*work)(void))
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		work();
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		abort();
	shared->died = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* The part of a message that names no value. */
static bool is_same_failure(const char *a, const char *b)
{
	size_t length = strcspn(a, "0123456789");

	return strncmp(a, b, length ? length : 1) == 0;
}

static unsigned kept[CHOICES_MAX];

static void follow_choices(void)
{
	choices.from = FOLLOWED;
	shared->end = schedule_execute(workload);
	shared->made = choices.made;
	memcpy(shared->message, schedule_message, sizeof(schedule_message));
}

static bool still_fails(const char *wanted, unsigned given)
{
	choices.given = given;
	in_child(follow_choices);
	return shared->end == FAILED && is_same_failure(wanted, shared->message);
}

/*
 * Makes as many choices ordinary as possible: halves, quarters and so on of all of them, down to one
 * alone. Then the list has the fewest switches and reorderings that this finds.
 */
static void shrink(char *wanted)
{
	unsigned count = shared->made, tries = 0;

	uint64_t most = count ? SHRINK_STEPS / count : 0;

	if (most > SHRINK_MAX)
		most = SHRINK_MAX;
	memcpy(kept, choices.list, sizeof(kept));
	for (unsigned size = count; size >= 1 && tries < most; size /= 2) {
		for (unsigned from = 0; from < count && tries < most; from += size) {
			unsigned to = from + size < count ? from + size : count;
			bool changes = false;

			memcpy(choices.list, kept, sizeof(kept));
			for (unsigned i = from; i < to; i++) {
				changes |= choices.list[i] != 0;
				choices.list[i] = 0;
			}
			if (!changes)
				continue;
			tries++;
			if (still_fails(wanted, count)) {
				memcpy(kept, choices.list, sizeof(kept));
				if (shared->made < count)
					count = shared->made;
			}
		}
	}
	while (count && kept[count - 1] == 0)
		count--;
	memcpy(choices.list, kept, sizeof(kept));
	choices.given = count;
}

static void tell_story(void)
{
	story_is_told = true;
	follow_choices();
}

static void tell(const struct weak_result *result)
{
	char wanted[sizeof(schedule_message)];
	unsigned changes = 0;

	memcpy(wanted, result->message, sizeof(wanted));
	memcpy(choices.list, shared->choices, sizeof(choices.list));
	shrink(wanted);
	for (unsigned i = 0; i < choices.given; i++)
		changes += choices.list[i] != 0;
	printf("# %s, execution %llu, seed %llu: %s\n# %u choices are not the ordinary ones:\n",
	       workload->name, (unsigned long long)result->executions,
	       (unsigned long long)result->seed, wanted, changes);
	fflush(stdout);
	in_child(tell_story);
}

/* ---- many executions ------------------------------------------------------------------------- */

static uint64_t first_seed, wanted_executions;

static void count_end(struct weak_result *result, enum end end)
{
	if (end == LEFT && schedule_why_left == LEFT_REDUNDANT)
		result->redundant++;
	else if (end == LEFT)
		result->impossible++;
	else
		result->executions++;
	result->failed = end == FAILED;
}

/* Puts the result where the parent process finds it. */
static void hand_over(struct weak_result *result)
{
	memcpy(result->message, schedule_message, sizeof(result->message));
	shared->result = *result;
	shared->made = choices.made < CHOICES_MAX ? choices.made : CHOICES_MAX;
	memcpy(shared->choices, choices.list, shared->made * sizeof(choices.list[0]));
}

static void search(void)
{
	struct weak_result result = {0};

	choices.stores_first = true;
	memory_foresees_nothing();
	do {
		choices_search();
		do {
			choices.from = SEARCHED;
			count_end(&result, schedule_execute(workload));
			if (result.failed)
				break;
		} while (choices_go_on() &&
			 result.executions + result.redundant + result.impossible <
				 wanted_executions);
		result.complete = choices_are_exhausted();
	} while (!result.failed && result.complete && memory_foresees_more() && workload->foresees);
	hand_over(&result);
}

static void draw(void)
{
	struct weak_result result = {0};

	choices.stores_first = false;
	for (uint64_t i = 0; i < wanted_executions && !result.failed; i++) {
		result.seed = first_seed + i;
		choices_draw_from(result.seed);
		count_end(&result, schedule_execute(workload));
	}
	hand_over(&result);
}

static struct weak_result run_all(const struct weak_workload *wanted, void (*run_them)(void))
{
	share();
	workload = wanted;
	if (wanted->here)
		run_them();
	else
		in_child(run_them);
	if (shared->died) {
		shared->result = (struct weak_result){.failed = true};
		snprintf(shared->result.message, sizeof(shared->result.message),
			 "the program was killed by signal %d", shared->died);
	} else if (shared->result.failed && !weak_is_quiet) {
		struct weak_result result = shared->result;

		choices.stores_first = run_them == search;
		tell(&result);
		return result;
	}
	return shared->result;
}

struct weak_result weak_all(const struct weak_workload *wanted, uint64_t most)
{
	wanted_executions = most;
	return run_all(wanted, search);
}

struct weak_result weak_some(const struct weak_workload *wanted, uint64_t seed, uint64_t count)
{
	first_seed = seed;
	wanted_executions = count;
	return run_all(wanted, draw);
}
