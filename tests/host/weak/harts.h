/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harts.h - harts with a firmware and an MMU each, on the machine of weak.h. kernel/smp/,
 * arch/riscv/hart.c and arch/riscv/mmu.c are compiled unchanged: below them are the registers and
 * the firmware's calls (harts.c).
 *
 * A write of satp and a call of the firmware are writes to a device: they wait for no store unless a
 * fence says so. A hart's MMU walks the tables of the space in satp as it likes: right after satp was
 * written, right after a flush, and for each access. A walk sees, of each entry, any store that is no
 * older than the hart's last SFENCE.VMA; what it has found it keeps until it is told to flush it, also
 * that there is nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HARTS_KERNEL_SATP (UINT64_C(8) << 60 | 1) /* maps what is there anyway */

extern uint64_t harts_asid_max; /* the bits of satp that the harts have */

/* At rest: all harts but that of CPU 0 are stopped. */
void harts_start(unsigned cpus);

/* At rest: all harts run, with the kernel's tables. */
void harts_start_all(unsigned cpus);

/* The work of a CPU other than 0: it waits for hart_start(), comes in, and serves for ever. */
void harts_serve(unsigned cpu);

/* At rest: the MMUs walk for this address unasked, as if their harts had accessed it. */
void harts_expect(uint64_t address);

/* Of a workload: takes an IPI as a trap. */
void harts_interrupted(unsigned cpu);

/* An access to this page of a space, through the MMU. False: it faults, for good. */
bool harts_load(uint64_t address, uint64_t *value);
bool harts_store(uint64_t address, uint64_t value);
