/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_bootargs.c - fuzz target: the parser of boot arguments against another reading of the same
 * grammar, written without a table and without its spans: the text is cut up into strings.
 *
 * Compared are whether the text is accepted, every field, and which word is refused. The text
 * lies in an allocation of just its size, so that a byte read behind it is seen. The first byte
 * of an input chooses the names that are known, the rest is the text, up to a byte of 0.
 *
 * Covers: kernel/boot/bootargs*.c
 */
#include "fuzz.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/boot/bootargs.h"

/* ---- the reference ----------------------------------------------------------------------- */

/* The result of the reference's reading. */
struct reading {
	struct bootargs args;
	const struct bootargs_known *known;
	const char *copy; /* of the text */
	bool bad;
	char *blamed; /* the word, in the reference's own copy of the text */
	/* The words that gave these. */
	char *run, *policy, *lock, *cache, *batch, *cpus, *workload, *preempt, *schedule, *switches;
	char *rounds, *cell, *samples, *failseed;
};

static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) % 16 : 99;
}

/* False also where it is above `max`. */
static bool read_digits(const char *text, unsigned __int128 max, unsigned __int128 *number)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *at = base == 16 ? text + 2 : text;

	if (!*at)
		return false;
	for (*number = 0; *at; at++) {
		if (digit_of(*at) >= base)
			return false;
		*number = *number * (unsigned)base + (unsigned)digit_of(*at);
		if (*number > max)
			*number = max + 1;
	}
	return *number <= max;
}

static bool read_number(const char *text, uint64_t least, uint64_t *field)
{
	unsigned __int128 number;

	if (!read_digits(text, UINT64_MAX, &number) || number < least)
		return false;
	*field = (uint64_t)number;
	return true;
}

static bool read_ops(char *text, uint64_t *ops)
{
	unsigned __int128 number, factor = 1;
	size_t length = strlen(text);
	char last = text[length - 1];
	bool good;

	if (last == 'k' || last == 'M') {
		factor = last == 'k' ? 1000 : 1000000;
		text[length - 1] = '\0';
	}
	good = read_digits(text, UINT64_MAX, &number) && number * factor <= UINT64_MAX && number > 0;
	text[length - 1] = last;
	if (good)
		*ops = (uint64_t)(number * factor);
	return good;
}

/* -1 if the name is not among them. */
static int name_index(const char *const *names, unsigned count, const char *wanted)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(names[i], wanted))
			return (int)i;
	return -1;
}

static const char *const runs[] = {"selftest", "stress", "bench", "monitor", "explore"};
static const char *const locks[] = {"fas",	     "cas",	 "dec",	      "ticket", "mcs",
				    "clh",	     "anderson", "ticket_pb", "cohort", "qspinlock",
				    "reciprocating", "hclh",	 "none"};
#define LOCKS (sizeof(locks) / sizeof(locks[0])) /* none, the last, is not one of all */
static const char *const lockstats[] = {"off", "contended", "all"};
static const char *const switches[] = {"off", "on"};
static const char *const spreads[] = {"fixed", "random"};
static const char *const framedebugs[] = {"poison", "owners"};
static const char *const heapdebugs[] = {"redzone", "poison", "quarantine",
					 "owners",  "leaks",  "guard"};
static const char *const times[] = {"host", "virtual"};
static const char *const heaps[] = {"slabs", "buddy"};
static const char *const flushes[] = {"auto", "firmware", "kick"};
static const char *const crashes[] = {"none",	      "null-read", "null-jump",	 "text-store",
				      "rodata-store", "data-jump", "frame-jump", "illegal",
				      "stack",	      "no-stack"};
static const char *const schedules[] = {"seeds", "pct", "walk", "list"};
static const char *const modes[] = {"any", "locks", "stack", "stall"};

static bool read_choice(const char *const *names, unsigned count, const char *text, uint64_t *field)
{
	int index = name_index(names, count, text);

	if (index >= 0)
		*field = (uint64_t)index;
	return index >= 0;
}

/* for_all: "all" means this number of names, from the first on; 0: "all" is no value. */
static bool read_one_of_set(const char *const *names, unsigned count, const char *item,
			    unsigned for_all, bool knows_all, uint64_t *set)
{
	int index = name_index(names, count, item);
	uint64_t bits = 0;

	if (knows_all && !strcmp(item, "all")) {
		for (unsigned i = 0; i < for_all; i++)
			bits |= UINT64_C(1) << i;
	} else if (index >= 0) {
		bits = UINT64_C(1) << index;
	} else {
		return false;
	}
	if (*set & bits)
		return false;
	*set |= bits;
	return true;
}

static bool read_set(const char *const *names, unsigned count, const char *text, unsigned for_all,
		     bool knows_all, uint64_t *field)
{
	char *copy = strdup(text), *item = copy, *comma;
	uint64_t set = 0;
	bool good;

	do {
		comma = strchr(item, ',');
		if (comma)
			*comma = '\0';
		good = read_one_of_set(names, count, item, for_all, knows_all, &set);
		item = comma ? comma + 1 : NULL;
	} while (good && comma);
	free(copy);
	if (good)
		*field = set;
	return good;
}

/* Numbers between commas, none twice, 16 at most. */
static bool read_list(const char *text, uint64_t least, struct bootargs_list *field)
{
	char *copy = strdup(text), *item = copy, *comma;
	struct bootargs_list list = {0};
	bool good = true;

	do {
		uint64_t number = 0;

		comma = strchr(item, ',');
		if (comma)
			*comma = '\0';
		good = read_number(item, least, &number) && list.count < 16;
		for (unsigned i = 0; i < list.count; i++)
			good = good && list.value[i] != number;
		if (good)
			list.value[list.count++] = number;
		item = comma ? comma + 1 : NULL;
	} while (good && comma);
	free(copy);
	if (good)
		*field = list;
	return good;
}

static bool read_to(const char *text, uint64_t least, uint64_t most, uint64_t *field)
{
	uint64_t number;

	if (!read_number(text, least, &number) || number > most)
		return false;
	*field = number;
	return true;
}

/* A set whose word guard may have a number. */
static bool read_heapdebug(const char *text, struct bootargs *args)
{
	char *copy = strdup(text), *at = copy, *equals, *end;
	bool good = true;

	/* Takes each =N out of the copy. */
	while (good && (equals = strchr(at, '=')) != NULL) {
		size_t length;

		end = equals + strcspn(equals, ",");
		length = strlen(end);
		good = equals - copy >= 5 && !strncmp(equals - 5, "guard", 5) &&
		       (equals - copy == 5 || equals[-6] == ',');
		if (good) {
			char *number = strndup(equals + 1, (size_t)(end - equals - 1));

			good = read_to(number, 1, 1000000, &args->guard_every);
			free(number);
		}
		memmove(equals, end, length + 1);
		at = equals;
	}
	good = good && read_set(heapdebugs, 6, copy, 6, true, &args->heapdebug);
	free(copy);
	return good;
}

static bool read_rate(const char *text, uint64_t *rate)
{
	char *copy = strdup(text), *below = strchr(copy, '/');
	uint64_t above = 0;
	bool good;

	if (below)
		*below++ = '\0';
	good = below && read_number(copy, 1, &above) && above == 1 && read_number(below, 1, rate);
	free(copy);
	return good;
}

static bool read_ticks(const char *text, uint64_t *ticks)
{
	return read_number(text, 0, ticks) && *ticks <= 1000000;
}

static bool read_delay(const char *text, uint64_t *number, uint64_t *spread)
{
	char *copy = strdup(text), *name = strchr(copy, ':');
	bool good;

	if (name)
		*name++ = '\0';
	good = read_to(copy, 0, 1000000, number) && (!name || read_choice(spreads, 2, name, spread));
	free(copy);
	return good;
}

static bool read_preempt(const char *text, struct bootargs *args)
{
	char *copy = strdup(text), *range = strchr(copy, ':'), *mode = NULL;
	bool good = false;

	if (range) {
		*range++ = '\0';
		mode = strchr(range, ':');
		if (mode)
			*mode++ = '\0';
		good = read_ticks(copy, &args->preempt_min_ticks) &&
		       read_ticks(range, &args->preempt_range_ticks) &&
		       (!mode || read_choice(modes, 4, mode, &args->preempt_mode));
	}
	free(copy);
	return good;
}

/* KIND, and :STEPS of two kinds, and :DEPTH of one. */
static bool read_schedule(const char *text, struct bootargs *args)
{
	char *copy = strdup(text), *steps = strchr(copy, ':'), *depth = NULL;
	bool good;

	if (steps) {
		*steps++ = '\0';
		depth = strchr(steps, ':');
		if (depth)
			*depth++ = '\0';
	}
	good = read_choice(schedules, 4, copy, &args->schedule);
	if (good && steps)
		good = (args->schedule == 1 || args->schedule == 2) &&
		       read_to(steps, 1, 1000000000, &args->schedule_steps);
	if (good && depth)
		good = args->schedule == 1 && read_to(depth, 1, 64, &args->schedule_depth);
	free(copy);
	return good;
}

/* The place in the text is that in the reference's copy. */
static bool read_switches(char *text, const struct reading *reading, struct bootargs *args)
{
	char *copy = strdup(text), *item = copy, *next;
	uint64_t least = 0;
	bool good = true;

	for (; good && item; item = next) {
		uint64_t step = 0, cpu;
		char *number;

		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		number = strchr(item, ':');
		if (number)
			*number++ = '\0';
		good = number && read_to(item, least, 1000000000, &step) &&
		       read_to(number, 0, UINT32_MAX, &cpu);
		least = step + 1;
	}
	free(copy);
	args->switches_at = (uint64_t)(text - reading->copy);
	args->switches_length = strlen(text);
	return good;
}

static bool read_sweep_value(struct reading *reading, const char *key, char *value, char *word)
{
	struct bootargs *args = &reading->args;

	if (!strcmp(key, "rounds")) {
		reading->rounds = word;
		return read_to(value, 1, 1000, &args->rounds);
	}
	if (!strcmp(key, "cell")) {
		reading->cell = word;
		return read_to(value, 1, 1000000, &args->cell_ms);
	}
	if (!strcmp(key, "samples")) {
		reading->samples = word;
		return read_to(value, 0, 1000, &args->samples);
	}
	return false;
}

static bool read_listed(struct reading *reading, const char *key, char *value, char *word)
{
	struct bootargs *args = &reading->args;
	const struct bootargs_names *policies = &reading->known->policies;

	if (!strcmp(key, "policy")) {
		reading->policy = word;
		return read_set(policies->name, policies->count, value, policies->count, true,
				&args->policies);
	}
	if (!strcmp(key, "lock")) {
		reading->lock = word;
		return read_set(locks, LOCKS, value, LOCKS - 1, true, &args->locks);
	}
	if (!strcmp(key, "cache")) {
		reading->cache = word;
		return read_list(value, 0, &args->caches);
	}
	if (!strcmp(key, "batch")) {
		reading->batch = word;
		return read_list(value, 1, &args->batches);
	}
	if (!strcmp(key, "cpus")) {
		reading->cpus = word;
		return read_list(value, 1, &args->cpu_counts);
	}
	return read_sweep_value(reading, key, value, word);
}

/* There are programs, and so names of their values; or there is nothing of theirs. */
static bool has_programs(const struct reading *reading)
{
	return reading->known->values_count != 0;
}

static bool read_workloads(const struct bootargs_values *known, const char *value, uint64_t *set)
{
	return read_set(known->names.name, known->names.count, value,
			known->names.count - known->besides, true, set);
}

static bool read_value(struct reading *reading, const char *key, char *value, char *word)
{
	struct bootargs *args = &reading->args;

	if (!strcmp(key, "run")) {
		reading->run = word;
		return has_programs(reading) && read_set(runs, 5, value, 0, false, &args->run);
	}
	if (!strcmp(key, "low"))
		return read_number(value, 0, &args->low_frames);
	if (!strcmp(key, "workload")) {
		reading->workload = word;
		return has_programs(reading) &&
		       read_workloads(&reading->known->values[0], value, &args->workload);
	}
	if (!strcmp(key, "ops"))
		return read_ops(value, &args->ops);
	if (!strcmp(key, "seed"))
		return read_number(value, 0, &args->seed);
	if (!strcmp(key, "lockstat"))
		return read_choice(lockstats, 3, value, &args->lockstat);
	if (!strcmp(key, "paging"))
		return read_choice(switches, 2, value, &args->paging);
	if (!strcmp(key, "trace"))
		return read_choice(switches, 2, value, &args->trace);
	if (!strcmp(key, "heap"))
		return read_choice(heaps, 2, value, &args->heap);
	if (!strcmp(key, "flush"))
		return read_choice(flushes, 3, value, &args->flush);
	if (!strcmp(key, "time"))
		return read_choice(times, 2, value, &args->time);
	if (!strcmp(key, "turn"))
		return read_to(value, 1, 1000000, &args->turn);
	if (!strcmp(key, "stuck"))
		return read_to(value, 0, 100000, &args->stuck_s);
	if (!strcmp(key, "failnth"))
		return read_number(value, 1, &args->fail_nth);
	if (!strcmp(key, "failrate"))
		return read_rate(value, &args->fail_rate);
	if (!strcmp(key, "failseed")) {
		reading->failseed = word;
		return read_number(value, 0, &args->fail_seed);
	}
	if (!strcmp(key, "framedebug"))
		return read_set(framedebugs, 2, value, 2, true, &args->frame_debug);
	if (!strcmp(key, "heapdebug"))
		return read_heapdebug(value, args);
	if (!strcmp(key, "hold"))
		return read_delay(value, &args->hold, &args->hold_spread);
	if (!strcmp(key, "think"))
		return read_delay(value, &args->think, &args->think_spread);
	if (!strcmp(key, "crash"))
		return has_programs(reading) && read_choice(crashes, 10, value, &args->crash);
	if (!strcmp(key, "preempt")) {
		reading->preempt = word;
		return has_programs(reading) && read_preempt(value, args);
	}
	if (!strcmp(key, "schedule")) {
		reading->schedule = word;
		return read_schedule(value, args);
	}
	if (!strcmp(key, "switches")) {
		reading->switches = word;
		return read_switches(value, reading, args);
	}
	return read_listed(reading, key, value, word);
}

static void blame(struct reading *reading, char *word)
{
	reading->bad = true;
	reading->blamed = word;
}

#define KEYS_MAX 33

/* `seen` are the words that were read before, to find a key again. */
static bool read_word(struct reading *reading, char *word, char **seen, unsigned seen_count)
{
	char *equals = strchr(word, '=');
	bool good;

	if (!equals || !equals[1])
		return false;
	for (unsigned i = 0; i < seen_count; i++)
		if (!strncmp(seen[i], word, (size_t)(equals - word) + 1))
			return false;
	*equals = '\0';
	good = read_value(reading, word, equals + 1, word);
	*equals = '=';
	return good;
}

/* The word of the first key, in the order of the manual, that has more than one value. */
static char *listing_word(const struct reading *reading)
{
	const struct bootargs *args = &reading->args;

	if (__builtin_popcountll(args->policies) > 1)
		return reading->policy;
	if (__builtin_popcountll(args->locks) > 1)
		return reading->lock;
	if (args->caches.count > 1)
		return reading->cache;
	if (args->batches.count > 1)
		return reading->batch;
	return args->cpu_counts.count > 1 ? reading->cpus : NULL;
}

static void read_caches(struct reading *reading)
{
	const struct bootargs *args = &reading->args;

	for (unsigned i = 0; i < args->caches.count && !reading->bad; i++) {
		uint64_t frames = args->caches.value[i];

		if (frames == 1)
			blame(reading, reading->cache);
		for (unsigned j = 0; j < args->batches.count && !reading->bad; j++)
			if (frames && args->batches.value[j] > frames / 2)
				blame(reading, reading->batch);
	}
}

static void read_bypass(struct reading *reading)
{
	const struct bootargs *args = &reading->args;
	bool off = args->caches.count == 1 && args->caches.value[0] == 0;

	if (reading->bad)
		return;
	if (reading->failseed && !args->fail_rate)
		blame(reading, reading->failseed);
	else if ((args->fail_nth || args->fail_rate || args->frame_debug) && reading->cache && !off)
		blame(reading, reading->cache);
}

static void set_firsts(struct bootargs *args)
{
	args->policy = args->policies ? (uint64_t)__builtin_ctzll(args->policies) : 0;
	args->lock = (uint64_t)__builtin_ctzll(args->locks);
	args->cache_frames = args->caches.value[0];
	args->batch_frames = args->batches.value[0];
	args->cpus = args->cpu_counts.value[0];
}

static void read_together(struct reading *reading)
{
	struct bootargs *args = &reading->args;
	bool explores = args->run >> 4 & 1, benches = args->run == 4;
	char *listing = listing_word(reading);

	args->sweeps = benches && (listing || reading->workload);
	if (explores && args->run != 16)
		blame(reading, reading->run);
	else if (!explores && reading->preempt)
		blame(reading, reading->preempt);
	else if (!explores && reading->schedule)
		blame(reading, reading->schedule);
	else if (!explores && reading->switches)
		blame(reading, reading->switches);
	else if (reading->switches && args->schedule != 3)
		blame(reading, reading->switches);
	else if (listing && !benches)
		blame(reading, listing);
	else if (reading->rounds && !args->sweeps)
		blame(reading, reading->rounds);
	else if (reading->cell && !args->sweeps)
		blame(reading, reading->cell);
	else if (reading->samples && !args->sweeps)
		blame(reading, reading->samples);
	else
		read_caches(reading);
	read_bypass(reading);
	set_firsts(args);
}

/* The parser alone decides values that are tuning and not grammar. */
static void set_tuned(struct bootargs *args)
{
	struct bootargs_error error;
	struct bootargs given;

	CHECK(bootargs_parse("", NULL, &given, &error));
	args->preempt_min_ticks = given.preempt_min_ticks;
	args->preempt_range_ticks = given.preempt_range_ticks;
	args->schedule_steps = given.schedule_steps;
	args->schedule_depth = given.schedule_depth;
}

/* Cuts `text` up where it lies. */
static void read_text(struct reading *reading, char *text, const struct bootargs_known *known)
{
	char *seen[KEYS_MAX], *rest = NULL;
	unsigned count = 0;

	*reading = (struct reading){
		.args = {.run = known->values_count ? 3 : 0,
			 .policies = known->policies.count != 0,
			 .locks = 1,
			 .caches = {1, {BOOTARGS_NOT_GIVEN}},
			 .batches = {1, {0}},
			 .cpu_counts = {1, {0}},
			 .low_frames = BOOTARGS_NOT_GIVEN,
			 .seed = 1,
			 .fail_seed = 1,
			 .guard_every = BOOTARGS_GUARD_EVERY,
			 .turn = 25,
			 .stuck_s = 10,
			 .hold = 200,
			 .think = 1800,
			 .lockstat = 1,
			 .paging = 1},
		.known = known,
		.copy = text,
	};
	set_tuned(&reading->args);
	for (unsigned i = 0;
	     known->values_count && i < known->values[0].names.count - known->values[0].besides; i++)
		reading->args.workload |= UINT64_C(1) << i;
	for (char *word = strtok_r(text, " \t\r\n", &rest); word;
	     word = strtok_r(NULL, " \t\r\n", &rest)) {
		/* There are fewer keys than that, and no key is accepted twice. */
		CHECK(count < KEYS_MAX);
		if (!read_word(reading, word, seen, count)) {
			blame(reading, word);
			return;
		}
		seen[count++] = word;
	}
	read_together(reading);
}

/* ---- what is printed --------------------------------------------------------------------- */

static char printed[8192];
static size_t printed_length;

static int print(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int print(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(printed + printed_length, sizeof(printed) - printed_length, format,
			   arguments);
	va_end(arguments);
	CHECK(length >= 0 && printed_length + (size_t)length < sizeof(printed));
	printed_length += (size_t)length;
	return length;
}

/* Lines of what a terminal shows, no longer than the longest word and value cut off. */
static void check_printed(unsigned lines, size_t length_max)
{
	unsigned ends = 0;

	CHECK(printed_length > 0 && printed_length <= length_max);
	CHECK_EQ(printed[printed_length - 1], '\n');
	for (size_t i = 0; i < printed_length; i++) {
		ends += printed[i] == '\n';
		CHECK(printed[i] == '\n' || (printed[i] >= ' ' && printed[i] <= '~'));
	}
	CHECK(ends >= 1 && ends <= lines);
	printed_length = 0;
}

static void check_error(const struct bootargs_error *error, const char *text,
			const struct reading *reading, const char *copy)
{
	CHECK_EQ(error->word - text, reading->blamed - copy);
	CHECK_EQ(error->word_length, strlen(reading->blamed));
	CHECK(*error->reason);
	if (error->value)
		CHECK(error->value >= error->word &&
		      error->value + error->value_length <= error->word + error->word_length);
	bootargs_print_error(error, print);
	CHECK(!strncmp(printed, "bootargs: \"", 11) && strstr(printed, "; valid"));
	CHECK(strstr(printed, error->reason));
	check_printed(1, 1024);
}

/* ---- the target -------------------------------------------------------------------------- */

static const char *const three[] = {"churn", "burst", "ring"};
static const char *many[BOOTARGS_NAMES_MAX + 1];

/* Versions of clang-format disagree about initializers in macros. */
/* clang-format off */
#define PROGRAMS {.names = {runs, 5}, .defaults = 3, .compares = 4, .switches = 16}
#define VALUES(workloads, count, besides) \
	{{"workload", {workloads, count}, besides}, {"crash", {crashes, 10}, 0}, {"preempt", {modes, 4}, 0}}
/* clang-format on */

static const struct bootargs_known *choose_names(unsigned byte)
{
	static const struct bootargs_values few_values[] = VALUES(three, 3, 1);
	static const struct bootargs_values all_values[] = VALUES(many, BOOTARGS_NAMES_MAX, 0);
	static const struct bootargs_known none;
	static const struct bootargs_known few = {PROGRAMS, {three, 2}, few_values, 3};
	static const struct bootargs_known all = {
		PROGRAMS, {many, BOOTARGS_NAMES_MAX}, all_values, 3};
	static char storage[BOOTARGS_NAMES_MAX + 1][4];

	for (unsigned i = 0; i <= BOOTARGS_NAMES_MAX; i++) {
		snprintf(storage[i], sizeof(storage[i]), "w%u", i);
		many[i] = storage[i];
	}
	switch (byte % 4) {
	case 1:
		return &none;
	case 2:
		return &all;
	default:
		return &few;
	}
}

static void check_too_many(const char *text)
{
	static const struct bootargs_values too_many_values = {
		"workload", {many, BOOTARGS_NAMES_MAX + 1}, 0};
	static const struct bootargs_known too_many = {.values = &too_many_values,
						       .values_count = 1};
	struct bootargs args;
	struct bootargs_error error;

	CHECK(!bootargs_parse(text, &too_many, &args, &error));
	bootargs_print_error(&error, print);
	check_printed(1, 1024);
}

static void compare(const char *text, char *copy, const struct bootargs_known *names)
{
	struct bootargs args, untouched;
	struct bootargs_error error;
	struct reading reading;
	bool good;

	memset(&args, 0xa5, sizeof(args));
	untouched = args;
	good = bootargs_parse(text, names, &args, &error);
	read_text(&reading, copy, names);
	CHECK_EQ(good, !reading.bad);
	if (good) {
		CHECK(memcmp(&args, &reading.args, sizeof(args)) == 0);
	} else {
		CHECK(memcmp(&args, &untouched, sizeof(args)) == 0);
		check_error(&error, text, &reading, copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct bootargs_known *names = choose_names(size ? data[0] : 0);
	size_t length = size ? strnlen((const char *)data + 1, size - 1) : 0;
	char *text = malloc(length + 1), *copy = malloc(length + 1);

	if (length)
		memcpy(text, data + 1, length);
	text[length] = '\0';
	memcpy(copy, text, length + 1);
	printed_length = 0;
	compare(text, copy, names);
	if (size && data[0] >= 0xf8) {
		check_too_many(text);
		bootargs_print_valid(names, print);
		check_printed(64, sizeof(printed));
	}
	free(text);
	free(copy);
	return 0;
}
