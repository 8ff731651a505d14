/* SPDX-License-Identifier: GPL-2.0 */
/*
 * link.h - links, lanes, exports and serves
 */
#ifndef TP_LINK_H
#define TP_LINK_H

#include "codec.h"
#include "rate.h"
#include "telepage.h"

struct tp_mm;
struct tp_order;
struct tp_rounds;

#define TP_LANES	(TELEPAGE_LANE_MAX + 1)
#define TP_RELAY_MAX	256	/* demands of one link that may wait at the source */
#define TP_EXPORT_MAX	(16ULL << 40)	/* bytes; serving it takes a bit a page and link */
#define TP_SERVE_MAX	256	/* links of one export: all are named in one netlink message */
#define TP_URGENT_CONGESTION "telepage"	/* names in congestion.c */
#define TP_BULK_CONGESTION "telepage_bulk"
#define TP_WANT_INTERVAL	(3 * HZ)
#define TP_GONE_WAIT	(10 * HZ)	/* of a command, for lanes to end */
/* Of a lane's socket; longer than a receiver delays its acknowledgment. */
#define TP_RTO_MIN	(HZ / 20)

/**
 * struct tp_link - what joins this host to one peer
 *
 * @ref is held by the registry (LINK_NEW to the end of LINK_DEL), by each lane, by each
 * region that imports or imported over it, by each serve, and by tx_work and relay_work
 * while they are queued.
 */
struct tp_link {
	struct kref ref;
	u32 id;				/* in tp_links */
	char *peer;			/* the agent's note, under tp_ctl_mutex */

	struct mutex lane_mutex;	/* protects the slots */
	struct tp_lane *lanes[TP_LANES];
	bool dead;			/* under lane_mutex: takes no more lanes */
	DECLARE_BITMAP(lost, TP_LANES);	/* lanes that broke and are not back */

	struct xarray imports;		/* export id at the peer -> region, holds a reference */
	atomic_t nr_imports;

	spinlock_t queue_lock;		/* protects demands and request->queue, ->sent */
	struct list_head demands;	/* requests not sent yet */
	/* Sends demands, then wants; holds a reference while queued. */
	struct work_struct tx_work;
	u8 *tx_buf;			/* tx work only: TP_LIST_MAX entries */

	atomic_t ahead;			/* pages asked for ahead and under way, see ahead.c */
	unsigned int ahead_max;		/* how many there may be; READ_ONCE, the receive thread's */
	u64 ahead_cut_ns;		/* these four: the urgent lane's receive thread only */
	u64 rtt_min, rtt_before;	/* quickest answers, of two spans of time */
	unsigned long rtt_since;	/* jiffies */
	u32 ahead_turn;			/* tx work only: the export that asked last */

	struct delayed_work want_work;	/* offers pages again when nothing comes */

	struct xarray serves;		/* export id -> struct tp_serve, holds a reference */
	atomic_t nr_serves;
	atomic_t push_kick;		/* changes whenever there may be more to push */
	wait_queue_head_t push_wq;
	struct list_head ready;		/* relays to be answered, under queue_lock */
	struct work_struct relay_work;	/* holds a reference while queued */
	atomic_t nr_relays;
	wait_queue_head_t relay_wq;

	struct tp_rate rate;		/* of all that is pushed over the link */
	struct tp_link_sysfs *sysfs;	/* under tp_ctl_mutex */

	atomic64_t tx_bytes, rx_bytes, bad;
};

enum {
	TP_LANE_UP,	/* greeted */
	TP_LANE_ASKS,	/* what went with the urgent lane before it is queued again */
	TP_LANE_FAILED,
};

/**
 * struct tp_lane - one socket of a link
 *
 * Contexts that hold a lane: its slot in the link, whoever got it with
 * tp_lane_get(), fail_work while it is queued. Its threads hold none. Removal in
 * phases: tp_lane_fail() marks it failed and shuts the socket down, so that every
 * sleeper in it returns; the work stops the threads, empties the slot and drops its
 * reference; the last reference drops the socket.
 */
struct tp_lane {
	struct kref ref;
	struct tp_link *link;
	u32 nr;
	struct socket *sock;		/* holds the file */
	unsigned long flags;		/* TP_LANE_* */
	struct mutex tx_mutex;		/* one message at a time */
	struct task_struct *rx_task;
	struct task_struct *push_task;	/* bulk lanes only */
	struct work_struct fail_work;	/* holds a reference from tp_lane_fail() on */
	struct completion gone;		/* the slot is empty, the threads have ended */
	int err;			/* why it failed: written once, with TP_LANE_FAILED */
	const char *reason;
	u8 *buf;			/* TP_LIST_MAX entries, receive thread only */
	struct tp_packer packer;
	struct tp_unpacker unpacker;	/* receive thread only */
	struct folio *folios[TP_DATA_MAX];	/* receive thread only, too big for its stack */
	struct bio_vec bv[TP_DATA_MAX];
	struct bio_vec bv_push[TP_DATA_MAX];	/* push thread only, these two */
	unsigned int dry;		/* messages that found the socket empty, less the others */
	atomic64_t tx_bytes, rx_bytes;
};

/* Has it greeted, and not failed since? */
static inline bool tp_lane_is_up(const struct tp_lane *lane)
{
	return test_bit(TP_LANE_UP, &lane->flags) && !test_bit(TP_LANE_FAILED, &lane->flags);
}

/**
 * struct tp_export - something whose pages a peer may ask for
 */
struct tp_export {
	struct kref ref;		/* registry, each serve */
	u32 id;				/* in tp_exports */
	char name[TELEPAGE_NAME_MAX + 1];
	const char *peer;		/* the agent's note: who may import it */
	unsigned long nr_pages;
	const struct tp_source_ops *ops;
	struct tp_region *region;	/* holds a reference, or */
	struct file *file;		/* holds a reference, or */
	struct tp_mm *mm;		/* owned: the memory of a process */
	u64 offset;			/* bytes into the file */
	struct list_head serves;	/* these two under tp_ctl_mutex */
	unsigned int nr_serves;
	struct tp_order *order;		/* which pages are pushed first; these two, too */
	struct tp_order *draft;		/* the next one, of which more is to come */

	/* packing that did not pay is left out for a while, in "auto" */
	atomic_t pack_skip;		/* messages to send raw without trying */
	atomic_t pack_misses;		/* tries in a row that did not pay */

	atomic64_t demand, push, zero, failed, tx_bytes;
};

/**
 * struct tp_content - what an export is to give out: one of the three
 * @region: a region
 * @file: or a file
 * @mm: or memory of a process
 * @offset: bytes into the file
 * @size: bytes
 */
struct tp_content {
	struct tp_region *region;
	struct file *file;
	struct tp_mm *mm;
	u64 offset;
	u64 size;
};

/**
 * struct tp_serve - an export on a link
 *
 * Held by link->serves and export->serves (one reference together), the receive
 * and push threads while they use it, and by each relay.
 */
struct tp_serve {
	struct kref ref;
	struct tp_export *export;
	struct tp_link *link;
	struct list_head node;		/* in export->serves */
	bool dead;			/* no more pages are given out; READ_ONCE */
	struct tp_rounds *rounds;	/* set once, under tp_ctl_mutex; acquire */

	spinlock_t lock;		/* protects the next six fields */
	unsigned long *want;		/* pages the peer lets us push and has not got yet */
	bool more;			/* there may be bits set in @want */
	pgoff_t cursor;			/* where the push goes on */
	struct tp_order *order;		/* the export's, and the run of it where the push is */
	unsigned int order_run;
	struct list_head relays;	/* demands that wait for the page or the freeze */
	unsigned long defer_until;	/* jiffies, a hint without lock: nothing to give before */
};

#define TP_SRC_ZERO	1	/* tp_source_ops.get: the page is zero, no page given */

/**
 * struct tp_source_ops - how the pages of an export are read
 * @open: may pages be given out now?
 * @get: give page @index: 0 and a referenced page in @page, TP_SRC_ZERO,
 *	-EAGAIN it is not here yet, or another errno. May sleep for local I/O,
 *	never for the network.
 */
struct tp_source_ops {
	bool (*open)(const struct tp_export *ex);
	int (*get)(struct tp_export *ex, pgoff_t index, struct page **page);
};

extern const struct tp_source_ops tp_source_region;
extern const struct tp_source_ops tp_source_file;
extern const struct tp_source_ops tp_source_mm;
bool tp_page_is_zero(struct page *page);
int tp_read_page(struct file *file, loff_t pos, struct page *page);

/* link.c, all under tp_ctl_mutex unless said otherwise there */
extern struct xarray tp_links;
struct tp_link *tp_link_new(const char *peer, struct netlink_ext_ack *extack);
int tp_link_del(struct tp_link *link, struct netlink_ext_ack *extack);
void tp_link_end(struct tp_link *link);
struct tp_link *tp_link_find(u32 id);
int tp_link_set_peer(struct tp_link *link, const char *peer);
void tp_link_put(struct tp_link *link);
bool tp_link_is_up(struct tp_link *link);
void tp_link_kick(struct tp_link *link);
void tp_link_kick_push(struct tp_link *link);

/* lane.c */
int tp_lane_attach(struct tp_link *link, u32 nr, int fd, struct netlink_ext_ack *extack);
void tp_lane_fail(struct tp_lane *lane, int err, const char *reason);
struct tp_lane *tp_lane_get(struct tp_link *link, u32 nr);
void tp_lane_put(struct tp_lane *lane);
int tp_lane_wait_gone(struct tp_lane *lane, unsigned long until);
int tp_lane_send(struct tp_lane *lane, const struct tp_hdr *hdr, void *payload);
int tp_lane_send_pages(struct tp_lane *lane, const struct tp_hdr *hdr, struct bio_vec *bv,
		       bool more);
int tp_lane_recv(struct tp_lane *lane, void *buf, size_t len);
int tp_lane_recv_pages(struct tp_lane *lane, struct bio_vec *bv, unsigned int nr);
size_t tp_lane_memory(struct tp_lane *lane);
bool tp_lane_dry(struct tp_lane *lane);

/* lane_socket.c */
int tp_lane_check_socket(struct socket *sock, struct netlink_ext_ack *extack);
void tp_lane_tune_socket(struct tp_lane *lane);

/* congestion.c, congestion_bulk.c */
extern struct tcp_congestion_ops tp_bulk_cc;
void tp_congestion_timeout(struct sock *sk);
int tp_congestion_init(void);
void tp_congestion_exit(void);

/* import.c: the destination's side of a lane */
int tp_import_start(struct tp_region *r, struct tp_link *link, u32 export_id, bool push,
		    bool live, struct netlink_ext_ack *extack);
void tp_import_end(struct tp_region *r);
void tp_import_tx_work(struct work_struct *work);
void tp_import_lane_up(struct tp_lane *lane);
void tp_import_lane_lost(struct tp_lane *lane);
int tp_import_data(struct tp_lane *lane, const struct tp_hdr *hdr);
int tp_import_zero(struct tp_lane *lane, const struct tp_hdr *hdr);
int tp_import_fail(struct tp_lane *lane, const struct tp_hdr *hdr);
struct tp_region *tp_import_region(struct tp_link *link, u32 export_id);

/* live.c */
int tp_live_stale(struct tp_lane *lane, const struct tp_hdr *hdr);

/* export.c: the source's side */
extern struct xarray tp_exports;
struct tp_export *tp_export_new(const char *name, const char *peer,
				const struct tp_content *what, struct netlink_ext_ack *extack);
void tp_export_del(struct tp_export *ex);
struct tp_export *tp_export_find(const char *name);
void tp_export_put(struct tp_export *ex);
void tp_export_region_opened(struct tp_region *r);
void tp_export_region_closed(struct tp_region *r);
void tp_export_rate_changed(struct tp_region *r);

/* serve.c */
int tp_export_serve(struct tp_export *ex, struct tp_link *link, struct netlink_ext_ack *extack);
void tp_serve_end(struct tp_serve *sv);
void tp_serve_put(struct tp_serve *sv);
void tp_serve_want(struct tp_serve *sv, pgoff_t start, unsigned int n);
struct tp_serve *tp_serve_get(struct tp_link *link, u32 id);
int tp_serve_reply(struct tp_lane *lane, struct tp_serve *sv, pgoff_t index, u32 gen, bool more);
int tp_export_send(struct tp_lane *lane, struct tp_export *ex, struct tp_hdr *hdr,
		   struct bio_vec *bv, enum tp_codec codec, bool more);
int tp_export_demand(struct tp_lane *lane, const struct tp_hdr *hdr);
int tp_export_want(struct tp_lane *lane, const struct tp_hdr *hdr);

/* rounds.c */

/**
 * struct tp_rounds_stat - how far the live rounds of an export are
 * @round: the current one
 * @begun: the destination has heard of it
 * @rewritten: pages that were pushed and written to since
 */
struct tp_rounds_stat {
	u32 round;
	bool begun;
	unsigned long rewritten;
};

int tp_export_round(struct tp_export *ex, struct netlink_ext_ack *extack);
void tp_rounds_freeze(struct tp_serve *sv);
void tp_rounds_end(struct tp_serve *sv);
void tp_rounds_free(struct tp_rounds *rs);
int tp_rounds_done(struct tp_lane *lane, const struct tp_hdr *hdr);
void tp_rounds_lane_up(struct tp_lane *lane);
bool tp_serve_pushes(struct tp_serve *sv, u32 *round);
int tp_rounds_get(struct tp_serve *sv, pgoff_t index, struct page **page);
bool tp_rounds_stat(struct tp_serve *sv, struct tp_rounds_stat *st);

/* order.c */
int tp_order_say(struct tp_export *ex, u64 start, const struct telepage_run *runs,
		 unsigned int nr, bool more, struct netlink_ext_ack *extack);
void tp_order_serve(struct tp_serve *sv, struct tp_order *o);
void tp_order_again(struct tp_serve *sv);
int tp_order_next(struct tp_serve *sv, pgoff_t *index, pgoff_t *end);
void tp_order_free(struct tp_export *ex);

/* relay.c */
int tp_relay_new(struct tp_lane *lane, struct tp_serve *sv, pgoff_t index, u32 gen);
void tp_relays_kick(struct tp_serve *sv);
void tp_export_relay_work(struct work_struct *work);

/* sysfs_link.c */
int tp_sysfs_link_init(struct kset *parent);
void tp_sysfs_link_exit(void);
int tp_sysfs_link_add(struct tp_link *link);
void tp_sysfs_link_del(struct tp_link *link);

/* push.c */
unsigned long tp_serve_wanted(struct tp_serve *sv);
int tp_push_thread(void *data);

#endif /* TP_LINK_H */
