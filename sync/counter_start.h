/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counter_start.h - the value at which a counter begins: 0. A build with -DCOUNTERS_NEAR_WRAP=1, as all
 * tests of the host are, lets counters begin shortly before they wrap, so what is wrong at the wrap shows
 * in every test. docs/testing.md has the list of all counters.
 *
 * A counter whose value means how many there are (pressure, pins, frames) begins at 0 in every build.
 */
#pragma once

#include <stdint.h>

#ifndef COUNTERS_NEAR_WRAP
#define COUNTERS_NEAR_WRAP 0
#endif

#if COUNTERS_NEAR_WRAP

/*
 * Counters that begin from now on have that many more before the wrap. In spinlock.c; a test may change it
 * from machine to machine. A counter that begins with the program has COUNTER_LEFT more.
 */
extern uint32_t counters_left;
#define COUNTER_LEFT 3

/* A counter that may wrap: its readers compare two values for being equal, or take a difference. */
#define COUNTER_START_32 (-counters_left)
#define COUNTER_START_64 (-(uint64_t)counters_left)
#define COUNTER_FIRST_64 (-(uint64_t)COUNTER_LEFT)

/*
 * A number of 64 bits of which readers ask which one is later, so it may not wrap; in 500 years of one
 * each nanosecond it does not. It begins before it leaves 32 bits: a half that was stored or compared
 * shows.
 */
#define TICKET_START ((UINT64_C(1) << 32) - counters_left)
#define TICKET_FIRST ((UINT64_C(1) << 32) - COUNTER_LEFT)

#else

#define COUNTER_START_32 0
#define COUNTER_START_64 0
#define COUNTER_FIRST_64 0
#define TICKET_START	 0
#define TICKET_FIRST	 0

#endif
