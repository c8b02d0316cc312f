/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - the host port (tests/host/support/port.h) for the weak-memory explorer: waits, IPIs and
 * the masking of interrupts are steps of schedule.c.
 */
#pragma once

#include "tests/host/support/port.h"

#include "tests/host/weak/weak.h"

static inline void weak_port_relax(void)
{
	weak_relax(WEAK_SITE("port_relax", 0, 0));
}

void weak_ipi_send(unsigned first, uint64_t set);
uint64_t weak_clock(void);

/* The plain ones above stay behind, unused. */
#define port_relax	 weak_port_relax
#define port_irq_save	 weak_irq_save
#define port_irq_restore weak_irq_restore
#define port_ipi_send	 weak_ipi_send
#define port_panic	 weak_fail
