// SPDX-License-Identifier: GPL-2.0
/*
 * listener.c - peers that connect to us
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "greet.h"

#define LINGER_MS	2000		/* for the other side to read why it was refused */
#define STRANGERS_MAX	64		/* accepted, not yet greeted */
#define STRANGERS_EACH	48		/* of one address: an agent needs one for each lane */
#define TLS_RECORD_HANDSHAKE	0x16	/* what a TLS connection begins with */

static struct {
	int fd;
	struct watch *watch;
	accept_fn fn;
	TAILQ_HEAD(, greet) strangers;	/* the oldest first */
	unsigned int nr_strangers;
} listener = { .fd = -1, .strangers = TAILQ_HEAD_INITIALIZER(listener.strangers) };

int transport_answer(int fd, const char *error)
{
	json_t *obj = json_pack("{s:i, s:i}", "telepage", 1, "version", TP_CONTROL_VERSION);
	char *text;
	ssize_t n;
	size_t len;

	if (error)
		json_object_set_new(obj, "error", json_string(error));
	else
		json_object_set_new(obj, "ok", json_true());
	text = json_dumps(obj, JSON_COMPACT);
	len = strlen(text);
	text[len++] = '\n';
	n = send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	json_decref(obj);
	return n == (ssize_t)len ? 0 : -1;
}

static void accept_timeout(void *arg)
{
	greet_free(arg);
}

/* with unread bytes a close() would be a reset, which overtakes what we have said */
static void linger_event(uint32_t events, void *arg)
{
	struct greet *g = arg;
	char junk[1024];
	ssize_t n;

	(void)events;
	n = recv(g->fd, junk, sizeof(junk), MSG_DONTWAIT);
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		greet_free(g);
}

static void linger(struct greet *g)
{
	shutdown(g->fd, SHUT_WR);
	watch_del(g->watch);
	g->watch = watch_add(g->fd, EPOLLIN, linger_event, g);
	timer_set(&g->timer, LINGER_MS, accept_timeout, g);
}

static void refuse(struct greet *g, const char *words)
{
	transport_answer(g->fd, words);
	note_peer("%s: refused: %s", g->addr, words);
	linger(g);
}

/* false: it has failed, or waits for more */
static bool accept_shake(struct greet *g)
{
	char words[800];
	int err = greet_shake(g, words, sizeof(words));

	if (!err) {
		watch_set(g->watch, EPOLLIN);
		return true;
	}
	if (err == -EAGAIN)
		return false;
	if (tls_peer_plain(g->tls)) {
		refuse(g, "this agent does not talk in the clear: " MAKE_KEYS);
	} else {
		note_peer("%s: refused: %s", g->addr, plain(words));
		linger(g);
	}
	return false;
}

/* what does the peer speak? false: something else than we do, or nothing yet */
static bool accept_begin(struct greet *g)
{
	unsigned char c;
	ssize_t n;

	if (!agent.plain) {
		g->begun = true;
		g->tls = tls_new(agent.keys, g->fd, NULL);
		return true;
	}
	n = recv(g->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n != 1) {
		greet_free(g);
		return false;
	}
	g->begun = true;
	if (c == TLS_RECORD_HANDSHAKE) {
		refuse(g, "this agent talks in the clear, the other does not: " MAKE_KEYS);
		return false;
	}
	return true;
}

/* what is wrong with the first line, in words for the peer */
static const char *check_first(json_t *first, char *words, size_t len)
{
	json_int_t version = json_integer_value(json_object_get(first, "version"));
	const char *id = json_string_value(json_object_get(first, "agent"));

	if (version != TP_CONTROL_VERSION) {
		snprintf(words, len, "this agent speaks version %d of the control protocol, you speak %lld",
			 TP_CONTROL_VERSION, (long long)version);
		return words;
	}
	/*
	 * A shared key does not tell one host from the other: who sits between them
	 * can give us our own words back.
	 */
	if (!agent.plain && !agent.keys->certificates && id && !strcmp(id, greet_own_id()))
		return "this agent was connected to itself";
	return NULL;
}

static void greet_event(uint32_t events, void *arg)
{
	struct greet *g = arg;
	int err, fd = g->fd;
	const char *why;
	char words[96];
	json_t *first;

	(void)events;
	if (!g->begun && !accept_begin(g))
		return;
	if (g->tls && !accept_shake(g))
		return;
	err = greet_read_line(g, NULL);
	if (!err)
		return;
	first = err < 0 ? NULL : greet_parse(g);
	if (!first) {
		greet_free(g);
		return;
	}
	why = check_first(first, words, sizeof(words));
	if (why) {
		transport_answer(fd, why);
		note_peer("%s: refused: %s", g->addr, why);
	} else {
		watch_del(g->watch);
		g->watch = NULL;
		g->fd = -1;
		g->accepted(fd, first, g->addr, g->who);
	}
	json_decref(first);
	greet_free(g);
}

static void stranger_gone(struct greet *g)
{
	TAILQ_REMOVE(&listener.strangers, g, strangers);
	listener.nr_strangers--;
}

/*
 * Who says nothing must not keep out those who would. So the oldest of all has to
 * go for who comes, who has had more time than anybody else; and one address alone
 * gets rid of its own only.
 */
static void make_room(const char *addr)
{
	struct greet *g, *oldest = NULL;
	unsigned int same = 0;

	TAILQ_FOREACH(g, &listener.strangers, strangers) {
		if (strcmp(g->addr, addr) != 0)
			continue;
		if (!same++)
			oldest = g;
	}
	if (same < STRANGERS_EACH)
		oldest = listener.nr_strangers < STRANGERS_MAX ? NULL :
			 TAILQ_FIRST(&listener.strangers);
	if (oldest)
		greet_free(oldest);
}

/* IPv4 that came to an IPv6 socket is shown as what it is */
static void unmap(struct sockaddr_storage *sa, socklen_t *len)
{
	struct sockaddr_in6 six;
	struct sockaddr_in four = { .sin_family = AF_INET };

	memcpy(&six, sa, sizeof(six));
	if (sa->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&six.sin6_addr))
		return;
	memcpy(&four.sin_addr, &six.sin6_addr.s6_addr[12], sizeof(four.sin_addr));
	four.sin_port = six.sin6_port;
	memcpy(sa, &four, sizeof(four));
	*len = sizeof(four);
}

static void listen_event(uint32_t events, void *arg)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);
	struct greet *g;
	int fd;

	(void)events;
	(void)arg;
	fd = watch_accept(listener.watch, (struct sockaddr *)&sa, &len);
	if (fd < 0)
		return;
	greet_set_options(fd);
	g = xcalloc(1, sizeof(*g));
	g->fd = fd;
	g->accepted = listener.fn;
	g->freed = stranger_gone;
	unmap(&sa, &len);
	if (getnameinfo((struct sockaddr *)&sa, len, g->addr, sizeof(g->addr), NULL, 0,
			NI_NUMERICHOST))
		copy_str(g->addr, "?");
	make_room(g->addr);
	TAILQ_INSERT_TAIL(&listener.strangers, g, strangers);
	listener.nr_strangers++;
	g->watch = watch_add(fd, EPOLLIN, greet_event, g);
	timer_set(&g->timer, GREET_MS, accept_timeout, g);
}

int listen_resolve(const char *where, struct addrinfo **out, const char **why)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	char *copy = xstrdup(where), number[8];
	const char *host, *port;
	int err = 0;

	*why = target_split(copy, &host, &port);
	if (!*why && target_port(port) < 0)
		*why = "bad port number";
	/* ":PORT" is any address; "" and "[]" are somebody's variable that is not set */
	if (!*why && !*host && *where != ':')
		*why = "no address";
	if (!*why) {
		snprintf(number, sizeof(number), "%ld", target_port(port));
		err = getaddrinfo(*host ? host : NULL, number, &hints, out);
		if (err)
			*why = gai_strerror(err);
	}
	free(copy);
	return !*why ? 0 : err == EAI_AGAIN || err == EAI_SYSTEM ? -EAGAIN : -EINVAL;
}

static int listen_on(const struct addrinfo *ai)
{
	int fd, on = 1, off = 0, err;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* [::] is IPv4 as well, whatever the sysctl says */
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 64)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static bool no_such_family(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

int transport_listen(const struct addrinfo *at)
{
	const struct addrinfo *ai;
	int fd = -EADDRNOTAVAIL, pass;

	/*
	 * Of several addresses IPv6 first: of "any" it is the one that takes both. Only
	 * where there is none another is tried; one that is in use is not passed over.
	 */
	for (pass = 0; pass < 2; pass++)
		for (ai = at; ai; ai = ai->ai_next)
			if (no_such_family(fd) && (ai->ai_family == AF_INET6) == !pass)
				fd = listen_on(ai);
	if (fd < 0)
		return fd;
	listener.fd = fd;
	return 0;
}

void transport_accept(accept_fn fn)
{
	listener.fn = fn;
	listener.watch = watch_add(listener.fd, EPOLLIN, listen_event, NULL);
}

char *transport_listens(char *buf, size_t len)
{
	char host[INET6_ADDRSTRLEN + 20], port[8];
	struct sockaddr_storage sa = { 0 };
	socklen_t sa_len = sizeof(sa);

	if (getsockname(listener.fd, (struct sockaddr *)&sa, &sa_len) ||
	    getnameinfo((struct sockaddr *)&sa, sa_len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(buf, len, "?");
	else
		snprintf(buf, len, sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return buf;
}
