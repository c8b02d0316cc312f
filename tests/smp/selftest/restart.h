/* SPDX-License-Identifier: BSD-2-Clause */
/* restart.h - interrupts that land inside the pop and the push; see restart.c. */
#pragma once

/* NULL, or what was wrong. */
const char *restart_test(void);

/* "every instruction", or how far the machine lets interrupts land where they like. */
const char *restart_test_coverage(void);
