// SPDX-License-Identifier: GPL-2.0
/*
 * source_mm.c - how the pages of a process are read
 *
 * Reading changes nothing in the process. Where its page tables hold nothing for a
 * page, nothing is faulted in: anonymous memory is zero there, and of a file the
 * file itself is read. What they do hold (a page, part of a huge page, a swap entry)
 * get_user_pages() finds or brings back.
 *
 * A page is copied and its reference dropped at once, so nothing of the process is
 * held up by a peer that reads slowly. The reference is a plain one (FOLL_GET): a
 * pin would first break pages shared by KSM or fork() apart.
 *
 * The notifier tells what becomes of the ranges. What was unmapped is gone for ever:
 * what is mapped there later is not what was exported. Any other change makes a
 * reader that overlapped with it read again, but not without end: under a storm of
 * discards what was read is as good as any, for the page was mapped during the read.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/pgtable.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/userfaultfd_k.h>
#include "link.h"
#include "process.h"
#include "telepage.h"

#define TP_MM_TRIES	16	/* reads that something came in between of */

/*
 * Called when a range, or part of it, is about to change, until which the reader
 * waits in mmu_interval_read_begin(). Never sleeps, so it need not ask whether it
 * may. The bits of a range are set in one go: 2 MiB of them for 64 GiB.
 */
static bool tp_mm_invalidate(struct mmu_interval_notifier *n,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	struct tp_mm_range *r = container_of(n, struct tp_mm_range, notifier);
	unsigned long start = max(range->start, r->addr);
	unsigned long end = min(range->end, r->addr + (r->nr_pages << PAGE_SHIFT));
	struct tp_mm *m = r->owner;
	bool lost = false;

	spin_lock(&m->lock);
	mmu_interval_set_seq(n, seq);
	if (range->event == MMU_NOTIFY_RELEASE) {
		lost = !m->lost;
		WRITE_ONCE(m->lost, true);
	} else if (range->event == MMU_NOTIFY_UNMAP && start < end) {
		unsigned long first = (start - r->addr) >> PAGE_SHIFT;
		unsigned long last = (end - 1 - r->addr) >> PAGE_SHIFT;

		bitmap_set(r->gone, first, last - first + 1);
	}
	spin_unlock(&m->lock);

	/* An export on its way out first takes this notifier away. */
	if (lost && kref_get_unless_zero(&m->export->ref))
		queue_work(tp_wq, &m->lost_work);
	return true;
}

const struct mmu_interval_notifier_ops tp_mm_notifier_ops = {
	.invalidate = tp_mm_invalidate,
};

/**
 * tp_mm_lost_work - tell that the process has gone
 * @work: tp_mm.lost_work; its reference to the export is dropped
 *
 * Where the module is just going away nobody listens any more, which does no harm.
 */
void tp_mm_lost_work(struct work_struct *work)
{
	struct tp_mm *m = container_of(work, struct tp_mm, lost_work);

	tp_event_export(TELEPAGE_EVENT_EXPORT_LOST, m->export->name, ESRCH,
			"the process has ended or executed another program");
	tp_export_put(m->export);
}

static bool tp_mm_file_readable(const struct file *file)
{
	umode_t mode = file_inode(file)->i_mode;

	return (S_ISREG(mode) || S_ISBLK(mode)) && (file->f_mode & FMODE_READ) &&
	       (file->f_mode & FMODE_CAN_READ) && file->f_op->read_iter && !file->f_op->read;
}

/**
 * tp_mm_vma_refusal - why a mapping cannot be exported
 * @vma: the mapping
 *
 * Context: under its mmap lock.
 * Return: NULL if it can, or what to tell people.
 */
const char *tp_mm_vma_refusal(struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_IO | VM_PFNMAP))
		return "a range maps a device or the kernel";
	if (!(vma->vm_flags & VM_READ))
		return "the process itself may not read a range";
	if (vma_is_anonymous(vma))
		return NULL;
	/* Its pages may be at another host, and nothing here waits for the network. */
	if (vma->vm_file && vma->vm_file->f_op == &tp_file_fops)
		return "a range maps a region of telepage: export the region";
	if (!vma->vm_file || !tp_mm_file_readable(vma->vm_file))
		return "a range maps something that cannot be read as a file";
	return NULL;
}

/*
 * Do the page tables hold anything for an address? If not, a fault would make
 * something up: a zero page, or what is in the file.
 *
 * Under the mmap lock, which keeps the tables of anonymous memory; those of files
 * may be freed without it, but not before a grace period. An entry is read under
 * its lock, for while it is changed it may look empty for a moment.
 */
static bool tp_mm_populated(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	bool populated = false;
	spinlock_t *ptl;	/* the table's own */
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud, pudval;
	pmd_t *pmd, pmdval;

	BUILD_BUG_ON(IS_ENABLED(CONFIG_HIGHPTE));
	rcu_read_lock();
again:
	pgd = pgd_offset(mm, addr);
	if (pgd_none(*pgd))
		goto out;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		goto out;
	pud = pud_offset(p4d, addr);
	pudval = READ_ONCE(*pud);
	if (pud_none(pudval))
		goto out;
	populated = true;
	if (!pud_present(pudval) || pud_leaf(pudval))
		goto out;
	pmd = pmd_offset_lockless(pud, pudval, addr);
	pmdval = READ_ONCE(*pmd);
	if (pmd_none(pmdval)) {
		populated = false;
		goto out;
	}
	/* Tables of huge pages may be shared with others, which have the lock then. */
	if (!pmd_present(pmdval) || pmd_leaf(pmdval) || is_vm_hugetlb_page(vma))
		goto out;
	ptl = pte_lockptr(mm, &pmdval);
	spin_lock(ptl);
	if (pmd_val(READ_ONCE(*pmd)) != pmd_val(pmdval)) {
		/* collapsed into a huge page, or freed */
		spin_unlock(ptl);
		populated = false;
		goto again;
	}
	populated = !pte_none(ptep_get(pte_offset_kernel(&pmdval, addr)));
	spin_unlock(ptl);
out:
	rcu_read_unlock();
	return populated;
}

/* What is not there may come from a handler that takes any time. */
static bool tp_mm_handled(struct vm_area_struct *vma)
{
	return userfaultfd_missing(vma) || userfaultfd_minor(vma);
}

/*
 * Copy what the page tables hold. Return: 0 or an errno, -EAGAIN it may be had in a
 * moment; @locked is false when the mmap lock was dropped meanwhile.
 */
static int tp_mm_copy(struct vm_area_struct *vma, unsigned long addr, struct page *to,
		      int *locked)
{
	unsigned int flags = FOLL_HWPOISON | (tp_mm_handled(vma) ? FOLL_NOWAIT : 0);
	struct page *page;
	long n = tp_get_user_page(vma->vm_mm, addr, flags, &page, locked);

	if (n == 1) {
		copy_highpage(to, page);
		put_page(page);
		return 0;
	}
	/* -EFAULT says here that it could not be brought back from swap or the like */
	return !n ? -EAGAIN : n == -EFAULT ? -EIO : n;
}

/* Read a page once. Return: 0, TP_SRC_ZERO, or an errno. */
static int tp_mm_read(struct mm_struct *mm, unsigned long addr, struct page *to)
{
	struct file *file = NULL;
	struct vm_area_struct *vma;
	int locked = 1, ret;
	loff_t pos = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, addr);
	if (!vma) {
		ret = -EFAULT;
	} else if (tp_mm_vma_refusal(vma)) {
		ret = -EACCES;
	} else if (tp_mm_populated(vma, addr)) {
		ret = tp_mm_copy(vma, addr, to, &locked);
	} else if (tp_mm_handled(vma)) {
		ret = -EBUSY;
	} else if (vma_is_anonymous(vma)) {
		ret = TP_SRC_ZERO;
	} else {
		file = get_file(vma->vm_file);
		pos = (loff_t)(addr - vma->vm_start) + ((loff_t)vma->vm_pgoff << PAGE_SHIFT);
		ret = 0;
	}
	if (locked)
		mmap_read_unlock(mm);
	if (file) {
		/* File systems take the mmap lock under locks that reading takes, too. */
		ret = tp_read_page(file, pos, to);
		fput(file);
	}
	return ret;
}

static struct tp_mm_range *tp_mm_range(struct tp_mm *m, pgoff_t index)
{
	struct tp_mm_range *r = m->range;

	while (index - r->first >= r->nr_pages)
		r++;
	return r;
}

static int tp_mm_read_stable(struct tp_mm *m, pgoff_t index, struct page *to)
{
	struct tp_mm_range *r = tp_mm_range(m, index);
	unsigned long nr = index - r->first, seq;
	unsigned int tries = TP_MM_TRIES;
	bool gone, again;
	int ret;

	do {
		seq = mmu_interval_read_begin(&r->notifier);
		ret = tp_mm_read(m->mm, r->addr + (nr << PAGE_SHIFT), to);
		spin_lock(&m->lock);
		gone = test_bit(nr, r->gone);
		again = mmu_interval_read_retry(&r->notifier, seq);
		spin_unlock(&m->lock);
		if (ret == -EAGAIN)
			fsleep(1000);
	} while ((again || ret == -EAGAIN) && !gone && --tries);
	/*
	 * Killed for want of memory: what was taken away already looks like zero. It is
	 * marked as gone, too, but nobody has unmapped it, so this comes first.
	 */
	if (check_stable_address_space(m->mm))
		return -ESRCH;
	if (gone)
		return -EFAULT;
	return ret == -EAGAIN ? -EBUSY : ret;
}

static bool tp_source_mm_open(const struct tp_export *ex)
{
	return true;
}

static int tp_source_mm_get(struct tp_export *ex, pgoff_t index, struct page **page)
{
	struct tp_mm *m = ex->mm;
	struct page *p;
	int ret;

	p = alloc_page(GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	if (!mmget_not_zero(m->mm)) {
		put_page(p);
		return -ESRCH;
	}
	ret = tp_mm_read_stable(m, index, p);
	/* The last user frees the memory, which may take seconds: not in this thread. */
	mmput_async(m->mm);
	if (ret)
		put_page(p);
	else
		*page = p;
	return ret;
}

const struct tp_source_ops tp_source_mm = {
	.open	= tp_source_mm_open,
	.get	= tp_source_mm_get,
};
