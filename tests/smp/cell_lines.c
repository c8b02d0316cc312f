/* SPDX-License-Identifier: BSD-2-Clause */
/* cell_lines.c - see cell_lines.h. */
#include "tests/smp/cell_lines.h"

#include <stdarg.h>
#include <stdio.h>

#include "arch/riscv/hint.h"
#include "kernel/smp/cpu.h"
#include "mm/global/zone.h"
#include "mm/heap/front.h"
#include "mm/heap/kheap.h"
#include "mm/percpu/cache_private.h"

static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
	char text[128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	for (const char *c = text; *c; c++) {
		hint(HINT_NIBBLE + (*c & 15));
		hint(HINT_NIBBLE + (*c >> 4 & 15));
	}
	hint(HINT_SAID);
}

static void say_range(const void *start, uint64_t bytes, const char *whose, const char *what)
{
	if (bytes)
		say("range %llx %llx %s%s", (unsigned long long)port_phys_address(start),
		    (unsigned long long)bytes, whose, what);
}

static const char *bytes_from(const void *start, uint64_t bytes)
{
	return (const char *)start + bytes;
}

static void say_zone(const struct zone *zone)
{
	const uint8_t *locks = (const uint8_t *)zone->lock.cpus;
	const uint8_t *states = locks - zone->state_bytes;
	uint64_t cpus_bytes = port_cpu_count() * sizeof(struct spin_cpu);
	const char *frames = port_phys_pointer((zone->first + zone->reserved_frames) << FRAME_SHIFT);

	say_range(zone, sizeof(*zone), zone->name, "");
	say_range(zone->instance, zone->policy_bytes, zone->name, ".policy");
	say_range(states, zone->state_bytes, zone->name, ".state");
	say_range(locks, cpus_bytes, zone->name, ".lock.cpus");
	say_range(locks + cpus_bytes, zone->lock_bytes - cpus_bytes, zone->name, ".lock.slots");
	say_range(locks + zone->lock_bytes,
		  (uint64_t)(frames - (const char *)locks) - zone->lock_bytes, zone->name,
		  ".lock.waits");
	say_range(frames, (zone->total_frames - zone->reserved_frames) << FRAME_SHIFT, zone->name,
		  ".frames");
}

static void say_cpu(unsigned number)
{
	const struct frame_cache *cache = port_area_of(number);
	const struct cpu *cpu = cpu_of(number);
	char name[16];

	snprintf(name, sizeof(name), "cpu%u", number);
	say_range(cache, sizeof(*cache), name, ".cache");
	say_range(bytes_from(cache, KHEAP_FRONT_AT), ARCH_CPU_AREA_BYTES - KHEAP_FRONT_AT, name,
		  ".heap");
	say_range(cpu, ARCH_CPU_AREA_AT, name, ".arch");
	say_range(bytes_from(cpu, sizeof(cpu->arch)), sizeof(*cpu) - sizeof(cpu->arch), name,
		  ".block");
	say_range(cache->base - 1, (uint64_t)(cache->end - cache->base + 1) * sizeof(*cache->base),
		  name, ".cache.stack");
	say_range(cache->remote, zones.count * sizeof(*cache->remote), name, ".cache.remote");
	say_range(cache->work, sizeof(*cache->work), name, ".cache.work");
	say_range((const void *)cpu->arch.stack_low, ARCH_STACK_BYTES, name, ".stack");
}

void cell_lines_begin(unsigned number, unsigned halvings, unsigned sequence,
		      const struct workload_run *run)
{
	extern char __kernel_start[], __kernel_end[];

	say("cell %u %u %u %u", number, run->cpus, halvings, sequence);
	say_range(__kernel_start, (uint64_t)(__kernel_end - __kernel_start), "", "image");
	for (unsigned i = 0; i < zones.count; i++)
		say_zone(&zones.zone[i]);
	for (unsigned i = 0; i < run->cpus; i++)
		say_cpu(i);
	say_range(run->cpu, run->cpus * sizeof(*run->cpu), "", "results");
}

void cell_lines_join(void)
{
	say("cpu %u", port_cpu());
}

void cell_lines_work_begins(void)
{
	hint(HINT_WORK_BEGINS);
}

void cell_lines_work_ends(void)
{
	hint(HINT_WORK_ENDS);
}

void cell_lines_end(uint64_t operations)
{
	say("end %llu", (unsigned long long)operations);
}
