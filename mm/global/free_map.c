/* SPDX-License-Identifier: BSD-2-Clause */
/* free_map.c - see free_map.h. */
#include "mm/global/free_map.h"

#if CHECKS

#include "mm/check.h"
#include "mm/global/frame_word.h"
#include "mm/words.h"

size_t free_map_bytes(uint64_t first, uint64_t count)
{
	return frame_word_count(first, count) * sizeof(uint64_t);
}

void *free_map_init(struct free_map *map, void *memory, uint64_t first, uint64_t count)
{
	map->words = memory;
	map->base = frame_word_first(first);
	map->count = frame_word_count(first, count);
	words_fill(map->words, 0, map->count);
	return map->words + map->count;
}

void free_map_take(struct free_map *map, struct frame_word word)
{
	uint64_t *bits = &map->words[(word.first - map->base) / FRAMES_PER_WORD];

	/*@ assert \forall integer i; 0 <= i < 64 ==>
		has_bit(word.bits, i) ==> is_free(map, (word.first - map->base) / 64, i); */
	//@ ghost compared(*bits, word.bits);
	assert((*bits & word.bits) == word.bits);
	*bits &= ~word.bits;
}

void free_map_give(struct free_map *map, struct frame_word word)
{
	uint64_t *bits = &map->words[(word.first - map->base) / FRAMES_PER_WORD];
	uint64_t twice = *bits & word.bits;

	/*@ assert \forall integer i; 0 <= i < 64 ==>
		has_bit(word.bits, i) ==> !is_free(map, (word.first - map->base) / 64, i); */
	//@ ghost apart(*bits, word.bits);
	check(!twice, "zone: frame %#llx is given back but it is free already: freed twice",
	      (unsigned long long)(word.first + bits_lowest(twice)));
	*bits |= word.bits;
}

void free_map_take_run(struct free_map *map, uint64_t first, uint64_t count)
{
	/*@ loop invariant \at(first, Pre) <= first && first + count == \at(first + count, Pre);
	    loop invariant same_outside{Pre, Here}(map, \at(first, Pre), first);
	    loop invariant none_free(map, \at(first, Pre), first);
	    loop invariant all_free(map, first, first + count);
	    loop invariant map_is_whole(map) && map->words == \at(map->words, Pre);
	    loop invariant map->count == \at(map->count, Pre) && map->base == \at(map->base, Pre);
	    loop assigns first, count, map->words[0 .. \at(map->count, Pre) - 1];
	    loop variant count; */
	while (count)
		free_map_take(map, frame_word_next(&first, &count));
}

void free_map_give_run(struct free_map *map, uint64_t first, uint64_t count)
{
	/*@ loop invariant \at(first, Pre) <= first && first + count == \at(first + count, Pre);
	    loop invariant same_outside{Pre, Here}(map, \at(first, Pre), first);
	    loop invariant all_free(map, \at(first, Pre), first);
	    loop invariant none_free(map, first, first + count);
	    loop invariant map_is_whole(map) && map->words == \at(map->words, Pre);
	    loop invariant map->count == \at(map->count, Pre) && map->base == \at(map->base, Pre);
	    loop assigns first, count, map->words[0 .. \at(map->count, Pre) - 1];
	    loop variant count; */
	while (count)
		free_map_give(map, frame_word_next(&first, &count));
}

bool free_map_has_run(const struct free_map *map, uint64_t first, uint64_t count)
{
	/*@ loop invariant \at(first, Pre) <= first && first + count == \at(first + count, Pre);
	    loop invariant all_free(map, \at(first, Pre), first);
	    loop invariant first == \at(first, Pre) || first <= map->base + 64 * map->count;
	    loop assigns first, count;
	    loop variant count; */
	while (count) {
		struct frame_word word = frame_word_next(&first, &count);
		uint64_t at = (word.first - map->base) / FRAMES_PER_WORD;

		//@ ghost if (at < map->count) compared(map->words[at], word.bits);
		if (at >= map->count || (map->words[at] & word.bits) != word.bits)
			return false;
	}
	return true;
}

bool free_map_has_count(const struct free_map *map, uint64_t free)
{
	uint64_t found = 0;

	/*@ loop invariant 0 <= i <= map->count && found <= 64 * i;
	    loop invariant found == bits_of_words(map->words, i);
	    loop assigns i, found;
	    loop variant map->count - i; */
	for (uint64_t i = 0; i < map->count; i++)
		found += bits_count(map->words[i]);
	return found == free;
}

#endif
