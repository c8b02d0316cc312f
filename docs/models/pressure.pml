/*
 * pressure.pml - when frame_alloc may say that there is no frame.
 *
 * Claim: an allocation fails only if at some instant between its start and its end no frame was
 * free: none in a zone, in a cache, or on its way between them. Beside it: nobody waits for ever,
 * and no frame is lost or made.
 *
 * How it is shown
 *
 *   A ghost counts the free frames (`nfree`). Whenever the count is 0, every call under way notes
 *   it (`seen`), and so does a call that starts then. A call that fails asserts its note; every
 *   step that moves frames asserts that the places still add up to the count. Calls that wait for
 *   ever are invalid end states. Frames are told apart by their zone alone.
 *
 * What one step is
 *
 *   A cpu is two processes: `cpu` is what it runs, `trap` its trap handler. While the handler runs
 *   (`in_trap`) the other stands still, at any step that is not masked, and that is all that an
 *   interrupt is. A handler answers kicks, or allocates and frees itself. Each step touches at most
 *   one variable that another cpu writes. What a cpu alone reads and writes is joined to a step
 *   beside it if no interrupt may come between. One step though more in the code are:
 *
 *   - The pop and the push: restartable sequences, with one store that commits.
 *   - A hold of a zone's lock, with what was decided in the same masked section. Nobody sees inside
 *     but who sums `releases`: a release happens when it counts itself, before it drops the lock.
 *
 *   `releases` is not counted. Whether a sum over counters that only grow has changed is whether
 *   one of them has: `moved` says so, for each call that sums and each zone.
 *
 * Why steps may be in one order for all
 *
 *   Spin's memory is sequentially consistent, RISC-V's is not. What the protocol relies on:
 *
 *   - A full fence between `pressure++` and the reads of `online`, pairs with the one between
 *     `online = 1` and the reads of `requests` and `pressure` by a cpu that comes back: one of
 *     the two sees the other.
 *   - A full fence in the answer, between the clearing of the kick and the read of `requests`,
 *     pairs with the one between the store of `requests` and the kick (and the SBI call).
 *   - `requests` is read with acquire before `pressure`, and `pressure` is raised before `requests`
 *     with release: who sees the number sees the flag. `pressure--` comes after the last look,
 *     with release.
 *   - `answered` is stored with release, after the last frame went back and `closed` was set;
 *     it is read with acquire before the last look. `online = 0` and its reader: the same.
 *   - `closed` is read and written by its own cpu alone.
 *   - In the last look: acquire after the first sum, the zones' locks, acquire before the second.
 *     `releases` is stored inside the hold, so a hold that comes after it sees the frames.
 *
 * Sizes are macros, and the broken protocols too; tools/model.py has the list of both.
 */

#ifndef CPUS
#define CPUS 3
#endif
#define ZONES 2
#define BATCH 2
#define CAPACITY 2

/* Operations of each cpu, and of its trap handlers; a cpu with none does unrelated work. */
#ifndef OPS0
#define OPS0 2
#endif
#ifndef OPS1
#define OPS1 2
#endif
#ifndef OPS2
#define OPS2 0
#endif
#ifndef TRAPS0
#define TRAPS0 0
#endif
#ifndef TRAPS1
#define TRAPS1 0
#endif
#ifndef TRAPS2
#define TRAPS2 0
#endif
/* A cpu that may stop and come back, so many times; CPUS: none. */
#ifndef STOPPER
#define STOPPER CPUS
#endif
#ifndef STOPS
#define STOPS 1
#endif
/*
 * Where the frames are at first: in the zones, in the last cpu's cache (of the zone that it tries
 * first), and held by cpu 1, of zone 0.
 */
#ifndef FREE0
#define FREE0 0
#endif
#ifndef FREE1
#define FREE1 0
#endif
#ifndef CACHED
#define CACHED 2
#endif
#ifndef CLOSED /* the caches of cpus 0 and 1 */
#define CLOSED 0
#endif
#ifndef HELD
#define HELD 0
#endif

#define ZONE(c, i)	(((c) + (i)) % ZONES) /* the i-th in the order of cpu c */
#define STACK(c, z)	stack[(c) * ZONES + (z)]
#define LEVEL(c)	(STACK(c, 0) + STACK(c, 1))
#define FLIGHT(c, l, z) flight[((c) * 2 + (l)) * ZONES + (z)]
#define HELDBY(c, z)	held[(c) * ZONES + (z)]
#define CALL(c, l)	(1 << ((c) * 2 + (l)))

/* The protocol's own. */
byte pressure, requests;
byte zone_free[ZONES];
byte stack[CPUS * ZONES];	/* by zone */
byte flight[CPUS * 2 * ZONES];	/* of the cpu's own code, and of its trap handler */
byte answered[CPUS];
bool online[CPUS], closed[CPUS], kicked[CPUS];
bool masked[CPUS], in_trap[CPUS];

/* Users: frames that a cpu allocated and may free. */
byte held[CPUS * ZONES];

/* Ghosts; a bit for each call. */
byte nfree;
byte running, seen;		/* calls under way; those that saw no frame free */
byte looking, moved[ZONES];	/* calls in their last look; those for whom `releases` grew */

inline check_books()
{
	assert(nfree == zone_free[0] + zone_free[1] + stack[0] + stack[1] + stack[2] + stack[3] +
	       flight[0] + flight[1] + flight[2] + flight[3] + flight[4] + flight[5] + flight[6] +
	       flight[7]
#if CPUS > 2
	       + stack[4] + stack[5] + flight[8] + flight[9] + flight[10] + flight[11]
#endif
	)
}

/* A frame of zone z is the caller's now. */
inline took(c, z)
{
	HELDBY(c, z)++;
	nfree--;
	if
	:: nfree == 0 -> seen = seen | running
	:: else
	fi;
	check_books()
}

/* A hold of zone z that gives n frames back to it; inside a step. */
inline zone_release(z, n)
{
	if
	:: (n) > 0 ->
		zone_free[z] = zone_free[z] + (n);
		moved[z] = moved[z] | looking
	:: else
	fi
}

/* The pop, from a stack in any order; inside a step. */
inline pop(c)
{
	if
	:: STACK(c, 0) > 0 -> STACK(c, 0)--; took(c, 0); got = 1
	:: STACK(c, 1) > 0 -> STACK(c, 1)--; took(c, 1); got = 1
	:: LEVEL(c) == 0
	fi
}

/* A closed cache opens when nobody is pressed; the look at the flag and the opening are masked. */
inline open(c)
{
#ifdef OPEN_UNMASKED
	if
	:: closed[c] && pressure == 0 -> closed[c] = 0
	:: else
	fi
#else
	d_step {
		if
		:: closed[c] && pressure == 0 -> closed[c] = 0
		:: else
		fi
	}
#endif
}

/* One frame straight from a zone; one step. */
inline claim_single(c, z)
{
	atomic {
		if
		:: !got && zone_free[z] > 0 -> zone_free[z]--; took(c, z); got = 1
		:: else
		fi
	}
}

/*
 * Gives everything back and shuts the cache while anybody is pressed. Interrupts are masked: what
 * is running, handler or not, is this. The handler's own operation has nothing in flight when it
 * waits or is about to.
 */
inline answer(c, then_masked)
{
	d_step {
		masked[c] = 1;
		number = requests
	}
	d_step {
		assert(FLIGHT(c, 1, 0) + FLIGHT(c, 1, 1) == 0);
#ifndef FORGET_IN_FLIGHT
		zone_release(0, FLIGHT(c, 0, 0));
#ifndef STOLEN_UNMARKED
		FLIGHT(c, 0, 0) = 0;
#endif
#endif
		zone_release(0, STACK(c, 0));
		STACK(c, 0) = 0;
		check_books()
	}
	d_step {
#ifndef FORGET_IN_FLIGHT
		zone_release(1, FLIGHT(c, 0, 1));
		FLIGHT(c, 0, 1) = 0;
#endif
		zone_release(1, STACK(c, 1));
		STACK(c, 1) = 0;
		check_books()
	}
#ifndef OPEN_UNDER_PRESSURE
	d_step {
		if
		:: pressure > 0 -> closed[c] = 1
		:: else
		fi
	}
#endif
	d_step {
		answered[c] = number;
		number = 0;
		masked[c] = then_masked
	}
}

inline kick(k)
{
	if
	:: online[k] && answered[k] < ticket ->
		d_step {
			if
#ifdef KICK_LOST
			:: masked[k] || in_trap[k]
#endif
			:: online[k] -> kicked[k] = 1
			:: else /* a stopped hart keeps no interrupt */
			fi
		}
	:: else
	fi
}

/*
 * Until cpu k has answered, or is off line; meanwhile this one answers others. That others do not
 * wait for it in a ring is already so because each answered after it drew its ticket, before it
 * waits: nobody waits for a later ticket's holder. So NO_POLL is slower and no less right, and
 * NO_ANSWER_WHILE_WAITING answers itself after the wait besides.
 */
inline await(c, k)
{
	do
	:: answered[k] >= ticket || !online[k] -> break
#if !defined(NO_ANSWER_WHILE_WAITING) && !defined(NO_POLL)
	:: answered[k] < ticket && online[k] && answered[c] < requests ->
		answer(c, 0)
#endif
	od
}

inline sum_first(c, l, z)
{
	d_step {
		looking = looking | CALL(c, l);
		moved[z] = moved[z] & ~CALL(c, l)
	}
}

inline sum_second(c, l, z)
{
	d_step {
		changed = changed || (moved[z] & CALL(c, l))
	}
}

inline last_look(c, l)
{
	do
	:: changed ->
		changed = 0;
		sum_first(c, l, 0);
		sum_first(c, l, 1);
		claim_single(c, ZONE(c, 0));
		claim_single(c, ZONE(c, 1));
		if
		:: !got ->
			sum_second(c, l, 0);
			sum_second(c, l, 1);
#ifdef ONE_LOOK
			changed = 0
#endif
		:: else
		fi
	:: else -> break
	od;
	atomic {
		looking = looking & ~CALL(c, l);
		moved[0] = moved[0] & ~CALL(c, l);
		moved[1] = moved[1] & ~CALL(c, l)
	}
}

inline press(c, l)
{
	pressure++;
	d_step {
		requests++;
		ticket = requests
	}
	kick((c + 1) % CPUS);
#if CPUS > 2
	kick((c + 2) % CPUS);
#endif
#ifndef NO_ANSWER_WHILE_WAITING
	answer(c, 0);
#endif
	await(c, (c + 1) % CPUS);
#if CPUS > 2
	await(c, (c + 2) % CPUS);
#endif
#ifdef NO_ANSWER_WHILE_WAITING
	answer(c, 0);
#endif
#ifdef FLAG_LOWERED_EARLY
	pressure--;
#endif
	changed = 1;
	last_look(c, l);
	d_step {
#ifdef NEVER_FAILS
		assert(got);
#endif
		assert(got || (seen & CALL(c, l))); /* the claim */
		ticket = 0;
#ifndef FLAG_LOWERED_EARLY
		pressure--
#endif
	}
}

/* A batch from zone z if the cache is open, else one frame. */
inline claim(c, l, z)
{
#ifdef BATCH_WHEN_CLOSED
	decided = !closed[c];
#endif
	atomic {
#ifndef BATCH_WHEN_CLOSED
		decided = !closed[c];
#endif
		if
		:: got || batch || zone_free[z] == 0
		:: else ->
			if
			:: decided && zone_free[z] >= BATCH ->
				zone_free[z] = zone_free[z] - BATCH;
				FLIGHT(c, l, z) = BATCH;
				batch = 1
			:: decided && zone_free[z] < BATCH ->
				FLIGHT(c, l, z) = zone_free[z];
				zone_free[z] = 0;
				batch = 1
			:: !decided -> zone_free[z]--; took(c, z); got = 1
			fi
		fi;
		decided = 0
	}
}

/* What is in flight goes on the stack, or back where there is no room, and one frame is taken. */
inline accept(c, l)
{
	d_step {
		if
		:: LEVEL(c) + FLIGHT(c, l, 0) + FLIGHT(c, l, 1) <= CAPACITY ->
			STACK(c, 0) = STACK(c, 0) + FLIGHT(c, l, 0);
			STACK(c, 1) = STACK(c, 1) + FLIGHT(c, l, 1)
		:: else ->
			zone_release(0, FLIGHT(c, l, 0));
			zone_release(1, FLIGHT(c, l, 1))
		fi;
		FLIGHT(c, l, 0) = 0;
		FLIGHT(c, l, 1) = 0;
		batch = 0;
		check_books()
	}
	atomic { pop(c) }
}

inline alloc(c, l)
{
	atomic {
		running = running | CALL(c, l);
		if
		:: nfree == 0 -> seen = seen | CALL(c, l)
		:: else
		fi;
		pop(c)
	}
	if
	:: !got ->
		open(c);
		claim(c, l, ZONE(c, 0));
		claim(c, l, ZONE(c, 1));
		if
		:: batch -> accept(c, l)
		:: else
		fi;
		claim_single(c, ZONE(c, 0));
		claim_single(c, ZONE(c, 1));
		if
		:: !got -> press(c, l)
		:: else
		fi
	:: else
	fi;
	d_step {
		got = 0;
		running = running & ~CALL(c, l);
		seen = seen & ~CALL(c, l)
	}
}

/* The push, or nothing; inside a step. */
inline push(c)
{
	if
	:: !got && !closed[c] && LEVEL(c) < CAPACITY ->
		STACK(c, hand)++;
		nfree++;
		got = 1;
		check_books()
	:: else
	fi
}

inline flush(c, l)
{
	d_step {
		if
		:: !got && LEVEL(c) == CAPACITY ->
			FLIGHT(c, l, 0) = STACK(c, 0);
			FLIGHT(c, l, 1) = STACK(c, 1);
			STACK(c, 0) = 0;
			STACK(c, 1) = 0
		:: else
		fi
	}
	d_step {
		zone_release(0, FLIGHT(c, l, 0));
		FLIGHT(c, l, 0) = 0;
		check_books()
	}
	d_step {
		zone_release(1, FLIGHT(c, l, 1));
		FLIGHT(c, l, 1) = 0;
		check_books()
	}
}

inline free(c, l)
{
	atomic {
		if
		:: HELDBY(c, 0) > 0 -> hand = 0
		:: HELDBY(c, 1) > 0 -> hand = 1
		:: HELDBY(c, 0) + HELDBY(c, 1) == 0 -> got = 1 /* a handler freed it */
		fi;
		if
		:: !got -> HELDBY(c, hand)--; push(c)
		:: else
		fi
	}
	if
	:: !got ->
		open(c);
		d_step { push(c) }
		if
		:: !got && !closed[c] -> flush(c, l)
		:: else
		fi;
		d_step {
			push(c);
			if
			:: !got -> zone_release(hand, 1); nfree++; check_books()
			:: else
			fi
		}
	:: else
	fi;
	d_step {
		got = 0;
		hand = 0
	}
}

/*
 * Masks, drains, is off line, and comes back; kicks sent before that are gone. The answer after
 * `online = 1` is for a caller that kicked when this cpu was off line or about to be, and that
 * waits now that it is not.
 */
inline stop(c)
{
#ifndef STOP_WITHOUT_FLUSH
	d_step { zone_release(0, STACK(c, 0)); STACK(c, 0) = 0; check_books() }
	d_step { zone_release(1, STACK(c, 1)); STACK(c, 1) = 0; check_books() }
#endif
	d_step {
		online[c] = 0;
		kicked[c] = 0
	}
	closed[c] = 1;
#ifndef ONLINE_LATE
	online[c] = 1;
#endif
#ifndef NO_ANSWER_ON_START
	answer(c, 1);
#endif
	open(c);
#ifdef ONLINE_LATE
	online[c] = 1;
#endif
	masked[c] = 0
}

/* What a cpu runs when no handler does. */
proctype cpu(byte c; byte ops) provided (!in_trap[c])
{
	byte number, ticket, stops;
	bit got, batch, changed, decided, hand;

	if
	:: c == STOPPER -> stops = STOPS
	:: else
	fi;
endidle:
	do
	:: atomic { ops > 0 -> ops-- };
		alloc(c, 0)
	:: atomic { ops > 0 && HELDBY(c, 0) + HELDBY(c, 1) > 0 -> ops-- };
		free(c, 0)
	:: atomic { stops > 0 -> stops--; masked[c] = 1 };
		stop(c)
	od
}

/* Its trap handler. A handler that has nothing to do is no deadlock; a cpu that waits is one. */
proctype trap(byte c; byte ops)
{
	byte number, ticket;
	bit got, batch, changed, decided, hand;

endidle:
	do
	:: atomic {
			kicked[c] && !masked[c] -> in_trap[c] = 1;
#ifndef KICK_CLEARED_LATE
			kicked[c] = 0
#endif
		};
		answer(c, 0);
#ifdef KICK_CLEARED_LATE
		kicked[c] = 0;
#endif
		in_trap[c] = 0
	:: atomic { ops > 0 && !masked[c] -> in_trap[c] = 1; ops-- };
		if
		:: alloc(c, 1)
		:: HELDBY(c, 0) + HELDBY(c, 1) > 0 -> free(c, 1)
		fi;
		in_trap[c] = 0
	od
}

init {
	atomic {
		online[0] = 1; online[1] = 1;
#if CPUS > 2
		online[2] = 1;
#endif
		zone_free[0] = FREE0; zone_free[1] = FREE1;
		STACK(CPUS - 1, ZONE(CPUS - 1, 0)) = CACHED;
		HELDBY(1, 0) = HELD;
		closed[0] = CLOSED; closed[1] = CLOSED;
		nfree = FREE0 + FREE1 + CACHED;
		check_books();
		run cpu(0, OPS0); run trap(0, TRAPS0);
		run cpu(1, OPS1); run trap(1, TRAPS1);
#if CPUS > 2
		run cpu(2, OPS2); run trap(2, TRAPS2)
#endif
	}
}
