/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan */
/*
 * test_drain.c - exhaustion with threads for CPUs: no allocation fails while a frame is free.
 *
 * No CPU frees a frame while any CPU allocates, unless the test says so. Then all frames must be
 * allocated when every CPU's allocation has failed, and no allocation may fail before. IPIs are
 * taken where a CPU lets interrupts in or waits (port.h); test_traps.c has CPUs that are
 * interrupted anywhere.
 *
 * Covers: mm/percpu/drain.c mm/percpu/refill.c mm/percpu/cache.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CPUS_MAX      8
#define FRAMES_MAX    2048

/* ThreadSanitizer is slow, and more cpus than cores wait for each other's time slices. */
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 4
#else
#define ROUNDS 12
#endif

struct layout {
	unsigned count;
	struct host_range range[3];
};

/* Odd borders, some within a word; one zone holds less than a batch. */
static const struct layout layouts[] = {
	{1, {{0x80200, 900, 0}}},
	{2, {{0x80003, 400, 0}, {0x80003 + 400, 300, 1}}},
	{3, {{0x80000, 333, 0}, {0x80000 + 333, 40, 0}, {0x80300, 433, 1}}},
};

static const struct setting {
	uint32_t capacity, batch;
} settings[] = {{0, 0}, {2, 1}, {8, 0}, {192, 64}, {FRAME_CACHE_CAPACITY_MAX, 0}};

/* Shared by the cpus of a test; each writes its own pile. */
static struct {
	struct pile {
		_Alignas(64) unsigned count;
		uint64_t frame[FRAMES_MAX];
	} pile[CPUS_MAX];
	unsigned arrived, rounds;
	uint64_t free_frames, got, moved;
	bool over;
} shared;

static struct frame_cache *cache_of(unsigned cpu)
{
	return port_area_of(cpu);
}

static void start(const struct layout *layout, struct setting setting, unsigned cpus)
{
	struct host_machine machine = {
		.cpus = cpus, .capacity = setting.capacity, .batch = setting.batch};

	host_machine_start(&machine, layout->range, layout->count);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		cache_of(cpu)->home = cpu % zones.count;
	memset(&shared, 0, sizeof(shared));
	shared.free_frames = frame_free_count();
}

static void end(void)
{
	CHECK(!frame_drain_pressure());
	frame_validate();
	CHECK_EQ(frame_free_count(), shared.free_frames);
	host_machine_end();
}

/* All cpus, which answer while they wait. */
static void meet(void)
{
	unsigned before = __atomic_fetch_add(&shared.arrived, 1, __ATOMIC_ACQ_REL);
	unsigned goal = (before / host_cpu_count + 1) * host_cpu_count;

	while (__atomic_load_n(&shared.arrived, __ATOMIC_ACQUIRE) < goal)
		port_relax();
}

static bool take(struct pile *pile)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (pfn_is_none(frame))
		return false;
	if (pile->count == FRAMES_MAX)
		port_panic("cpu %u got more frames than there are", port_cpu());
	/* Two owners of one frame would overwrite each other, and ThreadSanitizer sees it too. */
	*(uint64_t *)frame_bytes(frame) = frame.value ^ port_cpu();
	pile->frame[pile->count++] = frame.value;
	return true;
}

static void give(struct pile *pile)
{
	pfn_t frame = pfn(pile->frame[--pile->count]);

	if (*(uint64_t *)frame_bytes(frame) != (frame.value ^ port_cpu()))
		port_panic("frame %#llx has another owner than cpu %u",
			   (unsigned long long)frame.value, port_cpu());
	frame_free(frame);
}

static void give_all(struct pile *pile)
{
	while (pile->count)
		give(pile);
}

/* Asked of one cpu, while the others wait. */
static void check_all_out(unsigned round)
{
	uint64_t frames = 0;

	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		frames += shared.pile[cpu].count;
	if (frames != shared.free_frames)
		port_panic("round %u: an allocation of every cpu failed, but %llu of %llu "
			   "are out",
			   round, (unsigned long long)frames,
			   (unsigned long long)shared.free_frames);
}

/* ---- all take all ------------------------------------------------------------------------- */

static void take_all_rounds(void *argument)
{
	struct pile *pile = &shared.pile[port_cpu()];

	(void)argument;
	for (unsigned round = 0; round < shared.rounds; round++) {
		meet();
		while (take(pile))
			;
		meet();
		if (port_cpu() == round % host_cpu_count)
			check_all_out(round);
		meet();
		give_all(pile);
	}
}

static void everybody_takes_all(unsigned cpus, unsigned rounds)
{
	for (unsigned i = 0; i < LENGTH(layouts); i++)
		for (unsigned j = 0; j < LENGTH(settings); j++) {
			start(&layouts[i], settings[j], cpus);
			shared.rounds = rounds;
			host_run(take_all_rounds, NULL);
			end();
		}
}

CONCURRENT_TEST(two_cpus_take_all_to_the_last_frame)
{
	everybody_takes_all(2, 4 * ROUNDS);
}

CONCURRENT_TEST(four_cpus_take_all_to_the_last_frame)
{
	everybody_takes_all(4, ROUNDS);
}

CONCURRENT_TEST(eight_cpus_take_all_to_the_last_frame)
{
	everybody_takes_all(8, ROUNDS / 4);
}

/* ---- all but one, which keeps a full cache ------------------------------------------------- */

/* Works on something else with all it ever freed in its cache, and only relaxes now and then. */
static void sit(struct pile *pile)
{
	for (unsigned i = 0; i < 100 && take(pile); i++)
		;
	give_all(pile);
	meet();
	while (!__atomic_load_n(&shared.over, __ATOMIC_ACQUIRE)) {
		for (volatile unsigned i = 0; i < 500; i++)
			;
		port_relax();
	}
}

static void take_from_who_sits(void *argument)
{
	struct pile *pile = &shared.pile[port_cpu()];

	(void)argument;
	for (unsigned round = 0; round < shared.rounds; round++) {
		__atomic_store_n(&shared.over, false, __ATOMIC_RELAXED);
		meet();
		if (port_cpu() == 0) {
			sit(pile);
		} else {
			meet();
			while (take(pile))
				;
			if (__atomic_add_fetch(&shared.got, 1, __ATOMIC_ACQ_REL) %
				    (host_cpu_count - 1) ==
			    0)
				__atomic_store_n(&shared.over, true, __ATOMIC_RELEASE);
		}
		meet();
		if (port_cpu() == 1)
			check_all_out(round);
		meet();
		give_all(pile);
	}
}

CONCURRENT_TEST(a_cpu_at_other_work_gives_up_its_cache)
{
	for (unsigned cpus = 2; cpus <= 4; cpus += 2)
		for (unsigned i = 0; i < LENGTH(layouts); i++)
			for (unsigned j = 0; j < LENGTH(settings); j++) {
				start(&layouts[i], settings[j], cpus);
				shared.rounds = ROUNDS;
				host_run(take_from_who_sits, NULL);
				end();
			}
}

/* ---- cpus that come and go ----------------------------------------------------------------- */

static void go_and_come(void)
{
	unsigned long flags = port_irq_save();

	frame_cache_offline();
	for (unsigned i = port_cpu(); i < 3; i++)
		port_relax(); /* masked: takes no IPI, so no CPU may wait for it */
	frame_cache_online();
	port_irq_restore(flags);
}

static void take_while_cpus_go(void *argument)
{
	struct pile *pile = &shared.pile[port_cpu()];

	(void)argument;
	for (unsigned round = 0; round < shared.rounds; round++) {
		unsigned step = 0;

		meet();
		for (; take(pile); step++)
			if (port_cpu() % 2 && step % 16 == round % 16)
				go_and_come();
		/* Off line when allocations of the others fail, or back with an empty cache. */
		if (port_cpu() % 2)
			go_and_come();
		meet();
		if (port_cpu() == round % host_cpu_count)
			check_all_out(round);
		meet();
		for (; pile->count; step++) {
			give(pile);
			if (port_cpu() % 2 && step % 64 == 0)
				go_and_come();
		}
	}
}

CONCURRENT_TEST(cpus_go_off_line_and_come_back_while_others_take_all)
{
	for (unsigned cpus = 2; cpus <= 4; cpus++)
		for (unsigned i = 0; i < LENGTH(layouts); i++)
			for (unsigned j = 0; j < LENGTH(settings); j++) {
				start(&layouts[i], settings[j], cpus);
				shared.rounds = ROUNDS;
				host_run(take_while_cpus_go, NULL);
				end();
			}
}

/* ---- never short -------------------------------------------------------------------------- */

/*
 * One frame less is held than there are, by all together: each may hold its share, and its failure
 * would be wrong at any time. A share is taken and given by turns, each turn by another cpu's hands
 * too, so that frames move from cache to cache and from zone to zone.
 */
static void take_a_share(void *argument)
{
	struct pile *pile = &shared.pile[port_cpu()];
	unsigned share = (unsigned)((shared.free_frames - 1) / host_cpu_count);

	(void)argument;
	meet();
	for (unsigned round = 0; round < shared.rounds; round++) {
		while (pile->count < share)
			if (!take(pile))
				port_panic("cpu %u: no frame, with %u of a share of %u in hand",
					   port_cpu(), pile->count, share);
		for (unsigned i = 0; i < 1 + (round * 37 + port_cpu() * 11) % share; i++)
			give(pile);
	}
	give_all(pile);
}

CONCURRENT_TEST(who_keeps_to_a_share_is_never_refused)
{
	for (unsigned cpus = 2; cpus <= 4; cpus++)
		for (unsigned i = 0; i < LENGTH(layouts); i++)
			for (unsigned j = 0; j < LENGTH(settings); j++) {
				start(&layouts[i], settings[j], cpus);
				shared.rounds = 2 * ROUNDS;
				host_run(take_a_share, NULL);
				end();
			}
}

/*
 * Frames in the hands of two, and the last free one changes its place all the time: each gives one
 * back before it takes one, so there never are fewer free than one for each that takes.
 */
static void give_then_take(void *argument)
{
	struct pile *pile = &shared.pile[port_cpu()];
	unsigned rounds = 40 * shared.rounds;

	(void)argument;
	while (take(pile))
		;
	meet();
	if (pile->count)
		give(pile);
	else
		rounds = 0; /* came too late to get any */
	meet();
	for (unsigned round = 0; round < rounds; round++) {
		uint64_t last;
		unsigned at;

		if (!take(pile))
			port_panic("round %u: no frame for cpu %u, which had given one back", round,
				   port_cpu());
		/* Any of those it has, so of any zone. */
		at = round * 7 % pile->count;
		last = pile->frame[pile->count - 1];
		pile->frame[pile->count - 1] = pile->frame[at];
		pile->frame[at] = last;
		give(pile);
	}
	give_all(pile);
}

CONCURRENT_TEST(who_gives_one_back_gets_one)
{
	for (unsigned cpus = 2; cpus <= 4; cpus++)
		for (unsigned i = 0; i < LENGTH(layouts); i++)
			for (unsigned j = 0; j < LENGTH(settings); j++) {
				start(&layouts[i], settings[j], cpus);
				shared.rounds = ROUNDS / 2;
				host_run(give_then_take, NULL);
				end();
			}
}

/* ---- one takes, the others give ------------------------------------------------------------ */

#define RING 64

static struct ring {
	_Alignas(64) uint32_t written;
	uint64_t frame[RING];
	_Alignas(64) uint32_t read;
} rings[CPUS_MAX];

static bool ring_put(struct ring *ring, uint64_t frame)
{
	uint32_t written = ring->written;

	if (written - __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE) == RING)
		return false;
	ring->frame[written % RING] = frame;
	__atomic_store_n(&ring->written, written + 1, __ATOMIC_RELEASE);
	return true;
}

static bool ring_get(struct ring *ring, uint64_t *frame)
{
	uint32_t read = ring->read;

	if (__atomic_load_n(&ring->written, __ATOMIC_ACQUIRE) == read)
		return false;
	*frame = ring->frame[read % RING];
	__atomic_store_n(&ring->read, read + 1, __ATOMIC_RELEASE);
	return true;
}

/* Frames that have left cpu 0 and are not free again: cpu 0 may not count on them. */
static void take_for_all(unsigned wanted)
{
	uint64_t most = shared.free_frames - 1;
	unsigned next = 1;

	while (wanted) {
		pfn_t frame;

		if (__atomic_load_n(&shared.moved, __ATOMIC_ACQUIRE) >= most) {
			port_relax();
			continue;
		}
		frame = frame_alloc(FRAME_ANY);
		if (pfn_is_none(frame))
			port_panic("no frame, with at most %llu of %llu out",
				   (unsigned long long)most, (unsigned long long)shared.free_frames);
		__atomic_fetch_add(&shared.moved, 1, __ATOMIC_ACQ_REL);
		while (!ring_put(&rings[next], frame.value)) {
			next = next % (host_cpu_count - 1) + 1;
			port_relax();
		}
		next = next % (host_cpu_count - 1) + 1;
		wanted--;
	}
	__atomic_store_n(&shared.over, true, __ATOMIC_RELEASE);
}

static void give_what_comes(struct ring *ring)
{
	bool over;

	do {
		uint64_t frame;

		over = __atomic_load_n(&shared.over, __ATOMIC_ACQUIRE);
		while (ring_get(ring, &frame)) {
			frame_free(pfn(frame));
			__atomic_fetch_sub(&shared.moved, 1, __ATOMIC_ACQ_REL);
		}
		port_relax();
	} while (!over);
}

static void asymmetric(void *argument)
{
	(void)argument;
	if (port_cpu() == 0)
		take_for_all(shared.rounds);
	else
		give_what_comes(&rings[port_cpu()]);
}

CONCURRENT_TEST(a_cpu_that_only_takes_is_never_refused_what_others_freed)
{
	for (unsigned cpus = 2; cpus <= 4; cpus++)
		for (unsigned i = 0; i < LENGTH(layouts); i++)
			for (unsigned j = 0; j < LENGTH(settings); j++) {
				memset(rings, 0, sizeof(rings));
				start(&layouts[i], settings[j], cpus);
				shared.rounds = 400 * ROUNDS;
				host_run(asymmetric, NULL);
				end();
			}
}
