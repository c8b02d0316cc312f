/* SPDX-License-Identifier: BSD-2-Clause */
/* tree.c - see tree.h. */
#include "kernel/boot/tree.h"

#include <stdint.h>
#include <string.h>

#include "kernel/boot/early.h"
#include "kernel/boot/machine.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "kernel/vm/kernel_space.h"

extern char __kernel_start[], __kernel_end[];

static struct devicetree tree;

_Noreturn void tree_refuse(const struct devicetree_error *error)
{
	char text[128];

	devicetree_error_text(error, text, sizeof(text));
	verdict_fail("device tree: %s", text);
	verdict_end();
}

bool tree_has(enum devicetree_result result, const struct devicetree_error *error)
{
	if (result == DEVICETREE_MALFORMED)
		tree_refuse(error);
	return result == DEVICETREE_FOUND;
}

void tree_open(const void *blob)
{
	struct devicetree_error error;
	phys_t finisher;
	char text[128];

	/* The kernel's image has been loaded over such a tree, or its bss has been cleared in it. */
	if ((const char *)blob >= __kernel_start && (const char *)blob < __kernel_end) {
		verdict_fail("the device tree at %p is in the kernel at [%p, %p)", blob,
			     (void *)__kernel_start, (void *)__kernel_end);
		verdict_end();
	}
	if (!devicetree_open(&tree, blob, SIZE_MAX, &error)) {
		devicetree_error_text(&error, text, sizeof(text));
		verdict_fail("device tree at %p: %s", blob, text);
		verdict_end();
	}
	if (machine_finisher(&tree, &finisher, &error) == DEVICETREE_FOUND) {
		verdict_set_finisher(finisher.value);
		kernel_space_keep_finisher(finisher.value);
	}
	settings.tree = &tree;
}

void tree_move(void)
{
	struct devicetree_error error;
	void *copy = early_alloc(tree.size, 8);

	memcpy(copy, tree.blob, tree.size);
	if (!devicetree_open(&tree, copy, tree.size, &error))
		tree_refuse(&error);
	early_tree_moved(&tree);
}

void tree_read_timebase(void)
{
	struct devicetree_error error;

	if (tree_has(machine_timebase(&tree, &settings.timebase, &error), &error))
		return;
	verdict_fail("device tree: /cpus has no timebase-frequency");
	verdict_end();
}

void tree_check_distances(void)
{
	struct devicetree_error error;
	uint32_t distance;

	(void)tree_has(machine_numa_distance(&tree, 0, 0, &distance, &error), &error);
}
