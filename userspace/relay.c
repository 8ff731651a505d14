// SPDX-License-Identifier: GPL-2.0
/*
 * relay.c - QEMU's device state: unix socket <-> state connection
 *
 * QEMU is never given the peer's socket: the greeting on it is ours, and so is its
 * end. An end of TCP can be forged by whoever is on the way; in TLS the stream is
 * over when the peer has said so in a record of its own, and cut off otherwise.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ktls.h"
#include "relay.h"

#define ROUNDS_MAX	16		/* buffers at a time, 1 MiB */

struct half {
	char buf[65536];
	size_t pos, len;
	uint64_t total;
	bool eof, shut;
};

struct relay {
	int listen_fd;
	char path[108];
	struct watch *wlisten;
	int fd[2];			/* 0: QEMU, 1: the peer */
	struct watch *w[2];
	struct half half[2];		/* half[i] holds what came from fd[i] */
	bool closed, cut;
	relay_fn fn;
	void *arg;
};

uint64_t relay_out(const struct relay *r)
{
	return r->half[0].total;
}

bool relay_cut(const struct relay *r)
{
	return r->cut;
}

static void stop_listening(struct relay *r)
{
	if (r->listen_fd < 0)
		return;
	watch_del(r->wlisten);
	close(r->listen_fd);
	unlink(r->path);
	r->listen_fd = -1;
}

void relay_close(struct relay *r)
{
	int i;

	if (!r || r->closed)
		return;
	r->closed = true;
	stop_listening(r);
	for (i = 0; i < 2; i++) {
		watch_del(r->w[i]);
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	}
	loop_free(r);
}

static void end(struct relay *r, const char *err)
{
	r->fn(err, r->arg);
	relay_close(r);
}

/* the next bytes of fd[i]; 0: nothing now or never */
static int fill(struct relay *r, int i)
{
	struct half *h = &r->half[i];
	ssize_t n;

	do {
		n = ktls_recv(r->fd[i], h->buf, sizeof(h->buf), MSG_DONTWAIT, NULL);
	} while (n == -EINTR);
	if (n == -EAGAIN)
		return 0;
	if (!n && i == 1 && !agent.plain)
		n = -ECONNRESET;
	if (n == -ESHUTDOWN)
		n = 0;
	if (n < 0) {
		r->cut = i == 1;
		return n;
	}
	h->pos = 0;
	h->len = n;
	h->total += n;
	h->eof = !n;
	return 0;
}

/* fd[i] sends no more: so do we to the other. 0 or a negative errno, -EAGAIN: later */
static int pass_end(struct relay *r, int i)
{
	struct half *h = &r->half[i];
	int err = 0;

	if (h->shut)
		return 0;
	/*
	 * No shutdown() behind it: what the kernel's TLS has not given to TCP yet
	 * would be lost. close() waits for that.
	 */
	if (i == 0 && !agent.plain)
		err = ktls_goodbye(r->fd[1]);
	else
		shutdown(r->fd[!i], SHUT_WR);
	h->shut = !err;
	return err;
}

/* moves what can be moved from fd[i] to the other; 0 or a negative errno */
static int pump(struct relay *r, int i)
{
	struct half *h = &r->half[i];
	int to = r->fd[!i], err;
	int round;
	ssize_t n;

	/* epoll says when there is more: others have their turn in between */
	for (round = 0; round < ROUNDS_MAX; round++) {
		if (h->pos == h->len && !h->eof) {
			err = fill(r, i);
			if (err || (h->pos == h->len && !h->eof))
				return err;
		}
		if (h->pos == h->len && h->eof) {
			err = pass_end(r, i);
			return err == -EAGAIN ? 0 : err;
		}
		n = send(to, h->buf + h->pos, h->len - h->pos, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		h->pos += n;
	}
	return 0;
}

static void relay_event(uint32_t events, void *arg);

static uint32_t wanted(struct relay *r, int i)
{
	struct half *in = &r->half[i], *out = &r->half[!i];

	return (in->pos == in->len && !in->eof ? EPOLLIN : 0) |
	       (out->pos < out->len || (out->eof && !out->shut) ? EPOLLOUT : 0);
}

static void work(struct relay *r)
{
	int i, err;

	for (i = 0; i < 2; i++) {
		err = pump(r, i);
		/* QEMU closes without reading on; what it wrote has passed by then */
		if (err && (i == 0 || !r->half[0].shut)) {
			end(r, ktls_words(err, -1));
			return;
		}
		if (err) {
			r->half[1].eof = true;
			r->half[1].shut = true;
		}
	}
	if (r->half[0].shut && r->half[1].shut) {
		end(r, NULL);
		return;
	}
	for (i = 0; i < 2; i++) {
		uint32_t events = wanted(r, i);

		/* one that hung up reports that for ever: look away when nothing is wanted */
		if (!events) {
			watch_del(r->w[i]);
			r->w[i] = NULL;
		} else if (r->w[i]) {
			watch_set(r->w[i], events);
		} else {
			r->w[i] = watch_add(r->fd[i], events, relay_event, r);
		}
	}
}

static void relay_event(uint32_t events, void *arg)
{
	(void)events;
	work(arg);
}

static void pair(struct relay *r, int unix_fd)
{
	int i;

	r->fd[0] = unix_fd;
	for (i = 0; i < 2; i++)
		r->w[i] = watch_add(r->fd[i], EPOLLIN, relay_event, r);
}

struct relay *relay_new(int unix_fd, int peer_fd, relay_fn fn, void *arg)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->listen_fd = -1;
	r->fd[1] = peer_fd;
	r->fn = fn;
	r->arg = arg;
	pair(r, unix_fd);
	return r;
}

static void listen_event(uint32_t events, void *arg)
{
	struct relay *r = arg;
	int fd = watch_accept(r->wlisten, NULL, NULL);

	(void)events;
	if (fd < 0)
		return;
	stop_listening(r);
	pair(r, fd);
}

struct relay *relay_listen(const char *path, uid_t uid, gid_t gid, int peer_fd, relay_fn fn,
			   void *arg, int *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct relay *r = xcalloc(1, sizeof(*r));
	mode_t mask;

	r->fd[0] = -1;
	r->fd[1] = peer_fd;
	r->fn = fn;
	r->arg = arg;
	r->listen_fd = -1;
	if (strlen(path) >= sizeof(sa.sun_path)) {
		*err = -ENAMETOOLONG;
		relay_close(r);
		return NULL;
	}
	copy_str(sa.sun_path, path);
	copy_str(r->path, path);
	unlink(path);
	r->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	if (r->listen_fd < 0 || bind(r->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    listen(r->listen_fd, 1) || chown(path, uid, gid)) {
		*err = -errno;
		umask(mask);
		relay_close(r);
		return NULL;
	}
	umask(mask);
	r->wlisten = watch_add(r->listen_fd, EPOLLIN, listen_event, r);
	return r;
}
