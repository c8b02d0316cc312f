/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - programs: what the kernel runs once it has booted. They register themselves, so the
 * kernel names none of them, and links and boots without any.
 *
 * A program is a constant struct program and one line, PROGRAM(number, variable). The linker
 * collects the lines (linker.ld), sorted by their numbers and not by how the files are linked. The
 * kernel then
 *
 *	1. learns from them what run= can name, and what the values of other boot arguments are
 *	   (ARGUMENT_VALUES), and refuses all else before anything runs;
 *	2. takes early memory for those that will run (memory_bytes);
 *	3. prepares them, when the boot hart has zones, a cache and the heap, and no other hart has
 *	   started (prepare);
 *	4. runs them by rising number, on cpu 0, when all harts have arrived and the boot is
 *	   reported (run).
 *
 * A program says what went wrong by verdict_fail(), and may count its checks (kernel/diag/panic.h).
 * All of this is read-only data; every function here is for cpu 0, at rest.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/boot/bootargs.h"

struct program {
	const char *name; /* a value of run=, and what a panic and the trace call it */
	const char *help; /* one line */

	/* It runs where run= is not given. */
	bool is_default;
	/*
	 * Alone in run= and given workload= or lists of values, it is a sweep over all
	 * combinations.
	 */
	bool compares;
	/*
	 * From `prepare` on the timers of all harts are its own, and each hart's turn ends by
	 * them. So no other program runs in the same boot, preempt= is for it, and a hart must not
	 * wait in the firmware for another (flush=auto).
	 */
	bool owns_timers;

	/*
	 * It cannot be named in run=: other boot arguments ask for it, and is_wanted() looks at
	 * them.
	 */
	bool is_unnamed;
	/* Whether it is to run; `is_named`: run= names it. NULL: it runs if run= names it. */
	bool (*is_wanted)(bool is_named);

	/* Program memory that it needs beyond the usual (program_memory.h); NULL: none. */
	size_t (*memory_bytes)(void);
	void (*prepare)(void); /* NULL: nothing to prepare */
	void (*run)(void);
};

/* The lines that the linker collects. */
struct program_entry {
	const struct program *program;
	unsigned long number;
};

/* `number`: 10 to 99; programs run by rising number, and no two have the same. */
#define PROGRAM(number, variable)                                                                  \
	static const struct program_entry program_entry_##variable                                 \
		__attribute__((used, section(".programs." #number))) = {&(variable), number}

/* The names that values of a boot argument have, where the kernel does not know them. */
struct argument_values {
	const char *key;
	const char *const *name;
	const unsigned *count;
	unsigned besides; /* bootargs.h */
};

/* Registers `count` names of the key's values; a value is stored as its index. Once a key. */
#define ARGUMENT_VALUES(key_word, names, names_count)                                              \
	ARGUMENT_VALUES_BESIDES(key_word, names, names_count, 0)

/* The same; `all` and the default of the key leave out the last `names_besides` names. */
#define ARGUMENT_VALUES_BESIDES(key_word, names, names_count, names_besides)                       \
	static const struct argument_values argument_values_##key_word = {                         \
		#key_word, names, &(names_count), names_besides};                                  \
	static const struct argument_values *const argument_entry_##key_word __attribute__((       \
		used, section(".argument_values." #key_word))) = &argument_values_##key_word

/*
 * All names that the programs add to the boot arguments; policies are not among them. Valid for
 * ever. A panic where two programs have the same number or name, or names for the same key.
 */
void programs_know(struct bootargs_known *known);

/* For the rest settings.arguments must have been read. */

/* Whether run= names this program and no other. */
bool programs_only(const char *name);

/* Whether one of those that will run owns the timers. */
bool programs_own_timers(void);

/*
 * Program memory that those that will run need. Ends the run with a failing verdict where one of
 * them needs more than an eighth of RAM: it would measure another machine. After memory_collect().
 */
size_t programs_memory_bytes(void);

void programs_prepare(void);
void programs_run(void);

/* One line for each value of run=, with its help. */
void programs_print(void);
