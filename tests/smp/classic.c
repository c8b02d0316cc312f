/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * classic.c - see classic.h.
 *
 * In the shape of xv6's kalloc: acquire and release over push_off and pop_off, which count how
 * deep interrupts are masked and read their own number each time they ask for their own structure,
 * and a check of the lock's holder on either side. Two things differ, one each way: it does not
 * fill frames with junk, which would cost more than all the rest; and a kernel in S-mode that
 * leaves tp to its user has its own number in a CSR (sscratch), so reading it is a CSR read.
 */
#include "tests/smp/classic.h"

#include <stdbool.h>

#include "arch/riscv/csr.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "sync/spinlock.h"

struct free_frame {
	struct free_frame *next;
};

struct classic_cpu {
	_Alignas(64) int depth; /* of push_off */
	bool enabled_before;
};

#define CLASSIC_CPUS 64
#define NO_HOLDER    UINT64_MAX

static struct {
	ck_spinlock_fas_t lock;
	uint64_t holder;
	struct free_frame *list;
	struct classic_cpu cpu[CLASSIC_CPUS];
} classic;

void classic_set_cpu(void)
{
	check(port_cpu() < CLASSIC_CPUS, "classic: cpu %u, a classic has room for %u", port_cpu(),
	      CLASSIC_CPUS);
	csr_write(sscratch, (unsigned long)port_cpu());
}

static uint64_t cpu_id(void)
{
	return csr_read(sscratch);
}

static bool interrupts_on(void)
{
	return csr_read(sstatus) & SSTATUS_SIE;
}

static void push_off(void)
{
	bool before = interrupts_on();
	struct classic_cpu *cpu;

	csr_clear(sstatus, SSTATUS_SIE);
	cpu = &classic.cpu[cpu_id()];
	if (cpu->depth++ == 0)
		cpu->enabled_before = before;
}

static void pop_off(void)
{
	struct classic_cpu *cpu = &classic.cpu[cpu_id()];

	check(!interrupts_on(), "classic: pop_off with interrupts on");
	check(cpu->depth > 0, "classic: pop_off without push_off");
	if (--cpu->depth == 0 && cpu->enabled_before)
		csr_set(sstatus, SSTATUS_SIE);
}

static void acquire(void)
{
	push_off();
	check(classic.holder != cpu_id(), "classic: acquired twice");
	ck_spinlock_fas_lock(&classic.lock);
	classic.holder = cpu_id();
}

static void release(void)
{
	check(classic.holder == cpu_id(), "classic: released by another cpu");
	classic.holder = NO_HOLDER;
	ck_spinlock_fas_unlock(&classic.lock);
	pop_off();
}

void classic_init(pfn_t first, uint64_t count)
{
	ck_spinlock_fas_init(&classic.lock);
	classic.holder = NO_HOLDER;
	classic.list = NULL;
	for (uint64_t i = count; i--;)
		classic_free(pfn_add(first, i));
}

pfn_t classic_alloc(void)
{
	struct free_frame *frame;

	acquire();
	frame = classic.list;
	if (frame)
		classic.list = frame->next;
	release();
	return frame ? pfn_floor(phys(port_phys_address(frame))) : PFN_NONE;
}

void classic_free(pfn_t frame)
{
	struct free_frame *free = frame_bytes(frame);

	acquire();
	free->next = classic.list;
	classic.list = free;
	release();
}
