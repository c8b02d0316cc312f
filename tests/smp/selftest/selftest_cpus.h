/* SPDX-License-Identifier: BSD-2-Clause */
/* selftest_cpus.h - tests of harts that come and go: NULL, or what was wrong. */
#pragma once

const char *cpus_test_answers(void);
const char *cpus_test_sleep(void);
const char *cpus_test_each(void);
const char *cpus_test_deaf(void);
const char *cpus_test_stranger(void);
const char *cpus_test_exhaustion(void);
