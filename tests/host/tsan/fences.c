/* SPDX-License-Identifier: BSD-2-Clause */
/* fences.c - see ck_pr.h; and how ThreadSanitizer is to behave in every program of this build. */
#include "tests/host/tsan/ck_pr.h"

_Thread_local struct ck_pr_fences ck_pr_fences;

const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

/*
 * The first race ends the program, with a status that no test program has. The history is as long
 * as possible: a read whose stack is forgotten cannot be matched with a known read.
 */
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:exitcode=66:second_deadlock_stack=1:history_size=7";
}

/*
 * Accesses that are correct though no chain of fences orders them, each with its proof.
 *
 * ck_spinlock_clh_locked follows the queue's tail to a node and reads its `wait`. By then the node
 * may have been let go and be in use for its next acquire, which sets `wait` by a plain store. The
 * word is aligned and written whole, so the question reads one of the two values, and nodes live as
 * long as the lock (spinlock.h). Either value is an answer that may be stale, as any answer to
 * "is it held?"; it only chooses how an acquire is counted, and excludes no CPU.
 *
 * _ck_ring_enqueue_sp writes a slot that the consumer has read. The consumer reads the slot, passes
 * a fence, then stores its head; the producer loads that head, and writes the slot only behind a
 * branch on it. Loads are ordered before stores that a branch makes depend on them (RVWMO:
 * control dependency), so the write is after the read; C11 alone does not promise it. A missing
 * fence of the ring is not hidden by this: the ring carries frames, and their bytes and their
 * states are then a race.
 */
const char *__tsan_default_suppressions(void)
{
	return "race:^ck_spinlock_clh_locked$\n"
	       "race:^_ck_ring_enqueue_sp$\n";
}
