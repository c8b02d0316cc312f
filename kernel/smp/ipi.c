/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi.c - see ipi.h.
 *
 * An IPI is an interrupt like any other. Its handler clears it, stops the cpu where that was asked,
 * flushes translations for the cpus that asked for it, and gives frames back to a cpu that is short
 * of them. That last part may be long, so it goes in bounded steps, and the handler lets pending
 * interrupts in between two of them; the interrupted code does not go on before the last step. An
 * IPI that comes in there is handled one deeper. That handler does one step and leaves the rest to
 * the handler that it has interrupted, so handlers are never more than two deep.
 *
 * Fences. (a) What an IPI asks for is written before it is sent: `fence rw, ow` in hart_ipi_send,
 * pairs with `fence ior, rw` in hart_ipi_clear, before any handler looks at what was asked.
 */
#include "kernel/smp/ipi.h"

#include <port.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/hart_mask.h"
#include "sync/trace.h"

static void nothing(void)
{
}

static void no_panic(uint64_t pc)
{
	(void)pc;
}

static bool no_step(void)
{
	return false;
}

void (*ipi_on_stop)(void) = nothing;
void (*ipi_on_flush)(void) = nothing;
void (*ipi_on_panic)(uint64_t pc) = no_panic;
bool (*ipi_on_drain)(void) = no_step;

/* All but the frames. Not inlined: `make lint` looks for it, and at what it does first. */
static __attribute__((noinline)) void ipi_handle_except_frames(void)
{
	hart_ipi_clear(); /* (a) */
	ipi_on_stop();
	ipi_on_flush();
}

void ipi_handle(void)
{
	ipi_handle_except_frames();
	while (ipi_on_drain())
		;
}

static void on_ipi(struct trap_frame *trap)
{
	bool is_nested = arch_cpu_self()->trap_depth > 1;
	uint64_t begun = trace_begin();

	ipi_handle_except_frames();
	ipi_on_panic(trap->pc);
	while (ipi_on_drain() && !is_nested)
		trap_window();
	trace_end(TRACE_IPI_HANDLED, begun, 0, 0);
}

void ipi_enable(void)
{
	if (trap_on_software != on_ipi) /* cpu 0 writes it, before it starts another cpu */
		trap_on_software = on_ipi;
	hart_ipi_enable();
}

/*
 * Firmware that refuses a mask because of one stopped hart has interrupted none of the others: then
 * each hart gets a separate call. A hart whose separate call is refused needs no IPI: when it is
 * started again, it looks at everything that an IPI may announce.
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
	if (set)
		trace_note(TRACE_IPI, first, set);
	while (set) {
		uint64_t base, named, harts = hart_mask_of(first, set, &base, &named);

		send(base, harts);
		set &= ~named;
	}
}
