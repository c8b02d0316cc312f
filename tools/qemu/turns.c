/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turns.c - virtual time: harts execute in turns of a stated number of instructions.
 *
 * With -icount QEMU executes all vcpus on one thread, one after the other, and goes to the next
 * vcpu when the current one leaves its loop. This file makes it leave the loop after `left`
 * instructions. In a round each vcpu that is not asleep has one turn, and all turns of a round have
 * the same length. So vcpus that do not sleep execute at the same rate, whatever they do, and a
 * vcpu that spins cannot keep another from its turn.
 *
 * - A turn ends at the end of a block, some instructions late. The vcpu's next turn is that much
 *   shorter, so the error does not add up.
 * - A vcpu executes at least one block in a turn. Where a block is longer than the turns, all vcpus
 *   have a longer turn in the next round, so that it owes no instructions then.
 * - Lengths are drawn between half and one and a half times the stated length. Equal lengths would
 *   let regular programs fall into step with the turns.
 * - A vcpu may also lose its turn early, when a timer of the guest expires. It has the rest of its
 *   turn in the next round.
 */
#include "plugin.h"

void (*turns_end)(unsigned vcpu);

static struct {
	uint64_t stated, average, length; /* asked for; at present; of the turns of this round */
	uint64_t seed, random;
	unsigned vcpu;	/* whose turn it is */
	bool has_ended; /* and QEMU has been told so */
	int64_t left[VCPUS_MOST];
	int64_t owed;		/* the most instructions that a turn of this round was too long */
	uint64_t rounds_length; /* of all rounds that are over */
	uint64_t executed[VCPUS_MOST];
} turns;

static uint64_t mix(uint64_t value)
{
	value ^= value >> 30;
	value *= UINT64_C(0xbf58476d1ce4e5b9);
	value ^= value >> 27;
	value *= UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static void begin_round(void)
{
	turns.rounds_length += turns.length;
	turns.random += UINT64_C(0x9e3779b97f4a7c15);
	turns.length = turns.average - turns.average / 2 + mix(turns.random) % (turns.average + 1);
	if ((int64_t)turns.length <= turns.owed)
		turns.length = (uint64_t)turns.owed + 1;
	turns.owed = 0;
}

/*
 * While the guest has not chosen, and while one hart works and all others sleep. The end of a turn
 * takes time for each hart that sleeps.
 */
#define LONG_TURN 10000

/* What follows does not depend on what went before. The next vcpu, whichever it is, begins a round. */
static void begin(uint64_t average, uint64_t random)
{
	turns.average = average;
	turns.random = random;
	for (unsigned vcpu = 0; vcpu < VCPUS_MOST; vcpu++)
		turns.left[vcpu] = 0;
	turns.owed = 0;
	turns.vcpu = VCPUS_MOST;
	turns.has_ended = true;
}

void turns_start(uint64_t instructions, uint64_t seed)
{
	turns.stated = instructions;
	turns.seed = seed;
	turns_lengthen();
}

void turns_lengthen(void)
{
	begin(LONG_TURN, mix(turns.seed));
}

void turns_choose(unsigned halvings, unsigned sequence)
{
	uint64_t average = turns.stated >> halvings;

	begin(average ? average : 1, mix(turns.seed + ((uint64_t)sequence << 32 | halvings) + 1));
}

static void begin_turn(unsigned vcpu)
{
	if (vcpu <= turns.vcpu)
		begin_round();
	if (turns.left[vcpu] <= 0)
		turns.left[vcpu] += (int64_t)turns.length;
	turns.vcpu = vcpu;
	turns.has_ended = false;
}

static void use_up(unsigned vcpu, uint64_t instructions)
{
	turns.left[vcpu] -= (int64_t)instructions;
	if (turns.left[vcpu] > 0 || turns.has_ended)
		return;
	turns.has_ended = true;
	turns_end(vcpu);
}

/* Of the block alone: what turns_stall() has taken is no reason for longer turns. */
static void note_owed(int64_t late, int64_t block)
{
	if (late > block)
		late = block;
	if (late > turns.owed)
		turns.owed = late;
}

void turns_execute(unsigned vcpu, uint64_t instructions)
{
	if (vcpu >= VCPUS_MOST)
		plugin_refuse("more than %u harts", VCPUS_MOST);
	if (turns.has_ended || vcpu != turns.vcpu)
		begin_turn(vcpu);
	turns.executed[vcpu] += instructions;
	use_up(vcpu, instructions);
	note_owed(-turns.left[vcpu], (int64_t)instructions);
}

void turns_stall(unsigned vcpu, uint64_t instructions)
{
	use_up(vcpu, instructions);
}

uint64_t turns_time(unsigned vcpu)
{
	return turns.rounds_length + turns.length - (uint64_t)turns.left[vcpu];
}

uint64_t turns_executed(unsigned vcpu)
{
	return turns.executed[vcpu];
}
