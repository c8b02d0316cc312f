/* SPDX-License-Identifier: BSD-2-Clause */
/* port.c - see port.h and host.h. */
#define _GNU_SOURCE
#include <port.h>

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/segment_tree.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "mm/percpu/drain_test.h"

_Thread_local struct host_cpu *host_self;
_Thread_local void (*host_on_relax)(void);
struct host_cpu *host_cpus;
unsigned host_cpu_count;
uint64_t host_memory_base;
char *host_memory;
void (*host_trace)(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

static size_t memory_bytes;
static void **cache_memory;

_Static_assert(sizeof(struct frame_cache) <= sizeof(((struct host_cpu *)0)->area),
	       "area too small");

/* Where a unit test listens; a program without one dies here. */
__attribute__((weak)) _Noreturn void unit_panicked(const char *message)
{
	fprintf(stderr, "panic on cpu %u: %s\n", host_self ? host_self->number : 0, message);
	abort();
}

void port_panic(const char *format, ...)
{
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	unit_panicked(message);
}

void host_take_ipi(struct host_cpu *cpu)
{
	struct host_cpu *interrupted = host_self;
	bool masked = cpu->masked;

	host_self = cpu;
	__atomic_exchange_n(&cpu->ipi_pending, 0, __ATOMIC_ACQUIRE); /* then see what it was for */
	cpu->in_trap = cpu->masked = true;
	while (frame_drain_answer())
		;
	cpu->in_trap = false;
	cpu->masked = masked;
	host_self = interrupted;
}

/* A cpu that does not run is at rest between two operations: the test runs all cpus in turn. */
uint64_t host_ipi_calls, host_ipi_calls_masked, host_ipi_cpus;

void port_ipi_send(unsigned first, uint64_t set)
{
	__atomic_fetch_add(&host_ipi_calls, 1, __ATOMIC_RELAXED);
	if (host_self->masked)
		__atomic_fetch_add(&host_ipi_calls_masked, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&host_ipi_cpus, (uint64_t)__builtin_popcountll(set), __ATOMIC_RELAXED);
	for (; set; set &= set - 1) {
		struct host_cpu *ipi_pending = &host_cpus[first + (unsigned)__builtin_ctzll(set)];

		if (ipi_pending->running)
			__atomic_store_n(&ipi_pending->ipi_pending, 1, __ATOMIC_RELEASE);
		else
			host_take_ipi(ipi_pending);
	}
}

void port_relax(void)
{
	if (host_on_relax)
		host_on_relax();
	if (host_self && host_ipi_is_due(host_self))
		host_take_ipi(host_self);
	sched_yield();
}

static void *allocate(size_t bytes)
{
	void *memory = aligned_alloc(PORT_CACHE_LINE, (bytes + PORT_CACHE_LINE - 1) &
							      ~(size_t)(PORT_CACHE_LINE - 1));

	if (!memory)
		abort();
	memset(memory, 0, bytes);
	return memory;
}

static void start_cpus(const struct host_machine *machine)
{
	host_cpu_count = machine->cpus ? machine->cpus : 1;
	host_cpus = allocate(host_cpu_count * sizeof(*host_cpus));
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		host_cpus[cpu].number = cpu;
	host_self = &host_cpus[0];
}

/*
 * No memory is zero when a machine starts, as after a warm reset. Pages of one file with a pattern are
 * mapped over and over, so a page of memory is copied when it is first written, and terabytes cost
 * nothing. Only the first DIRTY_PIECES * PIECE_BYTES_MAX of the memory are dirty: the kernel limits the
 * number of mappings.
 */
#define DIRT		0xa5
#define DIRTY_PIECES	4096
#define PIECE_BYTES_MIN ((size_t)2 << 20)
#define PIECE_BYTES_MAX ((size_t)64 << 20)

static int dirt_file;
static size_t piece_bytes;

static void make_dirt(size_t bytes)
{
	static char dirt[1 << 16];

	if (piece_bytes)
		close(dirt_file);
	piece_bytes = bytes;
	dirt_file = memfd_create("dirt", 0);
	memset(dirt, DIRT, sizeof(dirt));
	for (size_t written = 0; written < bytes; written += sizeof(dirt))
		if (write(dirt_file, dirt, sizeof(dirt)) != sizeof(dirt)) {
			perror("dirty host memory");
			exit(2);
		}
}

static void dirty_memory(void)
{
	size_t wanted = PIECE_BYTES_MIN;

	while (wanted < PIECE_BYTES_MAX && memory_bytes / wanted > DIRTY_PIECES)
		wanted *= 2;
	if (piece_bytes < wanted)
		make_dirt(wanted);
	for (size_t at = 0, i = 0; at < memory_bytes && i < DIRTY_PIECES; at += piece_bytes, i++) {
		size_t rest = memory_bytes - at;

		if (mmap(host_memory + at, rest < piece_bytes ? rest : piece_bytes,
			 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, dirt_file,
			 0) == MAP_FAILED) {
			perror("dirty host memory");
			exit(2);
		}
	}
}

static void start_memory(const struct host_range *ranges, unsigned count)
{
	const struct host_range *last = &ranges[count - 1];

	host_memory_base = ranges[0].first << FRAME_SHIFT;
	memory_bytes = (last->first + last->count - ranges[0].first) << FRAME_SHIFT;
	host_memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (host_memory == MAP_FAILED) {
		perror("host memory");
		exit(2);
	}
	dirty_memory();
}

static void start_caches(const struct host_machine *machine)
{
	uint32_t slots = machine->capacity ? machine->capacity : 1;

	cache_memory = allocate(host_cpu_count * sizeof(*cache_memory));
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		cache_memory[cpu] = allocate(frame_cache_bytes(slots, zones.count));
		frame_cache_init(port_area_of(cpu), cache_memory[cpu], slots, zone_largest());
		host_self = &host_cpus[cpu];
		frame_cache_configure(machine->capacity, machine->batch);
	}
	host_self = &host_cpus[0];
}

/*
 * Counters wrap at another moment of each machine: soon, or after hundreds of steps. Not by the test's random
 * numbers, which stay as they are.
 */
static void start_counters(void)
{
#if COUNTERS_NEAR_WRAP
	static uint32_t machines;
	uint32_t mixed = ++machines * UINT32_C(2654435761) >> 16;

	counters_left = 1 + (mixed & ((1u << (mixed >> 8) % 11) - 1));
	frame_drain_start_counters();
#endif
}

void host_machine_start(const struct host_machine *machine, const struct host_range *ranges,
			unsigned count)
{
	const struct policy *policy = machine->policy ? machine->policy : &segment_tree_policy;

	start_counters();
	start_cpus(machine);
	start_memory(ranges, count);
	zones.zone = allocate(count * sizeof(*zones.zone));
	zones.count = 0;
	for (unsigned i = 0; i < count; i++)
		zones.count += zone_init(&zones.zone[zones.count], zones.count, ranges[i].node,
					 ranges[i].first, ranges[i].count, policy, machine->lock);
	start_caches(machine);
}

void host_machine_end(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		free(cache_memory[cpu]);
	free(cache_memory);
	free(zones.zone);
	free(host_cpus);
	munmap(host_memory, memory_bytes);
	zones = (struct zones){0};
	host_cpus = NULL;
	host_self = NULL;
}

void host_memory_start(uint64_t bytes, unsigned cpus)
{
	struct host_machine machine = {.cpus = cpus, .capacity = 192, .batch = 64};
	struct host_range range = {0x80200, bytes >> FRAME_SHIFT, 0};

	host_machine_start(&machine, &range, 1);
}

void host_memory_end(void)
{
	host_machine_end();
}

struct host_work {
	void (*work)(void *argument);
	void *argument;
	struct host_cpu *cpu;
	unsigned *finished; /* cpus */
};

/* A cpu that has done its work still answers, until no other cpu can ask. */
static void work_and_answer(const struct host_work *work)
{
	work->work(work->argument);
	__atomic_fetch_add(work->finished, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(work->finished, __ATOMIC_ACQUIRE) < host_cpu_count)
		port_relax();
	port_relax(); /* what was asked before the last cpu finished */
}

static void *run_cpu(void *argument)
{
	struct host_work *work = argument;

	host_self = work->cpu;
	work_and_answer(work);
	return NULL;
}

/*
 * Each cpu is pinned to a core if there are enough cores. Otherwise the scheduler decides: two cpus
 * pinned to the same core would only delay each other. Programs that run side by side do not all
 * begin at the same core.
 */
static bool has_cores(const cpu_set_t *allowed)
{
	return host_cpu_count <= (unsigned)CPU_COUNT(allowed);
}

static void pin(pthread_t thread, unsigned cpu, const cpu_set_t *allowed)
{
	unsigned nth = ((unsigned)getpid() + cpu) % (unsigned)CPU_COUNT(allowed);
	cpu_set_t one;
	int core = 0;

	while (!CPU_ISSET(core, allowed) || nth--)
		core++;
	CPU_ZERO(&one);
	CPU_SET(core, &one);
	pthread_setaffinity_np(thread, sizeof(one), &one);
}

void host_run(void (*work)(void *argument), void *argument)
{
	struct host_work *works = allocate(host_cpu_count * sizeof(*works));
	pthread_t *threads = allocate(host_cpu_count * sizeof(*threads));
	cpu_set_t allowed;
	bool pinned = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 && has_cores(&allowed);
	unsigned finished = 0;

	threads[0] = pthread_self();
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		works[cpu] = (struct host_work){work, argument, &host_cpus[cpu], &finished};
		host_cpus[cpu].running = true;
	}
	for (unsigned cpu = 1; cpu < host_cpu_count; cpu++) {
		if (pthread_create(&threads[cpu], NULL, run_cpu, &works[cpu]))
			abort();
	}
	for (unsigned cpu = 0; cpu < host_cpu_count && pinned; cpu++)
		pin(threads[cpu], cpu, &allowed);
	work_and_answer(&works[0]);
	for (unsigned cpu = 1; cpu < host_cpu_count; cpu++)
		pthread_join(threads[cpu], NULL);
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		host_cpus[cpu].running = false;
	if (pinned)
		pthread_setaffinity_np(threads[0], sizeof(allowed), &allowed);
	free(threads);
	free(works);
}
