/* SPDX-License-Identifier: BSD-2-Clause */
/* power.h - arch/riscv/power.h for test_power, which notes what is done in which order. */
#pragma once

void power_fence_before_store(void);
void power_fence_after_store(void);
_Noreturn void power_stop(void);
