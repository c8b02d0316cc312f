/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - what the tree says once of the whole machine: clock, boot arguments, console,
 * finisher; and the nodes of one device_type, which memory and harts have in common.
 *
 * The bindings that machine*.c read are those of the Devicetree Specification 0.4, chapter 3, and
 * for RISC-V those of the Linux kernel (riscv/cpus.yaml, extensions.yaml, numa.txt, chosen.yaml).
 */
#include "kernel/boot/machine_private.h"

#include <string.h>

/* FOUND where device_type is `type`, or where there is no device_type and the node is named so. */
static enum devicetree_result has_type(const struct devicetree *tree, struct devicetree_node node,
				       const char *type, struct devicetree_error *error)
{
	const char *device_type;
	bool same;

	switch (devicetree_string(tree, node, "device_type", &device_type, error)) {
	case DEVICETREE_FOUND:
		same = strcmp(device_type, type) == 0;
		break;
	case DEVICETREE_ABSENT:
		same = devicetree_name_is(tree, node, type);
		break;
	default:
		return DEVICETREE_MALFORMED;
	}
	return same ? DEVICETREE_FOUND : DEVICETREE_ABSENT;
}

enum devicetree_result machine_next_of_type(const struct devicetree *tree,
					    struct devicetree_node parent, const char *type,
					    struct devicetree_node *node,
					    struct devicetree_error *error)
{
	enum devicetree_result result = DEVICETREE_ABSENT;

	do {
		*node = devicetree_is_none(*node) ? devicetree_first_child(tree, parent)
						  : devicetree_next_sibling(tree, *node);
		if (devicetree_is_none(*node))
			return DEVICETREE_ABSENT;
		result = has_type(tree, *node, type, error);
	} while (result == DEVICETREE_ABSENT);
	return result;
}

enum devicetree_result machine_timebase(const struct devicetree *tree, uint64_t *hertz,
					struct devicetree_error *error)
{
	static const char name[] = "timebase-frequency";
	struct devicetree_node cpus = devicetree_find_path(tree, "/cpus");
	struct devicetree_node node = cpus, cpu = DEVICETREE_NONE;
	enum devicetree_result result;
	uint64_t found;

	while ((result = devicetree_number(tree, node, name, &found, error)) == DEVICETREE_ABSENT) {
		result = machine_next_of_type(tree, cpus, "cpu", &cpu, error);
		if (result != DEVICETREE_FOUND)
			return result;
		node = cpu;
	}
	if (result == DEVICETREE_MALFORMED)
		return result;
	if (found == 0)
		return devicetree_malformed(error, node, name, "is zero");
	*hertz = found;
	return DEVICETREE_FOUND;
}

enum devicetree_result machine_bootargs(const struct devicetree *tree, const char **arguments,
					struct devicetree_error *error)
{
	struct devicetree_node chosen = devicetree_find_path(tree, "/chosen");

	return devicetree_string(tree, chosen, "bootargs", arguments, error);
}

enum devicetree_result machine_stdout(const struct devicetree *tree, const char **path,
				      struct devicetree_node *node, struct devicetree_error *error)
{
	struct devicetree_node chosen = devicetree_find_path(tree, "/chosen");
	enum devicetree_result result;

	result = devicetree_string(tree, chosen, "stdout-path", path, error);
	if (result == DEVICETREE_FOUND)
		*node = devicetree_find_path(tree, *path);
	return result;
}

enum devicetree_result machine_finisher(const struct devicetree *tree, phys_t *registers,
					struct devicetree_error *error)
{
	struct devicetree_node node = DEVICETREE_NONE;
	enum devicetree_result result;
	struct devicetree_range range;
	bool enabled = false;

	do {
		node = devicetree_find_compatible(tree, node, "sifive,test0");
		if (devicetree_is_none(node))
			return DEVICETREE_ABSENT;
		if (devicetree_is_enabled(tree, node, &enabled, error) != DEVICETREE_FOUND)
			return DEVICETREE_MALFORMED;
	} while (!enabled);

	result = devicetree_reg_physical(tree, node, 0, &range, error);
	if (result == DEVICETREE_ABSENT)
		return devicetree_malformed(error, node, "reg", "is absent or empty");
	if (result == DEVICETREE_FOUND)
		*registers = phys(range.start);
	return result;
}
