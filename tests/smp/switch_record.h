/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * switch_record.h - the switches of a directed schedule, in their order, to be printed as records when a
 * test has failed. tools/explore_shrink.py reads them.
 *
 * One cpu at a time calls this (turns.busy in directed.c); at the end, cpu 0 or the cpu that panics.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum switch_why {
	WHY_SCHEDULE, /* the schedule chose another cpu */
	WHY_WAIT,     /* the cpu waited, as far as could be seen */
	WHY_END	      /* it had ended or stopped, or it is the first turn */
};

/* Memory that switch_records_begin() is given, zeroed. */
size_t switch_records_bytes(void);
void switch_records_begin(void *memory);

/*
 * `from`: the number of cpus at the first turn. Returns the number of the record, from 1; 0: there was no
 * room for it.
 */
unsigned switch_record(uint64_t step, unsigned from, unsigned to, enum switch_why why);

/* Where `from` was interrupted, or where it let interrupts in afterwards. Number 0: nothing is done. */
void switch_record_place(unsigned number, uint64_t pc);

/* All of them, and a record `schedule`. */
void switch_records_print(unsigned current, uint64_t steps);
