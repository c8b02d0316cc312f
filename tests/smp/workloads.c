/*
 * workloads.c - the workloads: who allocates what, in which order, and who frees it.
 *
 * Every frame carries its owner's stamp from its allocation to its free (stamp.h), and every
 * block of the heap is filled with a pattern of its own that is looked at before it goes.
 */
#include "tests/smp/workload.h"

#include <string.h>

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/smp.h"
#include "tests/smp/stamp.h"

#include <ck_ring.h>

/* Allocates one stamped frame; PFN_NONE when there is none. */
static pfn_t take(struct workload_cpu *cpu, unsigned owner)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (!pfn_is_none(frame)) {
		stamp_write(frame, owner);
		cpu->allocs++;
	}
	return frame;
}

static void give(struct workload_cpu *cpu, unsigned owner, pfn_t frame)
{
	stamp_check(frame, owner);
	frame_free(frame);
	cpu->frees++;
}

/* Where the operations that begin at `start` pause for a moment. */
static uint64_t stride_end(uint64_t start, uint64_t end)
{
	return end - start < WORKLOAD_STRIDE ? end : start + WORKLOAD_STRIDE;
}

/* ---- repeat: one frame, over and over ----------------------------------------------------- */

static void repeat_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t done = 0; /* in a register: the counters would be a third of the loop */

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(i, run->ops);

		for (; i < end; i++) {
			pfn_t frame = frame_alloc(FRAME_ANY);

			if (pfn_is_none(frame))
				continue;
			stamp_write(frame, number);
			stamp_check(frame, number);
			frame_free(frame);
			done++;
		}
		if (number == 0)
			workload_sample(run, i, "repeat", false);
	}
	cpu->allocs = done;
	cpu->frees = done;
}

/* ---- bulk: many frames, then all of them back --------------------------------------------- */

#define BULK_FRAMES 4096

/* Every cpu has an array of so many pfns in the shared memory; `width` is how many it uses. */
struct slots {
	uint64_t width;
	pfn_t slot[];
};

static bool slots_setup(struct workload_run *run, uint64_t wanted)
{
	uint64_t width = workload_frames_each(run, wanted);
	struct slots *slots;

	if (width == 0 || !workload_share(run, sizeof(*slots) + width * run->cpus * sizeof(pfn_t)))
		return false;
	slots = run->shared;
	slots->width = workload_frames_each(run, width);
	for (uint64_t i = 0; i < slots->width * run->cpus; i++)
		slots->slot[i] = PFN_NONE;
	return slots->width > 0;
}

static pfn_t *slots_of(struct workload_run *run, unsigned cpu)
{
	struct slots *slots = run->shared;

	return slots->slot + cpu * slots->width;
}

static bool bulk_setup(struct workload_run *run)
{
	return slots_setup(run, BULK_FRAMES);
}

/* Fills slots as long as there is time; how many. `done`: operations behind it, for samples. */
static uint64_t bulk_take(struct workload_run *run, unsigned number, pfn_t *slot, uint64_t width,
			  uint64_t done)
{
	uint64_t taken = 0;

	while (taken < width && !workload_is_over(run, number)) {
		uint64_t end = stride_end(taken, width);

		for (; taken < end; taken++)
			slot[taken] = take(&run->cpu[number], number);
		if (number == 0)
			workload_sample(run, done + taken / 2, "take", false);
	}
	return taken;
}

static void bulk_give(struct workload_run *run, unsigned number, const pfn_t *slot, uint64_t taken,
		      uint64_t done)
{
	for (uint64_t given = 0; given < taken;) {
		uint64_t end = stride_end(given, taken);

		for (; given < end; given++)
			if (!pfn_is_none(slot[given]))
				give(&run->cpu[number], number, slot[given]);
		if (number == 0)
			workload_sample(run, done + (taken + given) / 2, "give", false);
	}
}

static void bulk_work(struct workload_run *run, unsigned number)
{
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);

	for (uint64_t done = 0; done < run->ops && !workload_is_over(run, number); done += width)
		bulk_give(run, number, slot, bulk_take(run, number, slot, width, done), done);
}

/* ---- rand: a large working set, any of it at any time -------------------------------------- */

#define RAND_FRAMES 8192

static bool rand_setup(struct workload_run *run)
{
	return slots_setup(run, RAND_FRAMES);
}

static void take_or_give(struct workload_cpu *cpu, unsigned owner, pfn_t *slot)
{
	if (pfn_is_none(*slot)) {
		*slot = take(cpu, owner);
	} else {
		give(cpu, owner, *slot);
		*slot = PFN_NONE;
	}
}

static void give_all(struct workload_cpu *cpu, unsigned owner, const pfn_t *slot, uint64_t width)
{
	for (uint64_t i = 0; i < width; i++)
		if (!pfn_is_none(slot[i]))
			give(cpu, owner, slot[i]);
}

static void rand_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(i, run->ops);

		for (; i < end; i++)
			take_or_give(cpu, number, &slot[random_below(&cpu->random, width)]);
		if (number == 0)
			workload_sample(run, i, "mixed", false);
	}
	give_all(cpu, number, slot, width);
}

/* ---- churn: the same, while harts come and go ---------------------------------------------- */

#define CHURN_FRAMES 2048

static bool churn_setup(struct workload_run *run)
{
	smp_churn_begin(run->cpus);
	return slots_setup(run, CHURN_FRAMES);
}

static void churn_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);
	struct smp_churner churner = {0};

	for (uint64_t i = 0; i < run->ops; i++) {
		take_or_give(cpu, number, &slot[random_below(&cpu->random, width)]);
		smp_churn_step(&churner, &cpu->random);
	}
	give_all(cpu, number, slot, width);
	smp_churn_leave(&churner, &cpu->random);
}

static void churn_teardown(struct workload_run *run)
{
	(void)run;
	smp_churn_end();
}

/* ---- xfree: one half allocates, the other half frees --------------------------------------- */

#define XFREE_RING 1024 /* entries, a power of two; one stays empty */

/*
 * One ring a pair of cpus: the even one puts frames in, the odd one takes them out and frees
 * them. A cpu left without a partner is both.
 */
struct pair {
	_Alignas(64) struct ck_ring ring;
	struct ck_ring_buffer buffer[XFREE_RING];
};

static bool xfree_setup(struct workload_run *run)
{
	struct pair *pairs;

	if (!workload_share(run, (run->cpus + 1) / 2 * sizeof(struct pair)))
		return false;
	pairs = run->shared;
	for (unsigned i = 0; i < (run->cpus + 1) / 2; i++)
		ck_ring_init(&pairs[i].ring, XFREE_RING);
	return true;
}

/* The pfn travels as a pointer; +1 so that frame 0 is not NULL. */
static bool ring_put(struct pair *pair, pfn_t frame)
{
	return ck_ring_enqueue_spsc(&pair->ring, pair->buffer,
				    (void *)(uintptr_t)(frame.value + 1));
}

static bool ring_get(struct pair *pair, pfn_t *frame)
{
	void *entry;

	if (!ck_ring_dequeue_spsc(&pair->ring, pair->buffer, &entry))
		return false;
	*frame = pfn((uintptr_t)entry - 1);
	return true;
}

static void xfree_produce(struct workload_run *run, struct pair *pair, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];

	for (uint64_t i = 0; i < run->ops; i++) {
		pfn_t frame;

		/* The ring may be larger than memory: then its frames are all there are. */
		while (pfn_is_none(frame = take(cpu, number)))
			port_relax();
		while (!ring_put(pair, frame))
			port_relax();
	}
}

static void xfree_consume(struct workload_run *run, struct pair *pair, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];

	for (uint64_t i = 0; i < run->ops; i++) {
		pfn_t frame;

		while (!ring_get(pair, &frame))
			port_relax();
		give(cpu, number - 1, frame);
	}
}

static void xfree_both(struct workload_run *run, struct pair *pair, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	pfn_t frame;

	for (uint64_t done = 0; done < run->ops;) {
		unsigned put = 0;

		while (put < XFREE_RING / 2 && !pfn_is_none(frame = take(cpu, number)))
			put += ring_put(pair, frame);
		done += put;
		while (ring_get(pair, &frame))
			give(cpu, number, frame);
	}
}

static void xfree_work(struct workload_run *run, unsigned number)
{
	struct pair *pair = (struct pair *)run->shared + number / 2;

	if (number % 2)
		xfree_consume(run, pair, number);
	else if (number + 1 < run->cpus)
		xfree_produce(run, pair, number);
	else
		xfree_both(run, pair, number);
}

/* ---- run: contiguous frames of mixed size and alignment, among single ones ----------------- */

#define RUN_SLOTS     64
#define RUN_COUNT_MAX 64

struct held_run {
	pfn_t first;
	uint64_t count; /* 0: nothing held; 1 of frame_alloc; else a run */
};

static bool run_setup(struct workload_run *run)
{
	return workload_share(run, run->cpus * RUN_SLOTS * sizeof(struct held_run));
}

static void take_run(struct workload_run *run, unsigned number, struct held_run *held)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t count = 2 + random_below(&cpu->random, RUN_COUNT_MAX - 1);
	uint64_t align = UINT64_C(1) << random_below(&cpu->random, 7);
	pfn_t first = frame_alloc_run(count, align);

	if (pfn_is_none(first))
		return;
	check(first.value % align == 0, "run: frame %#llx is not aligned to %llu frames",
	      (unsigned long long)first.value, (unsigned long long)align);
	for (uint64_t i = 0; i < count; i++)
		stamp_write(pfn_add(first, i), number);
	*held = (struct held_run){first, count};
	cpu->allocs += count;
}

static void take_single(struct workload_run *run, unsigned number, struct held_run *held)
{
	pfn_t frame = take(&run->cpu[number], number);

	if (!pfn_is_none(frame))
		*held = (struct held_run){frame, 1};
}

static void give_held(struct workload_run *run, unsigned number, struct held_run *held)
{
	struct workload_cpu *cpu = &run->cpu[number];

	if (held->count == 1) {
		give(cpu, number, held->first);
	} else {
		for (uint64_t i = 0; i < held->count; i++)
			stamp_check(pfn_add(held->first, i), number);
		frame_free_run(held->first, held->count);
		cpu->frees += held->count;
	}
	held->count = 0;
}

static void run_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct held_run *slot = (struct held_run *)run->shared + number * RUN_SLOTS;

	for (uint64_t i = 0; i < run->ops; i++) {
		struct held_run *held = &slot[random_below(&cpu->random, RUN_SLOTS)];

		if (held->count)
			give_held(run, number, held);
		else if (random_below(&cpu->random, 4) == 0)
			take_run(run, number, held);
		else
			take_single(run, number, held);
	}
	for (unsigned i = 0; i < RUN_SLOTS; i++)
		if (slot[i].count)
			give_held(run, number, &slot[i]);
}

/* ---- kmalloc: blocks of mixed sizes, their contents checked -------------------------------- */

#define KMALLOC_SLOTS 256

struct held_block {
	unsigned char *block;
	uint32_t size;
	unsigned char fill;
};

static bool kmalloc_setup(struct workload_run *run)
{
	return workload_share(run, run->cpus * KMALLOC_SLOTS * sizeof(struct held_block));
}

/* Sizes as programs have them: half of all at most 64 bytes, one in some hundred many pages. */
static uint32_t kmalloc_size(struct workload_cpu *cpu)
{
	unsigned magnitude = 3 + (unsigned)random_below(&cpu->random, 4);

	while (magnitude < 14 && random_below(&cpu->random, 3) == 0)
		magnitude++;
	return 1 + (uint32_t)random_below(&cpu->random, UINT64_C(1) << magnitude);
}

static void check_fill(const struct held_block *held, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		check(held->block[i] == held->fill,
		      "kmalloc: byte %u of block %p is %#x, expected %#x", i, (void *)held->block,
		      held->block[i], held->fill);
}

static void take_block(struct workload_cpu *cpu, struct held_block *held)
{
	held->size = kmalloc_size(cpu);
	held->fill = (unsigned char)random_next(&cpu->random);
	held->block = kmalloc(held->size);
	if (!held->block)
		return;
	memset(held->block, held->fill, held->size);
	cpu->allocs++;
}

static void resize_block(struct workload_cpu *cpu, struct held_block *held)
{
	uint32_t size = kmalloc_size(cpu);
	unsigned char *block = krealloc(held->block, size);

	if (!block)
		return;
	held->block = block;
	check_fill(held, size < held->size ? size : held->size);
	held->size = size;
	memset(block, held->fill, size);
}

static void give_block(struct workload_cpu *cpu, struct held_block *held)
{
	check_fill(held, held->size);
	kfree(held->block);
	held->block = NULL;
	cpu->frees++;
}

static void kmalloc_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct held_block *slot = (struct held_block *)run->shared + number * KMALLOC_SLOTS;

	for (uint64_t i = 0; i < run->ops; i++) {
		struct held_block *held = &slot[random_below(&cpu->random, KMALLOC_SLOTS)];

		if (!held->block)
			take_block(cpu, held);
		else if (random_below(&cpu->random, 8) == 0)
			resize_block(cpu, held);
		else
			give_block(cpu, held);
	}
	for (unsigned i = 0; i < KMALLOC_SLOTS; i++)
		if (slot[i].block)
			give_block(cpu, &slot[i]);
}

static void kmalloc_teardown(struct workload_run *run)
{
	(void)run;
	kheap_trim();
}

/* ---- exhaust: all of memory, by everybody, until nobody gets any more ----------------------- */

struct exhaust {
	uint64_t rounds;
	uint64_t free_frames; /* before each round */
	uint64_t taken[];     /* in this round, by each cpu */
};

/* As many rounds as it takes for the operations asked for; at least one. */
static bool exhaust_setup(struct workload_run *run)
{
	struct exhaust *exhaust;

	if (!workload_share(run, sizeof(*exhaust) + run->cpus * sizeof(uint64_t)))
		return false;
	exhaust = run->shared;
	frame_drain_settle();
	exhaust->free_frames = frame_free_count();
	exhaust->rounds = 1 + run->ops * run->cpus / (exhaust->free_frames + 1);
	return true;
}

/* Where every cpu was told that no frame is left, all frames are out. */
static void check_taken(const struct workload_run *run, uint64_t rounds_left)
{
	const struct exhaust *exhaust = run->shared;
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		sum += exhaust->taken[cpu];
	check(sum == exhaust->free_frames,
	      "exhaust: %u cpus got %llu frames until each was told that there are no more, expected "
	      "all %llu that were free; %llu rounds to go",
	      run->cpus, (unsigned long long)sum, (unsigned long long)exhaust->free_frames,
	      (unsigned long long)rounds_left);
}

/* Frames taken are chained through their own second word; the stamp has the first and last. */
static void exhaust_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct exhaust *exhaust = run->shared;
	uint64_t rounds = exhaust->rounds;

	while (rounds--) {
		uint64_t allocs_before = cpu->allocs;
		pfn_t newest = PFN_NONE, frame;

		while (!pfn_is_none(frame = take(cpu, number))) {
			((pfn_t *)frame_bytes(frame))[1] = newest;
			newest = frame;
		}
		exhaust->taken[number] = cpu->allocs - allocs_before;
		barrier_wait(&run->barrier);
		if (number == 0)
			check_taken(run, rounds);
		while (!pfn_is_none(frame = newest)) {
			newest = ((pfn_t *)frame_bytes(frame))[1];
			give(cpu, number, frame);
		}
		barrier_wait(&run->barrier);
	}
}

/* ---- asym: one cpu only allocates, all others only free ------------------------------------- */

#define ASYM_RING 1024 /* entries at most; there may be less memory than that */

/*
 * What is out at a time, in rings and hands, is less than half of what was free: so an allocation
 * that fails is wrong, however much the caches of the cpus that only free could hold.
 */
struct asym {
	uint64_t free_frames, out_max;
	unsigned consumers; /* 1 also where one cpu is both */
	unsigned entries;
	struct asym_ring {
		_Alignas(64) struct ck_ring ring;
		struct ck_ring_buffer *buffer;
	} ring[];
};

static uint64_t asym_out_max(unsigned consumers, unsigned entries)
{
	return (uint64_t)consumers * entries + 1; /* a ring is full with one less */
}

static unsigned asym_entries(unsigned consumers)
{
	unsigned entries = ASYM_RING;

	while (entries >= 2 && asym_out_max(consumers, entries) > frame_free_count() / 3)
		entries /= 2;
	return entries;
}

static bool asym_setup(struct workload_run *run)
{
	unsigned consumers = run->cpus > 1 ? run->cpus - 1 : 1;
	unsigned entries = asym_entries(consumers);
	struct ck_ring_buffer *buffer;
	struct asym *asym;

	if (entries < 2 ||
	    !workload_share(run, sizeof(*asym) + consumers * sizeof(asym->ring[0]) +
					 (uint64_t)consumers * entries * sizeof(*buffer)))
		return false;
	asym = run->shared;
	asym->consumers = consumers;
	asym->entries = entries;
	buffer = (struct ck_ring_buffer *)&asym->ring[consumers];
	for (unsigned i = 0; i < consumers; i++) {
		ck_ring_init(&asym->ring[i].ring, entries);
		asym->ring[i].buffer = buffer + (size_t)i * entries;
	}
	frame_drain_settle();
	asym->free_frames = frame_free_count();
	asym->out_max = asym_out_max(consumers, entries);
	return asym->out_max < asym->free_frames / 2;
}

static pfn_t asym_take(const struct asym *asym, struct workload_cpu *cpu)
{
	pfn_t frame = take(cpu, 0);
	struct frame_ledger ledger;

	if (!pfn_is_none(frame))
		return frame;
	frame_ledger(&ledger);
	port_panic("asym: allocation %llu found no frame: %llu were free at the start, at most %llu of "
		   "them are out, so some are stranded; free %llu, cached %llu, in flight %llu",
		   (unsigned long long)cpu->allocs, (unsigned long long)asym->free_frames,
		   (unsigned long long)asym->out_max, (unsigned long long)ledger.free,
		   (unsigned long long)ledger.cached, (unsigned long long)ledger.in_flight);
}

static bool asym_put(struct asym_ring *to, pfn_t frame)
{
	return ck_ring_enqueue_spsc(&to->ring, to->buffer, (void *)(uintptr_t)(frame.value + 1));
}

static bool asym_get(struct asym_ring *from, pfn_t *frame)
{
	void *entry;

	if (!ck_ring_dequeue_spsc(&from->ring, from->buffer, &entry))
		return false;
	*frame = pfn((uintptr_t)entry - 1);
	return true;
}

/* Each consumer has its turn, so that each knows how many come to it. */
static void asym_produce(struct workload_run *run)
{
	struct asym *asym = run->shared;

	for (uint64_t i = 0; i < run->ops; i++) {
		pfn_t frame = asym_take(asym, &run->cpu[0]);

		while (!asym_put(&asym->ring[i % asym->consumers], frame))
			port_relax();
	}
}

static void asym_consume(struct workload_run *run, unsigned number)
{
	struct asym *asym = run->shared;
	pfn_t frame;

	for (uint64_t i = number - 1; i < run->ops; i += asym->consumers) {
		while (!asym_get(&asym->ring[number - 1], &frame))
			port_relax();
		give(&run->cpu[number], 0, frame);
	}
}

static void asym_both(struct workload_run *run)
{
	struct asym *asym = run->shared;
	pfn_t frame;

	for (uint64_t done = 0; done < run->ops;) {
		for (unsigned i = 1; i < asym->entries && done < run->ops; i++, done++)
			asym_put(&asym->ring[0], asym_take(asym, &run->cpu[0]));
		while (asym_get(&asym->ring[0], &frame))
			give(&run->cpu[0], 0, frame);
	}
}

static void asym_work(struct workload_run *run, unsigned number)
{
	if (run->cpus == 1)
		asym_both(run);
	else if (number == 0)
		asym_produce(run);
	else
		asym_consume(run, number);
}

/* ---- the table ------------------------------------------------------------------------------ */

#define WORKLOADS(entry)                                                                          \
	entry(repeat, "one frame, allocated and freed over and over", 1500000, NULL, NULL, false) \
	entry(bulk, "4096 frames allocated, then all freed", 524288, bulk_setup, NULL, false)     \
	entry(rand, "random frames of a large working set", 131072, rand_setup, NULL, false)      \
	entry(xfree, "one half allocates, the other half frees", 65536, xfree_setup, NULL, false) \
	entry(run, "contiguous runs among single frames", 20000, run_setup, NULL, false, \
	      .needs_runs = true, .needs_aligned_runs = true)                                      \
	entry(kmalloc, "heap blocks of mixed sizes", 20000, kmalloc_setup, kmalloc_teardown, false) \
	entry(exhaust, "all of memory until none is left", 8192, exhaust_setup, NULL, true)       \
	entry(asym, "one cpu allocates, all others free", 65536, asym_setup, NULL, true)                  \
	entry(churn, "random frames while harts come and go", 8192, churn_setup, churn_teardown, false)

#define ENTRY(its_name, its_what, its_ops, its_setup, its_teardown, is_exact, ...)                \
	{.name = #its_name,                                                                       \
	 .what = its_what,                                                                        \
	 .ops = its_ops,                                                                          \
	 .setup = its_setup,                                                                      \
	 .work = its_name##_work,                                                                 \
	 .teardown = its_teardown,                                                                \
	 .exact = is_exact,                                                                       \
	 __VA_ARGS__},
#define NAME(its_name, its_what, its_ops, its_setup, its_teardown, is_exact, ...) #its_name,

const struct workload workloads[] = {WORKLOADS(ENTRY)};
const char *const workload_names[] = {WORKLOADS(NAME)};
const unsigned workload_count = sizeof(workloads) / sizeof(workloads[0]);
