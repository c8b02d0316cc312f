/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * churn.h - harts that stop and start while the workloads run.
 *
 * One cpu at a time is the controller: it stops some of the other cpus, goes on with its work,
 * starts them again, and gives up its role. Which cpus are stopped, when and for how long is drawn
 * from each cpu's generator. smp.h has the functions that a workload calls.
 */
#pragma once

/* Prints, as text and as a record, how often harts were stopped and started since boot, if ever. */
void churn_report(void);
