/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * directed.c - see directed.h.
 *
 * How a turn ends. QEMU with -icount goes on to the next hart when a timer of the machine runs out,
 * and passes over harts that sleep in WFI. So the hart that is to run is the only one awake. All harts
 * have their timers at `until`. Then the hart with the turn stops where it is, inside a critical
 * section too, and QEMU comes to the sleeping ones first: the first of them decides which cpu is next,
 * and that one does not go back to sleep. Nothing is sent. doze.h says how they sleep.
 *
 * Where the mode of preempt= wants short steps, the hart with the turn arms its timer for an earlier
 * time, decides itself in its handler, and sleeps; the next one wakes up at `until` (`started`).
 *
 * A hart that has lost the turn in a masked section is awake. It goes on with that section when QEMU
 * comes past it, after the turn of the next hart. When it lets interrupts in, its timer is due, and it
 * sleeps in its handler. So a section stays interrupted for one turn, and some turns after a switch
 * are long (LONG_ONE_IN).
 *
 * Waits. A cpu whose registers were found as they had been before in the same turn WAITING_TURNS times
 * waits, as far as can be seen, and so does a cpu whose interrupts were masked at the end of MASKED_TURNS
 * turns in a row. The schedule gives the turn to another cpu then. A wrong guess is one more switch.
 *
 * IPIs. A sleeping hart does not let them in: the interrupted code has not got its turn. They stay
 * pending until it has.
 *
 * `turns` is written by the hart that holds turns.busy. That is no spinlock: a hart that finds it taken
 * sleeps and looks again, because the hart that holds it may have lost its turn in QEMU's round. Each
 * cpu writes its own seat; `open` of another one's seat is written under turns.busy.
 */
#include "tests/smp/directed.h"

#include <stdio.h>
#include <string.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "kernel/boot/machine.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/ipi.h"
#include "mm/check.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/doze.h"
#include "tests/smp/random.h"
#include "tests/smp/schedule.h"
#include "tests/smp/switch_record.h"

#define NAP_TICKS_A_CPU		  256  /* until a cpu looks again, while another one is at it */
#define CHOICE_INSTRUCTIONS	  2048 /* more than schedule_next() executes */
#define CHOICE_INSTRUCTIONS_A_CPU 128
#define NANOSECONDS_A_TICK	  100
#define FIRST_TICKS                                                                                \
	4096 /* between the cpus at the first turn, so that QEMU's round begins at cpu 0 */
#define WAKE_TICKS     160   /* that a sleeping cpu takes from the turn when it looks */
#define GATHER_TICKS   16384 /* the same, before all cpus have come */
#define REST_TICKS     16384 /* from one look of a cpu that has ended to the next */
#define LONG_ONE_IN    4     /* of the turns after a switch */
#define LONG_LOG       14    /* they are up to 2^14 ticks longer */
#define WAITING_STATES 32    /* that a cpu is known to have been in, at most */
#define WAITING_TURNS  2     /* in a state that it has been in before */
#define MASKED_TURNS   64    /* a batch of frames is filled with junk in one masked section */
#define ACTS_ONE_IN    64

/* One for each cpu. */
struct seat {
	_Alignas(64) uint64_t pc;	 /* where it was interrupted last */
	uint64_t random;		 /* of its naps */
	uint64_t states[WAITING_STATES]; /* hashes of its registers when it was interrupted */
	unsigned states_count, wait_turns;
	uint32_t state; /* enum directed_seat */
	unsigned open;	/* number of the record that waits for its pc; 0: none */
	uint32_t acts;	/* it is to act in its handler */
	uint64_t early; /* it ends its turn at that time by itself; 0: it does not */
};

static struct {
	uint32_t busy;
	uint32_t current;    /* cpu_count: none */
	uint32_t members;    /* cpus that take part */
	uint32_t begun;	     /* all have come */
	uint32_t started;    /* the current cpu has been awake since it got the turn */
	uint32_t is_first;   /* no turn has been given to a cpu yet */
	uint32_t in_handler; /* it is there, and `until` is not known yet */
	uint64_t until;	     /* the end of the turn, in ticks */
	uint64_t handler_since, handler_ticks; /* it came there; how long it is there, about */
	uint64_t ticks;			       /* of the turn, from its start */
	uint64_t step, switches;
	unsigned masked_turns; /* in a row that ended without the handler of the current cpu */
} turns;

static struct seat *seats;
static struct schedule *schedule;
static struct directed_explorer explorer;

bool directed(void)
{
	return settings.arguments.schedule != BOOTARGS_SCHEDULE_SEEDS;
}

static void *memory(size_t bytes)
{
	void *found = kmalloc_aligned(bytes, 64);

	check(found, "explore: no memory for the schedule of %u cpus", port_cpu_count());
	memset(found, 0, bytes);
	return found;
}

/* In the tree where it is now: the arguments were read before it was moved. */
static const char *list_of_switches(void)
{
	struct devicetree_error error;
	const char *text = "";

	if (!settings.arguments.switches_length)
		return text;
	check(machine_bootargs(settings.tree, &text, &error) == DEVICETREE_FOUND,
	      "explore: the boot arguments are gone");
	return text + settings.arguments.switches_at;
}

void directed_prepare(const struct directed_explorer *its_explorer)
{
	const struct bootargs *arguments = &settings.arguments;
	unsigned cpus = port_cpu_count();

	explorer = *its_explorer;
	if (!directed())
		return;
	seats = memory(cpus * sizeof(*seats));
	switch_records_begin(memory(switch_records_bytes()));
	schedule = memory(schedule_bytes(cpus));
	schedule_init(schedule, arguments->schedule, arguments->seed, cpus,
		      arguments->schedule_steps, arguments->schedule_depth, list_of_switches(),
		      arguments->switches_length);
	turns.current = cpus;
}

enum directed_seat directed_seat(void)
{
	return directed() ? (enum directed_seat)seats[port_cpu()].state : DIRECTED_OUT;
}

/* ---- what the user sees ---------------------------------------------------------------------- */

static void note_switch(unsigned from, unsigned to, enum switch_why why, bool here)
{
	struct seat *seat = from < port_cpu_count() ? &seats[from] : NULL;
	unsigned number = switch_record(turns.step, from, to, why);

	turns.switches++;
	if (seat && here)
		switch_record_place(number, seat->pc);
	if (seat)
		seat->open = here ? 0 : number;
}

/* In the first handler after the switch. */
static void close_record(struct seat *seat)
{
	switch_record_place(seat->open, seat->pc);
	seat->open = 0;
}

void directed_report(bool passed)
{
	if (!directed() || (passed && !settings.arguments.trace))
		return;
	printf("schedule: cpu %u had the turn at step %llu, after %llu switches\n", turns.current,
	       (unsigned long long)turns.step, (unsigned long long)turns.switches);
	switch_records_print(turns.current, turns.step);
}

uint64_t directed_steps(void)
{
	return turns.step;
}

uint64_t directed_switches(void)
{
	return turns.switches;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static bool try_begin(void)
{
	if (!ck_pr_cas_32(&turns.busy, 0, 1))
		return false;
	ck_pr_fence_acquire();
	return true;
}

static void end(void)
{
	ck_pr_fence_release();
	ck_pr_store_32(&turns.busy, 0);
}

/* Of different lengths: equal ones fall into step, and then a cpu always looks at the wrong time. */
static uint64_t end_of_nap(unsigned cpu)
{
	uint64_t ticks = NAP_TICKS_A_CPU * port_cpu_count();

	return hart_time() + ticks / 2 + random_below(&seats[cpu].random, ticks);
}

static void begin(void)
{
	while (!try_begin()) {
		hart_timer_arm(end_of_nap(port_cpu()));
		doze();
	}
}

static bool can_go_on(unsigned cpu)
{
	return seats[cpu].state == DIRECTED_TAKES && !cpu_is_stopped(cpu);
}

/* Whether the current cpu waits, as far as can be seen. `here`: it is the one that asks. */
static bool current_waits(bool here)
{
	if (turns.current == port_cpu_count())
		return false;
	if (!here && ++turns.masked_turns >= MASKED_TURNS)
		return true;
	return seats[turns.current].wait_turns >= WAITING_TURNS;
}

static enum switch_why reason(bool waits)
{
	if (turns.current == port_cpu_count() || !can_go_on(turns.current))
		return WHY_END;
	return waits ? WHY_WAIT : WHY_SCHEDULE;
}

static void give_turn(unsigned next, bool waits, bool here)
{
	note_switch(turns.current, next, reason(waits), here);
	turns.current = next;
	turns.masked_turns = turns.in_handler = 0;
	seats[next].wait_turns = seats[next].states_count = 0;
	seats[next].early = 0;
}

/*
 * Executes instructions until there have been `wanted` since the count was `since`. So a choice takes the
 * same time with each kind of schedule, and a list of the switches of a run is the same run.
 */
static void execute_until(uint64_t since, uint64_t wanted)
{
	uint64_t done, left;

	if (!settings.count_step)
		return;
	done = (csr_read(instret) - since) / settings.count_step;
	if (done >= wanted)
		return;
	left = wanted - done;
	__asm__ volatile("	andi	t0, %0, 1\n"
			 "	bnez	t0, 1f\n"
			 "	nop\n"
			 "1:	addi	%0, %0, -2\n"
			 "	bgtz	%0, 1b\n"
			 : "+r"(left)
			 :
			 : "t0");
}

/* How often each cpu has looked while they gathered is not to decide anything from here on. */
static void begin_first_turn(void)
{
	turns.is_first = 0;
	turns.ticks += FIRST_TICKS * port_cpu_count();
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		seats[cpu].random = schedule_random(cpu, turns.step);
}

/*
 * Ends the turn and begins the next. `here`: on the cpu that has had it, in its handler; then another
 * one wakes up at `until`.
 */
static void take_step(bool here)
{
	uint64_t random = schedule_random(settings.arguments.seed, turns.step);
	unsigned current = turns.current, next;
	bool waits = current_waits(here);
	struct schedule_step step = {turns.step, current, waits, can_go_on};
	uint64_t ticks = explorer.turn_ticks(&random), since = csr_read(instret);

	explorer.count_step(turns.step);
	next = schedule_next(schedule, &step);
	execute_until(since, CHOICE_INSTRUCTIONS + CHOICE_INSTRUCTIONS_A_CPU * port_cpu_count());
	if (next != current && next < port_cpu_count()) {
		give_turn(next, waits, here);
		if (random_below(&random, LONG_ONE_IN) == 0)
			ticks += UINT64_C(1) << random_below(&random, LONG_LOG + 1);
		turns.started = hart_time() >= turns.until; /* then it is awake in this round */
	} else if (here && random_below(&random, ACTS_ONE_IN) == 0) {
		seats[current].acts = 1;
	}
	turns.step++;
	turns.ticks = ticks;
	if (turns.is_first)
		begin_first_turn();
	if (turns.started)
		turns.until = hart_time() + turns.ticks;
}

/*
 * In the handler of a cpu that takes part, or before its work. Where the current cpu is seen here, its
 * interrupted code does not run before the handler is left.
 */
static void look(unsigned cpu)
{
	struct seat *seat = &seats[cpu];
	uint64_t now = hart_time();
	bool here = turns.current == cpu;

	if (now >= turns.until && !turns.started) {
		turns.started = 1;
		turns.until = now + turns.ticks;
	} else if ((now >= turns.until && !turns.in_handler) ||
		   (here && seat->early && now >= seat->early)) {
		take_step(here);
	}
	seat->early = 0;
	if (turns.started && turns.current == cpu) {
		turns.masked_turns = 0;
		turns.in_handler = 1;
		turns.handler_since = hart_time();
	}
}

/* Whether this cpu has the turn; *wake: when it is to look again, or the end of the turn. */
static bool has_turn(unsigned cpu, uint64_t *wake)
{
	bool mine;

	*wake = end_of_nap(cpu);
	if (!try_begin())
		return false;
	if (turns.begun)
		look(cpu);
	if (!turns.begun)
		*wake = hart_time() + GATHER_TICKS;
	else if (turns.is_first)
		*wake = turns.until + FIRST_TICKS * cpu;
	else if (!turns.in_handler)
		*wake = turns.until;
	else if (hart_time() < turns.handler_since + turns.handler_ticks)
		*wake = turns.handler_since + turns.handler_ticks;
	mine = turns.begun && turns.started && turns.current == cpu;
	end();
	return mine;
}

/*
 * QEMU keeps the nanoseconds of the time at which a timer is armed: they decide which instruction is
 * the last one before it runs out. How long the boot took is not to decide that. With -icount instret is
 * this time.
 */
static void wait_for_whole_tick(void)
{
	for (unsigned i = 0; i < 100 && csr_read(instret) % NANOSECONDS_A_TICK; i++)
		continue;
}

/* With interrupts masked. The timer is not armed when it returns. */
static void sleep_until_turn(uint64_t pc)
{
	unsigned cpu = port_cpu();
	uint64_t wake;

	csr_clear(sie, SIE_SOFTWARE);
	while (!has_turn(cpu, &wake)) {
		if (!turns.begun || turns.is_first)
			wait_for_whole_tick();
		hart_timer_arm(wake);
		doze();
		panic_park(pc);
	}
	csr_set(sie, SIE_SOFTWARE);
}

/* A cpu that makes progress does not come back to a state: some register counts what it has done. */
static void note_state(struct seat *seat, const struct trap_frame *trap)
{
	uint64_t state = trap->pc;

	for (unsigned i = 1; i < 32; i++)
		state = (state ^ trap->x[i]) * UINT64_C(0x9e3779b97f4a7c15);
	for (unsigned i = 0; i < WAITING_STATES && i < seat->states_count; i++) {
		if (seat->states[i] != state)
			continue;
		seat->wait_turns++;
		break;
	}
	seat->states[seat->states_count++ % WAITING_STATES] = state;
}

/* A mean of the last ones. A handler that acts is much longer, and few are. */
static uint64_t usual_ticks(uint64_t ticks)
{
	uint64_t mean = turns.handler_ticks;

	return (3 * mean + (mean && ticks > 2 * mean ? 2 * mean : ticks)) / 4;
}

void directed_arm(uint64_t short_ticks)
{
	struct seat *seat = &seats[port_cpu()];
	uint64_t now;

	begin();
	now = hart_time() + WAKE_TICKS * port_cpu_count();
	turns.until = now + turns.ticks;
	turns.in_handler = 0;
	turns.handler_ticks = usual_ticks(now - turns.handler_since);
	seat->early = short_ticks && short_ticks < turns.ticks ? now + short_ticks : 0;
	end();
	hart_timer_arm(seat->early ? seat->early : turns.until);
}

bool directed_wait(const struct trap_frame *trap, uint64_t pc)
{
	struct seat *seat = &seats[port_cpu()];
	bool acts;

	seat->pc = pc;
	if (trap->pc == pc) /* a restartable sequence begins in the same state again */
		note_state(seat, trap);
	close_record(seat);
	sleep_until_turn(pc);
	acts = seat->acts;
	seat->acts = 0;
	return acts;
}

void directed_rest(uint64_t pc)
{
	while (ck_pr_load_32(&turns.members)) {
		hart_timer_arm(hart_time() + REST_TICKS);
		doze();
		panic_park(pc);
		ipi_handle();
	}
}

/* ---- begin and end --------------------------------------------------------------------------- */

void directed_enter(void)
{
	if (seats)
		seats[port_cpu()].state = DIRECTED_OUT;
}

void directed_begin(void)
{
	struct seat *seat = &seats[port_cpu()];
	unsigned long flags = port_irq_save();

	*seat = (struct seat){
		.pc = (uintptr_t)__builtin_return_address(0), .state = DIRECTED_TAKES, .random = 1};
	begin();
	ck_pr_store_32(&turns.members, turns.members + 1);
	if (turns.members == settings.cpus) {
		turns.begun = 1;
		turns.started = turns.is_first = 1;
		turns.current = port_cpu_count();
		turns.until = hart_time() + 2 * GATHER_TICKS; /* all know of it by then, and sleep */
	}
	end();
	sleep_until_turn(seat->pc);
	directed_arm(0);
	port_irq_restore(flags);
}

/* Others are asleep until the end of the turn at least: the step is taken by the first to wake up. */
void directed_end(void)
{
	struct seat *seat = &seats[port_cpu()];
	unsigned long flags = port_irq_save();

	begin();
	seat->pc = (uintptr_t)__builtin_return_address(0);
	close_record(seat);
	seat->state = DIRECTED_ENDED;
	ck_pr_store_32(&turns.members, turns.members - 1);
	if (!turns.members)
		turns.begun = 0;
	else if (turns.current == port_cpu())
		take_step(true);
	end();
	hart_timer_arm(hart_time() + WAKE_TICKS);
	port_irq_restore(flags);
}
