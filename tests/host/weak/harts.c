/* SPDX-License-Identifier: BSD-2-Clause */
/* harts.c - see harts.h: registers and firmware. */
#include "tests/host/weak/harts.h"

#include <port.h>

#include <string.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/mmu.h"
#include "arch/riscv/sbi.h"
#include "arch/riscv/trap.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "tests/host/weak/mmus.h"
#include "tests/host/weak/model.h"

#define HART_OF(n) (40 + (n)) /* no hart has the number of a CPU */

struct hart {
	bool stopped;
	uint64_t stopped_at, started_at, ipi_at, answered_at; /* instants */
	struct hart_arrival *arrival;			      /* what the firmware hands over */
};

struct settings settings;
trap_hook *trap_on_software;
struct hart_arrival *hart_awaited;

static struct cpu cpus[WEAK_CPUS_MAX];
static struct hart harts[WEAK_CPUS_MAX];
static struct hart_arrival arrivals[WEAK_CPUS_MAX];

static struct hart *self(void)
{
	return &harts[host_self->number];
}

static unsigned cpu_of_hart(uint64_t hart)
{
	return (unsigned)(hart - HART_OF(0));
}

struct arch_cpu *arch_cpu_self(void)
{
	return &cpus[host_self->number].arch;
}

struct cpu *cpu_of(unsigned number)
{
	return &cpus[number];
}

void cpu_check_may_wait(const char *doing)
{
	if (weak_is_masked())
		weak_fail("cpu %u %s with interrupts masked", host_self->number, doing);
}

void harts_start(unsigned count)
{
	memset(cpus, 0, sizeof(cpus));
	memset(harts, 0, sizeof(harts));
	mmus_start(MMU_OFF);
	memset(arrivals, 0, sizeof(arrivals));
	settings.cpus = count;
	settings.timebase = UINT64_C(1) << 40; /* nothing takes that long */
	for (unsigned cpu = 0; cpu < count; cpu++) {
		cpus[cpu].arch = (struct arch_cpu){.number = cpu, .hart_id = HART_OF(cpu)};
		cpus[cpu].arrival = &arrivals[cpu];
		harts[cpu].stopped = cpu > 0;
	}
}

void harts_start_all(unsigned count)
{
	harts_start(count);
	mmus_start(HARTS_KERNEL_SATP);
	for (unsigned cpu = 0; cpu < count; cpu++)
		harts[cpu].stopped = false;
}

/* ---- registers ------------------------------------------------------------------------------- */

uint64_t harts_read_time(void)
{
	return weak_clock();
}

uint64_t harts_read_sstatus(void)
{
	return weak_is_masked() ? 0 : SSTATUS_SIE;
}

void harts_write_CSR_STIMECMP(uint64_t value)
{
	(void)value;
}

void harts_set_sie(uint64_t bits)
{
	(void)bits;
}

void harts_clear_sie(uint64_t bits)
{
	(void)bits;
}

void harts_set_sstatus(uint64_t bits)
{
	if (bits & SSTATUS_SIE)
		weak_irq_restore(false);
}

/* The pending bit is gone: from here on the hart could see what was before the IPI. */
void harts_clear_sip(uint64_t bits)
{
	(void)bits;
	weak_device_in(self()->ipi_at);
}

void harts_wait(void)
{
	weak_sleep(WEAK_SITE("wfi", 0, 0));
}

void trap_window(void)
{
}

void harts_interrupted(unsigned cpu)
{
	struct trap_frame frame;

	(void)cpu;
	memset(&frame, 0, sizeof(frame));
	host_self->in_trap = true;
	arch_cpu_self()->trap_depth++;
	trap_on_software(&frame);
	arch_cpu_self()->trap_depth--;
	host_self->in_trap = false;
}

/* ---- the firmware ---------------------------------------------------------------------------- */

static const struct sbi_result done = {0, 0};

static void reach(uint64_t cpu)
{
	if (!harts[cpu].stopped)
		weak_interrupt((unsigned)cpu);
}

struct sbi_result sbi_send_ipi(uint64_t mask, uint64_t first_hart)
{
	for (; mask; mask &= mask - 1) {
		unsigned cpu = cpu_of_hart(first_hart + (unsigned)__builtin_ctzll(mask));

		harts[cpu].ipi_at = weak_device_out(reach, cpu,
						    WEAK_SITE("the firmware: an IPI", 0, 0));
	}
	return done;
}

static void start(uint64_t cpu)
{
	harts[cpu].stopped = false;
	weak_wake((unsigned)cpu);
}

struct sbi_result sbi_hart_start(uint64_t hart_id, uint64_t address, uint64_t opaque)
{
	unsigned cpu = cpu_of_hart(hart_id);

	(void)address;
	if (!harts[cpu].stopped)
		return (struct sbi_result){-6, 0};
	harts[cpu].arrival = (struct hart_arrival *)(uintptr_t)opaque;
	harts[cpu].started_at = weak_device_out(start, cpu,
						WEAK_SITE("the firmware: a start", 0, 0));
	return done;
}

static void stop(uint64_t cpu)
{
	harts[cpu].stopped = true;
	weak_interrupt_lost((unsigned)cpu);
}

struct sbi_result sbi_hart_status(uint64_t hart_id)
{
	const struct hart *hart = &harts[cpu_of_hart(hart_id)];

	weak_watch_devices();
	if (hart->stopped)
		weak_device_in(hart->stopped_at);
	return (struct sbi_result){0, hart->stopped ? SBI_HART_STOPPED : SBI_HART_STARTED};
}

struct sbi_result sbi_hart_suspend(uint64_t resume, uint64_t opaque)
{
	(void)resume;
	(void)opaque;
	weak_sleep(WEAK_SITE("suspended", 0, 0));
	return done;
}

bool sbi_has(enum sbi_extension extension)
{
	(void)extension;
	return true;
}

struct sbi_result sbi_set_timer(uint64_t when_ticks)
{
	(void)when_ticks;
	return done;
}

struct sbi_result sbi_hart_stop(void)
{
	return done;
}

void secondary_entry(void);
void leave_entry(void);

void leave_entry(void)
{
}

/* entry.S: what the hart does with what the starter has written. */
void secondary_entry(void)
{
	struct hart *hart = self();

	weak_device_in(hart->started_at);
	weak_fence(WEAK_SITE("entry.S: fence ior, rw", WEAK_I | WEAK_O | WEAK_R, WEAK_RW));
	weak_fence(WEAK_SITE("entry.S: amoswap.aqrl, release", WEAK_RW, WEAK_RW));
	if (weak_rmw(&hart->arrival->state, 4, WEAK_SWAP, HART_ARRIVED,
		     WEAK_SITE("entry.S: arrival->state", 0, 0)))
		weak_fail("cpu %u comes in, and was given up", host_self->number);
	weak_fence(WEAK_SITE("entry.S: amoswap.aqrl, acquire", WEAK_RW, WEAK_RW));
	if (hart->arrival->block != &cpus[host_self->number].arch)
		weak_fail("cpu %u comes in as another", host_self->number);
}

/* hart_stop.S */
long hart_stop_here(uint32_t *word, uint32_t said)
{
	unsigned cpu = host_self->number;

	weak_fence(WEAK_SITE("hart_stop.S: fence iorw, ow", WEAK_I | WEAK_O | WEAK_RW,
			     WEAK_O | WEAK_W));
	weak_store(word, 4, said, WEAK_SITE("hart_stop.S: *word", 0, 0));
	weak_fence(WEAK_SITE("hart_stop.S: fence rw, ow", WEAK_RW, WEAK_O | WEAK_W));
	harts[cpu].stopped_at = weak_device_out(stop, cpu, WEAK_SITE("the firmware: a stop", 0, 0));
	while (harts[cpu].stopped)
		weak_sleep(WEAK_SITE("stopped", 0, 0));
	secondary_entry();
	return 0;
}

void harts_serve(unsigned cpu)
{
	weak_irq_save();
	while (harts[cpu].stopped)
		weak_sleep(WEAK_SITE("not started", 0, 0));
	secondary_entry();
	cpu_serve();
}

/* The firmware's own code on the other hart: fences, SFENCE.VMA, and its answer. */
static void fence_remotely(uint64_t cpu)
{
	mmus_drop((unsigned)cpu);
	harts[cpu].answered_at = weak_remote_fence((unsigned)cpu);
}

struct sbi_result sbi_remote_sfence(uint64_t mask, uint64_t first_hart, uint64_t start_at,
				    uint64_t bytes)
{
	(void)start_at;
	(void)bytes;
	for (; mask; mask &= mask - 1) {
		unsigned cpu = cpu_of_hart(first_hart + (unsigned)__builtin_ctzll(mask));

		if (harts[cpu].stopped) {
			weak_device_in(harts[cpu].stopped_at); /* the firmware has seen that */
			return (struct sbi_result){-3, 0};
		}
		weak_device_out(fence_remotely, cpu, WEAK_SITE("the firmware: a flush", 0, 0));
		weak_device_in(harts[cpu].answered_at);
	}
	return done;
}
