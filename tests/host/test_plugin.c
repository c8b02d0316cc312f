/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_plugin.c - what QEMU's plugin needs of QEMU, and what it refuses: the plugin with a stand-in for
 * QEMU, whose symbols each test chooses.
 *
 * Covers: tools/qemu/plugin.c
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *symbol_of_qemu(void *handle, const char *name);

#define dlsym symbol_of_qemu
#include "tools/qemu/plugin.c"
#undef dlsym

#include "unit.h"

/* ---- a stand-in for QEMU, and for the other parts of the plugin ------------------------------- */

static void *cpu = &cpu;
static const char *const *hidden; /* names that dlsym() does not find, up to a NULL */
static unsigned registered;
static unsigned vcpu_executed;

static void a_function(void)
{
}

static const void *give_control(void)
{
	return &cpu;
}

static void *cpu_by_number(int number)
{
	static int cpus[3];

	return number < 3 ? &cpus[number] : NULL;
}

static void *symbol_of_qemu(void *handle, const char *name)
{
	static const struct {
		const char *name;
		void *symbol;
	} symbols[] = {{"cpu_exit", a_function},
		       {"qemu_get_cpu", cpu_by_number},
		       {"current_cpu", &cpu},
		       {"qemu_plugin_request_time_control", give_control},
		       {"qemu_plugin_update_ns", a_function}};

	(void)handle;
	for (const char *const *of = hidden; of && *of; of++)
		if (!strcmp(*of, name))
			return NULL;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (!strcmp(symbols[i].name, name))
			return symbols[i].symbol;
	return NULL;
}

void (*turns_end)(unsigned vcpu);
bool cells_measuring;

void turns_start(uint64_t instructions, uint64_t seed)
{
	(void)instructions;
	(void)seed;
}

void turns_execute(unsigned vcpu, uint64_t instructions)
{
	(void)instructions;
	vcpu_executed = vcpu;
}

void turns_choose(unsigned halvings, unsigned sequence)
{
	(void)halvings;
	(void)sequence;
}

void turns_lengthen(void)
{
}

void cells_start(const char *path, uint64_t cost)
{
	(void)path;
	(void)cost;
}

void cells_hint(unsigned vcpu, unsigned number)
{
	(void)vcpu;
	(void)number;
}

void cells_access(unsigned vcpu, uint64_t pc, uint64_t address, unsigned bytes, bool is_store)
{
	(void)vcpu;
	(void)pc;
	(void)address;
	(void)bytes;
	(void)is_store;
}

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, plugin_translated *callback)
{
	(void)id;
	(void)callback;
	registered++;
}

/* What the tests do not reach. */
#define UNREACHED(result, name, ...)                                                               \
	result name(__VA_ARGS__)                                                                   \
	{                                                                                          \
		abort();                                                                           \
	}

#pragma GCC diagnostic ignored "-Wunused-parameter"
UNREACHED(void, qemu_plugin_register_vcpu_tb_exec_cb, struct qemu_plugin_tb *tb,
	  plugin_executed *callback, int registers, void *userdata)
UNREACHED(void, qemu_plugin_register_vcpu_insn_exec_cb, struct qemu_plugin_insn *insn,
	  plugin_executed *callback, int registers, void *userdata)
UNREACHED(void, qemu_plugin_register_vcpu_mem_cb, struct qemu_plugin_insn *insn,
	  plugin_accessed *callback, int registers, int accesses, void *userdata)
UNREACHED(size_t, qemu_plugin_tb_n_insns, const struct qemu_plugin_tb *tb)
UNREACHED(struct qemu_plugin_insn *, qemu_plugin_tb_get_insn, const struct qemu_plugin_tb *tb,
	  size_t number)
UNREACHED(size_t, qemu_plugin_insn_size, const struct qemu_plugin_insn *insn)
UNREACHED(uint64_t, qemu_plugin_insn_vaddr, const struct qemu_plugin_insn *insn)
UNREACHED(uintptr_t, qemu_plugin_insn_data, const struct qemu_plugin_insn *insn, void *bytes,
	  size_t length)
UNREACHED(unsigned, qemu_plugin_mem_size_shift, uint32_t info)
UNREACHED(bool, qemu_plugin_mem_is_store, uint32_t info)
UNREACHED(struct qemu_plugin_hwaddr *, qemu_plugin_get_hwaddr, uint32_t info, uint64_t address)
UNREACHED(bool, qemu_plugin_hwaddr_is_io, const struct qemu_plugin_hwaddr *found)
UNREACHED(uint64_t, qemu_plugin_hwaddr_phys_addr, const struct qemu_plugin_hwaddr *found)

/* ---- what it says to a QEMU -------------------------------------------------------------------- */

static int install(int version, char *argument)
{
	struct qemu_info info = {.target_name = "riscv64", .version = {.cur = version}};

	return qemu_plugin_install(1, &info, 1, &argument);
}

/* What the plugin prints when it is loaded, and its exit status: it may end the process. */
static int in_a_process(int version, char *argument, char *said, size_t size)
{
	int ends[2], status;
	size_t length = 0;
	ssize_t more;
	pid_t child;

	CHECK_EQ(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		dup2(ends[1], 2);
		_exit(install(version, argument) == 0 && registered == 1 ? 0 : 3);
	}
	close(ends[1]);
	while ((more = read(ends[0], said + length, size - 1 - length)) > 0)
		length += (size_t)more;
	said[length] = '\0';
	close(ends[0]);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void takes(int version)
{
	char said[512];

	CHECK_EQ(in_a_process(version, "turn=25", said, sizeof(said)), 0);
	CHECK_EQ(said[0], '\0');
}

/* The launcher knows by the first words that this is no failure of the guest. */
static void refuses(int version, char *argument, const char *why)
{
	char said[512];

	CHECK_EQ(in_a_process(version, argument, said, sizeof(said)), 1);
	CHECK(!strncmp(said, "virtual time: ", strlen("virtual time: ")));
	CHECK(strstr(said, why) != NULL);
}

TEST(a_qemu_that_shows_all_is_taken_whatever_its_version)
{
	hidden = NULL;
	for (int version = 1; version <= 6; version++)
		takes(version);
}

TEST(a_qemu_that_may_name_the_wrong_hart_must_show_current_cpu)
{
	static const char *const names[] = {"current_cpu", NULL};

	hidden = names;
	for (int version = 1; version < INTERFACE_OF_QEMU_10; version++)
		takes(version);
	for (int version = INTERFACE_OF_QEMU_10; version <= 6; version++)
		refuses(version, "turn=25", "current_cpu");
}

/* A build that cannot load modules shows none of QEMU's own symbols. */
TEST(a_qemu_that_shows_nothing_of_its_own_may_move_the_clock_only_where_the_hart_is_right)
{
	static const char *const names[] = {"cpu_exit", "qemu_get_cpu", "current_cpu", NULL};

	hidden = names;
	takes(3);
	refuses(INTERFACE_OF_QEMU_10, "turn=25", "current_cpu");
}

TEST(a_qemu_without_any_way_to_end_a_turn_is_refused)
{
	static const char *const names[] = {"cpu_exit", "qemu_plugin_update_ns", NULL};

	hidden = names;
	refuses(1, "turn=25", "no way");
}

TEST(arguments_that_say_nothing_are_refused)
{
	hidden = NULL;
	refuses(1, "turn=0", "turn= is missing");
	refuses(1, "turn=two", "not a number");
	refuses(1, "tern=2", "no such argument");
}

TEST(the_hart_is_the_one_that_executes_and_not_the_one_that_is_told)
{
	hidden = NULL;
	CHECK_EQ(install(INTERFACE_OF_QEMU_10, "turn=25"), 0);
	for (int number = 2; number >= 0; number--) {
		cpu = cpu_by_number(number);
		on_execute(1, (void *)8);
		CHECK_EQ(vcpu_executed, (unsigned)number);
	}
}
