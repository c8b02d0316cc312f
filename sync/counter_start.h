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

#define COUNTER_LEFT 3 /* that many more before the wrap */

#if COUNTERS_NEAR_WRAP
/* A counter that may wrap: its readers compare two values for being equal, or take a difference. */
#define COUNTER_START_32 (UINT32_MAX - COUNTER_LEFT + 1)
#define COUNTER_START_64 (UINT64_MAX - COUNTER_LEFT + 1)
/*
 * A number of 64 bits of which readers ask which one is later, so it may not wrap; in 500 years of one
 * each nanosecond it does not. It begins before it leaves 32 bits: a half that was stored or compared
 * shows.
 */
#define TICKET_START ((uint64_t)UINT32_MAX - COUNTER_LEFT + 1)
#else
#define COUNTER_START_32 0
#define COUNTER_START_64 0
#define TICKET_START	 0
#endif
