/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compiler.h - what the sources use of GCC and Frama-C does not know. Included before each source.
 *
 * The contracts of the builtins are what GCC's manual says of them. The proofs take them on trust.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/proofs/include/words.h"
#include "tests/proofs/include/counts.h"

#if !defined(PROVE_BITS)
/* The provers do not know of WP's & that it commutes. */
/*@ axiomatic And {
      logic integer both(integer a, integer b);
      axiom both_is_and: \forall integer a, b; both(a, b) == (a & b);
      axiom and_commutes: \forall integer a, b; both(b, a) == (a & b);
    } */
/*@ lemma both_commutes: \forall integer a, b; both(b, a) == both(a, b); */
#endif

#define __builtin_types_compatible_p(...) 1
#define __builtin_expect(value, expected) (value)
#define _Alignas(bytes)
/* The compiler has tested them. */
#define _Static_assert(...)
/* No function that uses it is proved. */
#define __int128 long

/*@ requires word != 0;
    terminates \true;
    assigns \nothing;
    ensures is_lowest(word, \result); */
int gcc_ctzll(unsigned long long word);
#define __builtin_ctzll gcc_ctzll

/*@ requires word != 0;
    terminates \true;
    assigns \nothing;
    ensures is_highest(word, 63 - \result); */
int gcc_clzll(unsigned long long word);
#define __builtin_clzll gcc_clzll

/*@ terminates \true;
    assigns \nothing;
    ensures \result == bits_in(word) <= 64; */
int gcc_popcountll(unsigned long long word);
#define __builtin_popcountll gcc_popcountll

/*@ requires \valid(result);
    terminates \true;
    assigns *result;
    ensures *result == (uint64_t)(a * b);
    ensures \result <==> a * b > UINT64_MAX; */
bool gcc_mul_overflow(uint64_t a, uint64_t b, uint64_t *result);
#define __builtin_mul_overflow gcc_mul_overflow
