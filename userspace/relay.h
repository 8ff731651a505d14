/* SPDX-License-Identifier: GPL-2.0 */
/*
 * relay.h - QEMU's device state through us: unix socket <-> state connection
 */
#ifndef TELEPAGE_RELAY_H
#define TELEPAGE_RELAY_H

#include "agent.h"

struct relay;

/* what becomes of the state on the way from the source's QEMU to the destination's */
enum relay_code { RELAY_PLAIN, RELAY_PACK, RELAY_UNPACK };

/* both ends have closed (@err NULL) or something broke; the relay is gone then */
typedef void (*relay_fn)(const char *err, void *arg);

/* copies both ways until both have ended; takes over both descriptors */
struct relay *relay_new(int unix_fd, int peer_fd, enum relay_code code, relay_fn fn, void *arg);
/* the same, with whoever connects to @path first; takes over @peer_fd */
struct relay *relay_listen(const char *path, uid_t uid, gid_t gid, int peer_fd,
			   enum relay_code code, relay_fn fn, void *arg, int *err);
void relay_close(struct relay *r);	/* no callback; NULL is fine */
/* for the callback: it ended because nothing whole came from the peer */
bool relay_cut(const struct relay *r);
/* likewise: that was because what the peer had packed is broken; how, or NULL */
const char *relay_broken(const struct relay *r);
/* bytes from the unix socket, and what they were on the way to the peer */
uint64_t relay_out(const struct relay *r);
uint64_t relay_wire(const struct relay *r);

#endif /* TELEPAGE_RELAY_H */
