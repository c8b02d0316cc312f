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
 * The path that the first `length` bytes of `alias` stand for, or NULL. An alias for another alias
 * has no path here: to follow those could go round in circles.
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

/* Trees older than the specification call it linux,phandle. */
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

/*
 * ---- properties -------------------------------------------------------------------------------
 */

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
