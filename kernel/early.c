/* early.c - see early.h. */
#include "kernel/early.h"

#include <string.h>

#include <port.h>

#include "kernel/machine.h"

extern char __kernel_start[], __kernel_end[];

static const struct devicetree *tree;
static uint64_t avoid_start, avoid_end; /* the tree's blob where the firmware put it */
static uint64_t next_address, ram_end;

static uint64_t address_of(const void *pointer)
{
	return port_phys_address(pointer);
}

bool early_init(const struct devicetree *devicetree, struct devicetree_error *error)
{
	struct machine_memory memory = {0};
	uint64_t kernel = address_of(__kernel_start);
	enum devicetree_result result;

	tree = devicetree;
	avoid_start = address_of(tree->blob);
	avoid_end = avoid_start + tree->size;
	next_address = address_of(__kernel_end);
	ram_end = 0;
	while ((result = machine_next_memory(tree, &memory, error)) == DEVICETREE_FOUND)
		if (kernel - memory.start.value < memory.size)
			ram_end = memory.start.value + memory.size;
	if (result == DEVICETREE_MALFORMED)
		return false;
	if (ram_end < next_address)
		port_panic("no memory: the device tree has no RAM at [%#lx, %#lx), where the kernel "
			   "is", (unsigned long)kernel, (unsigned long)next_address);
	return true;
}

void early_tree_moved(const struct devicetree *devicetree)
{
	tree = devicetree;
	avoid_start = avoid_end = 0;
}

/* The end of something that [start, end) must not touch, or 0: nothing is in the way. */
static uint64_t obstacle(uint64_t start, uint64_t end)
{
	struct machine_reserved reserved = {0};
	struct devicetree_error error;
	enum devicetree_result result;

	if (start < avoid_end && avoid_start < end)
		return avoid_end;
	while ((result = machine_next_reserved(tree, &reserved, &error)) == DEVICETREE_FOUND) {
		uint64_t reserved_end = reserved.start.value + reserved.size;

		if (start < reserved_end && reserved.start.value < end)
			return reserved_end;
	}
	if (result == DEVICETREE_MALFORMED)
		port_panic("device tree: %s: %s (offset %#x)", error.property ? error.property : "-",
			   error.what, error.offset);
	return 0;
}

void *early_alloc(size_t bytes, size_t align)
{
	uint64_t start = (next_address + align - 1) & ~(uint64_t)(align - 1);
	uint64_t past;
	void *memory;

	while (bytes <= ram_end - start && start < ram_end &&
	       (past = obstacle(start, start + bytes)))
		start = (past + align - 1) & ~(uint64_t)(align - 1);
	if (start >= ram_end || bytes > ram_end - start)
		port_panic("no memory: %lu bytes for the kernel's tables, but RAM ends at %#lx",
			   (unsigned long)bytes, (unsigned long)ram_end);
	next_address = start + bytes;
	memory = port_phys_pointer(start);
	return memset(memory, 0, bytes);
}

uint64_t early_end(void)
{
	uint64_t end = next_address;

	ram_end = 0;
	return end;
}
