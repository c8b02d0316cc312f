/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_entry.S - saves what C may change, calls trap_handle(frame), puts it back.
 *
 * The kernel runs nothing but itself, so a trap always finds a good tp. sp may be at its end: a
 * trap that finds no room for its frame on the cpu's stack, the fault of a guard page above all,
 * goes to the emergency stack and does not come back. The frame holds all 31 registers in the order
 * of their numbers (x1 at 8), for the register dump of a panic. sepc and sstatus are kept too: a
 * handler may meet a fault that is foreseen (mmu_try.S), whose trap takes both and whose return
 * leaves "to user mode" in the second.
 *
 * A store-conditional comes before the return. The trap may have come between the load-reserved and
 * the store-conditional of what it interrupted, and the handler may have left a reservation itself
 * (a compare-and-swap that finds another value does). Taking a trap need not drop a reservation,
 * nor does SRET (QEMU drops it, hardware may keep it), so the interrupted store-conditional could
 * succeed though the word was changed, and changed back, by the handler. After another
 * store-conditional it fails: that always drops the hart's reservation (Unprivileged ISA 20191213,
 * 8.2). It goes to the frame's slot of x0, which nothing reads, for it stores where the reservation
 * happens to be there.
 */
#include "arch/riscv/cpu.h"

#define FRAME_BYTES 288
#define FRAME_SEPC  256
#define FRAME_SSTATUS 264

	.macro	each op, regs:vararg
	.irp	n, \regs
	\op	x\n, 8*\n(sp)
	.endr
	.endm

/* All but x2 and where it was, into the frame at sp; one trap deeper. t0 is used up. */
	.macro	save
	each	sd, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	csrr	t0, sepc
	sd	t0, FRAME_SEPC(sp)
	csrr	t0, sstatus
	sd	t0, FRAME_SSTATUS(sp)
	lw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	addi	t0, t0, 1
	sw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	.endm

	.section .text.trap, "ax"
	.globl	trap_entry
	.balign	4
trap_entry:
	csrw	sscratch, t0
	ld	t0, ARCH_CPU_STACK_LOW(tp)
	sub	t0, sp, t0
	addi	t0, t0, -FRAME_BYTES
	srli	t0, t0, ARCH_STACK_SHIFT
	bnez	t0, off_the_stack
	csrr	t0, sscratch
	addi	sp, sp, -FRAME_BYTES
	save
	addi	t0, sp, FRAME_BYTES
	sd	t0, 8*2(sp)

	mv	a0, sp
	call	trap_handle
	.globl	trap_handled
trap_handled:

	sc.d	zero, zero, (sp)	/* x0's slot: see above */
	lw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	addi	t0, t0, -1
	sw	t0, ARCH_CPU_TRAP_DEPTH(tp)
	ld	t0, FRAME_SEPC(sp)
	csrw	sepc, t0
	ld	t0, FRAME_SSTATUS(sp)
	csrw	sstatus, t0
	each	ld, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	addi	sp, sp, FRAME_BYTES
	sret

/*
 * A trap on the emergency stack comes here too, and starts it again: the panic then finds itself. A
 * trap that cannot save there either must not come here again, in an endless loop.
 */
off_the_stack:
	la	t0, trap_fatal
	csrw	stvec, t0
	ld	t0, ARCH_CPU_EMERGENCY(tp)
	sd	sp, -FRAME_BYTES + 8*2(t0)
	addi	sp, t0, -FRAME_BYTES
	csrr	t0, sscratch
	save
	la	t0, trap_entry
	csrw	stvec, t0
	mv	a0, sp
	mv	s0, zero
	call	trap_off_stack
