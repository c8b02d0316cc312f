/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack.h - the pop and push of a per-CPU stack, one implementation for all of them: frames
 * (cache.h) and the heap's blocks (mm/heap/front.h).
 *
 * A stack is a structure with two members, `top`, the first unused slot, and `limit`, top when the
 * stack is full. The word below the bottom is a sentinel, negative when signed, so the pop needs no
 * comparison with the bottom. Both are restartable sequences (Bershad, Redell and Ellis, ASPLOS
 * 1992): loads, stores to slots that have no meaning yet, and one last store, of `top`, which
 * commits. A trap inside a sequence makes it start again. A port whose trap handlers may allocate
 * defines PORT_STACK_POP and PORT_STACK_PUSH that way, for a stack at the start of the CPU's area,
 * and PORT_STACK_POP_AT and PORT_STACK_PUSH_AT, for a stack at an offset from a pointer; all others use
 * the plain C below.
 *
 * The owning CPU alone pops and pushes. Any context.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "mm/platform.h"

/*
 * `top` has one writer, the owner. Other CPUs may read it at any time, as an estimate. So it is
 * stored and loaded whole, and orders nothing.
 */
#if defined(__SANITIZE_THREAD__)
#define stack_level_store(place, value) __atomic_store_n(place, value, __ATOMIC_RELAXED)
#define stack_level_load(place)		__atomic_load_n(place, __ATOMIC_RELAXED)
#else
#define stack_level_store(place, value) ((void)(*(uint64_t *volatile *)(place) = (value)))
#define stack_level_load(place)		(*(uint64_t *const volatile *)(place))
#endif

/* A value into `value`; goes to `empty`, with nothing changed, if there is none. */
#define stack_pop_plain(stack, value, empty)                                                       \
	do {                                                                                       \
		uint64_t *top_ = (stack)->top - 1;                                                 \
                                                                                                   \
		(value) = *top_;                                                                   \
		if (__builtin_expect((int64_t)(value) < 0, 0))                                     \
			goto empty;                                                                \
		stack_level_store(&(stack)->top, top_);                                            \
	} while (0)

/* Goes to `full`, with nothing changed, if there is no room. */
#define stack_push_plain(stack, value, full)                                                       \
	do {                                                                                       \
		uint64_t *top_ = (stack)->top;                                                     \
                                                                                                   \
		if (__builtin_expect(top_ == (stack)->limit, 0))                                   \
			goto full;                                                                 \
		*top_ = (value);                                                                   \
		stack_level_store(&(stack)->top, top_ + 1);                                        \
	} while (0)

/* Of the stack whose members are `top_at` and `limit_at` bytes behind `base`, both constant. */
#if defined(PORT_STACK_POP_AT)
#define stack_pop_at(base, top_at, value, empty) PORT_STACK_POP_AT(value, base, top_at, empty)
#define stack_push_at(base, top_at, limit_at, value, full)                                         \
	PORT_STACK_PUSH_AT(value, base, top_at, limit_at, full)
#else
struct stack_at {
	uint64_t *top, *limit;
};
#define stack_pop_at(base, top_at, value, empty)                                                   \
	stack_pop_plain((struct stack_at *)(void *)((base) + (top_at)), value, empty)
#define stack_push_at(base, top_at, limit_at, value, full)                                         \
	stack_push_plain((struct stack_at *)(void *)((base) + (top_at)), value, full)
#endif
