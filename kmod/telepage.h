/* SPDX-License-Identifier: GPL-2.0 */
/*
 * telepage.h - the objects and who may touch them
 *
 * Path of a fault: fault.c -> request.c -> import.c (tx work) -> lane.c (socket) =>
 * network => lane.c -> serve.c -> source.c, and back through lane.c -> import.c
 * -> fault.c (place) -> request.c (wake). What nobody waits for yet begins in
 * prefetch.c, which hears of what is needed, and goes through ahead.c to import.c.
 *
 * State of a page. The page cache is the page table of the teleport:
 *
 *   folio in the page cache         resident; it belongs to the guest
 *   no folio, remote bit clear      zero
 *   no folio, remote bit set        absent: the content is at the peer, or in a
 *                                   local file when the page's local bit is set
 *   ... and a struct tp_request     in flight
 *
 * A folio enters the page cache only whole: there is never a folio without
 * content, and none stays locked while the network is waited for. Only fault.c
 * changes a page's state. Transitions:
 *
 *   zero   -> resident   first touch                    tp_folio_get()
 *   absent -> resident   data came, asked for or not     tp_place_data()
 *   absent -> zero       the peer said so, or punched    tp_place_zero(), tp_punch()
 *   any    -> absent     the source has written to it    tp_place_stale(), while live
 *   resident -> zero     punched                         tp_punch()
 *   resident -> zero     given to a VMM's own memory     tp_forget()
 *
 * Lock order, outermost first:
 *
 *   tp_ctl_mutex                    everything netlink does to objects
 *     inode->i_mapping->invalidate_lock
 *                                   shared: placing; exclusive: punching, freezing
 *       folio lock                  page_mkwrite, write(), harvest
 *         region->reqs.xa_lock      requests and their waiters
 *           link->queue_lock        what waits to be sent
 *           region->ahead->lock     what is asked for ahead; a leaf
 *     link->lane_mutex              slots of the lanes
 *     rounds->lock                  the list of a live round; a leaf
 *   rounds->watch                   the folio lock is inside
 *   lane->tx_mutex                  one message at a time; a leaf, held over send
 *   serve->lock                     the queue_lock is inside
 *   packer.lock                     tx_mutex is inside; as that one, held over send
 *   region->lock, link->serves.xa_lock, link->imports.xa_lock, tp_regions.xa_lock,
 *   tp_links.xa_lock, uffd->lock, origin->lock
 *                                   leaves
 *   process's mmap_lock             reading what an export has of it; alone
 *     tp_mm->lock                   a leaf, inside any lock of mm
 *
 * mmap_lock is outside of invalidate_lock (a fault holds it); it is dropped
 * before a page is waited for. No lock is held while waiting for the network
 * but lane->tx_mutex and packer.lock, which nobody who may not sleep takes.
 */
#ifndef TELEPAGE_H
#define TELEPAGE_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/pagemap.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/telepage.h>
#include "codec.h"
#include "compat/compat.h"
#include "rate.h"
#include "stats.h"
#include "wire.h"

struct folio_batch;
struct tp_ahead;
struct tp_link;
struct tp_lane;
struct tp_origin;
struct tp_rounds;
struct tp_sample;
struct tp_prefetch_ops;
struct tp_sysfs;
struct tp_uffd;
struct netlink_ext_ack;

/**
 * struct tp_region - a region, which is an inode of the filesystem
 *
 * A reference is one on the inode and one on the superblock, which has to outlive
 * its inodes: tp_region_get() and tp_region_put(). The registry holds one from
 * REGION_NEW to REGION_DEL, each export one, the import table of a link one while
 * the region fills; the VFS holds its own for dentries and open files. Superblock
 * and region pin the module.
 */
struct tp_region {
	struct inode inode;

	/* set by REGION_NEW, never changed */
	char name[TELEPAGE_NAME_MAX + 1];
	u32 id;				/* in tp_regions; orders walks */
	unsigned long nr_pages;
	unsigned long *dirty;		/* written since cleared; changes under the folio lock */
	u64 harvests;			/* that have cleared; under tp_ctl_mutex, READ_ONCE */
	struct tp_rounds __rcu *rounds;	/* told of each write; changes under tp_ctl_mutex */
	struct tp_sample __rcu *sample;	/* told of each fault; changes under tp_ctl_mutex */
	struct tp_counters __percpu *counters;
	atomic64_t wait_max_ns;

	/* tunables, READ_ONCE */
	unsigned int push_run;		/* pages in one pushed message */
	enum tp_compress compress;
	int compress_level;
	struct tp_rate rate;		/* of what is pushed, all exports of the region */
	const struct tp_prefetch_ops *prefetch;	/* what to ask for ahead of use */
	unsigned int prefetch_window;	/* pages, 1 to TP_WINDOW_MAX */
	bool workingset;		/* record which pages are needed first */

	struct tp_sysfs *sysfs;		/* under tp_ctl_mutex */

	struct tp_uffd *uffd;		/* under tp_ctl_mutex: the bridge, while attached */
	bool given;			/* pages went to a VMM's own memory; READ_ONCE */

	spinlock_t lock;		/* protects the next six fields */
	bool dead;			/* deleted: cannot be opened any more */
	bool bridged;			/* was attached once: is no file any more */
	bool touched;			/* was opened or exported: cannot import any more */
	bool loading;			/* pages are becoming absent: cannot be opened now */
	unsigned int openers;
	unsigned int nr_exports;

	enum telepage_region_state state; /* written under tp_ctl_mutex, or cmpxchg; READ_ONCE */
	bool frozen;			/* no new writes; under invalidate_lock; READ_ONCE */
	bool fenced;			/* and none is under way: pages may be given out; acquire */

	/* the import: set once by REGION_IMPORT before @remote, then stable */
	struct tp_link *link;		/* holds a reference until evicted */
	u32 export_id;
	bool push;
	bool live;			/* the source still writes, no page is seen; acquire */
	u32 round;			/* pages of which come while live; invalidate_lock */
	u32 round_heard;		/* the last, 0: none; invalidate_lock; to be said */
	wait_queue_head_t settled;	/* who needs a page waits here while it is live */
	pgoff_t want_pos;		/* tx work only: pages up to here were offered for push */
	unsigned long want_flags;	/* TP_WANT_AGAIN: offer from the start; TP_SAY_ROUND */
	long want_absent;		/* want work only: @absent when it last ran */
	unsigned long *remote;		/* one bit per page whose content is elsewhere */
	atomic_long_t absent;		/* bits set in @remote, and one while it is live */

	struct tp_ahead *ahead;		/* set once by REGION_IMPORT; acquire, or behind @remote */

	struct tp_origin *origin;	/* local files: set once by REGION_ORIGIN; acquire */

	struct xarray reqs;		/* pages in flight, by index; see request.c */
	u32 next_gen;			/* these two under reqs.xa_lock */
	unsigned int nr_idle;		/* requests made without a waiter */

	struct work_struct complete_work; /* holds a reference while queued */
	wait_queue_head_t arrivals;	/* a bridge waits here for what comes unasked */
};

static inline struct tp_region *tp_region(const struct inode *inode)
{
	return container_of(inode, struct tp_region, inode);
}

/* one control operation at a time */
extern struct mutex tp_ctl_mutex;
extern struct workqueue_struct *tp_wq, *tp_end_wq;

extern unsigned int tp_bulk_unsent_kb;
extern unsigned int tp_push_run;
extern unsigned int tp_link_timeout_ms;
extern unsigned int tp_compress_level;
enum tp_compress tp_compress_default(void);
extern const char *const tp_compress_names[3];
extern char *tp_bulk_congestion;

/* fs.c */
extern struct file_system_type tp_fs_type;
int tp_fs_init(void);
void tp_fs_exit(void);
struct tp_region *tp_fs_new_inode(umode_t mode, kuid_t uid, kgid_t gid, loff_t size);
void tp_fs_forget(struct tp_region *r);

/* file.c */
extern const struct file_operations tp_file_fops;
extern const struct inode_operations tp_file_iops;
extern const struct address_space_operations tp_aops;

/* region.c */
extern struct xarray tp_regions;
const char *tp_name_check(const char *name);
struct tp_region *tp_region_new(const char *name, u64 size, umode_t mode, kuid_t uid,
				kgid_t gid, struct netlink_ext_ack *extack);
int tp_region_del(struct tp_region *r, struct netlink_ext_ack *extack);
struct tp_region *tp_region_find(const char *name);
struct tp_region *tp_region_next(u32 id);
int tp_region_abandon(struct tp_region *r, struct netlink_ext_ack *extack);
void tp_region_break(struct tp_region *r, int err);
void tp_region_complete_work(struct work_struct *work);
void tp_region_free_content(struct tp_region *r);

static inline void tp_region_get(struct tp_region *r)
{
	atomic_inc(&r->inode.i_sb->s_active);
	ihold(&r->inode);
}

void tp_region_put(struct tp_region *r);

/* fault.c: the only place where a page changes its state */
extern const struct vm_operations_struct tp_vm_ops;

/**
 * tp_is_remote - is the content of a page at the peer?
 * @r: the region
 * @index: page, in range
 *
 * Context: any. Once the region is not live a false answer is final, and the page
 * cache seen afterwards has the page's folio, if it got one; a true answer may change
 * at any time.
 */
static inline bool tp_is_remote(const struct tp_region *r, pgoff_t index)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	unsigned long *remote = smp_load_acquire(&r->remote);

	return remote && test_bit_acquire(index, remote);
}

/*
 * find_next_bit() where bits are set and cleared meanwhile. It reads each word once, and
 * plainly, for which KCSAN tells of a race with whoever changes one. That is harmless where
 * what was found may be old: it is looked at again before it counts, or it costs no more
 * than an answer that comes too early or too late.
 */
#define tp_find_next_bit(bits, end, from)	data_race(find_next_bit(bits, end, from))
/* the same of clear bits, as harmless */
#define tp_find_next_zero_bit(bits, end, from)	data_race(find_next_zero_bit(bits, end, from))
/* the same of bits that are set in both */
#define tp_find_next_and_bit(a, b, end, from)	data_race(find_next_and_bit(a, b, end, from))

/**
 * tp_next_remote - the next page whose content is at the peer
 * @r: the region
 * @index: page from which on to look, in range
 * @end: where to stop
 *
 * Context: any. For each page that is passed over, what tp_is_remote() says of one that is
 * not remote. The page that is found was; ask tp_is_remote() whether it is.
 * Return: the page, or @end.
 */
static inline pgoff_t tp_next_remote(const struct tp_region *r, pgoff_t index, pgoff_t end)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	unsigned long *remote = smp_load_acquire(&r->remote);

	if (!remote)
		return end;
	index = tp_find_next_bit(remote, end, index);
	/* Pairs with the atomics that clear a bit, behind the page's entry: see fault.c. */
	smp_rmb();
	return index;
}

/**
 * tp_runs_fit - are these pages of something that has so many?
 * @runs: from a user
 * @nr: how many runs
 * @pages: how many pages there are
 *
 * Return: false: one is empty, or has others.
 */
static inline bool tp_runs_fit(const struct telepage_run *runs, unsigned int nr, u64 pages)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!runs[i].count || !tp_wire_fits(runs[i].start, runs[i].count, pages))
			return false;
	return true;
}

/**
 * tp_is_live - does the source of a region still write to it?
 * @r: the region
 *
 * Context: any. A false answer is final.
 */
static inline bool tp_is_live(const struct tp_region *r)
{
	/* Pairs with smp_store_release() in tp_begin_round() and tp_end_unheard(). */
	return smp_load_acquire(&r->live);
}

/*
 * Pages whose content is elsewhere, for a moment some more: those that come are subtracted when
 * they are here, and may have been made absent again by then.
 */
static inline long tp_absent(const struct tp_region *r)
{
	/* Read first: the one more of a live region goes when it is live no more. */
	long n = atomic_long_read_acquire(&r->absent);

	/* one that became live between the two had none before */
	n -= READ_ONCE(r->live);
	return clamp_t(long, n, 0, r->nr_pages);
}

enum { TP_WANT_AGAIN, TP_SAY_ROUND };

#define TP_REQ_READ	XA_MARK_0	/* of a request: it waits for a reader of origin_read.c */
#define TP_REQ_AGAIN	XA_MARK_1	/* of a request: a reader could not have its page yet */

#define TP_GET_CREATE	1U	/* a zero page gets a folio */

struct folio *tp_folio_get(struct tp_region *r, pgoff_t index, unsigned int flags);
int tp_place_data(struct tp_region *r, pgoff_t index, struct folio *folio, u32 gen,
		  enum tp_stat came);
void tp_place_zero(struct tp_region *r, pgoff_t index, unsigned long count, u32 gen,
		   bool pushed);
void tp_place_stale(struct tp_region *r, pgoff_t index, unsigned long count);
void tp_begin_round(struct tp_region *r, u32 round, bool final);
void tp_end_unheard(struct tp_region *r);
int tp_punch(struct tp_region *r, loff_t start, loff_t end);
void tp_forget(struct tp_region *r, struct folio_batch *batch);
int tp_wait_page(struct tp_region *r, pgoff_t index, unsigned int state);

/* dirty.c */
vm_fault_t tp_page_mkwrite(struct vm_fault *vmf);
ssize_t tp_write_folio(struct tp_region *r, struct folio *folio, size_t offset, size_t len,
		       struct iov_iter *from);
int tp_dirty_harvest(struct tp_region *r, pgoff_t start, unsigned long count, bool clear,
		     unsigned long *out);
int tp_freeze(struct tp_region *r);
void tp_thaw(struct tp_region *r);
bool tp_clean_page(struct tp_region *r, pgoff_t index, unsigned long *bits);

/* live.c */
int tp_live_wait(struct tp_region *r, unsigned int state, unsigned long timeout);

/* rounds.c */
void tp_rounds_rewritten(struct tp_region *r, pgoff_t index);

/* request.c */

/**
 * struct tp_waiter - who is told when a page is there
 * @node: in the request; guarded by region->reqs.xa_lock
 * @done: called once under that lock with interrupts on, must not sleep; @err is
 *	0 or -EIO when the region was abandoned. The waiter may be gone as soon
 *	as @done returned.
 */
struct tp_waiter {
	struct list_head node;
	void (*done)(struct tp_waiter *w, int err);
};

/**
 * struct tp_request - a page in flight
 *
 * Made by the first who needs the page, freed by whoever takes it out of
 * region->reqs; all under region->reqs.xa_lock, @queue also under link->queue_lock.
 */
struct tp_request {
	struct tp_region *region;
	pgoff_t index;
	u32 gen;			/* tells this request from an earlier one for the page */
	bool idle;			/* made without a waiter */
	bool ahead;			/* made ahead of use, see ahead.c */
	bool wanted;			/* of @ahead: somebody has needed it since */
	bool answered;			/* its page comes now */
	bool came;			/* of @ahead: before that; a bit says whether it was used */
	u64 born_ns;
	u64 sent_ns;			/* when it was last sent; READ_ONCE */
	struct list_head queue;		/* in link->demands while not sent */
	struct list_head waiters;
};

int tp_request_init(void);
void tp_request_exit(void);
int tp_request(struct tp_region *r, pgoff_t index, struct tp_waiter *w);
bool tp_request_cancel(struct tp_region *r, pgoff_t index, struct tp_waiter *w);
void tp_request_finish(struct tp_region *r, pgoff_t index, int err);
void tp_request_finish_range(struct tp_region *r, pgoff_t start, pgoff_t last, int err);
int tp_request_ahead(struct tp_region *r, pgoff_t index, u32 *gen);
bool tp_request_drop_ahead(struct tp_region *r, pgoff_t index, u32 gen);
bool tp_request_matches(struct tp_region *r, pgoff_t index, u32 gen);
bool tp_request_answered(struct tp_region *r, pgoff_t index, u32 gen, enum tp_stat *came);
void tp_request_resend(struct tp_region *r);
void tp_request_late(struct tp_region *r, unsigned int age_ms);
bool tp_request_reroute(struct tp_region *r, pgoff_t index);

/* stats.c, sysfs.c */
void tp_stats_wait(struct tp_region *r, u64 ns);
int tp_sysfs_init(void);
void tp_sysfs_exit(void);
int tp_sysfs_add(struct tp_region *r);
void tp_sysfs_del(struct tp_region *r);

/* event.c */
void tp_event(enum telepage_event kind, const struct tp_region *r, int err, const char *reason);
void tp_event_export(enum telepage_event kind, const char *name, int err, const char *reason);
void tp_event_lane(enum telepage_event kind, u32 link, u32 lane, int err, const char *reason);

/* netlink.c */
int tp_netlink_init(void);
void tp_netlink_exit(void);

#endif /* TELEPAGE_H */
