/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.S - where harts come in, in S-mode, with paging off and interrupts masked.
 *
 * The first hart comes from the firmware: a0 = hart id, a1 = device tree. Which hart that is, is
 * a lottery. The others come from SBI HSM hart_start: a0 = hart id, a1 = their struct hart_arrival
 * (hart.h): the swap that says "arrived" also says when they are too late. A hart that was stopped
 * in the middle of its work (hart_stop.S) goes on there, whichever of the two ways it came.
 */
#include "arch/riscv/cpu.h"
#include "arch/riscv/hart.h"

/*
 * The firmware has sent the hart here because of words in memory and of an IPI, which is device
 * input: this fence pairs with hart_start's, so this hart reads after it all that was written
 * before hart_start's. FENCE.I comes between the stores of the kernel's code and the fetch of the
 * next instructions, whatever this hart's caches held while it was off.
 */
	.macro	arrive
	fence	ior, rw
	fence.i
	.endm

	.section .text.entry, "ax"
	.globl	_start
_start:
	.option	push
	.option	norelax
	la	gp, __global_pointer$
	.option	pop
	csrw	sie, zero
	csrci	sstatus, 2
	la	t0, trap_fatal		/* until there is a stack */
	csrw	stvec, t0
	arrive
	la	t0, boot_hart_came
	li	t1, 1
	amoswap.w.aqrl t1, t1, (t0)
	bnez	t1, astray

	la	t0, __bss_start
	la	t1, __bss_end
1:	sd	zero, 0(t0)		/* both ends are 8-aligned by the linker script */
	addi	t0, t0, 8
	bltu	t0, t1, 1b

	la	sp, boot_stack_top
	la	tp, boot_cpu_block + ARCH_CPU_AREA_AT	/* until the harts are counted */
	sd	a0, ARCH_CPU_HART_ID(tp)
	la	t0, boot_stack
	sd	t0, ARCH_CPU_STACK_LOW(tp)
	la	t0, boot_emergency_top
	sd	t0, ARCH_CPU_EMERGENCY(tp)
	la	t0, trap_entry
	csrw	stvec, t0
	mv	s0, zero		/* backtraces end here */
	call	kernel_main
1:	wfi
	j	1b

/*
 * A second hart at the boot hart's address: the firmware was asked to start it elsewhere, and sent
 * it here (hart.c says why). Only one hart is awaited at a time; another has no business here.
 */
astray:
	la	t0, hart_awaited
	ld	a1, 0(t0)
	beqz	a1, 1f
	ld	t0, HART_ARRIVAL_ID(a1)
	beq	t0, a0, secondary_entry
1:	wfi
	j	1b

	.globl	secondary_entry
secondary_entry:
	.option	push
	.option	norelax
	la	gp, __global_pointer$
	.option	pop
	csrw	sie, zero
	csrci	sstatus, 2
	la	t0, trap_fatal
	csrw	stvec, t0
	arrive
	li	t0, HART_ARRIVED
	amoswap.w.aqrl t0, t0, (a1)	/* pairs with hart_start */
	bnez	t0, 1f			/* given up on: stay away */
	ld	tp, HART_ARRIVAL_BLOCK(a1)
	addi	tp, tp, ARCH_CPU_AREA_AT
	la	t0, trap_entry		/* the emergency stack is there, whatever sp is */
	csrw	stvec, t0
	ld	t0, ARCH_CPU_RESUME_SP(tp)
	bnez	t0, hart_resume
	ld	sp, ARCH_CPU_STACK_TOP(tp)
	mv	s0, zero		/* backtraces end here */
	call	kernel_secondary
1:	wfi
	j	1b

/*
 * A hart that was started only to stop again (hart_settle): SBI HSM hart_stop. It has no stack and
 * touches no memory.
 */
	.globl	leave_entry
leave_entry:
	csrw	sie, zero
	li	a7, 0x48534d
	li	a6, 1
	ecall
1:	wfi
	j	1b

	.section .data.entry, "aw"	/* not .bss, which the boot hart clears */
	.balign	4
boot_hart_came:
	.word	0
	.balign	8
	.globl	hart_awaited		/* a struct hart_arrival, or 0: hart_start() says which */
hart_awaited:
	.dword	0
