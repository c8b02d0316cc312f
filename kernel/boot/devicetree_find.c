/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devicetree_find.c - finds a node by name, path, alias, compatible string or phandle.
 *
 * The upper file of the reader: it uses nodes and values, and neither uses it.
 */
#include "kernel/boot/devicetree_private.h"
#include <string.h>

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
