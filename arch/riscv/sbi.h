/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sbi.h - calls into the firmware (RISC-V Supervisor Binary Interface 1.0).
 *
 * Every answer is a struct sbi_result that must be looked at: error is 0 or one of the negative
 * codes of chapter 3.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SBI_MUST_USE __attribute__((warn_unused_result))

struct sbi_result {
	long error;
	unsigned long value;
};

enum sbi_hart_state {
	SBI_HART_STARTED,
	SBI_HART_STOPPED,
	SBI_HART_START_PENDING,
	SBI_HART_STOP_PENDING,
	SBI_HART_SUSPENDED,
	SBI_HART_SUSPEND_PENDING,
	SBI_HART_RESUME_PENDING
};

enum sbi_extension {
	SBI_BASE = 0x10,
	SBI_TIME = 0x54494d45,
	SBI_IPI = 0x735049,
	SBI_HSM = 0x48534d,
	SBI_RFENCE = 0x52464e43,
	SBI_SRST = 0x53525354,
	SBI_DBCN = 0x4442434e
};

SBI_MUST_USE bool sbi_has(enum sbi_extension extension);

/* major << 24 | minor of the specification the firmware implements. */
SBI_MUST_USE struct sbi_result sbi_spec_version(void);
/* Which firmware (1: OpenSBI), and its version in the firmware's own form. */
SBI_MUST_USE struct sbi_result sbi_implementation_id(void);
SBI_MUST_USE struct sbi_result sbi_implementation_version(void);

/* Starts a stopped hart at the physical address `start` with a1 = opaque. */
SBI_MUST_USE struct sbi_result sbi_hart_start(uint64_t hart_id, uint64_t start, uint64_t opaque);
/* Stops the calling hart; returns only when that failed. */
SBI_MUST_USE struct sbi_result sbi_hart_stop(void);
SBI_MUST_USE struct sbi_result sbi_hart_status(uint64_t hart_id);
/*
 * Suspends the calling hart until an interrupt that is let in is pending; it keeps its state. Where
 * it would resume is not used, but OpenSBI 1.1 keeps it as the hart's next start (hart.c).
 */
SBI_MUST_USE struct sbi_result sbi_hart_suspend(uint64_t resume, uint64_t opaque);

/*
 * A software interrupt for the harts first_hart + i, for each bit i of mask. Some firmware refuses
 * all of a mask in which one hart is stopped, and interrupts none of the others (OpenSBI 1.7 to 1.9).
 */
SBI_MUST_USE struct sbi_result sbi_send_ipi(uint64_t mask, uint64_t first_hart);

/*
 * SFENCE.VMA for [start, start + bytes), of all address spaces, on the harts first_hart + i for each
 * bit i of mask; bytes = -1: for all addresses. Returns when all of them have done it.
 */
SBI_MUST_USE struct sbi_result sbi_remote_sfence(uint64_t mask, uint64_t first_hart, uint64_t start,
						 uint64_t bytes);

/* The next timer interrupt of the calling hart, at this value of the time CSR. */
SBI_MUST_USE struct sbi_result sbi_set_timer(uint64_t when_ticks);

/* Debug console: writes up to `bytes` bytes at a physical address; value is how many it took. */
SBI_MUST_USE struct sbi_result sbi_console_write(uint64_t bytes, uint64_t address);
/* Legacy console, one byte; read: -1 when none has come. */
void sbi_legacy_putchar(int byte);
int sbi_legacy_getchar(void);

/* Shutdown; reason 0: none, 1: system failure. Returns only when that failed. */
SBI_MUST_USE struct sbi_result sbi_shutdown(uint32_t reason);
