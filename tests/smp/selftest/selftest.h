/* SPDX-License-Identifier: BSD-2-Clause */
/* selftest.h - the in-kernel tests: quick, exact, on all cpus; KTAP and a `test` record each. */
#pragma once

void selftest_run(void);
