/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_flush.c - what a flush sorts by words: rows of neighbours up and down, and what is
 * scattered.
 *
 * All of memory is taken first. Then a list of frames is given to the cache and flushed, in the
 * order in which the sorting is to see it; exactly those must be free after that, in their zones.
 *
 * Covers: mm/percpu/flush.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define FIRST 0x80000 /* begins a word */
#define SPAN  20000   /* frames, at most */

/* Of two zones with their border within a word; the second begins with its metadata. */
#define BORDER (FIRST + 1000)

static const struct host_range two_zones[] = {{FIRST, 1000, 0}, {BORDER, 777, 1}};
static const struct host_range one_zone[] = {{FIRST, SPAN, 0}};

/* One flush's worth. */
struct list {
	unsigned count;
	uint64_t frame[FRAME_CACHE_BATCH_MAX];
};

static bool is_out[SPAN];

static unsigned take_all(void)
{
	unsigned count = 0;
	pfn_t frame;

	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		CHECK(!is_out[frame.value - FIRST]);
		is_out[frame.value - FIRST] = true;
		count++;
	}
	return count;
}

static void start(const struct host_range *ranges, unsigned count)
{
	struct host_machine machine = {.capacity = FRAME_CACHE_CAPACITY_MAX,
				       .batch = FRAME_CACHE_BATCH_MAX};

	host_machine_start(&machine, ranges, count);
	memset(is_out, 0, sizeof(is_out));
	take_all();
}

static void finish(void)
{
	for (unsigned i = 0; i < SPAN; i++)
		if (is_out[i])
			frame_free(pfn(FIRST + i));
	frame_cache_flush();
	for (unsigned i = 0; i < zones.count; i++)
		CHECK_EQ(zone_free_frames(&zones.zone[i]),
			 zones.zone[i].total_frames - zones.zone[i].reserved_frames);
	frame_validate();
	host_machine_end();
}

/* A flush sees the last that it takes off the stack first: that goes to where the sentinel was. */
static void free_all(const struct list *list)
{
	for (unsigned i = 1; i < list->count; i++)
		frame_free(pfn(list->frame[i]));
	frame_free(pfn(list->frame[0]));
}

static unsigned count_in(const struct list *list, const struct zone *zone)
{
	unsigned count = 0;

	for (unsigned i = 0; i < list->count; i++)
		count += zone_holds(zone, list->frame[i]);
	return count;
}

static void flush_and_look(const struct list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		CHECK(is_out[list->frame[i] - FIRST]);
		is_out[list->frame[i] - FIRST] = false;
	}
	free_all(list);
	frame_cache_flush();
	for (unsigned i = 0; i < zones.count; i++)
		CHECK_EQ(zone_free_frames(&zones.zone[i]), count_in(list, &zones.zone[i]));
	frame_validate();
	CHECK_EQ(take_all(), list->count);
	for (unsigned i = 0; i < list->count; i++)
		CHECK(is_out[list->frame[i] - FIRST]);
}

static void add(struct list *list, uint64_t frame)
{
	list->frame[list->count++] = frame;
}

static void add_up(struct list *list, uint64_t first, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		add(list, first + i);
}

static void add_down(struct list *list, uint64_t first, unsigned count)
{
	while (count)
		add(list, first + --count);
}

/* Each frame is in a word of its own, and all numbers of words are even: the table's worst case. */
TEST(more_words_than_fit_that_are_all_even)
{
	struct list list = {0};

	start(one_zone, 1);
	for (unsigned i = 0; i < POLICY_WORDS_MAX + 12; i++)
		add(&list, FIRST + 2 * FRAMES_PER_WORD * (i + 2));
	flush_and_look(&list);
	finish();
}

TEST(rows_of_any_place_and_length)
{
	static const unsigned lengths[] = {1,  2,  3,	31,  62,  63,  64,
					   65, 66, 127, 128, 129, 130, 200};

	start(two_zones, 2);
	for (unsigned place = 0; place < 64; place++)
		for (unsigned i = 0; i < LENGTH(lengths); i++) {
			uint64_t first = FIRST + 128 + place;
			struct list up = {0}, down = {0};

			add_up(&up, first, lengths[i]);
			flush_and_look(&up);
			add_down(&down, first, lengths[i]);
			flush_and_look(&down);
		}
	finish();
}

/* Frames that look like a row at the ends, or at every other frame, and are no row. */
TEST(rows_with_a_stranger_in_them)
{
	start(two_zones, 2);
	for (unsigned length = 3; length < 12; length++)
		for (unsigned at = 0; at < length; at++) {
			struct list list = {0}, down = {0};

			add_up(&list, FIRST + 250, length);
			list.frame[at] = FIRST + 700;
			flush_and_look(&list);
			add_down(&down, FIRST + 250, length);
			down.frame[at] = FIRST + 700;
			flush_and_look(&down);
		}
	finish();
}

TEST(rows_that_touch_rows)
{
	start(two_zones, 2);
	for (unsigned place = 0; place < 64; place++) {
		uint64_t middle = FIRST + 300 + place;
		struct list apart = {0}, together = {0}, same_way = {0};

		add_down(&apart, middle - 40, 40);
		add_up(&apart, middle, 40);
		flush_and_look(&apart);
		add_up(&together, middle - 40, 40);
		add_down(&together, middle, 40);
		flush_and_look(&together);
		add_up(&same_way, middle, 40);
		add_up(&same_way, middle - 40, 40);
		flush_and_look(&same_way);
	}
	finish();
}

static void shuffle(struct list *list)
{
	for (unsigned i = list->count; i > 1; i--) {
		unsigned other = (unsigned)unit_random_below(i);
		uint64_t frame = list->frame[i - 1];

		list->frame[i - 1] = list->frame[other];
		list->frame[other] = frame;
	}
}

/* Frames of two zones in one word, none, some or all of them, and some of the words next to it. */
TEST(a_word_of_two_zones)
{
	start(two_zones, 2);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t bits = unit_random() | (round % 3 ? 0 : unit_random() | unit_random());
		uint64_t from = (BORDER & ~UINT64_C(63)) - 64 * unit_random_below(2);
		struct list list = {0};

		for (unsigned i = 0; i < 128; i++)
			if (is_out[from + i - FIRST] && (bits >> i % 64 & 1))
				add(&list, from + i);
		if (round % 4)
			shuffle(&list);
		if (list.count)
			flush_and_look(&list);
	}
	finish();
}

static bool is_taken(const struct list *list, uint64_t frame)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->frame[i] == frame)
			return true;
	return false;
}

/* As far as it goes without a frame that is not out or that the list has. */
static void add_row_of_any(struct list *list)
{
	uint64_t frame = FIRST + unit_random_below(BORDER + 777 - FIRST);
	uint64_t step = unit_random_below(2) ? 1 : UINT64_MAX;
	unsigned length = 1 + (unsigned)unit_random_below(unit_random_below(3) ? 4 : 150);

	for (; length && list->count < LENGTH(list->frame); length--, frame += step) {
		if (frame - FIRST >= SPAN || !is_out[frame - FIRST] || is_taken(list, frame))
			return;
		add(list, frame);
	}
}

TEST(rows_and_strangers_of_two_zones)
{
	start(two_zones, 2);
	for (unsigned round = 0; round < 200; round++) {
		unsigned rows = 1 + (unsigned)unit_random_below(60);
		struct list list = {0};

		while (rows--)
			add_row_of_any(&list);
		if (list.count)
			flush_and_look(&list);
	}
	finish();
}

/* One hold carries POLICY_WORDS_MAX words: with a row across the last of them, and many beyond. */
TEST(rows_in_more_words_than_a_hold_carries)
{
	start(one_zone, 1);
	for (unsigned words = POLICY_WORDS_MAX - 2; words < POLICY_WORDS_MAX + 3; words++) {
		struct list pairs = {0}, across = {0}, lone = {0};

		for (unsigned i = 0; i < words; i++)
			add_up(&pairs, FIRST + 64 * (i + 2) + i % 63, 2);
		flush_and_look(&pairs);
		for (unsigned i = 0; i < words; i++)
			add_down(&across, FIRST + 64 * (2 * i + 2) + 63, 2);
		flush_and_look(&across);
		for (unsigned i = 0; i < words; i++)
			add(&lone, FIRST + 64 * (i + 2) + i % 63);
		add_up(&lone, FIRST + 64 * (words + 4) - 20, 100);
		flush_and_look(&lone);
	}
	finish();
}

#if !CHECKS
static void expect_twice(const struct list *list)
{
	start(two_zones, 2);
	free_all(list);
	EXPECT_PANIC(frame_cache_flush(), "freed twice");
	host_machine_end();
}

/* Where frees are not checked one by one, their sorting still finds what it meets twice. */
TEST(frames_twice_in_a_flush_are_found)
{
	for (unsigned place = 0; place < 64; place++) {
		uint64_t first = FIRST + 128 + place;
		struct list row_in_row = {0}, back = {0}, one_in_row = {0}, row_over_one = {0},
			    scattered = {0};

		add_up(&row_in_row, first, 70);
		add_up(&row_in_row, first + 66, 2);
		expect_twice(&row_in_row);
		add_up(&back, first, 30);
		add_down(&back, first + 29, 2);
		expect_twice(&back);
		add_up(&one_in_row, first, 70);
		add(&one_in_row, first + place);
		expect_twice(&one_in_row);
		add(&row_over_one, first + 69);
		add_up(&row_over_one, first, 70);
		expect_twice(&row_over_one);
		add(&scattered, FIRST + 128 + place);
		add(&scattered, FIRST + 128 + (place + 7) % 64);
		add(&scattered, FIRST + 128 + place);
		expect_twice(&scattered);
	}
}
#endif
