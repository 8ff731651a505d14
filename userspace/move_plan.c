// SPDX-License-Identifier: GPL-2.0
/*
 * move_plan.c - a move's plan at both ends
 */
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "move_plan.h"

/* --- the source ---------------------------------------------------------------- */

/* the first line of the file `group` in the VM's directory, beside `args`; "": there is none */
static void read_group(struct msrc *m)
{
	int dir = strrchr(m->args_file, '/') + 1 - m->args_file;
	char *path = xasprintf("%.*sgroup", dir, m->args_file), *text = file_read(path, 256);

	m->group[0] = 0;
	if (text) {
		text[strcspn(text, "\n")] = 0;
		if (name_ok(text))
			copy_str(m->group, text);
		else
			note("%s is not the name of a group, and not used", path);
	}
	free(text);
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
	json_object_set_new(prepare, "plan", json_true());
	if (*m->group)
		json_object_set_new(prepare, "group", json_string(m->group));
}

static void plan_ended(json_t *report, void *arg)
{
	struct msrc *m = arg;

	m->planner = NULL;
	m->kept = json_incref(json_object_get(report, "kept"));
	if (m->keep_waits) {
		m->keep_waits = false;
		m->letting_go = false;
		msrc_release(m);
	}
}

static void plan_connected(int fd, const char *addr, const char *who, const char *err, void *arg)
{
	struct msrc *m = arg;
	struct plan_job job;

	(void)addr;
	m->plan_greet = NULL;
	fd = planner_connected(fd, who, m->who, &err);
	if (fd < 0) {
		msrc_note(m, "no plan: %s", err);
		return;
	}
	make_job(m, &job);
	m->planner = planner_send(fd, &job, agent.keep_images, plan_ended, m);
}

void msrc_plan_begin(struct msrc *m)
{
	m->plan_greet = planner_connect(&m->target, m->link->token, plan_connected, m);
}

void msrc_plan_frozen(struct msrc *m)
{
	planner_frozen(m->planner);
}

void msrc_plan_keep(struct msrc *m)
{
	struct plan_job job;

	if (!agent.keep_images)
		return;
	make_job(m, &job);
	if (!m->planner)
		m->planner = planner_send(-1, &job, true, plan_ended, m);
	if (m->planner)
		planner_keep(m->planner);
}

bool msrc_plan_waits(struct msrc *m)
{
	/* a plan that goes on has nobody at the other end who needs it */
	if (m->planner && (!agent.keep_images || m->abandoned))
		msrc_plan_drop(m);
	m->keep_waits = m->planner;
	return m->keep_waits;
}

void msrc_plan_drop(struct msrc *m)
{
	transport_cancel(m->plan_greet);
	m->plan_greet = NULL;
	planner_end(m->planner);
	m->planner = NULL;
	m->keep_waits = false;
}

/* --- the destination -------------------------------------------------------------- */

bool mdst_plan_prepare(struct mdst *m, json_t *prepare)
{
	const char *group = json_string_value(json_object_get(prepare, "group"));
	char *path;

	plan_group(&m->plan, group, m->vm);
	for (unsigned int i = 0; i < m->nr; i++)
		plan_region(&m->plan, m->region[i].name, m->region[i].size);
	if (m->plan.common) {
		/* when it moves on it is of the same group */
		path = xasprintf("%s/group", m->vm_dir);
		m->made_group = access(path, F_OK) && !file_replace(path, group, 0600);
		free(path);
	}
	m->held = json_is_true(json_object_get(prepare, "plan")) && planner_hold(&m->plan);
	return m->held;
}

static void received(json_t *report, void *arg)
{
	struct mdst *m = arg;

	(void)report;
	m->planner = NULL;
}

void move_dst_accept_plan(int fd, struct plink *l)
{
	struct mdst *m = l->move[0] ? mdst_find(l->move) : NULL;
	bool wanted = m && m->link == l && m->held && m->state < DST_LOADING;

	if (!wanted) {
		planner_accept(fd, "no move waits for a plan here");
		return;
	}
	if (!planner_accept(fd, NULL))
		return;
	m->held = false;		/* the planner's from here */
	m->planner = planner_receive(fd, &m->plan, received, m);
}

void mdst_plan_load(struct mdst *m)
{
	if (m->held)
		planner_let_go(&m->plan);
	m->held = false;
}

void mdst_plan_drop(struct mdst *m)
{
	mdst_plan_load(m);
	planner_end(m->planner);
	m->planner = NULL;
}
