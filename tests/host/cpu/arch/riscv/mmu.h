/* SPDX-License-Identifier: BSD-2-Clause */
/* mmu.h - arch/riscv/mmu.h for test_cpu: satp is a variable, and a hart comes back with none. */
#pragma once

#include <stdint.h>

#define MMU_OFF 0

extern uint64_t sim_satp;

static inline void mmu_use(uint64_t satp)
{
	sim_satp = satp;
}

static inline uint64_t mmu_used(void)
{
	return sim_satp;
}
