/* SPDX-License-Identifier: BSD-2-Clause */
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

/*
 * Concurrency Kit before 0.7.2 has no port for RISC-V. Each of its fences is then the compiler's
 * full one, whatever that names, and each of its atomics a full barrier. Its fences are put out of
 * the way here, and RISC-V's own take their names; with 0.7.2 they are the kit's. No code may take
 * an atomic for a barrier: in 0.7.2 it orders nothing, so the fence beside it is always written.
 *
 * lock and unlock are an acquire and a release, less than the full fence of 0.7.2: what needs more
 * than those of a lock says so itself.
 */
#if defined(__riscv) && !__has_include(<gcc/riscv64/ck_pr.h>)
#define CK_HAS_NO_RISCV 1
#endif

#if defined(CK_HAS_NO_RISCV)
#define ck_pr_fence_atomic	 ck_pr_fence_full_atomic
#define ck_pr_fence_atomic_load	 ck_pr_fence_full_atomic_load
#define ck_pr_fence_atomic_store ck_pr_fence_full_atomic_store
#define ck_pr_fence_store_atomic ck_pr_fence_full_store_atomic
#define ck_pr_fence_load_atomic	 ck_pr_fence_full_load_atomic
#define ck_pr_fence_load_store	 ck_pr_fence_full_load_store
#define ck_pr_fence_store_load	 ck_pr_fence_full_store_load
#define ck_pr_fence_load	 ck_pr_fence_full_load
#define ck_pr_fence_store	 ck_pr_fence_full_store
#define ck_pr_fence_memory	 ck_pr_fence_full_memory
#define ck_pr_fence_acquire	 ck_pr_fence_full_acquire
#define ck_pr_fence_release	 ck_pr_fence_full_release
#define ck_pr_fence_acqrel	 ck_pr_fence_full_acqrel
#define ck_pr_fence_lock	 ck_pr_fence_full_lock
#define ck_pr_fence_unlock	 ck_pr_fence_full_unlock
#endif

#include <ck_pr.h>

#if defined(CK_HAS_NO_RISCV)
#undef ck_pr_fence_atomic
#undef ck_pr_fence_atomic_load
#undef ck_pr_fence_atomic_store
#undef ck_pr_fence_store_atomic
#undef ck_pr_fence_load_atomic
#undef ck_pr_fence_load_store
#undef ck_pr_fence_store_load
#undef ck_pr_fence_load
#undef ck_pr_fence_store
#undef ck_pr_fence_memory
#undef ck_pr_fence_acquire
#undef ck_pr_fence_release
#undef ck_pr_fence_acqrel
#undef ck_pr_fence_lock
#undef ck_pr_fence_unlock

#define CK_RISCV_FENCE(name, before, after)                                                        \
	static inline __attribute__((always_inline)) void ck_pr_fence_##name(void)                 \
	{                                                                                          \
		__asm__ volatile("fence " #before ", " #after ::: "memory");                       \
	}

CK_RISCV_FENCE(atomic, rw, rw)
CK_RISCV_FENCE(atomic_load, rw, r)
CK_RISCV_FENCE(atomic_store, rw, w)
CK_RISCV_FENCE(store_atomic, w, rw)
CK_RISCV_FENCE(load_atomic, r, rw)
CK_RISCV_FENCE(load_store, r, w)
CK_RISCV_FENCE(store_load, w, r)
CK_RISCV_FENCE(load, r, r)
CK_RISCV_FENCE(store, w, w)
CK_RISCV_FENCE(memory, rw, rw)
CK_RISCV_FENCE(acquire, r, rw)
CK_RISCV_FENCE(release, rw, w)
CK_RISCV_FENCE(acqrel, rw, rw)
CK_RISCV_FENCE(lock, r, rw)
CK_RISCV_FENCE(unlock, rw, w)
#undef CK_RISCV_FENCE
#endif

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
