/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * telepage: demand-paged memory between hosts, the netlink ABI
 *
 * This header is the manual of the interface; the same facts in machine
 * readable form are in Documentation/netlink/specs/telepage.yaml.
 *
 * The nouns
 * ---------
 * region   A named, fixed-size run of 4 KiB pages: one regular file in the
 *          filesystem of type "telepage". A VMM maps it as guest RAM.
 * export   Something whose pages a peer may ask for: a region, any file that
 *          can be read at an offset (memfd, tmpfs, a disk file), or ranges of
 *          the memory of a process. An export has a name and lives until it
 *          is released.
 * link     What joins this host to one peer: lane 0 is the urgent lane, lanes
 *          1 to 16 are bulk lanes. A link outlives its sockets: a lane that
 *          broke is attached again with a new socket and what was in flight
 *          is asked for again.
 * serve    An export is reachable over a link only after it has been served
 *          on that link by name. A peer can ask for nothing else.
 * import   A region takes its absent pages from an export of the peer at the
 *          other end of a link.
 * origin   Where the content of an absent page comes from: the peer, or a local
 *          file, by extents of pages, each page verified where a digest is given.
 * uffd     A bridge for a VMM whose guest RAM is memory of its own: its
 *          userfaultfd is served from a region, whose pages become the VMM's.
 *
 * How a teleport looks from here
 * ------------------------------
 *   source                                 destination
 *   LINK_NEW                               LINK_NEW
 *   EXPORT_NEW name=vm0 region=vm0         REGION_NEW name=vm0 size=...
 *   EXPORT_SERVE export=vm0 link=L -> id
 *   LANE_ATTACH link=L lane=0,1 fd=...     LANE_ATTACH link=M lane=0,1 fd=...
 *                                          REGION_IMPORT region=vm0 link=M
 *                                                        export-id=id
 *   (the VM is stopped)
 *   REGION_FREEZE vm0                      (the VMM loads the device state and
 *                                           starts the VM; absent pages are
 *                                           fetched as they are touched, the
 *                                           source pushes the rest)
 *                                          event: region-complete vm0
 *   EXPORT_DEL vm0, REGION_DEL vm0
 *
 * An export of a region serves nothing until the region is frozen: whoever
 * asks before that waits. So a destination can be prepared at leisure while the
 * VM runs at the source, and can never see a page that is still written to.
 *
 * Live rounds: with LIVE, REGION_IMPORT lets the region take pages while the VM
 * still runs at the source. There EXPORT_ROUND begins to push, and when WANTED is
 * 0 begins again with the pages that were written to since (REWRITTEN). The
 * freeze names the last of them; all this while nobody at the destination sees a
 * page, and who needs one waits.
 *
 * An export of a process serves at once; whoever makes it sees to it that the
 * process stands still. Its pages are the ranges one after the other. What is
 * untouched anonymous memory there is zero, what was discarded is zero from
 * then on. A page that the process unmaps (mremap() included) is gone for the
 * export, whatever is mapped at its address later: the peer's region breaks
 * with EFAULT when it asks for it. When the process ends or executes another
 * program all of it is gone (ESRCH), and the event EXPORT_LOST says so here.
 * Other errors that break a region: EACCES the process may not read the page
 * any more, EBUSY the page is to come from a userfaultfd and has not yet, EIO
 * and EHWPOISON it cannot be read.
 *
 * Rules
 * -----
 * - Every command needs CAP_NET_ADMIN in the initial user namespace.
 * - Each command takes the attributes of one set only; unknown attributes are
 *   refused. Errors carry a message in the extended acknowledgment that says
 *   what to do; the errno values are listed with each command.
 * - Sizes and offsets are bytes, page numbers count 4 KiB pages from the start
 *   of the region, times are nanoseconds unless said otherwise.
 * - Names are 1 to 63 printable ASCII characters without space and '/', and do
 *   not start with '.'.
 * - Nothing belongs to the netlink socket that made it. When the agent dies
 *   everything goes on; a new agent finds all of it with the three dumps.
 */
#ifndef _UAPI_LINUX_TELEPAGE_H
#define _UAPI_LINUX_TELEPAGE_H

#include <linux/types.h>

#define TELEPAGE_FAMILY_NAME	"telepage"
#define TELEPAGE_FAMILY_VERSION	1

/* multicast group on which every event is sent */
#define TELEPAGE_MCGRP_EVENTS	"events"

#define TELEPAGE_FS_NAME	"telepage"
#define TELEPAGE_NAME_MAX	63	/* characters, without the final NUL */
#define TELEPAGE_PEER_MAX	1023	/* bytes of a note for the agent */
#define TELEPAGE_PAGE_SIZE	4096
#define TELEPAGE_LANE_URGENT	0
#define TELEPAGE_LANE_MAX	16
#define TELEPAGE_DIRTY_MAX	262144	/* pages one REGION_DIRTY can cover */
#define TELEPAGE_DIGEST_SIZE	32	/* bytes: SHA-256 of the page */
#define TELEPAGE_RUNS_MAX	2048	/* runs of pages in one message */
#define TELEPAGE_CHUNK_PAGES	512	/* pages that are in a sample, or not, as one */
#define TELEPAGE_RANGE_MAX	64	/* ranges of one export of a process, or one UFFD_ATTACH */

/**
 * struct telepage_run - pages one after the other
 * @start: the first page
 * @count: how many
 *
 * In the byte order of the machine.
 */
struct telepage_run {
	__u64 start;
	__u64 count;
};

/**
 * enum telepage_region_state - where the content of a region is
 * @TELEPAGE_REGION_LOCAL: all of it is here (resident pages, the rest zero)
 * @TELEPAGE_REGION_FILLING: absent pages come from the peer
 * @TELEPAGE_REGION_BROKEN: the peer said that it cannot give some page; tasks
 *	that need an absent page wait until a lane is attached again (it is then
 *	asked for again) or the region is abandoned
 * @TELEPAGE_REGION_ABANDONED: given up; touching an absent page is SIGBUS, or
 *	EIO from read() and write()
 */
enum telepage_region_state {
	TELEPAGE_REGION_LOCAL,
	TELEPAGE_REGION_FILLING,
	TELEPAGE_REGION_BROKEN,
	TELEPAGE_REGION_ABANDONED,
};

/**
 * enum telepage_event - what an event tells
 * @TELEPAGE_EVENT_REGION_COMPLETE: the last absent page arrived (REGION)
 * @TELEPAGE_EVENT_REGION_BROKEN: the peer cannot give a page (REGION, ERRNO)
 * @TELEPAGE_EVENT_LANE_UP: a lane's greeting was answered (LINK, LANE)
 * @TELEPAGE_EVENT_LANE_LOST: a lane broke and was detached
 *	(LINK, LANE, ERRNO, REASON)
 * @TELEPAGE_EVENT_REGION_NEW: a region was made (REGION)
 * @TELEPAGE_EVENT_REGION_DEL: a region was deleted (REGION)
 * @TELEPAGE_EVENT_REGION_ABANDONED: a region was given up (REGION)
 * @TELEPAGE_EVENT_EXPORT_LOST: the process that an export is of has ended or
 *	executed another program (EXPORT, ERRNO, REASON)
 * @TELEPAGE_EVENT_UFFD_ATTACHED: a VMM's userfaultfd is served (REGION)
 * @TELEPAGE_EVENT_UFFD_DETACHED: it is served no more: the VMM has gone, or
 *	it was detached (REGION, REASON)
 */
enum telepage_event {
	TELEPAGE_EVENT_UNSPEC,
	TELEPAGE_EVENT_REGION_COMPLETE,
	TELEPAGE_EVENT_REGION_BROKEN,
	TELEPAGE_EVENT_LANE_UP,
	TELEPAGE_EVENT_LANE_LOST,
	TELEPAGE_EVENT_REGION_NEW,
	TELEPAGE_EVENT_REGION_DEL,
	TELEPAGE_EVENT_REGION_ABANDONED,
	TELEPAGE_EVENT_EXPORT_LOST,
	TELEPAGE_EVENT_UFFD_ATTACHED,
	TELEPAGE_EVENT_UFFD_DETACHED,
};

/**
 * enum telepage_cmd - the commands
 *
 * @TELEPAGE_CMD_REGION_NEW: make a region; all its pages are zero.
 *	Takes NAME, SIZE, optional MODE, UID, GID of the file; answers as
 *	REGION_GET.
 *	EEXIST the name is taken; EINVAL a bad name, size 0 or no multiple of
 *	4 KiB; ENOMEM more than the memory of the machine.
 * @TELEPAGE_CMD_REGION_DEL: delete a region (NAME).
 *	ENOENT; EBUSY it is open or mapped, filling, or exported.
 * @TELEPAGE_CMD_REGION_GET: one region (NAME) or, as a dump, all of them.
 * @TELEPAGE_CMD_REGION_FREEZE: the fence (NAME): when the answer comes, no
 *	write can land any more: write() gives EPERM, a store SIGBUS. Exports
 *	of the region begin to serve. Freezing a frozen region is no error.
 *	EBUSY pages stay pinned for I/O (asked for while the VM still runs).
 * @TELEPAGE_CMD_REGION_THAW: undo the fence (NAME), for a move that failed
 *	before it was committed. Exports of the region stop serving first.
 * @TELEPAGE_CMD_REGION_DIRTY: read, and with CLEAR clear, the dirty bits of
 *	the pages START to START + COUNT; answers NAME, START, COUNT and BITMAP
 *	(bit n of byte n / 8 is page START + n). A page is dirty when it was
 *	written to since its bit was last cleared. With CLEAR no write is
 *	missed: a write either shows in this bitmap or in the next one.
 *	ERANGE outside of the region; EINVAL COUNT over TELEPAGE_DIRTY_MAX.
 * @TELEPAGE_CMD_REGION_IMPORT: take every page from the peer's export
 *	EXPORT_ID over link LINK (NAME). Only a region that was never touched
 *	can import. PUSH 0 asks the peer to push nothing (demand only). LIVE: the
 *	peer pushes in live rounds before it freezes. EINVAL LIVE with PUSH 0.
 *	EBUSY it is open, has content, is frozen, is or was exported, or imports
 *	already; ENOENT.
 * @TELEPAGE_CMD_REGION_ABANDON: give up the absent pages (NAME).
 *	EINVAL nothing is absent.
 * @TELEPAGE_CMD_EXPORT_NEW: make an export: NAME, and REGION, or FD with
 *	optional OFFSET and SIZE (default: from OFFSET to the end of the file);
 *	or PID and a RANGE for each run of its addresses; optional PEER, a note
 *	that the agent finds again: who may import it. The kernel itself gives
 *	pages to whom it is served to.
 *	A process takes MEM_FD, its /proc/PID/mem opened by the caller (that is
 *	where the right to ptrace it is checked), or else CAP_SYS_ADMIN.
 *	EEXIST the name is taken; EINVAL a range is not aligned, empty or
 *	overlaps with another; E2BIG more than 64 ranges or 16 TiB; ESRCH no
 *	such process, it has ended or is a kernel thread; EPERM no right to it;
 *	EFAULT a range is not mapped; EACCES a range cannot be read: a device,
 *	no permission, a region (export that); EBADF.
 * @TELEPAGE_CMD_EXPORT_DEL: release an export (NAME): it is served no more.
 * @TELEPAGE_CMD_EXPORT_GET: one export (NAME) or, as a dump, all.
 * @TELEPAGE_CMD_EXPORT_SERVE: let the peer of link LINK ask for pages of the
 *	export (NAME); answers as EXPORT_GET. The ID in the answer is what the
 *	peer gives as EXPORT_ID to REGION_IMPORT.
 *	E2BIG it is served on 256 links.
 * @TELEPAGE_CMD_EXPORT_ROUND: push the export of a region that is not frozen
 *	(NAME), or begin the next live round: what was written to since it was
 *	pushed is pushed again. The peer has to import it LIVE. The freeze begins
 *	the last round. Answers as EXPORT_GET.
 *	EINVAL not of a region, or not served on one link; EBUSY the region is
 *	frozen, or pushed live to another peer; EAGAIN the peer has not heard of
 *	the round before; ENOMEM.
 * @TELEPAGE_CMD_LINK_NEW: make a link: optional PEER, a note that the agent
 *	finds again (which peer, how to reconnect). Answers as LINK_GET.
 * @TELEPAGE_CMD_LINK_DEL: delete a link (LINK) and detach its lanes. A lane
 *	that reads what it sends from a disk that does not answer may end later.
 *	EBUSY a region still imports over it.
 * @TELEPAGE_CMD_LINK_GET: one link (LINK) or, as a dump, all.
 * @TELEPAGE_CMD_LINK_SET: change the note (LINK, PEER).
 * @TELEPAGE_CMD_LANE_ATTACH: hand over a connected TCP socket FD as lane LANE
 *	of link LINK. The kernel keeps its own reference, close yours. The
 *	answer comes before the peer has greeted: see TELEPAGE_EVENT_LANE_UP.
 *	EBUSY the lane has a socket; ENOTSOCK, EPROTOTYPE, ENOTCONN what the
 *	descriptor lacks.
 * @TELEPAGE_CMD_LANE_DETACH: detach and shut down a lane (LINK, LANE).
 *	EBUSY after 10 s: it is shut down, but still reads what it was to send from
 *	a disk or a process; until that answers the lane cannot be attached anew.
 * @TELEPAGE_CMD_EVENT: only ever sent by the kernel, on the multicast group.
 * @TELEPAGE_CMD_UFFD_ATTACH: serve the userfaultfd FD, a descriptor of the
 *	caller's, from region REGION. PID is the VMM, in the caller's namespace;
 *	RANGES, once per range, say where in the VMM which part of the region
 *	lies. All of them must be registered with the descriptor for missing
 *	pages, which must not block. MEMFD, a descriptor of the caller's, is the
 *	file that the VMM's memory is a shared mapping of (memfd or tmpfs): pages
 *	are put into it and then mapped. FILL 0: only pages that are touched,
 *	default 1. The kernel keeps its own references, close yours. The caller's
 *	address space is borrowed until the end, however the caller ends: it must
 *	not be the VMM, and should be small. From then on the region is no file
 *	any more: it cannot be opened, frozen, exported or imported into.
 *	EBUSY it is open, exported, frozen, attached already or was, or the
 *	descriptor is served already; EBADF, EINVAL what the descriptors lack,
 *	or ranges that overlap or are not aligned; ENOENT a range that is not
 *	registered; ESRCH no such process.
 * @TELEPAGE_CMD_UFFD_DETACH: end the service (REGION) when all pages are here:
 *	the ranges are unregistered and the VMM goes on by itself.
 *	ENOENT nothing is attached; EBUSY a page would be lost. When the VMM
 *	ends, it is detached without being asked.
 * @TELEPAGE_CMD_UFFD_GET: the bridge of one region (REGION) or, as a dump,
 *	all of them.
 * @TELEPAGE_CMD_REGION_ORIGIN: let pages of REGION come from the file FD, a
 *	descriptor of the caller's (a file or block device). EXTENT, once per run of
 *	pages, says which ones, where in the file, and optionally the digest of
 *	each. Pages of a region that was never touched become absent by this; of
 *	one that imports they are absent already, and do not cross the link any
 *	more, except those that the file does not have (an error, a short read, or
 *	not what the digest says), which are counted in FILE_BAD. Without a
 *	peer such a page breaks the region (EBADMSG, EIO) until it gets another
 *	file or is abandoned. A page without a digest is taken as the file has it:
 *	give digests unless nobody else can write to the file. REPLACE lets what
 *	has a file already get the new one. FILL reads pages before they are
 *	touched, from now on; alone, or with the last extents. Import first, or at
 *	the latest before FILL. The files are let go of when the region is complete.
 *	Another region can be the file if it is older; what is absent there is not
 *	waited for if there is a peer.
 *
 *	Files that are found while the source still runs: HOLD, before the import,
 *	lets no file be used and no page be pushed. Then extents are put in; DROP,
 *	once per run of pages (START, COUNT), takes the files of pages away, which
 *	come from the peer then; PLANNED lets pages before this one be pushed, as
 *	far as no file has them. READY: from here on the files are used. When the
 *	socket that said HOLD is closed all pages may be pushed, and a region that
 *	is not READY then stays without its files. What one message asks for is
 *	done in the order HOLD, EXTENT, DROP, READY, PLANNED, FILL; of one
 *	that is refused nothing is, but what was done, or REPLACE took away,
 *	before ENOMEM.
 *	EEXIST a page has a file; ERANGE outside of the region; EBUSY no page is
 *	absent, the region was touched before, or imports already (HOLD);
 *	EINVAL no file, digests that do not fit, a region that is not older, one that
 *	is not held (READY), or has no peer (DROP); EBADF; EOPNOTSUPP digests, and the
 *	kernel has no SHA-256; ENOMEM; E2BIG.
 * @TELEPAGE_CMD_REGION_TOUCHED: which pages of a region (NAME) were needed first
 *	while it filled from a peer, before they were simply here, in their order.
 *	Answers NAME, START, COUNT: how many runs there are, and RUNS: those from
 *	run START (default 0) on, at most TELEPAGE_RUNS_MAX. There are none of a
 *	region that never imported, or does not record (sysfs workingset).
 * @TELEPAGE_CMD_REGION_REPLAY: have RUNS of pages of a region (NAME) before
 *	somebody needs them, in this order, behind those of earlier commands. What
 *	a local file has (REGION_ORIGIN) is read from it, before what FILL has read
 *	and also without it; the rest is asked of the peer, or left alone with the
 *	flag LOCAL. What is here already is passed over.
 *	EINVAL the region does not fill (LOCAL: from files), or RUNS is no whole
 *	number of runs; ERANGE a run is empty or outside of the region; E2BIG more
 *	than 65536 runs in all; ENOMEM.
 * @TELEPAGE_CMD_REGION_SAMPLE: find out which pages of a region (NAME) are used,
 *	from now on: they are unmapped, and the next access to each, which is a
 *	fault, is written down. Of each EVERY chunks of TELEPAGE_CHUNK_PAGES one is
 *	in the sample; SEED says which, default 0, and the next seed takes the next
 *	one of each. EVERY 0 ends it. The region may be in use; what is mapped
 *	privately and was copied stays. A sample before this one is forgotten.
 *	EINVAL no EVERY; EBUSY its pages are in a VMM's own memory; EAGAIN its
 *	source still writes to it; ENOMEM; EINTR: then there is no sample.
 * @TELEPAGE_CMD_REGION_SAMPLED: which pages of the sample of a region (NAME)
 *	were used since it began. Answers NAME, START, COUNT: how many were used,
 *	SAMPLED: how many pages are in the sample, EVERY, FAULTS: what it has cost
 *	so far, and RUNS: of used pages, from page START (default 0) on, at most
 *	TELEPAGE_RUNS_MAX. A fault that was under way when it began may be missing.
 *	ENODATA there is no sample; ERANGE START is outside of the region.
 * @TELEPAGE_CMD_EXPORT_ORDER: push RUNS of pages of an export (NAME) before its
 *	other pages, in this order. Demands go before. What is not wanted any more
 *	is passed over. Of a list that takes several messages each but the last
 *	has MORE, and START says how many runs came before (default 0: a new list);
 *	only with the last it takes the place of the order before, or that stays.
 *	No RUNS at all: no order.
 *	EINVAL START does not go on where the message before ended, RUNS is no
 *	whole number of runs, or two of them overlap; ERANGE a run is empty or
 *	outside of the export; E2BIG more than 65536 runs; ENOMEM. What was said
 *	of the list is dropped then.
 */
enum telepage_cmd {
	TELEPAGE_CMD_UNSPEC,
	TELEPAGE_CMD_REGION_NEW,
	TELEPAGE_CMD_REGION_DEL,
	TELEPAGE_CMD_REGION_GET,
	TELEPAGE_CMD_REGION_FREEZE,
	TELEPAGE_CMD_REGION_THAW,
	TELEPAGE_CMD_REGION_DIRTY,
	TELEPAGE_CMD_REGION_IMPORT,
	TELEPAGE_CMD_REGION_ABANDON,
	TELEPAGE_CMD_EXPORT_NEW,
	TELEPAGE_CMD_EXPORT_DEL,
	TELEPAGE_CMD_EXPORT_GET,
	TELEPAGE_CMD_EXPORT_SERVE,
	TELEPAGE_CMD_LINK_NEW,
	TELEPAGE_CMD_LINK_DEL,
	TELEPAGE_CMD_LINK_GET,
	TELEPAGE_CMD_LINK_SET,
	TELEPAGE_CMD_LANE_ATTACH,
	TELEPAGE_CMD_LANE_DETACH,
	TELEPAGE_CMD_EVENT,
	TELEPAGE_CMD_UFFD_ATTACH,
	TELEPAGE_CMD_UFFD_DETACH,
	TELEPAGE_CMD_UFFD_GET,
	TELEPAGE_CMD_REGION_ORIGIN,
	TELEPAGE_CMD_EXPORT_ROUND,
	TELEPAGE_CMD_REGION_TOUCHED,
	TELEPAGE_CMD_REGION_REPLAY,
	TELEPAGE_CMD_REGION_SAMPLE,
	TELEPAGE_CMD_REGION_SAMPLED,
	TELEPAGE_CMD_EXPORT_ORDER,

	__TELEPAGE_CMD_MAX,
	TELEPAGE_CMD_MAX = __TELEPAGE_CMD_MAX - 1
};

/* attributes of the REGION commands */
enum {
	TELEPAGE_A_REGION_UNSPEC,
	TELEPAGE_A_REGION_PAD,
	TELEPAGE_A_REGION_NAME,		/* string */
	TELEPAGE_A_REGION_SIZE,		/* u64, bytes */
	TELEPAGE_A_REGION_MODE,		/* u32, permission bits, default 0600 */
	TELEPAGE_A_REGION_UID,		/* u32, default 0 */
	TELEPAGE_A_REGION_GID,		/* u32, default 0 */
	TELEPAGE_A_REGION_STATE,	/* u32, enum telepage_region_state */
	TELEPAGE_A_REGION_FROZEN,	/* flag */
	TELEPAGE_A_REGION_RESIDENT,	/* u64, pages that take memory here */
	TELEPAGE_A_REGION_ABSENT,	/* u64, pages still at the peer */
	TELEPAGE_A_REGION_OPENERS,	/* u32, open files, mappings included */
	TELEPAGE_A_REGION_EXPORTS,	/* u32, exports of this region */
	TELEPAGE_A_REGION_LINK,		/* u32, the link it imports over */
	TELEPAGE_A_REGION_EXPORT_ID,	/* u32, the peer's export */
	TELEPAGE_A_REGION_PUSH,		/* u8, 0: demand only; default 1 */
	TELEPAGE_A_REGION_START,	/* u64, page number */
	TELEPAGE_A_REGION_COUNT,	/* u64, pages */
	TELEPAGE_A_REGION_CLEAR,	/* flag */
	TELEPAGE_A_REGION_BITMAP,	/* binary */
	TELEPAGE_A_REGION_STATS,	/* nest, TELEPAGE_A_STATS_* */
	TELEPAGE_A_REGION_HARVESTS,	/* u64, REGION_DIRTY with CLEAR: has somebody else? */
	TELEPAGE_A_REGION_ID,		/* u32, higher for younger ones, begins at random */
	TELEPAGE_A_REGION_LIVE,		/* flag, the source still writes to it */
	TELEPAGE_A_REGION_RUNS,		/* binary, struct telepage_run, one after the other */
	TELEPAGE_A_REGION_EVERY,	/* u32, one chunk of so many is sampled; 0: none */
	TELEPAGE_A_REGION_SEED,		/* u32, which of them */
	TELEPAGE_A_REGION_SAMPLED,	/* u64, pages in the sample */
	TELEPAGE_A_REGION_FAULTS,	/* u64, on pages of the sample, since it began */
	TELEPAGE_A_REGION_LOCAL,	/* flag, nothing is asked of the peer */

	__TELEPAGE_A_REGION_MAX,
	TELEPAGE_A_REGION_MAX = __TELEPAGE_A_REGION_MAX - 1
};

/* counters of a region, each u64, since it was made */
enum {
	TELEPAGE_A_STATS_UNSPEC,
	TELEPAGE_A_STATS_PAD,
	TELEPAGE_A_STATS_FAULTS,	/* faults on pages without a folio */
	TELEPAGE_A_STATS_FAULTS_NOWAIT,	/* of them, may not sleep (KVM async) */
	TELEPAGE_A_STATS_ZERO_FILL,	/* pages made here from zero */
	TELEPAGE_A_STATS_DEMAND_SENT,	/* pages asked for, repeats included */
	TELEPAGE_A_STATS_DEMAND,	/* pages that came because asked for */
	TELEPAGE_A_STATS_PUSH,		/* pages that came unasked */
	TELEPAGE_A_STATS_ZERO,		/* pages the peer said are zero, or a file has as zero */
	TELEPAGE_A_STATS_DUPLICATE,	/* pages that came and were here already */
	TELEPAGE_A_STATS_STALE,		/* replies to no or an older request */
	TELEPAGE_A_STATS_WAIT_NS,	/* time tasks waited for pages, summed */
	TELEPAGE_A_STATS_WAIT_MAX_NS,	/* the longest of these waits */
	TELEPAGE_A_STATS_MKWRITE,	/* first writes to a clean page */
	TELEPAGE_A_STATS_RX_BYTES,	/* page messages received, with headers */
	TELEPAGE_A_STATS_FILE,		/* pages that came from a local file */
	TELEPAGE_A_STATS_FILE_BAD,	/* pages that a file should have had and had not */
	TELEPAGE_A_STATS_REWRITTEN,	/* pages that had come and were written to since */
	TELEPAGE_A_STATS_PREFETCH_SENT,	/* pages asked for ahead of use, not in DEMAND_SENT */
	TELEPAGE_A_STATS_PREFETCH_CAME,	/* pages that came for it, not in DEMAND */
	TELEPAGE_A_STATS_PREFETCH_HIT,	/* of those asked for, pages that were then needed */
	TELEPAGE_A_STATS_PREFETCH_WASTE, /* and pages that were given up untouched */
	TELEPAGE_A_STATS_SAMPLE_FAULTS,	/* faults on pages of samples: what these cost */

	__TELEPAGE_A_STATS_MAX,
	TELEPAGE_A_STATS_MAX = __TELEPAGE_A_STATS_MAX - 1
};

/* attributes of the EXPORT commands */
enum {
	TELEPAGE_A_EXPORT_UNSPEC,
	TELEPAGE_A_EXPORT_PAD,
	TELEPAGE_A_EXPORT_NAME,		/* string */
	TELEPAGE_A_EXPORT_ID,		/* u32 */
	TELEPAGE_A_EXPORT_REGION,	/* string, name of a region */
	TELEPAGE_A_EXPORT_FD,		/* u32, a file descriptor of the caller */
	TELEPAGE_A_EXPORT_OFFSET,	/* u64, bytes, multiple of 4 KiB */
	TELEPAGE_A_EXPORT_SIZE,		/* u64, bytes */
	TELEPAGE_A_EXPORT_LINK,		/* u32; in answers once per serve */
	TELEPAGE_A_EXPORT_OPEN,		/* flag, pages are given out now */
	TELEPAGE_A_EXPORT_DEMAND,	/* u64, pages sent because asked for */
	TELEPAGE_A_EXPORT_PUSH,		/* u64, pages sent unasked */
	TELEPAGE_A_EXPORT_ZERO,		/* u64, pages told to be zero */
	TELEPAGE_A_EXPORT_WANTED,	/* u64, pages left to push, all links */
	TELEPAGE_A_EXPORT_FAILED,	/* u64, pages that could not be read */
	TELEPAGE_A_EXPORT_TX_BYTES,	/* u64, page messages, with headers */
	TELEPAGE_A_EXPORT_PEER,		/* string, the agent's note: who may import */
	TELEPAGE_A_EXPORT_PID,		/* u32, of a process, as the caller counts */
	TELEPAGE_A_EXPORT_MEM_FD,	/* u32, /proc/PID/mem opened by the caller */
	TELEPAGE_A_EXPORT_RANGE,	/* nest, TELEPAGE_A_RANGE_*, once per range */
	TELEPAGE_A_EXPORT_LOST,		/* flag, the process has ended */
	TELEPAGE_A_EXPORT_ROUND,	/* u32, the live round, from 1 */
	TELEPAGE_A_EXPORT_BEGUN,	/* flag, the peer has heard of it */
	TELEPAGE_A_EXPORT_REWRITTEN,	/* u64, pages written to since they were pushed */
	TELEPAGE_A_EXPORT_RUNS,		/* binary, struct telepage_run, one after the other */
	TELEPAGE_A_EXPORT_START,	/* u64, runs of the list that came before */
	TELEPAGE_A_EXPORT_MORE,		/* flag, others follow */

	__TELEPAGE_A_EXPORT_MAX,
	TELEPAGE_A_EXPORT_MAX = __TELEPAGE_A_EXPORT_MAX - 1
};

/* a run of addresses of a process: of an export, or of a VMM that is served */
enum {
	TELEPAGE_A_RANGE_UNSPEC,
	TELEPAGE_A_RANGE_PAD,
	TELEPAGE_A_RANGE_ADDR,		/* u64, multiple of the page size */
	TELEPAGE_A_RANGE_LEN,		/* u64, bytes, multiple of the page size */
	TELEPAGE_A_RANGE_OFFSET,	/* u64, bytes into the region; UFFD only, as the next */
	TELEPAGE_A_RANGE_PAGE_SIZE,	/* u32, 4096 (default), 2097152: hugetlb */
	TELEPAGE_A_RANGE_MEMFD_OFFSET,	/* u64, bytes into MEMFD; default OFFSET */

	__TELEPAGE_A_RANGE_MAX,
	TELEPAGE_A_RANGE_MAX = __TELEPAGE_A_RANGE_MAX - 1
};

/* attributes of the LINK and LANE commands */
enum {
	TELEPAGE_A_LINK_UNSPEC,
	TELEPAGE_A_LINK_PAD,
	TELEPAGE_A_LINK_ID,		/* u32 */
	TELEPAGE_A_LINK_PEER,		/* string, the agent's note */
	TELEPAGE_A_LINK_LANE,		/* u32, 0 urgent, 1..16 bulk */
	TELEPAGE_A_LINK_FD,		/* u32, a connected TCP socket */
	TELEPAGE_A_LINK_LANES,		/* nest, once per lane attached */
	TELEPAGE_A_LINK_UP,		/* flag; the urgent lane, or in LANES a lane, is up */
	TELEPAGE_A_LINK_IMPORTS,	/* u32, regions that import over it */
	TELEPAGE_A_LINK_SERVES,		/* u32, exports served on it */
	TELEPAGE_A_LINK_TX_BYTES,	/* u64; in LANES: of that lane */
	TELEPAGE_A_LINK_RX_BYTES,	/* u64 */
	TELEPAGE_A_LINK_BAD,		/* u64, messages that broke the rules */

	__TELEPAGE_A_LINK_MAX,
	TELEPAGE_A_LINK_MAX = __TELEPAGE_A_LINK_MAX - 1
};

/* attributes of TELEPAGE_CMD_EVENT */
enum {
	TELEPAGE_A_EVENT_UNSPEC,
	TELEPAGE_A_EVENT_PAD,
	TELEPAGE_A_EVENT_KIND,		/* u32, enum telepage_event */
	TELEPAGE_A_EVENT_REGION,	/* string */
	TELEPAGE_A_EVENT_LINK,		/* u32 */
	TELEPAGE_A_EVENT_LANE,		/* u32 */
	TELEPAGE_A_EVENT_ERRNO,		/* u32, positive */
	TELEPAGE_A_EVENT_REASON,	/* string, for people */
	TELEPAGE_A_EVENT_EXPORT,	/* string */

	__TELEPAGE_A_EVENT_MAX,
	TELEPAGE_A_EVENT_MAX = __TELEPAGE_A_EVENT_MAX - 1
};

/* attributes of TELEPAGE_CMD_REGION_ORIGIN */
enum {
	TELEPAGE_A_ORIGIN_UNSPEC,
	TELEPAGE_A_ORIGIN_PAD,
	TELEPAGE_A_ORIGIN_REGION,	/* string, name of the region */
	TELEPAGE_A_ORIGIN_FD,		/* u32, a file descriptor of the caller */
	TELEPAGE_A_ORIGIN_EXTENT,	/* nest, TELEPAGE_A_EXTENT_*, up to 4096 */
	TELEPAGE_A_ORIGIN_REPLACE,	/* flag */
	TELEPAGE_A_ORIGIN_FILL,		/* flag */
	TELEPAGE_A_ORIGIN_HOLD,		/* flag */
	TELEPAGE_A_ORIGIN_DROP,		/* nest, TELEPAGE_A_EXTENT_START and COUNT */
	TELEPAGE_A_ORIGIN_READY,	/* flag */
	TELEPAGE_A_ORIGIN_PLANNED,	/* u64, pages */

	__TELEPAGE_A_ORIGIN_MAX,
	TELEPAGE_A_ORIGIN_MAX = __TELEPAGE_A_ORIGIN_MAX - 1
};

/* a run of pages of a region that a file has */
enum {
	TELEPAGE_A_EXTENT_UNSPEC,
	TELEPAGE_A_EXTENT_PAD,
	TELEPAGE_A_EXTENT_START,	/* u64, page number */
	TELEPAGE_A_EXTENT_COUNT,	/* u64, pages */
	TELEPAGE_A_EXTENT_OFFSET,	/* u64, bytes into the file */
	TELEPAGE_A_EXTENT_DIGESTS,	/* binary, 32 bytes a page; without: not verified */

	__TELEPAGE_A_EXTENT_MAX,
	TELEPAGE_A_EXTENT_MAX = __TELEPAGE_A_EXTENT_MAX - 1
};

/* attributes of the UFFD commands */
enum {
	TELEPAGE_A_UFFD_UNSPEC,
	TELEPAGE_A_UFFD_PAD,
	TELEPAGE_A_UFFD_REGION,		/* string, name of the region */
	TELEPAGE_A_UFFD_FD,		/* u32, a userfaultfd of the caller */
	TELEPAGE_A_UFFD_PID,		/* u32, the VMM */
	TELEPAGE_A_UFFD_MEMFD,		/* u32, a file descriptor of the caller */
	TELEPAGE_A_UFFD_FILL,		/* u8, 0: only what is touched; default 1 */
	TELEPAGE_A_UFFD_RANGES,		/* nest, once per range */
	TELEPAGE_A_UFFD_DESCRIPTORS,	/* u32, the VMM's and those of its forks */
	TELEPAGE_A_UFFD_FAULTS,		/* u64, fault events */
	TELEPAGE_A_UFFD_COPIED,		/* u64, pages copied into the VMM */
	TELEPAGE_A_UFFD_CONTINUED,	/* u64, pages mapped that its file has */
	TELEPAGE_A_UFFD_ZERO,		/* u64, zero pages given */
	TELEPAGE_A_UFFD_REMOVED,	/* u64, pages that the VMM discarded */
	TELEPAGE_A_UFFD_RETRIED,	/* u64, answers that had to be tried again */
	TELEPAGE_A_UFFD_FAILED,		/* u64, faults answered by poison or SIGBUS */

	__TELEPAGE_A_UFFD_MAX,
	TELEPAGE_A_UFFD_MAX = __TELEPAGE_A_UFFD_MAX - 1
};

#endif /* _UAPI_LINUX_TELEPAGE_H */
