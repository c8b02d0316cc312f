/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_devicetree.c - fuzz target: our reader of device trees against libfdt, and alone.
 *
 * The input is the blob, in an allocation of just its size. Where it opens, devicetree_walk()
 * asks everything that can be asked of it, twice: a tree is read-only, so answers do not change.
 *
 * Covers: kernel/boot/devicetree*.c
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/support/devicetree_walk.h"
#include "tests/host/support/libfdt_judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *blob = calloc(1, size ? size : 1);
	struct devicetree_error error;
	struct devicetree tree;

	if (size)
		memcpy(blob, data, size);
	libfdt_judge(blob, size);
	if (devicetree_open(&tree, blob, size, &error))
		CHECK_EQ(devicetree_walk(&tree), devicetree_walk(&tree));
	CHECK(size == 0 || memcmp(blob, data, size) == 0);
	free(blob);
	return 0;
}
