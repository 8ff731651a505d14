// SPDX-License-Identifier: GPL-2.0
/*
 * uffd_ioctl.c - what is said to a userfaultfd, from a borrowed address space
 *
 * The descriptor takes user pointers only. So arguments and data lie in scratch
 * memory of the module's, which is written through its kernel address and mapped
 * shared into the borrowed mm. Its last page is never populated: a copy from there
 * fails after all checks were made, which is how ranges are probed without effect.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include "uffd.h"

static int tp_scratch_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tp_uffd *u = file->private_data;
	unsigned long off;
	int err = 0;

	if (vma->vm_end - vma->vm_start != u->scratch_len + PAGE_SIZE)
		return -EINVAL;
	for (off = 0; !err && off < u->scratch_len; off += PAGE_SIZE)
		err = vm_insert_page(vma, vma->vm_start + off,
				     vmalloc_to_page((void *)u->scratch + off));
	return err;
}

/* Pins the module as long as the mapping is there. */
static const struct file_operations tp_scratch_fops = {
	.owner	= THIS_MODULE,
	.mmap	= tp_scratch_mmap,
};

/**
 * tp_uffd_scratch_make - make the scratch memory and map it
 * @u: the bridge
 * @data: bytes for the content of pages
 *
 * Context: sleeps; the process whose mm is borrowed. The file never gets a
 * descriptor, so nobody else can map it.
 * Return: 0 or a negative errno.
 */
int tp_uffd_scratch_make(struct tp_uffd *u, size_t data)
{
	unsigned long addr;

	BUILD_BUG_ON(sizeof(struct tp_uffd_scratch) > PAGE_SIZE);
	u->scratch_len = PAGE_SIZE + data;
	u->scratch = vmalloc_user(u->scratch_len);
	if (!u->scratch)
		return -ENOMEM;
	u->data = (void *)u->scratch + PAGE_SIZE;
	u->scratch_file = anon_inode_getfile("[telepage]", &tp_scratch_fops, u, O_RDWR);
	if (IS_ERR(u->scratch_file)) {
		int err = PTR_ERR(u->scratch_file);

		u->scratch_file = NULL;
		return err;
	}
	addr = vm_mmap(u->scratch_file, 0, u->scratch_len + PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_SHARED, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	u->user = addr;
	return 0;
}

/**
 * tp_uffd_scratch_unmap - take the scratch memory out of the borrowed mm
 * @u: the bridge
 *
 * Context: sleeps; the borrowed mm is current. A process that put something else
 * there keeps it.
 */
void tp_uffd_scratch_unmap(struct tp_uffd *u)
{
	struct vm_area_struct *vma;
	bool ours;

	if (!u->user)
		return;
	mmap_read_lock(u->mm);
	vma = find_vma(u->mm, u->user);
	ours = vma && vma->vm_start == u->user && vma->vm_file == u->scratch_file;
	mmap_read_unlock(u->mm);
	if (ours)
		vm_munmap(u->user, u->scratch_len + PAGE_SIZE);
	u->user = 0;
}

/**
 * tp_uffd_scratch_free - free the scratch memory
 * @u: the bridge
 *
 * Context: sleeps. A mapping that is left keeps its pages and the file, which says
 * nothing of @u any more.
 */
void tp_uffd_scratch_free(struct tp_uffd *u)
{
	if (u->scratch_file)
		fput(u->scratch_file);
	vfree(u->scratch);
}

/* The argument is in place; @ret becomes -ESRCH once the VMM's mm is gone. */
static long tp_uffd_do(struct tp_uffd_fd *f, unsigned int cmd)
{
	unsigned long arg = f->uffd->user + offsetof(struct tp_uffd_scratch, arg);
	long ret = f->file->f_op->unlocked_ioctl(f->file, cmd, arg);

	if (ret == -ESRCH)
		f->dead = true;
	return ret;
}

/*
 * These calls say in the last field of their argument how far they came, where
 * they came so far as to write it. What stopped one half way shows when it is made
 * again for the rest.
 */
static ssize_t tp_uffd_done(long ret, size_t len, s64 sofar)
{
	if (!ret)
		return len;
	return sofar > 0 ? sofar : ret;
}

/**
 * tp_uffd_readable - is there something to read?
 * @f: the descriptor
 *
 * The VMM shares the descriptor's flags: made blocking, it would let us sleep in read(),
 * where nobody could stop us.
 *
 * Context: the thread; does not wait.
 */
bool tp_uffd_readable(struct tp_uffd_fd *f)
{
	struct file *file = f->file;
	__poll_t mask = vfs_poll(file, NULL);

	if (unlikely(mask & EPOLLERR)) {
		spin_lock(&file->f_lock);
		file->f_flags |= O_NONBLOCK;
		spin_unlock(&file->f_lock);
		mask = vfs_poll(file, NULL);
	}
	return mask & EPOLLIN;
}

/**
 * tp_uffd_read - read events
 * @f: the descriptor
 * @max: how many at most, up to TP_UFFD_MSGS
 *
 * Context: the thread; does not wait.
 * Return: how many are in scratch->msgs, 0 when there are none, or a negative errno.
 */
int tp_uffd_read(struct tp_uffd_fd *f, unsigned int max)
{
	struct tp_uffd_scratch *s = f->uffd->scratch;
	const struct file_operations *fops = f->file->f_op;
	size_t len = max * sizeof(s->msgs[0]);
	ssize_t ret;

	/* Without read_iter there is no way to say that it must not wait. */
	if (!fops->read_iter && !tp_uffd_readable(f))
		return 0;
	if (fops->read_iter) {
		struct kvec kv = { .iov_base = s->msgs, .iov_len = len };
		struct iov_iter iter;
		struct kiocb kiocb;

		init_sync_kiocb(&kiocb, f->file);
		kiocb.ki_flags |= IOCB_NOWAIT;
		iov_iter_kvec(&iter, ITER_DEST, &kv, 1, len);
		ret = fops->read_iter(&kiocb, &iter);
	} else {
		loff_t pos = 0;

		ret = fops->read(f->file, (char __user *)f->uffd->user, len, &pos);
	}
	if (ret == -EAGAIN)
		return 0;
	return ret < 0 ? ret : ret / sizeof(struct uffd_msg);
}

/**
 * tp_uffd_copy - give pages whose content is in the scratch memory
 * @f: the descriptor
 * @dst: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread; sleeps for memory.
 * Return: how many bytes, or -EAGAIN the layout is changing, -EEXIST the first page
 * is there, -ENOENT not registered, -ENOMEM, -ESRCH.
 */
ssize_t tp_uffd_copy(struct tp_uffd_fd *f, u64 dst, size_t len)
{
	struct uffdio_copy *a = &f->uffd->scratch->arg.copy;
	long ret;

	a->dst = dst;
	a->src = f->uffd->user + PAGE_SIZE;
	a->len = len;
	a->mode = 0;
	a->copy = 0;
	ret = tp_uffd_do(f, UFFDIO_COPY);
	return tp_uffd_done(ret, len, READ_ONCE(a->copy));
}

/**
 * tp_uffd_continue - map pages that are in the VMM's file
 * @f: the descriptor
 * @dst: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread; sleeps.
 * Return: as tp_uffd_copy(); -EFAULT the file has no such page.
 */
ssize_t tp_uffd_continue(struct tp_uffd_fd *f, u64 dst, size_t len)
{
	struct uffdio_continue *a = &f->uffd->scratch->arg.cont;
	long ret;

	a->range.start = dst;
	a->range.len = len;
	a->mode = 0;
	a->mapped = 0;
	ret = tp_uffd_do(f, UFFDIO_CONTINUE);
	return tp_uffd_done(ret, len, READ_ONCE(a->mapped));
}

/**
 * tp_uffd_zeropage - give zero pages
 * @f: the descriptor
 * @dst: address in the VMM, not of hugetlb
 * @len: bytes, whole pages
 *
 * Context: the thread; sleeps.
 * Return: as tp_uffd_copy().
 */
ssize_t tp_uffd_zeropage(struct tp_uffd_fd *f, u64 dst, size_t len)
{
	struct uffdio_zeropage *a = &f->uffd->scratch->arg.zero;
	long ret;

	a->range.start = dst;
	a->range.len = len;
	a->mode = 0;
	a->zeropage = 0;
	ret = tp_uffd_do(f, UFFDIO_ZEROPAGE);
	return tp_uffd_done(ret, len, READ_ONCE(a->zeropage));
}

/**
 * tp_uffd_poison - let a touch of pages be SIGBUS
 * @f: the descriptor
 * @dst: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread; sleeps.
 * Return: 0, -EINVAL when this kernel cannot, or as tp_uffd_copy().
 */
int tp_uffd_poison(struct tp_uffd_fd *f, u64 dst, size_t len)
{
	struct uffdio_poison *a = &f->uffd->scratch->arg.poison;

	a->range.start = dst;
	a->range.len = len;
	a->mode = 0;
	a->updated = 0;
	return tp_uffd_do(f, UFFDIO_POISON);
}

/**
 * tp_uffd_unprotect - allow writing to pages that somebody write-protected
 * @f: the descriptor
 * @dst: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread; sleeps.
 * Return: 0 or a negative errno.
 */
int tp_uffd_unprotect(struct tp_uffd_fd *f, u64 dst, size_t len)
{
	struct uffdio_writeprotect *a = &f->uffd->scratch->arg.wp;

	a->range.start = dst;
	a->range.len = len;
	a->mode = 0;
	return tp_uffd_do(f, UFFDIO_WRITEPROTECT);
}

static int tp_uffd_range_op(struct tp_uffd_fd *f, unsigned int cmd, u64 start, u64 len)
{
	struct uffdio_range *a = &f->uffd->scratch->arg.range;

	a->start = start;
	a->len = len;
	return tp_uffd_do(f, cmd);
}

/**
 * tp_uffd_wake - let faults be made again
 * @f: the descriptor
 * @start: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread.
 * Return: 0 or a negative errno.
 */
int tp_uffd_wake(struct tp_uffd_fd *f, u64 start, u64 len)
{
	return tp_uffd_range_op(f, UFFDIO_WAKE, start, len);
}

/**
 * tp_uffd_unregister - let a range be plain memory, and wake who waits there
 * @f: the descriptor
 * @start: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread; sleeps.
 * Return: 0 or a negative errno.
 */
int tp_uffd_unregister(struct tp_uffd_fd *f, u64 start, u64 len)
{
	return tp_uffd_range_op(f, UFFDIO_UNREGISTER, start, len);
}

/**
 * tp_uffd_probe - ask about a range without changing it
 * @f: the descriptor
 * @start: address in the VMM
 * @len: bytes, whole pages
 *
 * Context: the thread, or the attaching process.
 * Return: 0 all of it is one registered mapping; -ENOENT it is not; -EAGAIN the
 * layout is changing; -EINVAL hugetlb, and @start and @len do not fit its pages;
 * -ENOMEM no huge page is free; -ESRCH the VMM has gone.
 */
int tp_uffd_probe(struct tp_uffd_fd *f, u64 start, u64 len)
{
	struct uffdio_copy *a = &f->uffd->scratch->arg.copy;
	long ret;

	a->dst = start;
	a->src = f->uffd->user + f->uffd->scratch_len;	/* the page that is not there */
	a->len = len;
	a->mode = UFFDIO_COPY_MODE_DONTWAKE;
	a->copy = 0;
	ret = tp_uffd_do(f, UFFDIO_COPY);
	return ret == -EFAULT || ret == -EEXIST ? 0 : ret;
}
