// SPDX-License-Identifier: GPL-2.0
/*
 * move_fill.c - a move's source from commit on
 *
 * The journal says commit, so this side never runs the VM again, unless the
 * destination answers in so many words that it has not and will not. A lost
 * connection is made anew for as long as it takes.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "move_plan.h"
#include "move_src.h"

#define CMD_MS		10000
#define COMMIT_MS	45000
#define BACKOFF_MIN	100
#define BACKOFF_MAX	5000
#define UNKNOWN_MS	30000		/* between questions to who knows nothing */
#define RELEASE_TELL_MS	10000
#define WANTED_MS	1000		/* between looks at what is left to push */
#define WANTED_LOOKS	10

static void ask_status(struct msrc *m);
static void try_again(void *arg);

/* COMMIT */

static void committed(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	if (!err) {
		m->backoff = 0;
		m->doubt = false;
		msrc_enter(m, SRC_FILL);
	} else if (msg && json_is_true(json_object_get(msg, "aborted"))) {
		msrc_set_error(m, "%s: %s", m->target.host, err);
		msrc_undo(m, true);
	} else {
		peer_close(m->peer);
		m->peer = NULL;
		msrc_failed(m, "commit: %s", err);
	}
}

static void send_commit(struct msrc *m)
{
	peer_ask(m->peer, "commit", json_pack("{s:s, s:b}", "move", m->id, "run", m->was_running),
		 COMMIT_MS, committed, m);
}

void msrc_commit(struct msrc *m)
{
	if (msrc_journal(m)) {
		/* nothing was sent: it can be undone, whatever the record says now */
		msrc_set_error(m, "cannot write the journal in %s", agent.state);
		msrc_undo(m, true);
		return;
	}
	send_commit(m);
}

/* FILL */

static json_t *summary(struct msrc *m, const char *status)
{
	json_t *regions = json_array(), *obj;
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < m->ram.nr; i++) {
		json_array_append_new(regions, json_string(m->ram.region[i].name));
		bytes += m->ram.region[i].size;
	}
	obj = json_pack("{s:s, s:s, s:s, s:o, s:I}", "vm", m->vm, "as", m->as, "to",
			m->target.host, "regions", regions, "ram_bytes", (json_int_t)bytes);
	/* after a restart of the agent there is no clock to measure these with */
	if (m->t_stop && m->t_running) {
		json_object_set_new(obj, "prepare_ms", json_integer(m->t_stop - m->t_begin));
		json_object_set_new(obj, "switch_ms", json_integer(m->t_running - m->t_stop));
		json_object_set_new(obj, "state_bytes", json_integer(m->state_bytes));
		json_object_set_new(obj, "state_wire_bytes", json_integer(m->state_wire_bytes));
		if (m->goes_live)
			json_object_set_new(obj, "live", msrc_live_summary(m));
		if (m->warm.on)
			json_object_set_new(obj, "warm", msrc_warm_summary(m));
		/* without one there is nothing to be set */
		json_object_set_new(obj, "sample", msrc_sample_summary(m));
		/* each counted from the one before: where the switch-over's time went */
		json_object_set_new(obj, "switch", json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}",
			"stop_ms", (json_int_t)(m->t_stopped - m->t_stop),
			"freeze_ms", (json_int_t)(m->t_frozen - m->t_stopped),
			"send_ms", (json_int_t)(m->t_migrated - m->t_frozen),
			"load_ms", (json_int_t)(m->t_loaded - m->t_migrated),
			"warm_ms", (json_int_t)(m->t_switched - m->t_loaded),
			"commit_ms", (json_int_t)(m->t_running - m->t_switched)));
	}
	if (m->t_complete && m->t_running) {
		json_object_set_new(obj, "fill_ms", json_integer(m->t_complete - m->t_running));
		json_object_set_new(obj, "total_ms", json_integer(m->t_complete - m->t_begin));
	}
	json_object_set_new(obj, "pages_total", json_integer(m->counters.total));
	json_object_set_new(obj, "pages_absent", json_integer(m->counters.absent));
	json_object_set_new(obj, "pages_zero", json_integer(m->counters.zero));
	json_object_set_new(obj, "pages_demand", json_integer(m->counters.demand));
	json_object_set_new(obj, "pages_push", json_integer(m->counters.push));
	json_object_set_new(obj, "pages_file", json_integer(m->counters.file));
	json_object_set_new(obj, "wire_bytes", json_integer(m->counters.rx_bytes));
	json_object_set_new(obj, "status", json_string(status));
	return obj;
}

void msrc_fill(struct msrc *m)
{
	unsigned int i;

	m->t_running = now_ms();
	/* before the record says so: then the VM may come back, and say it anew */
	msrc_plan_left(m);
	msrc_journal(m);
	if (m->devstate.relay) {
		m->state_bytes = relay_out(m->devstate.relay);
		m->state_wire_bytes = relay_wire(m->devstate.relay);
	}
	msrc_plan_keep(m);
	msrc_quit(m);
	for (i = 0, m->counters.total = 0; i < m->ram.nr; i++)
		m->counters.total += m->ram.region[i].size / TELEPAGE_PAGE_SIZE;
	watchers_tell(&m->watchers, json_pack("{s:o}", "running", summary(m, "filling")));
}

/*
 * The destination says that it needs nothing more. What is deleted here is gone, so
 * that is looked at twice: it has to have counted all pages, and none may be left to
 * push. A page that it has filled by itself is pushed nevertheless, so what stands
 * still for long, while it says so again and again, is wanted by nobody.
 */
static void fill_ended(struct msrc *m, bool abandoned)
{
	uint64_t wanted = 0, total = 0;
	struct tp_export e;
	unsigned int i;

	for (i = 0; i < m->ram.nr; i++)
		total += m->ram.region[i].size / TELEPAGE_PAGE_SIZE;
	for (i = 0; i < m->nr_exports; i++)
		if (!tp_export_get(agent.nl, m->export[i], &e)) {
			wanted += e.wanted;
			tp_export_clear(&e);
		}
	if (abandoned) {
		m->abandoned = true;
		snprintf(m->error, sizeof(m->error),
			 "its memory was abandoned at %s, where %llu pages of it are missing; it is kept frozen here (telepage delete lets it go)",
			 m->target.host, (unsigned long long)m->counters.absent);
	} else if (m->counters.absent || m->counters.total < total ||
		   (wanted && m->wanted_looks < WANTED_LOOKS)) {
		m->wanted_looks = wanted < m->wanted ? 0 : m->wanted_looks + 1;
		m->wanted = wanted;
		if (m->wanted_looks == 1)
			msrc_note(m, "complete at %s, but %llu pages are left to push",
				  m->target.host, (unsigned long long)wanted);
		timer_set(&m->timer, WANTED_MS, try_again, m);
		return;
	}
	m->t_complete = now_ms();
	msrc_enter(m, SRC_RELEASE);
}

void msrc_notice(struct peer *p, const char *op, json_t *msg, void *arg)
{
	struct msrc *m = arg;

	(void)p;
	if (!strcmp(op, "failed")) {
		const char *why = json_string_value(json_object_get(msg, "error"));

		/* after commit only the answer to commit counts */
		if (m->state < SRC_COMMIT)
			msrc_failed(m, "%s: %s", m->target.host, why ? why : "failed");
		return;
	}
	if (m->state != SRC_FILL)
		return;
	counters_from_json(&m->counters, json_object_get(msg, "counters"));
	if (!strcmp(op, "progress")) {
		watchers_tell(&m->watchers, json_pack("{s:o}", "progress",
						      counters_to_json(&m->counters)));
	} else if (!strcmp(op, "complete")) {
		fill_ended(m, json_is_true(json_object_get(msg, "abandoned")));
	}
}

/* RELEASE */

static void say_done(void *arg)
{
	struct msrc *m = arg;

	watchers_end(&m->watchers, m->abandoned ? json_pack("{s:s}", "error", m->error) :
		     json_pack("{s:o}", "done", summary(m, "complete")));
}

static void released(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;

	if (err && !msg) {
		msrc_failed(m, "%s", err);
		return;
	}
	/* a refusal means that it has forgotten the move, which is as good */
	say_done(m);
	msrc_note(m, "%s", m->abandoned ? m->error : "done");
	journal_remove("src", m->id);
	msrc_free(m);
}

static void tell_released(struct msrc *m)
{
	peer_ask(m->peer, "released", json_pack("{s:s, s:O*}", "move", m->id,
						"kept", m->kept), CMD_MS, released, m);
}

static void all_released(void *arg)
{
	struct msrc *m = arg;

	m->link = NULL;
	m->nr_exports = 0;
	m->letting_go = false;
	m->letgo = NULL;
	/* the VM may come back to regions of the same names while we still tell the peer */
	if (!m->abandoned) {
		m->regions_gone = true;
		msrc_journal(m);
	}
	if (m->peer)
		tell_released(m);
	else
		msrc_reconnect(m);
}

void msrc_release(struct msrc *m)
{
	struct letgo_list list = { .has_link = m->link };
	struct tp_region r;
	char why[96];
	unsigned int i;

	/* a new agent asks again whether it was abandoned */
	if (!m->abandoned)
		msrc_journal(m);
	if (msrc_plan_waits(m)) {
		m->letting_go = true;
		timer_set(&m->done_timer, RELEASE_TELL_MS, say_done, m);
		return;
	}
	for (i = 0; i < m->ram.nr; i++) {
		if (i < m->nr_exports)
			letgo_add(list.export, &list.nr_exports, m->export[i]);
		if (m->abandoned)
			continue;
		/* one that was moved is frozen; another has only got its name, or is wanted */
		if (!tp_region_get(agent.nl, m->ram.region[i].name, &r) && !r.frozen)
			msrc_note(m, "region %s is not frozen and left alone", r.name);
		else
			letgo_add(list.region, &list.nr_regions, m->ram.region[i].name);
	}
	if (m->link) {
		list.link = m->link->id;
		m->link->changed = NULL;
		m->link->closing = true;
	}
	m->letting_go = true;		/* under way */
	snprintf(why, sizeof(why), "move of %s", m->vm);
	m->letgo = letgo_start(&list, why, all_released, m);
	/* a QEMU that takes long to exit is no reason to keep the user waiting */
	timer_set(&m->done_timer, RELEASE_TELL_MS, say_done, m);
}

/* a lost connection */

static void peer_ready(struct peer *p, void *arg)
{
	struct msrc *m = arg;

	if (strcmp(peer_who(p), m->who) != 0) {
		peer_close(p);
		m->peer = NULL;
		msrc_failed(m, "%s is %s now, the move is to %s", m->target.host,
			    *peer_who(p) ? peer_who(p) : "nobody", *m->who ? m->who : "nobody");
		return;
	}
	if (m->state == SRC_RELEASE) {
		if (!m->letting_go)
			tell_released(m);
	} else {
		ask_status(m);
	}
}

static void peer_lost(struct peer *p, const char *why, void *arg)
{
	struct msrc *m = arg;

	(void)p;
	m->peer = NULL;
	msrc_failed(m, "%s", why);
}

static const struct peer_ops peer_ops = {
	.ready = peer_ready,
	.notice = msrc_notice,
	.closed = peer_lost,
};

static void try_again(void *arg)
{
	struct msrc *m = arg;

	if (m->peer)
		ask_status(m);
	else
		m->peer = peer_connect(&m->target, &peer_ops, m);
}

/* m->error has why */
void msrc_reconnect(struct msrc *m)
{
	peer_close(m->peer);
	m->peer = NULL;
	m->doubt = true;
	if (!m->backoff) {
		msrc_note(m, "%s%s", m->error, m->state == SRC_COMMIT ?
			  "; in doubt, the VM stays frozen here (see telepage move --forget)" : "");
		watchers_tell(&m->watchers, json_pack("{s:s, s:s}", "state",
			m->state == SRC_COMMIT ? "in-doubt" : "reconnect", "why", m->error));
	}
	m->backoff = m->backoff ? m->backoff * 2 : BACKOFF_MIN;
	if (m->backoff > BACKOFF_MAX)
		m->backoff = BACKOFF_MAX;
	if (!m->letting_go)
		timer_set(&m->timer, m->backoff, try_again, m);
}

static void unknown_there(struct msrc *m)
{
	msrc_set_error(m, "%s does not know this move (was it booted again?); the VM's memory is kept frozen here",
		       m->target.host);
	if (!m->unknown)
		msrc_note(m, "%s; telepage move --forget %s ends the asking", m->error, m->vm);
	m->unknown = true;
	m->doubt = true;
	watchers_tell(&m->watchers, json_pack("{s:s, s:s}", "state", "in-doubt", "why", m->error));
	peer_close(m->peer);
	m->peer = NULL;
	timer_set(&m->timer, UNKNOWN_MS, try_again, m);
}

static void got_status(json_t *msg, const char *err, void *arg)
{
	struct msrc *m = arg;
	const char *state = json_string_value(json_object_get(msg, "state"));

	if (err || !state) {
		msrc_failed(m, "%s", err ? err : "no state in the answer to status");
		return;
	}
	m->backoff = 0;
	if (!strcmp(state, "unknown")) {
		unknown_there(m);
		return;
	}
	m->doubt = false;
	m->unknown = false;
	if (m->state == SRC_COMMIT) {
		if (!strcmp(state, "ready")) {
			send_commit(m);
			return;
		}
		if (!strcmp(state, "aborted")) {
			msrc_set_error(m, "%s gave the move up before commit reached it",
				       m->target.host);
			msrc_undo(m, true);
			return;
		}
		if (strcmp(state, "running") != 0 && strcmp(state, "complete") != 0) {
			peer_close(m->peer);
			m->peer = NULL;
			msrc_failed(m, "%s says the move is '%s'", m->target.host, state);
			return;
		}
		msrc_enter(m, SRC_FILL);
	}
	msrc_note(m, "found again at %s, %s", m->target.host, state);
	counters_from_json(&m->counters, json_object_get(msg, "counters"));
	if (!strcmp(state, "complete"))
		fill_ended(m, json_is_true(json_object_get(msg, "abandoned")));
}

static void ask_status(struct msrc *m)
{
	peer_ask(m->peer, "status", json_pack("{s:s}", "move", m->id), CMD_MS, got_status, m);
}
