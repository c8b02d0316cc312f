/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree.h - reads flattened device trees (Devicetree Specification 0.4, chapter 5) in the
 * place where the firmware put them.
 *
 * devicetree_open() proves once that the blob is well-formed. After that `struct devicetree` is
 * read-only, and all cpus may read it at the same time. Nothing here allocates, recurses, writes to
 * the blob, or reads a byte outside it, whatever the blob contains: every read is checked against
 * its block, so even a forged node handle does no harm. The blob may have any alignment.
 *
 * An answer is FOUND, ABSENT (the tree does not say) or MALFORMED (the tree says something that has
 * no meaning; *error describes it). Results are written only when the answer is FOUND.
 *
 * Strings and values point into the blob and live as long as it does. Offsets are in bytes from the
 * blob's start. Costs are in tokens of the structure block: a step to a child, sibling or property
 * reads the tokens that it passes. All functions are legal in any context; none takes a lock.
 *
 * The code is in devicetree.c (tokens and the proof), devicetree_nodes.c (nodes and properties) and
 * devicetree_values.c (values of properties).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICETREE_MUST_USE __attribute__((warn_unused_result))

/* Larger than any real tree by far: a size above this is a stray pointer, not a tree. */
#define DEVICETREE_SIZE_MAX (UINT32_C(64) << 20)

enum devicetree_result {
	DEVICETREE_ABSENT,
	DEVICETREE_FOUND,
	DEVICETREE_MALFORMED,
};

/*
 * What is wrong: a phrase such as "reg: is not a whole number of entries", split in `property` and
 * `what`. `property` is NULL where the error is not in one property. `offset` is that of the token
 * or the header field where devicetree_open() refused the tree, and that of the node in all other
 * cases. Where `compares` is set, the number `found` should be `expected`, which another node
 * gives.
 */
struct devicetree_error {
	const char *what;
	const char *property;
	uint32_t offset;
	bool compares;
	uint32_t found, expected;
};

/* Writes the whole phrase to `text`, cut to `bytes` bytes, the terminator included. */
void devicetree_error_text(const struct devicetree_error *error, char *text, size_t bytes);

/* Half-open range of blob offsets. */
struct devicetree_block {
	uint32_t start;
	uint32_t end;
};

/* Written by devicetree_open() alone. */
struct devicetree {
	const uint8_t *blob;
	uint32_t size; /* of the whole blob, in bytes */
	struct devicetree_block structure;
	struct devicetree_block strings;
	struct devicetree_block reservations; /* without the terminating entry */
};

/* Offset of the node's first token. No node lies at 0, so a zeroed handle means "none". */
struct devicetree_node {
	uint32_t offset;
};

#define DEVICETREE_NONE ((struct devicetree_node){0})

/* Sets *error to a fault of this property (NULL: of the node) and returns DEVICETREE_MALFORMED. */
enum devicetree_result devicetree_malformed(struct devicetree_error *error,
					    struct devicetree_node node, const char *property,
					    const char *what);

struct devicetree_property {
	const char *name;
	const uint8_t *value;
	uint32_t length; /* of the value, in bytes */
	uint32_t offset; /* of the property's token */
};

/* [start, start + size), which never wraps. */
struct devicetree_range {
	uint64_t start;
	uint64_t size;
};

/* The number of 32-bit words in an address, and in a size, in the children of a bus. */
struct devicetree_cells {
	uint32_t address;
	uint32_t size;
};

/*
 * Checks the whole blob and makes `tree` readable; O(bytes of the blob). Reads at most `size_max`
 * bytes. A caller that knows only the address passes SIZE_MAX: the total size in the header is then
 * believed up to DEVICETREE_SIZE_MAX. On false *error is set and `tree` must not be used.
 */
DEVICETREE_MUST_USE bool devicetree_open(struct devicetree *tree, const void *blob, size_t size_max,
					 struct devicetree_error *error);

/* ---- nodes: each function returns DEVICETREE_NONE where there is no such node -------------- */

static inline bool devicetree_is_none(struct devicetree_node node)
{
	return node.offset == 0;
}

struct devicetree_node devicetree_root(const struct devicetree *tree);
struct devicetree_node devicetree_first_child(const struct devicetree *tree,
					      struct devicetree_node parent);
struct devicetree_node devicetree_next_sibling(const struct devicetree *tree,
					       struct devicetree_node node);

/* The next node in the order of the blob, at any depth. From the root on it visits every node. */
struct devicetree_node devicetree_next(const struct devicetree *tree, struct devicetree_node node);

/* A node does not name its parent, so the search begins at the root: O(tokens before the node). */
struct devicetree_node devicetree_parent(const struct devicetree *tree, struct devicetree_node node);

/*
 * Finds "/soc/serial@10000000", or "serial0" through /aliases. A component without a unit address
 * means the first child of that name. ':' ends the path, as in stdout-path.
 */
struct devicetree_node devicetree_find_path(const struct devicetree *tree, const char *path);

/* The first node after `after` (DEVICETREE_NONE: from the root on) compatible with `compatible`. */
struct devicetree_node devicetree_find_compatible(const struct devicetree *tree,
						  struct devicetree_node after,
						  const char *compatible);

/* Finds nothing for 0 and 0xffffffff, which are no phandles. O(tokens of the tree). */
struct devicetree_node devicetree_find_phandle(const struct devicetree *tree, uint32_t phandle);

/* The name with its unit address; "" for the root and for a handle without a node. */
const char *devicetree_name(const struct devicetree *tree, struct devicetree_node node);

/* memory@80000000 is named "memory" and "memory@80000000", but not "mem". */
bool devicetree_name_is(const struct devicetree *tree, struct devicetree_node node,
			const char *name);

/* ---- properties ---------------------------------------------------------------------------- */

/*
 * Moves *property to the node's next one, or to the first where it is zeroed; false after the last.
 */
bool devicetree_next_property(const struct devicetree *tree, struct devicetree_node node,
			      struct devicetree_property *property);

/* Finds the property by name. Where a node has a name twice, the first counts. */
bool devicetree_property(const struct devicetree *tree, struct devicetree_node node,
			 const char *name, struct devicetree_property *property);

/* The number of whole words in the value. */
static inline uint32_t devicetree_words(const struct devicetree_property *property)
{
	return property->length / sizeof(uint32_t);
}

/* Word `index` of the value; 0 for an index that is not below devicetree_words(). */
uint32_t devicetree_word(const struct devicetree_property *property, uint32_t index);

/* The first string of the value; MALFORMED where it has no terminator. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_string(const struct devicetree *tree,
							     struct devicetree_node node,
							     const char *name, const char **string,
							     struct devicetree_error *error);

/* A value of exactly one word. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_u32(const struct devicetree *tree,
							  struct devicetree_node node,
							  const char *name, uint32_t *value,
							  struct devicetree_error *error);

/* A value of exactly two words. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_u64(const struct devicetree *tree,
							  struct devicetree_node node,
							  const char *name, uint64_t *value,
							  struct devicetree_error *error);

/* A value of one word or two, for properties that may have either by their specification. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_number(const struct devicetree *tree,
							     struct devicetree_node node,
							     const char *name, uint64_t *value,
							     struct devicetree_error *error);

/*
 * Steps *string through a list of strings; start with NULL. False after the last. Bytes after the
 * last terminator are no string and are not visited.
 */
bool devicetree_next_string(const struct devicetree_property *list, const char **string);
bool devicetree_strings_contain(const struct devicetree *tree, struct devicetree_node node,
				const char *name, const char *wanted);

/*
 * Sets *enabled to whether `status` is absent, "okay" or "ok". Any other value, also an empty one,
 * means no: to use a device that must not be used costs more than to leave one unused. Never
 * ABSENT. MALFORMED where the value has bytes and is no string.
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_is_enabled(const struct devicetree *tree,
								 struct devicetree_node node,
								 bool *enabled,
								 struct devicetree_error *error);

/*
 * #address-cells and #size-cells of `bus`, which are for its children; 2 and 1 where they are
 * absent. Never ABSENT. MALFORMED where either is more than 4.
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_cells(const struct devicetree *tree,
							    struct devicetree_node bus,
							    struct devicetree_cells *cells,
							    struct devicetree_error *error);

/* The number of entries of `reg`; `cells` are those of the node's parent. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_reg_count(const struct devicetree *tree,
								struct devicetree_node node,
								struct devicetree_cells cells,
								uint32_t *count,
								struct devicetree_error *error);

/*
 * Entry `index` of the property `name`, an array of addresses and sizes like `reg`. ABSENT past the
 * last entry. MALFORMED when the length is not a whole number of entries, when a number has more
 * than 64 significant bits, or when the range ends above 2^64 - 1.
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_entry(
	const struct devicetree *tree, struct devicetree_node node, const char *name,
	struct devicetree_cells cells, uint32_t index, struct devicetree_range *range,
	struct devicetree_error *error);

/* Entry `index` of `reg`, in the address space of the node's parent. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_reg(
	const struct devicetree *tree, struct devicetree_node node, struct devicetree_cells cells,
	uint32_t index, struct devicetree_range *range, struct devicetree_error *error);

/*
 * Entry `index` of `reg` at the address where the cpus see it: translated by the `ranges` of every
 * bus above (an empty `ranges` changes no address). MALFORMED also where a bus has no `ranges`, or
 * no entry of it that holds the whole range. O(depth * tokens before the node).
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_reg_physical(const struct devicetree *tree,
								   struct devicetree_node node,
								   uint32_t index,
								   struct devicetree_range *range,
								   struct devicetree_error *error);

/* Entry `index` of the memory reservation block; false after the last. */
bool devicetree_reservation(const struct devicetree *tree, uint32_t index,
			    struct devicetree_range *range);
