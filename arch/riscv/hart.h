/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hart.h - starting harts through SBI HSM, waking them, ending the machine.
 */
#pragma once

#define HART_ARRIVED	   1
#define HART_GIVEN_UP	   2
#define HART_ARRIVAL_BLOCK 8
#define HART_ARRIVAL_ID	   16

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/riscv/cpu.h"

/*
 * The arguments of a starting hart, and the word by which it and the starter agree whether it came.
 */
struct hart_arrival {
	uint32_t state; /* 0; then HART_ARRIVED or HART_GIVEN_UP, whichever comes first */
	struct arch_cpu *block;
	uint64_t hart_id;
};

_Static_assert(offsetof(struct hart_arrival, state) == 0, "entry.S");
_Static_assert(offsetof(struct hart_arrival, block) == HART_ARRIVAL_BLOCK, "entry.S");
_Static_assert(offsetof(struct hart_arrival, hart_id) == HART_ARRIVAL_ID, "entry.S");

enum hart_start_result {
	HART_START_OK,
	HART_START_REFUSED, /* the firmware said no */
	HART_START_LOST	    /* accepted, but the hart did not come within the bound */
};

/*
 * Starts the hart as the cpu of `block`, whose stack_top is set, and waits until it has come or
 * `bound_ticks` of the time CSR are over. A hart that comes later than that parks itself.
 * `arrival` belongs to the hart for ever, and is used again when it is started again. *error is the
 * firmware's, where it refused. Interrupts stay as they are: a caller that other harts may wait for
 * lets them in (cpu_start does; at boot no hart waits for the hart that starts the others).
 */
enum hart_start_result hart_start(uint64_t hart_id, struct hart_arrival *arrival,
				  struct arch_cpu *block, uint64_t bound_ticks, long *error);

/* Called once for a hart that has not come when a tenth of its bound is over; NULL: no call. */
extern void (*hart_is_late)(uint64_t hart_id);

/*
 * In a handler, with interrupts masked: the hart stops here, once it has stored `said` into *word,
 * and a hart that sees that sees what it wrote before. Returns 0 when hart_start has brought it
 * back with the same block (all that a call preserves, and sie, as they were); else the
 * firmware's error: it has not stopped. Its timer is neither armed nor disarmed then.
 */
long hart_stop_here(uint32_t *word, uint32_t said);

/*
 * Starts a stopped hart that is not used and lets it stop at once; does not wait for that. OpenSBI 1.1
 * leaves an IPI pending in harts that it has never started, so their `wfi` returns at once, again and
 * again. When they have been started once, they sleep.
 */
void hart_settle(uint64_t hart_id);

/* The firmware says that the hart is stopped: started, it would come in. */
bool hart_is_stopped(uint64_t hart_id);

/*
 * An IPI to the harts base + i, for each bit i of mask: a software interrupt, which also wakes a
 * hart that waits in hart_wait(). A hart that has taken the IPI (hart_ipi_clear) sees what the
 * caller wrote before. One call into the firmware. False: it has refused, because a hart of the
 * mask is stopped, stopping, or absent; the other harts may not have got the IPI either. Any
 * context.
 */
__attribute__((warn_unused_result)) bool hart_ipi_send(uint64_t base, uint64_t mask);

/* Whether the calling hart lets no interrupt in: masked by its code, or in a trap handler. */
bool hart_irqs_are_masked(void);

/* Lets IPIs in as interrupts, on this hart, and interrupts as such. */
void hart_ipi_enable(void);

/*
 * Sleeps until an interrupt that is let in is pending, masked or not; may return without one. With
 * interrupts masked before the look for work, no IPI after it is lost.
 */
void hart_wait(void);

/*
 * The same, for long: the firmware may put the hart to sleep deeper than `wfi` does. `arrival` is
 * the hart's own. Where the firmware cannot, it is hart_wait().
 */
void hart_sleep(struct hart_arrival *arrival);

/* Whether the firmware has that hart suspended; and whether it has refused to suspend any yet. */
bool hart_is_asleep(uint64_t hart_id);
bool hart_can_sleep(void);

/* Clears the pending IPI. Reads after this call see what the IPI announced. */
void hart_ipi_clear(void);

/* The time CSR, in ticks of the device tree's timebase-frequency. */
uint64_t hart_time(void);

/*
 * The timer interrupt of this hart, for when the time CSR reaches `when_ticks`; it replaces a timer
 * interrupt that is due or armed already. Through the Sstc extension once hart_timer_has_sstc() has
 * said that the harts have it, else through the firmware.
 */
void hart_timer_has_sstc(bool has);
void hart_timer_arm(uint64_t when_ticks);
void hart_timer_disarm(void);

/* Lets the timer interrupt in, or keeps it out. */
void hart_timer_enable(void);
void hart_timer_disable(void);

/*
 * Ends the machine. `finisher` is the address of a sifive,test0 device, which can carry a status
 * out, or 0: then the firmware shuts the machine down, and no status is carried out. The firmware
 * is asked, too, where the machine still runs `patience_ticks` of the time CSR after the store to
 * the finisher; it is never asked earlier, because the later request decides the status. In any
 * context; interrupts are masked. Returns where neither can end this machine: QEMU's sifive_u and
 * spike have no device for it.
 */
void hart_power_off(uint64_t finisher, uint64_t patience_ticks, bool pass);

/* The hart does nothing more. After hart_power_off(). */
_Noreturn void hart_halt(void);

#endif
