/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_owners.h - framedebug=owners: what is allocated, by the calls that allocated it.
 *
 * Prints with printf; each place as [<0x...>], which the launcher translates. On cpu 0.
 */
#pragma once

/*
 * Prints the frames that are allocated, a line for each place: frames, allocations, the age of the
 * oldest. Nothing without framedebug=owners. Exact at rest. O(frames * places).
 */
void frame_report_owners(void);

/* The same as records "frame_site". */
void frame_record_owners(void);
