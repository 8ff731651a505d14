/* SPDX-License-Identifier: GPL-2.0 */
/*
 * agent.h - what the agent's files share
 *
 *   agent.c       this header's functions
 *   cmd_agent.c   options, start, signals, kernel events   notify.c  what systemd is told
 *   loop.c        poll loop        conn.c       JSON lines
 *   transport.c   connecting to peers  listener.c  peers that connect  greet.c  both
 *   peer.c        requests between agents
 *   target.c      where peers are  tls.c        who they are: the handshake
 *   keys.c        what we prove ourselves with  issue.c  new keys and certificates
 *   ktls.c        encrypted sockets, by the kernel
 *   lanes.c       links and their lanes, reconnecting
 *   local.c       commands of this host (unix socket)
 *   move_src.c    a move's source up to the switch-over, move_probe.c what the VM is,
 *                 move_undo.c back from there, move_fill.c from commit on, move_quit.c QEMU
 *                 ends here,
 *                 move_src_list.c all of them, move_record.c what is written down
 *   move_warm.c   the pages that a VM needs first: guest_walk.c finds them, guest_regs.c
 *                 reads what QEMU says, move_dst_warm.c has them come
 *   move_dst.c    its destination, move_dst_undo.c back, move_dst_end.c from commit on
 *   move_ops.c    what a destination is asked   serve.c      exports for importers
 *   import.c      export names of a peer as regions here
 *   qmp.c qmp_ram.c  talking to QEMU            relay.c devstate.c  device state,
 *                 zstream.c packed on its way
 *   hook.c        the operator's script         journal.c  surviving ourselves
 *   warm.c        opens TCP's windows          file.c     small files
 *   unix.c        sockets of this host
 *   images.c      files that may have pages of a VM: the store, images_keep.c what goes into it,
 *                 images_store.c its directories
 *   index.c       what content is where in a file, index_build.c making that,
 *                 digest.c SHA-256 of pages, tmpfile.c files that are not whole yet
 *   indexer.c     makes indexes in the background
 *   workingset_keep.c  which pages a VM needed first: kept, and replayed; workingset.c
 *   letgo.c       deleting regions, exports and links when nothing holds them
 */
#ifndef TELEPAGE_AGENT_H
#define TELEPAGE_AGENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "genl.h"
#include "loop.h"

#define TP_AGENT_SOCKET	"/run/telepage-agent.sock"
#define TP_AGENT_STATE	"/run/telepage-agent"
#define TP_HOOK		"/usr/lib/telepage/qemu"
#define TP_VM_DIR	"/run/telepage-vm"

#define TP_BULK_LANES	2		/* unless told otherwise */
#define MOVE_REGIONS_MAX 16

struct keys;

enum accept_moves {
	ACCEPT_ALL,			/* the source says how its VM is started here */
	ACCEPT_KNOWN,			/* this host does, and takes no other VMs */
	ACCEPT_NONE,
};

struct agent {
	struct tp_nl *nl;
	const char *dir;		/* the mounted filesystem */
	const char *vm_dir;		/* one directory per VM with its QMP socket */
	const char *hook;
	const char *state;
	bool plain;			/* peers are talked to in the clear */
	struct keys *keys;		/* else: with these; NULL: there are no peers */
	const char *keys_dir;
	uint64_t rekey_bytes;		/* a lane that has carried so many gets new keys */
	enum accept_moves accept_moves;
	unsigned int orphan_ms;		/* a ready destination waits so long for its source */
	const char *images;		/* files that may have pages: images.h */
	uint64_t keep_images;		/* bytes of memory images kept there, 0: none */
	uint64_t plan_rate;		/* bytes/s that are hashed, 0: no limit */
};

extern struct agent agent;

/* "what: the kernel's words" into @buf; returns @buf */
const char *nl_words(char *buf, size_t len, int err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

bool name_ok(const char *name);		/* of a region, export or VM */
/* the file of a region here, to be read: descriptor or negative errno */
int region_open(const char *name);
/* 128 random bits in hex */
#define TOKEN_LEN 32
void token_new(char token[TOKEN_LEN + 1]);
bool token_ok(const char *token);
/* anything but printable ASCII becomes '?', in place; returns @s */
char *plain(char *s);

/* kernel events, passed on by cmd_agent.c */
void lanes_event(const struct tp_event *ev);
void move_dst_event(const struct tp_event *ev);
void import_event(const struct tp_event *ev);

#endif /* TELEPAGE_AGENT_H */
