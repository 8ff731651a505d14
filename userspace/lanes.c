// SPDX-License-Identifier: GPL-2.0
/*
 * lanes.c - links and the sockets that become their lanes
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lanes.h"
#include "planner.h"

#define BACKOFF_MIN	100
#define BACKOFF_MAX	5000
#define RENEW_MS	10000

static LIST_HEAD(, plink) links = LIST_HEAD_INITIALIZER(links);
static struct timer renewing;

static json_t *note_of(const struct plink *l)
{
	json_t *obj = json_pack("{s:i, s:s, s:s, s:s, s:i, s:s, s:s}", "v", 1,
				"role", l->connects ? "connect" : "accept",
				"kind", l->import ? "import" : "move",
				"token", l->token, "lanes", l->nr_lanes,
				"name", l->name, "move", l->move);

	json_object_set_new(obj, "who", json_string(l->who));
	if (*l->export)
		json_object_set_new(obj, "export", json_string(l->export));
	if (l->connects) {
		json_object_set_new(obj, "host", json_string(l->target.host));
		json_object_set_new(obj, "addr", json_string(l->target.addr[0]));
		json_object_set_new(obj, "port", json_integer(l->target.port));
	}
	return obj;
}

static void plink_add(struct plink *l)
{
	struct plink *stale = plink_find(l->id);

	/* deleted behind our back, and the kernel gave its number away again */
	if (stale) {
		stale->id = 0;
		stale->closing = true;
	}
	LIST_INSERT_HEAD(&links, l, list);
}

int plink_new(struct plink **out, const struct plink_args *a, char *err, size_t len)
{
	struct plink *l = xcalloc(1, sizeof(*l));
	json_t *obj;
	char *text;
	int ret;

	l->connects = a->connects;
	l->import = a->import;
	l->nr_lanes = a->nr_lanes;
	if (a->token)
		snprintf(l->token, sizeof(l->token), "%s", a->token);
	else
		token_new(l->token);
	if (a->target)
		l->target = *a->target;
	copy_str(l->who, a->who);
	snprintf(l->name, sizeof(l->name), "%s", a->name ? a->name : "");
	snprintf(l->move, sizeof(l->move), "%s", a->move ? a->move : "");
	copy_str(l->export, a->export ? a->export : "");

	obj = note_of(l);
	text = json_dumps(obj, JSON_COMPACT);
	ret = tp_link_new(agent.nl, text, &l->id);
	free(text);
	json_decref(obj);
	if (ret) {
		nl_words(err, len, ret, "making a link");
		free(l);
		return ret;
	}
	plink_add(l);
	*out = l;
	return 0;
}

static void drop_attempt(struct plane *p)
{
	timer_clear(&p->retry);
	transport_cancel(p->greet);
	p->greet = NULL;
}

void plink_forget(struct plink *l)
{
	unsigned int i;

	if (!l)
		return;
	for (i = 0; i < l->nr_lanes; i++)
		drop_attempt(&l->lane[i]);
	planner_end(l->planner);
	LIST_REMOVE(l, list);
	loop_free(l);
}

struct plink *plink_first(void)
{
	return LIST_FIRST(&links);
}

struct plink *plink_find(uint32_t id)
{
	struct plink *l;

	LIST_FOREACH(l, &links, list)
		if (l->id == id)
			return l;
	return NULL;
}

struct plink *plink_by_token(const char *token)
{
	struct plink *l;

	/* that of a link that ends is empty */
	if (!token_ok(token))
		return NULL;
	LIST_FOREACH(l, &links, list)
		if (!strcmp(l->token, token))
			return l;
	return NULL;
}

bool plink_up(const struct plink *l)
{
	unsigned int i;

	for (i = 0; i < l->nr_lanes; i++)
		if (!l->lane[i].up)
			return false;
	return true;
}

/* connecting */

static void lane_connect(struct plink *l, unsigned int n);

/*
 * Timers and connections get the lane as their argument; which link it is of is
 * found by looking, so that a lane needs no pointer back.
 */
static struct plink *lane_owner(struct plane *p, unsigned int *n)
{
	struct plink *l;

	LIST_FOREACH(l, &links, list)
		if (p >= l->lane && p < l->lane + TELEPAGE_LANE_MAX + 1) {
			*n = p - l->lane;
			return l;
		}
	abort();
}

static void lane_retry(void *arg)
{
	unsigned int n;
	struct plink *l = lane_owner(arg, &n);

	lane_connect(l, n);
}

static void lane_again(struct plink *l, unsigned int n, const char *why)
{
	struct plane *p = &l->lane[n];

	if (strcmp(l->last_error, why) != 0) {
		snprintf(l->last_error, sizeof(l->last_error), "%s", why);
		note("link %u lane %u: %s", l->id, n, why);
	}
	p->backoff = p->backoff ? p->backoff * 2 : BACKOFF_MIN;
	if (p->backoff > BACKOFF_MAX)
		p->backoff = BACKOFF_MAX;
	timer_set(&p->retry, p->backoff, lane_retry, p);
}

static int lane_attach(struct plink *l, unsigned int n, int fd)
{
	int err = tp_lane_attach(agent.nl, l->id, n, fd);

	if (err == -EBUSY) {
		/* what is there is dead, or the peer would not offer another */
		tp_lane_detach(agent.nl, l->id, n);
		err = tp_lane_attach(agent.nl, l->id, n, fd);
	}
	close(fd);
	if (!err) {
		l->used = true;
		l->lane[n].attached = true;
		l->lane[n].up = false;	/* until the kernels have greeted */
	}
	return err;
}

static void lane_connected(int fd, const char *addr, const char *who, const char *err, void *arg)
{
	struct plane *p = arg;
	unsigned int n;
	struct plink *l = lane_owner(p, &n);
	char words[512];
	int ret;

	(void)addr;
	p->greet = NULL;
	if (fd < 0) {
		lane_again(l, n, err);
		return;
	}
	if (strcmp(who, l->who) != 0) {
		snprintf(words, sizeof(words), "%s is %.100s now, the link is of %.100s",
			 l->target.host, *who ? who : "nobody", *l->who ? l->who : "nobody");
		close(fd);
		lane_again(l, n, words);
		return;
	}
	ret = lane_attach(l, n, fd);
	if (ret)
		lane_again(l, n, nl_words(words, sizeof(words), ret, "attaching lane %u", n));
}

static void lane_connect(struct plink *l, unsigned int n)
{
	struct plane *p = &l->lane[n];
	json_t *first = transport_hello("lane");

	drop_attempt(p);
	json_object_set_new(first, "link", json_string(l->token));
	json_object_set_new(first, "lane", json_integer(n));
	p->greet = transport_connect(&l->target, first, lane_connected, p);
}

void plink_start(struct plink *l)
{
	unsigned int i;

	if (!l->connects)
		return;
	for (i = 0; i < l->nr_lanes; i++)
		if (!l->lane[i].attached && !l->lane[i].greet && !l->lane[i].retry.set)
			lane_connect(l, i);
}

/*
 * A key of AES-GCM is for some 2^24 records, and the kernels cannot change it under
 * a socket: a lane that has carried much is replaced. What was under way on it is
 * asked for again, as when it had been lost.
 */
static void renew_link(struct plink *l)
{
	struct tp_link k;
	size_t i;

	if (tp_link_get(agent.nl, l->id, &k))
		return;
	for (i = 0; i < k.nr_lanes; i++) {
		const struct tp_lane *lane = &k.lanes[i];
		struct plane *p = lane->lane < l->nr_lanes ? &l->lane[lane->lane] : NULL;

		if (!p || !p->up || p->greet || p->retry.set ||
		    lane->tx_bytes + lane->rx_bytes < agent.rekey_bytes)
			continue;
		note("link %u (%s): lane %u gets new keys", l->id, l->name, lane->lane);
		p->attached = false;
		p->up = false;
		tp_lane_detach(agent.nl, l->id, lane->lane);
		lane_connect(l, lane->lane);
	}
	tp_link_clear(&k);
}

static void renew_all(void *arg)
{
	struct plink *l;

	(void)arg;
	LIST_FOREACH(l, &links, list)
		if (l->connects && !l->closing)
			renew_link(l);
	timer_set(&renewing, RENEW_MS, renew_all, NULL);
}

void plinks_start(void)
{
	struct plink *l;

	if (!agent.plain)
		timer_set(&renewing, RENEW_MS, renew_all, NULL);
	LIST_FOREACH(l, &links, list)
		if (!l->closing)
			plink_start(l);
}

/* accepting */

void plink_accept_lane(int fd, json_t *first, const char *from, const char *who)
{
	const char *token = json_string_value(json_object_get(first, "link"));
	json_int_t n = json_integer_value(json_object_get(first, "lane"));
	struct plink *l = token ? plink_by_token(token) : NULL;
	char words[256];
	int err;

	if (!l || l->connects) {
		transport_answer(fd, "unknown link");
		close(fd);
		return;
	}
	if (strcmp(who, l->who) != 0) {
		note_peer("link %u lane %lld: %s (%s) wants a lane that is not its own", l->id,
			  (long long)n, from, who);
		transport_answer(fd, "the link belongs to another peer");
		close(fd);
		return;
	}
	if (n < 0 || n >= l->nr_lanes) {
		transport_answer(fd, "no such lane");
		close(fd);
		return;
	}
	/*
	 * The answer first: attaching makes the kernel greet at once, and the
	 * greeting must come behind our line. If attaching fails the peer sees
	 * its lane lost and tries again.
	 */
	if (transport_answer(fd, NULL)) {
		close(fd);
		return;
	}
	err = lane_attach(l, n, fd);
	if (err)
		note("link %u lane %lld from %s: %s", l->id, (long long)n, from,
		     nl_words(words, sizeof(words), err, "attaching"));
}

/* what the kernel tells */

void lanes_event(const struct tp_event *ev)
{
	struct plink *l = ev->has_link ? plink_find(ev->link) : NULL;
	struct plane *p;

	if (!l || ev->lane >= l->nr_lanes)
		return;
	p = &l->lane[ev->lane];
	if (ev->kind == TELEPAGE_EVENT_LANE_UP) {
		p->attached = true;
		p->up = true;
		p->backoff = 0;
		l->last_error[0] = 0;
	} else if (ev->kind == TELEPAGE_EVENT_LANE_LOST) {
		if (!l->closing)
			note("link %u (%s): lane %u lost: %s", l->id, l->name, ev->lane,
			     ev->reason[0] ? ev->reason : strerror(ev->error));
		p->attached = false;
		p->up = false;
		if (l->connects && !l->closing && !p->greet && !p->retry.set)
			lane_again(l, ev->lane, "reconnecting");
	} else {
		return;
	}
	if (l->changed)
		l->changed(l, l->arg);
}

/* a new agent */

static bool note_read(struct plink *l, const char *text)
{
	json_t *obj = json_loads(text, 0, NULL);
	const char *role, *kind, *token, *name, *move, *host = NULL, *addr = NULL;
	const char *who = "", *export = "";
	int v, lanes, port = 0;
	bool ok = false;

	if (!obj || json_unpack(obj, "{s:i, s:s, s:s, s:s, s:i, s:s, s:s, s?s, s?s}", "v", &v,
				"role", &role, "kind", &kind, "token", &token, "lanes", &lanes,
				"name", &name, "move", &move, "who", &who,
				"export", &export))
		goto out;
	if (v != 1 || !token_ok(token) || lanes < 1 || lanes > TELEPAGE_LANE_MAX + 1)
		goto out;
	l->connects = !strcmp(role, "connect");
	l->import = !strcmp(kind, "import");
	l->nr_lanes = lanes;
	copy_str(l->token, token);
	copy_str(l->who, who);
	copy_str(l->export, export);
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->move, sizeof(l->move), "%s", move);
	if (l->connects) {
		if (json_unpack(obj, "{s:s, s:s, s:i}", "host", &host, "addr", &addr,
				"port", &port))
			goto out;
		snprintf(l->target.host, sizeof(l->target.host), "%s", host);
		snprintf(l->target.addr[0], sizeof(l->target.addr[0]), "%s", addr);
		l->target.nr = 1;
		l->target.port = port;
	}
	ok = true;
out:
	json_decref(obj);
	return ok;
}

static void lanes_from_kernel(struct plink *l, const struct tp_link *k)
{
	size_t i;

	for (i = 0; i < l->nr_lanes; i++) {
		l->lane[i].attached = false;
		l->lane[i].up = false;
	}
	for (i = 0; i < k->nr_lanes; i++) {
		if (k->lanes[i].lane >= l->nr_lanes)
			continue;
		l->lane[k->lanes[i].lane].attached = true;
		l->lane[k->lanes[i].lane].up = k->lanes[i].up;
	}
}

void plinks_adopt(void)
{
	struct tp_link_list list = { 0 };
	struct plink *l;
	char words[256];
	size_t i;
	int err = tp_link_dump(agent.nl, &list);

	if (err) {
		note("%s", nl_words(words, sizeof(words), err, "listing links"));
		return;
	}
	for (i = 0; i < list.n; i++) {
		l = plink_find(list.v[i].id);
		if (!l) {
			l = xcalloc(1, sizeof(*l));
			l->id = list.v[i].id;
			if (!note_read(l, list.v[i].peer)) {
				free(l);
				continue;
			}
			plink_add(l);
			note("found link %u (%s %s)", l->id, l->import ? "import" : "move",
			     l->name);
		}
		lanes_from_kernel(l, &list.v[i]);
		if (l->changed)
			l->changed(l, l->arg);
	}
	tp_link_list_free(&list);
}
