/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drain.c - exact out-of-memory: the drain protocol.
 *
 * Claim. frame_alloc() fails only if there was an instant during the call at which no frame was
 * free anywhere: in no zone and in no CPU's cache. (A batch between the two is in a section with
 * interrupts masked, C6, so a CPU that has answered holds no batch.)
 *
 *   1. A CPU that found all zones empty raises `pressure`, takes a ticket from `requests`, and
 *	raises `asked` to it for every other CPU that is on line and not parked. One IPI call tells
 *	up to 64 of them.
 *   2. A CPU that is asked gives all it has back to the zones, in steps of at most FRAME_CACHE_STEP
 *	frames. From the first step on its cache is CLOSING, and takes no more frames. After the
 *	last step it is PARKED: empty and without room. The CPU then stores the ticket as
 *	`answered`.
 *   3. A parked cache opens at its owner's next operation that misses it: the owner stores OPEN,
 *	and then looks at `pressure`. Under pressure it parks again, and takes and gives single
 *	frames past the cache. Else it counts the opening, and gives the stack its room.
 *   4. The requester parks its own cache, and waits for the CPUs that it asked. In each turn of
 *	that wait it answers requests of others: so two requesters never wait for each other,
 *	whether interrupts are masked or not. A CPU that goes off line has given all its frames back
 *	before it says so.
 *   5. Now every cache is parked, and none opens as long as pressure is up. Free frames are in
 *	zones, or nowhere.
 *   6. The requester looks into each zone, under its lock. If there is one zone, and it is empty,
 *	that is the instant. With several zones there was such an instant if no zone was given a
 *	frame between the first look and the last (each zone counts its releases under its lock):
 *	zones only lose frames otherwise, so all were empty at the end. If a zone was given one, the
 *	requester looks again. After LOOKS_APART looks it takes all zones' locks at once, by rising
 *	number, and that look is final: so the number of looks has a bound.
 *   7. It lowers pressure.
 *
 * Runs. A request for several frames, or for an alignment, does the same without pressure, and
 * looks once. So caches that have answered may open again at once: a caller whose memory is
 * fragmented costs each other CPU one miss, not a lock hold for each frame.
 *
 * Early requests. A claim that crosses a zone's low mark asks, and does not wait. It asks only CPUs
 * whose caches seem to hold frames of that zone.
 *
 * Not repeated. A request that found nothing notes how many releases and openings there had been:
 * openings before it asked, releases before its last look. While neither has grown, nothing has
 * been freed since: for at the time of the look each cache had been parked, so a frame that is
 * freed goes to a zone, which counts a release, or into a cache that was opened first. A frame that
 * was not there then is not there now, so the next request of this CPU fails without asking.
 *
 * Tickets are 64 bits wide: at one request each nanosecond they last 500 years.
 *
 * Fences.
 *
 *   (a) `pressure` before the ticket, and so before `asked`: the first full fence in ask() pairs
 *	 with the acquire fence in frame_drain_answer(). A CPU that sees that ticket, or one that
 *	 was drawn later, sees the pressure. Without it another request could draw a later ticket,
 *	 be answered, and the cache be opened, before the pressure is seen; the requester would take
 *	 that answer for its own.
 *   (b) A CPU's releases to zones before PARKED and `answered`: the release fence in
 *	 frame_cache_park_step() pairs with the acquire fence at the end of wait_for_answers().
 *   (c) `pressure` before the look at `online` and `state`: the second full fence in ask() pairs
 *	 with the one in cache_open(), between OPEN and the look at pressure. Either the requester
 *	 finds the cache open, and asks; or the owner finds pressure, and parks again. The same for
 *	 a CPU that comes on line, which is parked until it opens.
 *   (d) The sums of releases around a look: full fences. Each counter is written before the unlock
 *	 that makes a release visible.
 *   (e) Going off line: the release fence before `online` = 0 pairs with the acquire fence of (b).
 *   (f) `openings` before the look at `state`: the second full fence in ask() pairs with the one in
 *	 cache_open(), between OPEN and the count. A requester that has read the count with an
 *	 opening in it finds that cache OPEN, or parked by a later answer. And the count before the
 *	 room: the release fence in frame_drain_count_opening() pairs with the full fence in
 *	 nothing_freed_since().
 *
 * Locks. No lock is held while a CPU waits here. Only the final look holds zones' locks, all of
 * them.
 *
 * The model is docs/models/pressure.pml.
 */
#include "mm/percpu/drain.h"

#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain_test.h"
#include "sync/ck.h"
#include "sync/counter_start.h"
#include "sync/trace.h"

/*
 * How often the zones are looked at one by one, before all their locks are taken at once. A look is
 * repeated only if a zone was given a frame during it.
 */
#define LOOKS_APART 16

#define CPUS_PER_SET 64

/* Every CPU writes these. Each has its own cache line. */
static struct {
	_Alignas(PORT_CACHE_LINE) uint32_t pressure; /* CPUs that need a single frame */
	_Alignas(PORT_CACHE_LINE) uint64_t requests; /* tickets given out */
	_Alignas(PORT_CACHE_LINE) uint64_t openings; /* of parked caches */
} drain = {.requests = TICKET_FIRST, .openings = COUNTER_FIRST_64};

#if COUNTERS_NEAR_WRAP
void frame_drain_start_counters(void)
{
	drain.requests = TICKET_START;
	drain.openings = COUNTER_START_64;
}
#endif

bool frame_drain_pressure(void)
{
	return ck_pr_load_32(&drain.pressure) != 0;
}

void frame_drain_count_opening(void)
{
	ck_pr_inc_64(&drain.openings);
	ck_pr_fence_release(); /* (f) */
}

/* ---- asking ------------------------------------------------------------------------------ */

static bool is_online(const struct frame_cache *cache)
{
	return ck_pr_load_32(&cache->online) != 0;
}

/* True if the cache may have frames of the zone, or any frames if zone is NULL. */
static bool is_worth_asking(const struct frame_cache *cache, const struct zone *zone)
{
	return is_online(cache) && cache_state(cache) != FRAME_CACHE_PARKED &&
	       (!zone || frame_cache_may_hold(cache, zone));
}

/* Only upwards: another request may have stored a later ticket meanwhile. */
static void raise_asked(struct frame_cache *cache, uint64_t ticket)
{
	uint64_t seen = ck_pr_load_64(&cache->asked);

	while (seen < ticket && !ck_pr_cas_64_value(&cache->asked, seen, ticket, &seen))
		;
}

/*
 * Gives the ticket to CPUs from `first` on; returns those it gave it to: first + i for each bit i.
 */
static uint64_t give_tickets(unsigned first, uint64_t ticket, const struct zone *zone)
{
	uint64_t set = 0;

	for (unsigned i = 0; i < CPUS_PER_SET && first + i < port_cpu_count(); i++) {
		struct frame_cache *cache = port_area_of(first + i);

		if (first + i == port_cpu() || !is_worth_asking(cache, zone))
			continue;
		raise_asked(cache, ticket);
		trace_note(TRACE_ASK, first + i, ticket);
		set |= UINT64_C(1) << i;
	}
	return set;
}

/*
 * Returns the ticket; *asked: at least one CPU was given it. This CPU counts as asking meanwhile,
 * so that a trap handler does not take it off line between the raise of `asked` and the IPI: then
 * no IPI would be sent, and others would wait for that answer.
 */
static __attribute__((noinline)) uint64_t ask(const struct zone *zone, bool *asked)
{
	struct frame_cache *own = frame_cache_self();
	uint64_t ticket;

	own->asking++;
	ck_pr_fence_memory(); /* (a) */
	ticket = ck_pr_faa_64(&drain.requests, 1) + 1;
	*asked = false;
	ck_pr_fence_memory(); /* (c), (f) */
	for (unsigned first = 0; first < port_cpu_count(); first += CPUS_PER_SET) {
		uint64_t set = give_tickets(first, ticket, zone);

		if (set) {
			port_ipi_send(first, set);
			*asked = true;
		}
	}
	own->asking--;
	return ticket;
}

void frame_drain_ask(void)
{
	bool asked;

	ask(NULL, &asked);
}

/* Under pressure all CPUs have been asked already. */
void frame_drain_low(struct zone *zone)
{
	bool asked;

	if (frame_drain_pressure())
		return;
	ask(zone, &asked);
	if (asked)
		ck_pr_inc_64(&zone->early_drains);
}

/*
 * An early request costs an IPI and a flush on each CPU that has frames of the zone. After one, the
 * next comes only when the zone had low_rearm free frames again (zone.h).
 */
void frame_drain_set_low(uint64_t frames)
{
	uint64_t batches = (uint64_t)port_cpu_count() * frame_cache_self()->batch_min;

	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];
		uint64_t most = zone->total_frames / 16;

		if (frames != FRAME_LOW_DEFAULT)
			zone_set_low(zone, frames);
		else
			zone_set_low(zone, batches < most ? batches : most);
	}
}

/* ---- answering --------------------------------------------------------------------------- */

bool frame_drain_answer(void)
{
	struct frame_cache *cache = frame_cache_self();
	uint64_t asked, begun, level;
	unsigned long flags;
	bool more;

	if (ck_pr_load_64(&cache->asked) == cache->answered)
		return false;
	/*
	 * Read again: a trap handler may have answered a later request since; `answered` never goes
	 * back.
	 */
	flags = port_irq_save();
	asked = ck_pr_load_64(&cache->asked);
	ck_pr_fence_acquire(); /* (a) */
	begun = trace_begin();
	level = frame_cache_level(cache);
	more = frame_cache_park_step(cache);
	if (!more)
		ck_pr_store_64(&cache->answered, asked); /* behind the fence of (b) */
	trace_end(TRACE_ANSWER, begun, asked, level - frame_cache_level(cache));
	port_irq_restore(flags);
	return more;
}

/*
 * A CPU that was parked when ask() looked at it has not been given the ticket, and is not waited
 * for.
 */
static bool is_waited_for(const struct frame_cache *cache, uint64_t ticket)
{
	return ck_pr_load_64(&cache->answered) < ticket && ck_pr_load_64(&cache->asked) >= ticket &&
	       is_online(cache) && cache_state(cache) != FRAME_CACHE_PARKED;
}

/*
 * A requester that waits has parked its own cache, so it can answer without giving anything back.
 * If a trap handler has opened the cache since, interrupts are let in here, and the handler of the
 * IPI answers.
 */
static void answer_parked(struct frame_cache *cache)
{
	unsigned long flags;

	if (ck_pr_load_64(&cache->asked) == cache->answered)
		return;
	flags = port_irq_save();
	if (cache_state(cache) == FRAME_CACHE_PARKED)
		/* Behind the fence of (b), when it parked. */
		ck_pr_store_64(&cache->answered, ck_pr_load_64(&cache->asked));
	port_irq_restore(flags);
}

static void wait_for_answers(struct frame_cache *own, uint64_t ticket)
{
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		while (cpu != port_cpu() && is_waited_for(port_area_of(cpu), ticket)) {
			answer_parked(own);
			port_relax();
		}
	ck_pr_fence_acquire(); /* (b), (e) */
}

void frame_drain_settle(void)
{
	while (frame_drain_answer())
		;
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);
		uint64_t ticket = ck_pr_load_64(&cache->asked);

		while (cpu != port_cpu() && is_online(cache) &&
		       ck_pr_load_64(&cache->answered) < ticket)
			frame_relax();
	}
	ck_pr_fence_acquire(); /* (b), (e) */
}

/* ---- the looks, with all caches parked ---------------------------------------------------- */

static uint64_t releases_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < zones.count; i++)
		sum += zone_releases(&zones.zone[i]);
	return sum;
}

/*
 * True: this CPU's last request was for no more than this, found nothing, and nothing was freed
 * since.
 */
static bool nothing_freed_since(struct frame_cache *cache, uint64_t count, uint64_t align)
{
	unsigned long flags = port_irq_save(); /* a request in a trap handler may replace the note */
	struct frame_drain_note note = cache->work->note;

	port_irq_restore(flags);
	if (!note.count || note.count > count || note.align > align)
		return false;
	ck_pr_fence_memory(); /* later reads happen during this call; (f) */
	return ck_pr_load_64(&drain.openings) == note.openings && releases_of_all() == note.releases;
}

static void note_failure(struct frame_cache *cache, const struct frame_drain_note *note)
{
	unsigned long flags = port_irq_save();

	cache->work->note = *note;
	port_irq_restore(flags);
}

static struct zone *search_all_zones(struct frame_cache *cache, uint64_t *frame)
{
	unsigned long flags = port_irq_save(); /* a trap handler would use the same nodes */
	struct zone *zone = zones_claim_one_masked(cache->work->nodes, frame);

	port_irq_restore(flags);
	return zone;
}

/* Step 6: *releases is the count before the last look. */
static struct zone *search_until_stable(struct frame_cache *cache, uint64_t *frame,
					uint64_t *releases)
{
	for (unsigned looks = 0; looks < LOOKS_APART; looks++) {
		struct zone *zone;

		*releases = releases_of_all();
		ck_pr_fence_memory(); /* (d) */
		zone = cache_claim_one(cache, frame);
		if (zone)
			return zone;
		ck_pr_fence_memory(); /* (d) */
		if (zones.count == 1 || releases_of_all() == *releases)
			return NULL;
	}
	*releases = releases_of_all();
	ck_pr_fence_memory(); /* (d) */
	return search_all_zones(cache, frame);
}

static void change_pressure(bool up)
{
	if (up) {
		ck_pr_inc_32(&drain.pressure); /* ordered by the first fence in ask() */
	} else {
		ck_pr_fence_release(); /* the looks come before */
		ck_pr_dec_32(&drain.pressure);
	}
	if (trace_is_on())
		trace_note(up ? TRACE_PRESSURE_UP : TRACE_PRESSURE_DOWN,
			   ck_pr_load_32(&drain.pressure), 0);
}

/* A request for a single frame is exact, and so keeps caches shut until its last look. */
static bool needs_pressure(const struct frame_drain_note *note)
{
	return note->count == 1 && note->align == 1;
}

/*
 * Steps 1 to 5. From here to end_request() this CPU does not go off line. note->openings is read
 * before other CPUs are asked.
 */
static void empty_all_caches(struct frame_cache *cache, struct frame_drain_note *note)
{
	unsigned long flags;
	uint64_t ticket;
	bool asked;

	flags = port_irq_save();
	counter_add(&cache->stats.drains, 1); /* trap handlers count here too */
	port_irq_restore(flags);
	cache->asking++;
	if (needs_pressure(note))
		change_pressure(true);
	note->openings = ck_pr_load_64(&drain.openings);
	ticket = ask(NULL, &asked);
	while (frame_cache_park_step(cache))
		;
	wait_for_answers(cache, ticket);
}

static void end_request(struct frame_cache *cache, const struct frame_drain_note *note, bool found)
{
	if (needs_pressure(note))
		change_pressure(false);
	if (!found)
		note_failure(cache, note);
	cache->asking--;
}

struct zone *frame_drained_one(uint64_t *frame)
{
	struct frame_drain_note note = {.count = 1, .align = 1};
	struct frame_cache *cache = frame_cache_self();
	uint64_t begun = trace_begin();
	struct zone *zone;

	if (nothing_freed_since(cache, 1, 1))
		return NULL;
	empty_all_caches(cache, &note);
	zone = search_until_stable(cache, frame, &note.releases);
	end_request(cache, &note, zone != NULL);
	trace_end(TRACE_DRAIN, begun, zone != NULL, 0);
	return zone;
}

struct zone *frame_drained_run(uint64_t count, uint64_t align, uint64_t *first)
{
	struct frame_drain_note note = {.count = count, .align = align};
	struct frame_cache *cache = frame_cache_self();
	uint64_t begun = trace_begin();
	struct zone *zone;

	if (nothing_freed_since(cache, count, align))
		return NULL;
	empty_all_caches(cache, &note);
	note.releases = releases_of_all();
	ck_pr_fence_memory(); /* (d) */
	zone = cache_claim_run(cache, count, align, first);
	end_request(cache, &note, zone != NULL);
	trace_end(TRACE_DRAIN, begun, zone != NULL, 0);
	return zone;
}

bool frame_drain_is_asking(void)
{
	return frame_cache_self()->asking != 0;
}

/* ---- on line and off --------------------------------------------------------------------- */

void frame_cache_online(void)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long flags = port_irq_save();

	check(cache->top == cache->bottom && !cache->remote_frames,
	      "frame_cache_online: cpu %u has frames in its cache already", port_cpu());
	cache->limit = cache->top;
	ck_pr_store_32(&cache->state, FRAME_CACHE_PARKED);
	ck_pr_store_64(&cache->answered, ck_pr_load_64(&cache->asked));
	ck_pr_fence_release(); /* as (e): a CPU that sees this one on line sees it parked */
	ck_pr_store_32(&cache->online, 1);
	port_irq_restore(flags);
}

void frame_cache_offline(void)
{
	struct frame_cache *cache = frame_cache_self();

	check(!cache->asking, "frame_cache_offline: cpu %u waits for its own request", port_cpu());
	while (frame_cache_park_step(cache))
		;
	ck_pr_fence_release(); /* (e) */
	ck_pr_store_32(&cache->online, 0);
}
