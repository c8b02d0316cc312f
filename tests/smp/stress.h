/* SPDX-License-Identifier: BSD-2-Clause */
/* stress.h - runs the chosen workloads, each with the caches and without, and reports. */
#pragma once

void stress_run(void);
