/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache_line.h - PORT_CACHE_LINE: the bytes of a cache line, for what must not share one.
 *
 * A port whose machine has other lines than 64 bytes defines PORT_CACHE_LINE in its <port.h>: a
 * power of two, 64 or more. It is the same in every file of a build, because it decides the layout
 * of structures and the sizes and alignments that callers supply memory with.
 */
#pragma once

#include <port.h>

#if !defined(PORT_CACHE_LINE)
#define PORT_CACHE_LINE 64
#endif

_Static_assert(PORT_CACHE_LINE >= 64 && (PORT_CACHE_LINE & (PORT_CACHE_LINE - 1)) == 0,
	       "PORT_CACHE_LINE is a power of two, 64 or more");
