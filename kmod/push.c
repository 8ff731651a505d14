// SPDX-License-Identifier: GPL-2.0
/*
 * push.c - the source's background push, one thread per bulk lane
 *
 * What may be pushed is what the peer said it wants: a bitmap per serve. A thread
 * takes a run of it and sends it: what the export's order has first (order.c), then from
 * the cursor on; the cursor follows the demands, for what was just touched has
 * neighbours that will be. The lanes of a
 * link share the bitmaps, so each page is taken once; what is lost with a lane is
 * wanted again by the peer.
 */
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include "link.h"
#include "telepage.h"
#include "trace.h"

#define TP_TAKE		64	/* pages a thread takes at once */
#define TP_DRY		1	/* messages in a row from which on the push is too slow */
#define TP_DEFER	(HZ / 50 ?: 1)	/* how long to leave pages alone that are not here yet */

/* Pages of one kind that follow each other, not sent yet. */
struct tp_batch {
	struct tp_lane *lane;
	struct tp_export *ex;
	pgoff_t start;
	unsigned int nr;
	bool zero;
	u32 round;			/* live: as of which round; 0: for good */
	struct bio_vec *bv;		/* lane->bv_push */
};

/**
 * tp_serve_wanted - how many pages are left to push
 * @sv: the serve
 */
unsigned long tp_serve_wanted(struct tp_serve *sv)
{
	/* of no certain moment: pages are wanted and pushed meanwhile */
	return data_race(bitmap_weight(sv->want, sv->export->nr_pages));
}

static pgoff_t tp_push_from_cursor(struct tp_serve *sv)
{
	unsigned long nr = sv->export->nr_pages, p;

	p = find_next_bit(sv->want, nr, min(sv->cursor, nr));
	if (p >= nr)
		p = find_first_bit(sv->want, nr);
	if (p >= nr)
		sv->more = false;
	return p;
}

/* Return: how many pages; none: look again whether there is something to push. */
static unsigned int tp_push_take(struct tp_serve *sv, pgoff_t *start)
{
	pgoff_t p, end = sv->export->nr_pages;
	unsigned int n = 0;
	int ordered;

	spin_lock(&sv->lock);
	ordered = tp_order_next(sv, &p, &end);
	if (ordered < 0)
		goto out;
	if (!ordered) {
		end = sv->export->nr_pages;
		p = tp_push_from_cursor(sv);
	}
	*start = p;
	while (n < TP_TAKE && p < end && test_and_clear_bit(p, sv->want)) {
		n++;
		p++;
	}
	if (!ordered)
		sv->cursor = p;
out:
	spin_unlock(&sv->lock);
	return n;
}

/*
 * How to pack. While the network is what everybody waits for, zstd gets most out of
 * it. Where the socket runs dry between two messages it is this thread that is
 * waited for, and LZ4 packs three times as fast. Under a limit of the rate a dry
 * socket says nothing.
 */
static enum tp_codec tp_push_codec(struct tp_batch *b)
{
	struct tp_lane *lane = b->lane;
	bool limited = READ_ONCE(lane->link->rate.kbit) ||
		       (b->ex->region && READ_ONCE(b->ex->region->rate.kbit));

	if (tp_lane_dry(lane) && !limited)
		lane->dry = min(lane->dry + 1, 2 * TP_DRY);
	else
		lane->dry -= !!lane->dry;
	return lane->dry > TP_DRY ? TP_CODEC_LZ4 : TP_CODEC_ZSTD;
}

static int tp_push_flush(struct tp_batch *b)
{
	struct tp_hdr hdr = {
		.type = b->zero ? TP_MSG_ZERO : TP_MSG_DATA,
		.export = b->ex->id, .index = b->start, .count = b->nr, .gen = b->round,
		.len = b->zero ? 0 : b->nr * PAGE_SIZE,
	};
	unsigned int i;
	int err;

	if (!b->nr)
		return 0;
	trace_telepage_push(b->lane->link->id, b->ex->id, b->start, b->nr, b->zero);
	if (b->zero) {
		err = tp_lane_send(b->lane, &hdr, NULL);
		atomic64_add(b->nr, &b->ex->zero);
	} else {
		err = tp_export_send(b->lane, b->ex, &hdr, b->bv, tp_push_codec(b), false);
		for (i = 0; i < b->nr; i++)
			put_page(b->bv[i].bv_page);
		atomic64_add(b->nr, &b->ex->push);
	}
	atomic64_add(TP_HDR_LEN + hdr.len, &b->ex->tx_bytes);
	tp_rate_charge(&b->lane->link->rate, TP_HDR_LEN + hdr.len, ktime_get_ns());
	if (b->ex->region)
		tp_rate_charge(&b->ex->region->rate, TP_HDR_LEN + hdr.len, ktime_get_ns());
	b->nr = 0;
	return err;
}

static int tp_push_add(struct tp_batch *b, pgoff_t index, struct page *page)
{
	unsigned int run = b->ex->region ? READ_ONCE(b->ex->region->push_run) : tp_push_run;
	unsigned int max = b->zero ? UINT_MAX : clamp(run, 1U, (unsigned int)TP_DATA_MAX);
	int err = 0;

	if (b->nr && (b->zero != !page || index != b->start + b->nr || b->nr >= max))
		err = tp_push_flush(b);
	if (!b->nr) {
		b->start = index;
		b->zero = !page;
	}
	if (page)
		bvec_set_page(&b->bv[b->nr], page, PAGE_SIZE, 0);
	b->nr++;
	return err;
}

/* What it belongs to has gone as a whole: the peer hears so once, not page by page. */
static void tp_push_drop(struct tp_serve *sv)
{
	unsigned long nr = sv->export->nr_pages, p, end;

	for (p = 0; p < nr; p = end) {
		end = min(nr, p + 32768);
		spin_lock(&sv->lock);
		bitmap_clear(sv->want, p, end - p);
		spin_unlock(&sv->lock);
		cond_resched();
	}
}

/* The peer would otherwise wait for ever for a page that nobody happens to touch. */
static int tp_push_fail(struct tp_batch *b, pgoff_t index, int err)
{
	struct tp_hdr hdr = {
		.type = TP_MSG_FAIL, .export = b->ex->id, .index = index, .code = -err,
	};

	atomic64_inc(&b->ex->failed);
	return tp_push_flush(b) ?: tp_lane_send(b->lane, &hdr, NULL);
}

static int tp_push_get(struct tp_serve *sv, u32 round, pgoff_t index, struct page **page)
{
	if (round)
		return tp_rounds_get(sv, index, page);
	return sv->export->ops->get(sv->export, index, page);
}

/* Send pages that were taken. Return: 0 or what failed the lane. */
static int tp_push_run_pages(struct tp_lane *lane, struct tp_serve *sv, pgoff_t start,
			     unsigned int n)
{
	struct tp_batch b = { .lane = lane, .ex = sv->export, .bv = lane->bv_push };
	pgoff_t i;
	int err = 0;

	/* Before anything is read: what is read later is as good as it says, or better. */
	if (!tp_serve_pushes(sv, &b.round)) {
		/* A round has begun since they were taken: they are pushed in it. */
		tp_serve_want(sv, start, n);
		return 0;
	}
	for (i = start; i < start + n && !err; i++) {
		struct page *page = NULL;
		int ret = tp_push_get(sv, b.round, i, &page);

		if (ret == -EAGAIN) {
			/* still at another peer: not now */
			tp_serve_want(sv, i, 1);
			sv->defer_until = jiffies + TP_DEFER;
			continue;
		}
		if (ret < 0 && b.round)
			continue;
		if (ret < 0) {
			err = tp_push_fail(&b, i, ret);
			if (ret != -ESRCH)
				continue;
			tp_push_drop(sv);
			break;
		}
		if (page && tp_page_is_zero(page)) {
			put_page(page);
			page = NULL;
		}
		err = tp_push_add(&b, i, page);
		cond_resched();
	}
	return tp_push_flush(&b) ?: err;
}

/*
 * How long until something of a serve may be pushed, jiffies; 0: now, and
 * MAX_SCHEDULE_TIMEOUT: only a kick changes that.
 */
static unsigned long tp_push_wait(struct tp_serve *sv, u64 now)
{
	unsigned long defer = READ_ONCE(sv->defer_until);
	struct tp_region *r = sv->export->region;
	u32 round;
	u64 ns;

	if (!READ_ONCE(sv->more) || READ_ONCE(sv->dead) || !tp_serve_pushes(sv, &round))
		return MAX_SCHEDULE_TIMEOUT;
	if (time_before(jiffies, defer))
		return defer - jiffies;
	ns = r ? tp_rate_wait_ns(&r->rate, now) : 0;
	return ns ? nsecs_to_jiffies(ns) + 1 : 0;
}

/*
 * The next serve after number @id that has something to push, with a reference, or
 * NULL and in @wait how long to sleep.
 */
static struct tp_serve *tp_push_next(struct tp_link *link, unsigned long *id, unsigned long *wait)
{
	unsigned long i, w, first = *id + 1;
	struct tp_serve *sv, *found = NULL;
	u64 now = ktime_get_ns(), ns;
	int round;

	*wait = MAX_SCHEDULE_TIMEOUT;
	ns = tp_rate_wait_ns(&link->rate, now);
	if (ns) {
		*wait = nsecs_to_jiffies(ns) + 1;
		return NULL;
	}
	xa_lock(&link->serves);
	for (round = 0; round < 2 && !found; round++) {
		xa_for_each_start(&link->serves, i, sv, round ? 0 : first) {
			w = tp_push_wait(sv, now);
			*wait = min(*wait, w);
			if (!w) {
				kref_get(&sv->ref);
				found = sv;
				*id = i;
				break;
			}
		}
	}
	xa_unlock(&link->serves);
	return found;
}

/**
 * tp_push_thread - push over one bulk lane
 * @data: the lane, which stays until this thread was stopped
 *
 * The exports of the link take turns, run by run.
 */
int tp_push_thread(void *data)
{
	struct tp_lane *lane = data;
	struct tp_link *link = lane->link;
	unsigned long id = 0;

	while (!kthread_should_stop()) {
		int seen = atomic_read(&link->push_kick);
		struct tp_serve *sv = NULL;
		unsigned long wait = MAX_SCHEDULE_TIMEOUT;
		unsigned int n;
		pgoff_t start;

		if (tp_lane_is_up(lane))
			sv = tp_push_next(link, &id, &wait);
		if (!sv) {
			wait_event_idle_timeout(link->push_wq,
						kthread_should_stop() ||
						atomic_read(&link->push_kick) != seen,
						wait);
			continue;
		}
		n = tp_push_take(sv, &start);
		if (!n)
			cond_resched();
		else
			tp_push_run_pages(lane, sv, start, n);
		tp_serve_put(sv);
	}
	return 0;
}
