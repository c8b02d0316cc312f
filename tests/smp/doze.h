/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doze.h - sleeping under -icount without losing the schedule.
 *
 * While all harts sleep in WFI, QEMU 7.2 leaves it to its main thread to move the clock on and to wake
 * them. That thread runs beside the one that executes the harts, so the host decides at which instruction
 * the next hart loses its turn, and two runs of one seed differ. So the last cpu that is awake does not
 * sleep: it reads its pending interrupts until there is one. Then a timer ends its turn as it ends any other.
 *
 * A cpu counts as awake from doze_enter() to doze_leave(), also while its hart is stopped; cpu 0 always
 * does.
 */
#pragma once

/* On each cpu but cpu 0, before its work; and after it. The latter returns when another cpu is awake. */
void doze_enter(void);
void doze_leave(void);

/* hart_wait(), for one that counts. Interrupts are masked. */
void doze(void);
