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
	const struct weak_site *site; /* of an atomic access; NULL: a plain one */
	const void *where;	      /* of a plain one: the instruction behind it */
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

static void describe(const struct access *access, bool writes, unsigned cpu, char *text, size_t size)
{
	char place[160];

	if (access->site) {
		snprintf(text, size, "atomic %s by cpu %u in %s at %s:%d", writes ? "write" : "read",
			 cpu, access->site->function, access->site->file, access->site->line);
		return;
	}
	name_place(access->where, place, sizeof(place));
	snprintf(text, size, "%s by cpu %u in %s", writes ? "write" : "read", cpu, place);
}

static _Noreturn void fail(uintptr_t address, const struct access *access, bool writes,
			   unsigned other, const struct access *earlier, bool other_wrote)
{
	char here[300], there[300];

	describe(access, writes, weak_cpu(), here, sizeof(here));
	describe(earlier, other_wrote, other, there, sizeof(there));
	weak_fail("race at %p: %s, and %s: nothing orders them", (void *)address, here, there);
}

/* ---- functions whose loads are special ----------------------------------------------------------------------------------- */

static struct {
	const char *function;
	int kind;
} special[16];
static unsigned specials;

static void make_special(const char *function, int kind)
{
	if (specials == sizeof(special) / sizeof(special[0]))
		abort();
	special[specials].function = function;
	special[specials++].kind = kind;
}

void weak_hint(const char *function, const char *reason)
{
	(void)reason;
	make_special(function, WEAK_HINT);
}

void weak_postponed(const char *function, const char *reason)
{
	(void)reason;
	make_special(function, WEAK_POSTPONED);
}

void weak_branch(const char *function, const char *reason)
{
	(void)reason;
	make_special(function, WEAK_BRANCH);
}

int races_kind(struct weak_site *site)
{
	if (site->kind == WEAK_UNKNOWN)
		site->kind = WEAK_ORDINARY;
	else
		return site->kind;
	for (unsigned i = 0; i < specials; i++)
		if (!strcmp(site->function, special[i].function))
			site->kind = special[i].kind;
	return site->kind;
}

/* ---- accesses -------------------------------------------------------------------------------- */

static bool conflicts(const struct access *earlier, const struct access *access, uint32_t ordered)
{
	return earlier->clock > ordered && !(earlier->site && access->site);
}

static void access_byte(uintptr_t address, bool writes, const struct access *access)
{
	unsigned cpu = weak_cpu();
	const struct view *view = &views[cpu];
	const struct clocks *before = writes ? &view->before_writes : &view->before_reads;
	struct byte *byte = byte_of(address);

	/* Accesses of one word are in order, so what the CPU has read there comes before. */
	if (byte->writer != cpu && conflicts(&byte->write, access, before->writes[byte->writer]) &&
	    !(byte->write.site && memory_is_known(cpu, address)))
		fail(address, access, writes, byte->writer, &byte->write, true);
	for (unsigned other = 0; writes && other < WEAK_CPUS_MAX; other++)
		if (other != cpu && conflicts(&byte->read[other], access, before->reads[other]))
			fail(address, access, writes, other, &byte->read[other], false);
	if (writes) {
		byte->write = *access;
		byte->writer = cpu;
	} else {
		byte->read[cpu] = *access;
	}
}

static void access_bytes(const void *address, size_t size, bool writes, const struct access *access)
{
	if (!weak_is_running() || !races_are_watched)
		return;
	for (size_t i = 0; i < size; i++)
		access_byte((uintptr_t)address + i, writes, access);
}

void races_atomic(const void *address, size_t size, bool writes, struct weak_site *site)
{
	struct access access = {views[weak_cpu()].clock, site, NULL};

	if (races_kind(site) != WEAK_HINT)
		access_bytes(address, size, writes, &access);
}

static void meet_atomics(const void *address, size_t size, bool writes)
{
	if (!weak_is_running())
		return;
	for (size_t i = 0; i < size; i += 4) {
		if (writes)
			memory_plain_store((uintptr_t)address + i);
		else
			memory_plain_load((uintptr_t)address + i);
	}
}

static void access_plainly(const void *address, size_t size, bool writes, const void *where)
{
	struct access access = {views[weak_cpu()].clock, NULL, where};

	access_bytes(address, size, writes, &access);
	meet_atomics(address, size, writes);
}

void races_through(const struct clocks *walked, const void *address, size_t size, bool writes)
{
	struct view *view = &views[weak_cpu()];
	struct clocks reads = view->before_reads, stores = view->before_writes;

	clocks_join(&view->before_reads, walked);
	clocks_join(&view->before_writes, walked);
	access_plainly(address, size, writes, __builtin_return_address(0));
	view->before_reads = reads;
	view->before_writes = stores;
}

void races_walk(const struct clocks *walked, const void *address, size_t size,
		struct weak_site *site)
{
	struct view *view = &views[weak_cpu()];
	struct access access = {view->clock, site, NULL};
	struct clocks reads = view->before_reads;

	clocks_join(&view->before_reads, walked);
	access_bytes(address, size, false, &access);
	view->before_reads = reads;
}

/* ---- what the compiler calls ----------------------------------------------------------------- */

#define PLAIN(name, size, writes)                                                                  \
	void __tsan_##name(void *address);                                                         \
	void __tsan_##name(void *address)                                                          \
	{                                                                                          \
		access_plainly(address, size, writes, __builtin_return_address(0));                \
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

/* Whole, and in the order of the program; that other CPUs access the word is no race. */
static struct weak_site volatile_site = {"a volatile access", "", "", 0, 0, 0, NULL, WEAK_ORDINARY};

#define VOLATILE(name, size, writes)                                                               \
	void __tsan_##name(void *address);                                                         \
	void __tsan_##name(void *address)                                                          \
	{                                                                                          \
		races_atomic(address, size, writes, &volatile_site);                               \
		meet_atomics(address, size, writes);                                               \
	}

VOLATILE(volatile_read1, 1, false)
VOLATILE(volatile_read2, 2, false)
VOLATILE(volatile_read4, 4, false)
VOLATILE(volatile_read8, 8, false)
VOLATILE(volatile_write1, 1, true)
VOLATILE(volatile_write2, 2, true)
VOLATILE(volatile_write4, 4, true)
VOLATILE(volatile_write8, 8, true)

void __tsan_read_range(void *address, long size);
void __tsan_read_range(void *address, long size)
{
	access_plainly(address, (size_t)size, false, __builtin_return_address(0));
}

void __tsan_write_range(void *address, long size);
void __tsan_write_range(void *address, long size)
{
	access_plainly(address, (size_t)size, true, __builtin_return_address(0));
}

/* ---- what the code under test calls in place of the C library ---------------------------------- */

void *weak_memset(void *to, int byte, size_t size);
void *weak_memset(void *to, int byte, size_t size)
{
	access_plainly(to, size, true, __builtin_return_address(0));
	return memset(to, byte, size);
}

void *weak_memcpy(void *to, const void *from, size_t size);
void *weak_memcpy(void *to, const void *from, size_t size)
{
	access_plainly(from, size, false, __builtin_return_address(0));
	access_plainly(to, size, true, __builtin_return_address(0));
	return memcpy(to, from, size);
}

void *weak_memmove(void *to, const void *from, size_t size);
void *weak_memmove(void *to, const void *from, size_t size)
{
	access_plainly(from, size, false, __builtin_return_address(0));
	access_plainly(to, size, true, __builtin_return_address(0));
	return memmove(to, from, size);
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
