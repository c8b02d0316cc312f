/* SPDX-License-Identifier: BSD-2-Clause */
/* trace_ring.c - the ring of a cpu's last events; see trace_ring.h, which names the fences. */
#include "kernel/diag/trace_ring.h"

#include <string.h>

#include "sync/ck.h"

#define RECORDS_LEAST 64
#define RECORDS_MOST  (UINT64_C(1) << 17) /* of all cpus together */
#define MEMORY_SHARE  64		  /* rings take at most this part of memory */

const struct trace_event_names trace_event_names[TRACE_EVENTS] = {
	[TRACE_NONE] = {"none", "-", "-", "-", "-"},
#define TRACE_NAMES(number, ...) [TRACE_##number] = {__VA_ARGS__},
	TRACE_FOR_EACH_EVENT(TRACE_NAMES)
#undef TRACE_NAMES
};

uint64_t trace_ring_records(uint64_t memory_bytes, unsigned cpus)
{
	uint64_t most = memory_bytes / MEMORY_SHARE / sizeof(struct trace_record);
	uint64_t records = RECORDS_LEAST;

	if (most > RECORDS_MOST)
		most = RECORDS_MOST;
	while (2 * records <= most / cpus)
		records *= 2;
	return records;
}

void trace_ring_init(struct trace_ring *ring, void *memory, uint64_t records)
{
	memset(ring, 0, sizeof(*ring));
	ring->records = memory;
	ring->mask = records - 1;
}

void trace_ring_add(struct trace_ring *ring, enum trace_event event, uint64_t begun, uint64_t a,
		    uint64_t b, uint64_t c, uint64_t d)
{
	unsigned long flags = port_irq_save();
	uint64_t number = ring->next, now = port_trace_time();
	struct trace_record *record = &ring->records[number & ring->mask];

	ck_pr_store_64(&record->stamp, 0);
	ck_pr_fence_store(); /* (a) */
	ck_pr_store_64(&record->ticks, now);
	ck_pr_store_64(&record->length, begun ? now - begun : 0);
	ck_pr_store_64(&record->a, a);
	ck_pr_store_64(&record->b, b);
	ck_pr_store_64(&record->c, c);
	ck_pr_store_64(&record->d, d);
	ck_pr_fence_store(); /* (b) */
	ck_pr_store_64(&record->stamp, (number + 1) << 8 | (uint64_t)event);
	counter_add(&ring->counts[event], 1);
	counter_set(&ring->next, number + 1);
	port_irq_restore(flags);
}

uint64_t trace_ring_count(const struct trace_ring *ring)
{
	return counter_read(&ring->next);
}

uint64_t trace_ring_lost(const struct trace_ring *ring)
{
	uint64_t count = trace_ring_count(ring);

	return count > ring->mask ? count - ring->mask - 1 : 0;
}

bool trace_ring_read(const struct trace_ring *ring, uint64_t number, struct trace_record *record)
{
	const struct trace_record *from = &ring->records[number & ring->mask];

	record->stamp = ck_pr_load_64(&from->stamp);
	ck_pr_fence_load(); /* (d) */
	record->ticks = ck_pr_load_64(&from->ticks);
	record->length = ck_pr_load_64(&from->length);
	record->a = ck_pr_load_64(&from->a);
	record->b = ck_pr_load_64(&from->b);
	record->c = ck_pr_load_64(&from->c);
	record->d = ck_pr_load_64(&from->d);
	ck_pr_fence_load(); /* (c) */
	return record->stamp >> 8 == number + 1 && ck_pr_load_64(&from->stamp) == record->stamp;
}

char *trace_put_number(char *text, uint64_t number)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; number >= 32; number >>= 5)
		*text++ = digits[32 | (number & 31)];
	*text++ = digits[number];
	return text;
}

char *trace_put_record(char *text, const struct trace_record *record, struct trace_text *before)
{
	enum trace_event event = trace_record_event(record);

	text = trace_put_number(text, (uint64_t)event);
	text = trace_put_number(text, record->ticks - before->ticks);
	text = trace_put_number(text, record->length);
	text = trace_put_number(text, record->a ^ before->a[event]);
	text = trace_put_number(text, record->b ^ before->b[event]);
	text = trace_put_number(text, record->c ^ before->c[event]);
	text = trace_put_number(text, record->d ^ before->d[event]);
	before->ticks = record->ticks;
	before->a[event] = record->a;
	before->b[event] = record->b;
	before->c[event] = record->c;
	before->d[event] = record->d;
	return text;
}
