/* SPDX-License-Identifier: BSD-2-Clause */
/* space_machine.h - harts (harts.h) with a heap and address spaces; the rest of the kernel is empty. */
#pragma once

#include "kernel/smp/shootdown.h"

/* At rest: all CPUs are on line, with the kernel's tables, and space_create() can be called. */
void space_machine_start(unsigned cpus, enum shootdown_way way);
void space_machine_end(void);
