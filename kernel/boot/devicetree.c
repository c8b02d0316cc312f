/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree.c - the structure block's tokens, and the proof that a blob is well-formed.
 *
 * One function, devicetree_token_read(), decodes the structure block. devicetree_open() runs it
 * over the whole block and refuses the tree at the first error. The accessors (devicetree_nodes.c)
 * run it again from some node on. An error there can only mean that the node handle did not come
 * from this reader, and counts as the end of the node. So no read trusts a handle.
 *
 * Every loop moves forward through the blob by at least one token, so it ends.
 * No sum of offsets can wrap: sizes stay below DEVICETREE_SIZE_MAX, and a length is compared with
 * what is left of its block before it is added to anything.
 */
#include "kernel/boot/devicetree_private.h"

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

#define MAGIC		UINT32_C(0xd00dfeed)
#define VERSION_OLDEST	16
#define VERSION_OURS	17
#define HEADER_BYTES_16 36
#define HEADER_BYTES_17 40

static bool refuse(struct devicetree_error *error, const char *what, uint32_t offset)
{
	*error = (struct devicetree_error){.what = what, .offset = offset};
	return false;
}

enum devicetree_result devicetree_malformed(struct devicetree_error *error,
					    struct devicetree_node node, const char *property,
					    const char *what)
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

/* The string at `offset`; NULL where it or its terminator does not lie in the block. */
static const char *string_in(const struct devicetree *tree, struct devicetree_block block,
			     uint32_t offset)
{
	if (!block_holds(block, offset, 1))
		return NULL;
	if (!memchr(tree->blob + offset, '\0', block.end - offset))
		return NULL;
	return (const char *)tree->blob + offset;
}

/* ---- tokens: each function returns what is wrong with the token, or NULL --------------------- */

static const char *begin_node_read(const struct devicetree *tree, struct devicetree_token *token)
{
	token->name = string_in(tree, tree->structure, token->next);
	if (!token->name)
		return "node name is not terminated";
	/* Where the block's end cuts the padding off, the next read fails. */
	token->next += ((uint32_t)strlen(token->name) + DEVICETREE_WORD_BYTES) &
		       -(uint32_t)DEVICETREE_WORD_BYTES;
	return NULL;
}

static const char *property_read(const struct devicetree *tree, struct devicetree_token *token)
{
	uint32_t name_offset;

	if (!block_holds(tree->structure, token->next, 2 * DEVICETREE_WORD_BYTES))
		return "property is cut off";
	token->length = devicetree_word_at(tree->blob + token->next);
	name_offset = devicetree_word_at(tree->blob + token->next + DEVICETREE_WORD_BYTES);
	token->value = token->next + 2 * DEVICETREE_WORD_BYTES;
	if (!block_holds(tree->structure, token->value, token->length))
		return "property value leaves the structure block";
	if (name_offset >= tree->strings.end - tree->strings.start)
		return "property name lies outside the strings block";
	token->name = string_in(tree, tree->strings, tree->strings.start + name_offset);
	if (!token->name)
		return "property name is not terminated";
	token->next = token->value + ((token->length + DEVICETREE_WORD_BYTES - 1) &
				      -(uint32_t)DEVICETREE_WORD_BYTES);
	return NULL;
}

const char *devicetree_token_read(const struct devicetree *tree, uint32_t offset,
				  struct devicetree_token *token)
{
	do {
		token->offset = offset;
		if (!block_holds(tree->structure, offset, DEVICETREE_WORD_BYTES))
			return "structure block ends without an end token";
		token->kind = devicetree_word_at(tree->blob + offset);
		offset += DEVICETREE_WORD_BYTES;
	} while (token->kind == DEVICETREE_NOP);
	token->next = offset;

	switch (token->kind) {
	case DEVICETREE_BEGIN_NODE:
		return begin_node_read(tree, token);
	case DEVICETREE_PROPERTY:
		return property_read(tree, token);
	case DEVICETREE_END_NODE:
	case DEVICETREE_END:
		return NULL;
	}
	return "unknown token";
}

bool devicetree_token_next(const struct devicetree *tree, struct devicetree_token *token)
{
	return devicetree_token_read(tree, token->next, token) == NULL &&
	       token->kind != DEVICETREE_END;
}

bool devicetree_node_token(const struct devicetree *tree, struct devicetree_node node,
			   struct devicetree_token *token)
{
	return devicetree_token_read(tree, node.offset, token) == NULL &&
	       token->kind == DEVICETREE_BEGIN_NODE;
}

/* ---- the proof ------------------------------------------------------------------------------- */

/* The position of the proof's walk, and what is allowed there. */
struct place {
	uint32_t depth;
	bool root_seen;
	bool takes_properties;
};

static const char *place_begin_node(struct place *place, const struct devicetree_token *token)
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

static const char *place_advance(struct place *place, const struct devicetree_token *token)
{
	switch (token->kind) {
	case DEVICETREE_BEGIN_NODE:
		return place_begin_node(place, token);
	case DEVICETREE_PROPERTY:
		if (place->depth == 0)
			return "property outside of any node";
		return place->takes_properties ? NULL : "property after a subnode";
	case DEVICETREE_END_NODE:
		if (place->depth == 0)
			return "node ends that never began";
		place->takes_properties = false;
		place->depth--;
		return NULL;
	default: /* DEVICETREE_END */
		if (place->depth > 0)
			return "tree ends inside a node";
		return place->root_seen ? NULL : "no root node";
	}
}

/* Cuts tree->structure to the part in use, its end token included. */
static bool structure_check(struct devicetree *tree, struct devicetree_error *error)
{
	struct devicetree_token token = {.next = tree->structure.start};
	struct place place = {0};

	do {
		const char *what = devicetree_token_read(tree, token.next, &token);

		if (!what)
			what = place_advance(&place, &token);
		if (what)
			return refuse(error, what, token.offset);
	} while (token.kind != DEVICETREE_END);
	tree->structure.end = token.next;
	return true;
}

/* Finds the terminator, which is the entry of two zeros, and ends tree->reservations before it. */
static bool reservations_check(struct devicetree *tree, struct devicetree_error *error)
{
	struct devicetree_block *block = &tree->reservations;
	uint32_t offset;

	for (offset = block->start; block_holds(*block, offset, DEVICETREE_RESERVATION_BYTES);
	     offset += DEVICETREE_RESERVATION_BYTES) {
		uint64_t start = devicetree_two_words_at(tree->blob + offset);
		uint64_t size = devicetree_two_words_at(tree->blob + offset +
							2 * DEVICETREE_WORD_BYTES);

		if (start == 0 && size == 0) {
			block->end = offset;
			return true;
		}
		if (devicetree_range_wraps(start, size))
			return refuse(error, "reservation wraps", offset);
	}
	return refuse(error, "reservation block has no end", offset);
}

static uint32_t header_word(const struct devicetree *tree, uint32_t field)
{
	return devicetree_word_at(tree->blob + field);
}

static uint32_t header_bytes(const struct devicetree *tree)
{
	return header_word(tree, HEADER_VERSION) >= 17 ? HEADER_BYTES_17 : HEADER_BYTES_16;
}

/* Checks made before the total size is known: they read no more than a version 16 header. */
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

/* Takes the block's start from the header. Its end is the blob's end until a size field is read. */
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
	    !block_start(tree, HEADER_STRUCTURE, DEVICETREE_WORD_BYTES, &tree->structure, error) ||
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

/* Where blocks overlap, a byte has two meanings: the tree was built wrongly. */
static bool blocks_disjoint(const struct devicetree *tree, struct devicetree_error *error)
{
	struct devicetree_block reservations = tree->reservations;

	reservations.end += DEVICETREE_RESERVATION_BYTES;
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
