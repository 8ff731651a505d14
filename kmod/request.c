// SPDX-License-Identifier: GPL-2.0
/*
 * request.c - pages in flight
 *
 * One struct tp_request per page that somebody needs and that is at the peer,
 * however many wait for it. The table is region->reqs, its lock guards requests
 * and waiters. A request ends exactly once: by whoever takes it out of the table.
 *
 * No request is left over when its page arrived, was punched or given up: who makes
 * it so clears the remote bit, or sets the state, and then looks for requests;
 * tp_request() enters the request and then looks at bit and state. Both with a full
 * barrier in between, so one of them sees the other.
 */
#include <linux/ktime.h>
#include <linux/slab.h>
#include "link.h"
#include "origin.h"
#include "prefetch.h"
#include "telepage.h"
#include "trace.h"

static struct kmem_cache *tp_request_cache;

int tp_request_init(void)
{
	tp_request_cache = KMEM_CACHE(tp_request, SLAB_ACCOUNT);
	return tp_request_cache ? 0 : -ENOMEM;
}

void tp_request_exit(void)
{
	kmem_cache_destroy(tp_request_cache);
}

/* Requests of a region that nobody waits for; more is somebody's mistake or malice. */
#define TP_IDLE_MAX	4096

/* Take a request out of the table and of the queue, and tell its waiters. */
static struct tp_request *tp_request_end(struct tp_region *r, pgoff_t index, int err)
{
	struct tp_request *req = __xa_erase(&r->reqs, index);
	struct tp_waiter *w, *tmp;

	lockdep_assert_held(&r->reqs.xa_lock);
	if (!req)
		return NULL;
	if (r->link) {
		spin_lock(&r->link->queue_lock);
		list_del_init(&req->queue);
		spin_unlock(&r->link->queue_lock);
	}
	list_for_each_entry_safe(w, tmp, &req->waiters, node) {
		list_del_init(&w->node);
		w->done(w, err);
	}
	r->nr_idle -= req->idle;
	if (req->ahead)
		tp_ahead_done(r, !req->answered);
	return req;
}

/* Ask the peer, if that was not done. */
static void tp_request_send(struct tp_region *r, struct tp_request *req)
{
	lockdep_assert_held(&r->reqs.xa_lock);
	spin_lock(&r->link->queue_lock);
	if (list_empty(&req->queue))
		list_add_tail(&req->queue, &r->link->demands);
	spin_unlock(&r->link->queue_lock);
	tp_link_kick(r->link);
}

/**
 * tp_request_reroute - a page comes from no file: ask the peer for it
 * @r: the region
 * @index: page, its local bit clear
 *
 * Context: any but interrupts; after a full barrier behind the bit.
 * Return: false: there is no peer, and somebody may wait.
 */
bool tp_request_reroute(struct tp_region *r, pgoff_t index)
{
	struct tp_request *req;

	if (!r->link)
		return !tp_is_remote(r, index);
	xa_lock(&r->reqs);
	req = xa_load(&r->reqs, index);
	if (req && !xa_get_mark(&r->reqs, index, TP_REQ_READ))
		tp_request_send(r, req);
	xa_unlock(&r->reqs);
	/* the peer may push it, too */
	set_bit(TP_WANT_AGAIN, &r->want_flags);
	tp_link_kick(r->link);
	return true;
}

/**
 * tp_request_late - ask the peer as well for what files have not given in time
 * @r: the region, importing
 * @age_ms: of the requests
 *
 * Whichever of the two comes second finds the page here.
 *
 * Context: sleeps.
 */
void tp_request_late(struct tp_region *r, unsigned int age_ms)
{
	u64 born_before = ktime_get_ns() - age_ms * (u64)NSEC_PER_MSEC;
	struct tp_request *req;
	unsigned long index;

	xa_lock(&r->reqs);
	xa_for_each(&r->reqs, index, req) {
		/* What goes back to a reader after it was sent counts as not sent. */
		if (!READ_ONCE(req->sent_ns) && req->born_ns <= born_before)
			tp_request_send(r, req);
		/* The walk goes by index: it bears what changes meanwhile. */
		cond_resched_lock(&r->reqs.xa_lock);
	}
	xa_unlock(&r->reqs);
}

static struct tp_request *tp_request_new(struct tp_region *r, pgoff_t index)
{
	struct tp_request *req = kmem_cache_zalloc(tp_request_cache, GFP_KERNEL);

	if (!req)
		return NULL;
	req->region = r;
	req->index = index;
	req->born_ns = ktime_get_ns();
	INIT_LIST_HEAD(&req->queue);
	INIT_LIST_HEAD(&req->waiters);
	return req;
}

/* Enter a new request. Return: 0, -EEXIST there is one, 1 not absent, -EIO, -ENOMEM. */
static int tp_request_enter(struct tp_region *r, struct tp_request *req)
{
	struct tp_request *old;
	int ret = 0;

	lockdep_assert_held(&r->reqs.xa_lock);
	/* 0 is no generation: it marks what was pushed */
	if (!++r->next_gen)
		++r->next_gen;
	req->gen = r->next_gen;
	old = __xa_cmpxchg(&r->reqs, req->index, NULL, req, GFP_KERNEL);
	if (old)
		return xa_is_err(old) ? xa_err(old) : -EEXIST;
	/* Pairs with the barriers of those who call tp_request_finish*(). */
	smp_mb();
	if (READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED)
		ret = -EIO;
	else if (!tp_is_remote(r, req->index))
		ret = 1;
	if (ret)
		__xa_erase(&r->reqs, req->index);
	return ret;
}

/* Somebody needs a page that was asked for ahead. Return: for the first time. */
static bool tp_request_want(struct tp_region *r, struct tp_request *req)
{
	lockdep_assert_held(&r->reqs.xa_lock);
	if (!req->ahead || req->wanted)
		return false;
	req->wanted = true;
	/* What has come is counted by its bit, and by whoever finds that. */
	return !req->came;
}

/**
 * tp_request - ask for an absent page
 * @r: the region
 * @index: page, in range
 * @w: told when the page has come, or NULL: then it is a wish, of which a region has
 *	at most TP_IDLE_MAX
 *
 * Context: sleeps for memory only.
 * Return: 0 the request is under way and @w waits, or it is one wish too many; 1 the
 * page is not absent (any more), @w is not used; -EIO the region was abandoned;
 * -ENOMEM.
 */
int tp_request(struct tp_region *r, pgoff_t index, struct tp_waiter *w)
{
	struct tp_request *req, *new = NULL;
	bool read = false, late = false;
	int ret = 0;

	xa_lock(&r->reqs);
	req = xa_load(&r->reqs, index);
	if (req)
		goto join;
	if (!w && r->nr_idle >= TP_IDLE_MAX)
		goto out;
	xa_unlock(&r->reqs);

	new = tp_request_new(r, index);
	if (!new)
		return -ENOMEM;
	new->idle = !w;

	xa_lock(&r->reqs);
	ret = tp_request_enter(r, new);
	if (ret) {
		kmem_cache_free(tp_request_cache, new);
		if (ret != -EEXIST)
			goto out;
		ret = 0;
		new = NULL;
		req = xa_load(&r->reqs, index);
		goto join;
	}
	req = new;
	r->nr_idle += req->idle;
	trace_telepage_request(r, index, req->gen);
	read = tp_is_local(r, index);
	if (read)
		__xa_set_mark(&r->reqs, index, TP_REQ_READ);
	else if (r->link)
		tp_request_send(r, req);
join:
	late = tp_request_want(r, req);
	if (w)
		list_add_tail(&w->node, &req->waiters);
out:
	xa_unlock(&r->reqs);
	if (read)
		tp_origin_kick(r);
	if (!ret && (new || late))
		tp_ahead_needed(r, index, late ? TP_NEED_LATE : TP_NEED_ABSENT);
	return ret;
}

/**
 * tp_request_ahead - make a request for a page that nobody needs yet
 * @r: the region, importing
 * @index: page, in range
 * @gen: where to: what to ask for it with, at once
 *
 * Context: tx work; sleeps for memory.
 * Return: 0, or another number: it need not be asked for, or cannot be.
 */
int tp_request_ahead(struct tp_region *r, pgoff_t index, u32 *gen)
{
	struct tp_request *req = tp_request_new(r, index);
	int ret;

	if (!req)
		return -ENOMEM;
	req->ahead = true;
	req->sent_ns = req->born_ns;
	xa_lock(&r->reqs);
	ret = tp_request_enter(r, req);
	if (!ret) {
		atomic_inc(&r->link->ahead);
		atomic_inc(&r->ahead->under_way);
		*gen = req->gen;
	}
	xa_unlock(&r->reqs);
	if (ret)
		kmem_cache_free(tp_request_cache, req);
	return ret;
}

/* Forget a request that was made ahead. Return: false: somebody needs the page now. */
static bool tp_request_drop(struct tp_region *r, struct tp_request *req)
{
	lockdep_assert_held(&r->reqs.xa_lock);
	if (!req->ahead || req->wanted)
		return false;
	req->answered = true;	/* it came no other way */
	kmem_cache_free(tp_request_cache, tp_request_end(r, req->index, 0));
	return true;
}

/**
 * tp_request_drop_ahead - the peer cannot give a page that was asked for ahead
 * @r: the region
 * @index: page
 * @gen: as the peer echoed it
 *
 * Context: any but interrupts.
 * Return: true: forgotten; false: it is no such request, or somebody needs the page.
 */
bool tp_request_drop_ahead(struct tp_region *r, pgoff_t index, u32 gen)
{
	struct tp_request *req;
	bool dropped;

	xa_lock(&r->reqs);
	req = xa_load(&r->reqs, index);
	dropped = req && req->gen == gen && tp_request_drop(r, req);
	xa_unlock(&r->reqs);
	return dropped;
}

/**
 * tp_request_cancel - stop waiting
 * @r: the region
 * @index: page
 * @w: a waiter that tp_request() took
 *
 * The request goes on: its page will be needed by the next who asks.
 *
 * Context: any but interrupts.
 * Return: true: @w was waiting and will not be told; false: it was told.
 * Either way @w is free to go.
 */
bool tp_request_cancel(struct tp_region *r, pgoff_t index, struct tp_waiter *w)
{
	bool waiting;

	xa_lock(&r->reqs);
	waiting = !list_empty(&w->node);
	list_del_init(&w->node);
	xa_unlock(&r->reqs);
	return waiting;
}

/**
 * tp_request_finish - end the request for a page, if there is one
 * @r: the region
 * @index: page
 * @err: what to tell the waiters, 0: look again
 *
 * Context: any but interrupts; after a full barrier behind what ended it.
 */
void tp_request_finish(struct tp_region *r, pgoff_t index, int err)
{
	struct tp_request *req;

	xa_lock(&r->reqs);
	req = tp_request_end(r, index, err);
	xa_unlock(&r->reqs);
	if (!req)
		return;
	trace_telepage_done(r, index, ktime_get_ns() - req->born_ns, err);
	kmem_cache_free(tp_request_cache, req);
}

/**
 * tp_request_finish_range - end all requests for some pages
 * @r: the region
 * @start: first page
 * @last: last page
 * @err: what to tell the waiters
 *
 * Context: sleeps.
 */
void tp_request_finish_range(struct tp_region *r, pgoff_t start, pgoff_t last, int err)
{
	unsigned long index;
	void *entry;

	xa_for_each_range(&r->reqs, index, entry, start, last) {
		tp_request_finish(r, index, err);
		cond_resched();
	}
}

/**
 * tp_request_matches - is this the request that is in flight?
 * @r: the region
 * @index: page
 * @gen: as the peer echoed it
 */
bool tp_request_matches(struct tp_region *r, pgoff_t index, u32 gen)
{
	struct tp_request *req;
	bool ok;

	xa_lock(&r->reqs);
	req = xa_load(&r->reqs, index);
	ok = req && req->gen == gen;
	xa_unlock(&r->reqs);
	return ok;
}

/**
 * tp_request_answered - is this the request that is in flight? Then its page comes now
 * @r: the region
 * @index: page
 * @gen: as the peer echoed it
 * @came: where to: how that is counted
 *
 * Context: the urgent lane's receive thread, before the page is placed.
 */
bool tp_request_answered(struct tp_region *r, pgoff_t index, u32 gen, enum tp_stat *came)
{
	struct tp_request *req;
	bool ok, ahead = false;
	u64 sent_ns = 0;

	xa_lock(&r->reqs);
	req = xa_load(&r->reqs, index);
	ok = req && req->gen == gen;
	if (ok) {
		ahead = req->ahead;
		sent_ns = READ_ONCE(req->sent_ns);
		req->answered = true;
		if (ahead && !req->wanted) {
			req->came = true;
			tp_ahead_came(r, index);
		}
	}
	xa_unlock(&r->reqs);
	*came = ahead ? TP_STAT_PREFETCH_CAME : TP_STAT_DEMAND;
	/* a hostile peer can answer what was not sent yet */
	if (sent_ns)
		tp_ahead_reply(r->link, sent_ns, ahead);
	return ok;
}

/**
 * tp_request_resend - ask again for everything in flight
 * @r: the region, importing
 *
 * What was asked for ahead is forgotten, unless somebody needs it meanwhile: then it is
 * a demand.
 *
 * Context: sleeps.
 */
void tp_request_resend(struct tp_region *r)
{
	struct tp_request *req;
	unsigned long index;
	bool read = false;

	xa_lock(&r->reqs);
	xa_for_each(&r->reqs, index, req) {
		/* It may have got its file after it was sent. A reader that has it is no loss. */
		if (tp_request_drop(r, req)) {
			/* gone */
		} else if (tp_is_local(r, index)) {
			__xa_set_mark(&r->reqs, index, TP_REQ_READ);
			WRITE_ONCE(req->sent_ns, 0);
			read = true;
		} else {
			tp_request_send(r, req);
		}
		/* The walk goes by index: it bears what changes meanwhile. */
		cond_resched_lock(&r->reqs.xa_lock);
	}
	xa_unlock(&r->reqs);
	if (read)
		tp_origin_kick(r);
	tp_link_kick(r->link);
}
