/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_no_stack.S - what stvec holds while there is no stack to take a trap on: before entry.S has made
 * one, and while trap_entry.S saves to the emergency stack. A trap then would otherwise trap again as
 * soon as it saves a register, for ever and without a word.
 *
 * Translation is turned off: the kernel is mapped to itself, so this code goes on, and the stack here is
 * memory whatever a page table said. The first hart to come reports and ends the machine; others
 * wait. A trap of the report ends in trap_dead, which needs no memory but its text.
 */
#include "arch/riscv/cpu.h"

#define SBI_PUTCHAR  1
#define SBI_SRST     0x53525354
#define SRST_FAILURE 1

	.section .text.trap, "ax"
	.globl	trap_fatal
	.balign 4
trap_fatal:
	fence	rw, ow			/* as in mmu_use, though no tables are walked from here on */
	sfence.vma
	csrw	satp, zero
	sfence.vma
	fence	ior, rw
	la	t0, trap_dead
	csrw	stvec, t0
	mv	a0, sp
	addi	a1, tp, -ARCH_CPU_AREA_AT
	la	t0, fatal_is_taken
	li	t1, 1
	amoswap.w.aqrl t1, t1, (t0)
	bnez	t1, 2f
	.option	push
	.option	norelax
	la	gp, __global_pointer$
	.option	pop
	la	sp, fatal_stack_top
	la	tp, boot_cpu_block + ARCH_CPU_AREA_AT
	mv	s0, zero		/* backtraces end here */
	call	trap_fatal_report

	.balign 4
trap_dead:
	la	s0, dead_text
1:	lbu	a0, 0(s0)
	beqz	a0, 1f
	li	a7, SBI_PUTCHAR
	ecall
	addi	s0, s0, 1
	j	1b
1:	li	a7, SBI_SRST
	li	a6, 0
	li	a0, 0			/* shutdown */
	li	a1, SRST_FAILURE
	ecall
2:	wfi
	j	2b

	.section .rodata.trap, "a"
dead_text:
	.asciz	"\nhartframe: a trap before there was a stack, and no memory for one\n"

	.section .data.trap, "aw"	/* not .bss: a trap of the boot hart may come before that is clear */
	.balign	4
fatal_is_taken:
	.word	0

	.section .bss.stack, "aw", @nobits
	.balign	16
	.space	8192
fatal_stack_top:
