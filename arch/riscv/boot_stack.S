/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * boot_stack.S - what the boot hart has until the harts are counted: its stack, for good, with a
 * guard page below and the emergency stack above, and its first cpu block. trap_no_stack.S uses the
 * block too, on the hart that reports a trap without a stack.
 */
#include "arch/riscv/cpu.h"

	.section .bss.stack, "aw", @nobits
	.balign	4096
	.globl	boot_stack_guard	/* unmapped once there are page tables */
boot_stack_guard:
	.space	ARCH_GUARD_BYTES
	.globl	boot_stack
boot_stack:
	.space	ARCH_STACK_BYTES
	.globl	boot_stack_top
boot_stack_top:
	.space	ARCH_EMERGENCY_BYTES
	.globl	boot_emergency_top
boot_emergency_top:
	.globl	boot_cpu_block
boot_cpu_block:
	.space	BOOT_CPU_BLOCK_BYTES
