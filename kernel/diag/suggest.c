/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * suggest.c - see suggest.h.
 *
 * The distance is computed as by Lowrance and Wagner ("An extension of the string-to-string
 * correction problem", Journal of the ACM 22(2), 1975). The simpler recurrence, which never edits
 * between two swapped letters, is no metric: "ca" to "abc" would be farther than by way of "ac".
 */
#include "kernel/diag/suggest.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A prefix that is shorter says too little. */
#define PREFIX_MIN 3

static bool same_letter(char a, char b)
{
	bool is_letter = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';

	return a == b || (is_letter && (a | 0x20) == (b | 0x20));
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* The last of the first `count` letters that is `wanted`, counted from 1; 0: none is. */
static size_t last_position(const char *word, size_t count, char wanted)
{
	while (count && !same_letter(word[count - 1], wanted))
		count--;
	return count;
}

unsigned suggest_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	/* edits[i][j]: from the first i letters of a to the first j of b. */
	uint8_t edits[SUGGEST_LENGTH_MAX + 1][SUGGEST_LENGTH_MAX + 1];

	for (size_t i = 0; i <= a_length; i++)
		edits[i][0] = (uint8_t)i;
	for (size_t j = 0; j <= b_length; j++)
		edits[0][j] = (uint8_t)j;
	for (size_t i = 1; i <= a_length; i++) {
		for (size_t j = 1; j <= b_length; j++) {
			/* The two letters to swap: a[k - 1] is b[j - 1], and b[l - 1] is a[i - 1]. */
			size_t k = last_position(a, i - 1, b[j - 1]);
			size_t l = last_position(b, j - 1, a[i - 1]);
			unsigned best = edits[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]);

			best = least(best, least(edits[i - 1][j], edits[i][j - 1]) + 1u);
			if (k && l)
				best = least(best, edits[k - 1][l - 1] +
							   (unsigned)(i - k - 1 + 1 + j - l - 1));
			edits[i][j] = (uint8_t)best;
		}
	}
	return edits[a_length][b_length];
}

/*
 * One mistake for each three letters; at least one, so that "fs" is near "fas". And a letter must
 * stay.
 */
static bool is_near(unsigned distance, size_t length, size_t name_length)
{
	unsigned limit = length < 6 ? 1 : (unsigned)length / 3;

	return distance <= limit && distance < length && distance < name_length;
}

/* Whether one of the two is the beginning of the other: a word cut short, or one too long. */
static bool is_prefix(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t shorter = a_length < b_length ? a_length : b_length;

	for (size_t i = 0; i < shorter; i++)
		if (!same_letter(a[i], b[i]))
			return false;
	return shorter >= PREFIX_MIN;
}

void suggest_start(struct suggestion *suggestion, const char *word, size_t length)
{
	*suggestion = (struct suggestion){.word = word, .length = length};
}

void suggest_offer(struct suggestion *suggestion, const char *name)
{
	const char *word = suggestion->word;
	size_t length = suggestion->length, name_length = strlen(name);
	unsigned distance;

	if (length > SUGGEST_LENGTH_MAX || name_length > SUGGEST_LENGTH_MAX)
		return;
	distance = suggest_distance(word, length, name, name_length);
	if (!is_near(distance, length, name_length) && !is_prefix(word, length, name, name_length))
		return;
	if (suggestion->name && suggestion->distance <= distance)
		return;
	suggestion->name = name;
	suggestion->distance = distance;
}
