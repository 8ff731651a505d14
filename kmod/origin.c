// SPDX-License-Identifier: GPL-2.0
/*
 * origin.c - which local files have the content of a region's pages
 *
 * An extent is a run of pages, a file and an offset. As long as a page is absent and
 * its local bit is set, who needs it gets it from the file: origin_read.c. What cannot
 * be read or is not what its digest says loses the bit and comes from the peer.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "origin.h"

struct workqueue_struct *tp_read_wq;	/* waits for disks, and nothing else */

static void tp_reader_kick(struct tp_reader *rd)
{
	struct tp_region *r = rd->origin->region;

	tp_region_get(r);
	/* One that runs is queued again, and looks again. */
	if (!queue_work(tp_read_wq, &rd->work))
		tp_region_put(r);
	tp_origin_watch(r);
}

/**
 * tp_origin_kick - there is something to read
 * @r: the region, which has files
 *
 * Context: any but interrupts, without locks; with a reference of the caller's.
 */
void tp_origin_kick(struct tp_region *r)
{
	struct tp_origin *o = r->origin;
	unsigned int i;

	/* One that waits for its disk must not be what others wait for. */
	for (i = TP_READERS - 1; i > 0 && READ_ONCE(o->readers[i].busy); i--)
		;
	tp_reader_kick(&o->readers[i]);
}

/**
 * tp_origin_kick_ahead - there is something to read that nobody waits for
 * @r: the region, which has files
 *
 * Context: any but interrupts, without locks; with a reference of the caller's.
 */
void tp_origin_kick_ahead(struct tp_region *r)
{
	tp_reader_kick(&r->origin->readers[0]);
}

/**
 * tp_origin_make - a region may get files from here on
 * @r: the region
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or -ENOMEM.
 */
int tp_origin_make(struct tp_region *r)
{
	struct tp_origin *o;
	unsigned int i;

	if (r->origin)
		return 0;
	o = kzalloc(sizeof(*o), GFP_KERNEL_ACCOUNT);
	if (!o)
		return -ENOMEM;
	o->local = kvcalloc(BITS_TO_LONGS(r->nr_pages), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!o->local) {
		kfree(o);
		return -ENOMEM;
	}
	o->region = r;
	o->planned = ULONG_MAX;
	o->fill_hint = ULONG_MAX;
	spin_lock_init(&o->lock);
	tp_replay_init(&o->replay);
	mt_init(&o->extents);
	INIT_DELAYED_WORK(&o->again, tp_again_work);
	INIT_DELAYED_WORK(&o->fill_again, tp_fill_again_work);
	INIT_DELAYED_WORK(&o->watch, tp_watch_work);
	for (i = 0; i < TP_READERS; i++) {
		INIT_WORK(&o->readers[i].work, tp_reader_work);
		o->readers[i].origin = o;
	}
	/* Pairs with smp_load_acquire() in tp_is_local(). */
	smp_store_release(&r->origin, o);
	return 0;
}

/* A region is a file for younger ones only: no circles. */
static int tp_origin_check_file(struct tp_region *r, struct file *file,
				struct netlink_ext_ack *extack)
{
	struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode)) {
		NL_SET_ERR_MSG(extack, "the descriptor is no file or block device");
		return -EINVAL;
	}
	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_CAN_READ)) {
		NL_SET_ERR_MSG(extack, "the file is not open for reading");
		return -EBADF;
	}
	if (inode->i_sb->s_type == &tp_fs_type && tp_region(inode)->id >= r->id) {
		NL_SET_ERR_MSG(extack, "only a region that is older can be the origin of another");
		return -EINVAL;
	}
	return 0;
}

/**
 * tp_origin_take_out - pages have no file any more
 * @o: the region's
 * @first: page
 * @last: page
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or -ENOMEM: some may have theirs still.
 */
int tp_origin_take_out(struct tp_origin *o, pgoff_t first, pgoff_t last)
{
	MA_STATE(mas, &o->extents, first, first);
	pgoff_t p, end = min(last, o->region->nr_pages - 1);

	while (first <= end) {
		struct tp_extent *e;
		pgoff_t from, to;
		int err;

		mtree_lock(&o->extents);
		mas_set(&mas, first);
		e = mas_find(&mas, end);
		from = max(mas.index, first);
		to = min(mas.last, end);
		if (e)
			e->parts += (mas.index < from) + (mas.last > to) - 1;
		mtree_unlock(&o->extents);
		if (!e)
			break;
		err = mtree_store_range(&o->extents, from, to, NULL, GFP_KERNEL);
		if (err) {
			e->parts += 1 - (mas.index < from) - (mas.last > to);
			return err;
		}
		/* Who saw the bit and finds no extent any more asks the peer. */
		for (p = from; p <= to; p++) {
			clear_bit(p, o->local);
			if (!(p % 4096))
				cond_resched();
		}
		/* Readers find it under the tree's lock, so none has it any more. */
		if (!e->parts)
			tp_extent_free(e);
		first = to + 1;
	}
	return 0;
}

/* Before what is there is taken out for them. */
static int tp_origin_check_twice(struct tp_extent *const *extents, unsigned int nr,
				 struct netlink_ext_ack *extack)
{
	unsigned int i;

	for (i = 1; i < nr; i++) {
		if (extents[i]->first <= extents[i - 1]->last) {
			NL_SET_ERR_MSG(extack, "a page is named twice");
			return -EEXIST;
		}
	}
	return 0;
}

/* They are freed next, so the tree must not keep one for want of a node. */
static void tp_origin_put_back(struct tp_origin *o, struct tp_extent *const *extents,
			       unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		mtree_store_range(&o->extents, extents[i]->first, extents[i]->last, NULL,
				  GFP_KERNEL | __GFP_NOFAIL);
}

static int tp_origin_put_in(struct tp_origin *o, struct tp_extent **extents, unsigned int nr,
			    struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++) {
		extents[i]->parts = 1;
		err = mtree_insert_range(&o->extents, extents[i]->first, extents[i]->last,
					 extents[i], GFP_KERNEL);
	}
	if (!err)
		return 0;
	if (err == -EEXIST)
		NL_SET_ERR_MSG(extack, "a page of it has a file already");
	tp_origin_put_back(o, extents, i - 1);
	return err;
}

/* Pages that nobody saw yet become absent: their content is in the file. */
static int tp_origin_make_absent(struct tp_region *r, struct tp_extent **extents, unsigned int nr,
				 struct netlink_ext_ack *extack)
{
	unsigned long *remote = r->remote;
	unsigned int i;
	bool touched;
	pgoff_t p;

	if (!remote)
		remote = kvcalloc(BITS_TO_LONGS(r->nr_pages), sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!remote)
		return -ENOMEM;
	spin_lock(&r->lock);
	touched = r->touched;
	r->loading = !touched;	/* nobody opens it meanwhile */
	spin_unlock(&r->lock);
	if (touched) {
		/* Only what is absent anyway can get another file. */
		if (r->remote)
			return 0;
		kvfree(remote);
		NL_SET_ERR_MSG(extack, "the region was used before: make a new one");
		return -EBUSY;
	}
	for (i = 0; i < nr; i++) {
		for (p = extents[i]->first; p <= extents[i]->last; p++) {
			/* first counted: a reader may place it at once */
			if (!test_bit(p, remote)) {
				atomic_long_inc(&r->absent);
				set_bit(p, remote);
			}
			if (!(p % 4096))
				cond_resched();
		}
	}
	WRITE_ONCE(r->state, TELEPAGE_REGION_FILLING);
	/* Whoever opens it from here on sees absent pages, never zero ones. */
	smp_store_release(&r->remote, remote);
	spin_lock(&r->lock);
	r->loading = false;
	spin_unlock(&r->lock);
	return 0;
}

/* From here on the pages are read from their files, as far as they are absent. */
static void tp_origin_trust(struct tp_region *r, struct tp_extent **extents, unsigned int nr)
{
	struct tp_origin *o = r->origin;
	struct tp_request *req;
	unsigned long index;
	unsigned int i;
	bool kick = false, ahead;
	pgoff_t p;

	/* The extent can be found before the bit is seen. */
	smp_mb__before_atomic();
	for (i = 0; i < nr; i++) {
		for (p = extents[i]->first; p <= extents[i]->last; p++) {
			if (test_bit(p, r->remote))
				set_bit(p, o->local);
			if (!(p % 4096))
				cond_resched();
		}
		if (r->link || READ_ONCE(o->held))
			continue;
		/* Who waits in vain since a file failed waits for this one. */
		xa_for_each_range(&r->reqs, index, req, extents[i]->first, extents[i]->last) {
			xa_set_mark(&r->reqs, index, TP_REQ_READ);
			kick = true;
		}
	}
	set_bit(TP_FILL_AGAIN, &o->flags);
	if (!r->link)
		cmpxchg(&r->state, TELEPAGE_REGION_BROKEN, TELEPAGE_REGION_FILLING);
	if (kick)
		tp_origin_kick(r);
	/* What had no file when the replay came to it may have one now. */
	spin_lock(&o->lock);
	tp_replay_again(&o->replay);
	ahead = o->replay.at;
	spin_unlock(&o->lock);
	if (ahead || READ_ONCE(o->fill))
		tp_origin_kick_ahead(r);
}

/**
 * tp_origin_add - let pages of a region come from a file
 * @r: the region: never touched, or its pages are absent already
 * @file: the file
 * @extents: which pages, all of the region, and where, as tp_extents_join() has left them;
 *	taken over when this succeeds
 * @nr: how many
 * @replace: extents of these pages that are there already go
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, or a negative errno: nothing was changed but what was replaced.
 */
int tp_origin_add(struct tp_region *r, struct file *file, struct tp_extent **extents,
		  unsigned int nr, bool replace, struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED ||
	    ((r->link || READ_ONCE(r->touched)) && !atomic_long_read(&r->absent))) {
		NL_SET_ERR_MSG(extack, "no page of the region is absent: make a new one");
		return -EBUSY;
	}
	for (i = 0; i < nr; i++) {
		const struct tp_extent *e = extents[i];

		if (e->offset > MAX_LFS_FILESIZE - ((u64)(e->last - e->first + 1) << PAGE_SHIFT)) {
			NL_SET_ERR_MSG(extack, "an offset is too large");
			return -EINVAL;
		}
		err = e->digests ? tp_digest_get() : 0;
		if (err == -EOPNOTSUPP)
			NL_SET_ERR_MSG(extack, "this kernel has no SHA-256 for the digests");
		if (err)
			return err;
	}
	err = tp_origin_check_twice(extents, nr, extack) ?:
	      tp_origin_check_file(r, file, extack) ?: tp_origin_make(r);
	for (i = 0; replace && i < nr && !err; i++)
		err = tp_origin_take_out(r->origin, extents[i]->first, extents[i]->last);
	if (err)
		return err;
	/* A reader finds them as soon as they are in the tree. */
	for (i = 0; i < nr; i++)
		extents[i]->file = get_file(file);
	err = tp_origin_put_in(r->origin, extents, nr, extack);
	if (err)
		return err;
	if (!r->link)
		err = tp_origin_make_absent(r, extents, nr, extack);
	if (!err) {
		tp_origin_trust(r, extents, nr);
		tp_origin_join(r->origin, extents, nr);
		return 0;
	}
	tp_origin_put_back(r->origin, extents, nr);
	return err;
}

/**
 * tp_origin_fill - read pages from their files before they are touched
 * @r: the region, as tp_plan_check() wants it
 *
 * Context: under tp_ctl_mutex.
 */
void tp_origin_fill(struct tp_region *r)
{
	lockdep_assert_held(&tp_ctl_mutex);
	WRITE_ONCE(r->origin->fill, true);
	tp_origin_kick_ahead(r);
}

/**
 * tp_origin_end - the region needs its files no more
 * @r: the region
 *
 * Context: sleeps; under tp_ctl_mutex, or the last reference has gone.
 */
void tp_origin_end(struct tp_region *r)
{
	if (!r->origin)
		return;
	/* The caller's reference, or none that these could hold, is there still. */
	if (cancel_delayed_work(&r->origin->again))
		tp_region_put(r);
	if (cancel_delayed_work(&r->origin->fill_again))
		tp_region_put(r);
	if (cancel_delayed_work(&r->origin->watch))
		tp_region_put(r);
	tp_replay_forget(&r->origin->replay, &r->origin->lock);
	/* what finds no memory to go now goes with the region */
	tp_origin_take_out(r->origin, 0, ULONG_MAX);
}

/**
 * tp_origin_free - free what a region knows of files
 * @r: being evicted, so no reader runs
 *
 * Context: sleeps.
 */
void tp_origin_free(struct tp_region *r)
{
	struct tp_origin *o = r->origin;
	struct tp_extent *e;
	unsigned long i = 0;

	if (!o)
		return;
	mt_for_each(&o->extents, e, i, ULONG_MAX)
		if (!--e->parts)
			tp_extent_free(e);
	mtree_destroy(&o->extents);
	tp_replay_forget(&o->replay, &o->lock);
	kvfree(o->local);
	kfree(o);
	r->origin = NULL;
}

/**
 * tp_origin_init - what reading files takes
 *
 * Return: 0 or -ENOMEM.
 */
int tp_origin_init(void)
{
	/* Each region has a few works, and each may wait for a disk. */
	tp_read_wq = alloc_workqueue("telepage_read", WQ_UNBOUND, WQ_UNBOUND_MAX_ACTIVE);
	return tp_read_wq ? 0 : -ENOMEM;
}

void tp_origin_exit(void)
{
	destroy_workqueue(tp_read_wq);
	tp_digest_exit();
}
