/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ck_pr.h - Concurrency Kit's primitives for the weak-memory explorer: found before the kit's own
 * header in its build, and nowhere else. Each access is a call of memory.c (weak.h). The kit's locks
 * and its ring, and all that is ours, are compiled unchanged on top of these names.
 *
 * Each fence orders what its name says (sync/ck.h), and nothing more.
 */
#pragma once

#include <ck_cc.h>
#include <ck_limits.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_stdint.h>
#include <stddef.h>

#include "tests/host/weak/weak.h"

/* sync/spinlock.h gives these two names to others for a while, so they are no macros. */
static inline void ck_pr_barrier(void)
{
	__asm__ volatile("" ::: "memory");
}

static inline void ck_pr_stall(void)
{
	weak_relax(WEAK_SITE("ck_pr_stall", 0, 0));
}

/* ---- fences ---------------------------------------------------------------------------------- */

#define CK_PR_FENCE(name, before, after) weak_fence(WEAK_SITE("ck_pr_fence_" name, before, after))

#define ck_pr_fence_load()	   CK_PR_FENCE("load", WEAK_R, WEAK_R)
#define ck_pr_fence_store()	   CK_PR_FENCE("store", WEAK_W, WEAK_W)
#define ck_pr_fence_load_store()   CK_PR_FENCE("load_store", WEAK_R, WEAK_W)
#define ck_pr_fence_store_load()   CK_PR_FENCE("store_load", WEAK_W, WEAK_R)
#define ck_pr_fence_load_atomic()  CK_PR_FENCE("load_atomic", WEAK_R, WEAK_RW)
#define ck_pr_fence_store_atomic() CK_PR_FENCE("store_atomic", WEAK_W, WEAK_RW)
#define ck_pr_fence_atomic_load()  CK_PR_FENCE("atomic_load", WEAK_RW, WEAK_R)
#define ck_pr_fence_atomic_store() CK_PR_FENCE("atomic_store", WEAK_RW, WEAK_W)
#define ck_pr_fence_atomic()	   CK_PR_FENCE("atomic", WEAK_RW, WEAK_RW)
#define ck_pr_fence_memory()	   CK_PR_FENCE("memory", WEAK_RW, WEAK_RW)
#define ck_pr_fence_acqrel()	   CK_PR_FENCE("acqrel", WEAK_RW, WEAK_RW)
#define ck_pr_fence_acquire()	   CK_PR_FENCE("acquire", WEAK_R, WEAK_RW)
#define ck_pr_fence_release()	   CK_PR_FENCE("release", WEAK_RW, WEAK_W)
#define ck_pr_fence_lock()	   CK_PR_FENCE("lock", WEAK_R, WEAK_RW)
#define ck_pr_fence_unlock()	   CK_PR_FENCE("unlock", WEAK_RW, WEAK_W)

/* ---- accesses -------------------------------------------------------------------------------- */

#define CK_PR_LOAD(target, type) ((type)weak_load(target, sizeof(type), WEAK_SITE(#target, 0, 0)))
#define CK_PR_STORE(target, value, type)                                                           \
	weak_store(target, sizeof(type), (uint64_t)(type)(value), WEAK_SITE(#target, 0, 0))
#define CK_PR_RMW(target, kind, value, type)                                                       \
	((type)weak_rmw(target, sizeof(type), kind, (uint64_t)(type)(value),                       \
			WEAK_SITE(#target, 0, 0)))
#define CK_PR_CHANGE(target, kind, value, type)                                                    \
	weak_change(target, sizeof(type), kind, (uint64_t)(type)(value), WEAK_SITE(#target, 0, 0))
#define CK_PR_CAS(target, wanted, value, type)                                                     \
	((type)weak_cas(target, sizeof(type), (uint64_t)(type)(wanted), (uint64_t)(type)(value),   \
			WEAK_SITE(#target, 0, 0)))
#define CK_PR_IS_CAS(target, wanted, value, type)                                                  \
	({                                                                                         \
		type wanted_ = (type)(wanted);                                                     \
		CK_PR_CAS(target, wanted_, value, type) == wanted_;                                \
	})
#define CK_PR_CAS_VALUE(target, wanted, value, found, type)                                        \
	({                                                                                         \
		type wanted_ = (type)(wanted);                                                     \
		*(type *)(found) = CK_PR_CAS(target, wanted_, value, type);                        \
		*(type *)(found) == wanted_;                                                       \
	})

#define ck_pr_load_8(target)		  CK_PR_LOAD(target, uint8_t)
#define ck_pr_load_int(target)		  CK_PR_LOAD(target, int)
#define ck_pr_load_uint(target)		  CK_PR_LOAD(target, unsigned)
#define ck_pr_load_32(target)		  CK_PR_LOAD(target, uint32_t)
#define ck_pr_load_64(target)		  CK_PR_LOAD(target, uint64_t)
#define ck_pr_store_8(target, value)	  CK_PR_STORE(target, value, uint8_t)
#define ck_pr_store_int(target, value)	  CK_PR_STORE(target, value, int)
#define ck_pr_store_uint(target, value)	  CK_PR_STORE(target, value, unsigned)
#define ck_pr_store_32(target, value)	  CK_PR_STORE(target, value, uint32_t)
#define ck_pr_store_64(target, value)	  CK_PR_STORE(target, value, uint64_t)
#define ck_pr_fas_uint(target, value)	  CK_PR_RMW(target, WEAK_SWAP, value, unsigned)
#define ck_pr_fas_32(target, value)	  CK_PR_RMW(target, WEAK_SWAP, value, uint32_t)
#define ck_pr_fas_64(target, value)	  CK_PR_RMW(target, WEAK_SWAP, value, uint64_t)
#define ck_pr_faa_uint(target, value)	  CK_PR_RMW(target, WEAK_ADD, value, unsigned)
#define ck_pr_faa_32(target, value)	  CK_PR_RMW(target, WEAK_ADD, value, uint32_t)
#define ck_pr_faa_64(target, value)	  CK_PR_RMW(target, WEAK_ADD, value, uint64_t)
#define ck_pr_add_64(target, value)	  CK_PR_CHANGE(target, WEAK_ADD, value, uint64_t)
#define ck_pr_inc_uint(target)		  CK_PR_CHANGE(target, WEAK_ADD, 1, unsigned)
#define ck_pr_inc_32(target)		  CK_PR_CHANGE(target, WEAK_ADD, 1, uint32_t)
#define ck_pr_inc_64(target)		  CK_PR_CHANGE(target, WEAK_ADD, 1, uint64_t)
#define ck_pr_dec_uint(target)		  CK_PR_CHANGE(target, WEAK_ADD, -1, unsigned)
#define ck_pr_dec_32(target)		  CK_PR_CHANGE(target, WEAK_ADD, -1, uint32_t)
#define ck_pr_dec_64(target)		  CK_PR_CHANGE(target, WEAK_ADD, -1, uint64_t)
#define ck_pr_or_64(target, value)	  CK_PR_CHANGE(target, WEAK_OR, value, uint64_t)
#define ck_pr_and_64(target, value)	  CK_PR_CHANGE(target, WEAK_AND, value, uint64_t)
#define ck_pr_dec_uint_zero(target, zero) (*(zero) = ck_pr_faa_uint(target, -1) == 1)

#define ck_pr_cas_uint(target, wanted, value) CK_PR_IS_CAS(target, wanted, value, unsigned)
#define ck_pr_cas_32(target, wanted, value)   CK_PR_IS_CAS(target, wanted, value, uint32_t)
#define ck_pr_cas_64(target, wanted, value)   CK_PR_IS_CAS(target, wanted, value, uint64_t)
#define ck_pr_cas_uint_value(target, wanted, value, found)                                         \
	CK_PR_CAS_VALUE(target, wanted, value, found, unsigned)
#define ck_pr_cas_32_value(target, wanted, value, found)                                           \
	CK_PR_CAS_VALUE(target, wanted, value, found, uint32_t)
#define ck_pr_cas_64_value(target, wanted, value, found)                                           \
	CK_PR_CAS_VALUE(target, wanted, value, found, uint64_t)

/* ---- pointers: what is reached through one is no older than the store of the pointer ---------- */

#define CK_PR_FOLLOWED(target, loaded)                                                             \
	({                                                                                         \
		const void *word_ = (target);                                                      \
		void *pointer_ = (void *)(uintptr_t)(loaded);                                      \
		weak_follows(pointer_, word_);                                                     \
		pointer_;                                                                          \
	})

#define ck_pr_load_ptr(target)	       CK_PR_FOLLOWED(target, CK_PR_LOAD(word_, uintptr_t))
#define ck_pr_store_ptr(target, value) CK_PR_STORE(target, (uintptr_t)(value), uintptr_t)
#define ck_pr_fas_ptr(target, value)                                                               \
	CK_PR_FOLLOWED(target, CK_PR_RMW((void *)(uintptr_t)word_, WEAK_SWAP, (uintptr_t)(value),  \
					 uintptr_t))
#define ck_pr_cas_ptr(target, wanted, value) CK_PR_IS_CAS(target, wanted, value, uintptr_t)
