/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schedule.h - executions: schedule.c runs one, choices.c makes its choices, runs.c has many.
 */
#pragma once

#include "tests/host/weak/model.h"

#define ENABLED_MAX (WEAK_CPUS_MAX * (WAITING_MAX + LATE_MAX + 2))
#define CHOICES_MAX (1u << 17)

/* Something that can be done next. */
struct option {
	enum { OPTION_STORE, OPTION_STEP, OPTION_LATE, OPTION_INTERRUPT } kind;
	unsigned cpu, index;
	uint32_t name; /* with the CPU and the kind: which one it is, in any order */
	const void *address;
	bool stores;
};

enum end { ENDED, FAILED, LEFT };
enum why_left { LEFT_REDUNDANT = 1, LEFT_IMPOSSIBLE };

/* One execution. What a failure says is in schedule_message. */
enum end schedule_execute(const struct weak_workload *workload);
extern char schedule_message[1024];
extern enum why_left schedule_why_left;
_Noreturn void schedule_leave(enum why_left why);

/* Where the choices of an execution come from: a seed, a list, or the search for the next one. */
enum choices_from { DRAWN, FOLLOWED, SEARCHED };

struct choices {
	enum choices_from from;
	bool stores_first; /* the order of the options: that of a search */
	unsigned made, given;
	unsigned list[CHOICES_MAX];
};

extern struct choices choices;

void choices_begin(void);
void choices_draw_from(uint64_t seed);
unsigned choices_option(const struct option *option, unsigned count);
/* Of a search: before the first execution; and whether there is another one. */
void choices_search(void);
bool choices_go_on(void);
bool choices_are_exhausted(void);
