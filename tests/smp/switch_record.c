/* SPDX-License-Identifier: BSD-2-Clause */
/* switch_record.c - see switch_record.h. */
#include "tests/smp/switch_record.h"

#include <stdbool.h>

#include "kernel/diag/record.h"

#define RECORDED_MAX	4096
#define RECORDS_IN_LINE 32

struct recorded {
	uint32_t step;
	uint16_t from, to;
	uint8_t why, masked;
	uint64_t pc; /* of `from`; masked: where it let interrupts in again; 0: not yet */
};

static struct recorded *records;
static uint64_t recorded; /* also those that found no room */

size_t switch_records_bytes(void)
{
	return RECORDED_MAX * sizeof(*records);
}

void switch_records_begin(void *memory)
{
	records = memory;
	recorded = 0;
}

unsigned switch_record(uint64_t step, unsigned from, unsigned to, enum switch_why why)
{
	if (recorded++ >= RECORDED_MAX)
		return 0;
	records[recorded - 1] = (struct recorded){.step = (uint32_t)step,
						  .from = (uint16_t)from,
						  .to = (uint16_t)to,
						  .why = (uint8_t)why};
	return (unsigned)recorded;
}

/* Whether the instruction before `pc` is the one that lets interrupts in: it accesses sstatus. */
static bool is_end_of_masked_section(uint64_t pc)
{
	const uint16_t *half = (const uint16_t *)(uintptr_t)(pc - 4);

	return (half[0] & 0x7f) == 0x73 && half[1] >> 4 == 0x100;
}

void switch_record_place(unsigned number, uint64_t pc)
{
	if (!number)
		return;
	records[number - 1].pc = pc;
	records[number - 1].masked = is_end_of_masked_section(pc);
}

static uint64_t member_of(const struct recorded *record, unsigned member)
{
	const uint64_t members[] = {record->step, record->from,	  record->to,
				    record->why,  record->masked, record->pc};

	return members[member];
}

static void print_some(const struct recorded *first, unsigned count)
{
	static const char *const names[] = {"step", "from", "to", "why", "masked", "pc"};
	uint64_t values[RECORDS_IN_LINE];

	record_begin("switches");
	for (unsigned member = 0; member < sizeof(names) / sizeof(names[0]); member++) {
		for (unsigned i = 0; i < count; i++)
			values[i] = member_of(&first[i], member);
		record_numbers(names[member], values, count);
	}
	record_end();
}

void switch_records_print(unsigned current, uint64_t steps)
{
	uint64_t kept = recorded < RECORDED_MAX ? recorded : RECORDED_MAX;

	for (uint64_t i = 0; i < kept; i += RECORDS_IN_LINE)
		print_some(&records[i],
			   (unsigned)(kept - i < RECORDS_IN_LINE ? kept - i : RECORDS_IN_LINE));
	record_begin("schedule");
	record_number("current", current);
	record_number("steps", steps);
	record_number("switches", recorded);
	record_number("lost", recorded - kept);
	record_end();
}
