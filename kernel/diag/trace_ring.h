/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace_ring.h - the last events of one cpu: a ring of records that only this cpu writes.
 *
 * When the ring is full, a new event replaces the oldest. The number of lost events is the number
 * of all events less those in the ring. Each kind of event is counted besides, so that lost events
 * are counted, too.
 *
 * Writer: the owning cpu, also in its trap handlers. trace_ring_add() masks interrupts while it
 * writes. So records do not interleave, no handler overwrites one, and they are ordered by their
 * ends.
 *
 * Readers: any cpu, at any time. A record has its own number, which the writer clears before it
 * writes the other words and sets last. A reader that does not find the expected number, both
 * before and after it has read the words, has no valid record: the record is being written, or is a
 * later one. Fences: (a) the clearing of the number before the words, pairs with (c) the words
 * before the second read of the number; (b) the words before the number, pairs with (d) the first
 * read of the number before the words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/trace.h"

struct trace_record {
	uint64_t stamp;	 /* (number + 1) << 8 | event; 0: it is being written */
	uint64_t ticks;	 /* port_trace_time() at the end of the event */
	uint64_t length; /* in ticks; 0 also for events without duration */
	uint64_t a, b, c, d;
};

/* Aligned, so that the rings of two cpus share no cache line: a trace must not add contention. */
struct trace_ring {
	_Alignas(64) struct trace_record *records;
	uint64_t mask;		       /* the number of records, a power of two, minus 1 */
	uint64_t next;		       /* number of the next event: events so far */
	uint64_t counts[TRACE_EVENTS]; /* events so far of each kind */
};

_Static_assert(TRACE_EVENTS <= 256, "the event is a byte of the stamp");

/*
 * The number of records in each cpu's ring, a power of two. All rings together take at most 1/64 of
 * memory and have at most 2^17 records, which a console prints in seconds. But each ring has at
 * least 64 records.
 */
uint64_t trace_ring_records(uint64_t memory_bytes, unsigned cpus);

/* `memory` is zeroed, has room for `records` records (a power of two), and belongs to the ring. */
void trace_ring_init(struct trace_ring *ring, void *memory, uint64_t records);

/* On the owning cpu, any context. `begun`: port_trace_time() at its begin; 0: no duration. O(1). */
void trace_ring_add(struct trace_ring *ring, enum trace_event event, uint64_t begun, uint64_t a,
		    uint64_t b, uint64_t c, uint64_t d);

/* The number of events so far; and the number of lost ones, which is the oldest in the ring. */
uint64_t trace_ring_count(const struct trace_ring *ring);
uint64_t trace_ring_lost(const struct trace_ring *ring);

/*
 * Reads event number `number`, from trace_ring_lost() to below trace_ring_count(). False: the event
 * is being written, or was overwritten meanwhile. Any cpu, any context. O(1).
 */
bool trace_ring_read(const struct trace_ring *ring, uint64_t number, struct trace_record *record);

static inline enum trace_event trace_record_event(const struct trace_record *record)
{
	return (enum trace_event)(record->stamp & 0xff);
}

/* The names of the table in sync/trace.h. */
struct trace_event_names {
	const char *event, *a, *b, *c, *d;
};

extern const struct trace_event_names trace_event_names[TRACE_EVENTS];

/*
 * Writes a number in base 32, least digit first. Each character of the base64 alphabet has 5 bits
 * of the number; its sixth bit says that more characters follow (base64 VLQ as in source maps,
 * without a sign). Returns the end; writes at most TRACE_NUMBER_CHARS, and no terminator.
 */
#define TRACE_NUMBER_CHARS 13
char *trace_put_number(char *text, uint64_t number);

/*
 * The base that a record is encoded against: the end of the record before, and the arguments of the
 * last record of each kind. Zeros at first, except `ticks`.
 */
struct trace_text {
	uint64_t ticks;
	uint64_t a[TRACE_EVENTS], b[TRACE_EVENTS], c[TRACE_EVENTS], d[TRACE_EVENTS];
};

/*
 * Writes one record: event, ticks since the record before, length, and a to d, each by exclusive or
 * with that of the last record of its kind, so that an equal value takes one character. At most
 * TRACE_RECORD_CHARS characters; returns the end.
 */
#define TRACE_RECORD_CHARS (7 * TRACE_NUMBER_CHARS)
char *trace_put_record(char *text, const struct trace_record *record, struct trace_text *before);
