/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree.h - reads flattened device trees (Devicetree Specification 0.4, chapter 5) as the
 * firmware hands them over, where they lie.
 *
 * devicetree_open() proves the blob well-formed once; after that a `struct devicetree` is
 * read-only and any cpu may read it at the same time. Nothing here allocates, recurses, writes
 * to the blob or reads a byte outside it, whatever the blob says, and even when a node handle
 * is forged: every read is checked against its block. No alignment is asked of the blob.
 *
 * An answer is FOUND, ABSENT (the tree does not say) or MALFORMED (it says something that has no
 * meaning; *error tells what). Results are written when FOUND, and only then.
 *
 * Strings and values point into the blob and live as long as it does. Offsets count bytes from
 * the blob's start. Costs are in tokens of the structure block; no caller here is hot.
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
 * What is wrong: a phrase such as "reg: is not a whole number of entries" split in two.
 * `property` is NULL when no one property is to blame. `offset` is that of the token or header
 * field when a tree is refused, and of the node when a property is. Where `compares` is set, a number
 * is not what another one in the tree demands.
 */
struct devicetree_error {
	const char *what;
	const char *property;
	uint32_t offset;
	bool compares;
	uint32_t found, expected;
};

/* The whole phrase, cut to `bytes` with its terminator. */
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

/* Offset of the node's first token. No node lies at 0, so a zeroed handle is "none". */
struct devicetree_node {
	uint32_t offset;
};

#define DEVICETREE_NONE ((struct devicetree_node){0})

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

/* How many 32-bit words an address and a size take below some bus. */
struct devicetree_cells {
	uint32_t address;
	uint32_t size;
};

/*
 * Checks the whole blob and makes `tree` readable; O(blob). At most `size_max` bytes are read:
 * SIZE_MAX when the caller only has an address, and the header's own total is then believed up
 * to DEVICETREE_SIZE_MAX. On false *error is set and `tree` must not be used.
 */
DEVICETREE_MUST_USE bool devicetree_open(struct devicetree *tree, const void *blob, size_t size_max,
					 struct devicetree_error *error);

/* Moving about. Each answers DEVICETREE_NONE when there is no such node. */
static inline bool devicetree_is_none(struct devicetree_node node)
{
	return node.offset == 0;
}

struct devicetree_node devicetree_root(const struct devicetree *tree);
struct devicetree_node devicetree_first_child(const struct devicetree *tree,
					      struct devicetree_node parent);
struct devicetree_node devicetree_next_sibling(const struct devicetree *tree,
					       struct devicetree_node node);

/* The next node in the order of the blob, whatever its depth: visits all, from the root. */
struct devicetree_node devicetree_next(const struct devicetree *tree, struct devicetree_node node);

/* The tree has no way up but from the top: O(tokens before the node). */
struct devicetree_node devicetree_parent(const struct devicetree *tree, struct devicetree_node node);

/*
 * "/soc/serial@10000000", or "serial0" by way of /aliases. A component without a unit address
 * takes the first child of that name. ':' ends the path, as it does in stdout-path.
 */
struct devicetree_node devicetree_find_path(const struct devicetree *tree, const char *path);

/* The first node after `after` (DEVICETREE_NONE: of all) compatible with `compatible`. */
struct devicetree_node devicetree_find_compatible(const struct devicetree *tree,
						  struct devicetree_node after,
						  const char *compatible);

/* 0 and 0xffffffff are no phandles and find nothing. */
struct devicetree_node devicetree_find_phandle(const struct devicetree *tree, uint32_t phandle);

/* With its unit address; "" for the root and for a handle that is none. */
const char *devicetree_name(const struct devicetree *tree, struct devicetree_node node);

/* "memory" is the name of memory@80000000; "memory@80000000" is as well, "mem" is not. */
bool devicetree_name_is(const struct devicetree *tree, struct devicetree_node node,
			const char *name);

/* Sets *property to the one after it, or to the first when it is zeroed; false after the last. */
bool devicetree_next_property(const struct devicetree *tree, struct devicetree_node node,
			      struct devicetree_property *property);

/* The raw value. A name given twice in one node means its first. */
bool devicetree_property(const struct devicetree *tree, struct devicetree_node node,
			 const char *name, struct devicetree_property *property);

/* The value as an array of whole words; index < devicetree_words(property). */
static inline uint32_t devicetree_words(const struct devicetree_property *property)
{
	return property->length / sizeof(uint32_t);
}

uint32_t devicetree_word(const struct devicetree_property *property, uint32_t index);

/* The first string of the value; MALFORMED when nothing terminates it. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_string(const struct devicetree *tree,
							     struct devicetree_node node,
							     const char *name, const char **string,
							     struct devicetree_error *error);

/* Exactly one word. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_u32(const struct devicetree *tree,
							  struct devicetree_node node,
							  const char *name, uint32_t *value,
							  struct devicetree_error *error);

/* Exactly two words. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_u64(const struct devicetree *tree,
							  struct devicetree_node node,
							  const char *name, uint64_t *value,
							  struct devicetree_error *error);

/* One word or two, for the properties of which the specifications allow both. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_number(const struct devicetree *tree,
							     struct devicetree_node node,
							     const char *name, uint64_t *value,
							     struct devicetree_error *error);

/*
 * Steps *string through a string list, NULL first; false after the last. What follows the last
 * terminator is no string and is not visited.
 */
bool devicetree_next_string(const struct devicetree_property *list, const char **string);
bool devicetree_strings_contain(const struct devicetree *tree, struct devicetree_node node,
				const char *name, const char *wanted);

/*
 * Whether `status` is absent, "okay" or "ok". Any other value means no, also none at all: a device
 * that may not be used costs less than one that is used and must not be. Never ABSENT; MALFORMED
 * when the value has bytes and is no string.
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_is_enabled(const struct devicetree *tree,
								 struct devicetree_node node,
								 bool *enabled,
								 struct devicetree_error *error);

/*
 * #address-cells and #size-cells of `bus`, which govern its children; 2 and 1 where they are
 * absent. Never ABSENT. More than 4 of either is MALFORMED.
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_cells(const struct devicetree *tree,
							    struct devicetree_node bus,
							    struct devicetree_cells *cells,
							    struct devicetree_error *error);

/* How many entries `reg` has, `cells` being those of the node's parent. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_reg_count(const struct devicetree *tree,
								struct devicetree_node node,
								struct devicetree_cells cells,
								uint32_t *count,
								struct devicetree_error *error);

/*
 * Entry `index` of the property `name`, an array of addresses and sizes like `reg`. ABSENT past the
 * last entry. MALFORMED when the length is not a whole number of entries, when a number has more than
 * 64 significant bits, or when the range ends above 2^64 - 1.
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_entry(
	const struct devicetree *tree, struct devicetree_node node, const char *name,
	struct devicetree_cells cells, uint32_t index, struct devicetree_range *range,
	struct devicetree_error *error);

/* The same of `reg`, in the parent's address space. */
DEVICETREE_MUST_USE enum devicetree_result devicetree_reg(
	const struct devicetree *tree, struct devicetree_node node, struct devicetree_cells cells,
	uint32_t index, struct devicetree_range *range, struct devicetree_error *error);

/*
 * The same as the cpus see it, translated by the `ranges` of every bus above (empty: addresses
 * pass unchanged). MALFORMED also when a bus has no `ranges`, or none that holds all of it.
 * O(depth * tokens before the node).
 */
DEVICETREE_MUST_USE enum devicetree_result devicetree_reg_physical(const struct devicetree *tree,
								   struct devicetree_node node,
								   uint32_t index,
								   struct devicetree_range *range,
								   struct devicetree_error *error);

/* Entry `index` of the memory reservation block; false past the last. */
bool devicetree_reservation(const struct devicetree *tree, uint32_t index,
			    struct devicetree_range *range);
