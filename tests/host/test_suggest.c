/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_suggest.c - the name that is suggested for a mistyped word, and the distance behind it.
 *
 * The distance is compared with the fewest edits that a search finds, over all short words of a
 * small alphabet. On longer random words it must be a metric.
 *
 * Covers: kernel/diag/suggest.c
 */
#include <string.h>

#include "unit.h"

#include "kernel/diag/suggest.h"

/* ---- the distance -------------------------------------------------------------------------- */

#define LETTERS	 3
#define LONGEST	 4
#define WORDS	 (1 + 3 + 9 + 27 + 81)
#define FAR_AWAY 99

struct short_word {
	char letters[LONGEST];
	size_t length;
};

static struct short_word words[WORDS];

static void make_words(void)
{
	size_t made = 1;

	words[0].length = 0;
	for (size_t from = 0; made < WORDS; from++)
		for (char letter = 'a'; letter < 'a' + LETTERS; letter++) {
			words[made] = words[from];
			words[made].letters[words[made].length++] = letter;
			made++;
		}
}

static bool is_word(const struct short_word *word, const char *letters, size_t length)
{
	return word->length == length && memcmp(word->letters, letters, length) == 0;
}

/* Whether `to` is `from` without one letter. */
static bool drops(const struct short_word *from, const struct short_word *to)
{
	for (size_t at = 0; at < from->length; at++) {
		char rest[LONGEST];

		memcpy(rest, from->letters, at);
		memcpy(rest + at, from->letters + at + 1, from->length - at - 1);
		if (is_word(to, rest, from->length - 1))
			return true;
	}
	return false;
}

/* Whether the two differ in one letter, or in two neighbours that are swapped. */
static bool changes(const struct short_word *a, const struct short_word *b)
{
	size_t first = 0, last = a->length;

	if (a->length != b->length || is_word(a, b->letters, b->length))
		return false;
	while (a->letters[first] == b->letters[first])
		first++;
	while (a->letters[last - 1] == b->letters[last - 1])
		last--;
	return last - first == 1 ||
	       (last - first == 2 && a->letters[first] == b->letters[first + 1] &&
		a->letters[first + 1] == b->letters[first]);
}

static bool one_edit(const struct short_word *a, const struct short_word *b)
{
	return changes(a, b) || drops(a, b) || drops(b, a);
}

/* Breadth first: the fewest edits from one word to every other one. */
static void search(size_t from, unsigned *edits)
{
	size_t queue[WORDS], first = 0, count = 1;

	for (size_t i = 0; i < WORDS; i++)
		edits[i] = FAR_AWAY;
	edits[from] = 0;
	for (queue[0] = from; first < count; first++)
		for (size_t i = 0; i < WORDS; i++)
			if (edits[i] == FAR_AWAY && one_edit(&words[queue[first]], &words[i])) {
				edits[i] = edits[queue[first]] + 1;
				queue[count++] = i;
			}
}

/* Words between the two may be one letter longer than both, so the longest only lie between. */
TEST(the_distance_is_the_fewest_edits)
{
	static unsigned edits[WORDS];
	size_t tried = WORDS - 81;

	make_words();
	for (size_t i = 0; i < tried; i++) {
		search(i, edits);
		for (size_t j = 0; j < tried; j++)
			CHECK_EQ(suggest_distance(words[i].letters, words[i].length,
						  words[j].letters, words[j].length),
				 edits[j]);
	}
}

struct random_word {
	char letters[SUGGEST_LENGTH_MAX];
	size_t length;
};

static struct random_word random_word(void)
{
	struct random_word word = {.length = unit_random_below(SUGGEST_LENGTH_MAX + 1)};

	for (size_t i = 0; i < word.length; i++)
		word.letters[i] = (char)('a' + unit_random_below(4));
	return word;
}

/* A word some edits away, which a random one seldom is. */
static struct random_word edited(struct random_word word)
{
	for (uint64_t edits = unit_random_below(4); edits && word.length > 1; edits--) {
		size_t at = unit_random_below(word.length - 1);
		char letter = word.letters[at];

		word.letters[at] = word.letters[at + 1];
		word.letters[at + 1] = unit_random_below(2) ? letter : 'x';
		word.length -= unit_random_below(2);
	}
	return word;
}

static unsigned distance(const struct random_word *a, const struct random_word *b)
{
	return suggest_distance(a->letters, a->length, b->letters, b->length);
}

TEST(the_distance_is_a_metric)
{
	for (unsigned i = 0; i < 5000; i++) {
		struct random_word a = random_word(), b = edited(a), c = edited(b);

		CHECK_EQ(distance(&a, &a), 0);
		CHECK_EQ(distance(&a, &b), distance(&b, &a));
		CHECK(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
		c = random_word();
		CHECK(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
		CHECK(distance(&a, &c) <= (a.length > c.length ? a.length : c.length));
	}
}

TEST(a_swap_is_one_edit_also_where_something_stands_between)
{
	CHECK_EQ(suggest_distance("ca", 2, "abc", 3), 2);
	CHECK_EQ(suggest_distance("SPM", 3, "smp", 3), 1);
}

/* ---- the suggestion ------------------------------------------------------------------------ */

static const char *const names[] = {"run",    "policy", "lock",		"cache",     "workload",
				    "ticket", "fas",	"segment_tree", "ticket_pb", "on"};

#define NAMES (sizeof(names) / sizeof(names[0]))

static const char *suggested(const char *word, size_t length)
{
	struct suggestion suggestion;

	suggest_start(&suggestion, word, length);
	for (size_t i = 0; i < NAMES; i++)
		suggest_offer(&suggestion, names[i]);
	return suggestion.name ? suggestion.name : "nothing";
}

#define SUGGESTS(word, name) CHECK(strcmp(suggested(word, strlen(word)), name) == 0)

TEST(a_mistyped_word_gets_the_closest_name)
{
	SUGGESTS("rnu", "run");
	SUGGESTS("polcy", "policy");
	SUGGESTS("wrokloda", "workload");
	SUGGESTS("lokc", "lock");
	SUGGESTS("fs", "fas");
	SUGGESTS("tickt", "ticket");
	SUGGESTS("ticket_bp", "ticket_pb");
	SUGGESTS("no", "on");
	SUGGESTS("LOCK", "lock");
	SUGGESTS("Cahce", "cache");
}

TEST(a_word_cut_short_or_too_long_gets_its_name)
{
	SUGGESTS("seg", "segment_tree");
	SUGGESTS("work", "workload");
	SUGGESTS("locking", "lock");
	SUGGESTS("tick", "ticket");
	SUGGESTS("se", "nothing");
}

TEST(every_single_mistake_gets_a_name)
{
	for (size_t i = 0; i < NAMES; i++) {
		size_t length = strlen(names[i]);

		for (size_t at = 0; at < length && length > 3; at++) {
			char word[SUGGEST_LENGTH_MAX];

			memcpy(word, names[i], length);
			word[at] = '#';
			CHECK(strcmp(suggested(word, length), names[i]) == 0);
			memmove(word + at, word + at + 1, length - at - 1);
			CHECK(strcmp(suggested(word, length - 1), "nothing") != 0);
		}
	}
}

TEST(nonsense_gets_nothing)
{
	static const char junk[64] = {0};

	SUGGESTS("", "nothing");
	SUGGESTS("x", "nothing");
	SUGGESTS("o", "nothing");
	SUGGESTS("xx", "nothing");
	SUGGESTS("banana", "nothing");
	SUGGESTS("=====", "nothing");
	SUGGESTS("qwertyuiopasdfgh", "nothing");
	SUGGESTS("segment_tree_of_all_the_zones", "nothing");
	CHECK(strcmp(suggested(junk, sizeof(junk)), "nothing") == 0);
	for (unsigned i = 0; i < 1000; i++) {
		char word[12];

		for (size_t at = 0; at < sizeof(word); at++)
			word[at] = (char)(unit_random_below(2) ? '0' + unit_random_below(10)
							       : 128 + unit_random_below(128));
		CHECK(strcmp(suggested(word, sizeof(word)), "nothing") == 0);
	}
}
