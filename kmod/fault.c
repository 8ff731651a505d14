// SPDX-License-Identifier: GPL-2.0
/*
 * fault.c - the fault path, and the only place where a page changes its state
 *
 * The states and transitions are drawn in telepage.h. Why no locked folio stands
 * for a page in flight: whoever locks folios of the mapping for reasons of his
 * own (compaction, migration, truncation, memory failure) would wait for the
 * network, for ever while a link is down. So what is in flight is a request, its
 * waiters sleep on the request, and the folio comes into the page cache with its
 * content, without a copy from where the socket put it.
 */
#include <linux/completion.h>
#include <linux/folio_batch.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include "link.h"
#include "prefetch.h"
#include "sample.h"
#include "telepage.h"
#include "trace.h"

/* A whole folio for the page cache: content in place, not to be dropped. */
static int tp_add_folio(struct tp_region *r, pgoff_t index, struct folio *folio)
{
	struct address_space *mapping = r->inode.i_mapping;
	int err;

	/* before anybody can find it */
	__folio_mark_uptodate(folio);
	err = filemap_add_folio(mapping, folio, index, mapping_gfp_mask(mapping));
	if (err)
		return err;
	/*
	 * A clean folio may be dropped (drop_caches, fadvise); there is no second
	 * copy to read it from, so it is never clean.
	 */
	folio_mark_dirty(folio);
	return 0;
}

/* zero -> resident: a zero folio, locked and referenced; -EEXIST: look again. */
static struct folio *tp_add_zero(struct tp_region *r, pgoff_t index)
{
	struct folio *folio;
	int err;

	folio = tp_alloc_folio(mapping_gfp_mask(r->inode.i_mapping) | __GFP_ZERO);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	err = tp_add_folio(r, index, folio);
	if (err) {
		folio_put(folio);
		return ERR_PTR(err);
	}
	tp_stat_inc(r, TP_STAT_ZERO_FILL);
	return folio;
}

/**
 * tp_folio_get - the folio of a page that is here
 * @r: the region
 * @index: page, in range
 * @flags: TP_GET_CREATE to give a zero page a folio
 *
 * Context: sleeps for memory only.
 * Return: the folio, referenced and not locked; NULL for a zero page without a
 * folio; -EAGAIN when the content is at the peer, -EIO when that was given up.
 */
struct folio *tp_folio_get(struct tp_region *r, pgoff_t index, unsigned int flags)
{
	struct folio *folio;

	if (tp_is_live(r))
		return ERR_PTR(READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED ? -EIO : -EAGAIN);
	for (;;) {
		folio = tp_find_folio(r->inode.i_mapping, index);
		if (folio) {
			if (!folio_test_hwpoison(folio)) {
				tp_ahead_used(r, index);
				return folio;
			}
			folio_put(folio);
			return ERR_PTR(-EHWPOISON);
		}
		if (tp_is_remote(r, index)) {
			bool lost = READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED;

			return ERR_PTR(lost ? -EIO : -EAGAIN);
		}
		/* Not remote: zero, or it arrived since we looked. */
		if (!(flags & TP_GET_CREATE)) {
			folio = tp_find_folio(r->inode.i_mapping, index);
			if (!folio) {
				tp_ahead_used(r, index);
				return NULL;
			}
			folio_put(folio);
			continue;
		}
		folio = tp_add_zero(r, index);
		if (!IS_ERR(folio))
			folio_unlock(folio);
		if (folio != ERR_PTR(-EEXIST)) {
			tp_ahead_used(r, index);
			return folio;
		}
	}
}

/* The absent pages have become @n fewer. */
static void tp_less_absent(struct tp_region *r, long n)
{
	if (n && atomic_long_sub_and_test(n, &r->absent)) {
		tp_region_get(r);
		if (!queue_work(tp_end_wq, &r->complete_work))
			tp_region_put(r);
	}
}

/*
 * Pushed pages of a live region are taken as of its current round only, see rounds.c.
 * Under invalidate_lock, which a round begins under.
 */
static bool tp_is_current(const struct tp_region *r, u32 round)
{
	return r->live ? round && round == r->round : !round;
}

/**
 * tp_place_data - absent -> resident: the content of a page has come
 * @r: the region
 * @index: page, in range
 * @folio: new, not yet in any mapping, with the content; the caller keeps its
 *	reference
 * @gen: the request that asked for it; what was pushed: its round, or 0
 * @came: which way, as it is counted
 *
 * What came twice, or for a page that was punched meanwhile, is dropped.
 *
 * Context: sleeps.
 * Return: 0, or -ENOMEM when the page cache could not take it: the page is still
 * absent and has to be asked for again.
 */
int tp_place_data(struct tp_region *r, pgoff_t index, struct folio *folio, u32 gen,
		  enum tp_stat came)
{
	struct address_space *mapping = r->inode.i_mapping;
	int err = -EEXIST;
	long n = 0;

	/* Shared: punching cannot come between the test and the entry. */
	filemap_invalidate_lock_shared(mapping);
	if (tp_is_remote(r, index) && (came != TP_STAT_PUSH || tp_is_current(r, gen)))
		err = tp_add_folio(r, index, folio);
	if (!err) {
		/*
		 * Everybody who sees the bit clear finds the folio. A peer may say
		 * on another lane that the page is zero: whoever clears it, counts.
		 */
		n = test_and_clear_bit(index, r->remote);
		folio_unlock(folio);
	}
	filemap_invalidate_unlock_shared(mapping);

	if (err && err != -EEXIST)
		return err;
	tp_stat_inc(r, err ? TP_STAT_DUPLICATE : came);
	trace_telepage_place(r, index, !err, gen);
	/* Also of what came twice: whoever waits for it has to look again. */
	tp_request_finish(r, index, 0);
	tp_less_absent(r, n);
	return 0;
}

/*
 * The pages from @i on, before @end, are absent no more. A piece at a time: a peer
 * may name any number of pages that are here.
 * Return: how many were absent.
 */
static unsigned long tp_clear_remote(struct tp_region *r, unsigned long i, unsigned long end)
{
	unsigned long n = 0, stop;

	for (; i < end; i = stop) {
		stop = min(end, i + 32768);
		for (i = tp_find_next_bit(r->remote, stop, i); i < stop;
		     i = tp_find_next_bit(r->remote, stop, i + 1))
			n += test_and_clear_bit(i, r->remote);
		cond_resched();
	}
	return n;
}

/**
 * tp_place_zero - absent -> zero: the peer says that pages are zero
 * @r: the region
 * @index: first page
 * @count: pages, all in range
 * @gen: the request that asked for it; what was pushed: its round, or 0
 * @pushed: was it?
 *
 * Context: sleeps.
 */
void tp_place_zero(struct tp_region *r, pgoff_t index, unsigned long count, u32 gen,
		   bool pushed)
{
	struct address_space *mapping = r->inode.i_mapping;
	unsigned long n = 0;

	filemap_invalidate_lock_shared(mapping);
	if (!pushed || tp_is_current(r, gen))
		n = tp_clear_remote(r, index, index + count);
	filemap_invalidate_unlock_shared(mapping);

	trace_telepage_place(r, index, count, gen);
	tp_stat_add(r, TP_STAT_ZERO, n);
	tp_stat_add(r, TP_STAT_DUPLICATE, count - n);
	tp_request_finish_range(r, index, index + count - 1, 0);
	tp_less_absent(r, n);
}

/**
 * tp_place_stale - any -> absent: the source has written to pages of a live region
 * @r: the region
 * @index: first page
 * @count: pages, all in range
 *
 * Context: sleeps.
 */
void tp_place_stale(struct tp_region *r, pgoff_t index, unsigned long count)
{
	struct address_space *mapping = r->inode.i_mapping;
	unsigned long i, n = 0;

	/* Exclusive: a late page comes before, and goes, or after, and is of another round. */
	filemap_invalidate_lock(mapping);
	if (r->live) {
		truncate_pagecache_range(&r->inode, (loff_t)index << PAGE_SHIFT,
					 ((loff_t)(index + count) << PAGE_SHIFT) - 1);
		for (i = index; i < index + count; i++) {
			n += !test_and_set_bit(i, r->remote);
			if (!(i % 4096))
				cond_resched();
		}
		atomic_long_add(n, &r->absent);
		tp_stat_add(r, TP_STAT_REWRITTEN, n);
	}
	filemap_invalidate_unlock(mapping);
}

/* A region is live no more. */
static void tp_settle(struct tp_region *r)
{
	wake_up_all(&r->settled);
	tp_less_absent(r, 1);
}

/**
 * tp_begin_round - all stale pages of a round are absent
 * @r: the region
 * @round: as of which pages are taken from now on, 0: none
 * @final: the source writes no more: its pages may be seen
 *
 * Context: sleeps.
 */
void tp_begin_round(struct tp_region *r, u32 round, bool final)
{
	struct address_space *mapping = r->inode.i_mapping;
	bool over;

	filemap_invalidate_lock(mapping);
	over = r->live && final;
	WRITE_ONCE(r->round, round);
	if (round)
		WRITE_ONCE(r->round_heard, round);
	if (over)
		/* Pairs with smp_load_acquire() in tp_is_live(). */
		smp_store_release(&r->live, false);
	filemap_invalidate_unlock(mapping);
	if (over)
		tp_settle(r);
}

/**
 * tp_end_unheard - a live region's source gives its pages out for good
 * @r: the region
 *
 * Nothing, if it has heard of a round: then there may be stale pages here, and the last
 * round's list names them.
 *
 * Context: sleeps.
 */
void tp_end_unheard(struct tp_region *r)
{
	struct address_space *mapping = r->inode.i_mapping;
	bool over;

	filemap_invalidate_lock(mapping);
	over = r->live && !r->round_heard;
	if (over) {
		/* one that was said and is still on its way is not unheard of */
		WRITE_ONCE(r->round, 1);
		/* Pairs with smp_load_acquire() in tp_is_live(). */
		smp_store_release(&r->live, false);
	}
	filemap_invalidate_unlock(mapping);
	if (over)
		tp_settle(r);
}

/**
 * tp_punch - any -> zero: discard a range
 * @r: the region
 * @start: first byte
 * @end: byte behind the last, within the region
 *
 * What was absent is zero from now on and is never filled from the peer. Whole
 * pages are freed; of a page that is hit in part, which must be here, that part
 * is cleared.
 *
 * Context: sleeps.
 * Return: 0, -EPERM when frozen, -EAGAIN when the region is live, or the first or last
 * page is absent and only in part in the range: get it and try again.
 */
int tp_punch(struct tp_region *r, loff_t start, loff_t end)
{
	struct address_space *mapping = r->inode.i_mapping;
	pgoff_t first = DIV_ROUND_UP_ULL(start, PAGE_SIZE);
	pgoff_t last = end >> PAGE_SHIFT;	/* behind the last whole page */
	pgoff_t i;
	long n = 0;
	int err = 0;

	filemap_invalidate_lock(mapping);
	if (r->frozen) {
		err = -EPERM;
	} else if (r->live) {
		err = -EAGAIN;
	} else if ((offset_in_page(start) && tp_is_remote(r, start >> PAGE_SHIFT)) ||
		   (offset_in_page(end) && tp_is_remote(r, last))) {
		err = -EAGAIN;
	} else {
		if (r->remote && first < last)
			n = tp_clear_remote(r, first, last);
		truncate_pagecache_range(&r->inode, start, end - 1);
		/* Last: a harvest in between tells the old content and must tell again. */
		for (i = start >> PAGE_SHIFT; i < DIV_ROUND_UP_ULL(end, PAGE_SIZE); i++) {
			set_bit(i, r->dirty);
			tp_rounds_rewritten(r, i);
			if (!(i % 4096))
				cond_resched();
		}
	}
	filemap_invalidate_unlock(mapping);
	if (err)
		return err;
	if (n)
		tp_request_finish_range(r, first, last - 1, 0);
	if (first < last)
		tp_ahead_waste(r, first, last - 1);
	tp_less_absent(r, n);
	return 0;
}

/**
 * tp_forget - resident -> zero: pages have become a VMM's own memory
 * @r: the region, bridged
 * @batch: folios of the region with a reference of the caller's; empty afterwards
 *
 * From here on the region has no content for them, so it must not be mapped or read
 * as a file any more. Nothing comes to such a page again: it is not absent.
 *
 * Context: sleeps.
 */
void tp_forget(struct tp_region *r, struct folio_batch *batch)
{
	unsigned int i, next;

	if (!folio_batch_count(batch))
		return;
	WRITE_ONCE(r->given, true);
	/* A run at a time, which is the cheaper the longer it is. */
	for (i = 0; i < folio_batch_count(batch); i = next) {
		pgoff_t first = batch->folios[i]->index;

		for (next = i + 1; next < folio_batch_count(batch); next++)
			if (batch->folios[next]->index != first + (next - i))
				break;
		truncate_inode_pages_range(r->inode.i_mapping, (loff_t)first << PAGE_SHIFT,
					   ((loff_t)(first + next - i) << PAGE_SHIFT) - 1);
	}
	folio_batch_release(batch);
}

struct tp_sleeper {
	struct tp_waiter waiter;
	struct completion done;
	int err;
};

static void tp_sleeper_done(struct tp_waiter *w, int err)
{
	struct tp_sleeper *s = container_of(w, struct tp_sleeper, waiter);

	s->err = err;
	complete(&s->done);
}

static int tp_wait_page_until(struct tp_region *r, pgoff_t index, unsigned int state,
			      unsigned long timeout)
{
	struct tp_sleeper s = { .waiter.done = tp_sleeper_done };
	u64 t0 = ktime_get_ns();
	int err;

	if (tp_is_live(r)) {
		err = tp_live_wait(r, state, timeout);
		tp_stats_wait(r, ktime_get_ns() - t0);
		return err;
	}
	init_completion(&s.done);
	INIT_LIST_HEAD(&s.waiter.node);
	err = tp_request(r, index, &s.waiter);
	if (err)
		return min(err, 0);

	if (state == TASK_INTERRUPTIBLE)
		wait_for_completion_interruptible_timeout(&s.done, timeout);
	else if (state == TASK_KILLABLE)
		wait_for_completion_killable_timeout(&s.done, timeout);
	else
		wait_for_completion_timeout(&s.done, timeout);
	/* Also orders us after tp_sleeper_done(), which runs under the lock. */
	if (tp_request_cancel(r, index, &s.waiter))
		return -EINTR;
	tp_stats_wait(r, ktime_get_ns() - t0);
	return s.err;
}

/**
 * tp_wait_page - wait until a page is not absent any more
 * @r: the region
 * @index: page, in range
 * @state: TASK_INTERRUPTIBLE, TASK_KILLABLE or TASK_UNINTERRUPTIBLE
 *
 * Context: sleeps for the network: the caller holds no lock that others need.
 * Return: 0: look again; -EINTR a signal came; -EIO given up; -ENOMEM.
 */
int tp_wait_page(struct tp_region *r, pgoff_t index, unsigned int state)
{
	return tp_wait_page_until(r, index, state, MAX_SCHEDULE_TIMEOUT);
}

/*
 * Kernel threads fault for others: KVM's asynchronous page faults do, and vhost. No
 * signal reaches them, but the VM's end may wait for them; so they look whether
 * their VM was killed.
 */
#define TP_ORPHAN_WAIT	(HZ / 4)

/* Is nobody left whom a fault in @mm by a kernel thread could be for? */
static bool tp_mm_dying(struct mm_struct *mm)
{
	bool dying = false;
#ifdef CONFIG_MEMCG
	struct task_struct *owner;

	rcu_read_lock();
	owner = rcu_dereference(mm->owner);
	/* of a process with other threads the owner has SIGKILL, too, or is another */
	dying = !owner || __fatal_signal_pending(owner);
	rcu_read_unlock();
#endif
	return dying;
}

static bool tp_fault_orphaned(struct vm_fault *vmf)
{
	return current->flags & PF_KTHREAD && tp_mm_dying(vmf->vma->vm_mm);
}

/*
 * A fault on an absent page. The mmap lock is dropped while waiting wherever the
 * caller can bear it. Who may not sleep at all (KVM's first try) gets the request
 * queued and VM_FAULT_RETRY: KVM then puts the guest's task to sleep, not the
 * vCPU.
 */
static vm_fault_t tp_fault_absent(struct tp_region *r, struct vm_fault *vmf)
{
	unsigned long timeout = current->flags & PF_KTHREAD ? TP_ORPHAN_WAIT : MAX_SCHEDULE_TIMEOUT;
	unsigned int state = TASK_UNINTERRUPTIBLE;
	struct file *file;
	int err;

	if (READ_ONCE(r->state) == TELEPAGE_REGION_ABANDONED || tp_fault_orphaned(vmf))
		return VM_FAULT_SIGBUS;
	/*
	 * A fault in the kernel is only ended by a fatal signal, and tried again for
	 * ever after any other: there a signal may interrupt the first try, whose
	 * caller may want to know, and none after that.
	 */
	if (vmf->flags & FAULT_FLAG_INTERRUPTIBLE &&
	    (vmf->flags & FAULT_FLAG_USER || !(vmf->flags & FAULT_FLAG_TRIED)))
		state = TASK_INTERRUPTIBLE;
	else if (vmf->flags & FAULT_FLAG_KILLABLE)
		state = TASK_KILLABLE;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY)) {
		/* Rare: a caller in the kernel that cannot drop its lock. */
		err = tp_wait_page_until(r, vmf->pgoff, TASK_KILLABLE, timeout);
		return err && err != -EINTR ? vmf_error(err) : VM_FAULT_NOPAGE;
	}
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
		tp_stat_inc(r, TP_STAT_FAULTS_NOWAIT);
		if (tp_is_live(r))
			return VM_FAULT_RETRY;
		err = tp_request(r, vmf->pgoff, NULL);
		return err < 0 ? vmf_error(err) : VM_FAULT_RETRY;
	}
	/* The file keeps the region when the mapping goes. */
	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);
	/* Every outcome shows when the caller faults again. */
	tp_wait_page_until(r, vmf->pgoff, state, timeout);
	fput(file);
	return VM_FAULT_RETRY;
}

static vm_fault_t tp_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct tp_region *r = tp_region(inode);
	struct folio *folio;

	if (tp_is_live(r) && vmf->pgoff < r->nr_pages)
		return tp_fault_absent(r, vmf);
again:
	folio = tp_find_folio(inode->i_mapping, vmf->pgoff);
	if (folio) {
		if (!folio_trylock(folio)) {
			if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT) {
				folio_put(folio);
				return VM_FAULT_RETRY;
			}
			folio_lock(folio);
		}
		if (folio->mapping != inode->i_mapping) {
			/* punched since */
			folio_unlock(folio);
			folio_put(folio);
			goto again;
		}
		if (folio_test_hwpoison(folio)) {
			folio_unlock(folio);
			folio_put(folio);
			return VM_FAULT_HWPOISON;
		}
	} else {
		if (vmf->pgoff >= r->nr_pages)
			return VM_FAULT_SIGBUS;
		trace_telepage_fault(r, vmf->pgoff, vmf->flags);
		tp_stat_inc(r, TP_STAT_FAULTS);
		if (tp_is_remote(r, vmf->pgoff))
			return tp_fault_absent(r, vmf);
		folio = tp_add_zero(r, vmf->pgoff);
		if (folio == ERR_PTR(-EEXIST))
			goto again;
		if (IS_ERR(folio))
			return vmf_error(PTR_ERR(folio));
	}
	tp_ahead_used(r, vmf->pgoff);
	/* a fault for a private copy maps nothing of ours, but it is a use */
	tp_sample_touch(r, vmf->pgoff, true);
	vmf->page = folio_file_page(folio, vmf->pgoff);
	return VM_FAULT_LOCKED;
}

/*
 * A page that is here is read for the first time: neighbours are mapped with it, but
 * those that came ahead wait for their own touch, which says that they were needed, and so do
 * those of a sample. None of a live region, which may take them back.
 */
static vm_fault_t tp_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct tp_region *r = tp_region(file_inode(vmf->vma->vm_file));
	vm_fault_t ret = 0;

	if (tp_is_live(r))
		return 0;
	/* It may come, ahead, before it would be mapped: tp_fault() sees which it was. */
	if (vmf->pgoff < r->nr_pages && tp_is_remote(r, vmf->pgoff))
		return 0;
	tp_ahead_used(r, vmf->pgoff);
	tp_ahead_clip(r, vmf->pgoff, &first, &last);
	/* A sample that begins waits for us before it unmaps. */
	rcu_read_lock();
	if (tp_sample_clip(r, vmf->pgoff, &first, &last))
		ret = filemap_map_pages(vmf, first, last);
	rcu_read_unlock();
	return ret;
}

const struct vm_operations_struct tp_vm_ops = {
	.fault		= tp_fault,
	.map_pages	= tp_map_pages,
	.page_mkwrite	= tp_page_mkwrite,
};
