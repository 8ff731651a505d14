/* SPDX-License-Identifier: GPL-2.0 */
/*
 * move_plan.h - a move's plan: what of the VM is at the destination already
 *
 * Nothing in a move waits for it but the release of memory that is to be kept, and
 * nothing fails because of it.
 */
#ifndef TELEPAGE_MOVE_PLAN_H
#define TELEPAGE_MOVE_PLAN_H

#include "move_dst.h"
#include "move_src.h"

/* the source: what `prepare` says of it; then, if the answer is that a plan is wanted */
void msrc_plan_ask(struct msrc *m, json_t *prepare);
void msrc_plan_begin(struct msrc *m);
void msrc_plan_frozen(struct msrc *m);
/* is there something that it will want, but does not know of yet? */
bool msrc_plan_looks(const struct msrc *m);
void msrc_plan_keep(struct msrc *m);	/* it runs there: images may be kept */
/* is one being written still? Then msrc_release() is called when it is there */
bool msrc_plan_waits(struct msrc *m);
void msrc_plan_drop(struct msrc *m);

/* the source: it runs there, and what tells its group has gone with it */
void msrc_plan_left(struct msrc *m);

/* the destination: whose VM it is, for its next move from here; 0 or a negative errno */
int mdst_plan_group(struct mdst *m, json_t *prepare);
/* holds its regions if that is of use; mdst_prepared() follows, now or in a few seconds */
void mdst_plan_prepare(struct mdst *m, json_t *prepare);
void mdst_plan_load(struct mdst *m);	/* the source's VM has stopped */
void mdst_plan_loaded(struct mdst *m);	/* its device state is here, so it is frozen there */
void mdst_plan_complete(struct mdst *m);	/* all pages are there: no plan is begun any more */
void mdst_plan_drop(struct mdst *m);

#endif /* TELEPAGE_MOVE_PLAN_H */
