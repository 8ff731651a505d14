// SPDX-License-Identifier: GPL-2.0
/*
 * serve.c - exports that other agents import: open-export, close-export
 *
 * What may be imported is what the operator has exported, by name, to that peer;
 * exports that a move made belong to that move and its link alone.
 */
#include <errno.h>
#include <stdio.h>

#include "keys.h"
#include "lanes.h"
#include "letgo.h"
#include "move.h"
#include "peer.h"
#include "planner.h"
#include "serve.h"

#define ANY_PEER	"any"

/* is @word one of @list's, which has spaces between them? */
static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *p;

	for (p = list; n && (p = strstr(p, word)); p += n)
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

/*
 * Certificates tell hosts apart, so each has to be named. Who has the shared key is
 * one and the same peer, and in the clear nobody is anybody: what names none is
 * for those.
 */
static bool exported_to(const struct tp_export *e, const char *who)
{
	if (has_word(e->peer, ANY_PEER) || has_word(e->peer, who))
		return true;
	return !*e->peer && (agent.plain || !agent.keys->certificates);
}

static void plan_ended(json_t *report, bool broken, void *arg)
{
	struct plink *l = arg;

	(void)report;
	(void)broken;			/* who imports begins it anew */
	l->planner = NULL;
}

void serve_accept_plan(int fd, struct plink *l)
{
	struct plan_job job = { .nr = 0 };
	struct tp_export e;
	struct tp_region r = { .size = 0 };
	const char *refusal = planner_refuses(l->planner, l->plans);
	int err = l->closing ? -EBUSY : tp_export_get(agent.nl, l->name, &e);

	if (!err) {
		err = *e.region ? tp_region_get(agent.nl, e.region, &r) : -EINVAL;
		tp_export_clear(&e);
	}
	if (err)
		refusal = "nothing is planned here";
	if (!planner_accept(fd, refusal))
		return;
	l->plans++;
	plan_group(&job, NULL, r.name);
	plan_region(&job, r.name, r.size);
	l->planner = planner_send(fd, &job, false, &l->stalls, plan_ended, l);
}

static void drop_link(struct plink *l, const char *why)
{
	struct letgo_list list = { .has_link = true, .link = l->id };

	note("link %u for %s: %s", l->id, l->name, why);
	l->closing = true;
	l->token[0] = 0;		/* no lane is let in any more */
	letgo_start(&list, "ending an export's link", NULL, NULL);
}

/*
 * Until it has a lane a link hangs on the control connection that asked for it.
 * From then on it lives until close-export.
 */
static void importer_closed(struct peer *p, const char *why, void *arg)
{
	struct plink *l = plink_find((uintptr_t)arg);

	(void)p;
	/* its lanes may be lost by now, with the network, and come back with it */
	if (l && !l->closing && !l->used)
		drop_link(l, why);
}

static const struct peer_ops importer_ops = {
	.closed = importer_closed,
};

void op_open_export(struct peer *p, json_int_t id, json_t *msg)
{
	const char *name = json_string_value(json_object_get(msg, "export"));
	json_int_t bulk = json_integer_value(json_object_get(msg, "bulk"));
	struct plink_args a = { .import = true, .name = name,
				.who = peer_who(p) };
	struct tp_export e;
	struct plink *l;
	uint32_t export_id;
	char words[320];
	bool plans;
	int err;

	if (!name || !name_ok(name)) {
		peer_refuse(p, id, "bad export name");
		return;
	}
	if (bulk < 1 || bulk > TELEPAGE_LANE_MAX) {
		peer_refuse(p, id, "bad number of bulk lanes");
		return;
	}
	if (peer_arg(p)) {
		peer_refuse(p, id, "one export per connection");
		return;
	}
	err = move_src_owns(name) ? -ENOENT : tp_export_get(agent.nl, name, &e);
	if (!err && !exported_to(&e, peer_who(p))) {
		tp_export_clear(&e);
		err = -ENOENT;
	}
	if (err == -ENOENT) {
		if (*peer_who(p))
			peer_refuse(p, id, "there is no export named %s for %s here (telepage export %s --to %s)",
				    name, peer_who(p), name, peer_who(p));
		else
			peer_refuse(p, id, "there is no export named %s here (telepage export makes one)",
				    name);
		return;
	}
	if (err) {
		peer_refuse(p, id, "%s", nl_words(words, sizeof(words), err, "export %s", name));
		return;
	}
	plans = *e.region;
	tp_export_clear(&e);
	a.nr_lanes = bulk + 1;
	if (plink_new(&l, &a, words, sizeof(words))) {
		peer_refuse(p, id, "%s", words);
		return;
	}
	err = tp_export_serve(agent.nl, name, l->id, &export_id);
	if (err) {
		peer_refuse(p, id, "%s", nl_words(words, sizeof(words), err, "serving %s", name));
		drop_link(l, "could not be served");
		return;
	}
	note("link %u: %s is served to %s %s", l->id, name, peer_addr(p), peer_who(p));
	peer_set_ops(p, &importer_ops, (void *)(uintptr_t)l->id);
	peer_answer(p, id, json_pack("{s:s, s:I, s:I, s:b}", "token", l->token,
				     "export_id", (json_int_t)export_id,
				     "size", (json_int_t)e.size, "plan", plans));
}

void op_close_export(struct peer *p, json_int_t id, json_t *msg)
{
	const char *token = json_string_value(json_object_get(msg, "token"));
	struct plink *l = token ? plink_by_token(token) : NULL;

	/* one that is not there any more is what was wanted */
	if (l && !l->connects && l->import && !l->closing && !strcmp(l->who, peer_who(p)))
		drop_link(l, "the importer needs it no more");
	peer_answer(p, id, json_object());
}
