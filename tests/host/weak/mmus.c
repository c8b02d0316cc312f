/* SPDX-License-Identifier: BSD-2-Clause */
/* mmus.c - see mmus.h, and harts.h for what an MMU does. */
#include "tests/host/weak/mmus.h"

#include <port.h>

#include <string.h>

#include "arch/riscv/fence.h"
#include "arch/riscv/trap.h"
#include "mm/global/zone.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/model.h"

#define KEPT_MAX    8
#define ASIDS	    8
#define ENTRY_VALID UINT64_C(1)
#define ENTRY_WRITE UINT64_C(4)
#define ENTRY_LEAF  UINT64_C(14)
#define ENTRY_SHIFT 10
#define ROOT_MASK   ((UINT64_C(1) << 44) - 1)

struct kept {
	bool valid;
	uint64_t asid, page, entry; /* 0: the page is not mapped */
	struct clocks walked;
};

struct mmu {
	uint64_t satp, satp_next;
	struct kept kept[KEPT_MAX];
	unsigned kept_next;
	uint64_t last_page;
	uint32_t flushes; /* and writes of satp */
	/* The first write of satp with this ASID since all was flushed: no walk of its tables is older. */
	uint32_t since[ASIDS];
};

bool (*trap_on_page_fault)(void);
uint64_t harts_asid_max;

static struct mmu mmus[WEAK_CPUS_MAX];

static struct mmu *self(void)
{
	return &mmus[host_self->number];
}

void mmus_start(uint64_t satp)
{
	memset(mmus, 0, sizeof(mmus));
	for (unsigned cpu = 0; cpu < WEAK_CPUS_MAX; cpu++)
		mmus[cpu].satp = satp;
}

static unsigned asid_of(uint64_t satp)
{
	unsigned asid = satp >> 44 & 0xffff;

	if (asid >= ASIDS)
		weak_fail("ASID %u, and harts have %u", asid, ASIDS);
	return asid;
}

static struct kept *find(struct mmu *mmu, uint64_t page)
{
	for (unsigned i = 0; i < KEPT_MAX; i++)
		if (mmu->kept[i].valid && mmu->kept[i].page == page &&
		    mmu->kept[i].asid == asid_of(mmu->satp))
			return &mmu->kept[i];
	return NULL;
}

static bool is_in_a_space(const struct mmu *mmu)
{
	return mmu->satp >> 60 != 0 && mmu->satp != HARTS_KERNEL_SATP;
}

static uint64_t *table_at(uint64_t frame)
{
	const struct zone *zone = &zones.zone[0];

	if (frame - zone->first >= zone->total_frames ||
	    zone_frame_state(zone, frame) == FRAME_STATE_FREE)
		weak_fail("cpu %u walks frame %#llx, which is not allocated", host_self->number,
			  (unsigned long long)frame);
	return port_phys_pointer(frame << 12);
}

/* False: the hart was told to flush meanwhile, or satp was written. No walk goes on after that. */
static bool walk(struct mmu *mmu, uint64_t page, uint64_t *found)
{
	uint64_t table = mmu->satp & ROOT_MASK, entry;
	struct weak_walk walk = {&mmu->flushes, mmu->flushes, mmu->since[asid_of(mmu->satp)]};

	for (unsigned level = 2;; level--) {
		uint64_t *entries = table_at(table);

		if (!weak_walk(&entries[page >> (9 * level) & 511], &walk, &entry,
			       WEAK_SITE("a walk", 0, 0)))
			return false;
		*found = entry & ENTRY_VALID ? entry : 0;
		if (!(entry & ENTRY_VALID) || level == 0 || entry & ENTRY_LEAF)
			return true;
		table = entry >> ENTRY_SHIFT;
	}
}

static const struct kept *keep(struct mmu *mmu, uint64_t page)
{
	struct kept *kept;
	uint64_t entry;

	do
		memset(&views[weak_cpu()].walked, 0, sizeof(struct clocks));
	while (!walk(mmu, page, &entry));
	kept = &mmu->kept[mmu->kept_next++ % KEPT_MAX];
	*kept = (struct kept){true, asid_of(mmu->satp), page, entry, views[weak_cpu()].walked};
	return kept;
}

void harts_expect(uint64_t address)
{
	for (unsigned cpu = 0; cpu < WEAK_CPUS_MAX; cpu++)
		mmus[cpu].last_page = address >> 12;
}

/* As soon as it may, the hart walks the page that it has accessed last. */
static void walk_unasked(struct mmu *mmu)
{
	if (is_in_a_space(mmu) && mmu->last_page && !find(mmu, mmu->last_page) && weak_chance())
		keep(mmu, mmu->last_page);
}

/* Of all pages, or of one. */
static void drop_kept(struct mmu *mmu, uint64_t page)
{
	for (unsigned i = 0; i < KEPT_MAX; i++)
		if (page == HARTS_ALL_PAGES || mmu->kept[i].page == page >> 12)
			mmu->kept[i].valid = false;
	if (page == HARTS_ALL_PAGES)
		memset(mmu->since, 0, sizeof(mmu->since));
	mmu->flushes++;
}

static void load_satp(uint64_t cpu)
{
	mmus[cpu].satp = mmus[cpu].satp_next;
	mmus[cpu].flushes++;
}

uint64_t harts_read_satp(void)
{
	return self()->satp;
}

void harts_write_satp(uint64_t value)
{
	struct mmu *mmu = self();
	uint64_t instant;

	mmu->satp_next = value & ~((UINT64_C(0xffff) & ~harts_asid_max) << 44);
	instant = weak_device_out(load_satp, host_self->number, WEAK_SITE("satp", 0, 0));
	if (!mmu->since[asid_of(mmu->satp)])
		mmu->since[asid_of(mmu->satp)] = (uint32_t)instant;
	walk_unasked(mmu);
}

void harts_fence_translations(uint64_t page, struct weak_site *site)
{
	struct mmu *mmu = self();

	weak_fence_walks(site);
	drop_kept(mmu, page);
	walk_unasked(mmu);
}

static bool fault_is_stale(void)
{
	bool masked = weak_irq_save(), stale;

	host_self->in_trap = true;
	stale = trap_on_page_fault && trap_on_page_fault();
	host_self->in_trap = false;
	weak_irq_restore(masked);
	return stale;
}

/* NULL: it faults. */
static const struct kept *translate(uint64_t address, uint64_t wanted)
{
	struct mmu *mmu = self();
	uint64_t page = address >> 12;

	mmu->last_page = page;
	for (;;) {
		const struct kept *kept = find(mmu, page);

		if (!kept)
			kept = keep(mmu, page);
		if ((kept->entry & wanted) == wanted)
			return kept;
		if (!fault_is_stale())
			return NULL;
	}
}

static uint64_t *access_through(const struct kept *kept, bool writes)
{
	uint64_t *word = port_phys_pointer((kept->entry >> ENTRY_SHIFT & ROOT_MASK) << 12);

	races_through(&kept->walked, word, sizeof(*word), writes);
	return word;
}

bool harts_load(uint64_t address, uint64_t *value)
{
	const struct kept *kept = translate(address, ENTRY_VALID);

	if (kept)
		*value = *access_through(kept, false);
	return kept != NULL;
}

bool harts_store(uint64_t address, uint64_t value)
{
	const struct kept *kept = translate(address, ENTRY_VALID | ENTRY_WRITE);

	if (kept)
		*access_through(kept, true) = value;
	return kept != NULL;
}

void mmus_drop(unsigned cpu)
{
	drop_kept(&mmus[cpu], HARTS_ALL_PAGES);
}
