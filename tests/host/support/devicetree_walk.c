/* SPDX-License-Identifier: BSD-2-Clause */
/* devicetree_walk.c - see devicetree_walk.h. */
#include "tests/host/support/devicetree_walk.h"

#include <string.h>

#include "kernel/boot/machine.h"

static void mix(uint64_t *sum, uint64_t value)
{
	*sum = (*sum ^ value) * UINT64_C(0x100000001b3);
}

static void mix_bytes(uint64_t *sum, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		mix(sum, ((const uint8_t *)bytes)[i]);
}

static void mix_string(uint64_t *sum, const char *string)
{
	mix_bytes(sum, string, strlen(string) + 1);
}

static void mix_error(uint64_t *sum, enum devicetree_result result,
		      const struct devicetree_error *error)
{
	mix(sum, result);
	if (result != DEVICETREE_MALFORMED)
		return;
	mix_string(sum, error->what);
	mix(sum, error->offset);
}

static void walk_properties(const struct devicetree *tree, struct devicetree_node node,
			    uint64_t *sum)
{
	struct devicetree_property property = {0};

	while (devicetree_next_property(tree, node, &property)) {
		const char *string = NULL;

		mix_string(sum, property.name);
		mix_bytes(sum, property.value, property.length);
		while (devicetree_next_string(&property, &string))
			mix_string(sum, string);
	}
}

static void walk_addresses(const struct devicetree *tree, struct devicetree_node node, uint64_t *sum)
{
	struct devicetree_error error;
	struct devicetree_range range;
	enum devicetree_result result;

	for (uint32_t i = 0;; i++) {
		result = devicetree_reg_physical(tree, node, i, &range, &error);
		mix_error(sum, result, &error);
		if (result != DEVICETREE_FOUND)
			return;
		mix(sum, range.start);
		mix(sum, range.size);
	}
}

static void walk_nodes(const struct devicetree *tree, uint64_t *sum)
{
	struct devicetree_node node = devicetree_root(tree);

	for (; !devicetree_is_none(node); node = devicetree_next(tree, node)) {
		mix_string(sum, devicetree_name(tree, node));
		mix(sum, devicetree_parent(tree, node).offset);
		mix(sum, devicetree_first_child(tree, node).offset);
		mix(sum, devicetree_next_sibling(tree, node).offset);
		walk_properties(tree, node, sum);
		walk_addresses(tree, node, sum);
	}
}

static void walk_memory(const struct devicetree *tree, uint64_t *sum)
{
	struct machine_memory memory = {0};
	struct machine_reserved reserved = {0};
	struct devicetree_error error;
	enum devicetree_result result;

	while ((result = machine_next_memory(tree, &memory, &error)) == DEVICETREE_FOUND) {
		mix(sum, memory.start.value);
		mix(sum, memory.size);
	}
	mix_error(sum, result, &error);
	while ((result = machine_next_reserved(tree, &reserved, &error)) == DEVICETREE_FOUND) {
		mix_string(sum, reserved.name);
		mix(sum, reserved.start.value);
		mix(sum, reserved.size);
	}
	mix_error(sum, result, &error);
}

static void walk_harts(const struct devicetree *tree, uint64_t *sum)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;
	enum devicetree_result result;
	uint32_t distance;

	while ((result = machine_next_hart(tree, &hart, &error)) == DEVICETREE_FOUND) {
		mix(sum, hart.id);
		mix_string(sum, hart.unusable ? hart.unusable : "");
		mix(sum, machine_hart_has(tree, &hart, "sstc"));
		result = machine_numa_distance(tree, 0, hart.numa_node, &distance, &error);
		mix_error(sum, result, &error);
		mix(sum, distance);
	}
	mix_error(sum, result, &error);
}

static void walk_rest(const struct devicetree *tree, uint64_t *sum)
{
	struct devicetree_error error;
	struct devicetree_node node;
	const char *string;
	uint64_t hertz;
	phys_t address;

	mix_error(sum, machine_timebase(tree, &hertz, &error), &error);
	mix_error(sum, machine_bootargs(tree, &string, &error), &error);
	mix_error(sum, machine_stdout(tree, &string, &node, &error), &error);
	mix_error(sum, machine_finisher(tree, &address, &error), &error);
	mix(sum, devicetree_find_phandle(tree, 3).offset);
}

uint64_t devicetree_walk(const struct devicetree *tree)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	walk_nodes(tree, &sum);
	walk_memory(tree, &sum);
	walk_harts(tree, &sum);
	walk_rest(tree, &sum);
	return sum;
}
