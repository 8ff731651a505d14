// SPDX-License-Identifier: GPL-2.0
/*
 * rounds.c - live rounds, the source's side: push while the VM still writes
 *
 * A page of a region that is not frozen may be pushed as of a round. From when it is
 * read for that on, a store to it sets its bit in @rewritten. A round begins with the
 * list of pages that were pushed and rewritten since (@stale): the destination makes
 * them absent, says so, and offers them again. The freeze begins the last round, after
 * which nothing is rewritten.
 *
 * What makes that right, whatever is lost or comes late on whichever lane:
 *
 * - The destination takes what is pushed only as of the round it is in, and nothing in
 *   place of what it has. So a page is of the current round, or was not stale when it
 *   began.
 * - A bit of @rewritten is cleared only when the page cannot be at the destination in an
 *   older version: the first time that it is pushed since it became absent there, which
 *   is what @fresh says. Offered twice and pushed twice, it may arrive either way; a store
 *   between the two has set a bit that stays.
 * - @fresh gets bits only from a list that the destination has obeyed.
 *
 * struct tp_rounds belongs to one serve and goes with it: a push thread that is late can
 * only clear bits of its own. Who writes finds it through region->rounds, under RCU; a
 * page that was made writable before it stood there is made read-only under the folio
 * lock, which the writer holds, before it is pushed.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "telepage.h"
#include "trace.h"

/*
 * The live rounds of a serve. @said and @done are a round's number times two, plus one
 * if it is the last; the same: the destination has obeyed the list. READ_ONCE.
 */
struct tp_rounds {
	struct tp_serve *sv;
	unsigned long *rewritten;	/* atomic bits */
	unsigned long *fresh;		/* atomic bits */
	struct mutex watch;		/* from watching a page to clearing its @fresh */
	struct mutex lock;		/* protects the next three; inside tp_ctl_mutex, a leaf */
	unsigned long *stale;
	u32 said;
	u32 done;
	struct work_struct work;	/* sends the list; holds a reference of @sv */
	u8 *buf;			/* the work's: TP_LIST_MAX runs */
};

/**
 * tp_rounds_free - the serve goes
 * @rs: of it, or NULL; nobody can find it through the region any more
 *
 * Context: sleeps.
 */
void tp_rounds_free(struct tp_rounds *rs)
{
	if (!rs)
		return;
	kvfree(rs->rewritten);
	kvfree(rs->fresh);
	kvfree(rs->stale);
	kfree(rs->buf);
	kfree(rs);
}

/* The next runs of the list from @pos on. Return: how many; @pos is the end when it ends. */
static unsigned int tp_rounds_take(struct tp_rounds *rs, u32 said, unsigned long *pos)
{
	unsigned long nr = rs->sv->export->nr_pages;
	unsigned int n = 0;

	mutex_lock(&rs->lock);
	/* another round begins: its list, from the start, is for the next run of the work */
	if (rs->said != said)
		*pos = nr;
	while (n < TP_LIST_MAX && *pos < nr) {
		struct tp_run run;

		run.index = find_next_bit(rs->stale, nr, *pos);
		*pos = run.index;
		if (run.index >= nr)
			break;
		*pos = find_next_zero_bit(rs->stale, nr, run.index);
		run.count = *pos - run.index;
		tp_wire_put_run(rs->buf + n++ * TP_RUN_LEN, &run);
	}
	mutex_unlock(&rs->lock);
	return n;
}

/*
 * What is lost with the lane is said again on the next one: tp_rounds_lane_up(). A list
 * of which the destination hears twice costs pages, no more.
 */
static void tp_rounds_work(struct work_struct *work)
{
	struct tp_rounds *rs = container_of(work, struct tp_rounds, work);
	struct tp_serve *sv = rs->sv;
	struct tp_lane *lane = tp_lane_get(sv->link, TELEPAGE_LANE_URGENT);
	u32 said = READ_ONCE(rs->said);
	unsigned long pos = 0, nr = sv->export->nr_pages;
	int err = lane && test_bit(TP_LANE_UP, &lane->flags) ? 0 : -ENOTCONN;

	while (!err && READ_ONCE(rs->said) == said && !READ_ONCE(sv->dead)) {
		struct tp_hdr hdr = {
			.type = TP_MSG_STALE, .export = sv->export->id, .gen = said >> 1,
			.code = said & 1 ? TP_STALE_FINAL : 0,
		};

		hdr.count = tp_rounds_take(rs, said, &pos);
		hdr.len = hdr.count * TP_RUN_LEN;
		/* not if it was cut short by another round, which is queued again then */
		if (pos >= nr && READ_ONCE(rs->said) == said)
			hdr.code |= TP_STALE_LAST;
		err = tp_lane_send(lane, &hdr, rs->buf);
		if (pos >= nr)
			break;
	}
	if (lane)
		tp_lane_put(lane);
	tp_serve_put(sv);
}

static void tp_rounds_kick(struct tp_rounds *rs)
{
	kref_get(&rs->sv->ref);
	if (!queue_work(tp_wq, &rs->work))
		tp_serve_put(rs->sv);
}

/* Begin a round: name what the destination may have and has been written to since. */
static void tp_rounds_say(struct tp_rounds *rs, bool last)
{
	unsigned long i, longs = BITS_TO_LONGS(rs->sv->export->nr_pages);
	u32 said;

	mutex_lock(&rs->lock);
	for (i = 0; i < longs; i++) {
		/* added: a list that was not obeyed yet is part of this one */
		rs->stale[i] |= READ_ONCE(rs->rewritten[i]) & ~READ_ONCE(rs->fresh[i]);
		if (!(i % 4096))
			cond_resched();
	}
	said = ((rs->said >> 1) + 1) << 1 | last;
	WRITE_ONCE(rs->said, said);
	mutex_unlock(&rs->lock);
	trace_telepage_round(rs->sv->link->id, rs->sv->export->id, said >> 1, last);
	tp_rounds_kick(rs);
}

static struct tp_rounds *tp_rounds_new(struct tp_serve *sv)
{
	size_t longs = BITS_TO_LONGS(sv->export->nr_pages);
	struct tp_rounds *rs = kzalloc(sizeof(*rs), GFP_KERNEL_ACCOUNT);
	gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;

	if (!rs)
		return NULL;
	rs->sv = sv;
	mutex_init(&rs->watch);
	mutex_init(&rs->lock);
	INIT_WORK(&rs->work, tp_rounds_work);
	rs->rewritten = kvcalloc(longs, sizeof(long), gfp);
	rs->stale = kvcalloc(longs, sizeof(long), gfp);
	rs->fresh = kvmalloc_array(longs, sizeof(long), gfp);
	rs->buf = kmalloc(TP_LIST_MAX * TP_RUN_LEN, GFP_KERNEL_ACCOUNT);
	if (!rs->rewritten || !rs->stale || !rs->fresh || !rs->buf) {
		tp_rounds_free(rs);
		return NULL;
	}
	bitmap_fill(rs->fresh, sv->export->nr_pages);
	return rs;
}

static int tp_rounds_begin(struct tp_serve *sv, struct netlink_ext_ack *extack)
{
	struct tp_region *r = sv->export->region;
	struct tp_rounds *rs;

	if (rcu_access_pointer(r->rounds)) {
		NL_SET_ERR_MSG(extack, "the region is pushed live to another peer");
		return -EBUSY;
	}
	rs = tp_rounds_new(sv);
	if (!rs) {
		NL_SET_ERR_MSG(extack, "no memory for pushing a region of this size live");
		return -ENOMEM;
	}
	/* Pairs with smp_load_acquire() in tp_rounds_of(). */
	smp_store_release(&sv->rounds, rs);
	rcu_assign_pointer(r->rounds, rs);
	return 0;
}

/**
 * tp_export_round - push a region that is not frozen, or again what was rewritten since
 * @ex: the export
 * @extack: where to say why not
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EINVAL, -EBUSY, -ENOMEM, -EAGAIN: the destination has not yet obeyed the
 * list of the round before.
 */
int tp_export_round(struct tp_export *ex, struct netlink_ext_ack *extack)
{
	struct tp_serve *sv;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!ex->region) {
		NL_SET_ERR_MSG(extack, "only a region can be pushed while it is written to");
		return -EINVAL;
	}
	if (ex->region->frozen) {
		NL_SET_ERR_MSG(extack, "the region is frozen: its pages are given out as they are");
		return -EBUSY;
	}
	if (!list_is_singular(&ex->serves)) {
		NL_SET_ERR_MSG(extack, "serve the export on one link, and on no other");
		return -EINVAL;
	}
	sv = list_first_entry(&ex->serves, struct tp_serve, node);
	if (!sv->rounds) {
		err = tp_rounds_begin(sv, extack);
		if (err)
			return err;
	} else if (READ_ONCE(sv->rounds->done) != sv->rounds->said) {
		NL_SET_ERR_MSG(extack, "the peer has not yet heard of the round before");
		return -EAGAIN;
	}
	tp_rounds_say(sv->rounds, false);
	return 0;
}

/**
 * tp_rounds_freeze - the region is written to no more
 * @sv: one of its serves
 *
 * Context: sleeps; under tp_ctl_mutex, the region is fenced.
 */
void tp_rounds_freeze(struct tp_serve *sv)
{
	lockdep_assert_held(&tp_ctl_mutex);
	if (sv->rounds && !(sv->rounds->said & 1))
		tp_rounds_say(sv->rounds, true);
}

/**
 * tp_rounds_end - nobody is to tell a serve any more what is written
 * @sv: the serve, dead
 *
 * Context: sleeps; under tp_ctl_mutex.
 */
void tp_rounds_end(struct tp_serve *sv)
{
	lockdep_assert_held(&tp_ctl_mutex);
	if (!sv->rounds)
		return;
	RCU_INIT_POINTER(sv->export->region->rounds, NULL);
	/* it is freed with the serve's last reference, of which the caller has one */
	synchronize_rcu();
}

/* A serve's rounds, from when there are any. */
static struct tp_rounds *tp_rounds_of(struct tp_serve *sv)
{
	/* Pairs with smp_store_release() in tp_rounds_begin(). */
	return smp_load_acquire(&sv->rounds);
}

/**
 * tp_rounds_done - the destination has obeyed a list
 * @lane: its urgent lane
 * @hdr: the message
 *
 * Context: the receive thread.
 * Return: 0.
 */
int tp_rounds_done(struct tp_lane *lane, const struct tp_hdr *hdr)
{
	struct tp_serve *sv = tp_serve_get(lane->link, hdr->export);
	struct tp_rounds *rs = sv ? tp_rounds_of(sv) : NULL;
	unsigned long i;

	if (rs) {
		mutex_lock(&rs->lock);
		if (rs->said >> 1 == hdr->gen && rs->done != rs->said) {
			for_each_set_bit(i, rs->stale, sv->export->nr_pages) {
				set_bit(i, rs->fresh);
				__clear_bit(i, rs->stale);
				if (!(i % 4096))
					cond_resched();
			}
			/* Pairs with smp_load_acquire() in tp_serve_pushes(). */
			smp_store_release(&rs->done, rs->said);
		}
		mutex_unlock(&rs->lock);
		tp_link_kick_push(lane->link);
	}
	if (sv)
		tp_serve_put(sv);
	return 0;
}

/**
 * tp_rounds_lane_up - say again what may have been lost with a lane
 * @lane: urgent, greeted
 *
 * Context: sleeps; the receive thread.
 */
void tp_rounds_lane_up(struct tp_lane *lane)
{
	struct tp_rounds *rs;
	struct tp_serve *sv;
	unsigned long id;

	xa_lock(&lane->link->serves);
	xa_for_each(&lane->link->serves, id, sv) {
		rs = tp_rounds_of(sv);
		if (rs && READ_ONCE(rs->done) != READ_ONCE(rs->said))
			tp_rounds_kick(rs);
	}
	xa_unlock(&lane->link->serves);
}

/**
 * tp_serve_pushes - may pages of a serve be pushed now?
 * @sv: the serve
 * @round: out: as of which round, 0: for good
 *
 * Context: any.
 */
bool tp_serve_pushes(struct tp_serve *sv, u32 *round)
{
	struct tp_rounds *rs = tp_rounds_of(sv);
	bool open = sv->export->ops->open(sv->export);
	u32 done;

	*round = 0;
	if (!rs)
		return open;
	/* Pairs with smp_store_release() in tp_rounds_done(): the bits of @fresh. */
	done = smp_load_acquire(&rs->done);
	/*
	 * While a round begins, the first one included, what is pushed would be dropped. A
	 * round that begins after this makes it so, no more.
	 */
	if (!done || done != READ_ONCE(rs->said))
		return false;
	if (!(done & 1))
		*round = done >> 1;
	return true;
}

/*
 * Another thread may push the same page: it must not read it before it is watched, nor
 * have it watched a second time.
 */
static void tp_rounds_watch(struct tp_rounds *rs, pgoff_t index)
{
	if (!test_bit_acquire(index, rs->fresh))
		return;
	mutex_lock(&rs->watch);
	if (test_bit(index, rs->fresh)) {
		tp_clean_page(rs->sv->export->region, index, rs->rewritten);
		clear_bit_unlock(index, rs->fresh);
	}
	mutex_unlock(&rs->watch);
}

/**
 * tp_rounds_get - read a page that may be written to meanwhile
 * @sv: the serve
 * @index: page, in range
 * @page: out: a copy, so that what is packed does not change
 *
 * Context and return: as tp_source_ops.get. A page that cannot be read is taken for
 * rewritten, so it is pushed, or found to be lost, after the freeze.
 */
int tp_rounds_get(struct tp_serve *sv, pgoff_t index, struct page **page)
{
	struct tp_rounds *rs = tp_rounds_of(sv);
	struct page *p = NULL, *copy;
	int ret;

	/* still at another peer, and nothing to be watched */
	if (tp_is_remote(sv->export->region, index))
		return -EAGAIN;
	tp_rounds_watch(rs, index);
	ret = sv->export->ops->get(sv->export, index, &p);
	if (ret)
		goto out;
	copy = alloc_page(GFP_KERNEL);
	if (copy)
		copy_highpage(copy, p);
	else
		ret = -ENOMEM;
	put_page(p);
	*page = copy;
out:
	if (ret < 0)
		set_bit(index, rs->rewritten);
	return ret;
}

/**
 * tp_rounds_rewritten - somebody writes to a page, or discards it
 * @r: the region
 * @index: its page
 *
 * Context: any; before the write can be seen.
 */
void tp_rounds_rewritten(struct tp_region *r, pgoff_t index)
{
	struct tp_rounds *rs;

	rcu_read_lock();
	rs = rcu_dereference(r->rounds);
	if (rs)
		set_bit(index, rs->rewritten);
	rcu_read_unlock();
}

/**
 * tp_rounds_stat - how far a serve's rounds are
 * @sv: the serve
 * @st: out
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: has it any?
 */
bool tp_rounds_stat(struct tp_serve *sv, struct tp_rounds_stat *st)
{
	struct tp_rounds *rs = sv->rounds;
	unsigned long i, nr = sv->export->nr_pages;

	if (!rs)
		return false;
	st->round = rs->said >> 1;
	st->begun = READ_ONCE(rs->done) == rs->said;
	st->rewritten = 0;
	for (i = 0; i < BITS_TO_LONGS(nr); i++)
		st->rewritten += hweight_long(READ_ONCE(rs->rewritten[i]) &
					      ~READ_ONCE(rs->fresh[i]));
	return true;
}
