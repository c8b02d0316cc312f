/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * csr.h - arch/riscv/csr.h for the weak-memory explorer: each register that the compiled files
 * access is a pair of functions of harts.c.
 */
#pragma once

#include <stdint.h>

#define csr_read(csr)	      harts_read_##csr()
#define csr_write(csr, value) harts_write_##csr(value)
#define csr_set(csr, bits)    harts_set_##csr(bits)
#define csr_clear(csr, bits)  harts_clear_##csr(bits)

#define wait_for_interrupt() harts_wait()

#define SSTATUS_SIE  (1ul << 1)
#define SIE_SOFTWARE (1ul << 1)
#define SIE_TIMER    (1ul << 5)

uint64_t harts_read_time(void);
uint64_t harts_read_satp(void);
uint64_t harts_read_sstatus(void);
void harts_write_satp(uint64_t value);
void harts_write_CSR_STIMECMP(uint64_t value);
void harts_set_sie(uint64_t bits);
void harts_set_sstatus(uint64_t bits);
void harts_clear_sie(uint64_t bits);
void harts_clear_sip(uint64_t bits);
void harts_wait(void);
