/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plugin.c - what QEMU loads: -plugin hartframe.so,turn=INSTRUCTIONS,seed=NUMBER
 *
 * The guest speaks to the plugin with instructions that do nothing: `slti zero, zero, NUMBER`,
 * which the specification reserves as hints for such use (arch/riscv/hint.h has the numbers).
 *
 * How a turn is ended depends on QEMU:
 *
 * - From 9.1 on, a plugin may move the clock (qemu_plugin_update_ns). QEMU does so outside the
 *   loop of the vcpu, which therefore ends. Moved to 0, the clock stays as it is.
 * - Before that, the function with which QEMU itself ends the loop (cpu_exit) is called. Builds of
 *   QEMU that can load modules, such as Debian's, let plugins see it.
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
	if (control && update_ns) {
		update_handle = control();
		if (!update_handle)
			plugin_refuse("another plugin has the clock");
		turns_end = end_by_clock;
	} else if (exit_loop && cpu_of) {
		turns_end = end_by_exit;
	} else {
		plugin_refuse(
			"this QEMU has no way for a plugin to end a turn: it needs QEMU 9.1 or "
			"later, or a build that can load modules (Debian's QEMU is one)");
	}
}

/* ---- hints of the guest --------------------------------------------------------------------- */

/* The numbers of arch/riscv/hint.h. */
#define HINT_TURNS	0x400 /* + halvings * 16 + sequence */
#define HINT_LONG_TURNS 0x430

static void on_hint(unsigned vcpu, void *number)
{
	unsigned hint = (unsigned)(uintptr_t)number;

	if (hint == HINT_LONG_TURNS)
		turns_lengthen();
	else if (hint >= HINT_TURNS && hint < HINT_LONG_TURNS)
		turns_choose((hint - HINT_TURNS) / 16, hint % 16);
	else
		return;
	turns_end(vcpu);
}

/* The interface's function gives a pointer up to version 2, and fills memory from version 3 on. */
static int interface_version;
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

/* ---- translation ---------------------------------------------------------------------------- */

static void on_execute(unsigned vcpu, void *instructions)
{
	turns_execute(vcpu, (uintptr_t)instructions);
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
	uint64_t turn = 0, seed = 1;

	for (int i = 0; i < count; i++) {
		if (strncmp(arguments[i], "turn=", 5) == 0)
			turn = number_of(arguments[i], "turn=");
		else if (strncmp(arguments[i], "seed=", 5) == 0)
			seed = number_of(arguments[i], "seed=");
		else
			plugin_refuse("%s: no such argument; valid: turn= seed=", arguments[i]);
	}
	if (!turn)
		plugin_refuse("turn= is missing, or 0");
	interface_version = info->version.cur;
	find_end_of_turn();
	turns_start(turn, seed);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
