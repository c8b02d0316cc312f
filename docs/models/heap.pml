/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap.pml - exact out-of-memory of the heap: class stacks, slabs, arenas, and the search of an
 * allocation that fails (mm/heap/kmalloc.c, allocate_exactly), for spin.
 *
 * Claims
 *
 *   - An allocation of a block fails only if at some instant between its start and its end no memory
 *     for it was free: no frame, no room in an arena, no block in a slab or on a stack, and nothing
 *     in transit.
 *   - An allocation of a frame fails only if at some instant no frame was free, and no slab was
 *     without allocated blocks, in its class or in transit.
 *   - Every call ends. No memory is lost, and none is made.
 *   - Some call of each kind does fail.
 *
 * How they are shown: as in pressure.pml. `seen` are the calls that have met an instant without
 * memory; a call that fails asserts its bit.
 *
 * What is in it. Each frame is in the zone, in use, or a slab of two blocks. An arena has room for a
 * few blocks, each of which can be the record of a slab, too. A cpu has a stack of two blocks, which
 * may have blocks only while its cache is open. There is one class: a slab of a larger class and an
 * arena are the same to a search, one more place that it looks at after the request for a frame.
 *
 * What is not in it, because pressure.pml has it: how a request finds out that caches are parked.
 * Here a requester raises `pressure`, waits until each other cpu is parked, parks itself, and looks
 * into the zone. An open cache parks in the handler of the IPI (`ipi`), at any step that is not
 * masked, in two steps: the stack's blocks go to their slabs; then, if there are still none, it
 * parks. Between the two, and whenever the handler is not in a step, the cpu's other code goes on:
 * that is more than trap handlers can do.
 *
 * What one step is: a hold of the heap's lock or of the zone's; a pop or a push; a read or a write of
 * a word that other cpus write. Masked sections of several steps are those that have memory in
 * transit, and a refill. Whether a count has changed since a call has read it is a bit for each call:
 * `gone`, `claimed`.
 *
 * Memory order. The counts of blocks that have left slabs are written under the lock, and are the
 * words by which a search sees the slab's blocks; a search that reads them again reads what it saw, or
 * more. Between `in_transit` and `gone` there are full fences on both sides; the twins
 * GONE_BEFORE_TRANSIT and TRANSIT_READ_FIRST are what they order.
 *
 * The code
 *
 *   What of the model is which function. tools/model_code.py compares the digests with the code: after
 *   a change of a function, compare it with the model, and then update its digest.
 *
 *	mm/heap/kmalloc.c:
 *	allocate_exactly           4ae5977ab52c  search
 *	changes                    363870064716  search, at its begin; search_again
 *	answered                   8af846c4f5f4  alloc
 *	allocate                   42814894b937  alloc
 *	allocate_behind            0bf14623219e  alloc
 *	mm/heap/kmalloc_private.h:
 *	transit_begin              11c277aa7665  transit_begin
 *	transit_end                8108a1b8be28  in_transit--, where it stands
 *	mm/heap/slab.c:
 *	kheap_gone                 74fbddd513cf  read_gone
 *	kheap_give                 0c307cedf76c  give_all
 *	mm/percpu/refill.c:
 *	refill_exactly             7008867f99f4  alloc_frame
 *
 * Sizes are macros, and the broken protocols too; tools/model.py has the list of both.
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef FRAMES
#define FRAMES 1
#endif
#define BLOCKS 2 /* of a slab */
/* What each cpu does: allocations and frees of a block, allocations and frees of a frame. */
#ifndef ALLOC0
#define ALLOC0 0
#endif
#ifndef ALLOC1
#define ALLOC1 0
#endif
#ifndef ALLOC2
#define ALLOC2 0
#endif
#ifndef FREE0
#define FREE0 0
#endif
#ifndef FREE1
#define FREE1 0
#endif
#ifndef FREE2
#define FREE2 0
#endif
#ifndef FRAME0
#define FRAME0 0
#endif
#ifndef FRAME1
#define FRAME1 0
#endif
#ifndef FRAME_FREE1
#define FRAME_FREE1 0
#endif
#ifndef ROOM_FREE1
#define ROOM_FREE1 0
#endif
#ifndef ROOM_ALLOC1
#define ROOM_ALLOC1 0 /* of sizes that no class has */
#endif
#ifndef TRAP_ALLOC0
#define TRAP_ALLOC0 0
#endif
/* Where memory is at first: frames in the zone (the others are slabs), room, blocks. */
#ifndef ZONE
#define ZONE 0
#endif
#ifndef ROOM
#define ROOM 0
#endif
#ifndef SLAB
#define SLAB 0 /* free blocks in the first slab */
#endif
#ifndef SLAB1
#define SLAB1 0 /* and in the second, whose other blocks are cpu 1's */
#endif
#ifndef STACK1
#define STACK1 0 /* of its blocks on the stack of cpu 1 */
#endif
#ifndef HELD0
#define HELD0 0 /* of its blocks allocated by cpu 0; the rest is cpu 1's */
#endif
#ifndef OPENS
#define OPENS 0 /* caches that are open at first: a bit for each cpu */
#endif

#define STACK(c, f)	stack[(c) * FRAMES + (f)]
#define HELD(c, f)	held[(c) * FRAMES + (f)]
#define CALL(c, l)	(1 << ((c) * 2 + (l)))

byte pressure, in_transit;
bool open[CPUS], asked[CPUS];
bool masked[CPUS], in_trap[CPUS];
byte zone, room;		/* free frames; free blocks of the arena */
bool is_slab[FRAMES];		/* listed */
byte slab[FRAMES];		/* free blocks of it */
byte stack[CPUS * FRAMES];	/* blocks of each slab on each stack */
byte held[CPUS * FRAMES];	/* allocated blocks */
byte frames_held[CPUS], rooms_held[CPUS];

/* Ghosts. */
byte hands_frames, hands_room;	/* in transit: frames, which are free, and rooms */
byte running, seen;		/* calls for a block under way; those that have met an instant */
byte frunning, fseen;		/* of frames */
byte gone, claimed;		/* calls since whose read the count has grown */
bool excluded;

#if FRAMES > 1
#define ALL_SLABS	(slab[0] + slab[1])
#define STACKED(c)	(STACK(c, 0) + STACK(c, 1))
#define EMPTY_SLABS	((is_slab[0] && slab[0] == BLOCKS) + (is_slab[1] && slab[1] == BLOCKS))
#else
#define ALL_SLABS	slab[0]
#define STACKED(c)	STACK(c, 0)
#define EMPTY_SLABS	(is_slab[0] && slab[0] == BLOCKS)
#endif
#if CPUS > 2
#define ALL_STACKED	(STACKED(0) + STACKED(1) + STACKED(2))
#else
#define ALL_STACKED	(STACKED(0) + STACKED(1))
#endif

/* After each step that takes memory. */
inline watch()
{
	if
	:: zone + hands_frames + room + hands_room + ALL_SLABS + ALL_STACKED == 0 ->
		seen = seen | running
	:: else
	fi;
	if
	:: zone + hands_frames + EMPTY_SLABS == 0 -> fseen = fseen | frunning
	:: else
	fi
}

inline count_gone()
{
	gone = 255
}

inline count_claim()
{
	claimed = 255
}

/* ---- memory in transit -------------------------------------------------------------------------- */

inline transit_begin(c)
{
#ifdef GONE_BEFORE_TRANSIT
	count_gone();
	in_transit++
#else
	in_transit++;
	count_gone()
#endif
}

/* A slab without allocated blocks becomes a frame. */
inline give_slab(c, f)
{
	d_step { masked[c] = 1; was = 1 }
#ifndef GIVE_UNCOUNTED
	transit_begin(c);
#endif
	d_step {
		if
		:: is_slab[f] && slab[f] == BLOCKS -> /* under the lock */
			is_slab[f] = 0; slab[f] = 0; hands_frames++; hand = 1
		:: else
		fi
	}
#if defined(TRANSIT_ENDS_EARLY) && !defined(GIVE_UNCOUNTED)
	in_transit--;
#endif
	d_step {
		if
		:: hand -> hand = 0; hands_frames--; zone++; room++ /* and its record */
		:: else
		fi
	}
#if !defined(TRANSIT_ENDS_EARLY) && !defined(GIVE_UNCOUNTED)
	in_transit--;
#endif
	masked[c] = 0
}

/* A record and a frame for a slab; the record goes back if there is no frame. */
inline grow(c)
{
	masked[c] = 1;
#ifndef TRIES_UNCOUNTED
	transit_begin(c);
#endif
#ifdef TRANSIT_INTERRUPTED
	masked[c] = 0;
#endif
	d_step {
		if
		:: room > 0 -> room--; hands_room++; record = 1; count_claim()
		:: else
		fi
	}
	if
	:: record ->
		d_step {
			if
			:: zone > 0 -> zone--; hands_frames++; hand = 1
			:: else
			fi
		}
		d_step {
			record = 0;
			hands_room--;
			if
			:: hand -> hand = 0; hands_frames--;
				if
				:: !is_slab[0] ->
					is_slab[0] = 1; slab[0] = BLOCKS
#if FRAMES > 1
				:: else -> is_slab[1] = 1; slab[1] = BLOCKS
#else
				:: else -> assert(false)
#endif
				fi
			:: else -> room++
			fi;
			watch()
		}
	:: else
	fi;
#ifndef TRIES_UNCOUNTED
	in_transit--;
#endif
	masked[c] = 0
}

/* ---- stacks ------------------------------------------------------------------------------------- */

inline open_cache(c)
{
#ifdef PARKED_STACK_FILLS
	skip
#else
	if
	:: !open[c] && pressure == 0 -> open[c] = 1
	:: else
	fi
#endif
}

#ifdef PARKED_STACK_FILLS
#define MAY_KEEP(c)	1
#else
#define MAY_KEEP(c)	open[c]
#endif

/* A block of the stack, or of a slab: then its second block goes on the stack. */
inline pop_or_refill_from(c, f)
{
	if
	:: !got && STACK(c, f) > 0 -> STACK(c, f)--; HELD(c, f)++; got = 1; watch()
	:: else
	fi
}

inline claim_from(c, f)
{
	if
	:: !got && is_slab[f] && slab[f] > 0 ->
		if
		:: slab[f] == BLOCKS -> count_gone() /* it was empty */
		:: else
		fi;
#ifndef CLAIMS_UNCOUNTED
		count_claim();
#endif
		slab[f]--; HELD(c, f)++; got = 1;
		if
		:: slab[f] > 0 && MAY_KEEP(c) -> STACK(c, f) = STACK(c, f) + slab[f]; slab[f] = 0
		:: else
		fi;
		watch()
	:: else
	fi
}

inline take_once(c)
{
	d_step {
		pop_or_refill_from(c, 0);
#if FRAMES > 1
		pop_or_refill_from(c, 1);
#endif
		if
		:: !got && ALL_SLABS > 0 -> open_cache(c)
		:: else
		fi;
		claim_from(c, 0);
#if FRAMES > 1
		claim_from(c, 1)
#endif
	}
}

inline take_room(c)
{
	d_step {
		if
		:: !got && room > 0 ->
			room--; rooms_held[c]++; got = 1;
#ifndef ARENA_CLAIMS_UNCOUNTED
			count_claim();
#endif
			watch()
		:: else
		fi
	}
}

/* All blocks of the stack go to their slabs; the empty slabs stay. */
inline flush(c)
{
	slab[0] = slab[0] + STACK(c, 0);
	STACK(c, 0) = 0;
#if FRAMES > 1
	slab[1] = slab[1] + STACK(c, 1);
	STACK(c, 1) = 0
#endif
}

/* ---- requests ----------------------------------------------------------------------------------- */

inline ask(k)
{
	if
	:: open[k] -> asked[k] = 1
	:: else
	fi;
	!open[k] /* others answer while they wait: see pressure.pml */
}

inline request_frame(c)
{
	pressure++;
#ifndef OWN_NOT_EMPTIED
	d_step { flush(c); open[c] = 0 }
#endif
	ask((c + 1) % CPUS);
#if CPUS > 2
	ask((c + 2) % CPUS);
#endif
	d_step {
		if
		:: zone > 0 -> zone--; frames_held[c]++; got = 1; watch()
		:: else
		fi
	}
	pressure--
}

/* kheap_gone(): reads the count, and waits until nothing is in transit. */
inline read_gone(c, l)
{
#ifdef TRANSIT_READ_FIRST
	in_transit == 0;
	gone = gone & ~CALL(c, l)
#else
	do
	:: true ->
		gone = gone & ~CALL(c, l);
#ifndef TRANSIT_NOT_WAITED_FOR
		if
		:: in_transit == 0 -> break
		:: else -> in_transit == 0 /* and reads it again */
		fi
#else
		break
#endif
	od
#endif
}

inline give_all(c)
{
#ifndef NO_GIVE
	if
	:: is_slab[0] && slab[0] == BLOCKS -> give_slab(c, 0)
	:: else
	fi;
#if FRAMES > 1
	if
	:: is_slab[1] && slab[1] == BLOCKS -> give_slab(c, 1)
	:: else
	fi
#endif
#endif
	skip
}

/* Whether the search may end, in d_steps: each of the counts is read, and nothing may be in transit. */
inline search_again(c, l)
{
	again = 0;
#if !defined(TRANSIT_NOT_WAITED_FOR)
	in_transit == 0;
#endif
	d_step {
		if
		:: gone & CALL(c, l) -> again = 1
		:: else
		fi
	}
#ifndef CLAIMS_NOT_COMPARED
	d_step {
		if
		:: claimed & CALL(c, l) -> again = 1
		:: else
		fi
	}
#endif
}

inline search(c, l)
{
	do
	:: true ->
		read_gone(c, l);
		claimed = claimed & ~CALL(c, l);
#ifdef TRIES_IN_SEARCH
		grow(c);
#endif
#ifdef ROOM_SEARCHED_FIRST
		take_room(c);
#endif
		if
		:: !got -> request_frame(c)
		:: else
		fi;
		if
		:: got -> break
		:: else
		fi;
		give_all(c);
#ifndef ROOM_SEARCHED_FIRST
		take_room(c);
#endif
#ifndef NO_LAST_LOOK
		take_once(c);
#endif
		if
		:: got -> break
		:: else
		fi;
		search_again(c, l);
		if
		:: again
		:: else -> break
		fi
	od;
	again = 0
}

inline begin(mask, count, runs, sees)
{
	runs = runs | (mask);
	if
	:: (count) == 0 -> sees = sees | (mask)
	:: else
	fi
}

inline alloc(c, l)
{
	d_step {
		begin(CALL(c, l),
		      zone + hands_frames + room + hands_room + ALL_SLABS + ALL_STACKED, running, seen)
	}
	take_once(c);
	if
	:: !got -> grow(c); take_once(c)
	:: else
	fi;
	if
	:: !got -> search(c, l)
	:: else
	fi;
	d_step {
#ifdef NEVER_FAILS
		assert(got || excluded);
#endif
		assert(got || (seen & CALL(c, l))); /* the claim */
		got = 0;
		running = running & ~CALL(c, l);
		seen = seen & ~CALL(c, l)
	}
}

/* A frame: refill_exactly(). */
inline alloc_frame(c, l)
{
	d_step { begin(CALL(c, l), zone + hands_frames + EMPTY_SLABS, frunning, fseen) }
	do
	:: true ->
		read_gone(c, l);
		request_frame(c);
		if
		:: got -> break
		:: else
		fi;
		give_all(c);
		again = 0;
#ifndef TRANSIT_NOT_WAITED_FOR
		in_transit == 0;
#endif
		d_step {
			if
			:: gone & CALL(c, l) -> again = 1
			:: else
			fi
		}
		if
		:: again
		:: else -> break
		fi
	od;
	again = 0;
	d_step {
#ifdef NEVER_FAILS
		assert(got || excluded);
#endif
		assert(got || (fseen & CALL(c, l))); /* the claim */
		got = 0;
		frunning = frunning & ~CALL(c, l);
		fseen = fseen & ~CALL(c, l)
	}
}

/* A block: onto the stack, or to its slab, which may leave then. */
inline free_of(c, f)
{
	d_step {
		open_cache(c);
		HELD(c, f)--;
		if
		:: MAY_KEEP(c) && STACKED(c) < 2 -> STACK(c, f)++
		:: else -> slab[f]++
		fi
	}
	if
	:: is_slab[f] && slab[f] == BLOCKS -> give_slab(c, f)
	:: true
	fi
}

inline free(c)
{
	if
	:: HELD(c, 0) > 0 -> free_of(c, 0)
#if FRAMES > 1
	:: HELD(c, 1) > 0 -> free_of(c, 1)
#endif
	fi
}

proctype cpu(byte c; byte allocs; byte frees; byte frames; byte frame_frees; byte room_frees;
	     byte rooms)
	provided (!in_trap[c])
{
	bit got, again, hand, record, was;

endidle:
	do
	:: d_step { allocs > 0 -> allocs-- };
		alloc(c, 0)
#if FRAMES > 1
	:: d_step { frees > 0 && HELD(c, 0) + HELD(c, 1) > 0 -> frees-- };
#else
	:: d_step { frees > 0 && HELD(c, 0) > 0 -> frees-- };
#endif
		free(c)
	:: d_step { frames > 0 -> frames-- };
		alloc_frame(c, 0)
	:: d_step { frame_frees > 0 && frames_held[c] > 0 -> frame_frees--; frames_held[c]--; zone++ }
	:: d_step { room_frees > 0 && rooms_held[c] > 0 -> room_frees--; rooms_held[c]--; room++ }
	:: d_step { rooms > 0 && room > 0 -> rooms-- };
		take_room(c);
		got = 0
	od
}

/* The handler of the IPI. */
proctype ipi(byte c)
{
endidle:
	do
	:: d_step { asked[c] && open[c] && !masked[c] && STACKED(c) > 0 ->
#ifdef STACK_NOT_EMPTIED
			open[c] = 0; asked[c] = 0
#else
			flush(c)
#endif
		}
#ifdef PARKS_WITHOUT_LOOKING
		; d_step { !masked[c] -> open[c] = 0; asked[c] = 0 }
#endif
	:: d_step { asked[c] && open[c] && !masked[c] && STACKED(c) == 0 -> open[c] = 0; asked[c] = 0 }
	:: d_step { asked[c] && !open[c] -> asked[c] = 0 }
	od
}

/* Another trap handler. */
proctype trap(byte c; byte allocs)
{
	bit got, again, hand, record, was;

endidle:
	do
	:: atomic { allocs > 0 && !masked[c] -> allocs--; in_trap[c] = 1 };
		alloc(c, 1);
		in_trap[c] = 0
	od
}

init {
	atomic {
		zone = ZONE;
		room = ROOM;
#if ZONE < FRAMES
		is_slab[0] = 1;
		slab[0] = SLAB;
		STACK(1, 0) = STACK1;
		HELD(0, 0) = HELD0;
		HELD(1, 0) = BLOCKS - SLAB - STACK1 - HELD0;
#endif
#if FRAMES > 1 && ZONE + 1 < FRAMES
		is_slab[1] = 1;
		slab[1] = SLAB1;
		HELD(1, 1) = BLOCKS - SLAB1;
#endif
		rooms_held[1] = ROOM_FREE1;
		frames_held[1] = FRAME_FREE1;
		open[0] = (OPENS & 1) != 0;
		open[1] = (OPENS & 2) != 0;
		run cpu(0, ALLOC0, FREE0, FRAME0, 0, 0, 0); run ipi(0);
		run cpu(1, ALLOC1, FREE1, FRAME1, FRAME_FREE1, ROOM_FREE1, ROOM_ALLOC1); run ipi(1);
#if CPUS > 2
		run cpu(2, ALLOC2, FREE2, 0, 0, 0, 0); run ipi(2);
#endif
#if TRAP_ALLOC0 > 0
		run trap(0, TRAP_ALLOC0)
#endif
	}
}
