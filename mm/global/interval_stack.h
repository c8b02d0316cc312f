/* SPDX-License-Identifier: BSD-2-Clause */
/* interval_stack.h - a policy that is a stack of intervals; see the top of interval_stack.c. */
#pragma once

#include "mm/global/policy.h"

extern const struct policy interval_stack_policy;
