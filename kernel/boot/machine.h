/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what the device tree says about this machine: memory, reserved ranges, harts, the
 * clock, boot arguments, devices, distances.
 *
 * Every list is an iterator over the tree itself, so nothing is copied and nothing has a limit:
 *
 *	struct machine_memory memory = {0};
 *
 *	while ((result = machine_next_memory(tree, &memory, &error)) == DEVICETREE_FOUND)
 *		use(memory.start, memory.size);
 *	if (result == DEVICETREE_MALFORMED)
 *		complain(&error);
 *
 * An iterator starts zeroed, and once it has answered ABSENT begins anew; after MALFORMED it
 * must not be used again. The tree is only read: any cpu may ask, at any time.
 *
 * `error->offset` is the node's, fit for devicetree_name(). Ranges are [start, start + size),
 * in bytes, neither empty nor wrapping, and not aligned to frames; nor need they be sorted or
 * disjoint: that is for the caller to settle.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/address.h"

/* One range of RAM. */
struct machine_memory {
	phys_t start;
	uint64_t size;
	uint32_t numa_node; /* 0 where the tree does not say */

	/* Where the iterator stands. */
	struct devicetree_node node;
	uint32_t next_entry;
	struct devicetree_range entry; /* the one before next_entry */
	uint32_t next_usable;	       /* of the ranges that limit it; 0: on to the next entry */
};

/*
 * Every entry of `reg` of every enabled child of the root whose device_type is "memory", or that
 * is named memory and has no device_type; of `linux,usable-memory` instead of `reg` where the node
 * has that. Of it only what lies in a range of /chosen's `linux,usable-memory-range`, if there is
 * such a property (both: how a kernel that runs beside another one's memory is told its own).
 */
DEVICETREE_MUST_USE enum devicetree_result machine_next_memory(const struct devicetree *tree,
							       struct machine_memory *memory,
							       struct devicetree_error *error);

enum machine_reserved_source {
	MACHINE_RESERVATION_BLOCK,
	MACHINE_RESERVED_MEMORY,
	MACHINE_INITRD,
	MACHINE_RESERVED_END,
};

/* One range that no allocator may hand out. It may lie outside of all memory. */
struct machine_reserved {
	phys_t start;
	uint64_t size;
	enum machine_reserved_source source;
	bool no_map;	  /* of RESERVED_MEMORY: not even to be mapped */
	const char *name; /* of the node, or what stands for it */

	/* Where the iterator stands. */
	struct devicetree_node node;
	uint32_t next_entry;
};

/*
 * The reservation block, then every entry of `reg` of every child of /reserved-memory (whatever
 * its status: to honour one too many costs frames, one too few corrupts), then the initrd.
 * MALFORMED where /reserved-memory has children and other cells than the root: the binding wants the
 * same, firmware adds its ranges in the root's, and read in others they would be lost.
 * Children with only a `size` ask for memory to be found for their device; we drive no such
 * device and ignore them. The tree's own blob is not among the answers: the caller knows where
 * it lies and adds [blob, blob + tree->size).
 */
DEVICETREE_MUST_USE enum devicetree_result machine_next_reserved(const struct devicetree *tree,
								 struct machine_reserved *reserved,
								 struct devicetree_error *error);

struct machine_hart {
	uint64_t id;
	const char *unusable; /* why it must not be started; NULL: it may be */
	const char *isa;      /* `riscv,isa`, or NULL */
	uint32_t numa_node;   /* 0 where the tree does not say */
	unsigned mmu_levels; /* of page tables: 3 with Sv39, 4 Sv48, 5 Sv57; 0: none that we know */

	/* Where the iterator stands. */
	struct devicetree_node node;
	uint64_t id_max; /* of the harts so far */
};

/*
 * Every child of /cpus whose device_type is "cpu", or that is named cpu and has no device_type.
 * A hart is usable when it is enabled and has an MMU: an `mmu-type` other than "riscv,none", or,
 * where there is no mmu-type, an ISA with `s` or an extension Sv*. An id that came before is
 * MALFORMED; that costs no search while ids ascend, as they do in practice.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_next_hart(const struct devicetree *tree,
							     struct machine_hart *hart,
							     struct devicetree_error *error);

/*
 * Whether the hart has `extension`, as "zbb", "sstc" or "c": from `riscv,isa-extensions` where
 * there is one, else from `riscv,isa`. Versions are not looked at.
 */
bool machine_hart_has(const struct devicetree *tree, const struct machine_hart *hart,
		      const char *extension);

/* Ticks of the `time` CSR a second, never 0: of /cpus, or of the first cpu node that says. */
DEVICETREE_MUST_USE enum devicetree_result machine_timebase(const struct devicetree *tree,
							    uint64_t *hertz,
							    struct devicetree_error *error);

DEVICETREE_MUST_USE enum devicetree_result machine_bootargs(const struct devicetree *tree,
							    const char **arguments,
							    struct devicetree_error *error);

/*
 * What /chosen/stdout-path says, and the node it means: DEVICETREE_NONE when there is no such
 * node. The path may be an alias, and may carry options after a ':'.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_stdout(const struct devicetree *tree,
							  const char **path,
							  struct devicetree_node *node,
							  struct devicetree_error *error);

/* The registers of the first enabled `sifive,test0`, which ends the machine with a status. */
DEVICETREE_MUST_USE enum devicetree_result machine_finisher(const struct devicetree *tree,
							    phys_t *registers,
							    struct devicetree_error *error);

#define MACHINE_DISTANCE_LOCAL	10
#define MACHINE_DISTANCE_REMOTE 20

/*
 * From NUMA node `from` to `to`, as in numa-distance-map-v1: (from, to), else (to, from). ABSENT
 * when the tree gives neither; *distance is then LOCAL for equal nodes, REMOTE for others.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_numa_distance(const struct devicetree *tree,
								 uint32_t from, uint32_t to,
								 uint32_t *distance,
								 struct devicetree_error *error);
