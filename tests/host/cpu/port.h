/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - what kernel/smp/ sees of mm/'s port in test_cpu, which has all of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/cpu.h"

static inline unsigned port_cpu(void)
{
	return arch_cpu_self()->number;
}

unsigned port_cpu_count(void);
unsigned port_cpu_group(void);
void *port_area_of(unsigned cpu);
/* Declared for mm/platform.h alone: the code under test calls none of these. */
void *port_area(void);
uint64_t port_clock(void);
void *port_phys_pointer(uint64_t address);
uint64_t port_phys_address(const void *pointer);
bool port_in_trap(void);
unsigned long port_irq_save(void);
void port_irq_restore(unsigned long flags);
void port_relax(void);
void port_ipi_send(unsigned first, uint64_t set);
_Noreturn void port_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
