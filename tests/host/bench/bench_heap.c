/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_heap.c - one trace (heap_traces.h) on one heap, in one process. tools/bench_heap.py starts
 * it for each heap and each trace in turn, and compares.
 *
 *	bench_heap HEAP TRACE OPERATIONS THREADS [turns]
 *	bench_heap HEAP memory BYTES THREADS
 *
 *	kmalloc	this project's heap on the port of the host tests: a thread is a cpu
 *	libc	malloc of this process: the C library's, or that of a library in LD_PRELOAD
 *	none	one block, always the same: what the trace itself costs
 *
 * All memory of this program but the heap's is static, or allocated before the trace begins. All
 * heaps run in a process in which the port's machine exists.
 *
 * Times. A trace on one thread is divided into sections (in turns there is one only). The time of an operation is the median of
 * theirs, in processor time of the thread, so the host's other work is not in it. A parallel trace
 * is timed as a whole, from the first thread that begins to the last that ends; `core_share` is the
 * part of that time in which its threads had a core. Instructions are
 * those of the process in user mode from the trace's begin to its end, where perf_event_open()
 * has a counter; otherwise the caller counts them from outside.
 *
 * Memory. `bytes_taken` is what the heap has taken from the system: for kmalloc the frames that are
 * allocated, for others what has become resident. Huge pages are off: they would be resident
 * memory that no heap has asked for.
 *
 * Prints one JSON record; exits 1 if a block was wrong, 2 if it cannot run.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <port.h>

#include "heap_traces.h"
#include "host.h"
#include "mm/frame.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"

#define MACHINE_BYTES ((uint64_t)1 << 30) /* only what is used becomes resident */
#define SECTIONS      21
#define REFILLS	      4

/* As the kernel's lock= by default. */
#define LOCK SPIN_FAS

_Noreturn void heap_traces_fail(const char *why)
{
	fprintf(stderr, "bench_heap: %s\n", why);
	exit(1);
}

static _Noreturn void cannot_run(const char *why)
{
	fprintf(stderr, "bench_heap: %s\n", why);
	exit(2);
}

/* ---- the heaps ----------------------------------------------------------------------------- */

static uint64_t the_block[8192 + 64];

static void *none_allocate(size_t size)
{
	(void)size;
	return the_block;
}

static void none_release(void *block)
{
	(void)block;
}

static void *none_resize(void *block, size_t size)
{
	(void)size;
	return block;
}

static const struct heap {
	const char *name;
	struct heap_calls calls;
} heaps[] = {
	{"kmalloc", {kmalloc, kfree, krealloc}},
	{"libc", {malloc, free, realloc}},
	{"none", {none_allocate, none_release, none_resize}},
};

static const struct heap *heap_named(const char *name)
{
	for (unsigned i = 0; i < sizeof(heaps) / sizeof(heaps[0]); i++)
		if (!strcmp(heaps[i].name, name))
			return &heaps[i];
	cannot_run("no heap of this name");
}

/* The file that malloc comes from: whether LD_PRELOAD was of use. */
static const char *provider(const struct heap *heap)
{
	Dl_info found;
	void *address = dlsym(RTLD_DEFAULT, "malloc");

	if (strcmp(heap->name, "libc") || !address || !dladdr(address, &found))
		return "";
	return found.dli_fname;
}

static void start_machine(unsigned cpus)
{
	struct host_machine machine = {.cpus = cpus, .lock = LOCK, .capacity = 192, .batch = 64};
	struct host_range range = {0x80200, MACHINE_BYTES >> FRAME_SHIFT, 0};
	size_t bytes = (spin_bytes(cpus) + PORT_CACHE_LINE - 1) & ~(size_t)(PORT_CACHE_LINE - 1);
	void *front;

	host_machine_start(&machine, &range, 1);
	kheap_init(LOCK, aligned_alloc(PORT_CACHE_LINE, bytes));
	front = aligned_alloc(PORT_CACHE_LINE, kheap_front_bytes(range.count));
	kheap_front_start(front, range.first, range.count);
}

/* ---- instructions --------------------------------------------------------------------------- */

/* Of this process with threads that it will start; -1: the host does not count. */
static int counter_open(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 1,
		.inherit = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static void counter_start(int counter)
{
	if (counter >= 0)
		ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
}

/* 0: not counted. */
static uint64_t counter_stop(int counter)
{
	uint64_t count;

	if (counter < 0)
		return 0;
	ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
	return read(counter, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* ---- times ----------------------------------------------------------------------------------- */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

struct measured {
	uint64_t operations; /* of each thread */
	double ns;
	double core_share;
};

static uint64_t rounded_up(uint64_t operations, uint64_t step)
{
	return (operations + step - 1) / step * step;
}

static struct measured measure_alone(const struct heap_trace *trace, const struct heap_calls *heap,
				     uint64_t operations, unsigned sections)
{
	uint64_t each = rounded_up((operations + sections - 1) / sections, heap_trace_step(trace));
	double ns[SECTIONS];

	for (unsigned i = 0; i < sections; i++) {
		uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);

		trace->section(heap, each);
		ns[i] = (double)(now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / (double)each;
	}
	qsort(ns, sections, sizeof(ns[0]), compare);
	return (struct measured){each * sections, ns[sections / 2], 1};
}

static struct parallel {
	const struct heap_trace *trace;
	const struct heap_calls *heap;
	uint64_t operations;
	pthread_barrier_t start;
	struct {
		_Alignas(128) uint64_t start_ns, end_ns, core_ns;
	} thread[HEAP_THREADS_MAX];
} parallel;

static void work_in_parallel(void *argument)
{
	unsigned number = port_cpu();
	uint64_t core_ns;

	(void)argument;
	pthread_barrier_wait(&parallel.start);
	core_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
	parallel.thread[number].start_ns = now_ns(CLOCK_MONOTONIC);
	parallel.trace->work(parallel.heap, number, parallel.operations);
	parallel.thread[number].end_ns = now_ns(CLOCK_MONOTONIC);
	parallel.thread[number].core_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - core_ns;
}

static struct measured measure_parallel(const struct heap_trace *trace,
					const struct heap_calls *heap, uint64_t operations,
					unsigned threads)
{
	uint64_t first = UINT64_MAX, last = 0, all_ns = 0, core_ns = 0;

	parallel.trace = trace;
	parallel.heap = heap;
	parallel.operations = rounded_up(operations, heap_trace_step(trace));
	pthread_barrier_init(&parallel.start, NULL, threads);
	host_run(work_in_parallel, NULL);
	for (unsigned i = 0; i < threads; i++) {
		first = parallel.thread[i].start_ns < first ? parallel.thread[i].start_ns : first;
		last = parallel.thread[i].end_ns > last ? parallel.thread[i].end_ns : last;
		all_ns += parallel.thread[i].end_ns - parallel.thread[i].start_ns;
		core_ns += parallel.thread[i].core_ns;
	}
	return (struct measured){parallel.operations,
				 (double)(last - first) / (double)parallel.operations,
				 (double)core_ns / (double)all_ns};
}

/* ---- records ---------------------------------------------------------------------------------- */

static void print_head(const struct heap *heap, const char *trace, unsigned threads)
{
	printf("{\"record\":\"heap\",\"heap\":\"%s\",\"checks\":%d,\"provider\":\"%s\","
	       "\"trace\":\"%s\",\"threads\":%u",
	       heap->name, CHECKS, provider(heap), trace, threads);
}

static void run_trace(const struct heap *heap, const struct heap_trace *trace, uint64_t operations,
		      unsigned threads, bool in_turns)
{
	int counter = counter_open();
	struct measured measured;
	uint64_t instructions;

	if (trace->begin)
		trace->begin(&heap->calls);
	counter_start(counter);
	measured = trace->is_parallel ? measure_parallel(trace, &heap->calls, operations, threads)
				      : measure_alone(trace, &heap->calls, operations,
						      in_turns ? 1 : SECTIONS);
	instructions = counter_stop(counter);
	if (trace->end)
		trace->end(&heap->calls);
	print_head(heap, trace->name, trace->is_parallel ? threads : 1);
	printf(",\"operations\":%llu,\"ns\":%.3f,\"core_share\":%.3f,\"instructions\":%llu}\n",
	       (unsigned long long)measured.operations, measured.ns, measured.core_share,
	       (unsigned long long)instructions);
}

static uint64_t resident_bytes(void)
{
	char text[128] = "";
	unsigned long long total, resident;
	int file = open("/proc/self/statm", O_RDONLY);

	if (file < 0 || read(file, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%llu %llu", &total, &resident) != 2)
		cannot_run("/proc/self/statm says nothing");
	close(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t bytes_taken(const struct heap *heap)
{
	struct frame_ledger ledger;

	if (strcmp(heap->name, "kmalloc"))
		return resident_bytes();
	frame_ledger(&ledger);
	return ledger.allocated << FRAME_SHIFT;
}

static void run_memory(const struct heap *heap, uint64_t bytes, unsigned threads)
{
	uint64_t before = bytes_taken(heap), asked = heap_fill(&heap->calls, bytes);
	uint64_t taken = bytes_taken(heap) - before;
	uint64_t asked_then = heap_refill(&heap->calls, REFILLS);
	uint64_t taken_then = bytes_taken(heap) - before;

	print_head(heap, "memory", threads);
	printf(",\"bytes_asked\":%llu,\"bytes_taken\":%llu,\"refills\":%d,"
	       "\"refilled_asked\":%llu,\"refilled_taken\":%llu}\n",
	       (unsigned long long)asked, (unsigned long long)taken, REFILLS,
	       (unsigned long long)asked_then, (unsigned long long)taken_then);
}

static uint64_t number(const char *text, uint64_t most)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*end || !value || value > most)
		cannot_run("a number is none, or out of range");
	return value;
}

int main(int argc, char **argv)
{
	const struct heap *heap;
	unsigned threads;

	if (argc != 5 && !(argc == 6 && !strcmp(argv[5], "turns")))
		cannot_run("usage: bench_heap HEAP TRACE OPERATIONS THREADS [turns]");
	heap = heap_named(argv[1]);
	threads = (unsigned)number(argv[4], HEAP_THREADS_MAX);
	if (threads % 2)
		cannot_run("threads come in pairs");
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	start_machine(threads);
	heap_traces_prepare(threads, argc == 6);
	if (!strcmp(argv[2], "memory")) {
		run_memory(heap, number(argv[3], MACHINE_BYTES / 4), threads);
		return 0;
	}
	for (unsigned i = 0; i < heap_trace_count; i++) {
		if (!strcmp(heap_traces[i].name, argv[2])) {
			run_trace(heap, &heap_traces[i], number(argv[3], UINT32_MAX), threads,
				  argc == 6);
			return 0;
		}
	}
	cannot_run("no trace of this name");
}
