// SPDX-License-Identifier: GPL-2.0
/*
 * ahead.c - asking for pages ahead of use, and what became of them
 *
 * What a policy wants is kept as streams, not as requests: a request is made at the
 * moment it is sent. So there is nothing to move when a task needs a page that was not
 * asked for yet: it asks for it as for any, and the stream finds it under way. A task
 * that needs one that was, joins its request.
 *
 * Never in a demand's way. At this end: tx_work sends what is asked for ahead only
 * when no demand waits, and a few pages at a time. At the source and on the line: the
 * urgent lane answers in the order of asking, so a demand finds the pages before it
 * that were asked for ahead and have not left yet. How long that takes is measured: it
 * is what the answer to a page asked for ahead takes more than the quickest answer
 * there was. Is it more than tp_ahead_patience(), an eighth of the round trip and 2 ms,
 * there are fewer under way from then on, down to TP_AHEAD_MIN; is it less, more, up to
 * TP_AHEAD_MAX. Whatever else fills the line makes them fewer as well.
 *
 * Whether a page was used is known exactly: until it is touched it is not mapped along
 * with its neighbours (tp_ahead_clip()) nor given to a VMM's own memory before that
 * faults. That costs a fault without a round trip for each page that comes ahead.
 */
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "link.h"
#include "origin.h"
#include "prefetch.h"
#include "telepage.h"
#include "trace.h"

#define TP_AHEAD_START	8	/* pages under way, of all regions of a link */
#define TP_AHEAD_MIN	2
#define TP_AHEAD_MAX	256
#define TP_AHEAD_REPLAY	4	/* so many times as many when there is a replay */
#define TP_AHEAD_MESSAGE 16	/* pages in one message: then demands are looked for */
#define TP_RTT_AGE	(10 * HZ)

/**
 * tp_ahead_new - what an import needs to ask ahead
 * @r: the region
 * @live: its source still writes
 *
 * Context: sleeps.
 * Return: nothing asked for, or NULL without memory.
 */
struct tp_ahead *tp_ahead_new(const struct tp_region *r, bool live)
{
	struct tp_ahead *a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);

	if (!a)
		return NULL;
	a->unused = kvcalloc(BITS_TO_LONGS(r->nr_pages), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!a->unused) {
		kfree(a);
		return NULL;
	}
	spin_lock_init(&a->lock);
	tp_prefetch_init(a);
	tp_replay_init(&a->replay);
	/* What live rounds leave to ask for says little of what a VM needs. */
	a->records = !live && READ_ONCE(r->workingset);
	return a;
}

void tp_ahead_free(struct tp_ahead *a)
{
	if (!a)
		return;
	tp_workingset_free(a);
	tp_replay_forget(&a->replay, &a->lock);
	kvfree(a->unused);
	kfree(a);
}

/**
 * tp_ahead_forget - a page that came ahead is waited for no more
 * @r: the region
 * @index: any number
 *
 * Context: any.
 * Return: had it come and was it not touched? Then it is counted as waste.
 */
bool tp_ahead_forget(struct tp_region *r, pgoff_t index)
{
	struct tp_ahead *a = r->ahead;

	if (index >= r->nr_pages || !test_and_clear_bit(index, a->unused))
		return false;
	atomic_long_dec(&a->nr_unused);
	tp_stat_inc(r, TP_STAT_PREFETCH_WASTE);
	return true;
}

/**
 * tp_ahead_waste - forget what came ahead of some pages
 * @r: the region
 * @first: first page
 * @last: last page
 *
 * Context: sleeps.
 */
void tp_ahead_waste(struct tp_region *r, pgoff_t first, pgoff_t last)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	struct tp_ahead *a = smp_load_acquire(&r->ahead);
	pgoff_t i;

	if (!a || !atomic_long_read(&a->nr_unused))
		return;
	last = min(last, r->nr_pages - 1);
	for (i = tp_find_next_bit(a->unused, last + 1, first); i <= last;
	     i = tp_find_next_bit(a->unused, last + 1, i + 1)) {
		tp_ahead_forget(r, i);
		cond_resched();
	}
}

/**
 * tp_ahead_end - ask for nothing any more
 * @r: the region, at the end of its import
 *
 * What came ahead and was not touched until now was in vain: all that comes later is
 * here, too.
 *
 * Context: sleeps; under tp_ctl_mutex. The link is not kicked for it afterwards.
 */
void tp_ahead_end(struct tp_region *r)
{
	struct tp_ahead *a = r->ahead;

	if (!a)
		return;
	spin_lock(&a->lock);
	a->ended = true;
	WRITE_ONCE(a->pending, false);
	spin_unlock(&a->lock);
	tp_replay_forget(&a->replay, &a->lock);
	tp_ahead_waste(r, 0, ULONG_MAX);
	/* a bridge has kept these back */
	wake_up_all(&r->arrivals);
}

/* Is there something to send, and nobody who knows? */
static void tp_ahead_kick(struct tp_region *r, struct tp_ahead *a)
{
	lockdep_assert_held(&a->lock);
	if (a->pending && !a->ended)
		tp_link_kick(r->link);
}

/**
 * tp_ahead_again - what a replay has passed over may have to be asked for now
 * @r: the region; one that does not import has no replay
 *
 * A lane went, with what was asked for over it; or a page's file is not used after all.
 *
 * Context: any but interrupts.
 */
void tp_ahead_again(struct tp_region *r)
{
	struct tp_ahead *a = r->ahead;

	if (!a)
		return;
	spin_lock(&a->lock);
	tp_replay_again(&a->replay);
	if (a->replay.at && !a->ended)
		WRITE_ONCE(a->pending, true);
	tp_ahead_kick(r, a);
	spin_unlock(&a->lock);
}

/**
 * tp_ahead_needed - somebody needs a page that was not simply here
 * @r: the region
 * @index: the page
 * @how: how it was found
 *
 * Context: any but interrupts, RCU included; not under reqs.xa_lock.
 */
void tp_ahead_needed(struct tp_region *r, pgoff_t index, enum tp_need how)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	struct tp_ahead *a = smp_load_acquire(&r->ahead);

	if (!a)
		return;
	if (how == TP_NEED_ABSENT)
		/* it came and could not be placed */
		tp_ahead_forget(r, index);
	else
		tp_stat_inc(r, TP_STAT_PREFETCH_HIT);
	spin_lock(&a->lock);
	if (!a->ended) {
		tp_touched(r, a, index);
		/* what comes from a file is read ahead by who reads files */
		if (how != TP_NEED_ABSENT || !tp_is_local(r, index))
			tp_prefetch_needed(r, a, index, how);
		tp_ahead_kick(r, a);
	}
	spin_unlock(&a->lock);
}

/**
 * tp_ahead_used_slow - a page is touched, and may have come ahead
 * @r: the region, r->ahead is set
 * @index: page, in range
 *
 * Context: any but interrupts, RCU included.
 */
void tp_ahead_used_slow(struct tp_region *r, pgoff_t index)
{
	struct tp_ahead *a = r->ahead;

	if (!test_bit(index, a->unused) || !test_and_clear_bit(index, a->unused))
		return;
	atomic_long_dec(&a->nr_unused);
	tp_ahead_needed(r, index, TP_NEED_CAME);
}

/* A page that is absent no more has its bit by then: see tp_ahead_came(). */
static bool tp_ahead_apart(const struct tp_region *r, pgoff_t index)
{
	return tp_is_remote(r, index) || test_bit(index, r->ahead->unused);
}

/**
 * tp_ahead_clip_slow - leave out what came ahead of a range around a page
 * @r: the region, r->ahead is set
 * @index: the page, which stays
 * @start: first page of the range
 * @end: last page of the range
 *
 * Also what is absent, which may come ahead before the range is mapped.
 *
 * Context: any.
 */
void tp_ahead_clip_slow(const struct tp_region *r, pgoff_t index, pgoff_t *start, pgoff_t *end)
{
	pgoff_t i, last = min(*end, r->nr_pages - 1);

	for (i = index; i > *start && !tp_ahead_apart(r, i - 1); i--)
		;
	*start = i;
	for (i = index; i < last && !tp_ahead_apart(r, i + 1); i++)
		;
	*end = i;
}

/**
 * tp_ahead_came - the answer to a page asked for ahead is here
 * @r: the region
 * @index: page, which nobody has touched yet
 *
 * Before anybody can find it: who touches it first must find the bit.
 *
 * Context: the receive thread; under reqs.xa_lock.
 */
void tp_ahead_came(struct tp_region *r, pgoff_t index)
{
	struct tp_ahead *a = r->ahead;

	spin_lock(&a->lock);
	/* afterwards nobody would take it back */
	if (!a->ended && !test_and_set_bit(index, a->unused))
		atomic_long_inc(&a->nr_unused);
	spin_unlock(&a->lock);
}

/**
 * tp_ahead_done - a request that was made ahead has ended
 * @r: its region
 * @overtaken: its page came another way before the answer, or is not needed any more
 *
 * Context: under reqs.xa_lock.
 */
void tp_ahead_done(struct tp_region *r, bool overtaken)
{
	struct tp_ahead *a = r->ahead;

	atomic_dec(&r->link->ahead);
	atomic_dec(&a->under_way);
	if (!overtaken && !READ_ONCE(a->pending))
		return;
	spin_lock(&a->lock);
	if (overtaken)
		tp_prefetch_overtaken(a);
	tp_ahead_kick(r, a);
	spin_unlock(&a->lock);
}

/* how much longer than the quickest an answer may take */
static u64 tp_ahead_patience(u64 rtt)
{
	return rtt / 8 + 2 * NSEC_PER_MSEC;
}

/* The quickest answer of the last 10 to 20 s; a way that became longer is believed. */
static u64 tp_ahead_rtt(struct tp_link *link, u64 rtt)
{
	if (!link->rtt_min || time_after(jiffies, link->rtt_since + TP_RTT_AGE)) {
		link->rtt_before = link->rtt_min ?: rtt;
		link->rtt_min = rtt;
		link->rtt_since = jiffies;
	}
	link->rtt_min = min(link->rtt_min, rtt);
	return min(link->rtt_min, link->rtt_before);
}

/**
 * tp_ahead_reply - an answer has come
 * @link: over which
 * @sent_ns: when it was asked for
 * @ahead: ahead of use
 *
 * Context: the urgent lane's receive thread, which alone writes these fields.
 */
void tp_ahead_reply(struct tp_link *link, u64 sent_ns, bool ahead)
{
	u64 now = ktime_get_ns(), rtt = now - sent_ns;
	u64 quick = tp_ahead_rtt(link, rtt), late = rtt - min(rtt, quick);
	unsigned int max = link->ahead_max;

	if (!ahead)
		return;
	if (late > tp_ahead_patience(quick)) {
		/* What is under way was asked for before we knew: once a round trip. */
		if (sent_ns > link->ahead_cut_ns) {
			max = max_t(unsigned int, max - max / 4, TP_AHEAD_MIN);
			link->ahead_cut_ns = now;
		}
	} else if (late < tp_ahead_patience(quick) / 2) {
		max = min_t(unsigned int, max + 1, TP_AHEAD_MAX);
	}
	WRITE_ONCE(link->ahead_max, max);
}

/**
 * tp_ahead_lane_up - the way to the peer may be another
 * @link: the link
 *
 * Context: the urgent lane's receive thread.
 */
void tp_ahead_lane_up(struct tp_link *link)
{
	link->rtt_min = 0;
	WRITE_ONCE(link->ahead_max, TP_AHEAD_START);
}

/* The next region of a link that has something to ask for, in turns; a reference. */
static struct tp_region *tp_ahead_next_region(struct tp_link *link)
{
	struct tp_region *r = NULL, *first = NULL;
	unsigned long id;

	xa_lock(&link->imports);
	xa_for_each(&link->imports, id, r) {
		/* The end of its last round kicks the link: then what is still absent counts. */
		if (!READ_ONCE(r->ahead->pending) || tp_is_live(r))
			continue;
		if (!first)
			first = r;
		if (id > link->ahead_turn)
			break;
	}
	if (!r)
		r = first;
	if (r) {
		link->ahead_turn = r->export_id;
		tp_region_get(r);
	}
	xa_unlock(&link->imports);
	return r;
}

/*
 * The next page to ask for. There may be many to pass over before it: a demand that comes
 * meanwhile goes first, and its kick has us come back.
 */
static bool tp_ahead_next(struct tp_region *r, pgoff_t *index)
{
	struct tp_ahead *a = r->ahead;
	pgoff_t next = ULONG_MAX;

	while (next == ULONG_MAX && list_empty(&r->link->demands)) {
		bool more;

		spin_lock(&a->lock);
		more = !a->ended && tp_prefetch_next(r, a, &next);
		spin_unlock(&a->lock);
		if (!more)
			return false;
		cond_resched();
	}
	if (next == ULONG_MAX)
		return false;
	*index = next;
	return true;
}

/*
 * May more be under way? Of a replay several times as many: it is there to be quick, and
 * whether its answers are late decides all the same.
 */
static bool tp_ahead_has_room(const struct tp_link *link, const struct tp_ahead *a)
{
	unsigned int max = READ_ONCE(link->ahead_max);

	if (READ_ONCE(a->replay.at))
		max *= TP_AHEAD_REPLAY;
	return atomic_read(&link->ahead) < max;
}

/**
 * tp_ahead_take - encode demands for pages nobody needs yet
 * @link: the link
 * @buf: room for TP_LIST_MAX demands
 *
 * Context: tx work only, when no demand waits; sleeps for memory.
 * Return: how many.
 */
unsigned int tp_ahead_take(struct tp_link *link, u8 *buf)
{
	unsigned int n = 0;
	bool more = true;

	while (more && n < TP_AHEAD_MESSAGE) {
		struct tp_region *r = tp_ahead_next_region(link);
		unsigned int before = n;
		pgoff_t index;

		if (!r)
			break;
		while (n < TP_AHEAD_MESSAGE && tp_ahead_has_room(link, r->ahead) &&
		       tp_ahead_next(r, &index)) {
			struct tp_demand d = { .export = r->export_id, .index = index };

			/* What cannot be asked for now is asked for when it is needed. */
			if (!tp_is_remote(r, index) || tp_is_spared(r, index) ||
			    tp_request_ahead(r, index, &d.gen))
				continue;
			tp_wire_put_demand(buf + n++ * TP_DEMAND_LEN, &d);
		}
		if (n > before) {
			tp_stat_add(r, TP_STAT_PREFETCH_SENT, n - before);
			trace_telepage_ahead(r, index, n - before, READ_ONCE(link->ahead_max));
		}
		/* No room: an answer that makes some kicks again, and another has its turn. */
		more = n > before || !READ_ONCE(r->ahead->pending);
		tp_region_put(r);
		cond_resched();
	}
	return n;
}
