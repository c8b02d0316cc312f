/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_devicetree.c - the reader of device trees and what it finds out about a machine.
 *
 * Trees come from dtb_builder.h, where each test says all that it depends on, and from two that
 * QEMU 7.2 wrote (tests/host/data). Run from the top of the repository, under AddressSanitizer:
 * the tests with damaged trees prove by it that nothing outside the blob is read.
 *
 * Covers: kernel/boot/devicetree*.c kernel/boot/machine*.c
 */
#include "kernel/boot/devicetree.h"
#include "kernel/boot/machine.h"

#include <stdlib.h>
#include <string.h>

#include "dtb_builder.h"
#include "devicetree_walk.h"
#include "unit.h"

enum {
	BEGIN = 1,
	END_NODE = 2,
	PROPERTY = 3,
	NOP = 4,
	END = 9,
};

/* Where dtb_builder.h puts the structure block when nothing is reserved. */
#define STRUCTURE 56
#define NAME_A	  0x61000000 /* "a", padded */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct devicetree_error error;

static struct devicetree open_tree(struct dtb_bytes blob)
{
	struct devicetree tree;

	if (!devicetree_open(&tree, blob.bytes, blob.size, &error))
		unit_fail(__FILE__, __LINE__, "refused: %s at %u", error.what, error.offset);
	return tree;
}

static struct devicetree_node node(const struct devicetree *tree, const char *path)
{
	struct devicetree_node found = devicetree_find_path(tree, path);

	if (devicetree_is_none(found))
		unit_fail(__FILE__, __LINE__, "no node %s", path);
	return found;
}

static void check_string(int line, const char *found, const char *expected)
{
	if (!found || strcmp(found, expected) != 0)
		unit_fail(__FILE__, line, "found \"%s\", expected \"%s\"", found ? found : "(none)",
			  expected);
}

#define CHECK_STRING(found, expected) check_string(__LINE__, found, expected)

/* Opens the blob, which must be refused with these words, and frees it. */
static void check_refused(int line, struct dtb_bytes blob, const char *what, uint32_t offset)
{
	struct devicetree tree;

	if (devicetree_open(&tree, blob.bytes, blob.size, &error))
		unit_fail(__FILE__, line, "accepted, expected: %s", what);
	check_string(line, error.what, what);
	if (error.offset != offset)
		unit_fail(__FILE__, line, "%s: at %u, expected %u", what, error.offset, offset);
	dtb_free(&blob);
}

#define CHECK_REFUSED(blob, what, offset) check_refused(__LINE__, blob, what, offset)

/* The last answer was MALFORMED, for these reasons, at the node of that path. */
static void check_malformed(int line, const struct devicetree *tree, enum devicetree_result result,
			    const char *path, const char *property, const char *what)
{
	if (result != DEVICETREE_MALFORMED)
		unit_fail(__FILE__, line, "result %u, expected: %s %s", result, property, what);
	check_string(line, error.property, property);
	check_string(line, error.what, what);
	if (error.offset != node(tree, path).offset)
		unit_fail(__FILE__, line, "blames the node at %u, not %s", error.offset, path);
}

#define CHECK_MALFORMED(tree, result, path, property, what)                                        \
	check_malformed(__LINE__, tree, result, path, property, what)

/* The parts that trees are built from. */

static void begin_root(struct dtb *dtb, uint32_t address_cells, uint32_t size_cells)
{
	dtb_begin(dtb, "");
	dtb_u32(dtb, "#address-cells", address_cells);
	dtb_u32(dtb, "#size-cells", size_cells);
}

static struct dtb_bytes finish_root(struct dtb *dtb)
{
	dtb_end(dtb);
	return dtb_finish(dtb);
}

static void begin_cpus(struct dtb *dtb, uint32_t address_cells)
{
	dtb_begin(dtb, "cpus");
	dtb_u32(dtb, "#address-cells", address_cells);
	dtb_u32(dtb, "#size-cells", 0);
}

/* NULL leaves a property out. */
static void add_hart(struct dtb *dtb, uint32_t id, const char *status, const char *mmu_type,
		     const char *isa)
{
	char name[32];

	snprintf(name, sizeof(name), "cpu@%x", id);
	dtb_begin(dtb, name);
	dtb_string(dtb, "device_type", "cpu");
	dtb_u32(dtb, "reg", id);
	if (status)
		dtb_string(dtb, "status", status);
	if (mmu_type)
		dtb_string(dtb, "mmu-type", mmu_type);
	if (isa)
		dtb_string(dtb, "riscv,isa", isa);
	dtb_begin(dtb, "interrupt-controller");
	dtb_string(dtb, "compatible", "riscv,cpu-intc");
	dtb_end(dtb);
	dtb_end(dtb);
}

static void add_memory(struct dtb *dtb, uint64_t start, uint64_t size)
{
	char name[32];

	snprintf(name, sizeof(name), "memory@%llx", (unsigned long long)start);
	dtb_begin(dtb, name);
	dtb_string(dtb, "device_type", "memory");
	dtb_cells(dtb, "reg", start >> 32, start, size >> 32, size);
	dtb_end(dtb);
}

static struct dtb_bytes tree_of_words(const uint32_t *words, size_t count)
{
	struct dtb dtb = {0};

	/* Strings first, so that name offset 0 is "p" and 2 is the end of the block. */
	dtb_property(&dtb, "p", NULL, 0);
	dtb_free(&dtb.structure);
	for (size_t i = 0; i < count; i++)
		dtb_token(&dtb, words[i]);
	return dtb_finish_raw(&dtb);
}

#define TREE(...)                                                                                  \
	tree_of_words((const uint32_t[]){__VA_ARGS__}, COUNT(((const uint32_t[]){__VA_ARGS__})))

/* Opening. */

TEST(the_smallest_tree_opens)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);
	struct devicetree tree = open_tree(blob);
	struct devicetree_node root = devicetree_root(&tree);
	struct devicetree_range range;

	CHECK_EQ(tree.size, blob.size);
	CHECK_EQ(root.offset, STRUCTURE);
	CHECK_STRING(devicetree_name(&tree, root), "");
	CHECK(devicetree_is_none(devicetree_first_child(&tree, root)));
	CHECK(devicetree_is_none(devicetree_next_sibling(&tree, root)));
	CHECK(devicetree_is_none(devicetree_next(&tree, root)));
	CHECK(devicetree_is_none(devicetree_parent(&tree, root)));
	CHECK(!devicetree_reservation(&tree, 0, &range));
	dtb_free(&blob);
}

TEST(nops_are_nowhere_seen)
{
	struct dtb_bytes blob = TREE(NOP, BEGIN, 0, NOP, PROPERTY, 4, 0, 7, NOP, NOP, BEGIN, NAME_A,
				     NOP, PROPERTY, 0, 0, NOP, END_NODE, NOP, BEGIN, NAME_A,
				     END_NODE, NOP, END_NODE, NOP, END);
	struct devicetree tree = open_tree(blob);
	struct devicetree_node root = devicetree_root(&tree), first, second;
	struct devicetree_property property;
	uint32_t value;

	CHECK(devicetree_u32(&tree, root, "p", &value, &error) == DEVICETREE_FOUND);
	CHECK_EQ(value, 7);
	first = devicetree_first_child(&tree, root);
	CHECK(devicetree_property(&tree, first, "p", &property));
	CHECK_EQ(property.length, 0);
	second = devicetree_next_sibling(&tree, first);
	CHECK(!devicetree_property(&tree, second, "p", &property));
	CHECK_STRING(devicetree_name(&tree, second), "a");
	CHECK(devicetree_is_none(devicetree_next_sibling(&tree, second)));
	CHECK_EQ(devicetree_parent(&tree, second).offset, root.offset);
	dtb_free(&blob);
}

TEST(any_alignment_of_the_blob_will_do)
{
	struct dtb_bytes blob = dtb_load("tests/host/data/virt_numa.dtb");
	struct devicetree tree = open_tree(blob);
	uint64_t expected = devicetree_walk(&tree);

	for (size_t shift = 1; shift < 8; shift++) {
		uint8_t *moved = malloc(shift + blob.size);

		memcpy(moved + shift, blob.bytes, blob.size);
		CHECK(devicetree_open(&tree, moved + shift, blob.size, &error));
		CHECK_EQ(devicetree_walk(&tree), expected);
		free(moved);
	}
	dtb_free(&blob);
}

TEST(an_unknown_size_is_taken_from_the_header)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);
	struct devicetree tree;

	CHECK(devicetree_open(&tree, blob.bytes, SIZE_MAX, &error));
	CHECK_EQ(tree.size, blob.size);
	dtb_free(&blob);
}

TEST(a_version_16_tree_has_no_structure_size)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);
	struct devicetree tree;

	dtb_poke(blob, 20, 16);
	dtb_poke(blob, 36, 0xffffffff);
	tree = open_tree(blob);
	CHECK(!devicetree_is_none(devicetree_root(&tree)));
	dtb_free(&blob);
}

TEST(a_later_compatible_version_opens)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);

	dtb_poke(blob, 20, 18);
	dtb_poke(blob, 24, 17);
	(void)open_tree(blob);
	dtb_free(&blob);
}

TEST(broken_headers_are_refused)
{
	static const struct {
		uint32_t offset;
		uint32_t value;
		const char *what;
	} cases[] = {
		{0, 0xd00dfeee, "wrong magic number"},
		{0, 0xedfe0dd0, "wrong magic number"},
		{20, 15, "version is too old"},
		{24, 18, "version is too new"},
		{4, 39, "total size is less than the header"},
		{4, 0, "total size is less than the header"},
		{4, 75, "total size is more than there is"},
		{4, 0xffffffff, "total size is more than there is"},
		{8, 36, "block starts outside the tree"},
		{8, 76, "block starts outside the tree"},
		{8, 58, "block is not aligned"},
		{12, 0, "block starts outside the tree"},
		{12, 0xfffffff8, "block starts outside the tree"},
		{16, 80, "block starts outside the tree"},
		{16, 44, "block is not aligned"},
		{32, 3, "block ends outside the tree"},
		{32, 0xffffffff, "block ends outside the tree"},
		{36, 19, "block ends outside the tree"},
		{36, 0xfffffffc, "block ends outside the tree"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);

		CHECK_EQ(blob.size, 74);
		dtb_poke(blob, cases[i].offset, cases[i].value);
		CHECK_REFUSED(blob, cases[i].what, cases[i].offset);
	}
}

TEST(contradictory_versions_are_refused)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);

	dtb_poke(blob, 20, 16);
	dtb_poke(blob, 24, 17);
	CHECK_REFUSED(blob, "versions contradict each other", 24);
}

TEST(no_tree_is_refused)
{
	struct devicetree tree;

	CHECK(!devicetree_open(&tree, NULL, SIZE_MAX, &error));
	CHECK_STRING(error.what, "no tree at address 0");
}

TEST(an_unbelievable_size_is_refused)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);
	struct devicetree tree;

	dtb_poke(blob, 4, DEVICETREE_SIZE_MAX + 1);
	CHECK(!devicetree_open(&tree, blob.bytes, SIZE_MAX, &error));
	CHECK_STRING(error.what, "total size is not believable");
	CHECK_EQ(error.offset, 4);
	dtb_free(&blob);
}

TEST(overlapping_blocks_are_refused)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);

	dtb_poke(blob, 12, STRUCTURE + 4);
	CHECK_REFUSED(blob, "structure overlaps the strings", 8);

	blob = TREE(BEGIN, 0, END_NODE, END);
	dtb_poke(blob, 12, 40);
	CHECK_REFUSED(blob, "reservations overlap the strings", 16);

	/* Read from the middle of the structure, the blank name and the padding end the list. */
	blob = TREE(BEGIN, 0, PROPERTY, 16, 0, 0, 0, 0, 0, END_NODE, END);
	dtb_poke(blob, 16, STRUCTURE + 24);
	CHECK_REFUSED(blob, "reservation block has no end", STRUCTURE + 40);
	blob = TREE(BEGIN, 0, PROPERTY, 20, 0, 0, 0, 0, 0, 0, END_NODE, END);
	dtb_poke(blob, 16, STRUCTURE + 24);
	CHECK_REFUSED(blob, "reservations overlap the structure", 16);
}

TEST(broken_reservations_are_refused)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;

	dtb_reserve(&dtb, UINT64_MAX - 0xfff, 0x1000);
	dtb_begin(&dtb, "");
	CHECK_REFUSED(finish_root(&dtb), "reservation wraps", 40);

	dtb_reserve(&dtb, 0x1000, 1);
	dtb_begin(&dtb, "");
	blob = finish_root(&dtb);
	for (size_t offset = 56; offset + 4 <= blob.size; offset += 4)
		dtb_poke(blob, offset, 1);
	CHECK_REFUSED(blob, "reservation block has no end", 88);
}

TEST(broken_structures_are_refused)
{
	const struct {
		struct dtb_bytes blob;
		const char *what;
		uint32_t words; /* from the start of the structure to where it breaks */
	} cases[] = {
		{TREE(END), "no root node", 0},
		{TREE(NOP, NOP, END), "no root node", 2},
		{TREE(0), "unknown token", 0},
		{TREE(BEGIN, 0, 5), "unknown token", 2},
		{TREE(BEGIN, 0, END_NODE, 0xffffffff), "unknown token", 3},
		{TREE(BEGIN, 0), "structure block ends without an end token", 2},
		{TREE(BEGIN, 0, END_NODE), "structure block ends without an end token", 3},
		{TREE(BEGIN, 0, END_NODE, NOP), "structure block ends without an end token", 4},
		{TREE(BEGIN, 0, END), "tree ends inside a node", 2},
		{TREE(BEGIN, 0, BEGIN, NAME_A, END_NODE, END), "tree ends inside a node", 5},
		{TREE(END_NODE, END), "node ends that never began", 0},
		{TREE(BEGIN, 0, END_NODE, END_NODE, END), "node ends that never began", 3},
		{TREE(BEGIN, 0, END_NODE, BEGIN, 0, END_NODE, END), "second root node", 3},
		{TREE(BEGIN, NAME_A, END_NODE, END), "root node has a name", 0},
		{TREE(BEGIN, 0, BEGIN, 0, END_NODE, END_NODE, END), "node has no name", 2},
		{TREE(BEGIN, 0x61616161), "node name is not terminated", 0},
		{TREE(BEGIN), "node name is not terminated", 0},
		{TREE(PROPERTY, 0, 0, END), "property outside of any node", 0},
		{TREE(BEGIN, 0, END_NODE, PROPERTY, 0, 0, END), "property outside of any node", 3},
		{TREE(BEGIN, 0, BEGIN, NAME_A, END_NODE, PROPERTY, 0, 0, END_NODE, END),
		 "property after a subnode", 5},
		{TREE(BEGIN, 0, PROPERTY), "property is cut off", 2},
		{TREE(BEGIN, 0, PROPERTY, 0), "property is cut off", 2},
		{TREE(BEGIN, 0, PROPERTY, 9, 0, 0, 0), "property value leaves the structure block",
		 2},
		{TREE(BEGIN, 0, PROPERTY, 0xffffffff, 0, 0, END_NODE, END),
		 "property value leaves the structure block", 2},
		{TREE(BEGIN, 0, PROPERTY, 0, 2, END_NODE, END),
		 "property name lies outside the strings block", 2},
		{TREE(BEGIN, 0, PROPERTY, 0, 0xffffffff, END_NODE, END),
		 "property name lies outside the strings block", 2},
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		CHECK_REFUSED(cases[i].blob, cases[i].what, STRUCTURE + 4 * cases[i].words);
}

TEST(an_unterminated_property_name_is_refused)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, PROPERTY, 0, 0, END_NODE, END);

	dtb_poke(blob, 32, 1);
	CHECK_REFUSED(blob, "property name is not terminated", STRUCTURE + 8);
}

TEST(deep_nesting_is_read)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct devicetree_node deepest;
	const uint32_t depth = 5000;

	dtb_begin(&dtb, "");
	for (uint32_t i = 1; i < depth; i++)
		dtb_begin(&dtb, i == depth - 1 ? "end" : "n");
	for (uint32_t i = 1; i < depth; i++)
		dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	deepest = devicetree_root(&tree);
	for (uint32_t i = 1; i < depth; i++)
		deepest = devicetree_next(&tree, deepest);
	CHECK_STRING(devicetree_name(&tree, deepest), "end");
	CHECK_STRING(devicetree_name(&tree, devicetree_parent(&tree, deepest)), "n");
	dtb_free(&blob);
}

TEST(forged_handles_answer_nothing_bad)
{
	struct dtb_bytes blob = dtb_load("tests/host/data/virt_numa.dtb");
	struct devicetree tree = open_tree(blob);

	for (uint32_t offset = 0; offset <= tree.size + 8; offset++) {
		struct devicetree_node forged = {offset};
		struct devicetree_property property = {.offset = offset};
		struct devicetree_cells cells = {UINT32_MAX, 3};
		struct devicetree_range range;

		devicetree_first_child(&tree, forged);
		devicetree_next_sibling(&tree, forged);
		devicetree_next(&tree, forged);
		devicetree_parent(&tree, forged);
		devicetree_name(&tree, forged);
		devicetree_next_property(&tree, forged, &property);
		if (devicetree_reg(&tree, forged, cells, 0, &range, &error) == DEVICETREE_FOUND)
			unit_fail(__FILE__, __LINE__, "entries of 4 Gi cells at %u", offset);
	}
	dtb_free(&blob);
}

/* Moving about and properties. */

static struct dtb_bytes tree_of_soc(void)
{
	struct dtb dtb = {0};

	begin_root(&dtb, 2, 2);
	dtb_property(&dtb, "compatible", "maker,board\0maker,family", 25);
	dtb_begin(&dtb, "aliases");
	dtb_string(&dtb, "serial0", "/soc/serial@10000000");
	dtb_string(&dtb, "again", "soc/serial"); /* no path; and no alias of an alias */
	dtb_string(&dtb, "", "/soc");
	dtb_end(&dtb);
	dtb_begin(&dtb, "soc");
	dtb_begin(&dtb, "serial@10000000");
	dtb_u32(&dtb, "phandle", 5);
	dtb_property(&dtb, "compatible", "ns16550a\0uart", 14);
	dtb_end(&dtb);
	dtb_begin(&dtb, "odd@1@2");
	dtb_end(&dtb);
	dtb_begin(&dtb, "serial@20000000");
	dtb_u32(&dtb, "linux,phandle", 6);
	dtb_property(&dtb, "compatible", "uart\0tail", 9); /* "tail" is not terminated */
	dtb_end(&dtb);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

TEST(nodes_are_found_by_path)
{
	struct dtb_bytes blob = tree_of_soc();
	struct devicetree tree = open_tree(blob);
	struct devicetree_node serial = node(&tree, "/soc/serial@10000000");
	static const char *const same[] = {"/soc/serial", "//soc//serial@10000000/", "serial0",
					   "serial0:115200n8", "/soc/serial@10000000:115200"};
	static const char *const none[] = {"/so",    "/soc/seri",  "/soc/serial@1",
					   "soc",    "serial",	   "again",
					   "",	     ":",	   "serial0/x",
					   "/soc@0", "/soc/odd@1", "/soc/serial@10000000/child"};

	for (size_t i = 0; i < COUNT(same); i++)
		CHECK_EQ(node(&tree, same[i]).offset, serial.offset);
	for (size_t i = 0; i < COUNT(none); i++)
		if (!devicetree_is_none(devicetree_find_path(&tree, none[i])))
			unit_fail(__FILE__, __LINE__, "found \"%s\"", none[i]);
	CHECK_EQ(node(&tree, "/").offset, devicetree_root(&tree).offset);
	CHECK(devicetree_name_is(&tree, serial, "serial"));
	CHECK(devicetree_name_is(&tree, serial, "serial@10000000"));
	CHECK(!devicetree_name_is(&tree, serial, "serial@1000000"));
	CHECK(!devicetree_name_is(&tree, serial, "seria"));
	CHECK(!devicetree_name_is(&tree, serial, "serials"));
	dtb_free(&blob);
}

TEST(nodes_are_found_by_compatible_and_phandle)
{
	struct dtb_bytes blob = tree_of_soc();
	struct devicetree tree = open_tree(blob);
	struct devicetree_node first = node(&tree, "/soc/serial@10000000");
	struct devicetree_node second = node(&tree, "/soc/serial@20000000"), found;

	found = devicetree_find_compatible(&tree, DEVICETREE_NONE, "uart");
	CHECK_EQ(found.offset, first.offset);
	found = devicetree_find_compatible(&tree, found, "uart");
	CHECK_EQ(found.offset, second.offset);
	CHECK(devicetree_is_none(devicetree_find_compatible(&tree, found, "uart")));
	found = devicetree_find_compatible(&tree, DEVICETREE_NONE, "maker,family");
	CHECK_EQ(found.offset, devicetree_root(&tree).offset);
	CHECK(devicetree_is_none(devicetree_find_compatible(&tree, DEVICETREE_NONE, "tail")));

	CHECK_EQ(devicetree_find_phandle(&tree, 5).offset, first.offset);
	CHECK_EQ(devicetree_find_phandle(&tree, 6).offset, second.offset);
	CHECK(devicetree_is_none(devicetree_find_phandle(&tree, 7)));
	CHECK(devicetree_is_none(devicetree_find_phandle(&tree, 0)));
	dtb_free(&blob);
}

/* The words of this reservation would do for a node, were they in the structure block. */
TEST(nodes_lie_in_the_structure_block_only)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;

	dtb_reserve(&dtb, (uint64_t)BEGIN << 32 | NAME_A, (uint64_t)END_NODE << 32 | END);
	dtb_begin(&dtb, "");
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_STRING(devicetree_name(&tree, (struct devicetree_node){40}), "");
	dtb_free(&blob);
}

TEST(property_values_are_typed)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct devicetree_node root;
	const char *string;
	uint64_t u64;
	uint32_t u32;

	dtb_begin(&dtb, "");
	dtb_u32(&dtb, "one", 0x80000001);
	dtb_u64(&dtb, "two", 0x123456789abcdef0);
	dtb_cells(&dtb, "three", 1, 2, 3);
	dtb_property(&dtb, "empty", NULL, 0);
	dtb_property(&dtb, "open", "abc", 3);
	dtb_string(&dtb, "blank", "");
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	root = devicetree_root(&tree);

	CHECK(devicetree_u32(&tree, root, "one", &u32, &error) == DEVICETREE_FOUND);
	CHECK_EQ(u32, 0x80000001);
	CHECK(devicetree_u64(&tree, root, "two", &u64, &error) == DEVICETREE_FOUND);
	CHECK_EQ(u64, 0x123456789abcdef0);
	CHECK(devicetree_number(&tree, root, "one", &u64, &error) == DEVICETREE_FOUND);
	CHECK_EQ(u64, 0x80000001);
	CHECK(devicetree_number(&tree, root, "two", &u64, &error) == DEVICETREE_FOUND);
	CHECK_EQ(u64, 0x123456789abcdef0);
	CHECK(devicetree_string(&tree, root, "blank", &string, &error) == DEVICETREE_FOUND);
	CHECK_STRING(string, "");
	CHECK(devicetree_u32(&tree, root, "none", &u32, &error) == DEVICETREE_ABSENT);
	CHECK(devicetree_string(&tree, root, "on", &string, &error) == DEVICETREE_ABSENT);

	CHECK_MALFORMED(&tree, devicetree_u32(&tree, root, "two", &u32, &error), "/", "two",
			"is not one cell");
	CHECK_MALFORMED(&tree, devicetree_u64(&tree, root, "one", &u64, &error), "/", "one",
			"is not two cells");
	CHECK_MALFORMED(&tree, devicetree_number(&tree, root, "three", &u64, &error), "/", "three",
			"is neither one cell nor two");
	CHECK_MALFORMED(&tree, devicetree_number(&tree, root, "empty", &u64, &error), "/", "empty",
			"is neither one cell nor two");
	CHECK_MALFORMED(&tree, devicetree_string(&tree, root, "open", &string, &error), "/", "open",
			"is not a string");
	CHECK_MALFORMED(&tree, devicetree_string(&tree, root, "empty", &string, &error), "/",
			"empty", "is not a string");
	dtb_free(&blob);
}

/* reg */

/* A tree whose only other node, /d, has `reg` in a root with these cells. */
static struct dtb_bytes tree_of_reg(uint32_t address_cells, uint32_t size_cells,
				    const uint32_t *words, size_t count)
{
	struct dtb dtb = {0};

	begin_root(&dtb, address_cells, size_cells);
	dtb_begin(&dtb, "d");
	dtb_words(&dtb, "reg", words, count);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

#define REG(address_cells, size_cells, ...)                                                        \
	tree_of_reg(address_cells, size_cells, (const uint32_t[]){__VA_ARGS__},                    \
		    COUNT(((const uint32_t[]){__VA_ARGS__})))

static enum devicetree_result read_reg(const struct devicetree *tree, uint32_t index,
				       struct devicetree_range *range)
{
	struct devicetree_cells cells;

	if (devicetree_cells(tree, devicetree_root(tree), &cells, &error) != DEVICETREE_FOUND)
		return DEVICETREE_MALFORMED;
	return devicetree_reg(tree, node(tree, "/d"), cells, index, range, &error);
}

TEST(reg_is_read_with_any_cells)
{
	const struct {
		struct dtb_bytes blob;
		uint32_t index;
		uint64_t start;
		uint64_t size;
	} cases[] = {
		{REG(1, 1, 0x80000000, 0x1000), 0, 0x80000000, 0x1000},
		{REG(1, 1, 1, 2, 3, 4), 1, 3, 4},
		{REG(2, 2, 1, 2, 3, 4), 0, 0x100000002, 0x300000004},
		{REG(2, 1, 1, 2, 3), 0, 0x100000002, 3},
		{REG(1, 2, 1, 2, 3), 0, 1, 0x200000003},
		{REG(3, 2, 0, 1, 2, 3, 4), 0, 0x100000002, 0x300000004},
		{REG(4, 4, 0, 0, 1, 2, 0, 0, 3, 4), 0, 0x100000002, 0x300000004},
		{REG(1, 0, 7), 0, 7, 0},
		{REG(2, 0, 1, 7, 2, 8), 1, 0x200000008, 0},
		{REG(0, 1, 7), 0, 0, 7},
		{REG(2, 2, 0xffffffff, 0xfffff000, 0, 0xfff), 0, 0xfffffffffffff000, 0xfff},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = cases[i].blob;
		struct devicetree tree = open_tree(blob);
		struct devicetree_range range;

		CHECK(read_reg(&tree, cases[i].index, &range) == DEVICETREE_FOUND);
		CHECK_EQ(range.start, cases[i].start);
		CHECK_EQ(range.size, cases[i].size);
		CHECK(read_reg(&tree, cases[i].index + 1, &range) == DEVICETREE_ABSENT);
		dtb_free(&blob);
	}
}

TEST(broken_reg_is_malformed)
{
	const struct {
		struct dtb_bytes blob;
		const char *path;
		const char *property;
		const char *what;
	} cases[] = {
		{REG(2, 2, 1, 2, 3), "/d", "reg", "is not a whole number of entries"},
		{REG(0, 0, 1), "/d", "reg", "is not a whole number of entries"},
		{REG(3, 1, 1, 0, 0, 1), "/d", "reg", "address has more than 64 bits"},
		{REG(1, 3, 0, 1, 0, 0), "/d", "reg", "size has more than 64 bits"},
		{REG(2, 2, 0xffffffff, 0xfffff000, 0, 0x1000), "/d", "reg", "range wraps"},
		{REG(2, 2, 0, 1, 0xffffffff, 0xffffffff), "/d", "reg", "range wraps"},
		{REG(5, 1, 0), "/", "#address-cells", "is more than 4"},
		{REG(1, 0xffffffff, 0), "/", "#size-cells", "is more than 4"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = cases[i].blob;
		struct devicetree tree = open_tree(blob);
		struct devicetree_range range;

		CHECK_MALFORMED(&tree, read_reg(&tree, 0, &range), cases[i].path, cases[i].property,
				cases[i].what);
		dtb_free(&blob);
	}
}

TEST(cells_have_defaults)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);
	struct devicetree tree = open_tree(blob);
	struct devicetree_cells cells;

	CHECK(devicetree_cells(&tree, devicetree_root(&tree), &cells, &error) == DEVICETREE_FOUND);
	CHECK_EQ(cells.address, 2);
	CHECK_EQ(cells.size, 1);
	dtb_free(&blob);
}

static void begin_bus(struct dtb *dtb, const char *name, uint32_t cells)
{
	dtb_begin(dtb, name);
	dtb_u32(dtb, "#address-cells", cells);
	dtb_u32(dtb, "#size-cells", cells);
}

TEST(buses_translate_addresses)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct devicetree_range range;

	begin_root(&dtb, 2, 2);
	begin_bus(&dtb, "outer", 2);
	dtb_property(&dtb, "ranges", NULL, 0);
	begin_bus(&dtb, "inner", 1);
	dtb_cells(&dtb, "ranges", 0, 0, 0x1000, 0x100, 0x100, 1, 0x2000, 0x100);
	dtb_begin(&dtb, "low");
	dtb_cells(&dtb, "reg", 0x80, 0x80);
	dtb_end(&dtb);
	dtb_begin(&dtb, "high");
	dtb_cells(&dtb, "reg", 0x110, 0xf0);
	dtb_end(&dtb);
	dtb_begin(&dtb, "astride");
	dtb_cells(&dtb, "reg", 0x80, 0x81);
	dtb_end(&dtb);
	dtb_end(&dtb);
	dtb_end(&dtb);
	begin_bus(&dtb, "closed", 1);
	dtb_begin(&dtb, "d");
	dtb_cells(&dtb, "reg", 1, 1);
	dtb_end(&dtb);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);

	CHECK(devicetree_reg_physical(&tree, node(&tree, "/outer/inner/low"), 0, &range, &error) ==
	      DEVICETREE_FOUND);
	CHECK_EQ(range.start, 0x1080);
	CHECK_EQ(range.size, 0x80);
	CHECK(devicetree_reg_physical(&tree, node(&tree, "/outer/inner/high"), 0, &range, &error) ==
	      DEVICETREE_FOUND);
	CHECK_EQ(range.start, 0x100002010);
	CHECK(devicetree_reg_physical(&tree, devicetree_root(&tree), 0, &range, &error) ==
	      DEVICETREE_ABSENT);
	CHECK_MALFORMED(&tree,
			devicetree_reg_physical(&tree, node(&tree, "/outer/inner/astride"), 0,
						&range, &error),
			"/outer/inner", "ranges", "does not reach a child");
	CHECK_MALFORMED(&tree,
			devicetree_reg_physical(&tree, node(&tree, "/closed/d"), 0, &range, &error),
			"/closed", "ranges", "is absent: nothing below is addressable");
	dtb_free(&blob);
}

/* Memory. */

struct expected_memory {
	uint64_t start;
	uint64_t size;
	uint32_t numa_node;
};

/* The rest of the answer must be exactly these ranges, in this order. */
static void check_memory(int line, const struct devicetree *tree, struct machine_memory *memory,
			 const struct expected_memory *expected, size_t count)
{
	enum devicetree_result result;
	size_t i = 0;

	while ((result = machine_next_memory(tree, memory, &error)) == DEVICETREE_FOUND) {
		if (i == count || memory->start.value != expected[i].start ||
		    memory->size != expected[i].size || memory->numa_node != expected[i].numa_node)
			unit_fail(__FILE__, line, "range %zu is 0x%llx + 0x%llx of node %u", i,
				  (unsigned long long)memory->start.value,
				  (unsigned long long)memory->size, memory->numa_node);
		i++;
	}
	if (result != DEVICETREE_ABSENT)
		unit_fail(__FILE__, line, "%s %s", error.property, error.what);
	if (i != count)
		unit_fail(__FILE__, line, "%zu ranges, expected %zu", i, count);
}

#define CHECK_MEMORY(tree, memory, ...)                                                            \
	check_memory(__LINE__, tree, memory, (const struct expected_memory[]){__VA_ARGS__},        \
		     COUNT(((const struct expected_memory[]){__VA_ARGS__})))

TEST(memory_is_every_entry_of_every_node)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_memory memory = {0};

	begin_root(&dtb, 2, 2);
	add_memory(&dtb, 0x80000000, 0x8000000);
	dtb_begin(&dtb, "memory@100000000");
	dtb_u32(&dtb, "numa-node-id", 3);
	dtb_cells(&dtb, "reg", 1, 0, 0, 0x1000, 2, 0, 0, 0, 3, 1, 0, 5);
	dtb_end(&dtb);
	dtb_begin(&dtb, "ram"); /* by its type alone, and disabled */
	dtb_string(&dtb, "device_type", "memory");
	dtb_string(&dtb, "status", "disabled");
	dtb_cells(&dtb, "reg", 9, 0, 0, 0x1000);
	dtb_end(&dtb);
	dtb_begin(&dtb, "ram"); /* by its type alone */
	dtb_string(&dtb, "device_type", "memory");
	dtb_string(&dtb, "status", "okay");
	dtb_cells(&dtb, "reg", 8, 0, 0, 0x1000);
	dtb_end(&dtb);
	dtb_begin(&dtb, "memory@7"); /* of another type */
	dtb_string(&dtb, "device_type", "memory-controller");
	dtb_cells(&dtb, "reg", 7, 0, 0, 0x1000);
	dtb_end(&dtb);
	dtb_begin(&dtb, "memory@6"); /* nothing in it */
	dtb_end(&dtb);
	dtb_begin(&dtb, "memory-controller@5");
	dtb_cells(&dtb, "reg", 5, 0, 0, 0x1000);
	dtb_end(&dtb);
	dtb_begin(&dtb, "soc"); /* its children are not the machine's memory */
	add_memory(&dtb, 0x1000, 0x1000);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	for (int twice = 0; twice < 2; twice++)
		CHECK_MEMORY(&tree, &memory, {0x80000000, 0x8000000, 0}, {0x100000000, 0x1000, 3},
			     {0x300000001, 5, 3}, {0x800000000, 0x1000, 0});
	dtb_free(&blob);
}

TEST(memory_has_no_limit_in_nodes_or_ranges)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_memory memory = {0};
	uint32_t words[4 * 50];
	uint64_t expected = 0;

	begin_root(&dtb, 2, 2);
	for (uint32_t n = 0; n < 200; n++) {
		for (uint32_t i = 0; i < 50; i++)
			memcpy(&words[4 * i], (uint32_t[]){n, i << 20, 0, i + 1}, 16);
		dtb_begin(&dtb, "memory");
		dtb_words(&dtb, "reg", words, COUNT(words));
		dtb_end(&dtb);
	}
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	while (machine_next_memory(&tree, &memory, &error) == DEVICETREE_FOUND) {
		CHECK_EQ(memory.start.value, expected / 50 << 32 | expected % 50 << 20);
		CHECK_EQ(memory.size, expected % 50 + 1);
		expected++;
	}
	CHECK_EQ(expected, 200 * 50);
	dtb_free(&blob);
}

/* A tree with one node of memory and one property in it that may be broken. */
static struct dtb_bytes tree_of_memory_with(const char *name, const void *value, size_t size)
{
	struct dtb dtb = {0};

	begin_root(&dtb, 2, 2);
	dtb_begin(&dtb, "memory@0");
	dtb_property(&dtb, name, value, size);
	dtb_cells(&dtb, "reg", 0, 0, 0, 0x1000);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

TEST(broken_memory_is_malformed)
{
	const struct {
		struct dtb_bytes blob;
		const char *property;
		const char *what;
	} cases[] = {
		{tree_of_memory_with("reg", "\0\0\0\1", 4), "reg",
		 "is not a whole number of entries"},
		{tree_of_memory_with("reg", "\xff\xff\xff\xff\xff\xff\xf0\0\0\0\0\0\0\0\x10\0", 16),
		 "reg", "range wraps"},
		{tree_of_memory_with("device_type", "memory", 6), "device_type", "is not a string"},
		{tree_of_memory_with("status", "okay", 4), "status", "is not a string"},
		{tree_of_memory_with("numa-node-id", "\0\0\0\0\0\0\0\1", 8), "numa-node-id",
		 "is not one cell"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = cases[i].blob;
		struct devicetree tree = open_tree(blob);
		struct machine_memory memory = {0};

		CHECK_MALFORMED(&tree, machine_next_memory(&tree, &memory, &error), "/memory",
				cases[i].property, cases[i].what);
		dtb_free(&blob);
	}
}

/* Anything but the two words means no, and so does a status that says nothing. */
TEST(memory_counts_when_its_status_is_okay)
{
	const struct {
		const char *value;
		size_t size;
		bool counts;
	} cases[] = {
		{"okay", 5, true},	{"ok", 3, true},
		{"disabled", 9, false}, {"reserved", 9, false},
		{"fail", 5, false},	{"fail-sss", 9, false},
		{"", 1, false},		{"", 0, false},
		{"okay ", 6, false},	{"okay\0disabled", 14, true},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = tree_of_memory_with("status", cases[i].value, cases[i].size);
		struct devicetree tree = open_tree(blob);
		struct machine_memory memory = {0};

		CHECK_EQ(machine_next_memory(&tree, &memory, &error),
			 cases[i].counts ? DEVICETREE_FOUND : DEVICETREE_ABSENT);
		dtb_free(&blob);
	}
}

TEST(memory_may_be_hotpluggable)
{
	struct dtb_bytes blob = tree_of_memory_with("hotpluggable", NULL, 0);
	struct devicetree tree = open_tree(blob);

	CHECK_MEMORY(&tree, &(struct machine_memory){0}, {0, 0x1000, 0});
	dtb_free(&blob);
}

TEST(memory_has_addresses_of_three_cells)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;

	begin_root(&dtb, 3, 1);
	dtb_begin(&dtb, "memory@1");
	dtb_cells(&dtb, "reg", 0, 1, 0x80000000, 0x1000);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MEMORY(&tree, &(struct machine_memory){0}, {0x180000000, 0x1000, 0});
	dtb_free(&blob);
}

/* As kexec writes it: the second kernel is to keep out of the first one's memory. */
TEST(usable_memory_stands_for_reg)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_memory memory = {0};

	begin_root(&dtb, 2, 2);
	dtb_begin(&dtb, "memory@80000000");
	dtb_string(&dtb, "device_type", "memory");
	dtb_u32(&dtb, "numa-node-id", 5);
	dtb_cells(&dtb, "reg", 0, 0x80000000, 0, 0x8000000);
	dtb_cells(&dtb, "linux,usable-memory", 0, 0x81000000, 0, 0x1000, 0, 0, 0, 0, 0, 0x82000000,
		  0, 7);
	dtb_end(&dtb);
	add_memory(&dtb, 0x90000000, 0x1000);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	for (int twice = 0; twice < 2; twice++)
		CHECK_MEMORY(&tree, &memory, {0x81000000, 0x1000, 5}, {0x82000000, 7, 5},
			     {0x90000000, 0x1000, 0});
	dtb_free(&blob);
}

/* A tree with three entries of memory and `linux,usable-memory-range` of these words. */
static struct dtb_bytes tree_of_usable(const uint32_t *words, size_t count)
{
	struct dtb dtb = {0};

	begin_root(&dtb, 2, 2);
	dtb_begin(&dtb, "chosen");
	dtb_words(&dtb, "linux,usable-memory-range", words, count);
	dtb_end(&dtb);
	dtb_begin(&dtb, "memory@1000");
	dtb_cells(&dtb, "reg", 0, 0x1000, 0, 0x3000, 0, 0x8000, 0, 0x1000);
	dtb_end(&dtb);
	add_memory(&dtb, 0x10000, 0x1000);
	return finish_root(&dtb);
}

#define USABLE(...)                                                                                \
	tree_of_usable((const uint32_t[]){__VA_ARGS__}, COUNT(((const uint32_t[]){__VA_ARGS__})))

TEST(memory_is_limited_to_the_usable_ranges)
{
	struct machine_memory memory = {0};
	struct dtb_bytes blob = USABLE(0, 0x2800, 0, 0x6000);
	struct devicetree tree = open_tree(blob);

	for (int twice = 0; twice < 2; twice++)
		CHECK_MEMORY(&tree, &memory, {0x2800, 0x1800, 0}, {0x8000, 0x800, 0});
	dtb_free(&blob);

	/* Two ranges, an empty one between; one entry lies in both. */
	blob = USABLE(0, 0, 0, 0x2000, 0, 0x5000, 0, 0, 0, 0x3000, 1, 0);
	tree = open_tree(blob);
	for (int twice = 0; twice < 2; twice++)
		CHECK_MEMORY(&tree, &memory, {0x1000, 0x1000, 0}, {0x3000, 0x1000, 0},
			     {0x8000, 0x1000, 0}, {0x10000, 0x1000, 0});
	dtb_free(&blob);

	blob = USABLE(0, 0x20000, 0, 0x1000);
	tree = open_tree(blob);
	CHECK(machine_next_memory(&tree, &memory, &error) == DEVICETREE_ABSENT);
	dtb_free(&blob);
}

TEST(broken_usable_ranges_are_malformed)
{
	struct machine_memory memory = {0};
	struct dtb_bytes blob = USABLE(0, 0x2800, 0);
	struct devicetree tree = open_tree(blob);

	CHECK_MALFORMED(&tree, machine_next_memory(&tree, &memory, &error), "/chosen",
			"linux,usable-memory-range", "is not a whole number of entries");
	dtb_free(&blob);
	memory = (struct machine_memory){0};
	blob = USABLE(UINT32_MAX, UINT32_MAX, 0, 1);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, machine_next_memory(&tree, &memory, &error), "/chosen",
			"linux,usable-memory-range", "range wraps");
	dtb_free(&blob);
}

TEST(no_memory_is_absent)
{
	struct dtb_bytes blob = TREE(BEGIN, 0, END_NODE, END);
	struct devicetree tree = open_tree(blob);
	struct machine_memory memory = {0};
	struct machine_reserved reserved = {0};
	struct machine_hart hart = {0};
	struct devicetree_node serial;
	const char *string;
	uint32_t distance;
	uint64_t hertz;
	phys_t address;

	CHECK(machine_next_memory(&tree, &memory, &error) == DEVICETREE_ABSENT);
	CHECK(machine_next_reserved(&tree, &reserved, &error) == DEVICETREE_ABSENT);
	CHECK(machine_next_hart(&tree, &hart, &error) == DEVICETREE_ABSENT);
	CHECK(machine_timebase(&tree, &hertz, &error) == DEVICETREE_ABSENT);
	CHECK(machine_bootargs(&tree, &string, &error) == DEVICETREE_ABSENT);
	CHECK(machine_stdout(&tree, &string, &serial, &error) == DEVICETREE_ABSENT);
	CHECK(machine_finisher(&tree, &address, &error) == DEVICETREE_ABSENT);
	CHECK(machine_numa_distance(&tree, 0, 1, &distance, &error) == DEVICETREE_ABSENT);
	CHECK_EQ(distance, 20);
	dtb_free(&blob);
}

/* What is reserved. */

struct expected_reserved {
	uint64_t start;
	uint64_t size;
	enum machine_reserved_source source;
	bool no_map;
	const char *name;
};

static void check_reserved(int line, const struct devicetree *tree,
			   struct machine_reserved *reserved,
			   const struct expected_reserved *expected, size_t count)
{
	enum devicetree_result result;
	size_t i = 0;

	while ((result = machine_next_reserved(tree, reserved, &error)) == DEVICETREE_FOUND) {
		if (i == count || reserved->start.value != expected[i].start ||
		    reserved->size != expected[i].size || reserved->source != expected[i].source ||
		    reserved->no_map != expected[i].no_map ||
		    strcmp(reserved->name, expected[i].name) != 0)
			unit_fail(__FILE__, line, "range %zu is %s: 0x%llx + 0x%llx", i,
				  reserved->name, (unsigned long long)reserved->start.value,
				  (unsigned long long)reserved->size);
		i++;
	}
	if (result != DEVICETREE_ABSENT)
		unit_fail(__FILE__, line, "%s %s", error.property, error.what);
	if (i != count)
		unit_fail(__FILE__, line, "%zu ranges, expected %zu", i, count);
}

#define CHECK_RESERVED(tree, reserved, ...)                                                        \
	check_reserved(__LINE__, tree, reserved, (const struct expected_reserved[]){__VA_ARGS__},  \
		       COUNT(((const struct expected_reserved[]){__VA_ARGS__})))

static void add_initrd_32(struct dtb *dtb, uint32_t start, uint32_t end)
{
	dtb_begin(dtb, "chosen");
	dtb_u32(dtb, "linux,initrd-start", start);
	dtb_u32(dtb, "linux,initrd-end", end);
	dtb_end(dtb);
}

TEST(reserved_is_the_block_and_the_nodes_and_the_initrd)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_reserved reserved = {0};

	dtb_reserve(&dtb, 0x80000000, 0x40000);
	dtb_reserve(&dtb, 0x90000000, 0);
	dtb_reserve(&dtb, 0, 0x1000);
	begin_root(&dtb, 2, 2);
	add_initrd_32(&dtb, 0x84000000, 0x84001234);
	begin_bus(&dtb, "reserved-memory", 2);
	dtb_property(&dtb, "ranges", NULL, 0);
	dtb_begin(&dtb, "firmware@80000000");
	dtb_cells(&dtb, "reg", 0, 0x80000000, 0, 0x20000, 1, 0, 0, 0x1000);
	dtb_property(&dtb, "no-map", NULL, 0);
	dtb_end(&dtb);
	dtb_begin(&dtb, "pool"); /* dynamic: only a size */
	dtb_cells(&dtb, "size", 0, 0x100000);
	dtb_end(&dtb);
	dtb_begin(&dtb, "buffer@2");
	dtb_string(&dtb, "status", "disabled");
	dtb_cells(&dtb, "reg", 2, 0, 0, 0, 2, 1, 0, 2);
	dtb_end(&dtb);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);

	for (int twice = 0; twice < 2; twice++)
		CHECK_RESERVED(
			&tree, &reserved,
			{0x80000000, 0x40000, MACHINE_RESERVATION_BLOCK, false, "reservation block"},
			{0, 0x1000, MACHINE_RESERVATION_BLOCK, false, "reservation block"},
			{0x80000000, 0x20000, MACHINE_RESERVED_MEMORY, true, "firmware@80000000"},
			{0x100000000, 0x1000, MACHINE_RESERVED_MEMORY, true, "firmware@80000000"},
			{0x200000001, 2, MACHINE_RESERVED_MEMORY, false, "buffer@2"},
			{0x84000000, 0x1234, MACHINE_INITRD, false, "initrd"});
	dtb_free(&blob);
}

TEST(the_initrd_may_be_64_bits_wide)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "chosen");
	dtb_u64(&dtb, "linux,initrd-start", 0x1080000000);
	dtb_u64(&dtb, "linux,initrd-end", 0x1080000001);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_RESERVED(&tree, &(struct machine_reserved){0},
		       {0x1080000000, 1, MACHINE_INITRD, false, "initrd"});
	dtb_free(&blob);
}

static enum devicetree_result first_reserved(const struct devicetree *tree)
{
	struct machine_reserved reserved = {0};

	return machine_next_reserved(tree, &reserved, &error);
}

TEST(a_broken_initrd_is_malformed)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;

	dtb_begin(&dtb, "");
	add_initrd_32(&dtb, 0x2000, 0x1fff);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, first_reserved(&tree), "/chosen", "linux,initrd-end",
			"lies before the start");
	dtb_free(&blob);

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "chosen");
	dtb_u32(&dtb, "linux,initrd-start", 1);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, first_reserved(&tree), "/chosen", "linux,initrd-start",
			"is not matched by an end");
	dtb_free(&blob);

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "chosen");
	dtb_cells(&dtb, "linux,initrd-start", 1, 2, 3);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, first_reserved(&tree), "/chosen", "linux,initrd-start",
			"is neither one cell nor two");
	dtb_free(&blob);

	dtb_begin(&dtb, "");
	add_initrd_32(&dtb, 0x2000, 0x2000);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK(first_reserved(&tree) == DEVICETREE_ABSENT);
	dtb_free(&blob);
}

TEST(broken_reserved_memory_is_malformed)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;

	begin_root(&dtb, 1, 1);
	begin_bus(&dtb, "reserved-memory", 1);
	dtb_begin(&dtb, "a");
	dtb_cells(&dtb, "reg", 1, 2, 3);
	dtb_end(&dtb);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, first_reserved(&tree), "/reserved-memory/a", "reg",
			"is not a whole number of entries");
	dtb_free(&blob);

	dtb_begin(&dtb, "");
	begin_bus(&dtb, "reserved-memory", 1);
	dtb_cells(&dtb, "ranges", 0, 0, 0x1000, 0x1000);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, first_reserved(&tree), "/reserved-memory", "ranges", "is not empty");
	dtb_free(&blob);
}

/* /reserved-memory with these cells, one child of no meaning in them, in a root of 2 and 2. */
static struct dtb_bytes tree_of_reserved_cells(uint32_t address_cells, uint32_t size_cells)
{
	struct dtb dtb = {0};

	begin_root(&dtb, 2, 2);
	dtb_begin(&dtb, "reserved-memory");
	if (address_cells)
		dtb_u32(&dtb, "#address-cells", address_cells);
	if (size_cells)
		dtb_u32(&dtb, "#size-cells", size_cells);
	dtb_begin(&dtb, "firmware@80000000");
	dtb_cells(&dtb, "reg", 0, 0x80000000, 0, 0x80000);
	dtb_end(&dtb);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

/* Read in 1 and 1 the firmware's range would be two others, and its memory would be handed out. */
TEST(reserved_memory_in_other_cells_is_malformed)
{
	const struct {
		uint32_t address, size; /* 0: not given, so the default */
		const char *property;
		uint32_t found;
	} cases[] = {
		{1, 1, "#address-cells", 1}, {2, 1, "#size-cells", 1}, {3, 2, "#address-cells", 3},
		{2, 3, "#size-cells", 3},    {0, 0, "#size-cells", 1},
	};
	char text[128];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = tree_of_reserved_cells(cases[i].address, cases[i].size);
		struct devicetree tree = open_tree(blob);

		CHECK_MALFORMED(&tree, first_reserved(&tree), "/reserved-memory", cases[i].property,
				"of /reserved-memory is not the root's");
		CHECK(error.compares);
		CHECK_EQ(error.found, cases[i].found);
		CHECK_EQ(error.expected, 2);
		dtb_free(&blob);
	}
	error.offset = 0x9c;
	devicetree_error_text(&error, text, sizeof(text));
	CHECK_STRING(text,
		     "#size-cells: of /reserved-memory is not the root's: 1, not 2 (offset 0x9c)");
}

/* Nothing in it can be misread. */
TEST(empty_reserved_memory_may_have_any_cells)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;

	begin_root(&dtb, 2, 2);
	dtb_begin(&dtb, "reserved-memory");
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK(first_reserved(&tree) == DEVICETREE_ABSENT);
	dtb_free(&blob);
}

/* Harts. */

static enum devicetree_result next_hart(const struct devicetree *tree, struct machine_hart *hart)
{
	return machine_next_hart(tree, hart, &error);
}

TEST(harts_have_gaps_in_their_ids_and_no_limit)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_hart hart = {0};
	uint32_t expected = 0;

	dtb_begin(&dtb, "");
	begin_cpus(&dtb, 1);
	for (uint32_t i = 0; i < 128; i++)
		add_hart(&dtb, 5 + i * 37, "okay", "riscv,sv48", "rv64imac");
	dtb_begin(&dtb, "cpu-map");
	dtb_end(&dtb);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	while (next_hart(&tree, &hart) == DEVICETREE_FOUND) {
		CHECK_EQ(hart.id, 5 + expected * 37);
		CHECK(!hart.unusable);
		CHECK_STRING(hart.isa, "rv64imac");
		expected++;
	}
	CHECK_EQ(expected, 128);
	CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
	CHECK_EQ(hart.id, 5);
	dtb_free(&blob);
}

TEST(harts_are_usable_when_enabled_and_with_an_mmu)
{
	static const struct {
		const char *status;
		const char *mmu_type;
		const char *isa;
		const char *unusable;
	} cases[] = {
		{NULL, "riscv,sv39", NULL, NULL},
		{"okay", "riscv,sv48", "rv64imafdch_zicsr_zifencei_sstc", NULL},
		{"ok", "riscv,sv57", "rv64imac", NULL},
		{"disabled", "riscv,sv48", "rv64imac", "disabled"},
		{"reserved", "riscv,sv48", "rv64imac", "disabled"},
		{"fail", "riscv,sv48", "rv64imac", "disabled"},
		{"", "riscv,sv48", "rv64imac", "disabled"},
		{"okay", "riscv,none", "rv64imafdcsu", "no MMU"},
		{"disabled", "riscv,none", "rv64imac", "disabled"},
		{"okay", NULL, "rv64imac_zicsr_zifencei", "no MMU"},
		{"okay", NULL, "", "no MMU"},
		{"okay", NULL, "sv39", "no MMU"},
		{"okay", NULL, "rv64imafdcsu", NULL},
		{"okay", NULL, "rv64imafdcsuh", NULL},
		{"okay", NULL, NULL, "no MMU"}, /* and not the ISA of the one before */
		{"okay", NULL, "rv64imafdcs", NULL},
		{"okay", NULL, "rv64i2p1m2a2s1p0_zicsr2p0", NULL},
		{"okay", NULL, "rv64imac_s", NULL},
		{"okay", NULL, "rv64imac_sv39", NULL},
		{"okay", NULL, "rv64imac_zicsr_svinval", NULL},
		{"okay", NULL, "rv64imacsvinval", NULL},
		{"okay", NULL, "rv64imac_smepmp_zicbosu", "no MMU"},
		{"okay", NULL, "rv64imacsmepmp", "no MMU"},
		{"okay", NULL, "rv64imac_supm", "no MMU"},
		{"okay", NULL, "rv64imac_xsu", "no MMU"},
		{"okay", NULL, "rv64imacxs", "no MMU"},
	};
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_hart hart = {0};

	dtb_begin(&dtb, "");
	begin_cpus(&dtb, 1);
	for (uint32_t i = 0; i < COUNT(cases); i++)
		add_hart(&dtb, i, cases[i].status, cases[i].mmu_type, cases[i].isa);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	for (uint32_t i = 0; i < COUNT(cases); i++) {
		CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
		CHECK_EQ(hart.id, i);
		if (cases[i].unusable ? !hart.unusable || strcmp(hart.unusable, cases[i].unusable)
				      : hart.unusable != NULL)
			unit_fail(__FILE__, __LINE__, "case %u (%s): %s", i,
				  cases[i].isa ? cases[i].isa : "", hart.unusable);
	}
	CHECK(next_hart(&tree, &hart) == DEVICETREE_ABSENT);
	dtb_free(&blob);
}

TEST(extensions_are_whole_names)
{
	static const struct {
		const char *isa;
		const char *has;
		const char *has_not;
	} cases[] = {
		{"rv64imafdch_zicsr_zba_zbb_sstc", "i m a f d c h zicsr zba zbb sstc",
		 "r v s u b z zb zbbb sst zbc sv g"},
		{"rv64gc", "g i m a f d c zicsr zifencei", "zba h s"},
		{"rv64i2p1m2p0_zicsr2p0_zvl128b_zve64x", "i m zicsr zvl128b zve64x",
		 "zvl128 zve64 p"},
		{"rv64imaczbb_zbs", "c zbb zbs", "z b"},
		{"rv64imac_", "c", "d"},
		{"rv64__a___zbb", "a zbb", "b"},
		{"imac", "", "i m a c"},
		{"rv64", "", "i"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb dtb = {0};
		struct dtb_bytes blob;
		struct devicetree tree;
		struct machine_hart hart = {0};
		char names[128], *name;

		dtb_begin(&dtb, "");
		begin_cpus(&dtb, 1);
		add_hart(&dtb, 0, NULL, NULL, cases[i].isa);
		dtb_end(&dtb);
		blob = finish_root(&dtb);
		tree = open_tree(blob);
		CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
		strcpy(names, cases[i].has);
		for (name = strtok(names, " "); name; name = strtok(NULL, " "))
			if (!machine_hart_has(&tree, &hart, name))
				unit_fail(__FILE__, __LINE__, "%s lacks %s", cases[i].isa, name);
		strcpy(names, cases[i].has_not);
		for (name = strtok(names, " "); name; name = strtok(NULL, " "))
			if (machine_hart_has(&tree, &hart, name))
				unit_fail(__FILE__, __LINE__, "%s has %s", cases[i].isa, name);
		dtb_free(&blob);
	}
}

TEST(an_extension_list_outranks_the_isa_string)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_hart hart = {0};

	dtb_begin(&dtb, "");
	begin_cpus(&dtb, 2);
	dtb_begin(&dtb, "cpu@0"); /* by its name alone; two cells of id */
	dtb_cells(&dtb, "reg", 1, 2);
	dtb_u32(&dtb, "numa-node-id", 9);
	dtb_string(&dtb, "riscv,isa", "rv64imac_zbb");
	dtb_property(&dtb, "riscv,isa-extensions", "i\0m\0zba\0svinval\0sstc", 20);
	dtb_end(&dtb);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
	CHECK_EQ(hart.id, 0x100000002);
	CHECK_EQ(hart.numa_node, 9);
	CHECK(!hart.unusable);
	CHECK(machine_hart_has(&tree, &hart, "zba"));
	CHECK(!machine_hart_has(&tree, &hart, "zbb"));
	CHECK(!machine_hart_has(&tree, &hart, "a"));
	/* Nothing terminates it. */
	CHECK(!machine_hart_has(&tree, &hart, "sstc"));
	dtb_free(&blob);
}

TEST(duplicate_hart_ids_are_malformed)
{
	static const uint32_t ids[] = {4, 7, 5, 0, 7};
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_hart hart = {0};

	dtb_begin(&dtb, "");
	begin_cpus(&dtb, 1);
	for (size_t i = 0; i < COUNT(ids); i++)
		add_hart(&dtb, ids[i], i == 1 ? "disabled" : NULL, "riscv,sv39", "rv64imac");
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	for (size_t i = 0; i < COUNT(ids) - 1; i++) {
		CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
		CHECK_EQ(hart.id, ids[i]);
	}
	CHECK(next_hart(&tree, &hart) == DEVICETREE_MALFORMED);
	CHECK_STRING(error.what, "is the hart id of an earlier cpu");
	CHECK_STRING(error.property, "reg");
	CHECK_EQ(error.offset, hart.node.offset);
	dtb_free(&blob);
}

/* A tree with one cpu node and one property in it that may be broken. */
static struct dtb_bytes tree_of_hart_with(const char *name, const void *value, size_t size)
{
	struct dtb dtb = {0};

	dtb_begin(&dtb, "");
	begin_cpus(&dtb, 1);
	dtb_begin(&dtb, "cpu@0");
	dtb_property(&dtb, name, value, size);
	dtb_u32(&dtb, "reg", 0);
	dtb_end(&dtb);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

TEST(broken_harts_are_malformed)
{
	const struct {
		struct dtb_bytes blob;
		const char *property;
		const char *what;
	} cases[] = {
		{tree_of_hart_with("reg", NULL, 0), "reg", "is not one hart id"},
		{tree_of_hart_with("reg", "\0\0\0\0\0\0\0\1", 8), "reg", "is not one hart id"},
		{tree_of_hart_with("reg", "\0\0\0", 3), "reg", "is not a whole number of entries"},
		{tree_of_hart_with("device_type", "cpu", 3), "device_type", "is not a string"},
		{tree_of_hart_with("status", "okay", 4), "status", "is not a string"},
		{tree_of_hart_with("mmu-type", "riscv,sv39", 10), "mmu-type", "is not a string"},
		{tree_of_hart_with("riscv,isa", "rv64", 4), "riscv,isa", "is not a string"},
		{tree_of_hart_with("numa-node-id", NULL, 0), "numa-node-id", "is not one cell"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = cases[i].blob;
		struct devicetree tree = open_tree(blob);
		struct machine_hart hart = {0};

		CHECK_MALFORMED(&tree, next_hart(&tree, &hart), "/cpus/cpu", cases[i].property,
				cases[i].what);
		dtb_free(&blob);
	}
}

TEST(a_hart_id_of_no_cells_is_malformed)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct machine_hart hart = {0};

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "cpus");
	dtb_u32(&dtb, "#address-cells", 0);
	dtb_u32(&dtb, "#size-cells", 1);
	add_hart(&dtb, 0, NULL, NULL, NULL);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, next_hart(&tree, &hart), "/cpus/cpu", "reg", "is not one hart id");
	dtb_free(&blob);
}

/* The clock, and what /chosen says. */

static struct dtb_bytes tree_of_timebase(const void *of_cpus, size_t of_cpus_size,
					 const void *of_cpu, size_t of_cpu_size)
{
	struct dtb dtb = {0};

	dtb_begin(&dtb, "");
	begin_cpus(&dtb, 1);
	if (of_cpus)
		dtb_property(&dtb, "timebase-frequency", of_cpus, of_cpus_size);
	add_hart(&dtb, 0, NULL, NULL, NULL);
	dtb_begin(&dtb, "cpu@1");
	if (of_cpu)
		dtb_property(&dtb, "timebase-frequency", of_cpu, of_cpu_size);
	dtb_end(&dtb);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

TEST(the_timebase_is_of_the_cpus_or_of_one)
{
	const struct {
		struct dtb_bytes blob;
		uint64_t hertz; /* 0: malformed */
		const char *path;
		const char *what;
	} cases[] = {
		{tree_of_timebase("\0\x98\x96\x80", 4, NULL, 0), 10000000, NULL, NULL},
		{tree_of_timebase("\0\0\0\2\0\0\0\1", 8, NULL, 0), 0x200000001, NULL, NULL},
		{tree_of_timebase(NULL, 0, "\0\0\0\5", 4), 5, NULL, NULL},
		{tree_of_timebase("\0\0\0\6", 4, "\0\0\0\5", 4), 6, NULL, NULL},
		{tree_of_timebase("\0\0", 2, NULL, 0), 0, "/cpus", "is neither one cell nor two"},
		{tree_of_timebase(NULL, 0, "\0\0\0\0", 4), 0, "/cpus/cpu@1", "is zero"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = cases[i].blob;
		struct devicetree tree = open_tree(blob);
		enum devicetree_result result;
		uint64_t hertz = 0;

		result = machine_timebase(&tree, &hertz, &error);
		CHECK_EQ(hertz, cases[i].hertz);
		if (cases[i].hertz == 0)
			CHECK_MALFORMED(&tree, result, cases[i].path, "timebase-frequency",
					cases[i].what);
		else
			CHECK(result == DEVICETREE_FOUND);
		dtb_free(&blob);
	}
}

TEST(chosen_gives_arguments_and_console)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	struct devicetree_node serial;
	const char *string;

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "chosen");
	dtb_string(&dtb, "bootargs", "run=stress seed=3");
	dtb_string(&dtb, "stdout-path", "uart:9600");
	dtb_end(&dtb);
	dtb_begin(&dtb, "aliases");
	dtb_string(&dtb, "uart", "/serial@1");
	dtb_end(&dtb);
	dtb_begin(&dtb, "serial@1");
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK(machine_bootargs(&tree, &string, &error) == DEVICETREE_FOUND);
	CHECK_STRING(string, "run=stress seed=3");
	CHECK(machine_stdout(&tree, &string, &serial, &error) == DEVICETREE_FOUND);
	CHECK_STRING(string, "uart:9600");
	CHECK_STRING(devicetree_name(&tree, serial), "serial@1");
	dtb_free(&blob);

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "chosen");
	dtb_property(&dtb, "bootargs", "run", 3);
	dtb_string(&dtb, "stdout-path", "/nowhere");
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, machine_bootargs(&tree, &string, &error), "/chosen", "bootargs",
			"is not a string");
	CHECK(machine_stdout(&tree, &string, &serial, &error) == DEVICETREE_FOUND);
	CHECK(devicetree_is_none(serial));
	dtb_free(&blob);
}

/* The finisher. */

static void add_finisher(struct dtb *dtb, const char *status, uint32_t address, uint32_t size)
{
	dtb_begin(dtb, "test");
	dtb_property(dtb, "compatible", "sifive,test1\0sifive,test0\0syscon", 33);
	if (status)
		dtb_string(dtb, "status", status);
	if (size)
		dtb_cells(dtb, "reg", 0, address, 0, size);
	dtb_end(dtb);
}

TEST(the_finisher_is_the_first_enabled_one)
{
	struct dtb dtb = {0};
	struct dtb_bytes blob;
	struct devicetree tree;
	phys_t registers;

	begin_root(&dtb, 2, 2);
	begin_bus(&dtb, "soc", 2);
	dtb_string(&dtb, "compatible", "simple-bus");
	dtb_property(&dtb, "ranges", NULL, 0);
	add_finisher(&dtb, "disabled", 0x5000, 0x1000);
	add_finisher(&dtb, NULL, 0x100000, 0x1000);
	dtb_end(&dtb);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK(machine_finisher(&tree, &registers, &error) == DEVICETREE_FOUND);
	CHECK_EQ(registers.value, 0x100000);
	dtb_free(&blob);

	begin_root(&dtb, 2, 2);
	add_finisher(&dtb, NULL, 0, 0);
	blob = finish_root(&dtb);
	tree = open_tree(blob);
	CHECK_MALFORMED(&tree, machine_finisher(&tree, &registers, &error), "/test", "reg",
			"is absent or empty");
	dtb_free(&blob);
}

/* NUMA distances. */

static struct dtb_bytes tree_of_distances(const uint32_t *words, size_t count)
{
	struct dtb dtb = {0};

	dtb_begin(&dtb, "");
	dtb_begin(&dtb, "distance-map");
	dtb_string(&dtb, "compatible", "numa-distance-map-v1");
	dtb_words(&dtb, "distance-matrix", words, count);
	dtb_end(&dtb);
	return finish_root(&dtb);
}

#define DISTANCES(...)                                                                             \
	tree_of_distances((const uint32_t[]){__VA_ARGS__}, COUNT(((const uint32_t[]){__VA_ARGS__})))

TEST(distances_come_from_the_map_or_its_mirror_or_are_default)
{
	struct dtb_bytes blob = DISTANCES(0, 0, 10, 0, 1, 30, 1, 0, 40, 1, 2, 50);
	struct devicetree tree = open_tree(blob);
	static const struct {
		uint32_t from, to, distance;
		enum devicetree_result result;
	} cases[] = {
		{0, 0, 10, DEVICETREE_FOUND},  {0, 1, 30, DEVICETREE_FOUND},
		{1, 0, 40, DEVICETREE_FOUND},  {1, 2, 50, DEVICETREE_FOUND},
		{2, 1, 50, DEVICETREE_FOUND},  {2, 2, 10, DEVICETREE_ABSENT},
		{0, 2, 20, DEVICETREE_ABSENT}, {7, 9, 20, DEVICETREE_ABSENT},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint32_t distance;

		CHECK(machine_numa_distance(&tree, cases[i].from, cases[i].to, &distance, &error) ==
		      cases[i].result);
		CHECK_EQ(distance, cases[i].distance);
	}
	dtb_free(&blob);
}

TEST(broken_distances_are_malformed)
{
	const struct {
		struct dtb_bytes blob;
		const char *what;
	} cases[] = {
		{DISTANCES(0, 0, 10, 0, 1), "is not a whole number of triples"},
		{DISTANCES(0, 0, 11), "has an impossible distance"},
		{DISTANCES(0, 0, 10, 0, 1, 10), "has an impossible distance"},
		{DISTANCES(0, 1, 0), "has an impossible distance"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct dtb_bytes blob = cases[i].blob;
		struct devicetree tree = open_tree(blob);
		uint32_t distance;

		CHECK_MALFORMED(&tree, machine_numa_distance(&tree, 0, 1, &distance, &error),
				"/distance-map", "distance-matrix", cases[i].what);
		dtb_free(&blob);
	}
}

/* Trees as QEMU writes them. */

TEST(qemu_virt_with_numa)
{
	struct dtb_bytes blob = dtb_load("tests/host/data/virt_numa.dtb");
	struct devicetree tree = open_tree(blob);
	struct machine_hart hart = {0};
	struct devicetree_node serial;
	struct devicetree_range range;
	const char *string;
	uint32_t distance, count = 0;
	uint64_t hertz;
	phys_t finisher;

	CHECK_MEMORY(&tree, &(struct machine_memory){0}, {0x80000000, 0x10000000, 0},
		     {0x90000000, 0x10000000, 1});
	CHECK(first_reserved(&tree) == DEVICETREE_ABSENT);
	for (; next_hart(&tree, &hart) == DEVICETREE_FOUND; count++) {
		CHECK_EQ(hart.id, count);
		CHECK_EQ(hart.numa_node, count / 2);
		CHECK(!hart.unusable);
		CHECK(machine_hart_has(&tree, &hart, "sstc"));
		CHECK(machine_hart_has(&tree, &hart, "zbb"));
		CHECK(!machine_hart_has(&tree, &hart, "zicbom"));
	}
	CHECK_EQ(count, 4);
	CHECK(machine_timebase(&tree, &hertz, &error) == DEVICETREE_FOUND);
	CHECK_EQ(hertz, 10000000);
	CHECK(machine_bootargs(&tree, &string, &error) == DEVICETREE_FOUND);
	CHECK_STRING(string, "run=selftest seed=7");
	CHECK(machine_stdout(&tree, &string, &serial, &error) == DEVICETREE_FOUND);
	CHECK(devicetree_reg_physical(&tree, serial, 0, &range, &error) == DEVICETREE_FOUND);
	CHECK_EQ(range.start, 0x10000000);
	CHECK(machine_finisher(&tree, &finisher, &error) == DEVICETREE_FOUND);
	CHECK_EQ(finisher.value, 0x100000);
	CHECK(machine_numa_distance(&tree, 1, 0, &distance, &error) == DEVICETREE_FOUND);
	CHECK_EQ(distance, 30);
	dtb_free(&blob);
}

TEST(qemu_sifive_u_has_a_management_hart)
{
	struct dtb_bytes blob = dtb_load("tests/host/data/sifive_u.dtb");
	struct devicetree tree = open_tree(blob);
	struct machine_hart hart = {0};
	phys_t finisher;
	uint64_t hertz;

	CHECK_MEMORY(&tree, &(struct machine_memory){0}, {0x80000000, 0x8000000, 0});
	CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
	CHECK_EQ(hart.id, 0);
	CHECK_STRING(hart.unusable, "no MMU");
	for (uint64_t id = 1; id < 5; id++) {
		CHECK(next_hart(&tree, &hart) == DEVICETREE_FOUND);
		CHECK_EQ(hart.id, id);
		CHECK(!hart.unusable);
	}
	CHECK(next_hart(&tree, &hart) == DEVICETREE_ABSENT);
	CHECK(machine_timebase(&tree, &hertz, &error) == DEVICETREE_FOUND);
	CHECK_EQ(hertz, 1000000);
	CHECK(machine_finisher(&tree, &finisher, &error) == DEVICETREE_ABSENT);
	dtb_free(&blob);
}

/* Damage. */

static const char *const real_trees[] = {
	"tests/host/data/virt_numa.dtb",
	"tests/host/data/sifive_u.dtb",
};

TEST(a_tree_cut_short_is_refused)
{
	for (size_t i = 0; i < COUNT(real_trees); i++) {
		struct dtb_bytes whole = dtb_load(real_trees[i]);

		for (size_t size = 1; size < whole.size; size++) {
			struct dtb_bytes cut = dtb_copy(whole, size);
			struct devicetree tree;

			CHECK(!devicetree_open(&tree, cut.bytes, cut.size, &error));
			dtb_free(&cut);
		}
		dtb_free(&whole);
	}
}

/* The header agrees with the cut: total size, and the last block's size as well. */
TEST(a_tree_cut_short_with_its_header_reads_nothing_outside)
{
	unsigned opened = 0;

	for (size_t i = 0; i < COUNT(real_trees); i++) {
		struct dtb_bytes whole = dtb_load(real_trees[i]);
		uint32_t strings = dtb_peek(whole, 12);

		for (size_t size = 40; size < whole.size; size++) {
			struct dtb_bytes cut = dtb_copy(whole, size);
			struct devicetree tree;

			dtb_poke(cut, 4, (uint32_t)size);
			dtb_poke(cut, 12, size < strings ? (uint32_t)size : strings);
			dtb_poke(cut, 32, size < strings ? 0 : (uint32_t)size - strings);
			dtb_poke(cut, 20, size % 2 ? 16 : 17);
			if (devicetree_open(&tree, cut.bytes, cut.size, &error)) {
				devicetree_walk(&tree);
				opened++;
			}
			dtb_free(&cut);
		}
		dtb_free(&whole);
	}
	/* The structure is whole or refused, and each name in the strings is a property's name. */
	CHECK_EQ(opened, 0);
}

TEST(damaged_trees_read_nothing_outside)
{
	enum {
		ROUNDS = 10000,
	};
	unsigned opened = 0;

	for (size_t i = 0; i < COUNT(real_trees); i++) {
		struct dtb_bytes whole = dtb_load(real_trees[i]);

		for (unsigned round = 0; round < ROUNDS / COUNT(real_trees); round++) {
			struct dtb_bytes copy = dtb_copy(whole, whole.size);
			struct devicetree tree;

			dtb_damage(copy);
			if (devicetree_open(&tree, copy.bytes, copy.size, &error)) {
				devicetree_walk(&tree);
				opened++;
			} else {
				CHECK(error.offset <= copy.size);
			}
			dtb_free(&copy);
		}
		dtb_free(&whole);
	}
	/* Both ends of the reader must have been at work. */
	CHECK(opened > ROUNDS / 10 && opened < ROUNDS - ROUNDS / 10);
}

/* Nothing but chance, behind a header that lets it through. */
TEST(trees_of_random_tokens_read_nothing_outside)
{
	static const uint32_t tokens[] = {BEGIN,    BEGIN, 0, NAME_A, END_NODE,
					  PROPERTY, 0,	   4, NOP,    END};
	unsigned opened = 0;

	for (unsigned round = 0; round < 30000; round++) {
		struct dtb dtb = {0};
		struct dtb_bytes blob;
		struct devicetree tree;

		dtb_property(&dtb, "reg", NULL, 0);
		dtb_free(&dtb.structure);
		dtb_token(&dtb, BEGIN);
		dtb_token(&dtb, 0);
		for (uint64_t left = unit_random_below(12); left > 0; left--)
			dtb_token(&dtb, tokens[unit_random_below(COUNT(tokens))]);
		blob = dtb_finish_raw(&dtb);
		if (devicetree_open(&tree, blob.bytes, blob.size, &error)) {
			devicetree_walk(&tree);
			opened++;
		}
		dtb_free(&blob);
	}
	CHECK(opened > 30);
}
