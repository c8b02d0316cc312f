/* SPDX-License-Identifier: BSD-2-Clause */
/* line_keys.c - see line_keys.h. */
#include "kernel/diag/line_keys.h"

#include <stdbool.h>

#define ESCAPE 0x1b
#define DELETE 0x7f

/* Modifiers of a sequence, as xterm counts them: 1 and a bit each. */
#define WITH_ALT  3
#define WITH_CTRL 5

#define CTRL(letter) ((letter) % 32)

static enum line_key control_key(unsigned char byte)
{
	switch (byte) {
	case '\r':
	case '\n':
		return LINE_KEY_ENTER;
	case '\t':
		return LINE_KEY_TAB;
	case '\b':
	case DELETE:
		return LINE_KEY_BACKSPACE;
	case CTRL('A'):
		return LINE_KEY_HOME;
	case CTRL('B'):
		return LINE_KEY_LEFT;
	case CTRL('C'):
		return LINE_KEY_CANCEL;
	case CTRL('D'):
		return LINE_KEY_END_INPUT;
	case CTRL('E'):
		return LINE_KEY_END;
	case CTRL('F'):
		return LINE_KEY_RIGHT;
	case CTRL('K'):
		return LINE_KEY_KILL_END;
	case CTRL('L'):
		return LINE_KEY_CLEAR;
	case CTRL('N'):
		return LINE_KEY_DOWN;
	case CTRL('P'):
		return LINE_KEY_UP;
	case CTRL('U'):
		return LINE_KEY_KILL_START;
	case CTRL('W'):
		return LINE_KEY_KILL_WORD;
	}
	return LINE_KEY_UNKNOWN;
}

static enum line_key plain_key(struct line_keys *keys, unsigned char byte)
{
	*keys = (struct line_keys){0};
	if (byte == ESCAPE) {
		keys->state = LINE_KEYS_ESCAPE;
		return LINE_KEY_NONE;
	}
	if (byte > DELETE)
		return LINE_KEY_FOREIGN;
	return byte < ' ' || byte == DELETE ? control_key(byte) : LINE_KEY_TEXT;
}

/* ESC [ number ~ */
static enum line_key numbered_key(unsigned number)
{
	switch (number) {
	case 1:
	case 7:
		return LINE_KEY_HOME;
	case 3:
		return LINE_KEY_DELETE;
	case 4:
	case 8:
		return LINE_KEY_END;
	}
	return LINE_KEY_UNKNOWN;
}

static enum line_key final_key(const struct line_keys *keys, unsigned char byte)
{
	bool by_word = keys->number[1] == WITH_CTRL || keys->number[1] == WITH_ALT;

	switch (byte) {
	case 'A':
		return LINE_KEY_UP;
	case 'B':
		return LINE_KEY_DOWN;
	case 'C':
		return by_word ? LINE_KEY_WORD_RIGHT : LINE_KEY_RIGHT;
	case 'D':
		return by_word ? LINE_KEY_WORD_LEFT : LINE_KEY_LEFT;
	case 'F':
		return LINE_KEY_END;
	case 'H':
		return LINE_KEY_HOME;
	case '~':
		return numbered_key(keys->number[0]);
	}
	return LINE_KEY_UNKNOWN;
}

/* A parameter, which is cut to a value that is no key's. */
static void take_parameter(struct line_keys *keys, unsigned char byte)
{
	unsigned *number = &keys->number[keys->number_count < 2 ? keys->number_count : 1];

	if (byte == ';')
		keys->number_count++;
	else if (byte >= '0' && byte <= '9' && keys->number_count < 2)
		*number = *number < 1000 ? *number * 10 + (byte - '0') : *number;
}

static enum line_key sequence_key(struct line_keys *keys, unsigned char byte)
{
	enum line_key key;

	if (byte >= 0x40) {
		key = final_key(keys, byte);
		*keys = (struct line_keys){0};
		return key;
	}
	take_parameter(keys, byte);
	if (++keys->length < LINE_KEYS_SEQUENCE)
		return LINE_KEY_NONE;
	*keys = (struct line_keys){0};
	return LINE_KEY_UNKNOWN;
}

enum line_key line_keys_next(struct line_keys *keys, unsigned char byte)
{
	if (keys->state == LINE_KEYS_PLAIN || byte < ' ' || byte >= DELETE)
		return plain_key(keys, byte);
	if (keys->state == LINE_KEYS_ESCAPE && byte == '[')
		keys->state = LINE_KEYS_CSI;
	else if (keys->state == LINE_KEYS_ESCAPE && byte == 'O')
		keys->state = LINE_KEYS_SS3;
	else if (keys->state == LINE_KEYS_ESCAPE)
		return plain_key(keys, byte);
	else
		return sequence_key(keys, byte);
	return LINE_KEY_NONE;
}
