// SPDX-License-Identifier: GPL-2.0
/*
 * move_src_list.c - the moves that leave this host, and what its commands ask of them
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "journal.h"
#include "move_plan.h"

static LIST_HEAD(, msrc) moves = LIST_HEAD_INITIALIZER(moves);

struct msrc *msrc_find_vm(const char *vm)
{
	struct msrc *m;

	LIST_FOREACH(m, &moves, list)
		if (!strcmp(m->vm, vm))
			return m;
	return NULL;
}

struct msrc *msrc_new(const char *id)
{
	struct msrc *m = xcalloc(1, sizeof(*m));

	if (id)
		snprintf(m->id, sizeof(m->id), "%s", id);
	else
		token_new(m->id);
	snprintf(m->state_sock, sizeof(m->state_sock), "%s/state.%.8s", agent.state, m->id);
	m->t_begin = now_ms();
	devstate_init(&m->devstate);
	LIST_INSERT_HEAD(&moves, m, list);
	return m;
}

void msrc_drop_state(struct msrc *m)
{
	transport_cancel(m->greet);
	m->greet = NULL;
	devstate_drop(&m->devstate);
}

void msrc_free(struct msrc *m)
{
	timer_clear(&m->timer);
	timer_clear(&m->vm_timer);
	timer_clear(&m->done_timer);
	qmp_ram_cancel(m->ram_finder);
	qmp_close(m->qmp);
	peer_close(m->peer);
	msrc_drop_state(m);
	msrc_plan_drop(m);
	msrc_warm_end(m);
	msrc_sample_drop(m);
	json_decref(m->machine);
	json_decref(m->kept);
	LIST_REMOVE(m, list);
	loop_free(m);
}

/* commands of this host */

/*
 * Where is the VM's QEMU? NULL and the path of its socket, or in words that it is not
 * there: that is no move that has failed yet.
 */
static const char *find_qmp(const struct move_request *req, const char *vm_dir, char *path,
			    size_t len)
{
	static char words[512];
	struct stat st;
	int n;

	snprintf(path, len, "%s/%s", vm_dir, req->vm);
	if (!req->qmp && stat(path, &st)) {
		snprintf(words, sizeof(words),
			 "no such VM: %s: %s (--vm-dir or --qmp says where else it is)", path,
			 strerror(errno));
		return words;
	}
	n = req->qmp ? snprintf(path, len, "%s", req->qmp) :
		       snprintf(path, len, "%s/%s/qmp.sock", vm_dir, req->vm);
	if (n >= MOVE_SOCK_MAX)
		return "the path of the QMP socket is too long";
	if (stat(path, &st)) {
		snprintf(words, sizeof(words),
			 "its QEMU has no QMP socket: %s: %s (does it run? --qmp says where else that is)",
			 path, strerror(errno));
		return words;
	}
	return NULL;
}

const char *move_src_begin(const struct move_request *req, struct conn *watcher)
{
	const char *vm_dir = req->vm_dir ? req->vm_dir : agent.vm_dir, *why;
	char qmp[sizeof(((struct msrc *)0)->qmp_path)];
	char args[sizeof(((struct msrc *)0)->args_file)];
	struct msrc *m;

	if (!name_ok(req->vm) || (req->as && !name_ok(req->as)))
		return "bad VM name";
	/* an earlier move of it that only fills yet, before it came back, is no obstacle */
	m = msrc_find_vm(req->vm);
	if (m && m->state != SRC_FILL && m->state != SRC_RELEASE)
		return "a move of this VM is under way: watch it with telepage move --watch";
	why = find_qmp(req, vm_dir, qmp, sizeof(qmp));
	if (why)
		return why;
	if (snprintf(args, sizeof(args), "%s/%s/args", vm_dir, req->vm) >= (int)sizeof(args))
		return "the path of the VM's directory is too long";
	m = msrc_new(NULL);
	snprintf(m->vm, sizeof(m->vm), "%s", req->vm);
	snprintf(m->as, sizeof(m->as), "%s", req->as ? req->as : req->vm);
	copy_str(m->qmp_path, qmp);
	copy_str(m->args_file, args);
	m->target = req->target;
	m->bulk = req->bulk;
	m->mode = req->mode;
	m->mode_said = req->mode_said;
	m->switch_after = req->switch_after;
	m->warm.ms = req->warm_ms;
	m->sample_ms = req->sample;
	watchers_add(&m->watchers, watcher);
	msrc_note(m, "to %s", m->target.host);
	msrc_enter(m, SRC_QMP);
	return NULL;
}

const char *move_src_watch(const char *vm, struct conn *watcher)
{
	struct msrc *m = msrc_find_vm(vm);

	if (!m)
		return "no move of this VM is under way";
	if (!watchers_add(&m->watchers, watcher))
		return "too many are watching";
	watchers_tell(&m->watchers, json_pack("{s:s}", "state", msrc_state_name(m)));
	return NULL;
}

const char *move_src_abort(const char *vm, struct conn *watcher)
{
	struct msrc *m = msrc_find_vm(vm);

	if (!m)
		return "no move of this VM is under way";
	if (m->state >= SRC_COMMIT && m->state != SRC_UNDO)
		return "the move is committed: the VM is the destination's now";
	if (!watchers_add(&m->watchers, watcher))
		return "too many are watching";
	if (m->state != SRC_UNDO) {
		m->aborted_by_user = true;
		msrc_failed(m, "aborted by the user");
	}
	return NULL;
}

/* nobody else can end a move that waits for an answer which will never come */
static bool may_forget(const struct msrc *m)
{
	return m->state == SRC_UNDO ? m->undo_vm && m->vm_backoff :
	       m->state >= SRC_COMMIT && m->doubt;
}

static void let_kernel_go(struct msrc *m)
{
	struct letgo_list list = { .has_link = m->link };
	unsigned int i;

	/* where it has begun it goes on by itself */
	letgo_detach(m->letgo);
	if (m->letting_go || m->state == SRC_UNDO || m->regions_gone)
		return;
	for (i = 0; i < m->nr_exports; i++)
		letgo_add(list.export, &list.nr_exports, m->export[i]);
	if (m->link) {
		m->link->changed = NULL;
		m->link->closing = true;
		list.link = m->link->id;
	}
	letgo_start(&list, "forgetting a move", NULL, NULL);
}

const char *move_src_forget(const char *vm, struct conn *asker)
{
	struct msrc *m, *any = NULL;
	struct watchers w = { .n = 0 };
	json_t *regions;
	unsigned int i;

	LIST_FOREACH(m, &moves, list) {
		if (strcmp(m->vm, vm) != 0)
			continue;
		any = m;
		if (may_forget(m))
			break;
	}
	if (!any)
		return "no move of this VM is under way";
	if (!m && any->state < SRC_COMMIT)
		return "the move is not committed: give it up with telepage move --abort";
	if (!m)
		return "the move is not in doubt, it goes on";
	msrc_note(m, "forgotten in state %s, as the user said", msrc_state_name(m));
	let_kernel_go(m);
	journal_remove("src", m->id);
	watchers_end(&m->watchers, json_pack("{s:s, s:b}", "error",
		     "the move was forgotten, as the user said", "forgotten", 1));
	regions = json_array();
	for (i = 0; i < m->ram.nr; i++)
		json_array_append_new(regions, json_string(m->ram.region[i].name));
	watchers_add(&w, asker);
	watchers_end(&w, json_pack("{s:{s:s, s:o, s:s}}", "forgotten", "vm", m->vm,
				   "regions", regions, "status", "forgotten"));
	msrc_free(m);
	return NULL;
}

void move_src_unwatch(struct conn *watcher)
{
	struct msrc *m;

	LIST_FOREACH(m, &moves, list)
		watchers_del(&m->watchers, watcher);
}

bool move_src_owns(const char *export)
{
	struct msrc *m;
	unsigned int i;

	LIST_FOREACH(m, &moves, list)
		for (i = 0; i < m->nr_exports; i++)
			if (!strcmp(m->export[i], export))
				return true;
	return false;
}

static bool orphan(struct plink *l)
{
	struct msrc *m;

	if (l->import || move_dst_knows(l->move))
		return false;
	LIST_FOREACH(m, &moves, list)
		if (!strcmp(m->id, l->move))
			return false;
	return true;
}

/* what an agent made that died before it could write it down */
void move_drop_orphans(void)
{
	struct tp_export_list exports = { 0 };
	struct letgo_list list;
	struct plink *l;
	size_t i;

	if (tp_export_dump(agent.nl, &exports))
		return;
	for (l = plink_first(); l; l = LIST_NEXT(l, list)) {
		if (!orphan(l))
			continue;
		note("link %u belongs to no move that is known", l->id);
		memset(&list, 0, sizeof(list));
		list.has_link = true;
		list.link = l->id;
		l->closing = true;
		for (i = 0; i < exports.n && list.nr_exports < MOVE_REGIONS_MAX; i++)
			if (exports.v[i].nr_links == 1 && exports.v[i].links[0] == l->id)
				letgo_add(list.export, &list.nr_exports, exports.v[i].name);
		letgo_start(&list, "cleaning up", NULL, NULL);
	}
	tp_export_list_free(&exports);
}

json_t *move_src_list(void)
{
	json_t *list = json_array();
	struct msrc *m;

	LIST_FOREACH(m, &moves, list)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o*}",
			"move", m->id, "vm", m->vm, "side", "source", "to", m->target.host,
			"state", msrc_state_name(m), "counters", counters_to_json(&m->counters),
			"warm", m->warm.on ? msrc_warm_summary(m) : NULL));
	return list;
}
