/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hart_stop.S - a hart stops in the middle of what it does, and goes on there when it is started.
 *
 * long hart_stop_here(uint32_t *word, uint32_t said), with interrupts masked: saves what a call
 * preserves and sie on the stack, stores `said` into *word, stops. Returns 0 after hart_start has
 * brought the hart back, to its old stack; the firmware's error where it refuses.
 *
 * sstatus is not saved: the start leaves interrupts masked, as they were, and each trap handler
 * restores what its own return needs (trap_entry.S). sie is 0 while the hart is away: an interrupt
 * that is pending and let in would keep the firmware's wait for the start from waiting.
 */
#include "arch/riscv/cpu.h"

#define CONTEXT_BYTES	112
#define CONTEXT_SIE	104

#define SBI_HSM		 0x48534d
#define SBI_HSM_HART_STOP 1

	.macro	context op
	\op	ra, 0(sp)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
	\op	s\n, 8 + 8*\n(sp)
	.endr
	.endm

	.section .text.hart_stop, "ax"
	.globl	hart_stop_here
hart_stop_here:
	addi	sp, sp, -CONTEXT_BYTES
	context	sd
	csrrw	t0, sie, zero
	sd	t0, CONTEXT_SIE(sp)
	sd	sp, ARCH_CPU_RESUME_SP(tp)
	/* All it did, with CSRs too (satp is off), comes before the word that says it is gone. */
	fence	iorw, ow
	sw	a1, 0(a0)
	fence	rw, ow			/* and the word before the firmware stops the hart */
	li	a7, SBI_HSM
	li	a6, SBI_HSM_HART_STOP
	ecall
	j	1f			/* refused: a0 says why */

/* From entry.S: tp is right, stvec is set, interrupts are masked; t0 is the stack to go on with. */
	.globl	hart_resume
hart_resume:
	mv	sp, t0
	li	a0, 0
1:	sd	zero, ARCH_CPU_RESUME_SP(tp)
	ld	t0, CONTEXT_SIE(sp)
	csrw	sie, t0
	context	ld
	addi	sp, sp, CONTEXT_BYTES
	ret
