/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_frames.c - addresses, frames, callers' mistakes and the heap; see selftest_frames.h.
 *
 * A test of a mistake makes it and compares the text of the panic.
 *
 * Covers: mm/frame.c mm/heap/kmalloc.c
 */
#include "tests/smp/selftest/selftest_frames.h"

#include <stdint.h>
#include <string.h>

#include "kernel/diag/panic.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/selftest/expect.h"

/* ---- addresses --------------------------------------------------------------------------- */

const char *frames_test_addresses(void)
{
	pfn_t frame = pfn(7);

	EXPECT(pfn_floor(phys(0x80000fff)).value == 0x80000);
	EXPECT(pfn_ceil(phys(0x80000001)).value == 0x80001);
	EXPECT(pfn_ceil(phys(0x80000000)).value == 0x80000);
	EXPECT(pfn_ceil(phys(UINT64_MAX)).value == UINT64_C(1) << 52);
	EXPECT(phys_page_offset(phys(0x80000123)) == 0x123);
	EXPECT(!pfn_from_phys(phys(0x80000008), &frame) && frame.value == 7);
	EXPECT(pfn_from_phys(phys(0x80001000), &frame) && frame.value == 0x80001);
	EXPECT(pfn_is_none(PFN_NONE) && !pfn_is_none(pfn(0)));
	return NULL;
}

/* ---- frames ------------------------------------------------------------------------------ */

const char *frames_test_zero(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);
	uint64_t *words, sum = 0;

	EXPECT(!pfn_is_none(frame));
	memset(frame_bytes(frame), 0xff, FRAME_SIZE);
	frame_free(frame);
	frame = frame_alloc(FRAME_ZERO);
	words = frame_bytes(frame);
	for (unsigned i = 0; i < FRAME_SIZE / 8; i++)
		sum |= words[i];
	frame_free(frame);
	EXPECT(sum == 0);
	return NULL;
}

const char *frames_test_count_is_exact(void)
{
	uint64_t before = frame_free_count();
	pfn_t frames[300];

	for (unsigned i = 0; i < 300; i++) {
		frames[i] = frame_alloc(FRAME_ANY);
		EXPECT(!pfn_is_none(frames[i]));
		EXPECT(frame_free_count() == before - i - 1);
	}
	frame_validate();
	for (unsigned i = 0; i < 300; i++)
		frame_free(frames[i]);
	EXPECT(frame_free_count() == before);
	frame_validate();
	return NULL;
}

const char *frames_test_owner(void)
{
	uint64_t before = frame_free_count();
	pfn_t kept;

	{
		frame_owner first = frame_own(frame_alloc(FRAME_ANY));
		frame_owner second = frame_own(frame_alloc(FRAME_ANY));
		frame_owner none = frame_own(PFN_NONE);

		EXPECT(pfn_is_none(none.frame));
		EXPECT(frame_free_count() == before - 2);
		EXPECT(!pfn_is_none(first.frame));
		kept = frame_disown(&second);
	}
	EXPECT(frame_free_count() == before - 1);
	frame_free(kept);
	EXPECT(frame_free_count() == before);
	return NULL;
}

const char *frames_test_runs(void)
{
	uint64_t before = frame_free_count();

	for (uint64_t count = 1; count <= 600; count += 37) {
		for (uint64_t align = 1; align <= 512; align *= 2) {
			pfn_t first = frame_alloc_run(count, align);

			EXPECT(!pfn_is_none(first));
			EXPECT(first.value % align == 0);
			EXPECT(frame_free_count() == before - count);
			memset(frame_bytes(first), 0x5a, count << FRAME_SHIFT);
			frame_free_run(first, count);
		}
	}
	EXPECT(frame_free_count() == before);
	EXPECT(pfn_is_none(frame_alloc_run(frame_total_count() + 1, 0)));
	EXPECT(frame_free_count() == before);
	frame_validate();
	return NULL;
}

/* ---- callers' mistakes ------------------------------------------------------------------- */

#if CHECKS
static void free_frame(uint64_t number, uint64_t unused)
{
	(void)unused;
	frame_free(pfn(number));
}

static void free_address(uint64_t address, uint64_t unused)
{
	(void)unused;
	frame_free_address(phys(address));
}

static void free_run(uint64_t first, uint64_t count)
{
	frame_free_run(pfn(first), count);
}

static void alloc_run(uint64_t count, uint64_t align)
{
	frame_alloc_run(count, align);
}

#endif

static void free_block(uint64_t address, uint64_t unused)
{
	(void)unused;
	kfree((void *)address);
}

#if CHECKS
const char *frames_test_double_free(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	frame_free(frame);
	EXPECT_PANIC(free_frame, frame.value, 0, "freed twice");
	return NULL;
}

const char *frames_test_foreign_free(void)
{
	struct zone *last = &zones.zone[zones.count - 1];

	EXPECT_PANIC(free_frame, 1, 0, "foreign");
	EXPECT_PANIC(free_frame, PFN_NONE.value, 0, "foreign");
	EXPECT_PANIC(free_frame, last->first + last->total_frames, 0, "foreign");
	EXPECT_PANIC(free_frame, zones.zone[0].first, 0, "reserved");
	return NULL;
}

const char *frames_test_misaligned_free(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	EXPECT_PANIC(free_address, pfn_to_phys(frame).value + 8, 0, "misaligned");
	frame_free_address(pfn_to_phys(frame));
	return NULL;
}

const char *frames_test_never_allocated(void)
{
	struct zone *zone = &zones.zone[0];
	pfn_t last = pfn(zone->first + zone->total_frames - 1);

	EXPECT_PANIC(free_frame, last.value, 0, "never allocated");
	return NULL;
}

const char *frames_test_run_mistakes(void)
{
	pfn_t run = frame_alloc_run(8, 8);

	EXPECT_PANIC(free_frame, run.value, 0, "part of a run");
	EXPECT_PANIC(free_frame, run.value + 3, 0, "part of a run");
	EXPECT_PANIC(free_run, run.value + 1, 7, "expected the head");
	EXPECT_PANIC(free_run, run.value, 9, "has 8 frames");
	EXPECT_PANIC(free_run, run.value, 7, "more than 7");
	EXPECT_PANIC(alloc_run, 0, 1, "0 frames");
	EXPECT_PANIC(alloc_run, 4, 3, "power of two");
	frame_free_run(run, 8);
	EXPECT_PANIC(free_run, run.value, 8, "freed twice");
	return NULL;
}
#endif

/* ---- the heap ---------------------------------------------------------------------------- */

const char *frames_test_heap(void)
{
	uint64_t before = frame_free_count();
	char *block = kmalloc(100), *zeroed = kcalloc(10, 30), *aligned;
	volatile size_t huge = SIZE_MAX / 2; /* volatile: the compiler would refuse a constant */

	EXPECT(block && zeroed);
	for (unsigned i = 0; i < 300; i++)
		EXPECT(zeroed[i] == 0);
	memset(block, 7, 100);
	block = krealloc(block, 10000);
	EXPECT(block && block[0] == 7 && block[99] == 7);
	EXPECT(kmalloc_usable_size(block) >= 10000);
	aligned = kmalloc_aligned(100, 65536);
	EXPECT(aligned && (uintptr_t)aligned % 65536 == 0);
	EXPECT(!kcalloc(huge, 3));
	EXPECT(!kmalloc(0));
	EXPECT(!kmalloc_aligned(8, 24));
	kheap_validate();
	kfree(block);
	kfree(zeroed);
	kfree(aligned);
	EXPECT_PANIC(free_block, (uintptr_t)aligned, 0, "freed twice");
	EXPECT_PANIC(free_block, 0x1000, 0, "kfree");
	kheap_trim();
	EXPECT(frame_free_count() == before);
	return NULL;
}
