// SPDX-License-Identifier: GPL-2.0
/*
 * move_plan.c - a move's plan at both ends
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "move_plan.h"

#define COMPLETE_MS	10000		/* for a plan to end when no page is missing any more */

/* --- the source ---------------------------------------------------------------- */

/* the first line of the file @path; "": there is none, or it names no group */
static void group_in(const char *path, char group[TELEPAGE_NAME_MAX + 1])
{
	int err = group_read(path, group);

	if (err == -EINVAL)
		note("%s is not the name of a group, and not used", path);
	else if (err && err != -ENOENT)
		note("%s is not used: %s", path, strerror(-err));
}

/* the file `group` in the VM's directory, beside `args`; to be freed */
static char *group_file(const struct msrc *m)
{
	int dir = strrchr(m->args_file, '/') + 1 - m->args_file;

	return xasprintf("%.*sgroup", dir, m->args_file);
}

static void read_group(struct msrc *m)
{
	char *path = group_file(m);

	group_in(path, m->group);
	m->group_known = true;
	free(path);
}

void msrc_plan_left(struct msrc *m)
{
	char *path = group_file(m), group[TELEPAGE_NAME_MAX + 1];

	/* one that is started here by that name is another; but what was written since stays */
	group_in(path, group);
	if (m->group_known && *group && !strcmp(group, m->group))
		unlink(path);
	free(path);
}

static void make_job(struct msrc *m, struct plan_job *job)
{
	*job = (struct plan_job){ .nr = 0 };
	plan_group(job, m->group, m->as);
	for (unsigned int i = 0; i < m->ram.nr; i++)
		plan_region(job, m->ram.region[i].name, m->ram.region[i].size);
}

void msrc_plan_ask(struct msrc *m, json_t *prepare)
{
	read_group(m);
	/* not true: who only knows that takes a group for the VM of its name; it plans nothing */
	json_object_set_new(prepare, "plan", json_string(*m->group ? "group" : "own"));
	if (*m->group)
		json_object_set_new(prepare, "group", json_string(m->group));
}

static void plan_ended(json_t *report, bool broken, void *arg);

/* by who has planned, else by one that only does that; not as long as a plan is to come */
static void keep_now(struct msrc *m)
{
	struct plan_job job;

	if (!m->planner && !plan_dial_goes_on(&m->dial)) {
		make_job(m, &job);
		m->planner = planner_send(-1, &job, true, NULL, plan_ended, m);
	}
	if (m->planner)
		planner_keep(m->planner);
}

static void plan_ended(json_t *report, bool broken, void *arg)
{
	struct msrc *m = arg;

	m->planner = NULL;
	if (broken && m->state <= SRC_FILL) {
		plan_dial_again(&m->dial);
		return;
	}
	if (broken && m->keep_due)
		keep_now(m);
	if (m->planner)
		return;
	m->keep_due = false;
	m->kept = json_incref(json_object_get(report, "kept"));
	if (m->keep_waits) {
		m->keep_waits = false;
		m->letting_go = false;
		msrc_release(m);
	}
}

static void plan_reached(int fd, void *arg)
{
	struct msrc *m = arg;
	struct plan_job job;

	make_job(m, &job);
	m->planner = planner_send(fd, &job, agent.keep_images, &m->stalls, plan_ended,
				  m);
	if (!m->planner)
		plan_dial_again(&m->dial);
	else if (m->keep_due)
		planner_keep(m->planner);
}

static void plan_over(void *arg)
{
	struct msrc *m = arg;

	if (m->keep_due)
		keep_now(m);
}

static const struct plan_dial_ops plan_ops = { .reached = plan_reached, .over = plan_over };

void msrc_plan_begin(struct msrc *m)
{
	plan_dial_begin(&m->dial, m->link, &plan_ops, m);
}

void msrc_plan_frozen(struct msrc *m)
{
	planner_frozen(m->planner);
}

bool msrc_plan_looks(const struct msrc *m)
{
	return !planner_looked(m->planner) || plan_dial_pending(&m->dial);
}

void msrc_plan_keep(struct msrc *m)
{
	if (!agent.keep_images || !m->group_known)
		return;
	m->keep_due = true;
	keep_now(m);
}

bool msrc_plan_waits(struct msrc *m)
{
	plan_dial_end(&m->dial);
	/* a plan that goes on has nobody at the other end who needs it */
	if (m->planner && (!agent.keep_images || m->abandoned))
		msrc_plan_drop(m);
	if (m->keep_due && !m->abandoned)
		keep_now(m);
	m->keep_waits = m->planner;
	/* who has all pages need not end a plan, or say anything in it any more */
	planner_hurry(m->planner, COMPLETE_MS);
	return m->keep_waits;
}

void msrc_plan_drop(struct msrc *m)
{
	plan_dial_end(&m->dial);
	planner_end(m->planner);
	m->planner = NULL;
	m->keep_waits = false;
}

/* --- the destination -------------------------------------------------------------- */

/* no plan is to come any more */
static void late(void *arg)
{
	struct mdst *m = arg;

	planner_let_go(&m->plan);
}

/* With @full the VM stands still until it has all of its memory: then nothing is held back. */
static bool may_come(const struct mdst *m)
{
	return m->plan.held && m->state < DST_COMPLETE && !(m->full && m->state >= DST_LOADING);
}

static void wait_or_let_go(struct mdst *m)
{
	if (may_come(m))
		plan_wait_begin(&m->plan_wait, m->link, late, m);
	else
		planner_let_go(&m->plan);
}

/*
 * Does the source want a plan, and say well for whom? An older one says true, and has a group
 * if it names one.
 */
static bool wants_plan(const struct mdst *m, json_t *prepare, const char *group)
{
	json_t *plan = json_object_get(prepare, "plan");
	const char *whose = json_string_value(plan);

	if (json_object_get(prepare, "group") && (!group || !name_ok(group)))
		return false;
	if (!json_is_true(plan) && (!whose || strcmp(whose, group ? "group" : "own") != 0))
		return false;
	return mdst_same_group(m, group);
}

int mdst_plan_group(struct mdst *m, json_t *prepare)
{
	const char *group = json_string_value(json_object_get(prepare, "group"));

	if (m->known)
		return 0;
	/* empty: it has none, whatever a VM of its name had that was here before */
	return file_replace(m->group_path, group && name_ok(group) ? group : "", 0600);
}

static void held(void *arg)
{
	struct mdst *m = arg;

	if (m->plan.held)
		wait_or_let_go(m);
	mdst_prepared(m);
}

void mdst_plan_prepare(struct mdst *m, json_t *prepare)
{
	const char *group = json_string_value(json_object_get(prepare, "group"));
	struct plan_job *job = &m->plan.job;

	plan_group(job, group, m->vm);
	for (unsigned int i = 0; i < m->nr; i++)
		plan_region(job, m->region[i].name, m->region[i].size);
	if (wants_plan(m, prepare, group))
		planner_hold(&m->plan, held, m);
	else
		mdst_prepared(m);
}

static void received(json_t *report, bool broken, void *arg)
{
	struct mdst *m = arg;

	(void)report;
	if (broken)
		wait_or_let_go(m);
	else
		planner_let_go(&m->plan);
}

void move_dst_accept_plan(int fd, struct plink *l)
{
	struct mdst *m = l->move[0] ? mdst_find(l->move) : NULL;
	const char *refusal = "no move waits for a plan here";

	if (m && m->link == l && may_come(m))
		refusal = planner_refuses(m->plan.planner, m->plan.begun);
	if (!planner_accept(fd, refusal) || !m)
		return;
	plan_wait_end(&m->plan_wait);
	if (!planner_receive(&m->plan, fd, received, m))
		wait_or_let_go(m);
}

void mdst_plan_load(struct mdst *m)
{
	if (!m->plan.planner && !may_come(m))
		mdst_plan_drop(m);
}

void mdst_plan_loaded(struct mdst *m)
{
	planner_due(&m->plan);
}

void mdst_plan_complete(struct mdst *m)
{
	plan_wait_end(&m->plan_wait);
	/* one that goes on may end, for the source keeps its digests */
	if (m->plan.planner)
		timer_set(&m->plan_wait.timer, COMPLETE_MS, late, m);
	else
		planner_let_go(&m->plan);
}

void mdst_plan_drop(struct mdst *m)
{
	plan_wait_end(&m->plan_wait);
	planner_let_go(&m->plan);
}
