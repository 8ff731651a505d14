/* SPDX-License-Identifier: GPL-2.0 */
/*
 * prefetch.h - pages that are asked for ahead of use
 *
 * prefetch.c decides which (policy), ahead.c asks and keeps the books (mechanism).
 * Documentation/prefetch.md tells how both work and what bounds them.
 */
#ifndef TP_PREFETCH_H
#define TP_PREFETCH_H

#include "telepage.h"

#define TP_STREAMS	8	/* walks that are followed at the same time */
#define TP_HISTORY	16	/* pages that were needed and belong to no walk */
#define TP_STRIDE_MAX	256	/* pages between two steps of a walk */
#define TP_WINDOW_MAX	256	/* pages that a walk may be ahead of its last step */
#define TP_WINDOW_START	4
#define TP_MISSES	16	/* on walks, that open a closed window again */
#define TP_TOUCHED_CHUNK	4096	/* bytes of a record that are made at once */
#define TP_TOUCHED_CHUNKS 64

/**
 * enum tp_need - how a page was found that somebody needs
 * @TP_NEED_ABSENT: absent, and asked for now
 * @TP_NEED_LATE: asked for ahead and still under way
 * @TP_NEED_CAME: it has come ahead
 */
enum tp_need {
	TP_NEED_ABSENT,
	TP_NEED_LATE,
	TP_NEED_CAME,
};

/**
 * struct tp_prefetch_ops - a policy
 * @name: as people write it
 * @needed: a page is needed: set what streams ask for; under ahead->lock. NULL:
 *	nothing is ever asked for
 *
 * Pages that came by a push or from a file and are touched for the first time are
 * not told: only what would have been, or was, a round trip.
 */
struct tp_prefetch_ops {
	const char *name;
	void (*needed)(struct tp_region *r, struct tp_ahead *a, pgoff_t index, enum tp_need how);
};

/**
 * struct tp_stream - a walk through a region
 */
struct tp_stream {
	pgoff_t last;			/* the page last needed */
	long stride;			/* pages to the next; 0: no walk */
	unsigned int steps;		/* that were seen since it was found */
	pgoff_t ask;			/* the next page to ask for */
	unsigned int left;		/* how many are to be asked for from there on */
	u64 stamp;			/* when it went on: the oldest makes room */
};

/**
 * struct tp_replay - pages to have before they are needed, and how far that is
 *
 * Its owner's lock is held for all of it; @nr is written under tp_ctl_mutex as well.
 */
struct tp_replay {
	struct list_head pieces;
	struct tp_replay_piece *at;	/* NULL: it is through; READ_ONCE as a hint */
	unsigned int run;		/* of that piece */
	u64 pos;			/* pages of that run that are behind us */
	unsigned int nr;		/* runs, of all pieces */
};

/**
 * struct tp_ahead - what is asked for ahead in a region that imports
 *
 * Made with the import, freed with the region. All under @lock unless said otherwise.
 */
struct tp_ahead {
	spinlock_t lock;		/* a leaf; reqs.xa_lock may be held */
	bool ended;			/* nothing is asked for any more */
	bool pending;			/* some stream has pages left; a hint, READ_ONCE */
	struct tp_stream streams[TP_STREAMS];
	unsigned int turn;		/* which stream asks next */
	u64 clock;
	pgoff_t history[TP_HISTORY];	/* a ring, ULONG_MAX: nothing */
	unsigned int history_at;
	unsigned int window;		/* of the adaptive policy, now; READ_ONCE */
	unsigned int hits;		/* since it last changed; while it is 0: misses */

	/* Pages that came ahead and were not touched yet; atomic, no lock. */
	unsigned long *unused;
	atomic_long_t nr_unused;
	atomic_t under_way;		/* requests made ahead; under reqs.xa_lock */

	/* workingset.c; under @lock */
	struct telepage_run *touched[TP_TOUCHED_CHUNKS];	/* what was needed, in order */
	unsigned int nr_touched;	/* runs; chunks are made as they fill */
	bool records;			/* is it to be written down? set once */

	struct tp_replay replay;	/* under @lock */
};

/* prefetch.c */
extern const struct tp_prefetch_ops *const tp_prefetch_policies[];
extern unsigned int tp_prefetch_window;
extern bool tp_workingset;
const struct tp_prefetch_ops *tp_prefetch_find(const char *name);
const struct tp_prefetch_ops *tp_prefetch_default(void);
void tp_prefetch_init(struct tp_ahead *a);
void tp_prefetch_needed(struct tp_region *r, struct tp_ahead *a, pgoff_t index,
			enum tp_need how);
void tp_prefetch_overtaken(struct tp_ahead *a);
bool tp_prefetch_next(struct tp_region *r, struct tp_ahead *a, pgoff_t *index);
void tp_prefetch_switch(struct tp_region *r, const struct tp_prefetch_ops *policy);

/* workingset.c */
void tp_touched(const struct tp_region *r, struct tp_ahead *a, pgoff_t index);
unsigned int tp_touched_read(struct tp_region *r, u64 first, struct telepage_run *runs,
			     unsigned int *nr);
void tp_workingset_free(struct tp_ahead *a);

/* replay.c */
void tp_replay_init(struct tp_replay *rp);
int tp_replay_add(struct tp_region *r, const struct telepage_run *runs, unsigned int nr,
		  bool local, struct netlink_ext_ack *extack);
bool tp_replay_next(struct tp_replay *rp, const unsigned long *wanted, const unsigned long *also,
		    pgoff_t *index, unsigned int *nr);
void tp_replay_again(struct tp_replay *rp);
void tp_replay_forget(struct tp_replay *rp, spinlock_t *lock);

/* ahead.c */
struct tp_ahead *tp_ahead_new(const struct tp_region *r, bool live);
void tp_ahead_end(struct tp_region *r);
void tp_ahead_again(struct tp_region *r);
void tp_ahead_free(struct tp_ahead *a);
unsigned int tp_ahead_take(struct tp_link *link, u8 *buf);
void tp_ahead_reply(struct tp_link *link, u64 sent_ns, bool ahead);
void tp_ahead_lane_up(struct tp_link *link);
void tp_ahead_done(struct tp_region *r, bool overtaken);
void tp_ahead_needed(struct tp_region *r, pgoff_t index, enum tp_need how);
void tp_ahead_came(struct tp_region *r, pgoff_t index);
void tp_ahead_waste(struct tp_region *r, pgoff_t first, pgoff_t last);
bool tp_ahead_forget(struct tp_region *r, pgoff_t index);
void tp_ahead_used_slow(struct tp_region *r, pgoff_t index);
void tp_ahead_clip_slow(const struct tp_region *r, pgoff_t index, pgoff_t *start, pgoff_t *end);

/* Has anything come ahead that was not touched yet? */
static inline bool tp_ahead_any(const struct tp_region *r)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	const struct tp_ahead *a = smp_load_acquire(&r->ahead);

	return a && atomic_long_read(&a->nr_unused);
}

/**
 * tp_ahead_is_unused - has a page come ahead, and nobody touched it yet?
 * @r: the region
 * @index: page, in range
 */
static inline bool tp_ahead_is_unused(const struct tp_region *r, pgoff_t index)
{
	return tp_ahead_any(r) && test_bit(index, r->ahead->unused);
}

/**
 * tp_ahead_used - a page is touched that is not absent
 * @r: the region
 * @index: page; may be out of range
 *
 * Context: any but interrupts, RCU included; not under reqs.xa_lock.
 */
static inline void tp_ahead_used(struct tp_region *r, pgoff_t index)
{
	if (tp_ahead_any(r) && index < r->nr_pages)
		tp_ahead_used_slow(r, index);
}

/**
 * tp_ahead_clip - leave out what came ahead of a range around a page
 * @r: the region
 * @index: the page, which stays
 * @start: first page of the range
 * @end: last page of the range
 */
static inline void tp_ahead_clip(const struct tp_region *r, pgoff_t index, pgoff_t *start,
				 pgoff_t *end)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	const struct tp_ahead *a = smp_load_acquire(&r->ahead);

	if (a && index < r->nr_pages &&
	    (atomic_long_read(&a->nr_unused) || atomic_read(&a->under_way)))
		tp_ahead_clip_slow(r, index, start, end);
}

#endif /* TP_PREFETCH_H */
