/* SPDX-License-Identifier: GPL-2.0 */
/*
 * move.h - moving a VM: what source, destination and their callers share
 */
#ifndef TELEPAGE_MOVE_H
#define TELEPAGE_MOVE_H

#include "agent.h"
#include "transport.h"

struct conn;

#define MOVE_SOCK_MAX	108		/* sizeof(sun_path) */
#define MOVE_SAMPLE_MS	200		/* how long what a VM uses is looked at before it moves */
#define MOVE_SAMPLE_MAX	60000
#define MOVE_ARGS_MAX	16384		/* the operator's args file: fits in a line of JSON */

/* false: no such rule */
bool accept_parse(const char *word, enum accept_moves *rule);

/* sums over the regions of a move, pages */
struct counters {
	uint64_t total, absent, zero, demand, push, rx_bytes, file;
};

json_t *counters_to_json(const struct counters *c);
void counters_from_json(struct counters *c, json_t *obj);
/* adds region @name: its state, or a negative errno; -ENOENT: there is none */
int counters_add(struct counters *c, const char *name);
/* of what counters_add() has returned: may pages still come? Not so only if that is sure. */
bool still_fills(int state);

/* source */

/* how much memory crosses before the VM does */
enum move_mode {
	MOVE_POSTCOPY,			/* none */
	MOVE_HYBRID,			/* what it pays to push while it runs */
	MOVE_PRECOPY,			/* all, the rest while it stands still */
};

bool move_mode_parse(const char *name, enum move_mode *mode);
const char *move_mode_name(enum move_mode mode);

struct move_request {
	const char *vm;
	const char *as, *qmp, *vm_dir;	/* may be NULL: VM, in vm_dir, the agent's own */
	struct target target;
	unsigned int bulk;
	enum move_mode mode;
	bool mode_said;			/* else hybrid, where that can be done */
	unsigned int switch_after;	/* s of pushing live at most; 0: as long as it pays */
	unsigned int warm_ms;		/* the VM waits for its first pages at most; 0: none */
	unsigned int sample;		/* ms before it moves; 0: not at all */
};

#define MOVE_AFTER_MAX	86400		/* s */
#define MOVE_WARM_MS	1000		/* unless told otherwise */
#define MOVE_WARM_MAX	10000
#define MOVE_WARM_PAGES	2048		/* 8 MiB; a replay's runs in one message */
#define MOVE_FIRST_RUNS	2048		/* in one message, whose line has to fit */

/* NULL, or why not; @watcher gets the progress (local.h) */
const char *move_src_begin(const struct move_request *req, struct conn *watcher);
const char *move_src_abort(const char *vm, struct conn *watcher);
/* drops all that there is of a move in doubt but VM and regions; answers @asker itself */
const char *move_src_forget(const char *vm, struct conn *asker);
const char *move_src_watch(const char *vm, struct conn *watcher);
void move_src_unwatch(struct conn *watcher);
bool move_src_owns(const char *export);	/* was it made by a move? */
void move_src_restore(void);
json_t *move_src_list(void);

/* of a new agent: links and exports of moves that nobody remembers go */
void move_drop_orphans(void);

/* destination */
bool move_dst_knows(const char *id);
void move_dst_accept_state(int fd, json_t *first, const char *who);
struct plink;
void move_dst_accept_plan(int fd, struct plink *l);
void move_dst_restore(void);
json_t *move_dst_list(void);

#endif /* TELEPAGE_MOVE_H */
