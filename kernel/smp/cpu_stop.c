/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu_stop.c - stops cpus and starts them again: cpu_stop() and cpu_start() of cpu.h.
 *
 * Both go over `state` of the cpu that is stopped or started:
 *
 *	RUNNING -> STOP_REQUESTED	the stopper, before its IPI
 *	STOP_REQUESTED -> STOPPING	the cpu, in the IPI's handler, by compare-and-swap; or
 *	STOP_REQUESTED -> RUNNING	the stopper, likewise, after WAIT_SECONDS_MAX
 *	STOPPING -> STOPPED		the cpu: the cache is empty and off line, the context saved
 *	STOPPED, STOPPING -> RUNNING	the cpu: back on line; or it never went, with stop_error
 *
 * The handler of an IPI is a good place to stop: interrupts are let in, so no zone's lock and not
 * the heap's is held, and what the cache has in flight the drain gives back. A cpu that holds a
 * lock which is held with interrupts let in is not stopped before it has released it
 * (cpu_pin_online). The stopper waits with interrupts let in: it answers drains meanwhile, those of
 * the cpu it waits for among them. It cannot be stopped itself, as stoppers take turns.
 *
 * An IPI to a cpu that is stopped or stopping is lost, and need not be sent again: when
 * the cpu is back, the loop that waits for work looks once more (cpu_work.c), frame_cache_online()
 * looks for requests for frames, and shootdown_online() for flushes.
 *
 * Fences. (a) STOP_REQUESTED before the IPI: `fence rw, ow` in hart_ipi_send, pairs with
 * `fence ior, rw` in hart_ipi_clear before the look at state. (b) The given-back frames and the
 * context before STOPPED: `fence iorw, ow` in hart_stop_here, pairs with the acquire fence at the
 * end of cpu_stop. (c) What the starter wrote before the start: the fence in hart_start, pairs with
 * the swap.aqrl at secondary_entry. (d) Back on line before RUNNING: the release fence in leave,
 * pairs with the acquire fences of cpu_start and cpu_stop. (e) One turn before the next: release
 * and acquire fences around `turn`.
 */
#include <port.h>

#include "arch/riscv/mmu.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/shootdown.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "sync/trace.h"

/* A cpu that waits in a handler, for others that wait, can be slow to answer. */
#define WAIT_SECONDS_MAX 60

enum state { STATE_RUNNING, STATE_STOP_REQUESTED, STATE_STOPPING, STATE_STOPPED };

void (*cpu_on_return)(void);
static uint32_t turn; /* 1: a cpu stops or starts another */

/* ---- the cpu that stops ---------------------------------------------------------------------- */

static void leave(struct cpu *self)
{
	uint64_t satp = mmu_used(), begun = trace_begin();

	frame_cache_offline();
	mmu_use(MMU_OFF); /* no cpu flushes it from here on: it caches and walks nothing */
	shootdown_offline();
	self->stop_error = hart_stop_here(&self->state, STATE_STOPPED);
	shootdown_online();
	mmu_use(satp);
	frame_cache_online();
	if (cpu_on_return)
		cpu_on_return();
	trace_end(TRACE_AWAY, begun, 0, 0);
	ck_pr_fence_release(); /* (d) */
	ck_pr_store_32(&self->state, STATE_RUNNING);
}

/* A cpu that is short of frames holds up all caches: it stops after that, at another IPI. */
void cpu_stop_if_asked(void)
{
	struct cpu *self = cpu_self();

	if (ck_pr_load_32(&self->state) == STATE_STOP_REQUESTED && /* (a) */
	    !ck_pr_load_32(&self->online_pins) && !frame_drain_is_asking() &&
	    ck_pr_cas_32(&self->state, STATE_STOP_REQUESTED, STATE_STOPPING))
		leave(self);
}

/* ---- the cpu that stops or starts it --------------------------------------------------------- */

bool cpu_is_stopped(unsigned number)
{
	return ck_pr_load_32(&cpu_of(number)->state) == STATE_STOPPED;
}

/* No queue: a cpu that waits here may be stopped. */
static void turn_begin(void)
{
	cpu_check_may_wait("stops or starts another");
	while (!ck_pr_cas_32(&turn, 0, 1)) {
		frame_drain_answer();
		port_relax();
	}
	ck_pr_fence_acquire(); /* (e) */
}

static void turn_end(void)
{
	ck_pr_fence_release(); /* (e) */
	ck_pr_store_32(&turn, 0);
}

static bool wait_timed_out(uint64_t since)
{
	return hart_time() - since > WAIT_SECONDS_MAX * settings.timebase;
}

static void ask_to_stop(unsigned number)
{
	port_ipi_send(number & ~63u, UINT64_C(1) << number % 64); /* (a) */
}

/* A cpu that could not stop at the first IPI gets another every millisecond. */
static uint64_t ask_again(unsigned number, uint64_t asked)
{
	uint64_t now = hart_time();

	if (now - asked < settings.timebase / 1000)
		return asked;
	ask_to_stop(number);
	return now;
}

static enum cpu_result wait_until_stopped(struct cpu *cpu)
{
	uint64_t since = hart_time(), asked = since;

	for (;;) {
		uint32_t state = ck_pr_load_32(&cpu->state);

		if (state == STATE_RUNNING)
			return CPU_REFUSED;
		if (state == STATE_STOPPED && hart_is_stopped(cpu->arch.hart_id))
			return CPU_DONE;
		if (wait_timed_out(since)) {
			ck_pr_cas_32(&cpu->state, STATE_STOP_REQUESTED, STATE_RUNNING);
			return CPU_LOST;
		}
		if (state == STATE_STOP_REQUESTED)
			asked = ask_again(cpu->arch.number, asked);
		frame_drain_answer();
		port_relax();
	}
}

enum cpu_result cpu_stop(unsigned number)
{
	enum cpu_result result = CPU_ALREADY;
	uint64_t begun = trace_begin();
	struct cpu *cpu;

	if (number >= settings.cpus)
		return CPU_ABSENT;
	if (number == port_cpu())
		return CPU_ITSELF;
	cpu = cpu_of(number);
	turn_begin();
	if (ck_pr_load_32(&cpu->state) == STATE_RUNNING) {
		ck_pr_store_32(&cpu->state, STATE_STOP_REQUESTED);
		ask_to_stop(number);
		result = wait_until_stopped(cpu);
	}
	ck_pr_fence_acquire(); /* (b), (d) */
	turn_end();
	trace_end(TRACE_CPU_STOP, begun, number, result);
	return result;
}

static enum cpu_result wait_until_back(struct cpu *cpu)
{
	uint64_t since = hart_time();

	while (ck_pr_load_32(&cpu->state) != STATE_RUNNING) {
		if (wait_timed_out(since))
			return CPU_LOST;
		frame_drain_answer();
		port_relax();
	}
	return CPU_DONE;
}

static enum cpu_result bring_back(struct cpu *cpu)
{
	long error;

	switch (hart_start(cpu->arch.hart_id, cpu->arrival, &cpu->arch,
			   WAIT_SECONDS_MAX * settings.timebase, &error)) {
	case HART_START_OK:
		return wait_until_back(cpu);
	case HART_START_REFUSED:
		return CPU_REFUSED;
	default:
		return CPU_LOST;
	}
}

enum cpu_result cpu_start(unsigned number)
{
	enum cpu_result result = CPU_ALREADY;
	uint64_t begun = trace_begin();

	if (number >= settings.cpus)
		return CPU_ABSENT;
	if (number == port_cpu())
		return CPU_ITSELF;
	turn_begin();
	if (cpu_is_stopped(number))
		result = bring_back(cpu_of(number));
	ck_pr_fence_acquire(); /* (d) */
	turn_end();
	trace_end(TRACE_CPU_START, begun, number, result);
	return result;
}

const char *cpu_result_text(enum cpu_result result)
{
	static const char *const texts[] = {
		[CPU_DONE] = "done",
		[CPU_ALREADY] = "it is so already",
		[CPU_ABSENT] = "there is no such cpu",
		[CPU_ITSELF] = "a cpu cannot do that to itself",
		[CPU_REFUSED] = "the firmware refused",
		[CPU_LOST] = "it did not answer",
	};

	return texts[result];
}
