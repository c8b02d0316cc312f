/* SPDX-License-Identifier: BSD-2-Clause */
/* history_print.c - a history of history.h as a table, and why its calls have no order. */
#include "tests/host/support/history_private.h"

#include <stdio.h>

static const char *const names[] = {"alloc",	"alloc nowait", "run",	 "run nowait", "free",
				    "free run", "ask",		"flush", "restart",    "(end)"};

void call_text(const struct history_call *call, char *text, size_t size)
{
	bool is_run = call->kind == HISTORY_RUN || call->kind == HISTORY_RUN_NOWAIT;
	int length = snprintf(text, size, "%s", names[call->kind]);

	if (is_run)
		snprintf(text + length, size - (size_t)length, " of %llu, align %llu",
			 (unsigned long long)call->count, (unsigned long long)call->align);
	if (call->kind == HISTORY_FREE)
		snprintf(text + length, size - (size_t)length, " %#llx",
			 (unsigned long long)call->first);
	if (call->kind == HISTORY_RUN_FREE)
		snprintf(text + length, size - (size_t)length, " %#llx, %llu frames",
			 (unsigned long long)call->first, (unsigned long long)call->count);
}

static void print_instant(uint64_t instant)
{
	if (instant)
		printf(" %6llu", (unsigned long long)instant);
	else
		printf("      -");
}

static void print_call(const struct history_call *call, unsigned number, unsigned place)
{
	char text[60], result[24] = "";

	call_text(call, text, sizeof(text));
	if (call->kind <= HISTORY_RUN_NOWAIT) {
		if (call->first == HISTORY_NONE)
			snprintf(result, sizeof(result), "none");
		else
			snprintf(result, sizeof(result), "%#llx", (unsigned long long)call->first);
	}
	printf("# %4u %4u %4u", number, call->line, call->cpu);
	print_instant(call->begin);
	print_instant(call->end);
	printf("  %-24s %-10s", text, result);
	if (place)
		printf(" %5u\n", place);
	else
		printf("     -\n");
}

/* In the order that was found, as far as it goes. */
static uint64_t free_after(const struct plan *plan, const struct history_verdict *verdict)
{
	uint64_t free = plan->all;

	for (unsigned place = 1; place <= verdict->ordered; place++)
		for (unsigned i = 0; i < plan->history->calls; i++)
			if (verdict->place[i] == place)
				plan_step(plan, (struct step){i, 0}, &free, NULL, 0);
	return free;
}

static void print_free(const struct plan *plan, uint64_t free)
{
	const struct history_machine *machine = &plan->history->machine;

	printf("# free then:");
	for (unsigned zone = 0; zone < machine->zones; zone++)
		for (unsigned i = 0; i < machine->zone[zone].count; i++, free >>= 1)
			if (free & 1)
				printf(" %#llx",
				       (unsigned long long)(machine->zone[zone].first + i));
	printf("\n");
}

/* The first call of each line that has no place. */
static void print_next(const struct plan *plan, const struct history_verdict *verdict, uint64_t free)
{
	bool seen[HISTORY_LINES_MAX] = {false};

	for (unsigned i = 0; i < plan->history->calls; i++) {
		const struct history_call *call = &plan->history->call[i];
		char text[60],
			why[100] = "it may not come next: another call ended before it began";

		if (verdict->place[i] || seen[call->line])
			continue;
		seen[call->line] = true;
		call_text(call, text, sizeof(text));
		for (unsigned step = 0; step < plan->steps[call->line]; step++) {
			uint64_t then = free;

			if (plan->step[call->line][step].call == i &&
			    !plan_step(plan, plan->step[call->line][step], &then, why, sizeof(why)))
				break;
		}
		printf("# number %u, cpu %u, %s: %s\n", i + 1, call->cpu, text, why);
	}
}

void history_print(const struct history *history, const struct history_verdict *verdict)
{
	static struct plan plan;
	unsigned calls = history->calls;
	uint64_t free;

	plan_make(&plan, history);
	printf("# number line cpu  begin    end  call                     result     place in "
	       "order\n");
	for (unsigned i = 0; i < calls; i++)
		print_call(&history->call[i], i + 1, verdict->place[i]);
	free = free_after(&plan, verdict);
	printf("# %u of %u calls can be put in an order\n", verdict->ordered, calls);
	if (verdict->ordered == calls)
		return;
	print_free(&plan, free);
	print_next(&plan, verdict, free);
	fflush(stdout);
}
