/* SPDX-License-Identifier: BSD-2-Clause */
/* free_list.h - a list whose links lie in the free frames themselves; see free_list.c. */
#pragma once

#include "mm/global/policy.h"

extern const struct policy free_list_policy;
