/* SPDX-License-Identifier: BSD-2-Clause */
/* leak_check.h - the end of every run, at rest: all frames are back, all structures check themselves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Frames that are free, the heap's spare ones included. */
uint64_t leak_check_begin(void);

/* True when as many are free again; else the verdict fails with the workload's name. */
bool leak_check_end(const char *workload, uint64_t free_before);
