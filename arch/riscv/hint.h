/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hint.h - what the kernel tells the emulator that it runs on, with instructions that do nothing.
 *
 * `slti zero, zero, NUMBER` changes no state: the unprivileged specification reserves it as a hint
 * for such use. A machine that does not know the hint executes it as a no-operation. QEMU's plugin
 * of virtual time (tools/qemu/plugin.c) knows these numbers.
 */
#pragma once

#define HINT_FIRST	 0x400
#define HINT_COUNT	 83
/*
 * From now on, turns of the stated length divided by 2^halvings, of one of 16 random sequences:
 * HINT_TURNS + halvings * HINT_SEQUENCES + sequence.
 */
#define HINT_TURNS	 0
#define HINT_HALVINGS	 3
#define HINT_SEQUENCES	 16
/* From now on, long turns: one hart works, and all others sleep. */
#define HINT_LONG_TURNS	 (HINT_HALVINGS * HINT_SEQUENCES)
/* From here on, below 16: half a byte of a text, the lower half first (tests/smp/cell_lines.c). */
#define HINT_NIBBLE	 64
#define HINT_SAID	 80 /* the text is complete */
#define HINT_WORK_BEGINS 81 /* this hart begins what is measured */
#define HINT_WORK_ENDS	 82

#ifndef __ASSEMBLER__

/* number: below HINT_COUNT. Any context; executes 8 instructions. */
void hint(unsigned number);

#endif
