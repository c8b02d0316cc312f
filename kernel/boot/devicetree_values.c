/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree_values.c - what the values of properties mean: numbers, strings, status, cells,
 * address ranges, and their translation to addresses as the cpus see them.
 *
 * Results are written only when the answer is FOUND. No sum wraps: a range is checked before its
 * end is computed, and counts of cells that a caller made up are added in 64 bits.
 */
#include "kernel/boot/devicetree_private.h"

#include <string.h>

#define CELLS_MAX	      4
#define DEFAULT_ADDRESS_CELLS 2
#define DEFAULT_SIZE_CELLS    1

/* ---- numbers and strings --------------------------------------------------------------------- */

uint32_t devicetree_word(const struct devicetree_property *property, uint32_t index)
{
	return index < devicetree_words(property)
		       ? devicetree_word_at(property->value + index * DEVICETREE_WORD_BYTES)
		       : 0;
}

enum devicetree_result devicetree_string(const struct devicetree *tree, struct devicetree_node node,
					 const char *name, const char **string,
					 struct devicetree_error *error)
{
	struct devicetree_property property;
	const char *first = NULL;

	if (!devicetree_property(tree, node, name, &property))
		return DEVICETREE_ABSENT;
	if (!devicetree_next_string(&property, &first))
		return devicetree_malformed(error, node, name, "is not a string");
	*string = first;
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_u32(const struct devicetree *tree, struct devicetree_node node,
				      const char *name, uint32_t *value,
				      struct devicetree_error *error)
{
	struct devicetree_property property;

	if (!devicetree_property(tree, node, name, &property))
		return DEVICETREE_ABSENT;
	if (property.length != DEVICETREE_WORD_BYTES)
		return devicetree_malformed(error, node, name, "is not one cell");
	*value = devicetree_word_at(property.value);
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_u64(const struct devicetree *tree, struct devicetree_node node,
				      const char *name, uint64_t *value,
				      struct devicetree_error *error)
{
	struct devicetree_property property;

	if (!devicetree_property(tree, node, name, &property))
		return DEVICETREE_ABSENT;
	if (property.length != 2 * DEVICETREE_WORD_BYTES)
		return devicetree_malformed(error, node, name, "is not two cells");
	*value = devicetree_two_words_at(property.value);
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_number(const struct devicetree *tree, struct devicetree_node node,
					 const char *name, uint64_t *value,
					 struct devicetree_error *error)
{
	struct devicetree_property property;

	if (!devicetree_property(tree, node, name, &property))
		return DEVICETREE_ABSENT;
	if (property.length == DEVICETREE_WORD_BYTES)
		*value = devicetree_word_at(property.value);
	else if (property.length == 2 * DEVICETREE_WORD_BYTES)
		*value = devicetree_two_words_at(property.value);
	else
		return devicetree_malformed(error, node, name, "is neither one cell nor two");
	return DEVICETREE_FOUND;
}

bool devicetree_next_string(const struct devicetree_property *list, const char **string)
{
	const char *end = (const char *)list->value + list->length;
	const char *next = *string ? *string + strlen(*string) + 1 : (const char *)list->value;

	if (next >= end || !memchr(next, '\0', (size_t)(end - next)))
		return false;
	*string = next;
	return true;
}

bool devicetree_strings_contain(const struct devicetree *tree, struct devicetree_node node,
				const char *name, const char *wanted)
{
	struct devicetree_property list;
	const char *string = NULL;

	if (!devicetree_property(tree, node, name, &list))
		return false;
	while (devicetree_next_string(&list, &string)) {
		if (strcmp(string, wanted) == 0)
			return true;
	}
	return false;
}

enum devicetree_result devicetree_is_enabled(const struct devicetree *tree,
					     struct devicetree_node node, bool *enabled,
					     struct devicetree_error *error)
{
	const char *status = "okay";
	struct devicetree_property property;

	if (devicetree_property(tree, node, "status", &property) && property.length == 0) {
		*enabled = false;
		return DEVICETREE_FOUND;
	}
	if (devicetree_string(tree, node, "status", &status, error) == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	*enabled = strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
	return DEVICETREE_FOUND;
}

/* ---- cells and addresses --------------------------------------------------------------------- */

static enum devicetree_result cell_count(const struct devicetree *tree, struct devicetree_node bus,
					 const char *name, uint32_t *cells,
					 struct devicetree_error *error)
{
	if (devicetree_u32(tree, bus, name, cells, error) == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	if (*cells > CELLS_MAX)
		return devicetree_malformed(error, bus, name, "is more than 4");
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_cells(const struct devicetree *tree, struct devicetree_node bus,
					struct devicetree_cells *cells,
					struct devicetree_error *error)
{
	struct devicetree_cells found = {DEFAULT_ADDRESS_CELLS, DEFAULT_SIZE_CELLS};

	if (cell_count(tree, bus, "#address-cells", &found.address, error) != DEVICETREE_FOUND ||
	    cell_count(tree, bus, "#size-cells", &found.size, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	*cells = found;
	return DEVICETREE_FOUND;
}

/* Reads a number of `cells` words and moves *at past it; false where it does not fit 64 bits. */
static bool cells_read(const uint8_t **at, uint32_t cells, uint64_t *value)
{
	uint64_t number = 0;

	for (; cells > 0; cells--, *at += DEVICETREE_WORD_BYTES) {
		if (number >> 32)
			return false;
		number = number << 32 | devicetree_word_at(*at);
	}
	*value = number;
	return true;
}

/*
 * Finds the property `name` as an array of entries of `cells` words each, and counts the entries.
 */
static enum devicetree_result entries_find(const struct devicetree *tree,
					   struct devicetree_node node, const char *name,
					   uint64_t cells, struct devicetree_property *property,
					   uint32_t *count, struct devicetree_error *error)
{
	uint64_t entry_bytes = cells * DEVICETREE_WORD_BYTES;

	if (!devicetree_property(tree, node, name, property))
		return DEVICETREE_ABSENT;
	if (entry_bytes == 0 ? property->length != 0 : property->length % entry_bytes != 0)
		return devicetree_malformed(error, node, name, "is not a whole number of entries");
	*count = entry_bytes ? (uint32_t)(property->length / entry_bytes) : 0;
	return DEVICETREE_FOUND;
}

/* In 64 bits, so that counts which a caller made up do not wrap. */
static uint64_t reg_cells(struct devicetree_cells cells)
{
	return (uint64_t)cells.address + cells.size;
}

enum devicetree_result devicetree_reg_count(const struct devicetree *tree,
					    struct devicetree_node node,
					    struct devicetree_cells cells, uint32_t *count,
					    struct devicetree_error *error)
{
	struct devicetree_property reg;

	return entries_find(tree, node, "reg", reg_cells(cells), &reg, count, error);
}

enum devicetree_result devicetree_entry(const struct devicetree *tree, struct devicetree_node node,
					const char *name, struct devicetree_cells cells,
					uint32_t index, struct devicetree_range *range,
					struct devicetree_error *error)
{
	struct devicetree_property entries;
	struct devicetree_range found;
	enum devicetree_result result;
	const uint8_t *entry;
	uint32_t count;

	result = entries_find(tree, node, name, reg_cells(cells), &entries, &count, error);
	if (result != DEVICETREE_FOUND)
		return result;
	if (index >= count)
		return DEVICETREE_ABSENT;
	entry = entries.value + index * reg_cells(cells) * DEVICETREE_WORD_BYTES;
	if (!cells_read(&entry, cells.address, &found.start))
		return devicetree_malformed(error, node, name, "address has more than 64 bits");
	if (!cells_read(&entry, cells.size, &found.size))
		return devicetree_malformed(error, node, name, "size has more than 64 bits");
	if (devicetree_range_wraps(found.start, found.size))
		return devicetree_malformed(error, node, name, "range wraps");
	*range = found;
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_reg(const struct devicetree *tree, struct devicetree_node node,
				      struct devicetree_cells cells, uint32_t index,
				      struct devicetree_range *range, struct devicetree_error *error)
{
	return devicetree_entry(tree, node, "reg", cells, index, range, error);
}

/* Whether all of `range` lies in [window, window + size). */
static bool range_within(const struct devicetree_range *range, uint64_t window, uint64_t size)
{
	return range->start >= window && range->start - window <= size &&
	       range->size <= size - (range->start - window);
}

/*
 * Translates `range` from the address space of the children of `bus` to that of `bus` itself, by
 * the first entry of `ranges` (child address, parent address, size) that holds all of it. Entries
 * with numbers of more than 64 bits, as PCI buses have, are skipped.
 */
static enum devicetree_result bus_translate(const struct devicetree *tree,
					    struct devicetree_node bus,
					    struct devicetree_cells parent_cells,
					    struct devicetree_range *range,
					    struct devicetree_error *error)
{
	struct devicetree_property ranges;
	struct devicetree_cells cells;
	enum devicetree_result result;
	uint32_t entry_cells, count;

	if (devicetree_cells(tree, bus, &cells, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	entry_cells = cells.address + parent_cells.address + cells.size;
	result = entries_find(tree, bus, "ranges", entry_cells, &ranges, &count, error);
	if (result == DEVICETREE_ABSENT)
		return devicetree_malformed(error, bus, "ranges",
					    "is absent: nothing below is addressable");
	if (result == DEVICETREE_MALFORMED || ranges.length == 0)
		return result;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *entry = ranges.value + i * entry_cells * DEVICETREE_WORD_BYTES;
		uint64_t child, parent, size;

		if (!cells_read(&entry, cells.address, &child) ||
		    !cells_read(&entry, parent_cells.address, &parent) ||
		    !cells_read(&entry, cells.size, &size) || !range_within(range, child, size))
			continue;
		if (devicetree_range_wraps(parent, size))
			return devicetree_malformed(error, bus, "ranges", "range wraps");
		range->start = range->start - child + parent;
		return DEVICETREE_FOUND;
	}
	return devicetree_malformed(error, bus, "ranges", "does not reach a child");
}

enum devicetree_result devicetree_reg_physical(const struct devicetree *tree,
					       struct devicetree_node node, uint32_t index,
					       struct devicetree_range *range,
					       struct devicetree_error *error)
{
	struct devicetree_node bus = devicetree_parent(tree, node);
	struct devicetree_range found;
	struct devicetree_cells cells;
	enum devicetree_result result;

	if (devicetree_is_none(bus))
		return DEVICETREE_ABSENT;
	if (devicetree_cells(tree, bus, &cells, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	result = devicetree_reg(tree, node, cells, index, &found, error);

	while (result == DEVICETREE_FOUND) {
		struct devicetree_node above = devicetree_parent(tree, bus);

		if (devicetree_is_none(above)) {
			*range = found;
			return DEVICETREE_FOUND;
		}
		result = devicetree_cells(tree, above, &cells, error);
		if (result == DEVICETREE_FOUND)
			result = bus_translate(tree, bus, cells, &found, error);
		bus = above;
	}
	return result;
}

bool devicetree_reservation(const struct devicetree *tree, uint32_t index,
			    struct devicetree_range *range)
{
	struct devicetree_block block = tree->reservations;
	const uint8_t *entry;

	if (index >= (block.end - block.start) / DEVICETREE_RESERVATION_BYTES)
		return false;
	entry = tree->blob + block.start + index * DEVICETREE_RESERVATION_BYTES;
	range->start = devicetree_two_words_at(entry);
	range->size = devicetree_two_words_at(entry + 2 * DEVICETREE_WORD_BYTES);
	return true;
}
