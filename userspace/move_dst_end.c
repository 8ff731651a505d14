// SPDX-License-Identifier: GPL-2.0
/*
 * move_dst_end.c - a move's destination from commit on, and after a restart
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "move_plan.h"

#define CMD_MS		10000
#define PROGRESS_MS	200
#define AGAIN_MS	1000

/* COMMITTED, RUNNING, COMPLETE */

void mdst_watch_fill(void *arg)
{
	struct mdst *m = arg;
	struct counters c;
	bool complete;

	if (m->state != DST_RUNNING)
		return;
	complete = mdst_counters(m, &c);
	if (complete) {
		m->state = DST_COMPLETE;
		mdst_journal(m);
		mdst_plan_complete(m);
		if (m->link)
			m->link->closing = true;
		note("move %.8s of %s: %s", m->id, m->vm,
		     m->abandoned ? "abandoned with pages missing" : "complete");
	} else {
		timer_set(&m->timer, PROGRESS_MS, mdst_watch_fill, m);
	}
	if (m->peer)
		peer_notice(m->peer, complete ? "complete" : "progress",
			    json_pack("{s:s, s:b, s:o}", "move", m->id, "abandoned", m->abandoned,
				      "counters", counters_to_json(&c)));
}

/*
 * What the source has said of the VM is so from now on, for its next move, where that is for it
 * to say; @all: also that there is nothing.
 */
static void take(const char *said, const char *here, bool all)
{
	struct stat st;

	if (stat(said, &st))
		return;
	if (agent.accept_moves == ACCEPT_ALL && st.st_size) {
		rename(said, here);
		return;
	}
	if (agent.accept_moves == ACCEPT_ALL && all)
		unlink(here);
	unlink(said);
}

static void running(struct mdst *m)
{
	mdst_warm_drop(m);
	timer_clear(&m->again);
	m->state = DST_RUNNING;
	mdst_answer(m, json_pack("{s:s}", "state", "running"));
	/* before the record says so, after which no agent looks for them any more */
	take(m->args_path, m->args_here, false);
	take(m->group_path, m->group_here, true);
	mdst_journal(m);
	note("move %.8s of %s: %s here", m->id, m->vm, m->run ? "runs" : "is (paused)");
	if (m->qmp) {
		/* an ordinary VM from now on; QMP is free for others */
		qmp_cmd(m->qmp, "migrate-set-capabilities",
			qmp_caps("x-ignore-shared", 0, "late-block-activate", 0, NO_CAP), CMD_MS,
			NULL, NULL);
		qmp_finish(m->qmp);
		m->qmp = NULL;
	}
	mdst_watch_fill(m);
}

static void look_again(void *arg)
{
	struct mdst *m = arg;

	if (m->qmp)
		qmp_cmd(m->qmp, "query-status", NULL, CMD_MS, mdst_found_status, m);
	else
		m->qmp = qmp_open(m->qmp_path, 0, &mdst_vmm_ops, m);
}

/*
 * The VMM is there, but does not say how it is: its QMP has another client, or it is
 * slow. As long as nobody has committed the source need not wait for that for ever.
 */
static void ask_again(struct mdst *m, const char *why)
{
	if (m->state == DST_READY && now_ms() >= m->find_until) {
		mdst_abort(m, why);
		return;
	}
	if (!m->mute)
		note("move %.8s of %s: %s; asked again until it answers", m->id, m->vm, why);
	m->mute = true;
	timer_set(&m->again, AGAIN_MS, look_again, m);
}

void mdst_lost_vmm(struct mdst *m, const char *why)
{
	if (!qmp_gone(m->qmp_path)) {
		ask_again(m, why);
	} else if (m->asked) {
		/* a VM that may have run and is gone has crashed here, not at the source */
		note("move %.8s of %s: committed, but its VMM is gone", m->id, m->vm);
		running(m);
	} else {
		mdst_abort(m, why);
	}
}

/* does it run, or has it? From `-S` until `cont` there are these three only. */
static bool has_run(json_t *ret)
{
	const char *status = json_string_value(json_object_get(ret, "status"));

	return json_is_true(json_object_get(ret, "running")) || !status ||
	       (strcmp(status, "paused") != 0 && strcmp(status, "prelaunch") != 0 &&
		strcmp(status, "inmigrate") != 0);
}

static void refused_status(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;

	if (err)
		ask_again(m, err);
	else if (has_run(ret))
		running(m);
	else
		mdst_abort(m, m->error);
}

static void cont_done(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;

	(void)ret;
	if (!err) {
		running(m);
		return;
	}
	/* only if it surely does not run may the source have it back */
	snprintf(m->error, sizeof(m->error), "the VMM at the destination refused to run: %s", err);
	qmp_cmd(m->qmp, "query-status", NULL, CMD_MS, refused_status, m);
}

static void say_cont(struct mdst *m)
{
	if (qmp_cmd(m->qmp, "cont", NULL, CMD_MS, cont_done, m))
		m->asked = true;
}

void mdst_commit(struct mdst *m)
{
	timer_clear(&m->timer);
	/* not before we know that there is a VMM; mdst_found_status() goes on then */
	if (!m->found)
		return;
	m->state = DST_COMMITTED;
	if (mdst_journal(m)) {
		mdst_abort(m, "the destination cannot write its journal");
		return;
	}
	m->committed = true;
	if (m->run)
		say_cont(m);
	else
		qmp_cmd(m->qmp, "query-status", NULL, CMD_MS, mdst_found_status, m);
}

/* a new agent */

void mdst_found_status(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;

	if (m->state != DST_READY && m->state != DST_COMMITTED)
		return;
	if (err) {
		ask_again(m, err);
	} else if (m->state == DST_READY) {
		m->found = true;
		if (json_is_true(json_object_get(ret, "running")))
			mdst_abort(m, "the VM runs without having been committed");
		else if (m->call)
			mdst_commit(m);
	} else if (m->state == DST_COMMITTED) {
		if (m->run && !has_run(ret))
			say_cont(m);
		else
			running(m);
	}
}

/* what a new agent has to know; read by restore_one() */
int mdst_journal(struct mdst *m)
{
	static const char * const names[] = {
		"prepare", "prepare", "prepare", "prepare", "ready", "commit", "running",
		"complete", "aborted", "aborted",
	};
	json_t *regions = json_array(), *obj;
	unsigned int i;
	int err;

	for (i = 0; i < m->nr; i++)
		json_array_append_new(regions, json_pack("{s:s, s:I}", "name", m->region[i].name,
							 "size", (json_int_t)m->region[i].size));
	obj = json_pack("{s:s, s:s, s:s, s:o, s:b, s:b, s:b, s:b, s:i}", "vm", m->vm, "who", m->who,
			"phase", names[m->state], "regions", regions, "run", m->run,
			"hook", m->hook_started, "was_ready", m->was_ready, "made_dir", m->made_dir,
			"link", m->link ? (int)m->link->id : 0);
	err = journal_write("dst", m->id, obj);
	json_decref(obj);
	return err;
}

static void restore_one(const char *id, json_t *obj)
{
	const char *vm, *phase, *name, *who = "";
	json_t *regions, *r;
	struct mdst *m;
	int run, hook, was_ready, made_dir, link;
	json_int_t size;
	size_t i;

	if (json_unpack(obj, "{s:s, s?s, s:s, s:o, s:b, s:b, s:b, s:b, s:i}", "vm", &vm, "who", &who, "phase", &phase,
			"regions", &regions, "run", &run, "hook", &hook,
			"was_ready", &was_ready, "made_dir", &made_dir, "link", &link) || !name_ok(vm)) {
		note("journal of move %.8s is not understood and left alone", id);
		return;
	}
	m = mdst_new(id, vm);
	m->restored = true;
	copy_str(m->who, who);
	m->run = run;
	m->hook_started = hook;
	m->was_ready = was_ready;
	m->made_dir = made_dir;
	json_array_foreach(regions, i, r)
		if (m->nr < MOVE_REGIONS_MAX &&
		    !json_unpack(r, "{s:s, s:I}", "name", &name, "size", &size) && name_ok(name)) {
			copy_str(m->region[m->nr].name, name);
			m->region[m->nr++].size = size;
		}
	m->link = plink_find(link);
	if (m->link && strcmp(m->link->move, id) != 0)
		m->link = NULL;
	note("found move %.8s of %s to here, %s", id, vm, phase);
	if (!strcmp(phase, "ready") || !strcmp(phase, "commit")) {
		m->state = *phase == 'r' ? DST_READY : DST_COMMITTED;
		/* `cont` follows that record at once: who could say that it has not run? */
		m->asked = m->state == DST_COMMITTED;
		m->committed = m->asked;
		m->find_until = now_ms() + agent.orphan_ms;
		m->qmp = qmp_open(m->qmp_path, 1000, &mdst_vmm_ops, m);
		if (m->state == DST_READY)
			timer_set(&m->timer, agent.orphan_ms, mdst_orphaned, m);
	} else if (!strcmp(phase, "running")) {
		m->state = DST_RUNNING;
		mdst_watch_fill(m);
	} else if (!strcmp(phase, "complete")) {
		m->state = DST_COMPLETE;
	} else if (!strcmp(phase, "aborted") && !m->nr && !m->hook_started && !m->link) {
		m->state = DST_ABORTED;
	} else {
		m->state = DST_PREPARED;
		mdst_abort(m, "the agent was restarted");
	}
}

void move_dst_restore(void)
{
	journal_each("dst", restore_one);
}

