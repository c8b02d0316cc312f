/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_scale_heap.c - the heap on a machine of terabytes, with blocks beyond 2 and 4 GiB, and with 70 and
 * 130 CPUs: sizes of 64 bits in every step, stacks of CPUs beyond the 64th, and a reserve of huge blocks.
 *
 * One thread runs all CPUs in turn. Of a huge block only the first and the last bytes are touched.
 *
 * Covers: mm/heap/ mm/paging/refcount.c
 */
#include <string.h>

#include "heap_machine.h"
#include "mm/global/policies.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/heap/reserve.h"
#include "mm/paging/refcount.h"
#include "mm/percpu/drain.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define GIB	      (1024 * MIB)
#define TIB	      (1024 * GIB)

/* Two nodes, the first one tiny, and a hole of 4 TiB between them. */
static void start_huge(const struct policy *policy, size_t bytes, unsigned cpus,
		       uint64_t front_frames)
{
	struct host_machine machine = {.policy = policy, .cpus = cpus, .capacity = 192};
	struct host_range range[] = {{0x80000, 4096, 0},
				     {4 * TIB >> FRAME_SHIFT, bytes >> FRAME_SHIFT, 1}};

	printf("# policy %s, %u CPUs\n", policy->name, cpus);
	host_machine_start(&machine, range, 2);
	start_front(zones.zone[1].first, front_frames);
}

/* ---- blocks beyond 4 GiB -------------------------------------------------------------------- */

static const struct wish {
	size_t size, align;
} wishes[] = {
	{2 * GIB, 1},	     {2 * GIB + 1, 1},		{4 * GIB - 1, 1}, {4 * GIB, 1},
	{4 * GIB + 4097, 1}, {7 * GIB + 5, 2 * GIB},	{100, 8 * GIB},	  {9 * GIB, 4 * GIB},
	{33 * GIB - 1, 1},   {6 * GIB + 1, FRAME_SIZE},
};

static char *block[LENGTH(wishes)];

static size_t rounded(size_t size)
{
	return (size + FRAME_SIZE - 1) & ~(FRAME_SIZE - 1);
}

static void touch(char *at, size_t size, char value)
{
	at[0] = value;
	at[size / 2] = value;
	at[size - 1] = value;
}

static void check_touched(const char *at, size_t size, char value)
{
	CHECK_EQ(at[0], value);
	CHECK_EQ(at[size / 2], value);
	CHECK_EQ(at[size - 1], value);
}

static void take_huge(unsigned cpus)
{
	size_t sum = 0;

	for (unsigned i = 0; i < LENGTH(wishes); i++) {
		size_t size = wishes[i].size;

		become(cpus - 1 - i);
		block[i] = kmalloc_aligned(size, wishes[i].align);
		CHECK(block[i]);
		CHECK_EQ(port_phys_address(block[i]) % wishes[i].align, 0);
		CHECK(kmalloc_usable_size(block[i]) >= size);
		CHECK(size < GIB || kmalloc_usable_size(block[i]) == rounded(size));
		sum += kmalloc_usable_size(block[i]);
		touch(block[i], size, (char)(i + 1));
	}
	CHECK_EQ(stats_now().allocated_bytes, sum);
	for (unsigned i = 0; i < LENGTH(wishes); i++)
		check_touched(block[i], wishes[i].size, (char)(i + 1));
}

/* Shrunk in place by more than 4 GiB; then to less than a frame, by a move. */
static void resize_huge(void)
{
	char *large = block[8], *small;
	uint64_t before = frame_free_count();

	CHECK(krealloc(large, 17 * GIB + 1) == large);
	CHECK_EQ(kmalloc_usable_size(large), 17 * GIB + FRAME_SIZE);
	CHECK_EQ(frame_free_count() - before, (16 * GIB - FRAME_SIZE) >> FRAME_SHIFT);
	CHECK(!krealloc(large, TIB * 1000));
	CHECK_EQ(large[0], 9);
	small = krealloc(large, 1000);
	CHECK(small && small != large);
	CHECK_EQ(small[0], 9);
	large = krealloc(small, 5 * GIB);
	CHECK(large && large[0] == 9);
	CHECK_EQ(kmalloc_usable_size(large), 5 * GIB);
	block[8] = large;
}

static void ask_too_much(void)
{
	/* The compiler would refuse what is too much, also a shift of an unknown number. */
	volatile size_t one = 1, half = one << 32, half_and_one = half + 1, more = one << 33,
			less = one << 31;
	struct kheap_stats before = stats_now();

	CHECK(!kcalloc(half, half));
	CHECK(!kcalloc(half_and_one, half));
	CHECK(!kcalloc(more, less));
	CHECK(!kmalloc(-one));
	CHECK(!kmalloc(-(one * (FRAME_SIZE - 2))));
	CHECK(!kmalloc(one * PTRDIFF_MAX));
	CHECK(!kmalloc_aligned(1, one << 63));
	CHECK_EQ(stats_now().live_blocks, before.live_blocks);
	CHECK_EQ(stats_now().run_frames, before.run_frames);
}

/* Of a policy that overlooks runs there is no telling which it finds behind the small zone. */
TEST(blocks_beyond_4_gib_are_like_smaller_ones)
{
	for (unsigned i = 0; i < policy_count; i++) {
		if (!policies[i]->exact_runs)
			continue;
		start_huge(policies[i], CHECKS ? 256 * GIB : 2 * TIB, 130, 1 << 20);
		take_huge(130);
		resize_huge();
		ask_too_much();
		if (CHECKS)
			EXPECT_PANIC(kfree(block[4] + 4 * GIB), "");
		for (unsigned j = 0; j < LENGTH(wishes); j++) {
			become(j * 13);
			kfree(block[j]);
		}
		become(0);
		finish();
	}
}

TEST(a_reserve_has_room_for_huge_blocks)
{
	struct kmalloc_reserve reserve = {0};
	char *first;

	start_huge(policies[0], 64 * GIB, 2, 1 << 16);
	CHECK(kmalloc_reserve(&reserve, 3, 5 * GIB + 1));
	CHECK_EQ(stats_now().allocated_bytes, 3 * (5 * GIB + FRAME_SIZE));
	CHECK(!kmalloc_reserve(&reserve, 20, 5 * GIB));
	CHECK_EQ(stats_now().live_blocks, 3);
	first = kmalloc_reserved(&reserve);
	CHECK_EQ(kmalloc_usable_size(first), 5 * GIB + FRAME_SIZE);
	kmalloc_reserve_end(&reserve);
	CHECK_EQ(stats_now().live_blocks, 1);
	kfree(first);
	finish();
}

static void share(struct frame_refs *refs, pfn_t frame)
{
	struct page_reserve reserve;
	enum page_status status;

	page_reserve_init(&reserve);
	do
		status = frame_refs_share(refs, frame, 1, &reserve) ? PAGE_OK : PAGE_SHORT;
	while (page_reserve_refill(&reserve, &status));
	CHECK_EQ(status, PAGE_OK);
}

/* Counts of references lie in a table of all frames from the first zone to the last. */
TEST(references_of_frames_4_tib_apart_are_counted_apart)
{
	struct frame_refs refs;
	const struct zone *last;
	pfn_t frames[2];

	start_huge(policies[0], 64 * GIB, 2, 1 << 16);
	last = &zones.zone[1];
	CHECK(frame_refs_init(&refs, zones.zone[0].first,
			      last->first + last->total_frames - zones.zone[0].first));
	frames[0] = pfn(zones.zone[0].first);
	frames[1] = pfn(last->first + last->total_frames - 1);
	for (unsigned i = 0; i < 3; i++)
		share(&refs, frames[1]);
	CHECK_EQ(frame_refs_count(&refs, frames[0]), 1);
	CHECK_EQ(frame_refs_count(&refs, frames[1]), 4);
	share(&refs, frames[0]);
	for (unsigned i = 0; i < 3; i++)
		CHECK(!frame_refs_drop(&refs, frames[1]));
	CHECK_EQ(frame_refs_count(&refs, frames[0]), 2);
	CHECK(frame_refs_drop(&refs, frames[1]));
	CHECK(!frame_refs_drop(&refs, frames[0]));
	frame_refs_end(&refs);
	finish();
}

/* ---- many CPUs ------------------------------------------------------------------------------- */

#define LIVE_MAX 4000

static struct live {
	char *block;
	size_t size;
	unsigned tag;
} live[LIVE_MAX];
static unsigned live_count;

static size_t some_size(void)
{
	switch (unit_random_below(16)) {
	case 0:
		return 1 + unit_random_below(5 * GIB);
	case 1:
		return 1 + unit_random_below(MIB);
	case 2:
	case 3:
		return 1 + unit_random_below(128 * KIB);
	default:
		return 1 + unit_random_below(KHEAP_SIZE_MAX);
	}
}

static void check_live(const struct live *one)
{
	CHECK_EQ((unsigned char)one->block[0], one->tag);
	CHECK_EQ((unsigned char)one->block[one->size - 1], one->tag);
}

static void mark_live(struct live *one)
{
	one->tag = (unsigned)unit_random_below(256);
	one->block[0] = one->block[one->size - 1] = (char)one->tag;
}

static void take_live(void)
{
	struct live *one = &live[live_count];

	if (live_count == LIVE_MAX)
		return;
	one->size = some_size();
	one->block = kmalloc(one->size);
	if (!one->block)
		return;
	mark_live(one);
	live_count++;
}

static void give_live(unsigned at)
{
	check_live(&live[at]);
	kfree_sized(live[at].block, live[at].size);
	live[at] = live[--live_count];
}

/* Growing copies all of the block, so a huge one only shrinks. */
static void resize_live(struct live *one)
{
	size_t size = some_size();
	char *moved;

	check_live(one);
	if (size > one->size && one->size > MIB)
		size = one->size / 2 + 1;
	moved = krealloc(one->block, size);
	if (!moved)
		return;
	CHECK_EQ((unsigned char)moved[0], one->tag);
	one->block = moved;
	one->size = size;
	mark_live(one);
}

static void do_something(unsigned cpus)
{
	uint64_t choice = unit_random_below(100);

	become((unsigned)unit_random_below(cpus));
	if (choice < 50 || !live_count)
		take_live();
	else if (choice < 90)
		give_live((unsigned)unit_random_below(live_count));
	else if (choice < 98)
		resize_live(&live[unit_random_below(live_count)]);
	else if (choice < 99)
		frame_drain_ask();
	else
		kheap_trim();
}

static void crowd(const struct policy *policy, unsigned cpus, size_t bytes)
{
	start_huge(policy, bytes, cpus, bytes >> FRAME_SHIFT);
	for (unsigned i = 0; i < 20000; i++)
		do_something(cpus);
	kheap_validate();
	while (live_count) {
		become((unsigned)unit_random_below(cpus));
		give_live((unsigned)unit_random_below(live_count));
	}
	finish();
}

TEST(a_crowd_keeps_all_blocks_apart)
{
	for (unsigned i = 0; i < policy_count; i++)
		crowd(policies[i], i % 2 ? 70 : 130, policies[i]->uses_frames ? 64 * MIB : 34 * GIB);
}

/* What lies on the stack of one CPU, whichever, becomes frames before an allocation fails. */
TEST(the_stacks_of_all_cpus_are_emptied_before_an_allocation_fails)
{
	static const unsigned holders[] = {0, 63, 64, 69, 127, 128, 129};

	for (unsigned i = 0; i < LENGTH(holders); i++) {
		char *last, *next = NULL;

		start(8 * MIB, 130);
		become(holders[i]);
		kfree(kmalloc(2000));
		CHECK(kheap_front_level(kheap_class_of(2000)) > 0);
		CHECK(!kheap_front_others_hold());
		become(1);
		CHECK(kheap_front_others_hold());
		while ((last = kmalloc(2000))) {
			*(char **)last = next;
			next = last;
		}
		CHECK_EQ(kheap_front_level(kheap_class_of(2000)), 0);
		for (; next; next = last) {
			last = *(char **)next;
			kfree(next);
		}
		finish();
	}
}
