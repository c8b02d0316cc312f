/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor_input.c - see monitor_input.h. */
#include "kernel/diag/monitor_input.h"

#include <stddef.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/sbi.h"
#include "arch/riscv/trap.h"
#include "kernel/diag/console.h"
#include "kernel/settings.h"

/* Between two looks for a key; short for a hand, long for the host. */
#define LOOKS_A_SECOND 50

/* After a byte the next one may be on its way through the emulator: so long it is looked for without sleep. */
#define PATIENCE_PER_SECOND 500

#define KEY_INTERRUPT 3

/* Typed ahead: a ring. */
#define KEPT_BYTES 4096

static struct {
	unsigned char byte[KEPT_BYTES];
	unsigned first, count;
	bool after_return; /* the last byte that came was a carriage return */
	bool is_interrupted;
	void (*on_interrupt)(void);
} input;

/* -1: none has come. */
static int read_byte(void)
{
	int byte = sbi_legacy_getchar();
	bool is_second = byte == '\n' && input.after_return;

	if (byte < 0)
		return byte;
	input.after_return = byte == '\r';
	return is_second ? sbi_legacy_getchar() : byte & 0xff;
}

/* ---- while the monitor waits ----------------------------------------------------------------- */

static void sleep_until(uint64_t when)
{
	unsigned long flags = port_irq_save();

	hart_timer_arm(when);
	hart_timer_enable();
	hart_wait();
	hart_timer_disable();
	hart_timer_disarm();
	port_irq_restore(flags);
}

static uint64_t in_a(unsigned part_of_second)
{
	return hart_time() + settings.timebase / part_of_second;
}

unsigned char monitor_key(void)
{
	uint64_t patience = in_a(PATIENCE_PER_SECOND);
	int byte;

	if (input.count) {
		unsigned at = input.first;

		input.first = (input.first + 1) % KEPT_BYTES;
		input.count--;
		return input.byte[at];
	}
	byte = read_byte();
	if (byte < 0)
		console_flush();
	while (byte < 0) {
		if (hart_time() > patience)
			sleep_until(in_a(LOOKS_A_SECOND));
		byte = read_byte();
	}
	return (unsigned char)byte;
}

/* ---- while a command runs --------------------------------------------------------------------- */

static void keep(unsigned char byte)
{
	input.byte[(input.first + input.count++) % KEPT_BYTES] = byte;
}

static void interrupt(void)
{
	void (*on_interrupt)(void) = input.on_interrupt;

	input.count = 0;
	input.is_interrupted = true;
	input.on_interrupt = NULL;
	if (on_interrupt)
		on_interrupt();
}

/* Takes what has come. */
static void look(void)
{
	int byte;

	while (input.count < KEPT_BYTES && (byte = read_byte()) >= 0) {
		if (byte == KEY_INTERRUPT)
			interrupt();
		else
			keep((unsigned char)byte);
	}
}

void monitor_command_begins(void)
{
	input.is_interrupted = false;
}

bool monitor_is_interrupted(void)
{
	look();
	return input.is_interrupted;
}

bool monitor_has_key(void)
{
	look();
	return input.count != 0;
}

void monitor_sleep_until(uint64_t when)
{
	unsigned kept = input.count;

	console_flush();
	for (look(); hart_time() < when && input.count == kept && !input.is_interrupted; look()) {
		uint64_t next = in_a(LOOKS_A_SECOND);

		sleep_until(next < when ? next : when);
	}
}

static void on_timer(struct trap_frame *frame)
{
	(void)frame;
	look();
	hart_timer_arm(in_a(LOOKS_A_SECOND));
}

void monitor_watch_for_interrupt(void (*on_interrupt)(void))
{
	input.on_interrupt = on_interrupt;
	trap_on_timer = on_timer;
	hart_timer_arm(in_a(LOOKS_A_SECOND));
	hart_timer_enable();
}

void monitor_stop_watching(void)
{
	hart_timer_disable();
	hart_timer_disarm();
	trap_on_timer = NULL;
	input.on_interrupt = NULL;
}
