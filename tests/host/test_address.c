/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_address.c - the address types: their arithmetic, and that the compiler keeps them apart.
 *
 * Code that must not compile cannot be in this file, so those tests hand the compiler ($CC, or gcc)
 * small programs. Each wrong program has a right twin that differs in the mistake alone: a twin
 * that compiles shows that the other was refused for its mistake and not for a typing error.
 *
 * Covers: mm/address.h
 */
#include <stdlib.h>
#include <string.h>

#include "mm/address.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The last frame of the address space, and its first byte. */
#define LAST_FRAME (UINT64_MAX >> FRAME_SHIFT)
#define LAST_BASE  (LAST_FRAME << FRAME_SHIFT)

/* ---- arithmetic -------------------------------------------------------------------------- */

static const struct {
	uint64_t address, floor, ceil, offset;
} addresses[] = {
	{0, 0, 0, 0},
	{1, 0, 1, 1},
	{4095, 0, 1, 4095},
	{4096, 1, 1, 0},
	{4097, 1, 2, 1},
	{0x80000000, 0x80000, 0x80000, 0},
	{0x80000fff, 0x80000, 0x80001, 0xfff},
	{LAST_BASE - 1, LAST_FRAME - 1, LAST_FRAME, 4095},
	{LAST_BASE, LAST_FRAME, LAST_FRAME, 0},
	/* There is no such frame, and that is said rather than wrapped to frame 0. */
	{LAST_BASE + 1, LAST_FRAME, LAST_FRAME + 1, 1},
	{UINT64_MAX, LAST_FRAME, LAST_FRAME + 1, 4095},
};

TEST(physical_addresses_round_to_frames)
{
	for (unsigned i = 0; i < LENGTH(addresses); i++) {
		phys_t address = phys(addresses[i].address);

		CHECK_EQ(pfn_floor(address).value, addresses[i].floor);
		CHECK_EQ(pfn_ceil(address).value, addresses[i].ceil);
		CHECK_EQ(phys_page_offset(address), addresses[i].offset);
		CHECK_EQ(phys_is_aligned(address), addresses[i].offset == 0);
	}
}

TEST(virtual_addresses_round_to_pages)
{
	for (unsigned i = 0; i < LENGTH(addresses); i++) {
		virt_t address = virt(addresses[i].address);

		CHECK_EQ(vpn_floor(address).value, addresses[i].floor);
		CHECK_EQ(vpn_ceil(address).value, addresses[i].ceil);
		CHECK_EQ(virt_page_offset(address), addresses[i].offset);
		CHECK_EQ(virt_is_aligned(address), addresses[i].offset == 0);
	}
}

/* False leaves the frame alone: the caller's own value is still there. */
TEST(conversions_are_checked)
{
	for (unsigned i = 0; i < LENGTH(addresses); i++) {
		bool aligned = addresses[i].offset == 0;
		uint64_t expected = aligned ? addresses[i].floor : 12345;
		pfn_t frame = pfn(12345);
		vpn_t page = vpn(12345);

		CHECK_EQ(pfn_from_phys(phys(addresses[i].address), &frame), aligned);
		CHECK_EQ(frame.value, expected);
		CHECK_EQ(vpn_from_virt(virt(addresses[i].address), &page), aligned);
		CHECK_EQ(page.value, expected);
	}
}

TEST(frames_and_addresses_convert_there_and_back)
{
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t number = unit_random() >> (FRAME_SHIFT + unit_random_below(52));
		uint64_t address = unit_random() >> unit_random_below(64);

		CHECK_EQ(pfn_floor(pfn_to_phys(pfn(number))).value, number);
		CHECK_EQ(pfn_ceil(pfn_to_phys(pfn(number))).value, number);
		CHECK_EQ(vpn_floor(vpn_to_virt(vpn(number))).value, number);
		CHECK_EQ(vpn_ceil(vpn_to_virt(vpn(number))).value, number);
		CHECK_EQ(pfn_to_phys(pfn_floor(phys(address))).value +
				 phys_page_offset(phys(address)),
			 address);
		CHECK_EQ(vpn_to_virt(vpn_floor(virt(address))).value +
				 virt_page_offset(virt(address)),
			 address);
	}
}

TEST(no_frame_is_like_no_frame)
{
	CHECK(pfn_is_none(PFN_NONE));
	CHECK(!pfn_is_none(pfn(0)));
	CHECK(!pfn_is_none(pfn(LAST_FRAME)));
	CHECK(!pfn_is_none(pfn_ceil(phys(UINT64_MAX))));
	CHECK(pfn_equal(PFN_NONE, PFN_NONE));
	CHECK(!pfn_equal(PFN_NONE, pfn(LAST_FRAME)));
	CHECK(pfn_equal(pfn_add(pfn(7), 5), pfn(12)));
	CHECK(!pfn_equal(pfn(7), pfn(8)));
}

/* One word each: in a register, and packed in an array. */
_Static_assert(sizeof(phys_t) == 8 && sizeof(virt_t) == 8, "an address is one word");
_Static_assert(sizeof(pfn_t) == 8 && sizeof(vpn_t) == 8, "a number is one word");

/* ---- what the compiler refuses ------------------------------------------------------------ */

/* Statements of a function that has one variable of each type, and `number`. */
static const struct {
	const char *mistake, *wrong, *right;
} twins[] = {
	{"an address for a frame", "take_pfn(phys);", "take_pfn(pfn);"},
	{"a frame for an address", "take_phys(pfn);", "take_phys(phys);"},
	{"a virtual address for a physical", "take_phys(virt);", "take_phys(phys);"},
	{"a physical address for a virtual", "take_virt(phys);", "take_virt(virt);"},
	{"a page for a frame", "take_pfn(vpn);", "take_pfn(pfn);"},
	{"a frame for a page", "take_vpn(pfn);", "take_vpn(vpn);"},
	{"a bare integer for a frame", "take_pfn(number);", "take_pfn((pfn_t){number});"},
	{"a bare constant for a frame", "take_pfn(5);", "take_pfn((pfn_t){5});"},
	{"a bare integer for an address", "take_phys(number);", "take_phys((phys_t){number});"},
	{"a frame for an integer", "take_number(pfn);", "take_number(pfn.value);"},
	{"an address for an integer", "take_number(phys);", "take_number(phys.value);"},
	{"a pointer for an address", "take_virt(&number);",
	 "take_virt((virt_t){(uint64_t)&number});"},
	{"an address assigned to a frame", "pfn = phys;", "pfn = pfn_floor(phys);"},
	{"a virtual address assigned to a physical", "phys = virt;", "phys = (phys_t){virt.value};"},
	{"a virtual address rounded to a frame", "pfn = pfn_floor(virt);", "pfn = pfn_floor(phys);"},
	{"a frame converted as a page", "virt = vpn_to_virt(pfn);", "virt = vpn_to_virt(vpn);"},
	{"arithmetic on a frame", "pfn = pfn + 1;", "pfn = pfn_add(pfn, 1);"},
	{"arithmetic on an address", "phys += FRAME_SIZE;", "phys.value += FRAME_SIZE;"},
	{"frames compared as integers", "if (pfn == pfn) number++;",
	 "if (pfn_equal(pfn, pfn)) number++;"},
	{"a frame taken for a truth", "if (pfn) number++;", "if (!pfn_is_none(pfn)) number++;"},
	{"an address converted into a page", "number = pfn_from_phys(phys, &vpn);",
	 "number = pfn_from_phys(phys, &pfn);"},
	{"a conversion whose answer is not looked at", "pfn_from_phys(phys, &pfn);",
	 "if (pfn_from_phys(phys, &pfn)) number++;"},
};

/* The tests run from the root of the repository, or this file was compiled by its full path. */
static const char *root(void)
{
	static char path[1024];
	const char *end = strstr(__FILE__, "tests/host/");

	snprintf(path, sizeof(path), "%.*s.", end ? (int)(end - __FILE__) : 0, __FILE__);
	return path;
}

/* Down to assembly: an answer that is not looked at is noticed after the syntax. */
static FILE *compiler(void)
{
	const char *cc = getenv("CC");
	char command[2048];
	FILE *program;

	snprintf(command, sizeof(command),
		 "%s -std=gnu11 -Wall -Werror -S -o /dev/null -I'%s' -x c - >/dev/null 2>&1",
		 cc && *cc ? cc : "gcc", root());
	program = popen(command, "w");
	CHECK(program);
	fputs("#include \"mm/address.h\"\n"
	      "void take_phys(phys_t phys); void take_virt(virt_t virt);\n"
	      "void take_pfn(pfn_t pfn); void take_vpn(vpn_t vpn);\n"
	      "void take_number(uint64_t number);\n",
	      program);
	return program;
}

static void add_function(FILE *program, unsigned number, const char *statements)
{
	fprintf(program,
		"uint64_t function_%u(phys_t phys, virt_t virt, pfn_t pfn, vpn_t vpn, "
		"uint64_t number);\n"
		"uint64_t function_%u(phys_t phys, virt_t virt, pfn_t pfn, vpn_t vpn, "
		"uint64_t number)\n{\n"
		"\t%s\n"
		"\treturn phys.value + virt.value + pfn.value + vpn.value + number;\n}\n",
		number, number, statements);
}

static bool compiles(const char *statements)
{
	FILE *program = compiler();

	add_function(program, 0, statements);
	return pclose(program) == 0;
}

TEST(right_programs_compile)
{
	FILE *program = compiler();

	for (unsigned i = 0; i < LENGTH(twins); i++)
		add_function(program, i, twins[i].right);
	CHECK_EQ(pclose(program), 0);
}

TEST(wrong_programs_do_not_compile)
{
	for (unsigned i = 0; i < LENGTH(twins); i++)
		if (compiles(twins[i].wrong))
			unit_fail(__FILE__, __LINE__, "%s compiles: %s", twins[i].mistake,
				  twins[i].wrong);
}
