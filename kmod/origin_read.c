// SPDX-License-Identifier: GPL-2.0
/*
 * origin_read.c - pages are read from their files, looked at, and placed
 *
 * A request for a page that a file has carries a mark in region->reqs instead of
 * standing in a link's queue. Readers take marked requests; the first one reads ahead
 * when there are none, what a replay names before the rest. A page is placed only when
 * it is whole and, where there is a digest, what the digest says.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <crypto/hash.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kmod.h>
#include <linux/mm.h>
#include "link.h"
#include "origin.h"
#include "trace.h"

static struct crypto_shash *tp_digest;

/**
 * tp_digest_get - have what verifies digests
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EOPNOTSUPP: this kernel has none; -ENOMEM, -EINTR.
 */
int tp_digest_get(void)
{
	struct crypto_shash *tfm;

	if (tp_digest)
		return 0;
	/*
	 * The fastest that the machine has of it. The slowest is built in, so nothing
	 * is loaded for want of one: ask for what there is.
	 */
	request_module("crypto-sha256");
	tfm = crypto_alloc_shash("sha256", 0, 0);
	if (IS_ERR(tfm))
		return PTR_ERR(tfm) == -ENOENT ? -EOPNOTSUPP : PTR_ERR(tfm);
	if (crypto_shash_digestsize(tfm) != TELEPAGE_DIGEST_SIZE) {
		crypto_free_shash(tfm);
		return -EOPNOTSUPP;
	}
	tp_digest = tfm;
	return 0;
}

void tp_digest_exit(void)
{
	if (tp_digest)
		crypto_free_shash(tp_digest);
}

/*
 * A page's worth, all of it: behind the end of the file there is no content. -EAGAIN: it
 * is another region's that is still absent there, or may become so; we wait for nobody
 * else's link. With @wish it is asked for there: who needs it has nobody else to ask.
 */
static int tp_read_whole(struct file *file, loff_t pos, struct page *page, bool wish)
{
	struct inode *inode = file_inode(file);
	size_t done = 0;

	if (inode->i_sb->s_type == &tp_fs_type) {
		struct tp_region *from = tp_region(inode);
		pgoff_t first = pos >> PAGE_SHIFT, last = (pos + PAGE_SIZE - 1) >> PAGE_SHIFT;

		if (last >= from->nr_pages)
			return -ENODATA;
		if (wish && !tp_is_live(from)) {
			tp_request(from, first, NULL);
			if (last > first)
				tp_request(from, last, NULL);
		}
		if (tp_is_live(from) || tp_is_remote(from, first) || tp_is_remote(from, last))
			return READ_ONCE(from->state) == TELEPAGE_REGION_ABANDONED ? -EIO : -EAGAIN;
	}
	while (done < PAGE_SIZE) {
		ssize_t n = kernel_read(file, page_address(page) + done, PAGE_SIZE - done, &pos);

		if (n <= 0)
			return n == -EAGAIN ? -EIO : n ?: -ENODATA;
		done += n;
	}
	return 0;
}

static int tp_read_verified(const struct tp_piece *p, unsigned int i, struct page *page,
			    bool wish)
{
	u8 digest[TELEPAGE_DIGEST_SIZE];
	int err = tp_read_whole(p->file, p->pos + (loff_t)i * PAGE_SIZE, page, wish);

	if (err || !p->verify)
		return err;
	err = crypto_shash_tfm_digest(tp_digest, page_address(page), PAGE_SIZE, digest);
	if (!err && memcmp(digest, p->digests[i], sizeof(digest)))
		err = -EBADMSG;
	return err;
}

/* What is to be read for up to @nr pages from @index on; false: no file has them. */
static bool tp_piece_get(struct tp_origin *o, pgoff_t index, unsigned int nr, struct tp_piece *p)
{
	MA_STATE(mas, &o->extents, index, index);
	struct tp_extent *e;

	mtree_lock(&o->extents);
	e = mas_walk(&mas);
	if (e) {
		p->file = get_file(e->file);
		p->pos = e->offset + ((u64)(index - e->first) << PAGE_SHIFT);
		/* what is left of it here, not what it was */
		p->nr = min_t(unsigned long, nr, mas.last - index + 1);
		p->verify = e->digests;
		if (p->verify)
			memcpy(p->digests, e->digests + (index - e->first) * TELEPAGE_DIGEST_SIZE,
			       p->nr * TELEPAGE_DIGEST_SIZE);
	}
	mtree_unlock(&o->extents);
	return e;
}

/* Has the page got another file, or another place or digest there, since @p was looked up? */
static bool tp_piece_replaced(struct tp_origin *o, const struct tp_piece *p, unsigned int i,
			      pgoff_t index)
{
	MA_STATE(mas, &o->extents, index, index);
	const struct tp_extent *e = mas_walk(&mas);

	if (!e)
		return false;
	if (e->file != p->file || !e->digests == p->verify ||
	    e->offset + ((u64)(index - e->first) << PAGE_SHIFT) != p->pos + ((u64)i << PAGE_SHIFT))
		return true;
	return p->verify && memcmp(e->digests + (index - e->first) * TELEPAGE_DIGEST_SIZE,
				   p->digests[i], TELEPAGE_DIGEST_SIZE);
}

/*
 * The file has not got the page: it comes from the peer, if there is one. Return: false: it
 * has another file by now, about which this says nothing.
 */
static bool tp_distrust(struct tp_region *r, const struct tp_piece *p, unsigned int i,
			pgoff_t index, int err)
{
	struct tp_origin *o = r->origin;
	bool replaced, bad = false;

	/* The bit of a new extent is set after that was put in: it is not cleared here. */
	mtree_lock(&o->extents);
	replaced = tp_piece_replaced(o, p, i, index);
	if (!replaced)
		bad = test_and_clear_bit(index, o->local);
	mtree_unlock(&o->extents);
	if (replaced)
		return false;
	if (bad) {
		tp_stat_inc(r, TP_STAT_FILE_BAD);
		trace_telepage_distrust(r, index, err);
	}
	/* Pairs with the barrier in tp_request(): it sees the bit, or we its request. */
	smp_mb__after_atomic();
	if (!tp_request_reroute(r, index) && !test_bit(index, o->local))
		tp_region_break(r, err == -EBADMSG ? EBADMSG : EIO);
	return true;
}

/* Do a work of a region's files, which holds a reference on the region, in a while. */
static void tp_do_in(struct tp_region *r, struct delayed_work *work, unsigned long delay)
{
	if (READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED)
		return;
	tp_region_get(r);
	if (!queue_delayed_work(tp_read_wq, work, delay))
		tp_region_put(r);
}

/*
 * A page that is needed cannot be had now. Its request is taken again in a while: a reader
 * that stayed for it would be a worker of all regions, perhaps the one that it waits for.
 */
static void tp_read_again(struct tp_region *r, pgoff_t index)
{
	xa_lock(&r->reqs);
	/* none: it has come, and __xa_set_mark() leaves what is not there */
	__xa_set_mark(&r->reqs, index, TP_REQ_AGAIN);
	xa_unlock(&r->reqs);
	tp_do_in(r, &r->origin->again, msecs_to_jiffies(TP_AGAIN_MS));
}

/**
 * tp_again_work - the requests whose pages could not be had are taken again
 * @work: of a region's files, which holds a reference on the region
 */
void tp_again_work(struct work_struct *work)
{
	struct tp_region *r = container_of(work, struct tp_origin, again.work)->region;
	struct tp_request *req;
	unsigned long index;
	bool read = false;

	xa_lock(&r->reqs);
	xa_for_each_marked(&r->reqs, index, req, TP_REQ_AGAIN) {
		__xa_clear_mark(&r->reqs, index, TP_REQ_AGAIN);
		__xa_set_mark(&r->reqs, index, TP_REQ_READ);
		read = true;
		/* The walk goes by index: it bears what changes meanwhile. */
		cond_resched_lock(&r->reqs.xa_lock);
	}
	xa_unlock(&r->reqs);
	if (read)
		tp_origin_kick(r);
	tp_region_put(r);
}

/*
 * A page that nobody needs yet is absent where it would come from. Who has a peer waits for it
 * while anything comes there at all, see tp_fill_later(). Return: not any more.
 */
static bool tp_read_in_vain(struct tp_region *r, const struct tp_piece *p)
{
	struct tp_origin *o = r->origin;

	o->awaits += atomic_long_read(&tp_region(file_inode(p->file))->absent);
	return r->link && test_bit(TP_FILL_NO_MORE, &o->flags);
}

/* Return: false: not now; nobody waits for it, or it is seen to. */
static bool tp_read_page_of(struct tp_region *r, const struct tp_piece *p, unsigned int i,
			    pgoff_t index, u32 gen)
{
	struct folio *folio;
	int err;

	/* a page that has come meanwhile is no loss */
	if (!tp_is_remote(r, index)) {
		tp_request_finish(r, index, 0);
		return true;
	}
	folio = tp_alloc_folio(mapping_gfp_mask(r->inode.i_mapping));
	err = folio ? tp_read_verified(p, i, folio_page(folio, 0), gen && !r->link) : -ENOMEM;
	if (!err && tp_page_is_zero(folio_page(folio, 0)))
		tp_place_zero(r, index, 1, gen, false);
	else if (!err)
		err = tp_place_data(r, index, folio, gen, TP_STAT_FILE);
	if (folio)
		folio_put(folio);
	if (err == -EAGAIN && !gen && tp_read_in_vain(r, p))
		err = -ETIMEDOUT;
	if (err == -EAGAIN || err == -ENOMEM) {
		/* Who reads ahead has other pages; who was asked has the peer, or waits. */
		if (gen && (err == -ENOMEM || !r->link))
			tp_read_again(r, index);
		else if (gen)
			tp_request_reroute(r, index);
		return false;
	}
	if (!err || tp_distrust(r, p, i, index, err))
		return true;
	/* without a peer who has replaced it looks for requests */
	if (gen)
		tp_request_reroute(r, index);
	return false;
}

/**
 * tp_origin_watch - see how readers get on, while there are any
 * @r: the region, with files
 *
 * A disk may take as long as it likes, but who has a peer does not wait for it for ever.
 *
 * Context: any but hard interrupts; the caller holds the region.
 */
void tp_origin_watch(struct tp_region *r)
{
	/* Pairs with smp_store_release() in tp_import_start(): then there is a link. */
	if (!smp_load_acquire(&r->ahead) || !atomic_long_read(&r->absent) ||
	    READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED)
		return;
	/* One that is about to look sees the work that was queued before. */
	if (delayed_work_pending(&r->origin->watch))
		return;
	tp_region_get(r);
	/* not where readers are, of which there may be too many that wait */
	if (!queue_delayed_work(tp_wq, &r->origin->watch, msecs_to_jiffies(TP_WATCH_MS)))
		tp_region_put(r);
}

/* Nobody who holds what is only tried here waits for the watch; it looks again. */
static void tp_watch_is_still(struct tp_region *r)
{
	if (READ_ONCE(r->origin->held) || !mutex_trylock(&tp_ctl_mutex))
		return;
	/* What cannot be asked now may be had from the disk first after all. */
	if (READ_ONCE(r->state) != TELEPAGE_REGION_ABANDONED && atomic_long_read(&r->absent) &&
	    tp_link_is_up(r->link)) {
		pr_warn_ratelimited("region %s: its files do not answer, it does without\n",
				    r->name);
		tp_plan_do_without(r);
	}
	mutex_unlock(&tp_ctl_mutex);
}

/**
 * tp_watch_work - what readers take too long for comes from the peer
 * @work: of a region's files, which holds a reference on the region
 *
 * First what somebody needs. When a reader's disk does not answer at all it is the reader
 * that other files would need, sooner or later: then the region does without any.
 *
 * Looks are counted, not time: of a host that was stopped all clocks have gone on at once.
 */
void tp_watch_work(struct work_struct *work)
{
	struct tp_origin *o = container_of(work, struct tp_origin, watch.work);
	struct tp_region *r = o->region;
	bool busy = false, still = false;
	unsigned int i;

	for (i = 0; i < TP_READERS; i++) {
		struct tp_reader *rd = &o->readers[i];
		unsigned int pages = READ_ONCE(rd->pages);
		/* or there is no worker for it: others' disks have them all */
		bool reads = work_busy(&rd->work);

		if (pages != rd->seen || !reads)
			rd->looks = 0;
		rd->seen = pages;
		busy |= reads;
		still |= rd->looks++ >= TP_WATCH_STILL;
	}
	if (busy) {
		tp_request_late(r, TP_WATCH_LATE * TP_WATCH_MS);
		if (still)
			tp_watch_is_still(r);
		tp_origin_watch(r);
	}
	tp_region_put(r);
}

/* Read up to @nr pages. @gen: of the request for the one, 0: nobody asked. Return: how many. */
static unsigned int tp_read_piece(struct tp_reader *rd, pgoff_t index, unsigned int nr, u32 gen)
{
	struct tp_origin *o = rd->origin;
	struct tp_region *r = o->region;
	struct tp_piece *p = &rd->piece;
	unsigned int i;

	if (!tp_is_local(r, index) || !tp_piece_get(o, index, nr, p)) {
		/* replaced, distrusted, or done without, since; who replaces looks for requests */
		tp_request_reroute(r, index);
		return 1;
	}
	for (i = 0; i < p->nr && READ_ONCE(r->state) != TELEPAGE_REGION_ABANDONED; i++) {
		WRITE_ONCE(rd->pages, rd->pages + 1);
		if (!tp_read_page_of(r, p, i, index + i, gen) && !gen)
			set_bit(TP_FILL_LATER, &o->flags);
	}
	fput(p->file);
	wake_up_all(&r->arrivals);
	return p->nr;
}

static bool tp_take_request(struct tp_region *r, pgoff_t *index, u32 *gen)
{
	struct tp_request *req;
	unsigned long i = 0;

	xa_lock(&r->reqs);
	req = xa_find(&r->reqs, &i, ULONG_MAX, TP_REQ_READ);
	if (req) {
		__xa_clear_mark(&r->reqs, i, TP_REQ_READ);
		*index = i;
		*gen = req->gen;
	}
	xa_unlock(&r->reqs);
	return req;
}

/* Read the next pages of a replay that are absent and in a file; false: there are none. */
static bool tp_read_replayed(struct tp_reader *rd)
{
	struct tp_origin *o = rd->origin;
	unsigned int nr = TP_READ_RUN, done = 0;
	pgoff_t index;
	bool more;

	spin_lock(&o->lock);
	more = tp_replay_next(&o->replay, o->region->remote, o->local, &index, &nr);
	spin_unlock(&o->lock);
	/* they are passed by now, and may be in several files */
	while (more && done < nr)
		done += tp_read_piece(rd, index + done, nr - done, 0);
	return more;
}

/* The next run that is absent and in a file, from where pages are needed. */
static bool tp_next_run(struct tp_origin *o, pgoff_t *index, unsigned int *nr)
{
	struct tp_region *r = o->region;
	pgoff_t i = xchg(&o->fill_hint, ULONG_MAX);

	if (i < r->nr_pages) {
		o->fill_pos = i;
		set_bit(TP_FILL_AGAIN, &o->flags);
	}
	for (;;) {
		i = tp_find_next_and_bit(r->remote, o->local, r->nr_pages, o->fill_pos);
		if (i < r->nr_pages)
			break;
		o->fill_pos = r->nr_pages;
		if (!test_and_clear_bit(TP_FILL_AGAIN, &o->flags))
			return false;
		o->fill_pos = 0;
	}
	*index = i;
	for (*nr = 1; *nr < TP_READ_RUN && i + *nr < r->nr_pages; ++*nr)
		if (!test_bit(i + *nr, r->remote) || !test_bit(i + *nr, o->local))
			break;
	return true;
}

/*
 * All was looked at, and some pages could not be had. They are looked at again, the later the
 * longer a look takes. @begun: jiffies, of this one.
 *
 * They are absent in other regions. When nothing has come there for long, nobody knows when it
 * will: these are broken, or only get what is touched. So the next look is the last one.
 */
static void tp_fill_later(struct tp_origin *o, unsigned long begun)
{
	unsigned long awaits = o->awaits;

	o->awaits = 0;
	clear_bit(TP_FILL_NO_MORE, &o->flags);
	if (!test_and_clear_bit(TP_FILL_LATER, &o->flags))
		return;
	if (awaits != o->awaited) {
		o->awaited = awaits;
		o->came = jiffies;
	} else if (awaits && time_after(jiffies, o->came + msecs_to_jiffies(TP_STILL_MS))) {
		set_bit(TP_FILL_NO_MORE, &o->flags);
	}
	tp_do_in(o->region, &o->fill_again,
		 clamp(4 * (jiffies - begun), msecs_to_jiffies(50), (unsigned long)HZ));
}

/**
 * tp_fill_again_work - what was passed over by reading ahead is looked at again
 * @work: of a region's files, which holds a reference on the region
 */
void tp_fill_again_work(struct work_struct *work)
{
	struct tp_origin *o = container_of(work, struct tp_origin, fill_again.work);

	set_bit(TP_FILL_AGAIN, &o->flags);
	tp_origin_kick_ahead(o->region);
	tp_region_put(o->region);
}

/* Has it absent pages, or had? One that was only held, and is not any more, never had. */
static bool tp_fills(const struct tp_region *r)
{
	/* Pairs with smp_store_release() where pages become absent. */
	return smp_load_acquire(&r->remote);
}

/**
 * tp_reader_work - read what is asked for, and then ahead
 * @work: a reader's, which holds a reference on the region
 */
void tp_reader_work(struct work_struct *work)
{
	struct tp_reader *rd = container_of(work, struct tp_reader, work);
	struct tp_origin *o = rd->origin;
	struct tp_region *r = o->region;
	bool ahead = rd == &o->readers[0];
	unsigned long begun = jiffies;
	unsigned int nr;
	pgoff_t index;
	u32 gen;

	WRITE_ONCE(rd->busy, true);
	while (READ_ONCE(r->state) != TELEPAGE_REGION_ABANDONED) {
		if (tp_take_request(r, &index, &gen)) {
			tp_read_piece(rd, index, 1, gen);
			/* What follows is needed next; of what is tried again that is no news. */
			if (!xa_get_mark(&r->reqs, index, TP_REQ_AGAIN))
				WRITE_ONCE(o->fill_hint, index + 1);
		} else if (!ahead || READ_ONCE(o->held) || !tp_fills(r)) {
			break;
		} else if (tp_read_replayed(rd)) {
			/* and what somebody needs meanwhile, before more of it */
		} else if (!READ_ONCE(o->fill)) {
			break;
		} else if (tp_next_run(o, &index, &nr)) {
			o->fill_pos = index + tp_read_piece(rd, index, nr, 0);
		} else {
			tp_fill_later(o, begun);
			break;
		}
		cond_resched();
	}
	WRITE_ONCE(rd->busy, false);
	tp_region_put(r);
}
