/* SPDX-License-Identifier: BSD-2-Clause */
/* policies.h - all the policies there are, to choose from by name. */
#pragma once

#include "mm/global/policy.h"

/* The first is the default. */
extern const struct policy *const policies[];
extern const unsigned policy_count;

/* NULL when there is none of that name. */
const struct policy *policy_named(const char *name);
