/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree.c - see devicetree.h.
 *
 * One function, token_read(), decodes the structure block. devicetree_open() runs it over the
 * whole block and refuses the tree at its first complaint; the accessors run it again from some
 * node on, where a complaint can only mean that the handle did not come from here, and is taken
 * for the end of the node. So no read trusts a handle.
 *
 * Every loop moves forward through the blob by at least one token, and so ends.
 * No sum of offsets can wrap: sizes stay below DEVICETREE_SIZE_MAX and lengths are compared with
 * what is left of a block, never added first.
 */
#include "kernel/boot/devicetree.h"

#include <stdio.h>
#include <string.h>

/* Offsets of the header's fields, each a word. */
enum {
	HEADER_MAGIC = 0,
	HEADER_TOTAL_SIZE = 4,
	HEADER_STRUCTURE = 8,
	HEADER_STRINGS = 12,
	HEADER_RESERVATIONS = 16,
	HEADER_VERSION = 20,
	HEADER_COMPATIBLE_VERSION = 24,
	HEADER_STRINGS_SIZE = 32,
	HEADER_STRUCTURE_SIZE = 36, /* since version 17 */
};

#define MAGIC		      UINT32_C(0xd00dfeed)
#define VERSION_OLDEST	      16
#define VERSION_OURS	      17
#define HEADER_BYTES_16	      36
#define HEADER_BYTES_17	      40
#define WORD_BYTES	      4
#define RESERVATION_BYTES     16
#define CELLS_MAX	      4
#define DEFAULT_ADDRESS_CELLS 2
#define DEFAULT_SIZE_CELLS    1

enum token_kind {
	TOKEN_BEGIN_NODE = 1,
	TOKEN_END_NODE = 2,
	TOKEN_PROPERTY = 3,
	TOKEN_NOP = 4,
	TOKEN_END = 9,
};

struct token {
	uint32_t kind;
	uint32_t offset; /* of the token */
	uint32_t next;	 /* of whatever follows */
	const char *name;
	uint32_t value; /* offset of a property's value */
	uint32_t length;
};

static uint32_t word_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static uint64_t two_words_at(const uint8_t *bytes)
{
	return (uint64_t)word_at(bytes) << 32 | word_at(bytes + WORD_BYTES);
}

static bool refuse(struct devicetree_error *error, const char *what, uint32_t offset)
{
	*error = (struct devicetree_error){.what = what, .offset = offset};
	return false;
}

static enum devicetree_result malformed(struct devicetree_error *error, struct devicetree_node node,
					const char *property, const char *what)
{
	*error = (struct devicetree_error){
		.what = what, .property = property, .offset = node.offset};
	return DEVICETREE_MALFORMED;
}

void devicetree_error_text(const struct devicetree_error *error, char *text, size_t bytes)
{
	char numbers[32] = "";

	if (error->compares)
		snprintf(numbers, sizeof(numbers), ": %lu, not %lu", (unsigned long)error->found,
			 (unsigned long)error->expected);
	snprintf(text, bytes, "%s%s%s%s (offset %#lx)", error->property ? error->property : "",
		 error->property ? ": " : "", error->what, numbers, (unsigned long)error->offset);
}

static bool block_holds(struct devicetree_block block, uint32_t offset, uint32_t bytes)
{
	return block.start <= offset && offset <= block.end && bytes <= block.end - offset;
}

/* The string at `offset` when it and its terminator lie in the block, else NULL. */
static const char *string_in(const struct devicetree *tree, struct devicetree_block block,
			     uint32_t offset)
{
	if (!block_holds(block, offset, 1))
		return NULL;
	if (!memchr(tree->blob + offset, '\0', block.end - offset))
		return NULL;
	return (const char *)tree->blob + offset;
}

/* A range is worth its name when its end can be written down. */
static bool range_wraps(uint64_t start, uint64_t size)
{
	return size > UINT64_MAX - start;
}

/* Tokens. These return what is wrong with the token, or NULL. */

static const char *begin_node_read(const struct devicetree *tree, struct token *token)
{
	token->name = string_in(tree, tree->structure, token->next);
	if (!token->name)
		return "node name is not terminated";
	/* The padding may be cut off by the block's end; then the next read complains. */
	token->next += ((uint32_t)strlen(token->name) + WORD_BYTES) & -(uint32_t)WORD_BYTES;
	return NULL;
}

static const char *property_read(const struct devicetree *tree, struct token *token)
{
	uint32_t name_offset;

	if (!block_holds(tree->structure, token->next, 2 * WORD_BYTES))
		return "property is cut off";
	token->length = word_at(tree->blob + token->next);
	name_offset = word_at(tree->blob + token->next + WORD_BYTES);
	token->value = token->next + 2 * WORD_BYTES;
	if (!block_holds(tree->structure, token->value, token->length))
		return "property value leaves the structure block";
	if (name_offset >= tree->strings.end - tree->strings.start)
		return "property name lies outside the strings block";
	token->name = string_in(tree, tree->strings, tree->strings.start + name_offset);
	if (!token->name)
		return "property name is not terminated";
	token->next = token->value + ((token->length + WORD_BYTES - 1) & -(uint32_t)WORD_BYTES);
	return NULL;
}

/* The first token at or after `offset` that is not a NOP. */
static const char *token_read(const struct devicetree *tree, uint32_t offset, struct token *token)
{
	do {
		token->offset = offset;
		if (!block_holds(tree->structure, offset, WORD_BYTES))
			return "structure block ends without an end token";
		token->kind = word_at(tree->blob + offset);
		offset += WORD_BYTES;
	} while (token->kind == TOKEN_NOP);
	token->next = offset;

	switch (token->kind) {
	case TOKEN_BEGIN_NODE:
		return begin_node_read(tree, token);
	case TOKEN_PROPERTY:
		return property_read(tree, token);
	case TOKEN_END_NODE:
	case TOKEN_END:
		return NULL;
	}
	return "unknown token";
}

/* Reads the token after `token` into it; false at the end of the block. */
static bool token_next(const struct devicetree *tree, struct token *token)
{
	return token_read(tree, token->next, token) == NULL && token->kind != TOKEN_END;
}

/* Reads the token that begins `node`; false when the handle is none, or forged. */
static bool node_token(const struct devicetree *tree, struct devicetree_node node,
		       struct token *token)
{
	return token_read(tree, node.offset, token) == NULL && token->kind == TOKEN_BEGIN_NODE;
}

/* Opening. */

/* Where the walk through the structure block stands, and what may come next there. */
struct place {
	uint32_t depth;
	bool root_seen;
	bool takes_properties;
};

static const char *place_begin_node(struct place *place, const struct token *token)
{
	bool named = token->name[0] != '\0';

	if (place->depth == 0 && place->root_seen)
		return "second root node";
	if (place->depth == 0 && named)
		return "root node has a name";
	if (place->depth > 0 && !named)
		return "node has no name";
	place->root_seen = true;
	place->takes_properties = true;
	place->depth++;
	return NULL;
}

static const char *place_advance(struct place *place, const struct token *token)
{
	switch (token->kind) {
	case TOKEN_BEGIN_NODE:
		return place_begin_node(place, token);
	case TOKEN_PROPERTY:
		if (place->depth == 0)
			return "property outside of any node";
		return place->takes_properties ? NULL : "property after a subnode";
	case TOKEN_END_NODE:
		if (place->depth == 0)
			return "node ends that never began";
		place->takes_properties = false;
		place->depth--;
		return NULL;
	default: /* TOKEN_END */
		if (place->depth > 0)
			return "tree ends inside a node";
		return place->root_seen ? NULL : "no root node";
	}
}

/* Leaves tree->structure at what the tree really takes, its end token included. */
static bool structure_check(struct devicetree *tree, struct devicetree_error *error)
{
	struct token token = {.next = tree->structure.start};
	struct place place = {0};

	do {
		const char *what = token_read(tree, token.next, &token);

		if (!what)
			what = place_advance(&place, &token);
		if (what)
			return refuse(error, what, token.offset);
	} while (token.kind != TOKEN_END);
	tree->structure.end = token.next;
	return true;
}

/* Finds the terminator, the entry of two zeros, and leaves tree->reservations before it. */
static bool reservations_check(struct devicetree *tree, struct devicetree_error *error)
{
	struct devicetree_block *block = &tree->reservations;
	uint32_t offset;

	for (offset = block->start; block_holds(*block, offset, RESERVATION_BYTES);
	     offset += RESERVATION_BYTES) {
		uint64_t start = two_words_at(tree->blob + offset);
		uint64_t size = two_words_at(tree->blob + offset + 2 * WORD_BYTES);

		if (start == 0 && size == 0) {
			block->end = offset;
			return true;
		}
		if (range_wraps(start, size))
			return refuse(error, "reservation wraps", offset);
	}
	return refuse(error, "reservation block has no end", offset);
}

static uint32_t header_word(const struct devicetree *tree, uint32_t field)
{
	return word_at(tree->blob + field);
}

static uint32_t header_bytes(const struct devicetree *tree)
{
	return header_word(tree, HEADER_VERSION) >= 17 ? HEADER_BYTES_17 : HEADER_BYTES_16;
}

/* What can be known before the total size is: reads no more than a version 16 header. */
static bool header_check(struct devicetree *tree, size_t size_max, struct devicetree_error *error)
{
	if (!tree->blob)
		return refuse(error, "no tree at address 0", 0);
	if (size_max < HEADER_BYTES_16)
		return refuse(error, "shorter than a header", 0);
	if (header_word(tree, HEADER_MAGIC) != MAGIC)
		return refuse(error, "wrong magic number", HEADER_MAGIC);
	if (header_word(tree, HEADER_VERSION) < VERSION_OLDEST)
		return refuse(error, "version is too old", HEADER_VERSION);
	if (header_word(tree, HEADER_COMPATIBLE_VERSION) > VERSION_OURS)
		return refuse(error, "version is too new", HEADER_COMPATIBLE_VERSION);
	if (header_word(tree, HEADER_COMPATIBLE_VERSION) > header_word(tree, HEADER_VERSION))
		return refuse(error, "versions contradict each other", HEADER_COMPATIBLE_VERSION);

	tree->size = header_word(tree, HEADER_TOTAL_SIZE);
	if (tree->size < header_bytes(tree))
		return refuse(error, "total size is less than the header", HEADER_TOTAL_SIZE);
	if (tree->size > size_max)
		return refuse(error, "total size is more than there is", HEADER_TOTAL_SIZE);
	if (tree->size > DEVICETREE_SIZE_MAX || tree->size > UINTPTR_MAX - (uintptr_t)tree->blob)
		return refuse(error, "total size is not believable", HEADER_TOTAL_SIZE);
	return true;
}

/* A block's start from the header, its end at the blob's until something says better. */
static bool block_start(const struct devicetree *tree, uint32_t field, uint32_t alignment,
			struct devicetree_block *block, struct devicetree_error *error)
{
	*block = (struct devicetree_block){header_word(tree, field), tree->size};
	if (block->start < header_bytes(tree) || block->start > tree->size)
		return refuse(error, "block starts outside the tree", field);
	if (block->start % alignment != 0)
		return refuse(error, "block is not aligned", field);
	return true;
}

static bool block_size(const struct devicetree *tree, uint32_t field,
		       struct devicetree_block *block, struct devicetree_error *error)
{
	uint32_t size = header_word(tree, field);

	if (size > tree->size - block->start)
		return refuse(error, "block ends outside the tree", field);
	block->end = block->start + size;
	return true;
}

static bool blocks_find(struct devicetree *tree, struct devicetree_error *error)
{
	if (!block_start(tree, HEADER_RESERVATIONS, 8, &tree->reservations, error) ||
	    !block_start(tree, HEADER_STRUCTURE, WORD_BYTES, &tree->structure, error) ||
	    !block_start(tree, HEADER_STRINGS, 1, &tree->strings, error) ||
	    !block_size(tree, HEADER_STRINGS_SIZE, &tree->strings, error))
		return false;
	return header_word(tree, HEADER_VERSION) < 17 ||
	       block_size(tree, HEADER_STRUCTURE_SIZE, &tree->structure, error);
}

static bool blocks_meet(struct devicetree_block a, struct devicetree_block b)
{
	return a.start < b.end && b.start < a.end;
}

/* Overlap would give bytes two meanings: the mark of a tree that was put together wrongly. */
static bool blocks_disjoint(const struct devicetree *tree, struct devicetree_error *error)
{
	struct devicetree_block reservations = tree->reservations;

	reservations.end += RESERVATION_BYTES;
	if (blocks_meet(reservations, tree->structure))
		return refuse(error, "reservations overlap the structure", HEADER_RESERVATIONS);
	if (blocks_meet(reservations, tree->strings))
		return refuse(error, "reservations overlap the strings", HEADER_RESERVATIONS);
	if (blocks_meet(tree->structure, tree->strings))
		return refuse(error, "structure overlaps the strings", HEADER_STRUCTURE);
	return true;
}

bool devicetree_open(struct devicetree *tree, const void *blob, size_t size_max,
		     struct devicetree_error *error)
{
	*tree = (struct devicetree){.blob = blob};
	return header_check(tree, size_max, error) && blocks_find(tree, error) &&
	       reservations_check(tree, error) && structure_check(tree, error) &&
	       blocks_disjoint(tree, error);
}

/* Moving about. */

/* The node that the token at `offset` begins, if it begins one. */
static struct devicetree_node node_at(const struct devicetree *tree, uint32_t offset)
{
	struct token token;

	if (token_read(tree, offset, &token) != NULL || token.kind != TOKEN_BEGIN_NODE)
		return DEVICETREE_NONE;
	return (struct devicetree_node){token.offset};
}

struct devicetree_node devicetree_root(const struct devicetree *tree)
{
	return node_at(tree, tree->structure.start);
}

struct devicetree_node devicetree_first_child(const struct devicetree *tree,
					      struct devicetree_node parent)
{
	struct token token;

	if (!node_token(tree, parent, &token))
		return DEVICETREE_NONE;
	while (token_next(tree, &token) && token.kind == TOKEN_PROPERTY)
		continue;
	return node_at(tree, token.offset);
}

struct devicetree_node devicetree_next_sibling(const struct devicetree *tree,
					       struct devicetree_node node)
{
	struct token token;
	uint32_t depth = 1;

	if (!node_token(tree, node, &token))
		return DEVICETREE_NONE;
	while (depth > 0) {
		if (!token_next(tree, &token))
			return DEVICETREE_NONE;
		if (token.kind == TOKEN_BEGIN_NODE)
			depth++;
		else if (token.kind == TOKEN_END_NODE)
			depth--;
	}
	return node_at(tree, token.next);
}

struct devicetree_node devicetree_next(const struct devicetree *tree, struct devicetree_node node)
{
	struct token token;

	if (!node_token(tree, node, &token))
		return DEVICETREE_NONE;
	while (token_next(tree, &token)) {
		if (token.kind == TOKEN_BEGIN_NODE)
			return (struct devicetree_node){token.offset};
	}
	return DEVICETREE_NONE;
}

/*
 * Walks from the top to `target` and returns its depth, 1 for the root and 0 when there is no
 * such node. *last becomes the last node met at `depth_wanted` before it.
 */
static uint32_t walk_to(const struct devicetree *tree, struct devicetree_node target,
			uint32_t depth_wanted, struct devicetree_node *last)
{
	struct token token = {.next = tree->structure.start};
	uint32_t depth = 0;

	*last = DEVICETREE_NONE;
	while (token_next(tree, &token) && token.offset <= target.offset) {
		if (token.kind == TOKEN_END_NODE)
			depth--;
		if (token.kind != TOKEN_BEGIN_NODE)
			continue;
		depth++;
		if (token.offset == target.offset)
			return depth;
		if (depth == depth_wanted)
			*last = (struct devicetree_node){token.offset};
	}
	return 0;
}

/* Without a stack of ancestors: one walk for the node's depth, one for who was last above it. */
struct devicetree_node devicetree_parent(const struct devicetree *tree, struct devicetree_node node)
{
	struct devicetree_node parent;
	uint32_t depth = walk_to(tree, node, 0, &parent);

	if (depth <= 1)
		return DEVICETREE_NONE;
	walk_to(tree, node, depth - 1, &parent);
	return parent;
}

const char *devicetree_name(const struct devicetree *tree, struct devicetree_node node)
{
	struct token token;

	return node_token(tree, node, &token) ? token.name : "";
}

static bool name_matches(const char *node_name, const char *name, size_t length)
{
	if (strncmp(node_name, name, length) != 0)
		return false;
	if (node_name[length] == '\0')
		return true;
	return node_name[length] == '@' && !memchr(name, '@', length);
}

bool devicetree_name_is(const struct devicetree *tree, struct devicetree_node node, const char *name)
{
	return name_matches(devicetree_name(tree, node), name, strlen(name));
}

static struct devicetree_node child_named(const struct devicetree *tree,
					  struct devicetree_node parent, const char *name,
					  size_t length)
{
	struct devicetree_node child = devicetree_first_child(tree, parent);

	while (!devicetree_is_none(child) &&
	       !name_matches(devicetree_name(tree, child), name, length))
		child = devicetree_next_sibling(tree, child);
	return child;
}

static struct devicetree_node find_below(const struct devicetree *tree, struct devicetree_node node,
					 const char *path)
{
	while (!devicetree_is_none(node)) {
		size_t length;

		path += strspn(path, "/");
		length = strcspn(path, "/:");
		if (length == 0)
			break;
		node = child_named(tree, node, path, length);
		path += length;
	}
	return node;
}

/*
 * The path that the first `length` bytes of `alias` stand for, or NULL. An alias for another
 * alias is none: following those could go round in circles.
 */
static const char *alias_path(const struct devicetree *tree, const char *alias, size_t length)
{
	struct devicetree_node aliases = find_below(tree, devicetree_root(tree), "aliases");
	struct devicetree_property property = {0};
	const char *path = NULL;

	while (devicetree_next_property(tree, aliases, &property)) {
		if (strncmp(property.name, alias, length) != 0 || property.name[length] != '\0')
			continue;
		return devicetree_next_string(&property, &path) && path[0] == '/' ? path : NULL;
	}
	return NULL;
}

struct devicetree_node devicetree_find_path(const struct devicetree *tree, const char *path)
{
	struct devicetree_node start = devicetree_root(tree);

	if (path[0] != '/') {
		size_t length = strcspn(path, "/:");
		const char *expansion = length ? alias_path(tree, path, length) : NULL;

		if (!expansion)
			return DEVICETREE_NONE;
		start = find_below(tree, start, expansion);
		path += length;
	}
	return find_below(tree, start, path);
}

struct devicetree_node devicetree_find_compatible(const struct devicetree *tree,
						  struct devicetree_node after,
						  const char *compatible)
{
	struct devicetree_node node = devicetree_is_none(after) ? devicetree_root(tree)
								: devicetree_next(tree, after);

	while (!devicetree_is_none(node) &&
	       !devicetree_strings_contain(tree, node, "compatible", compatible))
		node = devicetree_next(tree, node);
	return node;
}

/* Trees from before the specification spell it linux,phandle. */
static bool has_phandle(const struct devicetree *tree, struct devicetree_node node, uint32_t phandle)
{
	struct devicetree_error unused;
	uint32_t own;

	if (devicetree_u32(tree, node, "phandle", &own, &unused) != DEVICETREE_FOUND &&
	    devicetree_u32(tree, node, "linux,phandle", &own, &unused) != DEVICETREE_FOUND)
		return false;
	return own == phandle;
}

struct devicetree_node devicetree_find_phandle(const struct devicetree *tree, uint32_t phandle)
{
	struct devicetree_node node = devicetree_root(tree);

	if (phandle == 0 || phandle == UINT32_MAX)
		return DEVICETREE_NONE;
	while (!devicetree_is_none(node) && !has_phandle(tree, node, phandle))
		node = devicetree_next(tree, node);
	return node;
}

/* Properties. */

bool devicetree_next_property(const struct devicetree *tree, struct devicetree_node node,
			      struct devicetree_property *property)
{
	uint32_t from = property->offset ? property->offset : node.offset;
	struct token token;

	/* `from` is the node's own token or the property's before; either way step over it. */
	if (token_read(tree, from, &token) != NULL)
		return false;
	if (!token_next(tree, &token) || token.kind != TOKEN_PROPERTY)
		return false;
	*property = (struct devicetree_property){
		.name = token.name,
		.value = tree->blob + token.value,
		.length = token.length,
		.offset = token.offset,
	};
	return true;
}

bool devicetree_property(const struct devicetree *tree, struct devicetree_node node,
			 const char *name, struct devicetree_property *property)
{
	struct devicetree_property candidate = {0};

	while (devicetree_next_property(tree, node, &candidate)) {
		if (strcmp(candidate.name, name) == 0) {
			*property = candidate;
			return true;
		}
	}
	return false;
}

uint32_t devicetree_word(const struct devicetree_property *property, uint32_t index)
{
	return index < devicetree_words(property) ? word_at(property->value + index * WORD_BYTES)
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
		return malformed(error, node, name, "is not a string");
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
	if (property.length != WORD_BYTES)
		return malformed(error, node, name, "is not one cell");
	*value = word_at(property.value);
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_u64(const struct devicetree *tree, struct devicetree_node node,
				      const char *name, uint64_t *value,
				      struct devicetree_error *error)
{
	struct devicetree_property property;

	if (!devicetree_property(tree, node, name, &property))
		return DEVICETREE_ABSENT;
	if (property.length != 2 * WORD_BYTES)
		return malformed(error, node, name, "is not two cells");
	*value = two_words_at(property.value);
	return DEVICETREE_FOUND;
}

enum devicetree_result devicetree_number(const struct devicetree *tree, struct devicetree_node node,
					 const char *name, uint64_t *value,
					 struct devicetree_error *error)
{
	struct devicetree_property property;

	if (!devicetree_property(tree, node, name, &property))
		return DEVICETREE_ABSENT;
	if (property.length == WORD_BYTES)
		*value = word_at(property.value);
	else if (property.length == 2 * WORD_BYTES)
		*value = two_words_at(property.value);
	else
		return malformed(error, node, name, "is neither one cell nor two");
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

/* Addresses. */

static enum devicetree_result cell_count(const struct devicetree *tree, struct devicetree_node bus,
					 const char *name, uint32_t *cells,
					 struct devicetree_error *error)
{
	if (devicetree_u32(tree, bus, name, cells, error) == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	if (*cells > CELLS_MAX)
		return malformed(error, bus, name, "is more than 4");
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

/* Reads a number of `cells` words and moves *at behind it; false when 64 bits do not hold it. */
static bool cells_read(const uint8_t **at, uint32_t cells, uint64_t *value)
{
	uint64_t number = 0;

	for (; cells > 0; cells--, *at += WORD_BYTES) {
		if (number >> 32)
			return false;
		number = number << 32 | word_at(*at);
	}
	*value = number;
	return true;
}

/* `property` as an array of entries of `cells` words each. */
static enum devicetree_result entries_find(const struct devicetree *tree,
					   struct devicetree_node node, const char *name,
					   uint64_t cells, struct devicetree_property *property,
					   uint32_t *count, struct devicetree_error *error)
{
	uint64_t entry_bytes = cells * WORD_BYTES;

	if (!devicetree_property(tree, node, name, property))
		return DEVICETREE_ABSENT;
	if (entry_bytes == 0 ? property->length != 0 : property->length % entry_bytes != 0)
		return malformed(error, node, name, "is not a whole number of entries");
	*count = entry_bytes ? (uint32_t)(property->length / entry_bytes) : 0;
	return DEVICETREE_FOUND;
}

/* In 64 bits: cells that a caller made up must not make the sum wrap. */
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
	entry = entries.value + index * reg_cells(cells) * WORD_BYTES;
	if (!cells_read(&entry, cells.address, &found.start))
		return malformed(error, node, name, "address has more than 64 bits");
	if (!cells_read(&entry, cells.size, &found.size))
		return malformed(error, node, name, "size has more than 64 bits");
	if (range_wraps(found.start, found.size))
		return malformed(error, node, name, "range wraps");
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
 * Takes `range` from below `bus` to the space that `bus` itself lives in, by the first entry of
 * `ranges` (child address, parent address, size) that holds it. Windows in spaces of more than
 * 64 bits, such as PCI's, hold nothing of ours.
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
		return malformed(error, bus, "ranges", "is absent: nothing below is addressable");
	if (result == DEVICETREE_MALFORMED || ranges.length == 0)
		return result;

	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *entry = ranges.value + i * entry_cells * WORD_BYTES;
		uint64_t child, parent, size;

		if (!cells_read(&entry, cells.address, &child) ||
		    !cells_read(&entry, parent_cells.address, &parent) ||
		    !cells_read(&entry, cells.size, &size) || !range_within(range, child, size))
			continue;
		if (range_wraps(parent, size))
			return malformed(error, bus, "ranges", "range wraps");
		range->start = range->start - child + parent;
		return DEVICETREE_FOUND;
	}
	return malformed(error, bus, "ranges", "does not reach a child");
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

	if (index >= (block.end - block.start) / RESERVATION_BYTES)
		return false;
	entry = tree->blob + block.start + index * RESERVATION_BYTES;
	range->start = two_words_at(entry);
	range->size = two_words_at(entry + 2 * WORD_BYTES);
	return true;
}
