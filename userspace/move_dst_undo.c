// SPDX-License-Identifier: GPL-2.0
/*
 * move_dst_undo.c - a move that failed before it was committed, at its destination
 *
 * The VMM goes first, for it maps the regions; then they, the link, and what lies in
 * the VM's directory.
 */
#include <stdio.h>
#include <unistd.h>

#include "journal.h"
#include "move_plan.h"

#define HOOK_MS		60000
#define CMD_MS		10000
#define JOURNAL_MS	1000		/* until a record is tried again that could not be written */

static void abort_done(void *arg)
{
	struct mdst *m = arg;

	m->state = DST_ABORTED;
	m->link = NULL;
	note("move %.8s of %s: undone here: %s", m->id, m->vm, m->error);
	if (m->peer && m->abort_call)
		peer_answer(m->peer, m->abort_call, json_pack("{s:s}", "state", "aborted"));
	m->abort_call = 0;
	if (m->was_ready) {
		/* a tombstone: nothing to do with a later VM of the same name */
		m->nr = 0;
		m->hook_started = false;
		mdst_journal(m);
		return;
	}
	journal_remove("dst", m->id);
	mdst_free(m);
}

static void let_go(struct mdst *m)
{
	struct letgo_list list = { .abandon = true };
	char why[96];
	unsigned int i;

	unlink(m->incoming);
	unlink(m->args_path);
	unlink(m->group_path);
	/* a directory that we made is ours to empty: QEMU may have been killed */
	if (m->made_dir) {
		char pid[300];

		snprintf(pid, sizeof(pid), "%s/pid", m->vm_dir);
		unlink(pid);
		unlink(m->qmp_path);
		rmdir(m->vm_dir);
	}
	for (i = 0; i < m->nr; i++)
		letgo_add(list.region, &list.nr_regions, m->region[i].name);
	if (m->link) {
		m->link->changed = NULL;
		list.has_link = true;
		list.link = m->link->id;
	}
	snprintf(why, sizeof(why), "undoing the move of %s", m->vm);
	letgo_start(&list, why, abort_done, m);
}

static void vmm_stopped(const char *err, void *arg)
{
	struct mdst *m = arg;

	m->hook = NULL;
	if (err)
		note("move %.8s of %s: %s", m->id, m->vm, err);
	hook_kill(m->id, m->vm);
	let_go(m);
}

static void undo(void *arg)
{
	struct mdst *m = arg;
	struct hook_env env;

	/*
	 * Before anything is undone: from here on commit is refused, by a new agent too.
	 * With `commit` on disk that one would say `cont`, so the source hears nothing
	 * until it would not.
	 */
	m->abort_pending = mdst_journal(m) && m->committed;
	if (m->abort_pending) {
		timer_set(&m->timer, JOURNAL_MS, undo, m);
		return;
	}
	if (m->call)
		mdst_answer(m, json_pack("{s:s, s:b}", "error", m->error, "aborted", 1));
	else if (m->peer && !m->abort_call)
		peer_notice(m->peer, "failed", json_pack("{s:s, s:s}", "move", m->id,
							 "error", m->error));
	hook_cancel(m->hook);
	m->hook = NULL;
	if (m->qmp) {
		qmp_cmd(m->qmp, "quit", NULL, CMD_MS, NULL, NULL);
		qmp_finish(m->qmp);
		m->qmp = NULL;
	}
	if (m->hook_started) {
		/* a `start` of the agent before us must not go on behind `stop`'s back */
		if (m->restored)
			hook_kill(m->id, m->vm);
		mdst_hook_env(m, &env);
		m->hook = hook_run("stop", &env, HOOK_MS, vmm_stopped, m);
	} else {
		let_go(m);
	}
}

void mdst_abort(struct mdst *m, const char *why)
{
	if (m->state >= DST_RUNNING)
		return;
	if (why != m->error)
		snprintf(m->error, sizeof(m->error), "%s", why);
	plain(m->error);
	m->state = DST_ABORTING;
	timer_clear(&m->timer);
	timer_clear(&m->again);
	devstate_drop(&m->devstate);
	mdst_plan_drop(m);
	mdst_warm_drop(m);
	if (m->link)
		m->link->closing = true;
	undo(m);
}
