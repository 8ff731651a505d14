// SPDX-License-Identifier: GPL-2.0
/*
 * move_dst.c - a move's destination: states, and what each one waits for
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "move_plan.h"
#include "unix.h"
#include "workingset.h"

#define LANES_MS	15000
#define HOOK_MS		60000
#define QMP_WAIT_MS	20000		/* from the hook's end to a QMP socket */
#define CMD_MS		10000

static LIST_HEAD(, mdst) moves = LIST_HEAD_INITIALIZER(moves);

static const char * const state_names[] = {
	"preparing", "preparing", "preparing", "preparing", "ready", "ready", "running",
	"complete", "aborted", "aborted",
};

static void vmm_ready(struct qmp *q, void *arg);
static void vmm_event(struct qmp *q, const char *name, json_t *data, void *arg);
static void vmm_closed(struct qmp *q, const char *why, void *arg);

const struct qmp_ops mdst_vmm_ops = {
	.ready = vmm_ready,
	.event = vmm_event,
	.closed = vmm_closed,
};

const char *mdst_state_name(const struct mdst *m)
{
	/* what is not on disk may yet turn out otherwise: it is not answered */
	return state_names[m->abort_pending ? DST_READY : m->state];
}

struct mdst *mdst_find(const char *id)
{
	struct mdst *m;

	LIST_FOREACH(m, &moves, list)
		if (!strcmp(m->id, id))
			return m;
	return NULL;
}

bool move_dst_knows(const char *id)
{
	return mdst_find(id) != NULL;
}

struct mdst *mdst_find_vm(const char *vm)
{
	struct mdst *m;

	LIST_FOREACH(m, &moves, list)
		if (!strcmp(m->vm, vm) && (m->state < DST_RUNNING || m->state == DST_ABORTING))
			return m;
	return NULL;
}

struct mdst *mdst_new(const char *id, const char *vm)
{
	struct mdst *m = xcalloc(1, sizeof(*m));

	snprintf(m->id, sizeof(m->id), "%s", id);
	snprintf(m->vm, sizeof(m->vm), "%s", vm);
	snprintf(m->vm_dir, sizeof(m->vm_dir), "%s/%s", agent.vm_dir, vm);
	snprintf(m->qmp_path, sizeof(m->qmp_path), "%s/qmp.sock", m->vm_dir);
	snprintf(m->args_path, sizeof(m->args_path), "%s/args.%.8s", m->vm_dir, id);
	snprintf(m->args_here, sizeof(m->args_here), "%s/args", m->vm_dir);
	snprintf(m->group_here, sizeof(m->group_here), "%s/group", m->vm_dir);
	snprintf(m->group_path, sizeof(m->group_path), "%s/group.%.8s", m->vm_dir, id);
	devstate_init(&m->devstate);
	snprintf(m->incoming, sizeof(m->incoming), "%s/incoming.sock", m->vm_dir);
	LIST_INSERT_HEAD(&moves, m, list);
	return m;
}

/* and nobody waits for what it has asked */
static void no_source(struct mdst *m)
{
	m->peer = NULL;
	m->call = 0;
	m->abort_call = 0;
	m->warm.call = 0;
}

static void detach(struct mdst *m)
{
	if (m->peer)
		peer_set_ops(m->peer, NULL, NULL);
	no_source(m);
}

void mdst_free(struct mdst *m)
{
	detach(m);
	mdst_plan_drop(m);
	mdst_warm_drop(m);
	timer_clear(&m->timer);
	timer_clear(&m->again);
	hook_cancel(m->hook);
	qmp_close(m->qmp);
	devstate_drop(&m->devstate);
	json_decref(m->machine);
	LIST_REMOVE(m, list);
	loop_free(m);
}

bool mdst_counters(struct mdst *m, struct counters *c)
{
	bool complete = true;
	unsigned int i;
	int state;

	memset(c, 0, sizeof(*c));
	m->abandoned = false;
	for (i = 0; i < m->nr; i++) {
		state = counters_add(c, m->region[i].name);
		/* one that was deleted since: nobody wants its pages any more */
		if (state == -ENOENT)
			c->total += m->region[i].size / TELEPAGE_PAGE_SIZE;
		complete &= !still_fills(state);
		m->abandoned |= state == TELEPAGE_REGION_ABANDONED;
	}
	return complete;
}

json_t *mdst_status(struct mdst *m)
{
	struct counters c;

	mdst_counters(m, &c);
	return json_pack("{s:s, s:s, s:b, s:o}", "move", m->id, "state", mdst_state_name(m),
			 "abandoned", m->abandoned, "counters", counters_to_json(&c));
}

/* the answer to the request that drives us, if the source still listens */
void mdst_answer(struct mdst *m, json_t *msg)
{
	if (m->peer && m->call) {
		json_int_t call = m->call;

		m->call = 0;
		peer_answer(m->peer, call, msg);
	} else {
		json_decref(msg);
	}
}

void mdst_hook_env(struct mdst *m, struct hook_env *env)
{
	unsigned int i;

	memset(env, 0, sizeof(*env));
	env->move = m->id;
	env->vm = m->vm;
	env->vm_dir = m->vm_dir;
	env->qmp = m->qmp_path;
	env->args_file = mdst_args_file(m);
	env->machine = m->machine;
	env->nr = m->nr;
	for (i = 0; i < m->nr; i++) {
		env->region[i].name = m->region[i].name;
		env->region[i].size = m->region[i].size;
	}
}

static void abort_nl(struct mdst *m, int err, const char *what)
{
	char words[256];

	mdst_abort(m, nl_words(words, sizeof(words), err, "%s", what));
}

/* the source */

static void source_closed(struct peer *p, const char *why, void *arg);

static const struct peer_ops source_ops = {
	.closed = source_closed,
};

void mdst_orphaned(void *arg)
{
	mdst_abort(arg, "the source did not come back to commit");
}

static void source_closed(struct peer *p, const char *why, void *arg)
{
	struct mdst *m = arg;
	char words[256];

	(void)p;
	no_source(m);
	if (m->state == DST_READY) {
		note("move %.8s of %s: lost the source before commit (%s), waiting %u s", m->id,
		     m->vm, why, agent.orphan_ms / 1000);
		timer_set(&m->timer, agent.orphan_ms, mdst_orphaned, m);
	} else if (m->state < DST_READY) {
		snprintf(words, sizeof(words), "lost the source: %s", why);
		mdst_abort(m, words);
	}
}

void mdst_attach(struct mdst *m, struct peer *p)
{
	if (m->peer == p)
		return;
	detach(m);
	m->peer = p;
	peer_set_ops(p, &source_ops, m);
}

/* PREPARED: regions and link */

static int make_region(const char *base, uint64_t size, char *name)
{
	int n, err = -EEXIST;

	/* an earlier stay's frozen copy may still have the name */
	for (n = 1; n < 100 && err == -EEXIST; n++) {
		if (n == 1)
			snprintf(name, TELEPAGE_NAME_MAX + 1, "%s", base);
		else
			snprintf(name, TELEPAGE_NAME_MAX + 1, "%.59s.%d", base, n);
		err = tp_region_new(agent.nl, name, size, 0600, 0, 0, NULL);
	}
	return err;
}

int mdst_make(struct mdst *m, json_t *regions, unsigned int lanes, char *err, size_t len)
{
	struct plink_args a = { .nr_lanes = lanes, .name = m->vm, .move = m->id,
				.who = m->who };
	json_t *r;
	size_t i;
	int ret;

	json_array_foreach(regions, i, r) {
		const char *name = json_string_value(json_object_get(r, "name"));
		uint64_t size = json_integer_value(json_object_get(r, "size"));

		ret = make_region(name, size, m->region[m->nr].name);
		if (ret) {
			nl_words(err, len, ret, "making region %s of %llu MiB", name,
				 (unsigned long long)size >> 20);
			goto undo;
		}
		m->region[m->nr++].size = size;
	}
	ret = plink_new(&m->link, &a, err, len);
	if (ret)
		goto undo;
	return 0;
undo:
	while (m->nr)
		tp_region_del(agent.nl, m->region[--m->nr].name);
	return ret;
}

/* STARTING: lanes, imports, hook, QMP */

static void incoming_ready(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;

	(void)ret;
	if (err) {
		mdst_abort(m, err);
		return;
	}
	m->state = DST_INCOMING;
	timer_clear(&m->timer);
	mdst_answer(m, json_pack("{s:s}", "state", "incoming"));
}

static void incoming_caps(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;

	(void)ret;
	if (err) {
		mdst_abort(m, err);
		return;
	}
	unlink(m->incoming);
	qmp_cmd(m->qmp, "migrate-incoming", json_pack("{s:o}", "uri",
		json_sprintf("unix:%s", m->incoming)), CMD_MS, incoming_ready, m);
}

static void incoming_status(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;
	const char *status = json_string_value(json_object_get(ret, "status"));

	if (err) {
		mdst_abort(m, err);
		return;
	}
	if (!status || strcmp(status, "inmigrate") != 0) {
		mdst_abort(m, "the hook has not started the VMM with -incoming defer");
		return;
	}
	/* late-block-activate: disks stay the source's until `cont` */
	qmp_cmd(m->qmp, "migrate-set-capabilities",
		qmp_caps("x-ignore-shared", 1, "events", 1, "late-block-activate", 1, NO_CAP),
		CMD_MS, incoming_caps, m);
}

static void hook_ended(const char *err, void *arg)
{
	struct mdst *m = arg;

	m->hook = NULL;
	if (err) {
		mdst_abort(m, err);
		return;
	}
	m->qmp = qmp_open(m->qmp_path, QMP_WAIT_MS, &mdst_vmm_ops, m);
}

static void lanes_timeout(void *arg)
{
	mdst_abort(arg, "the lanes did not come up");
}

static void lanes_changed(struct plink *l, void *arg)
{
	struct mdst *m = arg;
	struct hook_env env;
	char what[128];
	unsigned int i;
	int err;

	if (m->state != DST_STARTING || m->hook_started || !plink_up(l))
		return;
	timer_clear(&m->timer);
	for (i = 0; i < m->nr; i++) {
		err = m->live ? tp_region_import_live(agent.nl, m->region[i].name, l->id,
						      m->region[i].export_id) :
				tp_region_import(agent.nl, m->region[i].name, l->id,
						 m->region[i].export_id, true);
		if (err) {
			snprintf(what, sizeof(what), "importing region %s", m->region[i].name);
			abort_nl(m, err, what);
			return;
		}
		workingset_begin(m->region[i].name);
	}
	m->hook_started = true;
	if (mdst_journal(m)) {
		/* a VMM that nobody knows of would never be stopped */
		m->hook_started = false;
		mdst_abort(m, "the destination cannot write its journal");
		return;
	}
	mdst_hook_env(m, &env);
	note("move %.8s of %s: %s start", m->id, m->vm, agent.hook);
	m->hook = hook_run("start", &env, HOOK_MS, hook_ended, m);
}

void mdst_start(struct mdst *m)
{
	m->state = DST_STARTING;
	m->link->changed = lanes_changed;
	m->link->arg = m;
	timer_set(&m->timer, LANES_MS, lanes_timeout, m);
	lanes_changed(m->link, m);
}

/* LOADING: device state */

static void relay_ended(const char *err, void *arg)
{
	struct mdst *m = arg;
	bool cut = relay_cut(m->devstate.relay);
	const char *broken = relay_broken(m->devstate.relay);
	char words[200];

	m->devstate.relay = NULL;
	unlink(m->incoming);
	if (err)
		note("move %.8s of %s: device state: %s", m->id, m->vm, err);
	/*
	 * Whether it is whole QEMU says, by the end mark in it. But one that was cut
	 * off can come to nothing, and QEMU may wait for its end for long.
	 */
	if (!cut || m->loaded || (m->state != DST_INCOMING && m->state != DST_LOADING))
		return;
	if (broken)
		snprintf(words, sizeof(words), "the device state cannot be unpacked: %s", broken);
	mdst_abort(m, broken ? words : "the connection for the device state was cut off");
}

static void state_warm(const char *err, void *arg)
{
	struct mdst *m = arg;
	int s, fd = m->devstate.fd;

	m->devstate.warm = NULL;
	if (err) {
		mdst_abort(m, "the connection for the device state broke");
		return;
	}
	s = unix_connect(m->incoming, SOCK_NONBLOCK);
	if (s < 0) {
		mdst_abort(m, "cannot reach the VMM's migration socket");
		return;
	}
	m->devstate.fd = -1;
	m->devstate.relay = relay_new(s, fd, m->devstate.code, relay_ended, m);
}

void move_dst_accept_state(int fd, json_t *first, const char *who)
{
	const char *token = json_string_value(json_object_get(first, "link"));
	json_int_t warm = json_integer_value(json_object_get(first, "warm"));
	json_t *zstd = json_object_get(first, "zstd");
	struct plink *l = token ? plink_by_token(token) : NULL;
	struct mdst *m = l && l->move[0] ? mdst_find(l->move) : NULL;

	if (!m || m->link != l || strcmp(who, m->who) != 0 || m->state != DST_INCOMING ||
	    devstate_there(&m->devstate)) {
		transport_answer(fd, "no move waits for device state here");
		close(fd);
		return;
	}
	if (warm < 0 || warm > WARM_MAX) {
		transport_answer(fd, "bad warm");
		close(fd);
		return;
	}
	if (zstd && !json_is_boolean(zstd)) {
		transport_answer(fd, "bad zstd");
		close(fd);
		return;
	}
	if (transport_answer(fd, NULL)) {
		close(fd);
		return;
	}
	m->devstate.fd = fd;
	m->devstate.code = json_is_true(zstd) ? RELAY_UNPACK : RELAY_PLAIN;
	m->devstate.warm = warm_receive(fd, warm, state_warm, m);
}

static void check_loaded(struct mdst *m)
{
	struct counters c;

	if (m->state != DST_LOADING || !m->loaded)
		return;
	/* then the region's event leads here again */
	if (m->full && !mdst_counters(m, &c))
		return;
	m->state = DST_READY;
	m->was_ready = true;
	m->found = true;
	if (mdst_journal(m)) {
		m->was_ready = false;
		mdst_abort(m, "the destination cannot write its journal");
		return;
	}
	mdst_answer(m, json_pack("{s:s}", "state", "ready"));
}

void mdst_load(struct mdst *m)
{
	m->state = DST_LOADING;
	mdst_plan_load(m);
	check_loaded(m);
}

static void loaded_status(json_t *ret, const char *err, void *arg)
{
	struct mdst *m = arg;

	if (err) {
		mdst_abort(m, err);
	} else if (json_is_true(json_object_get(ret, "running"))) {
		/* cannot be: the source was stopped, and nobody has committed */
		mdst_abort(m, "the VMM started the VM by itself");
	} else {
		m->loaded = true;
		mdst_plan_loaded(m);
		check_loaded(m);
	}
}

static void vmm_event(struct qmp *q, const char *name, json_t *data, void *arg)
{
	struct mdst *m = arg;
	const char *status = json_string_value(json_object_get(data, "status"));

	if (m->state != DST_INCOMING && m->state != DST_LOADING)
		return;
	if (strcmp(name, "MIGRATION") != 0 || !status)
		return;
	if (!strcmp(status, "completed"))
		qmp_cmd(q, "query-status", NULL, CMD_MS, loaded_status, m);
	else if (!strcmp(status, "failed"))
		mdst_abort(m, "the VMM at the destination could not load the device state");
}

static void vmm_closed(struct qmp *q, const char *why, void *arg)
{
	struct mdst *m = arg;
	char words[400];

	(void)q;
	m->qmp = NULL;
	if (m->state >= DST_RUNNING)
		return;
	snprintf(words, sizeof(words), "the VMM at the destination: %s", why);
	if (m->state == DST_COMMITTED || (m->state == DST_READY && !m->found))
		mdst_lost_vmm(m, words);
	else
		mdst_abort(m, words);
}

static void vmm_ready(struct qmp *q, void *arg)
{
	struct mdst *m = arg;

	if (m->state == DST_STARTING)
		qmp_cmd(q, "query-status", NULL, CMD_MS, incoming_status, m);
	else
		qmp_cmd(q, "query-status", NULL, CMD_MS, mdst_found_status, m);
}

void move_dst_event(const struct tp_event *ev)
{
	struct mdst *m, *next;
	unsigned int i;

	if (ev->kind != TELEPAGE_EVENT_REGION_COMPLETE)
		return;
	for (m = LIST_FIRST(&moves); m; m = next) {
		next = LIST_NEXT(m, list);
		for (i = 0; i < m->nr; i++)
			if (!strcmp(m->region[i].name, ev->region)) {
				if (m->state == DST_LOADING)
					check_loaded(m);
				else
					mdst_watch_fill(m);
				break;
			}
	}
}

json_t *move_dst_list(void)
{
	json_t *list = json_array();
	struct mdst *m;

	LIST_FOREACH(m, &moves, list) {
		json_t *obj = mdst_status(m);

		json_object_set_new(obj, "vm", json_string(m->vm));
		json_object_set_new(obj, "side", json_string("destination"));
		json_array_append_new(list, obj);
	}
	return list;
}
