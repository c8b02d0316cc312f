/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.h - what this boot was asked for and found. Read by all; written while it boots, on cpu 0:
 * the arguments by arguments.c (and by configure.c, which a sweep calls), the tree and the time base
 * by tree.c, the cpus by start.c, the clocks by clock.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/bootargs.h"
#include "kernel/boot/devicetree.h"

/* How this kernel was built; CHECKS is in mm/percpu/cache.h. */
#if defined(__riscv_zbb)
#define SETTINGS_ZBB 1
#else
#define SETTINGS_ZBB 0
#endif

struct settings {
	/* Lock and caches are those in force: a sweep changes them (configure.h). */
	struct bootargs arguments;
	const struct devicetree *tree;
	uint64_t timebase;    /* ticks of the time CSR a second */
	uint64_t clock_hertz; /* ticks of port_clock() a second */
	unsigned cpus;	      /* that run */
	/* How much instret rises with each instruction; 0: it does not count instructions. */
	uint64_t count_step;
	bool counts_exactly; /* by 1: icount without a shift, or a real machine */
	/* time=virtual: harts take turns, instret counts the instructions of all (clock.h). */
	bool virtual_time;
};

extern struct settings settings;
