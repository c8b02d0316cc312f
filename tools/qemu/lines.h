/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.h - the model of a coherent cache: which accesses move a line from one cpu to another.
 *
 * Each cpu has a cache without bounds, of lines of 64 bytes. A line is in the cache of one cpu that
 * may write to it, or in the caches of several that may read it (MSI). So a cpu loses a line only
 * because another one writes to it. Of each access by a cpu that is counted:
 *
 *   miss      the cpu lacks the line, and another cpu has written to it since this cpu had it last,
 *             or since lines_reset() if it never had it
 *   upgrade   a store to a line that this cpu may read, and other cpus too: they lose it
 *   cold      the cpu lacks the line, and no other cpu has written to it since lines_reset()
 *
 * A miss is one of false sharing if the cpu, until it loses the line again (or lines_settle()),
 * touches no byte that another cpu has written since it had the line last. Else it is one of true
 * sharing (Dubois, Skeppstedt, Ricciulli, Ramamurthy and Stenstroem, ISCA 1993: useless misses).
 *
 * One thread calls all of it. The model knows nothing of QEMU: tests/host/test_lines.c drives it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define LINE_BYTES   64
#define LINES_CPUS   1024 /* at most */
#define LINES_RANGES 8192 /* at most */
#define LINES_NAME   48

enum lines_access {
	LINES_LOAD,
	LINES_STORE /* or a load that takes the line to write to it: an AMO, or LR */
};

struct lines_counts {
	uint64_t misses, false_misses, upgrades;
};

/* Memory that belongs together: [start, start + bytes). Ranges do not overlap. */
struct lines_range {
	uint64_t start, bytes;
	char name[LINES_NAME];
};

/* An instruction that met misses on a line. */
struct lines_place {
	uint64_t line, pc; /* line: address of its first byte */
	uint64_t bytes;	   /* of the line, that it accessed then: bit i for byte i */
	struct lines_counts counts;
};

struct lines_line {
	uint64_t address;
	struct lines_counts counts;
	uint64_t cpus; /* that met a miss or an upgrade there: how many */
};

/* Forgets all lines, counts and ranges. cpus 0..cpus-1 take part from now on. O(what there was). */
void lines_reset(unsigned cpus);

/* After lines_reset(). False: there are too many. */
bool lines_add_range(uint64_t start, uint64_t bytes, const char *name);

/*
 * The cpu accesses `bytes` bytes at the address, by the instruction at pc. An access across the end
 * of a line is of both lines. Returns how many misses and upgrades this was; they are counted where
 * is_counted says so. O(1), and O(cpus) for each of them.
 */
unsigned lines_access(unsigned cpu, uint64_t pc, uint64_t address, unsigned bytes,
		      enum lines_access access, bool is_counted);

/*
 * A miss or upgrade at the address begins at `now` and takes `cost`; the line makes one transfer after
 * the other. Returns how long this one waits and takes.
 */
uint64_t lines_transfer(uint64_t address, uint64_t now, uint64_t cost);

/* Misses whose kind is still open count as false sharing: the end of a measurement. */
void lines_settle(void);

struct lines_totals {
	uint64_t accesses, cold;
	struct lines_counts counts;
};

/* Of all counted accesses since lines_reset(). */
const struct lines_totals *lines_totals(void);

/* The range of an address; NULL: it is in none. */
const struct lines_range *lines_range_of(uint64_t address);

/* What one instruction met in one range. */
struct lines_site {
	const struct lines_range *range; /* NULL: memory in no range */
	uint64_t pc;
	struct lines_counts counts;
};

/*
 * After lines_settle(). All sites, by range and pc; the lines with the most misses and upgrades, at
 * most `most` of them, most first, by rising address where equal; all places of one line, most
 * first, by rising pc where equal.
 */
typedef void lines_visit_site(const struct lines_site *site, void *to);
typedef void lines_visit_line(const struct lines_line *line, void *to);
typedef void lines_visit_place(const struct lines_place *place, void *to);

void lines_each_site(lines_visit_site *visit, void *to);
void lines_each_hot(unsigned most, lines_visit_line *visit, void *to);
void lines_each_place(uint64_t line, lines_visit_place *visit, void *to);
