/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * demo.c - two cpus allocate, hand frames to each other, run out of memory to the last frame, and
 * give all of it back. It includes what ordinary code of a kernel includes, and no more.
 *
 * Exit status 0 and "all given back" where everything was as it must be; else a panic says what was
 * not.
 */
#include <pthread.h>
#include <stdio.h>

#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "setup.h"

#define CPUS	     2
#define FRAMES	     4096 /* 16 MiB of RAM */
#define HANDED	     500  /* frames that cpu 0 allocates and cpu 1 frees */
#define ROUNDS	     20000
#define SHORT_ROUNDS 200 /* with one frame left for both cpus */

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			port_panic("%s:%d: expected %s", __FILE__, __LINE__, #condition);          \
	} while (0)

/* ---- how a cpu waits ---------------------------------------------------------------------- */

/*
 * A cpu that waits for another one goes on answering: the other may be waiting for this cpu's
 * cached frames. frame_relax() answers, and then relaxes.
 */
static void meet(void)
{
	static unsigned arrived, meetings;
	unsigned meeting = __atomic_load_n(&meetings, __ATOMIC_ACQUIRE);

	if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == CPUS) {
		__atomic_store_n(&arrived, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&meetings, meeting + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&meetings, __ATOMIC_ACQUIRE) == meeting)
		frame_relax();
}

/* Recipe A: waiters answer, so the cpu that holds the lock may make any call. */
static void lock_answering(bool *lock)
{
	while (__atomic_test_and_set(lock, __ATOMIC_ACQUIRE))
		frame_relax();
}

/*
 * Recipe B: a lock as most kernels have it, whose waiters answer nothing. The cpu that holds it may
 * not wait for other cpus: it allocates with FRAME_NOWAIT only.
 */
static void lock_deaf(bool *lock)
{
	while (__atomic_test_and_set(lock, __ATOMIC_ACQUIRE))
		port_relax();
}

static void unlock(bool *lock)
{
	__atomic_clear(lock, __ATOMIC_RELEASE);
}

/* ---- what the two cpus share -------------------------------------------------------------- */

static bool answering, deaf; /* the two locks */
static pfn_t handed[HANDED];
static uint64_t shared_count; /* guarded by `answering` */

/* Frames on a list through their own first words. */
struct pile {
	pfn_t top;
	uint64_t count;
};

static void pile_add(struct pile *pile, pfn_t frame)
{
	*(pfn_t *)frame_bytes(frame) = pile->top;
	pile->top = frame;
	pile->count++;
}

static void pile_free(struct pile *pile, uint64_t count)
{
	for (; count; count--, pile->count--) {
		pfn_t frame = pile->top;

		pile->top = *(pfn_t *)frame_bytes(frame);
		demo_poll();
		frame_free(frame);
	}
}

static struct pile taken = {.top = PFN_NONE};

/* ---- both cpus at the same time, with plenty of memory ------------------------------------- */

static void allocate_under_locks(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pfn_t frame;

		demo_poll();
		lock_answering(&answering);
		frame = frame_alloc(FRAME_ZERO);
		shared_count++;
		unlock(&answering);
		EXPECT(!pfn_is_none(frame) && *(uint64_t *)frame_bytes(frame) == 0);
		*(uint64_t *)frame_bytes(frame) = i + 1;

		lock_deaf(&deaf);
		frame_free(frame); /* a free never waits for other cpus */
		frame = frame_alloc(FRAME_NOWAIT);
		unlock(&deaf);
		if (pfn_is_none(frame)) /* which may be although frames are free: now without the lock */
			frame = frame_alloc(FRAME_ANY);
		EXPECT(!pfn_is_none(frame));
		frame_free(frame);
	}
}

static void use_the_heap(void)
{
	char *text = kmalloc(100), *block;

	EXPECT(text);
	lock_deaf(&deaf);
	block = kmalloc_flags(5000, 64, FRAME_NOWAIT);
	unlock(&deaf);
	if (!block)
		block = kmalloc_aligned(5000, 64);
	EXPECT(block && (uintptr_t)block % 64 == 0);
	kfree(block);
	kfree(text);
}

/* ---- from cpu 0 to cpu 1: meet() orders it, as a lock or a ring would ---------------------- */

static void allocate_handed(void)
{
	for (unsigned i = 0; i < HANDED; i++) {
		handed[i] = frame_alloc(FRAME_ANY);
		EXPECT(!pfn_is_none(handed[i]));
		*(uint64_t *)frame_bytes(handed[i]) = i;
		demo_poll();
	}
}

static void free_handed(void)
{
	for (unsigned i = 0; i < HANDED; i++) {
		EXPECT(*(uint64_t *)frame_bytes(handed[i]) == i);
		frame_free(handed[i]);
		demo_poll();
	}
}

/* ---- out of memory ------------------------------------------------------------------------ */

/* The last frames lie in the cache of cpu 1. It waits in meet(), and gives them when it is asked. */
static void take_all(void)
{
	uint64_t free = frame_free_count(), cached = frame_cache_level(port_area_of(1));
	pfn_t frame;

	EXPECT(cached > 0);
	while (frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame)) {
		pile_add(&taken, frame);
		demo_poll();
	}
	EXPECT(taken.count == free);
	EXPECT(frame_free_count() == 0);
	printf("%llu frames taken, then none; %llu of them were cached by cpu 1\n",
	       (unsigned long long)taken.count, (unsigned long long)cached);
}

/* One frame is free: the cpu that has the lock gets it, whichever cpu freed it last. */
static void take_the_last_in_turn(void)
{
	for (unsigned i = 0; i < SHORT_ROUNDS; i++) {
		pfn_t frame;

		lock_answering(&answering);
		frame = frame_alloc(FRAME_ANY);
		EXPECT(!pfn_is_none(frame));
		EXPECT(pfn_is_none(frame_alloc(FRAME_ANY)));
		EXPECT(pfn_is_none(frame_alloc_run_flags(2, 1, FRAME_ANY)));
		frame_free(frame);
		unlock(&answering);
	}
}

/* The other cpu spins for the lock and answers nothing, so neither call may wait for it. */
static void take_the_last_or_nothing(void)
{
	for (unsigned i = 0; i < SHORT_ROUNDS; i++) {
		pfn_t frame;

		lock_deaf(&deaf);
		EXPECT(pfn_is_none(frame_alloc_run_flags(2, 1, FRAME_NOWAIT)));
		frame = frame_alloc(FRAME_NOWAIT);
		if (!pfn_is_none(frame))
			frame_free(frame);
		unlock(&deaf);
		demo_poll();
	}
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void run(unsigned cpu)
{
	allocate_under_locks();
	use_the_heap();
	if (cpu == 0)
		allocate_handed();
	meet();
	EXPECT(shared_count == CPUS * ROUNDS);
	if (cpu == 1)
		free_handed();
	meet();
	if (cpu == 0)
		kheap_trim(); /* an empty heap may keep a few frames, and blocks that cpu 1 has cached */
	meet();
	if (cpu == 1)
		frame_free(frame_alloc(FRAME_ANY)); /* its cache is open again, and not empty */
	meet();
	if (cpu == 0) {
		take_all();
		pile_free(&taken, 1);
	}
	meet();
	take_the_last_in_turn();
	meet();
	take_the_last_or_nothing();
	meet();
	if (cpu == 0)
		pile_free(&taken, taken.count / 2);
	meet();
	if (cpu == 1)
		pile_free(&taken, taken.count);
	meet();
}

static void *run_cpu_1(void *argument)
{
	(void)argument;
	demo_cpu_enter(1);
	run(1);
	demo_cpu_leave();
	return NULL;
}

int main(void)
{
	pthread_t thread;
	uint64_t free;

	demo_start(CPUS, FRAMES);
	demo_heap_start(FRAMES);
	free = frame_free_count();
	printf("%d cpus, %llu frames free\n", CPUS, (unsigned long long)free);
	if (pthread_create(&thread, NULL, run_cpu_1, NULL))
		port_panic("no second thread");
	run(0);
	pthread_join(thread, NULL);

	/* Nothing calls in any more: all structures are whole, and every frame is back. */
	frame_validate();
	kheap_validate();
	EXPECT(frame_free_count() == free);
	printf("all given back\n");
	return 0;
}
