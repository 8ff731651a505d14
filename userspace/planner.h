/* SPDX-License-Identifier: GPL-2.0 */
/*
 * planner.h - what need not cross the link, as the agent sees it (Documentation/plan.md)
 *
 * plan_hold.c has regions wait for a plan, planner.c starts the workers, plan_again.c those
 * that come after one that broke off; plan_send.c and plan_receive.c are what they do,
 * plan_wire.c how they talk, plan_find.c where pages are, plan_table.c what regions have,
 * plan_local.c that of those that no plan brought,
 * plan_keep.c images that stay when a VM leaves.
 */
#ifndef TELEPAGE_PLANNER_H
#define TELEPAGE_PLANNER_H

#include "agent.h"
#include "group.h"
#include "transport.h"

struct planner;
struct worker;

struct plan_job {
	char group[GROUP_LEN];		/* only files of it are used, group.h */
	bool common;			/* one was given: it may have several VMs */
	bool alone;			/* its regions will be attached to: no files for others */
	unsigned int nr;
	struct {
		char name[TELEPAGE_NAME_MAX + 1];
		uint64_t pages;
	} region[MOVE_REGIONS_MAX];
};

/* group @name; NULL, empty or no name: none, so it is @own by itself */
void plan_group(struct plan_job *job, const char *name, const char *own);
void plan_region(struct plan_job *job, const char *name, uint64_t bytes);

/* plans of one job that may be begun: who lets one break off each time gets no more */
#define PLAN_TRIES	8

/*
 * @report: what came of it, borrowed; NULL: it came to nothing. @broken: its connection
 * was lost or its worker died, so another one may come to its end. The planner is gone then. One
 * whose worker stands still is ended, see plan.md.
 */
typedef void (*planner_fn)(json_t *report, bool broken, void *arg);

struct plan_seen;

/*
 * A destination's regions, which are held from before they import until no plan is to come
 * any more. Zeroed, but for @job, it holds nothing.
 */
struct plan_hold {
	struct plan_job job;
	bool held;
	unsigned int begun;		/* plans */
	struct plan_seen *seen;		/* what they have done so far */
	struct planner *planner;	/* the one that goes on */
	bool due;			/* the source is frozen: it has something to say */
	struct worker *look;		/* is there anything to be found? */
	struct timer late;
	void (*fn)(void *arg);
	void *arg;
};

/*
 * Is there anything here that could have pages of it? Then its regions are held. A worker looks,
 * for a few seconds at most, so @fn may be called now or later; @h->held says what came of it.
 */
void planner_hold(struct plan_hold *h, void (*fn)(void *arg), void *arg);
/*
 * No plan is to come: what none has found comes from the peer. Ends one that goes on, and a
 * look, without its callback.
 */
void planner_let_go(struct plan_hold *h);

/*
 * The source is known to be frozen. Until then it may be silent for any time when all of its
 * pages were looked for. Said again and again is fine.
 */
void planner_due(struct plan_hold *h);

/* takes over @fd; false: no worker could be started, which was told */
bool planner_receive(struct plan_hold *h, int fd, planner_fn fn, void *arg);
/*
 * The other side; NULL: as above. With @keeps it stays after its plan, of which @fn is not
 * told unless it is @broken, until planner_keep() or planner_end(). @fd -1: no plan is made,
 * it is there to keep images. @stalls: those of its workers that stood still, 0 at first; after
 * two the next one only says that there will be no plan. NULL with @fd -1.
 */
struct planner *planner_send(int fd, const struct plan_job *job, bool keeps,
			     unsigned int *stalls, planner_fn fn, void *arg);
/*
 * The side that has not connected: NULL, or why @fd gets no plan. @p, which may be NULL, is the
 * one before, which is killed then, and its callback comes when it is dead.
 */
const char *planner_refuses(struct planner *p, unsigned int begun);
bool planner_accept(int fd, const char *refusal);	/* NULL: welcome; false: @fd is closed */
/*
 * has it looked at all pages, but for what is written to since? NULL: yes, and so is one that waits
 * for a word from the other side for long: that says no more of what it wants
 */
bool planner_looked(const struct planner *p);
void planner_frozen(struct planner *p);	/* its regions were frozen just now; NULL is fine */
/* images of the regions are written now, or when the plan has ended; then @fn is called */
void planner_keep(struct planner *p);
/* its connection is cut in so many ms, unless its plan has ended; NULL is fine */
void planner_hurry(struct planner *p, unsigned int ms);
/* region @name came from where its image was kept, by this sum in hex (else NULL or null) */
void planner_remember(const char *name, json_t *sum);
void planner_end(struct planner *p);	/* without its callback; NULL is fine */
/* the job's regions, which import, are of its group, whatever a VM of such a name says */
void planner_came(const struct plan_job *job);
/* what region @name came with, and whose it was, means nothing any more once the region is gone */
void planner_forget(const char *name);
void planner_forget_gone(void);		/* the same of all that there ever were */

/* --- plan_again.c: who connects, and who waits for that ----------------------------- */

struct plink;

struct plan_dial_ops {
	/* @fd is yours */
	void (*reached)(int fd, void *arg);
	/* there will be no plan, or no other; told from the loop */
	void (*over)(void *arg);
};

/* Zeroed it does nothing. */
struct plan_dial {
	struct plink *link;		/* to whose other end, by its token */
	const struct plan_dial_ops *ops;
	void *arg;
	struct greet *greet;
	struct timer timer;
	unsigned int tries, vain, backoff;
	uint64_t over;			/* ms, when it was given up; 0: not yet */
	char last_error[256];
};

void plan_dial_begin(struct plan_dial *d, struct plink *l, const struct plan_dial_ops *ops,
		     void *arg);
/* what was begun has broken off: connects anew, or says soon that it is over */
void plan_dial_again(struct plan_dial *d);
bool plan_dial_goes_on(const struct plan_dial *d);	/* is another plan to come? */
/* the same, or a destination that waits for one need not have given up yet */
bool plan_dial_pending(const struct plan_dial *d);
void plan_dial_end(struct plan_dial *d);	/* no more; without a callback */

/* Waits for a plan that the other side begins, as long as that can come to something. */
struct plan_wait {
	struct plink *link;
	void (*fn)(void *arg);		/* it did not come */
	void *arg;
	struct timer timer;
	unsigned int left;		/* s */
};

void plan_wait_begin(struct plan_wait *w, struct plink *l, void (*fn)(void *arg), void *arg);
void plan_wait_end(struct plan_wait *w);

#endif /* TELEPAGE_PLANNER_H */
