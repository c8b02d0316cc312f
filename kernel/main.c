/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the order of boot, on the hart that the firmware chose.
 *
 * Console, device tree, boot arguments (a bad word ends the run here), early tables, zones,
 * caches, heap, the other harts, and then what the arguments ask for. Every step that can fail
 * says what failed and ends the run with a failing verdict.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "arch/riscv/mmu.h"
#include "arch/riscv/sbi.h"
#include "kernel/boot/bootargs.h"
#include "kernel/boot/configure.h"
#include "kernel/diag/console.h"
#include "kernel/smp/cpu.h"
#include "kernel/boot/devicetree.h"
#include "kernel/boot/early.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "kernel/diag/monitor.h"
#include "kernel/boot/nodes.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "kernel/diag/trace.h"
#include "mm/frame.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "tests/smp/bench.h"
#include "tests/smp/crash.h"
#include "tests/smp/explore.h"
#include "kernel/program_memory.h"
#include "tests/smp/selftest/selftest.h"
#include "tests/smp/stress.h"
#include "tests/smp/sweep.h"
#include "tests/smp/workloads/workload.h"

/*
 * A hart has this long to come after the firmware took the order; real ones need microseconds. With many
 * harts an emulator has as many threads, which share a few cores: each may wait a turn of all others.
 */
static unsigned arrival_seconds(void)
{
	unsigned cpus = port_cpu_count();

	return cpus > 8 ? 2 + cpus : 10;
}

_Static_assert((int)BOOTARGS_LOCK_ANDERSON == (int)SPIN_ANDERSON, "one order of locks");
_Static_assert((int)BOOTARGS_LOCK_NONE == (int)SPIN_NONE, "one order of locks");
_Static_assert(BOOTARGS_NOT_GIVEN == FRAME_LOW_DEFAULT, "one word for it");
_Static_assert((int)BOOTARGS_LOCKSTAT_ALL == (int)SPIN_STATS_ALL, "one order of modes");

_Static_assert(sizeof(struct frame_cache) <= ARCH_CPU_AREA_BYTES, "the area holds the cache");
_Static_assert(sizeof(struct cpu) <= BOOT_CPU_BLOCK_BYTES, "entry.S: the boot hart's first block");

extern char __kernel_start[], __kernel_end[];

static struct devicetree tree;
static struct hart_arrival *arrivals;
static unsigned harts_usable;
struct settings settings;

static _Noreturn void refuse(void)
{
	verdict_end();
}

static uint64_t most_of(const struct bootargs_list *list)
{
	uint64_t most = 0;

	for (uint64_t i = 0; i < list->count; i++)
		if (list->value[i] > most)
			most = list->value[i];
	return most;
}

/* What the parser cannot know: what this machine has room for, and this cache can work with. */
static void check_cache(uint64_t cache)
{
	uint64_t batch = most_of(&settings.arguments.batches);
	uint64_t batch_max = cache / 2 < FRAME_CACHE_BATCH_MAX ? cache / 2 : FRAME_CACHE_BATCH_MAX;
	uint64_t cache_max = memory_ram_frames() / port_cpu_count();

	if (cache_max > UINT32_MAX / 4)
		cache_max = UINT32_MAX / 4;
	if (cache > cache_max) {
		verdict_fail("bootargs: cache=%llu: too large; valid: 0 to %llu, memory over cpus",
			     (unsigned long long)cache, (unsigned long long)cache_max);
		refuse();
	}
	if (cache && batch > batch_max) {
		verdict_fail(
			"bootargs: batch=%llu: too large; valid: 1 to %llu with caches of %llu",
			(unsigned long long)batch, (unsigned long long)batch_max,
			(unsigned long long)cache);
		refuse();
	}
}

static _Noreturn void refuse_tree(const struct devicetree_error *error)
{
	char text[128];

	devicetree_error_text(error, text, sizeof(text));
	verdict_fail("device tree: %s", text);
	refuse();
}

/* Looks at an answer that may be absent but not malformed. */
static bool found(enum devicetree_result result, const struct devicetree_error *error)
{
	if (result == DEVICETREE_MALFORMED)
		refuse_tree(error);
	return result == DEVICETREE_FOUND;
}

static void open_tree(const void *blob)
{
	struct devicetree_error error;
	phys_t finisher;
	char text[128];

	/* There are no bytes left of one that the image's were put over, or that the clearing of bss hit. */
	if ((const char *)blob >= __kernel_start && (const char *)blob < __kernel_end) {
		verdict_fail("the device tree at %p is in the kernel at [%p, %p)", blob,
			     (void *)__kernel_start, (void *)__kernel_end);
		refuse();
	}
	if (!devicetree_open(&tree, blob, SIZE_MAX, &error)) {
		devicetree_error_text(&error, text, sizeof(text));
		verdict_fail("device tree at %p: %s", blob, text);
		refuse();
	}
	if (machine_finisher(&tree, &finisher, &error) == DEVICETREE_FOUND) {
		verdict_set_finisher(finisher.value);
		kernel_space_keep_finisher(finisher.value);
	}
}

static void read_arguments(void)
{
	const char *policy_names[BOOTARGS_NAMES_MAX];
	struct bootargs_known known = {{workload_names, workload_count},
				       {policy_names, policy_count}};
	struct bootargs_error bad;
	struct devicetree_error error;
	const char *text = NULL;

	for (unsigned i = 0; i < policy_count && i < BOOTARGS_NAMES_MAX; i++)
		policy_names[i] = policies[i]->name;
	if (!found(machine_bootargs(&tree, &text, &error), &error))
		text = NULL;
	if (!bootargs_parse(text, &known, &settings.arguments, &bad)) {
		bootargs_print_error(&bad, printf);
		verdict_fail("bootargs: %.*s: %s", (int)bad.word_length, bad.word, bad.reason);
		refuse();
	}
}

/* Early memory, where the kernel can stay in the place that it is in. */
static void open_early_memory(void)
{
	bool pages = settings.arguments.paging == BOOTARGS_PAGING_ON;
	struct devicetree_error error;
	char wrong[160];

	if (!early_init(&tree, (uintptr_t)__kernel_start, (uintptr_t)__kernel_end, &error))
		refuse_tree(&error);
	if (!early_kernel_can_stay(pages, wrong, sizeof(wrong))) {
		verdict_fail("%s", wrong);
		refuse();
	}
}

/* A map that the orders of zones could not be made of is known now, before any hart is started. */
static void check_distances(void)
{
	struct devicetree_error error;
	uint32_t distance;

	(void)found(machine_numa_distance(&tree, 0, 0, &distance, &error), &error);
}

/* The tree moves next to the kernel, so that where it lay cuts no zone in two. */
static void move_tree(void)
{
	struct devicetree_error error;
	void *copy = early_alloc(tree.size, 8);

	memcpy(copy, tree.blob, tree.size);
	if (!devicetree_open(&tree, copy, tree.size, &error))
		refuse_tree(&error);
	early_tree_moved(&tree);
}

/* Counts the harts that may run; `cpus=` may ask for fewer, not for more. */
static unsigned count_harts(void)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;
	uint64_t wanted = most_of(&settings.arguments.cpu_counts);
	unsigned usable = 0;
	bool all_have_sstc = true;

	while (found(machine_next_hart(&tree, &hart, &error), &error)) {
		if (hart.unusable) {
			printf("hart %llu is left alone: %s\n", (unsigned long long)hart.id,
			       hart.unusable);
			continue;
		}
		usable++;
		all_have_sstc = all_have_sstc && machine_hart_has(&tree, &hart, "sstc");
	}
	hart_timer_has_sstc(all_have_sstc);
	if (wanted > usable) {
		verdict_fail("bootargs: cpus=%llu, but the machine has %u harts that can run",
			     (unsigned long long)wanted, usable);
		refuse();
	}
	if (usable == 0) {
		verdict_fail("device tree: no hart under /cpus is enabled and has an MMU");
		refuse();
	}
	harts_usable = usable;
	return wanted ? (unsigned)wanted : usable;
}

/* A sweep leaves out what would not do; else it was a mistake to ask for it. */
static enum spin_kind choose_lock(void)
{
	enum spin_kind lock = (enum spin_kind)settings.arguments.lock;

	if (lock != SPIN_NONE || port_cpu_count() == 1)
		return lock;
	if (settings.arguments.sweeps)
		return SPIN_FAS;
	verdict_fail("bootargs: lock=none is for one cpu, and %u would run; valid: with cpus=1",
		     port_cpu_count());
	refuse();
}

/* From below: a guard page, the stack, the emergency stack. The boot hart has its own in bss. */
static void make_stacks(struct arch_cpu *cpu)
{
	char *memory;

	if (cpu->number == 0) {
		cpu->stack_low = arch_cpu_self()->stack_low;
		cpu->emergency_top = arch_cpu_self()->emergency_top;
		return;
	}
	memory = early_alloc(ARCH_GUARD_BYTES + ARCH_STACK_BYTES + ARCH_EMERGENCY_BYTES,
			     ARCH_GUARD_BYTES);
	cpu->stack_low = (uintptr_t)memory + ARCH_GUARD_BYTES;
	cpu->stack_top = cpu->stack_low + ARCH_STACK_BYTES;
	cpu->emergency_top = cpu->stack_top + ARCH_EMERGENCY_BYTES;
}

/* Blocks and stacks for all cpus; the boot hart moves from its first block to block 0. */
static void make_cpus(unsigned count)
{
	char *blocks = early_alloc(count * sizeof(struct cpu), 64);
	uint64_t boot_hart = arch_cpu_self()->hart_id;

	arrivals = early_alloc(harts_usable * sizeof(*arrivals), 64);
	for (unsigned i = 0; i < count; i++) {
		struct cpu *cpu = (struct cpu *)blocks + i;

		cpu->arch.number = i;
		make_stacks(&cpu->arch);
	}
	((struct cpu *)blocks)->arch.hart_id = boot_hart;
	((struct cpu *)blocks)->online = 1;
	((struct cpu *)blocks)->arrival = &arrivals[harts_usable - 1]; /* the others use fewer */
	port_cpu_blocks = blocks;
	port_cpu_block_bytes = sizeof(struct cpu);
	port_cpus = count;
	arch_cpu_move((struct arch_cpu *)blocks);
}

/* Memory for every cpu's cache, in early memory; configured on its own cpu. */
static char *cache_memory;
static uint32_t cache_slots;
static size_t cache_bytes;
static unsigned cache_zone_room;

/*
 * Where the user does not say: as many frames as an adaptive cache can use, but all caches
 * together at most a sixth of memory; and never less than a calm cache wants.
 */
static uint64_t default_capacity(void)
{
	uint64_t share = memory_ram_frames() / 6 / port_cpu_count();
	uint64_t least = 2 * FRAME_CACHE_BATCH + FRAME_CACHE_SURPLUS;

	if (share < least)
		return least;
	return share < FRAME_CACHE_CAPACITY_MAX ? share : FRAME_CACHE_CAPACITY_MAX;
}

static void make_caches(void)
{
	struct bootargs_list *caches = &settings.arguments.caches;
	uint64_t most;

	if (caches->value[0] == BOOTARGS_NOT_GIVEN)
		settings.arguments.cache_frames = caches->value[0] = default_capacity();
	for (uint64_t i = 0; i < caches->count; i++)
		check_cache(caches->value[i]);
	most = most_of(caches);
	cache_slots = most ? (uint32_t)most : 1;
	cache_zone_room =
		memory_zones_at_most(); /* a sweep may make more of them than there are now */
	cache_bytes = frame_cache_bytes(cache_slots, cache_zone_room);
	cache_memory = early_alloc(port_cpu_count() * cache_bytes, 64);
	nodes_reserve();
}

/* A sweep may not take so much for its notes that it measures another machine. */
static size_t bytes_for_sweep(void)
{
	size_t bytes = sweep_bytes();

	if (bytes > memory_ram_frames() * FRAME_SIZE / 8) {
		verdict_fail(
			"bootargs: the sweep needs %zu bytes for its figures, more than an eighth "
			"of memory: fewer values, rounds= or samples=",
			bytes);
		refuse();
	}
	return bytes;
}

static void start_caches(void)
{
	for (unsigned i = 0; i < port_cpu_count(); i++)
		frame_cache_init_for(port_area_of(i), cache_memory + i * cache_bytes, cache_slots,
				     zone_largest(), cache_zone_room);
}

/* Entered by every hart but the first, on its own stack. */
void kernel_secondary(void)
{
	cpu_serve();
}

/* In the console at once, for the run may be ended before its verdict; and in the verdict. */
static void report_start(uint64_t hart_id, enum hart_start_result result, long error)
{
	char text[96];

	if (result == HART_START_OK)
		return;
	if (result == HART_START_REFUSED)
		snprintf(text, sizeof(text),
			 "hart %llu: the firmware refused to start it: error %ld",
			 (unsigned long long)hart_id, error);
	else
		snprintf(text, sizeof(text), "hart %llu was started but did not arrive within %u s",
			 (unsigned long long)hart_id, arrival_seconds());
	printf("%s\n", text);
	verdict_fail("%s", text);
}

static void report_late_start(uint64_t hart_id)
{
	printf("hart %llu was started and has not arrived yet; it has %u s\n",
	       (unsigned long long)hart_id, arrival_seconds());
}

/* In the tree's order, one after the other, so that cpu numbers are dense whoever fails. */
static void start_harts(void)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;
	unsigned next = 1, tried = 0;

	hart_is_late = report_late_start;
	while (next < port_cpu_count() && found(machine_next_hart(&tree, &hart, &error), &error)) {
		struct cpu *cpu = cpu_of(next);
		enum hart_start_result result;
		long code;

		if (hart.unusable || hart.id == cpu_self()->arch.hart_id)
			continue;
		cpu->arch.hart_id = hart.id;
		cpu->arrival = &arrivals[tried++];
		result = hart_start(hart.id, cpu->arrival, &cpu->arch,
				    arrival_seconds() * settings.timebase, &code);
		report_start(hart.id, result, code);
		if (result != HART_START_OK)
			continue;
		while (cpu_online_count() <= next)
			port_relax();
		next++;
	}
	hart_is_late = NULL; /* only cpu 0 may print now, and any cpu can start another again */
	settings.cpus = next;
}

/* Ticks of the fine clock in a second, counted over 10 ms of the coarse one. */
static void measure_clock(void)
{
	uint64_t start = hart_time(), clock = port_clock(), now;

	while ((now = hart_time()) - start < settings.timebase / 100)
		;
	settings.clock_hertz = (port_clock() - clock) * settings.timebase / (now - start);
}

/*
 * An emulator that counts in its host's time has many ticks between two reads in a row, and never
 * the same number; one that counts instructions may count a power of two for each.
 */
static void measure_counter(void)
{
	uint64_t step = 0;

	for (unsigned i = 0; i < 100; i++) {
		uint64_t first = csr_read(instret), second = csr_read(instret);

		if (i == 0)
			step = second - first;
		else if (second - first != step)
			step = 0;
	}
	settings.count_step = step;
	settings.counts_exactly = step == 1;
}

static void print_boot(void)
{
	const struct memory_account *account = memory_account();
	struct sbi_result version = sbi_spec_version();

	printf("hartframe: %u cpus, boot hart %llu, SBI %lu.%lu, timebase %llu Hz\n", settings.cpus,
	       (unsigned long long)cpu_self()->arch.hart_id, version.value >> 24,
	       version.value & 0xffffff, (unsigned long long)settings.timebase);
	printf("memory: %llu MiB in %u zone%s, %llu KiB outside of all zones (firmware, kernel, "
	       "tables)\n",
	       (unsigned long long)(account->ram_frames >> 8), zones.count,
	       zones.count == 1 ? "" : "s", (unsigned long long)(account->outside_frames << 2));
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		printf("  %s: node %u, frames [%#llx, %#llx), %s, lock %s; a frame costs "
		       "%llu.%03llu "
		       "byte of tree and 1 of state; low mark %llu\n",
		       zone->name, zone->node, (unsigned long long)zone->first,
		       (unsigned long long)(zone->first + zone->total_frames), zone->policy->name,
		       spin_kind_name(zone->lock.kind),
		       (unsigned long long)(zone->policy_bytes / zone->total_frames),
		       (unsigned long long)(zone->policy_bytes * 1000 / zone->total_frames % 1000),
		       (unsigned long long)zone->low);
	}
	if (kernel_space_frames())
		printf("paging: Sv%u, %llu frames of tables; flushes of other cpus by %s\n",
		       virt_bits(kernel_space_levels()), (unsigned long long)kernel_space_frames(),
		       shootdown_way() == SHOOTDOWN_IPI ? "IPIs" : "the firmware");
	else
		printf("paging: off\n");
	if (nodes_are_many(settings.cpus))
		nodes_print(settings.cpus);
	printf("caches: at most %u frames a cpu; a batch is %u", frame_cache_self()->capacity,
	       frame_cache_self()->batch_min);
	if (frame_cache_self()->batch_max > frame_cache_self()->batch_min)
		printf(" to %u, as contention asks", frame_cache_self()->batch_max);
	printf("; seed %llu\n", (unsigned long long)settings.arguments.seed);
}

static void record_boot(void)
{
	const struct memory_account *account = memory_account();

	record_begin("boot");
	record_number("cpus", settings.cpus);
	record_number("boot_hart", cpu_self()->arch.hart_id);
	record_number("timebase_hz", settings.timebase);
	record_number("clock_hz", settings.clock_hertz);
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

/* A hart that waits in the firmware has no timer of the explorer's that would end its turn. */
static void choose_flush(void)
{
	uint64_t asked = settings.arguments.flush;
	bool explores = bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_EXPLORE);
	bool can = mmu_can_flush_harts();

	if (asked == BOOTARGS_FLUSH_FIRMWARE && !can) {
		verdict_fail(
			"bootargs: flush=firmware: the firmware has no RFENCE extension; valid: "
			"auto, kick");
		refuse();
	}
	if (asked == BOOTARGS_FLUSH_AUTO)
		asked = can && !explores ? BOOTARGS_FLUSH_FIRMWARE : BOOTARGS_FLUSH_IPI;
	shootdown_choose(asked == BOOTARGS_FLUSH_IPI ? SHOOTDOWN_IPI : SHOOTDOWN_FIRMWARE);
}

static void boot(const void *blob)
{
	struct devicetree_error error;
	char wrong[96];

	open_tree(blob);
	settings.tree = &tree;
	read_arguments();
	open_early_memory();
	move_tree();
	check_distances();
	if (!found(machine_timebase(&tree, &settings.timebase, &error), &error)) {
		verdict_fail("device tree: /cpus has no timebase-frequency");
		refuse();
	}
	make_cpus(count_harts());
	settings.arguments.lock = choose_lock();
	wait_matrix_configure(settings.arguments.lockstat != BOOTARGS_LOCKSTAT_OFF);
	choose_flush();
	configure_reserve();
	if (!memory_collect(&tree, &error))
		refuse_tree(&error);
	if (settings.arguments.paging == BOOTARGS_PAGING_ON &&
	    !kernel_space_choose(&tree, wrong, sizeof(wrong))) {
		verdict_fail("paging: %s", wrong);
		refuse();
	}
	make_caches();
	trace_reserve();
	program_memory_reserve(port_cpu_count(), bytes_for_sweep());
	configure_first(policies[settings.arguments.policy],
			(enum spin_kind)settings.arguments.lock);
	start_caches();
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	measure_counter();
	ipi_enable();
	if (bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_EXPLORE))
		explore_prepare();
	start_harts();
	configure_cpus();
	if (settings.arguments.paging == BOOTARGS_PAGING_ON)
		kernel_space_on();
	measure_clock();
}

static void do_run(const char *name, void (*run)(void))
{
	panic_set_activity(name, NULL);
	trace_set_activity(name);
	run();
}

void kernel_main(uint64_t hart_id, const void *blob)
{
	(void)hart_id;
	trap_on_exception = panic_exception;
	trap_on_fatal = panic_without_stack;
	console_init();
	printf("\n");
	boot(blob);
	print_boot();
	record_boot();
	panic_set_activity("crash", NULL);
	if (settings.arguments.crash != BOOTARGS_CRASH_NONE)
		crash_run(settings.arguments.crash);
	if (bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_SELFTEST))
		do_run("selftest", selftest_run);
	if (bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_STRESS))
		do_run("stress", stress_run);
	if (settings.arguments.sweeps)
		do_run("sweep", sweep_run);
	else if (bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_BENCH))
		do_run("bench", bench_run);
	if (bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_MONITOR))
		do_run("monitor", monitor_run);
	if (bootargs_set_has(settings.arguments.run, BOOTARGS_RUN_EXPLORE))
		do_run("explore", explore_run);
	trace_write();
	verdict_end();
}
