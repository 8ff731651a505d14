// SPDX-License-Identifier: GPL-2.0
/*
 * conn.c - lines of JSON over a stream socket
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "ktls.h"
#include "loop.h"

struct conn {
	int fd;
	struct watch *watch;
	const struct conn_ops *ops;
	void *arg;
	size_t max_line;
	bool closed;
	bool finishing;
	struct timer timer;
	char *in;			/* an unfinished line */
	size_t in_len, in_size;
	char *out;
	size_t out_pos, out_len, out_size;
};

static void conn_event(uint32_t events, void *arg);

struct conn *conn_new(int fd, size_t max_line, const struct conn_ops *ops, void *arg)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	c->fd = fd;
	c->max_line = max_line;
	c->ops = ops;
	c->arg = arg;
	c->watch = watch_add(fd, EPOLLIN, conn_event, c);
	return c;
}

void conn_close(struct conn *c)
{
	if (!c || c->closed)
		return;
	c->closed = true;
	timer_clear(&c->timer);
	watch_del(c->watch);
	close(c->fd);
	/* a caller further up may be in the middle of the buffer */
	loop_free(c->in);
	loop_free(c->out);
	loop_free(c);
}

static void conn_fail(struct conn *c, const char *why)
{
	if (c->closed)
		return;
	if (!c->finishing)
		c->ops->closed(c, why, c->arg);
	conn_close(c);
}

static void finish_timeout(void *arg)
{
	conn_close(arg);
}

void conn_finish(struct conn *c)
{
	if (!c || c->closed || c->finishing)
		return;
	if (c->out_pos == c->out_len) {
		conn_close(c);
		return;
	}
	c->finishing = true;
	timer_set(&c->timer, 5000, finish_timeout, c);
	watch_set(c->watch, EPOLLOUT);
}

static void send_failed(void *arg)
{
	struct conn *c = arg;

	conn_fail(c, c->out_len - c->out_pos > CONN_OUT_MAX ? "does not read" : "write failed");
}

static int conn_flush(struct conn *c)
{
	while (c->out_pos < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		c->out_pos += n;
	}
	if (c->out_pos == c->out_len) {
		c->out_pos = 0;
		c->out_len = 0;
	}
	watch_set(c->watch, (c->finishing ? 0 : EPOLLIN) | (c->out_len ? EPOLLOUT : 0));
	return 0;
}

bool conn_send(struct conn *c, json_t *msg)
{
	char *text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
	bool sent = !c->closed && !c->finishing;
	size_t len;

	json_decref(msg);
	if (!text) {
		note("a message that is no JSON was not sent");	/* a bug, but not worth dying */
		return false;
	}
	len = strlen(text);
	text[len++] = '\n';
	if (sent) {
		/* what has left makes room first: the buffer is what was not read, no more */
		if (c->out_pos) {
			memmove(c->out, c->out + c->out_pos, c->out_len - c->out_pos);
			c->out_len -= c->out_pos;
			c->out_pos = 0;
		}
		if (c->out_len + len > c->out_size) {
			c->out_size = c->out_len + len + 1024;
			c->out = realloc(c->out, c->out_size);
			if (!c->out)
				abort();
		}
		memcpy(c->out + c->out_len, text, len);
		c->out_len += len;
		/* the owner is in the middle of something: tell it from the loop */
		sent = c->out_len - c->out_pos <= CONN_OUT_MAX && !conn_flush(c);
		if (!sent)
			timer_set(&c->timer, 0, send_failed, c);
	}
	free(text);
	return sent;
}

static void conn_lines(struct conn *c)
{
	char *start = c->in, *nl, *end = c->in + c->in_len;

	while (!c->closed && !c->finishing && (nl = memchr(start, '\n', end - start))) {
		json_error_t err;
		json_t *msg;
		size_t len = nl - start;

		if (len >= c->max_line) {
			conn_fail(c, "sent a line that is too long");
			return;
		}
		if (len && start[len - 1] == '\r')
			len--;
		if (len) {
			msg = json_loadb(start, len, JSON_REJECT_DUPLICATES, &err);
			if (!json_is_object(msg)) {
				json_decref(msg);
				conn_fail(c, "sent something that is no line of JSON");
				return;
			}
			c->ops->line(c, msg, c->arg);
			json_decref(msg);
		}
		start = nl + 1;
	}
	if (c->closed)
		return;
	c->in_len = end - start;
	memmove(c->in, start, c->in_len);
	if (c->in_len >= c->max_line)
		conn_fail(c, "sent a line that is too long");
}

static void conn_event(uint32_t events, void *arg)
{
	struct conn *c = arg;
	int alert = 0;
	ssize_t n;

	if (events & EPOLLOUT) {
		int err = conn_flush(c);

		if (err) {
			conn_fail(c, strerror(-err));
			return;
		}
		if (c->finishing && !c->out_len) {
			conn_close(c);
			return;
		}
	}
	if (c->finishing) {
		if (events & (EPOLLERR | EPOLLHUP))
			conn_close(c);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	if (c->in_size - c->in_len < 4096) {
		c->in_size = c->in_len + 16384;
		c->in = realloc(c->in, c->in_size);
		if (!c->in)
			abort();
	}
	n = ktls_recv(c->fd, c->in + c->in_len, c->in_size - c->in_len, MSG_DONTWAIT, &alert);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		conn_fail(c, ktls_words(n, alert));
		return;
	}
	c->in_len += n;
	conn_lines(c);
}
