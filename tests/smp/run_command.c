/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_command.c - the monitor's command `run`: one run of a workload, with some boot arguments for it.
 *
 * The words are those of the boot arguments, read by their parser, so values and messages are the same.
 * A run is as in a stress: the statistics begin at 0, and after it every frame must be back. Ctrl-C
 * sets the run's limit of time to what is over already, and each cpu stops where it would at a limit.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/boot/bootargs.h"
#include "kernel/boot/configure.h"
#include "kernel/diag/clock.h"
#include "kernel/diag/contention.h"
#include "kernel/diag/monitor.h"
#include "kernel/diag/monitor_input.h"
#include "kernel/diag/verdict.h"
#include "kernel/program.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/kernel_space.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/leak_check.h"
#include "tests/smp/result.h"
#include "tests/smp/workloads/workload.h"

static const struct monitor_command run_command;

/* Its own, so that the timer's hook finds it. */
static struct workload_run run;

/* ---- what is asked for ----------------------------------------------------------------------- */

static const char *const keys[] = {
	"ops=", "cpus=", "seed=", "cache=", "batch=", "lock=", "policy=", "hold=", "think="};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static bool is_key(const char *word)
{
	for (unsigned i = 0; i < KEYS; i++)
		if (strncmp(word, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

static bool is_given(const struct monitor_words *words, const char *key)
{
	for (unsigned i = 2; i < words->count; i++)
		if (strncmp(words->word[i], key, strlen(key)) == 0)
			return true;
	return false;
}

/* Everything that is not given is as it is in force. */
static void keep_the_rest(const struct monitor_words *words, struct bootargs *asked)
{
	struct bootargs all = settings.arguments;

	all.workload = asked->workload;
	all.policies = is_given(words, "policy=") ? asked->policies : 0;
	all.policy = asked->policy;
	all.lock = is_given(words, "lock=") ? asked->lock : all.lock;
	all.cpus = is_given(words, "cpus=") ? asked->cpus : settings.cpus;
	all.ops = is_given(words, "ops=") ? asked->ops : all.ops;
	all.seed = is_given(words, "seed=") ? asked->seed : all.seed;
	if (is_given(words, "cache=")) {
		all.cache_frames = asked->cache_frames;
		all.batch_frames = 0;
	}
	all.batch_frames = is_given(words, "batch=") ? asked->batch_frames : all.batch_frames;
	if (is_given(words, "hold=")) {
		all.hold = asked->hold;
		all.hold_spread = asked->hold_spread;
	}
	if (is_given(words, "think=")) {
		all.think = asked->think;
		all.think_spread = asked->think_spread;
	}
	*asked = all;
}

/* False, and a message printed. */
static bool parse(const struct monitor_words *words, struct bootargs *asked)
{
	static const char *policy_names[BOOTARGS_NAMES_MAX];
	static struct bootargs_known known;
	static char text[300]; /* an error points into it */
	struct bootargs_error bad;
	size_t used = (size_t)snprintf(text, sizeof(text), "workload=%s", words->word[1]);

	for (unsigned i = 2; i < words->count; i++) {
		if (!is_key(words->word[i])) {
			printf("\"%s\": ", words->word[i]);
			monitor_print_usage(&run_command);
			return false;
		}
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %s", words->word[i]);
	}
	programs_know(&known);
	for (unsigned i = 0; i < policy_count; i++)
		policy_names[i] = policies[i]->name;
	known.policies = (struct bootargs_names){policy_names, policy_count};
	if (!bootargs_parse(text, &known, asked, &bad)) {
		bootargs_print_error(&bad, printf);
		return false;
	}
	keep_the_rest(words, asked);
	return true;
}

static const struct workload *workload_of(const struct bootargs *asked)
{
	unsigned number = 0;

	while (!bootargs_set_has(asked->workload, number))
		number++;
	return asked->workload >> number == 1 ? &workloads[number] : NULL;
}

/* Why it cannot be done; NULL: it can. */
static const char *why_not(const struct workload *workload, const struct bootargs *asked,
			   const struct policy *policy)
{
	if (!workload)
		return "one workload at a time";
	if (!workload_is_supported(workload, policy))
		return "the policy does not support this workload";
	if (workload->needs_paging && !kernel_space_table())
		return "this workload needs paging, which is off";
	if (asked->cpus > settings.cpus)
		return "there are not so many cpus";
	if (asked->lock == SPIN_NONE && settings.cpus > 1)
		return "lock=none is for one cpu";
	if (asked->cache_frames && asked->batch_frames > asked->cache_frames / 2)
		return "a cache holds two batches, so batch= is at most half of cache=";
	return NULL;
}

/* ---- zones and caches ------------------------------------------------------------------------ */

static void set_caches(void *arguments)
{
	const struct bootargs *asked = arguments;
	uint32_t frames = (uint32_t)asked->cache_frames;

	frame_cache_configure(frames, frames ? (uint32_t)asked->batch_frames : 0);
}

/*
 * Makes the zones again where policy or lock are others. They stay, so that what is counted of them can
 * be looked at after the run. False, and a message printed: not all frames and blocks are back.
 */
static bool set_zones(const struct bootargs *asked, const struct policy *policy)
{
	struct kheap_stats heap;

	if (policy == zones.zone[0].policy && asked->lock == settings.arguments.lock)
		return true;
	kheap_stats(&heap);
	if (monitor_frames_held() || heap.live_blocks) {
		printf("policy= and lock= make the zones again, and %" PRIu64 " frames and %" PRIu64
		       " blocks of the heap are in use\n",
		       monitor_frames_held(), heap.live_blocks);
		return false;
	}
	configure(&(struct configuration){
		policy, (enum spin_kind)asked->lock, (uint32_t)settings.arguments.cache_frames,
		(uint32_t)settings.arguments.batch_frames, settings.cpus});
	return true;
}

/* ---- the run --------------------------------------------------------------------------------- */

static void stop_workload(void)
{
	ck_pr_store_64(&run.limit_ns, 1);
}

static void print_result(const struct result *result, bool ran)
{
	const struct spin_stats *locks = &result->zone_locks;
	uint64_t time = result->ns / time_unit_ns(),
		 per = settings.virtual_time ? 1000000 : 1000000000;

	if (!ran)
		return;
	printf("%12s %12s %14s %15s %10s %9s %9s %9s\n", "operations", time_unit(),
	       settings.virtual_time ? "ops/Minstr" : "ops/s", "contended", "locks/1k", "refills",
	       "flushes", "failures");
	printf("%12" PRIu64 " %12" PRIu64 " %14" PRIu64, result->ops, time,
	       ratio(result->ops, result->ns, per));
	contention_print_share(15, locks->contended, locks->acquisitions,
			       contention_is_measurable());
	printf(" %10" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "\n",
	       ratio(locks->acquisitions, result->ops, 1000), result->refills, result->flushes,
	       result->failures);
}

/* One run with what settings.arguments says. True: nothing was wrong. */
static bool run_once(const struct workload *workload)
{
	size_t mark = program_memory_mark();
	struct result result;
	uint64_t free_before;
	bool ran, whole;

	run = (struct workload_run){.workload = workload,
				    .cpus = (unsigned)settings.arguments.cpus,
				    .ops = settings.arguments.ops ? settings.arguments.ops
								  : workload->ops,
				    .seed = settings.arguments.seed};
	run.cpu = program_memory_need(run.cpus * sizeof(*run.cpu), "the cpus' results");
	cpus_run(set_caches, &settings.arguments, settings.cpus);
	free_before = leak_check_begin();
	statistics_reset();
	monitor_watch_for_interrupt(stop_workload);
	ran = workload_execute(&run);
	monitor_stop_watching();
	result_collect(&result, &run);
	contention_look();
	print_result(&result, ran);
	if (!ran)
		printf("not enough memory to set it up\n");
	whole = leak_check_end(workload->name, free_before);
	program_memory_release(mark);
	return whole;
}

static void do_run(const struct monitor_words *words)
{
	struct bootargs asked, before;
	const struct policy *policy = zones.zone[0].policy;
	const struct workload *workload;
	const char *wrong;

	if (!parse(words, &asked) || !monitor_all_cpus_run("a run"))
		return;
	workload = workload_of(&asked);
	policy = asked.policies ? policies[asked.policy] : policy;
	wrong = why_not(workload, &asked, policy);
	if (wrong) {
		printf("run: %s\n", wrong);
		return;
	}
	if (!set_zones(&asked, policy))
		return;
	printf("%s, %" PRIu64 " cpus: %s\n", workload->name, asked.cpus, workload->what);
	before = settings.arguments;
	contention_look();
	settings.arguments = asked;
	verdict_count_test(run_once(workload));
	settings.arguments = before;
	cpus_run(set_caches, &settings.arguments, settings.cpus);
}

/* ---- completion ------------------------------------------------------------------------------ */

static const char *key_with(const char *key, const char *value)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s%s", key, value);
	return text;
}

static const char *run_value(const struct monitor_words *before, const char *typed, unsigned number)
{
	if (before->count == 1)
		return number < workload_count ? workload_names[number] : NULL;
	if (strncmp(typed, "lock=", 5) == 0)
		return number < SPIN_KINDS
			       ? key_with("lock=", spin_kind_name((enum spin_kind)number))
			       : NULL;
	if (strncmp(typed, "policy=", 7) == 0)
		return number < policy_count ? key_with("policy=", policies[number]->name) : NULL;
	return number < KEYS ? keys[number] : NULL;
}

static const struct monitor_command run_command = {
	.name = "run",
	.arguments = "WORKLOAD [KEY=VALUE]...",
	.help = "a workload, once, until it is done or Ctrl-C; then a look for leaks",
	.more = "keys: ops cpus seed cache batch lock policy hold think, as boot arguments\n"
		"lock= and policy= make the zones again and stay; all others are for this run.\n"
		"locks/1k: acquisitions of zones' locks for each 1000 operations. locks, blame and "
		"caches "
		"show more of the run.\n",
	.least = 1,
	.most = MONITOR_WORDS - 1,
	.run = do_run,
	.value = run_value,
};
MONITOR_COMMAND(30, run_command);
