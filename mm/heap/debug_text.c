/* SPDX-License-Identifier: BSD-2-Clause */
/* debug_text.c - which CPU allocated and freed a block, where and when; see debug_private.h. */
#include "mm/heap/debug_private.h"

struct kheap_debug_state heap_debug;
const struct kheap_debug_port *kheap_debug_port;

uint64_t debug_now(void)
{
	return debug_has(KHEAP_DEBUG_OWNERS) ? kheap_debug_port->clock() : 0;
}

uint64_t debug_age(uint64_t time)
{
	uint64_t ticks = debug_now() - time;

	/* In two parts, so that the product does not wrap. */
	return ticks / heap_debug.hertz * 1000000 +
	       ticks % heap_debug.hertz * 1000000 / heap_debug.hertz;
}

void debug_own(struct debug_owner *owner, const void *caller)
{
	owner->site = caller;
	owner->time = debug_now();
	owner->cpu = port_cpu();
}

/* printf() is not for here: what a call that panics uses of the stack is bounded, too. */
struct text {
	char *at, *end; /* the last byte is for the 0 */
};

static void put(struct text *text, const char *string)
{
	while (*string && text->at < text->end)
		*text->at++ = *string++;
	*text->at = '\0';
}

static void put_number(struct text *text, uint64_t number, unsigned base)
{
	char digits[24];
	unsigned at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = "0123456789abcdef"[number % base];
	while (number /= base);
	put(text, &digits[at]);
}

static void put_owner(struct text *text, const char *what, const struct debug_owner *owner)
{
	put(text, what);
	if (debug_has(KHEAP_DEBUG_OWNERS)) {
		put(text, " by cpu ");
		put_number(text, owner->cpu, 10);
	}
	put(text, " at [<0x");
	put_number(text, (uintptr_t)owner->site, 16);
	put(text, ">]");
	if (debug_has(KHEAP_DEBUG_OWNERS)) {
		put(text, " ");
		put_number(text, debug_age(owner->time), 10);
		put(text, " us ago");
	}
}

const char *debug_owners(char *text, size_t bytes, const struct debug_record *record)
{
	struct text to = {text, text + bytes - 1};

	put_owner(&to, "; allocated", &record->allocated);
	if (record->state != DEBUG_LIVE)
		put_owner(&to, ", freed", &record->freed);
	return text;
}
