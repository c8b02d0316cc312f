/* SPDX-License-Identifier: BSD-2-Clause */
/* trap_text.c - see trap_text.h. Keeps no state, and knows only what it is given. */
#include "kernel/diag/trap_text.h"

#include <stdio.h>

/* Of exceptions, by scause. */
enum {
	FETCH_MISALIGNED,
	FETCH_ACCESS,
	ILLEGAL_INSTRUCTION,
	BREAKPOINT,
	LOAD_MISALIGNED,
	LOAD_ACCESS,
	STORE_MISALIGNED,
	STORE_ACCESS,
	FETCH_PAGE = 12,
	LOAD_PAGE = 13,
	STORE_PAGE = 15
};

static const char *verb_of(uint64_t scause)
{
	if (scause == FETCH_MISALIGNED || scause == FETCH_ACCESS || scause == FETCH_PAGE)
		return "jumped to";
	if (scause == LOAD_MISALIGNED || scause == LOAD_ACCESS || scause == LOAD_PAGE)
		return "read";
	return "wrote to";
}

static const char *page_reason(uint64_t scause, const struct trap_context *context)
{
	if (context->mapping == TRAP_MAPPING_UNKNOWN)
		return "";
	if (context->mapping == TRAP_NOT_MAPPED)
		return ", which is not mapped";
	if (scause == FETCH_PAGE && !context->executable)
		return ", which is not executable";
	if (scause == LOAD_PAGE && !context->readable)
		return ", which is not readable";
	if (scause == STORE_PAGE && !context->writable)
		return ", which is read-only";
	return ", which is mapped by now";
}

static const char *reason_of(uint64_t scause, const struct trap_context *context)
{
	switch (scause) {
	case FETCH_ACCESS:
	case LOAD_ACCESS:
	case STORE_ACCESS:
		return ", where neither memory nor a device answers";
	case FETCH_MISALIGNED:
	case LOAD_MISALIGNED:
	case STORE_MISALIGNED:
		return ", which is not a multiple of the access's size";
	default:
		return page_reason(scause, context);
	}
}

static void text_of_other(char *text, size_t bytes, const struct trap_cause *cause,
			  const struct trap_context *context)
{
	if (cause->scause == ILLEGAL_INSTRUCTION)
		snprintf(text, bytes, "the cpu executed %#llx, which is not a valid instruction",
			 (unsigned long long)(cause->address ? cause->address
							     : context->instruction));
	else if (cause->scause == BREAKPOINT)
		snprintf(text, bytes, "the cpu executed a breakpoint instruction");
	else
		snprintf(text, bytes, "the cpu took a trap that has no handler");
}

void trap_text(char *text, size_t bytes, const struct trap_cause *cause,
	       const struct trap_context *context)
{
	char what[160];

	if (cause->has_address)
		snprintf(what, sizeof(what), "the cpu %s address %#llx%s", verb_of(cause->scause),
			 (unsigned long long)cause->address, reason_of(cause->scause, context));
	else
		text_of_other(what, sizeof(what), cause, context);
	snprintf(text, bytes, "%s%s (%s, scause %#llx)",
		 !cause->off_stack	  ? ""
		 : context->stack_is_full ? "stack overflow: "
					  : "sp is not in the cpu's stack: ",
		 what, cause->name, (unsigned long long)cause->scause);
}
