/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.c - see lines.h.
 *
 * A line that a single cpu has touched is an entry of a table. When a second cpu touches it, the
 * line gets a struct sharing with a part for each cpu.
 *
 * Of each cpu that lacks the line, `changed` has the bytes that others have written since it had the
 * line last. The writes of the owner are noted in the line (`dirty`) and added to `changed` of the
 * others when the owner loses the line, so a store by the owner is O(1). `changed` of a cpu that has
 * the line stays as it was at its miss: while it has the line no other cpu writes.
 */
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_CPU UINT32_MAX

struct part { /* of a line, one cpu's */
	uint64_t changed;
	struct lines_place *miss; /* of a miss whose kind is open; NULL: there is none */
	bool has;		  /* the cpu has the line */
	bool met;		  /* a counted miss or upgrade */
};

struct line {
	uint64_t key;	    /* address of the first byte, plus 1; 0: the entry is free */
	uint64_t dirty;	    /* bytes written by the owner */
	uint32_t owner;	    /* may write; NO_CPU: all that have it may only read */
	struct part *parts; /* NULL: only the owner has touched it */
	struct lines_counts counts;
	uint64_t free_at; /* when its last transfer ends */
};

static struct {
	unsigned cpus;
	struct line *line; /* open addressing */
	uint64_t lines, line_slots;
	struct lines_place **place; /* open addressing, by line and pc */
	uint64_t places, place_slots;
	struct lines_range range[LINES_RANGES];
	unsigned ranges;
	bool sorted;
	struct lines_totals totals;
} model;

/* ---- memory ----------------------------------------------------------------------------------- */

static void *need(size_t count, size_t bytes)
{
	void *memory = calloc(count, bytes);

	if (!memory) {
		fprintf(stderr, "cost of lines: the host has no memory left\n");
		exit(1);
	}
	return memory;
}

static uint64_t mix(uint64_t value)
{
	value ^= value >> 31;
	value *= UINT64_C(0x9e3779b97f4a7c15);
	return value ^ value >> 29;
}

static struct line *line_slot(struct line *table, uint64_t slots, uint64_t key)
{
	uint64_t i = mix(key) & (slots - 1);

	while (table[i].key && table[i].key != key)
		i = (i + 1) & (slots - 1);
	return &table[i];
}

static void grow_lines(void)
{
	uint64_t slots = model.line_slots ? model.line_slots * 2 : 1 << 16;
	struct line *table = need(slots, sizeof(*table));

	for (uint64_t i = 0; i < model.line_slots; i++)
		if (model.line[i].key)
			*line_slot(table, slots, model.line[i].key) = model.line[i];
	free(model.line);
	model.line = table;
	model.line_slots = slots;
}

static struct lines_place **place_slot(struct lines_place **table, uint64_t slots, uint64_t line,
				       uint64_t pc)
{
	uint64_t i = mix(line ^ mix(pc)) & (slots - 1);

	while (table[i] && (table[i]->line != line || table[i]->pc != pc))
		i = (i + 1) & (slots - 1);
	return &table[i];
}

static void grow_places(void)
{
	uint64_t slots = model.place_slots ? model.place_slots * 2 : 1 << 12;
	struct lines_place **table = need(slots, sizeof(*table));

	for (uint64_t i = 0; i < model.place_slots; i++)
		if (model.place[i])
			*place_slot(table, slots, model.place[i]->line,
				    model.place[i]->pc) = model.place[i];
	free(model.place);
	model.place = table;
	model.place_slots = slots;
}

static struct lines_place *place_of(uint64_t line, uint64_t pc)
{
	struct lines_place **slot;

	if (2 * model.places >= model.place_slots)
		grow_places();
	slot = place_slot(model.place, model.place_slots, line, pc);
	if (!*slot) {
		*slot = need(1, sizeof(**slot));
		**slot = (struct lines_place){.line = line, .pc = pc};
		model.places++;
	}
	return *slot;
}

void lines_reset(unsigned cpus)
{
	for (uint64_t i = 0; i < model.line_slots; i++)
		free(model.line[i].parts);
	for (uint64_t i = 0; i < model.place_slots; i++)
		free(model.place[i]);
	free(model.line);
	free(model.place);
	memset(&model, 0, sizeof(model));
	model.cpus = cpus;
	grow_lines();
	grow_places();
}

/* ---- ranges ----------------------------------------------------------------------------------- */

bool lines_add_range(uint64_t start, uint64_t bytes, const char *name)
{
	struct lines_range *range = &model.range[model.ranges];

	if (model.ranges == LINES_RANGES)
		return false;
	*range = (struct lines_range){.start = start, .bytes = bytes};
	snprintf(range->name, sizeof(range->name), "%s", name);
	model.ranges++;
	model.sorted = false;
	return true;
}

static int by_start(const void *left, const void *right)
{
	const struct lines_range *a = left, *b = right;

	return (a->start > b->start) - (a->start < b->start);
}

static struct lines_range *range_of(uint64_t address)
{
	unsigned low = 0, high = model.ranges;

	if (!model.sorted)
		qsort(model.range, model.ranges, sizeof(model.range[0]), by_start);
	model.sorted = true;
	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (model.range[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || address - model.range[low - 1].start >= model.range[low - 1].bytes)
		return NULL;
	return &model.range[low - 1];
}

const struct lines_range *lines_range_of(uint64_t address)
{
	return range_of(address);
}

/* ---- the model -------------------------------------------------------------------------------- */

/* Of a miss that has turned out to be useless. */
static void settle(struct part *part)
{
	if (part->miss)
		part->miss->counts.false_misses++;
	part->miss = NULL;
}

static void lose(struct part *part)
{
	settle(part);
	part->has = false;
	part->changed = 0;
}

/* What the owner has written is news for all others, which do not have the line. */
static void tell_writes(struct line *line)
{
	for (unsigned cpu = 0; line->owner != NO_CPU && line->dirty && cpu < model.cpus; cpu++)
		if (cpu != line->owner)
			line->parts[cpu].changed |= line->dirty;
	line->dirty = 0;
}

static void count(struct line *line, unsigned cpu, uint64_t pc, uint64_t bytes, bool is_miss)
{
	struct lines_place *place = place_of(line->key - 1, pc);

	place->bytes |= bytes;
	place->counts.misses += is_miss;
	place->counts.upgrades += !is_miss;
	line->parts[cpu].met = true;
	if (is_miss)
		line->parts[cpu].miss = place;
}

/* A cpu gets a line that it lacks; true: it was a miss. */
static bool fetch(struct line *line, unsigned cpu, bool is_counted)
{
	struct part *part = &line->parts[cpu];

	part->has = true;
	line->owner = NO_CPU; /* until it turns out that this is a store */
	if (part->changed)
		return true;
	model.totals.cold += is_counted;
	return false;
}

/* Whether other cpus had to be told. */
static bool make_owner(struct line *line, unsigned cpu)
{
	bool others = false;

	for (unsigned i = 0; i < model.cpus; i++)
		if (i != cpu && line->parts[i].has) {
			lose(&line->parts[i]);
			others = true;
		}
	line->owner = cpu;
	return others;
}

/* A line that several cpus have touched; false: neither a miss nor an upgrade. */
static bool access_shared(struct line *line, unsigned cpu, uint64_t pc, uint64_t bytes,
			  bool is_store, bool is_counted)
{
	struct part *part = &line->parts[cpu];
	bool had = part->has, missed = false, upgraded = false;

	if (line->owner != cpu) {
		tell_writes(line);
		if (!had)
			missed = fetch(line, cpu, is_counted);
		if (is_store)
			upgraded = make_owner(line, cpu) && had;
	}
	if (is_store)
		line->dirty |= bytes;
	if (is_counted && (missed || upgraded))
		count(line, cpu, pc, bytes, missed);
	if (part->changed & bytes)
		part->miss = NULL; /* true sharing */
	return missed || upgraded;
}

static struct line *line_of(uint64_t address)
{
	struct line *line;

	if (2 * model.lines >= model.line_slots)
		grow_lines();
	line = line_slot(model.line, model.line_slots, address + 1);
	if (!line->key) {
		line->key = address + 1;
		line->owner = NO_CPU;
		model.lines++;
	}
	return line;
}

static void share(struct line *line)
{
	line->parts = need(model.cpus, sizeof(*line->parts));
	line->parts[line->owner].has = true;
}

static bool access_line(unsigned cpu, uint64_t pc, uint64_t address, uint64_t bytes, bool is_store,
			bool is_counted)
{
	struct line *line = line_of(address);

	if (line->parts)
		return access_shared(line, cpu, pc, bytes, is_store, is_counted);
	if (line->owner == NO_CPU) {
		line->owner = cpu;
		model.totals.cold += is_counted;
	}
	if (line->owner != cpu) {
		share(line);
		return access_shared(line, cpu, pc, bytes, is_store, is_counted);
	}
	if (is_store)
		line->dirty |= bytes;
	return false;
}

unsigned lines_access(unsigned cpu, uint64_t pc, uint64_t address, unsigned bytes,
		      enum lines_access access, bool is_counted)
{
	unsigned met = 0;

	model.totals.accesses += is_counted;
	while (bytes) {
		unsigned offset = address % LINE_BYTES;
		unsigned part = bytes < LINE_BYTES - offset ? bytes : LINE_BYTES - offset;
		uint64_t mask = (part == 64 ? UINT64_MAX : (UINT64_C(1) << part) - 1) << offset;

		met += access_line(cpu, pc, address - offset, mask, access == LINES_STORE,
				   is_counted);
		address += part;
		bytes -= part;
	}
	return met;
}

uint64_t lines_transfer(uint64_t address, uint64_t now, uint64_t cost)
{
	struct line *line = line_of(address - address % LINE_BYTES);

	line->free_at = (line->free_at > now ? line->free_at : now) + cost;
	return line->free_at - now;
}

/* ---- results ---------------------------------------------------------------------------------- */

static void add(struct lines_counts *sum, const struct lines_counts *counts)
{
	sum->misses += counts->misses;
	sum->false_misses += counts->false_misses;
	sum->upgrades += counts->upgrades;
}

void lines_settle(void)
{
	for (uint64_t i = 0; i < model.line_slots; i++) {
		model.line[i].counts = (struct lines_counts){0};
		for (unsigned cpu = 0; model.line[i].parts && cpu < model.cpus; cpu++)
			settle(&model.line[i].parts[cpu]);
	}
	model.totals.counts = (struct lines_counts){0};
	for (uint64_t i = 0; i < model.place_slots; i++) {
		const struct lines_place *place = model.place[i];

		if (!place)
			continue;
		add(&line_of(place->line)->counts, &place->counts);
		add(&model.totals.counts, &place->counts);
	}
}

const struct lines_totals *lines_totals(void)
{
	return &model.totals;
}

static int by_site(const void *left, const void *right)
{
	const struct lines_site *a = left, *b = right;

	if (a->range != b->range)
		return (a->range > b->range) - (a->range < b->range);
	return (a->pc > b->pc) - (a->pc < b->pc);
}

/* One for each place; those of one site are neighbours. */
static struct lines_site *sorted_sites(void)
{
	struct lines_site *sites = need(model.places + 1, sizeof(*sites));
	uint64_t count = 0;

	for (uint64_t i = 0; i < model.place_slots; i++)
		if (model.place[i])
			sites[count++] = (struct lines_site){range_of(model.place[i]->line),
							     model.place[i]->pc,
							     model.place[i]->counts};
	qsort(sites, count, sizeof(*sites), by_site);
	return sites;
}

void lines_each_site(lines_visit_site *visit, void *to)
{
	struct lines_site *sites = sorted_sites();

	for (uint64_t i = 0; i < model.places; i++)
		if (i + 1 < model.places && by_site(&sites[i], &sites[i + 1]) == 0)
			add(&sites[i + 1].counts, &sites[i].counts);
		else
			visit(&sites[i], to);
	free(sites);
}

static uint64_t met(const struct lines_counts *counts)
{
	return counts->misses + counts->upgrades;
}

/* Most first. */
static int compare(const struct lines_counts *a, const struct lines_counts *b)
{
	return (met(b) > met(a)) - (met(b) < met(a));
}

static int by_heat(const void *left, const void *right)
{
	const struct line *a = *(struct line *const *)left, *b = *(struct line *const *)right;
	int order = compare(&a->counts, &b->counts);

	return order ? order : (a->key > b->key) - (a->key < b->key);
}

static uint64_t cpus_that_met(const struct line *line)
{
	uint64_t cpus = 0;

	for (unsigned cpu = 0; cpu < model.cpus; cpu++)
		cpus += line->parts[cpu].met;
	return cpus;
}

void lines_each_hot(unsigned most, lines_visit_line *visit, void *to)
{
	const struct line **hot = need(model.lines + 1, sizeof(*hot));
	uint64_t count = 0;

	for (uint64_t i = 0; i < model.line_slots; i++)
		if (met(&model.line[i].counts))
			hot[count++] = &model.line[i];
	qsort(hot, count, sizeof(*hot), by_heat);
	for (uint64_t i = 0; i < count && i < most; i++) {
		struct lines_line line = {hot[i]->key - 1, hot[i]->counts, cpus_that_met(hot[i])};

		visit(&line, to);
	}
	free(hot);
}

static int by_place(const void *left, const void *right)
{
	const struct lines_place *a = *(struct lines_place *const *)left,
				 *b = *(struct lines_place *const *)right;
	int order = compare(&a->counts, &b->counts);

	return order ? order : (a->pc > b->pc) - (a->pc < b->pc);
}

void lines_each_place(uint64_t line, lines_visit_place *visit, void *to)
{
	const struct lines_place **places = need(model.places + 1, sizeof(*places));
	uint64_t count = 0;

	for (uint64_t i = 0; i < model.place_slots; i++)
		if (model.place[i] && model.place[i]->line == line)
			places[count++] = model.place[i];
	qsort(places, count, sizeof(*places), by_place);
	for (uint64_t i = 0; i < count; i++)
		visit(places[i], to);
	free(places);
}
