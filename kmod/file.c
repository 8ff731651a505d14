// SPDX-License-Identifier: GPL-2.0
/*
 * file.c - a region as a file: read, write, seek, discard, map
 *
 * Everything that needs a page's content waits for it in tp_wait_page(), killably
 * and without locks, and then uses the folio. The VFS's generic paths, which read
 * into locked folios and read ahead, are not used: what to fetch is telepage's
 * decision.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include "telepage.h"

static int tp_open(struct inode *inode, struct file *file)
{
	struct tp_region *r = tp_region(inode);
	int err = -ENOENT;

	spin_lock(&r->lock);
	if (r->bridged || r->loading) {
		/* its pages are in a VMM's own memory, or just become absent */
		err = -EBUSY;
	} else if (!r->dead) {
		r->openers++;
		r->touched = true;
		err = 0;
	}
	spin_unlock(&r->lock);
	if (!err)
		file->f_mode |= FMODE_NOWAIT;
	return err;
}

static int tp_release(struct inode *inode, struct file *file)
{
	struct tp_region *r = tp_region(inode);

	spin_lock(&r->lock);
	r->openers--;
	spin_unlock(&r->lock);
	return 0;
}

static ssize_t tp_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct tp_region *r = tp_region(file_inode(iocb->ki_filp));
	loff_t size = i_size_read(&r->inode);
	ssize_t done = 0;
	int err = 0;

	while (iov_iter_count(to) && iocb->ki_pos < size) {
		pgoff_t index = iocb->ki_pos >> PAGE_SHIFT;
		size_t offset = offset_in_page(iocb->ki_pos);
		size_t len = min_t(size_t, PAGE_SIZE - offset, iov_iter_count(to));
		struct folio *folio = tp_folio_get(r, index, 0);
		size_t n;

		if (folio == ERR_PTR(-EAGAIN)) {
			if (iocb->ki_flags & IOCB_NOWAIT)
				err = tp_request(r, index, NULL) < 0 ? -EIO : -EAGAIN;
			else
				err = tp_wait_page(r, index, TASK_KILLABLE);
			if (err)
				break;
			continue;
		}
		if (IS_ERR(folio)) {
			err = PTR_ERR(folio) == -ENOMEM ? -ENOMEM : -EIO;
			break;
		}
		if (folio) {
			n = copy_folio_to_iter(folio, offset, len, to);
			folio_put(folio);
		} else {
			n = iov_iter_zero(len, to);
		}
		iocb->ki_pos += n;
		done += n;
		if (n < len) {
			err = -EFAULT;
			break;
		}
		cond_resched();
	}
	return done ?: err;
}

static ssize_t tp_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct tp_region *r = tp_region(file_inode(iocb->ki_filp));
	loff_t size = i_size_read(&r->inode);
	ssize_t done = 0, ret;

	ret = generic_write_checks(iocb, from);
	if (ret <= 0)
		return ret;
	if (iocb->ki_pos >= size)
		return -ENOSPC;
	/* Asked again under the folio lock; here so that a refused write makes no page. */
	if (READ_ONCE(r->frozen))
		return -EPERM;
	iov_iter_truncate(from, size - iocb->ki_pos);

	while (iov_iter_count(from)) {
		pgoff_t index = iocb->ki_pos >> PAGE_SHIFT;
		size_t offset = offset_in_page(iocb->ki_pos);
		size_t len = min_t(size_t, PAGE_SIZE - offset, iov_iter_count(from));
		struct folio *folio;

		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		/* Even a page written as a whole: a reader must see old or new. */
		folio = tp_folio_get(r, index, TP_GET_CREATE);
		if (folio == ERR_PTR(-EAGAIN)) {
			if (iocb->ki_flags & IOCB_NOWAIT)
				ret = tp_request(r, index, NULL) < 0 ? -EIO : -EAGAIN;
			else
				ret = tp_wait_page(r, index, TASK_KILLABLE);
			if (ret)
				break;
			continue;
		}
		if (IS_ERR(folio)) {
			ret = PTR_ERR(folio) == -ENOMEM ? -ENOMEM : -EIO;
			break;
		}
		ret = tp_write_folio(r, folio, offset, len, from);
		folio_put(folio);
		if (ret == -EAGAIN)
			continue;
		if (ret < 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		if (!ret && fault_in_iov_iter_readable(from, len) == len) {
			ret = -EFAULT;
			break;
		}
		cond_resched();
	}
	return done ?: ret;
}

/* Data is what has a folio, here or at the peer. */
static loff_t tp_llseek(struct file *file, loff_t offset, int whence)
{
	struct tp_region *r = tp_region(file_inode(file));
	struct address_space *mapping = file->f_mapping;
	loff_t size = i_size_read(&r->inode);
	unsigned long i, next;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return generic_file_llseek(file, offset, whence);
	if (offset < 0 || offset >= size)
		return -ENXIO;
	/* what is zero now may be written to at the source: there are no holes yet */
	if (tp_is_live(r))
		return vfs_setpos(file, whence == SEEK_DATA ? offset : size, size);
	i = offset >> PAGE_SHIFT;
	if (whence == SEEK_DATA) {
		/* in this order: a page that comes meanwhile is found by one of both */
		next = i;
		i = tp_next_remote(r, i, r->nr_pages);
		if (next < i && xa_find(&mapping->i_pages, &next, i - 1, XA_PRESENT))
			i = next;
		if (i >= r->nr_pages)
			return -ENXIO;
	} else {
		while (i < r->nr_pages && (tp_is_remote(r, i) || xa_load(&mapping->i_pages, i))) {
			i++;
			if (!(i % 1024)) {
				cond_resched();
				if (fatal_signal_pending(current))
					return -EINTR;
			}
		}
	}
	return vfs_setpos(file, max(offset, (loff_t)i << PAGE_SHIFT), size);
}

static long tp_discard(struct tp_region *r, loff_t start, loff_t end)
{
	for (;;) {
		int err = tp_punch(r, start, end);

		if (err != -EAGAIN)
			return err;
		/* live, or the pages at the ends keep a part of their content: get it */
		err = tp_wait_page(r, start >> PAGE_SHIFT, TASK_KILLABLE);
		if (!err)
			err = tp_wait_page(r, (end - 1) >> PAGE_SHIFT, TASK_KILLABLE);
		if (err)
			return err;
	}
}

static long tp_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct tp_region *r = tp_region(file_inode(file));
	loff_t size = i_size_read(&r->inode), end;
	pgoff_t i;

	if (offset >= size)
		return mode & FALLOC_FL_PUNCH_HOLE ? 0 : -EPERM;
	if (check_add_overflow(offset, len, &end) || end > size) {
		/* the size is fixed; a hole may reach beyond it */
		if (!(mode & FALLOC_FL_KEEP_SIZE))
			return -EPERM;
		end = size;
	}

	switch (mode) {
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
	case FALLOC_FL_ZERO_RANGE:
		return tp_discard(r, offset, end);
	case 0:
	case FALLOC_FL_KEEP_SIZE:
		/* Preallocation: memory for what is zero; absent pages get theirs. */
		for (i = offset >> PAGE_SHIFT; i < DIV_ROUND_UP_ULL(end, PAGE_SIZE); i++) {
			struct folio *folio = tp_folio_get(r, i, TP_GET_CREATE);

			if (!IS_ERR(folio))
				folio_put(folio);
			else if (PTR_ERR(folio) == -ENOMEM)
				return -ENOSPC;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
		return 0;
	}
	return -EOPNOTSUPP;
}

static int tp_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &tp_vm_ops;
	return 0;
}

const struct file_operations tp_file_fops = {
	.owner		= THIS_MODULE,
	.open		= tp_open,
	.release	= tp_release,
	.llseek		= tp_llseek,
	.read_iter	= tp_read_iter,
	.write_iter	= tp_write_iter,
	.splice_read	= copy_splice_read,
	.splice_write	= iter_file_splice_write,
	.fallocate	= tp_fallocate,
	.fsync		= noop_fsync,
	.mmap		= tp_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
};

static int tp_setattr(struct tp_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);

	/* VMMs truncate to the size they expect; that much is no change. */
	if (attr->ia_valid & ATTR_SIZE) {
		if (attr->ia_size != i_size_read(inode))
			return -EPERM;
		attr->ia_valid &= ~ATTR_SIZE;
	}
	return simple_setattr(idmap, dentry, attr);
}

const struct inode_operations tp_file_iops = {
	.setattr	= tp_setattr,
	.getattr	= simple_getattr,
};

/*
 * A page whose memory failed stays in the page cache, so that touching it is an
 * error. Without it the page would read as zero.
 */
static int tp_error_remove(struct address_space *mapping, tp_error_remove_arg *poisoned)
{
	return 0;
}

const struct address_space_operations tp_aops = {
	.dirty_folio	= noop_dirty_folio,
	.migrate_folio	= filemap_migrate_folio,
	TP_ERROR_REMOVE(tp_error_remove),
};
