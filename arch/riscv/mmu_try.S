/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu_try.S - one load or store that may fault: bool mmu_try_load(address, value),
 * bool mmu_try_store(address, value).
 *
 * The instruction and where to go on when it faults are noted in the section `.faulting`, which
 * trap.c looks through.
 */
	.macro	may_fault at, on
	.pushsection .faulting, "a"
	.dword	\at, \on
	.popsection
	.endm

	.section .text.mmu_try, "ax"
	.globl	mmu_try_load
mmu_try_load:
1:	ld	a0, 0(a0)
	sd	a0, 0(a1)
	li	a0, 1
	ret
2:	li	a0, 0
	ret
	may_fault 1b, 2b

	.globl	mmu_try_store
mmu_try_store:
1:	sd	a1, 0(a0)
	li	a0, 1
	ret
2:	li	a0, 0
	ret
	may_fault 1b, 2b
