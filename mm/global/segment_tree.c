/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree.c - the default policy: a bitmap under two trees.
 *
 * What it is
 *
 *   Frames are bits, 1 for free, 64 to a word, eight words (512 frames, 2 MiB) to a chunk. Three
 *   structures stand over the bitmap:
 *
 *   - `frames`, a bit index: for each word, and 64-ary above, whether anything in it is free.
 *     Single frames are claimed through it, lowest address first, whole words at a time.
 *   - `chunks`, a bit index: the chunks in which everything is free. It answers the commonest
 *     contiguous request, an aligned chunk, and its failure, without looking further.
 *   - the run tree, the segment tree proper: for each chunk, and 8-ary above, the free run that
 *     starts at its left end (prefix), the longest one in it, and the one that ends at its right
 *     end (suffix). It answers every other contiguous request exactly.
 *
 * Lazy repair
 *
 *   Keeping the run tree exact on every free costs a walk to its root. Single-frame traffic does
 *   not look at it, so it only marks chunks dirty: one bit a node, set from the chunk upwards
 *   until a set one is met. A contiguous request searches from the left, and where it meets a
 *   dirty node it searches inside instead of trusting it; a node all of whose children it has
 *   searched in vain is repaired on the way. So no request repairs what it does not need, and
 *   what one search has looked at the next need not.
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   S1  `frames` and `chunks` are exact, always.
 *   S2  A run-tree node that is not marked dirty is exact.
 *   S3  The parent of a dirty node is dirty.
 *   S4  No frame is free in a group (the 64 words under one word of the first summary) below
 *	 group_lowest: claims look there first, and climb the summaries only where it is used up.
 *   S5  Bits outside the zone's frames are 0 for ever; index 0 is a multiple of 512 frames below
 *	 or at the zone's first, so alignment up to a chunk is the same in indices as in pfns.
 *   S6  A chunk in which everything is free is exact in the run tree, and so not marked dirty: who
 *	 takes from it finds the mark missing, and looks at `chunks` only then.
 *
 * Planning
 *
 *   Which words a batch will take, and how many frames they hold, is found before the lock is
 *   taken, by reading what others may be writing: atomically, and believed by nobody. Under the
 *   lock each word is compared with what was seen and emptied. A word that differs ends the
 *   plan, and the rest of the batch is looked for under the lock.
 *
 *   A plan costs more than it saves where there is little to do. A claim of one frame, a claim of
 *   64 or fewer that a row of free frames serves, and a release of one word or two go without, each
 *   on a way of its own: a few stores under the lock, and one test, of the dirty bit, for whether
 *   anything above the bitmap is touched at all. A run of 64 frames or fewer is looked for in the
 *   lowest words before the run tree is asked.
 *
 * Cost, for n frames: claim and release O(words) plus O(log64 n) where a word empties or fills
 * for the first time; aligned chunk O(log64 n); other runs O(log8 n) on a clean tree, plus the
 * dirty chunks to the left of the answer, each paid for once by the traffic that dirtied it, plus
 * the chunks to its left that hold a run long enough but not aligned as asked.
 * Metadata: 1/8 byte a frame for the bitmap, 1/504 for its summaries, 4/512 for chunk nodes,
 * 12/3584 for the nodes above, 1/3584 for the dirty bits, 1/4096 for `chunks`: 0.139 byte.
 */
#include "mm/global/segment_tree.h"

#include <limits.h>
#include <string.h>

#include "mm/check.h"
#include "mm/global/bit_index.h"
#include "mm/words.h"

#define CHUNK_SHIFT  9
#define CHUNK_FRAMES (1u << CHUNK_SHIFT)
#define CHUNK_WORDS  (CHUNK_FRAMES / 64)
#define GROUP_SHIFT  12 /* 64 words, eight chunks: one word of summary, one byte of dirty bits */
#define FANOUT_SHIFT 3
#define FANOUT	     (1u << FANOUT_SHIFT)

/* Free runs of one node, in frames. All of it free: all three are its size. */
struct run {
	uint32_t prefix, longest, suffix;
};

/* The same of a chunk in one word: ten bits hold 0..512. */
typedef uint32_t packed_run;

_Static_assert(sizeof(struct run) == 12, "12 bytes an upper node");
_Static_assert(CHUNK_FRAMES < 1 << 10, "ten bits hold a chunk's runs");

struct segment_tree {
	struct bit_index frames;
	struct bit_index chunks;
	uint64_t base;	      /* pfn of index 0 */
	uint64_t index_first; /* indices of the zone's frames: [index_first, index_end) */
	uint64_t index_end;
	uint64_t group_lowest;
	packed_run *chunk_runs;
	unsigned levels;
	/* As many as there are levels: small zones need not pay for large ones. */
	struct {
		struct run *runs; /* of level 1 and up; level 0 is chunk_runs */
		uint8_t *dirty;	  /* a bit a node; byte i: the children of node i above */
	} level[];
};

/* ---- sizes ------------------------------------------------------------------------------- */

static uint64_t base_of(uint64_t first)
{
	return first & ~(uint64_t)(CHUNK_FRAMES - 1);
}

static uint64_t chunks_of(uint64_t first, uint64_t count)
{
	return (first + count - base_of(first) + CHUNK_FRAMES - 1) >> CHUNK_SHIFT;
}

static uint64_t parents_of(uint64_t nodes)
{
	return (nodes + FANOUT - 1) >> FANOUT_SHIFT;
}

/*
 * A level's nodes are padded to whole families, so that combining never asks how many there are;
 * the root has no family.
 */
static uint64_t padded(uint64_t nodes)
{
	return nodes > 1 ? parents_of(nodes) << FANOUT_SHIFT : 1;
}

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static size_t run_tree_bytes(uint64_t chunks)
{
	size_t bytes = round_up(padded(chunks) * sizeof(packed_run), 8);
	size_t dirty = parents_of(chunks);

	for (uint64_t nodes = chunks; nodes > 1;) {
		nodes = parents_of(nodes);
		bytes += round_up(padded(nodes) * sizeof(struct run), 8);
		dirty += parents_of(nodes);
	}
	return bytes + round_up(dirty, 8);
}

static unsigned levels_of(uint64_t chunks)
{
	unsigned levels = 1;

	for (; chunks > 1; levels++)
		chunks = parents_of(chunks);
	return levels;
}

static size_t header_bytes(uint64_t chunks)
{
	const struct segment_tree *tree;

	return sizeof(*tree) + levels_of(chunks) * sizeof(tree->level[0]);
}

static size_t tree_metadata_bytes(uint64_t first, uint64_t count)
{
	uint64_t chunks = chunks_of(first, count);

	return header_bytes(chunks) + bit_index_bytes(chunks << CHUNK_SHIFT) +
	       bit_index_bytes(chunks) + run_tree_bytes(chunks);
}

/* ---- the run tree ------------------------------------------------------------------------ */

static packed_run pack(struct run run)
{
	return run.prefix | run.longest << 10 | run.suffix << 20;
}

static struct run unpack(packed_run packed)
{
	return (struct run){packed & 1023, packed >> 10 & 1023, packed >> 20};
}

static struct run run_of(const struct segment_tree *tree, unsigned level, uint64_t node)
{
	return level ? tree->level[level].runs[node] : unpack(tree->chunk_runs[node]);
}

static void set_run(struct segment_tree *tree, unsigned level, uint64_t node, struct run run)
{
	if (level)
		tree->level[level].runs[node] = run;
	else
		tree->chunk_runs[node] = pack(run);
}

static uint64_t frames_in(unsigned level)
{
	return (uint64_t)CHUNK_FRAMES << (level * FANOUT_SHIFT);
}

static bool is_dirty(const struct segment_tree *tree, unsigned level, uint64_t node)
{
	return tree->level[level].dirty[node >> FANOUT_SHIFT] >> (node & (FANOUT - 1)) & 1;
}

static void set_clean(struct segment_tree *tree, unsigned level, uint64_t node)
{
	tree->level[level].dirty[node >> FANOUT_SHIFT] &= (uint8_t)(~(1u << (node & (FANOUT - 1))));
}

/* Up to the first node that is marked already: those above it are, by S3. */
static __attribute__((noinline)) void mark_node_dirty(struct segment_tree *tree, unsigned level,
						      uint64_t node)
{
	for (; level < tree->levels; level++, node >>= FANOUT_SHIFT) {
		uint8_t *byte = &tree->level[level].dirty[node >> FANOUT_SHIFT];
		unsigned bit = 1u << (node & (FANOUT - 1));

		if (*byte & bit)
			return;
		*byte |= (uint8_t)bit;
	}
}

/* Appends to the runs of a left part the runs of what lies to its right, `size` frames. */
static void append(struct run *left, uint64_t left_size, struct run right, uint64_t size)
{
	uint32_t joined = left->suffix + right.prefix;

	if (left->prefix == left_size)
		left->prefix += right.prefix;
	if (joined > left->longest)
		left->longest = joined;
	if (right.longest > left->longest)
		left->longest = right.longest;
	left->suffix = right.suffix == size ? left->suffix + (uint32_t)size : right.suffix;
}

/*
 * The longest run in a word that is neither empty nor whole: doubled, then the rest by halves.
 * Written out, so that everything stays in registers: `row_n` says where n are free in a row.
 */
static inline __attribute__((always_inline)) unsigned longest_of_word(uint64_t word)
{
	uint64_t row_2 = word & word >> 1, row_4, row_8, row_16, row_32, runs, next;
	unsigned length;

#define LENGTHEN(row, frames)                                                                      \
	do {                                                                                       \
		next = runs & (row) >> length;                                                     \
		if (next) {                                                                        \
			runs = next;                                                               \
			length += (frames);                                                        \
		}                                                                                  \
	} while (0)

	if (!row_2)
		return 1;
	row_4 = row_2 & row_2 >> 2;
	runs = row_2, length = 2;
	if (!row_4)
		goto by_1;
	row_8 = row_4 & row_4 >> 4;
	runs = row_4, length = 4;
	if (!row_8)
		goto by_2;
	row_16 = row_8 & row_8 >> 8;
	runs = row_8, length = 8;
	if (!row_16)
		goto by_4;
	row_32 = row_16 & row_16 >> 16;
	runs = row_16, length = 16;
	if (!row_32)
		goto by_8;
	runs = row_32, length = 32;
	LENGTHEN(row_16, 16);
by_8:
	LENGTHEN(row_8, 8);
by_4:
	LENGTHEN(row_4, 4);
by_2:
	LENGTHEN(row_2, 2);
by_1:
	LENGTHEN(word, 1);
#undef LENGTHEN
	return length;
}

static inline __attribute__((always_inline)) struct run runs_of_word(uint64_t word)
{
	struct run run = {64, 64, 64};

	if (word == ~UINT64_C(0))
		return run;
	if (word == 0)
		return (struct run){0, 0, 0};
	run.prefix = bits_lowest(~word);
	run.suffix = bits_leading(~word);
	run.longest = longest_of_word(word);
	return run;
}

static inline __attribute__((always_inline)) struct run runs_of_chunk(
	const struct segment_tree *tree, uint64_t chunk)
{
	const uint64_t *words = &tree->frames.level[0][chunk * CHUNK_WORDS];
	struct run run = runs_of_word(words[0]);

	for (unsigned i = 1; i < CHUNK_WORDS; i++)
		append(&run, i * 64, runs_of_word(words[i]), 64);
	return run;
}

static struct run runs_of_children(const struct segment_tree *tree, unsigned level, uint64_t node)
{
	uint64_t child = node << FANOUT_SHIFT;
	uint64_t size = frames_in(level - 1);
	struct run run = run_of(tree, level - 1, child);

	for (unsigned i = 1; i < FANOUT; i++)
		append(&run, i * size, run_of(tree, level - 1, child + i), size);
	return run;
}

/* ---- searching for a run ----------------------------------------------------------------- */

/*
 * The search goes over the frames from left to right. From run_start to the place where the search
 * stands all of them are free: that run is open.
 */
struct search {
	struct segment_tree *tree;
	uint64_t count, align;
	uint64_t run_start;
	uint64_t found;
	unsigned steps_left;
};

/* The open run grew to `end`; does what is asked fit into it, at the right alignment? */
static bool grow(struct search *search, uint64_t end)
{
	uint64_t pfn = search->tree->base + search->run_start;
	uint64_t start = ((pfn + search->align - 1) & ~(search->align - 1)) - search->tree->base;

	search->found = start;
	return start + search->count <= end;
}

/* What comes next, up to `end`, holds nothing for us but its last `suffix` frames. */
static void skip(struct search *search, uint64_t end, uint64_t suffix)
{
	search->run_start = end - suffix;
}

/* `start`: the index of the word's first frame. */
static inline bool search_word(struct search *search, uint64_t start, uint64_t word)
{
	unsigned bit = 0;

	while (bit < 64) {
		uint64_t rest = word >> bit;
		unsigned run = rest == ~UINT64_C(0) ? 64 : bits_lowest(~rest);

		if (run && grow(search, start + bit + run))
			return true;
		bit += run;
		if (bit == 64)
			break;
		rest = word >> bit;
		bit += rest ? bits_lowest(rest) : 64 - bit;
		skip(search, start + bit, 0);
	}
	return false;
}

static bool search_chunk(struct search *search, uint64_t chunk)
{
	const uint64_t *words = &search->tree->frames.level[0][chunk * CHUNK_WORDS];

	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		if (search_word(search, (chunk << CHUNK_SHIFT) + i * FRAMES_PER_WORD, words[i]))
			return true;
	return false;
}

/* Makes a dirty node exact. Apart from the search, for what this needs of the stack. */
static __attribute__((noinline)) void repair_chunk(struct segment_tree *tree, uint64_t chunk)
{
	set_run(tree, 0, chunk, runs_of_chunk(tree, chunk));
	set_clean(tree, 0, chunk);
}

static __attribute__((noinline)) void repair_parent(struct segment_tree *tree, unsigned level,
						    uint64_t node)
{
	set_run(tree, level, node, runs_of_children(tree, level, node));
	set_clean(tree, level, node);
}

/* What an exact node says. True: nothing, it has to be searched inside. */
static bool is_to_enter(struct search *search, unsigned level, uint64_t node, bool *found)
{
	uint64_t size = frames_in(level), start = node * size;
	struct run run = run_of(search->tree, level, node);

	*found = run.prefix && grow(search, start + run.prefix);
	if (*found || run.prefix == size)
		return false;
	if (run.longest < search->count) {
		skip(search, start + size, run.suffix);
		return false;
	}
	return true; /* the prefix will join the open run again */
}

/*
 * From the root's left end to its right, without recursion: the number of a node says which its
 * parent is. A dirty node is searched inside, and made exact when the search has been through all
 * of it in vain.
 */
static inline enum run_result search_tree(struct search *search)
{
	struct segment_tree *tree = search->tree;
	unsigned root = tree->levels - 1, level = root;
	uint64_t node = 0;

	for (;;) {
		bool dirty = is_dirty(tree, level, node), found = false;

		if (dirty && level == 0) {
			if (!search->steps_left)
				return RUN_AGAIN;
			search->steps_left--;
			repair_chunk(tree, node);
			dirty = false;
		}
		if (dirty || is_to_enter(search, level, node, &found)) {
			if (level) {
				level--;
				node <<= FANOUT_SHIFT;
				continue;
			}
			found = search_chunk(search, node);
		}
		if (found)
			return RUN_FOUND;
		for (; level != root && node % FANOUT == FANOUT - 1; level++) {
			node >>= FANOUT_SHIFT;
			if (is_dirty(tree, level + 1, node))
				repair_parent(tree, level + 1, node);
		}
		if (level == root)
			return RUN_NONE;
		node++;
	}
}

/* ---- taking and giving ranges ------------------------------------------------------------ */

static void take_range(struct segment_tree *tree, uint64_t from, uint64_t to)
{
	uint64_t chunk = from >> CHUNK_SHIFT, chunk_end = ((to - 1) >> CHUNK_SHIFT) + 1;

	bit_index_clear_range(&tree->frames, 0, from, to);
	bit_index_clear_range(&tree->chunks, 0, chunk, chunk_end);
	for (; chunk < chunk_end; chunk++)
		mark_node_dirty(tree, 0, chunk);
}

/* S4, when something of the group becomes free. */
static inline void lower_group(struct segment_tree *tree, uint64_t group)
{
	if (group < tree->group_lowest)
		counter_set(&tree->group_lowest, group);
}

static bool chunk_is_free(const struct segment_tree *tree, uint64_t chunk)
{
	const uint64_t *words = &tree->frames.level[0][chunk * CHUNK_WORDS];

	/* Frames come and go in rows: so where something is missing, it mostly is at an end. */
	if (~(words[0] & words[CHUNK_WORDS - 1]))
		return false;
	for (unsigned i = 1; i < CHUNK_WORDS - 1; i++)
		if (~words[i])
			return false;
	return true;
}

/* What became free in a chunk was the last that was missing: the books for all of it (S6). */
static inline void chunk_became_free(struct segment_tree *tree, uint64_t chunk)
{
	uint8_t *parent = &tree->level[0].dirty[chunk >> FANOUT_SHIFT], before = *parent;

	bit_index_set(&tree->chunks, 0, chunk);
	tree->chunk_runs[chunk] = pack((struct run){CHUNK_FRAMES, CHUNK_FRAMES, CHUNK_FRAMES});
	*parent = before & (uint8_t)(~(1u << (chunk & (FANOUT - 1))));
	if (!before) /* or it is dirty already, by S3 */
		mark_node_dirty(tree, 1, chunk >> FANOUT_SHIFT);
}

/* The same for a chunk that may be free now, or may not. */
static inline void chunk_gained(struct segment_tree *tree, uint64_t chunk)
{
	if (chunk_is_free(tree, chunk))
		chunk_became_free(tree, chunk);
	else if (!is_dirty(tree, 0, chunk))
		mark_node_dirty(tree, 0, chunk);
}

static void give_range(struct segment_tree *tree, uint64_t from, uint64_t to)
{
	uint64_t chunk = from >> CHUNK_SHIFT, chunk_end = ((to - 1) >> CHUNK_SHIFT) + 1;
	/* The chunks that the range covers whole need no look. */
	uint64_t whole = (from + CHUNK_FRAMES - 1) >> CHUNK_SHIFT, whole_end = to >> CHUNK_SHIFT;

	bit_index_set_range(&tree->frames, 0, from, to);
	lower_group(tree, from >> GROUP_SHIFT);
	if (chunk < whole)
		chunk_gained(tree, chunk);
	for (chunk = whole; chunk < whole_end; chunk++)
		chunk_became_free(tree, chunk);
	if (chunk_end > whole_end && chunk_end > whole)
		chunk_gained(tree, chunk_end - 1);
}

/* ---- the contract ------------------------------------------------------------------------ */

static void *tree_init(void *memory, uint64_t first, uint64_t count)
{
	struct segment_tree *tree = memory;
	uint64_t chunks = chunks_of(first, count);
	char *next = (char *)memory + header_bytes(chunks);
	uint64_t nodes = chunks;

	memset(tree, 0, header_bytes(chunks));
	tree->base = base_of(first);
	tree->index_first = first - tree->base;
	tree->index_end = tree->index_first + count;
	next = bit_index_init(&tree->frames, next, chunks << CHUNK_SHIFT);
	next = bit_index_init(&tree->chunks, next, chunks);
	/* No run anywhere, no node dirty: exact. */
	words_fill((uint64_t *)next, 0, run_tree_bytes(chunks) / 8);
	tree->chunk_runs = (packed_run *)next;
	next += round_up(padded(chunks) * sizeof(packed_run), 8);
	tree->levels = levels_of(chunks);
	for (unsigned level = 1; level < tree->levels; level++) {
		nodes = parents_of(nodes);
		tree->level[level].runs = (struct run *)next;
		next += round_up(padded(nodes) * sizeof(struct run), 8);
	}
	nodes = chunks;
	for (unsigned level = 0; level < tree->levels; level++) {
		tree->level[level].dirty = (uint8_t *)next;
		nodes = parents_of(nodes);
		next += nodes;
	}
	return tree;
}

/* The chunks that words of one group lie in: which bytes of the word of bits are not 0. */
static inline unsigned chunks_of_words(uint64_t words)
{
	words |= words >> 4;
	words |= words >> 2;
	words |= words >> 1;
	words &= UINT64_C(0x0101010101010101);
	return (unsigned)((words * UINT64_C(0x0102040810204080)) >> 56);
}

static uint64_t *leaf_of(const struct segment_tree *tree, uint64_t first)
{
	return &tree->frames.level[0][(first - tree->base) >> 6];
}

/* Chunks of one group, one bit each; their parent is dirty already if any of them was (S3). */
static inline void mark_group_dirty(struct segment_tree *tree, uint64_t group, unsigned chunks)
{
	uint8_t *byte = &tree->level[0].dirty[group];
	unsigned before = *byte;

	*byte = (uint8_t)(before | chunks);
	if (!before)
		mark_node_dirty(tree, 1, group);
}

/* Rare, and kept out of the way of what is not. */
static __attribute__((noinline)) void empty_group(struct segment_tree *tree, uint64_t group)
{
	bit_index_clear(&tree->frames, 2, group);
}

static __attribute__((noinline)) void fill_group(struct segment_tree *tree, uint64_t group)
{
	bit_index_set(&tree->frames, 2, group);
	lower_group(tree, group);
}

/* Words of a group, one bit each, have become empty. */
static inline void empty_words(struct segment_tree *tree, uint64_t group, uint64_t words)
{
	uint64_t summary = tree->frames.level[1][group] & ~words;

	counter_set(&tree->frames.level[1][group], summary);
	if (__builtin_expect(!summary, 0))
		empty_group(tree, group);
}

/* Looks through one group, the lowest that may have anything, as claim_group() will. */
static void tree_plan(const void *instance, unsigned min, struct frame_word *words,
		      struct policy_plan *plan)
{
	const struct segment_tree *tree = instance;
	uint64_t group = counter_read(&tree->group_lowest), summary;

	plan->frames = 0;
	plan->mask = 0;
	plan->place = group;
	for (summary = counter_read(&tree->frames.level[1][group]); summary && plan->frames < min;
	     summary &= summary - 1) {
		unsigned i = bits_lowest(summary);
		uint64_t first = tree->base + (group << GROUP_SHIFT) + i * FRAMES_PER_WORD;
		uint64_t bits = counter_read(leaf_of(tree, first));

		if (!bits)
			continue; /* taken since the summary was read: a word of nothing is no word */
		words[plan->words++] = (struct frame_word){first, bits};
		plan->frames += bits_count(bits);
		plan->mask |= UINT64_C(1) << i;
	}
	plan->chunks = chunks_of_words(plan->mask);
	plan->ordinary = plan->frames >= min;
}

/* Some of these chunks were not dirty, and so may have been free from end to end: S6. */
static __attribute__((noinline)) unsigned break_chunks(struct segment_tree *tree, uint64_t group,
						       unsigned chunks, unsigned words)
{
	uint64_t *word = &tree->chunks.level[0][group / FANOUT];
	uint64_t whole = *word & ~((uint64_t)chunks << (group % FANOUT * FANOUT));

	counter_set(word, whole);
	if (!whole)
		bit_index_clear(&tree->chunks, 1, group / FANOUT);
	mark_group_dirty(tree, group, chunks);
	return words;
}

/* Frames were taken from these chunks of a group. */
static inline void chunks_lost(struct segment_tree *tree, uint64_t group, unsigned chunks)
{
	if (__builtin_expect(chunks & ~tree->level[0].dirty[group], 0))
		break_chunks(tree, group, chunks, 0);
}

/* Words of a group have become empty, one bit each: so many as are returned. */
static __attribute__((noinline)) unsigned close_plan(struct segment_tree *tree, uint64_t group,
						     uint64_t words, unsigned count)
{
	empty_words(tree, group, words);
	chunks_lost(tree, group, chunks_of_words(words));
	return count;
}

/*
 * The plan met a word that is not as it was seen, after `done` that were: closes the books on
 * those alone, and counts what they hold.
 */
static __attribute__((noinline)) unsigned claim_carefully(struct segment_tree *tree,
							  const struct policy_plan *plan,
							  const struct frame_word *words,
							  unsigned done, unsigned *taken)
{
	uint64_t mask = 0;
	unsigned count;

	*taken = 0;
	for (count = 0; count < plan->words; count++) {
		uint64_t *leaf = leaf_of(tree, words[count].first);
		uint64_t bits = words[count].bits;

		if (count >= done) {
			if (*leaf != bits)
				break;
			counter_set(leaf, 0);
		}
		*taken += bits_count(bits);
		mask |= UINT64_C(1) << (words[count].first - tree->base) / FRAMES_PER_WORD % 64;
	}
	return close_plan(tree, plan->place, mask, count);
}

/* When the group of the hint is used up; false when nothing is free. */
static __attribute__((noinline)) bool find_group(struct segment_tree *tree)
{
	uint64_t word = bit_index_first(&tree->frames, 1);

	if (word == BIT_INDEX_NONE)
		return false;
	counter_set(&tree->group_lowest, word >> 6);
	return true;
}

/*
 * Takes words of the lowest group, from the lowest, until `min` frames are there, the words or the
 * group used up; only the last one may keep something. Returns the number of words there now are.
 * *chunks: those that frames were taken from, and what lies between, in which none was free.
 */
static unsigned claim_group(struct segment_tree *tree, unsigned min, unsigned max, unsigned count,
			    struct frame_word *words, unsigned *taken, unsigned *chunks)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	uint64_t *leaf = &tree->frames.level[0][group << 6];
	uint64_t first = tree->base + (group << GROUP_SHIFT);
	unsigned frames = *taken, lowest = bits_lowest(summary), i;

	do {
		uint64_t bits, rest = 0;
		unsigned here;

		i = bits_lowest(summary);
		bits = leaf[i];
		here = bits_count(bits);
		if (here > max - frames) {
			here = max - frames;
			rest = bits & ~bits_lowest_few(bits, here);
		} else {
			summary &= summary - 1;
		}
		counter_set(&leaf[i], rest);
		words[count].first = first + i * FRAMES_PER_WORD;
		words[count++].bits = bits ^ rest;
		frames += here;
	} while (frames < min && summary && count < POLICY_WORDS_MAX);
	*taken = frames;
	counter_set(&tree->frames.level[1][group], summary);
	*chunks = (2u << (i / CHUNK_WORDS)) - (1u << (lowest / CHUNK_WORDS));
	return count;
}

/*
 * Closes the books on what was claimed of the lowest group, and goes on until it is enough, group
 * by group.
 */
static __attribute__((noinline)) unsigned claim_rest(struct segment_tree *tree, unsigned min,
						     unsigned max, unsigned count,
						     struct frame_word *words, unsigned *taken,
						     unsigned chunks)
{
	for (;;) {
		uint64_t group = tree->group_lowest;

		chunks_lost(tree, group, chunks);
		if (!tree->frames.level[1][group]) {
			empty_group(tree, group);
			if (!find_group(tree))
				return count;
		}
		if (*taken >= min || count == POLICY_WORDS_MAX)
			return count;
		count = claim_group(tree, min, max, count, words, taken, &chunks);
	}
}

/* So many words were taken from these chunks. */
static inline unsigned close_row(struct segment_tree *tree, uint64_t group, uint64_t chunks,
				 unsigned words)
{
	if (__builtin_expect((chunks & ~(uint64_t)tree->level[0].dirty[group]) != 0, 0))
		return break_chunks(tree, group, (unsigned)chunks, words);
	return words;
}

/*
 * Without a plan, `count` frames, 64 at most. Where frames come and go in rows, such a claim finds
 * what the last one left of a word, a row that goes on to the word's end, and then a word that is
 * whole: so none need be counted, and what the second one keeps is as much as the first one's row
 * and `count` leave: the first one's row, moved. Anything else is left to claim_rest.
 */
static inline unsigned claim_row(struct segment_tree *tree, unsigned count,
				 struct frame_word *words, unsigned *taken)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	uint64_t low = summary & -summary, i, word, *leaf, bits, rest, kept, first, chunks;

	if (__builtin_expect(!summary, 0))
		goto otherwise;
	i = bits_lowest(summary);
	word = (group << 6) + i;
	leaf = &tree->frames.level[0][word];
	bits = *leaf;
	if (~(bits | (bits - 1)))
		goto otherwise;
	rest = bits << (count - 1) << 1;
	first = tree->base + (word << 6);
	chunks = UINT64_C(1) << (i / CHUNK_WORDS);
	words[0].first = first;
	words[0].bits = bits ^ rest;
	*taken = count;
	if (rest) {
		counter_set(leaf, rest);
		return close_row(tree, group, chunks, 1);
	}
	kept = (uint64_t)((int64_t)bits >> (64 - count));
	summary ^= low;
	if (!~kept) {
		if (!summary)
			goto otherwise;
		counter_set(leaf, 0);
		counter_set(&tree->frames.level[1][group], summary);
		return close_row(tree, group, chunks, 1);
	}
	if (!(summary & low << 1) || ~leaf[1])
		goto otherwise;
	words[1].first = first + FRAMES_PER_WORD;
	words[1].bits = ~kept;
	counter_set(&leaf[0], 0);
	counter_set(&leaf[1], kept);
	counter_set(&tree->frames.level[1][group], summary);
	return close_row(tree, group, chunks | UINT64_C(1) << ((i + 1) / CHUNK_WORDS), 2);

otherwise:
	*taken = 0;
	return claim_rest(tree, count, count, 0, words, taken, 0);
}

/* What the claim of a word's frames changes above the bitmap, when it is anything. Returns 1. */
static __attribute__((noinline)) unsigned close_one(struct segment_tree *tree, uint64_t word)
{
	uint64_t group = word >> 6;

	if (!tree->frames.level[0][word])
		empty_words(tree, group, UINT64_C(1) << (word & 63));
	chunks_lost(tree, group, 1u << (word / CHUNK_WORDS % FANOUT));
	return 1;
}

static unsigned claim_one_elsewhere(struct segment_tree *tree, struct frame_word *words,
				    unsigned *taken);

/* One frame, the lowest: a bit, and mostly nothing else. */
static inline unsigned claim_one(struct segment_tree *tree, struct frame_word *words,
				 unsigned *taken)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	uint64_t word, bits, rest, *leaf;

	if (__builtin_expect(!summary, 0))
		return claim_one_elsewhere(tree, words, taken);
	word = (group << 6) + bits_lowest(summary);
	leaf = &tree->frames.level[0][word];
	bits = *leaf;
	rest = bits & (bits - 1);
	words->first = tree->base + word * FRAMES_PER_WORD;
	words->bits = bits ^ rest;
	*taken = 1;
	counter_set(leaf, rest);
	if (__builtin_expect(!rest || !is_dirty(tree, 0, word / CHUNK_WORDS), 0))
		return close_one(tree, word);
	return 1;
}

static __attribute__((noinline)) unsigned claim_one_elsewhere(struct segment_tree *tree,
							      struct frame_word *words,
							      unsigned *taken)
{
	if (find_group(tree))
		return claim_one(tree, words, taken);
	*taken = 0;
	return 0;
}

/* What is not a plan that held, and came to enough: `done` of its words are taken already. */
static __attribute__((noinline)) unsigned claim_otherwise(struct segment_tree *tree, unsigned min,
							  unsigned max,
							  const struct policy_plan *plan,
							  struct frame_word *words, unsigned *taken,
							  unsigned done)
{
	unsigned count = 0;

	*taken = 0;
	if (plan->words)
		count = claim_carefully(tree, plan, words, done, taken);
	return claim_rest(tree, min, max, count, words, taken, 0);
}

/*
 * The ordinary case, kept free of calls: every planned word is as it was seen, and together they
 * are enough.
 */
static __attribute__((noinline)) unsigned claim_planned(struct segment_tree *tree, unsigned min,
							unsigned max, const struct policy_plan *plan,
							struct frame_word *words, unsigned *taken)
{
	uint64_t base = tree->base, *leaves = tree->frames.level[0], group, summary;
	unsigned i = 0, count = plan->words;

	for (; i != count; i++) {
		uint64_t *leaf = &leaves[(words[i].first - base) >> 6];

		if (__builtin_expect(*leaf != words[i].bits, 0))
			return claim_otherwise(tree, min, max, plan, words, taken, i);
		counter_set(leaf, 0);
	}
	*taken = plan->frames;
	group = plan->place;
	summary = tree->frames.level[1][group] & ~plan->mask;
	if (__builtin_expect(!summary || (plan->chunks & ~tree->level[0].dirty[group]), 0))
		return close_plan(tree, group, plan->mask, count);
	counter_set(&tree->frames.level[1][group], summary);
	return count;
}

static unsigned tree_claim(void *instance, unsigned min, unsigned max,
			   const struct policy_plan *plan, struct frame_word *words, unsigned *taken)
{
	if (plan->ordinary)
		return claim_planned(instance, min, max, plan, words, taken);
	/* A claim as exact as these has no plan: see policy.h. */
	if (min == max && max == 1)
		return claim_one(instance, words, taken);
	if (min == max && max <= 64)
		return claim_row(instance, max, words, taken);
	return claim_otherwise(instance, min, max, plan, words, taken, 0);
}

/* Of these frames some are free, as `bits` says. */
static _Noreturn __attribute__((noinline)) void bad_release(uint64_t first, uint64_t bits)
{
	port_panic("zone: frame %#llx is given back but it is free already: freed twice",
		   (unsigned long long)(first + bits_lowest(bits)));
}

/* Looks at the words alone: what is theirs to change above the bitmap, if that is one group. */
static void tree_plan_release(const void *instance, const struct frame_word *words, unsigned count,
			      struct policy_plan *plan)
{
	const struct segment_tree *tree = instance;
	uint64_t group = (words->first - tree->base) >> GROUP_SHIFT, others = 0;

	plan->place = group;
	plan->mask = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t word = (words[i].first - tree->base) >> 6;

		others |= word >> 6 ^ group;
		plan->mask |= UINT64_C(1) << (word & 63);
	}
	plan->chunks = chunks_of_words(plan->mask);
	plan->ordinary = !others;
}

static _Noreturn __attribute__((noinline)) void bad_word(const struct segment_tree *tree,
							 const struct frame_word *given)
{
	bad_release(given->first, *leaf_of(tree, given->first) & given->bits);
}

/* Above the bitmap, where a word was given something: all there may be to do. */
static void close_word(struct segment_tree *tree, uint64_t word)
{
	uint64_t group = word >> 6, summary = tree->frames.level[1][group];

	counter_set(&tree->frames.level[1][group], summary | UINT64_C(1) << (word & 63));
	if (!summary)
		fill_group(tree, group);
	chunk_gained(tree, word / CHUNK_WORDS);
}

/* Sets one word's frames free in the bitmap, and panics when one of them is already. */
static inline uint64_t give_word(struct segment_tree *tree, const struct frame_word *given)
{
	uint64_t word = (given->first - tree->base) >> 6, before = tree->frames.level[0][word];

	if (__builtin_expect((before & given->bits) != 0, 0))
		bad_word(tree, given);
	counter_set(&tree->frames.level[0][word], before | given->bits);
	return word;
}

/* The first of these words has been given but not closed; then the others, taking no short cut. */
static __attribute__((noinline)) void release_rest(struct segment_tree *tree,
						   const struct frame_word *given,
						   const struct frame_word *end)
{
	close_word(tree, (given->first - tree->base) >> 6);
	while (++given != end)
		close_word(tree, give_word(tree, given));
}

/*
 * Word by word, whatever their groups, and free of calls: a word that was empty needs its bit in
 * the summary; and one may have made its chunk whole, but not while either end of that is not.
 */
static inline void release_words(struct segment_tree *tree, const struct frame_word *given,
				 const struct frame_word *end)
{
	uint64_t base = tree->base, *leaves = tree->frames.level[0];

	do {
		uint64_t index = given->first - base, word = index >> 6,
			 group = index >> GROUP_SHIFT;
		uint64_t bits = given->bits, before = leaves[word];

		if (__builtin_expect((before & bits) != 0, 0))
			bad_word(tree, given);
		bits |= before;
		counter_set(&leaves[word], bits);
		if (!before) {
			uint64_t *at = &tree->frames.level[1][group], summary = *at;

			if (__builtin_expect(!summary, 0))
				goto otherwise;
			counter_set(at, summary | UINT64_C(1) << (word & 63));
		}
		if (!~bits && !~leaves[word | 7] && !~leaves[word & ~UINT64_C(7)])
			goto otherwise;
		if (__builtin_expect(!is_dirty(tree, 0, index >> CHUNK_SHIFT), 0))
			goto otherwise;
	} while (++given != end);
	return;

otherwise:
	release_rest(tree, given, end);
}

/* The ordinary case met a word that cannot be right, after `done`: the others' books, then it. */
static __attribute__((noinline)) void release_badly(struct segment_tree *tree,
						    const struct frame_word *words, unsigned done)
{
	for (unsigned i = 0; i < done; i++)
		close_word(tree, (words[i].first - tree->base) >> 6);
	give_word(tree, &words[done]);
}

/* A plan's words have been given, but it is not the ordinary case. */
static __attribute__((noinline)) void close_release(struct segment_tree *tree,
						    const struct policy_plan *plan)
{
	uint64_t group = plan->place, summary = tree->frames.level[1][group];

	counter_set(&tree->frames.level[1][group], summary | plan->mask);
	if (!summary)
		fill_group(tree, group);
	for (unsigned chunks = (unsigned)plan->chunks; chunks; chunks &= chunks - 1)
		chunk_gained(tree, group * FANOUT + bits_lowest(chunks));
}

/* As claim_planned: the ordinary case is one group. */
static __attribute__((noinline)) void release_planned(struct segment_tree *tree,
						      const struct policy_plan *plan,
						      const struct frame_word *words, unsigned count)
{
	const struct frame_word *word = words, *end = words + count;
	uint64_t base = tree->base, *leaves = tree->frames.level[0];
	uint64_t group, summary;
	bool whole = false;

	for (; word != end; word++) {
		uint64_t *leaf = &leaves[(word->first - base) >> 6];
		uint64_t before = *leaf, after = before | word->bits;

		if (__builtin_expect((before & word->bits) != 0, 0)) {
			release_badly(tree, words, (unsigned)(word - words));
			return;
		}
		counter_set(leaf, after);
		if (__builtin_expect(after == ~UINT64_C(0), 0))
			whole = true;
	}
	group = plan->place;
	summary = tree->frames.level[1][group];
	if (__builtin_expect(whole || !summary || (plan->chunks & ~tree->level[0].dirty[group]),
			     0)) {
		close_release(tree, plan);
		return;
	}
	counter_set(&tree->frames.level[1][group], summary | plan->mask);
}

static void tree_release(void *instance, const struct policy_plan *plan,
			 const struct frame_word *words, unsigned count)
{
	if (plan->ordinary)
		release_planned(instance, plan, words, count);
	else
		release_words(instance, words, words + count);
}

/* take_range() of one chunk, in a few stores: its words are one byte of their summary word. */
static void take_chunk(struct segment_tree *tree, uint64_t chunk)
{
	uint64_t *leaf = &tree->frames.level[0][chunk * CHUNK_WORDS];
	uint64_t words = UINT64_C(0xff) << (chunk % FANOUT * CHUNK_WORDS);

	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		counter_set(&leaf[i], 0);
	empty_words(tree, chunk / FANOUT, words);
	bit_index_clear(&tree->chunks, 0, chunk);
	mark_group_dirty(tree, chunk / FANOUT, 1u << chunk % FANOUT);
}

/* ---- short runs -------------------------------------------------------------------------- */

/*
 * Runs of up to a word's length, at any such alignment, lie in one word or in two neighbours. While
 * the run tree is dirty, a look at the lowest words that have anything costs less than the repair
 * of one chunk; and because nothing is free below them, what it finds is what the search would.
 */
#define SHORT_FRAMES 64
#define SHORT_LOOKS  16 /* words, about as many instructions as two chunks' repair */

/* The frames of a word that are multiples of 1, 2, 4 to 64. */
static const uint64_t multiples[] = {
	UINT64_C(0xffffffffffffffff), UINT64_C(0x5555555555555555), UINT64_C(0x1111111111111111),
	UINT64_C(0x0101010101010101), UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001),
	UINT64_C(0x0000000000000001),
};

/* Where in `low`, and then on in `high`, `count` free frames begin, as far as `starts` allows. */
static inline uint64_t runs_of_two(uint64_t low, uint64_t high, uint64_t count, uint64_t starts)
{
	uint64_t have = 1, step; /* as wide as a register: narrower ones are made so in each turn */

	for (; 2 * have <= count && (low & starts); have *= 2) {
		low &= low >> have | high << (64 - have);
		high &= high >> have;
	}
	step = count - have;
	if (step && (low & starts))
		low &= low >> step | high << (64 - step);
	return low & starts;
}

/* False where it takes the search to say. */
static bool find_short(const struct segment_tree *tree, uint64_t count, uint64_t align,
		       uint64_t *from)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	const uint64_t *leaves = &tree->frames.level[0][group << 6];
	uint64_t starts = multiples[bits_lowest(align)];

	for (unsigned looks = SHORT_LOOKS; summary && looks; looks--) {
		uint64_t low = summary & -summary, word = bits_lowest(summary), found;

		summary ^= low;
		found = runs_of_two(leaves[word], summary & low << 1 ? leaves[word + 1] : 0, count,
				    starts);
		if (found) {
			*from = (group << GROUP_SHIFT) + word * FRAMES_PER_WORD + bits_lowest(found);
			return true;
		}
	}
	return false;
}

/* The part of `count` frames from an index on, 64 at most, that is in its word. */
static inline uint64_t bits_from(uint64_t from, uint64_t count)
{
	return ~UINT64_C(0) >> (64 - count) << (from & 63);
}

static inline void take_bits(struct segment_tree *tree, uint64_t word, uint64_t bits)
{
	uint64_t rest = tree->frames.level[0][word] & ~bits;

	counter_set(&tree->frames.level[0][word], rest);
	if (!rest || !is_dirty(tree, 0, word / CHUNK_WORDS))
		close_one(tree, word);
}

static __attribute__((noinline)) void take_short(struct segment_tree *tree, uint64_t from,
						 uint64_t count)
{
	uint64_t here = 64 - (from & 63);

	take_bits(tree, from >> 6, bits_from(from, count));
	if (count > here)
		take_bits(tree, (from >> 6) + 1, bits_from(0, count - here));
}

static __attribute__((noinline)) void release_short(struct segment_tree *tree, uint64_t from,
						    uint64_t count)
{
	uint64_t here = 64 - (from & 63), first = tree->base + (from & ~UINT64_C(63));
	struct frame_word words[2] = {{first, bits_from(from, count)}};
	unsigned used = 1;

	if (count > here) {
		words[1] = (struct frame_word){first + 64, bits_from(0, count - here)};
		if (*leaf_of(tree, words[1].first) & words[1].bits)
			bad_word(tree, &words[1]);
		used = 2;
	}
	release_words(tree, words, words + used);
}

/* Apart from its caller, which jumps here: so its frame is not on top of the caller's. */
static __attribute__((noinline)) enum run_result claim_searched(struct segment_tree *tree,
								uint64_t count, uint64_t align,
								unsigned steps, uint64_t *first)
{
	/* No bound: there are fewer chunks than an unsigned can count. */
	struct search search = {.tree = tree,
				.count = count,
				.align = align,
				.steps_left = steps ? steps : UINT_MAX};
	enum run_result result = search_tree(&search);

	if (result == RUN_FOUND) {
		take_range(tree, search.found, search.found + count);
		*first = tree->base + search.found;
	}
	return result;
}

static __attribute__((noinline)) enum run_result claim_run(struct segment_tree *tree,
							   uint64_t count, uint64_t align,
							   unsigned steps, uint64_t *first)
{
	/* Exact for an aligned chunk, both ways; a good answer for what is nearly one. */
	if (count > CHUNK_FRAMES / 2 && count <= CHUNK_FRAMES && align <= CHUNK_FRAMES) {
		uint64_t chunk = bit_index_first(&tree->chunks, 0);

		if (chunk != BIT_INDEX_NONE) {
			*first = tree->base + (chunk << CHUNK_SHIFT);
			if (count == CHUNK_FRAMES)
				take_chunk(tree, chunk);
			else
				take_range(tree, chunk << CHUNK_SHIFT,
					   (chunk << CHUNK_SHIFT) + count);
			return RUN_FOUND;
		}
		if (count == CHUNK_FRAMES && align == CHUNK_FRAMES)
			return RUN_NONE;
	}
	if (count > tree->index_end)
		return RUN_NONE;
	return claim_searched(tree, count, align, steps, first);
}

static enum run_result tree_claim_run(void *instance, uint64_t count, uint64_t align,
				      unsigned steps, uint64_t *first)
{
	struct segment_tree *tree = instance;
	uint64_t from;

	if (count <= SHORT_FRAMES && align <= SHORT_FRAMES && is_dirty(tree, tree->levels - 1, 0) &&
	    find_short(tree, count, align, &from)) {
		*first = tree->base + from;
		take_short(tree, from, count);
		return RUN_FOUND;
	}
	return claim_run(tree, count, align, steps, first);
}

/* Panics when one of the frames [from, to), by index, is free. */
static void check_none_free(const struct segment_tree *tree, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to;) {
		uint64_t word_end = (at | 63) + 1;
		uint64_t end = word_end < to ? word_end : to;
		uint64_t mask = bits_between(at & 63, ((end - 1) & 63) + 1);
		uint64_t bits = tree->frames.level[0][at >> 6] & mask;

		if (bits)
			bad_release(tree->base + (at & ~UINT64_C(63)), bits);
		at = end;
	}
}

static __attribute__((noinline)) void release_run(struct segment_tree *tree, uint64_t from,
						  uint64_t to)
{
	check_none_free(tree, from, to);
	give_range(tree, from, to);
}

static void tree_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct segment_tree *tree = instance;
	uint64_t from = first - tree->base;

	if (count <= SHORT_FRAMES)
		release_short(tree, from, count);
	else
		release_run(tree, from, from + count);
}

/* S2 and S3 for one level; `nodes` without the padding. */
static void validate_level(const struct segment_tree *tree, unsigned level, uint64_t nodes)
{
	for (uint64_t node = 0; node < nodes; node++) {
		struct run found = run_of(tree, level, node), right;

		if (is_dirty(tree, level, node)) {
			check(level + 1 == tree->levels ||
				      is_dirty(tree, level + 1, node >> FANOUT_SHIFT),
			      "segment_tree: level %u node %llu is dirty and its parent is not",
			      level, (unsigned long long)node);
			continue;
		}
		right = level ? runs_of_children(tree, level, node) : runs_of_chunk(tree, node);
		check(found.prefix == right.prefix && found.longest == right.longest &&
			      found.suffix == right.suffix,
		      "segment_tree: level %u node %llu says runs %u,%u,%u, the frames %u,%u,%u",
		      level, (unsigned long long)node, found.prefix, found.longest, found.suffix,
		      right.prefix, right.longest, right.suffix);
	}
}

static uint64_t tree_validate(const void *instance)
{
	const struct segment_tree *tree = instance;
	uint64_t chunks = tree->chunks.bits, nodes = chunks, free = 0;

	bit_index_validate(&tree->frames, "segment_tree frames");
	bit_index_validate(&tree->chunks, "segment_tree chunks");
	for (uint64_t group = 0; group < tree->group_lowest; group++)
		check(!tree->frames.level[1][group],
		      "segment_tree: group %llu has free frames, but group_lowest is %llu",
		      (unsigned long long)group, (unsigned long long)tree->group_lowest);
	for (uint64_t word = 0; word < chunks * CHUNK_WORDS; word++) {
		uint64_t bits = tree->frames.level[0][word];

		if (bits) /* most are all or nothing where a zone is large */
			free += ~bits ? bits_count(bits) : 64;
	}
	for (uint64_t chunk = 0; chunk < chunks; chunk++)
		check(bit_index_test(&tree->chunks, chunk) == chunk_is_free(tree, chunk) &&
			      !(chunk_is_free(tree, chunk) && is_dirty(tree, 0, chunk)),
		      "segment_tree: chunk %llu: free is %d but its bit is %d, dirty %d",
		      (unsigned long long)chunk, chunk_is_free(tree, chunk),
		      bit_index_test(&tree->chunks, chunk), is_dirty(tree, 0, chunk));
	for (uint64_t index = 0; index < chunks << CHUNK_SHIFT; index++) {
		if (index == tree->index_first)
			index = tree->index_end;
		if (index == chunks << CHUNK_SHIFT)
			break;
		check(!bit_index_test(&tree->frames, index),
		      "segment_tree: index %llu is free but outside the zone",
		      (unsigned long long)index);
	}
	for (unsigned level = 0; level < tree->levels; level++) {
		validate_level(tree, level, nodes);
		nodes = parents_of(nodes);
	}
	return free;
}

const struct policy segment_tree_policy = {
	.name = "segment_tree",
	.has_runs = true,
	.aligns_runs = true,
	.exact_runs = true,
	.metadata_bytes = tree_metadata_bytes,
	.init = tree_init,
	.plan_claim = tree_plan,
	.plan_release = tree_plan_release,
	.claim = tree_claim,
	.release = tree_release,
	.claim_run = tree_claim_run,
	.release_run = tree_release_run,
	.validate = tree_validate,
};
