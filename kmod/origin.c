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

static struct workqueue_struct *tp_read_wq;	/* waits for disks */

/**
 * tp_extent_new - a run of pages, in no tree yet and of no file
 * @first: page
 * @count: pages
 * @offset: bytes into the file
 * @digests: of each page, copied; or NULL
 *
 * Context: sleeps.
 * Return: the extent or NULL.
 */
struct tp_extent *tp_extent_new(pgoff_t first, unsigned long count, u64 offset, const u8 *digests)
{
	struct tp_extent *e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);

	if (!e)
		return NULL;
	e->first = first;
	e->last = first + count - 1;
	e->offset = offset;
	if (digests) {
		e->digests = kvmalloc_array(count, TELEPAGE_DIGEST_SIZE, GFP_KERNEL_ACCOUNT);
		if (!e->digests) {
			kfree(e);
			return NULL;
		}
		memcpy(e->digests, digests, count * TELEPAGE_DIGEST_SIZE);
	}
	return e;
}

/**
 * tp_extent_free - free an extent that is in no tree
 * @e: the extent
 *
 * Context: sleeps.
 */
void tp_extent_free(struct tp_extent *e)
{
	if (e->file)
		fput(e->file);
	kvfree(e->digests);
	kfree(e);
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
	tp_region_get(r);
	/* One that runs is queued again, and looks again. */
	if (!queue_work(tp_read_wq, &o->readers[i].work))
		tp_region_put(r);
}

static int tp_origin_make(struct tp_region *r)
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
	mt_init(&o->extents);
	for (i = 0; i < TP_READERS; i++) {
		INIT_WORK(&o->readers[i].work, tp_reader_work);
		o->readers[i].origin = o;
	}
	/* Pairs with smp_load_acquire() in tp_is_local(). */
	smp_store_release(&r->origin, o);
	return 0;
}

/* A region that gives its pages to others must get its own from no file: no circles. */
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
	if (inode->i_sb->s_type == &tp_fs_type) {
		struct tp_region *from = tp_region(inode);

		if (from == r || from->origin) {
			NL_SET_ERR_MSG(extack, "a region whose pages come from files is no origin");
			return -EINVAL;
		}
		from->is_origin = true;
	}
	if (r->is_origin) {
		NL_SET_ERR_MSG(extack, "the region is the origin of another");
		return -EBUSY;
	}
	return 0;
}

/* Take extents out that lie in a range; those that reach out of it stay in the way. */
static void tp_origin_take_out(struct tp_origin *o, pgoff_t first, pgoff_t last)
{
	unsigned long i = first;
	struct tp_extent *e;
	pgoff_t p;

	while ((e = mt_find(&o->extents, &i, last))) {
		if (e->first < first || e->last > last)
			continue;
		for (p = e->first; p <= e->last; p++) {
			clear_bit(p, o->local);
			if (!(p % 4096))
				cond_resched();
		}
		mtree_erase(&o->extents, e->first);
		/* Readers find it under the tree's lock, so none has it any more. */
		tp_extent_free(e);
	}
}

static int tp_origin_put_in(struct tp_origin *o, struct tp_extent **extents, unsigned int nr,
			    struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < nr && !err; i++)
		err = mtree_insert_range(&o->extents, extents[i]->first, extents[i]->last,
					 extents[i], GFP_KERNEL);
	if (!err)
		return 0;
	if (err == -EEXIST)
		NL_SET_ERR_MSG(extack, "a page of it has a file already: replace whole extents");
	for (i--; i-- > 0;)
		mtree_erase(&o->extents, extents[i]->first);
	return err;
}

/* Pages that nobody saw yet become absent: their content is in the file. */
static int tp_origin_make_absent(struct tp_region *r, struct tp_extent **extents, unsigned int nr)
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
	bool kick = false;
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
		if (r->link)
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
	if (kick || o->fill)
		tp_origin_kick(r);
}

/**
 * tp_origin_add - let pages of a region come from a file
 * @r: the region: never touched, or its pages are absent already
 * @file: the file
 * @extents: which pages and where; taken over when this succeeds
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

		if (e->last < e->first || e->last >= r->nr_pages) {
			NL_SET_ERR_MSG(extack, "an extent is not within the region");
			return -ERANGE;
		}
		if (e->offset > MAX_LFS_FILESIZE - ((u64)(e->last - e->first + 1) << PAGE_SHIFT)) {
			NL_SET_ERR_MSG(extack, "an offset is too large");
			return -EINVAL;
		}
		if (e->digests && !tp_digest_known()) {
			NL_SET_ERR_MSG(extack, "this kernel has no SHA-256 for the digests");
			return -EOPNOTSUPP;
		}
	}
	err = tp_origin_check_file(r, file, extack) ?: tp_origin_make(r);
	if (err)
		return err;
	if (replace)
		for (i = 0; i < nr; i++)
			tp_origin_take_out(r->origin, extents[i]->first, extents[i]->last);
	err = tp_origin_put_in(r->origin, extents, nr, extack);
	if (err)
		return err;
	if (!r->link)
		err = tp_origin_make_absent(r, extents, nr);
	if (err) {
		for (i = 0; i < nr; i++)
			mtree_erase(&r->origin->extents, extents[i]->first);
		NL_SET_ERR_MSG(extack, "the region was used before: make a new one");
		return err;
	}
	for (i = 0; i < nr; i++)
		extents[i]->file = get_file(file);
	tp_origin_trust(r, extents, nr);
	return 0;
}

/**
 * tp_origin_fill - read pages from their files before they are touched
 * @r: the region
 * @extack: where to say why not
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or -EINVAL.
 */
int tp_origin_fill(struct tp_region *r, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&tp_ctl_mutex);
	if (!r->origin) {
		NL_SET_ERR_MSG(extack, "no page of the region comes from a file");
		return -EINVAL;
	}
	WRITE_ONCE(r->origin->fill, true);
	tp_region_get(r);
	if (!queue_work(tp_read_wq, &r->origin->readers[0].work))
		tp_region_put(r);
	return 0;
}

/**
 * tp_origin_end - the region needs its files no more
 * @r: the region
 *
 * Context: sleeps; under tp_ctl_mutex, or the last reference has gone.
 */
void tp_origin_end(struct tp_region *r)
{
	if (r->origin)
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
	if (!r->origin)
		return;
	tp_origin_end(r);
	kvfree(r->origin->local);
	kfree(r->origin);
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
