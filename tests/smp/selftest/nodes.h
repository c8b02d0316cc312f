/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.h - NUMA: a test that each cpu takes the nearest frames there are, and how many of those
 * that the workloads took were near.
 */
#pragma once

#include "mm/percpu/cache.h"

/* NULL, or what was wrong. On cpu 0, with all frames at rest; nothing to see on a single node. */
const char *nodes_test(void);

/* What the cpu's cache counted over all runs. */
typedef const struct frame_cache_stats *nodes_stats(unsigned cpu);

/* A table and a `node` record each, where there is more than one node. */
void nodes_report(nodes_stats *stats_of);
void nodes_record(nodes_stats *stats_of);
