/* SPDX-License-Identifier: GPL-2.0 */
/*
 * planner.h - what need not cross the link, as the agent sees it (Documentation/plan.md)
 *
 * planner.c starts the workers; plan_send.c and plan_receive.c are what they do,
 * plan_wire.c how they talk, plan_find.c where pages are, plan_table.c what regions have,
 * plan_keep.c images that stay when a VM leaves.
 */
#ifndef TELEPAGE_PLANNER_H
#define TELEPAGE_PLANNER_H

#include "agent.h"
#include "transport.h"

struct planner;

struct plan_job {
	char group[TELEPAGE_NAME_MAX + 1];	/* only files of it are used */
	bool common;			/* it is no name of a VM: it may have several */
	bool alone;			/* its regions will be attached to: no files for others */
	unsigned int nr;
	struct {
		char name[TELEPAGE_NAME_MAX + 1];
		uint64_t pages;
	} region[MOVE_REGIONS_MAX];
};

/* a fresh copy of @group, or of @otherwise when that is empty or no name */
void plan_group(struct plan_job *job, const char *group, const char *otherwise);
void plan_region(struct plan_job *job, const char *name, uint64_t bytes);

/* @report: what came of it, borrowed; NULL: it came to nothing. The planner is gone then */
typedef void (*planner_fn)(json_t *report, void *arg);

/* is there anything here that could have pages of it? Then its regions are held */
bool planner_hold(const struct plan_job *job);
/* nothing is held any more: for who has held and cannot plan after all */
void planner_let_go(const struct plan_job *job);

/* takes over @fd. NULL: no worker could be started; that was told */
struct planner *planner_receive(int fd, const struct plan_job *job, planner_fn fn, void *arg);
/*
 * The other side. With @keeps it stays after its plan, of which @fn is not told, until
 * planner_keep() or planner_end(). @fd -1: no plan is made, it is there to keep images.
 */
struct planner *planner_send(int fd, const struct plan_job *job, bool keeps, planner_fn fn,
			     void *arg);
/*
 * The connection of a plan: @token lets us in; at the other side it is answered here.
 * planner_connected() is for what the callback got: the descriptor if @who is the one who
 * was to answer, else -1, and @err is why.
 */
struct greet *planner_connect(const struct target *t, const char *token, connect_fn fn, void *arg);
int planner_connected(int fd, const char *who, const char *wanted, const char **err);
bool planner_accept(int fd, const char *refusal);	/* NULL: welcome; false: @fd is closed */
/* has it looked at all pages, but for what is written to since? NULL: yes */
bool planner_looked(const struct planner *p);
void planner_frozen(struct planner *p);	/* its regions were frozen just now; NULL is fine */
/* images of the regions are written now, or when the plan has ended; then @fn is called */
void planner_keep(struct planner *p);
/* region @name came from where its image was kept, by this sum in hex (else NULL or null) */
void planner_remember(const char *name, json_t *sum);
void planner_end(struct planner *p);	/* without its callback; NULL is fine */

#endif /* TELEPAGE_PLANNER_H */
