/* SPDX-License-Identifier: BSD-2-Clause */
/* hint.S - see hint.h. The number is part of the instruction, so there is one instruction for each. */
#include "arch/riscv/hint.h"

	.option norvc
	.section .text.hint, "ax", @progbits
	.globl hint
	.type hint, @function
hint:
	la t0, hints
	slli t1, a0, 3
	add t0, t0, t1
	jr t0
hints:
	.set number, HINT_FIRST
	.rept HINT_COUNT
	slti zero, zero, number
	ret
	.set number, number + 1
	.endr
	.size hint, . - hint
