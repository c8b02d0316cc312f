/*
 * classic.c - see classic.h.
 *
 * In the shape of xv6's kalloc over push_off and pop_off, without its filling of every frame
 * with junk, which would cost more than all the rest. The hart id is in a CSR (sscratch), where
 * a kernel in S-mode keeps it when tp is its user's.
 */
#include "tests/smp/classic.h"

#include <stdbool.h>

#include "arch/riscv/csr.h"
#include "mm/frame.h"
#include "sync/spinlock.h"

struct free_frame {
	struct free_frame *next;
};

static struct {
	ck_spinlock_fas_t lock;
	uint64_t holder;
	struct free_frame *list;
} classic;

struct masked {
	unsigned long flags;
	uint64_t hart;
};

void classic_set_hart(void)
{
	csr_write(sscratch, arch_cpu_self()->hart_id);
}

static struct masked push_off(void)
{
	unsigned long flags = csr_read(sstatus);

	csr_clear(sstatus, SSTATUS_SIE);
	return (struct masked){flags, csr_read(sscratch)};
}

static void pop_off(struct masked masked)
{
	check(csr_read(sscratch) == masked.hart, "classic: moved to another hart");
	if (masked.flags & SSTATUS_SIE)
		csr_set(sstatus, SSTATUS_SIE);
}

static struct masked acquire(void)
{
	struct masked masked = push_off();

	ck_spinlock_fas_lock(&classic.lock);
	classic.holder = masked.hart;
	return masked;
}

static void release(struct masked masked)
{
	check(classic.holder == csr_read(sscratch), "classic: released by another hart");
	ck_spinlock_fas_unlock(&classic.lock);
	pop_off(masked);
}

void classic_init(pfn_t first, uint64_t count)
{
	ck_spinlock_fas_init(&classic.lock);
	classic.list = NULL;
	for (uint64_t i = count; i--;)
		classic_free(pfn_add(first, i));
}

pfn_t classic_alloc(void)
{
	struct masked masked = acquire();
	struct free_frame *frame = classic.list;

	if (frame)
		classic.list = frame->next;
	release(masked);
	return frame ? pfn_floor(phys(port_phys_address(frame))) : PFN_NONE;
}

void classic_free(pfn_t frame)
{
	struct free_frame *free = frame_bytes(frame);
	struct masked masked = acquire();

	free->next = classic.list;
	classic.list = free;
	release(masked);
}
