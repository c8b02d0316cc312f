/* SPDX-License-Identifier: BSD-2-Clause */
/* machine.h - what a handler of IPIs begins with on the machine of weak.h. */
#pragma once

unsigned weak_cpu_number(void);

/*
 * A flag that one CPU sets and others wait for, as code under test would: a release fence before the
 * store, an acquire fence after the load that has seen it. Reset at rest.
 */
void machine_reset_flag(void);
void machine_set_flag(void);
void machine_set_flag_without_fence(void);
void machine_wait_for_flag(void);

/* Clears the pending bit, and sees what was ordered before the sender's IPI. */
void machine_take_ipi(unsigned cpu);
