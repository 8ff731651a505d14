/* SPDX-License-Identifier: GPL-2.0 */
/*
 * loop.h - the agent's one event loop: descriptors, timers, children
 *
 * Single-threaded. Callbacks may delete any watch or timer, their own included.
 */
#ifndef TELEPAGE_LOOP_H
#define TELEPAGE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

struct watch;
typedef void (*watch_fn)(uint32_t events, void *arg);

/* a timer lives in its owner; zeroed memory is a timer that is not set */
struct timer {
	uint64_t at;			/* ms, CLOCK_MONOTONIC */
	bool set;
	void (*fn)(void *arg);
	void *arg;
	LIST_ENTRY(timer) list;
};

int loop_init(void);
/* runs until loop_stop(); returns the exit status given there */
int loop_run(void);
void loop_stop(int status);

/* @events: EPOLLIN and so on; the descriptor stays the caller's */
struct watch *watch_add(int fd, uint32_t events, watch_fn fn, void *arg);
void watch_set(struct watch *w, uint32_t events);
void watch_del(struct watch *w);	/* before the descriptor is closed; NULL is fine */

void timer_set(struct timer *t, unsigned int ms, void (*fn)(void *arg), void *arg);
void timer_clear(struct timer *t);

/*
 * accept4() with close-on-exec and non-blocking of what @w watches, whose handler calls
 * this. -1: there is nobody, or there is no room (descriptors, memory); as that is
 * no better at once, it is told and the watch looks away for a second.
 */
int watch_accept(struct watch *w, struct sockaddr *sa, socklen_t *len);

/* free(@p) once no callback of this round can still be looking at it */
void loop_free(void *p);

uint64_t now_ms(void);

/* one line on stderr per event; systemd's journal adds the time */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* the same of what anybody on the network can make us say: so many lines, then they are counted */
void note_peer(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* @dst is an array; what does not fit is cut */
#define copy_str(dst, src)	snprintf(dst, sizeof(dst), "%s", src)

/* memory the agent cannot go on without; dying is safe, the kernel keeps all */
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* TELEPAGE_LOOP_H */
