// SPDX-License-Identifier: GPL-2.0
/*
 * uffd.c - bridges: attaching a VMM's userfaultfd to a region, and the end of it
 *
 * What is said to a descriptor waits for the VMM's mmap lock, which it may hold for any
 * time: so nothing is while tp_ctl_mutex is held, and nobody is waited for who may.
 *
 * The end in phases: under tp_ctl_mutex it is said to be ending, which one does only. Without
 * it the tick is stopped, then the thread, which withdraws from wait queues and requests. Then
 * under it again, as netlink looks at the bridge until there: descriptors and mm are let go
 * of, and the region, which does not know the bridge any more. end_work may still be queued
 * and holds a reference of its own.
 */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include "trace.h"
#include "uffd.h"

static void tp_uffd_free(struct kref *ref)
{
	struct tp_uffd *u = container_of(ref, struct tp_uffd, ref);

	kvfree(u->surplus);
	kfree(u);
}

void tp_uffd_put(struct tp_uffd *u)
{
	kref_put(&u->ref, tp_uffd_free);
}

/**
 * tp_uffd_fd_new - a descriptor to be served
 * @u: the bridge
 * @file: the userfaultfd; its reference is taken over
 * @ranges: where what lies, by address
 * @nr: how many
 * @flags: 0 or __GFP_NOFAIL
 *
 * Context: sleeps.
 * Return: the descriptor, in no list; NULL: no memory, @file is the caller's.
 */
struct tp_uffd_fd *tp_uffd_fd_new(struct tp_uffd *u, struct file *file,
				  const struct tp_uffd_range *ranges, unsigned int nr,
				  gfp_t flags)
{
	gfp_t gfp = GFP_KERNEL | flags;
	struct tp_uffd_fd *f = kzalloc(sizeof(*f), gfp);

	if (!f)
		return NULL;
	INIT_LIST_HEAD(&f->node);
	f->room = nr + 2;
	f->ranges = kvmalloc_array(f->room, sizeof(*ranges), gfp);
	f->done = kvmalloc_array(BITS_TO_LONGS(u->region->nr_pages), sizeof(long), gfp);
	if (!f->ranges || !f->done) {
		kvfree(f->ranges);
		kvfree(f->done);
		kfree(f);
		return NULL;
	}
	bitmap_zero(f->done, u->region->nr_pages);
	memcpy(f->ranges, ranges, nr * sizeof(*ranges));
	f->nr_ranges = nr;
	f->uffd = u;
	f->file = file;
	return f;
}

/**
 * tp_uffd_fd_free - serve a descriptor no more
 * @f: the descriptor, in no list and no wait queue
 *
 * Context: sleeps.
 */
void tp_uffd_fd_free(struct tp_uffd_fd *f)
{
	fput(f->file);
	kvfree(f->ranges);
	kvfree(f->done);
	kfree(f);
}

/* Let go of everything but the bridge itself and its region. */
static void tp_uffd_let_go(struct tp_uffd *u)
{
	struct tp_uffd_fd *f, *tmp;

	list_for_each_entry_safe(f, tmp, &u->fds, node) {
		list_del(&f->node);
		tp_uffd_fd_free(f);
	}
	tp_uffd_scratch_free(u);
	if (u->memfd)
		fput(u->memfd);
	put_pid(u->pid);
	if (u->mm)
		mmput(u->mm);
}

/**
 * tp_uffd_end - the end of a bridge that was said to be ending
 * @u: the bridge, with a reference of the caller's
 * @reason: for people
 *
 * Context: sleeps until the thread has ended, for a VMM that holds its own lock; not under
 * tp_ctl_mutex; once.
 */
void tp_uffd_end(struct tp_uffd *u, const char *reason)
{
	struct tp_region *r = u->region;

	cancel_delayed_work_sync(&u->tick);
	kthread_stop(u->task);
	mutex_lock(&tp_ctl_mutex);
	tp_uffd_let_go(u);
	r->uffd = NULL;
	tp_event(TELEPAGE_EVENT_UFFD_DETACHED, r, 0, reason);
	mutex_unlock(&tp_ctl_mutex);
	tp_uffd_put(u);
	tp_region_put(r);
}

static void tp_uffd_end_work(struct work_struct *work)
{
	struct tp_uffd *u = container_of(work, struct tp_uffd, end_work);
	bool ends;

	mutex_lock(&tp_ctl_mutex);
	ends = !u->ended;
	u->ended = true;
	mutex_unlock(&tp_ctl_mutex);
	if (ends)
		tp_uffd_end(u, "the VMM has gone");
	tp_uffd_put(u);
}

/**
 * tp_uffd_gone - the VMM has gone
 * @u: the bridge
 *
 * Context: the thread, which then waits to be stopped.
 */
void tp_uffd_gone(struct tp_uffd *u)
{
	kref_get(&u->ref);
	if (!queue_work(tp_end_wq, &u->end_work))
		tp_uffd_put(u);
}

/* As long as we hold its file nobody tells when a VMM has gone: ask now and then. */
static void tp_uffd_tick(struct work_struct *work)
{
	struct tp_uffd *u = container_of(to_delayed_work(work), struct tp_uffd, tick);

	atomic_set(&u->probe, 1);
	tp_uffd_kick(u);
	queue_delayed_work(tp_end_wq, &u->tick, HZ);
}

static bool tp_is_uffd(const struct file *file)
{
	/* The name alone anybody can have, the superblock only what the kernel made. */
	return file_inode(file)->i_sb->s_magic == ANON_INODE_FS_MAGIC &&
	       !strcmp(file_dentry(file)->d_name.name, "[userfaultfd]") &&
	       file->f_op->unlocked_ioctl && file->f_op->poll &&
	       (file->f_op->read_iter || file->f_op->read);
}

static bool tp_is_served(const struct file *file)
{
	bool served = false;
	struct tp_region *r;
	u32 id = 0;

	while (!served && (r = tp_region_next(id))) {
		struct tp_uffd_fd *f;

		id = r->id;
		if (r->uffd) {
			mutex_lock(&r->uffd->lock);
			list_for_each_entry(f, &r->uffd->fds, node)
				served |= f->file == file;
			mutex_unlock(&r->uffd->lock);
		}
		tp_region_put(r);
	}
	return served;
}

static struct file *tp_get_uffd(u32 fd, struct netlink_ext_ack *extack)
{
	struct file *file = fget(fd);

	if (!file) {
		NL_SET_ERR_MSG(extack, "there is no such descriptor");
		return ERR_PTR(-EBADF);
	}
	if (!tp_is_uffd(file))
		NL_SET_ERR_MSG(extack, "the descriptor is not a userfaultfd");
	else if (!(file->f_flags & O_NONBLOCK))
		NL_SET_ERR_MSG(extack, "the userfaultfd is blocking: set O_NONBLOCK first");
	else
		return file;
	fput(file);
	return ERR_PTR(-EINVAL);
}

static struct file *tp_get_memfd(u32 fd, struct netlink_ext_ack *extack)
{
	struct file *file = fget(fd);

	if (!file) {
		NL_SET_ERR_MSG(extack, "there is no such descriptor for the VMM's file");
		return ERR_PTR(-EBADF);
	}
	if (!S_ISREG(file_inode(file)->i_mode) ||
	    file_inode(file)->i_sb->s_magic != TMPFS_MAGIC) {
		NL_SET_ERR_MSG(extack, "the VMM's file is not a memfd or in tmpfs");
		fput(file);
		return ERR_PTR(-EINVAL);
	}
	if (!(file->f_mode & FMODE_WRITE)) {
		NL_SET_ERR_MSG(extack, "the VMM's file is not open for writing");
		fput(file);
		return ERR_PTR(-EINVAL);
	}
	return file;
}

/* Borrowed, the VMM's own mm would keep itself alive. */
static int tp_get_pid(struct tp_uffd *u, u32 nr, struct netlink_ext_ack *extack)
{
	struct task_struct *task;
	struct mm_struct *mm;

	u->pid_nr = nr;
	u->pid = find_get_pid(nr);
	task = get_pid_task(u->pid, PIDTYPE_TGID);
	if (!task) {
		NL_SET_ERR_MSG(extack, "there is no process of this number");
		return -ESRCH;
	}
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm) {
		NL_SET_ERR_MSG(extack, "the VMM is ending");
		return -ESRCH;
	}
	/* only compared from here on */
	mmput(mm);
	if (mm == current->mm) {
		NL_SET_ERR_MSG(extack, "a VMM cannot attach itself: let another process do it");
		return -EINVAL;
	}
	return 0;
}

/*
 * Is all of a range registered? It may lie in several mappings: halve it until it fits.
 * A VMM that changes its layout already waits for the thread to read of it, so nobody
 * can be asked before: a range that is not what was said fails at its first fault.
 */
static int tp_check_registered(struct tp_uffd_fd *f, u64 start, u64 len, u32 page_size,
			       struct netlink_ext_ack *extack)
{
	int err;

	for (;;) {
		u64 n = len;

		err = tp_uffd_probe(f, start, n);
		while (err == -ENOENT && n > page_size) {
			n = max_t(u64, round_down(n / 2, page_size), page_size);
			err = tp_uffd_probe(f, start, n);
		}
		if (err == -EAGAIN)
			return 0;
		if (err)
			break;
		start += n;
		len -= n;
		if (!len)
			return 0;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	switch (err) {
	case -ENOENT:
		NL_SET_ERR_MSG(extack, "a range is not registered with the userfaultfd");
		return -ENOENT;
	case -EINVAL:
		NL_SET_ERR_MSG(extack,
			       "it does not fit (hugetlb?), or the descriptor is not set up");
		return -EINVAL;
	case -ESRCH:
		NL_SET_ERR_MSG(extack, "the VMM has gone");
		return -ESRCH;
	case -ENOMEM:
		NL_SET_ERR_MSG(extack, "no memory for the VMM's pages: are there free huge pages?");
		return -ENOMEM;
	}
	return err;
}

static int tp_claim_region(struct tp_region *r, struct netlink_ext_ack *extack)
{
	int err = -EBUSY;

	spin_lock(&r->lock);
	if (r->openers)
		NL_SET_ERR_MSG(extack, "the region is open or mapped as a file");
	else if (r->nr_exports)
		NL_SET_ERR_MSG(extack, "the region is exported");
	else if (READ_ONCE(r->frozen))
		NL_SET_ERR_MSG(extack, "the region is frozen: thaw it first");
	else if (tp_is_live(r))
		NL_SET_ERR_MSG(extack, "the region's own source still writes to it");
	else
		err = 0;
	if (!err) {
		r->bridged = true;
		r->touched = true;
	}
	spin_unlock(&r->lock);
	return err;
}

static struct tp_uffd *tp_uffd_alloc(struct tp_region *r, const struct tp_uffd_args *args)
{
	struct tp_uffd *u = kzalloc(sizeof(*u), GFP_KERNEL_ACCOUNT);

	if (!u)
		return NULL;
	u->surplus = kvmalloc_array(TP_UFFD_SURPLUS, sizeof(*u->surplus), GFP_KERNEL_ACCOUNT);
	if (!u->surplus) {
		kfree(u);
		return NULL;
	}
	kref_init(&u->ref);
	u->region = r;
	u->fill = args->fill;
	mutex_init(&u->lock);
	INIT_LIST_HEAD(&u->fds);
	INIT_LIST_HEAD(&u->retry);
	init_llist_head(&u->ready);
	xa_init(&u->faults);
	init_completion(&u->started);
	INIT_WORK(&u->end_work, tp_uffd_end_work);
	INIT_DELAYED_WORK(&u->tick, tp_uffd_tick);
	return u;
}

/* What was got is in @u, also after an error. */
static int tp_uffd_setup(struct tp_uffd *u, const struct tp_uffd_args *args,
			 struct netlink_ext_ack *extack)
{
	size_t data = TP_UFFD_RUN * PAGE_SIZE;
	struct tp_uffd_fd *f;
	struct file *file;
	unsigned int i;
	int err;

	file = tp_get_uffd(args->fd, extack);
	if (IS_ERR(file))
		return PTR_ERR(file);
	f = tp_uffd_fd_new(u, file, args->ranges, args->nr_ranges, 0);
	if (!f) {
		fput(file);
		return -ENOMEM;
	}
	list_add(&f->node, &u->fds);
	u->nr_fds = 1;
	err = tp_get_pid(u, args->pid, extack);
	if (err)
		return err;
	if (args->has_memfd) {
		file = tp_get_memfd(args->memfd, extack);
		if (IS_ERR(file))
			return PTR_ERR(file);
		u->memfd = file;
	}
	for (i = 0; i < args->nr_ranges; i++) {
		const char *bad = tp_uffd_layout_check(args->ranges, i + 1,
						       i_size_read(&u->region->inode), u->memfd,
						       u->memfd ?
						       i_size_read(file_inode(u->memfd)) : 0);

		if (bad) {
			if (extack)
				extack->_msg = bad;
			return -EINVAL;
		}
		data = max_t(size_t, data, args->ranges[i].page_size);
	}
	tp_uffd_layout_sort(f->ranges, f->nr_ranges);

	u->mm = current->mm;
	mmget(u->mm);
	err = tp_uffd_scratch_make(u, data);
	for (i = 0; !err && i < f->nr_ranges; i++)
		err = tp_check_registered(f, f->ranges[i].addr, f->ranges[i].len,
					  f->ranges[i].page_size, extack);
	return err;
}

/**
 * tp_uffd_prepare - a bridge for a VMM's userfaultfd that does nothing yet
 * @r: the region, with a reference of the caller's
 * @args: what netlink was given
 * @extack: where to say what is wrong
 *
 * Context: sleeps, for the VMM's mmap lock, too: not under tp_ctl_mutex. In the process
 * whose mm is borrowed.
 * Return: what tp_uffd_attach() takes or tp_uffd_cancel_new() frees, or a negative errno.
 */
struct tp_uffd *tp_uffd_prepare(struct tp_region *r, const struct tp_uffd_args *args,
				struct netlink_ext_ack *extack)
{
	struct tp_uffd *u = tp_uffd_alloc(r, args);
	int err;

	if (!u)
		return ERR_PTR(-ENOMEM);
	err = tp_uffd_setup(u, args, extack);
	if (err) {
		tp_uffd_cancel_new(u);
		return ERR_PTR(err);
	}
	return u;
}

/**
 * tp_uffd_cancel_new - a bridge is not attached after all
 * @u: as tp_uffd_prepare() has made it; gone afterwards
 *
 * Context: sleeps; in the process whose mm is borrowed.
 */
void tp_uffd_cancel_new(struct tp_uffd *u)
{
	tp_uffd_scratch_unmap(u);
	tp_uffd_let_go(u);
	tp_uffd_put(u);
}

/**
 * tp_uffd_may_attach - could a VMM be attached to a region?
 * @r: the region
 * @extack: where to say why not
 *
 * Context: under tp_ctl_mutex.
 * Return: 0 or -EBUSY.
 */
int tp_uffd_may_attach(struct tp_region *r, struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&tp_ctl_mutex);
	if (r->uffd) {
		NL_SET_ERR_MSG(extack, "a VMM is attached to the region already");
		return -EBUSY;
	}
	if (READ_ONCE(r->given)) {
		NL_SET_ERR_MSG(extack, "pages of the region went to an earlier VMM: import anew");
		return -EBUSY;
	}
	return 0;
}

/**
 * tp_uffd_attach - serve a VMM's userfaultfd from a region
 * @r: the region
 * @u: made for it by tp_uffd_prepare(); taken over on success
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0: faults are served; or a negative errno: nothing was changed.
 */
int tp_uffd_attach(struct tp_region *r, struct tp_uffd *u, struct netlink_ext_ack *extack)
{
	int err = tp_uffd_may_attach(r, extack);

	if (err)
		return err;
	if (tp_is_served(list_first_entry(&u->fds, struct tp_uffd_fd, node)->file)) {
		NL_SET_ERR_MSG(extack, "this userfaultfd is served already");
		return -EBUSY;
	}
	u->task = kthread_create(tp_uffd_thread, u, "tp_uffd/%s", r->name);
	if (IS_ERR(u->task))
		return PTR_ERR(u->task);
	err = tp_claim_region(r, extack);
	if (err) {
		kthread_stop(u->task);	/* it has not run */
		return err;
	}
	tp_region_get(r);
	r->uffd = u;
	wake_up_process(u->task);
	wait_for_completion(&u->started);
	queue_delayed_work(tp_end_wq, &u->tick, HZ);
	tp_event(TELEPAGE_EVENT_UFFD_ATTACHED, r, 0, NULL);
	return 0;
}

/**
 * tp_uffd_detach - give a VMM its memory for itself
 * @r: the region
 * @extack: where to say why not
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: the bridge with a reference, for tp_uffd_end(); or -ENOENT, or -EBUSY when a page
 * would be lost.
 */
struct tp_uffd *tp_uffd_detach(struct tp_region *r, struct netlink_ext_ack *extack)
{
	struct tp_uffd *u = r->uffd;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!u) {
		NL_SET_ERR_MSG(extack, "no VMM is attached to the region");
		return ERR_PTR(-ENOENT);
	}
	if (u->ended) {
		NL_SET_ERR_MSG(extack, "the VMM is being detached");
		return ERR_PTR(-EBUSY);
	}
	if (READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED) {
		NL_SET_ERR_MSG(extack, "lost pages would read as zero: end the VMM instead");
		return ERR_PTR(-EBUSY);
	}
	if (READ_ONCE(r->state) != TELEPAGE_REGION_LOCAL) {
		NL_SET_ERR_MSG(extack, "pages are still at the peer: wait until it is complete");
		return ERR_PTR(-EBUSY);
	}
	if (!u->fill && READ_ONCE(r->inode.i_mapping->nrpages)) {
		/* what was not touched yet has to go in as well */
		WRITE_ONCE(u->fill, true);
		atomic_set(&u->more, 1);
		tp_uffd_kick(u);
	}
	if (atomic_read(&u->more) || atomic_read(&u->pending)) {
		NL_SET_ERR_MSG(extack, "pages are on their way into the VMM: try again");
		return ERR_PTR(-EBUSY);
	}
	u->unregister = true;
	u->ended = true;
	kref_get(&u->ref);
	return u;
}
