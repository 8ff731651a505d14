// SPDX-License-Identifier: GPL-2.0
/*
 * import.c - a region here that fills from an export of a peer
 *
 * CONNECT -> OPEN -> LANES -> FILL -> CLOSE, and straight to CLOSE when
 * something fails. No journal: the link's note and the region that imports over
 * it are all that a new agent needs.
 */
#include <errno.h>
#include <stdio.h>

#include "import.h"
#include "lanes.h"
#include "letgo.h"
#include "local.h"
#include "move.h"
#include "peer.h"
#include "planner.h"
#include "workingset.h"

#define OPEN_MS		15000
#define LANES_MS	15000
#define PROGRESS_MS	200
#define BACKOFF_MIN	100
#define BACKOFF_MAX	5000

enum import_state { IMP_CONNECT, IMP_OPEN, IMP_LANES, IMP_FILL, IMP_CLOSE };

static const char * const state_names[] = { "connect", "open", "lanes", "fill", "close" };

struct import {
	enum import_state state;
	char region[TELEPAGE_NAME_MAX + 1], export[TELEPAGE_NAME_MAX + 1];
	struct target target;
	unsigned int bulk;
	bool push, made_region;
	struct plan_hold hold;
	struct plan_dial dial;
	uint32_t export_id;
	char token[TOKEN_LEN + 1];
	char who[TLS_WHO_MAX];		/* whose export it is; known once it was reached */
	struct plink *link;
	struct peer *peer;
	struct timer timer;
	unsigned int backoff;
	char error[512];		/* empty: it went well */
	struct counters counters;
	struct watchers watchers;
	LIST_ENTRY(import) list;
};

static LIST_HEAD(, import) imports = LIST_HEAD_INITIALIZER(imports);

static void watch_fill(void *arg);
static void close_again(void *arg);
static const struct peer_ops peer_ops;

static struct import *import_new(const char *region)
{
	struct import *m = xcalloc(1, sizeof(*m));

	snprintf(m->region, sizeof(m->region), "%s", region);
	LIST_INSERT_HEAD(&imports, m, list);
	return m;
}

static void drop_plan(struct import *m)
{
	plan_dial_end(&m->dial);
	planner_let_go(&m->hold);
}

static void import_free(struct import *m)
{
	timer_clear(&m->timer);
	drop_plan(m);
	peer_close(m->peer);
	LIST_REMOVE(m, list);
	loop_free(m);
}

static void tell_state(struct import *m)
{
	watchers_tell(&m->watchers, json_pack("{s:s}", "state", state_names[m->state]));
}

static json_t *summary(struct import *m, const char *status)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "region", m->region, "export", m->export,
			 "from", m->target.host, "status", status,
			 "counters", counters_to_json(&m->counters));
}

/* CLOSE: the peer stops serving, both ends let go of the link */

static void say_end(struct import *m)
{
	if (m->error[0])
		watchers_end(&m->watchers, json_pack("{s:s}", "error", m->error));
	else
		watchers_end(&m->watchers, json_pack("{s:o}", "done", summary(m, "complete")));
}

static void link_gone(void *arg)
{
	struct import *m = arg;

	note("import %s: %s", m->region, m->error[0] ? m->error : "complete");
	say_end(m);
	import_free(m);
}

static void let_go(struct import *m)
{
	struct letgo_list list = { .abandon = true, .has_link = m->link };

	if (m->error[0] && m->made_region) {
		list.nr_regions = 1;
		copy_str(list.region[0], m->region);
	}
	if (m->link) {
		m->link->changed = NULL;
		list.link = m->link->id;
	}
	m->link = NULL;
	letgo_start(&list, "ending an import", link_gone, m);
}

static void closed_there(json_t *msg, const char *err, void *arg)
{
	struct import *m = arg;

	(void)msg;
	if (err)
		note("import %s: close-export: %s", m->region, err);
	peer_close(m->peer);
	m->peer = NULL;
	let_go(m);
}

static void tell_close(struct import *m)
{
	peer_ask(m->peer, "close-export", json_pack("{s:s}", "token", m->token), OPEN_MS,
		 closed_there, m);
}

static void close_again(void *arg)
{
	struct import *m = arg;

	m->peer = peer_connect(&m->target, &peer_ops, m);
}

static void enter_close(struct import *m)
{
	m->state = IMP_CLOSE;
	timer_clear(&m->timer);
	drop_plan(m);
	tell_state(m);
	if (m->link)
		m->link->closing = true;
	if (!m->token[0]) {
		peer_close(m->peer);
		m->peer = NULL;
		let_go(m);
	} else if (m->peer) {
		tell_close(m);
	} else {
		close_again(m);
	}
}

static void failed(struct import *m, const char *words)
{
	snprintf(m->error, sizeof(m->error), "%s", words);
	plain(m->error);
	enter_close(m);
}

/* the plan: what of the region is here already */

static void plan_over(void *arg)
{
	drop_plan(arg);
}

static void plan_ended(json_t *report, bool broken, void *arg)
{
	struct import *m = arg;

	(void)report;
	if (broken)
		plan_dial_again(&m->dial);
	else
		drop_plan(m);
}

static void plan_reached(int fd, void *arg)
{
	struct import *m = arg;

	if (!planner_receive(&m->hold, fd, plan_ended, m))
		plan_dial_again(&m->dial);
}

static const struct plan_dial_ops plan_ops = { .reached = plan_reached, .over = plan_over };

/* LANES */

static void lanes_timeout(void *arg)
{
	struct import *m = arg;

	failed(m, m->link->last_error[0] ? m->link->last_error : "the lanes did not come up");
}

static void lanes_changed(struct plink *l, void *arg)
{
	struct import *m = arg;
	char words[256];
	int err;

	if (m->state != IMP_LANES || !plink_up(l))
		return;
	err = tp_region_import(agent.nl, m->region, l->id, m->export_id, m->push);
	if (err) {
		failed(m, nl_words(words, sizeof(words), err, "importing into region %s", m->region));
		return;
	}
	note("import %s: from %s of %s", m->region, m->export, m->target.host);
	workingset_begin(m->region);
	m->state = IMP_FILL;
	if (m->hold.held)
		plan_dial_begin(&m->dial, m->link, &plan_ops, m);
	peer_close(m->peer);
	m->peer = NULL;
	watchers_tell(&m->watchers, json_pack("{s:o}", "importing", summary(m, "filling")));
	watch_fill(m);
}

/* OPEN */

static bool make_region(struct import *m, uint64_t size, char *err, size_t len)
{
	int ret = tp_region_new(agent.nl, m->region, size, 0600, 0, 0, NULL);
	struct tp_region r;

	if (!ret) {
		m->made_region = true;
		return true;
	}
	if (ret != -EEXIST || tp_region_get(agent.nl, m->region, &r)) {
		nl_words(err, len, ret, "making region %s", m->region);
		return false;
	}
	if (r.size != size) {
		snprintf(err, len, "region %s has %llu bytes, the export %llu", m->region,
			 (unsigned long long)r.size, (unsigned long long)size);
		return false;
	}
	return true;		/* whether it was touched the kernel knows */
}

/* whether its pages wait for a plan is known */
static void begin_lanes(void *arg)
{
	struct import *m = arg;

	m->state = IMP_LANES;
	tell_state(m);
	m->link->changed = lanes_changed;
	m->link->arg = m;
	timer_set(&m->timer, LANES_MS, lanes_timeout, m);
	plink_start(m->link);
}

static void opened(json_t *msg, const char *err, void *arg)
{
	struct import *m = arg;
	struct plink_args a = { .connects = true, .import = true, .target = &m->target,
				.nr_lanes = m->bulk + 1, .name = m->region,
				.export = m->export, .who = m->who };
	const char *token;
	json_int_t size, id;
	char words[400];

	if (err) {
		snprintf(words, sizeof(words), "%s: %s", m->target.host, err);
		failed(m, words);
		return;
	}
	if (json_unpack(msg, "{s:s, s:I, s:I}", "token", &token, "size", &size,
			"export_id", &id) || !token_ok(token)) {
		failed(m, "the answer to open-export is not understood");
		return;
	}
	copy_str(m->token, token);
	m->export_id = id;
	a.token = token;
	if (!make_region(m, size, words, sizeof(words)) ||
	    plink_new(&m->link, &a, words, sizeof(words))) {
		failed(m, words);
		return;
	}
	plan_region(&m->hold.job, m->region, size);
	planner_came(&m->hold.job);
	if (json_is_true(json_object_get(msg, "plan")))
		planner_hold(&m->hold, begin_lanes, m);
	else
		begin_lanes(m);
}

static void peer_ready(struct peer *p, void *arg)
{
	struct import *m = arg;

	if (m->state == IMP_CLOSE) {
		tell_close(m);
		return;
	}
	snprintf(m->target.addr[0], sizeof(m->target.addr[0]), "%s", peer_addr(p));
	m->target.nr = 1;
	copy_str(m->who, peer_who(p));
	m->state = IMP_OPEN;
	tell_state(m);
	peer_ask(p, "open-export", json_pack("{s:s, s:i}", "export", m->export, "bulk", m->bulk),
		 OPEN_MS, opened, m);
}

static void peer_lost(struct peer *p, const char *why, void *arg)
{
	struct import *m = arg;

	(void)p;
	m->peer = NULL;
	if (m->state < IMP_FILL) {
		failed(m, why);
	} else if (m->state == IMP_CLOSE) {
		/* one that failed does not wait for a peer that is away */
		if (m->error[0]) {
			let_go(m);
			return;
		}
		m->backoff = m->backoff ? m->backoff * 2 : BACKOFF_MIN;
		if (m->backoff > BACKOFF_MAX)
			m->backoff = BACKOFF_MAX;
		timer_set(&m->timer, m->backoff, close_again, m);
	}
}

static const struct peer_ops peer_ops = {
	.ready = peer_ready,
	.closed = peer_lost,
};

/* FILL */

static void watch_fill(void *arg)
{
	struct import *m = arg;
	int state;

	memset(&m->counters, 0, sizeof(m->counters));
	state = counters_add(&m->counters, m->region);
	/* a page comes only from what is frozen */
	if (m->counters.push || m->counters.demand)
		planner_due(&m->hold);
	watchers_tell(&m->watchers, json_pack("{s:o}", "progress", counters_to_json(&m->counters)));
	if (still_fills(state)) {
		timer_set(&m->timer, PROGRESS_MS, watch_fill, m);
		return;
	}
	m->made_region = false;		/* what became of it is the user's from here */
	if (state == -ENOENT)
		failed(m, "the region was deleted");
	else if (state == TELEPAGE_REGION_ABANDONED)
		failed(m, "the region was abandoned");
	else
		enter_close(m);
	/* the region is what it will be; a peer that is away can wait, people need not */
	say_end(m);
}

void import_event(const struct tp_event *ev)
{
	struct import *m, *next;

	for (m = LIST_FIRST(&imports); m; m = next) {
		next = LIST_NEXT(m, list);
		if (m->state == IMP_FILL && ev->region[0] && !strcmp(ev->region, m->region))
			watch_fill(m);
	}
}

/* commands of this host */

/*
 * Has an import to do with its region still? One that closes has not, but for one it made
 * and takes with it; of one that was deleted just now the event may not have come yet.
 */
static bool into_region(const char *region)
{
	struct import *m, *next;

	for (m = LIST_FIRST(&imports); m; m = next) {
		next = LIST_NEXT(m, list);
		if (m->state == IMP_FILL && !strcmp(m->region, region))
			watch_fill(m);
	}
	LIST_FOREACH(m, &imports, list)
		if (!strcmp(m->region, region) && (m->state != IMP_CLOSE || m->made_region))
			return true;
	return false;
}

const char *import_begin(const struct import_request *req, struct conn *watcher)
{
	struct import *m;

	if (!name_ok(req->region))
		return "bad region name";
	if (req->group && !name_ok(req->group))
		return "bad group name";
	if (into_region(req->region))
		return "an import into this region is under way";
	m = import_new(req->region);
	snprintf(m->export, sizeof(m->export), "%s", req->export);
	m->target = req->target;
	m->bulk = req->bulk;
	m->push = req->push;
	plan_group(&m->hold.job, req->group, req->region);
	m->hold.job.alone = req->uffd;
	watchers_add(&m->watchers, watcher);
	tell_state(m);
	m->peer = peer_connect(&m->target, &peer_ops, m);
	return NULL;
}

void import_unwatch(struct conn *watcher)
{
	struct import *m;

	LIST_FOREACH(m, &imports, list)
		watchers_del(&m->watchers, watcher);
}

json_t *import_list(void)
{
	json_t *list = json_array();
	struct import *m;

	LIST_FOREACH(m, &imports, list)
		json_array_append_new(list, summary(m, state_names[m->state]));
	return list;
}

/* an agent that died between making the link and importing has begun nothing */
static bool begun(const struct import *m)
{
	struct tp_region r;

	return tp_region_get(agent.nl, m->region, &r) || r.importing || r.stats.rx_bytes;
}

static void resume(void *arg)
{
	struct import *m = arg;

	if (begun(m))
		watch_fill(m);
	else
		failed(m, "the agent was restarted before it had begun");
}

void import_restore(void)
{
	struct import *m;
	struct plink *l;

	for (l = plink_first(); l; l = LIST_NEXT(l, list)) {
		if (!l->connects || !l->import)
			continue;
		m = import_new(l->name);
		copy_str(m->export, l->export);
		m->target = l->target;
		m->bulk = l->nr_lanes - 1;
		m->link = l;
		copy_str(m->token, l->token);
		copy_str(m->who, l->who);
		m->state = IMP_FILL;
		note("import %s: found", m->region);
		/* from the loop: the list of links must not change under us */
		timer_set(&m->timer, 0, resume, m);
	}
}
