/* SPDX-License-Identifier: GPL-2.0 */
/*
 * conn.h - lines of JSON over a stream socket, non-blocking both ways
 */
#ifndef TELEPAGE_CONN_H
#define TELEPAGE_CONN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define CONN_LINE_MAX	65536		/* what a peer may send in one line */
#define CONN_OUT_MAX	(1 << 20)	/* a reader this far behind is dropped */

struct conn;

struct conn_ops {
	/* @msg is an object and borrowed; may call conn_close() */
	void (*line)(struct conn *c, json_t *msg, void *arg);
	/* end of file or an error; the connection is gone after this */
	void (*closed)(struct conn *c, const char *why, void *arg);
};

/* takes over @fd (already connected); bytes of @max_line and more end it */
struct conn *conn_new(int fd, size_t max_line, const struct conn_ops *ops, void *arg);
/* steals @msg; false: the connection is gone, which ops->closed will tell as well */
bool conn_send(struct conn *c, json_t *msg);
/* at once and without ops->closed; NULL is fine */
void conn_close(struct conn *c);
/* no more lines are read; closes when what was sent has left, or after 5 s */
void conn_finish(struct conn *c);

#endif /* TELEPAGE_CONN_H */
