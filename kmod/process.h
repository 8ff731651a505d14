/* SPDX-License-Identifier: GPL-2.0 */
/*
 * process.h - the memory of a process as what an export gives out
 *
 * Documentation/process-export.md tells the states, the locks and what fails how.
 */
#ifndef TP_PROCESS_H
#define TP_PROCESS_H

#include <linux/mmu_notifier.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/telepage.h>

struct file;
struct netlink_ext_ack;
struct nlattr;
struct pid;
struct tp_export;
struct tp_mm;
struct vm_area_struct;

#define TP_MM_PAGES_MAX	SZ_4G	/* of one export: 16 TiB */

/**
 * struct tp_mm_range - a run of addresses of a process
 */
struct tp_mm_range {
	struct mmu_interval_notifier notifier;
	bool inserted;			/* the notifier is */
	struct tp_mm *owner;
	unsigned long addr;
	unsigned long nr_pages;
	pgoff_t first;			/* its first page is this one of the export */
	unsigned long *gone;		/* one bit per page, unmapped since; under owner->lock */
};

/**
 * struct tp_mm - ranges of the memory of a process, one after the other
 *
 * Belongs to the export that it was made for. It keeps the struct mm_struct, not
 * what is mapped in it: that goes with the process.
 */
struct tp_mm {
	struct mm_struct *mm;		/* mmgrab() */
	bool held;			/* mmget(), too, from tp_mm_new() to tp_mm_settle() */
	struct pid *pid;		/* a reference; the number may be another's by now */
	struct tp_export *export;	/* set by tp_mm_settle(), then stable */
	struct work_struct lost_work;	/* holds a reference to the export while queued */
	spinlock_t lock;		/* a leaf; the sequences of the notifiers, and: */
	bool lost;			/* the memory has gone as a whole; also READ_ONCE */
	unsigned long nr_pages;
	unsigned int nr;
	struct tp_mm_range range[];
};

/**
 * struct tp_mm_ask - what somebody wants to export
 * @pid: the process
 * @proof: its /proc/PID/mem, opened by whoever asks, or NULL
 * @admin: does he have CAP_SYS_ADMIN?
 * @nr: how many ranges
 * @range: address and length in bytes, not checked yet, and where to say that one
 *	of them is wrong
 */
struct tp_mm_ask {
	struct pid *pid;
	struct file *proof;
	bool admin;
	unsigned int nr;
	struct {
		u64 addr;
		u64 len;
		const struct nlattr *attr;
	} range[TELEPAGE_RANGE_MAX];
};

/* process.c: which process, who may, which ranges */
struct tp_mm *tp_mm_new(const struct tp_mm_ask *ask, struct netlink_ext_ack *extack);
void tp_mm_settle(struct tp_mm *m, struct tp_export *ex);
void tp_mm_free(struct tp_mm *m);

/* source_mm.c: reading it, and noticing what becomes of it */
extern const struct mmu_interval_notifier_ops tp_mm_notifier_ops;
const char *tp_mm_vma_refusal(struct vm_area_struct *vma);
void tp_mm_lost_work(struct work_struct *work);

#endif /* TP_PROCESS_H */
