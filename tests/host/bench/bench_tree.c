/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_tree.c - what the segment tree costs on this host: one thread, no lock, no caches.
 *
 * The policy is called through its contract, as a zone would. Only metadata is mapped: no policy
 * call touches a frame, so a zone of 1 TiB needs 37 MiB. The metadata asks for huge pages: at
 * 1 TiB a random free would otherwise measure misses of the host's TLB. The kernel has none: its
 * memory is mapped by gigabytes or not at all.
 *
 * A figure is a median of medians. One *section* of code is timed as a whole, long enough for
 * the clock and short enough that the host rarely takes the processor away in it; a repetition
 * is the median of some sections; the figure is the median of some repetitions, printed with the
 * least and the greatest of them, and valid where these are close. Changes that a section made are
 * undone outside of its time.
 *
 * Prints one JSON record a line; exits 1 when an answer was wrong. `--quick`: fewer repetitions.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <port.h>

#include "mm/global/segment_tree.h"
#include "tests/smp/random.h"

#define FRAME_BYTES  UINT64_C(4096)
#define FIRST_PFN    UINT64_C(0x80000) /* where RAM begins on `virt` */
#define CHUNK_FRAMES 512
#define HUGE_PAGE    ((size_t)2 << 20)
#define SEED	     UINT64_C(0x68617274) /* the same zones in every run */

/* Per section, at every zone size, so that sizes differ by their trees alone. */
#define SINGLES	  4096 /* a quarter of what 128 MiB half full has free */
#define BATCHES	  128  /* about 80 frames each when half full */
#define BATCH_MIN 64
#define BATCH_MAX 127
#define FREES_MAX 65536
#define RUNS_MAX  4096
#define FAILURES  16384

/* Repetitions further apart than this were not alone on their core, or not at one clock. */
#define SPREAD_MAX 1.25

#define REPETITIONS_MAX 7
#define SECTIONS_MAX	31

static const struct policy *const policy = &segment_tree_policy;
static const struct policy_plan no_plan;

/*
 * As a zone does: the plan is made before the lock is taken, so no waiter waits for it, but it
 * costs time too.
 */
static inline void release(void *tree, const struct frame_word *words, unsigned count)
{
	struct policy_plan plan;

	plan.ordinary = false;
	if (count > 1)
		policy->plan_release(tree, words, count, &plan);
	policy->release(tree, &plan, words, count);
}
static unsigned repetitions = REPETITIONS_MAX;
static unsigned sections = SECTIONS_MAX;

_Noreturn void port_panic(const char *format, ...)
{
	va_list arguments;

	fputs("bench_tree: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

#define expect(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			port_panic("line %d: not true: %s", __LINE__, #condition);                 \
	} while (0)

/* ---- zones ------------------------------------------------------------------------------- */

struct zone {
	uint64_t bytes, count;
	size_t metadata_bytes;
	void *memory, *saved;
	void *tree;
	uint64_t *free; /* a bit for each frame: those that fill_half() freed */
	uint64_t random;
};

static void *map(size_t bytes)
{
	size_t whole = bytes + HUGE_PAGE;
	char *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		port_panic("no %zu bytes of memory", whole);
	memory += HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE;
	madvise(memory, bytes, MADV_HUGEPAGE); /* a host without them is slower, not wrong */
	return memory;
}

/* Never unmapped: the program ends after its last zone. */
static void zone_map(struct zone *zone, uint64_t bytes)
{
	zone->bytes = bytes;
	zone->count = bytes / FRAME_BYTES;
	zone->metadata_bytes = policy->metadata_bytes(FIRST_PFN, zone->count);
	zone->memory = map(zone->metadata_bytes);
	zone->saved = map(zone->metadata_bytes);
	zone->free = map(zone->count / 8);
	zone->random = SEED;
}

static void zone_fill_all(struct zone *zone)
{
	zone->tree = policy->init(zone->memory, FIRST_PFN, zone->count);
	policy->release_run(zone->tree, FIRST_PFN, zone->count);
}

/* Each frame is free or not, by a coin. */
static void zone_fill_half(struct zone *zone)
{
	zone->tree = policy->init(zone->memory, FIRST_PFN, zone->count);
	for (uint64_t i = 0; i < zone->count / 64; i++) {
		struct frame_word word = {FIRST_PFN + i * 64, random_next(&zone->random)};

		zone->free[i] = word.bits;
		release(zone->tree, &word, 1);
	}
}

/* A policy's instance is plain data in its own memory: a copy put back is the same instance. */
static void zone_save(struct zone *zone)
{
	memcpy(zone->saved, zone->memory, zone->metadata_bytes);
}

static void zone_restore(struct zone *zone)
{
	memcpy(zone->memory, zone->saved, zone->metadata_bytes);
}

/* ---- figures ----------------------------------------------------------------------------- */

struct figure {
	double median, min, max;
};

/* Times one section of itself; ns for each of what it counts. */
typedef double section_fn(struct zone *zone);

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

static struct figure measure(struct zone *zone, section_fn *section, unsigned count)
{
	double medians[REPETITIONS_MAX], values[SECTIONS_MAX];
	struct figure figure;

	section(zone); /* caches and page tables */
	for (unsigned i = 0; i < repetitions; i++) {
		for (unsigned j = 0; j < count; j++)
			values[j] = section(zone);
		medians[i] = median(values, count);
	}
	figure.median = median(medians, repetitions);
	figure.min = medians[0];
	figure.max = medians[repetitions - 1];
	return figure;
}

static void print_figure(const struct zone *zone, const char *name, struct figure figure)
{
	bool valid = figure.max <= figure.min * SPREAD_MAX;

	printf("{\"record\":\"bench\",\"bench\":\"%s\",\"zone_bytes\":%llu,\"value\":%.2f,"
	       "\"min\":%.2f,\"max\":%.2f,\"unit\":\"ns\",\"valid\":%s}\n",
	       name, (unsigned long long)zone->bytes, figure.median, figure.min, figure.max,
	       valid ? "true" : "false");
	fflush(stdout);
}

static void print_metadata(const struct zone *zone)
{
	printf("{\"record\":\"bench\",\"bench\":\"host_metadata_bytes_per_frame\","
	       "\"zone_bytes\":%llu,\"value\":%.4f,\"unit\":\"bytes\"}\n",
	       (unsigned long long)zone->bytes, (double)zone->metadata_bytes / (double)zone->count);
}

/* ---- single frames ----------------------------------------------------------------------- */

static double section_single(struct zone *zone, bool time_the_release)
{
	static struct frame_word words[SINGLES + POLICY_WORDS_MAX];
	unsigned taken, total = 0;
	uint64_t start = now_ns(), middle, end;

	for (unsigned i = 0; i < SINGLES; i++) {
		policy->claim(zone->tree, 1, 1, &no_plan, &words[i], &taken);
		total += taken;
	}
	middle = now_ns();
	for (unsigned i = 0; i < SINGLES; i++)
		release(zone->tree, &words[i], 1);
	end = now_ns();
	expect(total == SINGLES);
	return (double)(time_the_release ? end - middle : middle - start) / SINGLES;
}

static double section_single_alloc(struct zone *zone)
{
	return section_single(zone, false);
}

static double section_single_release(struct zone *zone)
{
	return section_single(zone, true);
}

/* A claim and its release, for each frame. */
static double section_batch(struct zone *zone)
{
	static struct frame_word words[BATCHES][POLICY_WORDS_MAX];
	unsigned counts[BATCHES], taken, total = 0;
	uint64_t start = now_ns(), end;

	for (unsigned i = 0; i < BATCHES; i++) {
		struct policy_plan plan = {.words = 0};

		policy->plan_claim(zone->tree, BATCH_MIN, words[i], &plan);
		counts[i] = policy->claim(zone->tree, BATCH_MIN, BATCH_MAX, &plan, words[i], &taken);
		total += taken;
	}
	for (unsigned i = 0; i < BATCHES; i++)
		release(zone->tree, words[i], counts[i]);
	end = now_ns();
	expect(total >= BATCHES * BATCH_MIN);
	return (double)(end - start) / total;
}

/* ---- random frees ------------------------------------------------------------------------ */

static struct frame_word frees[FREES_MAX];
static unsigned free_count;

/* Allocated frames, all different and in random order, at most an eighth of the zone. */
static void choose_frees(struct zone *zone)
{
	free_count = zone->count / 8 < FREES_MAX ? (unsigned)(zone->count / 8) : FREES_MAX;
	for (unsigned i = 0; i < free_count;) {
		uint64_t index = random_below(&zone->random, zone->count);
		uint64_t bit = UINT64_C(1) << (index & 63);

		if (zone->free[index >> 6] & bit)
			continue;
		zone->free[index >> 6] |= bit;
		frees[i++] = (struct frame_word){FIRST_PFN + (index & ~UINT64_C(63)), bit};
	}
}

static double section_random_free(struct zone *zone)
{
	uint64_t start = now_ns(), end;

	for (unsigned i = 0; i < free_count; i++)
		release(zone->tree, &frees[i], 1);
	end = now_ns();
	zone_restore(zone);
	return (double)(end - start) / free_count;
}

/* ---- aligned runs ------------------------------------------------------------------------ */

static double section_run(struct zone *zone, bool time_the_release)
{
	static uint64_t runs[RUNS_MAX];
	uint64_t chunks = zone->count / CHUNK_FRAMES;
	unsigned count = chunks < RUNS_MAX ? (unsigned)chunks : RUNS_MAX, found = 0;
	uint64_t start = now_ns(), middle, end;

	for (unsigned i = 0; i < count; i++)
		found += policy->claim_run(zone->tree, CHUNK_FRAMES, CHUNK_FRAMES, 0, &runs[i]) ==
			 RUN_FOUND;
	middle = now_ns();
	expect(found == count);
	for (unsigned i = 0; i < count; i++)
		policy->release_run(zone->tree, runs[i], CHUNK_FRAMES);
	end = now_ns();
	return (double)(time_the_release ? end - middle : middle - start) / count;
}

static double section_run_claim(struct zone *zone)
{
	return section_run(zone, false);
}

static double section_run_release(struct zone *zone)
{
	return section_run(zone, true);
}

static double section_run_failure(struct zone *zone)
{
	unsigned none = 0;
	uint64_t first, start = now_ns(), end;

	for (unsigned i = 0; i < FAILURES; i++)
		none += policy->claim_run(zone->tree, CHUNK_FRAMES, CHUNK_FRAMES, 0, &first) ==
			RUN_NONE;
	end = now_ns();
	expect(none == FAILURES);
	return (double)(end - start) / FAILURES;
}

/* ---- the answers after random frees, against one byte a frame ---------------------------- */

#define ORACLE_FIRST  UINT64_C(0x80123) /* aligned to nothing */
#define ORACLE_FRAMES 8192

static uint8_t oracle[ORACLE_FRAMES]; /* 1: free */

static bool oracle_has(uint64_t count, uint64_t align)
{
	uint64_t at = ((ORACLE_FIRST + align - 1) & ~(align - 1)) - ORACLE_FIRST;

	for (; at + count <= ORACLE_FRAMES; at += align)
		if (!memchr(&oracle[at], 0, count))
			return true;
	return false;
}

/* One request, and the frames given back; says whether there were any. */
static bool ask(void *tree, uint64_t count, uint64_t align)
{
	uint64_t first;
	enum run_result result = policy->claim_run(tree, count, align, 0, &first);

	if ((result == RUN_FOUND) != oracle_has(count, align))
		port_panic("a run of %llu frames aligned to %llu: the tree says %s, which is wrong",
			   (unsigned long long)count, (unsigned long long)align,
			   result == RUN_FOUND ? "found" : "none");
	if (result != RUN_FOUND)
		return false;
	expect(first % align == 0);
	expect(first >= ORACLE_FIRST && first + count <= ORACLE_FIRST + ORACLE_FRAMES);
	expect(!memchr(&oracle[first - ORACLE_FIRST], 0, count));
	policy->release_run(tree, first, count);
	return true;
}

/*
 * From no frame free to nearly all, by random single frees; after every few of them, requests
 * around the size at which the answer turns from found to none.
 */
static void check_answers(void)
{
	void *tree = policy->init(map(policy->metadata_bytes(ORACLE_FIRST, ORACLE_FRAMES)),
				  ORACLE_FIRST, ORACLE_FRAMES);
	uint64_t random = SEED, size = 1;
	unsigned found = 0, none = 0;

	for (unsigned freed = 0; freed < ORACLE_FRAMES - 16;) {
		uint64_t index = random_below(&random, ORACLE_FRAMES), pfn = ORACLE_FIRST + index;
		struct frame_word word = {pfn & ~UINT64_C(63), UINT64_C(1) << (pfn & 63)};

		if (oracle[index])
			continue;
		oracle[index] = 1;
		release(tree, &word, 1);
		if (++freed % 8)
			continue;
		for (unsigned i = 0; i < 4; i++) {
			uint64_t align = UINT64_C(1) << random_below(
						 &random, 1 + 64 - (unsigned)__builtin_clzll(size));

			if (ask(tree, size, align)) {
				found++;
				size += 1 + size / 16;
			} else {
				none++;
				size -= size / 8;
			}
		}
	}
	expect(found > 100 && none > 100);
	expect(policy->validate(tree) == ORACLE_FRAMES - 16);
	printf("{\"record\":\"bench\",\"bench\":\"host_run_answers_checked\",\"zone_bytes\":%llu,"
	       "\"value\":%u,\"found\":%u,\"none\":%u,\"unit\":\"answers\"}\n",
	       (unsigned long long)(ORACLE_FRAMES * FRAME_BYTES), found + none, found, none);
}

/* ---- all of it --------------------------------------------------------------------------- */

static void bench_empty(struct zone *zone)
{
	zone_fill_all(zone);
	print_figure(zone, "host_batch_alloc_empty", measure(zone, section_batch, sections));
	print_figure(zone, "host_run_512", measure(zone, section_run_claim, sections));
	print_figure(zone, "host_run_512_release", measure(zone, section_run_release, sections));
}

static void bench_half(struct zone *zone)
{
	unsigned few = sections < 5 ? sections : 5; /* restoring a zone takes time */
	uint64_t first;

	zone_fill_half(zone);
	print_figure(zone, "host_single_alloc", measure(zone, section_single_alloc, sections));
	print_figure(zone, "host_single_release", measure(zone, section_single_release, sections));
	print_figure(zone, "host_batch_alloc_half", measure(zone, section_batch, sections));
	print_figure(zone, "host_run_512_failure", measure(zone, section_run_failure, sections));
	choose_frees(zone);
	zone_save(zone);
	print_figure(zone, "host_random_free", measure(zone, section_random_free, few));
	/* The same where a contiguous request has just repaired the whole run tree. */
	expect(policy->claim_run(zone->tree, CHUNK_FRAMES / 4, 1, 0, &first) == RUN_NONE);
	zone_save(zone);
	print_figure(zone, "host_random_free_repaired", measure(zone, section_random_free, few));
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = {UINT64_C(128) << 20, UINT64_C(16) << 30, UINT64_C(1) << 40};

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--quick"))) {
		fprintf(stderr, "usage: %s [--quick]\n", argv[0]);
		return 2;
	}
	if (argc == 2) {
		repetitions = 3;
		sections = 7;
	}
	check_answers();
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct zone zone;

		zone_map(&zone, sizes[i]);
		print_metadata(&zone);
		bench_empty(&zone);
		bench_half(&zone);
	}
	return 0;
}
