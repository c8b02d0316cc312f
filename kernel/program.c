/* SPDX-License-Identifier: BSD-2-Clause */
/* program.c - see program.h. */
#include "kernel/program.h"

#include <stdio.h>
#include <string.h>

#include "kernel/boot/memory.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/trace.h"
#include "kernel/settings.h"
#include "mm/address.h"
#include "mm/check.h"

/* No program may need more than this part of RAM for itself. */
#define MEMORY_SHARE 8

#define KEYS_MAX 16 /* of which programs give names */

/* linker.ld: sorted by the names of their sections. */
extern const struct program_entry __programs_start[], __programs_end[];
extern const struct argument_values *const __argument_values_start[], *const __argument_values_end[];

static const char *run_names[BOOTARGS_NAMES_MAX];
static struct bootargs_values values[KEYS_MAX];

static unsigned program_count(void)
{
	return (unsigned)(__programs_end - __programs_start);
}

static const struct program *program_at(unsigned i)
{
	return __programs_start[i].program;
}

/* ---- what they know of boot arguments ------------------------------------------------------ */

/* The linker has sorted their numbers as text, which is their order from 10 to 99. */
static void check_numbers(const struct program_entry *earlier, const struct program_entry *later)
{
	check(earlier->number < later->number,
	      "programs: %s is number %lu and comes after %s, number %lu; expected 10 to 99, and "
	      "none "
	      "twice",
	      later->program->name, later->number, earlier->program->name, earlier->number);
}

static void know_program(struct bootargs_programs *known, const struct program *program)
{
	uint64_t bit = UINT64_C(1) << known->names.count;

	check(known->names.count < BOOTARGS_NAMES_MAX, "programs: more than %d", BOOTARGS_NAMES_MAX);
	for (unsigned i = 0; i < known->names.count; i++)
		check(strcmp(run_names[i], program->name) != 0, "programs: two are called %s",
		      program->name);
	run_names[known->names.count++] = program->name;
	known->defaults |= program->is_default ? bit : 0;
	known->compares |= program->compares ? bit : 0;
	known->switches |= program->owns_timers ? bit : 0;
}

static void know_values(struct bootargs_known *known, const struct argument_values *its)
{
	unsigned count = known->values_count;

	check(count < KEYS_MAX, "programs: names for more than %d arguments", KEYS_MAX);
	for (unsigned i = 0; i < count; i++)
		check(strcmp(values[i].key, its->key) != 0,
		      "programs: two have names for %s=", its->key);
	values[count] = (struct bootargs_values){its->key, {its->name, *its->count}, its->besides};
	known->values_count = count + 1;
}

void programs_know(struct bootargs_known *known)
{
	*known = (struct bootargs_known){.programs.names.name = run_names, .values = values};
	for (unsigned i = 0; i < program_count(); i++) {
		if (i)
			check_numbers(&__programs_start[i - 1], &__programs_start[i]);
		if (!program_at(i)->is_unnamed)
			know_program(&known->programs, program_at(i));
	}
	for (unsigned i = 0; i < (unsigned)(__argument_values_end - __argument_values_start); i++)
		know_values(known, __argument_values_start[i]);
}

/* ---- which of them run --------------------------------------------------------------------- */

/* The bit of the program in bootargs.run; 0: it has none, for it cannot be named there. */
static uint64_t bit_of(const struct program *program)
{
	for (unsigned i = 0; i < BOOTARGS_NAMES_MAX && run_names[i]; i++)
		if (strcmp(run_names[i], program->name) == 0)
			return UINT64_C(1) << i;
	return 0;
}

static bool is_wanted(const struct program *program)
{
	bool is_named = (settings.arguments.run & bit_of(program)) != 0;

	return program->is_wanted ? program->is_wanted(is_named) : is_named;
}

bool programs_only(const char *name)
{
	for (unsigned i = 0; i < program_count(); i++) {
		const struct program *program = program_at(i);

		if (strcmp(program->name, name) == 0)
			return settings.arguments.run && settings.arguments.run == bit_of(program);
	}
	return false;
}

bool programs_own_timers(void)
{
	for (unsigned i = 0; i < program_count(); i++) {
		const struct program *program = program_at(i);

		if (program->owns_timers && is_wanted(program))
			return true;
	}
	return false;
}

size_t programs_memory_bytes(void)
{
	size_t sum = 0;

	for (unsigned i = 0; i < program_count(); i++) {
		const struct program *program = program_at(i);
		size_t bytes = 0;

		if (is_wanted(program) && program->memory_bytes)
			bytes = program->memory_bytes();
		if (bytes > memory_ram_frames() * FRAME_SIZE / MEMORY_SHARE) {
			verdict_fail(
				"bootargs: the %s needs %zu bytes for its figures, more than "
				"an eighth of memory; valid: fewer values, rounds= or samples=",
				program->name, bytes);
			verdict_end();
		}
		sum += bytes;
	}
	return sum;
}

void programs_prepare(void)
{
	for (unsigned i = 0; i < program_count(); i++) {
		const struct program *program = program_at(i);

		if (is_wanted(program) && program->prepare)
			program->prepare();
	}
}

void programs_run(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < program_count(); i++) {
		const struct program *program = program_at(i);

		if (!is_wanted(program))
			continue;
		panic_set_activity(program->name, NULL);
		trace_set_activity(program->name);
		program->run();
		count++;
	}
	if (count)
		return;
	printf("\nnothing to run: without run= no program of this kernel runs\n");
	programs_print();
}

void programs_print(void)
{
	for (unsigned i = 0; i < program_count(); i++) {
		const struct program *program = program_at(i);

		if (!program->is_unnamed)
			printf("  run=%-9s %s\n", program->name, program->help);
	}
}
