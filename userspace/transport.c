// SPDX-License-Identifier: GPL-2.0
/*
 * transport.c - connecting to a peer
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "greet.h"

void transport_cancel(struct greet *g)
{
	if (g)
		greet_free(g);
}

static void try_next(struct greet *g);

static void drop_socket(struct greet *g)
{
	timer_clear(&g->timer);
	watch_del(g->watch);
	g->watch = NULL;
	tls_free(g->tls);
	g->tls = NULL;
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
	g->len = 0;
}

static void connect_end(struct greet *g, int fd, const char *err)
{
	g->connected(fd, g->addr, g->who, err, g->arg);
	greet_free(g);
}

static void failed_addr(struct greet *g, const char *why)
{
	snprintf(g->err, sizeof(g->err), "%s port %u: %s", g->addr, g->target.port, why);
	drop_socket(g);
	try_next(g);
}

static void connect_timeout(void *arg)
{
	struct greet *g = arg;

	failed_addr(g, !g->reached ? "no connection within 10 s" :
		    g->tls ? "no end of the TLS handshake within 10 s" : "no answer within 10 s");
}

static void got_answer(struct greet *g)
{
	json_t *obj = greet_parse(g);
	const char *error;
	int fd = g->fd;

	if (!obj) {
		failed_addr(g, "what answers there is no telepage agent");
		return;
	}
	error = json_string_value(json_object_get(obj, "error"));
	if (error) {
		snprintf(g->err, sizeof(g->err), "%s: %s", g->target.host, error);
		connect_end(g, -1, g->err);
	} else if (json_integer_value(json_object_get(obj, "version")) != TP_CONTROL_VERSION) {
		snprintf(g->err, sizeof(g->err), "%s speaks another version of the control protocol",
			 g->target.host);
		connect_end(g, -1, g->err);
	} else {
		watch_del(g->watch);
		g->watch = NULL;
		g->fd = -1;
		connect_end(g, fd, NULL);
	}
	json_decref(obj);
}

static void say_first(struct greet *g)
{
	char *text = json_dumps(g->first, JSON_COMPACT);
	size_t n = strlen(text);
	ssize_t sent;

	text[n++] = '\n';
	/* a fresh socket always has room for a line */
	sent = send(g->fd, text, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	if (sent != (ssize_t)n) {
		failed_addr(g, strerror(sent < 0 ? errno : EIO));
		return;
	}
	json_decref(g->first);
	g->first = NULL;
	watch_set(g->watch, EPOLLIN);
	timer_set(&g->timer, GREET_MS, connect_timeout, g);
}

static void connect_shake(struct greet *g)
{
	char words[800];
	int err;

	if (!g->tls) {
		g->tls = tls_new(agent.keys, g->fd, g->target.host);
		timer_set(&g->timer, GREET_MS, connect_timeout, g);
	}
	err = greet_shake(g, words, sizeof(words));
	if (!err)
		say_first(g);
	else if (err != -EAGAIN && tls_peer_plain(g->tls))
		failed_addr(g, "its agent talks in the clear, this one does not: " MAKE_KEYS);
	else if (err != -EAGAIN)
		failed_addr(g, words);
}

static bool dialled(struct greet *g)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		failed_addr(g, strerror(err));
	else
		g->reached = true;
	return !err;
}

static void connect_event(uint32_t events, void *arg)
{
	struct greet *g = arg;
	int err, alert = 0;

	(void)events;
	if (!g->reached && !dialled(g))
		return;
	if (g->first) {
		if (agent.plain)
			say_first(g);
		else
			connect_shake(g);
		return;
	}
	err = greet_read_line(g, &alert);
	if (err > 0)
		got_answer(g);
	else if (err < 0)
		failed_addr(g, err == -EMSGSIZE ? "answered too long a line" :
			    ktls_words(err, alert));
}

static void end_later(void *arg)
{
	struct greet *g = arg;

	connect_end(g, -1, g->err);
}

static void try_next(struct greet *g)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *ai = NULL;
	char port[8];

	if (!agent.plain && !agent.keys)
		snprintf(g->err, sizeof(g->err), "this host has no keys in %s: " MAKE_KEYS,
			 agent.keys_dir);
	if (g->tried == g->target.nr || g->reached || (!agent.plain && !agent.keys)) {
		/* never call back before transport_connect() has returned */
		timer_set(&g->timer, 0, end_later, g);
		return;
	}
	snprintf(g->addr, sizeof(g->addr), "%s", g->target.addr[g->tried++]);
	snprintf(port, sizeof(port), "%u", g->target.port);
	if (getaddrinfo(g->addr, port, &hints, &ai)) {
		failed_addr(g, "bad address");
		return;
	}
	g->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (g->fd < 0) {
		freeaddrinfo(ai);
		failed_addr(g, strerror(errno));
		return;
	}
	greet_set_options(g->fd);
	if (connect(g->fd, ai->ai_addr, ai->ai_addrlen) && errno != EINPROGRESS) {
		int err = errno;

		freeaddrinfo(ai);
		failed_addr(g, strerror(err));
		return;
	}
	freeaddrinfo(ai);
	g->watch = watch_add(g->fd, EPOLLOUT, connect_event, g);
	timer_set(&g->timer, GREET_MS, connect_timeout, g);
}

struct greet *transport_connect(const struct target *t, json_t *first, connect_fn fn, void *arg)
{
	struct greet *g = xcalloc(1, sizeof(*g));

	g->fd = -1;
	g->target = *t;
	g->first = first;
	g->connected = fn;
	g->arg = arg;
	snprintf(g->err, sizeof(g->err), "%s has no address", t->host);
	try_next(g);
	return g;
}
