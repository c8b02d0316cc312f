/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cells.c - measures what the guest asks for, and writes the records of what lines cost it.
 *
 * The guest says texts, half a byte a hint (tests/smp/cell_lines.c does):
 *
 *	cell NUMBER CPUS HALVINGS SEQUENCE	a run of this cell of a sweep begins
 *	range START BYTES NAME			memory that has a name in it
 *	cpu NUMBER				the hart that says it is this cpu
 *	end OPERATIONS				the run is over
 *
 * and each cpu executes a hint right before and right after its work. The model (lines.c) begins
 * with nothing in any cache at the first cpu's beginning, and sees what all cpus access until the
 * end. Counted is what a cpu accesses during its work: so the barriers around the work are not.
 *
 * Records, one a line, all of one run in a row: "lines", then "lines_site" of each instruction and
 * range that met misses, then "line" of each of the hottest lines.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"
#include "plugin.h"

#define LINES_HOTTEST  24
#define PLACES_OF_LINE 12
#define TEXT_MOST      160
#define NO_CPU	       UINT32_MAX

enum { HINT_SAID = 16, HINT_WORK_BEGINS, HINT_WORK_ENDS }; /* below: a nibble */

bool cells_measuring;

/* What a vcpu is saying: nibbles so far. */
struct saying {
	unsigned nibbles;
	char text[TEXT_MOST];
};

/* One cpu's part of the run. */
struct worker {
	bool works;
	uint64_t transfers;	  /* misses and upgrades */
	uint64_t stalled;	  /* instructions that these took */
	uint64_t begun, executed; /* at its beginning; then during its work */
	uint64_t time;
};

static struct {
	FILE *file;
	uint64_t cost;
	struct saying *saying[VCPUS_MOST];
	uint32_t cpu_of[VCPUS_MOST]; /* plus 1; 0: it has not said */
	uint64_t number, halvings, sequence;
	unsigned cpus; /* 0: no run */
	struct worker worker[LINES_CPUS];
} cells;

void cells_start(const char *path, uint64_t cost)
{
	cells.cost = cost;
	cells.file = fopen(path, "w");
	if (!cells.file)
		plugin_refuse("%s: cannot be written", path);
}

/* ---- records ---------------------------------------------------------------------------------- */

static void write_key(const char *record)
{
	fprintf(cells.file,
		"{\"record\":\"%s\",\"cell\":%" PRIu64 ",\"halvings\":%" PRIu64
		",\"sequence\":%" PRIu64,
		record, cells.number, cells.halvings, cells.sequence);
}

static void write_counts(const struct lines_counts *counts)
{
	fprintf(cells.file, ",\"misses\":%" PRIu64 ",\"false\":%" PRIu64 ",\"upgrades\":%" PRIu64,
		counts->misses, counts->false_misses, counts->upgrades);
}

/* A list of one member of all workers. */
static void write_list(const char *name, size_t member)
{
	fprintf(cells.file, ",\"%s\":[", name);
	for (unsigned cpu = 0; cpu < cells.cpus; cpu++)
		fprintf(cells.file, "%s%" PRIu64, cpu ? "," : "",
			*(const uint64_t *)((const char *)&cells.worker[cpu] + member));
	fprintf(cells.file, "]");
}

/* From the first cpu's beginning to the last one's end. */
static uint64_t elapsed(void)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (unsigned cpu = 0; cpu < cells.cpus; cpu++) {
		const struct worker *worker = &cells.worker[cpu];

		if (worker->begun < first)
			first = worker->begun;
		if (worker->begun + worker->time > last)
			last = worker->begun + worker->time;
	}
	return last - first;
}

static void write_run(uint64_t operations)
{
	const struct lines_totals *totals = lines_totals();

	write_key("lines");
	fprintf(cells.file,
		",\"cpus\":%u,\"operations\":%" PRIu64 ",\"line\":%" PRIu64 ",\"accesses\":%" PRIu64
		",\"cold\":%" PRIu64,
		cells.cpus, operations, cells.cost, totals->accesses, totals->cold);
	write_counts(&totals->counts);
	fprintf(cells.file, ",\"time\":%" PRIu64, elapsed());
	write_list("cpu_time", offsetof(struct worker, time));
	write_list("cpu_instructions", offsetof(struct worker, executed));
	write_list("cpu_transfers", offsetof(struct worker, transfers));
	write_list("cpu_stalled", offsetof(struct worker, stalled));
	fprintf(cells.file, "}\n");
}

static void write_site(const struct lines_site *site, void *unused)
{
	(void)unused;
	write_key("lines_site");
	fprintf(cells.file, ",\"range\":\"%s\",\"pc\":%" PRIu64,
		site->range ? site->range->name : "elsewhere", site->pc);
	write_counts(&site->counts);
	fprintf(cells.file, "}\n");
}

static void write_place(const struct lines_place *place, void *count)
{
	unsigned *written = count;

	if ((*written)++ >= PLACES_OF_LINE)
		return;
	fprintf(cells.file, "%s{\"pc\":%" PRIu64 ",\"offset\":%d", *written > 1 ? "," : "",
		place->pc, __builtin_ctzll(place->bytes));
	write_counts(&place->counts);
	fprintf(cells.file, "}");
}

static void write_line(const struct lines_line *line, void *unused)
{
	const struct lines_range *range = lines_range_of(line->address);
	unsigned written = 0;

	(void)unused;
	write_key("line");
	fprintf(cells.file, ",\"address\":%" PRIu64 ",\"range\":\"%s\",\"offset\":%" PRIu64,
		line->address, range ? range->name : "elsewhere",
		range ? line->address - range->start : 0);
	fprintf(cells.file, ",\"cpus\":%" PRIu64, line->cpus);
	write_counts(&line->counts);
	fprintf(cells.file, ",\"places\":[");
	lines_each_place(line->address, write_place, &written);
	fprintf(cells.file, "]}\n");
}

static void end_run(uint64_t operations)
{
	lines_settle();
	write_run(operations);
	lines_each_site(write_site, NULL);
	lines_each_hot(LINES_HOTTEST, write_line, NULL);
	fflush(cells.file); /* the launcher reads it while QEMU still runs */
	cells_measuring = false;
	cells.cpus = 0;
}

/* ---- what the guest says ---------------------------------------------------------------------- */

static void begin_run(unsigned cpus)
{
	if (cpus == 0 || cpus > LINES_CPUS)
		plugin_refuse("cost of lines: %u cpus, at most %u", cpus, LINES_CPUS);
	cells_measuring = false;
	cells.cpus = cpus;
	memset(cells.worker, 0, sizeof(cells.worker));
	lines_reset(cpus);
}

static void take_text(unsigned vcpu, const char *text)
{
	uint64_t a, b;
	unsigned cpus, cpu;
	char name[LINES_NAME];

	if (sscanf(text, "cell %" SCNu64 " %u %" SCNu64 " %" SCNu64, &cells.number, &cpus,
		   &cells.halvings, &cells.sequence) == 4)
		begin_run(cpus);
	else if (sscanf(text, "range %" SCNx64 " %" SCNx64 " %47s", &a, &b, name) == 3)
		lines_add_range(a, b, name);
	else if (sscanf(text, "cpu %u", &cpu) == 1)
		cells.cpu_of[vcpu] = cpu + 1;
	else if (sscanf(text, "end %" SCNu64, &a) == 1 && cells.cpus)
		end_run(a);
}

static void take_nibble(unsigned vcpu, unsigned nibble)
{
	struct saying *saying = cells.saying[vcpu];

	if (!saying)
		saying = cells.saying[vcpu] = calloc(1, sizeof(*saying));
	if (!saying || saying->nibbles / 2 + 1 >= TEXT_MOST)
		return;
	saying->text[saying->nibbles / 2] |= (char)(nibble << saying->nibbles % 2 * 4);
	saying->nibbles++;
}

static void take_end_of_text(unsigned vcpu)
{
	struct saying *saying = cells.saying[vcpu];

	if (!saying)
		return;
	take_text(vcpu, saying->text);
	memset(saying, 0, sizeof(*saying));
}

static struct worker *worker_of(unsigned vcpu)
{
	uint32_t cpu = cells.cpu_of[vcpu] - 1;

	return cpu < cells.cpus ? &cells.worker[cpu] : NULL;
}

static void begin_work(unsigned vcpu)
{
	struct worker *worker = worker_of(vcpu);

	if (!worker)
		return;
	cells_measuring = true;
	*worker = (struct worker){
		.works = true, .begun = turns_time(vcpu), .executed = turns_executed(vcpu)};
}

static void end_work(unsigned vcpu)
{
	struct worker *worker = worker_of(vcpu);

	if (!worker || !worker->works)
		return;
	worker->works = false;
	worker->time = turns_time(vcpu) - worker->begun;
	worker->executed = turns_executed(vcpu) - worker->executed;
}

void cells_hint(unsigned vcpu, unsigned number)
{
	if (!cells.file || vcpu >= VCPUS_MOST)
		return;
	if (number < HINT_SAID)
		take_nibble(vcpu, number);
	else if (number == HINT_SAID)
		take_end_of_text(vcpu);
	else if (number == HINT_WORK_BEGINS)
		begin_work(vcpu);
	else if (number == HINT_WORK_ENDS)
		end_work(vcpu);
}

static void stall(unsigned vcpu, struct worker *worker, uint64_t instructions)
{
	worker->stalled += worker->works ? instructions : 0;
	turns_stall(vcpu, instructions);
}

void cells_access(unsigned vcpu, uint64_t pc, uint64_t address, unsigned bytes, bool is_store)
{
	struct worker *worker = worker_of(vcpu);
	unsigned met;

	if (!worker)
		return;
	met = lines_access((unsigned)(worker - cells.worker), pc, address, bytes,
			   is_store ? LINES_STORE : LINES_LOAD, worker->works);
	worker->transfers += worker->works ? met : 0;
	if (met && cells.cost)
		stall(vcpu, worker, lines_transfer(address, turns_time(vcpu), met * cells.cost));
}
