/* SPDX-License-Identifier: BSD-2-Clause */
/* trap_fatal.c - the report of a trap that had no stack (trap_no_stack.S), on a separate stack. */
#include <stdint.h>
#include <stdio.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/sbi.h"
#include "arch/riscv/trap.h"

void (*trap_on_fatal)(const char *message);

_Noreturn void trap_fatal_report(uintptr_t sp, uintptr_t tp);

/* Byte by byte, for the console may not be set up yet. */
static void put(const char *text)
{
	for (; *text; text++)
		sbi_legacy_putchar(*text);
}

_Noreturn void trap_fatal_end(const char *message)
{
	struct sbi_result result;

	if (trap_on_fatal)
		trap_on_fatal(message);
	put("\nhartframe: ");
	put(message);
	put("\n");
	result = sbi_shutdown(1);
	(void)result;
	for (;;)
		__asm__ volatile("wfi");
}

_Noreturn void trap_fatal_report(uintptr_t sp, uintptr_t tp)
{
	char message[200];

	snprintf(message, sizeof(message),
		 "a trap without a stack: %s (scause %#lx), stval %#lx, at pc [<%#lx>], sp %#lx, "
		 "tp %#lx",
		 trap_name(csr_read(scause)), csr_read(scause), csr_read(stval), csr_read(sepc),
		 (unsigned long)sp, (unsigned long)tp);
	trap_fatal_end(message);
}
