/* SPDX-License-Identifier: BSD-2-Clause */
/* fault.c - see fault.h. */
#include "mm/fault.h"

#include "mm/check.h"

uint32_t fault_is_on;
void (*fault_on_decision)(enum fault_kind kind, const void *site, bool fails);

static struct fault_plan plan;
static uint64_t seen, failed; /* atomic */

/* The finalizer of splitmix64: every bit of the result depends on every bit of the number. */
static uint64_t mix(uint64_t number)
{
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

static bool fails(uint64_t number)
{
	if (number == plan.nth)
		return true;
	return plan.rate && mix(mix(plan.seed) + number) % plan.rate == 0;
}

__attribute__((noinline)) bool fault_decide(enum fault_kind kind, const void *site)
{
	bool result = fails(ck_pr_faa_64(&seen, 1) + 1);

	if (result)
		ck_pr_inc_64(&failed);
	if (fault_on_decision)
		fault_on_decision(kind, site, result);
	return result;
}

void fault_start(const struct fault_plan *wanted)
{
	check(!ck_pr_load_32(&fault_is_on), "fault_start: faults are injected already");
	plan = *wanted;
	ck_pr_store_64(&seen, 0);
	ck_pr_store_64(&failed, 0);
	ck_pr_store_32(&fault_is_on, 1);
}

struct fault_counts fault_counts(void)
{
	return (struct fault_counts){ck_pr_load_64(&seen), ck_pr_load_64(&failed)};
}

struct fault_counts fault_stop(void)
{
	ck_pr_store_32(&fault_is_on, 0);
	return fault_counts();
}
