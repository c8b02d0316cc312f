/* SPDX-License-Identifier: BSD-2-Clause */
/* cpu.h - arch/riscv/cpu.h for the weak-memory explorer: tp is the CPU whose turn it is. */
#pragma once

#include <stdint.h>

#define ARCH_CPU_AREA_AT 0 /* the tests' areas are the blocks */

struct arch_cpu {
	unsigned number;
	unsigned trap_depth;
	uint64_t hart_id;
};

struct arch_cpu *arch_cpu_self(void);
