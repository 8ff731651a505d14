// SPDX-License-Identifier: GPL-2.0
/*
 * serve.c - an export on a link: who may ask, and answering demands
 *
 * The receive thread of an urgent lane answers demands itself, in their order: a
 * peer that asks faster than it reads is held up by TCP, nothing queues here. Only
 * a demand that cannot be answered yet becomes a relay, see relay.c.
 */
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "telepage.h"
#include "trace.h"

static void tp_serve_free(struct kref *ref)
{
	struct tp_serve *sv = container_of(ref, struct tp_serve, ref);

	WARN_ON_ONCE(!list_empty(&sv->relays));
	kvfree(sv->want);
	tp_rounds_free(sv->rounds);
	tp_export_put(sv->export);
	tp_link_put(sv->link);
	kfree(sv);
}

void tp_serve_put(struct tp_serve *sv)
{
	kref_put(&sv->ref, tp_serve_free);
}

/**
 * tp_serve_get - an export that the peer may ask for
 * @link: the peer's link
 * @id: the number it gave
 *
 * Context: any but interrupts.
 * Return: the serve with a reference, or NULL.
 */
struct tp_serve *tp_serve_get(struct tp_link *link, u32 id)
{
	struct tp_serve *sv;

	xa_lock(&link->serves);
	sv = xa_load(&link->serves, id);
	if (sv)
		kref_get(&sv->ref);
	xa_unlock(&link->serves);
	return sv;
}

/**
 * tp_export_serve - let the peer of a link ask for an export
 * @ex: the export
 * @link: the link
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -E2BIG, -EEXIST, -ENOMEM.
 */
int tp_export_serve(struct tp_export *ex, struct tp_link *link, struct netlink_ext_ack *extack)
{
	struct tp_serve *sv;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (ex->nr_serves == TP_SERVE_MAX) {
		NL_SET_ERR_MSG(extack, "an export can be served on at most 256 links");
		return -E2BIG;
	}
	sv = kzalloc(sizeof(*sv), GFP_KERNEL_ACCOUNT);
	if (!sv)
		return -ENOMEM;
	sv->want = kvcalloc(BITS_TO_LONGS(ex->nr_pages), sizeof(long),
			    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!sv->want) {
		NL_SET_ERR_MSG(extack, "no memory for serving an export of this size");
		kfree(sv);
		return -ENOMEM;
	}
	kref_init(&sv->ref);
	spin_lock_init(&sv->lock);
	INIT_LIST_HEAD(&sv->relays);
	sv->defer_until = jiffies;
	kref_get(&ex->ref);
	sv->export = ex;
	kref_get(&link->ref);
	sv->link = link;
	err = xa_insert(&link->serves, ex->id, sv, GFP_KERNEL);
	if (err) {
		if (err == -EBUSY) {
			NL_SET_ERR_MSG(extack, "the export is served on this link already");
			err = -EEXIST;
		}
		tp_serve_put(sv);
		return err;
	}
	atomic_inc(&link->nr_serves);
	list_add_tail(&sv->node, &ex->serves);
	ex->nr_serves++;
	tp_order_serve(sv, ex->order);
	return 0;
}

/**
 * tp_serve_end - the peer can ask for the export no more
 * @sv: the serve
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
void tp_serve_end(struct tp_serve *sv)
{
	lockdep_assert_held(&tp_ctl_mutex);
	WRITE_ONCE(sv->dead, true);
	/* Pairs with the barrier in tp_relay_arm(). */
	smp_mb();
	xa_erase(&sv->link->serves, sv->export->id);
	atomic_dec(&sv->link->nr_serves);
	list_del(&sv->node);
	sv->export->nr_serves--;
	/* it may be used a while yet, and the order be gone */
	tp_order_serve(sv, NULL);
	tp_rounds_end(sv);
	tp_relays_kick(sv);
	tp_serve_put(sv);
}

static int tp_serve_fail(struct tp_lane *lane, u32 export, pgoff_t index, u32 gen, int err)
{
	struct tp_hdr hdr = {
		.type = TP_MSG_FAIL, .export = export, .index = index, .gen = gen, .code = -err,
	};

	return tp_lane_send(lane, &hdr, NULL);
}

/* Whether to try packing now: in "auto" less and less often while it does not pay. */
static bool tp_export_packs(struct tp_export *ex)
{
	enum tp_compress c = ex->region ? READ_ONCE(ex->region->compress) : tp_compress_default();

	if (c == TP_COMPRESS_AUTO)
		return atomic_dec_if_positive(&ex->pack_skip) < 0;
	return c == TP_COMPRESS_ON;
}

static void tp_export_packed(struct tp_export *ex, bool paid)
{
	if (paid)
		atomic_set(&ex->pack_misses, 0);
	else
		atomic_set(&ex->pack_skip, 1 << min(atomic_inc_return(&ex->pack_misses), 6));
}

/**
 * tp_export_send - send pages, packed if that is shorter
 * @lane: the lane
 * @ex: the export, for its tunables
 * @hdr: of a DATA message with raw pages; changed when they are packed
 * @bv: the pages
 * @codec: how to pack
 * @more: another message follows at once
 *
 * Context and return: as tp_lane_send().
 */
int tp_export_send(struct tp_lane *lane, struct tp_export *ex, struct tp_hdr *hdr,
		   struct bio_vec *bv, enum tp_codec codec, bool more)
{
	int level = ex->region ? READ_ONCE(ex->region->compress_level) : tp_compress_level;
	size_t len;
	int err;

	if (!tp_export_packs(ex))
		return tp_lane_send_pages(lane, hdr, bv, more);
	mutex_lock(&lane->packer.lock);
	len = tp_pack(&lane->packer, codec, clamp(level, TP_LEVEL_MIN, TP_LEVEL_MAX), bv,
		      hdr->count);
	tp_export_packed(ex, len);
	if (len) {
		hdr->codec = codec;
		hdr->len = len;
		err = tp_lane_send(lane, hdr, lane->packer.out);
	}
	mutex_unlock(&lane->packer.lock);
	return len ? err : tp_lane_send_pages(lane, hdr, bv, more);
}

/**
 * tp_serve_reply - answer one demand
 * @lane: the lane to answer on
 * @sv: of which export
 * @index: page, in range
 * @gen: of the request
 * @more: another answer follows at once
 *
 * Context: sleeps; the receive thread or relay_work.
 * Return: 0, -EAGAIN when the page cannot be given yet, or what failed the lane.
 */
int tp_serve_reply(struct tp_lane *lane, struct tp_serve *sv, pgoff_t index, u32 gen, bool more)
{
	struct tp_export *ex = sv->export;
	struct tp_hdr hdr = {
		.type = TP_MSG_DATA, .export = ex->id, .index = index, .count = 1, .gen = gen,
		.len = PAGE_SIZE,
	};
	struct page *page = NULL;
	struct bio_vec bv;
	int ret;

	if (READ_ONCE(sv->dead))
		return tp_serve_fail(lane, ex->id, index, gen, -ESTALE);
	if (!ex->ops->open(ex))
		return -EAGAIN;
	ret = ex->ops->get(ex, index, &page);
	if (ret == -EAGAIN)
		return ret;
	if (ret < 0) {
		atomic64_inc(&ex->failed);
		return tp_serve_fail(lane, ex->id, index, gen, ret);
	}

	/* What was asked for is not pushed again, and the push goes on from here. */
	spin_lock(&sv->lock);
	clear_bit(index, sv->want);
	sv->cursor = index + 1;
	spin_unlock(&sv->lock);

	trace_telepage_serve(lane->link->id, ex->id, index, ret == TP_SRC_ZERO);
	if (!ret && tp_page_is_zero(page)) {
		put_page(page);
		ret = TP_SRC_ZERO;
	}
	if (ret == TP_SRC_ZERO) {
		hdr.type = TP_MSG_ZERO;
		hdr.len = 0;
		ret = tp_lane_send(lane, &hdr, NULL);
		atomic64_inc(&ex->zero);
	} else {
		bvec_set_page(&bv, page, PAGE_SIZE, 0);
		ret = tp_export_send(lane, ex, &hdr, &bv, TP_CODEC_LZ4, more);
		put_page(page);
		atomic64_inc(&ex->demand);
	}
	atomic64_add(TP_HDR_LEN + hdr.len, &ex->tx_bytes);
	return ret;
}

/*
 * Is demand @i of the message in lane->buf answered at once, whatever the answer? Only
 * then may the reply before it stay in the socket: it would otherwise wait with the
 * other's page. What is here stays here, and the end of a serve is an answer.
 */
static bool tp_demand_is_met(struct tp_lane *lane, unsigned int i)
{
	struct tp_serve *sv;
	struct tp_demand d;
	bool met = true;

	tp_wire_get_demand(lane->buf + i * TP_DEMAND_LEN, &d);
	sv = tp_serve_get(lane->link, d.export);
	if (!sv)
		return true;
	if (tp_wire_fits(d.index, 1, sv->export->nr_pages) && !READ_ONCE(sv->dead))
		met = sv->export->ops->open(sv->export) &&
		      !(sv->export->region && tp_is_remote(sv->export->region, d.index));
	tp_serve_put(sv);
	return met;
}

/**
 * tp_export_demand - the peer needs pages
 * @lane: its urgent lane
 * @hdr: the message
 *
 * Context: the receive thread.
 * Return: 0, or what fails the lane.
 */
int tp_export_demand(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	unsigned int i;
	int err;

	err = tp_lane_recv(lane, lane->buf, hdr->len);
	for (i = 0; i < hdr->count && !err; i++) {
		bool more = i + 1 < hdr->count && tp_demand_is_met(lane, i + 1);
		struct tp_demand d;
		struct tp_serve *sv;

		tp_wire_get_demand(lane->buf + i * TP_DEMAND_LEN, &d);
		sv = tp_serve_get(lane->link, d.export);
		if (!sv) {
			/* released a moment ago, or never allowed: the same to the peer */
			err = tp_serve_fail(lane, d.export, d.index, d.gen, -ENOENT);
			continue;
		}
		if (!tp_wire_fits(d.index, 1, sv->export->nr_pages)) {
			atomic64_inc(&lane->link->bad);
			err = tp_serve_fail(lane, d.export, d.index, d.gen, -ERANGE);
		} else {
			err = tp_serve_reply(lane, sv, d.index, d.gen, more);
			if (err == -EAGAIN)
				err = tp_relay_new(lane, sv, d.index, d.gen);
		}
		tp_serve_put(sv);
	}
	return err;
}

/**
 * tp_serve_want - pages are to be pushed
 * @sv: the serve
 * @start: first page
 * @n: pages, all in range, few
 *
 * Context: any but interrupts.
 */
void tp_serve_want(struct tp_serve *sv, pgoff_t start, unsigned int n)
{
	spin_lock(&sv->lock);
	bitmap_set(sv->want, start, n);
	sv->more = true;
	spin_unlock(&sv->lock);
}

/**
 * tp_export_want - the peer lets us push pages
 * @lane: its urgent lane
 * @hdr: the message
 *
 * Context: the receive thread.
 * Return: 0, or what fails the lane.
 */
int tp_export_want(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	struct tp_serve *sv;
	u64 next = 0;
	unsigned int i;
	int err;

	err = tp_lane_recv(lane, lane->buf, hdr->len);
	if (err)
		return err;
	sv = tp_serve_get(lane->link, hdr->export);
	if (!sv)
		return 0;
	for (i = 0; i < hdr->count; i++) {
		unsigned long nr = sv->export->nr_pages, p, end;
		struct tp_run run;

		if (!tp_wire_next_run(lane->buf + i * TP_RUN_LEN, nr, &next, &run)) {
			err = -EPROTO;
			break;
		}
		/* in pieces, for the lock is a spinlock */
		for (p = run.index; p < next; p = end) {
			end = min_t(unsigned long, next, p + 32768);
			tp_serve_want(sv, p, end - p);
			cond_resched();
		}
	}
	tp_order_again(sv);
	tp_serve_put(sv);
	tp_link_kick_push(lane->link);
	return err;
}
