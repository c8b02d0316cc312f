/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.h - how far a program is, for whoever waits for it. A record "progress" says it, and no time:
 * the launcher, which knows how long the run has lasted, draws a line from it (tools/launcher/progress.py).
 */
#pragma once

#include <stdint.h>

/*
 * `done` of the `of` parts of `program` are done, and `what` comes next. Where a program has many parts,
 * only each hundredth is recorded. On cpu 0, at rest.
 */
void progress_record(const char *program, const char *what, uint64_t done, uint64_t of);
