/* SPDX-License-Identifier: BSD-2-Clause */
/* port.h - what arch/riscv/power.c sees of the kernel's port in test_power, which has all of it. */
#pragma once

#include <stdint.h>

unsigned long port_irq_save(void);
void port_relax(void);
void *port_phys_pointer(uint64_t address);
