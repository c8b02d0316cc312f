/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc_stats.c - statistics of the heap, and the check of its invariants H1 to H3 (kmalloc.c).
 *
 * kheap_stats() takes the lock. kheap_validate() does not: no other CPU may use the heap meanwhile.
 */
#include "mm/check.h"
#include "mm/heap/kmalloc_private.h"

/*
 * Of one moment but for the levels of other CPUs' stacks. The records of slabs are blocks of
 * arenas, and no blocks of a caller.
 */
static void finish_stats(struct kheap_stats *stats)
{
	stats->metadata_frames = stats->arenas + kheap.spans.node_frames;
	stats->frames_held = stats->arena_frames + stats->slab_frames + stats->run_frames +
			     stats->metadata_frames;
	stats->live_blocks -= stats->slabs;
	stats->allocated_bytes -= stats->slabs * SLAB_RECORD_BYTES;
	for (unsigned i = 1; i < KHEAP_CLASSES; i++) {
		uint64_t cached = kheap_front_level(i), out = slab_blocks_out(&kheap.class[i]);
		uint64_t live = cached < out ? out - cached : 0;

		stats->cached_blocks += cached;
		stats->live_blocks += live;
		stats->allocated_bytes += live * kheap.class[i].size;
	}
	if (kheap_debug)
		kheap_debug->stats_locked(stats);
}

void kheap_stats(struct kheap_stats *stats)
{
	struct hold hold;

	heap_enter(&hold);
	*stats = kheap.stats;
	finish_stats(stats);
	heap_leave(&hold);
}

bool kheap_class_stats(unsigned number, struct kheap_class_stats *stats)
{
	const struct slab_class *class = &kheap.class[number];
	uint64_t cached, out;
	struct hold hold;

	if (number == 0 || number >= KHEAP_CLASSES)
		return false;
	cached = kheap_front_level(number);
	heap_enter(&hold);
	out = slab_blocks_out(class);
	*stats = (struct kheap_class_stats){
		.size = class->size,
		.slabs = class->slabs,
		.slab_bytes = slab_bytes(class),
		.blocks_per_slab = class->blocks,
		.free = class->slabs * class->blocks - out,
		.slabs_most = class->slabs_most,
		.used_most = class->out_most,
	};
	heap_leave(&hold);
	stats->cached = cached < out ? cached : out;
	stats->live = out - stats->cached;
	return true;
}

static void validate_arena(struct arena *arena, unsigned room, struct kheap_stats *sum)
{
	struct buddy_count count = buddy_validate(&arena->buddy);
	uint64_t frames = arena_frames(arena);

	check(buddy_room(&arena->buddy) == room, "heap: arena %#llx with room %u is listed at %u",
	      (unsigned long long)arena->first, buddy_room(&arena->buddy), room);
	check((arena->first & (frames - 1)) == 0, "heap: arena %#llx of %llu frames is misaligned",
	      (unsigned long long)arena->first, (unsigned long long)frames);
	check((count.live_blocks == 0) == (arena == kheap.idle),
	      "heap: arena %#llx has %llu live blocks, the idle arena is %p",
	      (unsigned long long)arena->first, (unsigned long long)count.live_blocks,
	      (void *)kheap.idle);
	for (uint64_t i = 0; i < frames; i++) {
		struct span span = span_find(&kheap.spans, arena->first + i);

		check(span.kind == SPAN_ARENA && span.value == arena->frame.value,
		      "heap: the index says %#llx, kind %d, of frame %llu of arena %#llx",
		      (unsigned long long)span.value, (int)span.kind, (unsigned long long)i,
		      (unsigned long long)arena->first);
	}
	sum->arenas++;
	sum->arena_frames += frames;
	sum->live_blocks += count.live_blocks;
	sum->allocated_bytes += count.live_bytes;
}

static void validate_lists(struct kheap_stats *sum)
{
	for (unsigned room = 0; room < BUDDY_ROOMS; room++) {
		struct arena **link = &kheap.by_room[room];

		check((*link != NULL) == (kheap.rooms >> room & 1),
		      "heap: the list of room %u begins with %p, its bit is %u", room,
		      (void *)*link, (unsigned)(kheap.rooms >> room & 1));
		for (; *link; link = &(*link)->next) {
			check((*link)->link == link, "heap: arena %p is linked from %p, not %p",
			      (void *)*link, (void *)link, (void *)(*link)->link);
			validate_arena(*link, room, sum);
		}
	}
}

static void check_sum(const char *what, uint64_t counted, uint64_t found)
{
	check(counted == found, "heap: %s: counted %llu, found %llu", what,
	      (unsigned long long)counted, (unsigned long long)found);
}

static void validate_slabs(struct kheap_stats *sum)
{
	uint64_t kept_frames = 0;

	for (unsigned i = 1; i < KHEAP_CLASSES; i++) {
		struct slab_count count = slab_validate(&kheap.class[i]);

		check(kheap_front_level(i) <= slab_blocks_out(&kheap.class[i]),
		      "heap: class %u has %llu blocks on stacks, and %llu out of slabs", i,
		      (unsigned long long)kheap_front_level(i),
		      (unsigned long long)slab_blocks_out(&kheap.class[i]));
		sum->slabs += count.slabs;
		sum->slab_frames += count.frames;
		kept_frames += count.empty_frames;
	}
	check_sum("frames of empty slabs", kheap.kept_frames, kept_frames);
}

void kheap_validate(void)
{
	struct span_count spans = span_validate(&kheap.spans);
	struct kheap_stats sum = {.arenas = 0};

	validate_lists(&sum);
	validate_slabs(&sum);
	kheap_front_validate();
	check_sum("slabs", kheap.stats.slabs, sum.slabs);
	check_sum("frames of slabs", kheap.stats.slab_frames, sum.slab_frames);
	check_sum("arenas", kheap.stats.arenas, sum.arenas);
	check_sum("arenas, taken less given", kheap.stats.arenas,
		  kheap.stats.arenas_taken - kheap.stats.arenas_given);
	check_sum("frames of arenas", kheap.stats.arena_frames, sum.arena_frames);
	check_sum("frames of arenas in the index", spans.arena_frames, sum.arena_frames);
	check_sum("runs", kheap.stats.runs, spans.runs);
	check_sum("frames of runs", kheap.stats.run_frames, spans.run_frames);
	check_sum("live blocks", kheap.stats.live_blocks, sum.live_blocks + spans.runs);
	check_sum("allocated bytes", kheap.stats.allocated_bytes,
		  sum.allocated_bytes + (spans.run_frames << FRAME_SHIFT));
}
