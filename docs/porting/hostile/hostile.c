/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile.c - a kernel with its own names uses mm/ for frames, and its own kalloc and kfree.
 *
 * It includes mm/frame.h before its own header, or after it with -DOWN_FIRST, and is linked with mm/
 * but for mm/heap/ and mm/paging/. That it compiles and links is most of the test
 * (tools/check_porting.py). Exit status 0: and it works.
 */
#if defined(OWN_FIRST)
#include "docs/porting/hostile/kernel.h"
#endif

#include "mm/frame.h"
#include "mm/percpu/drain.h"

#include "docs/porting/hostile/kernel.h"

#include "docs/porting/posix/setup.h"

#define FRAMES 700

int puts(const char *text);
void abort(void) __attribute__((noreturn));

/* Its macros and structures are still its own. */
_Static_assert(check(2) == 42 && assert(3) == 6 && NONE == 0 && ROOT == 1, "macros");
_Static_assert(sizeof(ASSERTS) == sizeof("another kernel's"), "ASSERTS");
_Static_assert(sizeof(struct spinlock) == 24 && sizeof(struct zone) == 8, "structures");
_Static_assert(sizeof(struct buddy) == 4 && sizeof(struct barrier) == 4, "structures");

static struct spinlock kalloc_lock;
static uint fills; /* calls of its memset, mm/'s among them */

void panic(char *text)
{
	puts(text);
	abort();
}

void *memset(void *to, int byte, uint bytes)
{
	volatile uchar *next = to;

	fills++;
	while (bytes--)
		*next++ = (uchar)byte;
	return to;
}

void *memmove(void *to, const void *from, uint bytes)
{
	volatile uchar *next = to;
	const uchar *byte = from;

	if (next > byte && next < byte + bytes)
		panic("memmove: overlap");
	while (bytes--)
		*next++ = *byte++;
	return to;
}

int memcmp(const void *a, const void *b, uint bytes)
{
	const volatile uchar *x = a, *y = b;

	for (; bytes; bytes--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void push_off(void)
{
}

void pop_off(void)
{
}

void initlock(struct spinlock *lock, char *name)
{
	lock->locked = 0;
	lock->name = name;
	lock->cpu = NULL;
}

void acquire(struct spinlock *lock)
{
	if (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE)) /* there is one cpu */
		panic("acquire: held");
}

void release(struct spinlock *lock)
{
	__atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}

int holding(struct spinlock *lock)
{
	return lock->locked != 0;
}

void *kalloc(void)
{
	pfn_t frame = frame_alloc(FRAME_ZERO);

	return pfn_is_none(frame) ? NULL : frame_bytes(frame);
}

void kfree(void *page)
{
	frame_free_address(phys(port_phys_address(page)));
}

int main(void)
{
	uint64 free, taken = 0;
	void **all = NULL, **page;
	pfn_t run;

	demo_start(1, FRAMES);
	initlock(&kalloc_lock, "kalloc");
	free = frame_free_count();
	acquire(&kalloc_lock);
	while ((page = kalloc()) != NULL) {
		if (page[PGSIZE / sizeof(*page) - 1])
			panic("a page is not zeroed");
		*page = all;
		all = page;
		taken++;
	}
	release(&kalloc_lock);
	if (holding(&kalloc_lock) || taken != free || frame_free_count() != 0)
		panic("not all frames were to be had");
	while ((page = all) != NULL) {
		all = *page;
		kfree(page);
	}
	run = frame_alloc_run(8, 8);
	if (pfn_is_none(run) || run.value % 8)
		panic("no run");
	frame_free_run(run, 8);
	frame_validate();
	if (frame_free_count() != free || fills == 0)
		panic("frames are missing, or mm/ has another memset");
	return puts("a kernel with its own names: ok") < 0;
}
