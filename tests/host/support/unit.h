/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unit.h - the host unit tests' small frame: registration, checks, expected panics, seeds.
 *
 * A test program is one file `test_*.c`. Each TEST() registers itself; main() in unit.c runs
 * them all, prints KTAP, and exits 1 when any failed. A failed CHECK ends its test at once.
 *
 *	TEST(bitmap_finds_the_last_bit)
 *	{
 *		CHECK(tree_find(&tree) == 63);
 *		CHECK_EQ(tree.free, 1);
 *		EXPECT_PANIC(frame_free(pfn), "freed twice");
 *	}
 *
 * Random tests draw from unit_random(), seeded from SEED= in the environment (default 1) and
 * the test's name; the seed is printed with every failure.
 */
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct unit_test {
	const char *name;
	void (*run)(void);
	struct unit_test *next;
};

void unit_register(struct unit_test *test);
_Noreturn void unit_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Uniform 64 bits from the running test's own generator. */
uint64_t unit_random(void);
/* Uniform in [0, bound); bound > 0. */
uint64_t unit_random_below(uint64_t bound);
uint64_t unit_seed(void);

/* The panic hook of the host port (port.c) lands here: returns to EXPECT_PANIC, or fails the test. */
_Noreturn void unit_panicked(const char *message);
extern jmp_buf unit_panic_return;
extern bool unit_panic_expected;
extern char unit_panic_message[1024];
bool unit_message_has(const char *wanted);

/* A test in which cpus work at once. */
#define CONCURRENT_TEST(test_name)                                                                 \
	static void test_name(void);                                                               \
	__attribute__((constructor)) static void register_##test_name(void)                        \
	{                                                                                          \
		static struct unit_test test = {#test_name, test_name, 0};                         \
		unit_register(&test);                                                              \
	}                                                                                          \
	static void test_name(void)

/* Any other one, of which ThreadSanitizer would learn nothing, but slowly. */
#if defined(__SANITIZE_THREAD__)
#define TEST(test_name) __attribute__((unused)) static void test_name(void)
#else
#define TEST(test_name) CONCURRENT_TEST(test_name)
#endif

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			unit_fail(__FILE__, __LINE__, "%s", #condition);                           \
	} while (0)

#define CHECK_EQ(found, expected)                                                                  \
	do {                                                                                       \
		unsigned long long found_ = (unsigned long long)(found);                           \
		unsigned long long expected_ = (unsigned long long)(expected);                     \
		if (found_ != expected_)                                                           \
			unit_fail(__FILE__, __LINE__,                                              \
				  "%s: found %llu (0x%llx), expected %llu (0x%llx)", #found,       \
				  found_, found_, expected_, expected_);                           \
	} while (0)

/* The statement must panic, with a message that contains `text`. */
#define EXPECT_PANIC(statement, text)                                                              \
	do {                                                                                       \
		unit_panic_expected = true;                                                        \
		if (setjmp(unit_panic_return) == 0) {                                              \
			statement;                                                                 \
			unit_panic_expected = false;                                               \
			unit_fail(__FILE__, __LINE__, "%s did not panic", #statement);             \
		}                                                                                  \
		unit_panic_expected = false;                                                       \
		if (!unit_message_has(text))                                                       \
			unit_fail(__FILE__, __LINE__, "panic says \"%s\", expected \"%s\"",        \
				  unit_panic_message, text);                                       \
	} while (0)
