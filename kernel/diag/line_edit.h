/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line_edit.h - a line that is typed and edited on a terminal: cursor keys, history, completion.
 *
 * Bytes go in one by one, and what the terminal is to show goes out through a callback; so it runs on
 * any console, and in tests. The only line editors that Debian packages (readline, libedit, tecla)
 * are Unix libraries over termios and file descriptors, and a small one (linenoise, microrl) is not
 * packaged, so this is our own.
 *
 * Invariants: cursor <= length < LINE_EDIT_BYTES; text[length] is 0, and all before are printable
 * ASCII. Whatever bytes come, in whatever number, no other memory is written. A byte that is not
 * ASCII becomes '?', and a line that was longer than fits is refused as a whole: so what is executed
 * is what was typed, or nothing.
 *
 * The line is shown in LINE_EDIT_COLUMNS columns, and scrolls sideways in them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kernel/diag/line_keys.h"

#define LINE_EDIT_BYTES	  256
#define LINE_EDIT_COLUMNS 80
#define LINE_EDIT_HISTORY 32

struct line_edit_ways {
	const char *prompt; /* shorter than half of the columns */
	void (*put)(const char *text, size_t bytes);
	/*
	 * The words that can stand at the end of the first `bytes` bytes of the line instead of its
	 * last word, by their number from 0 on; NULL: there are no more. Valid until the next call.
	 * A word that ends with '=' is not complete. NULL: nothing is completed.
	 */
	const char *(*complete)(const char *line, size_t bytes, unsigned number);
};

struct line_edit {
	const struct line_edit_ways *ways;
	char text[LINE_EDIT_BYTES];
	size_t length, cursor;
	size_t view;	/* the first character that is shown */
	size_t refused; /* characters that did not fit since the line was empty */
	bool has_belled;
	struct line_keys keys;

	/* The last lines, a ring; `recalled` of them back from the newest is shown, 0: none. */
	char history[LINE_EDIT_HISTORY][LINE_EDIT_BYTES];
	unsigned history_count, history_next, recalled;
	char draft[LINE_EDIT_BYTES]; /* what was typed before a line was recalled, and its `refused` */
	size_t draft_refused;
};

enum line_edit_result {
	LINE_EDIT_MORE,	    /* the line is not complete */
	LINE_EDIT_DONE,	    /* it is in `text`, which the caller may write to */
	LINE_EDIT_TOO_LONG, /* it is complete, and `refused` characters of it are missing */
	LINE_EDIT_CANCELLED,
	LINE_EDIT_ENDED /* the end of input, on an empty line */
};

/* With no history. `ways` is kept. */
void line_edit_init(struct line_edit *edit, const struct line_edit_ways *ways);

/* Begins an empty line: shows the prompt. */
void line_edit_begin(struct line_edit *edit);

/*
 * Takes a byte. All results but LINE_EDIT_MORE end the line and the terminal's line: the next call is
 * line_edit_begin().
 */
enum line_edit_result line_edit_byte(struct line_edit *edit, unsigned char byte);
