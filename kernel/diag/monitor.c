/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.c - the prompt: reads lines and follows them; and the commands about commands. See monitor.h.
 */
#include "kernel/diag/monitor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch/riscv/hart.h"
#include "kernel/diag/line_edit.h"
#include "kernel/diag/monitor_input.h"
#include "kernel/program.h"
#include "kernel/settings.h"

/* linker.ld: sorted by the names of their sections. */
extern const struct monitor_command *const __monitor_commands_start[],
	*const __monitor_commands_end[];

static bool is_over;

const struct monitor_table *monitor_table(void)
{
	static struct monitor_table table;

	table = (struct monitor_table){
		__monitor_commands_start,
		(unsigned)(__monitor_commands_end - __monitor_commands_start)};
	return &table;
}

void monitor_end(void)
{
	is_over = true;
}

/* ---- commands about commands ----------------------------------------------------------------- */

static void do_help(const struct monitor_words *words)
{
	const struct monitor_command *command;

	if (words->count == 1) {
		monitor_help(monitor_table());
		printf("A name can be shortened. help NAME says more; Tab completes; Ctrl-C ends a "
		       "command.\n");
		return;
	}
	command = monitor_find(monitor_table(), words->word[1]);
	if (command)
		monitor_help_of(command);
}

static const char *help_value(const struct monitor_words *before, const char *typed, unsigned number)
{
	static const struct monitor_words none;

	(void)before;
	return monitor_complete_words(monitor_table(), &none, typed, number);
}

static const struct monitor_command help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.help = "the commands; or all about one",
	.more = "keys: arrows, Home, End, Delete, Backspace; up and down: earlier lines; Tab: "
		"complete\n"
		"      Ctrl-A start, Ctrl-E end, Ctrl-W erase a word, Ctrl-U to the start, Ctrl-K "
		"to "
		"the end\n"
		"      Ctrl-L clear the screen, Ctrl-C end a command, Ctrl-D on an empty line end "
		"the "
		"run\n",
	.most = 1,
	.run = do_help,
	.value = help_value,
};
MONITOR_COMMAND(10, help);

/* The words behind the seconds. */
static struct monitor_words watched_words(const struct monitor_words *words)
{
	struct monitor_words watched = {.count = words->count - 2};

	memcpy(watched.word, words->word + 2, watched.count * sizeof(watched.word[0]));
	return watched;
}

static const struct monitor_command watch;

static void do_watch(const struct monitor_words *words)
{
	const struct monitor_words watched = watched_words(words);
	const struct monitor_command *command = monitor_find(monitor_table(), watched.word[0]);
	uint64_t seconds, next = hart_time();

	if (!command || !monitor_number(&watch, words->word[1], &seconds))
		return;
	if (command == &watch) {
		printf("watch cannot watch itself\n");
		return;
	}
	if (seconds == 0 || seconds > UINT32_MAX) {
		printf("watch: 1 second at least, %u at most\n", (unsigned)UINT32_MAX);
		return;
	}
	for (unsigned count = 1; !is_over; count++) {
		printf("-- %s, every %" PRIu64 " s, number %u; Ctrl-C or a key ends\n",
		       command->name, seconds, count);
		monitor_execute(monitor_table(), &watched);
		next += seconds * settings.timebase;
		if (!monitor_is_interrupted() && !monitor_has_key())
			monitor_sleep_until(next);
		if (monitor_is_interrupted() || monitor_has_key())
			return;
	}
}

static const char *watch_value(const struct monitor_words *before, const char *typed,
			       unsigned number)
{
	static const char *const seconds[] = {"1", "2", "5", "10"};
	struct monitor_words watched;

	if (before->count == 1)
		return number < sizeof(seconds) / sizeof(seconds[0]) ? seconds[number] : NULL;
	watched = watched_words(before);
	return monitor_complete_words(monitor_table(), &watched, typed, number);
}

static const struct monitor_command watch = {
	.name = "watch",
	.arguments = "SECONDS COMMAND",
	.help = "a command again and again, until Ctrl-C or a key",
	.more = "A key that ends it begins the next line.\n",
	.least = 2,
	.most = MONITOR_WORDS - 1,
	.run = do_watch,
	.value = watch_value,
};
MONITOR_COMMAND(32, watch);

static void do_quit(const struct monitor_words *words)
{
	(void)words;
	monitor_end();
}

static const struct monitor_command quit = {
	.name = "quit",
	.arguments = "",
	.help = "end the run with its verdict, as Ctrl-D does",
	.run = do_quit,
};
MONITOR_COMMAND(90, quit);

/* ---- the prompt ------------------------------------------------------------------------------ */

static void put(const char *text, size_t bytes)
{
	while (bytes--)
		putchar(*text++);
}

static const char *complete(const char *line, size_t bytes, unsigned number)
{
	return monitor_complete(monitor_table(), line, bytes, number);
}

static const struct line_edit_ways ways = {
	.prompt = "hartframe> ",
	.put = put,
	.complete = complete,
};

static void follow(char *line)
{
	struct monitor_words words;

	monitor_command_begins();
	if (monitor_split(line, &words))
		monitor_execute(monitor_table(), &words);
	else
		printf("more than %d words; nothing was done\n", MONITOR_WORDS);
	if (monitor_is_interrupted())
		printf("^C\n");
}

static void read_and_follow(struct line_edit *edit)
{
	enum line_edit_result result;

	line_edit_begin(edit);
	do
		result = line_edit_byte(edit, monitor_key());
	while (result == LINE_EDIT_MORE);
	if (result == LINE_EDIT_DONE)
		follow(edit->text);
	else if (result == LINE_EDIT_TOO_LONG)
		printf("the line is too long by %zu characters, at most %d; nothing was done\n",
		       edit->refused, LINE_EDIT_BYTES - 1);
	else if (result == LINE_EDIT_ENDED)
		monitor_end();
}

static void monitor_run(void)
{
	static struct line_edit edit;

	line_edit_init(&edit, &ways);
	printf("monitor: help lists the commands, Ctrl-D ends the run\n");
	is_over = false;
	while (!is_over)
		read_and_follow(&edit);
	if (monitor_frames_held())
		monitor_free_held(UINT64_MAX);
}

static const struct program monitor = {
	.name = "monitor",
	.help = "a prompt on the console",
	.run = monitor_run,
};
PROGRAM(50, monitor);
