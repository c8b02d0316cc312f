/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_memory.c - fuzz target: which memory the kernel takes, hands out and maps, by what the
 *device tree says, against a map of bytes.
 *
 * The input is the content of a tree that is well-formed, but as awkward as the specification and
 *the bindings let it be: RAM in entries and nodes that touch, overlap, repeat, are nested, empty or
 * disabled; reservations of four kinds, whole or in odd bytes, outside of RAM, up to the top of
 *the address space; the tree's blob anywhere; and RAM at its end. The model is a byte for each byte
 *of a window of memory, filled in from the same choices, and knows nothing of how the kernel does
 *it:
 *
 *	- refused is what has no meaning, and a kernel that cannot stay where it is, and nothing
 *	  else;
 *	- early memory lies in whole frames of RAM in which nothing is reserved, is aligned, zeroed
 *	  and given once, and can be had as long as a range of such frames has room;
 *	- zones are all other such frames, each of one node, less those that are accounted as lost;
 *	- mapped is all RAM but no-map frames and guard pages, each page as it should be.
 *
 * Covers: kernel/boot/early.c kernel/boot/memory.c kernel/boot/machine*.c kernel/vm/kernel_map.c
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "kernel/boot/early.h"
#include "kernel/vm/kernel_map.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "mm/global/segment_tree.h"
#include "mm/global/zone.h"
#include "mm/paging/pte.h"
#include "port.h"
#include "tests/host/support/dtb_builder.h"

#define FRAMES	   128u
#define WINDOW	   (FRAMES * FRAME_SIZE)
#define PIECES_MAX 64
#define ALLOCS_MAX 16
#define RESERVED   1
#define NO_MAP	   2
#define INITRD	   4
#define FINISHER   UINT64_C(0x100000)
#define HEADER	   sizeof(struct early_span)

struct piece {
	uint64_t start, size;
	unsigned node;
};

struct early_piece {
	uint64_t start, bytes;
};

/* All of one input; zeroed before each. */
static struct {
	struct fuzz_input in;
	struct dtb dtb;
	uint64_t base;
	unsigned address_cells, size_cells;
	bool pages;
	uint64_t kernel_start, kernel_end, text_end, rodata_end; /* offsets into the window */
	struct piece ram[PIECES_MAX], usable[2];
	unsigned ram_count, usable_count;
	bool has_usable;
	bool malformed, usable_malformed, block_wraps;
	struct early_piece early[ALLOCS_MAX];
	unsigned early_count;
	bool guarded[FRAMES];
	unsigned guards;
	uint64_t guard[ALLOCS_MAX];
	uint64_t blob_start, blob_size; /* in the window; size 0: it has moved */
	uint8_t flags[FRAMES];
	unsigned finishers;
} now;

/* Of each byte of the window. */
static uint8_t ram_of[WINDOW];	/* the node of RAM plus 1; 0: no RAM */
static uint8_t cut_of[WINDOW];	/* RESERVED, NO_MAP, INITRD */
static uint8_t used_of[WINDOW]; /* early memory */

/* The same of each frame, once the maps are drawn. */
static struct {
	bool is_ram, is_of_one_node; /* all of its bytes */
	uint8_t cuts;		     /* of any of its bytes */
} frame_of[FRAMES];

/* For loops over bytes, which take all of the time otherwise. */
#define PLAIN FUZZ_UNTRACED __attribute__((no_sanitize("address", "undefined")))

static bool flip(unsigned one_in)
{
	return fuzz_below(&now.in, one_in) == 1;
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* Whether the end can be written down: what the tree's reader promises of each range. */
static bool wraps(const struct piece *piece)
{
	return piece->size > UINT64_MAX - piece->start;
}

/* In the window, and not to its last byte where that is the last of all. */
static struct piece piece_within(void)
{
	uint64_t start, size;

	if (flip(2)) {
		start = fuzz_below(&now.in, FRAMES) * FRAME_SIZE;
		size = (1 + fuzz_below(&now.in, FRAMES)) * FRAME_SIZE;
	} else {
		start = fuzz_short(&now.in) * (WINDOW / 65536) + fuzz_below(&now.in, 3);
		size = 1 + fuzz_short(&now.in) % (WINDOW / 8);
	}
	if (size > WINDOW - start)
		size = WINDOW - start;
	start += now.base;
	if (size > UINT64_MAX - start)
		size = UINT64_MAX - start;
	return (struct piece){start, size, 0};
}

/* Also empty ones, and, where nothing is touched there, some that lie anywhere. */
static struct piece any_piece(bool anywhere)
{
	const struct piece odd[] = {
		{0, UINT64_MAX, 0},
		{0, now.base, 0},
		{0, now.base + WINDOW / 2, 0},
		{now.base + WINDOW / 2, UINT64_MAX - now.base - WINDOW / 2, 0},
		{UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, 0},
		{UINT64_MAX - 1, 1, 0},
		{UINT64_MAX & -FRAME_SIZE, FRAME_SIZE - 1, 0},
		{UINT64_MAX & -FRAME_SIZE, FRAME_SIZE, 0}, /* wraps */
		{now.base, UINT64_MAX, 0},		   /* wraps, unless at 0 */
	};
	struct piece piece = piece_within();
	unsigned kind = fuzz_below(&now.in, 16);

	if (kind == 1)
		piece.size = 0;
	if (kind == 2)
		return (struct piece){odd[0].size - 5, 100, 0}; /* wraps */
	if (kind >= 12 && anywhere)
		return odd[fuzz_below(&now.in, sizeof(odd) / sizeof(odd[0]))];
	return piece;
}

/* The part of it that lies in the window, as offsets. */
static bool clip(const struct piece *piece, uint64_t *start, uint64_t *end)
{
	uint64_t last = piece->start + piece->size, top = now.base + (WINDOW - 1);

	if (piece->size == 0 || last <= now.base || piece->start > top)
		return false;
	*start = piece->start > now.base ? piece->start - now.base : 0;
	*end = last > top ? WINDOW : last - now.base;
	return *start < *end;
}

PLAIN static void mark_cut(const struct piece *piece, uint8_t bits)
{
	uint64_t start, end;

	if (clip(piece, &start, &end))
		for (uint64_t at = start; at < end; at++)
			cut_of[at] |= bits;
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void append_cells(uint8_t *bytes, size_t *size, unsigned cells, uint64_t value)
{
	for (unsigned i = cells; i-- > 0;) {
		uint32_t word = i < 2 ? (uint32_t)(value >> (32 * i)) : 0;

		bytes[(*size)++] = (uint8_t)(word >> 24);
		bytes[(*size)++] = (uint8_t)(word >> 16);
		bytes[(*size)++] = (uint8_t)(word >> 8);
		bytes[(*size)++] = (uint8_t)word;
	}
}

static void add_ranges(const char *name, const struct piece *pieces, unsigned count,
		       unsigned address_cells, unsigned size_cells)
{
	uint8_t bytes[4 * 4 * 8];
	size_t size = 0;

	for (unsigned i = 0; i < count; i++) {
		append_cells(bytes, &size, address_cells, pieces[i].start);
		append_cells(bytes, &size, size_cells, pieces[i].size);
	}
	dtb_property(&now.dtb, name, bytes, size);
}

/* Returns whether the node is enabled. */
static bool add_status(void)
{
	static const struct {
		const char *value;
		size_t size;
		bool enabled;
	} status[] = {
		{"okay", 5, true},	{"ok", 3, true},
		{"disabled", 9, false}, {"", 0, false},
		{"", 1, false},		{"reserved", 9, false},
		{"fail", 5, false},	{"fail-sss-ecc", 13, false},
		{"okay2", 6, false},
	};
	unsigned i = fuzz_below(&now.in, 16);

	if (i >= sizeof(status) / sizeof(status[0]))
		return true;
	dtb_property(&now.dtb, "status", status[i].value, status[i].size);
	return status[i].enabled;
}

/* Returns whether the node is memory. */
static bool begin_memory(unsigned i)
{
	unsigned kind = fuzz_below(&now.in, 8);
	char name[16];

	snprintf(name, sizeof(name), kind == 1 || kind == 2 ? "ram@%x" : "memory@%x", i);
	dtb_begin(&now.dtb, name);
	if (kind == 3)
		dtb_string(&now.dtb, "device_type", "rom");
	else if (kind != 4 && kind != 2)
		dtb_string(&now.dtb, "device_type", "memory");
	return kind != 2 && kind != 3;
}

static void add_memory_node(unsigned i)
{
	bool is_memory = begin_memory(i), is_enabled = add_status(), usable = flip(8);
	unsigned count = fuzz_below(&now.in, 4), node = fuzz_below(&now.in, 3);
	struct piece pieces[4], all = {now.base, WINDOW - 1, 0};

	if (node)
		dtb_u32(&now.dtb, "numa-node-id", node - 1);
	if (flip(8))
		dtb_property(&now.dtb, "hotpluggable", NULL, 0);
	for (unsigned j = 0; j < count; j++) {
		pieces[j] = any_piece(false);
		pieces[j].node = node ? node - 1 : 0;
	}
	if (usable)
		add_ranges("reg", &all, 1, now.address_cells, now.size_cells);
	if (count || flip(2) || usable)
		add_ranges(usable ? "linux,usable-memory" : "reg", pieces, count, now.address_cells,
			   now.size_cells);
	dtb_end(&now.dtb);
	for (unsigned j = 0; is_memory && is_enabled && j < count; j++) {
		now.malformed |= wraps(&pieces[j]);
		if (pieces[j].size)
			now.ram[now.ram_count++] = pieces[j];
	}
}

/* Most trees have a node with all of the window, or what a kernel needs in it. */
static void add_first_memory(void)
{
	struct piece piece = {now.base, WINDOW, 0};
	unsigned kind = fuzz_below(&now.in, 8);

	if (kind == 1)
		return;
	if (kind >= 4) {
		piece.start += fuzz_below(&now.in, (unsigned)(now.kernel_start / FRAME_SIZE) + 1) *
			       FRAME_SIZE;
		piece.size = now.base + now.kernel_end - piece.start +
			     fuzz_short(&now.in) % (WINDOW - now.kernel_end + 1);
	}
	if (piece.size > UINT64_MAX - piece.start)
		piece.size = UINT64_MAX - piece.start;
	dtb_begin(&now.dtb, "memory");
	dtb_string(&now.dtb, "device_type", "memory");
	add_ranges("reg", &piece, 1, now.address_cells, now.size_cells);
	dtb_end(&now.dtb);
	now.ram[now.ram_count++] = piece;
}

static void add_block(void)
{
	for (unsigned count = fuzz_below(&now.in, 3); count > 0; count--) {
		struct piece piece = any_piece(true);

		if (piece.start == 0 && piece.size == 0)
			continue;
		dtb_reserve(&now.dtb, piece.start, piece.size);
		now.block_wraps |= wraps(&piece);
		if (!wraps(&piece))
			mark_cut(&piece, RESERVED);
	}
}

static void add_reserved_node(unsigned i, unsigned address_cells, unsigned size_cells)
{
	unsigned count = fuzz_below(&now.in, 3);
	bool no_map = flip(3);
	struct piece pieces[2];
	char name[16];

	snprintf(name, sizeof(name), "part@%x", i);
	dtb_begin(&now.dtb, name);
	(void)add_status(); /* whatever it says */
	if (no_map)
		dtb_property(&now.dtb, "no-map", NULL, 0);
	for (unsigned j = 0; j < count; j++) {
		pieces[j] = any_piece(true);
		if (size_cells == 1)
			pieces[j].size &= UINT32_MAX;
		now.malformed |= wraps(&pieces[j]);
		if (!wraps(&pieces[j]))
			mark_cut(&pieces[j], no_map ? RESERVED | NO_MAP : RESERVED);
	}
	if (count)
		add_ranges("reg", pieces, count, address_cells, size_cells);
	else
		dtb_u64(&now.dtb, "size", FRAME_SIZE);
	dtb_end(&now.dtb);
}

static void add_reserved(void)
{
	unsigned kind = fuzz_below(&now.in, 16), count = fuzz_below(&now.in, 5);
	unsigned address_cells = now.address_cells, size_cells = now.size_cells;

	if (kind == 1)
		return;
	dtb_begin(&now.dtb, "reserved-memory");
	if (kind == 2) { /* the specification's defaults */
		address_cells = 2;
		size_cells = 1;
	} else {
		if (kind == 3)
			address_cells = 5 - address_cells;
		if (kind == 4)
			size_cells = 5 - size_cells;
		dtb_u32(&now.dtb, "#address-cells", address_cells);
		dtb_u32(&now.dtb, "#size-cells", size_cells);
	}
	dtb_property(&now.dtb, "ranges", NULL, 0);
	for (unsigned i = 0; i < count; i++)
		add_reserved_node(i, address_cells, size_cells);
	dtb_end(&now.dtb);
	if (count && (address_cells != now.address_cells || size_cells != now.size_cells))
		now.malformed = true;
}

static void add_usable(void)
{
	now.has_usable = flip(6);
	if (!now.has_usable)
		return;
	now.usable_count = fuzz_below(&now.in, 3);
	for (unsigned i = 0; i < now.usable_count; i++) {
		now.usable[i] = any_piece(true);
		now.usable_malformed |= wraps(&now.usable[i]);
	}
	add_ranges("linux,usable-memory-range", now.usable, now.usable_count, now.address_cells,
		   now.size_cells);
}

static void add_chosen(void)
{
	struct piece initrd;

	dtb_begin(&now.dtb, "chosen");
	add_usable();
	if (flip(3)) {
		bool reversed = flip(8);

		initrd = piece_within();
		if (flip(8))
			initrd.size = 0;
		dtb_u64(&now.dtb, reversed ? "linux,initrd-end" : "linux,initrd-start",
			initrd.start);
		dtb_u64(&now.dtb, reversed ? "linux,initrd-start" : "linux,initrd-end",
			initrd.start + initrd.size);
		if (reversed && initrd.size)
			now.malformed = true;
		mark_cut(&initrd, RESERVED | INITRD);
	}
	dtb_end(&now.dtb);
}

static struct dtb_bytes make_tree(void)
{
	add_block();
	dtb_begin(&now.dtb, "");
	now.address_cells = 2 + flip(4);
	now.size_cells = 2 + flip(4);
	dtb_u32(&now.dtb, "#address-cells", now.address_cells);
	dtb_u32(&now.dtb, "#size-cells", now.size_cells);
	add_first_memory();
	for (unsigned i = 0, count = fuzz_below(&now.in, 5); i < count; i++)
		add_memory_node(i);
	add_reserved();
	add_chosen();
	dtb_end(&now.dtb);
	return dtb_finish(&now.dtb);
}

/* ---- the map of RAM -------------------------------------------------------------------------- */

/* Of /chosen's ranges, each by itself; without them the whole piece. */
static unsigned usable_parts(const struct piece *piece, struct piece *parts)
{
	unsigned count = 0;

	if (!now.has_usable) {
		parts[0] = *piece;
		return 1;
	}
	for (unsigned i = 0; i < now.usable_count; i++) {
		const struct piece *usable = &now.usable[i];
		uint64_t start = piece->start > usable->start ? piece->start : usable->start;
		uint64_t a = piece->start + piece->size, b = usable->start + usable->size;
		uint64_t end = a < b ? a : b;

		if (start < end)
			parts[count++] = (struct piece){start, end - start, piece->node};
	}
	return count;
}

/*
 * Where two pieces claim a byte, the piece that starts lower has it; if both start at the same
 * byte, the piece that comes first has it.
 */
PLAIN static void mark_ram(void)
{
	struct piece parts[2 * PIECES_MAX];
	bool done[2 * PIECES_MAX] = {false};
	unsigned count = 0;

	for (unsigned i = 0; i < now.ram_count; i++)
		count += usable_parts(&now.ram[i], parts + count);
	for (unsigned turn = 0; turn < count; turn++) {
		unsigned lowest = count;
		uint64_t start, end;

		for (unsigned i = 0; i < count; i++)
			if (!done[i] && (lowest == count || parts[i].start < parts[lowest].start))
				lowest = i;
		done[lowest] = true;
		if (!clip(&parts[lowest], &start, &end))
			continue;
		for (uint64_t at = start; at < end; at++)
			if (!ram_of[at])
				ram_of[at] = (uint8_t)(parts[lowest].node + 1);
	}
}

/* ---- what the model says --------------------------------------------------------------------- */

PLAIN static void sum_up(void)
{
	for (unsigned frame = 0; frame < FRAMES; frame++) {
		const uint8_t *ram = ram_of + frame * FRAME_SIZE,
			      *cut = cut_of + frame * FRAME_SIZE;
		bool is_ram = true, is_of_one_node = true;
		uint8_t cuts = 0;

		for (unsigned i = 0; i < FRAME_SIZE; i++) {
			is_ram &= ram[i] != 0;
			is_of_one_node &= ram[i] == ram[0];
			cuts |= cut[i];
		}
		frame_of[frame].is_ram = is_ram;
		frame_of[frame].is_of_one_node = is_of_one_node;
		frame_of[frame].cuts = cuts;
	}
}

static bool meets(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static bool kernel_can_stay(void)
{
	uint8_t cuts = 0;

	for (uint64_t at = now.kernel_start; at < now.kernel_end; at += FRAME_SIZE) {
		if (!frame_of[at / FRAME_SIZE].is_ram)
			return false;
		cuts |= frame_of[at / FRAME_SIZE].cuts;
	}
	return !(cuts & INITRD) && !(now.pages && cuts & NO_MAP) &&
	       !meets(now.blob_start, now.blob_size, now.kernel_start,
		      now.kernel_end - now.kernel_start);
}

/* A frame in which early memory may be, whether or not it is there already. */
static bool is_early_frame(unsigned frame)
{
	uint64_t start = frame * FRAME_SIZE;

	return frame_of[frame].is_ram && !frame_of[frame].cuts &&
	       !(now.blob_size && meets(now.blob_start, now.blob_size, start, FRAME_SIZE)) &&
	       !meets(now.kernel_start, now.kernel_end - now.kernel_start, start, FRAME_SIZE);
}

/* Where the first span at or above `from` begins, `to` if that is lower. */
static uint64_t next_span_start(uint64_t from, uint64_t to)
{
	for (const struct early_span *span = early_spans(); span; span = span->next)
		if (span->start - now.base >= from && span->start - now.base < to)
			to = span->start - now.base;
	return to;
}

static bool fits(uint64_t from, uint64_t to, uint64_t bytes, uint64_t align)
{
	from = ((from + now.base + align - 1) & -align) - now.base;
	return from <= to && bytes <= to - from;
}

/* Whether a range of frames, [start, end), has room: at its bottom, or behind a span in it. */
static bool range_has_room(uint64_t start, uint64_t end, uint64_t bytes, uint64_t align)
{
	uint64_t bottom = next_span_start(start, end);

	if (start == now.kernel_end) /* the kernel's span goes on there */
		bottom = start;
	if (bottom > start && fits(start + HEADER, bottom, bytes, align))
		return true;
	for (const struct early_span *span = early_spans(); span; span = span->next) {
		uint64_t from = span->end - now.base;

		if (from >= start && from <= end && (from > start || start == now.kernel_end) &&
		    fits(from, next_span_start(from, end), bytes, align))
			return true;
	}
	return false;
}

static bool has_room(uint64_t bytes, uint64_t align)
{
	for (unsigned first = 0, last; first < FRAMES; first = last + 1) {
		for (last = first; last < FRAMES && is_early_frame(last); last++)
			continue;
		if (last > first &&
		    range_has_room(first * FRAME_SIZE, last * FRAME_SIZE, bytes, align))
			return true;
	}
	return false;
}

/* ---- early memory ---------------------------------------------------------------------------- */

/* No byte of it is in use or was written to; from now on they all are. */
PLAIN static void use_bytes(uint64_t start, uint64_t bytes)
{
	bool used = false, written = false;

	for (uint64_t at = start; at < start + bytes; at++) {
		used |= used_of[at];
		written |= host_memory[at] != 0;
		used_of[at] = 1;
	}
	CHECK(!used);
	CHECK(!written);
}

static void check_early(const uint8_t *memory, uint64_t bytes, uint64_t align)
{
	uint64_t start = (uint64_t)((const char *)memory - host_memory);

	CHECK(start <= WINDOW && bytes <= WINDOW - start);
	CHECK_EQ((start + now.base) & (align - 1), 0);
	for (uint64_t at = start / FRAME_SIZE; at * FRAME_SIZE < start + bytes; at++)
		CHECK(is_early_frame((unsigned)at));
	use_bytes(start, bytes);
	memset(host_memory + start, 0xee, bytes);
	if (align == FRAME_SIZE && bytes >= FRAME_SIZE && now.guards < ALLOCS_MAX) {
		now.guarded[start / FRAME_SIZE] = true;
		now.guard[now.guards++] = now.base + start;
	}
}

/* NULL when it may be refused, and was. */
static void *take_early(uint64_t bytes, uint64_t align)
{
	void *volatile memory = NULL;

	unit_panic_expected = true;
	if (setjmp(unit_panic_return) == 0)
		memory = early_alloc(bytes, align);
	unit_panic_expected = false;
	if (!memory) {
		CHECK(unit_message_has("no memory: "));
		CHECK(!has_room(bytes, align));
		return NULL;
	}
	check_early(memory, bytes, align);
	return memory;
}

static bool take_some_early(void)
{
	for (unsigned count = fuzz_below(&now.in, 6); count > 0; count--) {
		uint64_t align = UINT64_C(1) << fuzz_below(&now.in, 13);
		uint64_t bytes = fuzz_short(&now.in);

		if (align < FRAME_SIZE && flip(2))
			bytes %= 300;
		if (!take_early(bytes, align))
			return false;
	}
	return true;
}

/* The kernel's copy, the other place overwritten: nothing may look there again. */
static bool move_tree(struct devicetree *tree)
{
	struct devicetree_error error;
	char *copy = take_early(tree->size, 8);

	if (!copy)
		return false;
	memcpy(copy, tree->blob, tree->size);
	memset(host_memory + now.blob_start, 0xdb, now.blob_size);
	CHECK(devicetree_open(tree, copy, tree->size, &error));
	now.blob_size = 0;
	early_tree_moved(tree);
	return true;
}

/*
 * Each span lies at the bottom of a range, or is the kernel's with what follows: so no span cuts a
 * zone in two. But before the tree moved, its old place was the end of a range, and the place above
 * it the bottom of another: where nothing was taken before the copy, one span is there at most.
 */
static void check_spans(bool moved_first)
{
	unsigned above_the_blob = 0;

	for (const struct early_span *span = early_spans(); span; span = span->next) {
		uint64_t start = span->start - now.base, end = span->end - now.base;

		CHECK(start <= end && end <= WINDOW && span->limit >= span->end);
		if (span == early_spans()) {
			CHECK_EQ(start, now.kernel_start);
			start = now.kernel_end;
		} else if (start) {
			above_the_blob += is_early_frame((unsigned)(start / FRAME_SIZE) - 1);
		}
		for (uint64_t at = start / FRAME_SIZE; at * FRAME_SIZE < end; at++)
			CHECK(is_early_frame((unsigned)at));
	}
	CHECK(!moved_first || above_the_blob <= 1);
}

/* ---- zones ----------------------------------------------------------------------------------- */

static bool is_in_span(unsigned frame)
{
	uint64_t start = now.base + frame * FRAME_SIZE;

	for (const struct early_span *span = early_spans(); span; span = span->next)
		if (span->start <= start + (FRAME_SIZE - 1) && start < span->end)
			return true;
	return false;
}

static bool is_zone_frame(unsigned frame)
{
	return frame_of[frame].is_ram && frame_of[frame].is_of_one_node && !frame_of[frame].cuts &&
	       !is_in_span(frame);
}

static void check_zones(void)
{
	bool seen[FRAMES] = {false};
	uint64_t expected = 0, zoned = 0;

	CHECK(zones.count <= memory_zones_at_most());
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];
		uint64_t first = zone->first - (now.base >> FRAME_SHIFT);

		CHECK(first < FRAMES && zone->total_frames <= FRAMES - first);
		for (uint64_t frame = first; frame < first + zone->total_frames; frame++) {
			CHECK(is_zone_frame((unsigned)frame));
			CHECK_EQ(ram_of[frame * FRAME_SIZE], zone->node + 1);
			CHECK(!seen[frame]);
			seen[frame] = true;
		}
		zoned += zone->total_frames;
	}
	for (unsigned frame = 0; frame < FRAMES; frame++)
		expected += is_zone_frame(frame);
	CHECK_EQ(zoned + memory_account()->lost_frames, expected);
	CHECK_EQ(memory_account()->ram_frames - memory_account()->outside_frames, zoned);
}

/* ---- what is mapped -------------------------------------------------------------------------- */

static uint64_t guard_of(unsigned i)
{
	return now.guard[i];
}

static enum page_status note(void *context, uint64_t start, uint64_t end, unsigned flags)
{
	(void)context;
	CHECK(start % FRAME_SIZE == 0 && end % FRAME_SIZE == 0 && start <= end);
	if (start == FINISHER && now.base != 0) {
		CHECK_EQ(end - start, FRAME_SIZE);
		now.finishers++;
		return PAGE_OK;
	}
	for (uint64_t at = start; at != end; at += FRAME_SIZE) {
		uint64_t frame = (at - now.base) / FRAME_SIZE;

		CHECK(frame < FRAMES);
		CHECK_EQ(now.flags[frame], 0);
		CHECK(flags & 0xff);
		now.flags[frame] = (uint8_t)flags;
	}
	return PAGE_OK;
}

static uint8_t flags_wanted(unsigned frame)
{
	uint64_t start = frame * FRAME_SIZE;

	if (start >= now.kernel_start && start < now.text_end)
		return (uint8_t)(PAGE_READ | PAGE_EXECUTE | PAGE_GLOBAL);
	if (start >= now.text_end && start < now.rodata_end)
		return (uint8_t)(PAGE_READ | PAGE_GLOBAL);
	if (now.guarded[frame] || !frame_of[frame].is_ram || frame_of[frame].cuts & NO_MAP)
		return 0;
	return (uint8_t)(PAGE_READ | PAGE_WRITE | PAGE_GLOBAL);
}

static void check_map(const struct devicetree *tree)
{
	struct kernel_map map = {
		.tree = tree,
		.image_start = now.base + now.kernel_start,
		.text_end = now.base + now.text_end,
		.rodata_end = now.base + now.rodata_end,
		.finisher = FINISHER + 24,
		.guards = now.guards,
		.guard = guard_of,
	};

	CHECK(kernel_map_walk(&map, note, NULL) == PAGE_OK);
	CHECK_EQ(now.finishers, 1);
	for (unsigned frame = 0; frame < FRAMES; frame++)
		CHECK_EQ(now.flags[frame], flags_wanted(frame));
}

/* ---- a boot ---------------------------------------------------------------------------------- */

/* False: a panic that says that there is no memory. The tables' own sizes are not ours to know. */
static bool try_collect(const struct devicetree *tree)
{
	struct devicetree_error error;
	volatile bool done = false;

	unit_panic_expected = true;
	if (setjmp(unit_panic_return) == 0) {
		CHECK(memory_collect(tree, &error));
		done = true;
	}
	unit_panic_expected = false;
	CHECK(done || unit_message_has("no memory: "));
	return done;
}

static bool try_start(void)
{
	volatile bool done = false;

	unit_panic_expected = true;
	if (setjmp(unit_panic_return) == 0) {
		memory_start(&segment_tree_policy, SPIN_FAS);
		done = true;
	}
	unit_panic_expected = false;
	CHECK(done || unit_message_has("no memory: "));
	return done;
}

static void boot(struct devicetree *tree)
{
	struct devicetree_error error;
	bool moves_first, can_stay;
	char wrong[160];

	if (!early_init(tree, now.base + now.kernel_start, now.base + now.kernel_end, &error)) {
		CHECK(now.malformed);
		return;
	}
	CHECK(!now.malformed);
	mark_ram();
	sum_up();
	can_stay = early_kernel_can_stay(now.pages, wrong, sizeof(wrong));
	CHECK_EQ(can_stay, kernel_can_stay());
	if (!can_stay)
		return;
	moves_first = !flip(4);
	if (!moves_first && !take_some_early())
		return;
	if (!move_tree(tree) || !take_some_early() || !try_collect(tree) || !take_some_early() ||
	    !try_start())
		return;
	check_spans(moves_first);
	check_zones();
	if (now.pages)
		check_map(tree);
}

static void choose_machine(void)
{
	const uint64_t bases[] = {UINT64_C(0x80000000), UINT64_C(0) - WINDOW,
				  (UINT64_C(1) << 63) - WINDOW / 2};
	uint64_t kernel_frames = 3 + fuzz_below(&now.in, 12);

	now.base = bases[flip(4) ? fuzz_below(&now.in, 3) : 0];
	now.pages = !flip(4);
	now.kernel_start = fuzz_below(&now.in, FRAMES - (unsigned)kernel_frames - 1) * FRAME_SIZE;
	now.kernel_end = now.kernel_start + kernel_frames * FRAME_SIZE;
	now.text_end = now.kernel_start + FRAME_SIZE;
	now.rodata_end = now.text_end + FRAME_SIZE;
}

/* Anywhere in the window, at any byte. */
static void place_blob(const struct dtb_bytes *bytes)
{
	uint64_t room = WINDOW - bytes->size, most = flip(4) ? room : room - FRAME_SIZE;

	now.blob_size = bytes->size;
	now.blob_start = flip(4) ? most : (uint64_t)fuzz_short(&now.in) * 8 % most;
	memcpy(host_memory + now.blob_start, bytes->bytes, bytes->size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_machine machine = {.cpus = 1};
	struct devicetree_error error;
	struct devicetree tree;
	struct dtb_bytes bytes;
	struct host_range range;
	struct zone *host_zone;

	memset(&now, 0, sizeof(now));
	memset(ram_of, 0, sizeof(ram_of));
	memset(cut_of, 0, sizeof(cut_of));
	memset(used_of, 0, sizeof(used_of));
	now.in = (struct fuzz_input){data, data + size};
	choose_machine();
	range = (struct host_range){now.base >> FRAME_SHIFT, FRAMES, 0};
	host_machine_start(&machine, &range, 1);
	host_zone = zones.zone;
	memset(host_memory, 0xa5, WINDOW);
	bytes = make_tree();
	place_blob(&bytes);
	now.malformed |= now.usable_malformed && now.ram_count;
	CHECK_EQ(devicetree_open(&tree, host_memory + now.blob_start, bytes.size, &error),
		 !now.block_wraps);
	if (!now.block_wraps)
		boot(&tree);
	dtb_free(&bytes);
	zones.zone = host_zone;
	zones.count = 1;
	host_machine_end();
	return 0;
}
