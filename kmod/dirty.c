// SPDX-License-Identifier: GPL-2.0
/*
 * dirty.c - who wrote to which page, and the fence
 *
 * The rule that everything rests on: a page can be mapped writable only while its
 * bit in region->dirty is set. page_mkwrite sets the bit, and the folio stays
 * locked from there until the page table entry is writable. Harvest clears the
 * bit and the entries under the folio lock, so the next store faults again. Both
 * go through the MMU notifiers, so KVM's own tables follow.
 *
 * Harvest and freeze exclude each other by tp_ctl_mutex.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include "sample.h"
#include "telepage.h"
#include "trace.h"

/* Pages in a range from which on one unmap of all is cheaper than each alone. */
#define TP_UNMAP_ALL	64

/* How long a freeze waits for I/O under way. */
#define TP_PIN_WAIT	(5 * HZ)

/**
 * tp_make_dirty - somebody is about to write to a page
 * @r: the region
 * @index: its page
 *
 * Context: under the folio lock.
 * Return: may the write go on? Not when the region is frozen.
 */
static bool tp_make_dirty(struct tp_region *r, pgoff_t index)
{
	bool was;

	/* before the freeze can wait for us: its last round names what it finds then */
	tp_rounds_rewritten(r, index);
	was = test_and_set_bit(index, r->dirty);

	/*
	 * Pairs with smp_mb() in tp_freeze(): either we see the fence, or it sees
	 * the bit and waits for the folio lock that we hold.
	 */
	smp_mb__after_atomic();
	if (likely(!READ_ONCE(r->frozen))) {
		if (!was)
			tp_stat_inc(r, TP_STAT_MKWRITE);
		return true;
	}
	if (!was)
		clear_bit(index, r->dirty);
	return false;
}

vm_fault_t tp_page_mkwrite(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	struct inode *inode = file_inode(vmf->vma->vm_file);
	struct tp_region *r = tp_region(inode);

	folio_lock(folio);
	if (folio->mapping != inode->i_mapping) {
		folio_unlock(folio);
		return VM_FAULT_NOPAGE;
	}
	if (!tp_make_dirty(r, folio->index)) {
		folio_unlock(folio);
		return VM_FAULT_SIGBUS;
	}
	tp_sample_touch(r, folio->index, false);
	folio_mark_dirty(folio);
	return VM_FAULT_LOCKED;
}

/**
 * tp_write_folio - copy into a folio from write()
 * @r: the region
 * @folio: one of its folios, referenced
 * @offset: byte in it
 * @len: bytes
 * @from: the data
 *
 * Context: sleeps; never faults in @from, which may be part of the region.
 * Return: bytes copied, 0 when @from has to be faulted in, -EPERM when frozen,
 * -EAGAIN when the folio is no longer part of the region.
 */
ssize_t tp_write_folio(struct tp_region *r, struct folio *folio, size_t offset, size_t len,
		       struct iov_iter *from)
{
	ssize_t ret;

	folio_lock(folio);
	if (folio->mapping != r->inode.i_mapping)
		ret = -EAGAIN;
	else if (!tp_make_dirty(r, folio->index))
		ret = -EPERM;
	else
		ret = copy_folio_from_iter_atomic(folio, offset, len, from);
	flush_dcache_folio(folio);
	folio_unlock(folio);
	return ret;
}

/* The folio of a page, locked, or NULL. Migration may replace it while we wait. */
static struct folio *tp_lock_folio(struct tp_region *r, pgoff_t index)
{
	struct address_space *mapping = r->inode.i_mapping;
	struct folio *folio;

	while ((folio = tp_find_folio(mapping, index))) {
		folio_lock(folio);
		if (folio->mapping == mapping)
			break;
		folio_unlock(folio);
		folio_put(folio);
	}
	return folio;
}

/**
 * tp_clean_page - take the write permission of a page and its bit away
 * @r: the region
 * @index: page, in range
 * @bits: r->dirty, or the rewritten pages of its rounds: a bitmap that each write sets a
 *	bit of
 *
 * What is written to the page from then on sets the bit again.
 *
 * Context: sleeps.
 * Return: was it set?
 */
bool tp_clean_page(struct tp_region *r, pgoff_t index, unsigned long *bits)
{
	struct folio *folio = tp_lock_folio(r, index);
	bool dirty;

	if (!folio) {
		/* Set without a folio: punched. Nothing maps it... */
		dirty = test_and_clear_bit(index, bits);
		/* Pairs with the page cache's lock: a folio added later sets the bit again. */
		smp_mb__after_atomic();
		folio = tp_find_folio(r->inode.i_mapping, index);
		if (folio) {
			/* ...unless it was touched just now, and perhaps written. */
			set_bit(index, bits);
			folio_put(folio);
		}
		return dirty;
	}
	dirty = test_and_clear_bit(index, bits);
	folio_mkclean(folio);
	/* What I/O is under way lands without a fault: tell of it next time too. */
	if (tp_folio_maybe_pinned(folio))
		set_bit(index, bits);
	folio_unlock(folio);
	folio_put(folio);
	return dirty;
}

static bool tp_many_dirty(struct tp_region *r, unsigned long start, unsigned long end)
{
	unsigned long i, n = 0;

	for (i = tp_find_next_bit(r->dirty, end, start); i < end && n < TP_UNMAP_ALL;
	     i = tp_find_next_bit(r->dirty, end, i + 1))
		n++;
	return n == TP_UNMAP_ALL;
}

/**
 * tp_dirty_harvest - read, and clear, dirty bits
 * @r: the region
 * @start: first page
 * @count: pages, all in range
 * @clear: clear what is read
 * @out: zeroed bitmap of @count bits
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or -EINTR; what was cleared by then is in @out.
 */
int tp_dirty_harvest(struct tp_region *r, pgoff_t start, unsigned long count, bool clear,
		     unsigned long *out)
{
	unsigned long end = start + count, i, n = 0;

	lockdep_assert_held(&tp_ctl_mutex);
	if (clear)
		WRITE_ONCE(r->harvests, r->harvests + 1);
	if (clear && tp_many_dirty(r, start, end))
		unmap_mapping_pages(r->inode.i_mapping, start, count, false);
	for (i = tp_find_next_bit(r->dirty, end, start); i < end;
	     i = tp_find_next_bit(r->dirty, end, i + 1)) {
		if (!clear || tp_clean_page(r, i, r->dirty)) {
			__set_bit(i - start, out);
			n++;
		}
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	trace_telepage_harvest(r, start, count, n);
	return 0;
}

/*
 * Most pages of a large region: whoever set the dirty bit before it could see the
 * fence holds the folio lock until its page table entry is in. So a folio that is
 * neither locked nor mapped nor pinned can be written to no more, and that is seen
 * without a reference, if it is the page's folio still afterwards: migration may
 * have moved a writable entry to another one.
 */
static bool tp_is_fenced(struct tp_region *r, pgoff_t index)
{
	struct folio *folio;
	bool fenced;

	rcu_read_lock();
	folio = xa_load(&r->inode.i_mapping->i_pages, index);
	fenced = !folio || !folio_test_locked(folio);
	/* Unlocked first: its last holder's page table entries are counted by then. */
	smp_rmb();
	if (folio && fenced)
		fenced = !folio_mapped(folio) &&
			 !(tp_folio_pins_end() && tp_folio_maybe_pinned(folio));
	/* Migration replaces a folio and maps the copy while both are locked. */
	smp_rmb();
	fenced = fenced && xa_load(&r->inode.i_mapping->i_pages, index) == folio;
	rcu_read_unlock();
	return fenced;
}

/* Fence one page, and wait for I/O into it that is under way. */
static int tp_fence_page(struct tp_region *r, pgoff_t index, unsigned long deadline)
{
	struct folio *folio = tp_lock_folio(r, index);
	int err = 0;

	if (!folio)
		return 0;
	folio_mkclean(folio);
	folio_unlock(folio);
	while (tp_folio_pins_end() && tp_folio_maybe_pinned(folio)) {
		if (fatal_signal_pending(current))
			err = -EINTR;
		else if (time_after(jiffies, deadline))
			err = -EBUSY;
		if (err)
			break;
		schedule_timeout_killable(1);
	}
	folio_put(folio);
	return err;
}

/**
 * tp_freeze - the fence: no write lands in the region any more
 * @r: the region
 *
 * Direct I/O and devices write through pins, not through page tables. The VMM has
 * stopped its own before it asks for the fence; what is pinned still is waited for,
 * where the kernel tells such pins from other references (6.5).
 *
 * Context: sleeps; under tp_ctl_mutex. Local work only, proportional to the
 * dirty pages.
 * Return: 0; -EBUSY when pages stay pinned, -EAGAIN while the region's own source writes
 * to it, -EINTR: the region is not frozen.
 */
int tp_freeze(struct tp_region *r)
{
	struct address_space *mapping = r->inode.i_mapping;
	unsigned long deadline = jiffies + TP_PIN_WAIT;
	unsigned long i, n = 0;
	int err = 0;

	lockdep_assert_held(&tp_ctl_mutex);
	if (r->fenced)
		return 0;
	if (tp_is_live(r))
		return -EAGAIN;
	/* Exclusive: a hole punched before is done, one after is refused. */
	filemap_invalidate_lock(mapping);
	WRITE_ONCE(r->frozen, true);
	filemap_invalidate_unlock(mapping);
	/* Pairs with smp_mb__after_atomic() in tp_make_dirty(). */
	smp_mb();
	/* One flush for all; what maps again does so without write permission. */
	if (tp_many_dirty(r, 0, r->nr_pages))
		unmap_mapping_pages(mapping, 0, r->nr_pages, false);
	for (i = tp_find_next_bit(r->dirty, r->nr_pages, 0); i < r->nr_pages;
	     i = tp_find_next_bit(r->dirty, r->nr_pages, i + 1)) {
		if (!tp_is_fenced(r, i))
			err = tp_fence_page(r, i, deadline);
		if (err)
			break;
		if (!(++n % 256))
			cond_resched();
	}
	trace_telepage_freeze(r, n);
	if (err) {
		tp_thaw(r);
		return err;
	}
	/* Only now: what was given out before a failure could change behind the copy. */
	smp_store_release(&r->fenced, true);
	/* Pairs with smp_mb__after_atomic() in tp_relay_arm(). */
	smp_mb();
	return 0;
}

/**
 * tp_thaw - undo the fence
 * @r: the region
 *
 * Context: sleeps; under tp_ctl_mutex, exports of the region are closed.
 */
void tp_thaw(struct tp_region *r)
{
	lockdep_assert_held(&tp_ctl_mutex);
	WRITE_ONCE(r->fenced, false);
	filemap_invalidate_lock(r->inode.i_mapping);
	WRITE_ONCE(r->frozen, false);
	filemap_invalidate_unlock(r->inode.i_mapping);
}
