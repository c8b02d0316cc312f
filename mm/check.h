/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h - the two kinds of condition.
 *
 * check()  A caller's mistake, tested always. The message says what was expected, what was
 *	    found and where the call came from; the run ends.
 * assert() Our own invariant, tested where ASSERTS is 1 (test builds).
 */
#pragma once

#include "mm/platform.h"

#ifndef ASSERTS
#define ASSERTS 1
#endif

#define check(condition, ...)                                                                      \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			port_panic(__VA_ARGS__);                                                   \
	} while (0)

#undef assert
#if ASSERTS
#define assert(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			port_panic("%s:%d: broken invariant: %s", __FILE__, __LINE__, #condition); \
	} while (0)
#else
#define assert(condition) ((void)sizeof(condition))
#endif
