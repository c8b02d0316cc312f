/* SPDX-License-Identifier: BSD-2-Clause */
/* bootargs_words.c - the boot arguments: parts of a word, numbers and names. */
#include "kernel/boot/bootargs_private.h"

bool bootargs_span_is(struct span span, const char *text)
{
	return strlen(text) == span.length && memcmp(text, span.start, span.length) == 0;
}

bool bootargs_take_until(char separator, struct span *rest, struct span *taken)
{
	const char *found = memchr(rest->start, separator, rest->length);
	size_t used = found ? (size_t)(found - rest->start) : rest->length;
	size_t skipped = used + (found != NULL);

	*taken = (struct span){rest->start, used};
	*rest = (struct span){rest->start + skipped, rest->length - skipped};
	return found != NULL;
}

bool bootargs_refuse_value(struct parser *parser, struct span word, const struct bootargs_key *key,
			   struct span value, const char *reason)
{
	bootargs_refuse(parser, word, key, "%s", reason);
	parser->error->value = value.start;
	parser->error->value_length = value.length;
	return false;
}

bool bootargs_refuse_name(struct parser *parser, struct span word, const struct bootargs_key *key,
			  struct span value, const char *reason)
{
	bootargs_refuse_value(parser, word, key, value, reason);
	parser->error->value_is_unknown = true;
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

const char *bootargs_read_number(struct span value, bool takes_suffix, uint64_t *number)
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

unsigned bootargs_find_name(const struct bootargs_names *names, struct span wanted)
{
	unsigned index = 0;

	while (index < names->count && !bootargs_span_is(wanted, names->name[index]))
		index++;
	return index;
}
