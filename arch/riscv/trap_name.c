/* SPDX-License-Identifier: BSD-2-Clause */
/* trap_name.c - names of causes, for trap.c and for trap_fatal.c, which knows no other file. */
#include "arch/riscv/csr.h"
#include "arch/riscv/trap.h"

const char *trap_name(uint64_t cause)
{
	static const char *const names[16] = {
		"instruction address misaligned",
		"instruction access fault",
		"illegal instruction",
		"breakpoint",
		"load address misaligned",
		"load access fault",
		"store address misaligned",
		"store access fault",
		"environment call from U-mode",
		"environment call from S-mode",
		"reserved",
		"reserved",
		"instruction page fault",
		"load page fault",
		"reserved",
		"store page fault",
	};

	if (cause & SCAUSE_INTERRUPT)
		return "interrupt without a handler";
	return cause < 16 ? names[cause] : "unknown exception";
}
