/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fence.h - order between memory and what is not memory: CSRs, devices, and the firmware.
 *
 * A FENCE orders only the kinds of accesses that it names. For a FENCE, a write of a CSR is device
 * output and a read of a CSR is device input (Unprivileged ISA 20191213, 9.1, "CSR Access
 * Ordering"). Fences of C and of Concurrency Kit are for memory: that a compiler names devices too
 * (GCC 12 does, clang does not) is chance. So what orders memory against a CSR, a device or a call
 * into the firmware is written out, here.
 */
#pragma once

#include <stdint.h>

/*
 * All that this hart has read and written in memory comes before what it next writes to a CSR or a
 * device, or asks of the firmware. `o` for the CSR and the device; `w` because the firmware has its
 * own data in memory: if its store for an IPI overtook our stores, the target could take and clear
 * the IPI before it finds what the IPI announces.
 */
static inline void arch_fence_memory_to_device(void)
{
	__asm__ volatile("fence rw, ow" ::: "memory");
}

/*
 * This hart's accesses to CSRs and devices, and the firmware's reads of memory on this hart, come
 * before all that the hart reads and writes in memory next.
 */
static inline void arch_fence_device_to_memory(void)
{
	__asm__ volatile("fence ior, rw" ::: "memory");
}

/*
 * SFENCE.VMA: the stores that this hart sees come before its later walks, and what it has cached of
 * translations, of all pages or of one, is dropped.
 */
static inline void arch_fence_translations(void)
{
	__asm__ volatile("sfence.vma" ::: "memory");
}

static inline void arch_fence_translations_of(uint64_t page)
{
	__asm__ volatile("sfence.vma %0" ::"r"(page) : "memory");
}
