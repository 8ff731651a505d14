// SPDX-License-Identifier: GPL-2.0
/*
 * greet.c - a connection to a peer until it has greeted
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "greet.h"

const char *greet_own_id(void)
{
	static char id[TOKEN_LEN + 1];

	if (!*id)
		token_new(id);
	return id;
}

json_t *transport_hello(const char *role)
{
	return json_pack("{s:i, s:i, s:s, s:s}", "telepage", 1, "version", TP_CONTROL_VERSION,
			 "role", role, "agent", greet_own_id());
}

void greet_set_options(int fd)
{
	int on = 1, idle = 3, intvl = 2, cnt = 3, user_ms = 10000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &intvl, sizeof(intvl));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &cnt, sizeof(cnt));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_ms, sizeof(user_ms));
}

void greet_free(struct greet *g)
{
	timer_clear(&g->timer);
	watch_del(g->watch);
	tls_free(g->tls);
	if (g->fd >= 0)
		close(g->fd);
	json_decref(g->first);
	if (g->freed)
		g->freed(g);
	loop_free(g);
}

int greet_read_line(struct greet *g, int *alert)
{
	for (;;) {
		size_t room = GREET_LINE_MAX - g->len, take;
		char *to = g->line + g->len, *nl;
		ssize_t n;

		if (!room)
			return -EMSGSIZE;
		n = ktls_recv(g->fd, to, room, MSG_PEEK | MSG_DONTWAIT, alert);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return n == -EAGAIN ? 0 : n;
		if (!n)
			return -ECONNRESET;
		nl = memchr(to, '\n', n);
		/* only up to the newline: behind it the kernels may be talking already */
		take = nl ? (size_t)(nl - to) + 1 : (size_t)n;
		n = ktls_recv(g->fd, to, take, MSG_DONTWAIT, alert);
		if (n != (ssize_t)take)
			return -EIO;
		g->len += n;
		if (nl) {
			g->line[g->len] = 0;
			return 1;
		}
	}
}

int greet_shake(struct greet *g, char *words, size_t len)
{
	struct ktls_key tx, rx;
	int err = tls_handshake(g->tls);

	if (err == -EAGAIN) {
		watch_set(g->watch, tls_wants(g->tls));
		return err;
	}
	if (err) {
		snprintf(words, len, "%s", tls_error(g->tls));
		return err;
	}
	err = tls_key(g->tls, false, &tx);
	if (!err)
		err = tls_key(g->tls, true, &rx);
	if (!err)
		err = ktls_start(g->fd, &tx, &rx);
	explicit_bzero(&tx, sizeof(tx));
	explicit_bzero(&rx, sizeof(rx));
	if (err) {
		const char *missing = ktls_missing();

		snprintf(words, len, "TLS in the kernel: %s", missing ? missing : strerror(-err));
		return err;
	}
	copy_str(g->who, tls_who(g->tls));
	tls_free(g->tls);
	g->tls = NULL;
	return 0;
}

json_t *greet_parse(const struct greet *g)
{
	json_t *obj = json_loads(g->line, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(obj) || json_integer_value(json_object_get(obj, "telepage")) != 1) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}
