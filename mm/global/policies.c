/* SPDX-License-Identifier: BSD-2-Clause */
/* policies.c - see policies.h; a policy more is a line more. */
#include "mm/global/policies.h"

#include <string.h>

#include "mm/global/bitmap.h"
#include "mm/global/free_list.h"
#include "mm/global/interval_stack.h"
#include "mm/global/recycler.h"
#include "mm/global/segment_tree.h"

const struct policy *const policies[] = {
	&segment_tree_policy, &bitmap_policy,	 &interval_stack_policy,
	&recycler_policy,     &free_list_policy,
};

const unsigned policy_count = sizeof(policies) / sizeof(policies[0]);

const struct policy *policy_named(const char *name)
{
	for (unsigned i = 0; i < policy_count; i++)
		if (strcmp(policies[i]->name, name) == 0)
			return policies[i];
	return NULL;
}
