/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_memory.c - the time before there are zones, and which frames become zones: early memory in
 * RAM of any shape, kernels that cannot stay where they are, and zones against a map of all frames.
 * The rest of what a tree may say is for fuzz_memory.c.
 *
 * Covers: kernel/boot/early.c kernel/boot/memory.c kernel/vm/kernel_map.c
 */
#include <stdlib.h>
#include <string.h>

#include <port.h>

#include "dtb_builder.h"
#include "host.h"
#include "kernel/boot/early.h"
#include "kernel/vm/kernel_map.h"
#include "kernel/boot/memory.h"
#include "mm/global/segment_tree.h"
#include "mm/global/zone.h"
#include "mm/paging/pte.h"
#include "unit.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

static struct zone *host_zone;

/* Memory "at" `base`, and one cpu; the zones are the test's to make. */
static void start_machine(uint64_t base, uint64_t frames)
{
	struct host_range range = {base >> FRAME_SHIFT, frames, 0};
	struct host_machine machine = {.cpus = 1};

	host_machine_start(&machine, &range, 1);
	host_zone = zones.zone;
}

static void end_machine(void)
{
	zones.zone = host_zone;
	zones.count = 1;
	host_machine_end();
}

/* ---- early memory ------------------------------------------------------------------------- */

#define BASE	   UINT64_C(0x80000000)
#define KERNEL	   (BASE + 2 * MIB)
#define KERNEL_END (KERNEL + 256 * KIB)

struct extent {
	uint64_t start, size;
	unsigned node; /* of RAM; of what is reserved: 1 is no-map */
};

/* The contents of a test's tree. */
static struct extent ram[40], cuts[40];
static unsigned ram_count, cut_count;
static uint64_t initrd_start, initrd_end;
static struct dtb_bytes blob;
static struct devicetree tree;
static struct devicetree_error error;

static void add_ram(uint64_t start, uint64_t size, unsigned node)
{
	ram[ram_count++] = (struct extent){start, size, node};
}

static void add_cut(uint64_t start, uint64_t size, bool no_map)
{
	cuts[cut_count++] = (struct extent){start, size, no_map};
}

static void add_extent(struct dtb *dtb, const char *name, const struct extent *extent)
{
	dtb_begin(dtb, name);
	if (strcmp(name, "memory") == 0)
		dtb_u32(dtb, "numa-node-id", extent->node);
	else if (extent->node)
		dtb_property(dtb, "no-map", NULL, 0);
	dtb_cells(dtb, "reg", (uint32_t)(extent->start >> 32), (uint32_t)extent->start,
		  (uint32_t)(extent->size >> 32), (uint32_t)extent->size);
	dtb_end(dtb);
}

static void add_two_cells(struct dtb *dtb)
{
	dtb_u32(dtb, "#address-cells", 2);
	dtb_u32(dtb, "#size-cells", 2);
}

/* The tree, at this address, and early memory from it. `frames` of memory from BASE are there. */
static void start_early_at(uint64_t frames, uint64_t blob_at)
{
	struct dtb dtb = {0};

	dtb_begin(&dtb, "");
	add_two_cells(&dtb);
	for (unsigned i = 0; i < ram_count; i++)
		add_extent(&dtb, "memory", &ram[i]);
	dtb_begin(&dtb, "reserved-memory");
	add_two_cells(&dtb);
	for (unsigned i = 0; i < cut_count; i++)
		add_extent(&dtb, "cut", &cuts[i]);
	dtb_end(&dtb);
	dtb_begin(&dtb, "chosen");
	dtb_u64(&dtb, "linux,initrd-start", initrd_start);
	dtb_u64(&dtb, "linux,initrd-end", initrd_end);
	dtb_end(&dtb);
	dtb_end(&dtb);
	blob = dtb_finish(&dtb);
	start_machine(BASE, frames);
	if (!blob_at)
		blob_at = BASE + frames * FRAME_SIZE - blob.size;
	memcpy(port_phys_pointer(blob_at), blob.bytes, blob.size);
	CHECK(devicetree_open(&tree, port_phys_pointer(blob_at), blob.size, &error));
	CHECK(early_init(&tree, KERNEL, KERNEL_END, &error));
}

/* The tree at the end of memory. */
static void start_early(uint64_t bytes)
{
	start_early_at(bytes / FRAME_SIZE, 0);
}

static void end_early(void)
{
	end_machine();
	dtb_free(&blob);
	ram_count = cut_count = 0;
	initrd_start = initrd_end = 0;
}

static uint64_t take(size_t bytes, size_t align)
{
	return port_phys_address(early_alloc(bytes, align));
}

/* ---- early memory in more than one bank ------ */

TEST(early_memory_goes_on_where_two_entries_touch)
{
	add_ram(BASE, 2 * MIB + 512 * KIB, 0);
	add_ram(BASE + 2 * MIB + 512 * KIB, 6 * MIB, 0);
	start_early(8 * MIB);
	CHECK_EQ(take(200 * KIB, 64), KERNEL_END);
	CHECK_EQ(take(1 * MIB, 64), KERNEL_END + 200 * KIB); /* across the end of the first */
	end_early();
}

TEST(early_memory_goes_on_where_two_nodes_touch)
{
	/* In the middle of a frame: neither node has that frame, but RAM it is. */
	add_ram(BASE + 2 * MIB + 512 * KIB + 100, 5 * MIB, 1);
	add_ram(BASE, 2 * MIB + 512 * KIB + 100, 0);
	start_early(8 * MIB);
	CHECK_EQ(take(300 * KIB, 64), KERNEL_END);
	end_early();
}

TEST(early_memory_is_not_cut_short_by_an_entry_within_another)
{
	add_ram(BASE, 8 * MIB, 0);
	add_ram(BASE, 2 * MIB + 512 * KIB, 0);
	add_ram(BASE + MIB, 2 * MIB, 0);
	start_early(8 * MIB);
	CHECK_EQ(take(3 * MIB, 64), KERNEL_END);
	end_early();
}

TEST(early_memory_goes_on_in_another_bank_and_fills_the_first)
{
	add_ram(BASE + 4 * MIB, 4 * MIB, 1);
	add_ram(BASE + 3 * MIB, 16 * KIB, 0);
	add_ram(BASE + MIB, MIB + 512 * KIB, 0);
	start_early(8 * MIB);
	CHECK_EQ(take(200 * KIB, 64), KERNEL_END);
	/* Neither what is left here, nor the small bank. */
	CHECK_EQ(take(100 * KIB, 4096), BASE + 4 * MIB + FRAME_SIZE);
	CHECK_EQ(take(20 * KIB, 64), KERNEL_END + 200 * KIB);
	CHECK_EQ(take(50 * KIB, 64), BASE + 4 * MIB + FRAME_SIZE + 100 * KIB);
	CHECK_EQ(take(15 * KIB, 64), KERNEL_END + 220 * KIB);
	CHECK_EQ(take(10 * KIB, 64), KERNEL_END + 235 * KIB);
	CHECK_EQ(take(12 * KIB, 64), BASE + 4 * MIB + FRAME_SIZE + 150 * KIB);
	end_early();
}

TEST(early_memory_goes_below_the_kernel_at_last)
{
	add_ram(BASE, 2 * MIB + 512 * KIB, 0);
	add_cut(BASE, 100 * KIB + 1, false);
	start_early(8 * MIB);
	CHECK_EQ(take(MIB, 4096), BASE + 108 * KIB);
	end_early();
}

/* 64 stacks and more, with a first node that holds little besides the kernel. */
TEST(early_memory_for_many_cpus_in_many_small_banks)
{
	const unsigned banks = 32, stacks = 2 * banks + 1; /* one above the kernel */
	uint64_t taken = 0;

	add_ram(BASE + 2 * MIB, 300 * KIB, 0);
	for (unsigned i = 0; i < banks; i++)
		add_ram(BASE + 4 * MIB + i * 128 * KIB, 112 * KIB, i + 1);
	start_early(16 * MIB);
	for (unsigned i = 0; i < stacks; i++) {
		uint64_t stack = take(44 * KIB, 4096);

		CHECK(stack % 4096 == 0);
		for (unsigned bank = 0; bank < ram_count; bank++)
			if (stack - ram[bank].start < ram[bank].size)
				CHECK(stack + 44 * KIB <= ram[bank].start + ram[bank].size);
		taken++;
	}
	CHECK_EQ(taken, stacks);
	EXPECT_PANIC(early_alloc(44 * KIB, 4096), "no memory: 45056 bytes");
	end_early();
}

TEST(what_early_memory_steps_over_becomes_a_zone)
{
	uint64_t left = 0;

	add_ram(BASE, 8 * MIB, 0);
	add_cut(KERNEL_END + MIB, FRAME_SIZE, false);
	start_early(8 * MIB);
	CHECK_EQ(take(2 * MIB, 64), KERNEL_END + MIB + FRAME_SIZE + 64);
	early_tree_moved(&tree);
	CHECK(memory_collect(&tree, &error));
	memory_start(&segment_tree_policy, SPIN_FAS);
	for (unsigned i = 0; i < zones.count; i++)
		if (zones.zone[i].first < (KERNEL_END + MIB) >> FRAME_SHIFT &&
		    zones.zone[i].first >= KERNEL_END >> FRAME_SHIFT)
			left += zones.zone[i].total_frames;
	CHECK(left > (MIB >> FRAME_SHIFT) - 8); /* but for the tables */
	CHECK_EQ(memory_account()->lost_frames, 0);
	end_early();
}

/* Memory taken before the tree moved may lie above the old place of the tree. */
TEST(a_span_above_the_old_tree_cuts_a_zone_in_two)
{
	add_ram(BASE, 8 * MIB, 0);
	start_early_at(8 * MIB / FRAME_SIZE, KERNEL_END + 64 * KIB);
	CHECK_EQ(take(MIB, 64), KERNEL_END + 68 * KIB + 64);
	early_tree_moved(&tree);
	CHECK(memory_collect(&tree, &error));
	memory_start(&segment_tree_policy, SPIN_FAS);
	CHECK_EQ(zones.count, 3);
	CHECK(zones.count <= memory_zones_at_most());
	CHECK_EQ(zones.zone[1].first + zones.zone[1].total_frames,
		 (KERNEL_END + 68 * KIB) >> FRAME_SHIFT);
	end_early();
}

/* ---- ends of the address space ------ */

static void refuse_early(size_t align)
{
	EXPECT_PANIC(early_alloc(1, align), "no memory: 1 bytes");
}

TEST(early_memory_ends_where_all_is_reserved_to_the_top)
{
	const struct extent all[] = {
		{0, UINT64_MAX, 0},
		{BASE, UINT64_MAX - BASE, 0},
		{UINT64_C(1) << 12, UINT64_MAX - (UINT64_C(1) << 12), 1},
		{BASE, 8 * MIB, 0},
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		add_ram(BASE, 8 * MIB, 0);
		add_cut(all[i].start, all[i].size, all[i].node);
		start_early(8 * MIB);
		for (size_t align = 1; align <= 65536; align *= 256)
			refuse_early(align);
		end_early();
	}
}

TEST(early_memory_asked_for_more_than_there_can_be)
{
	add_ram(BASE, 8 * MIB, 0);
	start_early(8 * MIB);
	EXPECT_PANIC(early_alloc(SIZE_MAX, 1), "no memory: 18446744073709551615 bytes");
	EXPECT_PANIC(early_alloc(SIZE_MAX - KERNEL_END + 2, 1), "no memory: ");
	EXPECT_PANIC(early_alloc(1, UINT64_C(1) << 63), "no memory: 1 bytes");
	CHECK_EQ(take(0, 64), KERNEL_END);
	end_early();
}

TEST(ranges_that_wrap_are_refused)
{
	struct dtb dtb = {0};

	dtb_begin(&dtb, "");
	add_two_cells(&dtb);
	add_extent(&dtb, "memory", &(struct extent){BASE, UINT64_MAX - BASE + 1, 0});
	dtb_end(&dtb);
	blob = dtb_finish(&dtb);
	CHECK(devicetree_open(&tree, blob.bytes, blob.size, &error));
	start_machine(BASE, 16);
	CHECK(!early_init(&tree, KERNEL, KERNEL_END, &error));
	CHECK(strcmp(error.what, "range wraps") == 0);
	end_early();
}

/* ---- obstacles ------ */

/* A page that may not be mapped may have no byte of ours in it, wherever in it the reserved one is.
 */
TEST(early_memory_shares_no_frame_with_a_reservation)
{
	add_ram(BASE, 8 * MIB, 0);
	add_cut(KERNEL_END + 0x1800, 0x10, true);
	add_cut(KERNEL_END + 0x3800, 0x10, false);
	start_early(8 * MIB);
	CHECK_EQ(take(0x1000, 1), KERNEL_END);
	CHECK_EQ(take(0x1000 - sizeof(struct early_span), 1),
		 KERNEL_END + 0x2000 + sizeof(struct early_span));
	CHECK_EQ(take(0x1000, 1), KERNEL_END + 0x4000 + sizeof(struct early_span));
	end_early();
}

TEST(early_memory_spares_the_tree_until_it_has_moved)
{
	add_ram(BASE, 8 * MIB, 0);
	start_early_at(8 * MIB / FRAME_SIZE, KERNEL_END + 64 * KIB + 13);
	CHECK_EQ(take(64 * KIB, 1), KERNEL_END);
	CHECK_EQ(take(1, 1), KERNEL_END + 68 * KIB + sizeof(struct early_span));
	early_tree_moved(&tree);
	CHECK_EQ(take(4 * KIB, 1), KERNEL_END + 64 * KIB);
	end_early();
}

/* All tables so early that their order decides: overlapping, nested, repeated, unsorted. */
TEST(early_memory_finds_the_only_hole)
{
	add_ram(BASE, 8 * MIB, 0);
	add_cut(BASE + 5 * MIB, 3 * MIB, false);
	add_cut(KERNEL, MIB, false);
	add_cut(BASE + 3 * MIB, 2 * MIB - FRAME_SIZE, true);
	add_cut(BASE + 3 * MIB, 2 * MIB - FRAME_SIZE, true);
	add_cut(BASE + 4 * MIB, 64, false);
	add_cut(BASE, 2 * MIB + 1, false);
	add_cut(BASE + 7 * MIB, UINT64_C(1) << 63, false);
	start_early(8 * MIB);
	CHECK_EQ(take(4096 - sizeof(struct early_span), 1),
		 BASE + 5 * MIB - FRAME_SIZE + sizeof(struct early_span));
	EXPECT_PANIC(early_alloc(1, 1), "no memory: 1 bytes");
	end_early();
}

TEST(early_memory_is_closed_at_the_end)
{
	add_ram(BASE, 8 * MIB, 0);
	start_early(8 * MIB);
	early_close();
	EXPECT_PANIC(early_alloc(8, 8), "early_alloc: 8 bytes after early_close()");
	end_early();
}

/* ---- what the kernel stands on ------ */

static void check_stays(int line, bool pages, const char *reason)
{
	char wrong[160] = "";

	start_early(8 * MIB);
	if (early_kernel_can_stay(pages, wrong, sizeof(wrong)) != !reason)
		unit_fail(__FILE__, line, "the kernel %s: %s", reason ? "stays" : "cannot stay",
			  wrong);
	if (reason && strcmp(wrong, reason) != 0)
		unit_fail(__FILE__, line, "says \"%s\", expected \"%s\"", wrong, reason);
	end_early();
}

#define CHECK_STAYS(pages, reason) check_stays(__LINE__, pages, reason)

TEST(a_kernel_must_lie_in_ram)
{
	static const char nowhere[] = "no memory: the device tree has no RAM at [0x80200000, "
				      "0x80240000), where the kernel is";

	CHECK_STAYS(true, nowhere);
	add_ram(BASE, 2 * MIB + 100 * KIB, 0); /* all but its end */
	CHECK_STAYS(true, nowhere);
	add_ram(KERNEL + FRAME_SIZE, MIB, 0); /* all but its start */
	CHECK_STAYS(true, nowhere);
	add_ram(BASE, 2 * MIB + 100 * KIB, 0); /* all but a byte in its middle */
	add_ram(BASE + 2 * MIB + 100 * KIB + 1, MIB, 1);
	CHECK_STAYS(true, nowhere);
	add_ram(BASE, 2 * MIB + 100 * KIB, 0); /* of two nodes */
	add_ram(BASE + 2 * MIB + 100 * KIB, MIB, 1);
	CHECK_STAYS(true, NULL);
}

TEST(a_kernel_that_must_not_be_mapped_is_refused)
{
	static const char covers[] = "no-map region [0x80000000, 0x80400000) covers the kernel at "
				     "[0x80200000, 0x80240000)";

	add_ram(BASE, 8 * MIB, 0);
	add_cut(BASE, 4 * MIB, true);
	CHECK_STAYS(true, covers);
	add_ram(BASE, 8 * MIB, 0);
	add_cut(BASE, 4 * MIB, true);
	CHECK_STAYS(false, NULL); /* nothing is mapped without page tables */
	add_ram(BASE, 8 * MIB, 0);
	add_cut(BASE, 4 * MIB, false);
	CHECK_STAYS(true, NULL); /* reserved for us, as it were */
	add_ram(BASE, 8 * MIB, 0);
	add_cut(KERNEL_END - 1, 1, true);
	CHECK_STAYS(true,
		    "no-map region [0x8023ffff, 0x80240000) covers the kernel at [0x80200000, "
		    "0x80240000)");
	add_ram(BASE, 8 * MIB, 0);
	add_cut(BASE, 2 * MIB, true); /* touches it on both sides */
	add_cut(KERNEL_END, FRAME_SIZE, true);
	CHECK_STAYS(true, NULL);
	add_ram(BASE, 8 * MIB, 0);
	add_cut(BASE, UINT64_MAX - BASE, true);
	CHECK_STAYS(true, "no-map region [0x80000000, 0xffffffffffffffff) covers the kernel at "
			  "[0x80200000, 0x80240000)");
}

TEST(a_kernel_under_the_initrd_is_refused)
{
	add_ram(BASE, 8 * MIB, 0);
	initrd_start = KERNEL_END - 1;
	initrd_end = KERNEL_END + MIB;
	CHECK_STAYS(false, "the initrd [0x8023ffff, 0x80340000) covers the kernel at [0x80200000, "
			   "0x80240000)");
	add_ram(BASE, 8 * MIB, 0);
	initrd_start = KERNEL_END;
	initrd_end = KERNEL_END + MIB;
	CHECK_STAYS(true, NULL);
}

TEST(a_kernel_under_the_tree_is_refused)
{
	char wrong[160];

	add_ram(BASE, 8 * MIB, 0);
	start_early_at(8 * MIB / FRAME_SIZE, KERNEL - 16);
	CHECK(!early_kernel_can_stay(true, wrong, sizeof(wrong)));
	CHECK(strncmp(wrong, "the device tree [0x801ffff0, 0x80200", 36) == 0);
	CHECK(strstr(wrong, ") covers the kernel at [0x80200000, 0x80240000)"));
	end_early();
}

/* ---- what is mapped ------ */

struct mapped {
	uint64_t start, end;
	unsigned flags;
};

static struct mapped mapped[32];
static unsigned mapped_count;

static enum page_status note_mapped(void *context, uint64_t start, uint64_t end, unsigned flags)
{
	(void)context;
	mapped[mapped_count++] = (struct mapped){start, end, flags};
	return PAGE_OK;
}

static uint64_t guard_of(unsigned i)
{
	return KERNEL_END - (2 - i) * 0x3000;
}

static void check_mapped(const struct mapped *expected, unsigned count)
{
	struct kernel_map map = {
		.tree = &tree,
		.image_start = KERNEL,
		.text_end = KERNEL + 0x2000,
		.rodata_end = KERNEL + 0x3000,
		.finisher = 0x100008,
		.guards = 2,
		.guard = guard_of,
	};

	mapped_count = 0;
	CHECK(kernel_map_walk(&map, note_mapped, NULL) == PAGE_OK);
	for (unsigned i = 0; i < count && i < mapped_count; i++) {
		CHECK_EQ(mapped[i].start, expected[i].start);
		CHECK_EQ(mapped[i].end, expected[i].end);
		CHECK_EQ(mapped[i].flags, expected[i].flags | PAGE_GLOBAL);
	}
	CHECK_EQ(mapped_count, count);
}

#define RW (PAGE_READ | PAGE_WRITE)

/* Also the frame in which two nodes meet, and not what a no-map range has a byte of, up to the top.
 */
TEST(mapped_is_all_ram_but_what_must_not_be)
{
	const struct mapped expected[] = {
		{KERNEL, KERNEL + 0x2000, PAGE_READ | PAGE_EXECUTE},
		{KERNEL + 0x2000, KERNEL + 0x3000, PAGE_READ},
		{0x100000, 0x101000, RW},
		{BASE + 0x1000, KERNEL - 0x2000, RW},
		{KERNEL + 0x3000, KERNEL_END - 0x6000, RW},
		{KERNEL_END - 0x5000, KERNEL_END - 0x3000, RW},
		{KERNEL_END - 0x2000, KERNEL_END + 2 * MIB, RW},
		{BASE + 6 * MIB, BASE + 7 * MIB, RW},
	};

	add_ram(BASE + 1, 3 * MIB + 99, 0);
	add_ram(BASE + 3 * MIB + 100, 2 * MIB, 1);
	add_ram(BASE + 6 * MIB, 2 * MIB, 1);
	add_cut(KERNEL - 0x1001, 0x1001, true);
	add_cut(KERNEL_END + 2 * MIB + 1, MIB, true);
	add_cut(KERNEL_END + 2 * MIB + 5, 10, true);
	add_cut(BASE + 7 * MIB + 0x800, UINT64_MAX - BASE - 7 * MIB - 0x800, true);
	add_cut(BASE + 6 * MIB, MIB, false);
	start_early(8 * MIB);
	CHECK(early_kernel_can_stay(true, (char[160]){0}, 160));
	early_tree_moved(&tree);
	CHECK(memory_collect(&tree, &error));
	check_mapped(expected, sizeof(expected) / sizeof(expected[0]));
	end_early();
}

/* ---- which frames become zones ------------------------------------------------------------ */

/* The model: a map of units, eight to a frame. */
#define RAM_START   UINT64_C(0x80000000)
#define RAM_FRAMES  4096u
#define UNIT_BYTES  512u
#define UNITS_FRAME (FRAME_SIZE / UNIT_BYTES)
#define RAM_UNITS   (RAM_FRAMES * UNITS_FRAME)
#define RANGES_MAX  6
#define CUT	    0xff /* reserved: no node's */

static uint8_t unit_node[RAM_UNITS]; /* its node plus 1; 0: no RAM */

struct piece {
	uint64_t start, end; /* units */
	unsigned node;
};

static struct piece random_piece(void)
{
	uint64_t start = unit_random_below(RAM_UNITS - 8);
	uint64_t longest = RAM_UNITS - start < 8000 ? RAM_UNITS - start : 8000;
	uint64_t end = start + 1 + unit_random_below(longest);

	/* Most are whole frames, as most are. */
	if (unit_random_below(3)) {
		start = start / UNITS_FRAME * UNITS_FRAME;
		end = (end + UNITS_FRAME - 1) / UNITS_FRAME * UNITS_FRAME;
	}
	return (struct piece){start, end, (unsigned)unit_random_below(2)};
}

/*
 * Where two pieces claim a unit, the piece that starts lower has it; if both start at the same
 * unit, the piece that comes first has it.
 */
static void map_memory(const struct piece *pieces, unsigned count)
{
	memset(unit_node, 0, sizeof(unit_node));
	for (uint64_t start = 0; start < RAM_UNITS; start++)
		for (unsigned i = 0; i < count; i++)
			for (uint64_t at = start; pieces[i].start == start && at < pieces[i].end;
			     at++)
				if (!unit_node[at])
					unit_node[at] = (uint8_t)(pieces[i].node + 1);
}

static void map_reserved(struct piece piece)
{
	memset(unit_node + piece.start, CUT, piece.end - piece.start);
}

static bool frame_is_free(uint64_t frame)
{
	const uint8_t *units = unit_node + frame * UNITS_FRAME;

	for (unsigned i = 0; i < UNITS_FRAME; i++)
		if (units[i] == 0 || units[i] == CUT || units[i] != units[0])
			return false;
	return true;
}

static void add_reg(struct dtb *dtb, const char *name, struct piece piece)
{
	uint64_t start = RAM_START + piece.start * UNIT_BYTES;
	uint64_t size = (piece.end - piece.start) * UNIT_BYTES;

	dtb_begin(dtb, name);
	if (!strcmp(name, "memory")) {
		dtb_string(dtb, "device_type", "memory");
		dtb_u32(dtb, "numa-node-id", piece.node);
	}
	dtb_cells(dtb, "reg", (uint32_t)(start >> 32), (uint32_t)start, (uint32_t)(size >> 32),
		  (uint32_t)size);
	dtb_end(dtb);
}

static void add_cells(struct dtb *dtb)
{
	dtb_u32(dtb, "#address-cells", 2);
	dtb_u32(dtb, "#size-cells", 2);
}

/* A tree of these pieces; the reserved ones are of all three sources, and the map knows them. */
static struct dtb_bytes make_tree(const struct piece *ram_pieces, unsigned ram_count)
{
	struct dtb dtb = {0};
	struct piece initrd = random_piece();
	unsigned count = (unsigned)unit_random_below(RANGES_MAX);

	map_memory(ram_pieces, ram_count);
	for (unsigned i = (unsigned)unit_random_below(3); i > 0; i--) {
		struct piece piece = random_piece();

		dtb_reserve(&dtb, RAM_START + piece.start * UNIT_BYTES,
			    (piece.end - piece.start) * UNIT_BYTES);
		map_reserved(piece);
	}
	dtb_begin(&dtb, "");
	add_cells(&dtb);
	for (unsigned i = 0; i < ram_count; i++)
		add_reg(&dtb, "memory", ram_pieces[i]);
	dtb_begin(&dtb, "reserved-memory");
	add_cells(&dtb);
	dtb_property(&dtb, "ranges", NULL, 0);
	for (unsigned i = 0; i < count; i++) {
		struct piece piece = random_piece();

		add_reg(&dtb, "hole", piece);
		map_reserved(piece);
	}
	dtb_end(&dtb);
	dtb_begin(&dtb, "chosen");
	if (unit_random_below(2)) {
		dtb_u64(&dtb, "linux,initrd-start", RAM_START + initrd.start * UNIT_BYTES);
		dtb_u64(&dtb, "linux,initrd-end", RAM_START + initrd.end * UNIT_BYTES);
		map_reserved(initrd);
	}
	dtb_end(&dtb);
	dtb_end(&dtb);
	return dtb_finish(&dtb);
}

static void check_zones(void)
{
	static uint8_t seen[RAM_FRAMES];
	uint64_t expected = 0, zoned = 0;

	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < zones.count; i++) {
		uint64_t first = zones.zone[i].first - (RAM_START >> FRAME_SHIFT);
		uint64_t count = zones.zone[i].total_frames;

		CHECK(first < RAM_FRAMES && count <= RAM_FRAMES - first);
		for (uint64_t frame = first; frame < first + count; frame++) {
			CHECK(frame_is_free(frame));
			CHECK_EQ(unit_node[frame * UNITS_FRAME], zones.zone[i].node + 1);
			CHECK(!seen[frame]++);
		}
		zoned += count;
	}
	for (uint64_t frame = 0; frame < RAM_FRAMES; frame++)
		expected += frame_is_free(frame);
	CHECK_EQ(zoned + memory_account()->lost_frames, expected);
	CHECK_EQ(memory_account()->ram_frames - memory_account()->outside_frames, zoned);
}

/* The kernel and all of early memory; the units that they end in are no other's. */
static void map_spans(void)
{
	for (const struct early_span *span = early_spans(); span; span = span->next) {
		struct piece piece = {(span->start - RAM_START) / UNIT_BYTES,
				      (span->end - RAM_START + UNIT_BYTES - 1) / UNIT_BYTES, 0};

		map_reserved(piece);
	}
}

static void boot(const struct dtb_bytes *blob, struct piece kernel)
{
	struct devicetree tree;
	struct devicetree_error error;

	CHECK(devicetree_open(&tree, blob->bytes, blob->size, &error));
	CHECK(early_init(&tree, RAM_START + kernel.start * UNIT_BYTES,
			 RAM_START + kernel.end * UNIT_BYTES, &error));
	early_tree_moved(&tree);
	CHECK(memory_collect(&tree, &error));
	memory_start(&segment_tree_policy, SPIN_FAS);
	CHECK(zones.count <= memory_zones_at_most());
	map_spans();
}

/* False: the reservations leave no room for the tables. */
static bool has_booted(const struct dtb_bytes *blob, struct piece kernel)
{
	volatile bool done = false;

	unit_panic_expected = true;
	if (setjmp(unit_panic_return) == 0) {
		boot(blob, kernel);
		done = true;
	}
	unit_panic_expected = false;
	CHECK(done || unit_message_has("no memory: "));
	return done;
}

TEST(zones_are_all_of_memory_that_nothing_reserves)
{
	unsigned booted = 0;

	start_machine(RAM_START, RAM_FRAMES);
	for (unsigned round = 0; round < 300; round++) {
		struct piece pieces[RANGES_MAX], kernel = random_piece();
		unsigned count = 1 + (unsigned)unit_random_below(RANGES_MAX - 1);
		struct dtb_bytes blob;

		for (unsigned i = 0; i < count; i++)
			pieces[i] = random_piece();
		/* A zone at least, whatever the others come to. */
		pieces[0] = (struct piece){0, RAM_UNITS, 0};
		if (unit_random_below(2))
			pieces[0].end = RAM_UNITS / 2 + unit_random_below(RAM_UNITS / 2);
		blob = make_tree(pieces, count);
		kernel.start = kernel.start / UNITS_FRAME * UNITS_FRAME;
		kernel.end = kernel.start + UNITS_FRAME * (1 + unit_random_below(4));
		if (has_booted(&blob, kernel)) {
			check_zones();
			booted++;
		}
		dtb_free(&blob);
	}
	CHECK(booted > 200);
	end_machine();
}
