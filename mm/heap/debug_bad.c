/* SPDX-License-Identifier: BSD-2-Clause */
/* debug_bad.c - pointers that are no live block: what they are; see debug_private.h. */
#include "mm/heap/debug_private.h"

#include "mm/check.h"

DEBUG_PANIC bad_freed(const struct debug_record *record, const char *pointer, const char *call,
		      const void *caller)
{
	char text[DEBUG_TEXT];

	debug_owners(text, sizeof(text), record);
	if (pointer == record->block)
		port_panic("%s: %p is freed twice: found a freed block of %zu bytes%s, called from "
			   "[<%p>]",
			   call, (const void *)pointer, record->size, text, caller);
	port_panic(
		"%s: %p is an interior pointer of a freed block: offset %lld in %p of %zu bytes%s, "
		"called from [<%p>]",
		call, (const void *)pointer, (long long)(pointer - record->block),
		(void *)record->block, record->size, text, caller);
}

DEBUG_PANIC bad_live(const struct debug_record *record, const char *pointer, const char *call,
		     const void *caller)
{
	size_t offset = (size_t)(pointer - record->block);
	char text[DEBUG_TEXT];

	port_panic("%s: %p is %s: offset %lld in block %p of %zu bytes%s, called from [<%p>]", call,
		   (const void *)pointer,
		   offset < record->size ? "an interior pointer" : "a pointer into a red zone",
		   (long long)offset, (void *)record->block, record->size,
		   debug_owners(text, sizeof(text), record), caller);
}

void debug_bad_pointer(const void *pointer, const char *call, const void *caller)
{
	struct debug_record record;
	struct found found;
	struct hold hold;
	bool is_record, is_known;

	heap_enter(&hold);
	is_known = debug_find_around_locked(pointer, &record, &is_record);
	found = kheap_find_locked(pointer);
	heap_leave(&hold);
	if (is_known && record.state == DEBUG_LIVE)
		bad_live(&record, pointer, call, caller);
	if (is_record)
		found.verdict = VERDICT_FOREIGN;
	if (found.verdict == VERDICT_LIVE && (!is_known || record.state == DEBUG_GONE))
		return;
	if (is_known)
		bad_freed(&record, pointer, call, caller);
	kheap_check_found(&found, pointer, call, caller);
}
