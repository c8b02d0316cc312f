/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree_nodes.c - moves through the nodes of a device tree and lists their properties.
 *
 * Nothing is indexed: each step reads tokens from a node on (devicetree.c), so what a call costs is
 * the number of tokens that it passes. A handle that is DEVICETREE_NONE or forged has no child, no
 * sibling, no name and no property.
 */
#include "kernel/boot/devicetree_private.h"

#include <string.h>

/*
 * The node that begins with the token at `offset`; DEVICETREE_NONE where that token begins no node.
 */
static struct devicetree_node node_at(const struct devicetree *tree, uint32_t offset)
{
	struct devicetree_token token;

	if (devicetree_token_read(tree, offset, &token) != NULL ||
	    token.kind != DEVICETREE_BEGIN_NODE)
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
	struct devicetree_token token;

	if (!devicetree_node_token(tree, parent, &token))
		return DEVICETREE_NONE;
	while (devicetree_token_next(tree, &token) && token.kind == DEVICETREE_PROPERTY)
		continue;
	return node_at(tree, token.offset);
}

struct devicetree_node devicetree_next_sibling(const struct devicetree *tree,
					       struct devicetree_node node)
{
	struct devicetree_token token;
	uint32_t depth = 1;

	if (!devicetree_node_token(tree, node, &token))
		return DEVICETREE_NONE;
	while (depth > 0) {
		if (!devicetree_token_next(tree, &token))
			return DEVICETREE_NONE;
		if (token.kind == DEVICETREE_BEGIN_NODE)
			depth++;
		else if (token.kind == DEVICETREE_END_NODE)
			depth--;
	}
	return node_at(tree, token.next);
}

struct devicetree_node devicetree_next(const struct devicetree *tree, struct devicetree_node node)
{
	struct devicetree_token token;

	if (!devicetree_node_token(tree, node, &token))
		return DEVICETREE_NONE;
	while (devicetree_token_next(tree, &token)) {
		if (token.kind == DEVICETREE_BEGIN_NODE)
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
	struct devicetree_token token = {.next = tree->structure.start};
	uint32_t depth = 0;

	*last = DEVICETREE_NONE;
	while (devicetree_token_next(tree, &token) && token.offset <= target.offset) {
		if (token.kind == DEVICETREE_END_NODE)
			depth--;
		if (token.kind != DEVICETREE_BEGIN_NODE)
			continue;
		depth++;
		if (token.offset == target.offset)
			return depth;
		if (depth == depth_wanted)
			*last = (struct devicetree_node){token.offset};
	}
	return 0;
}

/* There is no stack of ancestors: the first walk finds the node's depth, the second its parent. */
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
	struct devicetree_token token;

	return devicetree_node_token(tree, node, &token) ? token.name : "";
}

/* ---- properties ------------------------------------------------------------------------------ */

bool devicetree_next_property(const struct devicetree *tree, struct devicetree_node node,
			      struct devicetree_property *property)
{
	uint32_t from = property->offset ? property->offset : node.offset;
	struct devicetree_token token;

	/* `from` is the token of the node or of the property before: skip it. */
	if (devicetree_token_read(tree, from, &token) != NULL)
		return false;
	if (!devicetree_token_next(tree, &token) || token.kind != DEVICETREE_PROPERTY)
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
