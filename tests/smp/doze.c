/* SPDX-License-Identifier: BSD-2-Clause */
/* doze.c - see doze.h. */
#include "tests/smp/doze.h"

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "sync/ck.h"

static uint32_t awake = 1;

/* What ends a WFI. */
static bool is_pending(void)
{
	return csr_read(sip) & csr_read(sie);
}

/* The count orders nothing: it only says whether QEMU has another hart to go on with. */
static void count_off(void)
{
	if (ck_pr_faa_32(&awake, (uint32_t)-1) != 1)
		return;
	while (!ck_pr_load_32(&awake) && !is_pending())
		continue;
}

void doze_enter(void)
{
	ck_pr_inc_32(&awake);
}

void doze_leave(void)
{
	count_off();
}

void doze(void)
{
	count_off();
	hart_wait();
	ck_pr_inc_32(&awake);
}
