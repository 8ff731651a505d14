/* SPDX-License-Identifier: GPL-2.0 */
/*
 * worker.h - a child of the agent's that computes and waits, so that the agent need not
 *
 * It has a socket to the agent: it hears single bytes there and says lines of JSON. It
 * dies with the agent, and has no other descriptor of it than the one it is given, and
 * where it writes its notes.
 */
#ifndef TELEPAGE_WORKER_H
#define TELEPAGE_WORKER_H

#include <jansson.h>
#include <stdbool.h>

struct worker;

struct worker_ops {
	const char *name;		/* as ps shows it; up to 15 characters */
	int (*main)(int ctl, void *job);	/* in the child: its exit status */
	/* may be NULL if it says nothing */
	void (*line)(struct worker *w, json_t *msg, void *arg);
	/* it has ended by itself and is gone then; @status as of wait() */
	void (*ended)(struct worker *w, int status, void *arg);
};

/* @fd stays the caller's, too, -1: none; NULL and errno: it could not be started */
struct worker *worker_start(const struct worker_ops *ops, void *job, int fd, void *arg);
void worker_tell(struct worker *w, char what);
void worker_stop(struct worker *w);	/* ops->ended is called when it is dead */
void worker_kill(struct worker *w);	/* ops->ended is not called; NULL is fine */

/* in the child: the next byte from the agent, 0: none (yet), -1: it is gone */
int worker_heard(int ctl, bool wait);
void worker_say(int ctl, json_t *msg /* stolen */);

#endif /* TELEPAGE_WORKER_H */
