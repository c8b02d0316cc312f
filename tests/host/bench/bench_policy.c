/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_policy.c - what each policy in the table costs on this host: one thread, no lock, no
 * caches.
 *
 * Each is called through its contract, planning included, as a zone would, on 128 MiB: when all of
 * it is free, and when every frame is taken or free by the toss of a coin. A section of code is
 * timed as a whole, and what it changed is put back by the next section; a figure is the median of
 * many, printed with the least. The host's other work is in the figures, so only what differs by
 * much means anything.
 *
 * Prints one JSON record a line. `bench_policy NAME` does one policy alone, for a profiler.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <port.h>

#include "mm/address.h"
#include "mm/global/bits.h"
#include "mm/global/policies.h"
#include "tests/smp/random.h"

#define FIRST	  UINT64_C(0x80200)
#define FRAMES	  UINT64_C(32768)
#define SECTIONS  301
#define BATCHES	  128 /* in a section: a quarter of the zone, or half of what half of it is */
#define BATCH_MIN 64
#define BATCH_MAX 127
#define SINGLES	  4096

char *host_memory;
uint64_t host_memory_base;

_Noreturn void port_panic(const char *format, ...)
{
	va_list arguments;

	fputs("bench_policy: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

struct batch {
	unsigned count;
	struct frame_word words[POLICY_WORDS_MAX];
};

struct bench {
	const struct policy *policy;
	void *memory, *instance;
	uint64_t random;
	struct batch batch[FRAMES / BATCH_MIN + 1];
	uint64_t single[SINGLES];
};

static struct bench bench;

/* ---- the contract, as a zone calls it ---------------------------------------------------- */

static unsigned claim(struct batch *batch, unsigned min, unsigned max)
{
	struct policy_plan plan = {.words = 0};
	unsigned taken;

	plan.ordinary = false;
	if (bench.policy->plan_claim && max >= min + FRAMES_PER_WORD - 1)
		bench.policy->plan_claim(bench.instance, min, batch->words, &plan);
	batch->count = bench.policy->claim(bench.instance, min, max, &plan, batch->words, &taken);
	return taken;
}

static void release(const struct batch *batch)
{
	struct policy_plan plan;

	plan.ordinary = false;
	if (bench.policy->plan_release && batch->count > 1)
		bench.policy->plan_release(bench.instance, batch->words, batch->count, &plan);
	bench.policy->release(bench.instance, &plan, batch->words, batch->count);
}

/* ---- zones ------------------------------------------------------------------------------- */

static void start(const struct policy *policy)
{
	size_t bytes = policy->metadata_bytes(FIRST, FRAMES);

	bench.policy = policy;
	bench.memory = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	memset(bench.memory, 0xa5, bytes);
	bench.random = 0x68617274;
	bench.instance = policy->init(bench.memory, FIRST, FRAMES);
	policy->release_run(bench.instance, FIRST, FRAMES);
	printf("{\"record\":\"bench\",\"name\":\"host_policy_metadata\",\"policy\":\"%s\","
	       "\"value\":%zu,\"unit\":\"bytes\"}\n",
	       policy->name, bytes);
}

/* All is claimed, and of each word some bits come back; words in random order. */
static void fill_half(void)
{
	static struct frame_word words[FRAMES / FRAMES_PER_WORD];
	unsigned count = 0;
	struct batch batch;

	while (claim(&batch, BATCH_MIN, BATCH_MAX))
		;
	for (uint64_t frame = FIRST; frame < FIRST + FRAMES; frame += FRAMES_PER_WORD)
		words[count++] = (struct frame_word){frame, random_next(&bench.random)};
	for (unsigned left = count; left > 0; left--) {
		unsigned at = (unsigned)random_below(&bench.random, left);

		batch.count = 1;
		batch.words[0] = words[at];
		words[at] = words[left - 1];
		release(&batch);
	}
}

/* ---- sections ---------------------------------------------------------------------------- */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

struct figure {
	double ns[SECTIONS];
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_figure(const char *name, const char *state, struct figure *figure)
{
	qsort(figure->ns, SECTIONS, sizeof(figure->ns[0]), compare);
	printf("{\"record\":\"bench\",\"name\":\"host_policy_%s\",\"policy\":\"%s\","
	       "\"zone\":\"%s\",\"value\":%.1f,\"min\":%.1f,\"unit\":\"ns\"}\n",
	       name, bench.policy->name, state, figure->ns[SECTIONS / 2], figure->ns[0]);
}

static void measure_batches(const char *state)
{
	static struct figure claims, releases;

	for (unsigned section = 0; section < SECTIONS; section++) {
		uint64_t begin = now(), middle;

		for (unsigned i = 0; i < BATCHES; i++)
			claim(&bench.batch[i], BATCH_MIN, BATCH_MAX);
		middle = now();
		for (unsigned i = BATCHES; i-- > 0;)
			release(&bench.batch[i]);
		releases.ns[section] = (double)(now() - middle) / BATCHES;
		claims.ns[section] = (double)(middle - begin) / BATCHES;
	}
	print_figure("batch_claim", state, &claims);
	print_figure("batch_release", state, &releases);
}

/* They come back in another order than they went. */
static void measure_singles(const char *state)
{
	static struct figure claims, releases;

	for (unsigned section = 0; section < SECTIONS; section++) {
		struct batch batch;
		uint64_t begin = now(), middle;

		for (unsigned i = 0; i < SINGLES; i++) {
			claim(&batch, 1, 1);
			bench.single[i] = batch.words[0].first + bits_lowest(batch.words[0].bits);
		}
		middle = now();
		batch.count = 1;
		for (unsigned i = 0; i < SINGLES; i++) {
			uint64_t frame = bench.single[(i * 1009) % SINGLES];

			batch.words[0].first = frame & ~(uint64_t)(FRAMES_PER_WORD - 1);
			batch.words[0].bits = UINT64_C(1) << frame % FRAMES_PER_WORD;
			release(&batch);
		}
		releases.ns[section] = (double)(now() - middle) / SINGLES;
		claims.ns[section] = (double)(middle - begin) / SINGLES;
	}
	print_figure("single_claim", state, &claims);
	print_figure("single_release", state, &releases);
}

static void bench_one(const struct policy *policy)
{
	start(policy);
	measure_batches("free");
	measure_singles("free");
	fill_half();
	measure_batches("half");
	measure_singles("half");
	free(bench.memory);
}

int main(int argc, char **argv)
{
	const struct policy *only = argc == 2 ? policy_named(argv[1]) : NULL;

	if (argc > 2 || (argc == 2 && !only)) {
		fprintf(stderr, "usage: %s [POLICY]\n", argv[0]);
		return 2;
	}
	host_memory_base = FIRST << FRAME_SHIFT;
	host_memory = mmap(NULL, FRAMES << FRAME_SHIFT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host_memory == MAP_FAILED)
		port_panic("no memory");
	for (unsigned i = 0; i < policy_count; i++)
		if (!only || policies[i] == only)
			bench_one(policies[i]);
	return 0;
}
