/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs_check.c - refusing a word; and what is wrong with the boot arguments as a whole: names
 * that no key takes, and words that cannot stand together. And when a sweep is asked for.
 */
#include "kernel/boot/bootargs_private.h"

#include <stdarg.h>
#include <stdio.h>

bool bootargs_refuse(struct parser *parser, struct span word, const struct bootargs_key *key,
		     const char *format, ...)
{
	struct bootargs_error *error = parser->error;
	va_list arguments;

	*error = (struct bootargs_error){
		.word = word.start,
		.word_length = word.length,
		.key = key,
		.known = parser->known,
	};
	va_start(arguments, format);
	vsnprintf(error->reason, sizeof(error->reason), format, arguments);
	va_end(arguments);
	return false;
}

static bool check_count(struct parser *parser, unsigned count, const char *what)
{
	if (count <= BOOTARGS_NAMES_MAX)
		return true;
	return bootargs_refuse(parser, (struct span){"", 0}, NULL,
			       "this kernel has more names of %s= than %d", what,
			       BOOTARGS_NAMES_MAX);
}

/* No word could give a name that its key does not take, so it is a mistake of the program. */
static bool check_values(struct parser *parser, const struct bootargs_values *values)
{
	for (size_t i = 0; i < BOOTARGS_KEYS; i++)
		if (strcmp(bootargs_keys[i].name, values->key) == 0 &&
		    bootargs_keys[i].naming == NAMING_VALUES)
			return check_count(parser, values->names.count, values->key);
	return bootargs_refuse(parser, (struct span){"", 0}, NULL,
			       "a program has names for %s=, which takes none", values->key);
}

bool bootargs_check_known(struct parser *parser)
{
	const struct bootargs_known *known = parser->known;

	for (unsigned i = 0; i < known->values_count; i++)
		if (!check_values(parser, &known->values[i]))
			return false;
	return check_count(parser, known->programs.names.count, "run") &&
	       check_count(parser, known->policies.count, "policy");
}

/* The index of the key that sets the field. */
static size_t index_of(struct parser *parser, const uint64_t *field)
{
	size_t index = 0;

	while (field_of(&parser->args, &bootargs_keys[index]) != field)
		index++;
	return index;
}

static bool was_given(struct parser *parser, const uint64_t *field)
{
	return parser->given[index_of(parser, field)].start != NULL;
}

/* Refuses the word that set the field, for a reason that lies in another word too. */
#define REFUSE_FIELD(parser, field, ...)                                                           \
	bootargs_refuse(parser, (parser)->given[index_of(parser, field)],                          \
			&bootargs_keys[index_of(parser, field)], __VA_ARGS__)

/* The name of the first program of the set; NULL: it is empty. */
static const char *first_of(const struct parser *parser, uint64_t set)
{
	const struct bootargs_names *names = &parser->known->programs.names;

	for (unsigned i = 0; i < names->count; i++)
		if (bootargs_set_has(set, i))
			return names->name[i];
	return NULL;
}

/* A set of one has no bit left without its lowest. */
static bool is_several(uint64_t set)
{
	return (set & (set - 1)) != 0;
}

static bool refuse_list(struct parser *parser, size_t index)
{
	const struct bootargs_key *key = &bootargs_keys[index];
	const char *program = first_of(parser, parser->known->programs.compares);

	if (!program)
		return bootargs_refuse(parser, parser->given[index], key,
				       "a list of %s is for a sweep, and no program here makes one",
				       key->listed);
	return bootargs_refuse(parser, parser->given[index], key, "a list of %s is for run=%s",
			       key->listed, program);
}

/* A sweep is asked for by more than one value of some key, or by a choice of workloads. */
static bool check_lists(struct parser *parser)
{
	struct bootargs *args = &parser->args;
	bool compares = !is_several(args->run) && (args->run & parser->known->programs.compares);
	bool lists = false;

	for (size_t i = 0; i < BOOTARGS_KEYS; i++) {
		const struct bootargs_key *key = &bootargs_keys[i];
		uint64_t field = *field_of(args, key);

		if (!key->sweeps || !(key->form == FORM_SET ? is_several(field) : field > 1))
			continue;
		if (!compares)
			return refuse_list(parser, i);
		lists = true;
	}
	args->sweeps = compares && (lists || was_given(parser, &args->workload));
	return true;
}

static bool check_sweep(struct parser *parser)
{
	struct bootargs *args = &parser->args;
	const uint64_t *const fields[] = {&args->rounds, &args->cell_ms, &args->samples};
	const char *program = first_of(parser, parser->known->programs.compares);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!was_given(parser, fields[i]) || args->sweeps)
			continue;
		if (!program)
			return REFUSE_FIELD(parser, fields[i],
					    "only a sweep has that, and no program here makes one");
		return REFUSE_FIELD(parser, fields[i],
				    "only a sweep has that: run=%s with workload= or a list",
				    program);
	}
	return true;
}

/*
 * The bound on how often a cpu takes the lock holds only for a cache of two batches or more: one
 * batch is left after a refill, and one batch is left after a flush.
 */
static bool check_caches(struct parser *parser)
{
	const struct bootargs_list *caches = &parser->args.caches, *batches = &parser->args.batches;

	for (uint64_t i = 0; i < caches->count; i++) {
		if (caches->value[i] == 0)
			continue;
		if (caches->value[i] == 1)
			return REFUSE_FIELD(parser, &caches->count,
					    "a cache holds two batches, so it cannot be one frame");
		for (uint64_t j = 0; j < batches->count; j++)
			if (batches->value[j] > caches->value[i] / 2)
				return REFUSE_FIELD(parser, &batches->count,
						    "a cache holds two batches, so this is at most "
						    "half of cache=");
	}
	return true;
}

/* Where caches have to be off, cache= may say so too, and nothing else. */
static bool check_bypass(struct parser *parser)
{
	const struct bootargs *args = &parser->args;

	if (was_given(parser, &args->fail_seed) && !args->fail_rate)
		return REFUSE_FIELD(parser, &args->fail_seed, "only failrate= has a seed");
	if (!bootargs_bypass_caches(args) || !was_given(parser, &args->caches.count) ||
	    (args->caches.count == 1 && args->caches.value[0] == 0))
		return true;
	return REFUSE_FIELD(parser, &args->caches.count,
			    "failnth=, failrate= and framedebug= turn caches off");
}

/* A program that makes switches owns the timers, so no other program can run in the same boot. */
static bool check_switches(struct parser *parser)
{
	struct bootargs *args = &parser->args;
	const uint64_t *const fields[] = {&args->preempt_min_ticks, &args->schedule,
					  &args->switches_at};
	uint64_t switches = parser->known->programs.switches;
	const char *chosen = first_of(parser, args->run & switches);

	if (chosen && is_several(args->run))
		return REFUSE_FIELD(parser, &args->run, "%s goes alone", chosen);
	for (size_t i = 0; !chosen && i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!was_given(parser, fields[i]))
			continue;
		if (!switches)
			return REFUSE_FIELD(parser, fields[i], "no program here has switches");
		return REFUSE_FIELD(parser, fields[i], "only run=%s has switches",
				    first_of(parser, switches));
	}
	if (was_given(parser, &args->switches_at) && args->schedule != BOOTARGS_SCHEDULE_LIST)
		return REFUSE_FIELD(parser, &args->switches_at,
				    "only schedule=list has a list of switches");
	return true;
}

bool bootargs_check_together(struct parser *parser)
{
	return check_switches(parser) && check_lists(parser) && check_sweep(parser) &&
	       check_caches(parser) && check_bypass(parser);
}
