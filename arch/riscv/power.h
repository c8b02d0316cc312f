/* SPDX-License-Identifier: BSD-2-Clause */
/* power.h - the instructions that power.c needs; the host test of power.c has its own. */
#pragma once

/* All output, and all stores to memory, come before the store that ends the machine. */
static inline void power_fence_before_store(void)
{
	__asm__ volatile("fence iorw, o" ::: "memory");
}

/* The store to the finisher comes before whatever the firmware's shutdown stores to a device. */
static inline void power_fence_after_store(void)
{
	__asm__ volatile("fence o, iorw" ::: "memory");
}

static inline void power_stop(void)
{
	__asm__ volatile("wfi");
}
