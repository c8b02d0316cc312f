/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.c - see cpu.h.
 *
 * An IPI ("kick") is an interrupt like any other: its handler clears it, stops the cpu where that is
 * asked, flushes translations for the cpus that ask for it, and gives frames back to a cpu that is
 * short of them. That last part may be long, so it goes in bounded steps, and the handler lets
 * pending interrupts in between two of them; the interrupted code does not go on before the last. An
 * IPI that comes in there is handled one deeper. That handler does one step and leaves the rest to
 * the one that it has interrupted, so handlers are never more than two deep.
 * A cpu that waits for work masks interrupts before it looks for some: then an IPI that comes
 * after the look is still pending when it goes to sleep (hart_sleep), ends that, and is taken once
 * they are let in again.
 *
 * Hand-over of work: cpu 0 writes work and argument, then (release) work_number, then sends the IPI.
 * The cpu reads work_number (acquire), and sleeps only if it is the old one. Back: the cpu writes
 * done_number (release), cpu 0 reads it (acquire). An IPI that meets the cpu stopped, or on its way
 * there, is lost, and need not be sent again: in the loop that waits for work the cpu looks once
 * more when it is back, for frames frame_cache_online() does, for flushes shootdown_online().
 *
 * Stop and start go over `state`:
 *
 *	RUNS -> ASKED		the stopper, before its IPI
 *	ASKED -> LEAVES		the cpu, in the IPI's handler, by compare-and-swap; or
 *	ASKED -> RUNS		the stopper, likewise, when its patience is over
 *	LEAVES -> GONE		the cpu: the cache is empty and off line, the context saved
 *	GONE, LEAVES -> RUNS	the cpu: back on line; or it never went, with stop_error
 *
 * The kick's handler is a good place to stop: interrupts are let in, so no zone's lock and not the
 * heap's is held, and what the cache has in flight the drain gives back; who has a lock that is
 * held with interrupts let in stays until it is released (cpu_pin_online). The stopper waits with
 * interrupts let in: it answers drains meanwhile, those of the cpu it waits for among them. It
 * cannot be stopped itself, as stoppers take turns.
 *
 * Who waits with interrupts masked. A cpu that waits for another one while it lets no interrupt in
 * keeps every IPI waiting, and two such cpus may wait for each other. So the waits of this file,
 * shootdown.c and space.c are for callers that let interrupts in, and the functions that wait check
 * it: cpus_run, cpu_stop, cpu_start (whose wait in hart_start lies in the stopper's turn), shootdown.
 * What is left of masked waits ends for these reasons: a lock that is taken with interrupts masked is
 * held by a cpu that waits for nothing; frame_drained_one() may be called masked or in a handler, and
 * answers drains while it waits, and waits for nothing but answers of drains, which every other
 * wait lets in; the explorer's handler that sleeps takes IPIs itself (ipi_handle); a panic waits
 * for a bounded time; a sleeping cpu wakes up for each IPI.
 *
 * Fences. (a) ASKED before the IPI: `fence rw, o` in hart_ipi_send, pairs with `fence io, rw` in
 * hart_ipi_clear before the look at state. (b) The given-back frames and the context before
 * GONE: `fence rw, w` in hart_stop_here, pairs with the acquire fence at the end of cpu_stop.
 * (c) What the starter wrote before the start: the release fence in hart_start, pairs with the
 * swap.aqrl at secondary_entry. (d) Back on line before RUNS: the release fence in leave, pairs
 * with the acquire fences of cpu_start and cpu_stop. (e) One turn before the next: release and
 * acquire fences around `turn`.
 */
#include "kernel/smp/cpu.h"

#include <port.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/hart_mask.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "mm/check.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "sync/trace.h"

_Static_assert(offsetof(struct cpu, arch) == 0, "tp points to both");

/* A cpu that waits in a handler, for others that wait, can be slow to answer. */
#define WAIT_SECONDS_MAX 60

enum state { STATE_RUNNING, STATE_STOP_REQUESTED, STATE_STOPPING, STATE_STOPPED };

void (*cpu_on_return)(void);
static uint32_t turn; /* 1: somebody stops or starts a cpu */

struct cpu *cpu_of(unsigned number)
{
	return port_area_of(number);
}

unsigned cpu_online_count(void)
{
	unsigned count = 0;

	while (count < port_cpu_count() && ck_pr_load_32(&cpu_of(count)->online))
		count++;
	return count;
}

/* ---- harts that come and go ----------------------------------------------------------------- */

static void leave(struct cpu *self)
{
	uint64_t satp = mmu_used(), begun = trace_begin();

	frame_cache_offline();
	mmu_use(MMU_OFF); /* nobody flushes it from here on: it caches and walks nothing */
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

/* All but the frames. Not inlined: `make lint` looks for it, and at what it does first. */
static __attribute__((noinline)) void ipi_handle_except_frames(void)
{
	struct cpu *self = cpu_self();

	hart_ipi_clear(); /* (a) */
	/* One that is short of frames holds up all caches: it stops after that, at another IPI. */
	if (ck_pr_load_32(&self->state) == STATE_STOP_REQUESTED &&
	    !ck_pr_load_32(&self->online_pins) && !frame_drain_is_asking() &&
	    ck_pr_cas_32(&self->state, STATE_STOP_REQUESTED, STATE_STOPPING))
		leave(self);
	shootdown_answer();
}

void ipi_handle(void)
{
	ipi_handle_except_frames();
	while (frame_drain_answer())
		;
}

static void on_ipi(struct trap_frame *trap)
{
	bool is_nested = cpu_self()->arch.trap_depth > 1;

	ipi_handle_except_frames();
	panic_park(
		trap->pc); /* after the clear: a panic that is announced later sends an IPI that stays */
	while (frame_drain_answer() && !is_nested)
		trap_window();
}

bool cpu_is_stopped(unsigned number)
{
	return ck_pr_load_32(&cpu_of(number)->state) == STATE_STOPPED;
}

/* Before a wait for other cpus, which may be waiting for this one. */
static __attribute__((noinline)) void check_may_wait(const char *doing)
{
	check(!port_in_trap(), "cpu %u %s in a trap handler", port_cpu(), doing);
	check(!hart_irqs_are_masked(), "cpu %u %s with its interrupts masked", port_cpu(), doing);
}

/* No queue: who waits here may be stopped. */
static void turn_begin(void)
{
	check_may_wait("stops or starts another");
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
static uint64_t ask_again(unsigned number, uint64_t kicked)
{
	uint64_t now = hart_time();

	if (now - kicked < settings.timebase / 1000)
		return kicked;
	ask_to_stop(number);
	return now;
}

static enum cpu_result wait_until_stopped(struct cpu *cpu)
{
	uint64_t since = hart_time(), kicked = since;

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
			kicked = ask_again(cpu->arch.number, kicked);
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

/* ---- work for all ----------------------------------------------------------------------------- */

void ipi_enable(void)
{
	shootdown_online();
	trap_on_software = on_ipi;
	hart_ipi_enable();
}

/*
 * Firmware that refuses a mask because of one stopped hart has interrupted none of the others: then
 * each hart has a call to itself, and one that is refused alone needs no IPI. It looks at all that an
 * IPI may announce when it is back.
 */
static void send(uint64_t base, uint64_t mask)
{
	bool sent = hart_ipi_send(base, mask);

	for (; !sent && mask; mask &= mask - 1)
		if (!hart_ipi_send(base + bits_lowest(mask), 1))
			continue;
}

void port_ipi_send(unsigned first, uint64_t set)
{
	while (set) {
		uint64_t base, named, harts = hart_mask_of(first, set, &base, &named);

		send(base, harts);
		set &= ~named;
	}
}

/* The mailboxes of up to 64 cpus, then one IPI for all of them. */
void cpus_run(cpu_work *work, void *argument, unsigned count)
{
	uint64_t given = 0;

	check_may_wait("runs work on others");
	for (unsigned i = 1; i < count; i++) {
		struct cpu *cpu = cpu_of(i);

		cpu->work = work;
		cpu->argument = argument;
		ck_pr_fence_release();
		ck_pr_store_32(&cpu->work_number, cpu->work_number + 1);
		given |= UINT64_C(1) << i % 64;
		if (i % 64 == 63 || i + 1 == count) {
			port_ipi_send(i & ~63u, given);
			given = 0;
		}
	}
	work(argument);
	for (unsigned i = 1; i < count; i++) {
		struct cpu *cpu = cpu_of(i);

		while (ck_pr_load_32(&cpu->done_number) != cpu->work_number)
			port_relax();
	}
	ck_pr_fence_acquire();
}

void cpu_serve(void)
{
	struct cpu *self = cpu_self();

	ipi_enable();
	ck_pr_fence_release();
	ck_pr_store_32(&self->online, 1);
	for (;;) {
		uint64_t begun = trace_begin(); /* before the mask: under it only work is read */
		unsigned long flags = port_irq_save();
		uint32_t number = ck_pr_load_32(&self->work_number);

		if (number == self->done_number) {
			hart_sleep(self->arrival);
			trace_end(TRACE_SLEEP, begun, 0, 0);
			port_irq_restore(flags);
			continue;
		}
		port_irq_restore(flags);
		ck_pr_fence_acquire();
		self->work(self->argument);
		ck_pr_fence_release();
		ck_pr_store_32(&self->done_number, number);
	}
}
