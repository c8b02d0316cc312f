/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - what the parts of the weak-memory explorer share: the memory (locations.c, memory.c,
 * stores.c, late.c, fences.c, devices.c), plain accesses (races.c), the CPUs (schedule.c), the choices that make
 * an execution (choices.c), many executions (runs.c), and what is printed (story.c).
 *
 * Stamps number the performed stores of an execution from 1 on; stamp 0 is before all of them.
 */
#pragma once

#include "tests/host/weak/weak.h"

/* ---- orders ---------------------------------------------------------------------------------- */

/* A fence is a set of pairs: accesses of one kind before it, and of another kind after it. */
enum weak_pair {
	PAIR_RR = 1 << 0,
	PAIR_RW = 1 << 1,
	PAIR_WR = 1 << 2,
	PAIR_WW = 1 << 3,
	PAIR_RO = 1 << 4, /* memory before a device */
	PAIR_WO = 1 << 5,
	PAIR_IR = 1 << 6, /* a device before memory */
	PAIR_IW = 1 << 7,
	PAIR_WALKS = 1 << 8 /* stores before walks */
};

/*
 * clocks: of each CPU, how many of its accesses are ordered before something: its reads, and its
 * writes. A CPU's own clock counts its fences and atomic accesses.
 */
struct clocks {
	uint32_t reads[WEAK_CPUS_MAX], writes[WEAK_CPUS_MAX];
};

void clocks_join(struct clocks *into, const struct clocks *from);

/* ---- memory ---------------------------------------------------------------------------------- */

struct store {
	uint64_t value;
	uint32_t stamp;
	unsigned cpu;		  /* WEAK_CPUS_MAX: before the execution, or by a plain access */
	struct clocks message;	  /* what is ordered before it */
	struct weak_fence *fence; /* the last one before it that orders something before writes */
	struct store *older;
};

struct location {
	uintptr_t address;
	unsigned size;
	uint32_t execution; /* not this one: the slot is free */
	struct store *newest;
	uint32_t seen[WEAK_CPUS_MAX];  /* no CPU reads what is older than it has read or written */
	unsigned stale[WEAK_CPUS_MAX]; /* loads in a row that read an older store */
	struct clocks accessed;	       /* what is ordered before a later store */
};

/* A store that its CPU has executed and that is not performed. */
struct waiting {
	struct location *location;
	uint64_t value;
	uint32_t number, group; /* groups are performed one after the other */
	struct clocks message;
	struct weak_fence *fence;
	struct weak_site *site;
	unsigned depends_on; /* on this late load; 0: on none */
	bool changes;	     /* an atomic access: `value` is the operand */
	enum weak_rmw kind;
	uint32_t lates_before; /* late loads up to this number are performed before it */
};

/* A load whose value has been foreseen and that is not performed. */
struct late {
	struct location *location;
	uint64_t value;
	uint32_t floor;
	unsigned number; /* from 1; 0: none */
	bool performed;
	struct weak_site *site;
};

/*
 * A load that a device may be written before (weak_postponed). Its value is what memory held when the
 * CPU came to it; it is performed at the CPU's next access of memory, if that value can be read then.
 */
struct postponed {
	const void *address;
	unsigned size;
	uint64_t value;
	struct weak_site *site;		   /* NULL: there is none */
	bool before_loads, before_devices; /* a fence behind it says so */
};

#define WAITING_MAX 24
#define LATE_MAX    4
#define WATCHED_MAX 64
#define FOLLOWS_MAX 16

/* The memory's part of a CPU. */
struct view {
	uint32_t loads_floor;		    /* a load is no older than this instant */
	uint32_t loaded, stored, device_in; /* the latest instant of its loads, its stores, ... */
	uint32_t group, numbers, clock;
	/* Waiting stores, and late loads, up to these numbers are performed before later accesses. */
	uint32_t before_loads, before_devices, lates_before_loads, lates_before_stores;
	uint32_t before_walks, walks_floor;
	struct clocks walked; /* ordered before an access through the last walk */
	struct waiting waiting[WAITING_MAX];
	unsigned waitings;
	struct late late[LATE_MAX];
	unsigned lates;
	struct postponed postponed;
	struct clocks before_reads, before_writes, before_device;
	struct clocks from_loads, from_stores, from_device; /* not ordered before a fence says so */
	struct location *watched[WATCHED_MAX];
	uint32_t watched_stamp[WATCHED_MAX];
	unsigned watches;
	bool watches_devices;
	unsigned signals_seen;
	struct {
		uintptr_t from;
		uint32_t stamp;
	} follows[FOLLOWS_MAX];
	unsigned followed;
	struct weak_fence *last_release, *last_full;
	struct weak_fence *read_from[8];
	unsigned read_froms;
};

extern struct view views[WEAK_CPUS_MAX];
extern uint32_t stamps; /* given so far */

/* Before the first child process: fences that it passes are known to its parent. */
void memory_share_fences(void);
void memory_reset(unsigned cpus, bool full_atomics);
/* Whether a waiting store may be performed now, and doing it. */
bool memory_may_perform(unsigned cpu, unsigned index);
void memory_perform(unsigned cpu, unsigned index);
/* The store, which does not wait any more, is the newest of its location from now on. */
void memory_perform_store(unsigned cpu, const struct waiting *waiting);
/* What an atomic access of `size` bytes makes of the value. */
uint64_t memory_changed(enum weak_rmw kind, uint64_t value, uint64_t operand, unsigned size);
void memory_begin_access(const void *address, unsigned size, bool writes, struct weak_site *site);
/*
 * Whether the CPU's earlier stores let its next access be: those before a fence that names reads, or
 * devices; for an atomic access also those to its word, and those before a fence that names writes.
 */
bool memory_may_load(unsigned cpu);
bool memory_may_signal(unsigned cpu);
bool memory_may_walk(unsigned cpu);
bool memory_may_change(unsigned cpu, const void *address);
bool memory_may_satisfy(const struct late *late);
void memory_satisfy(unsigned cpu, struct late *late);
/* The CPU is about to access a byte plainly; and, before it does anything else, that it has. */
void memory_plain_store(uintptr_t address);
void memory_plain_load(uintptr_t address);
void memory_note_plain_accesses(void);
/* The CPU has read the newest store to the word, or a newer one is its own: it comes after that. */
bool memory_is_known(unsigned cpu, uintptr_t address);
/* The instant of a write to a device. */
uint32_t memory_signal(void);
/*
 * Whether a word that the CPU has looked at has a newer store than it saw; and then, that it comes to
 * know of the first one of these.
 */
bool memory_has_changed(unsigned cpu);
void memory_look_again(unsigned cpu);
/* Late loads may foresee these; true when a value is new. */
bool memory_foresees_more(void);
void memory_foresees_nothing(void);

/* What the files of the memory share. */
extern bool atomics_are_full;

static inline void raise_to(uint32_t *floor, uint32_t instant)
{
	if (instant > *floor)
		*floor = instant;
}

struct location *memory_location(const void *pointer, unsigned size);
uint64_t memory_native(const struct location *location);
void memory_set_native(const struct location *location, uint64_t value);
struct store *memory_new_store(struct location *location, uint64_t value, uint32_t stamp);
void memory_note_plain_store(struct location *location);
/* The last store of the CPU to the word that waits; and performing all of these. */
const struct waiting *memory_own_waiting(const struct view *view, const struct location *location);
void memory_perform_own(struct view *view, const struct location *location);
/* The stores that a load may read, the newest one is number 0; and reading one of them. */
uint32_t memory_floor(const struct view *view, const struct location *location);
unsigned memory_readable(const struct view *view, unsigned cpu, const struct location *location,
			 uint32_t floor);
/* The same of the calling CPU; the newest alone where it has read older ones again and again. */
unsigned memory_readable_now(const struct location *location, uint32_t floor);
uint64_t memory_read(struct location *location, unsigned age, uint32_t floor,
		     struct weak_site *site);
uint32_t memory_loaded_at(struct view *view, uint32_t stamp, uint32_t floor);
uint64_t memory_load(const void *address, unsigned size, uint32_t at_least, struct weak_site *site);
void memory_foresee(const struct location *location, uint64_t value);
bool memory_is_late(const struct view *view, unsigned number);
bool memory_are_late(const struct view *view, unsigned up_to);
/* Whether the load is put off, and its value; and performing it, if there is one. */
bool memory_postpone(const void *address, unsigned size, struct weak_site *site, uint64_t *value);
void memory_perform_postponed(void);
struct weak_fence *memory_fence(struct weak_site *site);
void memory_note_partner(struct weak_fence *fence, struct weak_fence *other);
unsigned memory_signals(void);

/* ---- plain accesses -------------------------------------------------------------------------- */

void races_reset(void);
/* A plain access through a translation: after the stores of the entries, too. */
void races_through(const struct clocks *walked, const void *address, size_t bytes, bool writes);
/* A walk reads an entry, after the stores of the entries that led to it. */
void races_walk(const struct clocks *walked, const void *address, size_t bytes,
		struct weak_site *site);
void races_atomic(const void *address, size_t bytes, bool writes, struct weak_site *site);
/* What was said of the function of an access (weak_hint, weak_branch). */
int races_kind(struct weak_site *site);
extern bool races_are_watched;

/* ---- choices --------------------------------------------------------------------------------- */

enum step {
	STEP_NONE,
	STEP_LOAD,
	STEP_CHANGE,
	STEP_DEVICE,
	STEP_DRAIN,
	STEP_RELAX,
	STEP_DEPEND,
	STEP_WALK,
	STEP_SLEEP,
	STEP_WINDOW,
	STEP_IDLE,
	STEP_START
};

unsigned weak_cpu(void); /* whose turn it is */

static inline struct view *view_self(void)
{
	return &views[weak_cpu()];
}

bool weak_is_running(void);
/* One of `count` answers, 0 being the ordinary one. `what` is for the story. */
unsigned weak_choose(unsigned count);
/* The CPU's next step: others may have theirs before. */
void weak_step(enum step kind, const void *address, struct weak_site *site, unsigned depends_on);

/* ---- the story ------------------------------------------------------------------------------- */

extern bool story_is_told;
void story_begin(void);
void story_line(unsigned cpu, const struct weak_site *site, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
