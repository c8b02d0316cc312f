/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: cpu */
/*
 * test_cpu.c - stops and starts of cpus (kernel/smp/cpu_stop.c) where the firmware refuses, or a
 * cpu does not answer: no machine that we have does that. And IPIs: how many calls into the
 * firmware they take on machines of up to 130 harts with any hart ids, which harts they reach where
 * the firmware refuses a mask, and what their handler does in which order.
 *
 * One thread simulates all cpus. Simulated here are the firmware, which does as `play` says; the
 * cache, which only notes when it went on and off line; and a clock that each read moves on.
 *
 * Covers: kernel/smp/cpu*.c kernel/smp/ipi.c kernel/smp/hart_mask.h
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/ipi.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "mm/percpu/drain.h"
#include "sync/counter_start.h"
#include "unit.h"

#define CPUS	   3 /* of the tests of stops */
#define CPUS_MAX   130
#define VICTIM	   1
#define HART_OF(n) (40 + (n)) /* no hart has the number of a cpu */
#define REFUSAL	   (-4L)
#define SATP	   77

struct settings settings;
uint32_t counters_left = COUNTER_LEFT;
struct arch_cpu *arch_self;
uint64_t sim_satp;
trap_hook *trap_on_software;

static struct cpu cpus[CPUS_MAX];
static bool irqs_masked;
bool (*trap_on_page_fault)(void);

static struct {
	/* How the victim and its firmware behave. */
	bool deaf;     /* IPIs do not come in */
	unsigned asks; /* IPIs that find it short of frames itself */
	bool sticks;   /* it never comes to the end of its drain */
	bool refuses_to_stop;
	bool stays_awake; /* gone, but the firmware never says so */
	enum hart_start_result start;
	bool comes_back; /* after a start that was accepted */
	/* What happened. */
	unsigned IPIs, ipis_taken, answers, returns;
	unsigned offline, online; /* how often */
	uint64_t relaxed;
	uint32_t *state, state_left;
	bool stopped; /* as the firmware says */
	bool flushed; /* it takes part in flushes */
} play;

/* Many cpus that take IPIs; none: the tests of stops. */
static struct {
	unsigned cpus;
	bool refuses; /* the firmware, a mask that names a stopped hart */
	bool late;    /* what an IPI is for is done where the sender waits */
	bool stopped[CPUS_MAX];
	unsigned calls, got[CPUS_MAX];
} crowd;

/* The steps of a drain that are left, and what the handler of an IPI did. */
static struct {
	unsigned left, done, windows;
	void (*in_window)(void);
} steps;

static jmp_buf away; /* the victim stops for good, and the cpu that sent the IPI goes on */
static uint64_t now;

static void note_return(void)
{
	play.returns++;
	CHECK_EQ(play.online, play.offline);
}

static void begin(void)
{
	memset(cpus, 0, sizeof(cpus));
	memset(&play, 0, sizeof(play));
	memset(&crowd, 0, sizeof(crowd));
	memset(&steps, 0, sizeof(steps));
	irqs_masked = false;
	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i].arch.number = i;
		cpus[i].arch.hart_id = HART_OF(i);
		cpus[i].work_number = cpus[i].done_number = COUNTER_START_32;
	}
	play.comes_back = true;
	play.flushed = true;
	arch_self = &cpus[VICTIM].arch;
	sim_satp = MMU_OFF; /* as it is when a cpu comes on line */
	cpus_init();
	sim_satp = SATP;
	arch_self = &cpus[0].arch;
	settings.cpus = CPUS;
	settings.timebase = 10000;
	cpu_on_return = note_return;
}

/* ---- the port and the cache ---------------------------------------------------------------- */

unsigned port_cpu_count(void)
{
	return settings.cpus;
}

void *port_area_of(unsigned cpu)
{
	return &cpus[cpu];
}

bool port_in_trap(void)
{
	return arch_self->trap_depth > 0;
}

bool hart_irqs_are_masked(void)
{
	return irqs_masked;
}

unsigned long port_irq_save(void)
{
	return 0;
}

void port_irq_restore(unsigned long flags)
{
	(void)flags;
}

/* A waiter is alone here. Long after any time limit no other cpu can end the wait. */
static void serve(unsigned number);

void port_relax(void)
{
	for (unsigned cpu = 1; crowd.late && cpu < crowd.cpus; cpu++)
		serve(cpu);
	CHECK(play.relaxed++ < 10 * 60 * settings.timebase);
}

void port_panic(const char *format, ...)
{
	char message[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	unit_panicked(message);
}

bool frame_drain_answer(void)
{
	play.answers += arch_self == &cpus[0].arch;
	steps.done++;
	return steps.left > 0 && --steps.left > 0;
}

/* Only the outermost handler may let others in. */
void trap_window(void)
{
	CHECK_EQ(arch_self->trap_depth, 1);
	steps.windows++;
	if (steps.in_window)
		steps.in_window();
}

bool frame_drain_is_asking(void)
{
	return play.asks > 0 && play.asks--;
}

void frame_cache_offline(void)
{
	CHECK_EQ(port_cpu(), VICTIM);
	CHECK_EQ(play.online, play.offline);
	play.offline++;
	play.state_left = cpus[VICTIM].state;
	if (play.sticks)
		longjmp(away, 1);
}

/*
 * No other cpu flushes this one any more: so it must walk and cache nothing, and walks again only
 * when it is asked again.
 */
void shootdown_offline(void)
{
	CHECK_EQ(sim_satp, MMU_OFF);
	CHECK(play.flushed);
	play.flushed = false;
}

void shootdown_online(void)
{
	CHECK_EQ(port_cpu(), VICTIM);
	CHECK_EQ(sim_satp, MMU_OFF);
	play.flushed = true;
}

void shootdown_answer(void)
{
	CHECK(play.flushed);
}

void frame_cache_online(void)
{
	CHECK_EQ(port_cpu(), VICTIM);
	CHECK_EQ(sim_satp, SATP);
	play.online++;
}

/* ---- the firmware ---------------------------------------------------------------------------- */

uint64_t hart_time(void)
{
	return now++;
}

static unsigned cpu_with(uint64_t hart_id)
{
	for (unsigned cpu = 0; cpu < crowd.cpus; cpu++)
		if (cpus[cpu].arch.hart_id == hart_id)
			return cpu;
	unit_fail(__FILE__, __LINE__, "an IPI to hart %llu, which is not there",
		  (unsigned long long)hart_id);
}

static bool names_a_stopped_one(uint64_t base, uint64_t mask)
{
	for (uint64_t i = 0; i < 64; i++)
		if (mask >> i & 1 && crowd.stopped[cpu_with(base + i)])
			return true;
	return false;
}

/* As cpu_serve() does when it wakes up. */
static void serve(unsigned number)
{
	struct arch_cpu *before = arch_self;
	struct cpu *cpu = &cpus[number];

	crowd.got[number]++;
	if (cpu->work_number == cpu->done_number)
		return;
	arch_self = &cpu->arch;
	cpu->work(cpu->argument);
	cpu->done_number = cpu->work_number;
	arch_self = before;
}

static bool interrupt_crowd(uint64_t base, uint64_t mask)
{
	bool with_stopped = names_a_stopped_one(base, mask);

	CHECK(mask != 0);
	crowd.calls++;
	if (with_stopped && crowd.refuses)
		return false;
	for (uint64_t i = 0; i < 64; i++)
		if (mask >> i & 1 && !crowd.stopped[cpu_with(base + i)] && !crowd.late)
			serve(cpu_with(base + i));
	return true;
}

bool hart_ipi_send(uint64_t base, uint64_t mask)
{
	if (crowd.cpus)
		return interrupt_crowd(base, mask);
	CHECK_EQ(base, HART_OF(VICTIM));
	CHECK_EQ(mask, 1);
	play.IPIs++;
	if (play.deaf || play.stopped ||
	    play.offline > play.online) /* it is in its handler, or away */
		return true;
	play.ipis_taken++;
	arch_self = &cpus[VICTIM].arch;
	if (!setjmp(away)) {
		cpus[VICTIM].arch.trap_depth = 1;
		ipi_handle();
	}
	cpus[VICTIM].arch.trap_depth = 0;
	if (cpus[VICTIM].online_pins)
		cpu_unpin(); /* it goes on, and has no need to stay */
	arch_self = &cpus[0].arch;
	return true;
}

void hart_ipi_clear(void)
{
}

void hart_ipi_enable(void)
{
}

void hart_sleep(struct hart_arrival *arrival)
{
	(void)arrival;
}

long hart_stop_here(uint32_t *word, uint32_t said)
{
	CHECK_EQ(play.offline, play.online + 1);
	*word = said;
	play.state = word;
	if (play.refuses_to_stop)
		return REFUSAL;
	play.stopped = !play.stays_awake;
	sim_satp = 0;
	longjmp(away, 1);
}

bool hart_is_stopped(uint64_t hart_id)
{
	CHECK_EQ(hart_id, HART_OF(VICTIM));
	return play.stopped;
}

enum hart_start_result hart_start(uint64_t hart_id, struct hart_arrival *arrival,
				  struct arch_cpu *block, uint64_t bound_ticks, long *error)
{
	CHECK_EQ(hart_id, HART_OF(VICTIM));
	CHECK(arrival == cpus[VICTIM].arrival && block == &cpus[VICTIM].arch && bound_ticks > 0);
	*error = play.start == HART_START_REFUSED ? REFUSAL : 0;
	if (play.start != HART_START_OK)
		return play.start;
	play.stopped = false;
	if (play.comes_back) {
		play.flushed = true;
		sim_satp = SATP;
		play.online++;
		*play.state = 0; /* runs, as at first */
	}
	return HART_START_OK;
}

/* ---- stops ----------------------------------------------------------------------------------- */

static void expect_stop_and_start(void)
{
	unsigned stops = play.offline;

	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	CHECK(cpu_is_stopped(VICTIM));
	CHECK_EQ(play.offline, stops + 1);
	CHECK_EQ(cpu_stop(VICTIM), CPU_ALREADY);
	CHECK_EQ(cpu_start(VICTIM), CPU_DONE);
	CHECK(!cpu_is_stopped(VICTIM));
	CHECK_EQ(cpu_start(VICTIM), CPU_ALREADY);
}

TEST(a_cpu_stops_and_starts)
{
	begin();
	expect_stop_and_start();
	CHECK_EQ(play.IPIs, 1); /* at once, and none after it has answered */
	expect_stop_and_start();
}

/* It is back on line when the stopper hears of it, and can be asked again. */
TEST(a_stop_that_the_firmware_refuses)
{
	begin();
	play.refuses_to_stop = true;
	for (unsigned i = 1; i < 4; i++) {
		CHECK_EQ(cpu_stop(VICTIM), CPU_REFUSED);
		CHECK(!cpu_is_stopped(VICTIM));
		CHECK_EQ(cpus[VICTIM].stop_error, REFUSAL);
		CHECK_EQ(play.offline, i);
		CHECK_EQ(play.online, i);
		CHECK_EQ(play.returns, i);
	}
	play.refuses_to_stop = false;
	expect_stop_and_start();
}

/*
 * A cpu that did not answer a request to stop does not stop later, when no cpu waits for it any
 * more.
 */
TEST(a_cpu_that_does_not_answer_is_asked_no_longer)
{
	begin();
	play.deaf = true;
	CHECK_EQ(cpu_stop(VICTIM), CPU_LOST);
	CHECK(play.IPIs > 1);
	CHECK(play.answers > 0);
	play.deaf = false;
	CHECK(hart_ipi_send(HART_OF(VICTIM), 1));
	CHECK_EQ(play.ipis_taken, 1);
	CHECK_EQ(play.offline, 0);
	expect_stop_and_start();
}

/* It does what it was asked for as soon as it can, and gets IPIs until then. */
TEST(a_cpu_that_is_short_of_frames_stops_after_that)
{
	begin();
	play.asks = 5;
	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	CHECK_EQ(play.ipis_taken, 6);
}

/* A cpu that has pinned itself on line twice must unpin twice before it stops. */
TEST(a_cpu_that_stays_stops_after_that)
{
	begin();
	arch_self = &cpus[VICTIM].arch;
	cpu_pin_online();
	cpu_pin_online();
	arch_self = &cpus[0].arch;
	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	CHECK_EQ(play.ipis_taken, 3);
	CHECK_EQ(cpus[VICTIM].online_pins, 0);
}

/*
 * A cpu that has begun to stop is off line however long the stopper waits: it is not reported as
 * running.
 */
TEST(a_cpu_that_sticks_on_its_way_is_lost)
{
	begin();
	play.sticks = true;
	CHECK_EQ(cpu_stop(VICTIM), CPU_LOST);
	CHECK_EQ(cpus[VICTIM].state, play.state_left);
	CHECK_EQ(play.ipis_taken, 1);
	CHECK_EQ(cpu_stop(VICTIM), CPU_ALREADY);
	CHECK_EQ(cpu_start(VICTIM), CPU_ALREADY);
}

/* What the cpu stores itself is not enough: it may not have reached the firmware yet. */
TEST(a_cpu_is_gone_when_the_firmware_says_so)
{
	begin();
	play.stays_awake = true;
	CHECK_EQ(cpu_stop(VICTIM), CPU_LOST);
	CHECK(cpu_is_stopped(VICTIM));
	play.stopped = true;
	CHECK_EQ(cpu_start(VICTIM), CPU_DONE);
}

/* ---- starts ---------------------------------------------------------------------------------- */

TEST(a_start_that_the_firmware_refuses_or_loses)
{
	begin();
	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	play.start = HART_START_REFUSED;
	CHECK_EQ(cpu_start(VICTIM), CPU_REFUSED);
	CHECK(cpu_is_stopped(VICTIM));
	play.start = HART_START_LOST;
	CHECK_EQ(cpu_start(VICTIM), CPU_LOST);
	CHECK(cpu_is_stopped(VICTIM));
	play.start = HART_START_OK;
	CHECK_EQ(cpu_start(VICTIM), CPU_DONE);
	expect_stop_and_start();
}

TEST(a_cpu_that_comes_and_does_not_get_back_on_line)
{
	begin();
	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	play.comes_back = false;
	CHECK_EQ(cpu_start(VICTIM), CPU_LOST);
	CHECK(play.answers > 0);
}

TEST(every_result_has_a_text)
{
	for (unsigned i = CPU_DONE; i <= CPU_LOST; i++)
		for (unsigned j = CPU_DONE; j < i; j++)
			CHECK(strcmp(cpu_result_text((enum cpu_result)i),
				     cpu_result_text((enum cpu_result)j)));
}

/* ---- callers that could not answer ----------------------------------------------------------- */

static void do_nothing(void *unused)
{
	(void)unused;
}

TEST(a_wait_for_others_is_refused_where_interrupts_are_masked)
{
	begin();
	irqs_masked = true;
	EXPECT_PANIC(cpu_stop(VICTIM), "cpu 0 stops or starts another with its interrupts masked");
	EXPECT_PANIC(cpu_start(VICTIM), "cpu 0 stops or starts another with its interrupts masked");
	EXPECT_PANIC(cpus_run(do_nothing, NULL, 2),
		     "cpu 0 runs work on others with its interrupts");
	cpus[0].arch.trap_depth = 1;
	EXPECT_PANIC(cpu_stop(VICTIM), "cpu 0 stops or starts another in a trap handler");
	EXPECT_PANIC(cpus_run(do_nothing, NULL, 2), "cpu 0 runs work on others in a trap handler");
	CHECK_EQ(play.IPIs, 0);
}

/* ---- IPIs to many ---------------------------------------------------------------------------- */

/* Hart ids in a row from `first` on, but the boot hart's is the id of the cpu `boot`. */
static void begin_crowd(unsigned count, uint64_t first, uint64_t step, unsigned boot)
{
	begin();
	crowd.cpus = settings.cpus = count;
	for (unsigned cpu = 0; cpu < count; cpu++) {
		unsigned place = cpu == 0 ? boot : cpu <= boot ? cpu - 1 : cpu;

		cpus[cpu].arch.number = cpu;
		cpus[cpu].arch.hart_id = first + step * place;
		cpus[cpu].work_number = cpus[cpu].done_number = COUNTER_START_32;
	}
}

static void expect_got(unsigned cpu, unsigned count)
{
	if (crowd.got[cpu] != count)
		unit_fail(__FILE__, __LINE__, "cpu %u (hart %llu) got %u IPIs, expected %u", cpu,
			  (unsigned long long)cpus[cpu].arch.hart_id, crowd.got[cpu], count);
}

TEST(one_call_for_64_harts_in_a_row)
{
	for (uint64_t first = 0; first < 200; first++) {
		begin_crowd(64, first, 1, (unsigned)first % 64);
		port_ipi_send(0, UINT64_MAX);
		CHECK_EQ(crowd.calls, 1);
		for (unsigned cpu = 0; cpu < 64; cpu++)
			expect_got(cpu, 1);
	}
	port_ipi_send(0, 0);
	CHECK_EQ(crowd.calls, 1);
}

TEST(one_call_for_each_window_of_sparse_harts)
{
	begin_crowd(64, 7, 64, 0);
	port_ipi_send(0, UINT64_MAX);
	CHECK_EQ(crowd.calls, 64);
	begin_crowd(64, 7, 32, 0); /* two in a window */
	port_ipi_send(0, UINT64_MAX);
	CHECK_EQ(crowd.calls, 32);
	begin_crowd(64, UINT64_MAX - 63, 1, 0); /* the last there are */
	port_ipi_send(0, UINT64_MAX);
	CHECK_EQ(crowd.calls, 1);
}

static void count_work(void *argument)
{
	++*(unsigned *)argument;
	CHECK(port_cpu() < crowd.cpus);
}

/*
 * Wherever the boot hart is among them. It is cpu 0: where its id is one of the second 64, those of
 * cpus 64 to 127 are 64 in a row of 65, and take a call more.
 */
TEST(three_calls_for_130_harts_in_a_row)
{
	for (unsigned boot = 0; boot < 130; boot++) {
		unsigned worked = 0, calls = 3 + (boot >= 64 && boot < 127);

		begin_crowd(130, 0, 1, boot);
		cpus_run(count_work, &worked, 130);
		CHECK_EQ(crowd.calls, calls);
		CHECK_EQ(worked, 130);
		for (unsigned cpu = 1; cpu < 130; cpu++)
			expect_got(cpu, 1);
		cpus_run(count_work, &worked, 66);
		CHECK_EQ(crowd.calls, calls + 2);
		CHECK_EQ(worked, 196);
		cpus_run(count_work, &worked, 1);
		CHECK_EQ(crowd.calls, calls + 2);
	}
}

/* Among them the runs in which the numbers of works wrap. */
TEST(work_is_waited_for)
{
	unsigned worked = 0;

	begin_crowd(130, 0, 1, 0);
	crowd.late = true;
	for (unsigned run = 1; run <= 2 * COUNTER_LEFT + 1; run++) {
		cpus_run(count_work, &worked, 130);
		CHECK_EQ(worked, run * 130);
	}
}

static unsigned windows_of(unsigned first, uint64_t set)
{
	unsigned windows = 0;

	while (set) {
		uint64_t lowest = UINT64_MAX, left = 0;

		for (unsigned i = 0; i < 64; i++)
			if (set >> i & 1 && cpus[first + i].arch.hart_id < lowest)
				lowest = cpus[first + i].arch.hart_id;
		for (unsigned i = 0; i < 64; i++)
			if (set >> i & 1 && cpus[first + i].arch.hart_id - lowest >= 64)
				left |= UINT64_C(1) << i;
		set = left;
		windows++;
	}
	return windows;
}

/* Exactly those of the set, in as few calls as their hart ids allow. */
TEST(any_set_of_any_harts)
{
	for (unsigned round = 0; round < 300; round++) {
		unsigned first = (unsigned)(unit_random() % 3) * 64;
		uint64_t set = unit_random() & unit_random();
		uint64_t id = unit_random() % 100, most = 1 + unit_random() % 90;

		begin_crowd(CPUS_MAX, 0, 1, 0);
		for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
			cpus[(cpu * 37 + round) % CPUS_MAX].arch.hart_id = id += 1 + unit_random() %
											     most;
		if (first == 128)
			set &= 3;
		port_ipi_send(first, set);
		for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
			expect_got(cpu, cpu - first < 64 && set >> (cpu - first) & 1);
		CHECK_EQ(crowd.calls, windows_of(first, set));
	}
}

/* A stopped hart in a mask takes the IPI from no other, with firmware of either kind. */
TEST(a_stopped_hart_keeps_no_ipi_from_others)
{
	for (unsigned round = 0; round < 128; round++) {
		begin_crowd(64, 100, 1, 0);
		crowd.refuses = round % 2;
		crowd.stopped[round / 2] = crowd.stopped[63 - round / 4] = true;
		port_ipi_send(0, UINT64_MAX);
		for (unsigned cpu = 0; cpu < 64; cpu++)
			expect_got(cpu, !crowd.stopped[cpu]);
		CHECK_EQ(crowd.calls, crowd.refuses ? 65 : 1);
	}
}

/* ---- the handler ----------------------------------------------------------------------------- */

static void take_ipi_at(unsigned depth)
{
	struct trap_frame trap = {.pc = 0};
	unsigned before = arch_self->trap_depth;

	arch_self->trap_depth = depth;
	trap_on_software(&trap);
	arch_self->trap_depth = before;
}

static void begin_handler(unsigned left)
{
	begin();
	arch_self = &cpus[VICTIM].arch;
	steps.left = left;
}

/* Others may come in between two steps, and only there. */
TEST(a_long_drain_lets_interrupts_in_between_its_steps)
{
	for (unsigned left = 0; left < 6; left++) {
		begin_handler(left);
		take_ipi_at(1);
		CHECK_EQ(steps.left, 0);
		CHECK_EQ(steps.done, left ? left : 1);
		CHECK_EQ(steps.windows, left ? left - 1 : 0);
	}
}

static void take_another(void)
{
	unsigned done = steps.done;

	take_ipi_at(2);
	CHECK_EQ(steps.done, done + 1);
}

/* A handler that comes in there does one step, and the interrupted handler does the rest. */
TEST(a_nested_handler_does_one_step)
{
	begin_handler(10);
	steps.in_window = take_another;
	take_ipi_at(1);
	CHECK_EQ(steps.left, 0);
	CHECK(steps.windows >= 4);
}

/* A request that comes while it lets interrupts in is served before it returns. */
static void ask_for_more(void)
{
	if (steps.windows == 1)
		steps.left = 7;
	take_another();
}

TEST(a_request_in_the_middle_of_a_drain_is_answered)
{
	begin_handler(2);
	steps.in_window = ask_for_more;
	take_ipi_at(1);
	CHECK_EQ(steps.left, 0);
}

/* For handlers that are no place to let others in. */
TEST(an_ipi_that_another_handler_takes_is_done_at_once)
{
	for (unsigned depth = 1; depth < 3; depth++) {
		begin_handler(5);
		arch_self->trap_depth = depth;
		ipi_handle();
		CHECK_EQ(steps.left, 0);
		CHECK_EQ(steps.windows, 0);
	}
}
