/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_columns.h - the columns that the tables of a sweep may have: settings of a cell, and its figures.
 * docs/measuring.md says what each figure is.
 */
#pragma once

#include <stddef.h>

#include "tests/smp/cell.h"

#define SWEEP_SETTINGS	   5
#define SWEEP_FIGURES_MOST 12

/* A value that a cell does not have: a batch, without a cache. */
#define SWEEP_NONE UINT64_MAX

struct setting {
	const char *name;
	int width; /* below 0: aligned to the left */
	uint64_t (*value)(const struct cell *cell);
	/* The text of a value; `text` has room for a number. */
	const char *(*text)(uint64_t value, char *text, size_t bytes);
};

/* Prints a space, and the figure in `width` characters. */
struct figure {
	const char *name;
	int width;
	void (*print)(const struct cell *cell, int width);
};

extern const struct setting sweep_settings[SWEEP_SETTINGS];

/* Those of a cell, the most important first; the last has no name. */
const struct figure *sweep_figures(const struct cell *cell);
