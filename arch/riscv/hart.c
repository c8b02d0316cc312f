/* SPDX-License-Identifier: BSD-2-Clause */
/* hart.c - see hart.h. */
#include "arch/riscv/hart.h"

#include "sync/ck.h"

#include <port.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/fence.h"
#include "arch/riscv/sbi.h"

void secondary_entry(void);
void leave_entry(void);

uint64_t hart_time(void)
{
	return csr_read(time);
}

/*
 * OpenSBI 1.1 marks the hart as to be started before it writes down where (sbi_hsm_hart_start): a
 * hart that happens to be awake just then starts where the boot hart did, at _start, with the
 * boot hart's argument. entry.S sends it on from there if it is the awaited hart. Seen when
 * a timer of the starting hart ended its turn between the two; any delay there will do.
 *
 * A hart that is started again comes in, in that case, where it came in last, with the argument it
 * had then: at secondary_entry with its own arrival, which is why that is used again; the boot hart
 * at _start once more. And the firmware overwrites both at each suspend, with what it is given.
 */
extern struct hart_arrival *hart_awaited; /* in entry.S */

void (*hart_is_late)(uint64_t hart_id);

/*
 * The fence before the call pairs with the fence at secondary_entry: our stores come before the
 * firmware's stores and its IPI, and the hart reads our stores after those. The hart's swap in
 * entry.S and our compare-and-swap decide between them whether it came in time. Either a load or
 * the compare-and-swap finds that it came: the acquire fence behind both pairs with the swap's
 * release.
 */
enum hart_start_result hart_start(uint64_t hart_id, struct hart_arrival *arrival,
				  struct arch_cpu *block, uint64_t bound_ticks, long *error)
{
	uint64_t started = hart_time();
	bool told = false, lost = false;
	struct sbi_result result;

	arrival->state = 0;
	arrival->block = block;
	arrival->hart_id = hart_id;
	hart_awaited = arrival;
	arch_fence_memory_to_device();
	result = sbi_hart_start(hart_id, (uint64_t)(uintptr_t)secondary_entry,
				(uint64_t)(uintptr_t)arrival);
	*error = result.error;
	if (result.error)
		return HART_START_REFUSED;
	while (ck_pr_load_32(&arrival->state) == 0) {
		if (!told && hart_is_late && hart_time() - started >= bound_ticks / 10) {
			told = true;
			ck_pr_fence_acquire(); /* as below: it may have come at this moment */
			hart_is_late(hart_id);
		}
		if (hart_time() - started < bound_ticks) {
			port_relax();
			continue;
		}
		lost = ck_pr_cas_32(&arrival->state, 0, HART_GIVEN_UP);
		break;
	}
	ck_pr_fence_acquire();
	return lost ? HART_START_LOST : HART_START_OK;
}

/* The fence is that of every start of a hart; this hart reads nothing that others have written. */
void hart_settle(uint64_t hart_id)
{
	struct sbi_result result;

	arch_fence_memory_to_device();
	result = sbi_hart_start(hart_id, (uint64_t)(uintptr_t)leave_entry, 0);
	(void)result; /* a firmware that refuses leaves the hart as it was */
}

bool hart_is_stopped(uint64_t hart_id)
{
	struct sbi_result result = sbi_hart_status(hart_id);

	return result.error == 0 && result.value == SBI_HART_STOPPED;
}

bool hart_ipi_send(uint64_t base, uint64_t mask)
{
	struct sbi_result result;

	/*
	 * The stores that the IPI announces come before it; pairs with the fence in hart_ipi_clear.
	 */
	arch_fence_memory_to_device();
	result = sbi_send_ipi(mask, base);
	return result.error == 0;
}

bool hart_irqs_are_masked(void)
{
	return !(csr_read(sstatus) & SSTATUS_SIE);
}

void hart_ipi_enable(void)
{
	csr_set(sie, SIE_SOFTWARE);
	csr_set(sstatus, SSTATUS_SIE);
}

void hart_wait(void)
{
	wait_for_interrupt();
}

/* A firmware that refuses once is not asked again. */
static uint32_t cannot_suspend;

void hart_sleep(struct hart_arrival *arrival)
{
	struct sbi_result result;

	if (!ck_pr_load_32(&cannot_suspend)) {
		result = sbi_hart_suspend((uint64_t)(uintptr_t)secondary_entry,
					  (uint64_t)(uintptr_t)arrival);
		if (result.error == 0)
			return;
		ck_pr_store_32(&cannot_suspend, 1);
	}
	hart_wait();
}

bool hart_is_asleep(uint64_t hart_id)
{
	struct sbi_result result = sbi_hart_status(hart_id);

	return result.error == 0 && result.value == SBI_HART_SUSPENDED;
}

bool hart_can_sleep(void)
{
	return !ck_pr_load_32(&cannot_suspend);
}

void hart_ipi_clear(void)
{
	csr_clear(sip, SIE_SOFTWARE);
	/* And the look for it after the IPI is gone; pairs with the fence in hart_ipi_send. */
	arch_fence_device_to_memory();
}

static bool has_sstc;

void hart_timer_has_sstc(bool has)
{
	has_sstc = has;
}

/*
 * No fence: the timer is this hart's own, and so is its handler, which sees what this hart wrote
 * before it armed the timer, as any later instruction of the hart does.
 */
void hart_timer_arm(uint64_t when_ticks)
{
	struct sbi_result result;

	if (has_sstc) {
		csr_write(CSR_STIMECMP, when_ticks);
		return;
	}
	result = sbi_set_timer(when_ticks);
	(void)result; /* the call cannot fail where the extension exists, and it is mandatory */
}

void hart_timer_disarm(void)
{
	hart_timer_arm(UINT64_MAX);
}

void hart_timer_enable(void)
{
	csr_set(sie, SIE_TIMER);
}

void hart_timer_disable(void)
{
	csr_clear(sie, SIE_TIMER);
}
