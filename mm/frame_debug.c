/* SPDX-License-Identifier: BSD-2-Clause */
/* frame_debug.c - see frame_debug.h. */
#include "mm/frame_debug.h"

#include <string.h>

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/words.h"

enum event {
	NOTHING_YET,
	HEAD, /* allocated: a frame, or the first of a run */
	BODY, /* allocated: another frame of a run; site and time are in the head's note */
	FREED
};

struct frame_note {
	const void *site;   /* of the last event */
	const void *before; /* of the event before it; NULL: there was none */
	uint64_t time;
	uint32_t count; /* of a head: frames; of a body: how far behind its head it is */
	uint16_t cpu;
	uint8_t event;
	uint8_t poisoned;
};

_Static_assert(sizeof(struct frame_note) == 32, "frame_debug_bytes() is what frame_debug.h says");

unsigned frame_debug_chosen;

static struct frame_note *notes; /* of the frames [first_frame, first_frame + frame_count) */
static uint64_t first_frame, frame_count;

size_t frame_debug_bytes(uint64_t frames)
{
	return frames * sizeof(struct frame_note);
}

void frame_debug_start(unsigned chosen, void *memory, uint64_t first, uint64_t frames)
{
	notes = memory;
	first_frame = first;
	frame_count = frames;
	words_fill(memory, 0, frame_debug_bytes(frames) / sizeof(uint64_t));
	frame_debug_chosen = chosen;
}

/* NULL: the frame is not watched. */
static struct frame_note *note_of(uint64_t frame)
{
	return frame - first_frame < frame_count ? &notes[frame - first_frame] : NULL;
}

void frame_debug_forget(uint64_t frame)
{
	struct frame_note *note = note_of(frame);

	if (note)
		*note = (struct frame_note){.site = NULL};
}

/* ---- what a panic says of the last event ------------------------------------------------------ */

struct text {
	char *at, *end;
};

static void add(struct text *text, const char *more)
{
	while (*more && text->at < text->end)
		*text->at++ = *more++;
	*text->at = '\0';
}

static void add_number(struct text *text, uint64_t number, unsigned base)
{
	char digits[24], *digit = &digits[sizeof(digits) - 1];

	*digit = '\0';
	do
		*--digit = "0123456789abcdef"[number % base];
	while (number /= base);
	add(text, digit);
}

static void add_site(struct text *text, const void *site)
{
	add(text, " at [<0x");
	add_number(text, (uintptr_t)site, 16);
	add(text, ">]");
}

const char *frame_debug_text(uint64_t frame)
{
	static char buffer[160];
	struct text text = {buffer, buffer + sizeof(buffer) - 1};
	const struct frame_note *note = note_of(frame);

	*buffer = '\0';
	if (!(frame_debug_chosen & FRAME_DEBUG_OWNERS) || !note)
		return buffer;
	if (note->event == BODY)
		note -= note->count;
	if (note->event == NOTHING_YET) {
		add(&text, "; it was never allocated");
		return buffer;
	}
	add(&text, note->event == FREED ? "; freed" : "; allocated");
	add(&text, " by cpu ");
	add_number(&text, note->cpu, 10);
	add_site(&text, note->site);
	add(&text, ", ");
	add_number(&text, port_clock() - note->time, 10);
	add(&text, " ticks ago");
	if (note->event == FREED && note->before) {
		add(&text, ", allocated before that");
		add_site(&text, note->before);
	}
	return buffer;
}

/* ---- poison ------------------------------------------------------------------------------------ */

#define FRAME_WORDS (FRAME_SIZE / sizeof(uint64_t))

static unsigned first_word(uint64_t frame)
{
	const struct zone *zone = zone_of(frame);

	return zone && zone->policy->uses_frames ? FRAME_DEBUG_POLICY_BYTES / sizeof(uint64_t) : 0;
}

static void poison(uint64_t frame)
{
	words_fill(frame_bytes(pfn(frame)), FRAME_POISON, FRAME_WORDS);
}

static void check_poison(uint64_t frame)
{
	const uint64_t *words = frame_bytes(pfn(frame));
	unsigned i = first_word(frame);

	while (i < FRAME_WORDS && words[i] == FRAME_POISON)
		i++;
	check(i == FRAME_WORDS,
	      "frame_alloc: frame %#llx was written to after it was freed: found %#llx at offset "
	      "%#x, expected %#llx%s",
	      (unsigned long long)frame, (unsigned long long)words[i],
	      i * (unsigned)sizeof(uint64_t), (unsigned long long)FRAME_POISON,
	      frame_debug_text(frame));
}

/* ---- the two events ----------------------------------------------------------------------------- */

static void note_event(struct frame_note *note, enum event event, uint64_t count, const void *site)
{
	if (event != BODY) {
		note->before = note->site;
		note->site = site;
		note->time = port_clock();
		note->cpu = (uint16_t)port_cpu();
	}
	note->event = (uint8_t)event;
	note->count = (uint32_t)count;
}

void frame_debug_allocated(uint64_t first, uint64_t count, const void *site)
{
	for (uint64_t i = 0; i < count; i++) {
		struct frame_note *note = note_of(first + i);

		if (!note)
			continue;
		if (note->poisoned)
			check_poison(first + i);
		note->poisoned = 0;
		if (!(frame_debug_chosen & FRAME_DEBUG_OWNERS))
			continue;
		if (i)
			note_event(note, BODY, i, NULL);
		else
			note_event(note, HEAD, count, site);
	}
}

/* With CHECKS the frames' state bytes have shown it before. */
static void check_allocated(const struct frame_note *note, uint64_t first, uint64_t count,
			    const void *site)
{
	check(note->event == HEAD && note->count == count,
	      "frame_free: %llu frames at %#llx are not what was allocated there: found %s of %u, "
	      "called from [<%p>]%s",
	      (unsigned long long)count, (unsigned long long)first,
	      note->event == HEAD   ? "the head of a run"
	      : note->event == BODY ? "a frame inside a run"
				    : "a free frame",
	      note->event == HEAD ? note->count : 1, site, frame_debug_text(first));
}

void frame_debug_freed(uint64_t first, uint64_t count, const void *site)
{
	for (uint64_t i = 0; i < count; i++) {
		struct frame_note *note = note_of(first + i);

		if (!note)
			continue;
		if (frame_debug_chosen & FRAME_DEBUG_OWNERS) {
			if (i == 0)
				check_allocated(note, first, count, site);
			note_event(note, FREED, 1, site);
		}
		if (frame_debug_chosen & FRAME_DEBUG_POISON) {
			poison(first + i);
			note->poisoned = 1;
		}
	}
}

/* ---- what is allocated ----------------------------------------------------------------------------- */

bool frame_debug_next_site(const struct frame_site *previous, struct frame_site *next)
{
	uintptr_t above = previous ? (uintptr_t)previous->site : 0;

	*next = (struct frame_site){.site = NULL};
	if (!(frame_debug_chosen & FRAME_DEBUG_OWNERS))
		return false;
	for (uint64_t i = 0; i < frame_count; i++) {
		const struct frame_note *note = &notes[i];

		if (note->event != HEAD || (uintptr_t)note->site <= above)
			continue;
		if (next->site && (uintptr_t)note->site > (uintptr_t)next->site)
			continue;
		if (note->site != next->site)
			*next = (struct frame_site){note->site, 0, 0, note->time};
		next->frames += note->count;
		next->allocations++;
		if ((int64_t)(note->time - next->oldest) < 0)
			next->oldest = note->time;
	}
	return next->site != NULL;
}
