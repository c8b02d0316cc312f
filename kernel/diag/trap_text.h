/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap_text.h - a trap that ends the run, in words: what the cpu did, to what address, and why it
 * may not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/riscv/trap.h"

/* What the page tables say of the address. */
enum trap_mapping {
	TRAP_MAPPING_UNKNOWN, /* there are none */
	TRAP_NOT_MAPPED,
	TRAP_MAPPED
};

/* What is known beside the cause. */
struct trap_context {
	enum trap_mapping mapping;
	bool readable, writable, executable; /* with TRAP_MAPPED */
	uint64_t instruction;		     /* at pc; 0: it cannot be read */
	bool stack_is_full; /* sp is in or near the guard page of this cpu's stack */
};

/*
 * Writes a sentence without its end: "the cpu read address 0x8, which is not mapped (load page
 * fault, scause 0xd)".
 */
void trap_text(char *text, size_t bytes, const struct trap_cause *cause,
	       const struct trap_context *context);
