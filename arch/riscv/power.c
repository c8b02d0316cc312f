/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * power.c - the end of the machine: hart_power_off() and hart_halt() of hart.h.
 *
 * Two requests can end it: a store to the test finisher, which carries a status out, and the
 * firmware's shutdown (SBI SRST), which carries none out. A machine may act on the first one late:
 * QEMU 9 and 10 only note a request, go on running the guest for a moment, and end with the status
 * of the latest request. So the shutdown is requested only when the finisher has had its time and
 * the machine still runs: then the finisher does nothing here.
 */
#include "arch/riscv/hart.h"

#include <port.h>

#include "arch/riscv/power.h"
#include "arch/riscv/sbi.h"

#define FINISHER_PASS 0x5555
#define FINISHER_FAIL (1u << 16 | 0x3333)

/*
 * The time CSR may run much faster than the host, under QEMU's -icount for one; looks at it are
 * instructions, which the host has to execute.
 */
#define LOOKS_AT_LEAST (UINT64_C(1) << 26)

static void wait_for_the_end(uint64_t patience_ticks)
{
	uint64_t start = hart_time();

	for (uint64_t looks = 0; looks < LOOKS_AT_LEAST || hart_time() - start < patience_ticks;
	     looks++)
		port_relax();
}

void hart_power_off(uint64_t finisher, uint64_t patience_ticks, bool pass)
{
	struct sbi_result result;

	/* A handler has nothing more to do, and must not print after the verdict. */
	port_irq_save();
	if (finisher) {
		volatile uint32_t *registers = port_phys_pointer(finisher);

		power_fence_before_store();
		*registers = pass ? FINISHER_PASS : FINISHER_FAIL;
		power_fence_after_store();
		wait_for_the_end(patience_ticks);
	}
	result = sbi_shutdown(!pass);
	(void)result;
}

void hart_halt(void)
{
	for (;;)
		power_stop();
}
