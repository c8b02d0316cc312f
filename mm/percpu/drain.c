/*
 * drain.c - why an allocation that fails was right to fail.
 *
 * frame_alloc() may fail only if there was an instant during the call at which no frame was free
 * anywhere: in no zone, in no cpu's cache, in no batch on its way between the two. A cpu that
 * found all zones empty makes sure as follows.
 *
 *   1. It raises `pressure`, then takes a number from `requests`, then kicks every other cpu that is
 *	on line and has not answered that number.
 *   2. A kicked cpu, in the handler of the kick, gives all it has back to the zones: its stack, its
 *	remote stacks, and a batch that the interrupted operation had in flight (cache.c says how that
 *	is taken away safely). While there is pressure it also shuts its cache: the stack has room for
 *	nothing and holds nothing, so the next free and the next allocation of that cpu go the slow
 *	way, which deals with the zones one frame at a time as long as pressure is up. Then it notes
 *	the number as answered.
 *   3. The asker answers itself in the same way, and waits for the others. It answers what others
 *	ask meanwhile, by looking each time around, so two askers never wait for each other, masked
 *	interrupts or not. A cpu that goes off line has given all back before it says so.
 *   4. Now every cache is shut and empty and no batch flies; none will, as long as pressure is up: a
 *	cache opens in the same masked section that reads pressure 0, and a batch is claimed in the
 *	same masked section that looks whether the cache is open. Free frames are in zones, or nowhere.
 *   5. It looks into each zone, under its lock. If all were empty, and none was given a frame
 *	between the first look and the last (each zone counts its releases under its lock), then at
 *	the instant of the last look all were empty at once: they only lose frames otherwise. If one
 *	was, it looks again.
 *   6. It lowers pressure.
 *
 * Fences. (a) `pressure` before `requests`: the release fence in ask() pairs with the acquire fence
 * in frame_drain_answer(); who sees the number sees the pressure. (b) A cpu's releases to zones
 * before its `answered`: the release fence there pairs with the acquire fence at the end of
 * wait_for_answers(). (c) `requests` and `pressure` before the look at `online`: the full fence
 * in ask() pairs with the full fence in frame_cache_online(): a cpu that comes on line either is
 * kicked, or sees the number itself and answers. (d) The reads of `releases` before and after the
 * looks: full fences; the counter is written before the unlock that makes a release visible.
 * (e) Going off line: the release fence before `online` = 0 pairs with the acquire fence of (b).
 *
 * The model is docs/models/pressure.pml.
 */
#include "mm/percpu/drain.h"

#include "mm/global/zone.h"
#include "mm/percpu/cache.h"
#include "sync/ck.h"
#include "sync/trace.h"

static struct {
	_Alignas(PORT_CACHE_LINE) uint32_t pressure; /* cpus that are short */
	_Alignas(PORT_CACHE_LINE) uint32_t requests; /* numbers given out; they wrap */
} drain;

bool frame_drain_pressure(void)
{
	return ck_pr_load_32(&drain.pressure) != 0;
}

/* Numbers wrap; those that anybody still waits for lie far closer together than half of them. */
static bool has_answered(const struct frame_cache *cache, uint32_t number)
{
	return (int32_t)(ck_pr_load_32(&cache->answered) - number) >= 0;
}

static bool is_online(const struct frame_cache *cache)
{
	return ck_pr_load_32(&cache->online) != 0;
}

static uint32_t ask(void)
{
	uint32_t number;

	ck_pr_fence_release(); /* (a) */
	number = ck_pr_faa_32(&drain.requests, 1) + 1;
	ck_pr_fence_memory(); /* (c) */
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		if (cpu != port_cpu() && is_online(cache) && !has_answered(cache, number)) {
			trace_note(TRACE_KICK, cpu, number);
			port_kick(cpu);
		}
	}
	return number;
}

void frame_drain_ask(void)
{
	(void)ask();
}

void frame_drain_answer(void)
{
	struct frame_cache *cache = frame_cache_self();
	uint64_t begun, frames;
	unsigned long flags;
	uint32_t number;

	if (ck_pr_load_32(&drain.requests) == cache->answered)
		return;
	flags = port_irq_save();
	begun = trace_begin();
	frames = begun ? frame_cache_level(cache) + cache->frames_in_flight : 0;
	number = ck_pr_load_32(&drain.requests);
	ck_pr_fence_acquire(); /* (a) */
	frame_cache_drain(cache, frame_drain_pressure());
	ck_pr_fence_release(); /* (b) */
	ck_pr_store_32(&cache->answered, number);
	trace_end(TRACE_ANSWER, begun, number, frames);
	port_irq_restore(flags);
}

static void wait_for_answers(uint32_t number)
{
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		while (is_online(cache) && !has_answered(cache, number)) {
			frame_drain_answer();
			port_relax();
		}
	}
	ck_pr_fence_acquire(); /* (b), (e) */
}

void frame_drain_settle(void)
{
	wait_for_answers(ask()); /* who asked early and waited for nobody may not have answered himself */
}

/*
 * The low marks of zones. To ask early costs a kick of every cpu and one flush of each; it comes
 * at most once in so many frames as lie between a zone's mark and where it is calm again.
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

static bool is_alone(void)
{
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		if (cpu != port_cpu() && is_online(port_area_of(cpu)))
			return false;
	return true;
}

/* Who is short already has asked for more than this would. */
void zone_is_low(struct zone *zone)
{
	if (is_alone() || frame_drain_pressure())
		return;
	ck_pr_inc_64(&zone->early_drains);
	frame_drain_ask();
}

static uint64_t releases_of_all(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < zones.count; i++)
		sum += zone_releases(&zones.zone[i]);
	return sum;
}

static bool look_until_sure(bool (*look)(void *argument), void *argument, bool exact)
{
	for (;;) {
		uint64_t before = releases_of_all();
		bool found;

		ck_pr_fence_memory(); /* (d) */
		found = look(argument);
		ck_pr_fence_memory(); /* (d) */
		if (found || !exact || releases_of_all() == before)
			return found;
		frame_drain_answer();
	}
}

bool frame_drained(bool (*look)(void *argument), void *argument, bool exact)
{
	struct frame_cache *cache = frame_cache_self();
	uint64_t begun = trace_begin();
	bool found;

	cache->asking++;
	ck_pr_inc_32(&drain.pressure);
	trace_note(TRACE_PRESSURE_UP, ck_pr_load_32(&drain.pressure), 0);
	wait_for_answers(ask());
	found = look_until_sure(look, argument, exact);
	ck_pr_fence_release();
	ck_pr_dec_32(&drain.pressure);
	cache->asking--;
	trace_note(TRACE_PRESSURE_DOWN, ck_pr_load_32(&drain.pressure), 0);
	trace_end(TRACE_DRAIN, begun, found, 0);
	return found;
}

bool frame_drain_is_asking(void)
{
	return frame_cache_self()->asking != 0;
}

void frame_cache_online(void)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long flags = port_irq_save();

	cache->closed = 1;
	cache->limit = cache->bottom;
	ck_pr_store_32(&cache->answered, ck_pr_load_32(&drain.requests));
	ck_pr_fence_release();
	ck_pr_store_32(&cache->online, 1);
	ck_pr_fence_memory(); /* (c) */
	frame_drain_answer();
	port_irq_restore(flags);
}

void frame_cache_offline(void)
{
	struct frame_cache *cache = frame_cache_self();

	frame_cache_drain(cache, true);
	ck_pr_fence_release(); /* (e) */
	ck_pr_store_32(&cache->online, 0);
}
