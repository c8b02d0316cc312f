/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * suggest.h - "did you mean X?": the valid name that is closest to a mistyped word.
 *
 *	struct suggestion suggestion;
 *
 *	suggest_start(&suggestion, word, length);
 *	for (each valid name)
 *		suggest_offer(&suggestion, name);
 *	if (suggestion.name)
 *		printf("; did you mean %s?", suggestion.name);
 *
 * Pure functions: no allocation, no lock, no global state, at any time of a boot; a kilobyte of
 * stack.
 */
#pragma once

#include <stddef.h>

/* A longer word gets no suggestion, and a longer name is not suggested. */
#define SUGGEST_LENGTH_MAX 24

/* The search for the name closest to one word. */
struct suggestion {
	const char *word; /* not terminated */
	size_t length;
	const char *name;  /* the closest name so far; NULL: no name is close enough */
	unsigned distance; /* its distance */
};

/* Starts a search. The word may hold any bytes, and is read until the last suggest_offer(). */
void suggest_start(struct suggestion *suggestion, const char *word, size_t length);

/*
 * Offers a valid name, which is terminated. It becomes the suggestion if it is close enough to the
 * word and closer than all names before it. O(length of word * length of name).
 */
void suggest_offer(struct suggestion *suggestion, const char *name);

/*
 * The fewest edits that make the one word of the other (distance of Damerau and Levenshtein): a
 * letter inserted, dropped, or changed, or two neighbours swapped. A capital is the same as its
 * small letter. Each length is at most SUGGEST_LENGTH_MAX. It is symmetric, and no way through a
 * third word is shorter.
 */
unsigned suggest_distance(const char *a, size_t a_length, const char *b, size_t b_length);
