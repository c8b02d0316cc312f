/* SPDX-License-Identifier: BSD-2-Clause */
/* unwind_table.c - reads .eh_frame; see unwind_table.h. Keeps no state. */
#include "arch/riscv/unwind_table.h"

/* .eh_frame: entries of functions, and before them what many of these have in common. */
extern const uint8_t __unwind_start[], __unwind_end[];

#define VERSION_GCC	  3 /* by the assembler, of its own directives; clang writes 1 itself */
#define VERSION_CLANG	  1
#define ENCODING_PCREL_S4 0x1b

struct reader {
	const uint8_t *at, *end;
};

static uint64_t read_bytes(struct reader *from, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count && from->at < from->end; i++)
		value |= (uint64_t)*from->at++ << 8 * i;
	return value;
}

/* LEB128. */
static uint64_t read_number(struct reader *from, bool is_signed)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)read_bytes(from, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && byte & 0x40)
		value |= UINT64_MAX << shift;
	return value;
}

static uint64_t read_relative(struct reader *from)
{
	uint64_t here = (uintptr_t)from->at;

	return here + (uint64_t)(int64_t)(int32_t)read_bytes(from, 4);
}

/* One entry, behind its length. */
static struct reader entry_at(const uint8_t *entry)
{
	struct reader length = {entry, entry + 4};
	uint64_t bytes = read_bytes(&length, 4);

	return (struct reader){entry + 4, entry + 4 + bytes};
}

/* ---- the program of an entry ------------------------------------------------------------------ */

/* What the entries of many functions have in common. */
struct common {
	uint64_t code_unit;
	int64_t data_unit;
	unsigned return_register;
	struct reader program;
};

static bool read_common(const uint8_t *entry, struct common *common)
{
	struct reader from = entry_at(entry);
	bool is_known = read_bytes(&from, 4) == 0;
	uint64_t version = read_bytes(&from, 1), text = read_bytes(&from, 3);

	common->code_unit = read_number(&from, false);
	common->data_unit = (int64_t)read_number(&from, true);
	common->return_register = (unsigned)read_bytes(&from, 1);
	is_known = is_known && (version == VERSION_GCC || version == VERSION_CLANG) &&
		   text == ('z' | 'R' << 8) && read_number(&from, false) == 1 &&
		   read_bytes(&from, 1) == ENCODING_PCREL_S4;
	common->program = from;
	return is_known && common->return_register < UNWIND_REGISTERS;
}

#define ROWS_KEPT 4 /* nested DW_CFA_remember_state: compilers use one */

struct machine {
	const struct common *common;
	struct reader program;
	uint64_t pc; /* that the row is of, and the ones behind it */
	struct unwind_row row, initial, kept[ROWS_KEPT];
	unsigned kept_count;
};

static void save(struct machine *machine, uint64_t number, int64_t offset)
{
	if (number < UNWIND_REGISTERS)
		machine->row.saved[number] = offset;
}

static int64_t read_offset(struct machine *machine)
{
	return (int64_t)read_number(&machine->program, false) * machine->common->data_unit;
}

static bool advance(struct machine *machine, uint64_t units)
{
	machine->pc += units * machine->common->code_unit;
	return true;
}

static bool keep_row(struct machine *machine)
{
	if (machine->kept_count == ROWS_KEPT)
		return false;
	machine->kept[machine->kept_count++] = machine->row;
	return true;
}

static bool restore_row(struct machine *machine)
{
	if (!machine->kept_count)
		return false;
	machine->row = machine->kept[--machine->kept_count];
	return true;
}

static bool set_base(struct machine *machine, bool has_offset)
{
	machine->row.base = (unsigned)read_number(&machine->program, false);
	if (has_offset)
		machine->row.offset = (int64_t)read_number(&machine->program, false);
	return machine->row.base < UNWIND_REGISTERS;
}

/* The instructions whose operands are not in their first byte. False: one that is not known. */
static bool execute_long(struct machine *machine, unsigned code)
{
	struct reader *from = &machine->program;
	uint64_t number;

	switch (code) {
	case 0x00: /* DW_CFA_nop */
		return true;
	case 0x02: /* DW_CFA_advance_loc1, 2 and 4 */
	case 0x03:
		return advance(machine, read_bytes(from, code - 1));
	case 0x04:
		return advance(machine, read_bytes(from, 4));
	case 0x05: /* DW_CFA_offset_extended */
		number = read_number(from, false);
		save(machine, number, read_offset(machine));
		return true;
	case 0x06: /* DW_CFA_restore_extended */
		number = read_number(from, false);
		save(machine, number,
		     number < UNWIND_REGISTERS ? machine->initial.saved[number] : 0);
		return true;
	case 0x0a: /* DW_CFA_remember_state */
		return keep_row(machine);
	case 0x0b: /* DW_CFA_restore_state */
		return restore_row(machine);
	case 0x0c: /* DW_CFA_def_cfa */
		return set_base(machine, true);
	case 0x0d: /* DW_CFA_def_cfa_register */
		return set_base(machine, false);
	case 0x0e: /* DW_CFA_def_cfa_offset */
		machine->row.offset = (int64_t)read_number(from, false);
		return true;
	default:
		return false;
	}
}

static bool execute(struct machine *machine)
{
	unsigned code = (unsigned)read_bytes(&machine->program, 1), operand = code & 0x3f;

	switch (code >> 6) {
	case 1: /* DW_CFA_advance_loc */
		return advance(machine, operand);
	case 2: /* DW_CFA_offset */
		save(machine, operand, read_offset(machine));
		return true;
	case 3: /* DW_CFA_restore */
		save(machine, operand,
		     operand < UNWIND_REGISTERS ? machine->initial.saved[operand] : 0);
		return true;
	default:
		return execute_long(machine, code);
	}
}

/* The row of the last instruction that begins at or before `pc`. */
static bool run(struct machine *machine, const struct reader *program, uint64_t pc)
{
	struct unwind_row last = machine->row;

	machine->program = *program;
	while (machine->program.at < machine->program.end) {
		last = machine->row;
		if (!execute(machine))
			return false;
		if (machine->pc > pc) {
			machine->row = last;
			break;
		}
	}
	return true;
}

/* ---- the entry of an address ------------------------------------------------------------------ */

struct entry {
	const uint8_t *common;
	struct reader program;
	uint64_t start;
};

/* Whether this is the entry of the function that `pc` lies in. */
static bool read_entry(struct reader from, uint64_t pc, struct entry *entry)
{
	const uint8_t *here = from.at;
	uint64_t back = read_bytes(&from, 4);

	if (!back)
		return false; /* what others have in common */
	entry->common = here - back;
	entry->start = read_relative(&from);
	if (pc - entry->start >= read_bytes(&from, 4))
		return false;
	entry->program = from;
	return read_number(&entry->program, false) == 0;
}

/*
 * From the first entry on: they are not sorted, and the linker makes an index for hosted programs
 * alone. Some thousand entries are nothing for a panic.
 */
static bool find_entry(uint64_t pc, struct entry *entry)
{
	const uint8_t *at = __unwind_start;

	while (at + 4 <= __unwind_end) {
		struct reader from = entry_at(at);

		if (from.end == from.at)
			break; /* the list's end */
		if (read_entry(from, pc, entry))
			return true;
		at = from.end;
	}
	return false;
}

bool unwind_find(uint64_t pc, struct unwind_row *row)
{
	struct machine machine = {.kept_count = 0};
	struct common common;
	struct entry entry;

	if (!find_entry(pc, &entry) || !read_common(entry.common, &common))
		return false;
	machine.common = &common;
	machine.pc = entry.start;
	machine.row.return_register = common.return_register;
	if (!run(&machine, &common.program, pc))
		return false;
	machine.initial = machine.row;
	if (!run(&machine, &entry.program, pc))
		return false;
	*row = machine.row;
	return true;
}
