/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line_edit.c - see line_edit.h.
 *
 * A character at the end of a line that fits, and its Backspace, are shown by as few bytes as a
 * terminal without an editor would get, so that a log of the console can be read. All else shows the
 * line again.
 */
#include "kernel/diag/line_edit.h"

#include <stdio.h>
#include <string.h>

static void put(const struct line_edit *edit, const char *text)
{
	edit->ways->put(text, strlen(text));
}

/* Once, until a character is typed. */
static void bell(struct line_edit *edit)
{
	if (!edit->has_belled)
		put(edit, "\a");
	edit->has_belled = true;
}

/* ---- what is shown --------------------------------------------------------------------------- */

/* Behind it is room for "^C": a terminal wraps what is longer. */
static size_t width(const struct line_edit *edit)
{
	return LINE_EDIT_COLUMNS - 2 - strlen(edit->ways->prompt);
}

static size_t shown_length(const struct line_edit *edit)
{
	size_t behind = edit->length - edit->view;

	return behind < width(edit) ? behind : width(edit);
}

static void show(struct line_edit *edit)
{
	char move[16];

	if (edit->length <= width(edit))
		edit->view = 0;
	if (edit->cursor < edit->view)
		edit->view = edit->cursor;
	if (edit->cursor - edit->view > width(edit))
		edit->view = edit->cursor - width(edit);
	put(edit, "\r");
	put(edit, edit->ways->prompt);
	edit->ways->put(edit->text + edit->view, shown_length(edit));
	put(edit, "\x1b[K\r");
	snprintf(move, sizeof(move), "\x1b[%uC",
		 (unsigned)(strlen(edit->ways->prompt) + edit->cursor - edit->view));
	put(edit, move);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* All that was refused is forgotten with the last character of the line. */
static void set_length(struct line_edit *edit, size_t length)
{
	edit->length = length;
	edit->text[length] = '\0';
	if (length == 0)
		edit->refused = 0;
}

static void move_to(struct line_edit *edit, size_t cursor)
{
	edit->cursor = cursor;
	show(edit);
}

/* The characters [from, to), with the cursor at `from` then. */
static void erase(struct line_edit *edit, size_t from, size_t to)
{
	bool at_end = to == edit->length && edit->cursor == to && edit->view == 0;

	if (from == to) {
		bell(edit);
		return;
	}
	memmove(edit->text + from, edit->text + to, edit->length - to);
	set_length(edit, edit->length - (to - from));
	edit->cursor = from;
	if (at_end && to - from == 1 && to <= width(edit))
		put(edit, "\b \b");
	else
		show(edit);
}

static void insert(struct line_edit *edit, char character)
{
	if (edit->length == LINE_EDIT_BYTES - 1) {
		edit->refused++;
		bell(edit);
		return;
	}
	edit->has_belled = false;
	memmove(edit->text + edit->cursor + 1, edit->text + edit->cursor,
		edit->length - edit->cursor);
	edit->text[edit->cursor++] = character;
	set_length(edit, edit->length + 1);
	if (edit->cursor == edit->length && edit->length - edit->view <= width(edit))
		edit->ways->put(&character, 1);
	else
		show(edit);
}

/* The start of the word that the cursor is in or behind; the end of that or the next one. */
static size_t word_start(const struct line_edit *edit)
{
	size_t at = edit->cursor;

	while (at && edit->text[at - 1] == ' ')
		at--;
	while (at && edit->text[at - 1] != ' ')
		at--;
	return at;
}

static size_t word_end(const struct line_edit *edit)
{
	size_t at = edit->cursor;

	while (at < edit->length && edit->text[at] == ' ')
		at++;
	while (at < edit->length && edit->text[at] != ' ')
		at++;
	return at;
}

/* ---- history --------------------------------------------------------------------------------- */

static char *history_line(struct line_edit *edit, unsigned back)
{
	return edit->history[(edit->history_next + LINE_EDIT_HISTORY - back) % LINE_EDIT_HISTORY];
}

/* Not an empty line, and not the last line once more. */
static void remember(struct line_edit *edit)
{
	if (edit->length == 0 ||
	    (edit->history_count && strcmp(history_line(edit, 1), edit->text) == 0))
		return;
	memcpy(edit->history[edit->history_next], edit->text, edit->length + 1);
	edit->history_next = (edit->history_next + 1) % LINE_EDIT_HISTORY;
	if (edit->history_count < LINE_EDIT_HISTORY)
		edit->history_count++;
}

/* Shows the line that is so far back; 0: what was being typed. */
static void recall(struct line_edit *edit, unsigned back)
{
	const char *line;

	if (back > edit->history_count) {
		bell(edit);
		return;
	}
	if (edit->recalled == 0) {
		memcpy(edit->draft, edit->text, edit->length + 1);
		edit->draft_refused = edit->refused;
	}
	edit->recalled = back;
	line = back ? history_line(edit, back) : edit->draft;
	memcpy(edit->text, line, strlen(line) + 1);
	edit->refused = back ? 0 : edit->draft_refused;
	set_length(edit, strlen(line));
	move_to(edit, edit->length);
}

/* ---- completion ------------------------------------------------------------------------------ */

#define LISTED_COLUMN 16

/* What all words that can stand here begin with, and how many they are. */
static unsigned find_common(struct line_edit *edit, char *common)
{
	unsigned count = 0;
	const char *word;

	for (; (word = edit->ways->complete(edit->text, edit->cursor, count)) != NULL; count++) {
		size_t same = 0;

		if (count == 0)
			snprintf(common, LINE_EDIT_BYTES, "%s", word);
		while (common[same] && common[same] == word[same])
			same++;
		common[same] = '\0';
	}
	return count;
}

static void list_words(struct line_edit *edit, unsigned count)
{
	size_t column = LINE_EDIT_COLUMNS;

	for (unsigned i = 0; i < count; i++) {
		const char *word = edit->ways->complete(edit->text, edit->cursor, i);

		if (column + strlen(word) >= LINE_EDIT_COLUMNS) {
			put(edit, "\n");
			column = 0;
		}
		do {
			put(edit, column ? " " : "  ");
			column += column ? 1 : 2;
		} while (column % LISTED_COLUMN != 2);
		put(edit, word);
		column += strlen(word);
	}
	put(edit, "\n");
	show(edit);
}

static void complete(struct line_edit *edit)
{
	char common[LINE_EDIT_BYTES] = "";
	unsigned count = edit->ways->complete ? find_common(edit, common) : 0;
	size_t typed = edit->cursor, start = edit->cursor;

	while (start && edit->text[start - 1] != ' ')
		start--;
	typed -= start;
	if (count == 0) {
		bell(edit);
		return;
	}
	if (count > 1 && strlen(common) <= typed) {
		list_words(edit, count);
		return;
	}
	for (const char *rest = common + (strlen(common) < typed ? strlen(common) : typed); *rest;
	     rest++)
		insert(edit, *rest);
	if (count == 1 && edit->text[edit->cursor - 1] != '=' && edit->text[edit->cursor] != ' ')
		insert(edit, ' ');
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void do_key(struct line_edit *edit, enum line_key key)
{
	switch (key) {
	case LINE_KEY_LEFT:
		move_to(edit, edit->cursor - (edit->cursor > 0));
		break;
	case LINE_KEY_RIGHT:
		move_to(edit, edit->cursor + (edit->cursor < edit->length));
		break;
	case LINE_KEY_WORD_LEFT:
		move_to(edit, word_start(edit));
		break;
	case LINE_KEY_WORD_RIGHT:
		move_to(edit, word_end(edit));
		break;
	case LINE_KEY_HOME:
		move_to(edit, 0);
		break;
	case LINE_KEY_END:
		move_to(edit, edit->length);
		break;
	case LINE_KEY_UP:
		recall(edit, edit->recalled + 1);
		break;
	case LINE_KEY_DOWN:
		if (edit->recalled)
			recall(edit, edit->recalled - 1);
		break;
	case LINE_KEY_BACKSPACE:
		erase(edit, edit->cursor - (edit->cursor > 0), edit->cursor);
		break;
	case LINE_KEY_DELETE:
	case LINE_KEY_END_INPUT:
		erase(edit, edit->cursor, edit->cursor + (edit->cursor < edit->length));
		break;
	case LINE_KEY_KILL_START:
		erase(edit, 0, edit->cursor);
		break;
	case LINE_KEY_KILL_END:
		erase(edit, edit->cursor, edit->length);
		break;
	case LINE_KEY_KILL_WORD:
		erase(edit, word_start(edit), edit->cursor);
		break;
	case LINE_KEY_TAB:
		complete(edit);
		break;
	case LINE_KEY_CLEAR:
		put(edit, "\x1b[H\x1b[2J");
		show(edit);
		break;
	default:
		bell(edit);
		break;
	}
}

void line_edit_init(struct line_edit *edit, const struct line_edit_ways *ways)
{
	*edit = (struct line_edit){.ways = ways};
}

void line_edit_begin(struct line_edit *edit)
{
	set_length(edit, 0);
	edit->cursor = edit->view = 0;
	edit->recalled = 0;
	edit->has_belled = false;
	put(edit, edit->ways->prompt);
}

static enum line_edit_result end_line(struct line_edit *edit, enum line_edit_result result)
{
	put(edit, result == LINE_EDIT_CANCELLED ? "^C\n" : "\n");
	if (result == LINE_EDIT_DONE || result == LINE_EDIT_TOO_LONG)
		remember(edit);
	return result;
}

enum line_edit_result line_edit_byte(struct line_edit *edit, unsigned char byte)
{
	enum line_key key = line_keys_next(&edit->keys, byte);

	if (key == LINE_KEY_NONE)
		return LINE_EDIT_MORE;
	if (key == LINE_KEY_TEXT || key == LINE_KEY_FOREIGN) {
		insert(edit, key == LINE_KEY_TEXT ? (char)byte : '?');
		return LINE_EDIT_MORE;
	}
	if (key == LINE_KEY_ENTER)
		return end_line(edit, edit->refused ? LINE_EDIT_TOO_LONG : LINE_EDIT_DONE);
	if (key == LINE_KEY_CANCEL)
		return end_line(edit, LINE_EDIT_CANCELLED);
	if (key == LINE_KEY_END_INPUT && edit->length == 0)
		return end_line(edit, LINE_EDIT_ENDED);
	do_key(edit, key);
	return LINE_EDIT_MORE;
}
