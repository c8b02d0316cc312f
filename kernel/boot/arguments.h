/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arguments.h - the boot arguments of this boot: read, and compared with what programs and this
 * machine can do. An argument that cannot be met ends the run with a failing verdict, which says
 * what is valid.
 *
 * The grammar is bootargs.h's. On cpu 0, before other harts start; in the order of these functions.
 */
#pragma once

/* Reads them out of the tree into settings.arguments. */
void arguments_read(void);

/* How many cpus to start, of `harts` that can run. */
unsigned arguments_choose_cpus(unsigned harts);

/*
 * Chooses the lock of all zones and the heap, and how cpus flush each other's translations. When
 * the cpus are counted.
 */
void arguments_choose_lock(void);
void arguments_choose_flush(void);

/*
 * The capacities of caches: sets the capacity that was not given. After memory_collect(). Returns
 * the largest of them, in frames.
 */
unsigned arguments_choose_caches(void);
