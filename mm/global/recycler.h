/* SPDX-License-Identifier: BSD-2-Clause */
/* recycler.h - a range not yet given out and a queue of recycled frames; see recycler.c. */
#pragma once

#include "mm/global/policy.h"

extern const struct policy recycler_policy;
