/* SPDX-License-Identifier: GPL-2.0 */
/*
 * peer.h - requests to and from another agent over a control connection
 *
 * Who connected asks; who accepted answers and sends notices.
 */
#ifndef TELEPAGE_PEER_H
#define TELEPAGE_PEER_H

#include "agent.h"
#include "transport.h"

struct peer;

/* @msg: the answer, borrowed; NULL with @err: refused or too late */
typedef void (*answer_fn)(json_t *msg, const char *err, void *arg);

struct peer_ops {
	/* outgoing only: the hello is done */
	void (*ready)(struct peer *p, void *arg);
	/* a notice from the other side; may be NULL */
	void (*notice)(struct peer *p, const char *op, json_t *msg, void *arg);
	/* lost, or (outgoing) never there; open requests get no answer any more */
	void (*closed)(struct peer *p, const char *why, void *arg);
};

struct peer *peer_connect(const struct target *t, const struct peer_ops *ops, void *arg);
const char *peer_addr(const struct peer *p);	/* the address that answered */
const char *peer_who(const struct peer *p);	/* see transport.h */
/* at once, without ops->closed; what was sent still leaves; NULL is fine */
void peer_close(struct peer *p);

/* steals @params (an object); @fn is called once unless the peer closes first */
void peer_ask(struct peer *p, const char *op, json_t *params, unsigned int timeout_ms,
	      answer_fn fn, void *arg);

/* what was asked is answered to nobody; for who goes on with something else */
void peer_forget(struct peer *p);	/* NULL is fine */

/* incoming side */
void peer_accept(int fd, const char *from, const char *who);
void peer_set_ops(struct peer *p, const struct peer_ops *ops, void *arg);
void *peer_arg(const struct peer *p);
void peer_answer(struct peer *p, json_int_t id, json_t *msg /* stolen */);
void peer_refuse(struct peer *p, json_int_t id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void peer_notice(struct peer *p, const char *op, json_t *msg /* stolen */);

/* the requests we understand; peer.c has the table */
typedef void (*op_fn)(struct peer *p, json_int_t id, json_t *msg);
void op_prepare(struct peer *p, json_int_t id, json_t *msg);
void op_start(struct peer *p, json_int_t id, json_t *msg);
void op_load(struct peer *p, json_int_t id, json_t *msg);
void op_warm(struct peer *p, json_int_t id, json_t *msg);
void op_first(struct peer *p, json_int_t id, json_t *msg);
void op_commit(struct peer *p, json_int_t id, json_t *msg);
void op_status(struct peer *p, json_int_t id, json_t *msg);
void op_abort(struct peer *p, json_int_t id, json_t *msg);
void op_released(struct peer *p, json_int_t id, json_t *msg);
void op_open_export(struct peer *p, json_int_t id, json_t *msg);
void op_close_export(struct peer *p, json_int_t id, json_t *msg);

#endif /* TELEPAGE_PEER_H */
