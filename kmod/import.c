// SPDX-License-Identifier: GPL-2.0
/*
 * import.c - the destination's side of a link: ask, and take what comes
 *
 * Out: one work per link sends what waits, demands first, as many as there are in
 * one message, of all regions; then what is asked for ahead of use; then the runs of
 * absent pages that the source may push. In: the receive threads hand each page to
 * fault.c. A region is in link->imports exactly while it fills; a receive thread takes
 * a reference from there for one message.
 */
#include <linux/highmem.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "origin.h"
#include "prefetch.h"
#include "telepage.h"
#include "trace.h"

/**
 * tp_import_start - take all pages of a region from a peer
 * @r: the region, never touched
 * @link: over which
 * @export_id: the peer's number of the export
 * @push: may the peer push?
 * @live: the source writes to it until it says so (live.c); with @push only
 * @extack: where to say what stands in the way
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EBUSY, -ENOMEM.
 */
int tp_import_start(struct tp_region *r, struct tp_link *link, u32 export_id, bool push,
		    bool live, struct netlink_ext_ack *extack)
{
	size_t longs = BITS_TO_LONGS(r->nr_pages);
	unsigned long *remote, *old;
	struct tp_ahead *ahead;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (r->link) {
		NL_SET_ERR_MSG(extack, "the region imports already, or did");
		return -EBUSY;
	}
	if (r->origin && r->origin->fill) {
		NL_SET_ERR_MSG(extack, "the region fills from its files: import first");
		return -EBUSY;
	}
	if (r->frozen) {
		NL_SET_ERR_MSG(extack, "the region is frozen: import first, or thaw it");
		return -EBUSY;
	}
	remote = kvmalloc_array(longs, sizeof(long), GFP_KERNEL_ACCOUNT);
	ahead = tp_ahead_new(r, live);
	if (!remote || !ahead) {
		kvfree(remote);
		tp_ahead_free(ahead);
		return -ENOMEM;
	}
	bitmap_fill(remote, r->nr_pages);

	/* A place that cannot fail later, and that receive threads do not see yet. */
	err = xa_insert(&link->imports, export_id, XA_ZERO_ENTRY, GFP_KERNEL);
	if (err) {
		if (err == -EBUSY)
			NL_SET_ERR_MSG(extack, "another region imports this export over the link");
		goto err;
	}

	spin_lock(&r->lock);
	if (r->touched) {
		spin_unlock(&r->lock);
		NL_SET_ERR_MSG(extack, "the region was used before: make a new one to import");
		xa_erase(&link->imports, export_id);
		err = -EBUSY;
		goto err;
	}
	kref_get(&link->ref);
	tp_region_get(r);
	/* Not before it is sure: who reads files looks for a peer. */
	r->link = link;
	r->export_id = export_id;
	r->push = push;
	r->want_pos = r->nr_pages;
	/* One more, so that it is not complete before the source has stopped. */
	atomic_long_set(&r->absent, r->nr_pages + live);
	r->live = live;
	WRITE_ONCE(r->state, TELEPAGE_REGION_FILLING);
	/* Before any page can be asked for; pairs with acquiring loads of it. */
	smp_store_release(&r->ahead, ahead);
	/* Whoever opens it from here on sees absent pages, never zero ones. */
	old = r->remote;
	/* Pairs with smp_load_acquire() in tp_is_remote(). */
	smp_store_release(&r->remote, remote);
	spin_unlock(&r->lock);
	/* what the files alone made absent; nobody has looked yet */
	kvfree(old);

	if (push)
		set_bit(TP_WANT_AGAIN, &r->want_flags);
	atomic_inc(&link->nr_imports);
	xa_store(&link->imports, export_id, r, GFP_KERNEL);
	tp_link_kick(link);
	queue_delayed_work(tp_wq, &link->want_work, TP_WANT_INTERVAL);
	/* a reader may have begun before there was a peer */
	if (r->origin)
		tp_origin_watch(r);
	return 0;
err:
	kvfree(remote);
	tp_ahead_free(ahead);
	return err;
}

/**
 * tp_import_end - the region needs its link and its files no more
 * @r: the region, filling
 *
 * Context: sleeps; under tp_ctl_mutex. A message that is being received may still
 * be placed; the remote bits decide.
 */
void tp_import_end(struct tp_region *r)
{
	lockdep_assert_held(&tp_ctl_mutex);
	tp_origin_end(r);
	if (!r->link)
		return;
	tp_ahead_end(r);
	if (xa_erase(&r->link->imports, r->export_id) == r) {
		atomic_dec(&r->link->nr_imports);
		tp_region_put(r);
	}
}

/**
 * tp_import_region - the region that imports an export
 * @link: over which
 * @export_id: the peer's number of it
 *
 * Context: any but interrupts.
 * Return: the region with a reference, or NULL.
 */
struct tp_region *tp_import_region(struct tp_link *link, u32 export_id)
{
	struct tp_region *r;

	xa_lock(&link->imports);
	r = xa_load(&link->imports, export_id);
	if (r)
		tp_region_get(r);
	xa_unlock(&link->imports);
	return r;
}

/* Take what waits off the queue and encode it. */
static unsigned int tp_import_take_demands(struct tp_link *link)
{
	u64 now = ktime_get_ns();
	struct tp_request *req;
	unsigned int n = 0;

	spin_lock(&link->queue_lock);
	while (n < TP_LIST_MAX) {
		struct tp_demand d;

		req = list_first_entry_or_null(&link->demands, struct tp_request, queue);
		if (!req)
			break;
		list_del_init(&req->queue);
		d.export = req->region->export_id;
		d.gen = req->gen;
		d.index = req->index;
		tp_wire_put_demand(link->tx_buf + n++ * TP_DEMAND_LEN, &d);
		WRITE_ONCE(req->sent_ns, now);
		tp_stat_inc(req->region, TP_STAT_DEMAND_SENT);
	}
	spin_unlock(&link->queue_lock);
	return n;
}

/* Pages from here on are not offered yet: a plan may find them in a file. */
static pgoff_t tp_want_limit(const struct tp_region *r)
{
	/* Pairs with smp_store_release() in tp_origin_make(). */
	const struct tp_origin *o = smp_load_acquire(&r->origin);

	return o ? min(r->nr_pages, READ_ONCE(o->planned)) : r->nr_pages;
}

/* Encode the next runs of absent pages that were not offered yet. */
static unsigned int tp_import_take_wants(struct tp_region *r, u8 *buf)
{
	const struct tp_origin *o;
	unsigned int n = 0;
	pgoff_t limit;

	if (test_and_clear_bit(TP_WANT_AGAIN, &r->want_flags))
		r->want_pos = 0;
	/* Behind that bit, which is set when any of what follows has changed. */
	limit = tp_want_limit(r);
	/* Pairs with smp_store_release() in tp_origin_make(). */
	o = smp_load_acquire(&r->origin);
	/* Held for good: what its files have is not used, so it has to come. */
	if (o && READ_ONCE(o->held) && !READ_ONCE(o->planner))
		o = NULL;
	while (n < TP_LIST_MAX && r->want_pos < limit) {
		struct tp_run run;
		pgoff_t end;

		run.index = tp_find_next_bit(r->remote, limit, r->want_pos);
		if (run.index >= limit) {
			r->want_pos = limit;
			break;
		}
		end = tp_find_next_zero_bit(r->remote, limit, run.index);
		if (o) {
			/* what a local file has need not cross the link */
			if (test_bit(run.index, o->local)) {
				r->want_pos = tp_find_next_zero_bit(o->local, end, run.index);
				continue;
			}
			end = tp_find_next_bit(o->local, end, run.index);
		}
		run.count = end - run.index;
		tp_wire_put_run(buf + n++ * TP_RUN_LEN, &run);
		r->want_pos = end;
	}
	return n;
}

static struct tp_region *tp_import_next_wanting(struct tp_link *link)
{
	struct tp_region *r;
	unsigned long id;

	xa_lock(&link->imports);
	xa_for_each(&link->imports, id, r) {
		if (!r->push)
			continue;
		if (test_bit(TP_WANT_AGAIN, &r->want_flags) ||
		    test_bit(TP_SAY_ROUND, &r->want_flags) || r->want_pos < tp_want_limit(r)) {
			tp_region_get(r);
			break;
		}
	}
	xa_unlock(&link->imports);
	return r;
}

/* Queue again all that is in flight over a link. */
static void tp_import_ask_again(struct tp_link *link)
{
	struct tp_region *r;
	unsigned long id;

	xa_for_each(&link->imports, id, r) {
		/* the table may let go of it while we are here */
		r = tp_import_region(link, id);
		if (!r)
			continue;
		tp_request_resend(r);
		tp_region_put(r);
	}
}

static void tp_import_tx(struct tp_link *link, struct tp_lane *lane)
{
	while (test_bit(TP_LANE_ASKS, &lane->flags) && !test_bit(TP_LANE_FAILED, &lane->flags)) {
		struct tp_hdr hdr = { .type = TP_MSG_DEMAND };
		struct tp_region *r;

		hdr.count = tp_import_take_demands(link);
		if (hdr.count)
			trace_telepage_send(link->id, hdr.count);
		else
			hdr.count = tp_ahead_take(link, link->tx_buf);
		hdr.len = hdr.count * TP_DEMAND_LEN;
		if (hdr.count) {
			if (tp_lane_send(lane, &hdr, link->tx_buf))
				tp_import_ask_again(link);
			continue;
		}
		r = tp_import_next_wanting(link);
		if (!r)
			break;
		hdr.export = r->export_id;
		/* lost with the lane: the source names the pages again */
		if (test_and_clear_bit(TP_SAY_ROUND, &r->want_flags)) {
			hdr.type = TP_MSG_ROUND;
			hdr.gen = READ_ONCE(r->round_heard);
			tp_lane_send(lane, &hdr, NULL);
			tp_region_put(r);
			continue;
		}
		hdr.type = TP_MSG_WANT;
		hdr.count = tp_import_take_wants(r, link->tx_buf);
		hdr.len = hdr.count * TP_RUN_LEN;
		/* on failure all of it is offered again when the lane is back */
		if (hdr.count)
			tp_lane_send(lane, &hdr, link->tx_buf);
		tp_region_put(r);
	}
}

/**
 * tp_import_tx_work - send what waits on a link
 * @work: link->tx_work, which holds a reference
 *
 * Context: one at a time per link. What is taken off the queue and then lost with
 * the lane is asked for again when the lane is back: tp_import_lane_up(). That may
 * have been while we still held the old one: so what we could not send goes back.
 */
void tp_import_tx_work(struct work_struct *work)
{
	struct tp_link *link = container_of(work, struct tp_link, tx_work);
	struct tp_lane *lane = tp_lane_get(link, TELEPAGE_LANE_URGENT);

	if (lane) {
		tp_import_tx(link, lane);
		tp_lane_put(lane);
	}
	tp_link_put(link);
}

/**
 * tp_import_lane_up - a lane was greeted: ask again for what went with the old one
 * @lane: the lane
 *
 * Context: sleeps; the receive thread.
 */
void tp_import_lane_up(struct tp_lane *lane)
{
	struct tp_link *link = lane->link;
	struct tp_region *r;
	unsigned long id;

	if (lane->nr != TELEPAGE_LANE_URGENT && !test_bit(lane->nr, link->lost))
		return;
	clear_bit(lane->nr, link->lost);
	if (lane->nr == TELEPAGE_LANE_URGENT)
		tp_ahead_lane_up(link);
	xa_for_each(&link->imports, id, r) {
		/* the table may let go of it while we are here */
		r = tp_import_region(link, id);
		if (!r)
			continue;
		set_bit(TP_WANT_AGAIN, &r->want_flags);
		if (lane->nr == TELEPAGE_LANE_URGENT) {
			/* what could not be had may be there again */
			cmpxchg(&r->state, TELEPAGE_REGION_BROKEN, TELEPAGE_REGION_FILLING);
			tp_request_resend(r);
			tp_ahead_again(r);
		}
		tp_region_put(r);
	}
	/*
	 * Not before: what is forgotten of what was asked for ahead makes room for more,
	 * which would go before demands that the walk has not come to yet.
	 */
	smp_mb__before_atomic();
	set_bit(TP_LANE_ASKS, &lane->flags);
	tp_link_kick(link);
}

/**
 * tp_import_lane_lost - a lane is gone, and perhaps pushed pages with it
 * @lane: the lane
 *
 * Context: sleeps.
 */
void tp_import_lane_lost(struct tp_lane *lane)
{
	struct tp_link *link = lane->link;
	struct tp_region *r;
	unsigned long id;

	set_bit(lane->nr, link->lost);
	xa_lock(&link->imports);
	xa_for_each(&link->imports, id, r)
		set_bit(TP_WANT_AGAIN, &r->want_flags);
	xa_unlock(&link->imports);
	if (atomic_read(&link->nr_imports))
		tp_link_kick(link);
}

/* Read and forget @len bytes. */
static int tp_import_drain(struct tp_lane *lane, size_t len)
{
	int err = 0;

	while (len && !err) {
		size_t n = min_t(size_t, len, TP_LIST_MAX * TP_DEMAND_LEN);

		err = tp_lane_recv(lane, lane->buf, n);
		len -= n;
	}
	return err;
}

/*
 * May this message fill pages of its region? On the urgent lane only replies come,
 * one page each, and only to the request that is in flight. @came: how it came.
 * Return: the region with a reference; NULL: not ours (any more), skip it;
 * -EPROTO: out of bounds.
 */
static struct tp_region *tp_import_accept(struct tp_lane *lane, const struct tp_hdr *hdr,
					  enum tp_stat *came)
{
	struct tp_region *r = tp_import_region(lane->link, hdr->export);

	if (!r)
		return NULL;
	if (!tp_wire_fits(hdr->index, hdr->count, r->nr_pages))
		goto bad;
	tp_stat_add(r, TP_STAT_RX_BYTES, TP_HDR_LEN + hdr->len);
	*came = TP_STAT_PUSH;
	if (lane->nr == TELEPAGE_LANE_URGENT) {
		if (hdr->count != 1 || !hdr->gen)
			goto bad;
		if (!tp_request_answered(r, hdr->index, hdr->gen, came)) {
			tp_stat_inc(r, TP_STAT_STALE);
			tp_region_put(r);
			return NULL;
		}
	} else if (hdr->gen && !tp_is_live(r)) {
		/* of a round, but the source has stopped writing since; if it ever did */
		if (!READ_ONCE(r->round))
			goto bad;
		tp_stat_add(r, TP_STAT_DUPLICATE, hdr->count);
		tp_region_put(r);
		return NULL;
	} else if (!hdr->gen && tp_is_live(r) && !READ_ONCE(r->round_heard)) {
		/* It froze before it said a round, or is a file: it will never say one. */
		tp_end_unheard(r);
	}
	return r;
bad:
	tp_region_put(r);
	return ERR_PTR(-EPROTO);
}

/* Receive a packed message and unpack it into the lane's buffer. */
static int tp_import_unpack(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	int err = tp_unpacker_prepare(&lane->unpacker);

	if (!err)
		err = tp_lane_recv(lane, lane->unpacker.in, hdr->len);
	if (!err)
		err = tp_unpack(&lane->unpacker, hdr->codec, hdr->len, hdr->count * PAGE_SIZE);
	return err;
}

/**
 * tp_import_data - pages come
 * @lane: on this lane
 * @hdr: its message
 *
 * Context: the receive thread.
 * Return: 0, or an errno that fails the lane: memory that cannot be had fails it
 * too, for the page has to be asked for again.
 */
int tp_import_data(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	enum tp_stat came;
	struct tp_region *r = tp_import_accept(lane, hdr, &came);
	struct folio **folios = lane->folios;
	unsigned int i, n;
	int err = 0;

	if (IS_ERR(r))
		return PTR_ERR(r);
	if (!r)
		return tp_import_drain(lane, hdr->len);

	if (hdr->codec != TP_CODEC_RAW) {
		err = tp_import_unpack(lane, hdr);
		if (err) {
			tp_region_put(r);
			return err;
		}
	}
	for (n = 0; n < hdr->count; n++) {
		folios[n] = tp_alloc_folio(mapping_gfp_mask(r->inode.i_mapping));
		if (!folios[n]) {
			err = -ENOMEM;
			break;
		}
		bvec_set_page(&lane->bv[n], folio_page(folios[n], 0), PAGE_SIZE, 0);
	}
	if (!err && hdr->codec == TP_CODEC_RAW)
		err = tp_lane_recv_pages(lane, lane->bv, n);
	else if (!err)
		for (i = 0; i < n; i++)
			memcpy_to_page(folio_page(folios[i], 0), 0,
				       lane->unpacker.out + i * PAGE_SIZE, PAGE_SIZE);
	for (i = 0; i < n; i++) {
		if (!err)
			err = tp_place_data(r, hdr->index + i, folios[i], hdr->gen, came);
		folio_put(folios[i]);
	}
	wake_up_all(&r->arrivals);
	tp_region_put(r);
	return err;
}

/**
 * tp_import_zero - pages are zero
 * @lane: on this lane
 * @hdr: its message
 *
 * Context: the receive thread.
 * Return: 0 or -EPROTO.
 */
int tp_import_zero(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	enum tp_stat came;
	struct tp_region *r = tp_import_accept(lane, hdr, &came);

	if (IS_ERR_OR_NULL(r))
		return PTR_ERR_OR_ZERO(r);
	tp_place_zero(r, hdr->index, hdr->count, hdr->gen, lane->nr != TELEPAGE_LANE_URGENT);
	wake_up_all(&r->arrivals);
	tp_region_put(r);
	return 0;
}

/**
 * tp_import_fail - a page cannot be had
 * @lane: on this lane
 * @hdr: its message
 *
 * Context: the receive thread.
 * Return: 0 or -EPROTO.
 */
int tp_import_fail(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	struct tp_region *r = tp_import_region(lane->link, hdr->export);
	bool urgent = lane->nr == TELEPAGE_LANE_URGENT, lost;

	if (!r)
		return 0;
	if (!tp_wire_fits(hdr->index, 1, r->nr_pages) ||
	    urgent != !!hdr->gen) {
		tp_region_put(r);
		return -EPROTO;
	}
	/* Nobody needs it yet: who does will be told. */
	if (hdr->gen && tp_request_drop_ahead(r, hdr->index, hdr->gen)) {
		tp_region_put(r);
		return 0;
	}
	/* of a push: a page that has come meanwhile is no loss */
	lost = hdr->gen ? tp_request_matches(r, hdr->index, hdr->gen) : tp_is_remote(r, hdr->index);
	if (lost)
		tp_region_break(r, hdr->code ?: EIO);
	else
		tp_stat_inc(r, TP_STAT_STALE);
	tp_region_put(r);
	return 0;
}
