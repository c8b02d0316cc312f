/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults_parts.c - see faults_parts.h.
 *
 * What a part got it fills with a pattern, and compares before it frees it: so memory that was given
 * out twice after a failure is found. The sizes are such that every way of the heap is taken: slabs
 * of one frame and of several, arenas, runs, and single frames.
 */
#include "tests/smp/faults/faults_parts.h"

#include <string.h>

#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/space.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/selftest/expect.h"
#include "tests/smp/workloads/vm.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

uint64_t faults_operations_failed;

/* Counts a failed operation; returns whether it succeeded. */
static bool done(bool succeeded)
{
	if (!succeeded)
		ck_pr_inc_64(&faults_operations_failed);
	return succeeded;
}

/* ---- frames ------------------------------------------------------------------------------ */

static bool got(pfn_t frame)
{
	return done(!pfn_is_none(frame));
}

static void stamp(pfn_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		*(uint64_t *)frame_bytes(pfn_add(first, i)) = ~(first.value + i);
}

static bool is_stamped(pfn_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (*(uint64_t *)frame_bytes(pfn_add(first, i)) != ~(first.value + i))
			return false;
	return true;
}

static const char *use_frames(void)
{
	pfn_t frames[] = {frame_alloc(FRAME_ANY), frame_alloc(FRAME_ZERO),
			  frame_alloc(FRAME_NOWAIT), frame_alloc_called()};
	bool whole = true;

	for (unsigned i = 0; i < LENGTH(frames); i++)
		if (got(frames[i]))
			stamp(frames[i], 1);
	for (unsigned i = 0; i < LENGTH(frames); i++) {
		if (pfn_is_none(frames[i]))
			continue;
		whole = whole && is_stamped(frames[i], 1);
		frame_free(frames[i]);
	}
	EXPECT(whole);
	return NULL;
}

static const char *use_runs(void)
{
	static const uint16_t counts[] = {1, 8, 3, 64, 100};
	pfn_t runs[] = {frame_alloc_run(1, 1), frame_alloc_run(8, 8),
			frame_alloc_run_flags(3, 1, FRAME_NOWAIT),
			frame_alloc_run_flags(64, 64, FRAME_ZERO), frame_alloc_run(100, 0)};
	bool whole = true;

	for (unsigned i = 0; i < LENGTH(runs); i++)
		if (got(runs[i]))
			stamp(runs[i], counts[i]);
	for (unsigned i = 0; i < LENGTH(runs); i++) {
		if (pfn_is_none(runs[i]))
			continue;
		whole = whole && is_stamped(runs[i], counts[i]);
		frame_free_run(runs[i], counts[i]);
	}
	EXPECT(whole);
	return NULL;
}

/* ---- blocks ------------------------------------------------------------------------------ */

static void fill(void *block, size_t size, unsigned pattern)
{
	if (block)
		memset(block, (int)pattern, size);
}

static bool is_filled(const void *block, size_t size, unsigned pattern)
{
	const uint8_t *bytes = block;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != (uint8_t)pattern)
			return false;
	return true;
}

static const char *use_blocks(void)
{
	static const uint32_t sizes[] = {1,    100,  500,   1500,   3000,   4080,
					 4096, 5000, 20000, 131072, 300000, 16};
	void *blocks[LENGTH(sizes)];
	bool whole = true;

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		blocks[i] = i % 2 ? kmalloc(sizes[i]) : kmalloc_flags(sizes[i], 1, FRAME_NOWAIT);
		if (done(blocks[i] != NULL))
			fill(blocks[i], sizes[i], i + 1);
	}
	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		unsigned at = (5 * i + 3) % LENGTH(sizes);

		if (blocks[at])
			whole = whole && is_filled(blocks[at], sizes[at], at + 1);
		kfree(blocks[at]);
	}
	EXPECT(whole);
	return NULL;
}

static const char *use_zeroed_and_aligned(void)
{
	static const uint32_t aligns[] = {64, 4096, 8192, 65536, 262144};
	char *zeroed = kcalloc(10, 30), *large = kcalloc(3, 3000), *constant = kmalloc(48);
	char *flagged = kmalloc_flags(100, 8, FRAME_ZERO);
	void *aligned[LENGTH(aligns)];
	bool whole = true;

	if (done(zeroed != NULL))
		whole = is_filled(zeroed, 300, 0);
	if (done(flagged != NULL))
		whole = whole && is_filled(flagged, 100, 0);
	if (done(large != NULL))
		whole = whole && is_filled(large, 9000, 0);
	if (done(constant != NULL))
		fill(constant, 48, 7);
	for (unsigned i = 0; i < LENGTH(aligns); i++) {
		aligned[i] = kmalloc_aligned(100, aligns[i]);
		if (done(aligned[i] != NULL))
			whole = whole && port_phys_address(aligned[i]) % aligns[i] == 0;
		fill(aligned[i], 100, i);
	}
	for (unsigned i = 0; i < LENGTH(aligns); i++) {
		if (aligned[i])
			whole = whole && is_filled(aligned[i], 100, i);
		kfree(aligned[i]);
	}
	kfree(zeroed);
	kfree(large);
	kfree(flagged);
	kfree(constant);
	EXPECT(whole);
	return NULL;
}

/* A block that cannot grow stays as it was. */
static const char *use_growing(void)
{
	static const uint32_t sizes[] = {10, 200, 3000, 9000, 200000, 70000, 2000, 24};
	char *block = NULL;
	bool whole = true;
	size_t filled = 0;

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		char *moved = krealloc(block, sizes[i]);
		size_t kept = filled < sizes[i] ? filled : sizes[i];

		if (!done(moved != NULL)) {
			whole = whole && (!block || is_filled(block, filled, i));
		} else {
			whole = whole && is_filled(moved, kept, i);
			block = moved;
			filled = sizes[i];
		}
		fill(block, filled, i + 1);
	}
	kfree(block);
	EXPECT(whole);
	return NULL;
}

/* More blocks of a class than a slab has, so that slabs are added and given back. */
static const char *use_many_blocks(void)
{
	static void *blocks[600];
	bool whole = true;

	for (unsigned i = 0; i < LENGTH(blocks); i++) {
		blocks[i] = kmalloc(i % 8 ? 64 : 2500);
		if (done(blocks[i] != NULL))
			*(uint64_t *)blocks[i] = ~(uint64_t)i;
	}
	for (unsigned i = 0; i < LENGTH(blocks); i++) {
		if (blocks[i])
			whole = whole && *(uint64_t *)blocks[i] == ~(uint64_t)i;
		kfree(blocks[i]);
	}
	EXPECT(whole);
	return NULL;
}

/* ---- address spaces ---------------------------------------------------------------------- */

#define DATA	  (PAGE_READ | PAGE_WRITE)
#define PAGES	  4
#define LARGE	  (VM_WINDOW + (UINT64_C(1) << 30))
#define LARGE_RUN 512 /* frames of a large page */

static virt_t page(unsigned number)
{
	return virt(VM_WINDOW + number * FRAME_SIZE);
}

/* PAGE_OK: done. PAGE_NO_FRAMES counts as an operation that failed. All else is wrong. */
static bool is_expected(enum page_status status, bool *is_done)
{
	*is_done = done(status == PAGE_OK);
	return status == PAGE_OK || status == PAGE_NO_FRAMES;
}

/* Owned pages that hold their numbers; *mapped: a bit for each that is there. */
static const char *map_pages(struct space *space, unsigned *mapped)
{
	for (unsigned i = 0; i < PAGES; i++) {
		pfn_t frame = frame_alloc(FRAME_ZERO);
		bool is_done;

		if (!got(frame))
			continue;
		*(uint64_t *)frame_bytes(frame) = i + 1;
		EXPECT(is_expected(space_map(space, page(i), frame, FRAME_SIZE, DATA | PAGE_OWNED),
				   &is_done));
		if (is_done)
			*mapped |= 1u << i;
		else
			frame_free(frame);
	}
	return NULL;
}

/* The page has this word for the cpu, which is in the space. */
static bool reads(unsigned number, uint64_t wanted)
{
	uint64_t word;

	return vm_load(page(number).value, &word) && word == wanted;
}

/* A clone shares the pages; then both write to them. */
static const char *write_to_clone(struct space *space, unsigned mapped)
{
	struct space copy;
	bool is_made, is_cloned;
	const char *wrong = NULL;

	EXPECT(is_expected(space_create(&copy), &is_made));
	if (!is_made)
		return NULL;
	if (!is_expected(space_clone(&copy, space, page(0), PAGES * FRAME_SIZE), &is_cloned))
		wrong = "the status of space_clone()";
	for (unsigned i = 0; i < PAGES && is_cloned; i++) {
		bool is_done;

		if (!(mapped >> i & 1))
			continue;
		if (!is_expected(space_write_fault(i % 2 ? &copy : space, page(i)), &is_done))
			wrong = "the status of space_write_fault()";
		if (!reads(i, i + 1))
			wrong = "the contents of a page that was cloned";
		if (is_done && i % 2 == 0 && !vm_store(page(i).value, i + 1))
			wrong = "a store after a write fault";
	}
	page_table_validate(&copy.table);
	space_destroy(&copy);
	return wrong;
}

/* Parts of a large page are protected and unmapped, so it is split; its frames are not owned. */
static const char *split_large_page(struct space *space)
{
	pfn_t run = frame_alloc_run(LARGE_RUN, LARGE_RUN);
	const char *wrong = NULL;
	bool is_mapped, is_done;
	uint64_t word;

	if (!got(run))
		return NULL;
	if (!is_expected(space_map(space, virt(LARGE), run, LARGE_RUN * FRAME_SIZE, DATA),
			 &is_mapped))
		wrong = "the status of space_map()";
	if (is_mapped) {
		if (!is_expected(space_protect(space, virt(LARGE), FRAME_SIZE, PAGE_READ), &is_done))
			wrong = "the status of space_protect()";
		if (vm_store(LARGE, 1) == is_done)
			wrong = "a store to a page of which only a change failed or was made";
		if (!is_expected(space_unmap(space, virt(LARGE + FRAME_SIZE), FRAME_SIZE), &is_done))
			wrong = "the status of space_unmap()";
		if (vm_load(LARGE + FRAME_SIZE, &word) == is_done)
			wrong = "a load from a page that was to be unmapped";
		page_table_validate(&space->table);
	}
	space_leave(); /* no cpu may have translations of frames that are freed */
	space_destroy(space);
	frame_free_run(run, LARGE_RUN);
	memset(space, 0, sizeof(*space));
	return wrong;
}

static const char *in_space(struct space *space)
{
	unsigned mapped = 0;
	const char *wrong = map_pages(space, &mapped);
	bool is_done;

	for (unsigned i = 0; i < PAGES && !wrong; i++)
		if (reads(i, i + 1) != (mapped >> i & 1))
			wrong = "the contents of a page";
	if (!wrong)
		wrong = write_to_clone(space, mapped);
	if (!wrong && (mapped & 1) &&
	    !is_expected(space_unmap(space, page(0), FRAME_SIZE), &is_done))
		wrong = "the status of space_unmap()";
	page_table_validate(&space->table);
	return wrong ? wrong : split_large_page(space);
}

static const char *use_spaces(void)
{
	const char *wrong = NULL;
	struct space space;
	bool is_made;

	if (!done(spaces_open()))
		return NULL;
	if (!is_expected(space_create(&space), &is_made))
		wrong = "the status of space_create()";
	if (is_made) {
		space_enter(&space);
		wrong = in_space(&space);
		if (cpu_self()->space) {
			space_leave();
			space_destroy(&space);
		}
	}
	spaces_close();
	return wrong;
}

/* ---- cpus -------------------------------------------------------------------------------- */

static const char *results[3]; /* the first of each kind of failure, of any cpu */

static void work_on_cpu(void *unused)
{
	const char *(*const parts[])(void) = {use_frames, use_blocks, use_growing};

	(void)unused;
	for (unsigned i = 0; i < LENGTH(parts); i++) {
		const char *wrong = parts[i]();

		if (wrong)
			ck_pr_store_ptr(&results[i], wrong);
	}
}

/* All cpus at once: any of them gets the failure. */
static const char *use_all_cpus(void)
{
	memset(results, 0, sizeof(results));
	cpus_run(work_on_cpu, NULL, settings.cpus);
	for (unsigned i = 0; i < LENGTH(results); i++)
		if (results[i])
			return results[i];
	return NULL;
}

/* A hart stops and starts, and what it keeps is found meanwhile. */
static const char *use_harts(void)
{
	unsigned last = settings.cpus - 1;
	const char *wrong;

	if (settings.cpus == 1)
		return NULL;
	EXPECT(cpu_stop(last) == CPU_DONE);
	wrong = use_frames();
	if (!wrong)
		wrong = use_growing();
	EXPECT(cpu_start(last) == CPU_DONE);
	return wrong;
}

const struct faults_part faults_parts[] = {
	{"frames", use_frames, false, false},
	{"runs", use_runs, false, true},
	{"blocks of all sizes", use_blocks, false, false},
	{"zeroed and aligned blocks", use_zeroed_and_aligned, false, false},
	{"blocks that grow and shrink", use_growing, false, false},
	{"slabs that come and go", use_many_blocks, false, false},
	{"address spaces, clones, write faults", use_spaces, true, true},
	{"all cpus at once", use_all_cpus, false, false},
	{"a hart that stops and starts", use_harts, false, false},
};
const unsigned faults_part_count = LENGTH(faults_parts);
