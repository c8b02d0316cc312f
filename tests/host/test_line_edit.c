/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_line_edit.c - a line that is typed, keys and history, completion, and bytes of any kind.
 *
 * What the editor sends goes to a terminal of 80 columns, simulated here. After every byte the row of
 * the cursor must show the prompt and the part of the line around the cursor, and nothing else.
 *
 * Covers: kernel/diag/line_edit.c kernel/diag/line_keys.c
 */
#include <string.h>

#include "unit.h"

#include "kernel/diag/line_edit.h"

#define COLUMNS LINE_EDIT_COLUMNS
#define PROMPT	"> "
#define WIDTH	(COLUMNS - 2 - (sizeof(PROMPT) - 1))

/* ---- a terminal ------------------------------------------------------------------------------ */

/* The row of the cursor, and how it got there. */
static struct {
	char row[COLUMNS + 1];
	unsigned column, rows, bells, clears;
	char escape[16];
	unsigned escape_length;
} terminal;

static void clear_row(unsigned from)
{
	memset(terminal.row + from, ' ', COLUMNS - from);
}

/* The sequences that the editor may send: right by a number, erase to the end, home, clear. */
static void take_escape(char byte)
{
	unsigned right;

	CHECK(terminal.escape_length < sizeof(terminal.escape) - 1);
	terminal.escape[terminal.escape_length++] = byte;
	terminal.escape[terminal.escape_length] = '\0';
	if (terminal.escape_length < 3 || byte < '@')
		return;
	terminal.escape_length = 0;
	if (sscanf(terminal.escape, "\x1b[%uC", &right) == 1 && byte == 'C') {
		terminal.column += right;
		CHECK(terminal.column < COLUMNS);
	} else if (strcmp(terminal.escape, "\x1b[K") == 0) {
		clear_row(terminal.column);
	} else if (strcmp(terminal.escape, "\x1b[2J") == 0) {
		clear_row(0);
		terminal.clears++;
	} else {
		CHECK(strcmp(terminal.escape, "\x1b[H") == 0);
		terminal.column = 0;
	}
}

static void take_byte(char byte)
{
	if (terminal.escape_length || byte == '\x1b') {
		take_escape(byte);
	} else if (byte == '\r') {
		terminal.column = 0;
	} else if (byte == '\n') {
		clear_row(0);
		terminal.column = 0;
		terminal.rows++;
	} else if (byte == '\b') {
		CHECK(terminal.column > 0);
		terminal.column--;
	} else if (byte == '\a') {
		terminal.bells++;
	} else {
		CHECK(byte >= ' ' && byte <= '~');
		CHECK(terminal.column < COLUMNS); /* else a terminal would wrap */
		terminal.row[terminal.column++] = byte;
	}
}

static void put(const char *text, size_t bytes)
{
	while (bytes--)
		take_byte(*text++);
}

static bool shows(const char *text)
{
	size_t length = strlen(text);

	for (unsigned i = 0; i < COLUMNS; i++)
		if (terminal.row[i] != (i < length ? text[i] : ' '))
			return false;
	return true;
}

/* ---- the editor ------------------------------------------------------------------------------ */

static const char *const words[] = {"zones", "zone0", "run", "ops=", "ledger"};

static const char *complete_one(const char *line, size_t bytes, unsigned number)
{
	size_t start = bytes;

	while (start && line[start - 1] != ' ')
		start--;
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(words[i], line + start, bytes - start) == 0 && number-- == 0)
			return words[i];
	return NULL;
}

static const struct line_edit_ways ways = {.prompt = PROMPT, .put = put, .complete = complete_one};

/* Behind it nothing may be written. */
static struct {
	struct line_edit edit;
	unsigned char guard[64];
} guarded;

#define edit guarded.edit

static void begin(void)
{
	memset(&terminal, 0, sizeof(terminal));
	clear_row(0);
	memset(guarded.guard, 0x5a, sizeof(guarded.guard));
	line_edit_init(&edit, &ways);
	line_edit_begin(&edit);
}

/* What must be true between two bytes. */
static void check_edit(void)
{
	char row[COLUMNS + 1];
	size_t shown = strlen(edit.text + edit.view);

	CHECK(edit.length < LINE_EDIT_BYTES);
	CHECK_EQ(strlen(edit.text), edit.length);
	CHECK(edit.cursor <= edit.length && edit.view <= edit.cursor);
	CHECK(edit.cursor - edit.view <= WIDTH);
	for (size_t i = 0; i < edit.length; i++)
		CHECK(edit.text[i] >= ' ' && edit.text[i] <= '~');
	snprintf(row, sizeof(row), "%s%.*s", PROMPT, (int)(shown < WIDTH ? shown : WIDTH),
		 edit.text + edit.view);
	CHECK(shows(row));
	CHECK_EQ(terminal.column, strlen(PROMPT) + edit.cursor - edit.view);
	CHECK_EQ(terminal.escape_length, 0);
	for (unsigned i = 0; i < sizeof(guarded.guard); i++)
		CHECK_EQ(guarded.guard[i], 0x5a);
}

static enum line_edit_result type_byte(char byte)
{
	enum line_edit_result result = line_edit_byte(&edit, (unsigned char)byte);

	if (result == LINE_EDIT_MORE)
		check_edit();
	else
		CHECK(terminal.column == 0 && shows(""));
	return result;
}

/* Bytes that do not end the line. */
static void type(const char *text)
{
	for (; *text; text++)
		CHECK_EQ(type_byte(*text), LINE_EDIT_MORE);
}

static void expect_text(const char *text, size_t cursor)
{
	if (strcmp(edit.text, text) != 0)
		unit_fail(__FILE__, __LINE__, "the line is \"%s\", expected \"%s\"", edit.text,
			  text);
	CHECK_EQ(edit.cursor, cursor);
}

static void enter(const char *line)
{
	type(line);
	CHECK_EQ(type_byte('\r'), LINE_EDIT_DONE);
	CHECK(strcmp(edit.text, line) == 0);
	line_edit_begin(&edit);
}

/* ---- keys ------------------------------------------------------------------------------------ */

TEST(characters_are_inserted_at_the_cursor)
{
	begin();
	type("zoes\x1b[D\x1b[D"
	     "n");
	expect_text("zones", 3);
	type("\x05!\x01?\x1b[C\x02\x06.");
	expect_text("?z.ones!", 3);
	CHECK_EQ(type_byte('\n'), LINE_EDIT_DONE);
}

TEST(home_and_end_are_all_their_sequences)
{
	static const char *const homes[] = {"\x01", "\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"};
	static const char *const ends[] = {"\x05", "\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~"};

	begin();
	type("abc");
	for (unsigned i = 0; i < 5; i++) {
		type(homes[i]);
		expect_text("abc", 0);
		type(ends[i]);
		expect_text("abc", 3);
	}
}

TEST(characters_and_words_are_erased)
{
	begin();
	type("one two three");
	type("\x7f\b");
	expect_text("one two thr", 11);
	type("\x17");
	expect_text("one two ", 8);
	type("\x17");
	expect_text("one ", 4);
	type("two\x1b[1;5D\x1b[3~\x04");
	expect_text("one o", 4);
	type("\x01\x1b[1;5C\x0b");
	expect_text("one", 3);
	type("\x1b[D\x15");
	expect_text("e", 0);
	type("\x04");
	expect_text("", 0);
	CHECK_EQ(terminal.bells, 0);
	type("\x7f\x17\x0b");
	CHECK_EQ(terminal.bells, 1);
}

TEST(the_screen_is_cleared_and_the_line_stays)
{
	begin();
	type("map\x1b[D\x0c");
	CHECK_EQ(terminal.clears, 1);
	expect_text("map", 2);
}

TEST(ctrl_c_drops_the_line_and_ctrl_d_ends_an_empty_one)
{
	begin();
	type("ab");
	CHECK_EQ(type_byte('\x03'), LINE_EDIT_CANCELLED);
	line_edit_begin(&edit);
	expect_text("", 0);
	type("a\x7f");
	CHECK_EQ(type_byte('\x04'), LINE_EDIT_ENDED);
	line_edit_begin(&edit);
	type("a");
	type("\x04"); /* nothing is under the cursor */
	expect_text("a", 1);
}

/* ---- history --------------------------------------------------------------------------------- */

TEST(earlier_lines_come_back_and_what_was_typed_stays)
{
	begin();
	enter("first");
	enter("second");
	enter("second");
	enter("");
	type("third\x1b[A");
	expect_text("second", 6);
	type("\x1b[A");
	expect_text("first", 5);
	type("\x10");
	expect_text("first", 5);
	CHECK_EQ(terminal.bells, 1);
	type("\x1bOB");
	expect_text("second", 6);
	type("\x0e");
	expect_text("third", 5);
	type("\x1b[B");
	expect_text("third", 5);
}

TEST(the_history_keeps_the_last_lines)
{
	char line[8];

	begin();
	for (unsigned i = 0; i < 3 * LINE_EDIT_HISTORY; i++) {
		snprintf(line, sizeof(line), "l%u", i);
		enter(line);
	}
	for (unsigned i = 0; i < LINE_EDIT_HISTORY; i++) {
		type("\x1b[A");
		snprintf(line, sizeof(line), "l%u", 3 * LINE_EDIT_HISTORY - 1 - i);
		expect_text(line, strlen(line));
	}
	type("\x1b[A");
	expect_text(line, strlen(line));
	CHECK_EQ(terminal.bells, 1);
}

TEST(a_changed_earlier_line_leaves_the_history_as_it_was)
{
	begin();
	enter("alloc 1");
	type("\x1b[A\x7f"
	     "2");
	expect_text("alloc 2", 7);
	CHECK_EQ(type_byte('\r'), LINE_EDIT_DONE);
	line_edit_begin(&edit);
	type("\x1b[A\x1b[A");
	expect_text("alloc 1", 7);
}

/* ---- completion ------------------------------------------------------------------------------ */

TEST(a_word_is_completed)
{
	begin();
	type("l\t");
	expect_text("ledger ", 7);
	type("r\t");
	expect_text("ledger run ", 11);
	type("o\t5");
	expect_text("ledger run ops=5", 16);
	type("\x15z\t");
	expect_text("zone", 4);
	CHECK_EQ(terminal.rows, 0);
	type("\t"); /* lists the two */
	expect_text("zone", 4);
	CHECK_EQ(terminal.rows, 2);
	type("s\t");
	expect_text("zones ", 6);
}

TEST(a_word_is_completed_before_others)
{
	begin();
	type("le 7\x1b[D\x1b[D\t");
	expect_text("ledger 7", 6);
	type("\x01x \x02\x02\x1b[3~l");
	type("\x01\x0bq\t");
	expect_text("q", 1);
	CHECK_EQ(terminal.bells, 1);
}

/* ---- what does not fit ----------------------------------------------------------------------- */

TEST(a_long_line_scrolls_sideways)
{
	begin();
	for (unsigned i = 0; i < LINE_EDIT_BYTES - 1; i++)
		type((char[]){(char)('a' + i % 26), 0});
	CHECK_EQ(terminal.rows, 0);
	CHECK_EQ(edit.length, LINE_EDIT_BYTES - 1);
	for (unsigned i = 0; i < LINE_EDIT_BYTES; i++)
		type("\x1b[D");
	CHECK_EQ(edit.cursor, 0);
	for (unsigned i = 0; i < 100; i++)
		type(i % 3 ? "\x1b[C" : "\x1b[3~");
	CHECK_EQ(type_byte('\r'), LINE_EDIT_DONE);
}

TEST(a_line_that_does_not_fit_is_refused)
{
	begin();
	for (unsigned i = 0; i < 1 << 20; i++)
		CHECK_EQ(line_edit_byte(&edit, "zones "[i % 6]), LINE_EDIT_MORE);
	check_edit();
	CHECK_EQ(terminal.bells, 1);
	type("\x7f"); /* it stays incomplete */
	CHECK_EQ(type_byte('\r'), LINE_EDIT_TOO_LONG);
	CHECK_EQ(edit.refused, (1 << 20) - (LINE_EDIT_BYTES - 1));
	line_edit_begin(&edit);
	enter("zones");
	for (unsigned i = 0; i < LINE_EDIT_BYTES; i++)
		type("x");
	type("\x1b[A\x1b[B"); /* an earlier line, and back */
	CHECK_EQ(edit.refused, 1);
	type("\x1b[A");
	CHECK_EQ(type_byte('\r'), LINE_EDIT_DONE);
	line_edit_begin(&edit);
	for (unsigned i = 0; i < LINE_EDIT_BYTES; i++)
		type("x");
	type("\x15");
	enter("ledger");
}

TEST(a_character_that_is_not_ascii_is_seen)
{
	begin();
	type("zon\xc3\xa9s");
	expect_text("zon??s", 6);
}

TEST(sequences_may_stop_anywhere)
{
	static const char *const begun[] = {"\x1b",	"\x1b[", "\x1b[1",
					    "\x1b[1;5", "\x1bO", "\x1b[?"};

	begin();
	for (unsigned i = 0; i < sizeof(begun) / sizeof(begun[0]); i++) {
		type("a");
		type(begun[i]);
		type("\x1b[D\x7f");
		type(begun[i]);
		CHECK_EQ(type_byte('\x03'), LINE_EDIT_CANCELLED);
		line_edit_begin(&edit);
		type("a");
		type(begun[i]);
		CHECK_EQ(type_byte('\r'), LINE_EDIT_DONE);
		CHECK(strcmp(edit.text, "a") == 0);
		line_edit_begin(&edit);
	}
	type("\x1bz"); /* Escape, and then a character */
	expect_text("z", 1);
	type("\x1b[99999999999999999999999");
	CHECK(edit.length > 1); /* given up, so what follows is text */
}

/* Any bytes, in any number: the guard, the terminal and the line are whole after each. */
TEST(random_bytes_do_no_harm)
{
	static const char *const likely[] = {"\x1b[A",	"\x1b[B",  "\x1b[C", "\x1b[D",
					     "\x1b[3~", "\x1b[1;", "\t",     "\x17",
					     "\x0b",	"zone",	   "run ",   "\x1b"};
	unsigned lines = 0;

	begin();
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t random = unit_random();
		const char *text = likely[random % (sizeof(likely) / sizeof(likely[0]))];
		char one[2] = {(char)(random >> 32), 0};
		bool control = (unsigned char)one[0] < ' ' && random >> 40 & 7;

		for (text = random >> 16 & 1 && !control ? one : text; *text; text++)
			if (type_byte(*text) != LINE_EDIT_MORE) {
				lines++;
				line_edit_begin(&edit);
			}
	}
	CHECK(lines > 10);
}
