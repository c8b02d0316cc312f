/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: power */
/*
 * test_power.c - the end of the machine (arch/riscv/power.c) on machines that act on the test
 * finisher at once, late, or never.
 *
 * One thread. Here are the finisher's register, a clock that each look moves on, and the firmware's
 * shutdown, which ends the machine at once. A machine that ends is a longjmp back to the test.
 *
 * Covers: arch/riscv/power.c
 */
#include <setjmp.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/power.h"
#include "arch/riscv/sbi.h"
#include "unit.h"

#define PASSES	 0x5555u
#define FAILS	 0x13333u
#define PATIENCE 1000
#define NEVER	 UINT64_MAX

/* The least that a busy host may need, in turns of the waiting loop, whatever the clock says. */
#define TURNS_OF_A_BUSY_HOST (UINT64_C(1) << 25)

static jmp_buf machine;
static uint32_t finisher_register;

static struct {
	uint64_t acts_after;   /* turns of the waiting loop until the finisher ends the machine */
	uint64_t ticks_a_look; /* 0: a tick in 2^17 looks, less than the loop's own least */
	uint64_t now, turns;
	uint64_t stored_at; /* by the clock */
	bool masked, ordered_before, ordered_after;
	bool ended_by_finisher, ended_by_firmware;
	bool firmware_cannot, firmware_asked;
	uint32_t status; /* what the machine ended with: the finisher's word, or the reason */
} play;

unsigned long port_irq_save(void)
{
	play.masked = true;
	return 0;
}

void *port_phys_pointer(uint64_t address)
{
	CHECK_EQ(address, 0x100000);
	return &finisher_register;
}

static _Noreturn void end(bool *by, uint32_t status)
{
	*by = true;
	play.status = status;
	longjmp(machine, 1);
}

void port_relax(void)
{
	if (++play.turns > play.acts_after)
		end(&play.ended_by_finisher, finisher_register);
}

uint64_t hart_time(void)
{
	static uint64_t looks;

	return play.now += play.ticks_a_look ? play.ticks_a_look : ++looks % (1 << 17) == 0;
}

void power_fence_before_store(void)
{
	CHECK_EQ(finisher_register, 0);
	play.ordered_before = true;
}

void power_fence_after_store(void)
{
	CHECK(finisher_register != 0);
	play.ordered_after = true;
	play.stored_at = play.now;
}

struct sbi_result sbi_shutdown(uint32_t reason)
{
	play.firmware_asked = true;
	if (play.firmware_cannot)
		return (struct sbi_result){.error = -2};
	end(&play.ended_by_firmware, reason);
}

void power_stop(void)
{
	unit_fail(__FILE__, __LINE__, "the machine stands still, and has not ended");
}

/* True where it returned. */
static bool power_off(uint64_t finisher, bool pass, uint64_t acts_after, uint64_t ticks_a_look)
{
	bool cannot = play.firmware_cannot;

	memset(&play, 0, sizeof(play));
	play.firmware_cannot = cannot;
	play.acts_after = acts_after;
	play.ticks_a_look = ticks_a_look;
	finisher_register = 0;
	if (!setjmp(machine)) {
		hart_power_off(finisher, PATIENCE, pass);
		return true;
	}
	CHECK(play.masked);
	return false;
}

TEST(the_finisher_carries_the_status_out)
{
	for (int pass = 0; pass < 2; pass++) {
		power_off(0x100000, pass, 0, 1);
		CHECK(play.ended_by_finisher);
		CHECK_EQ(play.status, pass ? PASSES : FAILS);
		CHECK(play.ordered_before);
		CHECK(play.ordered_after);
	}
}

/* The later of two requests would decide the status. */
TEST(a_late_finisher_is_not_overtaken_by_the_firmware)
{
	power_off(0x100000, false, PATIENCE - 2, 1);
	CHECK(play.ended_by_finisher);
	CHECK_EQ(play.status, FAILS);
}

/* A virtual clock may run far ahead of a host that is busy with other things. */
TEST(a_fast_clock_shortens_no_wait)
{
	power_off(0x100000, false, TURNS_OF_A_BUSY_HOST, UINT64_C(1) << 40);
	CHECK(play.ended_by_finisher);
	CHECK_EQ(play.status, FAILS);
}

TEST(a_slow_clock_shortens_no_wait)
{
	power_off(0x100000, false, NEVER, 0);
	CHECK(play.ended_by_firmware);
	CHECK(play.now - play.stored_at >= PATIENCE);
}

TEST(where_the_finisher_does_nothing_the_firmware_shuts_down)
{
	for (int pass = 0; pass < 2; pass++) {
		power_off(0x100000, pass, NEVER, 1);
		CHECK(play.ended_by_firmware);
		CHECK_EQ(play.status, !pass);
		CHECK(play.now - play.stored_at >= PATIENCE);
	}
}

TEST(without_a_finisher_the_firmware_shuts_down_at_once)
{
	power_off(0, false, NEVER, 1);
	CHECK(play.ended_by_firmware);
	CHECK_EQ(play.status, 1);
	CHECK_EQ(play.turns, 0);
	CHECK_EQ(finisher_register, 0);
}

TEST(where_nothing_can_end_the_machine_the_caller_hears_of_it)
{
	play.firmware_cannot = true;
	CHECK(power_off(0, true, NEVER, 1));
	CHECK(play.firmware_asked);
	CHECK(power_off(0x100000, true, NEVER, 1));
	CHECK(play.firmware_asked);
	play.firmware_cannot = false;
}
