/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * delay.h - a stated number of instructions that do nothing, and random numbers of them.
 *
 * delay(n) executes n + DELAY_FIXED instructions for every n, odd or even, 0 included. So from one
 * n to the next it executes exactly one more, and the part that is the same for every n belongs to
 * the loop around it. The selftest counts them where the machine counts instructions.
 */
#pragma once

#include <stdint.h>

#include "tests/smp/random.h"

#define DELAY_FIXED 3

/* A host process has no count of instructions: there it only takes longer for a larger n. */
static inline __attribute__((always_inline)) void delay(uint64_t instructions)
{
#ifdef __riscv
	uint64_t odd;

	/*
	 * Even: andi, beqz, then n/2 times a bgtz that is taken and an addi, then a last bgtz.
	 * Odd: andi, beqz, then (n+1)/2 times an addi and a bgtz.
	 */
	__asm__ volatile("	andi	%1, %0, 1\n"
			 "	beqz	%1, 2f\n"
			 "1:	addi	%0, %0, -2\n"
			 "2:	bgtz	%0, 1b\n"
			 : "+r"(instructions), "=&r"(odd));
#else
	for (uint64_t i = 0; i < instructions; i++)
		__asm__ volatile("");
#endif
}

/*
 * Quantiles of the exponential distribution with mean 1, as fractions of 2^16: a draw is one load.
 * Their mean is 1 within 0.1 %, and the largest is 7.6.
 */
#define DELAY_QUANTILES 1024

struct delay_quantiles {
	uint32_t at[DELAY_QUANTILES];
};

/* O(DELAY_QUANTILES), some 100,000 instructions. */
void delay_quantiles_make(struct delay_quantiles *quantiles);

/* All are 1: a draw is the mean, by the same instructions. */
void delay_quantiles_make_fixed(struct delay_quantiles *quantiles);

/* A number of instructions from the distribution with this mean, at most 2^40. */
static inline uint64_t delay_draw(const struct delay_quantiles *quantiles, uint64_t *random,
				  uint64_t mean)
{
	return mean * quantiles->at[random_next(random) >> 54] >> 16;
}
