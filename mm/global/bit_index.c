/* SPDX-License-Identifier: BSD-2-Clause */
/* bit_index.c - see bit_index.h: the parts that are not on the way of a batch. */
#include "mm/global/bit_index.h"

#include "mm/check.h"
#include "mm/words.h"

static uint64_t words_for(uint64_t bits)
{
	return (bits >> 6) + ((bits & 63) != 0);
}

size_t bit_index_bytes(uint64_t bits)
{
	uint64_t words = words_for(bits);
	size_t bytes = words * 8;

	while (words > 1) {
		words = words_for(words);
		bytes += words * 8;
	}
	return bytes;
}

void *bit_index_init(struct bit_index *index, void *memory, uint64_t bits)
{
	uint64_t *next = memory;
	uint64_t words = bits;

	index->bits = bits;
	index->levels = 0;
	do {
		words = words_for(words);
		index->level[index->levels++] = next;
		next += words;
	} while (words > 1);
	words_fill(memory, 0, (size_t)(next - (uint64_t *)memory));
	return next;
}

void bit_index_validate(const struct bit_index *index, const char *what)
{
	uint64_t words = words_for(index->bits);

	for (unsigned level = 0; level + 1 < index->levels; level++) {
		for (uint64_t i = 0; i < words; i++) {
			bool summary = index->level[level + 1][i >> 6] >> (i & 63) & 1;

			check(summary == (index->level[level][i] != 0),
			      "%s: level %u word %llu is %#llx but its summary bit is %d", what,
			      level, (unsigned long long)i,
			      (unsigned long long)index->level[level][i], summary);
		}
		words = words_for(words);
	}
}

/* The part of word `word` that lies in bits [from, to), which the word overlaps. */
static uint64_t range_mask(uint64_t word, uint64_t from, uint64_t to)
{
	uint64_t start = word << 6;
	unsigned low = from > start ? (unsigned)(from - start) : 0;
	unsigned high = to - start < 64 ? (unsigned)(to - start) : 64;

	return bits_between(low, high);
}

static void store_words(uint64_t *words, uint64_t value, uint64_t count)
{
	while (count--)
		counter_set(words++, value);
}

void bit_index_set_range(struct bit_index *index, unsigned level, uint64_t from, uint64_t to)
{
	for (; level < index->levels; level++) {
		uint64_t first = from >> 6, last = (to - 1) >> 6;
		uint64_t *words = index->level[level];
		bool news = first != last || words[first] == 0;

		counter_set(&words[first], words[first] | range_mask(first, from, to));
		if (first != last) {
			store_words(&words[first + 1], ~UINT64_C(0), last - first - 1);
			counter_set(&words[last], words[last] | range_mask(last, from, to));
		}
		if (!news)
			return;
		from = first;
		to = last + 1;
	}
}

/* Only the two words at the ends can keep a bit; those between are zero, and so their summary. */
void bit_index_clear_range(struct bit_index *index, unsigned level, uint64_t from, uint64_t to)
{
	for (; level < index->levels; level++) {
		uint64_t first = from >> 6, last = (to - 1) >> 6;
		uint64_t *words = index->level[level];

		counter_set(&words[first], words[first] & ~range_mask(first, from, to));
		if (first != last) {
			store_words(&words[first + 1], 0, last - first - 1);
			counter_set(&words[last], words[last] & ~range_mask(last, from, to));
		}
		from = words[first] ? first + 1 : first;
		to = words[last] ? last : last + 1;
		if (from >= to)
			return;
	}
}
