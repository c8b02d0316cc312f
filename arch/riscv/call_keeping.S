/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call_keeping.S - a call that keeps all registers but t0 and t1, for a loop that calls a function once in
 * thousands of turns: a function around that loop needs no stack frame (PORT_CALL_KEEPING in port.h).
 *
 * arch_call_keeping: t1 is the function, t0 the return address.
 */

#define KEPT_BYTES 128

	.macro	kept op
	\op	ra, 0(sp)
	\op	t0, 8(sp)
	.irp	n, 2, 3, 4, 5, 6
	\op	t\n, 8*\n(sp)
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	\op	a\n, 56 + 8*\n(sp)
	.endr
	.endm

	.section .text.call_keeping, "ax"
	.globl	arch_call_keeping
	.type	arch_call_keeping, @function
arch_call_keeping:
	.cfi_startproc
	.cfi_return_column t0
	addi	sp, sp, -KEPT_BYTES
	.cfi_def_cfa_offset KEPT_BYTES
	kept	sd
	.cfi_offset ra, 0 - KEPT_BYTES
	.cfi_offset t0, 8 - KEPT_BYTES
	jalr	t1
	kept	ld
	.cfi_restore ra
	.cfi_restore t0
	addi	sp, sp, KEPT_BYTES
	.cfi_def_cfa_offset 0
	jr	t0
	.cfi_endproc
	.size	arch_call_keeping, . - arch_call_keeping
