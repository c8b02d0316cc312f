/* SPDX-License-Identifier: BSD-2-Clause */
/* bench.h - run=bench: exact instruction counts where the machine can count, ratios where not. */
#pragma once

void bench_run(void);
