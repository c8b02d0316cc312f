/*
 * trap_entry.S - saves what C may change, calls trap_handle(frame), puts it back.
 *
 * The kernel runs nothing but itself, so a trap always finds a good tp and sp. The frame holds
 * all 31 registers in the order of their numbers (x1 at 8), for the register dump of a panic.
 */
#include "arch/riscv/cpu.h"

#define FRAME_BYTES 288
#define FRAME_SEPC  256

	.macro	each op, regs:vararg
	.irp	n, \regs
	\op	x\n, 8*\n(sp)
	.endr
	.endm

	.section .text.trap, "ax"
	.globl	trap_entry
	.balign	4
trap_entry:
	addi	sp, sp, -FRAME_BYTES
	each	sd, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	addi	t0, sp, FRAME_BYTES
	sd	t0, 8*2(sp)
	csrr	t0, sepc
	sd	t0, FRAME_SEPC(sp)
	lw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	addi	t0, t0, 1
	sw	t0, ARCH_CPU_TRAP_DEPTH(tp)

	mv	a0, sp
	call	trap_handle

	lw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	addi	t0, t0, -1
	sw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	ld	t0, FRAME_SEPC(sp)
	csrw	sepc, t0
	each	ld, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	addi	sp, sp, FRAME_BYTES
	sret
