/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libfdt_judge.h - our reader of device trees against libfdt, on one blob, sound or damaged.
 *
 * If both accept a tree, they must read the same: nodes, names, nesting, properties, reservations,
 * paths, phandles, cells, `reg`, and the machine's memory. If only one of them accepts it, that
 * must be a difference we chose; libfdt_judge.c lists them. A difference we did not choose ends the
 * test through CHECK of unit.h.
 *
 * libfdt reads a copy with room behind it: on lists without terminators it may look one byte
 * too far, which is not ours to report.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum libfdt_verdict {
	LIBFDT_BOTH, /* accept it */
	LIBFDT_NEITHER,
	LIBFDT_OURS_ONLY,
	LIBFDT_THEIRS_ONLY,
	LIBFDT_VERDICTS
};

/* `blob` in an allocation of just its size, so that a byte read outside is seen. */
enum libfdt_verdict libfdt_judge(const uint8_t *blob, size_t size);
