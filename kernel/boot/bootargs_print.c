/* SPDX-License-Identifier: BSD-2-Clause */
/* bootargs_print.c - what is printed of the boot arguments: an error, and the list of all keys. */
#include "kernel/boot/bootargs_private.h"
#include "kernel/diag/suggest.h"

static const struct bootargs_known nothing_known;

#define SHOWN_MAX 48

/* In quotes, and safe to show on a terminal: the word may hold any byte of the device tree. */
static void print_quoted(const char *start, size_t length, bootargs_printf *print)
{
	char shown[SHOWN_MAX + 1];
	size_t used = length < SHOWN_MAX ? length : SHOWN_MAX;

	for (size_t i = 0; i < used; i++)
		shown[i] = start[i] >= ' ' && start[i] <= '~' ? start[i] : '?';
	shown[used] = '\0';
	print("\"%s%s\"", shown, used < length ? "..." : "");
}

/* Each name with a space before it. */
static void print_values(const struct bootargs_key *key, const struct bootargs_known *known,
			 bootargs_printf *print)
{
	const struct bootargs_names *names = bootargs_names_of(key, known);

	if (bootargs_has_no_value(key, known)) {
		print(" nothing");
		return;
	}
	if (key->valid)
		print(" %s", key->valid);
	if (key->form == FORM_NUMBER || key->form == FORM_LIST || key->form == FORM_RATE)
		return;
	for (unsigned i = 0; i < names->count; i++)
		print(" %s", names->name[i]);
	if (key->all)
		print(" all");
}

static const char *suggest_key(const struct bootargs_error *error)
{
	const char *equals = memchr(error->word, '=', error->word_length);
	struct suggestion suggestion;

	suggest_start(&suggestion, error->word,
		      equals ? (size_t)(equals - error->word) : error->word_length);
	for (size_t i = 0; i < BOOTARGS_KEYS; i++)
		suggest_offer(&suggestion, bootargs_keys[i].name);
	return suggestion.name;
}

static const char *suggest_value(const struct bootargs_error *error)
{
	const struct bootargs_names *names = bootargs_names_of(error->key, error->known);
	struct suggestion suggestion;

	suggest_start(&suggestion, error->value, error->value_length);
	for (unsigned i = 0; i < names->count; i++)
		suggest_offer(&suggestion, names->name[i]);
	if (error->key->all)
		suggest_offer(&suggestion, "all");
	return suggestion.name;
}

const char *bootargs_suggest(const struct bootargs_error *error)
{
	if (!error->key)
		return suggest_key(error);
	return error->value_is_unknown ? suggest_value(error) : NULL;
}

void bootargs_print_error(const struct bootargs_error *error, bootargs_printf *print)
{
	const char *meant = bootargs_suggest(error);

	print("bootargs: ");
	print_quoted(error->word, error->word_length, print);
	print(": %s", error->reason);
	if (error->value) {
		print(" ");
		print_quoted(error->value, error->value_length, print);
	}
	if (meant)
		print(" (did you mean %s?)", meant);
	if (error->key) {
		print("; valid:");
		print_values(error->key, error->known, print);
	} else {
		print("; valid keys:");
		for (size_t i = 0; i < BOOTARGS_KEYS; i++)
			print(" %s", bootargs_keys[i].name);
	}
	print("\n");
}

bool bootargs_error_is_of(const struct bootargs_error *error, const char *key)
{
	return error->key && strcmp(error->key->name, key) == 0;
}

void bootargs_print_valid(const struct bootargs_known *known, bootargs_printf *print)
{
	print("boot arguments, key=value with spaces between, lists with commas:\n");
	for (size_t i = 0; i < BOOTARGS_KEYS; i++) {
		const struct bootargs_key *key = &bootargs_keys[i];

		print("  %-9s %s%s:", key->name, key->meaning,
		      key->form == FORM_SET ? ", one or more of" : "");
		print_values(key, known ? known : &nothing_known, print);
		print("\n");
	}
}
