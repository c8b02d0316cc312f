/* SPDX-License-Identifier: BSD-2-Clause */
/* reserve.c - a list of free blocks; see reserve.h. */
#include "mm/heap/reserve.h"

#include "mm/check.h"
#include "mm/spare_list.h"

static void free_all(void **list)
{
	while (*list)
		kfree(spare_list_pop(list));
}

/* All of `count` blocks in *list, or none. Each has room for the list's link. */
static bool fill(void **list, size_t count, size_t size, unsigned flags)
{
	if (size && size < sizeof(void *))
		size = sizeof(void *);
	while (count-- > 0) {
		void *block = kmalloc_flags(size, 1, flags);

		if (!block) {
			free_all(list);
			return false;
		}
		spare_list_push(list, block);
	}
	return true;
}

bool kmalloc_reserve_flags(struct kmalloc_reserve *reserve, size_t count, size_t size,
			   unsigned flags)
{
	void *list = NULL;

	check(reserve->count == 0 || size <= reserve->size,
	      "kmalloc_reserve: %zu bytes, expected at most %zu as the %zu blocks that the reserve "
	      "has, "
	      "called from [<%p>]",
	      size, reserve->size, reserve->count, __builtin_return_address(0));
	if (reserve->count > 0)
		size = reserve->size;
	if (count > reserve->count && !fill(&list, count - reserve->count, size, flags))
		return false;
	reserve->size = size;
	for (; list; reserve->count++)
		spare_list_push(&reserve->first, spare_list_pop(&list));
	return true;
}

void *kmalloc_reserved(struct kmalloc_reserve *reserve)
{
	check(reserve->count > 0,
	      "kmalloc_reserved: the reserve is empty, expected a block of %zu bytes, called from "
	      "[<%p>]",
	      reserve->size, __builtin_return_address(0));
	reserve->count--;
	return spare_list_pop(&reserve->first);
}

void kmalloc_reserve_end(struct kmalloc_reserve *reserve)
{
	free_all(&reserve->first);
	reserve->count = 0;
}
