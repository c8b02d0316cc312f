/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - what the device tree says about this machine: memory, reserved ranges, harts, the
 * clock, boot arguments, devices, distances.
 *
 * Every list is an iterator over the tree itself, so nothing is copied and no list has a limit:
 *
 *	struct machine_memory memory = {0};
 *
 *	while ((result = machine_next_memory(tree, &memory, &error)) == DEVICETREE_FOUND)
 *		use(memory.start, memory.size);
 *	if (result == DEVICETREE_MALFORMED)
 *		complain(&error);
 *
 * An iterator starts zeroed. After it has answered ABSENT, the next call begins again with the
 * first item. After MALFORMED it must not be used again. The tree is only read: any cpu may call
 * these functions at any time, and none takes a lock.
 *
 * `error->offset` is that of the node and can be given to devicetree_name(). Ranges are
 * [start, start + size), in bytes. They are not empty and do not wrap. They need not be aligned to
 * frames, sorted or disjoint: the caller sorts and merges them.
 *
 * The code is in machine.c (clock, boot arguments, console, finisher), machine_memory.c (memory and
 * reserved ranges), machine_harts.c (harts and their ISA) and machine_numa.c (NUMA).
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

	/* The position of the iterator. */
	struct devicetree_node node;
	uint32_t next_entry;
	struct devicetree_range entry; /* the entry before next_entry */
	uint32_t next_usable; /* of the ranges that limit `entry`; 0: take the next entry */
};

/*
 * Every entry of `reg` of every enabled child of the root whose device_type is "memory", or which
 * has no device_type and is named memory. Where such a node has `linux,usable-memory`, that
 * property replaces `reg`. Where /chosen has `linux,usable-memory-range`, only the parts that lie
 * in one of its ranges count. (With both properties, the tree limits a kernel that shares the
 * machine with another one, such as a crash kernel, to its share of RAM.)
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

/* One range that no allocator may hand out. It may lie outside of RAM. */
struct machine_reserved {
	phys_t start;
	uint64_t size;
	enum machine_reserved_source source;
	bool no_map;	  /* MACHINE_RESERVED_MEMORY only: the range must not be mapped either */
	const char *name; /* of the node; for other sources a phrase */

	/* The position of the iterator. */
	struct devicetree_node node;
	uint32_t next_entry;
};

/*
 * The reservation block, then every entry of `reg` of every child of /reserved-memory, then the
 * initrd. Children count whatever their status: to reserve a range too many costs frames, a range
 * too few corrupts memory. MALFORMED where /reserved-memory has children and other cells than the
 * root: the binding requires equal ones, firmware adds its ranges in the root's cells, and those
 * ranges would be read wrongly. Children that have only a `size` request memory for a device of
 * theirs; this kernel drives no such device and ignores them. The tree's own blob is not among the
 * answers: the caller knows its address and adds [blob, blob + tree->size).
 */
DEVICETREE_MUST_USE enum devicetree_result machine_next_reserved(const struct devicetree *tree,
								 struct machine_reserved *reserved,
								 struct devicetree_error *error);

struct machine_hart {
	uint64_t id;
	const char *unusable; /* the reason why it must not be started; NULL: it may be started */
	const char *isa;      /* `riscv,isa`, or NULL */
	uint32_t numa_node;   /* 0 where the tree does not say */
	unsigned mmu_levels;  /* of page tables: 3 with Sv39, 4 Sv48, 5 Sv57; 0: no known MMU */

	/* The position of the iterator. */
	struct devicetree_node node;
	uint64_t id_max; /* the highest id so far */
};

/*
 * Every child of /cpus whose device_type is "cpu", or which has no device_type and is named cpu. A
 * hart is usable when it is enabled and has an MMU: an `mmu-type` other than "riscv,none", or,
 * where there is no mmu-type, an ISA with `s` or an extension Sv*. MALFORMED where an earlier node
 * has the same id. As long as ids ascend, which is the usual case, that check needs no search.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_next_hart(const struct devicetree *tree,
							     struct machine_hart *hart,
							     struct devicetree_error *error);

/*
 * Whether the hart has `extension`, as "zbb", "sstc" or "c": from `riscv,isa-extensions` where
 * the node has it, else from `riscv,isa`. Versions are ignored.
 */
bool machine_hart_has(const struct devicetree *tree, const struct machine_hart *hart,
		      const char *extension);

/*
 * Ticks of the `time` CSR per second, never 0: from /cpus, or from the first cpu node that has
 * them.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_timebase(const struct devicetree *tree,
							    uint64_t *hertz,
							    struct devicetree_error *error);

/* /chosen/bootargs. */
DEVICETREE_MUST_USE enum devicetree_result machine_bootargs(const struct devicetree *tree,
							    const char **arguments,
							    struct devicetree_error *error);

/*
 * /chosen/stdout-path, and the node that it names: DEVICETREE_NONE where there is no such
 * node. The path may be an alias, and may have options after a ':'.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_stdout(const struct devicetree *tree,
							  const char **path,
							  struct devicetree_node *node,
							  struct devicetree_error *error);

/*
 * The registers of the first enabled `sifive,test0`: a device that ends the machine with a status.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_finisher(const struct devicetree *tree,
							    phys_t *registers,
							    struct devicetree_error *error);

#define MACHINE_DISTANCE_LOCAL	10
#define MACHINE_DISTANCE_REMOTE 20

/*
 * The distance from NUMA node `from` to `to` in numa-distance-map-v1: that of (from, to), else that
 * of (to, from). ABSENT where the tree has neither; *distance is then MACHINE_DISTANCE_LOCAL for
 * equal nodes and MACHINE_DISTANCE_REMOTE for others.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_numa_distance(const struct devicetree *tree,
								 uint32_t from, uint32_t to,
								 uint32_t *distance,
								 struct devicetree_error *error);
