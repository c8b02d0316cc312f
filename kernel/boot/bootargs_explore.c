/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs_explore.c - the values of several parts that say how run=explore switches between cpus:
 * preempt=, schedule= and switches=.
 */
#include "kernel/boot/bootargs_private.h"

/* Less than a second on any machine: a switch that never comes explores nothing. */
#define PREEMPT_TICKS_MAX 1000000

static bool parse_preempt_ticks(struct parser *parser, struct span word,
				const struct bootargs_key *key, struct span value, uint64_t *ticks)
{
	const char *wrong = value.length ? bootargs_read_number(value, false, ticks)
					 : "not a number";

	if (!wrong && *ticks > PREEMPT_TICKS_MAX)
		wrong = "too large";
	return wrong ? bootargs_refuse_value(parser, word, key, value, wrong) : true;
}

bool bootargs_parse_preempt(struct parser *parser, struct span word, const struct bootargs_key *key,
			    struct span value)
{
	const struct bootargs_names *modes = bootargs_names_of(key, parser->known);
	struct bootargs *args = &parser->args;
	struct span min, range;
	bool has_mode;

	if (!bootargs_take_until(':', &value, &min))
		return bootargs_refuse(parser, word, key, "no ':' and range");
	has_mode = bootargs_take_until(':', &value, &range);
	if (!parse_preempt_ticks(parser, word, key, min, &args->preempt_min_ticks) ||
	    !parse_preempt_ticks(parser, word, key, range, &args->preempt_range_ticks))
		return false;
	if (!has_mode)
		return true;
	args->preempt_mode = bootargs_find_name(modes, value);
	if (args->preempt_mode == modes->count)
		return bootargs_refuse_name(parser, word, key, value, "no such mode");
	return true;
}

/* More than any run has, and few enough for sums of them in 64 bits. */
#define STEPS_MAX UINT64_C(1000000000)
#define DEPTH_MAX 64

static bool parse_part(struct parser *parser, struct span word, const struct bootargs_key *key,
		       struct span value, uint64_t most, uint64_t *number)
{
	const char *wrong = value.length ? bootargs_read_number(value, false, number)
					 : "not a number";

	if (!wrong && *number == 0)
		wrong = "too small";
	if (!wrong && *number > most)
		wrong = "too large";
	return wrong ? bootargs_refuse_value(parser, word, key, value, wrong) : true;
}

/* KIND, and where the kind has them :STEPS and :DEPTH. */
bool bootargs_parse_schedule(struct parser *parser, struct span word,
			     const struct bootargs_key *key, struct span value)
{
	const struct bootargs_names *kinds = bootargs_names_of(key, parser->known);
	struct bootargs *args = &parser->args;
	struct span kind, steps;
	bool has_steps = bootargs_take_until(':', &value, &kind), has_depth;

	args->schedule = bootargs_find_name(kinds, kind);
	if (args->schedule == kinds->count)
		return bootargs_refuse_name(parser, word, key, kind, "no such schedule");
	if (!has_steps)
		return true;
	if (args->schedule != BOOTARGS_SCHEDULE_PCT && args->schedule != BOOTARGS_SCHEDULE_WALK)
		return bootargs_refuse_value(parser, word, key, value, "this schedule has no steps");
	has_depth = bootargs_take_until(':', &value, &steps);
	if (!parse_part(parser, word, key, steps, STEPS_MAX, &args->schedule_steps))
		return false;
	if (!has_depth)
		return true;
	if (args->schedule != BOOTARGS_SCHEDULE_PCT)
		return bootargs_refuse_value(parser, word, key, value, "only pct has a depth");
	return parse_part(parser, word, key, value, DEPTH_MAX, &args->schedule_depth);
}

static bool read_switch(struct span item, uint64_t *step, uint64_t *cpu)
{
	struct span number;

	return bootargs_take_until(':', &item, &number) && number.length && item.length &&
	       !bootargs_read_number(number, false, step) &&
	       !bootargs_read_number(item, false, cpu) && *step <= STEPS_MAX && *cpu <= UINT32_MAX;
}

bool bootargs_next_switch(const char **text, const char *end, uint64_t *step, uint64_t *cpu)
{
	struct span rest = {*text, (size_t)(end - *text)}, item;

	bootargs_take_until(',', &rest, &item);
	*text = rest.start;
	return read_switch(item, step, cpu);
}

/* The text is kept as it is, and read again by the program that switches. */
bool bootargs_parse_switches(struct parser *parser, struct span word,
			     const struct bootargs_key *key, struct span value)
{
	struct span rest = value;
	uint64_t step, cpu, least = 0;
	bool more;

	do {
		struct span item;

		more = bootargs_take_until(',', &rest, &item);
		if (!read_switch(item, &step, &cpu))
			return bootargs_refuse_value(parser, word, key, item,
						     "not of the form STEP:CPU");
		if (step < least)
			return bootargs_refuse_value(parser, word, key, item,
						     "the steps do not rise");
		least = step + 1;
	} while (more);
	parser->args.switches_at = (uint64_t)(value.start - parser->text);
	parser->args.switches_length = value.length;
	return true;
}
