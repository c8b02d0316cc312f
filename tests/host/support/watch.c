/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.c - see watch.h. */
#include "watch.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define STILL_SECONDS 20

static const uint64_t *watched;
static const char *watched_for;
static uint64_t progress_seen;

static void say(const char *text)
{
	(void)!write(STDOUT_FILENO, text, strlen(text));
}

static void look_for_progress(int number)
{
	uint64_t now = __atomic_load_n(watched, __ATOMIC_RELAXED);

	if (now == progress_seen) {
		say("not ok: nothing moves any more: ");
		say(watched_for);
		say("\n");
		_exit(1);
	}
	progress_seen = now;
	signal(number, look_for_progress);
	alarm(STILL_SECONDS);
}

void watch_begin(const uint64_t *progress, const char *what)
{
	watched = progress;
	watched_for = what;
	progress_seen = __atomic_load_n(progress, __ATOMIC_RELAXED) - 1;
	signal(SIGALRM, look_for_progress);
	alarm(STILL_SECONDS);
}

void watch_end(void)
{
	alarm(0);
}
