/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_numa.c - NUMA: the node of a device tree node, and distances between NUMA nodes.
 */
#include "kernel/boot/machine_private.h"

enum devicetree_result machine_numa_node_of(const struct devicetree *tree,
					    struct devicetree_node node, uint32_t *numa_node,
					    struct devicetree_error *error)
{
	*numa_node = 0;
	if (devicetree_u32(tree, node, "numa-node-id", numa_node, error) == DEVICETREE_MALFORMED)
		return DEVICETREE_MALFORMED;
	return DEVICETREE_FOUND;
}

/*
 * The distance of the first triple (from, to, distance); 0, which is no distance, where there is
 * none.
 */
static uint32_t matrix_find(const struct devicetree_property *matrix, uint32_t from, uint32_t to)
{
	uint32_t words = devicetree_words(matrix);

	for (uint32_t i = 0; i < words; i += 3) {
		if (devicetree_word(matrix, i) == from && devicetree_word(matrix, i + 1) == to)
			return devicetree_word(matrix, i + 2);
	}
	return 0;
}

/* The distance of a node to itself is MACHINE_DISTANCE_LOCAL; other distances are greater. */
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
		return devicetree_malformed(error, map, name, "is not a whole number of triples");
	if (!matrix_is_sound(&matrix))
		return devicetree_malformed(error, map, name, "has an impossible distance");
	found = matrix_find(&matrix, from, to);
	if (found == 0)
		found = matrix_find(&matrix, to, from);
	if (found == 0)
		return DEVICETREE_ABSENT;
	*distance = found;
	return DEVICETREE_FOUND;
}
