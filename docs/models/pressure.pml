/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pressure.pml - exact out-of-memory: the drain protocol of mm/percpu/drain.c, for spin.
 *
 * Claims
 *
 *   - An allocation of one frame fails only if at some instant between its start and its end no
 *     frame was free: none in a zone, and none in a cache. This holds too for a call that fails
 *     at once, because this cpu's last request found nothing and nothing has been freed since.
 *   - A call for two frames fails at once only if nothing has been freed since the last look of
 *     the request that its cpu has noted.
 *   - No cpu waits for ever. No cpu waits for a cpu that has stopped.
 *   - An answer has a bound: with each step there is less to give back, whatever trap handlers do
 *     between two steps. The last look has a bound, whatever other cpus free and allocate
 *     meanwhile.
 *   - No frame is lost, and none is made.
 *   - Some call does fail, and some call does fail at once: else the first claims would say
 *     nothing.
 *
 * How they are shown
 *
 *   A ghost counts the free frames (`nfree`). Whenever the count is 0, every call under way notes
 *   it (`seen`), and so does a call that starts then. A call that fails asserts its note; every
 *   step that moves frames asserts that the places still add up to the count. Calls that wait for
 *   ever are invalid end states. A cpu that has stopped may stay away until no other cpu can take
 *   a step: then no call of another cpu may be under way. Frames are told apart by their zone
 *   alone.
 *
 * What one step is
 *
 *   A cpu is two processes: `cpu` is what it runs, `trap` its trap handlers. While a handler runs
 *   (`in_trap`) the other stands still, at any step that is not masked, and that is all that an
 *   interrupt is. The IPI's handler lets other handlers in between two steps of its answer.
 *   (Another IPI that comes there does the next step in its place: it is the same code, and the
 *   same step.)
 *
 *   A step reads or writes at most one variable that another cpu writes. What only one cpu reads
 *   and writes is joined to a step beside it if no interrupt may come between. So a requester
 *   reads `online`, then `state`, then raises `asked`, in three steps. A wait is a loop that
 *   reads four words one after the other, and leaves for what one of them says: here it leaves as
 *   soon as one of them says so, in any order. One step, though more in the code, are:
 *
 *   - The pop and the push: restartable sequences, with one store that commits.
 *   - A hold of a zone's lock, with what was decided in the same masked section. No other cpu
 *     sees inside, but one that sums `releases`: a release happens when it counts itself, before
 *     the lock is dropped. OPEN becomes CLOSING in such a step, because others only ask whether a
 *     cache is PARKED.
 *   - The look with all zones' locks held. Others may take zones that are not locked yet; the
 *     instant of the look is the one at which the last lock has been taken.
 *   - The comparison with a note. The code reads several counters that only grow; if it finds
 *     them all unchanged, they all were at its first read. In the model the first read decides
 *     that they are, or the call asks all the same.
 *
 *   `releases` and `openings` are not counted. Whether a counter that only grows has changed
 *   since a read is a bit: for each call and zone in `moved`, for each call in `opened`. A note
 *   is forgotten when either changes, because it can never match again. Reading a note and
 *   writing it are steps: the code masks interrupts for both, or a trap handler's request could
 *   leave half a note of each.
 *
 * Memory order
 *
 *   Spin's memory is sequentially consistent, RISC-V's is not. For the two stores that a later
 *   load must not overtake there is a store buffer of one entry a cpu (BUFFERS), which a full
 *   fence empties and which else empties at any time:
 *
 *   - The opener stores OPEN and then reads `pressure`; the requester raises `pressure` and then
 *     reads `state`. Each has a full fence between, so one of the two sees the other. A twin
 *     without either fence fails.
 *
 *   The others are argued:
 *
 *   - `online` = 1 and the reads of a requester: a cpu comes on line parked, so nothing that it
 *     does later counts before it has opened, and there is a full fence in that.
 *   - `pressure` is raised before the ticket is drawn, with a full fence between, and the ticket is
 *     drawn before the reads of `online` and `state`, with another. A cpu that reads a ticket in
 *     `asked` (then an acquire fence) sees the pressure of every request with an earlier ticket:
 *     each ticket is drawn by an atomic operation on the value that the one before has left. The
 *     twin PRESSURE_AFTER_TICKET is what the first fence is for: a cpu that has answered a later
 *     ticket counts as one that has answered this one, and may have opened its cache since.
 *   - `asked` is raised before the IPI is sent (a fence from memory to output); the handler
 *     clears the IPI before it reads `asked` (a fence from input and output to memory).
 *   - PARKED, then `answered`, are stored with release after the last frame went back; whoever
 *     reads either does an acquire before it looks. `online` = 0 and its reader: the same.
 *   - In the last look: full fences after the first sum and before the second; the locks of the
 *     zones. `releases` is stored inside the hold, so a hold that comes after it sees the frames.
 *   - `openings` is raised after OPEN (full fence) and before the cache has room (release). A
 *     requester reads it before its ticket: if an opening is in what it read, it sees that cache
 *     OPEN, or parked by a later answer. If not, its note does not match once that cache has
 *     room.
 *   - A full fence between the start of a call and its comparison with a note: what it reads
 *     there was true during the call.
 *   - `pressure` is lowered with release, after the last look.
 *
 * Tickets
 *
 *   They are compared as numbers, so they must not wrap. MODULUS shows what would happen: a cpu
 *   that was asked takes a ticket for an old one, and does not answer it. The code's are 64 bits
 *   wide: at a request a nanosecond they last 500 years.
 *
 * The code
 *
 *   What of the model is which function. tools/model_code.py compares the digests with the code: after
 *   a change of a function, compare it with the model, and then update its digest.
 *
 *	mm/percpu/drain.c:
 *	frame_drain_start_counters 17ee1e0d9765  nothing: tests begin near a wrap
 *	frame_drain_pressure       0110aa3c8052  the readers of `pressure`: open, ask_early
 *	frame_drain_count_opening  cafd0c29558f  count_opening
 *	is_online                  06458379fd40  ask, await
 *	is_worth_asking            2b958ef81ed2  ask, ask_early
 *	raise_asked                390c9698e84a  raise_asked
 *	give_tickets               386b7b3960d2  ask, in steps
 *	ask                        0c98dc552c28  draw_ticket, ask, send_ipi
 *	frame_drain_ask            37155cda00cd  ask_early
 *	frame_drain_low            59c0fcc9fe5c  ask_early
 *	frame_drain_set_low        bdc438c112b0  nothing: settings
 *	frame_drain_answer         3dfad46d97e3  answer
 *	is_waited_for              d1044a758c64  await
 *	answer_parked              8dd5e5932510  await
 *	wait_for_answers           96e641ec494a  await
 *	frame_drain_settle         9c917d4ba952  nothing: for tests and reports at rest
 *	releases_of_all            17e0173a6d7c  read_releases, compare_releases
 *	nothing_freed_since        f713b78dbe36  fail_at_once
 *	note_failure               af105d9479d5  request, at its end
 *	search_all_zones           526a90d6e704  look_at_once
 *	search_until_stable        62add1b9b887  look
 *	change_pressure            891d38eabf6b  raise_pressure, lower_pressure
 *	needs_pressure             3e8a239d55bf  request
 *	empty_all_caches           ad975ed30d61  request, park_own
 *	end_request                e86e7501e09d  request, at its end
 *	frame_drained_one          5fe46857e623  alloc
 *	frame_drained_run          c5fa1721526e  request, with two frames
 *	frame_drain_is_asking      ea87a71968a4  the stopper, in trap
 *	frame_cache_online         2cf7442006b3  the stopper, in trap
 *	frame_cache_offline        dd748d370e5f  the stopper, in trap
 *
 * Sizes are macros, and the broken protocols too; tools/model.py has the list of both.
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef ZONES
#define ZONES 1
#endif
#ifndef BATCH
#define BATCH 2
#endif
#ifndef CAPACITY
#define CAPACITY 2
#endif
#define REMOTE_MAX 1

/*
 * What each cpu does: allocations of one frame, allocations of two, and frees; and what its trap
 * handlers do.
 */
#ifndef ALLOC0
#define ALLOC0 0
#endif
#ifndef ALLOC1
#define ALLOC1 0
#endif
#ifndef ALLOC2
#define ALLOC2 0
#endif
#ifndef RUN0
#define RUN0 0
#endif
#ifndef RUN1
#define RUN1 0
#endif
#ifndef RUN2
#define RUN2 0
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
#ifndef TRAP_ALLOC0
#define TRAP_ALLOC0 0
#endif
#ifndef TRAP_ALLOC1
#define TRAP_ALLOC1 0
#endif
#ifndef TRAP_FREE0
#define TRAP_FREE0 0
#endif
#ifndef TRAP_FREE1
#define TRAP_FREE1 0
#endif
/* Allocations and frees of one frame with the user's own lock held and interrupts masked. */
#ifndef LOCKED0
#define LOCKED0 0
#endif
#ifndef LOCKED1
#define LOCKED1 0
#endif
/* A cpu that may stop and come back, and how often. CPUS: none. */
#ifndef STOPPER
#define STOPPER CPUS
#endif
#ifndef STOPS
#define STOPS 1
#endif
/* Early requests: how often a claim may cross a zone's low mark, and requests of no claim's. */
#ifndef EARLY
#define EARLY 0
#endif
#ifndef ASK1
#define ASK1 0
#endif
#ifndef ASK2
#define ASK2 0
#endif
/* Where the frames are at first: in the zones; in each cpu's stack and remote stack; in use. */
#ifndef ZONE0
#define ZONE0 0
#endif
#ifndef ZONE1
#define ZONE1 0
#endif
#ifndef STACK0
#define STACK0 0
#endif
#ifndef STACK1
#define STACK1 0
#endif
#ifndef STACK2
#define STACK2 0
#endif
#ifndef REMOTE0
#define REMOTE0 0
#endif
#ifndef REMOTE1
#define REMOTE1 0
#endif
#ifndef HELD0
#define HELD0 0
#endif
#ifndef HELD1
#define HELD1 0
#endif
#ifndef HELD2
#define HELD2 0
#endif
/* Caches that are parked at first: a bit for each cpu. */
#ifndef PARKS
#define PARKS 0
#endif

#define HOME(c)		((c) % ZONES)
#define OTHER(c)	(((c) + 1) % ZONES)
#define HELD(c, z)	held[(c) * ZONES + (z)]
#define CALL(c, l)	(1 << ((c) * 2 + (l)))
#define MASK(c, l)	masked[c] = ((l) == 0)
#define UNMASK(c)	masked[c] = was_masked

#define OPEN 0
#define CLOSING 1
#define PARKED 2

/* The words of the protocol. */
byte pressure, requests;
byte state[CPUS], asked[CPUS], answered[CPUS];
bool online[CPUS], pending[CPUS];	/* pending: an IPI */
byte asking[CPUS];			/* requests under way on this cpu: it may not stop now */

/* Frames; held: what a cpu has allocated and may free. */
byte zone_free[ZONES];
byte stack[CPUS], limit[CPUS], remote[CPUS]; /* limit, as its distance from the bottom */
byte held[CPUS * ZONES];

/* A cpu's own: interrupts, and its note of a request that found nothing: 1 frame, or 2. */
bool masked[CPUS], in_trap[CPUS];
byte note[CPUS];
bool user_lock;
byte early_left;

/* Ghosts. A call is a bit, and so is a cpu's note. */
byte nfree;
byte running, seen;	/* calls under way; those that saw no frame free */
byte looking;		/* calls that have read `releases` */
byte moved[ZONES];	/* of these, those for which it has grown */
byte noting, opened;	/* calls that have read `openings`; those for which it has grown */
byte stale;		/* notes that hold though a frame has been freed since */
byte left[CPUS];	/* what an answer that has begun still has to give back */
bool excluded;

#ifdef BUFFERS
/* Of each cpu the one store that others may not see yet. */
#define NOTHING 0
#define LATE_OPEN 1
#define LATE_PRESSURE 2
byte late[CPUS];
#define STATE(c)	(late[c] == LATE_OPEN -> OPEN : state[c])
#define PRESSURE(c)	(pressure + (late[c] == LATE_PRESSURE))

inline commit(c)
{
	if
	:: late[c] == LATE_OPEN -> state[c] = OPEN
	:: late[c] == LATE_PRESSURE -> pressure++
	:: else
	fi;
	late[c] = NOTHING
}
#else
#define STATE(c)	state[c]
#define PRESSURE(c)	pressure
#endif

inline check_books()
{
	assert(nfree == zone_free[0] + stack[0] + stack[1] + remote[0] + remote[1]
#if ZONES > 1
	       + zone_free[1]
#endif
#if CPUS > 2
	       + stack[2] + remote[2]
#endif
	)
}

inline taken(n)
{
	nfree = nfree - (n);
	if
	:: nfree == 0 -> seen = seen | running
	:: else
	fi;
	check_books()
}

/* n frames of zone z are the caller's now. */
inline took(c, z, n)
{
	HELD(c, z) = HELD(c, z) + (n);
	taken(n)
}

inline freed()
{
	nfree++;
	if
	:: note[0] > 0 -> stale = stale | 1
	:: else
	fi;
	if
	:: note[1] > 0 -> stale = stale | 2
	:: else
	fi;
#if CPUS > 2
	if
	:: note[2] > 0 -> stale = stale | 4
	:: else
	fi;
#endif
	check_books()
}

/* `releases` or `openings` has grown: no note that there is now will ever be like them again. */
inline end_notes()
{
	note[0] = 0;
	note[1] = 0;
#if CPUS > 2
	note[2] = 0;
#endif
	stale = 0
}

inline count_opening()
{
	opened = opened | noting;
	end_notes()
}

/* A hold of zone z that gives n frames back to it; inside a step. */
inline zone_release(z, n)
{
	if
	:: (n) > 0 ->
		zone_free[z] = zone_free[z] + (n);
		moved[z] = moved[z] | looking;
#ifndef NOTE_WITHOUT_RELEASES
		end_notes()
#endif
	:: else
	fi
}

/* A claim that left zone z with nothing. */
inline watch_level(z)
{
	if
	:: zone_free[z] == 0 && early_left > 0 -> early_left--; low = 1
	:: else
	fi
}

inline claim_single(c, z)
{
	d_step {
		if
		:: !got && zone_free[z] > 0 -> zone_free[z]--; took(c, z, 1); got = 1; watch_level(z)
		:: else
		fi
	}
}

inline claim_two(c, z)
{
	d_step {
		if
		:: !got && zone_free[z] > 1 ->
			zone_free[z] = zone_free[z] - 2; took(c, z, 2); got = 1; watch_level(z)
		:: else
		fi
	}
}

inline look_at(c, z)
{
	if
	:: two -> claim_two(c, z)
	:: else -> claim_single(c, z)
	fi
}

inline pop(c)
{
	if
	:: stack[c] > 0 -> stack[c]--; took(c, HOME(c), 1); got = 1
	:: else
	fi
}

/* From home: a batch, of which one frame is taken; one frame where the cache takes no batch. */
inline refill(c)
{
	d_step {
		if
		:: stack[c] > 0 -> pop(c) /* a trap handler filled it */
		:: stack[c] == 0 && zone_free[HOME(c)] > 0 ->
			if
			:: STATE(c) == OPEN && zone_free[HOME(c)] >= BATCH ->
				zone_free[HOME(c)] = zone_free[HOME(c)] - BATCH;
				stack[c] = BATCH - 1
			:: else -> zone_free[HOME(c)]--
			fi;
			took(c, HOME(c), 1);
			got = 1;
			watch_level(HOME(c))
		:: else
		fi
	}
}

inline set_parked(c)
{
#ifdef BUFFERS
	late[c] = NOTHING;
#endif
	state[c] = PARKED;
	limit[c] = 0;
	left[c] = 0
}

/* At a miss: if the cache is parked, which is asked in the masked section. */
inline open(c, l)
{
#ifdef OPEN_ASKED_UNMASKED
	parked = STATE(c) == PARKED;
#endif
#ifdef OPEN_LOOKS_FIRST_ONLY
	may_open = pressure == 0;
#endif
	d_step {
#ifndef OPEN_ASKED_UNMASKED
		parked = STATE(c) == PARKED;
#endif
#ifdef OPEN_LOOKS_FIRST_ONLY
		parked = parked && may_open;
#endif
		if
		:: parked ->
#ifndef OPEN_UNMASKED
			MASK(c, l);
#endif
#ifdef BUFFERS
			late[c] = LATE_OPEN
#else
			state[c] = OPEN
#endif
		:: else
		fi
	}
	if
	:: parked ->
		parked = 0;
#if defined(BUFFERS) && !defined(NO_FENCE_IN_OPEN)
		d_step { commit(c) }
#endif
		if
#ifdef OPEN_LOOKS_FIRST_ONLY
		:: true ->
#else
		:: PRESSURE(c) == 0 ->
#endif
			d_step {
#ifdef OPENING_COUNTED_LATE
				owes = 1;
#else
				count_opening();
#endif
				limit[c] = CAPACITY;
				UNMASK(c)
			}
#ifndef OPEN_LOOKS_FIRST_ONLY
		:: else -> d_step { set_parked(c); UNMASK(c) }
#endif
		fi
	:: else
	fi
}

/* What a step of an answer gives back: a frame of the stack, else all of the remote stack. */
inline give_back(c)
{
	d_step {
		assert(left[c] == 0 || stack[c] + remote[c] <= left[c]); /* an answer ends */
		if
		:: STATE(c) == OPEN ->
#ifndef NEVER_CLOSING
#ifdef BUFFERS
			late[c] = NOTHING;
#endif
			state[c] = CLOSING;
			limit[c] = stack[c]
#else
			skip
#endif
		:: else
		fi;
		if
		:: stack[c] > 0 ->
			stack[c]--;
#ifndef NEVER_CLOSING
			limit[c]--;
#endif
			zone_release(HOME(c), 1)
		:: else -> zone_release(OTHER(c), remote[c]); remote[c] = 0
		fi;
		left[c] = stack[c] + remote[c];
		check_books()
	}
}

#ifdef REMOTE_FORGOTTEN
#define NOT_EMPTY(c) (stack[c] > 0)
#else
#define NOT_EMPTY(c) (stack[c] + remote[c] > 0)
#endif

/* One call of frame_drain_answer. */
inline answer(c, l)
{
#ifdef TICKET_READ_UNMASKED
	number = asked[c];
	d_step { MASK(c, l); more = 0 }
#else
	d_step { MASK(c, l); number = asked[c]; more = 0 }
#endif
	if
	:: number == answered[c] -> UNMASK(c)
	:: else ->
#ifdef PARKED_EARLY
		d_step { state[c] = PARKED; limit[c] = 0 }
#endif
		if
#ifdef PARKS_WITHOUT_LOOKING
		:: !emptied && NOT_EMPTY(c) -> give_back(c)
#else
		:: NOT_EMPTY(c) -> give_back(c)
#endif
		:: else
		fi;
		if
#ifdef PARKS_WITHOUT_LOOKING
		:: !emptied -> d_step { emptied = !NOT_EMPTY(c); more = 1; UNMASK(c) }
		:: else ->
			emptied = 0;
#else
		:: NOT_EMPTY(c) -> d_step { more = 1; UNMASK(c) }
		:: else ->
#endif
#ifndef NEVER_PARKED
			d_step { set_parked(c) }
#else
			d_step { state[c] = OPEN; limit[c] = CAPACITY; left[c] = 0 }
#endif
			d_step { answered[c] = number; UNMASK(c) }
		fi
	fi;
	number = 0
}

inline park_own(c, l)
{
	d_step {
		MASK(c, l);
		zone_release(HOME(c), stack[c]);
		stack[c] = 0;
		check_books()
	}
	if
	:: remote[c] > 0 -> d_step { zone_release(OTHER(c), remote[c]); remote[c] = 0; check_books() }
	:: else
	fi;
	d_step { set_parked(c); UNMASK(c) }
}

inline raise_asked(k, mark)
{
	d_step {
		if
#ifdef ASKED_IS_STORED
		:: true -> asked[k] = ticket
#else
		:: asked[k] < ticket -> asked[k] = ticket
		:: else
#endif
		fi;
		send = send | (mark)
	}
}

inline ask(k, mark)
{
	if
	:: online[k] ->
		if
		:: state[k] != PARKED -> raise_asked(k, mark)
		:: else
		fi
	:: else
	fi
}

inline send_ipi(k, mark)
{
	if
	:: send & (mark) -> d_step { pending[k] = 1; send = send & ~(mark) }
	:: else
	fi
}

/* Each round of the loop leaves for what one word says. */
inline await(c, l, k)
{
	do
	:: !online[k] -> break
	:: state[k] == PARKED -> break
	:: answered[k] >= ticket -> break
#ifndef WAITS_UNASKED
	:: asked[k] < ticket -> break
#endif
#ifndef WAITS_WITHOUT_ANSWER
	:: asked[c] != answered[c] -> answer(c, l)
#endif
	od
}

inline read_releases(c, l, z)
{
	d_step {
		looking = looking | CALL(c, l);
		moved[z] = moved[z] & ~CALL(c, l)
	}
}

inline compare_releases(c, l, z)
{
	d_step { changed = changed || (moved[z] & CALL(c, l)) }
}

/* The look with all zones' locks held, which no hold of one zone's lock can come between. */
inline look_at_once(c, l)
{
#ifdef LOCKS_APART
	read_releases(c, l, 0);
	read_releases(c, l, 1);
	claim_single(c, HOME(c));
	claim_single(c, OTHER(c))
#else
	d_step {
		moved[0] = moved[0] & ~CALL(c, l);
		moved[1] = moved[1] & ~CALL(c, l);
		if
		:: zone_free[0] > 0 -> zone_free[0]--; took(c, 0, 1); got = 1
		:: zone_free[0] == 0 && zone_free[1] > 0 -> zone_free[1]--; took(c, 1, 1); got = 1
		:: else
		fi
	}
#endif
}

/* One zone: once. Two: again if a frame was given back meanwhile, and then at both at once. */
inline look(c, l)
{
	do
	:: true ->
		read_releases(c, l, 0);
#if ZONES == 1
		look_at(c, 0);
		break
#else
		read_releases(c, l, 1);
		look_at(c, HOME(c));
		look_at(c, OTHER(c));
#ifdef ONE_SUM
		break
#else
		if
		:: got || two -> break
		:: else
		fi;
		compare_releases(c, l, 0);
		compare_releases(c, l, 1);
		if
		:: changed -> changed = 0
		:: else -> break
		fi;
#ifndef ENDLESS_LOOKS
		look_at_once(c, l);
		break
#endif
#endif
#endif
	od
}

inline raise_pressure(c)
{
	if
	:: !two ->
#ifdef BUFFERS
		late[c] == NOTHING;
		late[c] = LATE_PRESSURE;
#ifndef NO_FENCE_IN_REQUEST
		d_step { commit(c) }
#endif
#else
		pressure++
#endif
	:: else
	fi
}

inline lower_pressure(c)
{
	if
	:: !two ->
		d_step {
#ifdef BUFFERS
			if
			:: late[c] == LATE_PRESSURE -> late[c] = NOTHING
			:: else -> pressure--
			fi
#else
			pressure--
#endif
		}
	:: else
	fi
}

inline draw_ticket()
{
	d_step {
#ifdef MODULUS
		requests = (requests + 1) % MODULUS;
#else
		requests++;
#endif
		ticket = requests
	}
}

inline read_openings(c, l)
{
	d_step {
		noting = noting | CALL(c, l);
		opened = opened & ~CALL(c, l)
	}
}

inline request(c, l)
{
	d_step {
		asking[c]++;
#if !defined(OPENINGS_READ_AFTER_STATES) && !defined(OPENINGS_READ_LAST)
		noting = noting | CALL(c, l);
		opened = opened & ~CALL(c, l)
#endif
	}
#if !defined(PRESSURE_LATE) && !defined(PRESSURE_AFTER_TICKET)
	raise_pressure(c);
#endif
	draw_ticket();
#ifdef PRESSURE_AFTER_TICKET
	raise_pressure(c);
#endif
	ask((c + 1) % CPUS, 1);
#if CPUS > 2
	ask((c + 2) % CPUS, 2);
#endif
	send_ipi((c + 1) % CPUS, 1);
#if CPUS > 2
	send_ipi((c + 2) % CPUS, 2);
#endif
#ifdef PRESSURE_LATE
	raise_pressure(c);
#endif
#ifdef OPENINGS_READ_AFTER_STATES
	read_openings(c, l);
#endif
#if !defined(OWN_NOT_PARKED) && !defined(OWN_PARKED_LAST)
	park_own(c, l);
#endif
	await(c, l, (c + 1) % CPUS);
#if CPUS > 2
	await(c, l, (c + 2) % CPUS);
#endif
#ifdef OWN_PARKED_LAST
	park_own(c, l);
#endif
#ifdef PRESSURE_LOWERED_EARLY
	lower_pressure(c);
#endif
	look(c, l);
#ifndef PRESSURE_LOWERED_EARLY
	lower_pressure(c);
#else
	true;
#endif
#ifdef RELEASES_READ_LAST
	moved[0] = moved[0] & ~CALL(c, l);
#if ZONES > 1
	moved[1] = moved[1] & ~CALL(c, l);
#endif
#endif
#ifdef OPENINGS_READ_LAST
	read_openings(c, l);
#endif
	d_step {
		asking[c]--;
		ticket = 0;
#ifdef NEVER_FAILS
		assert(got || two || excluded);
#endif
		assert(got || two || (seen & CALL(c, l))); /* the claim */
		if
		:: !got && !((opened | moved[0]
#if ZONES > 1
			      | moved[1]
#endif
			      ) & CALL(c, l)) ->
			note[c] = 1 + two;
			stale = stale & ~(1 << c)
		:: else
		fi;
		looking = looking & ~CALL(c, l);
		noting = noting & ~CALL(c, l);
		opened = opened & ~CALL(c, l);
		moved[0] = moved[0] & ~CALL(c, l);
#if ZONES > 1
		moved[1] = moved[1] & ~CALL(c, l)
#endif
	}
}

/* Asks, and does not wait. */
inline ask_early(c, l)
{
	if
	:: low ->
		low = 0;
		draw_ticket();
#ifndef EARLY_UNMASKED
		MASK(c, l);
#endif
#ifdef EARLY_ASKS_ITSELF
		raise_asked(c, 0);
#endif
		if
		:: stack[(c + 1) % CPUS] + remote[(c + 1) % CPUS] > 0 -> ask((c + 1) % CPUS, 1)
		:: else
		fi;
#if CPUS > 2
		if
		:: stack[(c + 2) % CPUS] + remote[(c + 2) % CPUS] > 0 -> ask((c + 2) % CPUS, 2)
		:: else
		fi;
#endif
		send_ipi((c + 1) % CPUS, 1);
#if CPUS > 2
		send_ipi((c + 2) % CPUS, 2);
#endif
		d_step { ticket = 0; UNMASK(c) }
	:: else
	fi
}

/* This cpu's last request found nothing, was for no more than this, and nothing was freed since. */
inline fail_at_once(c, l)
{
	d_step {
#ifdef NEVER_AT_ONCE
		assert(excluded);
#endif
		assert(two || (seen & CALL(c, l))); /* the claim */
		assert(!two || !(stale & (1 << c)))
	}
}

inline alloc(c, l)
{
	d_step {
		running = running | CALL(c, l);
		if
		:: nfree == 0 -> seen = seen | CALL(c, l)
		:: else
		fi;
		if
		:: !two -> pop(c)
		:: else
		fi
	}
	if
	:: !got ->
		if
		:: !two ->
			if
#ifndef POP_OPENS_ALWAYS
			:: zone_free[HOME(c)] > 0 -> open(c, l)
			:: else
#else
			:: true -> open(c, l)
#endif
			fi;
			refill(c)
		:: else -> claim_two(c, HOME(c))
		fi;
#if ZONES > 1
		look_at(c, OTHER(c));
#endif
#if EARLY > 0
		ask_early(c, l);
#endif
		if
		:: got || nowait
		:: !got && !nowait && (note[c] == 1 || (note[c] == 2 && two)) -> fail_at_once(c, l)
		:: !got && !nowait -> request(c, l)
#if EARLY > 0
			; low = 0
#endif
		fi
	:: else
	fi;
	d_step {
		got = 0;
		running = running & ~CALL(c, l);
		seen = seen & ~CALL(c, l)
#ifdef OPENING_COUNTED_LATE
		;
		if
		:: owes -> owes = 0; count_opening()
		:: else
		fi
#endif
	}
}

inline push(c)
{
	if
	:: !got && stack[c] < limit[c] -> stack[c]++; freed(); got = 1
	:: else
	fi
}

inline free(c, l)
{
	d_step {
		if
		:: HELD(c, HOME(c)) > 0 -> HELD(c, HOME(c))--; hand = HOME(c); push(c)
#if ZONES > 1
		:: HELD(c, HOME(c)) == 0 && HELD(c, OTHER(c)) > 0 ->
			HELD(c, OTHER(c))--; hand = OTHER(c)
#endif
		:: else -> got = 1 /* a trap handler freed it */
		fi
	}
	if
	:: !got ->
		open(c, l);
		if
		:: hand == HOME(c) ->
			d_step {
				if
				:: STATE(c) == OPEN && stack[c] == limit[c] && stack[c] >= BATCH ->
					stack[c] = stack[c] - BATCH;
					zone_release(HOME(c), BATCH);
					check_books()
				:: else
				fi
			}
			d_step {
				push(c);
				if
				:: !got -> zone_release(hand, 1); freed()
				:: else
				fi
			}
		:: else ->
			d_step {
				if
				:: STATE(c) == OPEN && limit[c] > 0 ->
					if
					:: remote[c] == REMOTE_MAX ->
						zone_release(hand, remote[c]);
						remote[c] = 0
					:: else
					fi;
					remote[c]++
				:: else -> zone_release(hand, 1)
				fi;
				freed()
			}
		fi
	:: else
	fi;
	d_step {
		got = 0;
		hand = 0
#ifdef OPENING_COUNTED_LATE
		;
		if
		:: owes -> owes = 0; count_opening()
		:: else
		fi
#endif
	}
}

/* An operation under a lock of the user's, which others spin on with interrupts masked. */
inline locked(c)
{
	do
	:: atomic { !user_lock -> user_lock = 1; break }
#if defined(SPINNERS_ANSWER) && !defined(SPINNERS_DO_NOT_ANSWER)
	:: asked[c] != answered[c] -> answer(c, 0)
#endif
	od;
	alloc(c, 0);
	user_lock = 0
}

/* What a cpu runs when no trap handler does. */
proctype cpu(byte c; byte allocs; byte runs; byte frees; byte lockeds; byte asks)
	provided (!in_trap[c])
{
	byte number, ticket, send;
	bit got, two, nowait, more, changed, hand, low, was_masked, owes, emptied, parked, may_open;

endidle:
	do
	:: d_step { allocs > 0 -> allocs-- };
		alloc(c, 0)
	:: d_step { runs > 0 -> runs--; two = 1 };
		alloc(c, 0);
		two = 0
	:: d_step { frees > 0 && HELD(c, 0) + HELD(c, ZONES - 1) > 0 -> frees-- };
		free(c, 0)
	:: d_step { asks > 0 -> asks--; low = 1 };
		ask_early(c, 0)
	:: d_step {
			lockeds > 0 -> lockeds--;
#ifdef LOCKED_NOWAIT
			nowait = 1;
#endif
			masked[c] = 1; was_masked = 1
		};
		locked(c);
		d_step { masked[c] = 0; was_masked = 0; nowait = 0 }
	od
}

/*
 * Its trap handlers. That of the IPI lets interrupts in between two steps of its answer: `ipi`
 * says that it is under way, and then another handler may run on top of it.
 */
proctype trap(byte c; byte allocs; byte frees)
{
	byte number, ticket, send, stops;
	bit got, two, nowait, more, changed, hand, low, was_masked, owes, emptied, parked, may_open, ipi;

	if
	:: c == STOPPER -> stops = STOPS
	:: else
	fi;
endidle:
	do
	:: atomic {
			!ipi && pending[c] && !masked[c] -> in_trap[c] = 1; ipi = 1;
#ifndef IPI_CLEARED_LATE
			pending[c] = 0
#endif
		}
	:: ipi -> answer(c, 1);
		if
		:: !more ->
			d_step {
				ipi = 0; in_trap[c] = 0;
#ifdef IPI_CLEARED_LATE
				pending[c] = 0
#endif
			}
		:: else -> more = 0
		fi
	:: atomic { allocs > 0 && (ipi || !masked[c]) -> in_trap[c] = 1; allocs-- };
		alloc(c, 1);
		in_trap[c] = ipi
	:: atomic {
			frees > 0 && (ipi || !masked[c]) && HELD(c, 0) + HELD(c, ZONES - 1) > 0 ->
			in_trap[c] = 1; frees--
		};
		free(c, 1);
		in_trap[c] = ipi
#if STOPPER < CPUS
	/* The handler of the IPI stops the cpu, for a while or until all others have done their work. */
	:: atomic { stops > 0 && !ipi && !masked[c] && asking[c] == 0 -> in_trap[c] = 1; stops-- };
#ifndef STOP_WITHOUT_DRAIN
		d_step { zone_release(HOME(c), stack[c]); stack[c] = 0; check_books() }
		d_step { zone_release(OTHER(c), remote[c]); remote[c] = 0; check_books() }
#endif
		d_step { set_parked(c) }
		online[c] = 0;
		if
		:: true
		:: true -> timeout -> assert((running & ~(CALL(c, 0) | CALL(c, 1))) == 0)
		fi;
		pending[c] = 0;
#ifndef NO_NUMBER_ON_START
		answered[c] = asked[c];
#endif
#ifdef START_WITHOUT_PARKING
		d_step { state[c] = OPEN; limit[c] = CAPACITY }
#endif
		online[c] = 1;
		in_trap[c] = 0
#endif
	od
}

#ifdef CHURN
/*
 * Other cpus, while a further one keeps pressure up: their caches are parked, so they take and give
 * back single frames of zones. They do so for as long as a call is under way.
 */
proctype churn()
{
	byte mine[ZONES];

	mine[0] = CHURN;
endidle:
	do
	:: d_step {
			running > 0 && mine[0] > 0 ->
			mine[0]--; zone_release(0, 1); freed()
		}
	:: d_step {
			running > 0 && zone_free[0] > 0 ->
			mine[0]++; zone_free[0]--; taken(1)
		}
	:: d_step {
			running > 0 && mine[1] > 0 ->
			mine[1]--; zone_release(1, 1); freed()
		}
	:: d_step {
			running > 0 && zone_free[1] > 0 ->
			mine[1]++; zone_free[1]--; taken(1)
		}
	od
}
#endif

#ifdef BUFFERS
/* A store becomes visible. */
proctype memory(byte c)
{
enddone:
	do
	:: d_step { late[c] != NOTHING -> commit(c) }
	od
}
#endif

#define INIT(c, in_stack, in_remote, in_use) \
	online[c] = 1; \
	stack[c] = in_stack; \
	remote[c] = in_remote; \
	HELD(c, HOME(c)) = in_use; \
	limit[c] = CAPACITY; \
	if \
	:: PARKS & (1 << c) -> state[c] = PARKED; limit[c] = 0 \
	:: else \
	fi

init {
	atomic {
		zone_free[0] = ZONE0;
#if ZONES > 1
		zone_free[1] = ZONE1;
#endif
		INIT(0, STACK0, REMOTE0, HELD0);
		INIT(1, STACK1, REMOTE1, HELD1);
#if CPUS > 2
		INIT(2, STACK2, 0, HELD2);
#endif
		early_left = EARLY;
		nfree = ZONE0 + ZONE1 + STACK0 + STACK1 + STACK2 + REMOTE0 + REMOTE1;
		check_books();
		run cpu(0, ALLOC0, RUN0, FREE0, LOCKED0, 0); run trap(0, TRAP_ALLOC0, TRAP_FREE0);
		run cpu(1, ALLOC1, RUN1, FREE1, LOCKED1, ASK1); run trap(1, TRAP_ALLOC1, TRAP_FREE1);
#if CPUS > 2
		run cpu(2, ALLOC2, RUN2, FREE2, 0, ASK2); run trap(2, 0, 0)
#endif
#ifdef CHURN
		; pressure = 1; run churn()
#endif
#ifdef BUFFERS
		; run memory(0); run memory(1)
#if CPUS > 2
		; run memory(2)
#endif
#endif
	}
}
