/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs.c - the parser of the boot arguments: words into fields. See bootargs.h.
 *
 * It knows no key by name: it reads the table (bootargs_keys.c). Values of several parts that belong
 * to run=explore are parsed in bootargs_explore.c. Each word is refused for what is wrong in itself,
 * before the words are looked at together (bootargs_check.c).
 */
#include <stdarg.h>
#include <stdio.h>

#include "kernel/boot/bootargs_private.h"

static const struct bootargs_known nothing_known;

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the next word off *text; false when there is none. */
static bool next_word(const char **text, struct span *word)
{
	const char *start = *text, *end;

	while (is_separator(*start))
		start++;
	for (end = start; *end && !is_separator(*end);)
		end++;
	*text = end;
	*word = (struct span){start, (size_t)(end - start)};
	return word->length != 0;
}

/* The same for what the key allows. */
static const char *read_number_of(const struct bootargs_key *key, struct span value,
				  uint64_t *number)
{
	const char *wrong = bootargs_read_number(value, key->takes_suffix, number);

	if (!wrong && *number < key->least)
		wrong = "too small";
	if (!wrong && key->most && *number > key->most)
		wrong = "too large";
	return wrong;
}

static bool parse_number(struct parser *parser, struct span word, const struct bootargs_key *key,
			 struct span value)
{
	uint64_t number;
	const char *wrong = read_number_of(key, value, &number);

	if (wrong)
		return bootargs_refuse(parser, word, key, "%s", wrong);
	*field_of(&parser->args, key) = number;
	return true;
}

static bool list_has(const struct bootargs_list *list, uint64_t number)
{
	for (uint64_t i = 0; i < list->count; i++)
		if (list->value[i] == number)
			return true;
	return false;
}

/* A single number is refused by its word alone, as everywhere. */
static bool parse_list(struct parser *parser, struct span word, const struct bootargs_key *key,
		       struct span value)
{
	struct bootargs_list list = {.count = 0};
	struct span whole = value;
	bool more;

	do {
		const char *wrong = NULL;
		uint64_t number = 0;
		struct span item;

		more = bootargs_take_until(',', &value, &item);
		wrong = item.length ? read_number_of(key, item, &number) : "not a number";
		if (!wrong && list_has(&list, number))
			wrong = "names twice";
		if (!wrong && list.count == BOOTARGS_LIST_MAX)
			wrong = "more than 16 values, from";
		if (wrong && item.length == whole.length)
			return bootargs_refuse(parser, word, key, "%s", wrong);
		if (wrong)
			return bootargs_refuse_value(parser, word, key, item, wrong);
		list.value[list.count++] = number;
	} while (more);
	*list_of(&parser->args, key) = list;
	return true;
}

static bool parse_choice(struct parser *parser, struct span word, const struct bootargs_key *key,
			 struct span value)
{
	const struct bootargs_names *names = bootargs_names_of(key, parser->known);
	unsigned index = bootargs_find_name(names, value);

	if (index == names->count)
		return bootargs_refuse_name(parser, word, key, value, "no such value");
	*field_of(&parser->args, key) = index;
	return true;
}

/* Takes the =N off a word; the number goes into the field behind the set. True if it is right. */
static bool parse_word_number(struct parser *parser, struct span word,
			      const struct bootargs_key *key, struct span *item)
{
	struct span whole = *item, number = *item;
	const char *wrong;

	if (key->form != FORM_WORDS || !bootargs_take_until('=', &number, item))
		return true;
	if (!bootargs_span_is(*item, key->names->name[key->names->count - 1]))
		return bootargs_refuse_name(parser, word, key, whole, "no such value");
	wrong = number.length ? read_number_of(key, number, &field_of(&parser->args, key)[1])
			      : "not a number";
	return wrong ? bootargs_refuse_value(parser, word, key, whole, wrong) : true;
}

static bool parse_set(struct parser *parser, struct span word, const struct bootargs_key *key,
		      struct span value)
{
	const struct bootargs_names *names = bootargs_names_of(key, parser->known);
	uint64_t set = 0;
	bool more;

	do {
		struct span item;
		uint64_t bits;

		more = bootargs_take_until(',', &value, &item);
		if (!parse_word_number(parser, word, key, &item))
			return false;
		if (key->all && bootargs_span_is(item, "all")) {
			bits = bootargs_all_of(key, parser->known);
		} else {
			unsigned index = bootargs_find_name(names, item);

			if (index == names->count)
				return bootargs_refuse_name(parser, word, key, item,
							    "no such value");
			bits = BIT(index);
		}
		if (set & bits)
			return bootargs_refuse_value(parser, word, key, item, "names twice");
		set |= bits;
	} while (more);
	*field_of(&parser->args, key) = set;
	return true;
}

static bool parse_rate(struct parser *parser, struct span word, const struct bootargs_key *key,
		       struct span value)
{
	const char *wrong = "not of the form 1/N";
	uint64_t one, *rate = field_of(&parser->args, key);
	struct span first;

	if (bootargs_take_until('/', &value, &first) && first.length && value.length &&
	    !bootargs_read_number(first, false, &one) && one == 1)
		wrong = bootargs_read_number(value, false, rate);
	if (!wrong && *rate == 0)
		wrong = "too small";
	return wrong ? bootargs_refuse(parser, word, key, "%s", wrong) : true;
}

/* The spread has the field after the number's. */
static bool parse_delay(struct parser *parser, struct span word, const struct bootargs_key *key,
			struct span value)
{
	uint64_t *field = field_of(&parser->args, key);
	const char *wrong;
	struct span number;
	bool has_spread = bootargs_take_until(':', &value, &number);

	wrong = number.length ? read_number_of(key, number, &field[0]) : "not a number";
	if (wrong)
		return bootargs_refuse_value(parser, word, key, number, wrong);
	if (!has_spread)
		return true;
	field[1] = bootargs_find_name(key->names, value);
	if (field[1] == key->names->count)
		return bootargs_refuse_name(parser, word, key, value, "no such spread");
	return true;
}

static bool parse_value(struct parser *parser, struct span word, const struct bootargs_key *key,
			struct span value)
{
	if (bootargs_has_no_value(key, parser->known))
		return bootargs_refuse(parser, word, key,
				       "no program of this kernel has a use for it");
	switch (key->form) {
	case FORM_NUMBER:
		return parse_number(parser, word, key, value);
	case FORM_LIST:
		return parse_list(parser, word, key, value);
	case FORM_CHOICE:
		return parse_choice(parser, word, key, value);
	case FORM_SET:
	case FORM_WORDS:
		return parse_set(parser, word, key, value);
	case FORM_RATE:
		return parse_rate(parser, word, key, value);
	case FORM_DELAY:
		return parse_delay(parser, word, key, value);
	case FORM_PREEMPT:
		return bootargs_parse_preempt(parser, word, key, value);
	case FORM_SCHEDULE:
		return bootargs_parse_schedule(parser, word, key, value);
	case FORM_SWITCHES:
		return bootargs_parse_switches(parser, word, key, value);
	}
	return false;
}

static bool parse_word(struct parser *parser, struct span word)
{
	struct span value = word, name;
	bool has_value = bootargs_take_until('=', &value, &name);
	size_t index = 0;

	while (index < BOOTARGS_KEYS && !bootargs_span_is(name, bootargs_keys[index].name))
		index++;
	if (index == BOOTARGS_KEYS)
		return bootargs_refuse(parser, word, NULL, "no such key");
	if (!has_value)
		return bootargs_refuse(parser, word, &bootargs_keys[index], "no '=' and value");
	if (value.length == 0)
		return bootargs_refuse(parser, word, &bootargs_keys[index], "no value");
	if (parser->given[index].start)
		return bootargs_refuse(parser, word, &bootargs_keys[index], "key given twice");
	parser->given[index] = word;
	return parse_value(parser, word, &bootargs_keys[index], value);
}

/* The one value that a key has outside of a sweep; of a set the lowest. */
static void set_firsts(struct bootargs *args)
{
	for (size_t i = 0; i < BOOTARGS_KEYS; i++) {
		const struct bootargs_key *key = &bootargs_keys[i];
		uint64_t set = *field_of(args, key), first = 0;

		if (!key->sweeps)
			continue;
		if (key->form == FORM_LIST)
			first = list_of(args, key)->value[0];
		else if (set)
			while (!bootargs_set_has(set, (unsigned)first))
				first++;
		*field_at(args, key->first) = first;
	}
}

static void set_defaults(struct parser *parser)
{
	for (size_t i = 0; i < BOOTARGS_KEYS; i++) {
		const struct bootargs_key *key = &bootargs_keys[i];
		uint64_t initial = key->initial;

		if (key->naming == NAMING_PROGRAMS)
			initial = parser->known->programs.defaults;
		if (key->form == FORM_SET)
			initial &= key->initial == UINT64_MAX
					   ? bootargs_all_of(key, parser->known)
					   : set_of_first(
						     bootargs_names_of(key, parser->known)->count);
		if (key->form == FORM_LIST)
			*list_of(&parser->args, key) = (struct bootargs_list){1, {initial}};
		else
			*field_of(&parser->args, key) = initial;
	}
	parser->args.preempt_range_ticks = 4000;
	parser->args.preempt_mode = 0;
	parser->args.schedule_steps = BOOTARGS_SCHEDULE_STEPS;
	parser->args.schedule_depth = BOOTARGS_SCHEDULE_DEPTH;
	parser->args.guard_every = BOOTARGS_GUARD_EVERY;
}

bool bootargs_parse(const char *text, const struct bootargs_known *known, struct bootargs *out,
		    struct bootargs_error *error)
{
	struct parser parser = {
		.error = error,
		.known = known ? known : &nothing_known,
		.text = text ? text : "",
	};
	struct span word = {"", 0};

	if (!bootargs_check_known(&parser))
		return false;
	set_defaults(&parser);
	for (text = parser.text; next_word(&text, &word);) {
		if (!parse_word(&parser, word))
			return false;
	}
	if (!bootargs_check_together(&parser))
		return false;
	set_firsts(&parser.args);
	*out = parser.args;
	return true;
}
