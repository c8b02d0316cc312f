/* SPDX-License-Identifier: BSD-2-Clause */
/* counts.h - lemmas that WP proves itself, from those of words.h. */
#pragma once

#if defined(PROVE_BITS)
/*@ lemma count_of_others:
      \forall uint64_t w, uint64_t part; (part & (uint64_t)(~w)) == 0 ==>
        bits_in(w & (uint64_t)(~part)) == bits_in(w) - bits_in(part); */
#endif
