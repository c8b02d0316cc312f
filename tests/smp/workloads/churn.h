/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * churn.h - harts that come and go while the workloads run; the counts of it.
 *
 * One cpu at a time is the controller: it stops some of the others, works on without them, starts
 * them again, and lets another cpu have its turn. Who, when and for how long is drawn from each
 * cpu's generator. What a workload calls is in smp.h.
 */
#pragma once

/* Says how many harts were stopped and started since the boot, if any. */
void churn_report(void);
