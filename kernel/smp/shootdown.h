/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shootdown.h - has other cpus flush what they have in their translation caches.
 *
 * There are two ways. The firmware (SBI RFENCE) interrupts the harts itself and does it above our
 * heads, with our interrupts masked or not. Or we send the cpus IPIs as for anything else, and each
 * does it in the IPI's handler: for firmware without that extension, and for run=explore, where a
 * hart that waits in the firmware, with no timer of ours running, would let no other hart go on.
 *
 * Either way a cpu that is stopped (cpu.h) has nothing cached, is asked for nothing, and no cpu
 * waits for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum shootdown_way { SHOOTDOWN_FIRMWARE, SHOOTDOWN_IPI };

/* Once at boot, before any is asked for. */
void shootdown_choose(enum shootdown_way way);
enum shootdown_way shootdown_way(void);
const char *shootdown_way_name(enum shootdown_way way);

/*
 * Cpus first + i, for each bit i of `set`, flush [start, start + bytes), both multiples of 4096 and
 * bytes not 0; everything, where that is long. The calling cpu may be among them. When this
 * returns, they walk the tables as the caller left them, and are done with whatever they used an
 * old entry for. Not in a trap handler, no lock held, interrupts let in: this cpu answers requests
 * of others meanwhile, and the cpus that it asks may have to wait for it. One IPI or one call into
 * the firmware a cpu at most. Returns how many others are in the set.
 */
unsigned shootdown(unsigned first, uint64_t set, uint64_t start, uint64_t bytes);

/*
 * The same in any context, by the firmware alone: where shootdown_way() is SHOOTDOWN_FIRMWARE. Waits for
 * the firmware of the other harts, and so for no interrupt of a cpu.
 */
void shootdown_firmware(unsigned first, uint64_t set, uint64_t start, uint64_t bytes);

/*
 * In the handler of an IPI: flushes what this cpu was asked to. Interrupts masked. Cheap if
 * nothing.
 */
void shootdown_answer(void);

/*
 * This cpu takes part from here on: before it uses tables that others change, and before IPIs are
 * let in. Or no longer, with interrupts masked until it stops: it has nothing cached, and satp is
 * off.
 */
void shootdown_online(void);
void shootdown_offline(void);
