/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_watch.h - what a cpu does that waits long for a lock: it stops where another cpu has panicked,
 * panics in a deadlock, and after stuck= seconds prints which cpu holds what.
 */
#pragma once

/*
 * Takes early memory for the records of waits (sync/lock_owners.h). From here on cpus publish what they
 * wait for, and look at it when that takes long. On cpu 0, after memory_collect() and before the other
 * harts start.
 */
void lock_watch_reserve(void);

/* Times that a cpu has printed that it waits long. */
unsigned lock_watch_reports(void);
