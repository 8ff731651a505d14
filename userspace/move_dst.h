/* SPDX-License-Identifier: GPL-2.0 */
/*
 * move_dst.h - a move seen from its destination
 *
 *   PREPARED -> STARTING -> INCOMING -> LOADING -> READY -> COMMITTED -> RUNNING -> COMPLETE
 *       \___________\___________\__________\_________\______/
 *                              ABORTING -> ABORTED
 *
 * Up to READY a lost control connection is the end of it. READY waits
 * agent.orphan_ms for the source. COMMITTED is journaled before the VM is told
 * to run, and may still turn into ABORTING if the VMM refuses to.
 */
#ifndef TELEPAGE_MOVE_DST_H
#define TELEPAGE_MOVE_DST_H

#include "devstate.h"
#include "guest_walk.h"
#include "hook.h"
#include "lanes.h"
#include "letgo.h"
#include "move.h"
#include "peer.h"
#include "planner.h"
#include "qmp.h"

enum dst_state {
	DST_PREPARED,			/* link and regions are made */
	DST_STARTING,			/* lanes, imports, hook */
	DST_INCOMING,			/* the VMM waits for device state */
	DST_LOADING,			/* the source has stopped the VM */
	DST_READY,			/* loaded and paused */
	DST_COMMITTED,			/* told to run */
	DST_RUNNING,
	DST_COMPLETE,			/* no page is missing any more */
	DST_ABORTING,
	DST_ABORTED,
};

struct mdst {
	char id[TOKEN_LEN + 1];
	char vm[TELEPAGE_NAME_MAX + 1];
	enum dst_state state;
	bool restored;			/* from the journal of another agent */
	bool was_ready;			/* commit may be on its way: keep the tombstone */
	bool run;			/* else it stays paused after commit */
	bool loaded;			/* QEMU said so; LOADING still wants to be answered */
	bool found;			/* the VMM is known to live: it has talked to this agent */
	bool committed;			/* that is on disk */
	bool abort_pending;		/* it is to be undone, but that is not on disk yet */
	bool asked;			/* `cont` may have reached it: the VM may have run here */

	unsigned int nr;
	struct {
		char name[TELEPAGE_NAME_MAX + 1];
		uint64_t size;
		uint32_t export_id;	/* of the source */
	} region[MOVE_REGIONS_MAX];
	struct plink *link;

	bool live;			/* the source pushes while the VM runs there */
	bool full;			/* loaded is only what has all its pages, too */
	struct plan_hold plan;
	struct plan_wait plan_wait;	/* for the source to begin one */

	struct {
		struct guest_page *page;	/* what the source has named, its order */
		size_t nr, at;		/* so many from the beginning are here */
		json_int_t call;	/* the request that waits for them */
		struct timer timer;
		uint64_t begun, until;	/* ms */
	} warm;

	char who[TLS_WHO_MAX];		/* the source; nobody else may drive us */
	struct peer *peer;		/* NULL while the source is away */
	json_int_t call;		/* the request that waits for an answer, 0: none */
	json_int_t abort_call;

	char vm_dir[256], qmp_path[300], incoming[300];
	char args_path[300], group_path[300];	/* what the source has said, until it runs here */
	char args_here[300], group_here[300];	/* of one that ran here, or has to be known */
	bool known;			/* what the source says of both is not looked at */
	bool made_dir, releasing;
	bool abandoned;			/* a region of it was, with pages missing */
	json_t *machine;
	struct hook *hook;
	bool hook_started;
	struct qmp *qmp;
	struct devstate devstate;
	struct timer timer;		/* deadline of the state, or the next progress notice */
	struct timer again;		/* when a VMM that was mute is asked once more */
	uint64_t find_until;		/* ms, of a READY one: then it counts as gone */
	bool mute;			/* that was said */
	char error[512];
	LIST_ENTRY(mdst) list;
};

struct mdst *mdst_find(const char *id);
/*
 * One that has the VM's name, directory and VMM for itself: before RUNNING, or not
 * undone yet. There is never more than one, so `stop` of one cannot hit another.
 */
struct mdst *mdst_find_vm(const char *vm);
struct mdst *mdst_new(const char *id, const char *vm);
void mdst_free(struct mdst *m);
int mdst_journal(struct mdst *m);
const char *mdst_state_name(const struct mdst *m);

/*
 * move_accept.c. May the VM come here? 0, or a negative errno and @why, for the source's user.
 * Then what the source says it is started with is written down, where that counts.
 */
int mdst_accept(struct mdst *m, char *why, size_t len);
int mdst_take_args(struct mdst *m, const char *said);
/* what it is started with: that, or what this host has */
const char *mdst_args_file(const struct mdst *m);
/* may @group, of the source's, NULL: none, be what files here are looked at by? */
bool mdst_same_group(const struct mdst *m, const char *group);

/* makes regions and link; @err has the words when it fails, and nothing stays behind */
int mdst_make(struct mdst *m, json_t *regions, unsigned int lanes, char *err, size_t len);
void mdst_prepared(struct mdst *m);	/* move_ops.c: whether there is a plan is known */
void mdst_start(struct mdst *m);
void mdst_load(struct mdst *m);
/* move_dst_warm.c: pages that the VM needs first */
void mdst_warm(struct mdst *m, json_int_t call, json_t *msg);
void mdst_warm_drop(struct mdst *m);
/* move_dst_first.c: pages that are read first from the files that have them */
void mdst_first(struct mdst *m, json_int_t call, json_t *msg);
/*
 * A peer's list of runs of a region that has @all pages, at most @room pages, which becomes
 * less: how many there are in @runs, which has room for @max; -1: it is wrong
 */
int mdst_runs(json_t *list, uint64_t all, struct telepage_run *runs, size_t max, size_t *room);
void mdst_commit(struct mdst *m);
void mdst_orphaned(void *arg);		/* a timer: a READY one was left alone too long */
void mdst_abort(struct mdst *m, const char *why);	/* move_dst_undo.c */
void mdst_attach(struct mdst *m, struct peer *p);
/* true: no page is to come any more; sets m->abandoned */
bool mdst_counters(struct mdst *m, struct counters *c);
json_t *mdst_status(struct mdst *m);

/* what the hook is told of it, good as long as @m is */
void mdst_hook_env(struct mdst *m, struct hook_env *env);

/* between move_dst.c and move_dst_end.c */
extern const struct qmp_ops mdst_vmm_ops;
/* the answer to the request that drives us, if the source still listens; steals @msg */
void mdst_answer(struct mdst *m, json_t *msg);
/* a timer: tells the source how far it is, until it is complete */
void mdst_watch_fill(void *arg);
/* the VMM was asked how it is, by a new agent or in doubt */
void mdst_found_status(json_t *ret, const char *err, void *arg);
/* QMP has failed of one that is COMMITTED, or READY but not found yet */
void mdst_lost_vmm(struct mdst *m, const char *why);

#endif /* TELEPAGE_MOVE_DST_H */
