/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - see machine.h. The bindings read here are those of the Devicetree Specification
 * 0.4, chapter 3, and for RISC-V those of the Linux kernel (riscv/cpus.yaml, extensions.yaml,
 * numa.txt, chosen.yaml).
 */
#include "kernel/boot/machine.h"

#include <string.h>

static enum devicetree_result malformed(struct devicetree_error *error, struct devicetree_node node,
					const char *property, const char *what)
{
	*error = (struct devicetree_error){
		.what = what, .property = property, .offset = node.offset};
	return DEVICETREE_MALFORMED;
}

/* Nodes by what they are. */

/* FOUND when device_type is `type`, or when there is none and the node is named so. */
static enum devicetree_result has_type(const struct devicetree *tree, struct devicetree_node node,
				       const char *type, struct devicetree_error *error)
{
	const char *device_type;
	bool same;

	switch (devicetree_string(tree, node, "device_type", &device_type, error)) {
	case DEVICETREE_FOUND:
		same = strcmp(device_type, type) == 0;
		break;
	case DEVICETREE_ABSENT:
		same = devicetree_name_is(tree, node, type);
		break;
	default:
		return DEVICETREE_MALFORMED;
	}
	return same ? DEVICETREE_FOUND : DEVICETREE_ABSENT;
}

/* Moves *node to the next child of `parent` of that type; from none, to the first. */
static enum devicetree_result next_of_type(const struct devicetree *tree,
					   struct devicetree_node parent, const char *type,
					   struct devicetree_node *node,
					   struct devicetree_error *error)
{
	enum devicetree_result result = DEVICETREE_ABSENT;

	do {
		*node = devicetree_is_none(*node) ? devicetree_first_child(tree, parent)
						  : devicetree_next_sibling(tree, *node);
		if (devicetree_is_none(*node))
			return DEVICETREE_ABSENT;
		result = has_type(tree, *node, type, error);
	} while (result == DEVICETREE_ABSENT);
	return result;
}

static enum devicetree_result numa_node_of(const struct devicetree *tree,
					   struct devicetree_node node, uint32_t *numa_node,
					   struct devicetree_error *error)
{
	*numa_node = 0;
	if (devicetree_u32(tree, node, "numa-node-id", numa_node, error) == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	return DEVICETREE_FOUND;
}

/* Ranges. */

/* The next entry of the property `name` that is not empty; `bus` has the cells. */
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

/* Moves on to the next enabled node of memory. */
static enum devicetree_result next_memory_node(const struct devicetree *tree,
					       struct machine_memory *memory,
					       struct devicetree_error *error)
{
	bool enabled = false;

	memory->next_entry = 0;
	do {
		enum devicetree_result result = next_of_type(tree, devicetree_root(tree), "memory",
							     &memory->node, error);

		if (result != DEVICETREE_FOUND)
			return result;
		if (devicetree_is_enabled(tree, memory->node, &enabled, error) != DEVICETREE_FOUND)
			return DEVICETREE_MALFORMED;
	} while (!enabled);
	return numa_node_of(tree, memory->node, &memory->numa_node, error);
}

/* Where a node of memory has its ranges. */
static const char *ranges_of_memory(const struct devicetree *tree, struct devicetree_node node)
{
	static const char usable[] = "linux,usable-memory";
	struct devicetree_property property;

	return devicetree_property(tree, node, usable, &property) ? usable : "reg";
}

/* Moves on to the next entry of memory that is not empty, in this node or another. */
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

/* The part of `a` that lies in `b`; false: none. */
static bool intersect(const struct devicetree_range *a, const struct devicetree_range *b,
		      struct devicetree_range *part)
{
	uint64_t start = a->start > b->start ? a->start : b->start;
	uint64_t a_end = a->start + a->size, b_end = b->start + b->size;
	uint64_t end = a_end < b_end ? a_end : b_end;

	*part = (struct devicetree_range){start, end - start};
	return start < end;
}

/* The next part of the current entry that /chosen lets us use. */
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
 * The binding wants the root's cells here. Firmware that adds a range of its own to a node that is
 * there already writes it in the root's; read in others, what it names would be handed out.
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

/* The binding wants /reserved-memory's `ranges` empty, so its addresses are the machine's. */
static enum devicetree_result reserved_memory_find(const struct devicetree *tree,
						   struct devicetree_node *parent,
						   struct devicetree_error *error)
{
	struct devicetree_property ranges;

	*parent = devicetree_find_path(tree, "/reserved-memory");
	if (devicetree_property(tree, *parent, "ranges", &ranges) && ranges.length != 0)
		return malformed(error, *parent, "ranges", "is not empty");
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
		return malformed(error, chosen, "linux,initrd-start", "is not matched by an end");
	if (has_start == DEVICETREE_ABSENT || start == end)
		return DEVICETREE_ABSENT;
	if (end < start)
		return malformed(error, chosen, "linux,initrd-end", "lies before the start");
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

/*
 * ISA strings: "rv64", then letters that are each an extension, then extensions of many letters
 * (they begin with s, x or z) set off by underscores, of which the first may lack its underscore.
 * Any of them may carry a version, as "2p1".
 */

struct extension {
	const char *name;
	size_t length; /* its version included */
};

/* Walks `riscv,isa-extensions`, or where there is none the string `riscv,isa`. */
struct extension_cursor {
	struct devicetree_property list;
	bool has_list;
	const char *at; /* in the list: the current string; in the ISA string: what is left */
};

static const char *after_digits(const char *text)
{
	return text + strspn(text, "0123456789");
}

/* Past a version at `text`, if there is one. */
static const char *after_version(const char *text)
{
	const char *end = after_digits(text);

	if (end != text && *end == 'p' && after_digits(end + 1) != end + 1)
		return after_digits(end + 1);
	return end;
}

/*
 * Whether a name of many letters begins at `text`. An `s` may also be the letter that old trees
 * used for supervisor mode: last of the letters, or followed by `u` and perhaps `h`.
 */
static bool begins_long_name(const char *text)
{
	if (*text == 'z' || *text == 'x')
		return true;
	if (*text != 's')
		return false;
	text = after_version(text + 1);
	if (*text == 'u')
		text = after_version(text + 1);
	if (*text == 'h')
		text = after_version(text + 1);
	return *text != '\0' && *text != '_';
}

static bool next_in_isa(const char **at, struct extension *extension)
{
	const char *name = *at + strspn(*at, "_");

	if (*name == '\0')
		return false;
	*at = begins_long_name(name) ? name + strcspn(name, "_") : after_version(name + 1);
	*extension = (struct extension){name, (size_t)(*at - name)};
	return true;
}

static struct extension_cursor extensions_begin(const struct devicetree *tree,
						const struct machine_hart *hart)
{
	struct extension_cursor cursor = {.at = NULL};

	cursor.has_list = devicetree_property(tree, hart->node, "riscv,isa-extensions",
					      &cursor.list);
	if (!cursor.has_list && hart->isa && strncmp(hart->isa, "rv", 2) == 0)
		cursor.at = after_digits(hart->isa + 2);
	return cursor;
}

static bool next_extension(struct extension_cursor *cursor, struct extension *extension)
{
	if (!cursor->has_list)
		return cursor->at && next_in_isa(&cursor->at, extension);
	if (!devicetree_next_string(&cursor->list, &cursor->at))
		return false;
	*extension = (struct extension){cursor->at, strlen(cursor->at)};
	return true;
}

static bool extension_is(const struct extension *extension, const char *name)
{
	size_t length = strlen(name);

	return length <= extension->length && memcmp(extension->name, name, length) == 0 &&
	       after_version(extension->name + length) == extension->name + extension->length;
}

/* `g` is short for these (RISC-V ISA manual, volume I, "ISA Extension Naming Conventions"). */
static bool general_has(const char *name)
{
	static const char *const parts[] = {"i", "m", "a", "f", "d", "zicsr", "zifencei"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(parts[i], name) == 0)
			return true;
	}
	return false;
}

bool machine_hart_has(const struct devicetree *tree, const struct machine_hart *hart,
		      const char *extension)
{
	struct extension_cursor cursor = extensions_begin(tree, hart);
	struct extension candidate;

	while (next_extension(&cursor, &candidate)) {
		if (extension_is(&candidate, extension) ||
		    (extension_is(&candidate, "g") && general_has(extension)))
			return true;
	}
	return false;
}

/* For trees that name no MMU: Sv* are schemes of virtual memory and extensions to them. */
static bool isa_hints_at_mmu(const struct devicetree *tree, const struct machine_hart *hart)
{
	struct extension_cursor cursor = extensions_begin(tree, hart);
	struct extension extension;

	while (next_extension(&cursor, &extension)) {
		if (extension_is(&extension, "s") ||
		    (extension.length > 2 && strncmp(extension.name, "sv", 2) == 0))
			return true;
	}
	return false;
}

/* Harts. */

static enum devicetree_result hart_id(const struct devicetree *tree, struct devicetree_node cpus,
				      struct devicetree_node node, uint64_t *id,
				      struct devicetree_error *error)
{
	struct devicetree_cells cells;
	struct devicetree_range range;
	enum devicetree_result result;
	uint32_t count;

	if (devicetree_cells(tree, cpus, &cells, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	result = devicetree_reg_count(tree, node, cells, &count, error);
	if (result == DEVICETREE_MALFORMED)
		return result;
	if (result == DEVICETREE_ABSENT || count != 1 || cells.address == 0)
		return malformed(error, node, "reg", "is not one hart id");
	result = devicetree_reg(tree, node, cells, 0, &range, error);
	*id = range.start;
	return result;
}

/* Whether a cpu node before `node` has the same id. */
static enum devicetree_result hart_id_is_taken(const struct devicetree *tree,
					       struct devicetree_node cpus,
					       struct devicetree_node node, uint64_t id,
					       struct devicetree_error *error)
{
	struct devicetree_node other = DEVICETREE_NONE;
	enum devicetree_result result;
	uint64_t other_id;

	for (;;) {
		result = next_of_type(tree, cpus, "cpu", &other, error);
		if (result != DEVICETREE_FOUND || other.offset >= node.offset)
			return result == DEVICETREE_MALFORMED ? result : DEVICETREE_ABSENT;
		if (hart_id(tree, cpus, other, &other_id, error) != DEVICETREE_FOUND)
			return DEVICETREE_MALFORMED;
		if (other_id == id)
			return DEVICETREE_FOUND;
	}
}

/* An id above all before it is new; only one that is not costs a search. */
static enum devicetree_result hart_identify(const struct devicetree *tree,
					    struct devicetree_node cpus, struct machine_hart *hart,
					    struct devicetree_error *error)
{
	enum devicetree_result taken = DEVICETREE_ABSENT;

	if (hart_id(tree, cpus, hart->node, &hart->id, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	if (hart->id > hart->id_max)
		hart->id_max = hart->id;
	else
		taken = hart_id_is_taken(tree, cpus, hart->node, hart->id, error);
	if (taken == DEVICETREE_FOUND)
		return malformed(error, hart->node, "reg", "is the hart id of an earlier cpu");
	return taken == DEVICETREE_MALFORMED ? taken : DEVICETREE_FOUND;
}

/* mmu_type: NULL where the tree does not say; an MMU is there. */
static unsigned levels_of(const char *mmu_type)
{
	static const char *const types[] = {"riscv,sv39", "riscv,sv48", "riscv,sv57"};

	if (!mmu_type)
		return 3; /* what every Linux-capable hart of 64 bits has */
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(mmu_type, types[i]) == 0)
			return 3 + i;
	return 0;
}

static enum devicetree_result hart_check_usable(const struct devicetree *tree,
						struct machine_hart *hart,
						struct devicetree_error *error)
{
	enum devicetree_result result;
	const char *mmu_type = NULL;
	bool enabled, has_mmu;

	if (devicetree_is_enabled(tree, hart->node, &enabled, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	result = devicetree_string(tree, hart->node, "mmu-type", &mmu_type, error);
	if (result == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	has_mmu = result == DEVICETREE_FOUND ? strcmp(mmu_type, "riscv,none") != 0
					     : isa_hints_at_mmu(tree, hart);
	hart->mmu_levels = has_mmu ? levels_of(mmu_type) : 0;
	hart->unusable = !enabled ? "disabled" : !has_mmu ? "no MMU" : NULL;
	return DEVICETREE_FOUND;
}

enum devicetree_result machine_next_hart(const struct devicetree *tree, struct machine_hart *hart,
					 struct devicetree_error *error)
{
	struct devicetree_node cpus = devicetree_find_path(tree, "/cpus");
	enum devicetree_result result;

	if (devicetree_is_none(hart->node))
		hart->id_max = 0;
	result = next_of_type(tree, cpus, "cpu", &hart->node, error);
	if (result != DEVICETREE_FOUND)
		return result;
	hart->isa = NULL;
	if (devicetree_string(tree, hart->node, "riscv,isa", &hart->isa, error) ==
	    DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	if (hart_identify(tree, cpus, hart, error) != DEVICETREE_FOUND ||
	    numa_node_of(tree, hart->node, &hart->numa_node, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	return hart_check_usable(tree, hart, error);
}

enum devicetree_result machine_timebase(const struct devicetree *tree, uint64_t *hertz,
					struct devicetree_error *error)
{
	static const char name[] = "timebase-frequency";
	struct devicetree_node cpus = devicetree_find_path(tree, "/cpus");
	struct devicetree_node node = cpus, cpu = DEVICETREE_NONE;
	enum devicetree_result result;
	uint64_t found;

	while ((result = devicetree_number(tree, node, name, &found, error)) == DEVICETREE_ABSENT) {
		result = next_of_type(tree, cpus, "cpu", &cpu, error);
		if (result != DEVICETREE_FOUND)
			return result;
		node = cpu;
	}
	if (result == DEVICETREE_MALFORMED)
		return result;
	if (found == 0)
		return malformed(error, node, name, "is zero");
	*hertz = found;
	return DEVICETREE_FOUND;
}

/* The rest. */

enum devicetree_result machine_bootargs(const struct devicetree *tree, const char **arguments,
					struct devicetree_error *error)
{
	struct devicetree_node chosen = devicetree_find_path(tree, "/chosen");

	return devicetree_string(tree, chosen, "bootargs", arguments, error);
}

enum devicetree_result machine_stdout(const struct devicetree *tree, const char **path,
				      struct devicetree_node *node, struct devicetree_error *error)
{
	struct devicetree_node chosen = devicetree_find_path(tree, "/chosen");
	enum devicetree_result result;

	result = devicetree_string(tree, chosen, "stdout-path", path, error);
	if (result == DEVICETREE_FOUND)
		*node = devicetree_find_path(tree, *path);
	return result;
}

enum devicetree_result machine_finisher(const struct devicetree *tree, phys_t *registers,
					struct devicetree_error *error)
{
	struct devicetree_node node = DEVICETREE_NONE;
	enum devicetree_result result;
	struct devicetree_range range;
	bool enabled = false;

	do {
		node = devicetree_find_compatible(tree, node, "sifive,test0");
		if (devicetree_is_none(node))
			return DEVICETREE_ABSENT;
		if (devicetree_is_enabled(tree, node, &enabled, error) != DEVICETREE_FOUND)
			return DEVICETREE_MALFORMED;
	} while (!enabled);

	result = devicetree_reg_physical(tree, node, 0, &range, error);
	if (result == DEVICETREE_ABSENT)
		return malformed(error, node, "reg", "is absent or empty");
	if (result == DEVICETREE_FOUND)
		*registers = phys(range.start);
	return result;
}

/* The distance of the first triple (from, to, distance); 0, which is none, without one. */
static uint32_t matrix_find(const struct devicetree_property *matrix, uint32_t from, uint32_t to)
{
	uint32_t words = devicetree_words(matrix);

	for (uint32_t i = 0; i < words; i += 3) {
		if (devicetree_word(matrix, i) == from && devicetree_word(matrix, i + 1) == to)
			return devicetree_word(matrix, i + 2);
	}
	return 0;
}

/* A node is LOCAL to itself and farther than that from all others. */
static bool matrix_is_sound(const struct devicetree_property *matrix)
{
	uint32_t words = devicetree_words(matrix);

	for (uint32_t i = 0; i < words; i += 3) {
		bool same = devicetree_word(matrix, i) == devicetree_word(matrix, i + 1);
		uint32_t distance = devicetree_word(matrix, i + 2);

		if (same ? distance != MACHINE_DISTANCE_LOCAL : distance <= MACHINE_DISTANCE_LOCAL)
			return false;
	}
	return true;
}

enum devicetree_result machine_numa_distance(const struct devicetree *tree, uint32_t from,
					     uint32_t to, uint32_t *distance,
					     struct devicetree_error *error)
{
	static const char name[] = "distance-matrix";
	struct devicetree_property matrix;
	struct devicetree_node map;
	uint32_t found;

	*distance = from == to ? MACHINE_DISTANCE_LOCAL : MACHINE_DISTANCE_REMOTE;
	map = devicetree_find_compatible(tree, DEVICETREE_NONE, "numa-distance-map-v1");
	if (!devicetree_property(tree, map, name, &matrix))
		return DEVICETREE_ABSENT;
	if (matrix.length % (3 * sizeof(uint32_t)) != 0)
		return malformed(error, map, name, "is not a whole number of triples");
	if (!matrix_is_sound(&matrix))
		return malformed(error, map, name, "has an impossible distance");
	found = matrix_find(&matrix, from, to);
	if (found == 0)
		found = matrix_find(&matrix, to, from);
	if (found == 0)
		return DEVICETREE_ABSENT;
	*distance = found;
	return DEVICETREE_FOUND;
}
