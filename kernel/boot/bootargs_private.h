/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootargs_private.h - what the files of the boot arguments share: the table of keys, and the parse
 * of one text.
 */
#pragma once

#include <string.h>

#include "kernel/boot/bootargs.h"

/* Part of the text, not terminated. */
struct span {
	const char *start;
	size_t length;
};

enum form {
	FORM_NUMBER,   /* decimal or 0x, from `least` to `most` */
	FORM_LIST,     /* such numbers with commas between; stored in their order */
	FORM_CHOICE,   /* one of the names; stored as its index */
	FORM_SET,      /* some of the names, with commas between; stored as a bitmap */
	FORM_RATE,     /* 1/N, N at least 1; stored as N */
	FORM_WORDS,    /* a set; the last name can have =N, in the field behind; N as a number */
	FORM_DELAY,    /* N or N:SPREAD, in two fields; the names are the spreads' */
	FORM_PREEMPT,  /* MIN:RANGE or MIN:RANGE:MODE, in three fields; the names are the modes' */
	FORM_SCHEDULE, /* KIND, KIND:STEPS or KIND:STEPS:DEPTH, in three fields */
	FORM_SWITCHES /* STEP:CPU with commas between, steps rising; where they stand in the text */
};

/* Where the names of a key's values come from. */
enum naming {
	NAMING_OWN,	 /* the table */
	NAMING_PROGRAMS, /* the caller's programs; the default is what they say */
	NAMING_POLICIES, /* the caller's policies */
	NAMING_VALUES	 /* the caller's values for this key */
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
	/*
	 * Where several values are only for a sweep: the field of their first, and what they are.
	 */
	bool sweeps;
	size_t first;
	const char *listed;
	const char *valid; /* the values that have no names, in words */
	const char *meaning;
};

#define BOOTARGS_KEYS 32

extern const struct bootargs_key bootargs_keys[BOOTARGS_KEYS];

/* The parse of one text. */
struct parser {
	struct bootargs args;
	struct span given[BOOTARGS_KEYS]; /* the word of each key; no start: not given */
	struct bootargs_error *error;
	const struct bootargs_known *known;
	const char *text;
};

#define BIT(n) (UINT64_C(1) << (n))

/* The names of the key's values; none where the caller has none. */
const struct bootargs_names *bootargs_names_of(const struct bootargs_key *key,
					       const struct bootargs_known *known);

/* The set of names that `all` stands for, and the default of a set of all. */
uint64_t bootargs_all_of(const struct bootargs_key *key, const struct bootargs_known *known);

/* Whether no value of the key is valid, because the caller has no names for it. */
bool bootargs_has_no_value(const struct bootargs_key *key, const struct bootargs_known *known);

/* Whether the names that the caller knows can be used at all. False with *parser->error set. */
bool bootargs_check_known(struct parser *parser);

/*
 * Checks for words that must not stand together; sets args.sweeps. False with *parser->error set.
 */
bool bootargs_check_together(struct parser *parser);

/* Sets *parser->error, the reason as by printf; returns false. */
__attribute__((format(printf, 4, 5))) bool bootargs_refuse(struct parser *parser, struct span word,
							   const struct bootargs_key *key,
							   const char *format, ...);

/* Whether the span is this text. */
bool bootargs_span_is(struct span span, const char *text);

/* bootargs_refuse() for an item of a value, which is named. */
bool bootargs_refuse_value(struct parser *parser, struct span word, const struct bootargs_key *key,
			   struct span value, const char *reason);

/* The same for an item that should be one of the key's names: a name that is close is suggested. */
bool bootargs_refuse_name(struct parser *parser, struct span word, const struct bootargs_key *key,
			  struct span value, const char *reason);

/*
 * Takes what stands before the first `separator` off *rest, and the separator with it; all of
 * *rest, which becomes empty, where there is none. True when there was one.
 */
bool bootargs_take_until(char separator, struct span *rest, struct span *taken);

/* NULL, or why `value`, which is not empty, is no number of 64 bits. */
const char *bootargs_read_number(struct span value, bool takes_suffix, uint64_t *number);

/* The index of the name, or the count of names where it is none of them. */
unsigned bootargs_find_name(const struct bootargs_names *names, struct span wanted);

/* Forms that belong to run=explore. */
bool bootargs_parse_preempt(struct parser *parser, struct span word, const struct bootargs_key *key,
			    struct span value);
bool bootargs_parse_schedule(struct parser *parser, struct span word,
			     const struct bootargs_key *key, struct span value);
bool bootargs_parse_switches(struct parser *parser, struct span word,
			     const struct bootargs_key *key, struct span value);

static inline uint64_t *field_at(struct bootargs *args, size_t offset)
{
	return (uint64_t *)(void *)((char *)args + offset);
}

static inline uint64_t *field_of(struct bootargs *args, const struct bootargs_key *key)
{
	return field_at(args, key->offset);
}

static inline struct bootargs_list *list_of(struct bootargs *args, const struct bootargs_key *key)
{
	return (struct bootargs_list *)(void *)((char *)args + key->offset);
}

static inline uint64_t set_of_first(unsigned count)
{
	return count ? UINT64_MAX >> (64 - count) : 0;
}
