/* SPDX-License-Identifier: GPL-2.0 */
/*
 * move_src.h - a move seen from its source
 *
 * Every state has one thing it waits for and one thing that happens if that
 * fails (struct src_step in move_src.c). Before COMMIT: undo. From then on the
 * VM is never resumed here unless the destination says for certain that it has
 * not run and will not.
 */
#ifndef TELEPAGE_MOVE_SRC_H
#define TELEPAGE_MOVE_SRC_H

#include "devstate.h"
#include "guest_walk.h"
#include "lanes.h"
#include "letgo.h"
#include "local.h"
#include "move.h"
#include "peer.h"
#include "planner.h"
#include "qmp.h"
#include "tls.h"

enum src_state {
	SRC_QMP,			/* what is this VM? */
	SRC_CONNECT,			/* control connection */
	SRC_PREPARE,			/* destination makes its regions and link */
	SRC_LANES,			/* all lanes up */
	SRC_START,			/* destination starts a VMM */
	SRC_LIVE,			/* memory is pushed, the VM runs */
	SRC_SAMPLE,			/* which pages does it use? */
	SRC_WARM,			/* which of them does it need first? */
	SRC_STATE,			/* state connection, capabilities */
	SRC_SWITCH,			/* VM stopped, device state under way */
	SRC_COMMIT,			/* journaled; is it running there? */
	SRC_FILL,			/* it runs there, pages flow */
	SRC_RELEASE,			/* all is there, let go of it here */
	SRC_UNDO,			/* rolling back */
};

struct msrc {
	char id[TOKEN_LEN + 1];
	char vm[TELEPAGE_NAME_MAX + 1], as[TELEPAGE_NAME_MAX + 1];
	char qmp_path[300], args_file[300], state_sock[300];
	struct target target;
	char who[TLS_WHO_MAX];		/* who that is; known once it was reached */
	unsigned int bulk;
	enum move_mode mode;
	bool mode_said;			/* else it is hybrid where it can be */
	unsigned int switch_after;	/* s, 0: no limit */
	unsigned int sample_ms;		/* 0: what it uses is not asked */
	struct msample *sample;
	bool zstd;			/* the destination unpacks device state */
	bool first;			/* it wants to know what the VM uses, and plans */
	bool goes_live;			/* the destination takes pages while the VM runs */
	struct {
		unsigned int rounds, quiet, looks;
		uint64_t sent;		/* pages, when the round began */
		uint64_t again;		/* that it has to push again */
		uint64_t t_begin, t_round, ms;
		uint64_t left;		/* pages, when it ended */
	} live;
	struct {
		unsigned int ms;	/* to wait at most, 0: not at all */
		bool on;		/* the destination knows how, and it pays */
		bool waits;		/* for them to be there */
		struct guest_ram ram;
		struct guest_walk *walk;
		int fd[MOVE_REGIONS_MAX];
		unsigned int nr_fds;
		uint64_t until;		/* ms: no longer */
		size_t told;		/* of the list, to the destination */
		uint64_t pages, here, find_ms, wait_ms;
	} warm;
	enum src_state state;
	bool restored;			/* by a new agent, from the record */

	struct qmp *qmp;
	struct qmp_ram *ram_finder;
	json_t *machine;
	bool was_running;
	bool stopped;			/* we have sent `stop`, or are about to */
	bool migrating;			/* and `migrate` */
	bool migrated;			/* QEMU has sent its device state */
	bool loaded;			/* the destination has it */
	struct vm_ram ram;
	char export[MOVE_REGIONS_MAX][TELEPAGE_NAME_MAX + 1];
	uint32_t export_id[MOVE_REGIONS_MAX];
	unsigned int nr_exports;
	struct plink *link;

	char group[TELEPAGE_NAME_MAX + 1];	/* whose files may have its pages; "": none */
	bool group_known;		/* else it may be of one all the same */
	bool plans;			/* the destination looks for what it has already */
	struct plan_dial dial;		/* the plan's connection, as long as one is to be made */
	struct planner *planner;
	unsigned int stalls;		/* of its workers */
	json_t *kept;			/* sums of images of the regions, for who has them now */
	bool keep_due;			/* images are to be kept and are not yet */
	bool keep_waits;		/* an image is written, then all is let go of */

	struct peer *peer;
	struct greet *greet;		/* the state connection being made */
	struct devstate devstate;
	struct timer timer;		/* deadline, or the next attempt to reconnect */
	unsigned int backoff;
	struct timer done_timer;	/* when watchers are told, though it is not all gone */
	struct timer vm_timer;		/* the next look at QEMU, undoing or quitting */
	unsigned int vm_backoff;
	unsigned int cont_refused;	/* times that QEMU would not resume the VM */
	bool doubt;			/* no destination that knows the move answers */
	bool unknown;			/* there is one that does not know it, as was said */
	bool abandoned;			/* there: what was not fetched is here only */
	uint64_t wanted;		/* pages left to push when that was last looked at */
	unsigned int wanted_looks;	/* so often, and it has not become less */

	/* what undo still waits for, and letting_go: what release does, too */
	bool undo_peer, undo_vm, letting_go;
	struct letgo *letgo;
	bool regions_gone;		/* after the move; their names may be others' now */
	bool resumed;			/* the VM does here what it did before */
	bool tell_last;			/* the peer hears of it when our record is gone */
	bool aborted_by_user;
	char error[512];

	/* ms, in the order of the switch-over; switched: migrated here and loaded there */
	uint64_t t_begin, t_stop, t_stopped, t_frozen, t_migrated, t_loaded, t_switched, t_running,
		 t_complete;
	uint64_t state_bytes, state_wire_bytes;	/* of QEMU's; as they crossed the line */
	struct counters counters;
	struct watchers watchers;
	LIST_ENTRY(msrc) list;
};

#define msrc_note(m, fmt, ...) \
	note("move %.8s of %s: " fmt, (m)->id, (m)->vm, ##__VA_ARGS__)

/* move_src_list.c */
struct msrc *msrc_find_vm(const char *vm);
struct msrc *msrc_new(const char *id);
void msrc_free(struct msrc *m);
void msrc_drop_state(struct msrc *m);	/* the connection for it, however far it is */

/* move_src.c */
const char *msrc_state_name(const struct msrc *m);
void msrc_enter(struct msrc *m, enum src_state state);
/* m->error; words of others go into JSON and onto terminals */
void msrc_set_error(struct msrc *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* whatever failed: undo, doubt or another attempt, as the state has it */
void msrc_failed(struct msrc *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* move_record.c */
int msrc_journal(struct msrc *m);	/* on disk when it returns 0 */

/* move_probe.c: QMP is there; can this VM be moved? */
void msrc_probe(struct msrc *m);
/* is a VM with this RAM, found where ours was, the one that is moved? */
bool msrc_is_vm(const struct msrc *m, const struct vm_ram *ram);

/* what the switch-over waited for has come; is that all? */
void msrc_check_switched(struct msrc *m);

/* move_warm.c */
void msrc_warm(struct msrc *m);
/* the VM was stopped: what it needs as it stands now */
void msrc_warm_stopped(struct msrc *m);
void msrc_warm_end(struct msrc *m);
json_t *msrc_warm_summary(const struct msrc *m);

/* move_live.c */
void msrc_live(struct msrc *m);
json_t *msrc_live_summary(const struct msrc *m);

/* move_sample.c */
void msrc_sample(struct msrc *m);
void msrc_sample_turn(struct msrc *m);		/* a sample ends, the next begins */
void msrc_sample_finish(struct msrc *m);	/* the last one: what it has is pushed first */
void msrc_sample_drop(struct msrc *m);
json_t *msrc_sample_summary(const struct msrc *m);	/* NULL: there was none */

/* move_undo.c */
void msrc_undo(struct msrc *m, bool tell_peer);

/* move_quit.c */
void msrc_quit(struct msrc *m);

/* move_fill.c: from commit on */
void msrc_commit(struct msrc *m);
void msrc_fill(struct msrc *m);
void msrc_release(struct msrc *m);
void msrc_reconnect(struct msrc *m);
void msrc_notice(struct peer *p, const char *op, json_t *msg, void *arg);

#endif /* TELEPAGE_MOVE_SRC_H */
