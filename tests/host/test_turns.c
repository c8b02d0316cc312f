/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_turns.c - the turns of virtual time, without QEMU: vcpus execute blocks of different lengths,
 * and all that do not sleep execute as many instructions.
 *
 * Covers: tools/qemu/turns.c
 */
#include <stdlib.h>
#include <string.h>

#include "tools/qemu/plugin.h"
#include "unit.h"

#define VCPUS 8
#define TURN  25

static uint64_t executed[VCPUS];
static bool ended;

noreturn void plugin_refuse(const char *format, ...)
{
	printf("# %s\n", format);
	abort();
}

static void end_of_turn(unsigned vcpu)
{
	CHECK(vcpu < VCPUS);
	ended = true;
}

/* As QEMU does: a vcpu executes blocks of this many instructions until its turn is over. */
static void take_turn(unsigned vcpu, uint64_t block)
{
	for (ended = false; !ended;) {
		turns_execute(vcpu, block);
		executed[vcpu] += block;
	}
}

static void begin(uint64_t turn)
{
	memset(executed, 0, sizeof(executed));
	turns_end = end_of_turn;
	turns_start(turn, 1);
	turns_choose(0, 0);
}

static uint64_t difference(unsigned a, unsigned b)
{
	return executed[a] > executed[b] ? executed[a] - executed[b] : executed[b] - executed[a];
}

/* A turn that ends late makes the next one shorter: after any number of rounds a block is the most. */
TEST(long_and_short_blocks_execute_as_many_instructions)
{
	static const uint64_t blocks[VCPUS] = {1, 2, 3, 7, 11, 13, 17, 100};

	begin(TURN);
	for (unsigned round = 0; round < 10000; round++)
		for (unsigned vcpu = 0; vcpu < VCPUS; vcpu++)
			take_turn(vcpu, blocks[vcpu]);
	for (unsigned vcpu = 1; vcpu < VCPUS; vcpu++)
		CHECK(difference(0, vcpu) <= blocks[vcpu]);
}

/* A vcpu that lost its turn early, for a timer of the guest, has the rest in the next round. */
TEST(the_rest_of_a_lost_turn_is_executed_in_the_next_round)
{
	for (unsigned seed = 0; seed < 100; seed++) {
		begin(1000 + seed);
		turns_execute(0, 1);
		executed[0]++;
		take_turn(1, 1);
		take_turn(0, 1);
		CHECK_EQ(executed[0], executed[1]);
	}
}

/* The lengths are drawn between half and one and a half times the stated one, the same from a seed. */
TEST(lengths_vary_around_the_stated_one)
{
	uint64_t first[100], least = UINT64_MAX, most = 0;

	for (unsigned again = 0; again < 2; again++) {
		begin(1000);
		for (unsigned round = 0; round < 100; round++) {
			uint64_t before = executed[0];

			take_turn(0, 1);
			if (again == 0)
				first[round] = executed[0] - before;
			else
				CHECK_EQ(first[round], executed[0] - before);
		}
	}
	for (unsigned round = 0; round < 100; round++) {
		least = first[round] < least ? first[round] : least;
		most = first[round] > most ? first[round] : most;
	}
	CHECK(least >= 500 && least < 550 && most <= 1500 && most > 1450);
}

TEST(short_blocks_have_turns_of_the_stated_length_on_average)
{
	begin(TURN);
	for (unsigned round = 0; round < 10000; round++)
		for (unsigned vcpu = 0; vcpu < VCPUS; vcpu++)
			take_turn(vcpu, 1 + vcpu % 3);
	CHECK(executed[0] > UINT64_C(9500) * TURN && executed[0] < UINT64_C(10500) * TURN);
}

/* Half the length twice as often; what follows a choice does not depend on what went before. */
TEST(a_choice_begins_the_sequence_again)
{
	uint64_t first;

	begin(1000);
	turns_choose(1, 3);
	take_turn(0, 1);
	first = executed[0];
	CHECK(first >= 250 && first <= 750);
	take_turn(1, 7);
	take_turn(0, 5);
	turns_choose(1, 3);
	executed[0] = 0;
	take_turn(0, 1);
	CHECK_EQ(executed[0], first);
}
