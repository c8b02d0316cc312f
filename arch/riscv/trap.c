/* SPDX-License-Identifier: BSD-2-Clause */
/* trap.c - see trap.h. */
#include "arch/riscv/trap.h"

#include <port.h>

#include "arch/riscv/csr.h"

trap_hook *trap_on_timer;
trap_hook *trap_on_software;
bool (*trap_on_page_fault)(void);
void (*trap_on_exception)(const struct trap_frame *frame, const struct trap_cause *cause);

/* A few dozen sites, and traps are rare: no search tree is worth its lines here. */
const struct restartable *trap_restartable_at(uint64_t pc)
{
	for (const struct restartable *site = __restartable_start; site < __restartable_end; site++)
		if (pc - site->start < site->end - site->start)
			return site;
	return NULL;
}

uint64_t trap_restart_pc(uint64_t pc)
{
	const struct restartable *site = trap_restartable_at(pc);

	return site ? site->start : pc;
}

/* An access that may fault, and where it goes on then (mmu_try.S). */
struct faulting {
	uint64_t at, on;
};

extern const struct faulting __faulting_start[], __faulting_end[];

#define SCAUSE_FETCH_PAGE_FAULT 12
#define SCAUSE_LOAD_PAGE_FAULT	13
#define SCAUSE_STORE_PAGE_FAULT 15

/* True, and the frame goes on elsewhere, for a page fault that was foreseen. */
static bool is_expected(struct trap_frame *frame, uint64_t cause)
{
	if (cause != SCAUSE_LOAD_PAGE_FAULT && cause != SCAUSE_STORE_PAGE_FAULT)
		return false;
	for (const struct faulting *site = __faulting_start; site < __faulting_end; site++) {
		if (site->at == frame->pc) {
			frame->pc = site->on;
			return true;
		}
	}
	return false;
}

static bool is_to_be_repeated(uint64_t cause)
{
	bool is_page_fault = cause == SCAUSE_FETCH_PAGE_FAULT || cause == SCAUSE_LOAD_PAGE_FAULT ||
			     cause == SCAUSE_STORE_PAGE_FAULT;

	return is_page_fault && trap_on_page_fault && trap_on_page_fault();
}

static _Noreturn void unexpected(const struct trap_frame *frame, bool off_stack)
{
	uint64_t scause = csr_read(scause);
	/* All faults of access, alignment and pages. */
	bool has_address = scause < 64 && (UINT64_C(1) << scause & 0xb0f3);
	struct trap_cause cause = {trap_name(scause), scause, csr_read(stval), has_address,
				   off_stack};

	if (trap_on_exception)
		trap_on_exception(frame, &cause);
	port_panic(
		"trap: %s (scause %#lx) at pc [<%#lx>], stval %#lx, ra [<%#lx>], sp %#lx, tp %#lx",
		cause.name, cause.scause, frame->pc, cause.address, frame->x[1], frame->x[2],
		frame->x[4]);
}

_Noreturn void trap_off_stack(const struct trap_frame *frame)
{
	unexpected(frame, true);
}

static trap_hook *hook_for(uint64_t cause)
{
	if (cause == SCAUSE_TIMER)
		return trap_on_timer;
	return cause == SCAUSE_SOFTWARE ? trap_on_software : NULL;
}

/* This trap's frame keeps sepc and sstatus (trap_entry.S), so what a nested one leaves there is lost. */
void trap_window(void)
{
	csr_set(sstatus, SSTATUS_SIE);
	csr_clear(sstatus, SSTATUS_SIE);
}

/*
 * The restart comes before the hook, which may then allocate on the very stack that was interrupted,
 * and whatever the sequence had read is read again.
 */
void trap_handle(struct trap_frame *frame)
{
	uint64_t cause = csr_read(scause);
	trap_hook *hook = hook_for(cause);

	if (is_to_be_repeated(cause) || is_expected(frame, cause))
		return;
	if (!hook)
		unexpected(frame, false);
	frame->pc = trap_restart_pc(frame->pc);
	hook(frame);
}
