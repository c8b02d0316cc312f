/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_frame_debug.c - poison and owners of frames: each mistake that they find, with the text of the
 * panic, and what is listed of live frames.
 *
 * Covers: mm/frame_debug.c mm/frame.c mm/percpu/flush.c mm/percpu/refill.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/frame_debug.h"
#include "mm/global/free_list.h"
#include "mm/global/zone.h"
#include "unit.h"

#define FRAMES 1024
#define FIRST  UINT64_C(0x80000)

static void *notes;

static void start_zones(unsigned chosen, const struct policy *policy, unsigned count, unsigned cpus)
{
	struct host_range ranges[] = {{FIRST, FRAMES / count, 0},
				      {FIRST + FRAMES / 2, FRAMES / 2, 0}};

	frame_cache_bypass = chosen != 0;
	notes = malloc(frame_debug_bytes(FRAMES));
	memset(notes, 0xff, frame_debug_bytes(FRAMES));
	if (chosen)
		frame_debug_start(chosen, notes, FIRST, FRAMES);
	host_machine_start(&(struct host_machine){.policy = policy, .cpus = cpus, .capacity = 128},
			   ranges, count);
}

static void start(unsigned chosen)
{
	start_zones(chosen, NULL, 1, 1);
}

static void end(void)
{
	host_machine_end();
	free(notes);
	frame_debug_chosen = 0;
	frame_cache_bypass = false;
}

static volatile uint64_t *words_of(pfn_t frame)
{
	return frame_bytes(frame);
}

static pfn_t freed_frame(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	frame_free(frame);
	return frame;
}

/* Takes all frames, until one of them is found to be written to. */
static void take_all(void)
{
	while (!pfn_is_none(frame_alloc(FRAME_ANY)))
		;
}

/* ---- poison ------------------------------------------------------------------------------------ */

TEST(a_write_to_a_free_frame_is_found_at_its_next_allocation)
{
	static const uint16_t places[] = {0, 1, 7, 255, 511};
	char wanted[100];

	for (volatile unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		pfn_t frame;

		start(FRAME_DEBUG_POISON);
		frame = freed_frame();
		CHECK_EQ(words_of(frame)[places[i]], FRAME_POISON);
		words_of(frame)[places[i]] = 0x1234;
		snprintf(wanted, sizeof(wanted),
			 "frame %#llx was written to after it was freed: found 0x1234 at offset "
			 "%#x, ",
			 (unsigned long long)frame.value, places[i] * 8);
		EXPECT_PANIC(take_all(), wanted);
		CHECK(unit_message_has("expected 0xf5eef5eef5eef5ee"));
		CHECK(!unit_message_has("cpu"));
		end();
	}
}

static void take_all_runs(void)
{
	while (!pfn_is_none(frame_alloc_run(8, 8)))
		;
}

static void write_into_freed_run(uint64_t at)
{
	pfn_t run = frame_alloc_run(8, 8);

	frame_free_run(run, 8);
	words_of(pfn_add(run, at))[100] = 1;
}

TEST(a_run_is_compared_frame_by_frame)
{
	for (volatile unsigned i = 0; i < 8; i++) {
		start(FRAME_DEBUG_POISON);
		write_into_freed_run(i);
		EXPECT_PANIC(take_all(), "found 0x1 at offset 0x320");
		end();
		start(FRAME_DEBUG_POISON);
		write_into_freed_run(i);
		EXPECT_PANIC(take_all_runs(), "found 0x1 at offset 0x320");
		end();
	}
}

TEST(right_uses_are_not_reported)
{
	start(FRAME_DEBUG_POISON | FRAME_DEBUG_OWNERS);
	for (unsigned i = 0; i < 2000; i++) {
		pfn_t frame = frame_alloc(i % 2 ? FRAME_ZERO : FRAME_ANY),
		      run = frame_alloc_run(5, 1);

		CHECK(i % 2 == 0 || words_of(frame)[17] == 0);
		memset(frame_bytes(frame), (int)i, FRAME_SIZE);
		memset(frame_bytes(run), (int)i, 5 * FRAME_SIZE);
		frame_free(frame);
		frame_free_run(run, 5);
	}
	frame_validate();
	take_all();
	end();
}

/* What a frame held before it was freed for the first time is not known. */
TEST(a_frame_that_was_never_freed_is_not_compared)
{
	start(FRAME_DEBUG_POISON);
	for (uint64_t i = 0; i < FRAMES; i++)
		if (i >= zones.zone[0].reserved_frames)
			words_of(pfn(FIRST + i))[9] = i;
	take_all();
	end();
}

TEST(what_was_noted_is_forgotten)
{
	pfn_t frame;

	start(FRAME_DEBUG_POISON);
	frame = freed_frame();
	words_of(frame)[9] = 1;
	frame_debug_forget(frame.value);
	take_all();
	end();
	start(FRAME_DEBUG_POISON);
	frame = freed_frame();
	words_of(frame)[9] = 1;
	frame_debug_start(FRAME_DEBUG_POISON, notes, FIRST, FRAMES);
	take_all();
	end();
}

/* A policy may keep links in free frames. */
TEST(bytes_of_the_policy_are_left_out)
{
	pfn_t frame;

	start_zones(FRAME_DEBUG_POISON, &free_list_policy, 1, 1);
	for (unsigned i = 0; i < 100; i++)
		freed_frame();
	frame = freed_frame();
	words_of(frame)[FRAME_DEBUG_POLICY_BYTES / 8] = 5;
	EXPECT_PANIC(take_all(), "found 0x5 at offset 0x40");
	end();
}

TEST(a_frame_of_another_zone_is_watched_too)
{
	pfn_t frame = PFN_NONE;
	unsigned char home;

	start_zones(FRAME_DEBUG_POISON, NULL, 2, 1);
	home = (unsigned char)frame_cache_self()->home;
	while (pfn_is_none(frame) || zone_holds(&zones.zone[home], frame.value))
		frame = frame_alloc(FRAME_ANY);
	frame_free(frame);
	CHECK_EQ(words_of(frame)[0], FRAME_POISON);
	words_of(frame)[0] = 7;
	EXPECT_PANIC(take_all(), "found 0x7 at offset 0");
	end();
}

/* ---- owners ------------------------------------------------------------------------------------ */

TEST(a_wrong_free_says_what_happened_to_the_frame_last)
{
	pfn_t frame, run;

	start_zones(FRAME_DEBUG_OWNERS, NULL, 1, 2);
	host_self = &host_cpus[1];
	frame = freed_frame();
	host_self = &host_cpus[0];
	EXPECT_PANIC(frame_free(frame), CHECKS ? "is freed twice" : "found a free frame of 1");
	CHECK(unit_message_has("; freed by cpu 1 at [<0x"));
	CHECK(unit_message_has(" ticks ago, allocated before that at [<0x"));
	frame = pfn(FIRST + FRAMES - 1);
	EXPECT_PANIC(frame_free(frame), CHECKS ? "is freed twice" : "found a free frame");
	CHECK(unit_message_has("; it was never allocated"));
	host_self = &host_cpus[1];
	run = frame_alloc_run(8, 8);
	host_self = &host_cpus[0];
	EXPECT_PANIC(frame_free(pfn_add(run, 3)),
		     CHECKS ? "is part of a run" : "found a frame inside a run");
	CHECK(unit_message_has("; allocated by cpu 1 at [<0x"));
	EXPECT_PANIC(frame_free_run(run, 7),
		     CHECKS ? "more than 7 frames" : "the head of a run of 8");
	CHECK(unit_message_has("; allocated by cpu 1 at [<0x"));
	EXPECT_PANIC(frame_free_run(pfn_add(run, 1), 7),
		     CHECKS ? "expected the head of a run" : "found a frame inside a run");
	CHECK(unit_message_has("; allocated by cpu 1 at [<0x"));
	EXPECT_PANIC(frame_free_run(run, 9), CHECKS ? "not 9" : "the head of a run of 8");
	frame_free_run(run, 8);
	EXPECT_PANIC(frame_free_run(run, 8), CHECKS ? "freed twice" : "found a free frame");
	CHECK(unit_message_has("; freed by cpu 0 at [<0x"));
	end();
}

TEST(a_write_after_the_free_says_where_it_was_freed)
{
	pfn_t frame;

	start(FRAME_DEBUG_POISON | FRAME_DEBUG_OWNERS);
	frame = freed_frame();
	words_of(frame)[2] = 3;
	EXPECT_PANIC(take_all(), "found 0x3 at offset 0x10");
	CHECK(unit_message_has("; freed by cpu 0 at [<0x"));
	end();
}

TEST(nothing_is_said_where_nothing_is_noted)
{
	pfn_t frame;

	start(0);
	frame = freed_frame();
	CHECK_EQ(*frame_debug_text(frame.value), '\0');
	if (CHECKS) {
		EXPECT_PANIC(frame_free(frame), "is freed twice");
		CHECK(!unit_message_has("; freed by"));
	}
	end();
	start(FRAME_DEBUG_POISON);
	CHECK_EQ(*frame_debug_text(freed_frame().value), '\0');
	end();
	start(FRAME_DEBUG_OWNERS);
	CHECK_EQ(*frame_debug_text(FIRST - 1), '\0');
	end();
}

/* ---- what is allocated ------------------------------------------------------------------------- */

static __attribute__((noinline)) pfn_t alloc_here(uint64_t count)
{
	pfn_t first = frame_alloc_run(count, 1);

	__asm__ volatile("" ::: "memory"); /* no jump: the return address is of this function */
	return first;
}

static __attribute__((noinline)) pfn_t alloc_there(uint64_t count)
{
	pfn_t first = frame_alloc_run(count, 1);

	__asm__ volatile("" ::: "memory");
	return first;
}

static unsigned list_sites(struct frame_site *sites, unsigned most)
{
	unsigned count = 0;

	while (count < most &&
	       frame_debug_next_site(count ? &sites[count - 1] : NULL, &sites[count]))
		count++;
	return count;
}

TEST(live_frames_are_listed_by_call)
{
	struct frame_site sites[8];
	uint64_t before, between, last;
	pfn_t here, there, more;
	bool first;

	start(FRAME_DEBUG_OWNERS);
	CHECK_EQ(list_sites(sites, 8), 0);
	before = port_clock();
	here = alloc_here(3);
	between = port_clock();
	there = alloc_there(2);
	last = port_clock();
	more = alloc_there(5);
	CHECK_EQ(list_sites(sites, 8), 2);
	CHECK((uintptr_t)sites[0].site < (uintptr_t)sites[1].site);
	first = sites[0].allocations == 1; /* which function is first in the program? */
	CHECK_EQ(sites[!first].frames, 3);
	CHECK_EQ(sites[!first].allocations, 1);
	CHECK(sites[!first].oldest - before <= between - before);
	CHECK_EQ(sites[first].frames, 7);
	CHECK_EQ(sites[first].allocations, 2);
	CHECK(sites[first].oldest - between <= last - between);
	frame_free_run(there, 2);
	CHECK_EQ(list_sites(sites, 8), 2);
	CHECK_EQ(sites[first].frames, 5);
	frame_free_run(more, 5);
	CHECK_EQ(list_sites(sites, 8), 1);
	CHECK_EQ(sites[0].frames, 3);
	frame_free_run(here, 3);
	CHECK_EQ(list_sites(sites, 8), 0);
	end();
}

/* ---- several cpus ------------------------------------------------------------------------------ */

static void work(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 300; i++) {
		pfn_t frame = frame_alloc(FRAME_ANY), run = frame_alloc_run(3, 1);

		CHECK(!pfn_is_none(frame) && !pfn_is_none(run));
		words_of(frame)[port_cpu()] = i;
		words_of(pfn_add(run, 2))[port_cpu()] = i;
		frame_free_run(run, 3);
		frame_free(frame);
	}
}

CONCURRENT_TEST(cpus_watch_the_same_frames)
{
	start_zones(FRAME_DEBUG_POISON | FRAME_DEBUG_OWNERS, NULL, 2, 3);
	host_run(work, NULL);
	frame_validate();
	end();
}
