// SPDX-License-Identifier: GPL-2.0
/*
 * move_undo.c - a move that failed before it was committed
 *
 * Three things at once, none waiting for another: the VM runs here again
 * (first of all: it stands still), the peer undoes its side, the kernel's
 * exports and link go. When all three are through the move has never been.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "journal.h"
#include "move_plan.h"

#define VM_BACKOFF_MIN	500
#define VM_BACKOFF_MAX	5000
#define CONT_AGAIN_MS	1000
#define CONT_TRIES	10		/* once the peer is through */
#define CANCEL_MS	50		/* between looks whether QEMU has cancelled */
#define PEER_MS		90000		/* the peer's hook may take its time */
#define PEER_SLOW_MS	3000		/* then who watches is told what is waited for */

static void undo_peer(struct msrc *m);

static void end_if_done(struct msrc *m)
{
	json_t *msg;

	if (m->undo_peer || m->undo_vm || m->letting_go)
		return;
	journal_remove("src", m->id);
	if (m->tell_last && m->peer) {
		m->tell_last = false;
		undo_peer(m);
		return;
	}
	msrc_note(m, "%s: %s", m->resumed ? "undone" : "undone, but the VM does not run",
		  m->error);
	msg = json_pack("{s:s, s:b, s:b, s:b}", "error", m->error, "aborted", m->aborted_by_user,
			"undone", m->resumed, "stopped", !m->resumed);
	watchers_end(&m->watchers, msg);
	msrc_free(m);
}

/* what it waits for, to the log and to who watches */
static void tell_wait(struct msrc *m, const char *fmt, ...)
{
	char words[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	plain(words);
	msrc_note(m, "%s", words);
	watchers_tell(&m->watchers, json_pack("{s:s, s:s}", "state", "undo", "why", words));
}

/* the VM */

static void vm_done(struct msrc *m, bool resumed)
{
	m->resumed = resumed;
	m->undo_vm = false;
	qmp_finish(m->qmp);
	m->qmp = NULL;
	end_if_done(m);
}

/* what it ends with is why it failed, and what could not be mended */
static void add_error(struct msrc *m, const char *fmt, ...)
{
	size_t len = strlen(m->error);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->error + len, sizeof(m->error) - len, fmt, ap);
	va_end(ap);
	plain(m->error);
}

/* false with @words: a VM on this memory would die of its first write */
static bool thaw(struct msrc *m, char *words, size_t len)
{
	unsigned int i;
	int err, first = 0;

	for (i = 0; i < m->ram.nr; i++) {
		const char *name = m->ram.region[i].name;

		err = tp_region_thaw(agent.nl, name);
		if (!err || err == -ENOENT || first)
			continue;
		first = err;
		nl_words(words, len, err, "thawing region %s", name);
	}
	return !first;
}

static void find_vm(void *arg);

/* as long as it takes: the record stays, and tells it to the next agent too */
static void try_again(struct msrc *m, const char *why)
{
	qmp_ram_cancel(m->ram_finder);
	m->ram_finder = NULL;
	qmp_close(m->qmp);
	m->qmp = NULL;
	if (!m->vm_backoff)
		tell_wait(m, "cannot resume the VM yet: %s", why);
	m->vm_backoff = m->vm_backoff ? m->vm_backoff * 2 : VM_BACKOFF_MIN;
	if (m->vm_backoff > VM_BACKOFF_MAX)
		m->vm_backoff = VM_BACKOFF_MAX;
	timer_set(&m->vm_timer, m->vm_backoff, find_vm, m);
}

/* there is no VM to be resumed, or not by us: its memory is nobody's but the operator's */
static void give_vm_up(struct msrc *m)
{
	char words[256];

	if (!thaw(m, words, sizeof(words))) {
		try_again(m, words);
		return;
	}
	vm_done(m, !m->stopped || !m->was_running);
}

static void vm_lost(struct qmp *q, const char *why, void *arg)
{
	struct msrc *m = arg;

	if (!qmp_nobody(q)) {
		try_again(m, why);
		return;
	}
	m->qmp = NULL;
	if (m->stopped)
		add_error(m, "; and its QEMU is gone: %s", why);
	give_vm_up(m);
}

static void vm_resumed(struct msrc *m)
{
	/* behind all that was asked, so that QEMU has read that when we go */
	qmp_cmd(m->qmp, "migrate-set-capabilities", qmp_caps("x-ignore-shared", 0, NO_CAP), 0,
		NULL, NULL);
	vm_done(m, true);
}

static void send_cont(void *arg);

static void continued(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)ret;
	if (!err) {
		vm_resumed(m);
		return;
	}
	/* the destination's QEMU may still have the disks */
	if (m->undo_peer || m->cont_refused++ < CONT_TRIES) {
		timer_set(&m->vm_timer, CONT_AGAIN_MS, send_cont, m);
		return;
	}
	add_error(m, "; and QEMU refused to resume the VM: %s", err);
	vm_done(m, false);
}

/*
 * Without a deadline: after a slow `stop` it waits its turn, and what QEMU has not
 * read when we close the connection is thrown away.
 */
static void send_cont(void *arg)
{
	struct msrc *m = arg;

	if (m->qmp)
		qmp_cmd(m->qmp, "cont", NULL, 0, continued, m);
}

static void thaw_and_continue(struct msrc *m)
{
	char words[256];

	if (!thaw(m, words, sizeof(words)))
		try_again(m, words);
	else if (m->was_running)
		send_cont(m);
	else
		vm_resumed(m);
}

static void look_cancelled(void *arg);

static void cancel_status(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *status = json_string_value(json_object_get(ret, "status"));

	if (!err && status && (!strcmp(status, "active") || !strcmp(status, "setup") ||
			       !strcmp(status, "device") || !strcmp(status, "cancelling"))) {
		timer_set(&m->vm_timer, CANCEL_MS, look_cancelled, m);
		return;
	}
	thaw_and_continue(m);
}

static void look_cancelled(void *arg)
{
	struct msrc *m = arg;

	if (m->qmp)
		qmp_cmd(m->qmp, "query-migrate", NULL, 0, cancel_status, m);
}

static void cancelled(json_t *ret, const char *err, void *arg)
{
	(void)ret;
	(void)err;
	look_cancelled(arg);
}

static void resume(struct msrc *m)
{
	if (m->migrating)
		qmp_cmd(m->qmp, "migrate_cancel", NULL, 0, cancelled, m);
	else
		thaw_and_continue(m);
}

/*
 * Whoever is found at the path of the VM's QMP socket: meanwhile somebody may have
 * resumed the VM, or started it anew, or another one. Only that which stands still
 * because we stopped it is touched.
 */
static void found_status(json_t *ret, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *status = json_string_value(json_object_get(ret, "status"));
	char words[256];

	if (err || !status) {
		try_again(m, err ? err : "QEMU does not say what the VM does");
	} else if (json_is_true(json_object_get(ret, "running")) || !m->stopped) {
		if (thaw(m, words, sizeof(words)))
			vm_resumed(m);
		else
			try_again(m, words);
	} else if (!strcmp(status, "paused") || !strcmp(status, "postmigrate") ||
		   !strcmp(status, "finish-migrate")) {
		resume(m);
	} else {
		add_error(m, "; and QEMU says that the VM is '%s'", status);
		give_vm_up(m);
	}
}

static void found_ram(const struct vm_ram *ram, const char *err, void *arg)
{
	struct msrc *m = arg;

	m->ram_finder = NULL;
	if (!err && msrc_is_vm(m, ram)) {
		qmp_cmd(m->qmp, "query-status", NULL, 0, found_status, m);
		return;
	}
	add_error(m, "; and at %s is another VM now, which was left alone", m->qmp_path);
	give_vm_up(m);
}

static void vm_found(struct qmp *q, void *arg)
{
	struct msrc *m = arg;

	m->ram_finder = qmp_find_ram(q, 0, found_ram, m);
}

static const struct qmp_ops vm_ops = {
	.ready = vm_found,
	.closed = vm_lost,
};

static void find_vm(void *arg)
{
	struct msrc *m = arg;

	m->qmp = qmp_open(m->qmp_path, 0, &vm_ops, m);
}

static void undo_vm(struct msrc *m, enum src_state was)
{
	m->resumed = !m->stopped;
	if (m->stopped || m->restored) {
		m->undo_vm = true;
		if (!m->qmp) {
			find_vm(m);
			return;
		}
		qmp_set_ops(m->qmp, &vm_ops, m);
		resume(m);
	} else if (m->qmp) {
		/* it never stopped; the capability may be set already */
		qmp_set_ops(m->qmp, &vm_ops, m);
		if (was >= SRC_STATE)
			qmp_cmd(m->qmp, "migrate-set-capabilities",
				qmp_caps("x-ignore-shared", 0, NO_CAP), 0, NULL, NULL);
		qmp_finish(m->qmp);
		m->qmp = NULL;
	}
}

/* the peer */

static void peer_done(struct msrc *m)
{
	peer_close(m->peer);
	m->peer = NULL;
	timer_clear(&m->timer);
	m->undo_peer = false;
	end_if_done(m);
}

static void peer_answered(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	(void)msg;
	if (err)
		msrc_note(m, "%s: abort: %s", m->target.host, err);
	peer_done(m);
}

static void peer_slow(void *arg)
{
	struct msrc *m = arg;

	tell_wait(m, "%s has not said yet that it has undone its side; it is given %d s%s",
		  m->target.host, PEER_MS / 1000, m->undo_vm ? "" : ", the VM does not wait for it");
}

static void peer_lost(struct peer *p, const char *why, void *arg)
{
	struct msrc *m = arg;

	(void)p;
	m->peer = NULL;
	/* it undoes its side by itself when it notices that we are gone */
	msrc_note(m, "%s: abort: %s", m->target.host, why);
	peer_done(m);
}

static const struct peer_ops peer_ops = {
	.closed = peer_lost,
};

static void undo_peer(struct msrc *m)
{
	m->undo_peer = true;
	timer_set(&m->timer, PEER_SLOW_MS, peer_slow, m);
	peer_ask(m->peer, "abort", json_pack("{s:s}", "move", m->id), PEER_MS, peer_answered, m);
}

static void kernel_done(void *arg)
{
	struct msrc *m = arg;

	m->letting_go = false;
	m->letgo = NULL;
	end_if_done(m);
}

static void let_go(struct msrc *m)
{
	struct letgo_list list = { .has_link = m->link };
	char why[96];
	unsigned int i;

	for (i = 0; i < m->nr_exports; i++)
		letgo_add(list.export, &list.nr_exports, m->export[i]);
	if (m->link) {
		m->link->changed = NULL;
		m->link->closing = true;
		list.link = m->link->id;
	}
	m->link = NULL;
	m->letting_go = true;
	snprintf(why, sizeof(why), "undoing the move of %s", m->vm);
	m->letgo = letgo_start(&list, why, kernel_done, m);
}

void msrc_undo(struct msrc *m, bool tell_peer)
{
	enum src_state was = m->state;

	msrc_note(m, "failed: %s", m->error);
	timer_clear(&m->timer);
	timer_clear(&m->vm_timer);
	/*
	 * What was asked on the way here may still be carried out. Its answer must not
	 * take the move on again; what follows in order undoes it: `abort` a `prepare`,
	 * `cont` a `stop`, `migrate_cancel` a `migrate`.
	 */
	qmp_forget(m->qmp);
	peer_forget(m->peer);
	qmp_ram_cancel(m->ram_finder);
	m->ram_finder = NULL;
	msrc_drop_state(m);
	msrc_sample_drop(m);
	msrc_plan_drop(m);
	unlink(m->state_sock);
	m->state = SRC_UNDO;
	msrc_warm_end(m);
	/*
	 * The record says commit. Were it found so when the peer has forgotten the move,
	 * nobody could say any more that the VM may run here.
	 */
	m->tell_last = was == SRC_COMMIT && msrc_journal(m);
	undo_vm(m, was);
	watchers_tell(&m->watchers, json_pack("{s:s, s:s}", "state", "undo", "why", m->error));
	if (m->peer && tell_peer && was >= SRC_PREPARE) {
		peer_set_ops(m->peer, &peer_ops, m);
		if (!m->tell_last)
			undo_peer(m);
	} else {
		peer_close(m->peer);
		m->peer = NULL;
	}
	let_go(m);
}
