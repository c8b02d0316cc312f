/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spare_list.h - pieces of memory that are allocated before they are needed, linked through their
 * first words: for the reserves of the heap (mm/heap/reserve.h) and of page tables
 * (mm/paging/page_reserve.h).
 *
 * A list belongs to its caller, which serializes all calls and counts the pieces if it must know how
 * many there are. NULL is the empty list. Nothing is allocated or locked. O(1).
 */
#pragma once

#include <stddef.h>

/* Puts the piece, at least a pointer large and aligned like one, first. Changes its first word only. */
static inline void spare_list_push(void **list, void *piece)
{
	*(void **)piece = *list;
	*list = piece;
}

/* Takes the first piece of a list that has one. Its first word is 0 then, its other bytes as they were. */
static inline void *spare_list_pop(void **list)
{
	void **piece = *list;

	*list = *piece;
	*piece = NULL;
	return piece;
}
