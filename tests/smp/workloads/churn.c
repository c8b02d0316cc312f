/* SPDX-License-Identifier: BSD-2-Clause */
/* churn.c - stops and starts harts while workloads run; see churn.h. */
#include "tests/smp/workloads/churn.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "kernel/smp/cpu.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/smp.h"

#define TERM_STEPS  64	 /* at most, of the controller's own work while the others are stopped */
#define PAUSE_STEPS 2048 /* at most, of each cpu before it tries to be the controller again */
#define CONTROLLERS 16	 /* at most, of cpus that are controller at least once: they take turns */

struct churn_counts {
	uint64_t stops, starts;
	uint64_t boot_cpu; /* stops of cpu 0 */
	uint64_t most;	   /* cpus stopped at the same time */
};

/*
 * `controller` is taken by compare-and-swap and given back with a release. Fields without a note
 * belong to the controller, and to cpu 0 at rest.
 */
static struct {
	uint32_t controller; /* number of the cpu, plus 1; 0: none */
	uint32_t is_cut; /* some cpu had no time left to be the controller; any cpu may set it */
	unsigned cpus;
	unsigned away;	    /* number of stopped cpus */
	uint64_t term_left; /* steps until they are started */
	struct churn_counts run, all;
} churn;

static void stop(unsigned cpu)
{
	enum cpu_result result = cpu_stop(cpu);

	check(result == CPU_DONE, "churn: cpu %u cannot be stopped: %s", cpu,
	      cpu_result_text(result));
	churn.run.stops++;
	churn.run.boot_cpu += cpu == 0;
	if (++churn.away > churn.run.most)
		churn.run.most = churn.away;
}

static void start_all(void)
{
	for (unsigned cpu = 0; churn.away && cpu < churn.cpus; cpu++) {
		enum cpu_result result;

		if (!cpu_is_stopped(cpu))
			continue;
		result = cpu_start(cpu);
		check(result == CPU_DONE, "churn: cpu %u cannot be started: %s", cpu,
		      cpu_result_text(result));
		churn.run.starts++;
		churn.away--;
	}
}

static bool begin_term(void)
{
	if (ck_pr_load_32(&churn.controller) || !ck_pr_cas_32(&churn.controller, 0, port_cpu() + 1))
		return false;
	ck_pr_fence_acquire();
	return true;
}

/* Stops mostly one cpu, sometimes several, from a random one on. */
static void stop_some(uint64_t *random)
{
	unsigned first = (unsigned)random_below(random, churn.cpus);
	unsigned count = 1;

	if (random_below(random, 4) == 0)
		count += (unsigned)random_below(random, churn.cpus - 1);
	for (unsigned i = 0; i < churn.cpus && churn.away < count; i++) {
		unsigned cpu = (first + i) % churn.cpus;

		if (cpu != port_cpu())
			stop(cpu);
	}
	churn.term_left = random_below(random, TERM_STEPS);
}

static void end_term(void)
{
	start_all();
	ck_pr_fence_release();
	ck_pr_store_32(&churn.controller, 0);
}

void smp_churn_begin(unsigned cpus)
{
	churn.cpus = cpus;
	churn.controller = 0;
	churn.away = 0;
	churn.is_cut = 0;
	memset(&churn.run, 0, sizeof(churn.run));
}

void smp_churn_step(struct smp_churner *churner, uint64_t *random)
{
	if (ck_pr_load_32(&churn.controller) == port_cpu() + 1) {
		if (churn.term_left-- == 0)
			end_term();
		return;
	}
	if (churn.cpus < 2 || churner->pause-- > 0)
		return;
	churner->pause = random_below(random, PAUSE_STEPS);
	if (!begin_term())
		return;
	churner->has_stopped = true;
	stop_some(random);
}

/* True for all cpus of a small machine; for some, evenly spread, of a large one. */
static bool is_controller_once(unsigned cpu)
{
	return cpu % ((churn.cpus + CONTROLLERS - 1) / CONTROLLERS) == 0;
}

/*
 * Different cpus become the controller, so that every hart may be stopped. Each term has several
 * stops and starts, and for each a host with few cores must schedule all harts.
 */
bool smp_churn_leave(struct smp_churner *churner, uint64_t *random)
{
	if (ck_pr_load_32(&churn.controller) == port_cpu() + 1)
		end_term();
	if (churner->has_stopped || churn.cpus < 2 || !is_controller_once(port_cpu()))
		return true;
	if (churner->is_over) {
		ck_pr_store_32(&churn.is_cut, 1);
		return true;
	}
	if (!begin_term()) {
		port_relax();
		return false;
	}
	churner->has_stopped = true;
	stop_some(random);
	end_term();
	return true;
}

bool smp_churn_end(void)
{
	bool complete = churn.run.stops == churn.run.starts && churn.away == 0 &&
			(churn.run.stops > 0 || churn.cpus < 2 || churn.is_cut);

	churn.all.stops += churn.run.stops;
	churn.all.starts += churn.run.starts;
	churn.all.boot_cpu += churn.run.boot_cpu;
	if (churn.run.most > churn.all.most)
		churn.all.most = churn.run.most;
	if (!complete)
		verdict_fail("churn: %llu stops and %llu starts of %u cpus",
			     (unsigned long long)churn.run.stops,
			     (unsigned long long)churn.run.starts, churn.cpus);
	return complete;
}

void churn_report(void)
{
	if (churn.cpus == 0)
		return;
	printf("churn: harts stopped %llu times (the boot hart %llu), started %llu times; at most "
	       "%llu off\n",
	       (unsigned long long)churn.all.stops, (unsigned long long)churn.all.boot_cpu,
	       (unsigned long long)churn.all.starts, (unsigned long long)churn.all.most);
	record_begin("churn");
	record_number("cpus", settings.cpus);
	record_number("stops", churn.all.stops);
	record_number("starts", churn.all.starts);
	record_number("boot_hart_stops", churn.all.boot_cpu);
	record_number("most_at_once", churn.all.most);
	record_end();
}
