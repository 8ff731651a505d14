/* SPDX-License-Identifier: GPL-2.0 */
/*
 * genl.h - the kernel's side of telepage as C calls
 *
 * Thin over libnl-genl-3: one function per command of <linux/telepage.h>, plain
 * structs for what the kernel answers. Every function returns 0 or a negative
 * errno and leaves the kernel's own words (extended ack) in tp_nl_error(): ""
 * when it had none to say. tp_nl_error(NULL) explains the last tp_nl_open() or
 * tp_nl_events_open() of this thread that failed.
 *
 * A struct tp_nl belongs to one thread at a time. What is answered for out may
 * be NULL when you do not care. A dump that changed while it was taken is taken
 * again.
 */
#ifndef TELEPAGE_GENL_H
#define TELEPAGE_GENL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/telepage.h>

struct tp_nl;				/* one request socket, family resolved */

struct tp_stats {
	uint64_t faults, faults_nowait, zero_fill, demand_sent, demand, push,
		 zero, duplicate, stale, wait_ns, wait_max_ns, mkwrite, rx_bytes,
		 file, file_bad, rewritten,
		 prefetch_sent, prefetch_came, prefetch_hit, prefetch_waste, sample_faults;
};

struct tp_region {
	char name[TELEPAGE_NAME_MAX + 1];
	uint64_t size;			/* bytes */
	uint32_t mode, uid, gid;
	enum telepage_region_state state;
	bool frozen;
	uint64_t resident, absent;	/* pages */
	uint32_t id;			/* higher for younger ones */
	uint32_t openers, exports;
	uint64_t harvests;		/* that have cleared dirty bits */
	bool importing;			/* link and export_id are valid */
	bool live;			/* its source still writes to it */
	uint32_t link, export_id;
	bool push;
	struct tp_stats stats;
};

struct tp_range {
	uint64_t addr, len;		/* bytes */
};

struct tp_export {
	char name[TELEPAGE_NAME_MAX + 1];
	uint32_t id;
	char region[TELEPAGE_NAME_MAX + 1];	/* empty: a file or a process */
	uint32_t pid;			/* of a process, 0 where we do not see it */
	struct tp_range *ranges;	/* of a process, else NULL */
	size_t nr_ranges;
	bool lost;			/* the process has ended */
	char peer[TELEPAGE_PEER_MAX + 1];	/* a note: who may import it */
	uint64_t offset, size;		/* bytes */
	uint32_t *links;		/* links it is served on */
	size_t nr_links;
	bool open;
	uint64_t demand, push, zero, wanted, failed, tx_bytes;
	uint32_t round;			/* live, 0: none */
	bool begun;			/* the peer has heard of that round */
	uint64_t rewritten;		/* pages since they were pushed live */
};

struct tp_lane {
	uint32_t lane;
	bool up;
	uint64_t tx_bytes, rx_bytes;
};

struct tp_link {
	uint32_t id;
	char *peer;			/* the agent's note, "" when none */
	bool up;
	uint32_t imports, serves;
	uint64_t tx_bytes, rx_bytes, bad;
	struct tp_lane lanes[TELEPAGE_LANE_MAX + 1];
	size_t nr_lanes;
};

/* where a part of a region lies in a VMM's memory; bytes */
struct tp_uffd_range {
	uint64_t addr, len, offset, memfd_offset;
	uint32_t page_size;
};

/* a bridge: a VMM's userfaultfd that is served from a region */
struct tp_uffd {
	char region[TELEPAGE_NAME_MAX + 1];
	uint32_t pid, descriptors;
	bool fill;
	struct tp_uffd_range ranges[TELEPAGE_RANGE_MAX];
	size_t nr_ranges;
	uint64_t faults, copied, continued, zero, removed, retried, failed;	/* pages */
};

struct tp_event {
	enum telepage_event kind;
	char region[TELEPAGE_NAME_MAX + 1];	/* empty: none */
	char export[TELEPAGE_NAME_MAX + 1];	/* empty: none */
	bool has_link;
	uint32_t link, lane;
	int error;			/* positive errno, 0: none */
	char reason[128];
};

/* lists: an array that grows; free with the _list_free function */
struct tp_region_list { struct tp_region *v; size_t n; };
struct tp_export_list { struct tp_export *v; size_t n; };
struct tp_link_list { struct tp_link *v; size_t n; };
struct tp_uffd_list { struct tp_uffd *v; size_t n; };

int tp_nl_open(struct tp_nl **nl);	/* -ENOENT: the module is not loaded */
void tp_nl_close(struct tp_nl *nl);
const char *tp_nl_error(const struct tp_nl *nl);

int tp_region_new(struct tp_nl *nl, const char *name, uint64_t size, uint32_t mode,
		  uint32_t uid, uint32_t gid, struct tp_region *out);
int tp_region_del(struct tp_nl *nl, const char *name);
int tp_region_get(struct tp_nl *nl, const char *name, struct tp_region *out);
int tp_region_dump(struct tp_nl *nl, struct tp_region_list *out);
void tp_region_list_free(struct tp_region_list *l);
int tp_region_freeze(struct tp_nl *nl, const char *name);
int tp_region_thaw(struct tp_nl *nl, const char *name);
int tp_region_dirty(struct tp_nl *nl, const char *name, uint64_t start, uint64_t count,
		    bool clear, uint8_t *bitmap /* (count + 7) / 8 bytes */);
int tp_region_import(struct tp_nl *nl, const char *name, uint32_t link,
		     uint32_t export_id, bool push);
/* the peer begins with live rounds: tp_export_round() there */
int tp_region_import_live(struct tp_nl *nl, const char *name, uint32_t link, uint32_t export_id);
int tp_region_abandon(struct tp_nl *nl, const char *name);
/* from run @start on: @n of them, at most TELEPAGE_RUNS_MAX, of @all that there are */
int tp_region_touched(struct tp_nl *nl, const char *name, uint64_t start,
		      struct telepage_run *runs, size_t *n, uint64_t *all);
/* as many commands as it takes */
int tp_region_replay(struct tp_nl *nl, const char *name, const struct telepage_run *runs,
		     size_t n);
/* only what local files have */
int tp_region_replay_local(struct tp_nl *nl, const char *name, const struct telepage_run *runs,
			   size_t n);

/* a sample of the pages that are used */
struct tp_sample {
	uint32_t every;			/* one chunk of so many is in it */
	uint64_t sampled, touched;	/* pages in it, and those of them that were used */
	uint64_t faults;		/* that it has cost so far */
};

/* begins one, by @seed; @every 0: ends it */
int tp_region_sample(struct tp_nl *nl, const char *name, uint32_t every, uint32_t seed);
/* used pages from page @start on: @n runs; at most, and then perhaps not all, TELEPAGE_RUNS_MAX */
int tp_region_sampled(struct tp_nl *nl, const char *name, uint64_t start,
		      struct telepage_run *runs, size_t *n, struct tp_sample *s);

/* a run of pages that a file has; @digests: 32 bytes a page, or NULL */
struct tp_extent {
	uint64_t start, count;		/* pages */
	uint64_t offset;		/* bytes into the file */
	const uint8_t *digests;
};

/* as many commands as it takes; @fill goes with the last one. NULL extents: only that */
int tp_region_origin(struct tp_nl *nl, const char *name, int fd, const struct tp_extent *extents,
		     size_t nr, bool replace, bool fill);

/* files that are found while the source runs; see TELEPAGE_CMD_REGION_ORIGIN */
int tp_plan_hold(struct tp_nl *nl, const char *name);
/* @runs: start and count of each count */
int tp_plan_drop(struct tp_nl *nl, const char *name, const struct tp_extent *runs, size_t nr);
/* the files are used from here on, and read ahead */
int tp_plan_ready(struct tp_nl *nl, const char *name);
/* pages before @pages may be pushed */
int tp_plan_planned(struct tp_nl *nl, const char *name, uint64_t pages);

/* frees what the struct points to (links, ranges, peer), not the struct */
void tp_export_clear(struct tp_export *e);
void tp_link_clear(struct tp_link *l);

int tp_export_new_region(struct tp_nl *nl, const char *name, const char *region);
int tp_export_new_fd(struct tp_nl *nl, const char *name, int fd, uint64_t offset,
		     uint64_t size /* 0: to the end */);
/* the same for certain peers, "" nobody in particular; region NULL: a descriptor */
int tp_export_new_for(struct tp_nl *nl, const char *name, const char *peer, const char *region,
		      int fd, uint64_t offset, uint64_t size);
/* ranges of a process; mem_fd: its /proc/PID/mem, or -1 */
int tp_export_new_pid(struct tp_nl *nl, const char *name, const char *peer, uint32_t pid,
		      int mem_fd, const struct tp_range *ranges, size_t n);
int tp_export_del(struct tp_nl *nl, const char *name);
int tp_export_get(struct tp_nl *nl, const char *name, struct tp_export *out);
/* begins to push live, or the next round; @out: as it is then */
int tp_export_round(struct tp_nl *nl, const char *name, struct tp_export *out);
/* which pages are pushed first, instead of what was said before; as many commands as it takes */
int tp_export_order(struct tp_nl *nl, const char *name, const struct telepage_run *runs, size_t n);
/* one command of it: @start runs were said before */
int tp_export_order_part(struct tp_nl *nl, const char *name, uint64_t start,
			 const struct telepage_run *runs, size_t n, bool more);
int tp_export_dump(struct tp_nl *nl, struct tp_export_list *out);
void tp_export_list_free(struct tp_export_list *l);
int tp_export_serve(struct tp_nl *nl, const char *name, uint32_t link, uint32_t *export_id);

int tp_link_new(struct tp_nl *nl, const char *peer, uint32_t *id);
int tp_link_del(struct tp_nl *nl, uint32_t id);
int tp_link_get(struct tp_nl *nl, uint32_t id, struct tp_link *out);
int tp_link_dump(struct tp_nl *nl, struct tp_link_list *out);
void tp_link_list_free(struct tp_link_list *l);
int tp_link_set(struct tp_nl *nl, uint32_t id, const char *peer);
int tp_lane_attach(struct tp_nl *nl, uint32_t link, uint32_t lane, int fd);
int tp_lane_detach(struct tp_nl *nl, uint32_t link, uint32_t lane);

/* @memfd -1: none. The process that calls is not the VMM, and lends its mm. */
int tp_uffd_attach(struct tp_nl *nl, const char *region, int fd, uint32_t pid, int memfd,
		   bool fill, const struct tp_uffd_range *ranges, size_t nr_ranges);
int tp_uffd_detach(struct tp_nl *nl, const char *region);
int tp_uffd_get(struct tp_nl *nl, const char *region, struct tp_uffd *out);
int tp_uffd_dump(struct tp_nl *nl, struct tp_uffd_list *out);
void tp_uffd_list_free(struct tp_uffd_list *l);

/* "filling", "region-complete", …: the words of the YAML spec; NULL: not known */
const char *tp_region_state_name(enum telepage_region_state state);
const char *tp_event_name(enum telepage_event kind);

/* events: a second socket that has joined the multicast group, non-blocking */
int tp_nl_events_open(struct tp_nl **nl);
int tp_nl_fd(const struct tp_nl *nl);
/* calls cb once per event that is there; -ENOBUFS: some were lost, dump anew */
int tp_nl_events_read(struct tp_nl *nl, void (*cb)(const struct tp_event *ev, void *arg),
		      void *arg);

#endif /* TELEPAGE_GENL_H */
