// SPDX-License-Identifier: GPL-2.0
/*
 * peer.c - requests to and from another agent over a control connection
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "conn.h"
#include "peer.h"
#include "tls.h"

#define GUESTS_MAX	128		/* who connected to us, at once */

static unsigned int guests;

struct request {
	struct peer *peer;
	json_int_t id;
	const char *op;
	struct timer timer;
	answer_fn fn;
	void *arg;
	struct request *next;
};

struct peer {
	struct greet *greet;		/* until connected */
	struct conn *conn;
	bool outgoing, closed;
	char addr[64], who[TLS_WHO_MAX];
	const struct peer_ops *ops;	/* NULL: an incoming one that asked nothing yet */
	void *arg;
	json_int_t next_id;
	struct request *requests;
};

static const struct {
	const char *op;
	op_fn fn;
} ops[] = {
	{ "prepare", op_prepare },
	{ "start", op_start },
	{ "load", op_load },
	{ "warm", op_warm },
	{ "first", op_first },
	{ "commit", op_commit },
	{ "status", op_status },
	{ "abort", op_abort },
	{ "released", op_released },
	{ "open-export", op_open_export },
	{ "close-export", op_close_export },
};

static void drop_requests(struct peer *p)
{
	struct request *r;

	while ((r = p->requests)) {
		p->requests = r->next;
		timer_clear(&r->timer);
		free(r);
	}
}

void peer_close(struct peer *p)
{
	if (!p || p->closed)
		return;
	p->closed = true;
	guests -= !p->outgoing;
	transport_cancel(p->greet);
	conn_finish(p->conn);
	drop_requests(p);
	loop_free(p);
}

const char *peer_addr(const struct peer *p)
{
	return p->addr;
}

const char *peer_who(const struct peer *p)
{
	return p->who;
}

void *peer_arg(const struct peer *p)
{
	return p->arg;
}

void peer_set_ops(struct peer *p, const struct peer_ops *o, void *arg)
{
	p->ops = o;
	p->arg = arg;
}

static void lost(struct peer *p, const char *why)
{
	const struct peer_ops *o = p->ops;
	void *arg = p->arg;

	drop_requests(p);
	if (o && o->closed)
		o->closed(p, why, arg);
	if (!p->closed) {
		p->closed = true;
		guests -= !p->outgoing;
		loop_free(p);
	}
}

/* out of the list before anybody is called: the callback may ask anew or close */
static struct request *take_request(struct peer *p, json_int_t id)
{
	struct request **pos, *r;

	for (pos = &p->requests; (r = *pos); pos = &r->next)
		if (r->id == id) {
			*pos = r->next;
			timer_clear(&r->timer);
			return r;
		}
	return NULL;
}

static void request_timeout(void *arg)
{
	struct request *r = arg;
	char words[128];

	take_request(r->peer, r->id);
	snprintf(words, sizeof(words), "the peer's agent does not answer (%s)", r->op);
	if (r->fn)
		r->fn(NULL, words, r->arg);
	free(r);
}

void peer_ask(struct peer *p, const char *op, json_t *params, unsigned int timeout_ms,
	      answer_fn fn, void *arg)
{
	struct request *r = xcalloc(1, sizeof(*r));

	r->peer = p;
	r->id = ++p->next_id;
	r->op = op;
	r->fn = fn;
	r->arg = arg;
	r->next = p->requests;
	p->requests = r;
	timer_set(&r->timer, timeout_ms, request_timeout, r);
	json_object_set_new(params, "op", json_string(op));
	json_object_set_new(params, "id", json_integer(r->id));
	conn_send(p->conn, params);
}

void peer_forget(struct peer *p)
{
	struct request *r;

	for (r = p ? p->requests : NULL; r; r = r->next)
		r->fn = NULL;
}

void peer_answer(struct peer *p, json_int_t id, json_t *msg)
{
	json_object_set_new(msg, "re", json_integer(id));
	conn_send(p->conn, msg);
}

void peer_refuse(struct peer *p, json_int_t id, const char *fmt, ...)
{
	char words[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	note_peer("%s: refused: %s", p->addr, plain(words));
	peer_answer(p, id, json_pack("{s:s}", "error", words));
}

void peer_notice(struct peer *p, const char *op, json_t *msg)
{
	json_object_set_new(msg, "op", json_string(op));
	conn_send(p->conn, msg);
}

static void got_line(struct conn *c, json_t *msg, void *arg)
{
	struct peer *p = arg;
	const char *op = json_string_value(json_object_get(msg, "op"));
	json_t *id = json_object_get(msg, "id"), *re = json_object_get(msg, "re");
	const char *error;
	struct request *r;
	size_t i;

	(void)c;
	if (re) {
		r = take_request(p, json_integer_value(re));
		if (!r)
			return;		/* came after its time was up */
		error = json_string_value(json_object_get(msg, "error"));
		/* a refusal may carry more than words (commit does) */
		if (r->fn)
			r->fn(msg, error, r->arg);
		free(r);
	} else if (op && id && !p->outgoing) {
		for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
			if (!strcmp(op, ops[i].op)) {
				ops[i].fn(p, json_integer_value(id), msg);
				return;
			}
		peer_refuse(p, json_integer_value(id), "unknown request");
	} else if (op && !id && p->ops && p->ops->notice) {
		p->ops->notice(p, op, msg, p->arg);
	}
}

static void got_closed(struct conn *c, const char *why, void *arg)
{
	struct peer *p = arg;

	(void)c;
	p->conn = NULL;
	lost(p, why);
}

static const struct conn_ops conn_ops = {
	.line = got_line,
	.closed = got_closed,
};

static void connected(int fd, const char *addr, const char *who, const char *err, void *arg)
{
	struct peer *p = arg;

	p->greet = NULL;
	copy_str(p->addr, addr);
	copy_str(p->who, who);
	if (fd < 0) {
		lost(p, err);
		return;
	}
	p->conn = conn_new(fd, CONN_LINE_MAX, &conn_ops, p);
	p->ops->ready(p, p->arg);
}

struct peer *peer_connect(const struct target *t, const struct peer_ops *o, void *arg)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->outgoing = true;
	p->ops = o;
	p->arg = arg;
	p->greet = transport_connect(t, transport_hello("control"), connected, p);
	return p;
}

void peer_accept(int fd, const char *from, const char *who)
{
	struct peer *p;

	if (guests >= GUESTS_MAX) {
		transport_answer(fd, "too many are connected");
		close(fd);
		return;
	}
	guests++;
	p = xcalloc(1, sizeof(*p));
	copy_str(p->addr, from);
	copy_str(p->who, who);
	p->conn = conn_new(fd, CONN_LINE_MAX, &conn_ops, p);
	if (transport_answer(fd, NULL)) {
		conn_close(p->conn);
		guests--;
		loop_free(p);
	}
}
