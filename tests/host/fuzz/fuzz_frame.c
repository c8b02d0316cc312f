/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_frame.c - fuzz target: the frame allocator against a model that knows every frame's owner.
 *
 * The input chooses zones (odd borders, gaps or none between them, too small to be made), cpus,
 * caches, and then operations. Cpus take turns in one thread, so every figure is exact after
 * every operation: what is handed out, when it is refused, the ledger, and that a caller's
 * mistake panics with the frame's number and changes nothing. Each policy gets all of the input.
 *
 * Covers: mm/frame.c mm/percpu/ mm/global/zone.c mm/global/policies.c
 */
#include "fuzz.h"

#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "tests/host/support/policy_model.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ZONES_MAX     3
#define CPUS_MAX      4
#define SPAN_MAX      4096

enum owner {
	OWNER_NONE, /* metadata, or no RAM: never to be handed out */
	OWNER_FREE,
	OWNER_US
};

struct held {
	uint64_t first;
	uint64_t run; /* frames of a run; 0: one frame of frame_alloc() */
};

struct model {
	struct host_machine machine;
	struct host_range range[ZONES_MAX];
	unsigned zone_count;
	uint64_t first, span;
	uint8_t owner[SPAN_MAX]; /* of frame first + i */
	uint64_t total_frames, free_frames;
	struct held held[SPAN_MAX];
	unsigned held_count;
};

static struct model model;

/* ---- machines ---------------------------------------------------------------------------- */

static void choose_machine(struct fuzz_input *input)
{
	static const uint16_t capacities[] = {192, 0, 2, 3, 70, 127, 128, 1000, 1088};
	struct host_machine *machine = &model.machine;

	machine->cpus = 1 + fuzz_byte(input) % CPUS_MAX;
	machine->capacity = capacities[fuzz_byte(input) % LENGTH(capacities)];
	machine->batch = fuzz_below(input, 513);
	if (machine->batch > machine->capacity / 2)
		machine->batch = 0;
}

static void choose_zones(struct fuzz_input *input)
{
	static const uint64_t bases[] = {0x80200, 0, (UINT64_C(1) << 40) + 13};
	uint64_t next = bases[fuzz_byte(input) % LENGTH(bases)] + fuzz_byte(input);

	model.first = next;
	model.zone_count = 1 + fuzz_byte(input) % ZONES_MAX;
	for (unsigned i = 0; i < model.zone_count; i++) {
		/* The first is large enough to be made, so that there is one. */
		uint64_t count = (i ? 1 : 100) + fuzz_below(input, 800);

		model.range[i] = (struct host_range){next, count, i};
		next += count + fuzz_byte(input);
	}
	model.span = next - model.first;
	CHECK(model.span <= SPAN_MAX);
}

static void enter_zone(const struct host_range *range)
{
	uint64_t metadata = zone_metadata_frames(range->first, range->count, model.machine.policy);

	if (metadata >= range->count)
		return;
	model.total_frames += range->count;
	model.free_frames += range->count - metadata;
	memset(model.owner + (range->first + metadata - model.first), OWNER_FREE,
	       range->count - metadata);
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static void start(struct fuzz_input *input, const struct policy *policy)
{
	memset(&model, 0, sizeof(model));
	model.machine.policy = policy;
	choose_machine(input);
	choose_zones(input);
	host_machine_start(&model.machine, model.range, model.zone_count);
	/* Cpus at home in different zones, as on a machine of several nodes. */
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++)
		((struct frame_cache *)port_area_of(cpu))->home = cpu % zones.count;
	for (unsigned i = 0; i < model.zone_count; i++)
		enter_zone(&model.range[i]);
	CHECK_EQ(frame_total_count(), model.total_frames);
	CHECK_EQ(frame_free_count(), model.free_frames);
}

/* ---- the model --------------------------------------------------------------------------- */

static uint64_t frames_of(const struct held *held)
{
	return held->run ? held->run : 1;
}

FUZZ_UNTRACED static void take(struct held held)
{
	for (uint64_t i = 0; i < frames_of(&held); i++) {
		CHECK(held.first + i - model.first < model.span);
		CHECK_EQ(model.owner[held.first + i - model.first], OWNER_FREE);
		model.owner[held.first + i - model.first] = OWNER_US;
	}
	model.free_frames -= frames_of(&held);
	model.held[model.held_count++] = held;
}

static struct held give(unsigned at)
{
	struct held held = model.held[at];

	model.held[at] = model.held[--model.held_count];
	memset(model.owner + (held.first - model.first), OWNER_FREE, frames_of(&held));
	model.free_frames += frames_of(&held);
	return held;
}

/* Runs do not reach from one zone into the next, though they may be neighbours. */
FUZZ_UNTRACED static bool range_has_run(const struct host_range *range, uint64_t count,
					uint64_t align)
{
	uint64_t length = 0;

	for (uint64_t frame = range->first; frame < range->first + range->count; frame++) {
		if (model.owner[frame - model.first] != OWNER_FREE)
			length = 0;
		else if (length > 0 || (frame & (align - 1)) == 0)
			length++;
		if (length == count)
			return true;
	}
	return false;
}

/* Wherever its frames are: cpus give back cached frames for a run that needs them. */
FUZZ_UNTRACED static bool run_is_free(uint64_t count, uint64_t align)
{
	for (unsigned i = 0; i < model.zone_count; i++)
		if (range_has_run(&model.range[i], count, align))
			return true;
	return false;
}

/* ---- operations -------------------------------------------------------------------------- */

FUZZ_UNTRACED static void check_zeroed(pfn_t frame)
{
	const uint64_t *words = frame_bytes(frame);

	for (unsigned i = 0; i < FRAME_SIZE / sizeof(*words); i++)
		CHECK_EQ(words[i], 0);
}

static bool alloc_one(unsigned flags)
{
	pfn_t frame = frame_alloc(flags);

	CHECK_EQ(pfn_is_none(frame), model.free_frames == 0);
	if (pfn_is_none(frame))
		return false;
	if (flags & FRAME_ZERO)
		check_zeroed(frame);
	take((struct held){frame.value, 0});
	memset(frame_bytes(frame), 0xa5, 64);
	return true;
}

static void alloc_some(struct fuzz_input *input)
{
	unsigned count = 1 + fuzz_byte(input);

	while (count-- && alloc_one(FRAME_ANY))
		;
}

static void free_held(unsigned at)
{
	struct held held = give(at);

	if (held.run)
		frame_free_run(pfn(held.first), held.run);
	else
		frame_free(pfn(held.first));
}

/* Neighbours in the order of allocation, or far apart. */
static void free_some(struct fuzz_input *input)
{
	unsigned count = 1 + fuzz_byte(input), stride = fuzz_byte(input);
	unsigned at = fuzz_below(input, SPAN_MAX);

	while (count-- && model.held_count) {
		at = (at + stride) % model.held_count;
		free_held(at);
	}
}

static void alloc_run(struct fuzz_input *input)
{
	unsigned byte = fuzz_byte(input);
	uint64_t count = byte < 128 ? 1 + byte : 1 + fuzz_below(input, 900);
	uint64_t align = UINT64_C(1) << fuzz_byte(input) % 12;
	bool is_free = run_is_free(count, align);
	pfn_t first = frame_alloc_run(count, align);

	CHECK(is_free || pfn_is_none(first));
	if (pfn_is_none(first)) {
		CHECK(!is_free || policy_may_overlook(model.machine.policy, count, align));
		return;
	}
	CHECK_EQ(first.value & (align - 1), 0);
	CHECK(zone_of(first.value) == zone_of(first.value + count - 1));
	take((struct held){first.value, count});
}

/* To any setting that the cache's memory allows; 0 turns it off for a while. */
static void reconfigure(struct fuzz_input *input)
{
	uint32_t capacity = fuzz_below(input, model.machine.capacity + 1);
	uint32_t half = capacity / 2 < FRAME_CACHE_BATCH_MAX ? capacity / 2 : FRAME_CACHE_BATCH_MAX;

	if (capacity >= 2)
		frame_cache_configure(capacity, fuzz_below(input, half + 1));
	else
		frame_cache_configure(0, 0);
	CHECK_EQ(frame_cache_level(frame_cache_self()), 0);
}

/* ---- mistakes ---------------------------------------------------------------------------- */

static bool is_held(uint64_t first, uint64_t run)
{
	for (unsigned i = 0; i < model.held_count; i++)
		if (model.held[i].first == first && model.held[i].run == run)
			return true;
	return false;
}

static void bad_free(uint64_t frame)
{
	char number[24];

	snprintf(number, sizeof(number), "%#llx", (unsigned long long)frame);
	if (!is_held(frame, 0))
		EXPECT_PANIC(frame_free(pfn(frame)), number);
}

static void bad_free_run(uint64_t first, uint64_t count)
{
	char number[24];

	snprintf(number, sizeof(number), "%#llx", (unsigned long long)first);
	if (count == 0 || !is_held(first, count))
		EXPECT_PANIC(frame_free_run(pfn(first), count), number);
}

static void bad_address(uint64_t address)
{
	EXPECT_PANIC(frame_free_address(phys(address)), "misaligned");
}

/* From a place on, the first run that is held; or whatever is there. */
static const struct held *held_run(unsigned at)
{
	for (unsigned i = 0; i < model.held_count; i++)
		if (model.held[(at + i) % model.held_count].run)
			return &model.held[(at + i) % model.held_count];
	return &model.held[at];
}

/* A frame near the zones, or of what is held: its first, one inside, one past its end. */
static void mistake(struct fuzz_input *input)
{
	unsigned how = fuzz_byte(input);
	uint64_t frame = model.first - 8 + fuzz_below(input, (unsigned)model.span + 16);
	uint64_t count = how >> 4;

	if (how & 1 && model.held_count) {
		unsigned at = (unsigned)(frame % model.held_count);
		const struct held *held = how & 4 ? held_run(at) : &model.held[at];

		frame = held->first + (how & 2 ? frames_of(held) / (1 + (how >> 6)) : 0);
		count = held->run + count - 8;
	}
	if (how & 4)
		bad_free_run(frame, count);
	else
		bad_free(frame);
	if (how & 8)
		bad_address((frame << FRAME_SHIFT) + 1 + count % 4095);
}

/* ---- the target -------------------------------------------------------------------------- */

static void operate(struct fuzz_input *input)
{
	switch (fuzz_byte(input) % 16) {
	case 0:
	case 1:
	case 2:
		alloc_some(input);
		break;
	case 3:
	case 4:
	case 5:
		free_some(input);
		break;
	case 6:
	case 7:
		alloc_run(input);
		break;
	case 8:
	case 9:
	case 10:
		become(fuzz_byte(input) % host_cpu_count);
		break;
	case 11:
		frame_cache_flush();
		break;
	case 12:
		reconfigure(input);
		break;
	case 13:
		alloc_one(FRAME_ZERO);
		break;
	case 14:
		mistake(input);
		break;
	default:
		frame_validate();
	}
}

static void finish(void)
{
	while (model.held_count)
		free_held(model.held_count - 1);
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		become(cpu);
		frame_cache_flush();
	}
	become(0);
	frame_validate();
	CHECK_EQ(frame_cached_count(), 0);
	for (unsigned i = 0; i < zones.count; i++)
		CHECK_EQ(zone_free_frames(&zones.zone[i]),
			 zones.zone[i].total_frames - zones.zone[i].reserved_frames);
	host_machine_end();
}

static void run(const struct policy *policy, struct fuzz_input input)
{
	start(&input, policy);
	for (unsigned step = 1; !fuzz_is_over(&input); step++) {
		operate(&input);
		CHECK_EQ(frame_free_count(), model.free_frames);
		if (step % 16 == 0)
			frame_validate();
	}
	finish();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < policy_count; i++)
		run(policies[i], (struct fuzz_input){data, data + size});
	return 0;
}
