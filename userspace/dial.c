// SPDX-License-Identifier: GPL-2.0
/*
 * dial.c - one plain TCP connection, for telepage plumb
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dial.h"
#include "progress.h"

/* between two tries while the other side does not listen yet */
#define RETRY_MS	200

static struct addrinfo *resolve(const char *host, const char *port, int flags, char *why,
				size_t why_len)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *found = NULL;
	int err = getaddrinfo(*host ? host : NULL, port, &hints, &found);

	if (!err)
		return found;
	snprintf(why, why_len, "%s", err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
	return NULL;
}

static int ms_left(uint64_t until_ns)
{
	uint64_t now = tp_now_ns();

	return now >= until_ns ? 0 : (int)((until_ns - now + 999999) / 1000000);
}

/* waits for @events or the end of time: 0 or a negative errno */
static int wait_fd(int fd, short events, uint64_t until_ns)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&pfd, 1, ms_left(until_ns));
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n ? -errno : -ETIMEDOUT;
}

/* a blocking, connected socket with small messages sent at once */
static int settle(int fd)
{
	int on = 1, flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int connect_to(const struct addrinfo *a, uint64_t until_ns)
{
	int fd, err = 0;
	socklen_t len = sizeof(err);

	fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen)) {
		err = errno;
		if (err == EINPROGRESS) {
			err = -wait_fd(fd, POLLOUT, until_ns);
			if (!err && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
				err = errno;
		}
	}
	if (err) {
		close(fd);
		return -err;
	}
	return settle(fd);
}

int tp_dial(const char *host, const char *port, double timeout_s, char *why, size_t why_len)
{
	uint64_t until_ns = tp_now_ns() + (uint64_t)(timeout_s * 1e9);
	struct addrinfo *found = resolve(host, port, 0, why, why_len);
	int fd = -ENOENT;

	if (!found)
		return -1;
	for (;;) {
		for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
			fd = connect_to(a, until_ns);
		if (fd != -ECONNREFUSED || ms_left(until_ns) <= RETRY_MS)
			break;
		poll(NULL, 0, RETRY_MS);
	}
	freeaddrinfo(found);
	if (fd < 0)
		snprintf(why, why_len, "%s", strerror(-fd));
	return fd < 0 ? -1 : fd;
}

static int listen_on(const struct addrinfo *a)
{
	int fd, on = 1, off = 0, err;

	fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* "any address" means IPv4 as well, whatever the sysctl says */
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int tp_accept_one(const char *host, const char *port, double timeout_s, char *why,
		  size_t why_len)
{
	uint64_t until_ns = tp_now_ns() + (uint64_t)(timeout_s * 1e9);
	struct addrinfo *found = resolve(host, port, AI_PASSIVE, why, why_len);
	int lfd = -ENOENT, fd = -1, err;

	if (!found)
		return -1;
	/* IPv6 first: its socket takes both kinds */
	for (int pass = 0; pass < 2 && lfd < 0; pass++)
		for (struct addrinfo *a = found; a && lfd < 0; a = a->ai_next)
			if ((a->ai_family == AF_INET6) == !pass)
				lfd = listen_on(a);
	freeaddrinfo(found);
	if (lfd < 0) {
		snprintf(why, why_len, "%s", strerror(-lfd));
		return -1;
	}
	do {
		err = wait_fd(lfd, POLLIN, until_ns);
		if (!err) {
			fd = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
			/* who knocked went away again */
			if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
				err = -errno;
		}
	} while (!err && fd < 0);
	close(lfd);
	if (err) {
		snprintf(why, why_len, "%s", err == -ETIMEDOUT ? "nobody connected in time" :
								 strerror(-err));
		return -1;
	}
	return settle(fd);
}
