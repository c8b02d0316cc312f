/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expect.h - checks of self-tests. A test is a function that returns NULL, or the text of what was
 * wrong.
 */
#pragma once

/* Returns the condition's text from the calling test where it does not hold. */
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return #condition;                                                         \
	} while (0)

/*
 * mistake(a, b) must panic with a message that contains `text`: needs panic.h, cpu.h and string.h.
 */
#define EXPECT_PANIC(mistake, a, b, text)                                                          \
	do {                                                                                       \
		if (!panics(mistake, a, b))                                                        \
			return #mistake "(" #a ", " #b ") did not panic";                          \
		if (!strstr(cpu_self()->panic_message, text))                                      \
			return #mistake "(" #a ", " #b ") panicked without saying \"" text "\"";   \
	} while (0)
