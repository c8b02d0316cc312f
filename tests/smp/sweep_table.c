/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_table.c - see sweep_table.h.
 *
 * A setting (cpus, policy, lock, cache, batch) has a column where rows of the table differ in it. One
 * that all rows have in common stands above the table. The figures follow, in the order of
 * sweep_columns.c, as many as fit into the line: all of them are in the records (sweep_report.c).
 */
#include "tests/smp/sweep_table.h"

#include <stdio.h>

#include "kernel/diag/console.h"
#include "tests/smp/sweep_columns.h"
#include "tests/smp/sweep_lock.h"
#include "tests/smp/sweep_report.h"

#define LINE_WIDTH 80
#define MARK_WIDTH 9 /* of the longest mark */

/* Rows of a number of cpus that stand apart from the next number's. */
#define ROWS_APART 4

/* The cells of one workload. */
struct table {
	const struct cell *cells;
	unsigned count;
	const struct setting *columns[SWEEP_SETTINGS];
	const struct figure *figures[SWEEP_FIGURES_MOST];
	unsigned column_count, figure_count;
};

/* ---- marks -------------------------------------------------------------------------------------- */

static const char *mark_of(const struct cell *cell)
{
	if (cell->unsupported)
		return "";
	if (cell->validity != CELL_VALID)
		return sweep_mark(cell->validity);
	return cell->half_turn > HALF_TURN_MOST ? "~length" : "";
}

static void print_reasons(const struct cell *cells, unsigned count)
{
	for (unsigned reason = CELL_NO_CORES; reason <= CELL_UNFAIR; reason++) {
		unsigned cells_with = 0;

		for (unsigned i = 0; i < count; i++)
			cells_with += !cells[i].unsupported && cells[i].validity == reason;
		if (cells_with)
			printf("%s: times and contended shares NOT MEASURABLE, %u of %u:\n  %s\n",
			       sweep_mark((enum cell_validity)reason), cells_with, count,
			       sweep_reason((enum cell_validity)reason));
	}
}

static void print_turns(const struct cell *cells, unsigned count)
{
	unsigned moved = 0;

	for (unsigned i = 0; i < count; i++)
		moved += !cells[i].unsupported && cells[i].half_turn > HALF_TURN_MOST;
	if (moved)
		printf("~length: turns of half the length change the time by more than %u %%, %u "
		       "of "
		       "%u\n",
		       HALF_TURN_MOST / 100, moved, count);
}

static void print_cut(const struct cell *cells, unsigned count)
{
	unsigned cut = 0;

	for (unsigned i = 0; i < count; i++)
		cut += !cells[i].unsupported && cells[i].rounds_cut;
	if (cut)
		printf("%u of %u were ended by their time: their figures are of what was done\n",
		       cut, count);
}

/* ---- the layout --------------------------------------------------------------------------------- */

static int width_of(int width)
{
	return width < 0 ? -width : width;
}

static bool differs(const struct table *table, const struct setting *setting)
{
	uint64_t first = SWEEP_NONE;

	for (unsigned i = 0; i < table->count; i++) {
		uint64_t value = setting->value(&table->cells[i]);

		if (value != SWEEP_NONE && first != SWEEP_NONE && value != first)
			return true;
		if (value != SWEEP_NONE)
			first = value;
	}
	return false;
}

static bool has_marks(const struct table *table)
{
	for (unsigned i = 0; i < table->count; i++)
		if (mark_of(&table->cells[i])[0])
			return true;
	return false;
}

static void choose_columns(struct table *table)
{
	int room = LINE_WIDTH - 1 - (has_marks(table) ? MARK_WIDTH + 1 : 0);

	for (unsigned i = 0; i < SWEEP_SETTINGS; i++)
		if (differs(table, &sweep_settings[i])) {
			table->columns[table->column_count++] = &sweep_settings[i];
			room -= width_of(sweep_settings[i].width) + 1;
		}
	for (const struct figure *figure = sweep_figures(table->cells); figure->name; figure++)
		if (figure->width < room) {
			table->figures[table->figure_count++] = figure;
			room -= figure->width + 1;
		} else {
			break;
		}
}

/* What all rows have in common. */
static void print_common(const struct table *table)
{
	const char *before = "  ", *end = "";

	for (unsigned i = 0; i < SWEEP_SETTINGS; i++) {
		const struct setting *setting = &sweep_settings[i];
		uint64_t value = SWEEP_NONE;
		char text[24];

		for (unsigned j = 0; j < table->count && value == SWEEP_NONE; j++)
			value = setting->value(&table->cells[j]);
		if (value == SWEEP_NONE || differs(table, setting))
			continue;
		printf("%s%s %s", before, setting->name, setting->text(value, text, sizeof(text)));
		before = ", ", end = "\n";
	}
	printf("%s", end);
}

static void print_head(const struct table *table)
{
	const struct workload *workload = table->cells->workload;

	printf("\n%s: %s\n", workload->name, workload->what);
	print_common(table);
	if (table->cells->lock_figures)
		sweep_lock_print_delays();
	printf(" ");
	for (unsigned i = 0; i < table->column_count; i++)
		printf(" %*s", table->columns[i]->width, table->columns[i]->name);
	for (unsigned i = 0; i < table->figure_count; i++)
		printf(" %*s", table->figures[i]->width, table->figures[i]->name);
	printf("\n");
}

static void print_row(const struct table *table, const struct cell *cell)
{
	const char *mark = mark_of(cell);
	char text[24];

	printf(" ");
	for (unsigned i = 0; i < table->column_count; i++) {
		const struct setting *setting = table->columns[i];

		printf(" %*s", setting->width,
		       setting->text(setting->value(cell), text, sizeof(text)));
	}
	if (cell->unsupported) {
		printf("  not run: %s\n", cell->unsupported);
		return;
	}
	for (unsigned i = 0; i < table->figure_count; i++)
		table->figures[i]->print(cell, table->figures[i]->width);
	printf("%s%s\n", *mark ? " " : "", mark);
}

/* Whether a blank line parts this row from the one before. */
static bool begins_a_group(const struct table *table, unsigned row)
{
	unsigned before = row ? table->cells[row - 1].configuration.cpus : 0;

	return row >= ROWS_APART && table->cells[row].configuration.cpus != before &&
	       table->cells[row - ROWS_APART].configuration.cpus == before;
}

static void print_table(struct table *table)
{
	choose_columns(table);
	print_head(table);
	for (unsigned i = 0; i < table->count; i++) {
		if (begins_a_group(table, i))
			printf("\n");
		print_row(table, &table->cells[i]);
	}
}

void sweep_print(const struct cell *cells, unsigned count)
{
	for (unsigned first = 0, end; first < count; first = end) {
		struct table table = {.cells = &cells[first]};

		for (end = first; end < count && cells[end].workload == cells[first].workload;)
			end++;
		table.count = end - first;
		print_table(&table);
	}
	printf("\n");
	print_cut(cells, count);
	print_turns(cells, count);
	print_reasons(cells, count);
	console_flush();
}
