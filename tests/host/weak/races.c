/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * races.c - plain accesses, and the calls that the compiler puts before them.
 *
 * The compiler believes that it builds for ThreadSanitizer; the functions are ours. Each byte has the
 * clocks of its last write and of each CPU's last read. An access conflicts with an earlier one of
 * another CPU if one of the two writes and one of them is plain. Then the earlier one's clock must be
 * among those that are ordered before accesses of this kind by this CPU (struct view). If it is not,
 * a real machine could do the two in either order.
 */
#include "tests/host/weak/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS (1u << 16)

struct access {
	uint32_t clock;
	bool is_atomic;
	const void *where;
};

struct byte {
	struct access write;
	unsigned writer;
	struct access read[WEAK_CPUS_MAX];
};

struct word {
	uintptr_t address;
	uint32_t execution;
	struct byte *byte[8];
};

bool races_are_watched = true;

static struct word words[WORDS];
static struct byte *bytes;
static uint32_t bytes_used, execution, words_used;

#define BYTES (1u << 18)

void races_reset(void)
{
	execution++;
	bytes_used = words_used = 0;
	if (!bytes)
		bytes = calloc(BYTES, sizeof(*bytes));
	if (!bytes)
		abort();
}

static struct word *word_of(uintptr_t address)
{
	uint32_t at = (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 40) % WORDS;

	for (;; at = (at + 1) % WORDS) {
		struct word *word = &words[at];

		if (word->execution != execution) {
			if (++words_used > WORDS / 2)
				weak_fail("plain accesses to more than %u words", WORDS / 2);
			memset(word, 0, sizeof(*word));
			word->address = address;
			word->execution = execution;
			return word;
		}
		if (word->address == address)
			return word;
	}
}

static struct byte *byte_of(uintptr_t address)
{
	struct word *word = word_of(address & ~UINT64_C(7));
	struct byte **byte = &word->byte[address & 7];

	if (*byte)
		return *byte;
	if (bytes_used == BYTES)
		weak_fail("plain accesses to more than %u bytes", BYTES);
	*byte = &bytes[bytes_used++];
	memset(*byte, 0, sizeof(**byte));
	return *byte;
}

/* "function at file:line", by the tools of the host; or the address. */
static void name_place(const void *where, char *text, size_t size)
{
	char command[200];
	FILE *names;

	snprintf(text, size, "%p", where);
	snprintf(command, sizeof(command), "addr2line -s -f -p -e /proc/%d/exe %p 2>/dev/null",
		 (int)getpid(), (const char *)where - 1);
	names = weak_is_quiet ? NULL : popen(command, "r");
	if (!names)
		return;
	if (fgets(text, (int)size, names))
		text[strcspn(text, "\n")] = 0;
	pclose(names);
}

static _Noreturn void fail(uintptr_t address, bool writes, bool is_atomic, const void *where,
			   unsigned other, const struct access *earlier, bool other_wrote)
{
	char here[160], there[160];

	name_place(where, here, sizeof(here));
	name_place(earlier->where, there, sizeof(there));
	weak_fail("race: %s%s of %p by cpu %u in %s, and %s%s by cpu %u in %s: nothing orders them",
		  is_atomic ? "atomic " : "", writes ? "write" : "read", (void *)address, weak_cpu(),
		  here, earlier->is_atomic ? "atomic " : "", other_wrote ? "write" : "read", other,
		  there);
}

static bool conflicts(const struct access *earlier, bool is_atomic, uint32_t ordered)
{
	return earlier->clock > ordered && !(earlier->is_atomic && is_atomic);
}

static void access_byte(uintptr_t address, bool writes, bool is_atomic, const void *where)
{
	unsigned cpu = weak_cpu();
	const struct view *view = &views[cpu];
	const struct clocks *before = writes ? &view->before_writes : &view->before_reads;
	struct byte *byte = byte_of(address);
	struct access access = {view->clock, is_atomic, where};

	if (byte->writer != cpu && conflicts(&byte->write, is_atomic, before->writes[byte->writer]))
		fail(address, writes, is_atomic, where, byte->writer, &byte->write, true);
	for (unsigned other = 0; writes && other < WEAK_CPUS_MAX; other++)
		if (other != cpu && conflicts(&byte->read[other], is_atomic, before->reads[other]))
			fail(address, writes, is_atomic, where, other, &byte->read[other], false);
	if (writes) {
		byte->write = access;
		byte->writer = cpu;
	} else {
		byte->read[cpu] = access;
	}
}

void races_access(const void *address, size_t size, bool writes, bool is_atomic, const void *where)
{
	if (!weak_is_running() || !races_are_watched)
		return;
	for (size_t i = 0; i < size; i++)
		access_byte((uintptr_t)address + i, writes, is_atomic, where);
}

/* ---- what the compiler calls ----------------------------------------------------------------- */

#define PLAIN(name, size, writes)                                                                  \
	void __tsan_##name(void *address);                                                         \
	void __tsan_##name(void *address)                                                          \
	{                                                                                          \
		races_access(address, size, writes, false, __builtin_return_address(0));           \
	}

PLAIN(read1, 1, false)
PLAIN(read2, 2, false)
PLAIN(read4, 4, false)
PLAIN(read8, 8, false)
PLAIN(read16, 16, false)
PLAIN(write1, 1, true)
PLAIN(write2, 2, true)
PLAIN(write4, 4, true)
PLAIN(write8, 8, true)
PLAIN(write16, 16, true)
PLAIN(unaligned_read2, 2, false)
PLAIN(unaligned_read4, 4, false)
PLAIN(unaligned_read8, 8, false)
PLAIN(unaligned_read16, 16, false)
PLAIN(unaligned_write2, 2, true)
PLAIN(unaligned_write4, 4, true)
PLAIN(unaligned_write8, 8, true)
PLAIN(unaligned_write16, 16, true)

void __tsan_read_range(void *address, long size);
void __tsan_read_range(void *address, long size)
{
	races_access(address, (size_t)size, false, false, __builtin_return_address(0));
}

void __tsan_write_range(void *address, long size);
void __tsan_write_range(void *address, long size)
{
	races_access(address, (size_t)size, true, false, __builtin_return_address(0));
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}
