/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.h - arch/riscv/cpu.h for test_cpu: one thread plays all cpus, and a variable is tp.
 */
#pragma once

#include <stdint.h>

#define ARCH_CPU_AREA_AT 0 /* the tests' areas are the blocks */

struct arch_cpu {
	unsigned number;
	uint64_t hart_id;
	unsigned trap_depth; /* 0: not in a trap handler */
};

extern struct arch_cpu *arch_self;

static inline struct arch_cpu *arch_cpu_self(void)
{
	return arch_self;
}
