/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drain.h - mm/percpu/drain.h for test_cpu, which has all of it: the drain goes in steps, and says
 * whether there are more.
 */
#pragma once

#include <stdbool.h>

bool frame_drain_answer(void);
bool frame_drain_is_asking(void);
void frame_cache_online(void);
void frame_cache_offline(void);
