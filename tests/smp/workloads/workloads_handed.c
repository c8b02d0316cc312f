/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_handed.c - frames that one cpu allocates and another one frees. */
#include "tests/smp/workloads/workloads.h"

#include "mm/percpu/drain.h"
#include "tests/smp/workloads/workload_frames.h"

/*
 * Concurrency Kit's ring has a store fence before each of its two stores, and a load fence after
 * the load of the producer's counter. With RISC-V's `w, w` two loads are not ordered: the
 * consumer's load of a slot, which may read what the producer has put there after the slot was
 * given back, and the producer's loads of the frame that it hands over. So here the ring has a
 * release and an acquire instead. The release before p_tail pairs with the acquire after the
 * consumer's load of p_tail. The release before c_head pairs with the producer's branch on its load
 * of c_head: a store does not overtake a branch.
 */
#define ck_pr_fence_store ck_pr_fence_release
#define ck_pr_fence_load  ck_pr_fence_acquire
#include <ck_ring.h>
#undef ck_pr_fence_store
#undef ck_pr_fence_load

/*
 * ---- a channel ------------------------------------------------------------------------------
 *
 * A ring with one producer and one consumer of frames. When the producer's time is over, it closes
 * the channel. The consumer goes on until the channel is empty, or until it is late; the teardown
 * frees what is then left. `closed` is read only where the ring was found empty, so a run that
 * delivers all frames need not read it for each.
 */
struct channel {
	_Alignas(64) struct ck_ring ring;
	struct ck_ring_buffer *buffer;
	uint32_t closed;
};

static void channel_init(struct channel *channel, struct ck_ring_buffer *buffer, unsigned entries)
{
	ck_ring_init(&channel->ring, entries);
	channel->buffer = buffer;
	channel->closed = 0;
}

/* The pfn travels as a pointer; +1 so that frame 0 is not NULL. */
static inline __attribute__((always_inline)) bool channel_try_put(struct channel *channel,
								  pfn_t frame)
{
	return ck_ring_enqueue_spsc(&channel->ring, channel->buffer,
				    (void *)(uintptr_t)(frame.value + 1));
}

static inline __attribute__((always_inline)) bool channel_try_get(struct channel *channel,
								  pfn_t *frame)
{
	void *entry;

	if (!ck_ring_dequeue_spsc(&channel->ring, channel->buffer, &entry))
		return false;
	*frame = pfn((uintptr_t)entry - 1);
	return true;
}

/*
 * Pairs with the acquire in channel_get(): a consumer that finds it closed finds all earlier
 * frames.
 */
static void channel_close(struct channel *channel)
{
	ck_pr_fence_release();
	ck_pr_store_32(&channel->closed, 1);
}

/* Waits for room. False: the calling cpu's time is over, and it has freed the frame itself. */
static bool channel_put(struct workload_run *run, unsigned number, struct channel *channel,
			pfn_t frame)
{
	while (!channel_try_put(channel, frame)) {
		if (workload_is_over(run, number)) {
			give(&run->cpu[number], number, frame);
			return false;
		}
		port_relax();
	}
	return true;
}

/* Waits for a frame; false: no frame will come, or it is too late. */
static bool channel_get(struct workload_run *run, unsigned number, struct channel *channel,
			pfn_t *frame)
{
	while (!channel_try_get(channel, frame)) {
		if (ck_pr_load_32(&channel->closed)) {
			ck_pr_fence_acquire();
			return channel_try_get(channel, frame);
		}
		if (workload_is_late(run, number))
			return false;
		port_relax();
	}
	return true;
}

/* Frees the frames in the channel, which the calling cpu has put there itself. */
static void channel_empty(struct workload_run *run, unsigned number, struct channel *channel)
{
	struct workload_cpu *cpu = &run->cpu[number];
	pfn_t frame;

	while (!workload_is_late(run, number))
		for (uint64_t pause = cpu->frees + run->stride; cpu->frees != pause;) {
			if (!channel_try_get(channel, &frame))
				return;
			give(cpu, number, frame);
		}
}

/* At rest: frees what is left, with this owner's stamp. */
static void channel_end(struct channel *channel, unsigned owner)
{
	pfn_t frame;

	while (channel_try_get(channel, &frame)) {
		stamp_check(frame, owner);
		frame_free(frame);
	}
}

/* ---- xfree: one half allocates, the other half frees --------------------------------------- */

#define XFREE_RING 1024 /* entries, a power of two; one stays empty */

/*
 * Each pair of cpus has one channel: the even cpu puts frames in, the odd one takes them out and
 * frees them. A cpu without a partner does both.
 */
struct pair {
	struct channel channel;
	struct ck_ring_buffer buffer[XFREE_RING];
};

static unsigned xfree_pairs(const struct workload_run *run)
{
	return (run->cpus + 1) / 2;
}

bool xfree_setup(struct workload_run *run)
{
	struct pair *pairs;

	if (!workload_share(run, xfree_pairs(run) * sizeof(struct pair)))
		return false;
	pairs = run->shared;
	for (unsigned i = 0; i < xfree_pairs(run); i++)
		channel_init(&pairs[i].channel, pairs[i].buffer, XFREE_RING);
	return true;
}

/*
 * An allocation may fail where the ring is larger than memory: then the consumer will free frames.
 */
static bool xfree_take(struct workload_run *run, unsigned number, pfn_t *frame)
{
	while (pfn_is_none(*frame = take(&run->cpu[number], number))) {
		if (workload_is_over(run, number))
			return false;
		port_relax();
	}
	return true;
}

/* Puts the frames from number `i` to `end`; false: the time was over before. */
static bool xfree_put_some(struct workload_run *run, unsigned number, struct channel *channel,
			   uint64_t i, uint64_t end)
{
	pfn_t frame;

	for (; i < end; i++)
		if (!xfree_take(run, number, &frame) || !channel_put(run, number, channel, frame))
			return false;
	return true;
}

static void xfree_produce(struct workload_run *run, struct channel *channel, unsigned number)
{
	for (uint64_t i = 0; i < run->ops;) {
		uint64_t end = stride_end(run, i, run->ops);

		if (workload_is_over(run, number) || !xfree_put_some(run, number, channel, i, end)) {
			channel_close(channel);
			return;
		}
		i = end;
	}
}

static void xfree_consume(struct workload_run *run, struct channel *channel, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	pfn_t frame;

	for (uint64_t i = 0; i < run->ops && !workload_is_late(run, number);) {
		uint64_t end = stride_end(run, i, run->ops);

		for (; i < end; i++) {
			if (!channel_get(run, number, channel, &frame))
				return;
			give(cpu, number - 1, frame);
		}
	}
}

/* Puts frames until the ring is half full or memory is empty; returns their number. */
static uint64_t xfree_fill(struct workload_run *run, struct channel *channel, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t put = 0;

	while (put < XFREE_RING / 2 && !workload_is_over(run, number)) {
		uint64_t end = stride_end(run, put, XFREE_RING / 2);

		for (; put < end; put++) {
			pfn_t frame = take(cpu, number);

			if (pfn_is_none(frame))
				return put;
			channel_try_put(channel, frame);
		}
	}
	return put;
}

static void xfree_both(struct workload_run *run, struct channel *channel, unsigned number)
{
	for (uint64_t done = 0; done < run->ops && !workload_is_over(run, number);) {
		done += xfree_fill(run, channel, number);
		channel_empty(run, number, channel);
	}
}

void xfree_work(struct workload_run *run, unsigned number)
{
	struct channel *channel = &((struct pair *)run->shared)[number / 2].channel;

	if (number % 2)
		xfree_consume(run, channel, number);
	else if (number + 1 < run->cpus)
		xfree_produce(run, channel, number);
	else
		xfree_both(run, channel, number);
}

void xfree_teardown(struct workload_run *run)
{
	struct pair *pairs = run->shared;

	for (unsigned i = 0; i < xfree_pairs(run); i++)
		channel_end(&pairs[i].channel, 2 * i);
}

/* ---- asym: one cpu only allocates, all others only free ------------------------------------- */

#define ASYM_RING 1024 /* entries, at most: fewer where memory is small */

/*
 * At any time fewer than half of the free frames are in rings or on their way. So a failed
 * allocation is an error, however many frames are in the caches of the cpus that only free.
 */
struct asym {
	uint64_t free_frames, out_max;
	unsigned consumers; /* also 1 where one cpu is producer and consumer */
	unsigned entries;
	struct channel channel[]; /* one for each consumer */
};

static uint64_t asym_out_max(unsigned consumers, unsigned entries)
{
	return (uint64_t)consumers * entries + 1; /* a full ring has one frame less than entries */
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
	    !workload_share(run, sizeof(*asym) + consumers * sizeof(asym->channel[0]) +
					 (uint64_t)consumers * entries * sizeof(*buffer)))
		return false;
	asym = run->shared;
	asym->consumers = consumers;
	asym->entries = entries;
	buffer = (struct ck_ring_buffer *)&asym->channel[consumers];
	for (unsigned i = 0; i < consumers; i++)
		channel_init(&asym->channel[i], buffer + (size_t)i * entries, entries);
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

/* Does the operations from `i` to `end`; false: the time was over before. */
static bool asym_put_some(struct workload_run *run, struct asym *asym, uint64_t i, uint64_t end)
{
	for (; i < end; i++) {
		pfn_t frame = asym_take(asym, &run->cpu[0]);

		if (!channel_put(run, 0, &asym->channel[i % asym->consumers], frame))
			return false;
	}
	return true;
}

/* The producer serves the consumers in turn, so each consumer knows the number of its frames. */
static void asym_produce(struct workload_run *run)
{
	struct asym *asym = run->shared;
	bool goes_on = true;

	for (uint64_t i = 0; goes_on && i < run->ops;) {
		uint64_t end = stride_end(run, i, run->ops);

		goes_on = !workload_is_over(run, 0) && asym_put_some(run, asym, i, end);
		i = end;
	}
	for (unsigned i = 0; !goes_on && i < asym->consumers; i++)
		channel_close(&asym->channel[i]);
}

static void asym_consume(struct workload_run *run, unsigned number)
{
	struct asym *asym = run->shared;
	uint64_t from = number - 1, step = asym->consumers;
	uint64_t mine = run->ops > from ? (run->ops - from + step - 1) / step : 0;
	pfn_t frame;

	for (uint64_t i = 0; i < mine && !workload_is_late(run, number);) {
		uint64_t end = stride_end(run, i, mine);

		for (; i < end; i++) {
			if (!channel_get(run, number, &asym->channel[from], &frame))
				return;
			give(&run->cpu[number], 0, frame);
		}
	}
}

/* Puts frames until the ring is full; returns their number. */
static uint64_t asym_fill(struct workload_run *run, struct asym *asym, uint64_t wanted)
{
	uint64_t put = 0, room = asym->entries - 1;

	if (room > wanted)
		room = wanted;
	while (put < room && !workload_is_over(run, 0)) {
		uint64_t end = stride_end(run, put, room);

		for (; put < end; put++)
			channel_try_put(&asym->channel[0], asym_take(asym, &run->cpu[0]));
	}
	return put;
}

static void asym_both(struct workload_run *run)
{
	struct asym *asym = run->shared;

	for (uint64_t done = 0; done < run->ops && !workload_is_over(run, 0);) {
		done += asym_fill(run, asym, run->ops - done);
		channel_empty(run, 0, &asym->channel[0]);
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

void asym_teardown(struct workload_run *run)
{
	struct asym *asym = run->shared;

	for (unsigned i = 0; i < asym->consumers; i++)
		channel_end(&asym->channel[i], 0);
}
