/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_heap_debug.c - the diagnostics of the heap: each mistake is made, and the message is read.
 *
 * Every test ends with a check that the heap holds nothing: see finish().
 *
 * Covers: mm/heap/debug.c mm/heap/debug_bad.c mm/heap/debug_fill.c mm/heap/debug_guard.c
 * Covers: mm/heap/debug_index.c mm/heap/debug_report.c mm/heap/debug_text.c mm/heap/foreign.c
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/debug.h"
#include "mm/heap/debug_private.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/heap/reserve.h"
#include "unit.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

#define RED	   KHEAP_DEBUG_REDZONE
#define POISON	   KHEAP_DEBUG_POISON
#define QUARANTINE KHEAP_DEBUG_QUARANTINE
#define OWNERS	   KHEAP_DEBUG_OWNERS
#define GUARD	   KHEAP_DEBUG_GUARD
#define ALL_WORDS  63u

static void *lock_memory, *debug_memory;
static uint64_t frames_at_start;
static uint64_t now; /* microseconds */

/* What another CPU does between two steps of a message: once, after that many reads of the clock. */
static void (*other_cpu)(void);
static unsigned other_cpu_after;

static uint64_t clock_now(void)
{
	void (*once)(void) = other_cpu;

	if (once && other_cpu_after-- == 0) {
		other_cpu = NULL;
		once();
	}
	return __atomic_load_n(&now, __ATOMIC_RELAXED);
}

static void guard_map(uint64_t address, pfn_t frame)
{
	(void)frame;
	CHECK(mprotect((void *)address, FRAME_SIZE, PROT_READ | PROT_WRITE) == 0);
}

static void guard_unmap(uint64_t address, uint64_t bytes)
{
	CHECK(mprotect((void *)address, bytes, PROT_NONE) == 0);
}

static unsigned guard_flushes;

static void guard_flush(void)
{
	__atomic_fetch_add(&guard_flushes, 1, __ATOMIC_RELAXED);
}

static const struct kheap_debug_port debug_port = {
	.clock = clock_now,
	.map = guard_map,
	.unmap = guard_unmap,
	.flush = guard_flush,
};

static void start(unsigned words, size_t bytes, unsigned cpus)
{
	struct kheap_debug_options options = {
		.words = words, .hertz = 1000000, .guard_every = 1, .seed = 1, .port = &debug_port};

	host_memory_start(bytes, cpus);
	options.first = zones.zone[0].first;
	options.frames = zones.zone[0].total_frames;
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(cpus));
	debug_memory = malloc(kheap_debug_bytes(options.frames));
	memset(debug_memory, 0x5a, kheap_debug_bytes(options.frames));
	kheap_init(SPIN_CAS, lock_memory);
	kheap_debug_start(&options, debug_memory);
	frames_at_start = frame_free_count();
}

static struct kheap_stats stats_now(void)
{
	struct kheap_stats stats;

	kheap_stats(&stats);
	return stats;
}

static void finish(void)
{
	kheap_debug_check();
	kheap_validate();
	CHECK_EQ(stats_now().live_blocks, 0);
	CHECK_EQ(stats_now().allocated_bytes, 0);
	kheap_trim();
	kheap_validate();
	CHECK_EQ(stats_now().frames_held, 0);
	frame_validate();
	CHECK_EQ(frame_free_count(), frames_at_start);
	kheap_init(SPIN_CAS, lock_memory);
	host_memory_end();
	free(lock_memory);
	free(debug_memory);
}

/* The compiler must know neither what this is nor what is done with it. */
static char *hidden(void *pointer)
{
	__asm__("" : "+r"(pointer));
	return pointer;
}

/* Call sites that a test can tell. */
__attribute__((noinline)) static char *allocate_here(size_t size)
{
	char *block = kmalloc(size);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return hidden(block);
}

__attribute__((noinline)) static void free_here(void *block)
{
	kfree(block);
	__asm__ volatile("" ::: "memory");
}

static bool is_in(const void *site, void *function)
{
	return (uintptr_t)site - (uintptr_t)function < 2000; /* inlined, with sanitizers */
}

/* ---- red zones ------------------------------------------------------------------------------- */

/* The byte is changed, the mistake found, and the byte put right. */
static void write_beyond(char *block, size_t size, ptrdiff_t offset)
{
	char wanted[100], was = block[offset];

	snprintf(wanted, sizeof(wanted), "of %zu bytes, offset %td: expected 0xb5, found 0x41;",
		 size, offset);
	block[offset] = 'A';
	EXPECT_PANIC(kfree(block), wanted);
	CHECK(unit_message_has("kfree: red zone written: block"));
	EXPECT_PANIC(kheap_debug_check(), wanted);
	EXPECT_PANIC((void)!krealloc(block, 2 * size), wanted);
	block[offset] = was;
}

TEST(a_write_beyond_a_block_is_found_to_the_byte)
{
	start(RED, 8 * MIB, 1);
	for (size_t size = 1; size < 20 * KIB; size += 1 + size / 7) {
		char *block = allocate_here(size);

		memset(block, 'x', size);
		write_beyond(block, size, (ptrdiff_t)size);
		write_beyond(block, size, -1);
		write_beyond(block, size, (ptrdiff_t)size + 15);
		write_beyond(block, size, -16);
		CHECK_EQ(kmalloc_usable_size(block), size);
		kfree(block);
	}
	finish();
}

TEST(zeroed_blocks_have_whole_red_zones)
{
	start(ALL_WORDS, 8 * MIB, 1);
	for (size_t size = 1; size < 200; size++) {
		char *block = hidden(kcalloc(1, size));

		for (size_t i = 0; i < size; i++)
			CHECK_EQ(block[i], 0);
		kfree(block);
	}
	finish();
}

/* A reserve links its blocks through their first words, also blocks that are smaller than a word. */
TEST(a_reserve_of_little_blocks_writes_no_red_zone)
{
	start(RED, 8 * MIB, 1);
	for (size_t size = 1; size < 20; size++) {
		struct kmalloc_reserve reserve = {0};
		void *block;

		CHECK(kmalloc_reserve(&reserve, 3, size));
		block = kmalloc_reserved(&reserve);
		CHECK(kmalloc_usable_size(block) >= size);
		kfree(block);
		kmalloc_reserve_end(&reserve);
	}
	finish();
}

TEST(alignment_is_kept_behind_red_zones)
{
	start(RED, 64 * MIB, 1);
	for (size_t align = 1; align <= MIB; align *= 2) {
		char *aligned = hidden(kmalloc_aligned(24, align)),
		     *natural = hidden(kmalloc(align));

		CHECK_EQ(port_phys_address(aligned) % align, 0);
		CHECK_EQ(port_phys_address(natural) % align, 0);
		aligned[23] = natural[align - 1] = 0;
		aligned[24] ^= 1;
		EXPECT_PANIC(kfree(aligned), "offset 24:");
		aligned[24] ^= 1;
		kfree(aligned);
		kfree(natural);
	}
	finish();
}

TEST(krealloc_keeps_the_bytes_and_moves)
{
	char *block, *moved;

	start(ALL_WORDS & ~GUARD, 8 * MIB, 1);
	block = allocate_here(100);
	memset(block, 'x', 100);
	moved = hidden(krealloc(block, 60));
	CHECK(moved != block);
	for (unsigned i = 0; i < 60; i++)
		CHECK_EQ(moved[i], 'x');
	EXPECT_PANIC(kfree(block), "is freed twice");
	EXPECT_PANIC((void)!krealloc(block, 10), "krealloc: ");
	moved[60] ^= 1;
	EXPECT_PANIC(kfree(moved), "offset 60:");
	moved[60] ^= 1;
	CHECK(!krealloc(moved, 0));
	block = hidden(krealloc(NULL, 10));
	kfree(block);
	finish();
}

/* ---- owners, and frees of what is no block ------------------------------------------------------ */

TEST(a_double_free_names_both_owners)
{
	for (unsigned words = OWNERS; words <= (OWNERS | QUARANTINE); words += QUARANTINE) {
		struct kheap_debug_site site;
		char *block;

		start(OWNERS | QUARANTINE, 8 * MIB, 2);
		now = 1000;
		block = allocate_here(60);
		CHECK_EQ(kheap_debug_report(&site, 1), 1);
		now = 1500;
		host_self = &host_cpus[1];
		free_here(block);
		now = 1700;
		EXPECT_PANIC(kfree(block),
			     "is freed twice: found a freed block of 60 bytes; allocated by "
			     "cpu 0 at [<0x");
		CHECK(unit_message_has("] 700 us ago, freed by cpu 1 at [<0x"));
		CHECK(unit_message_has(">] 200 us ago, called from [<0x"));
		EXPECT_PANIC(kfree(block + 8),
			     "is an interior pointer of a freed block: offset 8 in ");
		host_self = &host_cpus[0];
		finish();
	}
}

TEST(the_call_sites_are_those_of_the_callers)
{
	struct kheap_debug_site site[2];
	char *block;
	unsigned count;

	start(RED, 8 * MIB, 1);
	block = allocate_here(60);
	CHECK_EQ(kheap_debug_report(site, 2), 1);
	CHECK(is_in(site[0].caller, allocate_here));
	kfree(block);
	for (count = 0; count < 3; count++) {
		block = hidden(count == 0   ? kmalloc_aligned(64, 64)
			       : count == 1 ? kcalloc(4, 16)
					    : krealloc(NULL, 64));
		CHECK_EQ(kheap_debug_report(site, 2), 1);
		CHECK(is_in(site[0].caller, the_call_sites_are_those_of_the_callers) ||
		      (uintptr_t)site[0].caller -
				      (uintptr_t)the_call_sites_are_those_of_the_callers <
			      4000);
		kfree(block);
	}
	finish();
}

/* Not inlined beside setjmp(): GCC 14 then warns of variables that longjmp() may change. */
static __attribute__((noinline)) pfn_t some_frame(void)
{
	return frame_alloc(FRAME_ANY);
}

TEST(bad_frees_are_told_apart)
{
	char *block, *other;
	pfn_t frame, run;

	start(ALL_WORDS & ~GUARD, 8 * MIB, 1);
	block = allocate_here(60);
	EXPECT_PANIC(kfree(block + 8), "is an interior pointer: offset 8 in block ");
	CHECK(unit_message_has(" of 60 bytes; allocated by cpu 0 at [<0x"));
	EXPECT_PANIC(kfree(block - 8), "is a pointer into a red zone: offset -8 in block ");
	EXPECT_PANIC(kfree(block + 60), "is a pointer into a red zone: offset 60 in block ");
	EXPECT_PANIC(kfree(hidden(&block)), "is a wild pointer");
	other = host_memory + 5 * MIB;
	EXPECT_PANIC(kfree(hidden(other)), "is a wild pointer");
	EXPECT_PANIC(kmalloc_usable_size(block + 1), "kmalloc_usable_size: ");
	frame = some_frame();
	run = frame_alloc_run(4, 1);
	EXPECT_PANIC(kfree(frame_bytes(frame)), CHECKS ? "mismatched" : "wild");
	EXPECT_PANIC(kfree(frame_bytes(run)), CHECKS ? "mismatched" : "wild");
	frame_free(frame);
	frame_free_run(run, 4);
	EXPECT_PANIC(kheap_debug->release(block, 65, "kfree_sized", NULL),
		     "kfree_sized: mismatched size: block ");
	CHECK(unit_message_has(" has 60 bytes, the call says 65; allocated"));
	kheap_debug->release(block, 60, "kfree_sized", NULL);
	finish();
}

/* Also without the diagnostics, where callers are checked. */
TEST(frees_of_the_wrong_kind_are_told_apart)
{
	struct frame_owned owned;
	char *small, *page, *large;
	pfn_t frame, run;

	host_memory_start(8 * MIB, 1);
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(1));
	kheap_init(SPIN_CAS, lock_memory);
	small = hidden(kmalloc(64));
	large = hidden(kmalloc(20 * KIB));
	page = hidden(kmalloc_aligned(5 * FRAME_SIZE, FRAME_SIZE));
	owned = frame_own(frame_alloc_called());
	CHECK(pfn_from_phys(phys(port_phys_address(small) & -FRAME_SIZE), &frame));
#if CHECKS
	EXPECT_PANIC(frame_free(frame), "is mismatched: it is the heap's");
	EXPECT_PANIC(frame_free(pfn_floor(phys(port_phys_address(large)))), "is mismatched");
	EXPECT_PANIC(frame_free(pfn_floor(phys(port_phys_address(large) + 8 * KIB))),
		     "is mismatched");
	EXPECT_PANIC(frame_free_run(pfn_floor(phys(port_phys_address(page))), 5),
		     "and is mismatched: it is the heap's");
	EXPECT_PANIC(kfree(frame_bytes(owned.frame)), "is mismatched: found frame");
	EXPECT_PANIC(kfree((char *)frame_bytes(owned.frame) + 8), "is mismatched: found frame");
	EXPECT_PANIC(kfree(large + 8 * KIB), "is an interior pointer");
#endif
	kfree(small);
	kfree(large);
	kfree(page);
	run = frame_alloc_run(2, 1);
#if CHECKS
	EXPECT_PANIC(kfree(frame_bytes(run)), "is mismatched: found a run");
	EXPECT_PANIC(kfree((char *)frame_bytes(run) + FRAME_SIZE + 1),
		     "is mismatched: found a run");
#endif
	frame_free_run(run, 2);
	kheap_trim();
	frame_owned_end(&owned);
	frame_validate();
	host_memory_end();
	free(lock_memory);
}

/* ---- poison and quarantine ------------------------------------------------------------------------ */

TEST(new_blocks_hold_a_pattern)
{
	char *block;

	start(POISON, 8 * MIB, 1);
	block = allocate_here(100);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ((unsigned char)block[i], 0xc9);
	kfree(block);
	finish();
}

/* Without quarantine: the memory is in an arena by then, and the next allocation gets it. */
static void write_after_free(unsigned words)
{
	char *block, *keep;

	start(words, 8 * MIB, 1);
	keep = allocate_here(200); /* the arena stays */
	block = allocate_here(200);
	free_here(block);
	block[100] = 7;
	EXPECT_PANIC((void)!allocate_here(200), "heap: use after free, seen when the memory was "
						"allocated again: ");
	CHECK(unit_message_has(": expected 0xde, found 0x7"));
	if (words & OWNERS) {
		CHECK(unit_message_has(" of 200 bytes, offset 100: "));
		CHECK(unit_message_has("; allocated by cpu 0 at [<0x"));
		CHECK(unit_message_has(", freed by cpu 0 at [<0x"));
	}
	/* The panic came after the allocation had taken the memory: it is lost. */
	kfree(keep);
	host_memory_end();
	free(lock_memory);
	free(debug_memory);
}

TEST(a_write_to_free_memory_is_found_by_the_next_allocation)
{
	write_after_free(POISON);
	write_after_free(POISON | OWNERS);
}

/* The oldest blocks are forgotten, and their records serve for other blocks. */
static void use_all_records_again(void)
{
	char *block[100];

	now = 5000;
	for (unsigned i = 0; i < 2000; i++)
		kfree(kmalloc(3000));
	for (unsigned i = 0; i < 100; i++)
		block[i] = kmalloc(3000);
	for (unsigned i = 0; i < 100; i++)
		kfree(block[i]);
	now = 400;
}

TEST(a_message_is_of_the_block_that_was_found)
{
	char *block, *keep;

	start(POISON | OWNERS, 8 * MIB, 1);
	keep = allocate_here(200);
	now = 100;
	block = allocate_here(200);
	now = 300;
	free_here(block);
	now = 400;
	other_cpu = use_all_records_again;
	other_cpu_after = 1; /* the free reads the clock before it looks */
	EXPECT_PANIC(kfree(block),
		     "is freed twice: found a freed block of 200 bytes; allocated by ");
	CHECK(!other_cpu);
	CHECK(unit_message_has(" 300 us ago, freed by cpu 0 at "));
	CHECK(unit_message_has(" 100 us ago, called from"));
	now = 100;
	block = allocate_here(200);
	now = 300;
	free_here(block);
	now = 400;
	block[100] = 7;
	other_cpu = use_all_records_again;
	other_cpu_after = 0;
	EXPECT_PANIC((void)!allocate_here(200), "allocated again: block ");
	CHECK(!other_cpu);
	CHECK(unit_message_has(" 300 us ago, freed by cpu 0 at "));
	kfree(keep);
	host_memory_end();
	free(lock_memory);
	free(debug_memory);
}

TEST(a_write_to_a_block_in_quarantine_is_found)
{
	char *block;

	start(POISON | QUARANTINE | OWNERS, 8 * MIB, 1);
	now = 100;
	block = allocate_here(60);
	now = 300;
	free_here(block);
	now = 400;
	CHECK_EQ((unsigned char)block[59], 0xde);
	block[59] = 7;
	EXPECT_PANIC(kheap_debug_check(), "heap: use after free, seen in the quarantine: block ");
	CHECK(unit_message_has(
		" of 60 bytes, offset 59: expected 0xde, found 0x7; allocated by cpu 0 at"));
	CHECK(unit_message_has("300 us ago, freed by cpu 0 at [<0x"));
	CHECK(unit_message_has("100 us ago"));
	block[59] = (char)0xde;
	finish();
}

static void free_some(size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 4096)
		free_here(allocate_here(4096));
}

/* A block waits until the blocks that were freed later are 1/16 of memory; then its pattern is checked. */
TEST(the_quarantine_is_bounded)
{
	const size_t bytes = 8 * MIB / 16;
	char *first;

	start(POISON | QUARANTINE, 8 * MIB, 1);
	free_some(4 * bytes);
	CHECK(stats_now().frames_held * FRAME_SIZE < bytes + bytes / 2);
	first = allocate_here(3000);
	free_here(first);
	first[0] = 1;
	free_some(bytes / 2);
	EXPECT_PANIC(free_some(bytes), "seen in the quarantine: block ");
	CHECK(unit_message_has(" of 3000 bytes, offset 0: expected 0xde, found 0x1; allocated at"));
	host_memory_end();
	free(lock_memory);
	free(debug_memory);
}

/* All of memory is found, whatever freed blocks keep; and frames too. */
TEST(an_allocation_gets_what_the_diagnostics_keep)
{
	static char *block[20000];
	unsigned count = 0, again = 0;
	uint64_t frames = 0;
	pfn_t frame, list = PFN_NONE;

	start(ALL_WORDS & ~GUARD, 4 * MIB, 1);
	for (unsigned round = 0; round < 3; round++) {
		for (count = 0; (block[count] = kmalloc(4096)) != NULL; count++)
			*block[count] = 0;
		CHECK(again == 0 || again == count);
		again = count;
		CHECK(kheap_debug_untracked() > 0); /* the last frames had no room for patterns */
		while (count)
			kfree(block[--count]);
		CHECK(frame_free_count() < frames_at_start);
	}
	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		*(pfn_t *)frame_bytes(frame) = list;
		list = frame;
		frames++;
	}
	CHECK_EQ(frames, frames_at_start);
	while (!pfn_is_none(frame = list)) {
		list = *(pfn_t *)frame_bytes(frame);
		frame_free(frame);
	}
	finish();
}

/* What owners of frames write there is no use after free of a block. */
TEST(frames_of_others_come_back_without_alarm)
{
	static pfn_t frame[2048];
	unsigned count = 0;

	start(POISON | RED, 4 * MIB, 1);
	for (unsigned round = 0; round < 2; round++) {
		char *block[64];

		for (unsigned i = 0; i < 64; i++)
			block[i] = allocate_here(1000 + 300 * i);
		for (unsigned i = 0; i < 64; i++)
			kfree(block[i]);
		kheap_trim();
		while (count < 2048 && !pfn_is_none(frame[count] = frame_alloc(FRAME_ANY)))
			memset(frame_bytes(frame[count++]), 7, FRAME_SIZE);
		CHECK_EQ(count, frames_at_start);
		while (count)
			frame_free(frame[--count]);
	}
	finish();
}

/* Without memory a block becomes smaller in its place, and so does what is inside its red zones. */
TEST(krealloc_never_fails_to_make_a_block_smaller)
{
	static char *block[4096];
	static unsigned count;
	char *first;

	start(RED, 2 * MIB, 1);
	first = allocate_here(6000);
	while (count < 4096 && (block[count] = kmalloc(4096)) != NULL)
		count++;
	CHECK(count < 4096);
	CHECK(!krealloc(first, 7000));
	CHECK_EQ(kmalloc_usable_size(first), 6000);
	CHECK(krealloc(first, 5000) == first);
	CHECK_EQ(kmalloc_usable_size(first), 5000);
	first[5000] ^= 1;
	EXPECT_PANIC(kfree(first), " of 5000 bytes, offset 5000: ");
	first[5000] ^= 1;
	kfree(first);
	while (count)
		kfree(block[--count]);
	finish();
}

/* ---- any calls --------------------------------------------------------------------------------- */

static void any_calls(void *unused)
{
	char *block[32] = {NULL};
	size_t size[32] = {0};
	uint64_t random = port_cpu() + 1;

	(void)unused;
	for (unsigned i = 0; i < 3000; i++) {
		unsigned at = (random = random * 6364136223846793005u + 1442695040888963407u) >> 59;
		size_t wanted = random >> 40 & (random >> 33 & 7 ? 511 : 16383);

		if (block[at] && random >> 20 & 1) {
			char *moved = krealloc(block[at], wanted + 1);

			if (!moved)
				continue;
			block[at] = moved;
		} else {
			if (block[at] && size[at])
				CHECK(block[at][0] == (char)at &&
				      block[at][size[at] - 1] == (char)at);
			kfree(block[at]);
			block[at] = random >> 21 & 1 ? kmalloc(wanted + 1) : kcalloc(1, wanted + 1);
		}
		size[at] = block[at] ? wanted + 1 : 0;
		if (block[at])
			memset(block[at], (int)at, size[at]);
	}
	for (unsigned i = 0; i < 32; i++)
		kfree(block[i]);
}

/*
 * CPU 0 finds free memory written again and again, and searches the records for a message; the other
 * CPUs enter records and take them out.
 */
static void search_records(void *unused)
{
	char *block;

	if (port_cpu()) {
		any_calls(unused);
		return;
	}
	block = kmalloc(64 * 8);
	CHECK(block);
	for (unsigned i = 0; i < 100; i++) {
		debug_fill(block, DEBUG_FREE, 512);
		debug_poison_give(block, 512);
		block[100] = 7;
		EXPECT_PANIC(debug_poison_take(block, 512), "allocated again: free memory at");
	}
	kfree(block);
}

CONCURRENT_TEST(a_message_while_other_cpus_allocate)
{
	start(POISON | OWNERS, 8 * MIB, 4);
	host_run(search_records, NULL);
	finish();
}

CONCURRENT_TEST(any_calls_on_many_cpus)
{
	start(ALL_WORDS, 8 * MIB, 4);
	host_run(any_calls, NULL);
	finish();
}

/* ---- guard pages ------------------------------------------------------------------------------- */

#define GUARD_PAGES 31 /* 10 slots of two pages, and a page behind each */
#define GUARD_BYTES (GUARD_PAGES * FRAME_SIZE)

static char *guard_area;

static void start_guard(unsigned words, unsigned cpus)
{
	start(words | GUARD, 8 * MIB, cpus);
	guard_flushes = 0;
	guard_area = mmap(NULL, GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guard_area != MAP_FAILED);
	kheap_debug_guard((uintptr_t)guard_area, GUARD_PAGES);
}

static void finish_guard(void)
{
	kheap_debug_guard(0, 0);
	CHECK(munmap(guard_area, GUARD_BYTES) == 0);
	finish();
}

static bool is_guarded(const void *block)
{
	return (size_t)((const char *)block - guard_area) < GUARD_BYTES;
}

static sigjmp_buf fault_return;
static char fault_text[400];

static void on_fault(int number, siginfo_t *info, void *unused)
{
	(void)number;
	(void)unused;
	if (!kheap_debug_describe((uintptr_t)info->si_addr, fault_text, sizeof(fault_text)))
		strcpy(fault_text, "unknown");
	siglongjmp(fault_return, 1);
}

/* What the fault of a store says; "": there is none. */
static const char *fault_of(char *byte)
{
	struct sigaction mine = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, was;

	CHECK(sigaction(SIGSEGV, &mine, &was) == 0);
	fault_text[0] = '\0';
	if (!sigsetjmp(fault_return, 1))
		*(volatile char *)byte = 1;
	CHECK(sigaction(SIGSEGV, &was, NULL) == 0);
	return fault_text;
}

TEST(a_touch_beyond_a_guarded_block_faults)
{
	char *block, *page;

	start_guard(RED | OWNERS, 1);
	block = allocate_here(64);
	CHECK(is_guarded(block));
	memset(block, 1, 64);
	CHECK(strstr(fault_of(block + 64), "behind a block: block "));
	CHECK(strstr(fault_text, " of 64 bytes, offset 64; allocated by cpu 0 at [<0x"));
	CHECK(!strcmp(fault_of(block + 63), ""));
	page = allocate_here(FRAME_SIZE);
	CHECK(is_guarded(page));
	CHECK(strstr(fault_of(page - 1), "in front of a block: block "));
	CHECK(strstr(fault_of(page + FRAME_SIZE), "behind a block: block "));
	CHECK(!strcmp(fault_of(guard_area), "unknown"));
	kfree(page);
	kfree(block);
	/* A size that is no multiple of its alignment has a red zone in its page. */
	block = allocate_here(60);
	block[60] ^= 1;
	EXPECT_PANIC(kfree(block), "offset 60: expected 0xb5");
	block[60] ^= 1;
	kfree(block);
	finish_guard();
}

TEST(a_touch_of_a_guarded_block_after_its_free_faults)
{
	char *block;

	start_guard(OWNERS, 1);
	now = 5;
	block = allocate_here(100);
	CHECK(is_guarded(block));
	free_here(block);
	CHECK(strstr(fault_of(block + 7), "use after free: block "));
	CHECK(strstr(fault_text, " of 100 bytes, offset 7; allocated by cpu 0 at [<0x"));
	CHECK(strstr(fault_text, ", freed by cpu 0 at [<0x"));
	EXPECT_PANIC(kfree(block), "is freed twice");
	EXPECT_PANIC(kfree(block + 1), "interior pointer of a freed block");
	finish_guard();
}

/* Slots come round, a flush on all cpus before each round; then blocks without guard pages. */
TEST(guard_pages_come_round)
{
	char *block[12], *first;

	start_guard(0, 1);
	first = allocate_here(10);
	kfree(first);
	for (unsigned i = 0; i < 9; i++) {
		block[0] = allocate_here(10);
		CHECK(is_guarded(block[0]) && block[0] != first);
		kfree(block[0]);
	}
	CHECK_EQ(guard_flushes, 0);
	for (unsigned i = 0; i < 10; i++) {
		block[0] = allocate_here(10);
		CHECK(is_guarded(block[0]));
		kfree(block[0]);
	}
	CHECK_EQ(guard_flushes, 1);
	for (unsigned i = 0; i < 12; i++) {
		block[i] = allocate_here(10);
		CHECK_EQ(is_guarded(block[i]), i < 10);
	}
	EXPECT_PANIC(kheap_debug_guard(0, 0), "10 blocks with guard pages are live");
	for (unsigned i = 0; i < 12; i++)
		kfree(block[i]);
	first = hidden(kmalloc(3 * FRAME_SIZE));
	CHECK(!is_guarded(first));
	kfree(first);
	finish_guard();
}

/* Frames of freed blocks are kept until they are wanted. */
TEST(memory_behind_guard_pages_is_found)
{
	static pfn_t frame[4096];
	unsigned count = 0;
	char *block;

	start_guard(0, 1);
	for (unsigned i = 0; i < 10; i++)
		free_here(allocate_here(2 * FRAME_SIZE));
	CHECK(frame_free_count() + 20 <= frames_at_start);
	while (count < 4096 && !pfn_is_none(frame[count] = frame_alloc(FRAME_ANY)))
		count++;
	CHECK_EQ(count, frames_at_start);
	CHECK_EQ(guard_flushes, 1);
	while (count)
		frame_free(frame[--count]);
	block = allocate_here(10);
	CHECK(is_guarded(block));
	kfree(block);
	finish_guard();
}

TEST(of_many_blocks_some_have_guard_pages)
{
	struct kheap_debug_options options = {
		.words = GUARD, .hertz = 1, .guard_every = 16, .port = &debug_port};
	unsigned chosen[2] = {0, 0}, same = 0;
	bool was[4000];

	for (options.seed = 0; options.seed < 2; options.seed++) {
		start_guard(0, 1);
		options.first = zones.zone[0].first;
		options.frames = zones.zone[0].total_frames;
		kheap_debug_start(&options, debug_memory);
		kheap_debug_guard((uintptr_t)guard_area, GUARD_PAGES);
		for (unsigned i = 0; i < 4000; i++) {
			char *block = allocate_here(10);

			chosen[options.seed] += is_guarded(block);
			same += options.seed && was[i] && is_guarded(block);
			was[i] = is_guarded(block);
			kfree(block);
		}
		finish_guard();
	}
	CHECK(chosen[0] > 150 && chosen[0] < 350 && chosen[1] > 150 && chosen[1] < 350);
	CHECK(same < 60);
}

CONCURRENT_TEST(any_calls_with_guard_pages_on_many_cpus)
{
	start_guard(ALL_WORDS, 4);
	host_run(any_calls, NULL);
	finish_guard();
}
