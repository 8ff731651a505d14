/* SPDX-License-Identifier: GPL-2.0 */
/*
 * local.h - commands of this host over the agent's unix socket
 *
 * One line of JSON asks ({"cmd":"move",...}), lines of JSON answer until one
 * with "done" or "error".
 */
#ifndef TELEPAGE_LOCAL_H
#define TELEPAGE_LOCAL_H

#include "agent.h"
#include "conn.h"

#define WATCHERS_MAX	8

/* who wants to know how a job goes on */
struct watchers {
	struct conn *c[WATCHERS_MAX];
	unsigned int n;
};

int local_listen(const char *path);
bool watchers_add(struct watchers *w, struct conn *c);
void watchers_del(struct watchers *w, struct conn *c);
void watchers_tell(struct watchers *w, json_t *msg /* stolen */);
/* the same as the last word: they are closed */
void watchers_end(struct watchers *w, json_t *msg /* stolen */);

/*
 * For commands: one exchange with the agent, blocking. @fn gets every line and
 * returns -1 to go on or an exit status. When there is no agent, or it ends before that
 * (then with "lost":true), @fn gets an "error" as from the agent.
 */
int agent_talk(const char *path, json_t *request /* stolen */,
	       int (*fn)(json_t *msg, void *arg), void *arg);
/* the same with one that has @seconds for each line, or has ended; 0: for ever */
int agent_ask(const char *path, json_t *request /* stolen */, unsigned int seconds,
	      int (*fn)(json_t *msg, void *arg), void *arg);

#endif /* TELEPAGE_LOCAL_H */
