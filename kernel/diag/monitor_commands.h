/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor_commands.h - the commands of the monitor: how they register, and how a line finds one.
 *
 * A command is a constant struct monitor_command and one line, MONITOR_COMMAND(number, variable). The
 * linker collects the lines (linker.ld), sorted by their numbers; `help` lists them in that order. So
 * programs of tests/ have commands that the kernel does not name.
 *
 * The functions are pure, but for what they print: a table is their argument, so tests have their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MONITOR_WORDS 24

/* A line, word by word; word[0] is the command's name. */
struct monitor_words {
	unsigned count;
	const char *word[MONITOR_WORDS];
};

struct monitor_command {
	const char *name;
	const char *arguments; /* as a user reads them: "SECONDS COMMAND"; "": it takes none */
	const char *help;      /* one line */
	const char *more;      /* what else `help NAME` prints, whole lines; NULL: nothing */
	unsigned least, most;  /* words after the name */
	/* On cpu 0, no lock held. */
	void (*run)(const struct monitor_words *words);
	/*
	 * Word `number` of those that can follow `before`, which begins with the name; NULL: there are
	 * no more. Valid until the next call. `typed` is what there is of the word. A word that ends
	 * with '=' is not complete. NULL: nothing is completed.
	 */
	const char *(*value)(const struct monitor_words *before, const char *typed, unsigned number);
};

/* `number`: 10 to 99. */
#define MONITOR_COMMAND(number, variable)                                                          \
	static const struct monitor_command *const monitor_entry_##variable                        \
		__attribute__((used, section(".monitor_commands." #number))) = &(variable)

struct monitor_table {
	const struct monitor_command *const *command;
	unsigned count;
};

/* Cuts the line into words, in place. False: there are more than MONITOR_WORDS. */
bool monitor_split(char *line, struct monitor_words *words);

/*
 * The command of this name, or the only one whose name begins so. NULL, and a message printed that
 * names what was meant or could be: there is none, or there are several.
 */
const struct monitor_command *monitor_find(const struct monitor_table *table, const char *name);

/* Runs the command that the words name, or prints why not. No words: does nothing. */
void monitor_execute(const struct monitor_table *table, const struct monitor_words *words);

/* All commands, a line each; or all of one. */
void monitor_help(const struct monitor_table *table);
void monitor_help_of(const struct monitor_command *command);

/* For line_edit.h: commands, and their values. */
const char *monitor_complete(const struct monitor_table *table, const char *line, size_t bytes,
			     unsigned number);

/* The same for the words that follow `before` words of a line of their own: of a command in a command. */
const char *monitor_complete_words(const struct monitor_table *table,
				   const struct monitor_words *before, const char *typed,
				   unsigned number);

/* ---- for commands ---------------------------------------------------------------------------- */

/* Prints how the command is used; for arguments that it cannot take, behind what is wrong. */
void monitor_print_usage(const struct monitor_command *command);

/* A number, decimal, 0x or with k or M behind it. False, and a message with the usage printed. */
bool monitor_number(const struct monitor_command *command, const char *word, uint64_t *number);
