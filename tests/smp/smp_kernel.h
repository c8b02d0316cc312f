/* SPDX-License-Identifier: BSD-2-Clause */
/* smp_kernel.h - what only the kernel's side of smp.h can do. */
#pragma once

#include <stdbool.h>

/* From now on smp_print() prints nothing, or does again. On cpu 0. */
void smp_set_quiet(bool quiet);
