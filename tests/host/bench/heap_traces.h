/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap_traces.h - the requests that bench_heap.c makes of a heap. Each heap gets the same ones.
 *
 * The sizes and the order of the requests come from tables that are filled before anything is
 * measured, so a trace costs a few instructions a request. The first word of each block is written
 * when it is allocated and checked before it is freed: a block with two owners ends the program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_calls {
	void *(*allocate)(size_t size);
	void (*release)(void *block);
	void *(*resize)(void *block, size_t size);
};

#define HEAP_THREADS_MAX 16

/*
 * One trace. An operation is a block allocated and a block freed; of `realloc`, a call that makes
 * a block larger.
 */
struct heap_trace {
	const char *name;
	bool is_parallel;
	/* Not parallel: called for each section, which does `operations` of them. */
	void (*section)(const struct heap_calls *heap, uint64_t operations);
	/* Parallel: called on each thread, which does `operations`. */
	void (*work)(const struct heap_calls *heap, unsigned thread, uint64_t operations);
	/* Before and after, not measured; or NULL. */
	void (*begin)(const struct heap_calls *heap);
	void (*end)(const struct heap_calls *heap);
};

extern const struct heap_trace heap_traces[];
extern const unsigned heap_trace_count;

/*
 * How many threads a parallel trace has: an even number, 2 to HEAP_THREADS_MAX. In turns: one thread
 * works at a time, in the same order in every run, so that instructions can be counted: a thread
 * that waits executes none. Otherwise all work at once.
 */
void heap_traces_prepare(unsigned threads, bool in_turns);

/* Operations are rounded up to whole ones of this number. */
uint64_t heap_trace_step(const struct heap_trace *trace);

/* Blocks until `bytes` have been asked for, of the sizes of the memory row. Bytes asked for. */
uint64_t heap_fill(const struct heap_calls *heap, uint64_t bytes);
/* Replaces each of them `times` times, in random order, with blocks of other sizes; bytes asked for. */
uint64_t heap_refill(const struct heap_calls *heap, unsigned times);

/* Says why and ends the program. */
_Noreturn void heap_traces_fail(const char *why);
