/* SPDX-License-Identifier: BSD-2-Clause */
/* boot_report.c - see boot_report.h. */
#include "kernel/boot/boot_report.h"

#include <port.h>
#include <stdio.h>

#include "arch/riscv/sbi.h"
#include "kernel/boot/heap_debug.h"
#include "kernel/boot/memory.h"
#include "kernel/boot/nodes.h"
#include "kernel/diag/clock.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/shootdown.h"
#include "kernel/vm/kernel_space.h"
#include "mm/frame.h"
#include "mm/global/zone.h"

void boot_report_print(void)
{
	const struct memory_account *account = memory_account();
	struct sbi_result version = sbi_spec_version();

	printf("hartframe: %u cpus", settings.cpus);
	if (settings.cpus < port_cpu_count())
		printf(" of %u (above: the harts that did not come)", port_cpu_count());
	printf(", boot hart %llu, SBI %lu.%lu, timebase %llu Hz\n",
	       (unsigned long long)cpu_self()->arch.hart_id, version.value >> 24,
	       version.value & 0xffffff, (unsigned long long)settings.timebase);
	printf("memory: %llu MiB in %u zone%s, %llu KiB outside of them (firmware, kernel)\n",
	       (unsigned long long)(account->ram_frames >> 8), zones.count,
	       zones.count == 1 ? "" : "s", (unsigned long long)(account->outside_frames << 2));
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		printf("  %s: node %u, frames [%#llx, %#llx), low mark %llu\n", zone->name,
		       zone->node, (unsigned long long)zone->first,
		       (unsigned long long)(zone->first + zone->total_frames),
		       (unsigned long long)zone->low);
	}
	printf("policy: %s, lock %s; seed %llu\n", zones.zone[0].policy->name,
	       spin_kind_name(zones.zone[0].lock.kind), (unsigned long long)settings.arguments.seed);
	if (kernel_space_frames())
		printf("paging: Sv%u, %llu frames of tables; flushes of other cpus by %s\n",
		       virt_bits(kernel_space_levels()), (unsigned long long)kernel_space_frames(),
		       shootdown_way() == SHOOTDOWN_IPI ? "IPIs" : "the firmware");
	else
		printf("paging: off\n");
	if (settings.arguments.heap == BOOTARGS_HEAP_BUDDY)
		printf("heap: a buddy under one lock, without slabs and stacks of blocks\n");
	heap_debug_print();
	if (nodes_are_many(settings.cpus))
		nodes_print(settings.cpus);
	printf("caches: at most %u frames a cpu; a batch is %u", frame_cache_self()->capacity,
	       frame_cache_self()->batch_min);
	if (frame_cache_self()->batch_max > frame_cache_self()->batch_min)
		printf(" to %u, as contention asks", frame_cache_self()->batch_max);
	printf("\n");
	if (settings.virtual_time)
		printf("time: virtual, in instructions of one cpu; turns of %llu instructions\n",
		       (unsigned long long)settings.arguments.turn);
}

void boot_report_record(void)
{
	const struct memory_account *account = memory_account();

	record_begin("boot");
	record_number("cpus", settings.cpus);
	record_number("cpus_missing", port_cpu_count() - settings.cpus);
	record_number("boot_hart", cpu_self()->arch.hart_id);
	record_number("timebase_hz", settings.timebase);
	record_number("clock_hz", settings.clock_hertz);
	clock_record();
	record_number("ram_frames", account->ram_frames);
	record_number("outside_frames", account->outside_frames);
	record_number("lost_frames", account->lost_frames);
	record_number("zones", zones.count);
	record_number("paging", kernel_space_frames() ? virt_bits(kernel_space_levels()) : 0);
	record_number("paging_frames", kernel_space_frames());
	record_string("flush", shootdown_way_name(shootdown_way()));
	record_number("cache", settings.arguments.cache_frames);
	record_string("policy", zones.zone[0].policy->name);
	record_string("lock", spin_kind_name((enum spin_kind)settings.arguments.lock));
	record_number("seed", settings.arguments.seed);
	record_end();
}
