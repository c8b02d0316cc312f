/*
 * test_devicetree_libfdt.c - our reader of device trees against libfdt, on damaged trees.
 *
 * What both accept must read the same: nodes, names, nesting, properties, reservations, paths,
 * phandles. What only one accepts must be a difference we chose: `stricter` lists for which
 * reasons we may refuse what libfdt takes, and judge() the one thing that we take and it does not.
 *
 * libfdt reads a copy with room behind it: on lists without terminators it may look one byte
 * too far, which is not ours to report.
 */
#include "kernel/devicetree.h"

#include <libfdt.h>
#include <stdlib.h>
#include <string.h>

#include "dtb_builder.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const sources[] = {
	"tests/host/data/virt_numa.dtb",
	"tests/host/data/sifive_u.dtb",
};

/*
 * What the specification forbids and libfdt 1.6.1 reads nonetheless. Its reservation block ends
 * at the first size of 0, ours at the first entry of two zeros (chapter 5.3); and it bounds the
 * names of a version 16 tree by the blob, not by the strings block.
 */
static const char *const stricter[] = {
	"block is not aligned",
	"block starts outside the tree", /* that is, in the header */
	"no root node",
	"node has no name",
	"property after a subnode",
	"property name lies outside the strings block",
	"property name is not terminated",
	"reservation block has no end",
	"reservation wraps",
	"reservations overlap the structure",
	"reservations overlap the strings",
	"structure overlaps the strings",
};

static bool is_stricter(const char *what)
{
	for (size_t i = 0; i < COUNT(stricter); i++) {
		if (strcmp(stricter[i], what) == 0)
			return true;
	}
	return false;
}

struct pair {
	struct devicetree ours;
	const void *theirs;
};

/* Our handle for a node of theirs. */
static struct devicetree_node translate(const struct pair *pair, int offset)
{
	if (offset < 0)
		return DEVICETREE_NONE;
	return (struct devicetree_node){fdt_off_dt_struct(pair->theirs) + (uint32_t)offset};
}

#define CHECK_SAME_NODE(pair, our_node, their_offset) \
	CHECK_EQ((our_node).offset, translate(pair, their_offset).offset)

static void compare_bytes(const struct devicetree_property *ours, const void *theirs, int length)
{
	CHECK(theirs && length >= 0);
	CHECK_EQ(ours->length, length);
	CHECK(memcmp(ours->value, theirs, ours->length) == 0);
}

static void compare_properties(const struct pair *pair, struct devicetree_node node, int offset)
{
	struct devicetree_property property = {0}, by_name;
	int property_offset, length;

	fdt_for_each_property_offset(property_offset, pair->theirs, offset)
	{
		const char *name;
		const void *value =
			fdt_getprop_by_offset(pair->theirs, property_offset, &name, &length);

		CHECK(devicetree_next_property(&pair->ours, node, &property));
		CHECK(strcmp(property.name, name) == 0);
		compare_bytes(&property, value, length);

		value = fdt_getprop(pair->theirs, offset, name, &length);
		CHECK(devicetree_property(&pair->ours, node, name, &by_name));
		compare_bytes(&by_name, value, length);
	}
	CHECK(!devicetree_next_property(&pair->ours, node, &property));
}

/* A ':' ends our paths, and may stand in a damaged name. */
static void compare_path(const struct pair *pair, int offset)
{
	char path[4096];

	if (fdt_get_path(pair->theirs, offset, path, sizeof(path)) != 0 || strchr(path, ':'))
		return;
	CHECK_SAME_NODE(pair, devicetree_find_path(&pair->ours, path),
			fdt_path_offset(pair->theirs, path));
}

static void compare_nodes(const struct pair *pair)
{
	struct devicetree_node node = devicetree_root(&pair->ours);
	int offset;

	for (offset = fdt_next_node(pair->theirs, -1, NULL); offset >= 0;
	     offset = fdt_next_node(pair->theirs, offset, NULL)) {
		CHECK_SAME_NODE(pair, node, offset);
		CHECK(strcmp(devicetree_name(&pair->ours, node),
			     fdt_get_name(pair->theirs, offset, NULL)) == 0);
		CHECK_SAME_NODE(pair, devicetree_parent(&pair->ours, node),
				fdt_parent_offset(pair->theirs, offset));
		CHECK_SAME_NODE(pair, devicetree_first_child(&pair->ours, node),
				fdt_first_subnode(pair->theirs, offset));
		if (offset != 0)
			CHECK_SAME_NODE(pair, devicetree_next_sibling(&pair->ours, node),
					fdt_next_subnode(pair->theirs, offset));
		compare_properties(pair, node, offset);
		compare_path(pair, offset);
		node = devicetree_next(&pair->ours, node);
	}
	CHECK(devicetree_is_none(node));
}

static void compare_reservations(const struct pair *pair)
{
	struct devicetree_range range;
	int count = fdt_num_mem_rsv(pair->theirs);

	for (int i = 0; i < count; i++) {
		uint64_t start, size;

		CHECK(fdt_get_mem_rsv(pair->theirs, i, &start, &size) == 0);
		CHECK(devicetree_reservation(&pair->ours, (uint32_t)i, &range));
		CHECK_EQ(range.start, start);
		CHECK_EQ(range.size, size);
	}
	CHECK(!devicetree_reservation(&pair->ours, (uint32_t)count, &range) || range.size == 0);
}

static void compare_phandles(const struct pair *pair)
{
	for (uint32_t phandle = 1; phandle < 16; phandle++)
		CHECK_SAME_NODE(pair, devicetree_find_phandle(&pair->ours, phandle),
				fdt_node_offset_by_phandle(pair->theirs, phandle));
}

static void compare(const struct pair *pair)
{
	compare_nodes(pair);
	compare_reservations(pair);
	compare_phandles(pair);
}

struct tally {
	unsigned both, neither, ours_only, theirs_only;
};

static void print_tally(const struct tally *tally)
{
	printf("# accepted by both %u, by neither %u, by us alone %u, by libfdt alone %u\n",
	       tally->both, tally->neither, tally->ours_only, tally->theirs_only);
}

/*
 * Whether to leave libfdt 1.6.1 out of it. It adds a property's length to its offset as `int`,
 * and a length near 2^32 sends it back in the blob, for ever; and in a tree that claims to be
 * older than version 16 it follows a null pointer. We refuse both.
 */
static bool libfdt_goes_astray(struct dtb_bytes blob)
{
	size_t start = dtb_peek(blob, 8), at = start;

	if (dtb_peek(blob, 20) < 16)
		return true;
	while (at <= blob.size - 4) {
		uint32_t token = dtb_peek(blob, at);

		at += 4;
		if (token == FDT_BEGIN_NODE) {
			at += strnlen((char *)blob.bytes + at, blob.size - at) + 1;
		} else if (token == FDT_PROP) {
			if (at > blob.size - 8)
				return false;
			if (dtb_peek(blob, at) > blob.size)
				return true;
			at += 8 + dtb_peek(blob, at);
		} else if (token != FDT_END_NODE && token != FDT_NOP) {
			return false;
		}
		at = start + ((at - start + 3) & ~(size_t)3);
	}
	return false;
}

/* One tree before both judges. */
static void judge(struct dtb_bytes blob, struct tally *tally)
{
	struct devicetree_error error;
	struct pair pair;
	uint8_t *roomy = calloc(1, blob.size + 64);
	bool ours, theirs;

	memcpy(roomy, blob.bytes, blob.size);
	pair.theirs = roomy;
	ours = devicetree_open(&pair.ours, blob.bytes, blob.size, &error);
	theirs = !libfdt_goes_astray(blob) && fdt_check_full(roomy, blob.size) == 0;
	if (ours && theirs) {
		compare(&pair);
		tally->both++;
	} else if (ours) {
		/* The one way of ours to be laxer: libfdt takes no NOP between root and end. */
		CHECK_EQ(dtb_peek(blob, pair.ours.structure.end - 8), FDT_NOP);
		tally->ours_only++;
	} else if (theirs) {
		tally->theirs_only++;
		if (!is_stricter(error.what))
			unit_fail(__FILE__, __LINE__, "libfdt accepts what we refuse: %s at %u",
				  error.what, error.offset);
	} else {
		tally->neither++;
	}
	free(roomy);
}

TEST(whole_trees_read_as_libfdt_reads_them)
{
	struct tally tally = {0};

	for (size_t i = 0; i < COUNT(sources); i++) {
		struct dtb_bytes blob = dtb_load(sources[i]);

		judge(blob, &tally);
		dtb_free(&blob);
	}
	CHECK_EQ(tally.both, COUNT(sources));
}

TEST(damaged_trees_read_as_libfdt_reads_them)
{
	struct tally tally = {0};

	for (size_t i = 0; i < COUNT(sources); i++) {
		struct dtb_bytes whole = dtb_load(sources[i]);

		for (unsigned round = 0; round < 5000; round++) {
			struct dtb_bytes copy = dtb_copy(whole, whole.size);

			dtb_damage(copy);
			judge(copy, &tally);
			dtb_free(&copy);
		}
		dtb_free(&whole);
	}
	print_tally(&tally);
	CHECK(tally.both > 1000 && tally.neither > 1000);
}

TEST(trees_of_random_tokens_read_as_libfdt_reads_them)
{
	static const uint32_t tokens[] = {1, 1, 0, 0x61000000, 2, 2, 3, 0, 4, 4, 9};
	struct tally tally = {0};

	for (unsigned round = 0; round < 30000; round++) {
		struct dtb dtb = {0};
		struct dtb_bytes blob;

		dtb_property(&dtb, "p", NULL, 0);
		dtb_free(&dtb.structure);
		dtb_token(&dtb, 1);
		dtb_token(&dtb, 0);
		for (uint64_t left = unit_random_below(12); left > 0; left--)
			dtb_token(&dtb, tokens[unit_random_below(COUNT(tokens))]);
		blob = unit_random_below(2) ? dtb_finish(&dtb) : dtb_finish_raw(&dtb);
		judge(blob, &tally);
		dtb_free(&blob);
	}
	print_tally(&tally);
	CHECK(tally.both > 100 && tally.neither > 100);
}
