/* SPDX-License-Identifier: BSD-2-Clause */
/* machine.h - what a handler of IPIs begins with on the machine of weak.h. */
#pragma once

unsigned weak_cpu_number(void);

/* Clears the pending bit, and sees what was ordered before the sender's IPI. */
void machine_take_ipi(unsigned cpu);
