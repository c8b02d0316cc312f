/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.h - the harts of this machine become cpus: counted, given a block and stacks, started.
 *
 * Cpu numbers are dense and in the tree's order, whichever harts fail to come: a hart gets the next
 * number while it is being started, and leaves it to the next hart if it does not come. On cpu 0.
 */
#pragma once

/*
 * Counts the harts that can run. A hart that cannot run is left alone, and the console says why. A
 * machine without a usable hart ends the run.
 */
unsigned start_count_harts(void);

/*
 * Takes early memory for blocks and stacks of `count` cpus; the boot hart moves from its first
 * block to block 0, and port_cpu_count() is right from here on. After start_count_harts().
 */
void start_make_cpus(unsigned count);

/*
 * Starts the other harts, one after the other, and sets settings.cpus to the cpus that run. A hart
 * that does not come fails the verdict, and the run goes on without it.
 */
void start_harts(void);
