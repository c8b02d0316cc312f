/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi.h - interrupts from cpu to cpu: port_ipi_send() of mm/platform.h, and what a cpu does when an
 * interrupt comes in.
 *
 * An IPI carries nothing. Its request lies in memory, where the sender has written it before;
 * the handler of an IPI calls a function for each thing that an IPI may ask for, and that function
 * looks whether it was asked. Those functions belong to files above this one, which register them
 * here: this file calls none of them by name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The handler calls these, in this order, with interrupts masked and the IPI cleared. Registered by
 * cpu 0 before ipi_enable() on any cpu, and never changed again. A call that is not registered does
 * nothing.
 *
 *	ipi_on_stop	stops this cpu where that was asked; returns when it has been started again
 *	ipi_on_flush	flushes translations; after ipi_on_stop, because a cpu that comes back has
 *			to answer what was asked meanwhile
 *	ipi_on_panic	stays for good where another cpu has panicked; `pc` is where the IPI came
 *			in. After the clear: the IPI of a panic that is announced later stays
 *			pending
 *	ipi_on_drain	one bounded step of giving frames back; true: call it again
 */
extern void (*ipi_on_stop)(void);
extern void (*ipi_on_flush)(void);
extern void (*ipi_on_panic)(uint64_t pc);
extern bool (*ipi_on_drain)(void);

/*
 * This cpu's IPIs come in as interrupts from here on, and interrupts are let in. Once, on each cpu.
 */
void ipi_enable(void);

/*
 * Does at once what the handler of an IPI does, but for ipi_on_panic, and takes the IPI that is
 * pending: for another handler that waits with interrupts masked, and would hold up the senders of
 * IPIs. May stop this cpu for a while. Interrupts masked.
 */
void ipi_handle(void);
