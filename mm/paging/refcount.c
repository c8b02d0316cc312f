/* SPDX-License-Identifier: BSD-2-Clause */
/* refcount.c - reference counts of shared frames; see refcount.h. */
#include "mm/paging/refcount.h"

#include "mm/check.h"
#include "mm/frame.h"
#include "sync/ck.h"

#define CHUNK_COUNTS (FRAME_SIZE / sizeof(uint32_t))

static uint64_t chunks_of(const struct frame_refs *refs)
{
	return (refs->count + CHUNK_COUNTS - 1) / CHUNK_COUNTS;
}

static uint64_t number_of(const struct frame_refs *refs, uint64_t frame)
{
	check(frame - refs->first < refs->count, "frame %#llx has no count of references",
	      (unsigned long long)frame);
	return frame - refs->first;
}

bool frame_refs_init(struct frame_refs *refs, uint64_t first, uint64_t count)
{
	pfn_t directory;

	check(count > 0, "frame_refs_init: no frames");
	refs->first = first;
	refs->count = count;
	refs->directory_frames = (chunks_of(refs) * sizeof(*refs->chunk) + FRAME_SIZE - 1) /
				 FRAME_SIZE;
	directory = frame_alloc_run(refs->directory_frames, 1);
	if (pfn_is_none(directory))
		return false;
	for (uint64_t i = 0; i < refs->directory_frames; i++)
		frame_zero(pfn_add(directory, i));
	refs->chunk = frame_bytes(directory);
	return true;
}

static pfn_t frame_at(const void *bytes)
{
	return pfn_floor(phys(port_phys_address(bytes)));
}

void frame_refs_end(struct frame_refs *refs)
{
	for (uint64_t i = 0; i < chunks_of(refs); i++) {
		uint32_t *chunk = refs->chunk[i];

		for (unsigned j = 0; chunk && j < CHUNK_COUNTS; j++)
			check(chunk[j] == 0,
			      "frame_refs_end: frame %#llx has %u references too many",
			      (unsigned long long)(refs->first + i * CHUNK_COUNTS + j), chunk[j]);
		if (chunk)
			frame_free(frame_at(chunk));
	}
	frame_free_run(frame_at(refs->chunk), refs->directory_frames);
	refs->chunk = NULL;
}

/* The count of a frame; NULL where no frame of its chunk was ever shared. */
static uint32_t *count_of(const struct frame_refs *refs, uint64_t frame)
{
	uint64_t number = number_of(refs, frame);
	uint32_t *chunk = ck_pr_load_ptr(&refs->chunk[number / CHUNK_COUNTS]);

	return chunk ? &chunk[number % CHUNK_COUNTS] : NULL;
}

/*
 * Makes the chunk with the frame's count, if it is missing; false: the reserve is short. A store
 * fence orders the zeros before the pointer to them; its partner is the address dependency in
 * count_of(). Where two CPUs do this at the same time, the chunk of the first is used.
 */
static bool make_count(struct frame_refs *refs, uint64_t frame, struct page_reserve *reserve)
{
	uint32_t **slot = &refs->chunk[number_of(refs, frame) / CHUNK_COUNTS];
	pfn_t counts;

	if (ck_pr_load_ptr(slot))
		return true;
	counts = page_reserve_take_spare(reserve);
	if (pfn_is_none(counts))
		return false;
	ck_pr_fence_store_atomic();
	if (!ck_pr_cas_ptr(slot, NULL, frame_bytes(counts)))
		page_reserve_put_back(reserve, counts);
	return true;
}

/* Needs no order: the counter is only compared with its own earlier value. */
static bool increment(uint32_t *count)
{
	uint32_t seen = ck_pr_load_32(count);

	while (seen != FRAME_REFS_MAX - 1)
		if (ck_pr_cas_32_value(count, seen, seen + 1, &seen))
			return true;
	return false;
}

bool frame_refs_share(struct frame_refs *refs, pfn_t first, uint64_t frames,
		      struct page_reserve *reserve)
{
	for (uint64_t i = 0; i < frames; i++) {
		if (make_count(refs, first.value + i, reserve) &&
		    increment(count_of(refs, first.value + i)))
			continue;
		while (i-- > 0)
			frame_refs_drop(refs, pfn_add(first, i));
		return false;
	}
	return true;
}

/*
 * The release before the decrement pairs with the acquire after a zero was found: the accesses of
 * former owners to the frame come before those of the last owner. A CPU that finds zero is the only
 * owner, so no other CPU shares or drops the frame.
 */
bool frame_refs_drop(struct frame_refs *refs, pfn_t frame)
{
	uint32_t *count = count_of(refs, frame.value);
	uint32_t seen = count ? ck_pr_load_32(count) : 0;

	while (seen != 0) {
		ck_pr_fence_release();
		if (ck_pr_cas_32_value(count, seen, seen - 1, &seen))
			return false;
	}
	ck_pr_fence_acquire();
	return true;
}

uint64_t frame_refs_count(const struct frame_refs *refs, pfn_t frame)
{
	const uint32_t *count = count_of(refs, frame.value);
	uint64_t beyond = count ? ck_pr_load_32(count) : 0;

	/* As in frame_refs_drop(): an answer of 1 comes after all that former owners did. */
	ck_pr_fence_acquire();
	return beyond + 1;
}

uint64_t frame_refs_overhead(const struct frame_refs *refs)
{
	uint64_t frames = refs->directory_frames;

	for (uint64_t i = 0; i < chunks_of(refs); i++)
		frames += ck_pr_load_ptr(&refs->chunk[i]) != NULL;
	return frames;
}
