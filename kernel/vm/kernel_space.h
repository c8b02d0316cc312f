/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_space.h - the page tables that the kernel itself runs on.
 *
 * Every address is where it was without them: what is mapped is mapped to itself. So paging can be
 * turned on late and off again, a hart that comes in without it finds its way, and the allocator's
 * paths do not change by an instruction. Mapped are the kernel's text (read, execute), its
 * read-only data (read), its data and all RAM (read, write), in the largest pages that fit, and the
 * test finisher. Not mapped: everything else, the null page for one, what the tree says must not
 * be, and a guard page below each stack. Nothing can be both written and executed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/paging/page_table.h"

/*
 * Chooses between Sv39 and Sv48 by where RAM ends and what the harts have. False with a message for
 * people in `wrong`: no mode reaches all of it. On cpu 0, when the tree is read.
 */
bool kernel_space_choose(const struct devicetree *tree, char *wrong, unsigned bytes);

/* Where the test finisher is, for it stays reachable; 0: nowhere. */
void kernel_space_keep_finisher(uint64_t address);

/*
 * Builds the tables from frames and turns paging on, on all of settings.cpus; or off, and gives the
 * frames back. On cpu 0, at rest. Does nothing when it is so already.
 */
void kernel_space_on(void);
void kernel_space_off(void);

/* Frames in its tables; 0: it is off. */
uint64_t kernel_space_frames(void);

/* Levels of the tables there are or will be: SV39_LEVELS, SV48_LEVELS. */
unsigned kernel_space_levels(void);

/* To look at; NULL: it is off. */
const struct page_table *kernel_space_table(void);

/* What satp holds where a cpu is in no other space. */
uint64_t kernel_space_satp(void);

/* Maps the same into another space: a hart can be in it and still be in the kernel. */
PAGE_MUST_USE enum page_status kernel_space_map_into(struct page_table *table);
