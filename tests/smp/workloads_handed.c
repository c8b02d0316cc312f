/* workloads_handed.c - frames that one cpu takes and another one gives back. */
#include "tests/smp/workloads.h"

#include "mm/percpu/drain.h"
#include "tests/smp/workload_frames.h"

#include <ck_ring.h>

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

bool xfree_setup(struct workload_run *run)
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

void xfree_work(struct workload_run *run, unsigned number)
{
	struct pair *pair = (struct pair *)run->shared + number / 2;

	if (number % 2)
		xfree_consume(run, pair, number);
	else if (number + 1 < run->cpus)
		xfree_produce(run, pair, number);
	else
		xfree_both(run, pair, number);
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

bool asym_setup(struct workload_run *run)
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
	port_panic("asym: allocation %llu found no frame: %llu were free at the start, at most "
		   "%llu of "
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

void asym_work(struct workload_run *run, unsigned number)
{
	if (run->cpus == 1)
		asym_both(run);
	else if (number == 0)
		asym_produce(run);
	else
		asym_consume(run, number);
}
