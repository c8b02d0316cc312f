/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crash.h - crash=: one forbidden thing, done on purpose, to see that the machine ends as it should.
 */
#pragma once

#include <stdint.h>

/*
 * Does what `kind` (enum bootargs_crash, not NONE) says on the last cpu, while the others are busy.
 * Does not come back where that is noticed; where it is not, the run fails. On cpu 0.
 */
void crash_run(uint64_t kind);
