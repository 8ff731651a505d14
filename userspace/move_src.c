// SPDX-License-Identifier: GPL-2.0
/*
 * move_src.c - a move's source up to the switch-over
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file.h"
#include "move_plan.h"
#include "move_src.h"
#include "sample.h"

#define CMD_MS		10000
#define PREPARE_MS	15000
#define LANES_MS	15000
#define START_MS	120000		/* hook and VMM */
#define SWITCH_MS	60000		/* the VM stands still meanwhile */

static void enter_qmp(struct msrc *m);
static void enter_connect(struct msrc *m);
static void enter_prepare(struct msrc *m);
static void enter_lanes(struct msrc *m);
static void enter_start(struct msrc *m);
static void enter_state(struct msrc *m);
static void enter_switch(struct msrc *m);

enum on_failure { UNDO, RECONNECT, GO_ON };

static const struct src_step {
	const char *name;
	void (*enter)(struct msrc *m);
	enum on_failure on_failure;
} steps[] = {
	[SRC_QMP]	= { "qmp", enter_qmp, UNDO },
	[SRC_CONNECT]	= { "connect", enter_connect, UNDO },
	[SRC_PREPARE]	= { "prepare", enter_prepare, UNDO },
	[SRC_LANES]	= { "lanes", enter_lanes, UNDO },
	[SRC_START]	= { "start", enter_start, UNDO },
	[SRC_LIVE]	= { "live", msrc_live, UNDO },
	[SRC_SAMPLE]	= { "sample", msrc_sample, UNDO },
	[SRC_WARM]	= { "warm", msrc_warm, UNDO },
	[SRC_STATE]	= { "state", enter_state, UNDO },
	[SRC_SWITCH]	= { "switch", enter_switch, UNDO },
	[SRC_COMMIT]	= { "commit", msrc_commit, RECONNECT },
	[SRC_FILL]	= { "fill", msrc_fill, RECONNECT },
	[SRC_RELEASE]	= { "release", msrc_release, RECONNECT },
	[SRC_UNDO]	= { "undo", NULL, GO_ON },
};

const char *msrc_state_name(const struct msrc *m)
{
	return steps[m->state].name;
}

void msrc_enter(struct msrc *m, enum src_state state)
{
	assert(m->state != SRC_UNDO);
	m->state = state;
	timer_clear(&m->timer);
	msrc_note(m, "%s", steps[state].name);
	watchers_tell(&m->watchers, json_pack("{s:s}", "state", steps[state].name));
	if (steps[state].enter)
		steps[state].enter(m);
}

static void set_error(struct msrc *m, const char *fmt, va_list ap)
{
	vsnprintf(m->error, sizeof(m->error), fmt, ap);
	plain(m->error);
}

void msrc_set_error(struct msrc *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_error(m, fmt, ap);
	va_end(ap);
}

void msrc_failed(struct msrc *m, const char *fmt, ...)
{
	va_list ap;

	/* what follows from undoing is not why it is undone */
	if (steps[m->state].on_failure == GO_ON)
		return;
	va_start(ap, fmt);
	set_error(m, fmt, ap);
	va_end(ap);
	switch (steps[m->state].on_failure) {
	case UNDO:
		msrc_undo(m, true);
		break;
	case RECONNECT:
		msrc_reconnect(m);
		break;
	case GO_ON:
		break;
	}
}

static void too_late(void *arg)
{
	struct msrc *m = arg;

	msrc_failed(m, "%s", m->state == SRC_LANES ?
		    m->link->last_error[0] ? m->link->last_error : "the lanes did not come up" :
		    "the VM did not switch over in time");
}

/* QMP: what is this VM? */

static void source_ready(struct qmp *q, void *arg);
static void source_event(struct qmp *q, const char *name, json_t *data, void *arg);

static void source_closed(struct qmp *q, const char *why, void *arg)
{
	struct msrc *m = arg;

	(void)q;
	m->qmp = NULL;
	if (m->state == SRC_QMP)
		msrc_failed(m, "cannot talk to its QEMU: %s", why);
	else if (m->state < SRC_COMMIT)
		msrc_failed(m, "%s", why);
}

static const struct qmp_ops source_ops = {
	.ready = source_ready,
	.event = source_event,
	.closed = source_closed,
};

static void enter_qmp(struct msrc *m)
{
	m->qmp = qmp_open(m->qmp_path, 0, &source_ops, m);
}

static void source_ready(struct qmp *q, void *arg)
{
	(void)q;
	msrc_probe(arg);
}

/* CONNECT, PREPARE */

static void peer_ready(struct peer *p, void *arg)
{
	struct msrc *m = arg;

	/* lanes and later connections go where this one went */
	snprintf(m->target.addr[0], sizeof(m->target.addr[0]), "%s", peer_addr(p));
	m->target.nr = 1;
	copy_str(m->who, peer_who(p));
	msrc_enter(m, SRC_PREPARE);
}

static void peer_lost(struct peer *p, const char *why, void *arg)
{
	struct msrc *m = arg;

	(void)p;
	m->peer = NULL;
	if (m->state == SRC_CONNECT)
		msrc_failed(m, "%s", why);
	else
		msrc_failed(m, "lost the agent of %s: %s", m->target.host, why);
}

static const struct peer_ops peer_ops = {
	.ready = peer_ready,
	.notice = msrc_notice,
	.closed = peer_lost,
};

static void enter_connect(struct msrc *m)
{
	m->peer = peer_connect(&m->target, &peer_ops, m);
}

static int make_exports(struct msrc *m, char *err, size_t len)
{
	unsigned int i;
	int n, ret;

	for (i = 0; i < m->ram.nr; i++) {
		char region[TELEPAGE_NAME_MAX + 1];

		copy_str(region, m->ram.region[i].name);
		for (n = 1, ret = -EEXIST; n < 100 && ret == -EEXIST; n++) {
			if (n == 1)
				snprintf(m->export[i], sizeof(m->export[i]), "%s", region);
			else
				snprintf(m->export[i], sizeof(m->export[i]), "%.59s.%d", region, n);
			ret = tp_export_new_for(agent.nl, m->export[i], m->who, region, -1, 0, 0);
		}
		if (ret) {
			nl_words(err, len, ret, "exporting region %s", region);
			return ret;
		}
		m->nr_exports++;
		ret = tp_export_serve(agent.nl, m->export[i], m->link->id, &m->export_id[i]);
		if (ret) {
			nl_words(err, len, ret, "serving region %s", region);
			return ret;
		}
	}
	return 0;
}

static void prepared(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *token = json_string_value(json_object_get(msg, "token"));
	struct plink_args a = { .connects = true, .token = token, .target = &m->target,
				.nr_lanes = m->bulk + 1, .name = m->vm, .move = m->id,
				.who = m->who };
	char words[320];

	if (err) {
		msrc_failed(m, "%s: %s", m->target.host, err);
		return;
	}
	if (!token || !token_ok(token)) {
		msrc_failed(m, "%s: no token in the answer to prepare", m->target.host);
		return;
	}
	if (plink_new(&m->link, &a, words, sizeof(words)) ||
	    make_exports(m, words, sizeof(words))) {
		msrc_failed(m, "%s", words);
		return;
	}
	if (msrc_journal(m)) {
		msrc_failed(m, "cannot write the journal in %s", agent.state);
		return;
	}
	m->plans = json_is_true(json_object_get(msg, "plan"));
	m->zstd = json_is_true(json_object_get(msg, "zstd"));
	m->first = m->plans && json_is_true(json_object_get(msg, "first"));
	m->goes_live = m->mode != MOVE_POSTCOPY && json_is_true(json_object_get(msg, "live"));
	if (m->mode != MOVE_POSTCOPY && !m->goes_live) {
		if (m->mode_said) {
			msrc_failed(m, "%s: its telepage takes no memory while the VM runs: use --mode postcopy",
				    m->target.host);
			return;
		}
		m->mode = MOVE_POSTCOPY;
	}
	/* of what has crossed already little is missing when the VM moves */
	m->warm.on = m->warm.ms && m->was_running && m->mode == MOVE_POSTCOPY &&
		     json_is_true(json_object_get(msg, "warm"));
	msrc_enter(m, SRC_LANES);
}

/* a region named like the VM (NAME or NAME.N) is called after it there, too */
static void name_there(struct msrc *m, const char *region, char *name)
{
	snprintf(name, TELEPAGE_NAME_MAX + 1, "%s", sample_is_of(region, m->vm) ? m->as : region);
}

/*
 * Nobody has said how to move: while the VM runs, as far as it pays. Of memory that is
 * still on its way here that would be to wait for it, and to pass it on.
 */
static enum move_mode usual_mode(const struct msrc *m)
{
	struct tp_region r;

	for (unsigned int i = 0; i < m->ram.nr; i++)
		if (tp_region_get(agent.nl, m->ram.region[i].name, &r) || r.absent)
			return MOVE_POSTCOPY;
	return MOVE_HYBRID;
}

static void enter_prepare(struct msrc *m)
{
	json_t *regions = json_array(), *msg;
	char name[TELEPAGE_NAME_MAX + 1], *args;
	unsigned int i;

	if (!m->mode_said)
		m->mode = usual_mode(m);
	for (i = 0; i < m->ram.nr; i++) {
		name_there(m, m->ram.region[i].name, name);
		json_array_append_new(regions, json_pack("{s:s, s:I}", "name", name,
				      "size", (json_int_t)m->ram.region[i].size));
	}
	msg = json_pack("{s:s, s:s, s:o, s:i, s:O}", "move", m->id, "vm", m->as,
			"regions", regions, "bulk", m->bulk, "machine", m->machine);
	args = file_read(m->args_file, MOVE_ARGS_MAX);
	if (!args && errno != ENOENT) {
		json_decref(msg);
		msrc_failed(m, "%s: %s", m->args_file, strerror(errno));
		return;
	}
	if (args && json_object_set_new(msg, "args", json_string(args))) {
		free(args);
		json_decref(msg);
		msrc_failed(m, "%s is not UTF-8", m->args_file);
		return;
	}
	free(args);
	if (m->mode != MOVE_POSTCOPY)
		json_object_set_new(msg, "live", json_true());
	msrc_plan_ask(m, msg);
	peer_ask(m->peer, "prepare", msg, PREPARE_MS, prepared, m);
}

/* LANES, START */

static void lanes_changed(struct plink *l, void *arg)
{
	struct msrc *m = arg;

	if (m->state == SRC_LANES && plink_up(l))
		msrc_enter(m, SRC_START);
}

static void enter_lanes(struct msrc *m)
{
	m->link->changed = lanes_changed;
	m->link->arg = m;
	timer_set(&m->timer, LANES_MS, too_late, m);
	plink_start(m->link);
	if (m->plans)
		msrc_plan_begin(m);
}

static void started(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)msg;
	if (err)
		msrc_failed(m, "%s: %s", m->target.host, err);
	else
		msrc_enter(m, m->goes_live ? SRC_LIVE : SRC_SAMPLE);
}

static void enter_start(struct msrc *m)
{
	json_t *exports = json_array();
	unsigned int i;

	for (i = 0; i < m->nr_exports; i++)
		json_array_append_new(exports, json_integer(m->export_id[i]));
	peer_ask(m->peer, "start", json_pack("{s:s, s:o}", "move", m->id, "exports", exports),
		 START_MS, started, m);
}

/* STATE: all that can be done before the VM stops */

static void relay_ended(const char *err, void *arg)
{
	struct msrc *m = arg;

	/* its size; whether it arrived whole is for both QEMUs to say */
	m->state_bytes = relay_out(m->devstate.relay);
	m->state_wire_bytes = relay_wire(m->devstate.relay);
	m->devstate.relay = NULL;
	if (err)
		msrc_note(m, "device state: %s", err);
}

static void state_warm(const char *err, void *arg)
{
	struct msrc *m = arg;
	struct stat st = { 0 };
	int ret = 0, fd = m->devstate.fd;

	m->devstate.warm = NULL;
	if (err) {
		msrc_failed(m, "connection for the device state: %s", err);
		return;
	}
	/* whoever QEMU runs as owns its QMP socket and may connect here */
	stat(m->qmp_path, &st);
	m->devstate.fd = -1;
	m->devstate.relay = relay_listen(m->state_sock, st.st_uid, st.st_gid, fd, m->devstate.code,
					 relay_ended, m, &ret);
	if (!m->devstate.relay) {
		msrc_failed(m, "%s: %s", m->state_sock, strerror(-ret));
		return;
	}
	msrc_enter(m, SRC_SWITCH);
}

static void state_connected(int fd, const char *addr, const char *who, const char *err,
			    void *arg)
{
	struct msrc *m = arg;

	(void)addr;
	m->greet = NULL;
	if (fd < 0) {
		msrc_failed(m, "connection for the device state: %s", err);
		return;
	}
	m->devstate.fd = fd;
	if (strcmp(who, m->who) != 0) {
		msrc_failed(m, "connection for the device state: %s has become %s", m->who, who);
		return;
	}
	m->devstate.warm = warm_send(fd, WARM_BYTES, state_warm, m);
}

static void source_caps(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	json_t *first;

	(void)ret;
	if (err) {
		msrc_failed(m, "%s", err);
		return;
	}
	first = transport_hello("state");
	json_object_set_new(first, "link", json_string(m->link->token));
	json_object_set_new(first, "warm", json_integer(WARM_BYTES));
	if (m->zstd) {
		m->devstate.code = RELAY_PACK;
		json_object_set_new(first, "zstd", json_true());
	}
	m->greet = transport_connect(&m->target, first, state_connected, m);
}

static void enter_state(struct msrc *m)
{
	qmp_cmd(m->qmp, "migrate-set-capabilities",
		qmp_caps("x-ignore-shared", 1, "events", 1, NO_CAP), CMD_MS, source_caps, m);
}

/* SWITCH: from `stop` to both QEMUs having said that the state is over there */

void msrc_check_switched(struct msrc *m)
{
	if (m->state != SRC_SWITCH || !m->migrated || !m->loaded)
		return;
	if (!m->t_loaded)
		m->t_loaded = now_ms();
	if (m->warm.waits)
		return;
	m->t_switched = now_ms();
	msrc_enter(m, SRC_COMMIT);
}

static void loaded(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)msg;
	if (err) {
		msrc_failed(m, "%s: %s", m->target.host, err);
		return;
	}
	m->loaded = true;
	msrc_check_switched(m);
}

static void migrate_failed(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *desc = json_string_value(json_object_get(ret, "error-desc"));

	(void)err;
	if (m->state == SRC_SWITCH)
		msrc_failed(m, "QEMU could not send the device state%s%s", desc ? ": " : "",
			    desc ? desc : "");
}

static void source_event(struct qmp *q, const char *name, json_t *data, void *arg)
{
	struct msrc *m = arg;
	const char *status = json_string_value(json_object_get(data, "status"));

	if (m->state != SRC_SWITCH || strcmp(name, "MIGRATION") != 0 || !status)
		return;
	if (!strcmp(status, "completed")) {
		m->migrated = true;
		m->t_migrated = now_ms();
		msrc_check_switched(m);
	} else if (!strcmp(status, "failed") || !strcmp(status, "cancelled")) {
		qmp_cmd(q, "query-migrate", NULL, CMD_MS, migrate_failed, m);
	}
}

static void migrate_begun(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)ret;
	/* once it is committed QEMU has told in other ways that it has begun */
	if (err && m->state == SRC_SWITCH)
		msrc_failed(m, "%s", err);
}

static void vm_stopped(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	char words[256];
	unsigned int i;
	int e;

	(void)ret;
	if (err) {
		msrc_failed(m, "%s", err);
		return;
	}
	m->t_stopped = now_ms();
	/* asked first: QEMU answers in order */
	msrc_warm_stopped(m);
	/*
	 * QEMU gathers its state while the kernel freezes; it writes to no RAM any
	 * more. Whatever part of it that was loaded there already and needs a page
	 * waits: the export opens with the fence.
	 */
	m->migrating = true;
	qmp_cmd(m->qmp, "migrate", json_pack("{s:o}", "uri", json_sprintf("unix:%s",
		m->state_sock)), CMD_MS, migrate_begun, m);
	for (i = 0; i < m->ram.nr; i++) {
		e = tp_region_freeze(agent.nl, m->ram.region[i].name);
		if (e) {
			msrc_failed(m, "%s", nl_words(words, sizeof(words), e,
						      "freezing region %s", m->ram.region[i].name));
			return;
		}
	}
	m->t_frozen = now_ms();
	msrc_plan_frozen(m);
}

static void enter_switch(struct msrc *m)
{
	timer_set(&m->timer, SWITCH_MS, too_late, m);
	/* first: whoever finds the VM stopped has to know that it was us */
	m->stopped = true;
	if (msrc_journal(m)) {
		m->stopped = false;
		msrc_failed(m, "cannot write the journal in %s", agent.state);
		return;
	}
	peer_ask(m->peer, "load", json_pack("{s:s, s:b}", "move", m->id, "full",
					     m->mode == MOVE_PRECOPY), SWITCH_MS, loaded, m);
	/* while the VM still runs: it stands still for nothing of this */
	msrc_sample_finish(m);
	m->t_stop = now_ms();
	qmp_cmd(m->qmp, "stop", NULL, CMD_MS, vm_stopped, m);
}
