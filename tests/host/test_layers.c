/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain bare */
/*
 * test_layers.c - the statistics, the owners, the wait matrix and the trace are layers over the lock: a build can
 * leave them out.
 *
 * It is built twice: with all layers, where their symbols are there and events arrive; and with
 * -DLOCK_STATS=0 -DWAIT_MATRIX=0 -DTRACE=0, where neither is. All objects of mm/ and sync/ are linked,
 * so a symbol that one of them defines is found.
 *
 * Covers: sync/lock_stats.c sync/lock_owners.c sync/wait_matrix.c sync/trace.h
 */
#include <stdint.h>

#include "host.h"
#include "mm/frame.h"
#include "sync/lock_owners.h"
#include "sync/lock_stats.h"
#include "sync/spinlock.h"
#include "sync/trace.h"
#include "sync/wait_matrix.h"
#include "unit.h"

#define SYMBOLS_OF_LOCK_STATS(X)                                                                   \
	X(lock_stats_mode)                                                                         \
	X(lock_stats_count_timed)                                                                  \
	X(spin_stats_configure)                                                                    \
	X(spin_stats_of)                                                                           \
	X(spin_stats_add)                                                                          \
	X(spin_stats_reset)

#define SYMBOLS_OF_LOCK_OWNERS(X)                                                                  \
	X(lock_wait_on_look)                                                                       \
	X(lock_owners_bytes)                                                                       \
	X(lock_owners_start)                                                                       \
	X(lock_wait_of)                                                                            \
	X(lock_owner_of)                                                                           \
	X(lock_wait_is_deadlock)                                                                   \
	X(lock_wait_begin)                                                                         \
	X(lock_wait_restore)                                                                       \
	X(lock_wait_look)

#define SYMBOLS_OF_WAIT_MATRIX(X)                                                                  \
	X(wait_matrix_count)                                                                       \
	X(wait_matrix_reset)                                                                       \
	X(wait_matrix_configure)                                                                   \
	X(wait_matrix_bytes)                                                                       \
	X(wait_matrix_start)                                                                       \
	X(wait_matrix_exists)                                                                      \
	X(wait_matrix_read)                                                                        \
	X(spin_sites_merge)                                                                        \
	X(spin_sites_add)

/* The linker's symbol of that name, whatever the headers say of it; at address 0 if there is none. */
#define DECLARE(name) extern const char symbol_##name[] __asm__(#name) __attribute__((weak));
SYMBOLS_OF_LOCK_STATS(DECLARE)
SYMBOLS_OF_LOCK_OWNERS(DECLARE)
SYMBOLS_OF_WAIT_MATRIX(DECLARE)
#undef DECLARE

struct symbol {
	const char *name, *address;
};

#define SYMBOL(name) {#name, symbol_##name},
static const struct symbol of_lock_stats[] = {SYMBOLS_OF_LOCK_STATS(SYMBOL)};
static const struct symbol of_lock_owners[] = {SYMBOLS_OF_LOCK_OWNERS(SYMBOL)};
static const struct symbol of_wait_matrix[] = {SYMBOLS_OF_WAIT_MATRIX(SYMBOL)};
#undef SYMBOL

static void check_symbols(const struct symbol *symbols, size_t count, bool layer)
{
	for (size_t i = 0; i < count; i++)
		if ((symbols[i].address != NULL) != layer)
			unit_fail(__FILE__, __LINE__, "%s is %s, expected %s", symbols[i].name,
				  layer ? "missing" : "linked", layer ? "linked" : "missing");
}

TEST(a_layer_has_symbols_only_where_it_is_built)
{
	check_symbols(of_lock_stats, sizeof(of_lock_stats) / sizeof(of_lock_stats[0]), LOCK_STATS);
	check_symbols(of_lock_owners, sizeof(of_lock_owners) / sizeof(of_lock_owners[0]),
		      LOCK_OWNERS);
	check_symbols(of_wait_matrix, sizeof(of_wait_matrix) / sizeof(of_wait_matrix[0]),
		      WAIT_MATRIX);
}

TEST(a_layer_has_fields_only_where_it_is_built)
{
	CHECK_EQ(sizeof(struct lock_stats_cpu) != 0, LOCK_STATS);
	CHECK_EQ(sizeof(struct lock_stats_node) != 0, LOCK_STATS);
	CHECK_EQ(sizeof(struct wait_matrix_cpu) != 0, WAIT_MATRIX);
	CHECK_EQ(sizeof(struct wait_matrix_lock) != 0, WAIT_MATRIX);
	CHECK_EQ(sizeof(struct lock_owner_note) != 0, LOCK_OWNERS);
	CHECK_EQ(sizeof(struct lock_owner_node) != 0, LOCK_OWNERS);
	CHECK_EQ(sizeof(struct lock_wait_noted) != 0, LOCK_OWNERS);
}

static unsigned events;

static void count_event(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c,
			uint64_t d)
{
	(void)event;
	(void)begun;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	events++;
}

/* A refill, a flush and a run: each is an event of a build that has a trace. */
TEST(an_event_arrives_only_where_the_trace_is_built)
{
	pfn_t frame, run;

	events = 0;
	host_memory_start(1 << 20, 1);
	host_trace = count_event;
	frame = frame_alloc(FRAME_ANY);
	CHECK(!pfn_is_none(frame));
	frame_free(frame);
	frame_cache_flush();
	run = frame_alloc_run(4, 1);
	CHECK(!pfn_is_none(run));
	frame_free_run(run, 4);
	host_trace = NULL;
	host_memory_end();
	if (TRACE)
		CHECK_EQ(events, 4);
	else
		CHECK_EQ(events, 0);
}
