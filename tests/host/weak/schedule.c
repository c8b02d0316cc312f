/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schedule.c - the CPUs of weak.h as coroutines, and the choices that make an execution.
 *
 * A CPU runs until its next step: a load, an atomic access, a wait. Before it, the scheduler chooses
 * among the steps of all CPUs, their waiting stores and their late loads. An execution is its list
 * of choices. It can be drawn from a seed, followed from a list, or be the next one of all.
 *
 * All executions: a depth-first search. Two steps are independent if their order changes nothing;
 * then only one order is tried, by sleep sets (Godefroid, 1996). Steps that store depend on each
 * other, because the order of all stores is what loads are compared with. A load does not depend on
 * the store of another CPU that comes after it: executed after that store it can read the same. So at
 * each point the steps that store are tried first, and a store that was tried sleeps until another
 * store is performed.
 */
#include "tests/host/weak/model.h"

#include <port.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/smp/random.h"

#define STACK_BYTES   (128 << 10)
#define STEPS_DEFAULT 20000
#define CHOICES_MAX   (1u << 17)
#define ENABLED_MAX   (WEAK_CPUS_MAX * (WAITING_MAX + LATE_MAX + 2))
#define DEPTH_MAX     4096
#define WINDOWS_MAX   3
#define SHRINK_STEPS  20000000
#define SHRINK_MAX    4000 /* executions */

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

/* Something that can be done next. */
struct option {
	enum { OPTION_STORE, OPTION_STEP, OPTION_LATE, OPTION_INTERRUPT } kind;
	unsigned cpu, index;
	uint32_t name;
	const void *address;
	bool stores;
};

/* A point of the search: of a CPU's value, or of what is done next. */
struct point {
	bool is_value;
	unsigned chosen, count;
	struct option current;
	struct option asleep[ENABLED_MAX];
	unsigned asleeps;
};

static struct cpu cpus[WEAK_CPUS_MAX];
static const struct weak_workload *workload;
static ucontext_t scheduler;
static bool running;
static unsigned current;
static uint32_t steps_left;
static jmp_buf failed;
static char message[1024];
static enum { DRAWN, FOLLOWED, SEARCHED } mode;
static bool stores_first; /* the order of the options: that of a search */

bool weak_is_quiet;

unsigned weak_cpu(void)
{
	return current;
}

bool weak_is_running(void)
{
	return running;
}

/* ---- choices: drawn or followed -------------------------------------------------------------- */

static unsigned choices[CHOICES_MAX];
static unsigned choices_made, choices_given;
static uint64_t random_state;
static uint64_t change_one_in, old_one_in, late_one_in;

static unsigned note_choice(unsigned chosen)
{
	if (choices_made < CHOICES_MAX)
		choices[choices_made] = chosen;
	choices_made++;
	return chosen;
}

static unsigned follow(unsigned count)
{
	unsigned chosen = choices_made < choices_given ? choices[choices_made] : 0;

	return chosen < count ? chosen : 0;
}

static bool one_in(uint64_t n)
{
	return random_below(&random_state, n) == 0;
}

/* ---- choices: the search --------------------------------------------------------------------- */

static struct point *points;
static unsigned depth, depth_known;
static struct option asleep_now[ENABLED_MAX];
static unsigned asleeps_now;

static struct point *next_point(bool *is_new)
{
	*is_new = depth == depth_known;
	if (depth == DEPTH_MAX)
		weak_fail("the search is more than %u points deep", DEPTH_MAX);
	if (*is_new)
		depth_known++;
	return &points[depth++];
}

static unsigned search_value(unsigned count)
{
	bool is_new;
	struct point *point = next_point(&is_new);

	if (is_new) {
		point->is_value = true;
		point->chosen = 0;
		point->count = count;
	}
	return point->chosen;
}

unsigned weak_choose(unsigned count)
{
	if (count <= 1)
		return 0;
	if (mode == SEARCHED)
		return note_choice(search_value(count));
	if (mode == FOLLOWED)
		return note_choice(follow(count));
	return note_choice(one_in(old_one_in) ? (unsigned)random_below(&random_state, count) : 0);
}

static bool is_same(const struct option *a, const struct option *b)
{
	return a->kind == b->kind && a->cpu == b->cpu && a->name == b->name;
}

static bool is_among(const struct option *option, const struct option *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (is_same(option, &list[i]))
			return true;
	return false;
}

/* Whether one that sleeps has to wake up when another is done. */
static bool depends(const struct option *sleeper, const struct option *done)
{
	if (sleeper->cpu == done->cpu)
		return !(sleeper->kind == OPTION_STORE && done->kind == OPTION_STEP &&
			 !done->stores && sleeper->address != done->address);
	if (sleeper->stores)
		return done->stores;
	return done->stores && done->address == sleeper->address;
}

static void sleep_after(const struct point *point, const struct option *done)
{
	asleeps_now = 0;
	for (unsigned i = 0; i < point->asleeps; i++)
		if (!depends(&point->asleep[i], done))
			asleep_now[asleeps_now++] = point->asleep[i];
}

static jmp_buf left_off;
static enum { LEFT_REDUNDANT = 1, LEFT_IMPOSSIBLE } why_left;

static _Noreturn void leave_off(int why)
{
	running = false;
	why_left = why;
	longjmp(left_off, 1);
}

/* The first one that does not sleep. At a new point those that sleep are those that did before. */
static unsigned search_option(const struct option *option, unsigned count)
{
	bool is_new;
	struct point *point = next_point(&is_new);

	if (is_new) {
		point->is_value = false;
		memcpy(point->asleep, asleep_now, asleeps_now * sizeof(asleep_now[0]));
		point->asleeps = asleeps_now;
		point->chosen = 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (is_among(&option[i], point->asleep, point->asleeps))
			continue;
		point->current = option[i];
		sleep_after(point, &option[i]);
		return i;
	}
	leave_off(LEFT_REDUNDANT);
}

/* Whether there is another execution; then the points lead to it. */
static bool search_goes_on(void)
{
	while (depth_known > 0) {
		struct point *point = &points[depth_known - 1];

		if (point->is_value) {
			if (++point->chosen < point->count)
				return true;
		} else if (!is_among(&point->current, point->asleep, point->asleeps)) {
			point->asleep[point->asleeps++] = point->current;
			return true;
		}
		depth_known--;
	}
	return false;
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
	if (!stores_first)
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

/*
 * Half of the seeds draw a priority for each CPU, for its waiting stores, and for its interrupts,
 * and lower that of whichever is the highest at a few points of the execution (probabilistic
 * concurrency testing; Burckhardt et al., ASPLOS 2010). So one of them may rest for long.
 */
#define PRIORITIES    (WEAK_CPUS_MAX * 4)
#define LOWERINGS_MAX 6

static unsigned priority[PRIORITIES];
static unsigned lowest, lowerings;
static uint32_t lower_at[LOWERINGS_MAX], drawn_steps;
static bool has_priorities;

static void draw_priorities(void)
{
	uint32_t range = UINT32_C(16) << random_below(&random_state, 8);

	has_priorities = random_below(&random_state, 2) != 0;
	lowerings = 1 + (unsigned)random_below(&random_state, LOWERINGS_MAX);
	for (unsigned i = 0; i < PRIORITIES; i++)
		priority[i] = PRIORITIES + (unsigned)random_below(&random_state, 1 << 16);
	for (unsigned i = 0; i < lowerings; i++)
		lower_at[i] = (uint32_t)random_below(&random_state, range);
	lowest = PRIORITIES;
	drawn_steps = 0;
}

static unsigned *priority_of(const struct option *option)
{
	return &priority[option->cpu * 4 + option->kind];
}

static unsigned highest(const struct option *option, unsigned count)
{
	unsigned best = 0;

	for (unsigned i = 1; i < count; i++)
		if (*priority_of(&option[i]) > *priority_of(&option[best]))
			best = i;
	return best;
}

static unsigned draw_by_priority(const struct option *option, unsigned count)
{
	unsigned best = highest(option, count);

	for (unsigned i = 0; i < lowerings; i++)
		if (lower_at[i] == drawn_steps) {
			*priority_of(&option[best]) = lowest ? --lowest : 0;
			best = highest(option, count);
		}
	drawn_steps++;
	/* Of the CPU's waiting stores any may be the next. */
	while (option[best].kind == OPTION_STORE && best + 1 < count &&
	       option[best + 1].kind == OPTION_STORE && option[best + 1].cpu == option[best].cpu &&
	       one_in(2))
		best++;
	return best;
}

static unsigned draw_option(const struct option *option, unsigned count)
{
	unsigned first = 0;

	if (has_priorities)
		return draw_by_priority(option, count);
	if (one_in(change_one_in))
		return (unsigned)random_below(&random_state, count);
	while (first + 1 < count && option[first].kind == OPTION_STORE && !one_in(late_one_in))
		first++;
	return first;
}

static unsigned choose_option(const struct option *option, unsigned count)
{
	if (mode == SEARCHED)
		return note_choice(search_option(option, count));
	return note_choice(mode == FOLLOWED ? follow(count) : draw_option(option, count));
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
		cpu->in_handler = cpu->masked = false;
		if (kind == STEP_RELAX ||
		    kind == STEP_SLEEP) /* what it waits for may have been done by the handler */
			return;
	}
}

void weak_relax(struct weak_site *site)
{
	if (running)
		weak_step(STEP_RELAX, NULL, site, 0);
}

void weak_sleep(struct weak_site *site)
{
	if (!running)
		return;
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
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (story_is_told)
		story_line(current, NULL, "%s", message);
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
				leave_off(LEFT_IMPOSSIBLE);
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
		do_option(&option[choose_option(option, count)]);
	}
}

enum end { ENDED, FAILED, LEFT };

static enum end execute(void)
{
	choices_made = depth = asleeps_now = 0;
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

/* ---- children --------------------------------------------------------------------------------- */

/*
 * An execution that fails leaves the code under test as it was then. So executions run in a child of
 * the program, and the next one that must begin from a clean state in another child. This is what
 * they hand over.
 */
static struct {
	int died; /* by this signal */
	enum end end;
	unsigned made;
	char message[sizeof(message)];
	struct weak_result result;
	unsigned choices[CHOICES_MAX];
} * shared;

static void share(void)
{
	if (shared)
		return;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		abort();
	memory_share_fences();
}

static void in_child(void (*work)(void))
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		work();
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		abort();
	shared->died = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* The part of a message that names no value. */
static bool is_same_failure(const char *a, const char *b)
{
	size_t length = strcspn(a, "0123456789");

	return strncmp(a, b, length ? length : 1) == 0;
}

static unsigned kept[CHOICES_MAX];

static void follow_choices(void)
{
	mode = FOLLOWED;
	shared->end = execute();
	shared->made = choices_made;
	memcpy(shared->message, message, sizeof(message));
}

static bool still_fails(const char *wanted, unsigned given)
{
	choices_given = given;
	in_child(follow_choices);
	return shared->end == FAILED && is_same_failure(wanted, shared->message);
}

/*
 * Makes as many choices ordinary as possible: halves, quarters and so on of all of them, down to one
 * alone. Then the list has the fewest switches and reorderings that this finds.
 */
static void shrink(char *wanted)
{
	unsigned count = shared->made, tries = 0;

	uint64_t most = count ? SHRINK_STEPS / count : 0;

	if (most > SHRINK_MAX)
		most = SHRINK_MAX;
	memcpy(kept, choices, sizeof(kept));
	for (unsigned size = count; size >= 1 && tries < most; size /= 2) {
		for (unsigned from = 0; from < count && tries < most; from += size) {
			unsigned to = from + size < count ? from + size : count;
			bool changes = false;

			memcpy(choices, kept, sizeof(kept));
			for (unsigned i = from; i < to; i++) {
				changes |= choices[i] != 0;
				choices[i] = 0;
			}
			if (!changes)
				continue;
			tries++;
			if (still_fails(wanted, count)) {
				memcpy(kept, choices, sizeof(kept));
				if (shared->made < count)
					count = shared->made;
			}
		}
	}
	while (count && kept[count - 1] == 0)
		count--;
	memcpy(choices, kept, sizeof(kept));
	choices_given = count;
}

static void tell_story(void)
{
	story_is_told = true;
	follow_choices();
}

static void tell(const struct weak_result *result)
{
	char wanted[sizeof(message)];
	unsigned changes = 0;

	memcpy(wanted, result->message, sizeof(wanted));
	memcpy(choices, shared->choices, sizeof(choices));
	shrink(wanted);
	for (unsigned i = 0; i < choices_given; i++)
		changes += choices[i] != 0;
	printf("# %s, execution %llu, seed %llu: %s\n# %u choices are not the ordinary ones:\n",
	       workload->name, (unsigned long long)result->executions,
	       (unsigned long long)result->seed, wanted, changes);
	fflush(stdout);
	in_child(tell_story);
}

/* ---- many executions ------------------------------------------------------------------------- */

static uint64_t first_seed, wanted_executions;

static void count_end(struct weak_result *result, enum end end)
{
	if (end == LEFT && why_left == LEFT_REDUNDANT)
		result->redundant++;
	else if (end == LEFT)
		result->impossible++;
	else
		result->executions++;
	result->failed = end == FAILED;
}

/* For the caller, who may be another process. */
static void hand_over(struct weak_result *result)
{
	memcpy(result->message, message, sizeof(result->message));
	shared->result = *result;
	shared->made = choices_made < CHOICES_MAX ? choices_made : CHOICES_MAX;
	memcpy(shared->choices, choices, shared->made * sizeof(choices[0]));
}

static void search(void)
{
	struct weak_result result = {0};

	stores_first = true;
	memory_foresees_nothing();
	points = points ? points : malloc(DEPTH_MAX * sizeof(*points));
	if (!points)
		abort();
	do {
		depth_known = 0;
		do {
			mode = SEARCHED;
			count_end(&result, execute());
			if (result.failed)
				break;
		} while (search_goes_on() &&
			 result.executions + result.redundant + result.impossible <
				 wanted_executions);
		result.complete = depth_known == 0;
	} while (!result.failed && result.complete && memory_foresees_more() && workload->foresees);
	hand_over(&result);
}

static void draw(void)
{
	struct weak_result result = {0};

	stores_first = false;
	for (uint64_t i = 0; i < wanted_executions && !result.failed; i++) {
		mode = DRAWN;
		result.seed = first_seed + i;
		random_state = result.seed * UINT64_C(0x9e3779b97f4a7c15);
		change_one_in = UINT64_C(2) << random_below(&random_state, 6);
		old_one_in = UINT64_C(1) << random_below(&random_state, 5);
		late_one_in = UINT64_C(1) << random_below(&random_state, 6);
		draw_priorities();
		count_end(&result, execute());
	}
	hand_over(&result);
}

static struct weak_result run_all(const struct weak_workload *wanted, void (*run_them)(void))
{
	share();
	workload = wanted;
	if (wanted->here)
		run_them();
	else
		in_child(run_them);
	if (shared->died) {
		shared->result = (struct weak_result){.failed = true};
		snprintf(shared->result.message, sizeof(shared->result.message),
			 "the program was killed by signal %d", shared->died);
	} else if (shared->result.failed && !weak_is_quiet) {
		struct weak_result result = shared->result;

		stores_first = run_them == search;
		tell(&result);
		return result;
	}
	return shared->result;
}

struct weak_result weak_all(const struct weak_workload *wanted, uint64_t most)
{
	wanted_executions = most;
	return run_all(wanted, search);
}

struct weak_result weak_some(const struct weak_workload *wanted, uint64_t seed, uint64_t count)
{
	first_seed = seed;
	wanted_executions = count;
	return run_all(wanted, draw);
}
