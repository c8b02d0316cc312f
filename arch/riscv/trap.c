/* trap.c - see trap.h. */
#include "arch/riscv/trap.h"

#include <port.h>

#include "arch/riscv/csr.h"

trap_hook *trap_on_timer;
trap_hook *trap_on_software;

extern const struct restartable __restartable_start[], __restartable_end[];

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

static const char *exception_name(uint64_t cause)
{
	static const char *const names[16] = {
		"instruction address misaligned", "instruction access fault", "illegal instruction",
		"breakpoint", "load address misaligned", "load access fault",
		"store address misaligned", "store access fault", "environment call from U-mode",
		"environment call from S-mode", "reserved", "reserved", "instruction page fault",
		"load page fault", "reserved", "store page fault",
	};

	if (cause & SCAUSE_INTERRUPT)
		return "interrupt nobody asked for";
	return cause < 16 ? names[cause] : "unknown exception";
}

static void unexpected(struct trap_frame *frame, uint64_t cause)
{
	port_panic("trap: %s (scause %#lx) at pc [<%#lx>], stval %#lx, ra [<%#lx>], sp %#lx, tp %#lx",
		   exception_name(cause), cause, csr_read(sepc), csr_read(stval), frame->x[1],
		   frame->x[2], frame->x[4]);
}

/*
 * The restart comes first: the hook may then allocate on the very stack that was interrupted,
 * and whatever the sequence had read is read again.
 */
void trap_handle(struct trap_frame *frame)
{
	uint64_t cause = csr_read(scause);

	frame->pc = trap_restart_pc(frame->pc);
	if (cause == SCAUSE_TIMER && trap_on_timer)
		trap_on_timer(frame);
	else if (cause == SCAUSE_SOFTWARE && trap_on_software)
		trap_on_software(frame);
	else
		unexpected(frame, cause);
}
