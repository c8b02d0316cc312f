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
 *
 * Planning
 *
 *   Which words a batch will take, and how many frames they hold, is found before the lock is
 *   taken, by reading what others may be writing: atomically, and believed by nobody. Under the
 *   lock each word is compared with what was seen and emptied. A word that differs ends the
 *   plan, and the rest of the batch is looked for under the lock.
 *
 * Cost, for n frames: claim and release O(words) plus O(log64 n) where a word empties or fills
 * for the first time; aligned chunk O(log64 n); other runs O(log8 n) on a clean tree, plus the
 * dirty chunks to the left of the answer, each paid for once by the traffic that dirtied it, plus
 * the chunks to its left that hold a run long enough but not aligned as asked.
 * Metadata: 1/8 byte a frame for the bitmap, 1/504 for its summaries, 4/512 for chunk nodes,
 * 12/3584 for the nodes above, 1/3584 for the dirty bits, 1/4096 for `chunks`: 0.139 byte.
 */
#include "mm/global/segment_tree.h"

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

	return header_bytes(chunks) +
	       bit_index_bytes(chunks << CHUNK_SHIFT) + bit_index_bytes(chunks) +
	       run_tree_bytes(chunks);
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
	tree->level[level].dirty[node >> FANOUT_SHIFT] &= (uint8_t)~(1u << (node & (FANOUT - 1)));
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

static struct run runs_of_word(uint64_t word)
{
	struct run run = {64, 64, 64};

	if (word == ~UINT64_C(0))
		return run;
	if (word == 0)
		return (struct run){0, 0, 0};
	run.prefix = bits_lowest(~word);
	run.suffix = bits_leading(~word);
	run.longest = run.prefix > run.suffix ? run.prefix : run.suffix;
	while (bits_runs(word, run.longest + 1))
		run.longest++;
	return run;
}

static struct run runs_of_chunk(const struct segment_tree *tree, uint64_t chunk)
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
 * The search goes over the frames from left to right. [run_start, here) is free, all of it: the
 * run that is open at the place where the search stands.
 */
struct search {
	struct segment_tree *tree;
	uint64_t count, align;
	uint64_t run_start, here;
	uint64_t found;
	unsigned steps; /* 0: no bound */
	unsigned steps_done;
};

/* The open run grew to `end`; does what is asked fit into it, at the right alignment? */
static bool grow(struct search *search, uint64_t end)
{
	uint64_t pfn = search->tree->base + search->run_start;
	uint64_t start = ((pfn + search->align - 1) & ~(search->align - 1)) - search->tree->base;

	search->here = end;
	search->found = start;
	return start + search->count <= end;
}

/* What comes next, up to `end`, holds nothing for us but its last `suffix` frames. */
static void skip(struct search *search, uint64_t end, uint64_t suffix)
{
	search->here = end;
	search->run_start = end - suffix;
}

static bool search_word(struct search *search, uint64_t word)
{
	uint64_t start = search->here;
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
		if (search_word(search, words[i]))
			return true;
	return false;
}

static enum run_result search_node(struct search *search, unsigned level, uint64_t node);

static enum run_result search_children(struct search *search, unsigned level, uint64_t node)
{
	for (unsigned i = 0; i < FANOUT; i++) {
		enum run_result result =
			search_node(search, level - 1, (node << FANOUT_SHIFT) + i);

		if (result != RUN_NONE)
			return result;
	}
	return RUN_NONE;
}

/* A dirty node is searched, and made exact when the search went through all of it in vain. */
static enum run_result search_dirty(struct search *search, unsigned level, uint64_t node)
{
	enum run_result result;

	if (level == 0) {
		if (search->steps && search->steps_done == search->steps)
			return RUN_AGAIN;
		search->steps_done++;
		set_run(search->tree, 0, node, runs_of_chunk(search->tree, node));
		set_clean(search->tree, 0, node);
		return search_node(search, 0, node);
	}
	result = search_children(search, level, node);
	if (result == RUN_NONE) {
		set_run(search->tree, level, node, runs_of_children(search->tree, level, node));
		set_clean(search->tree, level, node);
	}
	return result;
}

static enum run_result search_node(struct search *search, unsigned level, uint64_t node)
{
	uint64_t size = frames_in(level);
	uint64_t start = node * size;
	struct run run;

	if (is_dirty(search->tree, level, node))
		return search_dirty(search, level, node);
	run = run_of(search->tree, level, node);
	if (run.prefix && grow(search, start + run.prefix))
		return RUN_FOUND;
	if (run.prefix == size)
		return RUN_NONE;
	if (run.longest < search->count) {
		skip(search, start + size, run.suffix);
		return RUN_NONE;
	}
	search->here = start; /* again, in detail: the prefix will join the open run again */
	if (level)
		return search_children(search, level, node);
	return search_chunk(search, node) ? RUN_FOUND : RUN_NONE;
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

	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		if (words[i] != ~UINT64_C(0))
			return false;
	return true;
}

static void give_range(struct segment_tree *tree, uint64_t from, uint64_t to)
{
	uint64_t chunk = from >> CHUNK_SHIFT, chunk_end = ((to - 1) >> CHUNK_SHIFT) + 1;
	/* The chunks that the range covers whole need no look. */
	uint64_t whole = (from + CHUNK_FRAMES - 1) >> CHUNK_SHIFT, whole_end = to >> CHUNK_SHIFT;

	bit_index_set_range(&tree->frames, 0, from, to);
	lower_group(tree, from >> GROUP_SHIFT);
	if (whole < whole_end)
		bit_index_set_range(&tree->chunks, 0, whole, whole_end);
	if (chunk < whole && chunk_is_free(tree, chunk))
		bit_index_set(&tree->chunks, 0, chunk);
	if (chunk_end > whole_end && chunk_end > whole && chunk_is_free(tree, chunk_end - 1))
		bit_index_set(&tree->chunks, 0, chunk_end - 1);
	for (; chunk < chunk_end; chunk++)
		mark_node_dirty(tree, 0, chunk);
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
		      struct claim_plan *plan)
{
	const struct segment_tree *tree = instance;
	uint64_t group = counter_read(&tree->group_lowest), summary;

	plan->whole = 0;
	plan->frames = 0;
	plan->mask = 0;
	plan->chunks = 0;
	plan->place = group;
	for (summary = counter_read(&tree->frames.level[1][group]); summary && plan->frames < min;
	     summary &= summary - 1) {
		unsigned i = bits_lowest(summary);
		uint64_t first = tree->base + (group << GROUP_SHIFT) + i * FRAMES_PER_WORD;
		uint64_t bits = counter_read(leaf_of(tree, first));

		if (!bits)
			continue; /* taken since the summary was read: a word of nothing is no word */
		if (bits == ~UINT64_C(0))
			plan->whole |= 1u << (i / CHUNK_WORDS);
		words[plan->words++] = (struct frame_word){first, bits};
		plan->frames += bits_count(bits);
		plan->mask |= UINT64_C(1) << i;
		plan->chunks |= 1u << (i / CHUNK_WORDS);
	}
	plan->ordinary = plan->frames >= min;
}

/* A word that was free from end to end is taken: its chunk is wholly free no more. */
static __attribute__((noinline)) void break_chunk(struct segment_tree *tree, uint64_t word)
{
	if (bit_index_test(&tree->chunks, word / CHUNK_WORDS))
		bit_index_clear(&tree->chunks, 0, word / CHUNK_WORDS);
}

/* Which chunks of a group are free from end to end. */
static inline unsigned chunks_whole(const struct segment_tree *tree, uint64_t group)
{
	return tree->chunks.level[0][group / FANOUT] >> (group % FANOUT * FANOUT) & 0xff;
}

/* What a plan claims of its group, when that is out of the ordinary: rare, and so not inline. */
static __attribute__((noinline)) void close_plan(struct segment_tree *tree,
						 const struct claim_plan *plan, uint64_t words)
{
	uint64_t chunk = plan->place * FANOUT;

	empty_words(tree, plan->place, words);
	mark_group_dirty(tree, plan->place, (unsigned)plan->chunks);
	for (unsigned broken = chunks_whole(tree, plan->place) & chunks_of_words(words); broken;
	     broken &= broken - 1)
		bit_index_clear(&tree->chunks, 0, chunk + bits_lowest(broken));
}

/*
 * The plan met a word that is not as it was seen, after `done` that were: closes the books on
 * those alone, and counts what they hold.
 */
static __attribute__((noinline)) unsigned claim_carefully(struct segment_tree *tree,
							  const struct claim_plan *plan,
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
	close_plan(tree, plan, mask);
	return count;
}

/*
 * Takes words of one group until `min` frames are there or the group is used up. Returns the
 * number of words taken.
 */
static unsigned claim_group(struct segment_tree *tree, uint64_t group, unsigned min, unsigned max,
			    struct frame_word *words, unsigned words_max, unsigned *taken)
{
	uint64_t *leaf = &tree->frames.level[0][group << 6];
	uint64_t summary = tree->frames.level[1][group], emptied = 0;
	unsigned count = 0, chunks = 0;

	while (summary && *taken < min && count < words_max) {
		unsigned i = bits_lowest(summary);
		uint64_t bits = leaf[i];
		unsigned frames = bits_count(bits);

		if (bits == ~UINT64_C(0))
			break_chunk(tree, (group << 6) + i);
		if (frames > max - *taken) {
			frames = max - *taken;
			bits = bits_lowest_few(bits, frames);
		} else {
			emptied |= UINT64_C(1) << i;
		}
		counter_set(&leaf[i], leaf[i] & ~bits);
		chunks |= 1u << (i / CHUNK_WORDS);
		words[count++] = (struct frame_word){
			tree->base + (group << GROUP_SHIFT) + i * FRAMES_PER_WORD, bits};
		*taken += frames;
		summary &= summary - 1;
	}
	empty_words(tree, group, emptied);
	mark_group_dirty(tree, group, chunks);
	return count;
}

/* Without a plan: group after group. */
static __attribute__((noinline)) unsigned claim_groups(struct segment_tree *tree, unsigned min,
						       unsigned max, struct frame_word *words,
						       unsigned count, unsigned *taken)
{
	while (*taken < min && count < POLICY_WORDS_MAX) {
		if (!tree->frames.level[1][tree->group_lowest]) {
			uint64_t word = bit_index_first(&tree->frames, 1);

			if (word == BIT_INDEX_NONE)
				break;
			counter_set(&tree->group_lowest, word >> 6);
		}
		count += claim_group(tree, tree->group_lowest, min, max, words + count,
				     POLICY_WORDS_MAX - count, taken);
	}
	return count;
}

/* What is not a plan that held, and came to enough. */
static __attribute__((noinline)) unsigned claim_otherwise(struct segment_tree *tree, unsigned min,
							  unsigned max,
							  const struct claim_plan *plan,
							  struct frame_word *words, unsigned done,
							  unsigned *taken)
{
	unsigned count = 0;

	*taken = 0;
	if (plan->words)
		count = claim_carefully(tree, plan, words, done, taken);
	return claim_groups(tree, min, max, words, count, taken);
}

/*
 * The ordinary case, kept free of calls: every planned word is as it was seen, and together they
 * are enough.
 */
static unsigned tree_claim(void *instance, unsigned min, unsigned max,
			   const struct claim_plan *plan, struct frame_word *words, unsigned *taken)
{
	struct segment_tree *tree = instance;
	struct frame_word *word = words, *end = words + plan->words;
	uint64_t base = tree->base, *leaves = tree->frames.level[0];
	uint64_t group = plan->place, summary;
	unsigned dirty;

	if (__builtin_expect(!plan->ordinary, 0))
		return claim_otherwise(tree, min, max, plan, words, 0, taken);
	for (; word != end; word++) {
		uint64_t *leaf = &leaves[(word->first - base) >> 6];

		if (__builtin_expect(*leaf != word->bits, 0))
			return claim_otherwise(tree, min, max, plan, words,
					       (unsigned)(word - words), taken);
		counter_set(leaf, 0);
	}
	*taken = plan->frames;
	summary = tree->frames.level[1][group] & ~plan->mask;
	dirty = tree->level[0].dirty[group];
	if (__builtin_expect(summary && dirty &&
				     !(plan->whole && (plan->whole & chunks_whole(tree, group))), 1)) {
		counter_set(&tree->frames.level[1][group], summary);
		tree->level[0].dirty[group] = (uint8_t)(dirty | plan->chunks);
	} else {
		close_plan(tree, plan, plan->mask);
	}
	return plan->words;
}

static __attribute__((noinline)) void bad_release(uint64_t first, uint64_t bits)
{
	port_panic("zone: frame %#llx is given back but it is free already: freed twice",
		   (unsigned long long)(first + bits_lowest(bits)));
}

/* Looks at the words alone: what is theirs to change above the bitmap, if that is one group. */
static void tree_plan_release(const void *instance, const struct frame_word *words, unsigned count,
			      struct claim_plan *plan)
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

/*
 * Words of one group were given back. One that was not empty has its bit in the summary already,
 * so the bits of all may be set there.
 */
static void fill_words(struct segment_tree *tree, uint64_t group, uint64_t words, unsigned chunks)
{
	uint64_t summary = tree->frames.level[1][group];

	counter_set(&tree->frames.level[1][group], summary | words);
	if (!summary)
		fill_group(tree, group);
	mark_group_dirty(tree, group, chunks);
}

/* The same, where some word may have become free from end to end, and its chunk with it. */
static __attribute__((noinline)) void fill_whole_words(struct segment_tree *tree, uint64_t group,
						       uint64_t words, unsigned chunks)
{
	fill_words(tree, group, words, chunks);
	for (; chunks; chunks &= chunks - 1) {
		uint64_t chunk = group * FANOUT + bits_lowest(chunks);

		if (chunk_is_free(tree, chunk))
			bit_index_set(&tree->chunks, 0, chunk);
	}
}

/* What one word's release changes above the bitmap, when it is more than a dirty bit. */
static __attribute__((noinline)) void close_word(struct segment_tree *tree, uint64_t word)
{
	uint64_t chunk = word / CHUNK_WORDS;

	fill_words(tree, word >> 6, UINT64_C(1) << (word & 63), 1u << (chunk % FANOUT));
	if (!~tree->frames.level[0][word] && chunk_is_free(tree, chunk))
		bit_index_set(&tree->chunks, 0, chunk);
}

/* One word, whatever its group. */
static inline void release_word(struct segment_tree *tree, const struct frame_word *given)
{
	uint64_t word = (given->first - tree->base) >> 6;
	uint64_t before = tree->frames.level[0][word], after = before | given->bits;
	uint8_t *dirty = &tree->level[0].dirty[word >> 6];

	if (__builtin_expect((before & given->bits) != 0, 0))
		bad_release(given->first, before & given->bits);
	counter_set(&tree->frames.level[0][word], after);
	if (__builtin_expect(before && ~after && *dirty, 1))
		*dirty |= (uint8_t)(1u << (word / CHUNK_WORDS % FANOUT));
	else
		close_word(tree, word);
}

/* The ordinary case met a word that cannot be right, after `done`: the others' books, then it. */
static __attribute__((noinline)) void release_badly(struct segment_tree *tree,
						    const struct frame_word *words, unsigned done)
{
	for (unsigned i = 0; i < done; i++)
		close_word(tree, (words[i].first - tree->base) >> 6);
	release_word(tree, &words[done]);
}

/* As tree_claim: the ordinary case is one group. */
static void tree_release(void *instance, const struct claim_plan *plan,
			 const struct frame_word *words, unsigned count)
{
	struct segment_tree *tree = instance;
	const struct frame_word *word = words, *end = words + count;
	uint64_t base = tree->base, *leaves = tree->frames.level[0];
	uint64_t group = plan->place, summary;
	bool whole = false;
	unsigned dirty;

	if (__builtin_expect(!plan->ordinary, 0)) {
		for (; word != end; word++)
			release_word(tree, word);
		return;
	}
	for (; word != end; word++) {
		uint64_t *leaf = &leaves[(word->first - base) >> 6];
		uint64_t before = *leaf, after = before | word->bits;

		if (__builtin_expect((before & word->bits) != 0, 0))
			break;
		counter_set(leaf, after);
		if (__builtin_expect(after == ~UINT64_C(0), 0))
			whole = true;
	}
	if (__builtin_expect(word != end, 0)) {
		release_badly(tree, words, (unsigned)(word - words));
		return;
	}
	summary = tree->frames.level[1][group];
	dirty = tree->level[0].dirty[group];
	if (__builtin_expect(whole || !summary || !dirty, 0)) {
		fill_whole_words(tree, group, plan->mask, (unsigned)plan->chunks);
		return;
	}
	counter_set(&tree->frames.level[1][group], summary | plan->mask);
	tree->level[0].dirty[group] = (uint8_t)(dirty | plan->chunks);
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

static enum run_result tree_claim_run(void *instance, uint64_t count, uint64_t align,
				      unsigned steps, uint64_t *first)
{
	struct segment_tree *tree = instance;
	struct search search = {.tree = tree, .count = count, .align = align, .steps = steps};
	enum run_result result;

	/* Exact for an aligned chunk, both ways; a good answer for what is nearly one. */
	if (count > CHUNK_FRAMES / 2 && count <= CHUNK_FRAMES && align <= CHUNK_FRAMES) {
		uint64_t chunk = bit_index_first(&tree->chunks, 0);

		if (chunk != BIT_INDEX_NONE && count == CHUNK_FRAMES) {
			take_chunk(tree, chunk);
			*first = tree->base + (chunk << CHUNK_SHIFT);
			return RUN_FOUND;
		}
		if (chunk != BIT_INDEX_NONE) {
			search.found = chunk << CHUNK_SHIFT;
			goto found;
		}
		if (count == CHUNK_FRAMES && align == CHUNK_FRAMES)
			return RUN_NONE;
	}
	if (count > tree->index_end)
		return RUN_NONE;
	result = search_node(&search, tree->levels - 1, 0);
	if (result != RUN_FOUND)
		return result;
found:
	take_range(tree, search.found, search.found + count);
	*first = tree->base + search.found;
	return RUN_FOUND;
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

static void tree_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct segment_tree *tree = instance;
	uint64_t from = first - tree->base;

	check_none_free(tree, from, from + count);
	give_range(tree, from, from + count);
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
		check(bit_index_test(&tree->chunks, chunk) == chunk_is_free(tree, chunk),
		      "segment_tree: chunk %llu: free is %d but its bit is %d",
		      (unsigned long long)chunk, chunk_is_free(tree, chunk),
		      bit_index_test(&tree->chunks, chunk));
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
