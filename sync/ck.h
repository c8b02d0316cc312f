/*
 * ck.h - Concurrency Kit behind one header, and the two idioms built from it everywhere.
 *
 * Its fences depend on the memory model it was built for, and a distribution's build for
 * another machine says "total store order": with that, an unlock on RISC-V is a bare store
 * and the critical section leaks out of it. CK_MD_RMO is looked at before that setting, and
 * this header takes nothing else.
 *
 * Counters below have one writer, a cpu, and readers anywhere: no read-modify-write is needed,
 * only loads and stores that are not torn and that the compiler may not invent or merge. They
 * order nothing. In the build for ThreadSanitizer the kit's loads and stores take part in the
 * order that fences make (tests/host/tsan/ck_pr.h); a counter's do not there either, though a
 * fence that happens to be near would order it too: who reads what a counter seems to promise,
 * relies on chance, and is told so.
 */
#pragma once

#include <ck_md.h>

#if !defined(CK_MD_RMO)
#error "hartframe needs Concurrency Kit's relaxed memory order: compile with -DCK_MD_RMO"
#endif

#include <stdint.h>

#include <ck_pr.h>

/* A counter of another cpu: whole, possibly stale. */
static inline uint64_t counter_read(const uint64_t *counter)
{
#if defined(__SANITIZE_THREAD__)
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
#else
	return ck_pr_load_64(counter);
#endif
}

/* By the counter's owner only. */
static inline void counter_set(uint64_t *counter, uint64_t value)
{
#if defined(__SANITIZE_THREAD__)
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
#else
	ck_pr_store_64(counter, value);
#endif
}

/* By the counter's owner only. */
static inline void counter_add(uint64_t *counter, uint64_t amount)
{
	counter_set(counter, counter_read(counter) + amount);
}
