/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.c - the life of a space: create, destroy, enter, leave; see space.h.
 *
 * The writer of each field of struct space. `table`: the holder of `lock` (space_change.c,
 * space_fault.c), and create and destroy, which have the space to themselves. `cpu_mask`: each cpu
 * its own bit. `inside`: the cpu that enters or leaves. `flushing`: the holder of `lock` adds,
 * space_end_flush() takes away. `maps`: the cpu that has mapped, after it has released the lock.
 *
 * Order of locks: two spaces' (space_clone), `from` first; no other cpu uses `to` yet. No other
 * lock is taken under them, for nothing is allocated or freed there: the frames that a change needs
 * are in a reserve before it, and the frames that it has taken out are in a gather after it. So no
 * cpu waits for another cpu while it holds a space's lock (`make lint` follows the calls).
 * Interrupts stay enabled while a lock is held or waited for.
 */
#include "kernel/vm/space_private.h"

#include <string.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/vm/heap_guard.h"
#include "kernel/vm/kernel_space.h"
#include "mm/check.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "sync/counter_start.h"

bool spaces_open(void)
{
	const struct zone *last = &zones.zone[zones.count - 1];
	uint64_t first = zones.zone[0].first;

	if (kernel_space_satp() == MMU_OFF || !space_asids_open())
		return false;
	trap_on_page_fault = space_fault_is_stale;
	if (frame_refs_init(&space_refs, first, last->first + last->total_frames - first))
		return true;
	space_asids_close();
	return false;
}

void spaces_close(void)
{
	frame_refs_end(&space_refs);
	space_asids_close();
}

/*
 * With many cpus the statistics of a lock are larger than a frame, and a policy may have no runs of
 * frames. Then this lock has no statistics, if its kind works without memory.
 */
static bool make_lock(struct space *space, enum spin_kind kind)
{
	size_t lock_bytes = spin_bytes(port_cpu_count());
	size_t cpu_mask_bytes = space_mask_words() * sizeof(uint64_t);

	space->memory = kmalloc_aligned(lock_bytes + cpu_mask_bytes, 64);
	if (!space->memory && !spin_kind_needs_memory(kind)) {
		lock_bytes = 0;
		space->memory = kmalloc_aligned(cpu_mask_bytes, 64);
	}
	if (!space->memory)
		return false;
	space->cpu_mask = (uint64_t *)((char *)space->memory + lock_bytes);
	memset(space->cpu_mask, 0, cpu_mask_bytes);
	spin_init(&space->lock, "space", kind, port_cpu_count(), lock_bytes ? space->memory : NULL);
	return true;
}

enum page_status space_create(struct space *space)
{
	uint16_t asid = space_asid_take();
	enum page_status status = PAGE_NO_FRAMES;

	memset(space, 0, sizeof(*space));
	space->maps = TICKET_START;
	if (!make_lock(space, zones.zone[0].lock.kind))
		goto no_memory;
	status = page_table_create(&space->table, kernel_space_levels(), asid);
	if (status != PAGE_OK)
		goto no_table;
	status = kernel_space_map_into(&space->table);
	if (status == PAGE_OK) {
		heap_guard_share(&space->table);
		return PAGE_OK;
	}
	page_table_destroy(&space->table, NULL, NULL);
no_table:
	kfree(space->memory);
no_memory:
	if (asid)
		space_asid_give(asid);
	return status;
}

void space_destroy(struct space *space)
{
	uint32_t inside = ck_pr_load_32(&space->inside);

	check(inside == 0, "space: destroyed while %u cpus are in it", inside);
	ck_pr_fence_acquire(); /* pairs with space_leave */
	space_flush(space, 0, UINT64_MAX);
	heap_guard_unshare(&space->table);
	page_table_destroy(&space->table, space_drop_frames, NULL);
	if (space->table.asid)
		space_asid_give(space->table.asid);
	kfree(space->memory);
}

/*
 * A fence does not order writes to tables before the walks that a new satp begins; SFENCE.VMA does.
 * A cpu that stayed in cpu_mask has executed one for each change, so it needs none here.
 */
void space_enter(struct space *space)
{
	struct cpu *self = cpu_self();
	bool is_new, keeps;

	check(!self->space, "cpu %u enters a space and is in another", port_cpu());
	ck_pr_inc_32(&space->inside);
	is_new = space_mask_set(space);
	keeps = space->table.asid && !is_new;
	self->maps_seen = keeps ? SPACE_MAPS_NONE_SEEN : space_maps_until_now(space);
	self->space = space;
	if (keeps)
		mmu_switch(page_table_satp(&space->table));
	else
		mmu_use(page_table_satp(&space->table));
}

void space_leave(void)
{
	struct space *space = cpu_self()->space;

	check(space, "cpu %u leaves a space and is in none", port_cpu());
	cpu_self()->space = NULL;
	if (space->table.asid) {
		mmu_switch(kernel_space_satp());
	} else {
		mmu_use(kernel_space_satp());
		space_mask_clear(space);
	}
	ck_pr_fence_release(); /* satp, and what it did in the space; pairs with space_destroy */
	ck_pr_dec_32(&space->inside);
}
