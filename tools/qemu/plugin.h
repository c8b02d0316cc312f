/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plugin.h - what the parts of the plugin share.
 *
 *	plugin.c   is loaded by QEMU: arguments, translation of instructions, hints of the guest
 *	turns.c    whose turn it is: virtual time
 *	lines.c    the model of a coherent cache: cost of lines (lines.h)
 *	cells.c    what the guest says of its measurements, and the records of what lines cost them
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

/*
 * Inside a block of the vcpu that is executing: it waits for as long as this number of instructions
 * takes. A wait that is longer than what is left of the turn is taken off its next turns, in each of
 * which the vcpu executes one block all the same.
 */
void turns_stall(unsigned vcpu, uint64_t instructions);

/*
 * The time of the vcpu that is executing, in instructions of one vcpu, turns_stall() included: the
 * lengths of all rounds until now, and what it has used of the present one. Times of different vcpus
 * differ by at most a turn and what a vcpu is late.
 */
uint64_t turns_time(unsigned vcpu);

/* Instructions that it has executed since it was started. */
uint64_t turns_executed(unsigned vcpu);

/* Ends the turn of the vcpu that is executing, at the end of its block. */
extern void (*turns_end)(unsigned vcpu);

/* ---- cells.c ---- */

/* The records go to this file. Each miss and upgrade costs `cost` instructions; 0: they are counted only. */
void cells_start(const char *path, uint64_t cost);

/* The vcpu has executed a hint of arch/riscv/hint.h from HINT_NIBBLE on; number: beyond that one. */
void cells_hint(unsigned vcpu, unsigned number);

/* It has accessed memory, at a physical address. */
void cells_access(unsigned vcpu, uint64_t pc, uint64_t address, unsigned bytes, bool is_store);

/* False: nothing is measured at present, and cells_access() would do nothing. */
extern bool cells_measuring;
