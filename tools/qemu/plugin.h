/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plugin.h - what the parts of the plugin share.
 *
 *	plugin.c   is loaded by QEMU: arguments, translation of instructions, hints of the guest
 *	turns.c    whose turn it is: virtual time
 *
 * All of it runs on one thread, because QEMU with -icount executes all vcpus on one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

#define VCPUS_MOST 4096

/* Says on standard error what is wrong, and ends QEMU with status 1 before the guest has started. */
noreturn void plugin_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- turns.c ---- */

/*
 * Turns of random lengths, `instructions` on average, that follow from the seed. They are in force
 * from the first turns_choose() on; until then turns are long.
 */
void turns_start(uint64_t instructions, uint64_t seed);

/* The vcpu is about to execute a block of this number of instructions. */
void turns_execute(unsigned vcpu, uint64_t instructions);

/*
 * From now on, turns of the first length divided by 2 to the power of `halvings`, from another
 * sequence of random lengths. What follows does not depend on what went before.
 */
void turns_choose(unsigned halvings, unsigned sequence);

/* From now on, long turns, as before the first turns_choose(). */
void turns_lengthen(void);

/* Ends the turn of the vcpu that is executing, at the end of its block. */
extern void (*turns_end)(unsigned vcpu);
