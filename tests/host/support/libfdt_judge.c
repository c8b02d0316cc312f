/* SPDX-License-Identifier: BSD-2-Clause */
/* libfdt_judge.c - see libfdt_judge.h. */
#include "tests/host/support/libfdt_judge.h"

#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/boot/machine.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * Trees that the specification forbids and libfdt 1.6.1 reads nonetheless. Its reservation block
 * ends at the first size of 0, ours at the first entry of two zeros (chapter 5.3); and it bounds
 * the names of a version 16 tree by the blob, not by the strings block.
 */
static const char *const stricter[] = {
	"block is not aligned",
	"block starts outside the tree", /* that is, in the header */
	"no root node",
	"node has no name",
	"property after a subnode",
	"property name lies outside the strings block",
	"property name is not terminated",
	"reservation block has no end",
	"reservation wraps",
	"reservations overlap the structure",
	"reservations overlap the strings",
	"structure overlaps the strings",
};

static bool is_stricter(const char *what)
{
	for (size_t i = 0; i < COUNT(stricter); i++) {
		if (strcmp(stricter[i], what) == 0)
			return true;
	}
	return false;
}

static uint32_t peek(const uint8_t *blob, size_t offset)
{
	return fdt32_ld((const fdt32_t *)(const void *)(blob + offset));
}

struct pair {
	struct devicetree ours;
	const void *theirs;
};

/* Our handle for a node of theirs. */
static struct devicetree_node translate(const struct pair *pair, int offset)
{
	if (offset < 0)
		return DEVICETREE_NONE;
	return (struct devicetree_node){fdt_off_dt_struct(pair->theirs) + (uint32_t)offset};
}

#define CHECK_SAME_NODE(pair, our_node, their_offset)                                              \
	CHECK_EQ((our_node).offset, translate(pair, their_offset).offset)

static void compare_bytes(const struct devicetree_property *ours, const void *theirs, int length)
{
	CHECK(theirs && length >= 0);
	CHECK_EQ(ours->length, length);
	CHECK(memcmp(ours->value, theirs, ours->length) == 0);
}

static void compare_properties(const struct pair *pair, struct devicetree_node node, int offset)
{
	struct devicetree_property property = {0}, by_name;
	int property_offset, length;

	fdt_for_each_property_offset(property_offset, pair->theirs, offset)
	{
		const char *name;
		const void *value = fdt_getprop_by_offset(pair->theirs, property_offset, &name,
							  &length);

		CHECK(devicetree_next_property(&pair->ours, node, &property));
		CHECK(strcmp(property.name, name) == 0);
		compare_bytes(&property, value, length);

		value = fdt_getprop(pair->theirs, offset, name, &length);
		CHECK(devicetree_property(&pair->ours, node, name, &by_name));
		compare_bytes(&by_name, value, length);
	}
	CHECK(!devicetree_next_property(&pair->ours, node, &property));
}

/* A ':' ends our paths, and may stand in a damaged name. */
static void compare_path(const struct pair *pair, int offset)
{
	char path[4096];

	if (fdt_get_path(pair->theirs, offset, path, sizeof(path)) != 0 || strchr(path, ':'))
		return;
	CHECK_SAME_NODE(pair, devicetree_find_path(&pair->ours, path),
			fdt_path_offset(pair->theirs, path));
}

/* ---- what the values mean ---------------------------------------------------------------- */

/* As libfdt's user would work it out from the raw value; false: malformed. */
static bool their_u32(const struct pair *pair, int offset, const char *name, uint32_t absent,
		      uint32_t *number)
{
	int length;
	const fdt32_t *value = fdt_getprop(pair->theirs, offset, name, &length);

	*number = value && length == 4 ? fdt32_ld(value) : absent;
	return !value || length == 4;
}

static bool their_cells(const struct pair *pair, int bus, const char *name, uint32_t absent,
			uint32_t *cells)
{
	return their_u32(pair, bus, name, absent, cells) && *cells <= 4;
}

/* False where a number of more than 64 bits stands. */
static bool their_number(const uint8_t **at, uint32_t cells, uint64_t *number)
{
	bool fits = true;

	*number = 0;
	for (uint32_t i = 0; i < cells; i++, *at += 4) {
		fits &= i + 2 >= cells || peek(*at, 0) == 0;
		*number = *number << 32 | peek(*at, 0);
	}
	return fits;
}

static enum devicetree_result their_reg(const struct pair *pair, int offset, uint32_t address,
					uint32_t size, uint32_t index,
					struct devicetree_range *range)
{
	int length;
	const uint8_t *value = fdt_getprop(pair->theirs, offset, "reg", &length);
	uint32_t entry = 4 * (address + size);

	if (!value)
		return DEVICETREE_ABSENT;
	if (entry ? (uint32_t)length % entry != 0 : length != 0)
		return DEVICETREE_MALFORMED;
	if (!entry || index >= (uint32_t)length / entry)
		return DEVICETREE_ABSENT;
	value += index * entry;
	if (!their_number(&value, address, &range->start) ||
	    !their_number(&value, size, &range->size))
		return DEVICETREE_MALFORMED;
	/* The last byte, and where there is none the place itself, is below 2^64. */
	if (range->size > UINT64_MAX - range->start)
		return DEVICETREE_MALFORMED;
	return DEVICETREE_FOUND;
}

static bool their_both_cells(const struct pair *pair, int bus, struct devicetree_cells *cells)
{
	bool sound = their_cells(pair, bus, "#address-cells", 2, &cells->address);

	return their_cells(pair, bus, "#size-cells", 1, &cells->size) && sound;
}

/* By the first window that holds it, from below `bus` to where the bus itself is; false: by none.
 */
static bool their_translate(const struct pair *pair, int bus, uint32_t above,
			    struct devicetree_range *range)
{
	struct devicetree_cells cells;
	int length;
	const uint8_t *value = fdt_getprop(pair->theirs, bus, "ranges", &length), *end;
	uint32_t entry;

	if (!value || !their_both_cells(pair, bus, &cells))
		return false;
	entry = 4 * (cells.address + above + cells.size);
	if (length == 0)
		return true;
	if (!entry || (uint32_t)length % entry)
		return false;
	for (end = value + length; value < end;) {
		uint64_t child, parent, size;
		bool fits = their_number(&value, cells.address, &child);

		fits &= their_number(&value, above, &parent);
		fits &= their_number(&value, cells.size, &size);
		if (!fits || range->start < child ||
		    (unsigned __int128)range->start + range->size > (unsigned __int128)child + size)
			continue;
		range->start += parent - child;
		return parent <= UINT64_MAX - size;
	}
	return false;
}

static enum devicetree_result their_reg_physical(const struct pair *pair, int offset,
						 uint32_t index, struct devicetree_range *range)
{
	int bus = fdt_parent_offset(pair->theirs, offset), above;
	struct devicetree_cells cells;
	enum devicetree_result result;

	if (!their_both_cells(pair, bus, &cells))
		return DEVICETREE_MALFORMED;
	result = their_reg(pair, offset, cells.address, cells.size, index, range);
	for (; result == DEVICETREE_FOUND; bus = above) {
		above = fdt_parent_offset(pair->theirs, bus);
		if (above < 0)
			break;
		if (!their_both_cells(pair, above, &cells) ||
		    !their_translate(pair, bus, cells.address, range))
			result = DEVICETREE_MALFORMED;
	}
	return result;
}

static void compare_physical(const struct pair *pair, struct devicetree_node node, int offset,
			     uint32_t index)
{
	struct devicetree_range ours = {0}, theirs = {0};
	struct devicetree_error error;
	enum devicetree_result result = devicetree_reg_physical(&pair->ours, node, index, &ours,
								&error);

	CHECK_EQ(result, their_reg_physical(pair, offset, index, &theirs));
	if (result == DEVICETREE_FOUND)
		CHECK(ours.start == theirs.start && ours.size == theirs.size);
}

static void compare_reg(const struct pair *pair, struct devicetree_node node, int offset)
{
	int bus = fdt_parent_offset(pair->theirs, offset);
	struct devicetree_error error;
	struct devicetree_cells cells, expected;
	enum devicetree_result result;
	bool sound;

	if (bus < 0)
		return;
	sound = their_both_cells(pair, bus, &expected);
	result = devicetree_cells(&pair->ours, translate(pair, bus), &cells, &error);
	CHECK_EQ(result, sound ? DEVICETREE_FOUND : DEVICETREE_MALFORMED);
	if (!sound)
		return;
	CHECK_EQ(cells.address, expected.address);
	CHECK_EQ(cells.size, expected.size);
	for (uint32_t i = 0; result == DEVICETREE_FOUND; i++) {
		struct devicetree_range ours = {0}, theirs = {0};

		result = devicetree_reg(&pair->ours, node, cells, i, &ours, &error);
		CHECK_EQ(result, their_reg(pair, offset, cells.address, cells.size, i, &theirs));
		compare_physical(pair, node, offset, i);
		if (result == DEVICETREE_FOUND)
			CHECK(ours.start == theirs.start && ours.size == theirs.size);
	}
}

/* The first string of a property, or NULL; *malformed where there is one without an end. */
static const char *their_string(const struct pair *pair, int offset, const char *name,
				bool *malformed)
{
	int length;
	const char *value = fdt_getprop(pair->theirs, offset, name, &length);

	*malformed = value && !memchr(value, 0, (size_t)length);
	return *malformed ? NULL : value;
}

/* Whether the node is enabled memory. */
static enum devicetree_result their_memory_node(const struct pair *pair, int offset)
{
	bool bad_type, bad_status;
	int status_bytes = 1;
	const char *type = their_string(pair, offset, "device_type", &bad_type);
	const char *status = their_string(pair, offset, "status", &bad_status);
	const char *name = fdt_get_name(pair->theirs, offset, NULL);

	if (bad_type)
		return DEVICETREE_MALFORMED;
	if (type ? strcmp(type, "memory")
		 : strncmp(name, "memory", 6) || (name[6] && name[6] != '@'))
		return DEVICETREE_ABSENT;
	if (fdt_getprop(pair->theirs, offset, "status", &status_bytes) && status_bytes == 0)
		return DEVICETREE_ABSENT;
	if (bad_status)
		return DEVICETREE_MALFORMED;
	return !status || !strcmp(status, "okay") || !strcmp(status, "ok") ? DEVICETREE_FOUND
									   : DEVICETREE_ABSENT;
}

/* Steps ours through the memory of one node. False where theirs is malformed, and ours says so. */
static bool compare_memory_node(const struct pair *pair, int offset, struct machine_memory *memory)
{
	struct devicetree_range range;
	struct devicetree_error error;
	enum devicetree_result result;
	struct devicetree_cells cells;
	uint32_t node;

	if (!their_u32(pair, offset, "numa-node-id", 0, &node) || !their_both_cells(pair, 0, &cells))
		goto malformed;
	for (uint32_t i = 0;; i++) {
		result = their_reg(pair, offset, cells.address, cells.size, i, &range);
		if (result == DEVICETREE_MALFORMED)
			goto malformed;
		if (result == DEVICETREE_ABSENT)
			return true;
		if (range.size == 0)
			continue;
		CHECK_EQ(machine_next_memory(&pair->ours, memory, &error), DEVICETREE_FOUND);
		CHECK_EQ(memory->start.value, range.start);
		CHECK_EQ(memory->size, range.size);
		CHECK_EQ(memory->numa_node, node);
	}
malformed:
	CHECK_EQ(machine_next_memory(&pair->ours, memory, &error), DEVICETREE_MALFORMED);
	return false;
}

/* Whether the tree limits what may be used: of that fuzz_memory.c has a model. */
static bool memory_is_limited(const struct pair *pair)
{
	int offset = fdt_path_offset(pair->theirs, "/chosen");

	if (offset >= 0 && fdt_getprop(pair->theirs, offset, "linux,usable-memory-range", NULL))
		return true;
	fdt_for_each_subnode(
		offset, pair->theirs,
		0) if (fdt_getprop(pair->theirs, offset, "linux,usable-memory", NULL)) return true;
	return false;
}

static void compare_memory(const struct pair *pair)
{
	struct machine_memory memory = {0};
	struct devicetree_error error;
	int offset;

	if (memory_is_limited(pair))
		return;
	fdt_for_each_subnode(offset, pair->theirs, 0)
	{
		switch (their_memory_node(pair, offset)) {
		case DEVICETREE_ABSENT:
			continue;
		case DEVICETREE_FOUND:
			if (!compare_memory_node(pair, offset, &memory))
				return;
			continue;
		default:
			CHECK_EQ(machine_next_memory(&pair->ours, &memory, &error),
				 DEVICETREE_MALFORMED);
			return;
		}
	}
	CHECK_EQ(machine_next_memory(&pair->ours, &memory, &error), DEVICETREE_ABSENT);
}

/* ---- the whole of it ---------------------------------------------------------------------- */

static void compare_nodes(const struct pair *pair)
{
	struct devicetree_node node = devicetree_root(&pair->ours);
	int offset;

	for (offset = fdt_next_node(pair->theirs, -1, NULL); offset >= 0;
	     offset = fdt_next_node(pair->theirs, offset, NULL)) {
		CHECK_SAME_NODE(pair, node, offset);
		CHECK(strcmp(devicetree_name(&pair->ours, node),
			     fdt_get_name(pair->theirs, offset, NULL)) == 0);
		CHECK_SAME_NODE(pair, devicetree_parent(&pair->ours, node),
				fdt_parent_offset(pair->theirs, offset));
		CHECK_SAME_NODE(pair, devicetree_first_child(&pair->ours, node),
				fdt_first_subnode(pair->theirs, offset));
		if (offset != 0)
			CHECK_SAME_NODE(pair, devicetree_next_sibling(&pair->ours, node),
					fdt_next_subnode(pair->theirs, offset));
		compare_properties(pair, node, offset);
		compare_path(pair, offset);
		compare_reg(pair, node, offset);
		node = devicetree_next(&pair->ours, node);
	}
	CHECK(devicetree_is_none(node));
}

static void compare_reservations(const struct pair *pair)
{
	struct devicetree_range range;
	int count = fdt_num_mem_rsv(pair->theirs);

	for (int i = 0; i < count; i++) {
		uint64_t start, size;

		CHECK(fdt_get_mem_rsv(pair->theirs, i, &start, &size) == 0);
		CHECK(devicetree_reservation(&pair->ours, (uint32_t)i, &range));
		CHECK_EQ(range.start, start);
		CHECK_EQ(range.size, size);
	}
	CHECK(!devicetree_reservation(&pair->ours, (uint32_t)count, &range) || range.size == 0);
}

static void compare_phandles(const struct pair *pair)
{
	for (uint32_t phandle = 1; phandle < 16; phandle++)
		CHECK_SAME_NODE(pair, devicetree_find_phandle(&pair->ours, phandle),
				fdt_node_offset_by_phandle(pair->theirs, phandle));
}

static void compare(const struct pair *pair)
{
	compare_nodes(pair);
	compare_reservations(pair);
	compare_phandles(pair);
	compare_memory(pair);
}

/*
 * Whether to leave libfdt 1.6.1 out of it. It adds a property's length to its offset as `int`,
 * and a length near 2^32 sends it back in the blob, for ever; and in a tree that claims to be
 * older than version 16 it follows a null pointer. We refuse both.
 */
static bool libfdt_goes_astray(const uint8_t *blob, size_t size)
{
	size_t start, at;

	if (size < sizeof(struct fdt_header) || peek(blob, 20) < 16)
		return true;
	start = at = peek(blob, 8);
	while (at <= size - 4) {
		uint32_t token = peek(blob, at);

		at += 4;
		if (token == FDT_BEGIN_NODE) {
			at += strnlen((const char *)blob + at, size - at) + 1;
		} else if (token == FDT_PROP) {
			if (at > size - 8)
				return false;
			if (peek(blob, at) > size)
				return true;
			at += 8 + peek(blob, at);
		} else if (token != FDT_END_NODE && token != FDT_NOP) {
			return false;
		}
		at = start + ((at - start + 3) & ~(size_t)3);
	}
	return false;
}

static enum libfdt_verdict verdict_of_one(const struct pair *pair, bool ours, bool theirs,
					  const struct devicetree_error *error)
{
	if (ours) {
		/*
		 * Our reader is more tolerant in this case only: libfdt takes no NOP between root
		 * and end.
		 */
		CHECK_EQ(peek(pair->ours.blob, pair->ours.structure.end - 8), FDT_NOP);
		return LIBFDT_OURS_ONLY;
	}
	if (!theirs)
		return LIBFDT_NEITHER;
	if (!is_stricter(error->what))
		unit_fail(__FILE__, __LINE__, "libfdt accepts what we refuse: %s at %u",
			  error->what, error->offset);
	return LIBFDT_THEIRS_ONLY;
}

enum libfdt_verdict libfdt_judge(const uint8_t *blob, size_t size)
{
	struct devicetree_error error;
	struct pair pair;
	uint8_t *roomy = calloc(1, size + 64);
	enum libfdt_verdict verdict = LIBFDT_BOTH;
	bool ours, theirs;

	memcpy(roomy, blob, size);
	pair.theirs = roomy;
	ours = devicetree_open(&pair.ours, blob, size, &error);
	theirs = !libfdt_goes_astray(blob, size) && fdt_check_full(roomy, size) == 0;
	if (ours && theirs)
		compare(&pair);
	else
		verdict = verdict_of_one(&pair, ours, theirs, &error);
	free(roomy);
	return verdict;
}
