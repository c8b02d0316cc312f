/* SPDX-License-Identifier: BSD-2-Clause */
/* unit.c - see unit.h. */
#include "unit.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

jmp_buf unit_panic_return;
bool unit_panic_expected;
char unit_panic_message[1024];

static struct unit_test *tests;
static struct unit_test **tests_tail = &tests;
static jmp_buf failed;
static char failure[2048];
static uint64_t seed;
static uint64_t random_state;
static pthread_t test_thread;

void unit_register(struct unit_test *test)
{
	*tests_tail = test;
	tests_tail = &test->next;
}

void unit_fail(const char *file, int line, const char *format, ...)
{
	char text[1536];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	snprintf(failure, sizeof(failure), "%s:%d: %s", file, line, text);
	longjmp(failed, 1);
}

/* Only the thread of the tests can be taken back to one; a panic elsewhere ends the program. */
void unit_panicked(const char *message)
{
	if (!pthread_equal(pthread_self(), test_thread)) {
		fprintf(stderr, "# seed %llu: panic in a thread: %s\n", (unsigned long long)seed,
			message);
		_exit(1);
	}
	snprintf(unit_panic_message, sizeof(unit_panic_message), "%s", message);
	if (unit_panic_expected)
		longjmp(unit_panic_return, 1);
	unit_fail("panic", 0, "%s", message);
}

bool unit_message_has(const char *wanted)
{
	return strstr(unit_panic_message, wanted) != NULL;
}

/* splitmix64 (Steele, Lea and Flood, OOPSLA 2014): any seed is a good seed. */
uint64_t unit_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t unit_random_below(uint64_t bound)
{
	return (uint64_t)(((unsigned __int128)unit_random() * bound) >> 64);
}

uint64_t unit_seed(void)
{
	return seed;
}

/* Each test has its own stream, so that running one alone repeats what it did among all. */
static void seed_for(const char *name)
{
	random_state = seed;
	for (; *name; name++)
		random_state = (random_state ^ (unsigned char)*name) * 0x100000001b3u;
}

/* True when it passed; setjmp's frame is this one, so main's variables are safe from longjmp. */
static bool run_one(struct unit_test *test, unsigned number)
{
	seed_for(test->name);
	if (setjmp(failed) == 0) {
		test->run();
		printf("ok %u %s\n", number, test->name);
		return true;
	}
	printf("not ok %u %s # seed %llu: %s\n", number, test->name, (unsigned long long)seed,
	       failure);
	return false;
}

int main(int argc, char **argv)
{
	const char *environment_seed = getenv("SEED");
	const char *only = argc > 1 ? argv[1] : NULL;
	unsigned count = 0, number = 0, failures = 0;

	seed = environment_seed ? strtoull(environment_seed, NULL, 0) : 1;
	test_thread = pthread_self();
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct unit_test *test = tests; test; test = test->next)
		count += !only || !strcmp(only, test->name);
	printf("KTAP version 1\n# %s seed %llu\n1..%u\n", argv[0], (unsigned long long)seed, count);
	for (struct unit_test *test = tests; test; test = test->next)
		if (!only || !strcmp(only, test->name))
			failures += !run_one(test, ++number);
	return count == 0 || failures != 0;
}
