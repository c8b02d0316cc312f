/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_paging.c - fuzz target: two page tables against lists of what is mapped where.
 *
 * The input chooses the mode and how few frames there are, and then calls: ranges near every
 * border, pages of all sizes, all flags, clones and copies, frames taken away in between. Each call
 * answers what the model answers. A call that finds no frames leaves every bit as it was.
 *
 * Covers: mm/paging/
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "paging_calls.h"
#include "paging_model.h"

#define HOGS 600

static struct {
	struct fuzz_input input;
	unsigned levels;
	struct page_table table[2];
	struct page_gather gather;
	uint64_t frames_at_start;
	unsigned hogs;
	pfn_t hog[HOGS];
	unsigned shares_left;
} state;

static struct model_space space[2];
static struct model_runs found, expected, given;

static unsigned choose(unsigned bound)
{
	return fuzz_below(&state.input, bound);
}

/* ---- a call ------------------------------------------------------------------------------ */

struct call {
	unsigned operation, which;
	uint64_t address, length, first, end, frame;
	unsigned flags;
	enum page_status range;
};

static uint64_t choose_page(void)
{
	uint64_t pages = model_pages(state.levels);
	uint64_t borders[] = {0,       pages / 2,	  pages,      1 << 18, (1 << 18) + 512,
			      5 * 512, (uint64_t)1 << 27, pages - 512};
	unsigned byte = choose(256);
	uint64_t page = borders[byte % 8];

	if (byte & 8)
		page += choose(2) ? choose(2048) : choose(16);
	else if (byte & 16)
		page -= choose(2) ? choose(2048) : choose(16);
	return page % pages;
}

static uint64_t choose_length(void)
{
	unsigned byte = choose(256);
	uint64_t length = 1 + byte / 4;

	if (byte % 4 == 1)
		length = choose(2048);
	if (byte % 4 == 2)
		length = (uint64_t)(1 + byte / 64) << (byte & 16 ? 18 : 9);
	if (byte % 4 == 3)
		length += (uint64_t)512 * choose(1024);
	return length;
}

static struct call choose_call(void)
{
	unsigned byte = choose(256), odd;
	struct call call = {.operation = byte % 8, .which = byte >> 3 & 1};

	call.address = model_address(state.levels, choose_page());
	call.length = (call.operation == 4 ? 1 : choose_length()) << FRAME_SHIFT;
	odd = choose(256);
	if (odd == 1)
		call.address += 8;
	if (odd == 2 && call.operation != 4)
		call.length += 16;
	if (odd == 3)
		call.address ^= UINT64_C(1) << 50;
	call.range = model_range(state.levels, call.address, call.length, &call.first, &call.end);
	call.frame = (call.address >> FRAME_SHIFT & 0x3ffff) + (uint64_t)(odd >> 6 << 18);
	if (odd & 16)
		call.frame += choose(4096);
	call.flags = choose(256) << 1;
	if (!(call.flags & PAGE_ACCESS_FLAGS))
		call.flags = PAGE_READ | PAGE_WRITE | PAGE_OWNED;
	call.flags &= ~(1u << 6 | 1u << 7);
	if (odd & 32)
		call.flags |= PAGE_SHARED;
	return call;
}

/* ---- what it must say, and do ------------------------------------------------------------ */

static enum page_status status_due(const struct call *call)
{
	bool full;

	if (call->range != PAGE_OK)
		return call->range;
	full = model_is_full(&space[call->which], call->first, call->end);
	switch (call->operation) {
	case 2:
		if (!model_flags_are_good(call->flags) || (call->flags & ~0x3eu))
			return PAGE_BAD_FLAGS;
		return full ? PAGE_OK : PAGE_NOT_MAPPED;
	case 1:
	case 3:
	case 4:
		return full ? PAGE_OK : PAGE_NOT_MAPPED;
	case 5:
		return model_is_clear(&space[!call->which], call->first, call->end) ? PAGE_OK
										    : PAGE_MAPPED;
	default:
		if (!model_flags_are_good(call->flags))
			return PAGE_BAD_FLAGS;
		return model_is_clear(&space[call->which], call->first, call->end) ? PAGE_OK
										   : PAGE_MAPPED;
	}
}

static bool share(void *context, pfn_t first, uint64_t frames, struct page_reserve *stock)
{
	(void)context;
	(void)stock;
	if (state.shares_left == 0)
		return false;
	state.shares_left--;
	model_add_run(&given, first.value, frames, true);
	return true;
}

static enum page_status make(const struct call *call)
{
	struct page_table *table = &state.table[call->which];
	struct page_sharing sharing = {share, model_drop, &found};
	virt_t at = virt(call->address);

	switch (call->operation) {
	case 1:
		return locked_unmap(table, at, call->length, &state.gather);
	case 2:
		return locked_protect(table, at, call->length, call->flags, &state.gather);
	case 3:
		return locked_unshare(table, at, call->length, &state.gather);
	case 4:
		return locked_replace(table, at, pfn(call->frame), &state.gather);
	case 5:
		return locked_clone(&state.table[!call->which], table, at, call->length, &sharing,
				    &state.gather);
	default:
		return locked_map(table, at, pfn(call->frame), call->length, call->flags);
	}
}

static void apply(const struct call *call)
{
	struct model_space *model = &space[call->which];
	unsigned flags;

	switch (call->operation) {
	case 1:
		model_unmap(model, call->first, call->end, &expected);
		break;
	case 2:
		model_protect(model, call->first, call->end, call->flags);
		break;
	case 3:
		model_unshare(model, call->first, call->end);
		break;
	case 4:
		flags = model_find(model, call->first)->flags;
		model_unmap(model, call->first, call->end, &expected);
		model_map(model, call->first, call->end, call->frame,
			  flags | PAGE_OWNED | PAGE_SHARED);
		break;
	case 5:
		model_clone(&space[!call->which], model, call->first, call->end);
		break;
	default:
		model_map(model, call->first, call->end, call->frame, call->flags);
	}
}

static void release(void)
{
	page_gather_release(&state.gather, model_drop, &found);
}

static void settle(const struct call *call, enum page_status status)
{
	release();
	while (status == PAGE_AGAIN) {
		status = locked_unmap_rest(&state.table[call->which], &state.gather);
		release();
	}
	CHECK_EQ(status, PAGE_OK);
	model_compare_runs(&found, &expected);
}

/* Tables that the call may need at most: frames may be refused only when there were fewer. */
static uint64_t tables_at_most(const struct call *call)
{
	uint64_t most = 0;

	for (unsigned level = 1; level < state.levels; level++)
		most += 2 * ((call->end - call->first) / page_frames(level) + 2);
	return most;
}

static void operate(void)
{
	struct call call = choose_call();
	struct model_snapshot before[2] = {model_snapshot(&state.table[0]),
					   model_snapshot(&state.table[1])};
	uint64_t frames = frame_free_count();
	enum page_status status;

	found.count = expected.count = given.count = 0;
	state.shares_left = choose(16) ? UINT32_MAX : choose(4);
	status = make(&call);
	if (status == PAGE_OK || status == PAGE_AGAIN) {
		CHECK_EQ(status_due(&call), PAGE_OK);
		model_snapshot_end(&before[0]);
		model_snapshot_end(&before[1]);
		found.count = 0;
		apply(&call);
		settle(&call, status);
		return;
	}
	if (status == PAGE_NO_FRAMES)
		CHECK(status_due(&call) == PAGE_OK && frames < tables_at_most(&call));
	else if (status == PAGE_REFUSED)
		CHECK(status_due(&call) == PAGE_OK && state.shares_left == 0);
	else
		CHECK_EQ(status, status_due(&call));
	CHECK_EQ(frame_free_count(), frames);
	CHECK(!page_gather_needs_flush(&state.gather) && state.gather.runs == 0);
	model_compare_runs(&found, &given);
	model_unchanged(&before[0], &state.table[0]);
	model_unchanged(&before[1], &state.table[1]);
}

/* ---- the target -------------------------------------------------------------------------- */

static void take_frames(void)
{
	for (unsigned left = choose(600); left > 0 && state.hogs < HOGS; left--) {
		pfn_t frame = frame_alloc(0);

		if (pfn_is_none(frame))
			return;
		state.hog[state.hogs++] = frame;
	}
}

static void give_frames(void)
{
	for (unsigned left = choose(32); left > 0 && state.hogs > 0; left--)
		frame_free(state.hog[--state.hogs]);
}

static void check_all(void)
{
	for (unsigned i = 0; i < 2; i++) {
		model_check(&space[i], &state.table[i]);
		page_table_validate(&state.table[i]);
	}
	CHECK_EQ(frame_free_count() + state.hogs + state.table[0].tables + state.table[1].tables,
		 state.frames_at_start);
}

static void start(void)
{
	struct host_machine machine = {.cpus = 1};
	struct host_range range = {0x80200, 600, 0};
	unsigned shape = fuzz_byte(&state.input);

	state.levels = shape & 1 ? SV48_LEVELS : SV39_LEVELS;
	host_machine_start(&machine, &range, 1);
	state.frames_at_start = frame_free_count();
	for (unsigned i = 0; i < 2; i++) {
		space[i].levels = state.levels;
		space[i].count = 0;
		CHECK_EQ(page_table_create(&state.table[i], state.levels, 0), PAGE_OK);
	}
	page_gather_init(&state.gather);
}

static void finish(void)
{
	check_all();
	while (state.hogs > 0)
		frame_free(state.hog[--state.hogs]);
	for (unsigned i = 0; i < 2; i++) {
		found.count = expected.count = 0;
		page_table_destroy(&state.table[i], model_drop, &found);
		model_unmap(&space[i], 0, model_pages(state.levels), &expected);
		model_compare_runs(&found, &expected);
	}
	frame_validate();
	CHECK_EQ(frame_free_count(), state.frames_at_start);
	host_machine_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&state, 0, sizeof(state));
	state.input = (struct fuzz_input){data, data + size};
	start();
	for (unsigned calls = 0; !fuzz_is_over(&state.input) && calls < 300; calls++) {
		unsigned byte = fuzz_byte(&state.input);

		if (byte % 16 == 0)
			take_frames();
		else if (byte % 16 == 1)
			give_frames();
		else
			operate();
		if (byte % 8 == 2)
			check_all();
	}
	finish();
	return 0;
}
