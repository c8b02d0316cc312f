/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ck_pr.h - Concurrency Kit's primitives for ThreadSanitizer: found before the kit's own header in
 * the build for it, and nowhere else.
 *
 * The kit's accesses are assembler or plain, and its fences are assembler: ThreadSanitizer sees
 * neither, and calls everything that a lock guards a race. Here every access is a relaxed atomic
 * of the compiler's, and the fences are made known to it, for it knows none either. All that is
 * written on top of these names runs unchanged over them: the kit's locks and its ring, our own three
 * locks and barrier, and what we put round them.
 *
 * The fences, as C11 has them (7.17.4): a release fence orders what comes before it before the
 * stores after it, an acquire fence the loads before it before what comes after. So
 *
 *	a store releases when a release fence was passed since the last store, and not otherwise;
 *	an acquire fence acquires from every word that was read since the last one, and the
 *	reading itself acquires nothing.
 *
 * A fence is taken for what its name says, though this build of the kit makes each a full one.
 *
 * What a run without a report proves: for the accesses that were made in it, that a chain of
 * fences and atomic accesses orders every two of them that conflict. A fence that is missing, on
 * either side, in the kit's functions as in ours, breaks the chain and is a race. What it does
 * not prove, beside what did not happen in the run:
 *
 * - A release covers what was written before the store, not only before the fence; a write that
 *   slipped between the two is not found. `make lint` looks at the machine code of the locks.
 * - An acquire also gets what was released to the word between the reading and the fence.
 * - Reading a pointer that is not NULL acquires at once. What it points to is reached through it
 *   and every machine orders that (RVWMO: address dependency), but C11 has no word for it that
 *   compilers honour, and the kit relies on it in mcs and clh.
 * - The order of a store before a later load of another word (Dekker) is not happens-before, and
 *   no concern of ThreadSanitizer's. mm/percpu/drain.c depends on it where a cpu comes on line; the
 *   full fence there is one here too, for the host, but that it is needed no report would say.
 * - The instructions are the host's, in the host's order.
 *
 * Stricter than C11 it is in this: a release fence is for one store, save one before an atomic
 * (store_atomic), which is for all up to the next acquire fence. If code uses one fence for several
 * stores, a report says so, and the code must say it here.
 */
#pragma once

#include <ck_cc.h>
#include <ck_limits.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_stdint.h>
#include <stddef.h>

#include <sanitizer/tsan_interface.h>

#if !defined(__SANITIZE_THREAD__)
#error "tests/host/tsan is for builds with -fsanitize=thread only"
#endif

/* Words read since the last acquire fence; more than these are forgotten, and may be reported. */
#define CK_PR_READ_MAX 32

struct ck_pr_fences {
	const void *read[CK_PR_READ_MAX];
	unsigned reads;
	bool release_next; /* the next store releases */
	bool release_all;  /* all do, up to the next acquire fence */
};

extern _Thread_local struct ck_pr_fences ck_pr_fences;

static inline void ck_pr_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

static inline void ck_pr_stall(void)
{
	ck_pr_barrier();
}

/* ---- fences ------------------------------------------------------------------------------ */

static inline void ck_pr_before_store(void)
{
	ck_pr_barrier();
	ck_pr_fences.release_next = true;
}

static inline void ck_pr_after_reading(void)
{
	ck_pr_barrier();
	for (unsigned i = 0; i < ck_pr_fences.reads && i < CK_PR_READ_MAX; i++)
		__tsan_acquire((void *)(uintptr_t)ck_pr_fences.read[i]);
	ck_pr_fences.reads = 0;
	ck_pr_fences.release_all = false;
}

static inline void ck_pr_fence_release(void)
{
	ck_pr_before_store();
}

static inline void ck_pr_fence_unlock(void)
{
	ck_pr_before_store();
}

static inline void ck_pr_fence_store(void)
{
	ck_pr_before_store();
}

static inline void ck_pr_fence_store_atomic(void)
{
	ck_pr_barrier();
	ck_pr_fences.release_all = true;
}

static inline void ck_pr_fence_acquire(void)
{
	ck_pr_after_reading();
}

static inline void ck_pr_fence_lock(void)
{
	ck_pr_after_reading();
}

static inline void ck_pr_fence_load(void)
{
	ck_pr_after_reading();
}

static inline void ck_pr_fence_acqrel(void)
{
	ck_pr_after_reading();
	ck_pr_before_store();
}

/* To the host it is one by what it does to a word of our own. */
static inline void ck_pr_fence_memory(void)
{
	unsigned word = 0;

	ck_pr_fence_acqrel();
	(void)__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
	ck_pr_barrier();
}

/* ---- accesses ---------------------------------------------------------------------------- */

static inline void ck_pr_note_reading(const void *word)
{
	struct ck_pr_fences *fences = &ck_pr_fences;

	for (unsigned i = 0; i < fences->reads && i < CK_PR_READ_MAX; i++)
		if (fences->read[i] == word)
			return;
	fences->read[fences->reads++ % CK_PR_READ_MAX] = word;
}

/* True when the store that is about to be made releases. */
static inline bool ck_pr_releases(void)
{
	return ck_pr_fences.release_next || ck_pr_fences.release_all;
}

static inline bool ck_pr_releases_once(void)
{
	bool releases = ck_pr_releases();

	ck_pr_fences.release_next = false;
	return releases;
}

/* Orders must be constants, or the compiler takes the strongest. */
#define CK_PR_STORING(releases, access, ...)                                                       \
	((releases) ? access(__VA_ARGS__, __ATOMIC_RELEASE) : access(__VA_ARGS__, __ATOMIC_RELAXED))

#define CK_PR_CAS(word, wanted, value, order)                                                      \
	__atomic_compare_exchange_n(word, wanted, value, false, order, __ATOMIC_RELAXED)

#define CK_PR_NUMBER(name, type)                                                                   \
	static inline type ck_pr_load_##name(const type *word)                                     \
	{                                                                                          \
		type value = __atomic_load_n(word, __ATOMIC_RELAXED);                              \
                                                                                                   \
		ck_pr_note_reading(word);                                                          \
		return value;                                                                      \
	}                                                                                          \
	static inline void ck_pr_store_##name(type *word, type value)                              \
	{                                                                                          \
		CK_PR_STORING(ck_pr_releases_once(), __atomic_store_n, word, value);               \
	}                                                                                          \
	static inline type ck_pr_fas_##name(type *word, type value)                                \
	{                                                                                          \
		ck_pr_note_reading(word);                                                          \
		return CK_PR_STORING(ck_pr_releases_once(), __atomic_exchange_n, word, value);     \
	}                                                                                          \
	static inline type ck_pr_faa_##name(type *word, type amount)                               \
	{                                                                                          \
		ck_pr_note_reading(word);                                                          \
		return CK_PR_STORING(ck_pr_releases_once(), __atomic_fetch_add, word, amount);     \
	}                                                                                          \
	static inline void ck_pr_inc_##name(type *word)                                            \
	{                                                                                          \
		ck_pr_faa_##name(word, 1);                                                         \
	}                                                                                          \
	static inline void ck_pr_dec_##name(type *word)                                            \
	{                                                                                          \
		ck_pr_faa_##name(word, (type)(-1));                                                \
	}                                                                                          \
	static inline bool ck_pr_cas_##name##_value(type *word, type wanted, type value,           \
						    type *found)                                   \
	{                                                                                          \
		bool done = CK_PR_STORING(ck_pr_releases(), CK_PR_CAS, word, &wanted, value);      \
                                                                                                   \
		if (done)                                                                          \
			ck_pr_fences.release_next = false;                                         \
		ck_pr_note_reading(word);                                                          \
		*found = wanted;                                                                   \
		return done;                                                                       \
	}                                                                                          \
	static inline bool ck_pr_cas_##name(type *word, type wanted, type value)                   \
	{                                                                                          \
		return ck_pr_cas_##name##_value(word, wanted, value, &wanted);                     \
	}

CK_PR_NUMBER(int, int)
CK_PR_NUMBER(uint, unsigned)
CK_PR_NUMBER(32, uint32_t)
CK_PR_NUMBER(64, uint64_t)

static inline void ck_pr_dec_uint_zero(unsigned *word, bool *zero)
{
	*zero = ck_pr_faa_uint(word, -1u) == 1;
}

/* ---- pointers ---------------------------------------------------------------------------- */

static inline void *ck_pr_pointer_read(const void *word, void *pointer)
{
	if (pointer)
		__tsan_acquire((void *)(uintptr_t)word);
	ck_pr_note_reading(word);
	return pointer;
}

static inline void *ck_pr_load_ptr(const void *word)
{
	return ck_pr_pointer_read(word, __atomic_load_n((void *const *)word, __ATOMIC_RELAXED));
}

static inline void ck_pr_store_ptr(void *word, void *pointer)
{
	CK_PR_STORING(ck_pr_releases_once(), __atomic_store_n, (void **)word, pointer);
}

static inline void *ck_pr_fas_ptr(void *word, void *pointer)
{
	return ck_pr_pointer_read(word, CK_PR_STORING(ck_pr_releases_once(), __atomic_exchange_n,
						      (void **)word, pointer));
}

static inline bool ck_pr_cas_ptr(void *word, void *wanted, void *pointer)
{
	bool done = CK_PR_STORING(ck_pr_releases(), CK_PR_CAS, (void **)word, &wanted, pointer);

	if (done)
		ck_pr_fences.release_next = false;
	ck_pr_pointer_read(word, wanted);
	return done;
}
