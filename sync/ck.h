/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ck.h - Concurrency Kit behind one header, with the fences of the machine's memory model, and
 * counters that one CPU writes and any CPU reads.
 *
 * The memory model. Concurrency Kit's fences depend on a setting of its build, and a distribution's
 * build for another machine may say "total store order": an unlock on RISC-V would then be a bare
 * store, and accesses of the critical section could leave it. Defining CK_MD_RMO overrides that
 * setting. This header does not compile without it, but for one case: the port says that the machine
 * has total store order, as x86-64 has (PORT_TOTAL_STORE_ORDER), and the kit is told so too
 * (CK_MD_TSO). Then its fences but the full one are the compiler's alone. With the relaxed order a lock
 * costs an mfence there.
 *
 * Where the fences come from:
 *
 *	fence			must order	with 0.7.2		with 0.7.1 on RISC-V
 *	acquire			r before rw	the kit's		this header's
 *	release			rw before w	the kit's		this header's
 *	lock			r before rw	the kit's (rw, rw)	this header's
 *	unlock			rw before w	the kit's (rw, rw)	this header's
 *	memory, acqrel, atomic	rw before rw	the kit's		this header's
 *	load, store, the rest	as named	the kit's		this header's
 *
 * On any other machine they are the kit's. 0.7.1 and before have no port for RISC-V: each of their
 * fences is the compiler's full fence, and each atomic is a full barrier. In 0.7.2 an atomic orders
 * nothing. So no code here takes an atomic for a fence: the fence beside it is always written.
 *
 * A lock acquires and an unlock releases. Code that needs more order than that has its own fence.
 */
#pragma once

#include <ck_md.h>
#include <port.h>

#if defined(PORT_TOTAL_STORE_ORDER) && defined(__riscv)
#error "RISC-V has no total store order: hartframe needs Concurrency Kit's relaxed memory order"
#endif
#if !defined(CK_MD_RMO) && !(defined(CK_MD_TSO) && defined(PORT_TOTAL_STORE_ORDER))
#error "hartframe needs Concurrency Kit's relaxed memory order: compile with -DCK_MD_RMO"
#endif

#include <stdint.h>

/*
 * Without a port for RISC-V: the kit's own fences are renamed while its header is read, and
 * RISC-V's take their names.
 */
#if defined(__riscv) && !__has_include(<gcc/riscv64/ck_pr.h>)
#define CK_HAS_NO_RISCV 1
#elif defined(__riscv)
#define CK_HAS_RISCV 1
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

#define CK_RISCV_INLINE static inline __attribute__((always_inline))

#if defined(CK_HAS_RISCV)
#define ck_pr_md_load_ptr   ck_pr_kit_load_ptr
#define ck_pr_md_load_64    ck_pr_kit_load_64
#define ck_pr_md_load_32    ck_pr_kit_load_32
#define ck_pr_md_load_8	    ck_pr_kit_load_8
#define ck_pr_md_load_uint  ck_pr_kit_load_uint
#define ck_pr_md_load_int   ck_pr_kit_load_int
#define ck_pr_md_store_ptr  ck_pr_kit_store_ptr
#define ck_pr_md_store_64   ck_pr_kit_store_64
#define ck_pr_md_store_32   ck_pr_kit_store_32
#define ck_pr_md_store_8    ck_pr_kit_store_8
#define ck_pr_md_store_uint ck_pr_kit_store_uint
#define ck_pr_md_store_int  ck_pr_kit_store_int
#endif

#include <ck_pr.h>

#if defined(CK_HAS_RISCV)
#undef ck_pr_md_load_ptr
#undef ck_pr_md_load_64
#undef ck_pr_md_load_32
#undef ck_pr_md_load_8
#undef ck_pr_md_load_uint
#undef ck_pr_md_load_int
#undef ck_pr_md_store_ptr
#undef ck_pr_md_store_64
#undef ck_pr_md_store_32
#undef ck_pr_md_store_8
#undef ck_pr_md_store_uint
#undef ck_pr_md_store_int

/*
 * The kit's loads and stores for RISC-V take a pointer in a register and no offset, so each needs an
 * instruction more for its address, and a stored zero or a loaded int another one. These are the same
 * accesses: whole, not moved by the compiler, without order for the machine.
 */
#define CK_RISCV_ACCESS(name, type, stored, object)                                                \
	CK_RISCV_INLINE type ck_pr_md_load_##name(const object *target)                            \
	{                                                                                          \
		type value;                                                                        \
                                                                                                   \
		ck_pr_barrier();                                                                   \
		value = *(type const volatile *)target;                                            \
		ck_pr_barrier();                                                                   \
		return value;                                                                      \
	}                                                                                          \
	CK_RISCV_INLINE void ck_pr_md_store_##name(object *target, stored value)                   \
	{                                                                                          \
		ck_pr_barrier();                                                                   \
		*(stored volatile *)target = value;                                                \
		ck_pr_barrier();                                                                   \
	}

CK_RISCV_ACCESS(ptr, void *, const void *, void)
CK_RISCV_ACCESS(64, uint64_t, uint64_t, uint64_t)
CK_RISCV_ACCESS(32, uint32_t, uint32_t, uint32_t)
CK_RISCV_ACCESS(8, uint8_t, uint8_t, uint8_t)
CK_RISCV_ACCESS(uint, unsigned, unsigned, unsigned)
CK_RISCV_ACCESS(int, int, int, int)
#undef CK_RISCV_ACCESS
#endif

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

/*
 * Of these versions an exchange is a loop of compare-and-swap, fifteen instructions. RISC-V has one
 * instruction for it. It orders nothing, like the exchange of 0.7.2.
 */
#define CK_RISCV_EXCHANGE(name, type, width)                                                       \
	CK_RISCV_INLINE type ck_riscv_fas_##name(void *target, type value)                         \
	{                                                                                          \
		type before;                                                                       \
                                                                                                   \
		__asm__ volatile("amoswap." #width "	%0, %2, %1"                                   \
				 : "=r"(before), "+A"(*(type *)target)                             \
				 : "r"(value)                                                      \
				 : "memory");                                                      \
		return before;                                                                     \
	}

CK_RISCV_EXCHANGE(uint, unsigned, w)
CK_RISCV_EXCHANGE(32, uint32_t, w)
CK_RISCV_EXCHANGE(64, uint64_t, d)
CK_RISCV_EXCHANGE(ptr, void *, d)
#undef CK_RISCV_EXCHANGE

#define ck_pr_fas_uint ck_riscv_fas_uint
#define ck_pr_fas_32   ck_riscv_fas_32
#define ck_pr_fas_64   ck_riscv_fas_64
#define ck_pr_fas_ptr  ck_riscv_fas_ptr
#endif

#undef CK_RISCV_INLINE

/*
 * Counters. Each has one writer, a CPU, and any CPU may read it. So they need no atomic
 * read-modify-write, only loads and stores that are whole and that the compiler may not invent or
 * merge. They order nothing. In the build for ThreadSanitizer the kit's loads and stores take part
 * in the order that fences make (tests/host/tsan/ck_pr.h), and a counter's do not: code that relies
 * on a counter for order is reported as a race there.
 */

/* Any CPU: the value is whole, and may be stale. */
static inline uint64_t counter_read(const uint64_t *counter)
{
#if defined(__SANITIZE_THREAD__)
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
#else
	return ck_pr_load_64(counter);
#endif
}

/* The counter's writer only. */
static inline void counter_set(uint64_t *counter, uint64_t value)
{
#if defined(__SANITIZE_THREAD__)
	__atomic_store_n(counter, value, __ATOMIC_RELAXED);
#else
	ck_pr_store_64(counter, value);
#endif
}

/* The same of `count` counters in a row: one store each, in any order. */
static inline __attribute__((always_inline)) void counters_set(uint64_t *counters, unsigned count,
							       uint64_t value)
{
	__asm__("" : "+r"(counters)); /* else each store gets an address of its own */
#pragma GCC unroll 8
	for (unsigned i = 0; i < count; i++)
#if defined(__SANITIZE_THREAD__)
		__atomic_store_n(&counters[i], value, __ATOMIC_RELAXED);
#else
		((volatile uint64_t *)counters)[i] = value;
#endif
}

/* The counter's writer only. */
static inline void counter_add(uint64_t *counter, uint64_t amount)
{
	counter_set(counter, counter_read(counter) + amount);
}
