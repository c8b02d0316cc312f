/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * contention.h - whether the waits for locks that this boot has counted are the locks' or the
 * host's.
 *
 * An acquisition waits when another cpu holds the lock at that moment. Where the host has not
 * given each cpu a core, its scheduler decides which cpu runs at which moment: the same command,
 * run twice, has said 0.00 % and 5.50 % contended. So the test that judges the times of a sweep
 * (timing.h) also judges all figures of waits: the contended share, waits and their times, which
 * cpu waited for which, and where. Figures of other things (acquisitions, refills, frames) need no
 * judgement.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Looks whether each cpu has a core now. After the first look that says no there is no other look:
 * from then on the counts since the boot include waits that the host caused. True if all looks
 * said yes. On cpu 0, at rest, with all cpus on line; lasts as long as 40 million turns of an empty
 * loop.
 */
bool contention_look(void);

/* Whether all looks so far said yes; false before the first look. */
bool contention_is_measurable(void);

/* Why it is not measurable, for the console and the records; "" where it is. */
const char *contention_why_not(void);

/*
 * Prints "NOT MEASURABLE", "-" where `whole` is 0, or part / whole in percent with two decimals, in
 * `width` characters: at least 8, and at least 14 where it is not measurable.
 */
void contention_print_share(int width, uint64_t part, uint64_t whole, bool measurable);

/* Members of the open record: "valid", and where it is false "why". */
void contention_record_validity(bool measurable);
