/* SPDX-License-Identifier: BSD-2-Clause */
/* drain_test.h - for tests: where the counters of drain.c begin (sync/counter_start.h). */
#pragma once

#include "sync/counter_start.h"

#if COUNTERS_NEAR_WRAP
/* At rest, before caches are made: they begin again, counters_left before their wrap. */
void frame_drain_start_counters(void);
#endif
