/* SPDX-License-Identifier: BSD-2-Clause */
/* sampler.c - see sampler.h. */
#include "tests/smp/sampler.h"

#include "kernel/boot/memory.h"
#include "kernel/diag/record.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "sync/ck.h"
#include "kernel/program_memory.h"
#include "tests/smp/sweep_report.h"

/* A line of a map has to be readable: at most CHUNKS_MAX chunks, of CHUNK_FRAMES frames or more. */
#define CHUNKS_MAX   512
#define CHUNK_FRAMES 512

/* Of zone i: the chunks from map[i * CHUNKS_MAX] on. */
struct sample {
	uint64_t ns;
	const char *phase;
	bool exact;
	struct frame_ledger ledger;
	uint32_t *map;
};

static struct {
	struct sample *sample;
	unsigned wanted, taken;
} sampler;

size_t sampler_bytes(unsigned samples)
{
	size_t map = memory_zones_at_most() * CHUNKS_MAX * sizeof(uint32_t);

	return samples ? samples * (sizeof(struct sample) + map + 64) + 64 : 0;
}

/* ---- taking --------------------------------------------------------------------------------- */

static uint64_t chunk_frames(const struct zone *zone)
{
	uint64_t frames = CHUNK_FRAMES;

	while (zone->total_frames > CHUNKS_MAX * frames)
		frames *= 2;
	return frames;
}

static unsigned chunk_count(const struct zone *zone)
{
	uint64_t frames = chunk_frames(zone);

	return (unsigned)((zone->total_frames + frames - 1) / frames);
}

/* Other cpus write the states: each is whole, but may be a moment old. Without CHECKS there are none. */
static uint32_t count_free(const struct zone *zone, uint64_t start, uint64_t end)
{
	uint32_t frames = 0;

	for (uint64_t i = start; CHECKS && i < end; i++)
		frames += zone_frame_state(zone, zone->first + i) == FRAME_STATE_FREE;
	return frames;
}

static void map_zone(const struct zone *zone, uint32_t *map)
{
	uint64_t frames = chunk_frames(zone);

	for (unsigned i = 0; i < chunk_count(zone); i++) {
		uint64_t start = i * frames, end = start + frames;

		map[i] = count_free(zone, start,
				    end < zone->total_frames ? end : zone->total_frames);
	}
}

/* On cpu 0, between two of its operations. */
static void take_sample(struct workload_run *run, uint64_t done, const char *phase, bool at_rest)
{
	struct sample *sample = &sampler.sample[sampler.taken];

	sample->ns = smp_nanoseconds() - run->cpu[0].start_ns;
	sample->phase = phase;
	sample->exact = at_rest || run->cpus == 1;
	frame_ledger(&sample->ledger);
	for (unsigned i = 0; CHECKS && i < zones.count; i++)
		map_zone(&zones.zone[i], sample->map + i * CHUNKS_MAX);
	sampler.taken++;
	run->sample_due = UINT64_MAX;
	/* The next of those at 0, 1/n, 2/n ... of all operations that is still to come. */
	if (sampler.taken < sampler.wanted)
		run->sample_due = done + (run->ops + sampler.wanted - 1) / sampler.wanted;
}

/* ---- telling -------------------------------------------------------------------------------- */

static void record_common(const struct cell *cell, const char *kind, unsigned number)
{
	const struct sample *sample = &sampler.sample[number];

	record_begin(kind);
	sweep_record_settings(cell);
	record_number("sample", number);
	record_number("samples", sampler.wanted);
	record_number("ns", sample->ns);
	record_string("phase", sample->phase);
	record_bool("exact", sample->exact);
}

static void record_level(const struct cell *cell, unsigned number)
{
	const struct frame_ledger *ledger = &sampler.sample[number].ledger;

	record_common(cell, "level", number);
	record_number("free", ledger->free);
	record_number("cached", ledger->cached);
	record_number("in_flight", ledger->in_flight);
	record_number("allocated", ledger->allocated);
	record_number("reserved", ledger->reserved);
	record_number("total", ledger->total);
	record_end();
}

static void record_map(const struct cell *cell, unsigned number, unsigned zone_number)
{
	const struct zone *zone = &zones.zone[zone_number];
	const uint32_t *map = sampler.sample[number].map + zone_number * CHUNKS_MAX;

	record_common(cell, "map", number);
	record_number("zone", zone_number);
	record_number("first", zone->first);
	record_number("chunk_frames", chunk_frames(zone));
	record_numbers32("free", map, chunk_count(zone));
	record_end();
}

bool sampler_run(const struct cell *cell, unsigned samples)
{
	struct cell_run run = {.ops = cell->ops,
			       .limit_ns = 4 * cell->limit_ns, /* samples take time */
			       .stride = cell->stride,
			       .cpus = cell->configuration.cpus,
			       .sampler = take_sample};
	size_t mark = program_memory_mark();
	bool ran;

	sampler.wanted = samples;
	sampler.taken = 0;
	sampler.sample = program_memory_need(samples * sizeof(struct sample), "samples");
	for (unsigned i = 0; i < samples; i++)
		sampler.sample[i].map = program_memory_need(
			memory_zones_at_most() * CHUNKS_MAX * sizeof(uint32_t), "a map");
	ran = cell_run(cell, &run);
	for (unsigned i = 0; ran && i < sampler.taken; i++) {
		record_level(cell, i);
		for (unsigned zone = 0; CHECKS && zone < zones.count; zone++)
			record_map(cell, i, zone);
	}
	program_memory_release(mark);
	return ran;
}
