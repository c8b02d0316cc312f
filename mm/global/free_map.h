/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * free_map.h - which frames of a zone are free, for policies that need not know to do their work.
 *
 * A list of free frames cannot say whether a given frame is in it without a walk, so a policy that
 * is one would take the same frame back twice. With CHECKS it keeps this map beside itself, a bit
 * a frame, and panics; without, the map is nothing: no memory, no code.
 *
 * Under the zone's lock, like the policy. O(words) each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/global/policy.h"

#ifndef CHECKS
#define CHECKS 1
#endif

#if CHECKS

struct free_map {
	uint64_t *words; /* 1: free; of the frames base + 64 * i and on */
	uint64_t base;	 /* a multiple of 64 */
	uint64_t count;	 /* words */
};

/* For the contracts: the frame of bit i of word `at` is free; all, or none, of [first, end) are. */
/*@ logic integer bits_of_words{L}(uint64_t *words, integer count) =
      count <= 0 ? 0 : bits_of_words(words, count - 1) + bits_in(words[count - 1]); */
/*@ predicate is_free{L}(struct free_map *map, integer at, integer i) = has_bit(map->words[at], i);
    predicate all_free{L}(struct free_map *map, integer first, integer end) =
      \forall integer at, i; 0 <= at < map->count && 0 <= i < 64 ==>
	first <= map->base + 64 * at + i < end ==> is_free(map, at, i);
    predicate none_free{L}(struct free_map *map, integer first, integer end) =
      \forall integer at, i; 0 <= at < map->count && 0 <= i < 64 ==>
	first <= map->base + 64 * at + i < end ==> !is_free(map, at, i);
    predicate same_outside{K, L}(struct free_map *map, integer first, integer end) =
      \forall integer at, i; 0 <= at < \at(map->count, K) && 0 <= i < 64 ==>
	(\at(map->base, K) + 64 * at + i < first || end <= \at(map->base, K) + 64 * at + i) ==>
	(is_free{K}(map, at, i) <==> is_free{L}(map, at, i));
    predicate map_has{L}(struct free_map *map, integer first, integer end) =
      map->base <= first && end <= map->base + 64 * map->count;
    predicate map_is_whole{L}(struct free_map *map) =
      \valid(map) && \valid(map->words + (0 .. map->count - 1)) &&
      \separated(map, map->words + (0 .. map->count - 1)) &&
      map->base % 64 == 0 && map->base + 64 * map->count <= FRAMES_END; */

/* Bytes of memory for the map of these frames, a multiple of 8. */
/*@ requires count >= 1 && first + count <= FRAMES_END;
    terminates \true;
    assigns \nothing;
    ensures \result == (first % 64 + count + 63) / 64 * 8; */
size_t free_map_bytes(uint64_t first, uint64_t count);

/* No frame free; writes all of its memory (8-aligned). Returns the first byte after it. */
/*@ requires \valid(map) && count >= 1 && first + count <= FRAMES_END;
    requires \valid((uint64_t *)memory + (0 .. (first % 64 + count + 63) / 64 - 1));
    requires \separated(map, (uint64_t *)memory + (0 .. (first % 64 + count + 63) / 64 - 1));
    terminates \true;
    assigns *map, *((uint64_t *)memory + (0 .. (first % 64 + count + 63) / 64 - 1));
    ensures map->words == memory && map_is_whole(map) && map_has(map, first, first + count);
    ensures none_free(map, map->base, map->base + 64 * map->count);
    ensures \result == map->words + map->count; */
void *free_map_init(struct free_map *map, void *memory, uint64_t first, uint64_t count);

/* These frames, all of them free, are taken. */
/*@ requires map_is_whole(map) && word.first % 64 == 0;
    requires map_has(map, word.first, word.first + 64);
    requires \forall integer at, i; 0 <= i < 64 && map->base + 64 * at == word.first ==>
	has_bit(word.bits, i) ==> is_free(map, at, i);
    terminates \true;
    assigns map->words[0 .. map->count - 1];
    ensures same_outside{Pre, Post}(map, word.first, word.first + 64);
    ensures \forall integer at, i; 0 <= i < 64 && map->base + 64 * at == word.first ==>
	(is_free(map, at, i) <==> is_free{Pre}(map, at, i) && !has_bit(word.bits, i)); */
void free_map_take(struct free_map *map, struct frame_word word);
/*@ requires map_is_whole(map) && map_has(map, first, first + count);
    requires all_free(map, first, first + count);
    terminates \true;
    assigns map->words[0 .. map->count - 1];
    ensures same_outside{Pre, Post}(map, first, first + count);
    ensures none_free(map, first, first + count); */
void free_map_take_run(struct free_map *map, uint64_t first, uint64_t count);

/* These frames become free. Panics, naming the first one, when some are free already. */
/*@ requires map_is_whole(map) && word.first % 64 == 0;
    requires map_has(map, word.first, word.first + 64);
    requires \forall integer at, i; 0 <= i < 64 && map->base + 64 * at == word.first ==>
	has_bit(word.bits, i) ==> !is_free(map, at, i);
    terminates \true;
    assigns map->words[0 .. map->count - 1];
    ensures same_outside{Pre, Post}(map, word.first, word.first + 64);
    ensures \forall integer at, i; 0 <= i < 64 && map->base + 64 * at == word.first ==>
	(is_free(map, at, i) <==> is_free{Pre}(map, at, i) || has_bit(word.bits, i)); */
void free_map_give(struct free_map *map, struct frame_word word);
/*@ requires map_is_whole(map) && map_has(map, first, first + count);
    requires none_free(map, first, first + count);
    terminates \true;
    assigns map->words[0 .. map->count - 1];
    ensures same_outside{Pre, Post}(map, first, first + count);
    ensures all_free(map, first, first + count); */
void free_map_give_run(struct free_map *map, uint64_t first, uint64_t count);

/*
 * For validation: whether all of [first, first + count) are free; whether `free` frames are, in
 * all.
 */
/*@ requires map_is_whole(map) && map->base <= first && first + count <= FRAMES_END;
    terminates \true;
    assigns \nothing;
    ensures \result <==> count == 0 ||
	(map_has(map, first, first + count) && all_free(map, first, first + count)); */
bool free_map_has_run(const struct free_map *map, uint64_t first, uint64_t count);
/*@ requires map_is_whole((struct free_map *)map);
    terminates \true;
    assigns \nothing;
    ensures \result <==> free == bits_of_words(map->words, map->count); */
bool free_map_has_count(const struct free_map *map, uint64_t free);

#else

struct free_map {
	char none[0];
};

static inline size_t free_map_bytes(uint64_t first, uint64_t count)
{
	(void)first, (void)count;
	return 0;
}

static inline void *free_map_init(struct free_map *map, void *memory, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
	return memory;
}

static inline void free_map_take(struct free_map *map, struct frame_word word)
{
	(void)map, (void)word;
}

static inline void free_map_take_run(struct free_map *map, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
}

static inline void free_map_give(struct free_map *map, struct frame_word word)
{
	(void)map, (void)word;
}

static inline void free_map_give_run(struct free_map *map, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
}

static inline bool free_map_has_run(const struct free_map *map, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
	return true;
}

static inline bool free_map_has_count(const struct free_map *map, uint64_t free)
{
	(void)map, (void)free;
	return true;
}

#endif
