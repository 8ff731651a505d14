// SPDX-License-Identifier: GPL-2.0
/*
 * uffd_worker.c - the thread of a bridge: events in, answers out
 *
 * The order of a round: read all events, answer what has arrived, try again what
 * could not be done, and only then fill a little in the background. Reading comes
 * first because the VMM's tasks that change the layout wait for it, and because
 * nothing can be given as long as they do.
 */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "link.h"
#include "trace.h"
#include "uffd.h"

/**
 * tp_uffd_kick - there is something to do
 * @u: the bridge
 *
 * Context: any, interrupts off included.
 */
void tp_uffd_kick(struct tp_uffd *u)
{
	/* The thread clears it before it looks, so what we know of is seen. */
	if (!atomic_xchg(&u->pending, 1))
		wake_up_process(u->task);
}

/* In a task that faults and is no longer running: nothing but a wake-up here. */
static int tp_uffd_woken(wait_queue_entry_t *wait, unsigned int mode, int flags, void *key)
{
	struct tp_uffd_fd *f = container_of(wait, struct tp_uffd_fd, wait);

	atomic_inc(&f->events);
	tp_uffd_kick(f->uffd);
	return 0;
}

static void tp_uffd_queue(struct file *file, wait_queue_head_t *whead, poll_table *pt)
{
	struct tp_uffd_fd *f = container_of(pt, struct tp_uffd_fd, pt);

	f->whead = whead;
	add_wait_queue(whead, &f->wait);
}

/**
 * tp_uffd_hook - hear of a descriptor's events
 * @f: the descriptor
 *
 * Context: the thread.
 */
void tp_uffd_hook(struct tp_uffd_fd *f)
{
	init_waitqueue_func_entry(&f->wait, tp_uffd_woken);
	init_poll_funcptr(&f->pt, tp_uffd_queue);
	vfs_poll(f->file, &f->pt);
	/* what was there before: nobody has counted that */
	atomic_set(&f->events, INT_MAX / 2);
	atomic_set(&f->uffd->pending, 1);
}

static void tp_uffd_unhook(struct tp_uffd_fd *f)
{
	if (f->whead)
		remove_wait_queue(f->whead, &f->wait);
	f->whead = NULL;
}

static int tp_arrived(wait_queue_entry_t *wait, unsigned int mode, int flags, void *key)
{
	struct tp_uffd *u = container_of(wait, struct tp_uffd, arrived);

	if (READ_ONCE(u->fill)) {
		atomic_set(&u->more, 1);
		tp_uffd_kick(u);
	}
	return 0;
}

/* Not now: keep the fault, a task sleeps on it. */
static void tp_keep(struct tp_uffd_fd *f, u64 addr, u64 flags)
{
	struct tp_uffd_retry *re = kmalloc(sizeof(*re), GFP_KERNEL | __GFP_NOFAIL);

	re->fd = f;
	re->addr = addr;
	re->flags = flags;
	list_add_tail(&re->node, &f->uffd->retry);
}

/* What a fault got from uffd_give.c. */
static void tp_answered(struct tp_uffd_fd *f, u64 addr, u64 flags, size_t len, int ret)
{
	if (ret && ret != -EAGAIN && ret != -ENOMEM && ret != -ESRCH)
		ret = tp_uffd_fail(f, addr, len);
	if (ret == -EAGAIN || ret == -ENOMEM)
		tp_keep(f, addr, flags);
}

/*
 * A fault outside of the layout. Its task may have been quicker than the event that
 * tells of a new place; as long as there is such an event the probe says -EAGAIN.
 */
static void tp_stray(struct tp_uffd_fd *f, u64 addr, u64 flags)
{
	int err = tp_uffd_probe(f, addr, PAGE_SIZE);

	if (err == -ENOENT)
		tp_uffd_wake(f, addr, PAGE_SIZE);
	else
		tp_answered(f, addr, flags, PAGE_SIZE, err ?: -EIO);
}

static void tp_pagefault(struct tp_uffd_fd *f, u64 addr, u64 flags)
{
	const struct tp_uffd_range *rg = tp_uffd_at(f, addr);
	pgoff_t index;
	int ret;

	if (unlikely(!rg)) {
		tp_stray(f, addr & PAGE_MASK, flags);
		return;
	}
	addr = round_down(addr, rg->page_size);
	index = tp_uffd_page(rg, addr);
	if (unlikely(flags & UFFD_PAGEFAULT_FLAG_WP))
		ret = tp_uffd_unprotect(f, addr, rg->page_size);
	else if (flags & UFFD_PAGEFAULT_FLAG_MINOR)
		ret = tp_uffd_minor(f, rg, index);
	else if (test_bit(index, f->done))
		ret = tp_uffd_zero(f, rg, index);
	else
		ret = tp_uffd_give(f, rg, index);
	if (unlikely(ret))
		tp_answered(f, addr, flags, rg->page_size, ret);
}

/* A process was forked: its descriptor came in our own table. */
static void tp_forked(struct tp_uffd_fd *parent, unsigned int nr)
{
	struct tp_uffd *u = parent->uffd;
	struct file *file = fget(nr);
	struct tp_uffd_fd *f;

	if (WARN_ON_ONCE(!file))
		return;
	close_fd(nr);
	/* Without it the child would read zeros. */
	f = tp_uffd_fd_new(u, file, parent->ranges, parent->nr_ranges, __GFP_NOFAIL);
	/* The parent may have made its descriptor non-blocking later. */
	spin_lock(&file->f_lock);
	file->f_flags |= O_NONBLOCK;
	spin_unlock(&file->f_lock);
	bitmap_copy(f->done, parent->done, u->region->nr_pages);
	mutex_lock(&u->lock);
	list_add_tail(&f->node, &u->fds);
	u->nr_fds++;
	mutex_unlock(&u->lock);
	tp_uffd_hook(f);
	if (READ_ONCE(u->fill))
		atomic_set(&u->more, 1);
}

static void tp_uffd_event(struct tp_uffd_fd *f, const struct uffd_msg *m)
{
	struct tp_uffd *u = f->uffd;

	switch (m->event) {
	case UFFD_EVENT_PAGEFAULT:
		trace_telepage_uffd(u->region, "fault", m->arg.pagefault.address, 0,
				    m->arg.pagefault.flags);
		WRITE_ONCE(u->count.faults, u->count.faults + 1);
		tp_stat_inc(u->region, TP_STAT_FAULTS);
		tp_pagefault(f, m->arg.pagefault.address, m->arg.pagefault.flags);
		break;
	case UFFD_EVENT_FORK:
		trace_telepage_uffd(u->region, "fork", 0, 0, m->arg.fork.ufd);
		tp_forked(f, m->arg.fork.ufd);
		break;
	case UFFD_EVENT_REMAP:
		trace_telepage_uffd(u->region, "remap", m->arg.remap.from, m->arg.remap.len, 0);
		mutex_lock(&u->lock);
		tp_uffd_layout_move(f, m->arg.remap.from, m->arg.remap.to, m->arg.remap.len);
		mutex_unlock(&u->lock);
		tp_uffd_wake(f, m->arg.remap.from, m->arg.remap.len);
		break;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		trace_telepage_uffd(u->region, m->event == UFFD_EVENT_UNMAP ? "unmap" : "remove",
				    m->arg.remove.start, m->arg.remove.end - m->arg.remove.start,
				    0);
		tp_uffd_discard(f, m->arg.remove.start, m->arg.remove.end);
		if (m->event == UFFD_EVENT_UNMAP) {
			mutex_lock(&u->lock);
			tp_uffd_layout_remove(f, m->arg.remove.start, m->arg.remove.end);
			mutex_unlock(&u->lock);
		}
		/* Who waits there faults again, at what is there now. */
		tp_uffd_wake(f, m->arg.remove.start, m->arg.remove.end - m->arg.remove.start);
		break;
	}
}

/*
 * Each event wakes after it can be read, and so does each fault that is slept on. But one
 * that turns out to need no sleep can be read for a moment, too, and wakes nobody: read in
 * place of another, whose wake-up is gone then. So wake-ups only say how many to ask for.
 */
static void tp_uffd_drain(struct tp_uffd *u)
{
	struct tp_uffd_fd *f;
	int i, n;

	/* what a fork appends is read as well */
	list_for_each_entry(f, &u->fds, node) {
		/* To read in vain costs as much as an event, to look first does not. */
		int left = atomic_xchg(&f->events, 0);

		for (; left > 0 || tp_uffd_readable(f); left -= n) {
			n = tp_uffd_read(f, clamp(left, 1, TP_UFFD_MSGS));
			if (n <= 0)
				break;
			for (i = 0; i < n; i++) {
				/* the scratch memory is mapped elsewhere, too */
				struct uffd_msg m = u->scratch->msgs[i];

				tp_uffd_event(f, &m);
			}
		}
	}
}

/* Pages that were asked for have come, or will never come. */
static void tp_uffd_come(struct tp_uffd *u)
{
	struct llist_node *list = llist_reverse_order(llist_del_all(&u->ready));
	struct tp_uffd_fault *ft, *tmp;
	struct tp_uffd_fd *f;

	llist_for_each_entry_safe(ft, tmp, list, ready) {
		pgoff_t index = ft->index;

		tp_stats_wait(u->region, ktime_get_ns() - ft->born_ns);
		xa_erase(&u->faults, index);
		kfree(ft);
		/* Whoever else may need it has it at once, too. */
		list_for_each_entry(f, &u->fds, node) {
			const struct tp_uffd_range *rg = tp_uffd_of_page(f, index);
			int ret;

			if (!rg || f->dead || test_bit(index, f->done))
				continue;
			ret = tp_uffd_give(f, rg, index);
			if (ret)
				tp_answered(f, round_down(tp_uffd_addr(rg, index), rg->page_size),
					    0, rg->page_size, ret);
		}
	}
}

static void tp_uffd_again(struct tp_uffd *u)
{
	struct tp_uffd_retry *re, *tmp;
	LIST_HEAD(list);

	list_splice_init(&u->retry, &list);
	list_for_each_entry_safe(re, tmp, &list, node) {
		WRITE_ONCE(u->count.retried, u->count.retried + 1);
		if (!re->fd->dead)
			tp_pagefault(re->fd, re->addr, re->flags);
		kfree(re);
	}
}

static void tp_forget_retries(struct tp_uffd *u, struct tp_uffd_fd *f)
{
	struct tp_uffd_retry *re, *tmp;

	list_for_each_entry_safe(re, tmp, &u->retry, node) {
		if (f && re->fd != f)
			continue;
		list_del(&re->node);
		kfree(re);
	}
}

/* Let go of descriptors whose process has gone; of the last one the bridge's end does. */
static void tp_uffd_reap(struct tp_uffd *u)
{
	struct tp_uffd_fd *f, *tmp;

	list_for_each_entry_safe(f, tmp, &u->fds, node) {
		if (!f->dead)
			continue;
		if (u->nr_fds == 1) {
			u->gone = true;
			tp_uffd_gone(u);
			return;
		}
		tp_forget_retries(u, f);
		tp_uffd_unhook(f);
		mutex_lock(&u->lock);
		list_del(&f->node);
		u->nr_fds--;
		mutex_unlock(&u->lock);
		tp_uffd_fd_free(f);
		/* what was kept for it can be dropped */
		if (READ_ONCE(u->fill))
			atomic_set(&u->more, 1);
	}
}

static void tp_uffd_probe_all(struct tp_uffd *u)
{
	struct tp_uffd_fd *f;

	/* Nothing is mapped at 0; an answer other than -ESRCH means that the mm lives. */
	list_for_each_entry(f, &u->fds, node)
		tp_uffd_probe(f, 0, PAGE_SIZE);
}

static void tp_uffd_sleep(struct tp_uffd *u)
{
	if (atomic_read(&u->pending) || (u->drop && !u->gone))
		return;
	set_current_state(TASK_IDLE);
	if (!atomic_read(&u->pending) && !kthread_should_stop()) {
		if (u->stall || !list_empty(&u->retry))
			schedule_timeout(1);
		else if (u->gone || !atomic_read(&u->more))
			schedule();
	}
	__set_current_state(TASK_RUNNING);
}

/* UFFD_DETACH: all is here. What is left goes in, then the memory is the VMM's alone. */
static void tp_uffd_leave(struct tp_uffd *u)
{
	struct tp_uffd_fd *f;
	unsigned int i;

	while (tp_uffd_fill(u)) {
		tp_uffd_drain(u);
		if (u->stall)
			schedule_timeout_idle(1);
		u->stall = false;
	}
	list_for_each_entry(f, &u->fds, node)
		for (i = 0; i < f->nr_ranges; i++)
			tp_uffd_unregister(f, f->ranges[i].addr, f->ranges[i].len);
}

/**
 * tp_uffd_thread - the thread of a bridge
 * @data: the bridge
 *
 * Context: ends when it is stopped; then nothing kicks any more.
 */
int tp_uffd_thread(void *data)
{
	struct tp_uffd *u = data;
	struct tp_uffd_fd *f;

	kthread_use_mm(u->mm);
	init_waitqueue_func_entry(&u->arrived, tp_arrived);
	add_wait_queue(&u->region->arrivals, &u->arrived);
	list_for_each_entry(f, &u->fds, node)
		tp_uffd_hook(f);
	atomic_set(&u->more, u->fill);
	complete(&u->started);

	while (!kthread_should_stop()) {
		tp_uffd_sleep(u);
		/* Before anything is looked at: what comes now kicks again. */
		atomic_set(&u->pending, 0);
		/* Pairs with atomic_xchg() in tp_uffd_kick(). */
		smp_mb__after_atomic();
		if (u->gone)
			continue;
		u->stall = false;
		tp_uffd_drain(u);
		if (!llist_empty(&u->ready))
			tp_uffd_come(u);
		if (!list_empty(&u->retry))
			tp_uffd_again(u);
		if (atomic_xchg(&u->probe, 0)) {
			tp_uffd_probe_all(u);
			u->drop = u->nr_surplus;
		}
		if (u->drop)
			tp_uffd_drop(u);
		if (atomic_read(&u->more)) {
			atomic_set(&u->more, 0);
			/* First cleared, then looked: what arrives meanwhile sets it again. */
			smp_mb__after_atomic();
			if (tp_uffd_fill(u))
				atomic_set(&u->more, 1);
		}
		tp_uffd_reap(u);
		cond_resched();
	}
	if (u->unregister && !u->gone)
		tp_uffd_leave(u);

	list_for_each_entry(f, &u->fds, node)
		tp_uffd_unhook(f);
	remove_wait_queue(&u->region->arrivals, &u->arrived);
	tp_uffd_cancel(u);
	while (u->nr_surplus)
		tp_uffd_drop(u);
	tp_forget_retries(u, NULL);
	tp_uffd_scratch_unmap(u);
	kthread_unuse_mm(u->mm);
	return 0;
}
