/*
 * trap.h - traps: restart of interrupted sequences, hooks for the two interrupts, panics for all
 * the rest.
 *
 * A hook runs on the interrupted cpu, with interrupts masked, inside trap_handle: port_in_trap()
 * is true. It may allocate and free frames. NULL (the state at boot) means the interrupt is not
 * expected, and one that comes is a panic.
 */
#pragma once

#include <stdint.h>

struct trap_frame {
	uint64_t x[32]; /* x[0] is not used */
	uint64_t pc;
};

typedef void trap_hook(struct trap_frame *frame);

/* Set by one cpu while the interrupt is enabled on none. */
extern trap_hook *trap_on_timer;
extern trap_hook *trap_on_software;

/* A restartable sequence: [start, end), the last instruction in it commits. */
struct restartable {
	uint64_t start, end;
};

/* The sequence that `pc` lies in, or NULL. */
const struct restartable *trap_restartable_at(uint64_t pc);

/* The start of the restartable sequence that `pc` lies in, or pc itself when in none. */
uint64_t trap_restart_pc(uint64_t pc);
