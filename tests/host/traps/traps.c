/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps.c - see traps.h: masks, points, and the calls that the compiler puts into mm/ and sync/.
 *
 * The compiler believes that it builds for ThreadSanitizer, and calls a function before each
 * access; but the functions are ours. They also check the access as AddressSanitizer would, which
 * cannot be built into the same objects: the caches' memory and the tables are from its heap.
 */
#include <port.h>

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "mm/global/zone.h"
#include "mm/percpu/cache.h"
#include "mm/percpu/drain.h"
#include "tests/host/traps/traps.h"
#include "tests/host/support/unit.h"

#define CPUS_MAX 8

/* More accesses, or waits, than any operation makes; an operation that makes more has no end. */
#define CALLS_MAX   100000000
#define WAITS_MAX   10000
#define STACK_BYTES (256 << 10)

struct traps_cpu {
	bool masked;
	bool in_trap;
	bool busy;
	bool ipi_pending; /* and could not take it yet */
	uint64_t traps;	  /* that landed on it */
};

/*
 * What a cpu does in the middle of another cpu's operation runs on a separate stack: so it can wait
 * for the other cpu, which then goes on. There is one stack for each cpu; the test's own stack
 * belongs to no cpu.
 */
struct context {
	ucontext_t state;
	char *stack;
	const char *top;	 /* locals lie below it */
	struct context *resumer; /* goes on when this one waits or ends */
	struct host_cpu *self;	 /* the cpu that it was when it began to wait */
	void (*work)(void);
	bool relaxes;	/* it waits, and has let others go on */
	bool active;	/* its work is not over */
	bool waits;	/* and lets others go on */
	unsigned below; /* handlers that have interrupted it and run on other stacks */
	unsigned above; /* handlers on its stack that have interrupted what is on others */
};

static struct traps_cpu cpus[CPUS_MAX];
static struct context contexts[CPUS_MAX], test_context;
static struct context *current = &test_context;
static unsigned test_cpu; /* the cpu whose operation runs on the test's own stack */
static uint64_t waits;
static bool ipis_are_lost;
static bool is_over; /* a cpu that still waits may end, but not arm again */
static bool armed;
static bool watched; /* between traps_arm() and traps_disarm(), whatever has fired */
static uint64_t clock_ticks;
static unsigned points_where;
static uint64_t points, due, calls;
static void (*fire_due)(void);
static const void *next_access;

static struct {
	struct zone *zone;
	unsigned cpu;
	bool held, again;
	struct spin_node node;
} holder;

static struct traps_cpu *self(void)
{
	return &cpus[host_self->number];
}

/* ---- failing ----------------------------------------------------------------------------- */

static void print_story(void)
{
	fprintf(stderr, "# seed %llu: %s\n", (unsigned long long)unit_seed(), traps_story());
}

void traps_panic(const char *format, ...)
{
	char message[700], whole[1024];
	va_list arguments;

	armed = watched = false;
	calls = 0;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	/* A panic that a test expects is none of ours to comment. */
	if (unit_panic_expected)
		unit_panicked(message);
	snprintf(whole, sizeof(whole), "%s -- %s", message, traps_story());
	unit_panicked(whole);
}

void traps_reset(void)
{
	if (host_cpu_count > CPUS_MAX)
		abort();
	memset(cpus, 0, sizeof(cpus));
	memset(&holder, 0, sizeof(holder));
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		contexts[cpu].active = contexts[cpu].waits = false;
	current = &test_context;
	test_context.below = test_context.above = 0;
	clock_ticks = calls = waits = 0;
	armed = watched = false;
	__sanitizer_set_death_callback(print_story);
}

/* ---- points ------------------------------------------------------------------------------ */

/* The code called here is instrumented too, so nothing may be armed. */
static bool is_held(struct zone *zone)
{
	bool held, was_armed = armed;

	armed = false;
	held = spin_locked_relaxed(&zone->lock);
	armed = was_armed;
	return held;
}

static bool any_lock_is_held(void)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (is_held(&zones.zone[i]))
			return true;
	return false;
}

bool traps_may_trap(unsigned cpu)
{
	return !cpus[cpu].masked && !cpus[cpu].in_trap;
}

bool traps_may_switch(void)
{
	return !any_lock_is_held();
}

static __attribute__((noinline)) void armed_point(void)
{
	if (!(points_where & TRAPS_HERE && traps_may_trap(host_self->number)) &&
	    !(points_where & TRAPS_ELSEWHERE && traps_may_switch()))
		return;
	if (points++ != due)
		return;
	armed = watched = false;
	fire_due();
	watched = true;
}

static inline void point(void)
{
	if (__builtin_expect(armed, 0))
		armed_point();
}

void traps_arm(unsigned where, uint64_t at, void (*fire)(void))
{
	points_where = where;
	points = calls = waits = 0;
	due = at;
	fire_due = fire;
	is_over = false;
	test_cpu = host_self->number;
	test_context.top = __builtin_frame_address(0);
	armed = watched = true;
}

void traps_rearm(uint64_t at)
{
	due = at;
	armed = watched = !is_over;
}

void traps_disarm(void)
{
	armed = watched = false;
	is_over = true;
}

uint64_t traps_points(void)
{
	return points;
}

uint64_t traps_every(void)
{
	const char *every = getenv("EVERY");

	return every ? strtoull(every, NULL, 10) : 1;
}

const void *traps_next_access(void)
{
	return next_access;
}

/* The stack on which the cpu's operation is; NULL: it is at rest, or its operation is on ours. */
static struct context *stopped_elsewhere(unsigned cpu)
{
	struct context *context = &contexts[cpu];

	if (!context->active)
		context = cpu == test_cpu ? &test_context : NULL;
	return context == current ? NULL : context;
}

static void deliver(unsigned cpu);
static void holder_does(void (*work)(struct spinlock *lock, struct spin_node *node), bool held);

void traps_trap(unsigned cpu, void (*work)(void))
{
	struct host_cpu *before = host_self;
	struct context *interrupted = stopped_elsewhere(cpu);

	if (holder.held && holder.cpu == cpu)
		holder_does(spin_unlock, false);
	if (interrupted) {
		interrupted->below++;
		current->above++;
	}
	cpus[cpu].masked = cpus[cpu].in_trap = true;
	cpus[cpu].traps++;
	host_self = &host_cpus[cpu];
	work();
	host_self = before;
	cpus[cpu].masked = cpus[cpu].in_trap = false;
	if (interrupted) {
		interrupted->below--;
		current->above--;
	}
	deliver(cpu);
}

bool traps_all_may_trap(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		if (!traps_may_trap(cpu))
			return false;
	return true;
}

/* ---- stacks ------------------------------------------------------------------------------ */

static void switch_to(struct context *to)
{
	struct context *from = current;
	volatile bool is_back = false;

	from->self = host_self;
	/*
	 * Not swapcontext(), which AddressSanitizer warns of; none of its frames are on our stacks.
	 */
	getcontext(&from->state);
	if (!is_back) {
		is_back = true;
		current = to;
		setcontext(&to->state);
	}
	host_self = from->self;
}

/* Until it waits, or is done. */
static void resume(struct context *context)
{
	context->resumer = current;
	context->waits = false;
	switch_to(context);
}

static void run_context(void)
{
	struct context *self_context = current;

	self_context->work();
	self_context->active = false;
	switch_to(self_context->resumer);
	abort(); /* a finished context is never resumed */
}

static bool resume_all(void)
{
	bool resumed = false;

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
		if (contexts[cpu].waits && !contexts[cpu].below) {
			resume(&contexts[cpu]);
			resumed = true;
		}
	return resumed;
}

void traps_elsewhere(unsigned cpu, void (*work)(void))
{
	struct context *context = &contexts[cpu];
	struct host_cpu *before = host_self;

	if (context->active)
		abort();
	if (holder.held && holder.cpu == cpu)
		holder_does(spin_unlock, false);
	if (!context->stack)
		context->stack = aligned_alloc(64, STACK_BYTES);
	context->top = context->stack + STACK_BYTES;
	context->work = work;
	context->active = true;
	context->below = context->above = 0;
	getcontext(&context->state);
	context->state.uc_stack.ss_sp = context->stack;
	context->state.uc_stack.ss_size = STACK_BYTES;
	makecontext(&context->state, run_context, 0);
	host_self = &host_cpus[cpu];
	resume(context);
	host_self = before;
}

void traps_finish(void)
{
	while (resume_all())
		;
}

void traps_set_busy(unsigned cpu, bool busy)
{
	cpus[cpu].busy = busy;
}

bool traps_is_busy(unsigned cpu)
{
	return cpus[cpu].busy;
}

/* ---- the port ---------------------------------------------------------------------------- */

/* As the other cpu, which is never stopped. */
static void holder_does(void (*work)(struct spinlock *lock, struct spin_node *node), bool held)
{
	struct host_cpu *before = host_self;
	bool was_armed = armed;

	armed = false;
	host_self = &host_cpus[holder.cpu];
	work(&holder.zone->lock, &holder.node);
	holder.held = held;
	host_self = before;
	armed = was_armed;
}

void traps_hold(struct zone *zone, unsigned cpu, bool again)
{
	holder.zone = zone;
	holder.cpu = cpu;
	holder.again = again;
	holder_does(spin_lock, true);
}

void traps_hold_end(void)
{
	holder.again = false;
	if (holder.held)
		holder_does(spin_unlock, false);
}

/* Back to where we were resumed, unless a cpu that we have interrupted is there. */
static void give_way(void)
{
	if (current != &test_context && !current->above) {
		current->waits = true;
		switch_to(current->resumer);
	}
}

unsigned long traps_irq_save(void)
{
	unsigned long before;

	point();
	before = self()->masked;
	self()->masked = true;
	return before;
}

/* A trap that was held back lands right behind the instruction that lets it. */
void traps_irq_restore(unsigned long flags)
{
	self()->masked = flags;
	deliver(host_self->number);
	/* A cpu in the middle of its own work cannot take it. */
	if (holder.again && !holder.held && !cpus[holder.cpu].busy &&
	    !contexts[holder.cpu].active && traps_may_trap(holder.cpu) && !is_held(holder.zone))
		holder_does(spin_lock, true);
	/* The cpu that let us go on may have got what it waits for, and others may wait for it in turn. */
	if (current->resumer && current->resumer->relaxes)
		give_way();
	point();
}

bool traps_in_trap(void)
{
	return self()->in_trap;
}

static void answer_all(void)
{
	while (frame_drain_answer())
		;
}

/* An IPI that had to wait; then the cpus that wait for the answer. */
static void deliver(unsigned cpu)
{
	if (__builtin_expect(!cpus[cpu].ipi_pending || !traps_may_trap(cpu), 1))
		return;
	cpus[cpu].ipi_pending = false;
	traps_trap(cpu, answer_all);
	resume_all();
}

void traps_lose_ipis(bool lost)
{
	ipis_are_lost = lost;
}

/* Wherever the cpu is, it answers there and then; or where it lets interrupts in again. */
static void send_ipi(unsigned cpu)
{
	if (holder.held && holder.cpu == cpu)
		holder_does(spin_unlock, false);
	if (traps_may_trap(cpu))
		traps_trap(cpu, answer_all);
	else
		cpus[cpu].ipi_pending = true;
}

void traps_ipi_send(unsigned first, uint64_t set)
{
	for (; set && !ipis_are_lost; set &= set - 1)
		send_ipi(first + (unsigned)__builtin_ctzll(set));
}

/*
 * The cpus that are waited for go on: first the other waiters, then the cpu that we have
 * interrupted.
 */
void traps_relax(void)
{
	if (++waits > WAITS_MAX)
		traps_panic("cpu %u%s waits for ever, perhaps for code that it has stopped",
			    host_self->number, self()->in_trap ? ", in a trap," : "");
	if (holder.held) {
		holder_does(spin_unlock, false);
		return;
	}
	current->relaxes = true;
	resume_all();
	current->relaxes = false;
	give_way();
}

uint64_t traps_clock(void)
{
	return ++clock_ticks;
}

/* True when a trap landed on this very cpu: its sequence begins again. */
static bool trapped(void)
{
	uint64_t before = self()->traps;

	point();
	return self()->traps != before;
}

#define STEP(statement)                                                                            \
	if (trapped())                                                                             \
		goto start;                                                                        \
	statement

/* One STEP for each instruction of PORT_STACK_POP in arch/riscv/port.h that touches memory. */
bool traps_pop(uint64_t *frame, void *stack, size_t top_offset)
{
	uint64_t **top_at = (uint64_t **)(void *)((char *)stack + top_offset);
	uint64_t *top;
	uint64_t value;

start:
	STEP(top = *top_at);
	STEP(value = top[-1]);
	STEP(top--);
	if ((int64_t)value < 0)
		return false;
	STEP(*top_at = top);
	*frame = value;
	return true;
}

bool traps_push(uint64_t frame, void *stack, size_t top_offset, size_t limit_offset)
{
	uint64_t **top_at = (uint64_t **)(void *)((char *)stack + top_offset);
	uint64_t **limit_at = (uint64_t **)(void *)((char *)stack + limit_offset);
	uint64_t *top, *limit;

start:
	STEP(top = *top_at);
	STEP(limit = *limit_at);
	STEP(if (top == limit) return false);
	STEP(*top = frame);
	STEP(*top_at = top + 1);
	return true;
}

/* ---- what the compiler calls ------------------------------------------------------------- */

/*
 * An address on the stack above us, up to the code that armed, is a local of the running code: no
 * other code sees it, so the trap may land at the next access to other memory.
 */
static __attribute__((noinline)) void watched_access(const char *address, size_t bytes,
						     const char *what)
{
	const void *before = next_access; /* what we check at a point is instrumented too */

	if (address > (char *)__builtin_frame_address(0) && address < current->top)
		return;
	next_access = address;
	point();
	next_access = before;
	if (__asan_address_is_poisoned(address) || __asan_address_is_poisoned(address + bytes - 1))
		traps_panic("a %s of %zu bytes at %p is outside of all memory", what, bytes,
			    (const void *)address);
}

static inline void access_at(const void *address, size_t bytes, const char *what)
{
	if (__builtin_expect(++calls > CALLS_MAX, 0))
		traps_panic("an operation has no end");
	if (__builtin_expect(watched, 0))
		watched_access(address, bytes, what);
}

void traps_access(const void *address, size_t bytes)
{
	access_at(address, bytes, "access");
}

/* memcpy() of mm/ and sync/: the compiler puts no call before it. */
void *traps_copy(void *to, const void *from, size_t bytes);
void *traps_copy(void *to, const void *from, size_t bytes)
{
	size_t half = bytes / 2;

	access_at(from, bytes, "read");
	memcpy(to, from, half);
	access_at(to, bytes, "write");
	memcpy((char *)to + half, (const char *)from + half, bytes - half);
	return to;
}

#define ACCESS(name, bytes, what)                                                                  \
	void __tsan_##name(void *address);                                                         \
	void __tsan_##name(void *address)                                                          \
	{                                                                                          \
		access_at(address, bytes, what);                                                   \
	}
#define ACCESSES(bytes)                                                                            \
	ACCESS(read##bytes, bytes, "read")                                                         \
	ACCESS(write##bytes, bytes, "write")

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

#define ACCESS_RANGE(name, what)                                                                   \
	void __tsan_##name(void *address, long bytes);                                             \
	void __tsan_##name(void *address, long bytes)                                              \
	{                                                                                          \
		if (bytes)                                                                         \
			access_at(address, (size_t)bytes, what);                                   \
	}

ACCESS_RANGE(read_range, "read")
ACCESS_RANGE(write_range, "write")

#define NOTHING(name, ...)                                                                         \
	void __tsan_##name(__VA_ARGS__);                                                           \
	void __tsan_##name(__VA_ARGS__)                                                            \
	{                                                                                          \
	}

/* The counters of `make coverage`, which are updated so: no point, for the kernel has none there. */
uint64_t __tsan_atomic64_fetch_add(uint64_t *counter, uint64_t more, int order);
uint64_t __tsan_atomic64_fetch_add(uint64_t *counter, uint64_t more, int order)
{
	(void)order;
	*counter += more;
	return *counter - more;
}

NOTHING(init, void)
NOTHING(func_entry, void *caller __attribute__((unused)))
NOTHING(func_exit, void *caller __attribute__((unused)))
