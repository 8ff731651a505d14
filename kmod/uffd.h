/* SPDX-License-Identifier: GPL-2.0 */
/*
 * uffd.h - the userfaultfd bridge: a region's pages for a VMM's own memory
 *
 * States, contexts and races are in Documentation/bridge.md. uffd.c attaches and
 * ends, uffd_worker.c is the thread and its events, uffd_give.c puts pages into the
 * VMM, uffd_layout.c knows what lies where, uffd_ioctl.c speaks to the descriptor.
 */
#ifndef TP_UFFD_H
#define TP_UFFD_H

#include <linux/folio_batch.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/poll.h>
#include <linux/userfaultfd.h>
#include "telepage.h"

#define TP_UFFD_RUN	16	/* pages put in at once when filling */
#define TP_UFFD_MSGS	32	/* events read at once */
#define TP_UFFD_SURPLUS	4096U	/* pages that may be in memory twice for a while */

struct pid;

/**
 * struct tp_uffd_range - a run of the VMM's addresses
 */
struct tp_uffd_range {
	u64 addr;			/* bytes, as the next three; in the VMM */
	u64 len;
	u64 offset;			/* in the region */
	u64 memfd_offset;		/* in the VMM's file, where one was given */
	u32 page_size;			/* bytes; more than 4 KiB: hugetlb */
};

/**
 * struct tp_uffd_fd - one userfaultfd that is served
 *
 * The VMM's own, or that of a process it forked. The thread alone changes it.
 */
struct tp_uffd_fd {
	struct list_head node;		/* in uffd->fds; changes under uffd->lock */
	struct tp_uffd *uffd;
	struct file *file;		/* holds a reference */
	wait_queue_head_t *whead;	/* the descriptor's, lives as long as @file */
	wait_queue_entry_t wait;
	atomic_t events;		/* wake-ups since the last read: a hint */
	poll_table pt;
	bool dead;			/* its mm is gone */

	unsigned long *done;		/* pages that are the VMM's own now */
	struct tp_uffd_range *ranges;	/* by address; changes under uffd->lock */
	unsigned int nr_ranges, room;
};

/**
 * struct tp_uffd_fault - a page of the region that is waited for
 */
struct tp_uffd_fault {
	struct tp_waiter waiter;
	struct llist_node ready;	/* in uffd->ready once it is there */
	struct tp_uffd *uffd;
	pgoff_t index;
	u64 born_ns;
};

/**
 * struct tp_uffd_retry - a fault that could not be answered just now
 */
struct tp_uffd_retry {
	struct list_head node;
	struct tp_uffd_fd *fd;
	u64 addr, flags;
};

/* what netlink tells; written by the thread, READ_ONCE elsewhere */
struct tp_uffd_counters {
	u64 faults, copied, continued, zero, removed, retried, failed;
};

/* what lies in the scratch memory, the data after it */
struct tp_uffd_scratch {
	struct uffd_msg msgs[TP_UFFD_MSGS];
	union {
		struct uffdio_copy copy;
		struct uffdio_zeropage zero;
		struct uffdio_continue cont;
		struct uffdio_writeprotect wp;
		struct uffdio_poison poison;
		struct uffdio_range range;
	} arg;
};

/**
 * struct tp_uffd - a bridge: what joins a region to a VMM's memory
 */
struct tp_uffd {
	struct kref ref;		/* region->uffd, end_work while queued, a detach */
	struct tp_region *region;	/* holds a reference */
	struct mm_struct *mm;		/* borrowed: holds its users */
	struct pid *pid;		/* the VMM */
	u32 pid_nr;			/* as the attaching process calls it */
	struct file *memfd;		/* or NULL */
	bool fill;			/* pages go in before they are touched */
	struct task_struct *task;
	struct work_struct end_work;
	bool ended;			/* or is about to; under tp_ctl_mutex */

	struct file *scratch_file;
	struct tp_uffd_scratch *scratch; /* the thread's, these four */
	void *data;			/* a page into it */
	unsigned long user;		/* where it is mapped in @mm */
	size_t scratch_len;

	atomic_t pending;		/* there may be something to do */
	atomic_t probe;			/* see whether the VMM lives */
	struct delayed_work tick;	/* sets it once a second; holds no reference */
	struct completion started;
	struct llist_head ready;	/* faults whose page is there */
	wait_queue_entry_t arrived;	/* in region->arrivals */
	atomic_t more;			/* there may be pages to fill in */

	struct mutex lock;		/* around changes of the next and of layouts */
	struct list_head fds;
	unsigned int nr_fds;

	/* the thread's own */
	struct xarray faults;		/* by page */
	struct list_head retry;
	struct folio **surplus;		/* given, to be dropped from the region: a ring */
	unsigned int surplus_at, nr_surplus;
	unsigned int drop;		/* how many of them are to go now */
	bool stall;			/* wait a tick before trying again */
	bool gone;			/* every descriptor's mm is gone */
	bool unregister;		/* UFFD_DETACH; set before the thread is stopped */
	struct tp_uffd_counters count;
};

/* uffd.c, under tp_ctl_mutex unless said otherwise */
struct tp_uffd_args {
	u32 fd, memfd, pid;
	bool has_memfd, fill;
	const struct tp_uffd_range *ranges;
	unsigned int nr_ranges;
};

struct tp_uffd *tp_uffd_prepare(struct tp_region *r, const struct tp_uffd_args *args,
				struct netlink_ext_ack *extack);
void tp_uffd_cancel_new(struct tp_uffd *u);
int tp_uffd_may_attach(struct tp_region *r, struct netlink_ext_ack *extack);
int tp_uffd_attach(struct tp_region *r, struct tp_uffd *u, struct netlink_ext_ack *extack);
struct tp_uffd *tp_uffd_detach(struct tp_region *r, struct netlink_ext_ack *extack);
void tp_uffd_end(struct tp_uffd *u, const char *reason);
void tp_uffd_put(struct tp_uffd *u);
void tp_uffd_gone(struct tp_uffd *u);
struct tp_uffd_fd *tp_uffd_fd_new(struct tp_uffd *u, struct file *file,
				  const struct tp_uffd_range *ranges, unsigned int nr,
				  gfp_t flags);
void tp_uffd_fd_free(struct tp_uffd_fd *f);

/* uffd_worker.c */
int tp_uffd_thread(void *data);
void tp_uffd_kick(struct tp_uffd *u);
void tp_uffd_hook(struct tp_uffd_fd *f);

/* uffd_layout.c */
const char *tp_uffd_layout_check(const struct tp_uffd_range *ranges, unsigned int nr,
				 u64 region_size, bool memfd, u64 memfd_size);
void tp_uffd_layout_sort(struct tp_uffd_range *ranges, unsigned int nr);
struct tp_uffd_range *tp_uffd_at(const struct tp_uffd_fd *f, u64 addr);
struct tp_uffd_range *tp_uffd_of_page(const struct tp_uffd_fd *f, pgoff_t index);
void tp_uffd_layout_remove(struct tp_uffd_fd *f, u64 start, u64 end);
void tp_uffd_layout_move(struct tp_uffd_fd *f, u64 from, u64 to, u64 len);

static inline pgoff_t tp_uffd_page(const struct tp_uffd_range *rg, u64 addr)
{
	return (rg->offset + (addr - rg->addr)) >> PAGE_SHIFT;
}

static inline u64 tp_uffd_addr(const struct tp_uffd_range *rg, pgoff_t index)
{
	return rg->addr + (((u64)index << PAGE_SHIFT) - rg->offset);
}

/* uffd_ioctl.c: the thread, or the attaching process */
int tp_uffd_scratch_make(struct tp_uffd *u, size_t data);
void tp_uffd_scratch_unmap(struct tp_uffd *u);
void tp_uffd_scratch_free(struct tp_uffd *u);
bool tp_uffd_readable(struct tp_uffd_fd *f);
int tp_uffd_read(struct tp_uffd_fd *f, unsigned int max);
ssize_t tp_uffd_copy(struct tp_uffd_fd *f, u64 dst, size_t len);
ssize_t tp_uffd_continue(struct tp_uffd_fd *f, u64 dst, size_t len);
ssize_t tp_uffd_zeropage(struct tp_uffd_fd *f, u64 dst, size_t len);
int tp_uffd_poison(struct tp_uffd_fd *f, u64 dst, size_t len);
int tp_uffd_unprotect(struct tp_uffd_fd *f, u64 dst, size_t len);
int tp_uffd_wake(struct tp_uffd_fd *f, u64 start, u64 len);
int tp_uffd_unregister(struct tp_uffd_fd *f, u64 start, u64 len);
int tp_uffd_probe(struct tp_uffd_fd *f, u64 start, u64 len);

/* uffd_give.c: the thread */
int tp_uffd_give(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index);
int tp_uffd_zero(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index);
int tp_uffd_minor(struct tp_uffd_fd *f, const struct tp_uffd_range *rg, pgoff_t index);
int tp_uffd_fail(struct tp_uffd_fd *f, u64 addr, size_t len);
bool tp_uffd_fill(struct tp_uffd *u);
void tp_uffd_drop(struct tp_uffd *u);
void tp_uffd_discard(struct tp_uffd_fd *f, u64 start, u64 end);
void tp_uffd_cancel(struct tp_uffd *u);

#endif /* TP_UFFD_H */
