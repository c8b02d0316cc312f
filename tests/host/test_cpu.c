/*
 * test_cpu.c - stops and starts of cpus (kernel/cpu.c) where the firmware refuses, or nobody
 * answers: what no machine at hand does.
 *
 * One thread plays all cpus. Here are the firmware, which does as `play` says, the cache, which
 * only notes when it went on and off line, and a clock that a look at it moves on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/cpu.h"
#include "kernel/settings.h"
#include "kernel/shootdown.h"
#include "mm/percpu/drain.h"
#include "unit.h"

#define CPUS	   3
#define VICTIM	   1
#define HART_OF(n) (40 + (n)) /* no hart has the number of a cpu */
#define REFUSAL	   (-4L)
#define SATP	   77

struct settings settings;
struct arch_cpu *arch_self;
uint64_t played_satp;
trap_hook *trap_on_software;

static struct cpu cpus[CPUS];

static struct {
	/* How the victim and its firmware behave. */
	bool deaf;     /* kicks do not come in */
	unsigned asks; /* kicks that find it short of frames itself */
	bool sticks;   /* it never comes to the end of its drain */
	bool refuses_to_stop;
	bool stays_awake; /* gone, but the firmware never says so */
	enum hart_start_result start;
	bool comes_back; /* after a start that was accepted */
	/* What happened. */
	unsigned kicks, kicks_taken, answers, returns;
	unsigned offline, online; /* how often */
	uint64_t relaxed;
	uint32_t *course, course_left;
	bool stopped; /* as the firmware says */
	bool flushed; /* it takes part in flushes */
} play;

static jmp_buf away; /* the victim stands still for good, and whoever kicked it goes on */
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
	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i].arch.number = i;
		cpus[i].arch.hart_id = HART_OF(i);
	}
	play.comes_back = true;
	play.flushed = true;
	played_satp = SATP;
	arch_self = &cpus[0].arch;
	settings.cpus = CPUS;
	settings.timebase = 10000;
	cpu_on_return = note_return;
}

/* Nobody panics here. */
void panic_park(uint64_t pc)
{
	(void)pc;
}

/* ---- the port and the cache ---------------------------------------------------------------- */

unsigned port_cpu_count(void)
{
	return CPUS;
}

void *port_area_of(unsigned cpu)
{
	return &cpus[cpu];
}

bool port_in_trap(void)
{
	return false;
}

unsigned long port_irq_save(void)
{
	return 0;
}

void port_irq_restore(unsigned long flags)
{
	(void)flags;
}

/* Who waits is alone here: far beyond any patience nobody will end it. */
void port_relax(void)
{
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

void frame_drain_answer(void)
{
	play.answers += arch_self == &cpus[0].arch;
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
	play.course_left = cpus[VICTIM].course;
	if (play.sticks)
		longjmp(away, 1);
}

/* Flushed by nobody: so it must walk and cache nothing, and walks again only when it is asked again. */
void shootdown_offline(void)
{
	CHECK_EQ(played_satp, MMU_OFF);
	CHECK(play.flushed);
	play.flushed = false;
}

void shootdown_online(void)
{
	CHECK_EQ(port_cpu(), VICTIM);
	CHECK_EQ(played_satp, MMU_OFF);
	play.flushed = true;
}

void shootdown_answer(void)
{
	CHECK(play.flushed);
}

void frame_cache_online(void)
{
	CHECK_EQ(port_cpu(), VICTIM);
	CHECK_EQ(played_satp, SATP);
	play.online++;
}

/* ---- the firmware ---------------------------------------------------------------------------- */

uint64_t hart_time(void)
{
	return now++;
}

void hart_kick(uint64_t hart_id)
{
	CHECK_EQ(hart_id, HART_OF(VICTIM));
	play.kicks++;
	if (play.deaf || play.stopped ||
	    play.offline > play.online) /* it is in its handler, or away */
		return;
	play.kicks_taken++;
	arch_self = &cpus[VICTIM].arch;
	if (!setjmp(away))
		cpu_take_kick();
	if (cpus[VICTIM].staying)
		cpu_may_stop(); /* it goes on, and has no need to stay */
	arch_self = &cpus[0].arch;
}

void hart_kick_clear(void)
{
}

void hart_kicks_enable(void)
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
	play.course = word;
	if (play.refuses_to_stop)
		return REFUSAL;
	play.stopped = !play.stays_awake;
	played_satp = 0;
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
		played_satp = SATP;
		play.online++;
		*play.course = 0; /* runs, as at first */
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

/* Who was asked in vain does not stop later, when nobody waits for that any more. */
TEST(a_cpu_that_does_not_answer_is_asked_no_longer)
{
	begin();
	play.deaf = true;
	CHECK_EQ(cpu_stop(VICTIM), CPU_LOST);
	CHECK(play.kicks > 1);
	CHECK(play.answers > 0);
	play.deaf = false;
	hart_kick(HART_OF(VICTIM));
	CHECK_EQ(play.kicks_taken, 1);
	CHECK_EQ(play.offline, 0);
	expect_stop_and_start();
}

/* It follows what it was asked for as soon as it can, and is kicked until then. */
TEST(a_cpu_that_is_short_of_frames_stops_after_that)
{
	begin();
	play.asks = 5;
	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	CHECK_EQ(play.kicks_taken, 6);
}

/* Who stays twice, in the middle of something that others wait for, must say twice that it is over. */
TEST(a_cpu_that_stays_stops_after_that)
{
	begin();
	arch_self = &cpus[VICTIM].arch;
	cpu_stay();
	cpu_stay();
	arch_self = &cpus[0].arch;
	CHECK_EQ(cpu_stop(VICTIM), CPU_DONE);
	CHECK_EQ(play.kicks_taken, 3);
	CHECK_EQ(cpus[VICTIM].staying, 0);
}

/*
 * One that has begun to leave is off line whatever the stopper's patience: it is not said to run.
 */
TEST(a_cpu_that_sticks_on_its_way_is_lost)
{
	begin();
	play.sticks = true;
	CHECK_EQ(cpu_stop(VICTIM), CPU_LOST);
	CHECK_EQ(cpus[VICTIM].course, play.course_left);
	CHECK_EQ(play.kicks_taken, 1);
	CHECK_EQ(cpu_stop(VICTIM), CPU_ALREADY);
	CHECK_EQ(cpu_start(VICTIM), CPU_ALREADY);
}

/* Its own word is not enough: it may still be on its way into the firmware. */
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
