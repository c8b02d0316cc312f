/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_lines.c - the model of a coherent cache in QEMU's plugin, on made-up accesses.
 *
 * A second model, slow and written from the definitions (lines.h), looks at the same random
 * accesses: it keeps the whole history of each byte instead of masks.
 *
 * Covers: tools/qemu/lines.c
 */
#include <inttypes.h>
#include <string.h>

#include "tools/qemu/lines.h"
#include "unit.h"

#define LINE UINT64_C(0x80001000)

static unsigned load(unsigned cpu, uint64_t address)
{
	return lines_access(cpu, 0x100, address, 8, LINES_LOAD, true);
}

static unsigned store(unsigned cpu, uint64_t address)
{
	return lines_access(cpu, 0x200, address, 8, LINES_STORE, true);
}

static const struct lines_counts *settled(void)
{
	lines_settle();
	return &lines_totals()->counts;
}

TEST(a_cpu_alone_meets_nothing)
{
	lines_reset(2);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(store(1, LINE + 8 * (i % 32)), 0);
		CHECK_EQ(load(1, LINE + 8 * (i % 32)), 0);
	}
	CHECK_EQ(settled()->misses, 0);
	CHECK_EQ(lines_totals()->cold, 4);
	CHECK_EQ(lines_totals()->accesses, 200);
}

TEST(what_all_only_read_is_cold_and_no_miss)
{
	lines_reset(3);
	for (unsigned cpu = 0; cpu < 3; cpu++)
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(load(cpu, LINE), 0);
	CHECK_EQ(settled()->misses, 0);
	CHECK_EQ(lines_totals()->cold, 3);
}

TEST(a_word_that_goes_to_and_fro_is_true_sharing)
{
	lines_reset(2);
	store(0, LINE);
	for (unsigned i = 1; i <= 10; i++)
		CHECK_EQ(store(i % 2, LINE), 1);
	CHECK_EQ(settled()->misses, 10);
	CHECK_EQ(settled()->false_misses, 0);
	CHECK_EQ(settled()->upgrades, 0);
}

TEST(neighbours_in_one_line_are_false_sharing)
{
	lines_reset(2);
	store(0, LINE);
	for (unsigned i = 1; i <= 10; i++)
		CHECK_EQ(store(i % 2, LINE + 8 * (i % 2)), 1);
	/* The first miss of cpu 1 too: it never looked at what cpu 0 wrote. */
	CHECK_EQ(settled()->misses, 10);
	CHECK_EQ(settled()->false_misses, 10);
}

TEST(a_miss_is_true_if_the_new_byte_is_touched_later)
{
	lines_reset(2);
	store(0, LINE);
	CHECK_EQ(store(1, LINE + 8), 1);
	CHECK_EQ(load(1, LINE), 0);
	CHECK_EQ(settled()->misses, 1);
	CHECK_EQ(settled()->false_misses, 0);
}

TEST(a_store_to_what_others_read_is_an_upgrade)
{
	lines_reset(4);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		load(cpu, LINE);
	CHECK_EQ(store(2, LINE), 1);
	CHECK_EQ(store(2, LINE), 0); /* it is alone now */
	CHECK_EQ(load(0, LINE), 1);
	CHECK_EQ(load(2, LINE), 0); /* the owner kept it, to read */
	CHECK_EQ(store(2, LINE), 1);
	CHECK_EQ(settled()->upgrades, 2);
	CHECK_EQ(settled()->misses, 1);
	CHECK_EQ(settled()->false_misses, 0);
}

TEST(an_access_across_two_lines_is_of_both)
{
	lines_reset(2);
	store(0, LINE + 60);
	CHECK_EQ(load(1, LINE + 60), 2);
	CHECK_EQ(settled()->misses, 2);
	CHECK_EQ(settled()->false_misses, 0);
}

TEST(what_is_not_counted_still_moves_lines)
{
	lines_reset(2);
	lines_access(0, 0x300, LINE, 8, LINES_STORE, false);
	CHECK_EQ(load(1, LINE), 1);
	CHECK_EQ(lines_access(0, 0x300, LINE, 8, LINES_STORE, false), 1);
	CHECK_EQ(settled()->misses, 1);
	CHECK_EQ(settled()->upgrades, 0);
	CHECK_EQ(lines_totals()->accesses, 1);
}

TEST(a_line_makes_one_transfer_after_the_other)
{
	lines_reset(2);
	CHECK_EQ(lines_transfer(LINE + 8, 100, 40), 40);
	CHECK_EQ(lines_transfer(LINE, 110, 40), 70);
	CHECK_EQ(lines_transfer(LINE + 64, 110, 40), 40);
	CHECK_EQ(lines_transfer(LINE, 180, 40), 40);
}

/* ---- names ---- */

struct seen {
	unsigned count;
	struct lines_line line[4];
	struct lines_site site[8];
};

static void see_line(const struct lines_line *line, void *to)
{
	struct seen *seen = to;

	CHECK(seen->count < 4);
	seen->line[seen->count++] = *line;
}

static void see_site(const struct lines_site *site, void *to)
{
	struct seen *seen = to;

	CHECK(seen->count < 8);
	seen->site[seen->count++] = *site;
}

TEST(a_bad_layout_is_named)
{
	struct seen lines = {0}, sites = {0};

	lines_reset(2);
	CHECK(lines_add_range(LINE + 64, 64, "good"));
	CHECK(lines_add_range(LINE, 64, "counters"));
	for (unsigned i = 0; i < 50; i++) {
		store(i % 2, LINE + 8 * (i % 2)); /* two counters of two cpus */
		lines_access(i % 2, 0x400, LINE + 64, 4, LINES_LOAD, true);
		lines_access(0, 0x500, LINE + 4096, 4, i == 20 ? LINES_STORE : LINES_LOAD, true);
		lines_access(1, 0x600, LINE + 4096, 4, LINES_LOAD, true);
	}
	lines_settle();
	lines_each_hot(4, see_line, &lines);
	CHECK_EQ(lines.count, 2);
	CHECK_EQ(lines.line[0].address, LINE);
	CHECK_EQ(lines.line[0].counts.misses, 49);
	CHECK_EQ(lines.line[0].counts.false_misses, 49);
	CHECK_EQ(lines.line[0].cpus, 2);
	CHECK_EQ(lines.line[1].address, LINE + 4096);
	CHECK_EQ(lines.line[1].counts.misses, 1);
	CHECK_EQ(lines.line[1].counts.false_misses, 0);
	CHECK_EQ(lines.line[1].counts.upgrades, 1);
	lines_each_site(see_site, &sites);
	CHECK_EQ(sites.count, 3); /* the last two in no range */
	for (unsigned i = 0; i < 2; i++)
		CHECK(sites.site[i].range == NULL);
	CHECK(strcmp(sites.site[2].range->name, "counters") == 0);
	CHECK_EQ(sites.site[2].pc, 0x200);
	CHECK_EQ(sites.site[2].counts.false_misses, 49);
	CHECK(strcmp(lines_range_of(LINE + 127)->name, "good") == 0);
	CHECK(lines_range_of(LINE + 128) == NULL);
}

/* ---- against the definitions ---- */

#define CPUS  3
#define SPOTS 4 /* lines */

/* When each byte was written and by which cpu; what each cpu has, and since when it lacks it. */
static struct {
	uint64_t now;
	uint64_t written[SPOTS][64][CPUS]; /* last time; 0: never */
	struct {
		bool has, open;
		uint64_t lost;	       /* when; 0: it never had it */
		uint64_t missed_after; /* open miss: bytes written by others later than this are news */
		uint64_t missed_at;
	} of[SPOTS][CPUS];
	struct lines_counts counts;
	uint64_t cold;
} slow;

static bool is_news(unsigned spot, unsigned byte, unsigned cpu, uint64_t after, uint64_t until)
{
	for (unsigned other = 0; other < CPUS; other++)
		if (other != cpu && slow.written[spot][byte][other] > after &&
		    slow.written[spot][byte][other] <= until)
			return true;
	return false;
}

static void slow_close(unsigned spot, unsigned cpu)
{
	slow.counts.false_misses += slow.of[spot][cpu].open;
	slow.of[spot][cpu].open = false;
}

static void slow_access(unsigned cpu, unsigned spot, unsigned first, unsigned bytes, bool is_store)
{
	bool others = false, missed = false, had = slow.of[spot][cpu].has;

	slow.now++;
	for (unsigned byte = 0; byte < 64 && !had; byte++)
		missed |= is_news(spot, byte, cpu, slow.of[spot][cpu].lost, slow.now);
	if (!had) {
		slow.counts.misses += missed;
		slow.cold += !missed;
		slow.of[spot][cpu].has = true;
		slow.of[spot][cpu].open = missed;
		slow.of[spot][cpu].missed_after = slow.of[spot][cpu].lost;
		slow.of[spot][cpu].missed_at = slow.now;
	}
	for (unsigned byte = first; byte < first + bytes; byte++)
		if (slow.of[spot][cpu].open &&
		    is_news(spot, byte, cpu, slow.of[spot][cpu].missed_after,
			    slow.of[spot][cpu].missed_at))
			slow.of[spot][cpu].open = false;
	if (!is_store)
		return;
	for (unsigned other = 0; other < CPUS; other++)
		if (other != cpu && slow.of[spot][other].has) {
			others = true;
			slow_close(spot, other);
			slow.of[spot][other].has = false;
			slow.of[spot][other].lost = slow.now - 1;
		}
	slow.counts.upgrades += others && !missed && had;
	for (unsigned byte = first; byte < first + bytes; byte++)
		slow.written[spot][byte][cpu] = slow.now;
}

TEST(random_accesses_as_the_definitions_say)
{
	memset(&slow, 0, sizeof(slow));
	lines_reset(CPUS);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned cpu = (unsigned)unit_random_below(CPUS);
		unsigned spot = (unsigned)unit_random_below(SPOTS);
		unsigned bytes = 1u << unit_random_below(4);
		unsigned first = (unsigned)unit_random_below(64 / bytes) * bytes;
		bool is_store = unit_random_below(4) == 0;

		slow_access(cpu, spot, first, bytes, is_store);
		lines_access(cpu, 0x100 + 4 * spot, LINE + 64 * spot + first, bytes,
			     is_store ? LINES_STORE : LINES_LOAD, true);
	}
	for (unsigned spot = 0; spot < SPOTS; spot++)
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			slow_close(spot, cpu);
	CHECK_EQ(settled()->misses, slow.counts.misses);
	CHECK_EQ(settled()->false_misses, slow.counts.false_misses);
	CHECK_EQ(settled()->upgrades, slow.counts.upgrades);
	CHECK_EQ(lines_totals()->cold, slow.cold);
	CHECK(slow.counts.false_misses > 100);
	CHECK(slow.counts.misses - slow.counts.false_misses > 100);
}
