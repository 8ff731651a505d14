// SPDX-License-Identifier: GPL-2.0
/*
 * qmp.c - an asynchronous QMP client
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "qmp.h"
#include "unix.h"

#define QMP_LINE_MAX	(4 << 20)
#define RETRY_MS	50
#define GREETING_MS	5000

struct command {
	struct qmp *q;
	json_int_t id;
	char name[40];
	struct timer timer;
	qmp_fn fn;
	void *arg;
	struct command *next;
};

struct qmp {
	char path[300];			/* as long as any; unix_connect() says what is too long */
	struct conn *conn;
	struct timer timer;
	uint64_t until;			/* ms: when to stop trying to connect */
	bool greeted, ready, finishing, closed, nobody;
	const struct qmp_ops *ops;
	void *arg;
	json_int_t next_id;
	struct command *commands;
};

static void negotiated(json_t *ret, const char *err, void *arg);

bool qmp_answers(const char *path)
{
	int fd = unix_connect(path, SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -EAGAIN;
}

bool qmp_gone(const char *path)
{
	int fd = unix_connect(path, SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd == -ENOENT || fd == -ECONNREFUSED;
}

static void drop_commands(struct qmp *q)
{
	struct command *c;

	while ((c = q->commands)) {
		q->commands = c->next;
		timer_clear(&c->timer);
		free(c);
	}
}

void qmp_close(struct qmp *q)
{
	if (!q || q->closed)
		return;
	q->closed = true;
	timer_clear(&q->timer);
	drop_commands(q);
	conn_finish(q->conn);
	loop_free(q);
}

void qmp_forget(struct qmp *q)
{
	struct command *c;

	if (!q)
		return;
	for (c = q->commands; c; c = c->next)
		if (c->fn != negotiated)
			c->fn = NULL;
}

void qmp_finish(struct qmp *q)
{
	if (!q || q->closed)
		return;
	if (!q->commands || !q->ready) {
		qmp_close(q);
		return;
	}
	qmp_forget(q);
	q->finishing = true;
}

bool qmp_nobody(const struct qmp *q)
{
	return q->nobody;
}

void qmp_set_ops(struct qmp *q, const struct qmp_ops *ops, void *arg)
{
	q->ops = ops;
	q->arg = arg;
}

static void fail(struct qmp *q, const char *why)
{
	char words[512];

	if (q->closed)
		return;
	snprintf(words, sizeof(words), "%s: %s", q->path, why);
	drop_commands(q);
	if (!q->finishing)
		q->ops->closed(q, words, q->arg);
	qmp_close(q);
}

static struct command *take_command(struct qmp *q, json_int_t id)
{
	struct command **pos, *c;

	for (pos = &q->commands; (c = *pos); pos = &c->next)
		if (c->id == id) {
			*pos = c->next;
			timer_clear(&c->timer);
			return c;
		}
	return NULL;
}

static void command_timeout(void *arg)
{
	struct command *c = arg;
	struct qmp *q = c->q;
	char words[96];

	take_command(c->q, c->id);
	snprintf(words, sizeof(words), "QEMU does not answer %s", c->name);
	if (c->fn)
		c->fn(NULL, words, c->arg);
	free(c);
	if (q->finishing && !q->commands)
		qmp_close(q);
}

bool qmp_cmd(struct qmp *q, const char *name, json_t *args, unsigned int timeout_ms,
	     qmp_fn fn, void *arg)
{
	struct command *c = xcalloc(1, sizeof(*c));
	json_t *msg = json_pack("{s:s, s:I}", "execute", name, "id", ++q->next_id);

	if (args)
		json_object_set_new(msg, "arguments", args);
	c->q = q;
	c->id = q->next_id;
	c->fn = fn;
	c->arg = arg;
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->next = q->commands;
	q->commands = c;
	if (timeout_ms)
		timer_set(&c->timer, timeout_ms, command_timeout, c);
	if (q->conn)
		return conn_send(q->conn, msg);
	json_decref(msg);	/* lost, or never was: ops->closed tells that */
	return false;
}

static void negotiated(json_t *ret, const char *err, void *arg)
{
	struct qmp *q = arg;

	(void)ret;
	if (err) {
		fail(q, err);
	} else {
		q->ready = true;
		q->ops->ready(q, q->arg);
	}
}

static void got_line(struct conn *conn, json_t *msg, void *arg)
{
	struct qmp *q = arg;
	json_t *ret = json_object_get(msg, "return"), *error = json_object_get(msg, "error");
	const char *event = json_string_value(json_object_get(msg, "event")), *desc;
	struct command *c;

	(void)conn;
	if (!q->greeted) {
		if (!json_object_get(msg, "QMP")) {
			fail(q, "no QMP greeting");
			return;
		}
		q->greeted = true;
		timer_clear(&q->timer);
		qmp_cmd(q, "qmp_capabilities", NULL, GREETING_MS, negotiated, q);
		return;
	}
	if (event) {
		if (q->ops->event && !q->finishing)
			q->ops->event(q, event, json_object_get(msg, "data"), q->arg);
		return;
	}
	if (!ret && !error)
		return;
	c = take_command(q, json_integer_value(json_object_get(msg, "id")));
	if (!c)
		return;
	desc = json_string_value(json_object_get(error, "desc"));
	if (c->fn)
		c->fn(ret, ret ? NULL : desc ? desc : "QEMU gave an error without words", c->arg);
	free(c);
	if (q->finishing && !q->commands)
		qmp_close(q);
}

static void got_closed(struct conn *conn, const char *why, void *arg)
{
	struct qmp *q = arg;

	(void)conn;
	q->conn = NULL;
	fail(q, why);
}

static const struct conn_ops conn_ops = {
	.line = got_line,
	.closed = got_closed,
};

static void no_greeting(void *arg)
{
	fail(arg, "no QMP greeting (QEMU talks to one client at a time: is another connected?)");
}

static void try_connect(void *arg)
{
	struct qmp *q = arg;
	int fd = unix_connect(q->path, SOCK_NONBLOCK);

	if (fd < 0) {
		q->nobody = fd == -ECONNREFUSED || fd == -ENOENT;
		if (now_ms() >= q->until)
			fail(q, strerror(-fd));
		else
			timer_set(&q->timer, RETRY_MS, try_connect, q);
		return;
	}
	q->nobody = false;
	q->conn = conn_new(fd, QMP_LINE_MAX, &conn_ops, q);
	timer_set(&q->timer, GREETING_MS, no_greeting, q);
}

struct qmp *qmp_open(const char *path, unsigned int wait_ms, const struct qmp_ops *ops,
		     void *arg)
{
	struct qmp *q = xcalloc(1, sizeof(*q));

	copy_str(q->path, path);
	q->ops = ops;
	q->arg = arg;
	q->until = now_ms() + wait_ms;
	timer_set(&q->timer, 0, try_connect, q);
	return q;
}

json_t *qmp_caps(const char *name, ...)
{
	json_t *list = json_array();
	va_list ap;

	va_start(ap, name);
	for (; name; name = va_arg(ap, const char *))
		json_array_append_new(list, json_pack("{s:s, s:b}", "capability", name,
						      "state", va_arg(ap, int)));
	va_end(ap);
	return json_pack("{s:o}", "capabilities", list);
}
