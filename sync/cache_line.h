/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache_line.h - PORT_CACHE_LINE: the bytes of a cache line, for data that must not share one.
 *
 * A port whose machine has lines of another size than 64 bytes defines PORT_CACHE_LINE in its
 * <port.h>: a power of two, 64 or more. It must be the same in every file of a build, because the
 * layout of structures, and the sizes and alignments of the memory that callers supply, depend on it.
 */
#pragma once

#include <stddef.h>

#include <port.h>

#if !defined(PORT_CACHE_LINE)
#define PORT_CACHE_LINE 64
#endif

_Static_assert(PORT_CACHE_LINE >= 64 && (PORT_CACHE_LINE & (PORT_CACHE_LINE - 1)) == 0,
	       "PORT_CACHE_LINE is a power of two, 64 or more");

/* Bytes rounded up to whole cache lines. */
static inline size_t cache_line_round_up(size_t bytes)
{
	return (bytes + PORT_CACHE_LINE - 1) & ~(size_t)(PORT_CACHE_LINE - 1);
}
