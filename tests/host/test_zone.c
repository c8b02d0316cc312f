/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_zone.c - claims and releases of many cpus at once, at the zone: plans are made without the
 * lock while others change what they are about, and most of them go stale here.
 *
 * Covers: mm/global/zone.c
 */
#include "unit.h"

#include "host.h"
#include "mm/frame.h"
#include "mm/global/bits.h"
#include "mm/global/zone.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/zone_direct.h"

#define ROUNDS 100000

static unsigned empty_words, wrong_counts;

/* The frames of a claim are checked, and given back in another mixture than they came. */
static void claim_and_release(void *argument)
{
	struct zone *zone = argument;
	uint64_t random = unit_seed() * 1000 + port_cpu() * 2 + 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct frame_word words[POLICY_WORDS_MAX];
		unsigned taken, sum = 0, min = 1 + (unsigned)random_below(&random, 100);
		unsigned count = zone_take(zone, min, min + 63, words, &taken);

		for (unsigned i = 0; i < count; i++) {
			if (!words[i].bits)
				ck_pr_inc_uint(&empty_words);
			sum += bits_count(words[i].bits);
		}
		if (sum != taken)
			ck_pr_inc_uint(&wrong_counts);
		for (unsigned i = 0; i < count; i++) {
			unsigned frames = bits_count(words[i].bits);

			if (frames)
				zone_give(zone, &words[i], 1, frames);
		}
	}
}

/* Every other frame is taken, so that a claim is several words and others meet it half-way. */
static void hammer(unsigned cpus)
{
	struct host_machine machine = {.cpus = cpus};
	struct host_range range = {0x80000, 1024, 0};
	struct frame_word words[POLICY_WORDS_MAX];
	struct zone *zone;
	unsigned taken, count, frames = 0;

	host_machine_start(&machine, &range, 1);
	zone = &zones.zone[0];
	count = zone_take(zone, 1000, 1063, words, &taken);
	for (unsigned i = 0; i < count; i++) {
		words[i].bits &= UINT64_C(0x5555555555555555);
		frames += bits_count(words[i].bits);
	}
	zone_give(zone, words, count, frames);
	empty_words = wrong_counts = 0;
	host_run(claim_and_release, zone);
	CHECK_EQ(empty_words, 0);
	CHECK_EQ(wrong_counts, 0);
	CHECK_EQ(zone_free_frames(zone), frames);
	zone_validate(zone);
	host_machine_end();
}

CONCURRENT_TEST(two_cpus_claim_and_release)
{
	hammer(2);
}

CONCURRENT_TEST(four_cpus_claim_and_release)
{
	hammer(4);
}

/* A state for each frame and each word of 64 (a line for 16 of them), or none at all. */
TEST(states_are_kept_with_checks_alone)
{
	struct host_machine machine = {.cpus = 1};
	struct host_range range = {0x80000, 1024, 0};

	host_machine_start(&machine, &range, 1);
	CHECK_EQ(zones.zone[0].state_bytes, CHECKS ? 1024 + PORT_CACHE_LINE : 0);
	CHECK(!zones.zone[0].state == !CHECKS);
	frame_validate();
	host_machine_end();
}

TEST(the_largest_zone_is_the_one_with_most_frames)
{
	struct host_machine machine = {.cpus = 1};
	struct host_range ranges[] = {{0x80000, 512, 0}, {0x81000, 1024, 0}, {0x82000, 1024, 0}};

	/* Of equal ones the first; the first and the last of three are each the largest once. */
	host_machine_start(&machine, ranges, 3);
	CHECK_EQ(zone_largest(), 1);
	host_machine_end();
	ranges[0].count = 2048;
	host_machine_start(&machine, ranges, 3);
	CHECK_EQ(zone_largest(), 0);
	host_machine_end();
	ranges[2].count = 4096;
	host_machine_start(&machine, ranges, 3);
	CHECK_EQ(zone_largest(), 2);
	host_machine_end();
}
