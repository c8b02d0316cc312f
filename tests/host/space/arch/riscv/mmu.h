/* SPDX-License-Identifier: BSD-2-Clause */
/* mmu.h - arch/riscv/mmu.h for test_space: hardware and firmware are simulated (simulated.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MMU_OFF		    0
#define MMU_FLUSH_PAGES_MAX 64

void mmu_use(uint64_t satp);
void mmu_switch(uint64_t satp);
uint64_t mmu_used(void);
uint64_t mmu_asid_max(void);
void mmu_flush(uint64_t start, uint64_t bytes);
bool mmu_flush_harts(uint64_t first_hart, uint64_t mask, uint64_t start, uint64_t bytes);
bool mmu_try_load(const uint64_t *address, uint64_t *value);
bool mmu_try_store(uint64_t *address, uint64_t value);
