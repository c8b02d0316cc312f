/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line_keys.h - bytes of a terminal made into keys: characters, control keys, and the escape
 * sequences of arrows, Home, End and Delete (ECMA-48; xterm, the Linux console and VT220 differ in
 * which they send).
 *
 * A sequence may stop anywhere. A control byte ends it and is a key itself, so Enter and Ctrl-C are
 * never lost in one; Escape and then a character that begins no sequence is the character.
 *
 * Pure functions of their arguments, any context.
 */
#pragma once

enum line_key {
	LINE_KEY_NONE,	  /* the byte belongs to a sequence */
	LINE_KEY_TEXT,	  /* a character: the byte itself */
	LINE_KEY_FOREIGN, /* a byte of a character that is not ASCII */
	LINE_KEY_UNKNOWN, /* a control byte or a sequence that means nothing here */
	LINE_KEY_ENTER,
	LINE_KEY_LEFT,
	LINE_KEY_RIGHT,
	LINE_KEY_WORD_LEFT,
	LINE_KEY_WORD_RIGHT,
	LINE_KEY_UP,
	LINE_KEY_DOWN,
	LINE_KEY_HOME,
	LINE_KEY_END,
	LINE_KEY_BACKSPACE,
	LINE_KEY_DELETE,
	LINE_KEY_KILL_START, /* to the start of the line */
	LINE_KEY_KILL_END,
	LINE_KEY_KILL_WORD, /* the word before the cursor */
	LINE_KEY_TAB,
	LINE_KEY_CLEAR,	   /* the screen */
	LINE_KEY_CANCEL,   /* Ctrl-C */
	LINE_KEY_END_INPUT /* Ctrl-D */
};

/* A longer sequence is given up, and what follows is text. */
#define LINE_KEYS_SEQUENCE 16

struct line_keys {
	enum { LINE_KEYS_PLAIN, LINE_KEYS_ESCAPE, LINE_KEYS_CSI, LINE_KEYS_SS3 } state;
	unsigned length;       /* of the sequence so far */
	unsigned number[2];    /* its parameters; 0: not given */
	unsigned number_count; /* separators so far */
};

/* The key that this byte completes. All zero: no byte has come yet. */
enum line_key line_keys_next(struct line_keys *keys, unsigned char byte);
