/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.h - run=monitor: a prompt on the console, to look at the machine and to move it.
 *
 * What it asks of cpus (stopping, starting, draining, a load on all of them) it asks through the
 * same functions as everybody, so what is seen here is what the tests test.
 */
#pragma once

/* Reads and follows commands until one of them is `quit`. On cpu 0, with no lock held. */
void monitor_run(void);
