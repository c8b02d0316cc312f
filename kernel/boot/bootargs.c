/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs.c - see bootargs.h.
 *
 * The table `keys` says everything about a key: its values, its default, where it is stored and
 * what it means. Parsing, refusing and the printed help all read it, so they cannot disagree.
 */
#include "kernel/boot/bootargs.h"

#include <string.h>

/* Part of the text, not terminated. */
struct span {
	const char *start;
	size_t length;
};

enum form {
	FORM_NUMBER, /* decimal or 0x, from `least` to `most` */
	FORM_LIST,   /* such numbers with commas between; stored in their order */
	FORM_CHOICE, /* one of the names; stored as its index */
	FORM_SET,    /* some of the names, with commas between; stored as a bitmap */
	FORM_PREEMPT /* MIN:RANGE or MIN:RANGE:MODE, in three fields; the names are the modes' */
};

/* Whose names a choice or set takes. */
enum naming {
	NAMING_OWN,
	NAMING_WORKLOADS, /* the caller's */
	NAMING_POLICIES
};

struct bootargs_key {
	const char *name;
	enum form form;
	size_t offset; /* in struct bootargs */
	uint64_t initial;
	enum naming naming;
	const struct bootargs_names *names; /* NAMING_OWN's */
	uint64_t all;			    /* of a set: what `all` stands for; 0: no such word */
	uint64_t least, most;		    /* of a number; most 0: no bound */
	bool takes_suffix;		    /* k and M after a number */
	/* Where several values are only for a sweep: their first, and what to say of them else. */
	bool sweeps;
	size_t first;
	const char *listed;
	const char *valid; /* the values of what is no name, in words */
	const char *meaning;
};

#define NAMES(variable, ...)                                                                       \
	static const char *const variable##_list[] = {__VA_ARGS__};                                \
	static const struct bootargs_names variable = {                                            \
		variable##_list, sizeof(variable##_list) / sizeof(variable##_list[0])}

NAMES(run_names, [BOOTARGS_RUN_SELFTEST] = "selftest", [BOOTARGS_RUN_STRESS] = "stress",
      [BOOTARGS_RUN_BENCH] = "bench", [BOOTARGS_RUN_MONITOR] = "monitor",
      [BOOTARGS_RUN_EXPLORE] = "explore");

NAMES(lock_names, [BOOTARGS_LOCK_FAS] = "fas", [BOOTARGS_LOCK_CAS] = "cas", [BOOTARGS_LOCK_DEC] = "dec",
      [BOOTARGS_LOCK_TICKET] = "ticket", [BOOTARGS_LOCK_MCS] = "mcs", [BOOTARGS_LOCK_CLH] = "clh",
      [BOOTARGS_LOCK_ANDERSON] = "anderson", [BOOTARGS_LOCK_NONE] = "none");

NAMES(lockstat_names, [BOOTARGS_LOCKSTAT_OFF] = "off", [BOOTARGS_LOCKSTAT_CONTENDED] = "contended",
      [BOOTARGS_LOCKSTAT_ALL] = "all");

NAMES(preempt_names, [BOOTARGS_PREEMPT_ANY] = "any", [BOOTARGS_PREEMPT_LOCKS] = "locks",
      [BOOTARGS_PREEMPT_STACK] = "stack", [BOOTARGS_PREEMPT_STALL] = "stall");

NAMES(paging_names, [BOOTARGS_PAGING_OFF] = "off", [BOOTARGS_PAGING_ON] = "on");

NAMES(trace_names, [BOOTARGS_TRACE_OFF] = "off", [BOOTARGS_TRACE_ON] = "on");
NAMES(flush_names, [BOOTARGS_FLUSH_AUTO] = "auto", [BOOTARGS_FLUSH_FIRMWARE] = "firmware",
      [BOOTARGS_FLUSH_IPI] = "kick");

NAMES(crash_names, [BOOTARGS_CRASH_NONE] = "none", [BOOTARGS_CRASH_NULL_READ] = "null-read",
      [BOOTARGS_CRASH_NULL_JUMP] = "null-jump", [BOOTARGS_CRASH_TEXT_STORE] = "text-store",
      [BOOTARGS_CRASH_RODATA_STORE] = "rodata-store", [BOOTARGS_CRASH_DATA_JUMP] = "data-jump",
      [BOOTARGS_CRASH_FRAME_JUMP] = "frame-jump", [BOOTARGS_CRASH_ILLEGAL] = "illegal",
      [BOOTARGS_CRASH_STACK] = "stack", [BOOTARGS_CRASH_NO_STACK] = "no-stack");

static const struct bootargs_known nothing_known;

#define BIT(n) (UINT64_C(1) << (n))

/* Of a set: all the names there are. */
#define ALL UINT64_MAX

#define KEY(key, field_form, field)                                                                \
	.name = (key), .form = (field_form), .offset = offsetof(struct bootargs, field)

#define SWEEPS(first_field, what)                                                                  \
	.sweeps = true, .first = offsetof(struct bootargs, first_field),                           \
	.listed = "a list of " what " is for run=bench"

/* clang-format off */
static const struct bootargs_key keys[] = {
	{KEY("run", FORM_SET, run), .names = &run_names,
	 .initial = BIT(BOOTARGS_RUN_SELFTEST) | BIT(BOOTARGS_RUN_STRESS),
	 .meaning = "what to run"},
	{KEY("policy", FORM_SET, policies), SWEEPS(policy, "policies"), .naming = NAMING_POLICIES,
	 .initial = BIT(0), .all = ALL,
	 .meaning = "the algorithm that manages every zone"},
	{KEY("lock", FORM_SET, locks), SWEEPS(lock, "locks"), .names = &lock_names,
	 .initial = BIT(BOOTARGS_LOCK_FAS), .all = BIT(BOOTARGS_LOCK_NONE) - 1,
	 .meaning = "the algorithm of every spinlock; none is for one cpu, and not among all"},
	{KEY("cache", FORM_LIST, caches), SWEEPS(cache_frames, "caches"),
	 .initial = BOOTARGS_NOT_GIVEN,
	 .valid = "0 (off), or 2 and more",
	 .meaning = "most frames in each cpu's cache; by memory and cpus if not given"},
	{KEY("batch", FORM_LIST, batches), SWEEPS(batch_frames, "batches"), .least = 1,
	 .valid = "1 to 512, and to half of cache=",
	 .meaning = "frames in one refill or flush; follows contention if not given"},
	{KEY("low", FORM_NUMBER, low_frames),
	 .initial = BOOTARGS_NOT_GIVEN,
	 .valid = "0 (off) and more, cut to half of a zone",
	 .meaning = "frames left in a zone below which cpus are asked for theirs; one batch a cpu if not given"},
	{KEY("workload", FORM_SET, workload), .naming = NAMING_WORKLOADS, .initial = ALL, .all = ALL,
	 .meaning = "what the stress, and a sweep, does"},
	{KEY("ops", FORM_NUMBER, ops), .least = 1, .takes_suffix = true,
	 .valid = "1 and more, also as 20k or 3M",
	 .meaning = "operations of a workload on each cpu"},
	{KEY("cpus", FORM_LIST, cpu_counts), SWEEPS(cpus, "numbers of cpus"), .least = 1,
	 .valid = "1 to the harts there are", .meaning = "cpus to start, all if not given"},
	{KEY("seed", FORM_NUMBER, seed), .initial = 1,
	 .valid = "any number", .meaning = "of every random choice"},
	{KEY("lockstat", FORM_CHOICE, lockstat), .names = &lockstat_names,
	 .initial = BOOTARGS_LOCKSTAT_CONTENDED,
	 .meaning = "which acquisitions of a lock read the clock"},
	{KEY("paging", FORM_CHOICE, paging), .names = &paging_names, .initial = BOOTARGS_PAGING_ON,
	 .meaning = "whether the kernel runs on its own page tables"},
	{KEY("trace", FORM_CHOICE, trace), .names = &trace_names, .initial = BOOTARGS_TRACE_OFF,
	 .meaning = "whether each cpu keeps its last slow events, written out at the end"},
	{KEY("flush", FORM_CHOICE, flush), .names = &flush_names, .initial = BOOTARGS_FLUSH_AUTO,
	 .meaning = "who has other cpus flush translations; auto: the firmware if it can, but for run=explore"},
	{KEY("crash", FORM_CHOICE, crash), .names = &crash_names, .initial = BOOTARGS_CRASH_NONE,
	 .meaning = "what to do wrong first, on purpose"},
	{KEY("rounds", FORM_NUMBER, rounds), .least = 1, .most = 1000,
	 .valid = "1 to 1000",
	 .meaning = "how often a sweep (run=bench with workload= or lists) runs each combination; 3 at most if not given"},
	{KEY("cell", FORM_NUMBER, cell_ms), .least = 1, .most = 1000000,
	 .valid = "1 to 1000000",
	 .meaning = "milliseconds that such a run takes about, or with ops= at most; 25 if neither is given"},
	{KEY("samples", FORM_NUMBER, samples), .most = 1000,
	 .valid = "0 (none) to 1000",
	 .meaning = "looks at the state of memory in one run more of each combination"},
	{KEY("preempt", FORM_PREEMPT, preempt_min_ticks), .names = &preempt_names, .initial = 200,
	 .valid = "MIN:RANGE or MIN:RANGE:MODE, each at most 1000000, MODE one of",
	 .meaning = "ticks of the clock between the switches of run=explore, and where to make more"},
};
/* clang-format on */

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/* The parse of one text. */
struct parser {
	struct bootargs args;
	struct span given[KEY_COUNT]; /* the word of each key; no start: not given */
	struct bootargs_error *error;
	const struct bootargs_known *known;
};

static bool span_is(struct span span, const char *text)
{
	return strlen(text) == span.length && memcmp(text, span.start, span.length) == 0;
}

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

/*
 * Takes what stands before the first `separator` off *rest, and the separator with it; all of
 * *rest, which becomes empty, where there is none. True when there was one.
 */
static bool take_until(char separator, struct span *rest, struct span *taken)
{
	const char *found = memchr(rest->start, separator, rest->length);
	size_t used = found ? (size_t)(found - rest->start) : rest->length;
	size_t skipped = used + (found != NULL);

	*taken = (struct span){rest->start, used};
	*rest = (struct span){rest->start + skipped, rest->length - skipped};
	return found != NULL;
}

static const struct bootargs_names *names_of(const struct bootargs_key *key,
					     const struct bootargs_known *known)
{
	switch (key->naming) {
	case NAMING_WORKLOADS:
		return &known->workloads;
	case NAMING_POLICIES:
		return &known->policies;
	default:
		return key->names;
	}
}

static uint64_t *field_at(struct bootargs *args, size_t offset)
{
	return (uint64_t *)(void *)((char *)args + offset);
}

static uint64_t *field_of(struct bootargs *args, const struct bootargs_key *key)
{
	return field_at(args, key->offset);
}

static struct bootargs_list *list_of(struct bootargs *args, const struct bootargs_key *key)
{
	return (struct bootargs_list *)(void *)((char *)args + key->offset);
}

static uint64_t set_of_all(const struct bootargs_names *names)
{
	return names->count ? UINT64_MAX >> (64 - names->count) : 0;
}

static bool refuse(struct parser *parser, struct span word, const struct bootargs_key *key,
		   const char *reason)
{
	*parser->error = (struct bootargs_error){
		.word = word.start,
		.word_length = word.length,
		.reason = reason,
		.key = key,
		.known = parser->known,
	};
	return false;
}

static bool refuse_value(struct parser *parser, struct span word, const struct bootargs_key *key,
			 struct span value, const char *reason)
{
	refuse(parser, word, key, reason);
	parser->error->value = value.start;
	parser->error->value_length = value.length;
	return false;
}

/* The value of a digit, or 16 and more for what is none. */
static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 16;
}

/* 1 where there is no suffix; a suffix is taken off. */
static uint64_t take_suffix(struct span *value)
{
	char last = value->start[value->length - 1];

	if (last != 'k' && last != 'M')
		return 1;
	value->length--;
	return last == 'k' ? 1000 : 1000000;
}

/* NULL, or why `value`, which is not empty, is no number of 64 bits. */
static const char *read_number(struct span value, bool takes_suffix, uint64_t *number)
{
	uint64_t factor = takes_suffix ? take_suffix(&value) : 1;
	unsigned base = 10;

	if (value.length > 2 && value.start[0] == '0' && (value.start[1] | 0x20) == 'x') {
		base = 16;
		value.start += 2;
		value.length -= 2;
	}
	if (value.length == 0)
		return "not a number";
	*number = 0;
	for (size_t i = 0; i < value.length; i++) {
		if (digit_value(value.start[i]) >= base)
			return "not a number";
	}
	for (size_t i = 0; i < value.length; i++) {
		if (__builtin_mul_overflow(*number, base, number) ||
		    __builtin_add_overflow(*number, digit_value(value.start[i]), number))
			return "too large for 64 bits";
	}
	if (__builtin_mul_overflow(*number, factor, number))
		return "too large for 64 bits";
	return NULL;
}

/* The same for what the key allows. */
static const char *read_number_of(const struct bootargs_key *key, struct span value,
				  uint64_t *number)
{
	const char *wrong = read_number(value, key->takes_suffix, number);

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
		return refuse(parser, word, key, wrong);
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

		more = take_until(',', &value, &item);
		wrong = item.length ? read_number_of(key, item, &number) : "not a number";
		if (!wrong && list_has(&list, number))
			wrong = "names twice";
		if (!wrong && list.count == BOOTARGS_LIST_MAX)
			wrong = "more than 16 values, from";
		if (wrong && item.length == whole.length)
			return refuse(parser, word, key, wrong);
		if (wrong)
			return refuse_value(parser, word, key, item, wrong);
		list.value[list.count++] = number;
	} while (more);
	*list_of(&parser->args, key) = list;
	return true;
}

/* The index of the name, or the count of names where it is none of them. */
static unsigned find_name(const struct bootargs_names *names, struct span wanted)
{
	unsigned index = 0;

	while (index < names->count && !span_is(wanted, names->name[index]))
		index++;
	return index;
}

static bool parse_choice(struct parser *parser, struct span word, const struct bootargs_key *key,
			 struct span value)
{
	const struct bootargs_names *names = names_of(key, parser->known);
	unsigned index = find_name(names, value);

	if (index == names->count)
		return refuse_value(parser, word, key, value, "no such value");
	*field_of(&parser->args, key) = index;
	return true;
}

static bool parse_set(struct parser *parser, struct span word, const struct bootargs_key *key,
		      struct span value)
{
	const struct bootargs_names *names = names_of(key, parser->known);
	uint64_t set = 0;
	bool more;

	do {
		struct span item;
		uint64_t bits;

		more = take_until(',', &value, &item);
		if (key->all && span_is(item, "all")) {
			bits = key->all & set_of_all(names);
		} else {
			unsigned index = find_name(names, item);

			if (index == names->count)
				return refuse_value(parser, word, key, item, "no such value");
			bits = BIT(index);
		}
		if (set & bits)
			return refuse_value(parser, word, key, item, "names twice");
		set |= bits;
	} while (more);
	*field_of(&parser->args, key) = set;
	return true;
}

/* Short of a second on any machine: a switch that never comes explores nothing. */
#define PREEMPT_TICKS_MAX 1000000

static bool parse_preempt_ticks(struct parser *parser, struct span word,
				const struct bootargs_key *key, struct span value, uint64_t *ticks)
{
	const char *wrong = value.length ? read_number(value, false, ticks) : "not a number";

	if (!wrong && *ticks > PREEMPT_TICKS_MAX)
		wrong = "too large";
	return wrong ? refuse_value(parser, word, key, value, wrong) : true;
}

static bool parse_preempt(struct parser *parser, struct span word, const struct bootargs_key *key,
			  struct span value)
{
	struct bootargs *args = &parser->args;
	struct span min, range;
	bool has_mode;

	if (!take_until(':', &value, &min))
		return refuse(parser, word, key, "no ':' and range");
	has_mode = take_until(':', &value, &range);
	if (!parse_preempt_ticks(parser, word, key, min, &args->preempt_min_ticks) ||
	    !parse_preempt_ticks(parser, word, key, range, &args->preempt_range_ticks))
		return false;
	if (!has_mode)
		return true;
	args->preempt_mode = find_name(key->names, value);
	if (args->preempt_mode == key->names->count)
		return refuse_value(parser, word, key, value, "no such mode");
	return true;
}

static bool parse_value(struct parser *parser, struct span word, const struct bootargs_key *key,
			struct span value)
{
	switch (key->form) {
	case FORM_NUMBER:
		return parse_number(parser, word, key, value);
	case FORM_LIST:
		return parse_list(parser, word, key, value);
	case FORM_CHOICE:
		return parse_choice(parser, word, key, value);
	case FORM_SET:
		return parse_set(parser, word, key, value);
	case FORM_PREEMPT:
		return parse_preempt(parser, word, key, value);
	}
	return false;
}

static bool parse_word(struct parser *parser, struct span word)
{
	struct span value = word, name;
	bool has_value = take_until('=', &value, &name);
	size_t index = 0;

	while (index < KEY_COUNT && !span_is(name, keys[index].name))
		index++;
	if (index == KEY_COUNT)
		return refuse(parser, word, NULL, "no such key");
	if (!has_value)
		return refuse(parser, word, &keys[index], "no '=' and value");
	if (value.length == 0)
		return refuse(parser, word, &keys[index], "no value");
	if (parser->given[index].start)
		return refuse(parser, word, &keys[index], "key given twice");
	parser->given[index] = word;
	return parse_value(parser, word, &keys[index], value);
}

/* Of the key that sets the field. */
static size_t index_of(struct parser *parser, const uint64_t *field)
{
	size_t index = 0;

	while (field_of(&parser->args, &keys[index]) != field)
		index++;
	return index;
}

static bool was_given(struct parser *parser, const uint64_t *field)
{
	return parser->given[index_of(parser, field)].start != NULL;
}

/* Refuses the word that set the field: for what is only wrong in company. */
static bool refuse_field(struct parser *parser, const uint64_t *field, const char *reason)
{
	size_t index = index_of(parser, field);

	return refuse(parser, parser->given[index], &keys[index], reason);
}

/* What is asked for is compared: more than one value of something, or a choice of workloads. */
static bool check_lists(struct parser *parser)
{
	struct bootargs *args = &parser->args;
	bool only_bench = args->run == BIT(BOOTARGS_RUN_BENCH);
	bool lists = false;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct bootargs_key *key = &keys[i];
		uint64_t field = *field_of(args, key);

		/* A set of one has no bit left without its lowest. */
		if (!key->sweeps || (key->form == FORM_SET ? !(field & (field - 1)) : field == 1))
			continue;
		if (!only_bench)
			return refuse(parser, parser->given[i], key, key->listed);
		lists = true;
	}
	args->sweeps = only_bench && (lists || was_given(parser, &args->workload));
	return true;
}

static bool check_sweep(struct parser *parser)
{
	struct bootargs *args = &parser->args;
	const uint64_t *const fields[] = {&args->rounds, &args->cell_ms, &args->samples};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (was_given(parser, fields[i]) && !args->sweeps)
			return refuse_field(
				parser, fields[i],
				"only a sweep has that: run=bench with workload= or a list");
	return true;
}

/* The one value that a key has but for a sweep; of a set the lowest. */
static void set_firsts(struct bootargs *args)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct bootargs_key *key = &keys[i];
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

/*
 * That a cpu takes the lock at most once in so many operations holds only for a cache of two
 * batches or more: one to be left with after a refill, one to be left with after a flush.
 */
static bool check_caches(struct parser *parser)
{
	const struct bootargs_list *caches = &parser->args.caches, *batches = &parser->args.batches;

	for (uint64_t i = 0; i < caches->count; i++) {
		if (caches->value[i] == 0)
			continue;
		if (caches->value[i] == 1)
			return refuse_field(parser, &caches->count,
					    "a cache holds two batches, so it cannot be one frame");
		for (uint64_t j = 0; j < batches->count; j++)
			if (batches->value[j] > caches->value[i] / 2)
				return refuse_field(parser, &batches->count,
						    "a cache holds two batches, so this is at most "
						    "half of cache=");
	}
	return true;
}

static bool check_together(struct parser *parser)
{
	struct bootargs *args = &parser->args;
	bool explores = bootargs_set_has(args->run, BOOTARGS_RUN_EXPLORE);

	if (explores && args->run != BIT(BOOTARGS_RUN_EXPLORE))
		return refuse_field(parser, &args->run, "explore goes alone");
	if (!explores && was_given(parser, &args->preempt_min_ticks))
		return refuse_field(parser, &args->preempt_min_ticks,
				    "only run=explore has switches");
	return check_lists(parser) && check_sweep(parser) && check_caches(parser);
}

static void set_defaults(struct parser *parser)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct bootargs_key *key = &keys[i];
		uint64_t initial = key->initial;

		if (key->form == FORM_SET)
			initial &= set_of_all(names_of(key, parser->known));
		if (key->form == FORM_LIST)
			*list_of(&parser->args, key) = (struct bootargs_list){1, {initial}};
		else
			*field_of(&parser->args, key) = initial;
	}
	parser->args.preempt_range_ticks = 4000;
	parser->args.preempt_mode = BOOTARGS_PREEMPT_ANY;
}

bool bootargs_parse(const char *text, const struct bootargs_known *known, struct bootargs *out,
		    struct bootargs_error *error)
{
	struct parser parser = {
		.error = error,
		.known = known ? known : &nothing_known,
	};
	struct span word = {"", 0};

	if (parser.known->workloads.count > BOOTARGS_NAMES_MAX)
		return refuse(&parser, word, NULL, "this kernel has more workloads than 64");
	if (parser.known->policies.count > BOOTARGS_NAMES_MAX)
		return refuse(&parser, word, NULL, "this kernel has more policies than 64");
	set_defaults(&parser);
	for (text = text ? text : ""; next_word(&text, &word);) {
		if (!parse_word(&parser, word))
			return false;
	}
	if (!check_together(&parser))
		return false;
	set_firsts(&parser.args);
	*out = parser.args;
	return true;
}

#define SHOWN_MAX 48

/* In quotes, fit for a terminal: a word may be anything that reached the device tree. */
static void print_quoted(const char *start, size_t length, bootargs_printf *print)
{
	char shown[SHOWN_MAX + 1];
	size_t used = length < SHOWN_MAX ? length : SHOWN_MAX;

	for (size_t i = 0; i < used; i++)
		shown[i] = start[i] >= ' ' && start[i] <= '~' ? start[i] : '?';
	shown[used] = '\0';
	print("\"%s%s\"", shown, used < length ? "..." : "");
}

/* Each name with a space before it. */
static void print_values(const struct bootargs_key *key, const struct bootargs_known *known,
			 bootargs_printf *print)
{
	const struct bootargs_names *names = names_of(key, known);

	if (key->valid)
		print(" %s", key->valid);
	if (key->form == FORM_NUMBER || key->form == FORM_LIST)
		return;
	for (unsigned i = 0; i < names->count; i++)
		print(" %s", names->name[i]);
	if (key->all)
		print(" all");
}

void bootargs_print_error(const struct bootargs_error *error, bootargs_printf *print)
{
	print("bootargs: ");
	print_quoted(error->word, error->word_length, print);
	print(": %s", error->reason);
	if (error->value) {
		print(" ");
		print_quoted(error->value, error->value_length, print);
	}
	if (error->key) {
		print("; valid:");
		print_values(error->key, error->known, print);
	} else {
		print("; valid keys:");
		for (size_t i = 0; i < KEY_COUNT; i++)
			print(" %s", keys[i].name);
	}
	print("\n");
}

void bootargs_print_valid(const struct bootargs_known *known, bootargs_printf *print)
{
	print("boot arguments, key=value with spaces between, lists with commas:\n");
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct bootargs_key *key = &keys[i];

		print("  %-9s %s%s:", key->name, key->meaning,
		      key->form == FORM_SET ? ", one or more of" : "");
		print_values(key, known ? known : &nothing_known, print);
		print("\n");
	}
}
