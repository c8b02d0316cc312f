/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unwind_table.h - what .eh_frame says of an address: how the caller's registers are found there.
 *
 * The format is that of DWARF 5, 6.4, with the changes of the Linux Standard Base, "Exception
 * Frames". Understood is what GCC and clang write for this kernel; of anything else the answer is
 * that there is no table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/unwind.h"

/* The caller's sp is `base` + `offset`. A saved register lies at that sp + saved[n]; 0: unchanged. */
struct unwind_row {
	unsigned base;
	int64_t offset;
	int64_t saved[UNWIND_REGISTERS];
	unsigned return_register; /* which holds the return address in the caller's row */
};

/* Of the instruction at `pc`. False: no table covers it. */
bool unwind_find(uint64_t pc, struct unwind_row *row);
