/* SPDX-License-Identifier: BSD-2-Clause */
/* wait_report.c - see wait_report.h. */
#include "kernel/diag/wait_report.h"

#include <stdio.h>

#include "kernel/diag/contention.h"
#include "kernel/diag/figures.h"
#include "kernel/diag/record.h"
#include "kernel/program_memory.h"

/* In a table of all cpus; all of their pairs fit in a record. */
#define CPUS_SHOWN   8
#define PAIRS_SHOWN  8
#define LINE_WIDTH   80
#define NUMBER_WIDTH 10 /* or less, where it is the table of many cpus */
#define PAIRS_RECORD (CPUS_SHOWN * CPUS_SHOWN)

/* The heaviest pairs of cpus, by rising weight of what is left out. */
struct heaviest {
	unsigned most, count;
	uint64_t waiter[PAIRS_RECORD], holder[PAIRS_RECORD];
	struct spin_waits waits[PAIRS_RECORD];
	struct spin_waits others;
};

/* ---- where the waits come from ------------------------------------------------------------------ */

static struct spin_waits read_now(const struct wait_report *report, unsigned waiter, unsigned holder)
{
	return wait_matrix_read(report->lock, waiter, holder);
}

static struct spin_waits read_sum(const struct wait_report *report, unsigned waiter, unsigned holder)
{
	return report->sum ? report->sum[(size_t)waiter * report->cpus + holder]
			   : (struct spin_waits){0};
}

void wait_report_now(struct wait_report *report, const struct spinlock *lock, unsigned cpus)
{
	*report = (struct wait_report){
		.name = lock->name, .cpus = cpus, .read = read_now, .lock = lock};
	spin_sites_add(lock, &report->sites);
}

void wait_report_begin(struct wait_report *report, unsigned cpus)
{
	*report = (struct wait_report){.name = "", .cpus = cpus, .read = read_sum};
	report->sum = program_memory_alloc((size_t)cpus * cpus * sizeof(*report->sum));
}

static void add(struct spin_waits *sum, struct spin_waits waits)
{
	sum->count += waits.count;
	sum->ticks += waits.ticks;
}

void wait_report_add(struct wait_report *report, const struct spinlock *lock)
{
	report->name = lock->name;
	spin_sites_add(lock, &report->sites);
	if (!report->sum)
		return;
	for (unsigned waiter = 0; waiter < report->cpus; waiter++)
		for (unsigned holder = 0; holder < report->cpus; holder++)
			add(&report->sum[(size_t)waiter * report->cpus + holder],
			    wait_matrix_read(lock, waiter, holder));
}

static bool row_adds_up(const struct spinlock *lock, unsigned waiter)
{
	const struct spin_times *wait = &spin_stats_of(lock, waiter)->wait;
	struct spin_waits row = {0};

	for (unsigned holder = 0; holder < lock->cpu_count; holder++)
		add(&row, wait_matrix_read(lock, waiter, holder));
	return row.count == wait->samples && row.ticks == wait->ticks_total;
}

bool wait_report_adds_up(const struct spinlock *lock)
{
	struct spin_sites sites = {0};
	struct spin_stats stats = {0};
	struct spin_waits all;

	if (!wait_matrix_exists(lock))
		return true;
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
		if (!row_adds_up(lock, cpu))
			return false;
	spin_sites_add(lock, &sites);
	spin_stats_add(lock, &stats);
	all = sites.others;
	for (unsigned i = 0; i < SPIN_SITE_PAIRS; i++)
		add(&all, sites.pair[i].waits);
	return all.count == stats.wait.samples && all.ticks == stats.wait.ticks_total;
}

/* ---- the heaviest ------------------------------------------------------------------------- */

/* Puts the pair in its place by ticks; a pair that is pushed out at the end is added to the others. */
static void heaviest_add(struct heaviest *heaviest, uint64_t waiter, uint64_t holder,
			 struct spin_waits waits)
{
	unsigned place = heaviest->count;

	if (place == heaviest->most) {
		if (waits.ticks <= heaviest->waits[place - 1].ticks) {
			add(&heaviest->others, waits);
			return;
		}
		add(&heaviest->others, heaviest->waits[--place]);
	} else {
		heaviest->count++;
	}
	for (; place && heaviest->waits[place - 1].ticks < waits.ticks; place--) {
		heaviest->waiter[place] = heaviest->waiter[place - 1];
		heaviest->holder[place] = heaviest->holder[place - 1];
		heaviest->waits[place] = heaviest->waits[place - 1];
	}
	heaviest->waiter[place] = waiter;
	heaviest->holder[place] = holder;
	heaviest->waits[place] = waits;
}

/* One at a time, on cpu 0, and large for a stack. */
static struct heaviest *heaviest_cpus(const struct wait_report *report, unsigned most)
{
	static struct heaviest found;

	found = (struct heaviest){.most = most};
	for (unsigned waiter = 0; waiter < report->cpus; waiter++)
		for (unsigned holder = 0; holder < report->cpus; holder++) {
			struct spin_waits waits = report->read(report, waiter, holder);

			if (waits.count)
				heaviest_add(&found, waiter, holder, waits);
		}
	return &found;
}

static struct heaviest *heaviest_sites(const struct wait_report *report, unsigned most)
{
	static struct heaviest found;

	found = (struct heaviest){.most = most, .others = report->sites.others};
	for (unsigned i = 0; i < SPIN_SITE_PAIRS; i++) {
		const struct spin_site_pair *pair = &report->sites.pair[i];

		if (pair->waits.count)
			heaviest_add(&found, pair->waiter, pair->holder, pair->waits);
	}
	return &found;
}

/* ---- for people --------------------------------------------------------------------------- */

static unsigned long long time_of(const struct wait_report *report, struct spin_waits waits)
{
	return ticks_to_ns(waits.ticks, report->cpus) / time_unit_ns();
}

/* Of a number in the table, without the space before it: one for each cpu, and one for the unknown. */
static int number_width(const struct wait_report *report)
{
	int most = (LINE_WIDTH - 8) / ((int)report->cpus + 1) - 1;

	return most < NUMBER_WIDTH ? most : NUMBER_WIDTH;
}

/* In thousands or millions, where it is too long: the records have all digits. */
static void print_number(int width, unsigned long long value)
{
	static const char *const units[] = {"", "k", "M", "G"};
	unsigned unit = 0;
	char text[32];
	int length = snprintf(text, sizeof(text), "%llu", value);

	while (length > width && unit < 3)
		length = snprintf(text, sizeof(text), "%llu%s", value /= 1000, units[++unit]);
	printf(" %*s", width, text);
}

/* A row of counts, and under it a row of times; the diagonal, where the holder is unknown, goes last. */
static void print_row(const struct wait_report *report, unsigned waiter)
{
	int width = number_width(report);

	printf("    %4u", waiter);
	for (unsigned i = 0; i <= report->cpus; i++) {
		unsigned holder = i < report->cpus ? i : waiter;

		if (i == waiter)
			printf(" %*s", width, ".");
		else
			print_number(width, report->read(report, waiter, holder).count);
	}
	printf("\n   %5s", time_unit());
	for (unsigned i = 0; i <= report->cpus; i++) {
		unsigned holder = i < report->cpus ? i : waiter;

		if (i == waiter)
			printf(" %*s", width, "");
		else
			print_number(width, time_of(report, report->read(report, waiter, holder)));
	}
	printf("\n");
}

static void print_matrix(const struct wait_report *report)
{
	int width = number_width(report);

	printf("\n  %s, which cpu waited for which: rows wait, columns hold; waits, then %s\n"
	       "    %4s",
	       report->name, time_unit(), "cpu");
	for (unsigned cpu = 0; cpu < report->cpus; cpu++)
		printf(" %*u", width, cpu);
	printf(" %*s\n", width, "unknown");
	for (unsigned waiter = 0; waiter < report->cpus; waiter++)
		print_row(report, waiter);
}

static void print_weight(const struct wait_report *report, struct spin_waits waits)
{
	printf("    %10llu waits %10llu %s  ", (unsigned long long)waits.count,
	       time_of(report, waits), time_unit());
}

static void print_others(const struct wait_report *report, const struct heaviest *heaviest)
{
	if (!heaviest->others.count)
		return;
	print_weight(report, heaviest->others);
	printf("all others\n");
}

static void print_pairs(const struct wait_report *report, const struct heaviest *heaviest)
{
	printf("\n  %s, which cpu waited for which: the heaviest pairs\n", report->name);
	for (unsigned i = 0; i < heaviest->count; i++) {
		print_weight(report, heaviest->waits[i]);
		printf("cpu %u for ", (unsigned)heaviest->waiter[i]);
		if (heaviest->holder[i] == heaviest->waiter[i])
			printf("one not known\n");
		else
			printf("cpu %u\n", (unsigned)heaviest->holder[i]);
	}
	print_others(report, heaviest);
}

/* The addresses end the line: the launcher puts their names behind it. */
static void print_sites(const struct wait_report *report, const struct heaviest *heaviest)
{
	printf("\n  %s, where it was waited for, and where it had been taken\n", report->name);
	for (unsigned i = 0; i < heaviest->count; i++) {
		print_weight(report, heaviest->waits[i]);
		printf("[<%#llx>] for ", (unsigned long long)heaviest->waiter[i]);
		if (heaviest->holder[i])
			printf("[<%#llx>]\n", (unsigned long long)heaviest->holder[i]);
		else
			printf("one not known\n");
	}
	print_others(report, heaviest);
}

void wait_report_print(const struct wait_report *report)
{
	const struct heaviest *heaviest;

	if (!contention_is_measurable())
		return;
	heaviest = heaviest_cpus(report, PAIRS_SHOWN);
	if (heaviest->count && report->cpus <= CPUS_SHOWN)
		print_matrix(report);
	else if (heaviest->count)
		print_pairs(report, heaviest);
	heaviest = heaviest_sites(report, PAIRS_SHOWN);
	if (heaviest->count)
		print_sites(report, heaviest);
}

/* ---- for programs ------------------------------------------------------------------------- */

struct names {
	const char *waiter, *holder, *waits, *wait_ns, *others_waits, *others_wait_ns;
};

static void record_heaviest(const struct wait_report *report, const struct heaviest *heaviest,
			    const struct names *names)
{
	uint64_t waits[PAIRS_RECORD], ns[PAIRS_RECORD];

	for (unsigned i = 0; i < heaviest->count; i++) {
		waits[i] = heaviest->waits[i].count;
		ns[i] = ticks_to_ns(heaviest->waits[i].ticks, report->cpus);
	}
	record_numbers(names->waiter, heaviest->waiter, heaviest->count);
	record_numbers(names->holder, heaviest->holder, heaviest->count);
	record_numbers(names->waits, waits, heaviest->count);
	record_numbers(names->wait_ns, ns, heaviest->count);
	record_number(names->others_waits, heaviest->others.count);
	record_number(names->others_wait_ns, ticks_to_ns(heaviest->others.ticks, report->cpus));
}

void wait_report_record(const struct wait_report *report)
{
	static const struct names cpus = {"blame_waiter",	"blame_holder",
					  "blame_waits",	"blame_wait_ns",
					  "blame_others_waits", "blame_others_wait_ns"};
	static const struct names sites = {"site_waiter",	"site_holder",
					   "site_waits",	"site_wait_ns",
					   "site_others_waits", "site_others_wait_ns"};

	if (!contention_is_measurable())
		return;
	record_heaviest(report, heaviest_cpus(report, PAIRS_RECORD), &cpus);
	record_heaviest(report, heaviest_sites(report, PAIRS_RECORD), &sites);
}
