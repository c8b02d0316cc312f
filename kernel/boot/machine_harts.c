/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_harts.c - the harts: ids, whether a hart can be used, and its ISA.
 */
#include "kernel/boot/machine_private.h"

#include <string.h>

/* ---- ISA ------------------------------------------------------------------------------------ */

/*
 * ISA strings: "rv64", then letters that are each an extension, then extensions of many letters
 * (which begin with s, x or z), separated by underscores. The first of these may lack its
 * underscore. Each extension may have a version, as "2p1".
 */

struct extension {
	const char *name;
	size_t length; /* its version included */
};

/*
 * The position in `riscv,isa-extensions`, or, where the node has none, in the string `riscv,isa`.
 */
struct extension_cursor {
	struct devicetree_property list;
	bool has_list;
	const char *at; /* in the list: the current string; in the ISA string: what is left */
};

static const char *after_digits(const char *text)
{
	return text + strspn(text, "0123456789");
}

/* The end of the version at `text`; `text` itself where there is no version. */
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

/* `g` stands for these (RISC-V ISA manual, volume I, "ISA Extension Naming Conventions"). */
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

/* For trees without an mmu-type: Sv* are schemes of virtual memory and extensions of them. */
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

/* ---- harts ---------------------------------------------------------------------------------- */

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
		return devicetree_malformed(error, node, "reg", "is not one hart id");
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
		result = machine_next_of_type(tree, cpus, "cpu", &other, error);
		if (result != DEVICETREE_FOUND || other.offset >= node.offset)
			return result == DEVICETREE_MALFORMED ? result : DEVICETREE_ABSENT;
		if (hart_id(tree, cpus, other, &other_id, error) != DEVICETREE_FOUND)
			return DEVICETREE_MALFORMED;
		if (other_id == id)
			return DEVICETREE_FOUND;
	}
}

/* An id above all earlier ones is new. Other ids are searched for among the earlier nodes. */
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
		return devicetree_malformed(error, hart->node, "reg",
					    "is the hart id of an earlier cpu");
	return taken == DEVICETREE_MALFORMED ? taken : DEVICETREE_FOUND;
}

/* The levels of a hart that has an MMU; mmu_type is NULL where the tree does not say. */
static unsigned levels_of(const char *mmu_type)
{
	static const char *const types[] = {"riscv,sv39", "riscv,sv48", "riscv,sv57"};

	if (!mmu_type)
		return 3; /* Sv39, which every 64-bit hart that can run Linux has */
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
	result = machine_next_of_type(tree, cpus, "cpu", &hart->node, error);
	if (result != DEVICETREE_FOUND)
		return result;
	hart->isa = NULL;
	if (devicetree_string(tree, hart->node, "riscv,isa", &hart->isa, error) ==
	    DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	if (hart_identify(tree, cpus, hart, error) != DEVICETREE_FOUND ||
	    machine_numa_node_of(tree, hart->node, &hart->numa_node, error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	return hart_check_usable(tree, hart, error);
}
