// SPDX-License-Identifier: GPL-2.0
/*
 * uffd_give.c - a region's pages go into a VMM's memory
 *
 * All of this runs in the bridge's thread. What it returns is for the fault that
 * asked: 0 it is answered, or its page is waited for; -EAGAIN, -ENOMEM try again;
 * -ESRCH the VMM has gone; else the page cannot be given.
 */
#include <linux/folio_batch.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "trace.h"
#include "prefetch.h"
#include "uffd.h"

static bool tp_done_everywhere(const struct tp_uffd *u, pgoff_t index)
{
	const struct tp_uffd_fd *f;

	if (u->nr_fds == 1)
		return true;
	list_for_each_entry(f, &u->fds, node)
		if (!test_bit(index, f->done))
			return false;
	return true;
}

/**
 * tp_uffd_drop - free some folios of the region that are surplus
 * @u: the bridge
 *
 * A batch at a time, which is the cheaper the longer it is, and no longer than an
 * event may wait.
 *
 * Context: the thread; sleeps.
 */
void tp_uffd_drop(struct tp_uffd *u)
{
	struct folio_batch batch;

	folio_batch_init(&batch);
	while (u->nr_surplus) {
		struct folio *folio = u->surplus[u->surplus_at++ % TP_UFFD_SURPLUS];

		u->nr_surplus--;
		if (u->drop)
			u->drop--;
		if (!folio_batch_add(&batch, folio))
			break;
	}
	tp_forget(u->region, &batch);
}

/*
 * Nobody needs a folio of the region any more. It goes when a tick says so, since
 * there may be a fault behind this one, or when there are too many.
 */
static void tp_surplus(struct tp_uffd *u, struct folio *folio)
{
	folio_get(folio);
	WRITE_ONCE(u->region->given, true);
	if (u->nr_surplus == TP_UFFD_SURPLUS)
		tp_uffd_drop(u);
	u->surplus[(u->surplus_at + u->nr_surplus++) % TP_UFFD_SURPLUS] = folio;
}

/* A page is the VMM's own now. @folio: what the region has of it, or NULL. */
static void tp_mark_done(struct tp_uffd_fd *f, pgoff_t index, struct folio *folio)
{
	__set_bit(index, f->done);
	if (folio && tp_done_everywhere(f->uffd, index))
		tp_surplus(f->uffd, folio);
}

static void tp_told(struct tp_waiter *w, int err)
{
	struct tp_uffd_fault *ft = container_of(w, struct tp_uffd_fault, waiter);
	struct tp_uffd *u = ft->uffd;

	/* From here on @ft is the thread's; @u stays until the lock we are under is free. */
	llist_add(&ft->ready, &u->ready);
	tp_uffd_kick(u);
}

/* Ask for an absent page. 0: it will be told; 1: look again; or an errno. */
static int tp_wait_for(struct tp_uffd *u, pgoff_t index)
{
	struct tp_uffd_fault *ft;
	int ret;

	if (xa_load(&u->faults, index))
		return 0;
	ft = kmalloc(sizeof(*ft), GFP_KERNEL);
	if (!ft)
		return -ENOMEM;
	INIT_LIST_HEAD(&ft->waiter.node);
	ft->waiter.done = tp_told;
	ft->uffd = u;
	ft->index = index;
	ft->born_ns = ktime_get_ns();
	ret = xa_err(xa_store(&u->faults, index, ft, GFP_KERNEL));
	if (!ret)
		ret = tp_request(u->region, index, &ft->waiter);
	if (ret) {
		xa_erase(&u->faults, index);
		kfree(ft);
	}
	return ret;
}

/**
 * tp_uffd_cancel - wait for no page any more
 * @u: the bridge
 *
 * Context: the thread, at its end.
 */
void tp_uffd_cancel(struct tp_uffd *u)
{
	struct tp_uffd_fault *ft;
	unsigned long index;

	xa_for_each(&u->faults, index, ft)
		tp_request_cancel(u->region, index, &ft->waiter);
	/* Who told us may still be at the kick, under this lock. */
	xa_lock(&u->region->reqs);
	xa_unlock(&u->region->reqs);
	llist_del_all(&u->ready);
	xa_for_each(&u->faults, index, ft)
		kfree(ft);
	xa_destroy(&u->faults);
}

/**
 * tp_uffd_fail - a page cannot be had: whoever touches it shall know
 * @f: the descriptor
 * @addr: of the page in the VMM
 * @len: its size
 *
 * Context: the thread; sleeps.
 * Return: as above.
 */
int tp_uffd_fail(struct tp_uffd_fd *f, u64 addr, size_t len)
{
	struct tp_uffd *u = f->uffd;
	int err = tp_uffd_poison(f, addr, len);

	trace_telepage_uffd(u->region, "fail", addr, len, err);
	if (err == -EAGAIN || err == -ENOMEM || err == -ESRCH)
		return err;
	WRITE_ONCE(u->count.failed, u->count.failed + 1);
	if (err == -EEXIST || err == -ENOENT)
		tp_uffd_wake(f, addr, len);
	else if (err)
		/* This kernel has no poison: the fault stays, its process is told. */
		kill_pid(u->pid, SIGBUS, 1);
	return 0;
}

/* After a call that gave nothing: is the page the VMM's own anyway? */
static bool tp_is_theirs(ssize_t ret)
{
	return ret == -EEXIST || ret == -ENOENT;
}

/**
 * tp_uffd_zero - give a zero page
 * @f: the descriptor
 * @rg: its range
 * @index: the page, the first of a huge one
 *
 * Context: the thread; sleeps.
 * Return: as above.
 */
int tp_uffd_zero(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index)
{
	struct tp_uffd *u = f->uffd;
	u64 addr = tp_uffd_addr(rg, index);
	ssize_t ret;

	if (rg->page_size == PAGE_SIZE) {
		ret = tp_uffd_zeropage(f, addr, PAGE_SIZE);
	} else {
		memset(u->data, 0, rg->page_size);
		ret = tp_uffd_copy(f, addr, rg->page_size);
	}
	trace_telepage_uffd(u->region, "zero", addr, rg->page_size, ret);
	if (ret > 0) {
		WRITE_ONCE(u->count.zero, u->count.zero + (ret >> PAGE_SHIFT));
		return 0;
	}
	if (!tp_is_theirs(ret))
		return ret;
	tp_uffd_wake(f, addr, rg->page_size);
	return 0;
}

/**
 * tp_uffd_minor - the VMM's file has the page, it only has to be mapped
 * @f: the descriptor
 * @rg: its range
 * @index: the page, the first of a huge one
 *
 * Context: the thread; sleeps.
 * Return: as above.
 */
int tp_uffd_minor(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index)
{
	struct tp_uffd *u = f->uffd;
	u64 addr = tp_uffd_addr(rg, index);
	ssize_t ret = tp_uffd_continue(f, addr, rg->page_size);
	pgoff_t i;

	trace_telepage_uffd(u->region, "continue", addr, rg->page_size, ret);
	if (ret == -EFAULT)
		return -EAGAIN;		/* gone again, so it will be a missing page */
	if (ret < 0 && !tp_is_theirs(ret))
		return ret;
	for (i = index; i < index + (rg->page_size >> PAGE_SHIFT); i++) {
		struct folio *folio;

		if (test_bit(i, f->done))
			continue;
		folio = tp_find_folio(u->region->inode.i_mapping, i);
		tp_mark_done(f, i, folio);
		if (folio)
			folio_put(folio);
	}
	if (ret > 0)
		WRITE_ONCE(u->count.continued, u->count.continued + (ret >> PAGE_SHIFT));
	else
		tp_uffd_wake(f, addr, rg->page_size);
	return 0;
}

/*
 * Put pages into the VMM's file where it has none. They become uptodate as a whole,
 * so whoever maps the file sees none half written.
 */
static int tp_fill_file(struct tp_uffd *u, loff_t pos, struct folio **folios, unsigned int n)
{
	struct address_space *mapping = u->memfd->f_mapping;
	unsigned int i;

	for (i = 0; i < n; i++, pos += PAGE_SIZE) {
		ssize_t ret;
		void *p;

		/* also true of what is swapped out */
		if (xa_load(&mapping->i_pages, pos >> PAGE_SHIFT))
			continue;
		p = kmap_local_folio(folios[i], 0);
		ret = kernel_write(u->memfd, p, PAGE_SIZE, &(loff_t){ pos });
		kunmap_local(p);
		if (ret != PAGE_SIZE)
			return ret < 0 ? ret : -ENOSPC;
	}
	return 0;
}

/* One call for as many of the pages as it takes: bytes, or an errno of its first page. */
static ssize_t tp_put_some(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index,
			   struct folio **folios, unsigned int n)
{
	struct tp_uffd *u = f->uffd;
	u64 addr = tp_uffd_addr(rg, index);
	unsigned int i;
	ssize_t ret;

	if (u->memfd) {
		ret = tp_fill_file(u, rg->memfd_offset + (addr - rg->addr), folios, n);
		if (!ret)
			ret = tp_uffd_continue(f, addr, n * PAGE_SIZE);
		if (ret > 0)
			WRITE_ONCE(u->count.continued, u->count.continued + (ret >> PAGE_SHIFT));
		trace_telepage_uffd(u->region, "continue", addr, n * PAGE_SIZE, ret);
		if (ret == -EFAULT)
			return -EAGAIN;	/* a hole again already */
		/* A file that cannot be written to, or a private mapping of it: copy. */
		if (ret != -EPERM && ret != -EINVAL && ret != -EBADF)
			return ret;
	}
	for (i = 0; i < n; i++) {
		void *p = kmap_local_folio(folios[i], 0);

		copy_page(u->data + i * PAGE_SIZE, p);
		kunmap_local(p);
	}
	ret = tp_uffd_copy(f, addr, n * PAGE_SIZE);
	if (ret > 0)
		WRITE_ONCE(u->count.copied, u->count.copied + (ret >> PAGE_SHIFT));
	trace_telepage_uffd(u->region, "copy", addr, n * PAGE_SIZE, ret);
	return ret;
}

/* Give pages that the region has, one after the other. */
static int tp_put(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index,
		  struct folio **folios, unsigned int n)
{
	unsigned int i = 0, at_once = n;

	while (i < n) {
		ssize_t ret = tp_put_some(f, rg, index + i, folios + i, min(at_once, n - i));

		if (ret == -ENOENT && min(at_once, n - i) > 1) {
			/* They may lie in two mappings, or one of them may be gone. */
			at_once = 1;
			continue;
		}
		if (tp_is_theirs(ret)) {
			tp_uffd_wake(f, tp_uffd_addr(rg, index + i), PAGE_SIZE);
			ret = PAGE_SIZE;
		}
		if (ret < 0)
			return ret;
		for (; ret > 0; ret -= PAGE_SIZE, i++)
			tp_mark_done(f, index + i, folios[i]);
	}
	return 0;
}

/* The first page of the huge page of @rg that @index is in. */
static pgoff_t tp_huge_first(const struct tp_uffd_range *rg, pgoff_t index)
{
	u64 addr = tp_uffd_addr(rg, index);

	return tp_uffd_page(rg, round_down(addr, rg->page_size));
}

/*
 * Ask for what is absent of a huge page. Backwards, so that the first absent page is
 * asked for last: when it is, all are. 0: nothing is absent; 1: they will be told.
 */
static int tp_wait_for_huge(struct tp_uffd *u, pgoff_t first, unsigned long n)
{
	bool waits = false;
	pgoff_t i;
	int ret;

	i = tp_next_remote(u->region, first, first + n);
	if (i >= first + n)
		return 0;
	if (xa_load(&u->faults, i))
		return 1;
	for (i = first + n; i-- > first;) {
		while (tp_is_remote(u->region, i)) {
			ret = tp_wait_for(u, i);
			if (ret < 0)
				return ret;
			waits |= !ret;
			if (!ret)
				break;
		}
	}
	return waits;
}

/* A huge page goes in when all of its pages are here. */
static int tp_give_huge(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index)
{
	struct tp_uffd *u = f->uffd;
	struct address_space *mapping = u->region->inode.i_mapping;
	unsigned long n = rg->page_size >> PAGE_SHIFT, i;
	pgoff_t first = tp_huge_first(rg, index);
	u64 addr = tp_uffd_addr(rg, first);
	ssize_t ret;

	ret = tp_wait_for_huge(u, first, n);
	if (ret)
		return min_t(ssize_t, ret, 0);
	for (i = 0; i < n; i++) {
		struct folio *folio = tp_folio_get(u->region, first + i, 0);
		void *p;

		if (IS_ERR(folio))
			return PTR_ERR(folio);
		if (!folio) {
			clear_page(u->data + i * PAGE_SIZE);
			continue;
		}
		p = kmap_local_folio(folio, 0);
		copy_page(u->data + i * PAGE_SIZE, p);
		kunmap_local(p);
		folio_put(folio);
	}
	ret = tp_uffd_copy(f, addr, rg->page_size);
	trace_telepage_uffd(u->region, "copy", addr, rg->page_size, ret);
	if (ret > 0)
		WRITE_ONCE(u->count.copied, u->count.copied + n);
	else if (tp_is_theirs(ret))
		tp_uffd_wake(f, addr, rg->page_size);
	else
		return ret;
	for (i = 0; i < n; i++) {
		struct folio *folio = tp_find_folio(mapping, first + i);

		tp_mark_done(f, first + i, folio);
		if (folio)
			folio_put(folio);
	}
	return 0;
}

/**
 * tp_uffd_give - give a page, or ask for it
 * @f: the descriptor, where it is not done
 * @rg: its range
 * @index: the page
 *
 * Context: the thread; sleeps for memory, never for the network.
 * Return: as above; -EIO it was given up.
 */
int tp_uffd_give(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index)
{
	int err;

	if (rg->page_size != PAGE_SIZE)
		return tp_give_huge(f, rg, index);
	do {
		struct folio *folio = tp_folio_get(f->uffd->region, index, 0);

		if (!folio)
			return tp_uffd_zero(f, rg, index);
		if (!IS_ERR(folio)) {
			err = tp_put(f, rg, index, &folio, 1);
			folio_put(folio);
			return err;
		}
		if (folio != ERR_PTR(-EAGAIN))
			return PTR_ERR(folio);
		err = tp_wait_for(f->uffd, index);
	} while (err == 1);
	return err;
}

/* How many folios from @batch[@i] on are one run that can be given at once? */
static unsigned int tp_run(const struct tp_uffd_fd *f, struct folio_batch *batch, unsigned int i)
{
	unsigned int n = 1;

	while (n < TP_UFFD_RUN && i + n < folio_batch_count(batch) &&
	       batch->folios[i + n]->index == batch->folios[i]->index + n &&
	       !folio_test_hwpoison(batch->folios[i + n]) &&
	       !test_bit(batch->folios[i]->index + n, f->done) &&
	       !tp_ahead_is_unused(f->uffd->region, batch->folios[i]->index + n))
		n++;
	return n;
}

/* One run of what the region has and a range has not: 1, 0 there is none, or an errno. */
static int tp_fill_range(struct tp_uffd_fd *f, const struct tp_uffd_range *rg)
{
	struct tp_region *r = f->uffd->region;
	pgoff_t next = rg->offset >> PAGE_SHIFT, last = next + (rg->len >> PAGE_SHIFT) - 1;
	struct folio_batch batch;
	unsigned int i, k;
	int ret = 0;

	while (!ret && next <= last) {
		folio_batch_init(&batch);
		if (!filemap_get_folios(r->inode.i_mapping, &next, last, &batch))
			break;
		for (i = 0; !ret && i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];
			pgoff_t index = folio->index;

			/* who touches it is told */
			if (folio_test_hwpoison(folio))
				continue;
			if (test_bit(index, f->done)) {
				/* kept for a descriptor that is no more? */
				if (tp_done_everywhere(f->uffd, index))
					tp_surplus(f->uffd, folio);
				continue;
			}
			if (rg->page_size == PAGE_SIZE) {
				/* its first touch is to tell that it was needed */
				if (tp_ahead_is_unused(r, index))
					continue;
				ret = tp_put(f, rg, index, &batch.folios[i],
					     tp_run(f, &batch, i)) ?: 1;
				continue;
			}
			index = tp_huge_first(rg, index);
			next = index + (rg->page_size >> PAGE_SHIFT);
			if (tp_next_remote(r, index, next) >= next)
				ret = tp_give_huge(f, rg, index) ?: 1;
			break;
		}
		for (k = 0; k < folio_batch_count(&batch); k++)
			folio_put(batch.folios[k]);
		cond_resched();
	}
	return ret;
}

/**
 * tp_uffd_fill - put some of the pages that are here into the VMM, or drop some
 * @u: the bridge
 *
 * Context: the thread; sleeps for memory.
 * Return: may there be more?
 */
bool tp_uffd_fill(struct tp_uffd *u)
{
	struct tp_uffd_fd *f;
	unsigned int i;
	int ret;

	/* First, or the walk would meet it all the time. */
	if (u->nr_surplus) {
		tp_uffd_drop(u);
		return true;
	}
	list_for_each_entry(f, &u->fds, node) {
		for (i = 0; i < f->nr_ranges && !f->dead; i++) {
			ret = tp_fill_range(f, &f->ranges[i]);
			if (!ret || ret == -ESRCH)
				continue;
			/* Whatever it was, a demand will tell whether it lasts. */
			u->stall = ret < 0;
			return true;
		}
	}
	return false;
}

/**
 * tp_uffd_discard - the VMM has discarded an address range
 * @f: the descriptor
 * @start: first address
 * @end: behind the last
 *
 * Context: the thread; sleeps.
 */
void tp_uffd_discard(struct tp_uffd_fd *f, u64 start, u64 end)
{
	struct tp_uffd *u = f->uffd;
	unsigned int k;

	for (k = 0; k < f->nr_ranges; k++) {
		const struct tp_uffd_range *rg = &f->ranges[k];
		u64 from = max(start, rg->addr), to = min(end, rg->addr + rg->len);
		pgoff_t i, first, last;

		if (from >= to)
			continue;
		first = tp_uffd_page(rg, from);
		last = tp_uffd_page(rg, to - 1);
		bitmap_set(f->done, first, last - first + 1);
		WRITE_ONCE(u->count.removed, u->count.removed + (last - first + 1));
		WRITE_ONCE(u->region->given, true);
		/* What no descriptor needs any more never comes, and is not kept. */
		for (i = first; i <= last; i++) {
			pgoff_t run = i;

			if (u->nr_fds == 1)
				i = last + 1;
			while (i <= last && tp_done_everywhere(u, i))
				i++;
			if (i > run)
				tp_punch(u->region, (loff_t)run << PAGE_SHIFT,
					 (loff_t)i << PAGE_SHIFT);
		}
	}
}
