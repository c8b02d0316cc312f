/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_trap_text.c - a trap in words: each cause, and each reason that the page tables give.
 *
 * Covers: kernel/diag/trap_text.c
 */
#include "kernel/diag/trap_text.h"

#include <string.h>

#include "unit.h"

static const struct trap_context nothing_known;

static const char *text_of(struct trap_cause cause, struct trap_context context)
{
	static char text[240];

	trap_text(text, sizeof(text), &cause, &context);
	return text;
}

static const char *access_text(uint64_t scause, uint64_t address, struct trap_context context)
{
	return text_of((struct trap_cause){"NAME", scause, address, true, false}, context);
}

static void check_text(const char *found, const char *wanted)
{
	if (strcmp(found, wanted) != 0)
		unit_fail(__FILE__, __LINE__, "expected \"%s\", found \"%s\"", wanted, found);
}

TEST(every_access_has_its_verb_and_its_reason)
{
	check_text(access_text(0, 0x12, nothing_known),
		   "the cpu jumped to address 0x12, which is not a multiple of the access's size "
		   "(NAME, scause 0)");
	check_text(access_text(1, 0x12, nothing_known),
		   "the cpu jumped to address 0x12, where neither memory nor a device answers "
		   "(NAME, scause 0x1)");
	check_text(access_text(4, 0x13, nothing_known),
		   "the cpu read address 0x13, which is not a multiple of the access's size "
		   "(NAME, scause 0x4)");
	check_text(access_text(5, 0x13, nothing_known),
		   "the cpu read address 0x13, where neither memory nor a device answers "
		   "(NAME, scause 0x5)");
	check_text(access_text(6, 0x14, nothing_known),
		   "the cpu wrote to address 0x14, which is not a multiple of the access's size "
		   "(NAME, scause 0x6)");
	check_text(access_text(7, 0x14, nothing_known),
		   "the cpu wrote to address 0x14, where neither memory nor a device answers "
		   "(NAME, scause 0x7)");
}

TEST(a_page_fault_says_what_the_tables_forbid)
{
	struct trap_context absent = {.mapping = TRAP_NOT_MAPPED};
	struct trap_context text = {TRAP_MAPPED, .readable = true, .executable = true};
	struct trap_context data = {TRAP_MAPPED, .readable = true, .writable = true};
	struct trap_context hidden = {TRAP_MAPPED, .executable = true};

	check_text(access_text(12, 0, absent),
		   "the cpu jumped to address 0, which is not mapped (NAME, scause 0xc)");
	check_text(access_text(13, 8, absent),
		   "the cpu read address 0x8, which is not mapped (NAME, scause 0xd)");
	check_text(access_text(15, 8, text),
		   "the cpu wrote to address 0x8, which is read-only (NAME, scause 0xf)");
	check_text(access_text(12, 8, data),
		   "the cpu jumped to address 0x8, which is not executable (NAME, scause 0xc)");
	check_text(access_text(13, 8, hidden),
		   "the cpu read address 0x8, which is not readable (NAME, scause 0xd)");
	check_text(access_text(12, 8, text),
		   "the cpu jumped to address 0x8, which is mapped by now (NAME, scause 0xc)");
	check_text(access_text(15, 8, nothing_known),
		   "the cpu wrote to address 0x8 (NAME, scause 0xf)");
}

TEST(other_traps)
{
	struct trap_cause illegal = {"illegal instruction", 2, 0xc0102573, false, false};
	struct trap_context context = {.instruction = 0x30002573};

	check_text(text_of(illegal, context),
		   "the cpu executed 0xc0102573, which is not a valid instruction (illegal "
		   "instruction, scause 0x2)");
	illegal.address = 0; /* where the machine does not say it, memory does */
	check_text(text_of(illegal, context),
		   "the cpu executed 0x30002573, which is not a valid instruction (illegal "
		   "instruction, scause 0x2)");
	check_text(text_of((struct trap_cause){"breakpoint", 3, 0, false, false}, context),
		   "the cpu executed a breakpoint instruction (breakpoint, scause 0x3)");
	check_text(text_of((struct trap_cause){"NAME", 9, 0, false, false}, context),
		   "the cpu took a trap that has no handler (NAME, scause 0x9)");
	check_text(text_of((struct trap_cause){"NAME", UINT64_C(1) << 63 | 9, 0, false, false},
			   context),
		   "the cpu took a trap that has no handler (NAME, scause 0x8000000000000009)");
}

TEST(a_trap_that_found_no_room_on_the_stack)
{
	struct trap_cause cause = {"NAME", 15, 8, true, true};
	struct trap_context full = {.mapping = TRAP_NOT_MAPPED, .stack_is_full = true};
	struct trap_context elsewhere = {.mapping = TRAP_NOT_MAPPED};

	check_text(text_of(cause, full), "stack overflow: the cpu wrote to address 0x8, which is "
					 "not mapped (NAME, scause 0xf)");
	check_text(text_of(cause, elsewhere),
		   "sp is not in the cpu's stack: the cpu wrote to address 0x8, which is not "
		   "mapped (NAME, scause 0xf)");
}
