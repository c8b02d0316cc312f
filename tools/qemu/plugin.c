/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plugin.c - what QEMU loads: -plugin hartframe.so,turn=INSTRUCTIONS,seed=NUMBER
 *
 * With lines=FILE, what lines of memory cost the guest's cells is written to that file (cells.c);
 * with line=INSTRUCTIONS besides, each miss takes the hart that long.
 *
 * The guest speaks to the plugin with instructions that do nothing: `slti zero, zero, NUMBER`,
 * which the specification reserves as hints for such use (arch/riscv/hint.h has the numbers).
 *
 * How a turn is ended depends on QEMU:
 *
 * - Builds of QEMU that can load modules, such as Debian's, let plugins see the function with which
 *   QEMU itself ends the loop of a vcpu (cpu_exit).
 * - Where it is not visible, and from 9.1 on, a plugin may move the clock (qemu_plugin_update_ns).
 *   QEMU does so outside the loop of the vcpu, which therefore ends. Moved to 0, the clock stays as
 *   it is. That costs several times as much: all vcpus are kicked.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin.h"
#include "qemu_api.h"

#define EXPORTED __attribute__((visibility("default")))

/* Read by QEMU when the plugin has been loaded. Version 2 took away qemu_plugin_n_vcpus. */
EXPORTED int qemu_plugin_version;

/* The newest version of the interface that this QEMU has. */
static int interface_version;

static __attribute__((constructor)) void choose_version(void)
{
	qemu_plugin_version = dlsym(RTLD_DEFAULT, "qemu_plugin_n_vcpus") ? 1 : 2;
}

noreturn void plugin_refuse(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "virtual time: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	fflush(NULL);
	_Exit(1);
}

/* ---- the end of a turn ---------------------------------------------------------------------- */

static void (*update_ns)(const void *handle, int64_t ns);
static const void *update_handle;

static void end_by_clock(unsigned vcpu)
{
	(void)vcpu;
	update_ns(update_handle, 0);
}

static void (*exit_loop)(void *cpu);
static void *(*cpu_of)(int index);

static void end_by_exit(unsigned vcpu)
{
	exit_loop(cpu_of((int)vcpu));
}

static void find_end_of_turn(void)
{
	const void *(*control)(void) = dlsym(RTLD_DEFAULT, "qemu_plugin_request_time_control");

	update_ns = dlsym(RTLD_DEFAULT, "qemu_plugin_update_ns");
	exit_loop = dlsym(RTLD_DEFAULT, "cpu_exit");
	cpu_of = dlsym(RTLD_DEFAULT, "qemu_get_cpu");
	if (exit_loop && cpu_of) {
		turns_end = end_by_exit;
	} else if (control && update_ns) {
		update_handle = control();
		if (!update_handle)
			plugin_refuse("another plugin has the clock");
		turns_end = end_by_clock;
	} else {
		plugin_refuse(
			"this QEMU has no way for a plugin to end a turn: it needs QEMU 9.1 or "
			"later, or a build that can load modules (Debian's QEMU is one)");
	}
}

/* ---- which vcpu executes -------------------------------------------------------------------- */

/*
 * QEMU 10.0 tells a callback the vcpu that has translated the block, where one thread executes all
 * vcpus. (It takes one thread for a sign that there is one vcpu; later versions look at the number.)
 * So the vcpu is found by QEMU's own variable. That is one for each thread: it is looked up in a
 * callback, on the thread that executes the vcpus.
 *
 * What a callback is told is right in all versions with an older interface than that of 10.0, which
 * 9.2 has too.
 */
#define INTERFACE_OF_QEMU_10 4

static void **current_cpu;
static void *cpus[VCPUS_MOST];
static unsigned cpus_count;

/* Where the vcpu is the wrong one, one hart gets all turns, and the guest hangs. */
static void refuse_wrong_vcpus(void)
{
	if (interface_version < INTERFACE_OF_QEMU_10)
		return;
	if (!dlsym(RTLD_DEFAULT, "current_cpu") || !cpu_of)
		plugin_refuse(
			"this QEMU may tell a plugin the wrong hart, as QEMU 10.0 does, and hides "
			"the variable current_cpu, which has the right one: it needs QEMU before "
			"9.2, or a build that can load modules (Debian's QEMU is one)");
}

static void find_cpus(void)
{
	current_cpu = dlsym(RTLD_DEFAULT, "current_cpu");
	while (cpus_count < VCPUS_MOST && cpu_of && (cpus[cpus_count] = cpu_of((int)cpus_count)))
		cpus_count++;
}

static unsigned executing(unsigned told)
{
	static unsigned last;

	if (!cpus_count)
		find_cpus();
	if (!current_cpu || !cpus_count)
		return told;
	while (cpus[last] != *current_cpu) /* it is the next one, most of the time */
		last = (last + 1) % cpus_count;
	return last;
}

/* ---- hints of the guest --------------------------------------------------------------------- */

/* The numbers of arch/riscv/hint.h. */
#define HINT_TURNS	0x400 /* + halvings * 16 + sequence */
#define HINT_LONG_TURNS 0x430
#define HINT_NIBBLE	0x440 /* and what comes after it: cells.c */

static void on_hint(unsigned vcpu, void *number)
{
	unsigned hint = (unsigned)(uintptr_t)number;

	vcpu = executing(vcpu);
	if (hint == HINT_LONG_TURNS)
		turns_lengthen();
	else if (hint >= HINT_TURNS && hint < HINT_LONG_TURNS)
		turns_choose((hint - HINT_TURNS) / 16, hint % 16);
	else if (hint >= HINT_NIBBLE)
		cells_hint(vcpu, hint - HINT_NIBBLE);
	if (hint >= HINT_TURNS && hint <= HINT_LONG_TURNS)
		turns_end(vcpu);
}

/* The interface's function gives a pointer up to version 2, and fills memory from version 3 on. */
extern uintptr_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *bytes,
				       size_t length);

static uint32_t word_of(const struct qemu_plugin_insn *insn)
{
	uint32_t word = 0;
	uintptr_t given;

	if (qemu_plugin_insn_size(insn) != sizeof(word))
		return 0;
	given = qemu_plugin_insn_data(insn, &word, sizeof(word));
	if (interface_version < 3)
		memcpy(&word, (const void *)given, sizeof(word));
	return word;
}

/* ---- accesses to memory --------------------------------------------------------------------- */

static bool watches_memory;

/* Of QEMU's machine virt: below are devices. */
#define RAM_START  UINT64_C(0x80000000)
/* From here on an address is not its own physical one: the kernel's map is below (kernel_map.h). */
#define UPPER_HALF (UINT64_C(1) << 63)

/* In `userdata`, beside the address of the instruction, which is even. */
#define TAKES_LINE 1

/* False: it is no memory, but a device. */
static bool physical_address(uint32_t info, uint64_t *address)
{
	const struct qemu_plugin_hwaddr *found;

	if (*address < UPPER_HALF)
		return *address >= RAM_START;
	found = qemu_plugin_get_hwaddr(info, *address);
	if (!found || qemu_plugin_hwaddr_is_io(found))
		return false;
	*address = qemu_plugin_hwaddr_phys_addr(found);
	return true;
}

static void on_access(unsigned vcpu, uint32_t info, uint64_t address, void *userdata)
{
	uint64_t pc = (uintptr_t)userdata & ~(uintptr_t)TAKES_LINE;
	bool takes = (uintptr_t)userdata & TAKES_LINE;

	if (!cells_measuring || !physical_address(info, &address))
		return;
	cells_access(executing(vcpu), pc, address, 1u << qemu_plugin_mem_size_shift(info),
		     takes || qemu_plugin_mem_is_store(info));
}

/*
 * AMOs, LR and SC: QEMU loads and stores one after the other, and a machine takes the line to write
 * to it once, before the load.
 */
static bool is_atomic(uint32_t word)
{
	return (word & 0x7f) == 0x2f;
}

static void watch_memory(struct qemu_plugin_insn *insn, uint32_t word)
{
	uintptr_t userdata = qemu_plugin_insn_vaddr(insn) | (is_atomic(word) ? TAKES_LINE : 0);

	qemu_plugin_register_vcpu_mem_cb(insn, on_access, PLUGIN_NO_REGISTERS,
					 PLUGIN_READS_AND_WRITES, (void *)userdata);
}

/* ---- translation ---------------------------------------------------------------------------- */

static void on_execute(unsigned vcpu, void *instructions)
{
	turns_execute(executing(vcpu), (uintptr_t)instructions);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_execute, PLUGIN_NO_REGISTERS,
					     (void *)(uintptr_t)count);
	for (size_t i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint32_t word = word_of(insn);

		if ((word & 0xfffff) == 0x2013) /* slti zero, zero */
			qemu_plugin_register_vcpu_insn_exec_cb(insn, on_hint, PLUGIN_NO_REGISTERS,
							       (void *)(uintptr_t)(word >> 20));
		if (watches_memory)
			watch_memory(insn, word);
	}
}

/* ---- arguments ------------------------------------------------------------------------------ */

static uint64_t number_of(const char *argument, const char *key)
{
	const char *text = argument + strlen(key);
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!*text || *end)
		plugin_refuse("%s: not a number", argument);
	return value;
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int count,
				 char **arguments)
{
	uint64_t turn = 0, seed = 1, line = 0;
	const char *lines = NULL;

	for (int i = 0; i < count; i++) {
		if (strncmp(arguments[i], "turn=", 5) == 0)
			turn = number_of(arguments[i], "turn=");
		else if (strncmp(arguments[i], "seed=", 5) == 0)
			seed = number_of(arguments[i], "seed=");
		else if (strncmp(arguments[i], "lines=", 6) == 0)
			lines = arguments[i] + 6;
		else if (strncmp(arguments[i], "line=", 5) == 0)
			line = number_of(arguments[i], "line=");
		else
			plugin_refuse("%s: no such argument; valid: turn= seed= lines= line=",
				      arguments[i]);
	}
	if (!turn)
		plugin_refuse("turn= is missing, or 0");
	interface_version = info->version.cur;
	find_end_of_turn();
	refuse_wrong_vcpus();
	turns_start(turn, seed);
	if (lines)
		cells_start(lines, line);
	watches_memory = lines != NULL;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
