/* SPDX-License-Identifier: BSD-2-Clause */
/* bitmap.h - the simplest policy: one bit a frame; the theory is at the top of bitmap.c. */
#pragma once

#include "mm/global/policy.h"

extern const struct policy bitmap_policy;
