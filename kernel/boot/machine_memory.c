/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_memory.c - RAM, and what is reserved in it: the iterators machine_next_memory() and
 * machine_next_reserved().
 *
 * An iterator is the whole state: it names the node and the entry that come next. Empty ranges are
 * skipped. Sums of start and size do not wrap, for devicetree_entry() and devicetree_open() refuse
 * ranges that do.
 */
#include "kernel/boot/machine_private.h"

#include <string.h>

/* ---- RAM ------------------------------------------------------------------------------------ */

/* The next entry of the property `name` that is not empty; the cells are those of `bus`. */
static enum devicetree_result next_range(const struct devicetree *tree, struct devicetree_node bus,
					 struct devicetree_node node, const char *name,
					 uint32_t *next_entry, struct devicetree_range *range,
					 struct devicetree_error *error)
{
	struct devicetree_cells cells;
	enum devicetree_result result;

	if (devicetree_cells(tree, bus, &cells, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	do {
		result = devicetree_entry(tree, node, name, cells, (*next_entry)++, range, error);
	} while (result == DEVICETREE_FOUND && range->size == 0);
	return result;
}

/* Moves to the next enabled memory node. */
static enum devicetree_result next_memory_node(const struct devicetree *tree,
					       struct machine_memory *memory,
					       struct devicetree_error *error)
{
	bool enabled = false;

	memory->next_entry = 0;
	do {
		enum devicetree_result result = machine_next_of_type(
			tree, devicetree_root(tree), "memory", &memory->node, error);

		if (result != DEVICETREE_FOUND)
			return result;
		if (devicetree_is_enabled(tree, memory->node, &enabled, error) != DEVICETREE_FOUND)
			return DEVICETREE_MALFORMED;
	} while (!enabled);
	return machine_numa_node_of(tree, memory->node, &memory->numa_node, error);
}

/* The name of the property that has the ranges of a memory node. */
static const char *ranges_of_memory(const struct devicetree *tree, struct devicetree_node node)
{
	static const char usable[] = "linux,usable-memory";
	struct devicetree_property property;

	return devicetree_property(tree, node, usable, &property) ? usable : "reg";
}

/* Moves to the next entry that is not empty, in this memory node or a later one. */
static enum devicetree_result next_memory_entry(const struct devicetree *tree,
						struct machine_memory *memory,
						struct devicetree_error *error)
{
	enum devicetree_result result = DEVICETREE_ABSENT;

	for (;;) {
		if (!devicetree_is_none(memory->node))
			result = next_range(tree, devicetree_root(tree), memory->node,
					    ranges_of_memory(tree, memory->node),
					    &memory->next_entry, &memory->entry, error);
		if (result != DEVICETREE_ABSENT)
			return result;
		result = next_memory_node(tree, memory, error);
		if (result != DEVICETREE_FOUND)
			return result;
	}
}

/* The part of `a` that lies in `b`; false where they do not overlap. */
static bool intersect(const struct devicetree_range *a, const struct devicetree_range *b,
		      struct devicetree_range *part)
{
	uint64_t start = a->start > b->start ? a->start : b->start;
	uint64_t a_end = a->start + a->size, b_end = b->start + b->size;
	uint64_t end = a_end < b_end ? a_end : b_end;

	*part = (struct devicetree_range){start, end - start};
	return start < end;
}

/* The next part of the current entry that /chosen allows this kernel to use. */
static enum devicetree_result next_usable_part(const struct devicetree *tree,
					       struct machine_memory *memory,
					       struct devicetree_range *part,
					       struct devicetree_error *error)
{
	static const char name[] = "linux,usable-memory-range";
	struct devicetree_node chosen = devicetree_find_path(tree, "/chosen");
	struct devicetree_property property;
	struct devicetree_range usable;
	enum devicetree_result result;

	if (!devicetree_property(tree, chosen, name, &property)) {
		*part = memory->entry;
		return memory->next_usable++ == 0 ? DEVICETREE_FOUND : DEVICETREE_ABSENT;
	}
	do {
		result = next_range(tree, devicetree_root(tree), chosen, name, &memory->next_usable,
				    &usable, error);
	} while (result == DEVICETREE_FOUND && !intersect(&memory->entry, &usable, part));
	return result;
}

enum devicetree_result machine_next_memory(const struct devicetree *tree,
					   struct machine_memory *memory,
					   struct devicetree_error *error)
{
	enum devicetree_result result;
	struct devicetree_range part;

	for (;;) {
		if (memory->next_usable == 0) {
			result = next_memory_entry(tree, memory, error);
			if (result != DEVICETREE_FOUND)
				return result;
		}
		result = next_usable_part(tree, memory, &part, error);
		if (result == DEVICETREE_MALFORMED)
			return result;
		if (result == DEVICETREE_FOUND)
			break;
		memory->next_usable = 0;
	}
	memory->start = phys(part.start);
	memory->size = part.size;
	return DEVICETREE_FOUND;
}

/* ---- reserved ranges ------------------------------------------------------------------------ */

static enum devicetree_result next_in_reservation_block(const struct devicetree *tree,
							struct machine_reserved *reserved,
							struct devicetree_range *range)
{
	reserved->name = "reservation block";
	do {
		if (!devicetree_reservation(tree, reserved->next_entry++, range))
			return DEVICETREE_ABSENT;
	} while (range->size == 0);
	return DEVICETREE_FOUND;
}

static enum devicetree_result check_cells(uint32_t found, uint32_t expected, const char *name,
					  struct devicetree_node node,
					  struct devicetree_error *error)
{
	if (found == expected)
		return DEVICETREE_FOUND;
	*error = (struct devicetree_error){.what = "of /reserved-memory is not the root's",
					   .property = name,
					   .offset = node.offset,
					   .compares = true,
					   .found = found,
					   .expected = expected};
	return DEVICETREE_MALFORMED;
}

/*
 * The binding requires the root's cells here. Firmware that adds a range to an existing node writes
 * it in the root's cells. If other cells were used to read it, the range would be wrong and the
 * memory that firmware reserves would be handed out.
 */
static enum devicetree_result check_reserved_cells(const struct devicetree *tree,
						   struct devicetree_node parent,
						   struct devicetree_error *error)
{
	struct devicetree_cells own, root;

	if (devicetree_cells(tree, parent, &own, error) != DEVICETREE_FOUND ||
	    devicetree_cells(tree, devicetree_root(tree), &root, error) != DEVICETREE_FOUND ||
	    check_cells(own.address, root.address, "#address-cells", parent, error) !=
		    DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	return check_cells(own.size, root.size, "#size-cells", parent, error);
}

/*
 * The binding requires an empty `ranges` of /reserved-memory: its addresses are those of the
 * machine.
 */
static enum devicetree_result reserved_memory_find(const struct devicetree *tree,
						   struct devicetree_node *parent,
						   struct devicetree_error *error)
{
	struct devicetree_property ranges;

	*parent = devicetree_find_path(tree, "/reserved-memory");
	if (devicetree_property(tree, *parent, "ranges", &ranges) && ranges.length != 0)
		return devicetree_malformed(error, *parent, "ranges", "is not empty");
	if (devicetree_is_none(devicetree_first_child(tree, *parent)))
		return DEVICETREE_FOUND;
	return check_reserved_cells(tree, *parent, error);
}

static enum devicetree_result next_in_reserved_memory(const struct devicetree *tree,
						      struct machine_reserved *reserved,
						      struct devicetree_range *range,
						      struct devicetree_error *error)
{
	struct devicetree_property no_map;
	struct devicetree_node parent;
	enum devicetree_result result;

	if (reserved_memory_find(tree, &parent, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	if (devicetree_is_none(reserved->node))
		reserved->node = devicetree_first_child(tree, parent);
	while (!devicetree_is_none(reserved->node)) {
		result = next_range(tree, parent, reserved->node, "reg", &reserved->next_entry,
				    range, error);
		if (result != DEVICETREE_ABSENT) {
			reserved->name = devicetree_name(tree, reserved->node);
			reserved->no_map = devicetree_property(tree, reserved->node, "no-map",
							       &no_map);
			return result;
		}
		reserved->node = devicetree_next_sibling(tree, reserved->node);
		reserved->next_entry = 0;
	}
	return DEVICETREE_ABSENT;
}

static enum devicetree_result initrd_find(const struct devicetree *tree,
					  struct devicetree_range *range,
					  struct devicetree_error *error)
{
	struct devicetree_node chosen = devicetree_find_path(tree, "/chosen");
	enum devicetree_result has_start, has_end;
	uint64_t start, end;

	has_start = devicetree_number(tree, chosen, "linux,initrd-start", &start, error);
	if (has_start == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	has_end = devicetree_number(tree, chosen, "linux,initrd-end", &end, error);
	if (has_end == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	if (has_start != has_end)
		return devicetree_malformed(error, chosen, "linux,initrd-start",
					    "is not matched by an end");
	if (has_start == DEVICETREE_ABSENT || start == end)
		return DEVICETREE_ABSENT;
	if (end < start)
		return devicetree_malformed(error, chosen, "linux,initrd-end",
					    "lies before the start");
	*range = (struct devicetree_range){start, end - start};
	return DEVICETREE_FOUND;
}

static enum devicetree_result next_initrd(const struct devicetree *tree,
					  struct machine_reserved *reserved,
					  struct devicetree_range *range,
					  struct devicetree_error *error)
{
	reserved->name = "initrd";
	return reserved->next_entry++ == 0 ? initrd_find(tree, range, error) : DEVICETREE_ABSENT;
}

static enum devicetree_result next_of_source(const struct devicetree *tree,
					     struct machine_reserved *reserved,
					     struct devicetree_range *range,
					     struct devicetree_error *error)
{
	reserved->no_map = false;
	switch (reserved->source) {
	case MACHINE_RESERVATION_BLOCK:
		return next_in_reservation_block(tree, reserved, range);
	case MACHINE_RESERVED_MEMORY:
		return next_in_reserved_memory(tree, reserved, range, error);
	case MACHINE_INITRD:
		return next_initrd(tree, reserved, range, error);
	default:
		return DEVICETREE_ABSENT;
	}
}

enum devicetree_result machine_next_reserved(const struct devicetree *tree,
					     struct machine_reserved *reserved,
					     struct devicetree_error *error)
{
	for (; reserved->source != MACHINE_RESERVED_END; reserved->source++) {
		struct devicetree_range range;
		enum devicetree_result result = next_of_source(tree, reserved, &range, error);

		if (result == DEVICETREE_FOUND) {
			reserved->start = phys(range.start);
			reserved->size = range.size;
		}
		if (result != DEVICETREE_ABSENT)
			return result;
		reserved->next_entry = 0;
	}
	*reserved = (struct machine_reserved){0};
	return DEVICETREE_ABSENT;
}
