/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_space.h - the page tables that the kernel itself runs on.
 *
 * Every address is mapped to itself. So paging can be turned on late and off again, a hart can
 * start without it, and the instructions of the allocator's paths stay the same. Mapped are the
 * kernel's text (read, execute), its read-only data (read), its data and all RAM (read, write), in
 * the largest pages that fit, and the test finisher. Everything else is not mapped: for example the
 * null page, no-map ranges of the tree, and a guard page below each stack. No page can be both
 * written and executed.
 *
 * Written by cpu 0 at rest; the functions that only return a value may be called on any cpu.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/paging/page_table.h"

/*
 * Chooses between Sv39 and Sv48 by the end of RAM and the modes of the harts. False: no mode of all
 * harts reaches all of RAM; `wrong` then has a message of at most `bytes` bytes. On cpu 0, after
 * memory_collect().
 */
bool kernel_space_choose(const struct devicetree *tree, char *wrong, unsigned bytes);

/* The address of the test finisher, whose page will be mapped; 0: there is none. */
void kernel_space_keep_finisher(uint64_t address);

/*
 * kernel_space_on() builds the tables from frames and turns paging on, on all settings.cpus cpus;
 * it panics where there are not enough frames. kernel_space_off() turns paging off and frees the
 * tables. On cpu 0, at rest. Each does nothing where paging is on, or off, already.
 */
void kernel_space_on(void);
void kernel_space_off(void);

/* Frames of the tables; 0: paging is off. */
uint64_t kernel_space_frames(void);

/* Levels of the tables, chosen by kernel_space_choose(): SV39_LEVELS or SV48_LEVELS. */
unsigned kernel_space_levels(void);

/* The tables, to be read; NULL: paging is off. */
const struct page_table *kernel_space_table(void);

/* The value of satp of a cpu that is in no other space. */
uint64_t kernel_space_satp(void);

/* Maps the same into another space, so that a hart in it can run the kernel. */
PAGE_MUST_USE enum page_status kernel_space_map_into(struct page_table *table);
