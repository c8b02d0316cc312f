/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.c - keeps and prints the trace; see trace.h.
 *
 * `rings` and `is_written` are written by cpu 0, at boot and at rest. Each ring is written by its
 * own cpu (trace_ring.h).
 */
#include "kernel/diag/trace.h"

#include <stdio.h>
#include <string.h>

#include <port.h>

#include "kernel/smp/cpu.h"
#include "kernel/boot/early.h"
#include "kernel/boot/memory.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "kernel/diag/trace_ring.h"
#include "mm/address.h"
#include "sync/lock_owners.h"

/* The characters in a block's data, so that a line has a length that any program can read. */
#define BLOCK_CHARS 4096

static struct trace_ring *rings; /* one for each cpu; NULL: trace=off */
static bool is_written;

bool trace_is_kept(void)
{
	return rings != NULL;
}

void trace_reserve(void)
{
	unsigned cpus = port_cpu_count();
	uint64_t records = trace_ring_records(memory_ram_frames() * FRAME_SIZE, cpus);

	if (settings.arguments.trace != BOOTARGS_TRACE_ON)
		return;
	rings = early_alloc(cpus * sizeof(*rings), 64);
	for (unsigned i = 0; i < cpus; i++) {
		size_t bytes = records * sizeof(struct trace_record);

		trace_ring_init(&rings[i], early_alloc(bytes, 64), records);
		cpu_of(i)->arch.trace = &rings[i];
	}
}

void trace_set_activity(const char *name)
{
	trace_note(TRACE_DOING, trace_name(name), strlen(name) > 8 ? trace_name(name + 8) : 0);
}

uint64_t trace_counted(unsigned cpu, enum trace_event event)
{
	return rings ? counter_read(&rings[cpu].counts[event]) : 0;
}

/* ---- records --------------------------------------------------------------------------------- */

static void end_own(void *unused)
{
	(void)unused;
	arch_cpu_self()->trace = NULL;
}

static void begin_own(void *unused)
{
	(void)unused;
	arch_cpu_self()->trace = &rings[port_cpu()];
}

bool trace_switch(bool on)
{
	if (!rings || is_written)
		return false;
	cpus_run(on ? begin_own : end_own, NULL, settings.cpus);
	return true;
}

/* After this no cpu writes events; cpus_run() orders their writes before what follows. */
static void end_all(void)
{
	unsigned running = 0;

	while (running < settings.cpus &&
	       (!cpu_is_stopped(running) || cpu_start(running) == CPU_DONE))
		running++;
	cpus_run(end_own, NULL, running);
}

static void write_events(void)
{
	record_begin("trace_events");
	record_number("ticks_hz", settings.timebase);
	record_number("clock_hz", settings.clock_hertz);
	printf(",\"names\":[");
	for (unsigned event = 1; event < TRACE_EVENTS; event++) {
		const struct trace_event_names *names = &trace_event_names[event];

		printf("%s\"%s %s %s %s %s\"", event > 1 ? "," : "", names->event, names->a,
		       names->b, names->c, names->d);
	}
	printf("]");
	record_end();
}

/* Writes as many events as fit a block, from `number` on; returns the number of the next one. */
static uint64_t write_block(unsigned cpu, uint64_t number, uint64_t count)
{
	static char data[BLOCK_CHARS + 1];
	struct trace_text before = {0};
	uint64_t first = number, ticks = 0;
	struct trace_record record;
	char *end = data;

	while (number < count && data + BLOCK_CHARS - end >= TRACE_RECORD_CHARS &&
	       trace_ring_read(&rings[cpu], number, &record)) {
		if (number == first)
			ticks = before.ticks = record.ticks;
		end = trace_put_record(end, &record, &before);
		number++;
	}
	*end = '\0';
	record_begin("trace_block");
	record_number("cpu", cpu);
	record_number("first", first);
	record_number("count", number - first);
	record_number("ticks", ticks);
	record_string("data", data);
	record_end();
	return number;
}

static void write_cpu(unsigned cpu)
{
	const struct trace_ring *ring = &rings[cpu];
	uint64_t count = trace_ring_count(ring), number = trace_ring_lost(ring);

	record_begin("trace");
	record_number("cpu", cpu);
	record_number("count", count);
	record_number("lost", number);
	record_numbers("counts", &ring->counts[1], TRACE_EVENTS - 1);
	record_end();
	while (number < count) {
		uint64_t next = write_block(cpu, number, count);

		/* An incomplete event, whose writer never finished: skip it. */
		number = next == number ? number + 1 : next;
	}
}

void trace_write(void)
{
	if (!rings || is_written)
		return;
	end_all();
	write_events();
	for (unsigned i = 0; i < settings.cpus; i++)
		write_cpu(i);
	is_written = true;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_packed(uint64_t packed)
{
	for (; packed; packed >>= 8)
		putchar((packed & 0xff) >= ' ' && (packed & 0xff) <= '~' ? (int)(packed & 0xff)
									 : '?');
}

static void print_argument(const char *name, uint64_t value)
{
	if (name[0] != '-')
		printf(", %s %lld", name, (long long)value);
}

/* In tenths of a microsecond, the resolution of the clock. */
static void print_ticks(uint64_t ticks)
{
	uint64_t tenths = ticks * 10000000 / settings.timebase;

	printf("%llu.%llu us", (unsigned long long)(tenths / 10), (unsigned long long)(tenths % 10));
}

/* Of the lock that was waited for. The addresses end the line: the launcher adds their functions. */
static void print_places(const struct trace_record *record)
{
	struct lock_owner holder = lock_owner_unpack(record->c);

	if (record->d)
		printf(" at [<%#llx>]", (unsigned long long)record->d);
	if (record->c)
		printf(", held by cpu %u at [<%#llx>]", holder.cpu, (unsigned long long)holder.site);
}

/*
 * Both words are one name; or the first is the name of a lock and the second its wait. That wait is
 * shorter than the event, which ends when the lock is released.
 */
static void print_named(const struct trace_record *record, bool is_wait)
{
	putchar(' ');
	print_packed(record->a);
	if (is_wait) {
		printf(", waited ");
		print_ticks(record->b * settings.timebase / settings.clock_hertz);
		print_places(record);
	} else {
		print_packed(record->b);
	}
}

static void print_record(const struct trace_record *record, uint64_t now)
{
	enum trace_event event = trace_record_event(record);
	const struct trace_event_names *names = &trace_event_names[event];

	printf("    ");
	print_ticks(now > record->ticks ? now - record->ticks : 0);
	printf(" ago: %s", names->event);
	if (event == TRACE_LOCK_WAIT || event == TRACE_DOING) {
		print_named(record, event == TRACE_LOCK_WAIT);
	} else {
		print_argument(names->a, record->a);
		print_argument(names->b, record->b);
		if (record->length) {
			printf(", took ");
			print_ticks(record->length);
		}
	}
	printf("\n");
}

void trace_print_last(unsigned cpu, unsigned most)
{
	uint64_t now = port_trace_time(), count, number;
	const struct trace_ring *ring;

	if (!rings)
		return;
	ring = &rings[cpu];
	count = trace_ring_count(ring);
	number = trace_ring_lost(ring);
	if (count - number > most)
		number = count - most;
	printf("trace of cpu %u, %llu events, the last:\n", cpu, (unsigned long long)count);
	for (; number < count; number++) {
		struct trace_record record;

		if (trace_ring_read(ring, number, &record))
			print_record(&record, now);
		else
			printf("    (being written)\n");
	}
}
