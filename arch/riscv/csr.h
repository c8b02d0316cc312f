/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * csr.h - the control and status registers we use (RISC-V Privileged 20211203, chapter 4), and WFI.
 */
#pragma once

#define CSR_STRING_(name) #name
#define CSR_STRING(name)  CSR_STRING_(name)

#define csr_read(csr)                                                                              \
	({                                                                                         \
		unsigned long value_;                                                              \
		__asm__ volatile("csrr %0, " CSR_STRING(csr) : "=r"(value_)::"memory");            \
		value_;                                                                            \
	})

#define csr_write(csr, value)                                                                      \
	__asm__ volatile("csrw " CSR_STRING(csr) ", %0" ::"rK"((unsigned long)(value)) : "memory")

#define csr_set(csr, bits)                                                                         \
	__asm__ volatile("csrs " CSR_STRING(csr) ", %0" ::"rK"((unsigned long)(bits)) : "memory")

#define csr_clear(csr, bits)                                                                       \
	__asm__ volatile("csrc " CSR_STRING(csr) ", %0" ::"rK"((unsigned long)(bits)) : "memory")

#define csr_read_clear(csr, bits)                                                                  \
	({                                                                                         \
		unsigned long value_;                                                              \
		__asm__ volatile("csrrc %0, " CSR_STRING(csr) ", %1"                               \
				 : "=r"(value_)                                                    \
				 : "rK"((unsigned long)(bits))                                     \
				 : "memory");                                                      \
		value_;                                                                            \
	})

#define wait_for_interrupt() __asm__ volatile("wfi" ::: "memory")

#define CSR_STIMECMP 0x14d /* Sstc extension; older assemblers do not know its name */

#define SSTATUS_SIE (1ul << 1)

#define SIE_SOFTWARE (1ul << 1)
#define SIE_TIMER    (1ul << 5)

#define SCAUSE_INTERRUPT (1ul << 63)
#define SCAUSE_SOFTWARE	 (SCAUSE_INTERRUPT | 1)
#define SCAUSE_TIMER	 (SCAUSE_INTERRUPT | 5)
