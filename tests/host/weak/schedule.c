/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schedule.c - one execution of weak.h: its CPUs as coroutines, and what can be done next.
 *
 * A CPU runs until its next step: a load, an atomic access, a wait. Before it, choices.c chooses among
 * the steps of all CPUs, their waiting stores, their late loads and their interrupts.
 */
#include "tests/host/weak/schedule.h"

#include <port.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define STACK_BYTES   (128 << 10)
#define STEPS_DEFAULT 20000
#define WINDOWS_MAX   3

struct cpu {
	ucontext_t context;
	char *stack;
	bool active, started;
	enum step step;
	const void *address;
	unsigned depends_on;
	struct weak_site *site;
	uint32_t steps;	     /* executed: the name of the next one */
	uint32_t interrupts; /* pending */
	bool takes_interrupt, masked, in_handler, woken;
	unsigned passed; /* windows in which its interrupt could have come, and did not */
};

static struct cpu cpus[WEAK_CPUS_MAX];
static const struct weak_workload *workload;
static ucontext_t scheduler;
static bool running;
static unsigned current;
static uint32_t steps_left;
static jmp_buf failed, left_off;
char schedule_message[1024];
enum why_left schedule_why_left;

unsigned weak_cpu(void)
{
	return current;
}

bool weak_is_running(void)
{
	return running;
}

void schedule_leave(enum why_left why)
{
	running = false;
	schedule_why_left = why;
	longjmp(left_off, 1);
}

/* ---- what can be done next ------------------------------------------------------------------- */

static bool step_is_enabled(unsigned cpu)
{
	const struct view *view = &views[cpu];
	struct cpu *c = &cpus[cpu];

	if (!c->active)
		return false;
	switch (c->step) {
	case STEP_DRAIN:
		return view->waitings == 0;
	case STEP_LOAD:
		return memory_may_load(cpu);
	case STEP_DEVICE:
		return memory_may_signal(cpu);
	case STEP_CHANGE:
		return memory_may_change(cpu, c->address);
	case STEP_DEPEND:
		for (unsigned i = 0; i < view->lates; i++)
			if (view->late[i].number == c->depends_on && !view->late[i].performed)
				return false;
		return true;
	case STEP_RELAX:
		return memory_has_changed(cpu);
	case STEP_WALK:
		return memory_may_walk(cpu);
	case STEP_WINDOW: /* an interrupt does not stay pending for ever */
		return !c->interrupts || c->passed <= WINDOWS_MAX;
	case STEP_SLEEP:
		return c->woken || c->interrupts;
	case STEP_IDLE:
		return false;
	default:
		return true;
	}
}

static bool may_interrupt(unsigned cpu)
{
	const struct cpu *c = &cpus[cpu];

	return c->active && c->started && c->interrupts && !c->masked && !c->in_handler &&
	       workload->handler;
}

static unsigned add_cpu(struct option *option, unsigned cpu)
{
	struct view *view = &views[cpu];
	unsigned count = 0;

	for (unsigned i = 0; i < view->waitings; i++)
		if (memory_may_perform(cpu, i))
			option[count++] = (struct option){
				OPTION_STORE,
				cpu,
				i,
				view->waiting[i].number,
				(const void *)view->waiting[i].location->address,
				true};
	if (may_interrupt(cpu))
		option[count++] = (struct option){OPTION_INTERRUPT, cpu,  0,
						  cpus[cpu].steps,  NULL, true};
	if (step_is_enabled(cpu)) {
		enum step step = cpus[cpu].step;

		option[count++] = (struct option){OPTION_STEP,
						  cpu,
						  0,
						  cpus[cpu].steps,
						  cpus[cpu].address,
						  step == STEP_CHANGE || step == STEP_DEVICE};
	}
	for (unsigned i = 0; i < view->lates; i++)
		if (!view->late[i].performed && memory_may_satisfy(&view->late[i]))
			option[count++] = (struct option){
				OPTION_LATE,
				cpu,
				i,
				view->late[i].number,
				(const void *)view->late[i].location->address,
				false};
	return count;
}

/* Those of the CPU whose turn it is come first; in a search, those that store. */
static unsigned list_options(struct option *option)
{
	unsigned count = 0, stores = 0;

	for (unsigned i = 0; i < workload->cpus; i++)
		count += add_cpu(option + count, (current + i) % workload->cpus);
	if (!choices.stores_first)
		return count;
	for (unsigned i = 0; i < count; i++) {
		if (option[i].stores) {
			struct option store = option[i];

			memmove(&option[stores + 1], &option[stores],
				(i - stores) * sizeof(option[0]));
			option[stores++] = store;
		}
	}
	return count;
}

/* ---- coroutines ------------------------------------------------------------------------------ */

static void to_scheduler(void)
{
	swapcontext(&cpus[current].context, &scheduler);
}

static void set_turn(unsigned cpu)
{
	current = cpu;
	if (host_cpus)
		host_self = &host_cpus[cpu];
}

void weak_step(enum step kind, const void *address, struct weak_site *site, unsigned depends_on)
{
	struct cpu *cpu = &cpus[current];

	memory_note_plain_accesses();
	for (;;) {
		cpu->step = kind;
		cpu->address = address;
		cpu->site = site;
		cpu->depends_on = depends_on;
		cpu->steps++;
		to_scheduler();
		if (!cpu->takes_interrupt)
			return;
		cpu->takes_interrupt = false;
		cpu->in_handler = cpu->masked = true;
		workload->handler(current);
		memory_note_plain_accesses(); /* of the handler */
		cpu->in_handler = cpu->masked = false;
		if (kind == STEP_RELAX ||
		    kind == STEP_SLEEP) /* what it waits for may have been done by the handler */
			return;
	}
}

void weak_relax(struct weak_site *site)
{
	if (!running)
		return;
	memory_perform_postponed();
	weak_step(STEP_RELAX, NULL, site, 0);
}

void weak_sleep(struct weak_site *site)
{
	if (!running)
		return;
	memory_perform_postponed();
	weak_step(STEP_SLEEP, NULL, site, 0);
	cpus[current].woken = false;
}

void weak_wake(unsigned cpu)
{
	cpus[cpu].woken = true;
}

bool weak_chance(void)
{
	return running && weak_choose(2);
}

bool weak_is_masked(void)
{
	return cpus[current].masked;
}

void weak_interrupt_lost(unsigned cpu)
{
	cpus[cpu].interrupts = 0;
}

void weak_interrupt(unsigned cpu)
{
	cpus[cpu].interrupts = 1;
}

unsigned long weak_irq_save(void)
{
	unsigned long flags = cpus[current].masked;

	cpus[current].masked = true;
	return flags;
}

void weak_irq_restore(unsigned long flags)
{
	cpus[current].masked = flags;
	if (!running || !may_interrupt(current))
		return;
	cpus[current].passed++;
	weak_step(STEP_WINDOW, NULL, NULL, 0);
}

static void body(void)
{
	workload->work(current);
	memory_perform_postponed();
	if (workload->handler) {
		cpus[current].masked = false;
		weak_step(STEP_IDLE, NULL, NULL, 0);
	}
	cpus[current].active = false;
	to_scheduler();
}

static void start_cpu(unsigned cpu)
{
	struct cpu *c = &cpus[cpu];
	char *stack = c->stack ? c->stack : malloc(STACK_BYTES);

	if (!stack)
		abort();
	memset(c, 0, sizeof(*c));
	c->stack = stack;
	c->active = true;
	c->step = STEP_START;
	getcontext(&c->context);
	c->context.uc_stack.ss_sp = stack;
	c->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&c->context, body, 0);
}

void weak_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(schedule_message, sizeof(schedule_message), format, arguments);
	va_end(arguments);
	if (story_is_told)
		story_line(current, NULL, "%s", schedule_message);
	running = false;
	longjmp(failed, 1);
}

static bool is_at_rest(const struct cpu *cpu)
{
	if (cpu->step == STEP_SLEEP)
		return !cpu->woken && !cpu->interrupts;
	return !cpu->active || (cpu->step == STEP_IDLE && !cpu->interrupts);
}

static _Noreturn void fail_waiting(void)
{
	for (unsigned cpu = 0; cpu < workload->cpus; cpu++)
		for (unsigned i = 0; i < views[cpu].lates; i++)
			if (!views[cpu].late[i].performed)
				schedule_leave(LEFT_IMPOSSIBLE);
	for (unsigned cpu = 0; cpu < workload->cpus; cpu++)
		if (!is_at_rest(&cpus[cpu])) {
			const struct weak_site *site = cpus[cpu].site;

			set_turn(cpu);
			weak_fail("cpu %u waits for ever at %s:%d", cpu, site ? site->file : "?",
				  site ? site->line : 0);
		}
	abort();
}

static void do_option(const struct option *option)
{
	unsigned cpu = option->cpu;

	set_turn(cpu);
	switch (option->kind) {
	case OPTION_STORE:
		memory_perform(cpu, option->index);
		return;
	case OPTION_LATE:
		memory_satisfy(cpu, &views[cpu].late[option->index]);
		return;
	case OPTION_INTERRUPT:
		cpus[cpu].interrupts = cpus[cpu].passed = 0;
		cpus[cpu].takes_interrupt = true;
		if (story_is_told)
			story_line(cpu, NULL, "takes an interrupt");
		break;
	default:
		cpus[cpu].started = true;
		if (cpus[cpu].step == STEP_RELAX)
			memory_look_again(cpu);
		break;
	}
	swapcontext(&scheduler, &cpus[cpu].context);
}

static bool is_over(void)
{
	for (unsigned cpu = 0; cpu < workload->cpus; cpu++) {
		if (!is_at_rest(&cpus[cpu]) || views[cpu].waitings)
			return false;
		for (unsigned i = 0; i < views[cpu].lates; i++)
			if (!views[cpu].late[i].performed)
				return false;
	}
	return true;
}

static void run(void)
{
	struct option option[ENABLED_MAX];

	while (!is_over()) {
		unsigned count = list_options(option);

		if (count == 0)
			fail_waiting();
		if (steps_left-- == 0)
			weak_fail("it does not end: cpu %u is at %s:%d", current,
				  cpus[current].site ? cpus[current].site->file : "?",
				  cpus[current].site ? cpus[current].site->line : 0);
		do_option(&option[choices_option(option, count)]);
	}
}

enum end schedule_execute(const struct weak_workload *wanted)
{
	workload = wanted;
	choices_begin();
	steps_left = workload->steps_max ? workload->steps_max : STEPS_DEFAULT;
	set_turn(0);
	if (setjmp(failed))
		return FAILED;
	if (setjmp(left_off))
		return LEFT;
	running = false;
	workload->setup();
	memory_reset(workload->cpus, workload->full_atomics);
	races_reset();
	for (unsigned cpu = 0; cpu < workload->cpus; cpu++)
		start_cpu(cpu);
	story_begin();
	running = true;
	run();
	running = false;
	set_turn(0);
	if (workload->check)
		workload->check();
	return ENDED;
}
