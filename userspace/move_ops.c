// SPDX-License-Identifier: GPL-2.0
/*
 * move_ops.c - the requests of a move as its destination hears them
 *
 * Everything in them comes from another host: checked here, once, before the
 * state machine in move_dst.c gets it.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"
#include "move_plan.h"

#define REGION_SIZE_MAX	(1ULL << 46)

/* the move of @msg if it is @p's own; that of another peer is as good as none */
static struct mdst *own_move(struct peer *p, json_t *msg)
{
	const char *move = json_string_value(json_object_get(msg, "move"));
	struct mdst *m = move && token_ok(move) ? mdst_find(move) : NULL;

	if (!m || !strcmp(m->who, peer_who(p)))
		return m;
	note_peer("move %.8s of %s: %s (%s) asks for it, but is not its source", m->id, m->vm,
		  peer_addr(p), peer_who(p));
	return NULL;
}

/*
 * One move per connection: when it ends that is told to one owner, who forgets it
 * then. A source makes a connection for each of its moves.
 */
static bool taken(struct peer *p, json_int_t id, const struct mdst *m)
{
	if (!peer_arg(p) || peer_arg(p) == m)
		return false;
	peer_refuse(p, id, "one move per connection");
	return true;
}

/* the same, attached to @p; refuses and returns NULL if there is none */
static struct mdst *move_of(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = own_move(p, msg);

	if (!m) {
		peer_refuse(p, id, "no such move here");
		return NULL;
	}
	if (taken(p, id, m))
		return NULL;
	mdst_attach(m, p);
	return m;
}

/* the same, but it has to be in @state with nothing asked */
static struct mdst *move_in(struct peer *p, json_int_t id, json_t *msg, enum dst_state state)
{
	struct mdst *m = move_of(p, id, msg);

	if (!m)
		return NULL;
	if (m->state >= DST_ABORTING) {
		peer_answer(p, id, json_pack("{s:s, s:b}", "error", m->error, "aborted", 1));
		return NULL;
	}
	if (m->state != state || m->call) {
		peer_refuse(p, id, "the move is not at that step");
		return NULL;
	}
	m->call = id;
	return m;
}

static const char *check_prepare(json_t *msg, const char *move, const char *vm, json_t *regions)
{
	json_t *r;
	size_t i;

	if (!move || !token_ok(move) || mdst_find(move))
		return "bad move id";
	if (!vm || !name_ok(vm))
		return "bad VM name";
	if (!json_is_array(regions) || !json_array_size(regions) ||
	    json_array_size(regions) > MOVE_REGIONS_MAX)
		return "bad list of regions";
	json_array_foreach(regions, i, r) {
		const char *name = json_string_value(json_object_get(r, "name"));
		json_int_t size = json_integer_value(json_object_get(r, "size"));

		if (!name || !name_ok(name))
			return "bad region name";
		if (size <= 0 || (uint64_t)size > REGION_SIZE_MAX || size % TELEPAGE_PAGE_SIZE)
			return "bad region size";
	}
	r = json_object_get(msg, "args");
	if (r && (!json_is_string(r) || json_string_length(r) > MOVE_ARGS_MAX))
		return "bad args";
	r = json_object_get(msg, "machine");
	if (r && (!json_is_object(r) || json_object_size(r) > 16))
		return "bad machine";
	return NULL;
}

void mdst_prepared(struct mdst *m)
{
	json_t *names = json_array();

	for (unsigned int i = 0; i < m->nr; i++)
		json_array_append_new(names, json_string(m->region[i].name));
	mdst_answer(m, json_pack("{s:s, s:o, s:b, s:b, s:b, s:b, s:b}", "token",
				 m->link->token, "regions", names, "live", m->live,
				 "plan", m->plan.held, "zstd", 1, "warm", 1, "first", 1));
}

void op_prepare(struct peer *p, json_int_t id, json_t *msg)
{
	const char *move = json_string_value(json_object_get(msg, "move"));
	const char *vm = json_string_value(json_object_get(msg, "vm")), *why;
	json_t *regions = json_object_get(msg, "regions");
	json_int_t bulk = json_integer_value(json_object_get(msg, "bulk"));
	struct mdst *m = vm ? mdst_find_vm(vm) : NULL;
	char err[320];
	int ret;

	if (taken(p, id, NULL))
		return;
	why = check_prepare(msg, move, vm, regions);
	if (!why && (bulk < 1 || bulk > TELEPAGE_LANE_MAX))
		why = "bad number of bulk lanes";
	if (why) {
		peer_refuse(p, id, "%s", why);
		return;
	}
	if (m) {
		peer_refuse(p, id, m->state == DST_ABORTING ?
			    "an earlier move of %s to here is still being undone" :
			    "a move of %s to here is already under way", vm);
		return;
	}
	m = mdst_new(move, vm);
	copy_str(m->who, peer_who(p));
	m->machine = json_incref(json_object_get(msg, "machine"));
	m->live = json_is_true(json_object_get(msg, "live"));
	if (strlen(m->qmp_path) >= MOVE_SOCK_MAX || strlen(m->vm_dir) + 16 >= MOVE_SOCK_MAX) {
		peer_refuse(p, id, "%s is too long for a socket's path", m->vm_dir);
		mdst_free(m);
		return;
	}
	if (mdst_accept(m, err, sizeof(err))) {
		peer_refuse(p, id, "%s", err);
		mdst_free(m);
		return;
	}
	if (qmp_answers(m->qmp_path)) {
		peer_refuse(p, id, "a VM named %s runs here already (%s)", vm, m->qmp_path);
		mdst_free(m);
		return;
	}
	mkdir(agent.vm_dir, 0755);
	m->made_dir = !mkdir(m->vm_dir, 0700);
	ret = mdst_take_args(m, json_string_value(json_object_get(msg, "args")));
	if (ret) {
		peer_refuse(p, id, "%s: %s", m->args_path, strerror(-ret));
		goto undo;
	}
	ret = mdst_plan_group(m, msg);
	if (ret) {
		peer_refuse(p, id, "%s: %s", m->group_path, strerror(-ret));
		goto undo;
	}
	if (mdst_make(m, regions, bulk + 1, err, sizeof(err))) {
		peer_refuse(p, id, "%s", err);
		goto undo;
	}
	mdst_attach(m, p);
	m->call = id;
	if (mdst_journal(m)) {
		mdst_abort(m, "the destination cannot write its journal");
		return;
	}
	note("move %.8s of %s: prepared for %s %s", m->id, vm, peer_addr(p),
	     peer_who(p));
	mdst_plan_prepare(m, msg);
	return;
undo:
	unlink(m->args_path);
	unlink(m->group_path);
	if (m->made_dir)
		rmdir(m->vm_dir);
	mdst_free(m);
}

void op_start(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = move_in(p, id, msg, DST_PREPARED);
	json_t *exports = json_object_get(msg, "exports"), *e;
	size_t i;

	if (!m)
		return;
	if (!json_is_array(exports) || json_array_size(exports) != m->nr) {
		mdst_abort(m, "start without an export for each region");
		return;
	}
	json_array_foreach(exports, i, e) {
		m->region[i].export_id = json_integer_value(e);
	}
	mdst_start(m);
}

void op_load(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = move_in(p, id, msg, DST_INCOMING);

	if (!m)
		return;
	m->full = json_is_true(json_object_get(msg, "full"));
	mdst_load(m);
}

void op_warm(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = move_of(p, id, msg);

	if (!m)
		return;
	if (m->state < DST_INCOMING || m->state > DST_READY || m->warm.call)
		peer_refuse(p, id, "the move is not at that step");
	else
		mdst_warm(m, id, msg);
}

void op_first(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = move_of(p, id, msg);

	if (!m)
		return;
	if (m->state < DST_INCOMING || m->state > DST_READY)
		peer_refuse(p, id, "the move is not at that step");
	else
		mdst_first(m, id, msg);
}

void op_commit(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = move_of(p, id, msg);

	if (!m)
		return;
	if (m->state == DST_READY) {
		m->run = json_is_true(json_object_get(msg, "run"));
		m->call = id;
		mdst_commit(m);
	} else if (m->state == DST_COMMITTED) {
		m->call = id;		/* said again after a lost connection */
	} else if (m->state == DST_RUNNING || m->state == DST_COMPLETE) {
		peer_answer(p, id, json_pack("{s:s}", "state", "running"));
	} else if (m->abort_pending) {
		m->call = id;
	} else if (m->state >= DST_ABORTING) {
		peer_answer(p, id, json_pack("{s:s, s:b}", "error", m->error, "aborted", 1));
	} else {
		m->call = id;
		mdst_abort(m, "commit before the device state was loaded");
	}
}

void op_status(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = own_move(p, msg);

	if (!m) {
		peer_answer(p, id, json_pack("{s:s}", "state", "unknown"));
		return;
	}
	if (taken(p, id, m))
		return;
	mdst_attach(m, p);
	peer_answer(p, id, mdst_status(m));
	if (m->state == DST_READY)
		timer_set(&m->timer, agent.orphan_ms, mdst_orphaned, m);
}

void op_abort(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = own_move(p, msg);

	if (!m || m->state == DST_ABORTED) {
		peer_answer(p, id, json_pack("{s:s}", "state", "aborted"));
		if (m) {
			journal_remove("dst", m->id);
			mdst_free(m);
		}
		return;
	}
	if (taken(p, id, m))
		return;
	mdst_attach(m, p);
	if (m->abort_pending || (m->state >= DST_COMMITTED && m->state < DST_ABORTING)) {
		peer_refuse(p, id, "the move is committed");
		return;
	}
	m->abort_call = id;
	m->call = 0;
	/* the source has given up for good: nobody will ask for a tombstone */
	m->was_ready = false;
	mdst_abort(m, "the source gave up");
}

static void link_gone(void *arg)
{
	struct mdst *m = arg;

	note("move %.8s of %s: done", m->id, m->vm);
	journal_remove("dst", m->id);
	mdst_free(m);
}

void op_released(struct peer *p, json_int_t id, json_t *msg)
{
	struct mdst *m = move_of(p, id, msg);
	struct letgo_list list = { .nr_exports = 0 };
	unsigned int i;

	if (!m)
		return;
	if (m->state == DST_ABORTED) {
		journal_remove("dst", m->id);
		mdst_free(m);
	} else if (m->state != DST_COMPLETE) {
		peer_refuse(p, id, "the move is not complete");
		return;
	} else if (!m->releasing) {
		m->releasing = true;
		mdst_plan_drop(m);
		for (i = 0; i < m->nr; i++)
			planner_remember(m->region[i].name,
					 json_array_get(json_object_get(msg, "kept"), i));
		list.has_link = m->link;
		list.link = m->link ? m->link->id : 0;
		letgo_start(&list, "ending a move", link_gone, m);
	}
	peer_answer(p, id, json_object());
}
