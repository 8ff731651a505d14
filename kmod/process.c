// SPDX-License-Identifier: GPL-2.0
/*
 * process.c - exporting memory of a process: which, who may, which ranges
 *
 * Who exports must be allowed to ptrace the process, or have CAP_SYS_ADMIN. The
 * kernel's own check is not for modules to call, so he proves it: he opens
 * /proc/PID/mem, where the kernel makes it, and hands over the descriptor.
 */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include "link.h"
#include "process.h"
#include "telepage.h"

/* The memory of a process, with a reference that keeps it, or an error. */
static struct mm_struct *tp_process_mm(struct pid *pid, struct netlink_ext_ack *extack)
{
	struct task_struct *task = get_pid_task(pid, PIDTYPE_TGID);
	struct mm_struct *mm;

	if (!task) {
		NL_SET_ERR_MSG(extack, "there is no such process");
		return ERR_PTR(-ESRCH);
	}
	mm = get_task_mm(task);
	if (!mm && task->flags & PF_KTHREAD)
		NL_SET_ERR_MSG(extack, "a thread of the kernel has no memory of its own");
	else if (!mm)
		NL_SET_ERR_MSG(extack, "the process has ended, it has no memory any more");
	put_task_struct(task);
	return mm ?: ERR_PTR(-ESRCH);
}

/*
 * Is this file the /proc/PID/mem of that memory? Opening it took the right to ptrace.
 * procfs keeps the mm in private_data, and no other file of its has one there under
 * this name; should that ever change nobody passes. Who opened it before the process
 * executed another program has another mm.
 */
static bool tp_process_proven(const struct file *file, const struct mm_struct *mm)
{
	return file_inode(file)->i_sb->s_magic == PROC_SUPER_MAGIC &&
	       S_ISREG(file_inode(file)->i_mode) &&
	       !strcmp(file_dentry(file)->d_name.name, "mem") && file->private_data == mm;
}

static int tp_process_may(const struct tp_mm_ask *ask, const struct mm_struct *mm,
			  struct netlink_ext_ack *extack)
{
	if (ask->proof ? tp_process_proven(ask->proof, mm) : ask->admin)
		return 0;
	if (ask->proof)
		NL_SET_ERR_MSG(extack, "the descriptor is not /proc/PID/mem of this process now");
	else
		NL_SET_ERR_MSG(extack, "it takes /proc/PID/mem of the process, or CAP_SYS_ADMIN");
	return -EPERM;
}

/* What can be said of the ranges without looking at the process. */
static int tp_ranges_check(const struct tp_mm_ask *ask, struct netlink_ext_ack *extack)
{
	u64 total = 0, end, end2;
	unsigned int i, j;

	if (!ask->nr) {
		NL_SET_ERR_MSG(extack, "which ranges of the process?");
		return -EINVAL;
	}
	for (i = 0; i < ask->nr; i++) {
		u64 addr = ask->range[i].addr, len = ask->range[i].len;

		NL_SET_BAD_ATTR(extack, ask->range[i].attr);
		if (!len || (addr | len) % TELEPAGE_PAGE_SIZE) {
			NL_SET_ERR_MSG(extack,
				       "a range begins and ends at multiples of 4096 and is not empty");
			return -EINVAL;
		}
		if (check_add_overflow(addr, len, &end) || end > ULONG_MAX) {
			NL_SET_ERR_MSG(extack, "a range goes beyond the end of memory");
			return -EINVAL;
		}
		for (j = 0; j < i; j++) {
			end2 = ask->range[j].addr + ask->range[j].len;
			if (addr < end2 && ask->range[j].addr < end) {
				NL_SET_ERR_MSG(extack, "two ranges overlap");
				return -EINVAL;
			}
		}
		total += len >> PAGE_SHIFT;
		if (total > TP_MM_PAGES_MAX) {
			NL_SET_ERR_MSG(extack, "the ranges are more than 16 TiB");
			return -E2BIG;
		}
	}
	if (extack)
		extack->bad_attr = NULL;
	return 0;
}

/* Is all of a range mapped, and can it be read? Under the mmap lock. */
static int tp_range_check(const struct tp_mm_range *r, struct netlink_ext_ack *extack)
{
	unsigned long addr = r->addr, end = addr + (r->nr_pages << PAGE_SHIFT);
	struct vm_area_struct *vma;
	const char *bad;

	for (; addr < end; addr = vma->vm_end) {
		vma = find_vma(r->owner->mm, addr);
		if (!vma || vma->vm_start > addr) {
			NL_SET_ERR_MSG(extack, "nothing is mapped in a range, or in part of it");
			return -EFAULT;
		}
		bad = tp_mm_vma_refusal(vma);
		if (bad) {
			/* NL_SET_ERR_MSG() takes literals only */
			if (extack)
				extack->_msg = bad;
			return -EACCES;
		}
	}
	return 0;
}

/*
 * From the notifier on nothing of a range gets lost unseen, so it comes first and
 * the look at what is mapped second.
 */
static int tp_mm_watch(struct tp_mm *m, const struct tp_mm_ask *ask,
		       struct netlink_ext_ack *extack)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < m->nr; i++) {
		struct tp_mm_range *r = &m->range[i];

		r->owner = m;
		r->addr = ask->range[i].addr;
		r->nr_pages = ask->range[i].len >> PAGE_SHIFT;
		r->first = m->nr_pages;
		m->nr_pages += r->nr_pages;
		r->gone = kvcalloc(BITS_TO_LONGS(r->nr_pages), sizeof(long),
				   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!r->gone)
			return -ENOMEM;
		err = mmu_interval_notifier_insert(&r->notifier, m->mm, r->addr,
						   r->nr_pages << PAGE_SHIFT, &tp_mm_notifier_ops);
		if (err)
			return err;
		r->inserted = true;
	}
	if (mmap_read_lock_killable(m->mm))
		return -EINTR;
	for (i = 0; i < m->nr && !err; i++) {
		err = tp_range_check(&m->range[i], extack);
		if (err)
			NL_SET_BAD_ATTR(extack, ask->range[i].attr);
	}
	mmap_read_unlock(m->mm);
	return err;
}

/**
 * tp_mm_new - take ranges of a process to export them
 * @ask: which, and who asks
 * @extack: where to say what is wrong
 *
 * Context: sleeps, for the process's mmap lock, too, which the process may hold for
 * long: not under tp_ctl_mutex. current is who asks.
 * Return: what tp_mm_free() frees and tp_export_new() takes over, the process's
 * memory being kept until tp_mm_settle(); or -ESRCH no such process, -EPERM, -EINVAL,
 * -E2BIG or -EFAULT or -EACCES a bad range, -EINTR, -ENOMEM.
 */
struct tp_mm *tp_mm_new(const struct tp_mm_ask *ask, struct netlink_ext_ack *extack)
{
	struct mm_struct *mm;
	struct tp_mm *m;
	int err;

	err = tp_ranges_check(ask, extack);
	if (err)
		return ERR_PTR(err);
	mm = tp_process_mm(ask->pid, extack);
	if (IS_ERR(mm))
		return ERR_CAST(mm);
	err = tp_process_may(ask, mm, extack);
	if (err) {
		mmput_async(mm);
		return ERR_PTR(err);
	}
	m = kvzalloc(struct_size(m, range, ask->nr), GFP_KERNEL_ACCOUNT);
	if (!m) {
		mmput_async(mm);
		return ERR_PTR(-ENOMEM);
	}
	m->nr = ask->nr;
	mmgrab(mm);
	m->mm = mm;
	m->held = true;
	m->pid = get_pid(ask->pid);
	spin_lock_init(&m->lock);
	INIT_WORK(&m->lost_work, tp_mm_lost_work);
	err = tp_mm_watch(m, ask, extack);
	if (err) {
		tp_mm_free(m);
		return ERR_PTR(err);
	}
	return m;
}

/**
 * tp_mm_settle - the memory has got its export: keep it no longer than the process does
 * @m: the memory
 * @ex: the export, which is told of when the process goes, from now on
 *
 * Context: any but interrupts; once.
 */
void tp_mm_settle(struct tp_mm *m, struct tp_export *ex)
{
	m->export = ex;
	m->held = false;
	mmput_async(m->mm);
}

/**
 * tp_mm_free - let go of the memory of a process
 * @m: the memory; gone afterwards
 *
 * First the notifiers: after that nobody calls, and what was called before holds a
 * reference to the export, so there is none.
 *
 * Context: sleeps until changes of the ranges that are under way are over; they wait
 * for nothing of ours. Not under the mmap lock.
 */
void tp_mm_free(struct tp_mm *m)
{
	unsigned int i;

	for (i = 0; i < m->nr; i++) {
		if (m->range[i].inserted)
			mmu_interval_notifier_remove(&m->range[i].notifier);
		kvfree(m->range[i].gone);
	}
	if (m->held)
		mmput_async(m->mm);
	mmdrop(m->mm);
	put_pid(m->pid);
	kvfree(m);
}
