/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qemu_api.h - the functions of QEMU that our plugin uses, declared here because no package has
 * their header.
 *
 * The plugin interface has a version: QEMU 7.2 has version 1, QEMU 10.0 has version 4. Functions
 * that some versions lack are looked up when the plugin is loaded (plugin.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t qemu_plugin_id_t;

struct qemu_plugin_tb;	 /* a translated block: instructions that are executed in a row */
struct qemu_plugin_insn; /* an instruction of a block, while it is translated */

struct qemu_info {
	const char *target_name;
	struct {
		int min, cur;
	} version; /* of the interface: what this QEMU accepts */
};

typedef void plugin_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void plugin_executed(unsigned vcpu, void *userdata);
typedef void plugin_accessed(unsigned vcpu, uint32_t info, uint64_t address, void *userdata);
typedef void plugin_at_exit(qemu_plugin_id_t id, void *userdata);

/* What a callback does to registers of the guest, and which accesses it wants. */
enum { PLUGIN_NO_REGISTERS = 0 };
enum { PLUGIN_READS = 1, PLUGIN_WRITES = 2, PLUGIN_READS_AND_WRITES = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, plugin_translated *callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, plugin_executed *callback,
					  int registers, void *userdata);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, plugin_executed *callback,
					    int registers, void *userdata);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, plugin_accessed *callback,
				      int registers, int accesses, void *userdata);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, plugin_at_exit *callback, void *userdata);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t number);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

/* What `info` says of an access; and where it went, only within the callback. */
struct qemu_plugin_hwaddr;
unsigned qemu_plugin_mem_size_shift(uint32_t info);
bool qemu_plugin_mem_is_store(uint32_t info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(uint32_t info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *found);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *found);
