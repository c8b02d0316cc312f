/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact_memory.h - the small memory of the tests of exact.h: most frames are set aside and caches
 * are small, so a round that takes all frames is short on a machine of any size.
 */
#pragma once

#include <stdbool.h>

#include "mm/address.h"

#define EXACT_CAPACITY                                                                             \
	192 /* frames in a cache here, where caches are on: two batches of 64 and a word more */

/* Text for figures of a failure; one test uses it at a time. */
extern char exact_figures[160];

/* Sets memory aside and makes caches small; or undoes both. On cpu 0, at rest. */
void exact_begin(void);
void exact_end(void);

/* Whether there are several cpus with caches. */
bool exact_has_caches(void);

/* A list through the frames themselves, stamped with this cpu; PFN_NONE is the empty list. */
void exact_chain(pfn_t *newest, pfn_t frame);
bool exact_unchain(pfn_t *newest, pfn_t *frame); /* false: the list is empty */
void exact_free_chain(pfn_t *newest);

/*
 * Fills this cpu's cache to the last slot. *rest: frames that were taken for that and are still
 * out.
 */
void exact_fill_cache(pfn_t *rest);

/* The last cpu fills its cache; or gives back what it took for that. From cpu 0. */
void exact_fill_elsewhere(void);
void exact_empty_elsewhere(void);
