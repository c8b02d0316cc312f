/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace_ring.h - one cpu's last events: a ring of records that only this cpu writes.
 *
 * A new event takes the place of the oldest when the ring is full; how many were lost so is the
 * number of all less what the ring holds. Each kind is counted besides, so that what was lost can
 * still be accounted for.
 *
 * Writer: the owning cpu, from its trap handlers too. trace_ring_add() masks interrupts for as long
 * as it writes, so records do not interleave, none is lost to a handler, and their ends are in
 * order.
 *
 * Readers: anybody, at any time. A record carries its own number, taken away before anything else
 * of it is written and put back last. A reader that does not find the number it expects, before
 * and after, has no record: it is being written, or is a later one. Fences: (a) taking the number
 * away before the words, pairs with (c) the words before the second look; (b) the words before the
 * number, pairs with (d) the first look before the words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/trace.h"

struct trace_record {
	uint64_t stamp;	 /* (number + 1) << 8 | event; 0: it is being written */
	uint64_t ticks;	 /* of port_trace_time(), when it was over */
	uint64_t length; /* in ticks; 0 also of what takes no time */
	uint64_t a, b;
};

/* On lines of its own: a trace must not make cpus meet that did not. */
struct trace_ring {
	_Alignas(64) struct trace_record *records;
	uint64_t mask;		       /* how many of them, a power of two, less 1 */
	uint64_t next;		       /* the number of the next one: so many there have been */
	uint64_t counts[TRACE_EVENTS]; /* of these, of each kind */
};

_Static_assert(TRACE_EVENTS <= 256, "the event is a byte of the stamp");

/*
 * How many records each cpu's ring has, a power of two, on a machine of so much memory: all rings
 * together take at most a 64th of it and are at most 2^17 records, which a console needs seconds
 * for; but none has fewer than 64.
 */
uint64_t trace_ring_records(uint64_t memory_bytes, unsigned cpus);

/* `memory` is room for `records` (a power of two) records, zeroed, and stays the ring's. */
void trace_ring_init(struct trace_ring *ring, void *memory, uint64_t records);

/* On the owning cpu, any context. `begun`: of port_trace_time(); 0: it takes no time. O(1). */
void trace_ring_add(struct trace_ring *ring, enum trace_event event, uint64_t begun, uint64_t a,
		    uint64_t b);

/* Events there have been, and the number of the oldest that is still there: so many were lost. */
uint64_t trace_ring_count(const struct trace_ring *ring);
uint64_t trace_ring_lost(const struct trace_ring *ring);

/*
 * Event number `number`, from trace_ring_lost() to below trace_ring_count(). False: it is being
 * written, or was just overwritten.
 */
bool trace_ring_read(const struct trace_ring *ring, uint64_t number, struct trace_record *record);

static inline enum trace_event trace_record_event(const struct trace_record *record)
{
	return (enum trace_event)(record->stamp & 0xff);
}

/* The names of the table in sync/trace.h. */
struct trace_event_names {
	const char *event, *a, *b;
};

extern const struct trace_event_names trace_event_names[TRACE_EVENTS];

/*
 * A number in digits of base 32, least first: 5 bits to a character of the base64 alphabet, whose
 * sixth bit says that more follow (base64 VLQ, as in source maps, without a sign). Returns the end;
 * at most TRACE_NUMBER_CHARS are written, and no terminator.
 */
#define TRACE_NUMBER_CHARS 13
char *trace_put_number(char *text, uint64_t number);

/*
 * What the next record of a text is told apart from: the end of the one before, and the arguments
 * of the last one of each kind. Zeros at first, but for `ticks`.
 */
struct trace_text {
	uint64_t ticks;
	uint64_t a[TRACE_EVENTS], b[TRACE_EVENTS];
};

/*
 * One record: event, ticks since the one before, length, and a and b, each by exclusive or with
 * that of the last one of its kind: so what stays the same is one character. At most
 * TRACE_RECORD_CHARS.
 */
#define TRACE_RECORD_CHARS (5 * TRACE_NUMBER_CHARS)
char *trace_put_record(char *text, const struct trace_record *record, struct trace_text *before);
