/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore.c - run=explore: workloads under a schedule that a seed decides.
 *
 * An emulator that counts instructions (QEMU's -icount) runs the harts in turn on one thread and
 * goes on to the next one only when a timer of the machine runs out. So every cpu arms its timer
 * again and again, for random times drawn from the seed: the harts change at arbitrary
 * instructions, and the same seed and binary give the same run bit for bit. The digest in the
 * verdict shows it: it covers the order of all switches and, at each, the interrupted cpu's pc and
 * registers.
 *
 * A timer that runs out while its cpu holds a zone's lock (interrupts masked) is taken later,
 * but the turn ends there and then: switches fall inside critical sections too.
 *
 * With schedule=pct, walk or list a cpu does not only lose its turn, but the schedule also says
 * which cpu goes on (directed.h).
 *
 * preempt=MIN:RANGE:MODE: between two switches the interrupted code goes on for MIN to MIN +
 * RANGE ticks, unless the mode says otherwise (enum preempt_mode). In every mode the handler itself
 * sometimes allocates and frees (handler_ops.h).
 *
 * Each cpu's random generator decides that cpu's intervals, sleeps and acts. All generators
 * together decide the schedule, and all of them follow from the seed. Nothing here reads a clock
 * that the host drives.
 *
 * Each cpu writes its own struct explorer, in its handler, with interrupts masked. `events` is
 * shared and counts all switches in their order. The boot hart reads the rest at the end, after
 * cpus_run() has ordered it; a panic reads the digest as it stands.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "arch/riscv/trap.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/diag/trace.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/ipi.h"
#include "kernel/vm/kernel_space.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/directed.h"
#include "tests/smp/doze.h"
#include "tests/smp/leak_check.h"
#include "tests/smp/workloads/churn.h"
#include "tests/smp/handler_ops.h"
#include "tests/smp/random.h"
#include "tests/smp/schedule.h"
#include "tests/smp/workloads/workload.h"

#define OPS_DEFAULT	    2000
#define HANDLER_OWNER	    0x8000 /* plus the cpu's number */
#define HANDLER_ACTS_ONE_IN 64
#define STALL_ONE_IN	    32
#define STALL_TICKS_LOG	    14 /* the longest sleep is 2^14 ticks */
#define HANDLER_BURST	    24 /* several refills of the small caches that are of interest */
#define LOCKS_TICKS                                                                                \
	1000 /* of a step in mode locks: a few holds of a batch, for all harts together */
#define STACK_TICKS	      48 /* of a step in mode stack: as long as a pop or push */
#define BETWEEN_TICKS	      8192 /* of turns before and after the work that a directed schedule is for */
#define DIRECTED_RETURN_TICKS 160
#define STEPS_MAX	      4 /* in a row: a cpu that waits for a lock must not wait in short steps only */
#define NEAR_BYTES	      32 /* code next to a sequence is as interesting */
#define STUCK_TRAPS	      16 /* at one pc in a row, before a cpu gets twice the time */
#define STUCK_LOG_MAX	      6	 /* of the times that it gets more, at most */
#define CALM_TRAPS	      64 /* that let the interrupted code go on, before that is believed */

/* After this number of switches for each operation, a cpu waits for what will never come. */
#define SWITCHES_PER_OP	  2000
#define SWITCHES_AT_LEAST 2000000

/* As in the boot argument; a name each. */
static const char *const schedule_names[] = {"seeds", "pct", "walk", "list"};

/* The modes of preempt=, which say where switches are more frequent than elsewhere. */
enum preempt_mode {
	PREEMPT_ANY, /* nowhere */
	/* Where a batch or a heap block moves: before, in and after critical sections. */
	PREEMPT_LOCKS,
	PREEMPT_STACK, /* in a restartable sequence and next to one */
	/*
	 * Nowhere; but some cpus sleep where they were interrupted, up to thousands of switches
	 * long.
	 */
	PREEMPT_STALL,
	PREEMPT_MODES
};

static const char *const mode_names[] = {"any", "locks", "stack", "stall"};
static const unsigned mode_count = PREEMPT_MODES;

_Static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == PREEMPT_MODES, "a name each");
ARGUMENT_VALUES(preempt, mode_names, mode_count);

enum place {
	PLACE_PLAIN,
	PLACE_SLOW,	/* a batch, a heap block or a page moves */
	PLACE_SEQUENCE, /* in a restartable sequence */
	PLACE_NEAR,	/* next to one */
	PLACES
};

/* One for each cpu, which alone writes it. */
struct explorer {
	_Alignas(64) uint64_t random;
	uint64_t digest;
	uint64_t last_pc;
	uint64_t switches, in_locks, stalls, acts;
	uint64_t at[PLACES];
	unsigned steps; /* short ones in a row, so far */
	unsigned stuck; /* traps in a row that found the cpu where the last one had */
	uint32_t works; /* its workload has begun: switches count and intrude */
	struct handler_ops handler_ops;
};

static struct explorer *explorers;
static uint64_t events, events_max;
static bool handlers_act;
static const struct workload_run *running;

/* Ticks from the arming of the timer to the first instruction that was interrupted. */
static uint64_t return_ticks;

static struct explorer *self(void)
{
	return &explorers[port_cpu()];
}

/* ---- the interval ------------------------------------------------------------------------- */

/* The last thing a handler does, so that the way from here back is always the same. */
static __attribute__((noinline)) void arm_in(uint64_t ticks)
{
	hart_timer_arm(hart_time() + ticks);
}

static volatile uint64_t calibration_steps;
static uint64_t calibration_seen;
static unsigned calm_traps;

static void on_calibration(struct trap_frame *trap)
{
	(void)trap;
	if (calibration_steps == calibration_seen) {
		return_ticks++;
		calm_traps = 0;
	} else {
		calm_traps++;
	}
	calibration_seen = calibration_steps;
	if (calm_traps < CALM_TRAPS)
		arm_in(return_ticks);
	else
		hart_timer_disarm();
}

/* A timer that runs out before the handler is left would never let the interrupted code go on. */
static void measure_return(void)
{
	trap_on_timer = on_calibration;
	return_ticks = 0;
	arm_in(0);
	hart_timer_enable();
	while (*(volatile unsigned *)&calm_traps < CALM_TRAPS)
		calibration_steps++;
	return_ticks += 8; /* the step above is a few instructions long */
}

static bool is_near(uint64_t pc)
{
	return trap_restartable_at(pc - NEAR_BYTES) || trap_restartable_at(pc + NEAR_BYTES) ||
	       trap_restartable_at(pc - NEAR_BYTES / 2) || trap_restartable_at(pc + NEAR_BYTES / 2);
}

/* Of a pc that is in no restartable sequence. */
static enum place place_outside(uint64_t pc)
{
	extern const char __slow_text_start[], __slow_text_end[];

	if (pc - (uintptr_t)__slow_text_start < (size_t)(__slow_text_end - __slow_text_start))
		return PLACE_SLOW;
	if (settings.arguments.preempt_mode == PREEMPT_STACK && is_near(pc))
		return PLACE_NEAR;
	return PLACE_PLAIN;
}

static enum place place_of(uint64_t pc)
{
	return trap_restartable_at(pc) ? PLACE_SEQUENCE : place_outside(pc);
}

/* How long a step the mode wants here; 0: as everywhere. */
static uint64_t step_ticks(enum place place)
{
	switch (settings.arguments.preempt_mode) {
	case PREEMPT_LOCKS:
		return place == PLACE_SLOW ? LOCKS_TICKS : 0;
	case PREEMPT_STACK:
		return place == PLACE_SEQUENCE || place == PLACE_NEAR ? STACK_TICKS : 0;
	default:
		return 0;
	}
}

/* A short step that the mode wants here; 0: none, or there have been enough in a row. */
static uint64_t short_step(struct explorer *explorer, uint64_t *random, enum place place)
{
	uint64_t step = step_ticks(place);

	if (step && explorer->steps < STEPS_MAX) {
		explorer->steps++;
		return return_ticks + random_below(random, step);
	}
	explorer->steps = 0;
	return 0;
}

static uint64_t long_step(uint64_t *random)
{
	const struct bootargs *arguments = &settings.arguments;

	return return_ticks + arguments->preempt_min_ticks +
	       random_below(random, arguments->preempt_range_ticks + 1);
}

/* As a constant: return_ticks can differ by one where the boot was longer. */
static uint64_t directed_ticks(uint64_t *random)
{
	return long_step(random) - return_ticks + DIRECTED_RETURN_TICKS;
}

static void note_pc(struct explorer *explorer, uint64_t pc)
{
	explorer->stuck = explorer->last_pc == pc ? explorer->stuck + 1 : 0;
	explorer->last_pc = pc;
}

/*
 * The other cpus' handlers take from the time to the next switch. The cpus can fall into a round in which
 * nothing is left of one cpu's time, again and again. So a cpu that stays where it is gets more.
 */
static uint64_t next_interval(struct explorer *explorer, enum place place)
{
	uint64_t step = short_step(explorer, &explorer->random, place);
	unsigned more = explorer->stuck / STUCK_TRAPS;

	return (step ? step : long_step(&explorer->random))
	       << (more < STUCK_LOG_MAX ? more : STUCK_LOG_MAX);
}

/* ---- the handler -------------------------------------------------------------------------- */

static uint64_t mix(uint64_t digest, uint64_t value)
{
	return (digest << 7 | digest >> 57) ^ value * UINT64_C(0x9e3779b97f4a7c15);
}

static void digest_event(struct explorer *explorer, const struct trap_frame *trap, uint64_t event)
{
	uint64_t digest = mix(explorer->digest, event);

	for (unsigned i = 1; i < 32; i++)
		digest = mix(digest, trap->x[i]);
	explorer->digest = mix(digest, trap->pc);
}

/*
 * A holder masks interrupts, so the interrupted cpu holds none: another cpu was left in its
 * section.
 */
static bool some_lock_is_held(void)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (spin_locked_relaxed(&zones.zone[i].lock))
			return true;
	if (spin_locked_relaxed(kheap_lock()))
		return true;
	return running->workload->locked_relaxed && running->workload->locked_relaxed(running);
}

static _Noreturn void no_end(void)
{
	printf("\nthe cpus were last interrupted at");
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		printf(" pc [<%#llx>]", (unsigned long long)explorers[cpu].last_pc);
	port_panic("explore: no end after %llu switches: a deadlock, or a cpu that waits for ever",
		   (unsigned long long)events_max);
}

/* As if the machine had taken this hart away for a while, at this instruction. */
static void stall(struct explorer *explorer)
{
	uint64_t ticks = UINT64_C(1) << random_below(&explorer->random, STALL_TICKS_LOG + 1);
	uint64_t until = hart_time() + ticks;

	explorer->stalls++;
	hart_timer_arm(until);
	while (hart_time() < until) {
		doze();
		ipi_handle(); /* here, where its handler cannot be */
	}
}

static void intrude(struct explorer *explorer)
{
	explorer->acts++;
	handler_ops_act(&explorer->handler_ops,
			(enum handler_ops_act)random_below(&explorer->random, HANDLER_OPS));
}

static void count_switch(struct explorer *explorer, const struct trap_frame *trap, enum place place,
			 uint64_t event)
{
	digest_event(explorer, trap, event);
	explorer->switches++;
	explorer->at[place]++;
	explorer->in_locks += some_lock_is_held();
}

static void count_event(uint64_t event)
{
	if (event >= events_max)
		no_end();
}

/*
 * First the turn, because that takes the longest: what is decided late is decided for another place.
 * Short steps are drawn from the step's number, so that another cpu's handler draws them too in a list
 * of the same switches.
 */
static void directed_switch(struct explorer *explorer, struct trap_frame *trap, uint64_t pc)
{
	enum place place;
	uint64_t random, short_ticks;
	bool acts;

	if (directed_seat() == DIRECTED_ENDED) {
		directed_rest(pc);
		arm_in(return_ticks + BETWEEN_TICKS);
		return;
	}
	acts = directed_wait(trap, pc);
	place = trap->pc != pc ? PLACE_SEQUENCE : place_outside(pc);
	count_switch(explorer, trap, place, directed_steps());
	if (acts && handlers_act)
		intrude(explorer);
	random = ~schedule_random(settings.arguments.seed, directed_steps());
	short_ticks = short_step(explorer, &random, place);
	directed_arm(short_ticks ? short_ticks - return_ticks + DIRECTED_RETURN_TICKS : 0);
}

static void on_switch(struct trap_frame *trap)
{
	struct explorer *explorer = self();
	uint64_t event, pc = csr_read(sepc); /* the frame's has been moved to the start by now */
	enum place place;

	hart_timer_disarm();
	note_pc(explorer, pc);
	if (explorer->works && directed_seat() != DIRECTED_OUT) {
		directed_switch(explorer, trap, pc);
		return;
	}
	place = place_of(pc);
	if (explorer->works) {
		event = ck_pr_faa_64(&events, 1);
		count_event(event);
		count_switch(explorer, trap, place, event);
		if (random_below(&explorer->random, HANDLER_ACTS_ONE_IN) == 0 && handlers_act)
			intrude(explorer);
		if (settings.arguments.preempt_mode == PREEMPT_STALL &&
		    random_below(&explorer->random, STALL_ONE_IN) == 0)
			stall(explorer);
	}
	arm_in(directed() ? return_ticks + BETWEEN_TICKS : next_interval(explorer, place));
}

/* A hart that was stopped comes back with its timer let in, but not armed. */
static void arm_again(void)
{
	if (explorers[port_cpu()].works || port_cpu() == 0)
		arm_in(return_ticks);
}

/* ---- the run ------------------------------------------------------------------------------ */

/* Makes one random generator for each cpu from the seed. */
static void seed_explorer(struct explorer *explorer, unsigned cpu)
{
	explorer->random = (settings.arguments.seed * 64 + cpu + 1) * UINT64_C(0xd1342543de82ef95) |
			   1;
	for (unsigned i = 0; i < 8; i++)
		random_next(&explorer->random);
	handler_ops_init(&explorer->handler_ops, HANDLER_OWNER | cpu, HANDLER_BURST);
}

static uint64_t digest_of_all(void)
{
	uint64_t digest = 0;

	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		digest = mix(digest, explorers[cpu].digest);
	return digest;
}

/*
 * On the boot hart, before others start: a hart that waits for another in a loop would wait for
 * ever without a timer.
 */
static void explore_prepare(void)
{
	explorers = kmalloc_aligned(port_cpu_count() * sizeof(*explorers), 64);
	check(explorers, "explore: no memory for %u cpus", port_cpu_count());
	memset(explorers, 0, port_cpu_count() * sizeof(*explorers));
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		seed_explorer(&explorers[cpu], cpu);
	directed_prepare(&(struct directed_explorer){directed_ticks, count_event});
	measure_return();
	trap_on_timer = on_switch;
	cpu_on_return = arm_again;
	arm_in(return_ticks);
}

static void enter(void)
{
	directed_enter();
	self()->works = 1;
	if (port_cpu() != 0)
		doze_enter();
	arm_in(return_ticks);
	hart_timer_enable();
}

/* cpu 0's timer goes on: it will wait for the others. */
static void leave(void)
{
	unsigned long flags = port_irq_save();

	self()->works = 0;
	handler_ops_end(&self()->handler_ops);
	if (port_cpu() != 0) {
		doze_leave();
		hart_timer_disable();
		hart_timer_disarm();
	}
	port_irq_restore(flags);
}

static void record_workload(const struct workload_run *run)
{
	struct explorer sum = {0};
	uint64_t allocs = 0, frees = 0;

	for (unsigned cpu = 0; cpu < settings.cpus; cpu++) {
		sum.switches += explorers[cpu].switches;
		sum.in_locks += explorers[cpu].in_locks;
		sum.stalls += explorers[cpu].stalls;
		sum.acts += explorers[cpu].acts;
		for (unsigned i = 0; i < PLACES; i++)
			sum.at[i] += explorers[cpu].at[i];
		allocs += run->cpu[cpu].allocs;
		frees += run->cpu[cpu].frees;
	}
	printf("%s: %llu switches, %llu of them while a lock was held,\n"
	       "  %llu on the way of a batch, %llu in a restartable sequence;\n"
	       "  %llu sleeps, %llu acts in handlers; %llu allocations\n",
	       run->workload->name, (unsigned long long)sum.switches,
	       (unsigned long long)sum.in_locks, (unsigned long long)sum.at[PLACE_SLOW],
	       (unsigned long long)sum.at[PLACE_SEQUENCE], (unsigned long long)sum.stalls,
	       (unsigned long long)sum.acts, (unsigned long long)allocs);
	record_begin("explore");
	record_string("workload", run->workload->name);
	record_string("preempt", mode_names[settings.arguments.preempt_mode]);
	record_string("schedule", schedule_names[settings.arguments.schedule]);
	record_number("switches", sum.switches);
	record_number("turns", directed_switches());
	record_number("in_locks", sum.in_locks);
	record_number("in_slow_path", sum.at[PLACE_SLOW]);
	record_number("in_sequences", sum.at[PLACE_SEQUENCE]);
	record_number("stalls", sum.stalls);
	record_number("acts", sum.acts);
	record_number("allocs", allocs);
	record_number("frees", frees);
	record_end();
}

static void forget_counts(void)
{
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++) {
		struct explorer *explorer = &explorers[cpu];

		explorer->switches = explorer->in_locks = explorer->stalls = explorer->acts = 0;
		memset(explorer->at, 0, sizeof(explorer->at));
	}
}

static bool explore_workload(const struct workload *workload)
{
	struct workload_run run = {
		.workload = workload,
		.cpus = settings.cpus,
		.ops = settings.arguments.ops ? settings.arguments.ops : OPS_DEFAULT,
		.seed = settings.arguments.seed,
		.enter = enter,
		.leave = leave,
		.begin = directed() ? directed_begin : NULL,
		.end = directed() ? directed_end : NULL,
	};
	uint64_t free_before;
	bool ran;

	if (workload->needs_paging && !kernel_space_table()) {
		printf("%s: not supported: paging is off\n", workload->name);
		return true;
	}
	run.cpu = kmalloc_aligned(settings.cpus * sizeof(*run.cpu), 64);
	check(run.cpu, "explore: no memory for %u cpus' results", settings.cpus);
	free_before = leak_check_begin();
	forget_counts();
	handlers_act = !workload->exact;
	events_max = events + directed_steps() + SWITCHES_AT_LEAST +
		     run.ops * run.cpus * SWITCHES_PER_OP;
	running = &run;
	ran = workload_execute(&run);
	if (ran)
		record_workload(&run);
	else
		verdict_fail("%s: not enough memory to set it up", workload->name);
	ran = leak_check_end(workload->name, free_before) && ran;
	kfree(run.cpu);
	return ran;
}

/* Checks for leaks after each workload, and sets the verdict's digest. */
static void explore_run(void)
{
	if (settings.count_step)
		verdict_set_schedule(settings.arguments.seed, digest_of_all, directed_report);
	else
		printf("schedules cannot be repeated here: instructions are not counted (no "
		       "-icount), so there is no digest\n");
	for (unsigned i = 0; i < workload_count; i++)
		if (bootargs_set_has(settings.arguments.workload, i))
			verdict_count_test(explore_workload(&workloads[i]));
	churn_report();
	trace_write(); /* it waits for the other cpus, which get their turns by this timer */
	hart_timer_disable();
	hart_timer_disarm();
}

static const struct program explore = {
	.name = "explore",
	.help = "workloads whose harts change at instructions that seed= decides; alone",
	.owns_timers = true,
	.prepare = explore_prepare,
	.run = explore_run,
};
PROGRAM(60, explore);
