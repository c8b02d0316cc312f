/* SPDX-License-Identifier: BSD-2-Clause */
/* faults.c - see faults.h. */
#include "kernel/boot/faults.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "mm/fault.h"

static bool are_asked_for(void)
{
	return settings.arguments.fail_nth || settings.arguments.fail_rate;
}

void faults_begin(void)
{
	const struct bootargs *arguments = &settings.arguments;
	struct fault_plan plan = {
		.nth = arguments->fail_nth,
		.rate = arguments->fail_rate,
		.seed = arguments->fail_seed,
	};

	if (!are_asked_for())
		return;
	if (plan.nth)
		printf("faults: allocation %llu fails on purpose\n", (unsigned long long)plan.nth);
	if (plan.rate)
		printf("faults: each allocation fails on purpose with probability 1/%llu, "
		       "failseed=%llu\n",
		       (unsigned long long)plan.rate, (unsigned long long)plan.seed);
	fault_start(&plan);
}

void faults_end(void)
{
	struct fault_counts counts;

	if (!are_asked_for())
		return;
	counts = fault_stop();
	printf("\nfaults: %llu allocations, %llu failed on purpose\n",
	       (unsigned long long)counts.seen, (unsigned long long)counts.failed);
	record_begin("faults");
	record_number("nth", settings.arguments.fail_nth);
	record_number("rate", settings.arguments.fail_rate);
	record_number("failseed", settings.arguments.fail_seed);
	record_number("seen", counts.seen);
	record_number("failed", counts.failed);
	record_end();
}
