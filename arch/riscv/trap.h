/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.h - traps: restart of interrupted sequences, hooks for the two interrupts, and the end for
 * all the rest.
 *
 * A hook runs on the interrupted cpu, with interrupts masked, inside trap_handle: port_in_trap()
 * is true. It may allocate and free frames. NULL (the state at boot) means that the interrupt is
 * not expected: if it comes, the CPU panics.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct trap_frame {
	uint64_t x[32]; /* x[0] is not used */
	uint64_t pc;
	uint64_t sstatus;
};

typedef void trap_hook(struct trap_frame *frame);

/* The cause of a trap that ends the run. */
struct trap_cause {
	const char *name;
	uint64_t scause;
	uint64_t address; /* stval: the address that failed, the instruction, or 0 */
	bool has_address; /* it is an address */
	bool off_stack;	  /* the stack had no room left for the trap's frame */
};

/* Of a value of scause, as the privileged specification names it. */
const char *trap_name(uint64_t scause);

/* For exceptions, interrupts without a hook, and traps that found no stack; does not return. */
extern void (*trap_on_exception)(const struct trap_frame *frame, const struct trap_cause *cause);

/*
 * For a trap that found no memory to save its registers in (trap_no_stack.S); on a separate stack,
 * and with translation off on this hart. Does not return. NULL: the message goes out through the
 * firmware and the machine is ended.
 */
extern void (*trap_on_fatal)(const char *message);

/* Both end here: trap_on_fatal, else the message, and the end of the machine with a failure. */
_Noreturn void trap_fatal_end(const char *message);

/*
 * Asked first about each page fault, with interrupts masked. True: the instruction is executed
 * again. NULL: no handler. Set while no other cpu takes a page fault.
 */
extern bool (*trap_on_page_fault)(void);

/*
 * In a hook: interrupts that are pending and enabled come in here, as traps one deeper, and are
 * masked again when this returns. The hook must expect whatever their hooks do.
 */
void trap_window(void);

/* Set by one cpu while the interrupt is enabled on none. */
extern trap_hook *trap_on_timer;
extern trap_hook *trap_on_software;

/* A restartable sequence: [start, end), the last instruction in it commits. */
struct restartable {
	uint64_t start, end;
};

/* All sequences of the kernel, collected by the linker. */
extern const struct restartable __restartable_start[], __restartable_end[];

/* The sequence that `pc` lies in, or NULL. */
const struct restartable *trap_restartable_at(uint64_t pc);

/* Where trap_handle() returns to, in trap_entry.S: sp is the address of the trap's frame there. */
extern const char trap_handled[];

/* The start of the restartable sequence that `pc` lies in, or pc itself when in none. */
uint64_t trap_restart_pc(uint64_t pc);
