/* SPDX-License-Identifier: BSD-2-Clause */
/* program_memory.c - see program_memory.h. */
#include "kernel/program_memory.h"

#include <string.h>

#include "kernel/boot/early.h"
#include "kernel/boot/memory.h"
#include "mm/address.h"
#include "mm/check.h"

/* The largest notes of a workload take 64 KiB a cpu; on small machines all have to do with less. */
#define BYTES_PER_CPU (128 * 1024)
#define MEMORY_SHARE  16

static char *memory;
static size_t memory_bytes, used_bytes;

void program_memory_reserve(unsigned cpus, size_t bytes)
{
	uint64_t most = memory_ram_frames() * FRAME_SIZE / MEMORY_SHARE;

	memory_bytes = (size_t)cpus * BYTES_PER_CPU;
	if (memory_bytes > most)
		memory_bytes = most;
	memory_bytes += bytes;
	memory = early_alloc(memory_bytes, 64);
	used_bytes = 0;
}

void *program_memory_alloc(size_t bytes)
{
	size_t start = (used_bytes + 63) & ~(size_t)63;

	if (start > memory_bytes || bytes > memory_bytes - start)
		return NULL;
	used_bytes = start + bytes;
	return memset(memory + start, 0, bytes);
}

void *program_memory_need(size_t bytes, const char *what)
{
	void *block = program_memory_alloc(bytes);

	check(block, "program memory: %zu bytes for %s, but %zu of %zu are in use", bytes, what,
	      used_bytes, memory_bytes);
	return block;
}

size_t program_memory_mark(void)
{
	return used_bytes;
}

void program_memory_release(size_t mark)
{
	assert(mark <= used_bytes);
	used_bytes = mark;
}

void program_memory_release_block(void *block)
{
	program_memory_release((size_t)((char *)block - memory));
}
