/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace_check.h - whether the trace has noted what the caches have counted, run by run. On cpu 0,
 * at rest; nothing with trace=off.
 */
#pragma once

#include <stdbool.h>

#include "tests/smp/result.h"

/* Right after the statistics were reset; the run that begins is noted in the trace. */
void trace_check_begin(const char *name, bool baseline);

/* The run's refills and flushes must be as many events as the caches have counted, on all cpus. */
void trace_check_end(const char *name, const struct result *result);
