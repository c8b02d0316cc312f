/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - the port that the proofs see: nothing but the functions' types, and what a panic is.
 *
 * A panic does not return. Its precondition is false: so each call of it is a goal that says that
 * the call is never reached, and a proof shows that no check of a caller and no assertion fails.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PORT_CACHE_LINE 64

/*@ requires never: \false;
    terminates \true;
    assigns \nothing;
    ensures \false; */
void port_panic(const char *format, ...);

void *port_area(void);
void *port_area_of(unsigned cpu);
unsigned port_cpu(void);
unsigned port_cpu_count(void);
unsigned port_cpu_group(void);
unsigned long port_irq_save(void);
void port_irq_restore(unsigned long flags);
bool port_in_trap(void);
void port_ipi_send(unsigned first, uint64_t set);
void *port_phys_pointer(uint64_t address);
uint64_t port_phys_address(const void *pointer);
uint64_t port_clock(void);
void port_relax(void);
