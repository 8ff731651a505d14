/* SPDX-License-Identifier: GPL-2.0 */
/*
 * warm.h - open TCP's windows before it counts
 *
 * A fresh connection sends 14 KB, waits a round trip, sends 28 KB, and so on:
 * device state would take three or four round trips during which the VM runs
 * nowhere. So while it still runs, zeros go over the connection first.
 *
 * They go in blocks. The first byte of the last one is 1, so the sender can end
 * before it has sent what it had announced: a line that has not taken that much in
 * WARM_SEND_MS has no use for wider windows, and each byte is one more to wait for.
 */
#ifndef TELEPAGE_WARM_H
#define TELEPAGE_WARM_H

#include "agent.h"

#define WARM_BYTES	(256 << 10)
#define WARM_MAX	(1 << 20)	/* what a peer may ask us to swallow */
#define WARM_BLOCK	1024
#define WARM_SEND_MS	3000		/* five round trips of the farthest line */

struct warm;

/* the descriptor is the caller's all the time; @err NULL: done */
typedef void (*warm_fn)(const char *err, void *arg);
/* sends @bytes, or as many as the line takes, and waits until the other side has them */
struct warm *warm_send(int fd, size_t bytes, warm_fn fn, void *arg);
/* the other side of it; @bytes at most */
struct warm *warm_receive(int fd, size_t bytes, warm_fn fn, void *arg);
void warm_cancel(struct warm *w);	/* no callback; NULL is fine */

#endif /* TELEPAGE_WARM_H */
