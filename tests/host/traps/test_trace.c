/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_trace.c - the ring of a cpu's last events (kernel/diag/trace_ring.c), with handlers and
 * readers at every point of it, and whether what mm/ says of itself agrees with what it counts.
 *
 * Built as test_traps is: see tests/host/traps/traps.h for what a point is.
 *
 * Covers: kernel/diag/trace_ring.c
 */
#include <stdlib.h>
#include <string.h>

#include <port.h>

#include "host.h"
#include "kernel/diag/trace_ring.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "tests/host/traps/traps.h"
#include "unit.h"

#define RECORDS 8

static struct trace_record records[RECORDS];
static struct trace_ring ring;
static char story[160] = "nothing yet";

const char *traps_story(void)
{
	return story;
}

/* ---- the ring by itself ------------------------------------------------------------------- */

/* Its number in all it says, so that a record that is of two events shows. */
static void add_numbered(uint64_t number)
{
	trace_ring_add(&ring, TRACE_REFILL + number % (TRACE_EVENTS - 1), 0, number,
		       number * UINT64_C(0x9e3779b97f4a7c15), ~number, number << 32);
}

static void check_numbered(const struct trace_record *record, uint64_t number)
{
	CHECK_EQ(trace_record_event(record), TRACE_REFILL + number % (TRACE_EVENTS - 1));
	CHECK_EQ(record->a, number);
	CHECK_EQ(record->b, number * UINT64_C(0x9e3779b97f4a7c15));
	CHECK_EQ(record->c, ~number);
	CHECK_EQ(record->d, number << 32);
	CHECK_EQ(record->length, 0);
}

static void begin_ring(void)
{
	memset(records, 0, sizeof(records));
	trace_ring_init(&ring, records, RECORDS);
}

TEST(a_ring_takes_its_share_of_memory)
{
	const unsigned cpu_counts[] = {1, 2, 3, 4, 8, 64, 1000, 4096};

	for (uint64_t mib = 1; mib <= 1 << 20; mib *= 2) {
		for (unsigned i = 0; i < sizeof(cpu_counts) / sizeof(cpu_counts[0]); i++) {
			uint64_t cpus = cpu_counts[i], bytes = mib << 20;
			uint64_t each = trace_ring_records(bytes, cpu_counts[i]);

			CHECK(each >= 64 && (each & (each - 1)) == 0);
			if (each == 64)
				continue;
			CHECK(each * cpus * sizeof(struct trace_record) <= bytes / 64);
			CHECK(each * cpus <= 1 << 17);
			/* And not half of what it could be. */
			CHECK(2 * each * cpus * sizeof(struct trace_record) > bytes / 64 ||
			      2 * each * cpus > 1 << 17);
		}
	}
}

TEST(a_full_ring_says_what_it_has_lost)
{
	host_memory_start(1 << 20, 1);
	begin_ring();
	for (uint64_t number = 0; number < 3 * RECORDS + 3; number++) {
		struct trace_record record;

		CHECK_EQ(trace_ring_count(&ring), number);
		CHECK_EQ(trace_ring_lost(&ring), number > RECORDS ? number - RECORDS : 0);
		for (uint64_t i = trace_ring_lost(&ring); i < number; i++) {
			CHECK(trace_ring_read(&ring, i, &record));
			check_numbered(&record, i);
		}
		CHECK(!trace_ring_read(&ring, number, &record));
		if (trace_ring_lost(&ring))
			CHECK(!trace_ring_read(&ring, trace_ring_lost(&ring) - 1, &record));
		add_numbered(number);
	}
	host_memory_end();
}

TEST(every_kind_is_counted_lost_or_not)
{
	uint64_t expected[TRACE_EVENTS] = {0};

	host_memory_start(1 << 20, 1);
	begin_ring();
	for (unsigned i = 0; i < 1000; i++) {
		unsigned event = 1 + (unsigned)unit_random_below(TRACE_EVENTS - 1);

		expected[event]++;
		trace_ring_add(&ring, (enum trace_event)event, 0, 0, 0, 0, 0);
	}
	for (unsigned event = 0; event < TRACE_EVENTS; event++)
		CHECK_EQ(ring.counts[event], expected[event]);
	host_memory_end();
}

TEST(an_event_that_began_has_a_length)
{
	uint64_t begun = port_trace_time();
	struct trace_record record;

	host_memory_start(1 << 20, 1);
	begin_ring();
	while (port_trace_time() == begun)
		;
	trace_ring_add(&ring, TRACE_DRAIN, begun, 1, 0, 0, 0);
	CHECK(trace_ring_read(&ring, 0, &record));
	CHECK(record.length > 0 && record.ticks - record.length == begun);
	host_memory_end();
}

/* ---- handlers and readers at every point --------------------------------------------------- */

static unsigned handler_events;

static void add_in_handler(void)
{
	for (unsigned i = 0; i < handler_events; i++)
		add_numbered(trace_ring_count(&ring));
}

static void fire_handler(void)
{
	traps_trap(0, add_in_handler);
}

/* In the order of their ends, each once, all but those that were overwritten. */
static void check_ring(uint64_t count)
{
	uint64_t ticks = 0;

	CHECK_EQ(trace_ring_count(&ring), count);
	for (uint64_t i = trace_ring_lost(&ring); i < count; i++) {
		struct trace_record record;

		CHECK(trace_ring_read(&ring, i, &record));
		CHECK(record.ticks >= ticks);
		ticks = record.ticks;
	}
}

/* The interrupted event's own arguments, wherever the handler's went. */
#define OUTER UINT64_C(0x0123456789abcdef)

static unsigned times_seen(uint64_t a)
{
	unsigned seen = 0;

	for (uint64_t i = trace_ring_lost(&ring); i < trace_ring_count(&ring); i++) {
		struct trace_record record;

		if (trace_ring_read(&ring, i, &record) && record.a == a) {
			CHECK_EQ(record.b, ~a);
			seen++;
		}
	}
	return seen;
}

static uint64_t points_of_add(void)
{
	begin_ring();
	traps_reset();
	traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, UINT64_MAX, fire_handler);
	trace_ring_add(&ring, TRACE_ASK, 0, OUTER, ~OUTER, ~OUTER, OUTER);
	traps_disarm();
	CHECK(traps_points() > 8);
	return traps_points();
}

TEST(a_handler_at_every_point_loses_nothing)
{
	static const unsigned numbers[] = {1, 3, RECORDS - 1, RECORDS, RECORDS + 1, 3 * RECORDS};
	uint64_t points;

	host_memory_start(1 << 20, 2);
	points = points_of_add();
	for (uint64_t point = 0; point < points; point++) {
		for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
			uint64_t fired;

			handler_events = numbers[i];
			snprintf(story, sizeof(story), "%u events at point %llu", numbers[i],
				 (unsigned long long)point);
			begin_ring();
			add_numbered(0);
			traps_reset();
			traps_arm(TRAPS_HERE, point, fire_handler);
			trace_ring_add(&ring, TRACE_ASK, 0, OUTER, ~OUTER, ~OUTER, OUTER);
			fired = traps_points() > point ? numbers[i] : 0;
			traps_disarm();
			check_ring(2 + fired);
			if (fired <= RECORDS - 1)
				CHECK_EQ(times_seen(OUTER), 1);
		}
	}
	host_memory_end();
}

static uint64_t written; /* numbers below are complete */
static unsigned refused;

static void read_elsewhere(void)
{
	for (uint64_t i = written > RECORDS ? written - RECORDS : 0; i <= written; i++) {
		struct trace_record record;

		if (trace_ring_read(&ring, i, &record))
			check_numbered(&record, i);
		else
			refused++;
	}
}

static void fire_reader(void)
{
	traps_elsewhere(1, read_elsewhere);
	traps_finish();
}

TEST(a_reader_at_every_point_sees_whole_events_or_none)
{
	uint64_t points;

	host_memory_start(1 << 20, 2);
	points = points_of_add();
	refused = 0;
	for (uint64_t point = 0; point < points; point++) {
		snprintf(story, sizeof(story), "a reader at point %llu", (unsigned long long)point);
		begin_ring();
		for (written = 0; written < RECORDS + 2; written++)
			add_numbered(written);
		traps_reset();
		traps_arm(TRAPS_ELSEWHERE, point, fire_reader);
		add_numbered(written);
		traps_disarm();
	}
	CHECK(refused > 0);
	host_memory_end();
}

/* ---- as text -------------------------------------------------------------------------------- */

static uint64_t take_number(const char **text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t number = 0;

	for (unsigned shift = 0;; shift += 5) {
		const char *digit = strchr(digits, *(*text)++);
		uint64_t value;

		CHECK(digit && shift < 65);
		value = (uint64_t)(digit - digits);
		number |= (value & 31) << shift;
		if (value < 32)
			return number;
	}
}

static void check_number(uint64_t number)
{
	char text[TRACE_NUMBER_CHARS + 1];
	const char *next = text;
	char *end = trace_put_number(text, number);

	CHECK(end - text >= 1 && end - text <= TRACE_NUMBER_CHARS);
	CHECK_EQ(take_number(&next), number);
	CHECK(next == end);
}

TEST(numbers_come_back_from_their_text)
{
	char text[TRACE_NUMBER_CHARS];

	CHECK(trace_put_number(text, 0) == text + 1 && text[0] == 'A');
	CHECK(trace_put_number(text, 31) == text + 1 && text[0] == 'f');
	CHECK(trace_put_number(text, 32) == text + 2 && text[0] == 'g' && text[1] == 'B');
	for (unsigned bit = 0; bit < 64; bit++) {
		check_number(UINT64_C(1) << bit);
		check_number((UINT64_C(1) << bit) - 1);
		check_number(UINT64_MAX >> bit);
	}
	for (unsigned i = 0; i < 10000; i++)
		check_number(unit_random() >> unit_random_below(64));
}

TEST(a_record_is_seven_numbers)
{
	struct trace_record record = {.stamp = (uint64_t)8 << 8 | TRACE_ASK,
				      .ticks = 1000,
				      .length = 70,
				      .a = UINT64_MAX,
				      .b = 0,
				      .c = 77,
				      .d = 78};
	struct trace_text before = {.ticks = 900};
	char text[TRACE_RECORD_CHARS];
	char *end = trace_put_record(text, &record, &before);
	const char *next = text;

	CHECK_EQ(take_number(&next), TRACE_ASK);
	CHECK_EQ(take_number(&next), 100);
	CHECK_EQ(take_number(&next), 70);
	CHECK_EQ(take_number(&next), UINT64_MAX);
	CHECK_EQ(take_number(&next), 0);
	CHECK_EQ(take_number(&next), 77);
	CHECK_EQ(take_number(&next), 78);
	CHECK(next == end);
	CHECK(end - text <= TRACE_RECORD_CHARS);
}

/* As a reader of the records does; records in between belong to other kinds. */
TEST(records_are_told_apart_from_the_last_of_their_kind)
{
	struct trace_text before = {.ticks = 5000};
	uint64_t a[TRACE_EVENTS] = {0}, b[TRACE_EVENTS] = {0}, c[TRACE_EVENTS] = {0};
	uint64_t d[TRACE_EVENTS] = {0};
	uint64_t ticks = 5000;

	for (unsigned i = 0; i < 1000; i++) {
		unsigned event = 1 + (unsigned)unit_random_below(TRACE_EVENTS - 1);
		bool same = unit_random_below(2);
		struct trace_record record = {
			.stamp = (uint64_t)i << 8 | event,
			.ticks = before.ticks + unit_random_below(1000),
			.a = same ? a[event] : unit_random() >> unit_random_below(64),
			.b = same ? b[event] : unit_random() >> unit_random_below(64),
			.c = same ? c[event] : unit_random() >> unit_random_below(64),
			.d = same ? d[event] : unit_random() >> unit_random_below(64)};
		char text[TRACE_RECORD_CHARS];
		char *end = trace_put_record(text, &record, &before);
		const char *next = text;

		CHECK_EQ(take_number(&next), event);
		ticks += take_number(&next);
		CHECK_EQ(ticks, record.ticks);
		CHECK_EQ(take_number(&next), 0);
		a[event] ^= take_number(&next);
		b[event] ^= take_number(&next);
		c[event] ^= take_number(&next);
		d[event] ^= take_number(&next);
		CHECK(next == end && a[event] == record.a && b[event] == record.b);
		CHECK(c[event] == record.c && d[event] == record.d);
		if (same)
			CHECK(end[-1] == 'A' && end[-2] == 'A' && end[-3] == 'A' && end[-4] == 'A');
	}
}

/* ---- what mm/ says and what it counts ------------------------------------------------------- */

static struct {
	uint64_t events[TRACE_EVENTS], frames[TRACE_EVENTS];
	bool under_lock;
} said[2];

static void hear(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	unsigned cpu = host_self->number;

	(void)b;
	if (event != TRACE_LOCK_WAIT)
		CHECK(c == 0 && d == 0);
	(void)begun;
	CHECK(event > TRACE_NONE && event < TRACE_EVENTS);
	said[cpu].events[event]++;
	said[cpu].frames[event] += a;
	/* One thread simulates all cpus: a zone's lock that is held here is held by this cpu. */
	for (unsigned i = 0; i < zones.count; i++)
		said[cpu].under_lock |= spin_locked_relaxed(&zones.zone[i].lock);
}

static void flush_in_handler(void)
{
	frame_cache_flush();
}

static void kick_in_handler(void)
{
	traps_ipi_send(0, 1);
}

static void allocate_in_handler(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (!pfn_is_none(frame))
		frame_free(frame);
}

static void ask(void)
{
	frame_drain_ask();
}

static void fire_anything(void)
{
	static void (*const handlers[])(void) = {flush_in_handler, allocate_in_handler};

	if (traps_may_trap(0) && unit_random_below(2))
		traps_trap(0, handlers[unit_random_below(2)]);
	else if (traps_may_switch())
		traps_elsewhere(1, ask);
	else
		kick_in_handler();
	traps_finish();
	traps_rearm(traps_points() + 1 + unit_random_below(400));
}

static void check_said(unsigned cpu)
{
	const struct frame_cache_stats *stats = &((struct frame_cache *)port_area_of(cpu))->stats;

	CHECK_EQ(said[cpu].events[TRACE_REFILL], stats->refills);
	CHECK_EQ(said[cpu].frames[TRACE_REFILL], stats->refilled_frames);
	CHECK_EQ(said[cpu].events[TRACE_FLUSH], stats->flushes);
	CHECK_EQ(said[cpu].frames[TRACE_FLUSH], stats->flushed_frames);
	CHECK(!said[cpu].under_lock);
}

#define HELD_MAX 1024

/* Two zones, so that batches are of both and go home in parts. */
static void work_with_traps(const struct host_machine *machine)
{
	static const struct host_range ranges[] = {{0x80003, 400, 0}, {0x80003 + 400, 1000, 1}};
	static pfn_t held[HELD_MAX];
	unsigned count = 0, target = 0;

	host_machine_start(machine, ranges, 2);
	memset(said, 0, sizeof(said));
	traps_reset();
	host_trace = hear;
	traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, unit_random_below(100), fire_anything);
	for (unsigned op = 0; op < 20000; op++) {
		if (count == target)
			target = (unsigned)unit_random_below(HELD_MAX);
		if (count < target) {
			held[count++] = frame_alloc(FRAME_ANY);
			CHECK(!pfn_is_none(held[count - 1]));
		} else if (count) {
			unsigned at = (unsigned)unit_random_below(count--);
			pfn_t frame = held[at];

			held[at] = held[count];
			frame_free(frame);
		}
	}
	traps_disarm();
	traps_finish();
	while (count)
		frame_free(held[--count]);
	frame_cache_flush();
	host_trace = NULL;
	for (unsigned cpu = 0; cpu < 2; cpu++)
		check_said(cpu);
	CHECK(said[0].events[TRACE_REFILL] > 20 && said[0].events[TRACE_FLUSH] > 20);
	CHECK(said[0].events[TRACE_ANSWER] > 10);
	CHECK(said[1].events[TRACE_ASK] > 10);
	host_machine_end();
}

TEST(refills_and_flushes_are_said_as_they_are_counted)
{
	static const struct host_machine machines[] = {
		{.cpus = 2, .capacity = 192, .batch = 64},
		{.cpus = 2, .capacity = 320},
		{.cpus = 2, .capacity = 100, .batch = 16},
	};

	for (unsigned i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		snprintf(story, sizeof(story), "machine %u", i);
		work_with_traps(&machines[i]);
	}
}

static void fire_flush(void)
{
	traps_trap(0, flush_in_handler);
}

/* Where the stack is full and a free must flush, or empty and an allocation must refill. */
static void at_the_edge(bool full, pfn_t *held, unsigned *count)
{
	const struct frame_cache *cache = frame_cache_self();

	while (*count < 400)
		held[(*count)++] = frame_alloc(FRAME_ANY);
	while (full ? cache->top != cache->limit : cache->top != cache->bottom) {
		if (full)
			frame_free(held[--*count]);
		else
			held[(*count)++] = frame_alloc(FRAME_ANY);
	}
}

TEST(a_handler_at_every_point_of_a_batch_makes_no_count_differ)
{
	static pfn_t held[HELD_MAX];
	unsigned count = 0;

	host_memory_start(8 << 20, 2);
	memset(said, 0, sizeof(said));
	traps_reset();
	host_trace = hear;
	for (uint64_t point = 0, fired = 0; fired < 2; point++) {
		for (unsigned full = 0; full < 2; full++) {
			snprintf(story, sizeof(story), "%s at point %llu",
				 full ? "flush" : "refill", (unsigned long long)point);
			at_the_edge(full, held, &count);
			traps_arm(TRAPS_HERE, point, fire_flush);
			if (full)
				frame_free(held[--count]);
			else
				held[count++] = frame_alloc(FRAME_ANY);
			/* Over when neither has that many points. */
			fired = traps_points() > point ? 0 : fired + 1;
			traps_disarm();
			check_said(0);
		}
	}
	while (count)
		frame_free(held[--count]);
	host_trace = NULL;
	host_memory_end();
}

#define SCATTERED 20000

/* More words than one hold can carry: a batch goes home in parts. */
TEST(flushes_in_parts_are_said_one_by_one)
{
	static const struct host_machine machine = {.cpus = 2, .capacity = 1088, .batch = 512};
	static const struct host_range range = {0x80000, SCATTERED + 2000, 0};
	static pfn_t held[SCATTERED];

	host_machine_start(&machine, &range, 1);
	memset(said, 0, sizeof(said));
	traps_reset();
	snprintf(story, sizeof(story), "scattered frames");
	host_trace = hear;
	for (unsigned i = 0; i < SCATTERED; i++) {
		unsigned at = (unsigned)unit_random_below(i + 1);

		held[i] = held[at];
		held[at] = frame_alloc(FRAME_ANY);
	}
	traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, 50, fire_anything);
	for (unsigned i = 0; i < SCATTERED; i++)
		frame_free(held[i]);
	traps_disarm();
	traps_finish();
	host_trace = NULL;
	check_said(0);
	check_said(1);
	CHECK(said[0].events[TRACE_FLUSH] > 2 * SCATTERED / 512);
	host_machine_end();
}

static uint64_t heard_lock, heard_holder, heard_site;

static void hear_lock(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	hear(event, begun, a, b, c, d);
	if (event == TRACE_LOCK_WAIT) {
		heard_lock = a;
		heard_holder = c;
		heard_site = d;
		CHECK(begun != 0 && b != 0);
	}
}

TEST(a_wait_for_a_lock_is_said_after_its_release)
{
	pfn_t frame;

	host_memory_start(8 << 20, 2);
	memset(said, 0, sizeof(said));
	traps_reset();
	host_trace = hear_lock;
	frame = frame_alloc(FRAME_ANY);
	frame_free(frame);
	CHECK_EQ(said[0].events[TRACE_LOCK_WAIT], 0);
	frame_cache_flush();
	traps_hold(&zones.zone[0], 1, false);
	frame = frame_alloc(FRAME_ANY);
	traps_hold_end();
	CHECK_EQ(said[0].events[TRACE_LOCK_WAIT], 1);
	CHECK_EQ(heard_lock, trace_name("zone0"));
	CHECK_EQ(lock_owner_unpack(heard_holder).cpu, 1);
	CHECK(lock_owner_unpack(heard_holder).site != 0);
	CHECK(heard_site != 0 && heard_site != lock_owner_unpack(heard_holder).site);
	CHECK(!said[0].under_lock);
	frame_free(frame);
	host_trace = NULL;
	host_memory_end();
}

TEST(runs_and_shortages_are_said)
{
	pfn_t run, frame, newest = PFN_NONE;

	host_memory_start(8 << 20, 2);
	memset(said, 0, sizeof(said));
	traps_reset();
	host_trace = hear;
	run = frame_alloc_run(24, 8);
	CHECK(!pfn_is_none(run));
	frame_free_run(run, 24);
	CHECK_EQ(said[0].frames[TRACE_RUN_ALLOC], 24);
	CHECK_EQ(said[0].frames[TRACE_RUN_FREE], 24);
	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		*(pfn_t *)frame_bytes(frame) = newest;
		newest = frame;
	}
	CHECK_EQ(said[0].events[TRACE_DRAIN], 1);
	CHECK_EQ(said[0].frames[TRACE_DRAIN], 0); /* nothing was found */
	CHECK_EQ(said[0].events[TRACE_PRESSURE_UP], 1);
	CHECK_EQ(said[0].events[TRACE_PRESSURE_DOWN], 1);
	CHECK(said[0].events[TRACE_ASK] >= 1 && said[1].events[TRACE_ANSWER] >= 1);
	CHECK(!said[0].under_lock && !said[1].under_lock);
	while (!pfn_is_none(newest)) {
		frame = newest;
		newest = *(pfn_t *)frame_bytes(frame);
		frame_free(frame);
	}
	host_trace = NULL;
	host_memory_end();
}
