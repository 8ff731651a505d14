/* SPDX-License-Identifier: GPL-2.0 */
/*
 * origin.h - local files as the origin of a region's pages
 *
 * States, contexts and races are in Documentation/origins.md.
 */
#ifndef TP_ORIGIN_H
#define TP_ORIGIN_H

#include <linux/maple_tree.h>
#include "prefetch.h"
#include "telepage.h"

#define TP_READERS	4	/* pages of one region that are waited for on disk at a time */
#define TP_AGAIN_MS	20	/* until a needed page that could not be had is tried again */
#define TP_STILL_MS	10000	/* without any page for a region that others wait for */
#define TP_WATCH_MS	500	/* between looks at how readers get on, where there is a peer: */
#define TP_WATCH_LATE	2U	/* a needed page that takes more is asked of the peer as well */
#define TP_WATCH_STILL	20U	/* a reader that has one page so often waits for a dead disk */
#define TP_READ_RUN	16	/* pages read at once ahead of use */
#define TP_EXTENT_MAX	4096U	/* of one command */

/**
 * struct tp_extent - a run of pages and the file that has their content
 *
 * Owned by the tree it is in: whoever finds it there uses it under the tree's lock.
 */
struct tp_extent {
	pgoff_t first, last;		/* of all of it; parts may have been taken out */
	unsigned int parts;		/* ranges of the tree that are its; under tp_ctl_mutex */
	struct file *file;		/* holds a reference */
	u64 offset;			/* bytes, of the first page */
	u8 *digests;			/* one for each page, or NULL: taken as it is */
};

/* pages before fill_pos may be left; some could not be had; these are awaited no longer */
enum { TP_FILL_AGAIN, TP_FILL_LATER, TP_FILL_NO_MORE };

/* what a reader needs of an extent for a few of its pages */
struct tp_piece {
	struct file *file;		/* holds a reference */
	loff_t pos;
	unsigned int nr;		/* pages */
	bool verify;
	u8 digests[TP_READ_RUN][TELEPAGE_DIGEST_SIZE];
};

/**
 * struct tp_reader - reads pages, one piece at a time
 */
struct tp_reader {
	struct work_struct work;	/* holds a reference on the region while queued */
	struct tp_origin *origin;
	bool busy;			/* a hint, READ_ONCE */
	unsigned int pages;		/* it has begun to read; READ_ONCE */
	unsigned int seen, looks;	/* the watch's: that so often */
	struct tp_piece piece;
};

/**
 * struct tp_origin - the files of a region
 *
 * Made by the first REGION_ORIGIN, freed with the region. Changes under tp_ctl_mutex.
 */
struct tp_origin {
	struct tp_region *region;
	unsigned long *local;		/* pages to be read from their extent; see tp_is_local() */
	struct maple_tree extents;
	bool held;			/* no file is used yet; READ_ONCE */
	bool dead;			/* their disk does not answer: held for good */
	pgoff_t planned;		/* pages before it may be offered for push; READ_ONCE */
	u32 planner;			/* the socket that said HOLD, 0: none; READ_ONCE */
	struct net *net;		/* and where that is, only compared */
	bool fill;			/* read before pages are touched; READ_ONCE */
	unsigned long flags;		/* TP_FILL_* */
	pgoff_t fill_pos;		/* the first reader's: where it goes on */
	pgoff_t fill_hint;		/* where somebody just needed a page; xchg */
	unsigned long awaits;		/* the first reader's: absent where pages are awaited */
	unsigned long awaited;		/* as of the look before, and */
	unsigned long came;		/* since when it is so, in jiffies */
	spinlock_t lock;		/* a leaf */
	struct tp_replay replay;	/* pages that are read first; under @lock */
	struct delayed_work again;	/* for requests marked TP_REQ_AGAIN; held as a reader's */
	struct delayed_work fill_again;	/* for what reading ahead has passed over; likewise */
	struct delayed_work watch;	/* while readers read, and there is a peer; likewise */
	struct tp_reader readers[TP_READERS];
};

/* what one REGION_ORIGIN asks for */
struct tp_plan_ask {
	bool hold, add, drop, ready, planned, fill;
};

/**
 * tp_is_local - is a page, while it is absent, to be read from its file?
 * @r: the region
 * @index: page, in range
 *
 * Context: any. Means nothing for a page that is not absent.
 */
static inline bool tp_is_local(const struct tp_region *r, pgoff_t index)
{
	/* Pairs with smp_store_release() in tp_origin_make(). */
	const struct tp_origin *o = smp_load_acquire(&r->origin);

	return o && !READ_ONCE(o->held) && test_bit(index, o->local);
}

/**
 * tp_is_spared - need a page not be asked for ahead, since its file is going to be read?
 * @r: the region
 * @index: page, in range
 *
 * That is so as well while its planner looks whether the file is right: if it finds that it is
 * not, or ends, tp_ahead_again() has it asked for.
 *
 * Context: any.
 */
static inline bool tp_is_spared(const struct tp_region *r, pgoff_t index)
{
	/* Pairs with smp_store_release() in tp_origin_make(). */
	const struct tp_origin *o = smp_load_acquire(&r->origin);

	return o && test_bit(index, o->local) &&
	       (!READ_ONCE(o->held) || READ_ONCE(o->planner));
}

/* origin.c, under tp_ctl_mutex unless said otherwise */
extern struct workqueue_struct *tp_read_wq;
int tp_origin_init(void);
void tp_origin_exit(void);
int tp_origin_add(struct tp_region *r, struct file *file, struct tp_extent **extents,
		  unsigned int nr, bool replace, struct netlink_ext_ack *extack);
void tp_origin_fill(struct tp_region *r);
int tp_origin_make(struct tp_region *r);
int tp_origin_take_out(struct tp_origin *o, pgoff_t first, pgoff_t last);
void tp_origin_end(struct tp_region *r);
void tp_origin_free(struct tp_region *r);
void tp_origin_kick(struct tp_region *r);
void tp_origin_kick_ahead(struct tp_region *r);
void tp_origin_watch(struct tp_region *r);

/* extent.c */
struct tp_extent *tp_extent_new(pgoff_t first, unsigned long count, u64 offset,
				const u8 *digests);
void tp_extent_free(struct tp_extent *e);
unsigned int tp_extents_join(struct tp_extent **extents, unsigned int nr);
void tp_origin_join(struct tp_origin *o, struct tp_extent *const *extents, unsigned int nr);

/* origin_plan.c, under tp_ctl_mutex unless said otherwise */
int tp_plan_init(void);
void tp_plan_exit(void);
int tp_plan_check(const struct tp_region *r, const struct tp_plan_ask *ask,
		  struct netlink_ext_ack *extack);
int tp_plan_hold(struct tp_region *r, struct net *net, u32 portid,
		 struct netlink_ext_ack *extack);
void tp_plan_unhold(struct tp_region *r);
int tp_plan_drop(struct tp_region *r, pgoff_t first, unsigned long count);
void tp_plan_ready(struct tp_region *r);
void tp_plan_planned(struct tp_region *r, u64 pages);
void tp_plan_do_without(struct tp_region *r);

/* origin_read.c */
void tp_reader_work(struct work_struct *work);
void tp_again_work(struct work_struct *work);
void tp_fill_again_work(struct work_struct *work);
void tp_watch_work(struct work_struct *work);
int tp_digest_get(void);
void tp_digest_exit(void);

#endif /* TP_ORIGIN_H */
