/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor_commands.c - see monitor_commands.h. */
#include "kernel/diag/monitor_commands.h"

#include <stdio.h>
#include <string.h>

#include "kernel/boot/bootargs_private.h"
#include "kernel/diag/suggest.h"

bool monitor_split(char *line, struct monitor_words *words)
{
	words->count = 0;
	while (*(line += strspn(line, " "))) {
		if (words->count == MONITOR_WORDS)
			return false;
		words->word[words->count++] = line;
		line += strcspn(line, " ");
		if (*line)
			*line++ = '\0';
	}
	return true;
}

static bool begins_with(const char *name, const char *begin)
{
	return strncmp(name, begin, strlen(begin)) == 0;
}

static void print_ambiguous(const struct monitor_table *table, const char *name)
{
	const char *separator = "";

	printf("\"%s\" could be ", name);
	for (unsigned i = 0; i < table->count; i++) {
		if (!begins_with(table->command[i]->name, name))
			continue;
		printf("%s%s", separator, table->command[i]->name);
		separator = ", ";
	}
	printf("\n");
}

static void print_unknown(const struct monitor_table *table, const char *name)
{
	struct suggestion suggestion;

	suggest_start(&suggestion, name, strlen(name));
	for (unsigned i = 0; i < table->count; i++)
		suggest_offer(&suggestion, table->command[i]->name);
	printf("no command \"%s\"", name);
	if (suggestion.name)
		printf("; did you mean %s?\n", suggestion.name);
	else
		printf("; help lists them\n");
}

const struct monitor_command *monitor_find(const struct monitor_table *table, const char *name)
{
	const struct monitor_command *found = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < table->count; i++) {
		const struct monitor_command *command = table->command[i];

		if (strcmp(command->name, name) == 0)
			return command;
		if (begins_with(command->name, name)) {
			found = command;
			count++;
		}
	}
	if (count > 1)
		print_ambiguous(table, name);
	else if (count == 0)
		print_unknown(table, name);
	return count == 1 ? found : NULL;
}

static bool takes(const struct monitor_command *command, unsigned arguments)
{
	return arguments >= command->least && arguments <= command->most;
}

void monitor_execute(const struct monitor_table *table, const struct monitor_words *words)
{
	const struct monitor_command *command;

	if (words->count == 0)
		return;
	command = monitor_find(table, words->word[0]);
	if (!command)
		return;
	if (takes(command, words->count - 1))
		command->run(words);
	else
		monitor_print_usage(command);
}

void monitor_help(const struct monitor_table *table)
{
	for (unsigned i = 0; i < table->count; i++)
		printf("%-9s %-16s %s\n", table->command[i]->name, table->command[i]->arguments,
		       table->command[i]->help);
}

void monitor_help_of(const struct monitor_command *command)
{
	monitor_print_usage(command);
	printf("%s\n%s", command->help, command->more ? command->more : "");
}

/* ---- completion ------------------------------------------------------------------------------ */

static const char *complete_name(const struct monitor_table *table, const char *typed,
				 unsigned number)
{
	for (unsigned i = 0; i < table->count; i++)
		if (begins_with(table->command[i]->name, typed) && number-- == 0)
			return table->command[i]->name;
	return NULL;
}

/* As monitor_find(), without a word. */
static const struct monitor_command *meant(const struct monitor_table *table, const char *name)
{
	const char *first = complete_name(table, name, 0), *second = complete_name(table, name, 1);

	for (unsigned i = 0; i < table->count; i++) {
		const char *its = table->command[i]->name;

		if (strcmp(its, name) == 0 || (its == first && !second))
			return table->command[i];
	}
	return NULL;
}

static const char *complete_value(const struct monitor_command *command,
				  const struct monitor_words *before, const char *typed,
				  unsigned number)
{
	const char *value;

	if (!command || !command->value || before->count > command->most)
		return NULL;
	for (unsigned i = 0; (value = command->value(before, typed, i)) != NULL; i++)
		if (begins_with(value, typed) && number-- == 0)
			return value;
	return NULL;
}

const char *monitor_complete_words(const struct monitor_table *table,
				   const struct monitor_words *before, const char *typed,
				   unsigned number)
{
	if (before->count == 0)
		return complete_name(table, typed, number);
	return complete_value(meant(table, before->word[0]), before, typed, number);
}

const char *monitor_complete(const struct monitor_table *table, const char *line, size_t bytes,
			     unsigned number)
{
	static char text[256];
	struct monitor_words before = {0};
	char *typed;

	if (bytes >= sizeof(text))
		return NULL;
	memcpy(text, line, bytes);
	text[bytes] = '\0';
	typed = strrchr(text, ' ');
	typed = typed ? typed + 1 : text;
	if (typed != text) {
		typed[-1] = '\0';
		if (!monitor_split(text, &before))
			return NULL;
	}
	return monitor_complete_words(table, &before, typed, number);
}

/* ---- for commands ---------------------------------------------------------------------------- */

void monitor_print_usage(const struct monitor_command *command)
{
	if (*command->arguments)
		printf("usage: %s %s\n", command->name, command->arguments);
	else
		printf("usage: %s, without arguments\n", command->name);
}

bool monitor_number(const struct monitor_command *command, const char *word, uint64_t *number)
{
	const char *wrong = bootargs_read_number((struct span){word, strlen(word)}, true, number);

	if (!wrong)
		return true;
	printf("%s: \"%s\": %s; ", command->name, word, wrong);
	monitor_print_usage(command);
	return false;
}
