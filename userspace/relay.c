// SPDX-License-Identifier: GPL-2.0
/*
 * relay.c - QEMU's device state: unix socket <-> state connection
 *
 * QEMU is never given the peer's socket: the greeting on it is ours, and so is its
 * end. An end of TCP can be forged by whoever is on the way; in TLS the stream is
 * over when the peer has said so in a record of its own, and cut off otherwise.
 *
 * Where both agents know how (RELAY_PACK, RELAY_UNPACK) the state is packed on the way.
 * Then what comes from one side waits in a buffer of its own, and zstream.c makes of it
 * what goes to the other: never more than one buffer before that was sent.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ktls.h"
#include "relay.h"
#include "zstream.h"

#define ROUNDS_MAX	16		/* buffers at a time, 1 MiB */

/* what came and has not been packed or unpacked yet */
struct coded {
	struct zstream *z;
	char buf[65536];
	size_t pos, len;
	bool eof;
};

struct half {
	char buf[65536];
	size_t pos, len;
	uint64_t total, sent;		/* bytes that came, bytes that went */
	bool eof, shut;
	struct coded *coded;		/* NULL: they go as they came */
};

struct relay {
	int listen_fd;
	char path[108];
	struct watch *wlisten;
	int fd[2];			/* 0: QEMU, 1: the peer */
	struct watch *w[2];
	struct half half[2];		/* half[i] holds what came from fd[i] */
	bool closed, cut;
	char broken[96];		/* "": nothing was wrong with what was packed */
	relay_fn fn;
	void *arg;
};

uint64_t relay_out(const struct relay *r)
{
	return r->half[0].total;
}

uint64_t relay_wire(const struct relay *r)
{
	return r->half[0].sent;
}

bool relay_cut(const struct relay *r)
{
	return r->cut;
}

const char *relay_broken(const struct relay *r)
{
	return r->broken[0] ? r->broken : NULL;
}

static void set_code(struct relay *r, enum relay_code code)
{
	struct coded *c;

	if (code == RELAY_PLAIN)
		return;
	c = xcalloc(1, sizeof(*c));
	c->z = code == RELAY_PACK ? zstream_pack() : zstream_unpack();
	/* only the way from the source to the destination is packed */
	r->half[code == RELAY_PACK ? 0 : 1].coded = c;
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
		if (r->half[i].coded)
			zstream_free(r->half[i].coded->z);
		free(r->half[i].coded);
		r->half[i].coded = NULL;
	}
	loop_free(r);
}

static void end(struct relay *r, const char *err)
{
	r->fn(err, r->arg);
	relay_close(r);
}

/* the next bytes of fd[i], as they come, and whether those were the last */
static int take(struct relay *r, int i, char *buf, size_t room, size_t *len, bool *eof)
{
	ssize_t n;

	*len = 0;
	do {
		n = ktls_recv(r->fd[i], buf, room, MSG_DONTWAIT, NULL);
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
	*len = n;
	*eof = !n;
	r->half[i].total += n;
	return 0;
}

/* nothing whole can come of it any more, as of a connection that was cut off */
static int break_off(struct relay *r, struct coded *c)
{
	snprintf(r->broken, sizeof(r->broken), "%s", zstream_error(c->z));
	r->cut = true;
	return -EBADMSG;
}

/* the same for what is packed on its way: all that is there now, up to a buffer full */
static int fill_coded(struct relay *r, int i)
{
	struct half *h = &r->half[i];
	struct coded *c = h->coded;
	enum zstream_op op = c->eof ? ZSTREAM_END : ZSTREAM_GO;
	int reads = 0, err;
	ssize_t n;

	h->pos = 0;
	h->len = 0;
	for (;;) {
		if (c->pos == c->len && op == ZSTREAM_GO) {
			c->pos = 0;
			c->len = 0;
			/* what does not fill a buffer in so many has waited long enough */
			err = reads++ < ROUNDS_MAX ?
			      take(r, i, c->buf, sizeof(c->buf), &c->len, &c->eof) : 0;
			if (err)
				return err;
			if (c->eof)
				op = ZSTREAM_END;
			else if (!c->len)
				op = ZSTREAM_FLUSH;
		}
		n = zstream_step(c->z, op, c->buf, &c->pos, c->len, h->buf + h->len,
				 sizeof(h->buf) - h->len);
		if (n < 0)
			return break_off(r, c);
		h->len += n;
		if (h->len == sizeof(h->buf))
			return 0;
		if (!n && op != ZSTREAM_GO) {
			h->eof = op == ZSTREAM_END && !h->len;
			return 0;
		}
	}
}

static int fill(struct relay *r, int i)
{
	struct half *h = &r->half[i];

	if (h->coded)
		return fill_coded(r, i);
	h->pos = 0;
	return take(r, i, h->buf, sizeof(h->buf), &h->len, &h->eof);
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
		h->sent += n;
	}
	return 0;
}

static void relay_event(uint32_t events, void *arg);

/* has it something that no event of its fd will tell of? */
static bool holds(const struct half *h)
{
	const struct coded *c = h->coded;

	return c && !h->eof && (c->eof || c->pos < c->len || zstream_holds(c->z));
}

static uint32_t wanted(struct relay *r, int i)
{
	struct half *in = &r->half[i], *out = &r->half[!i];

	return (in->pos == in->len && !in->eof && !holds(in) ? EPOLLIN : 0) |
	       (out->pos < out->len || holds(out) || (out->eof && !out->shut) ? EPOLLOUT : 0);
}

static void work(struct relay *r)
{
	int i, err;

	for (i = 0; i < 2; i++) {
		err = pump(r, i);
		/* QEMU closes without reading on; what it wrote has passed by then */
		if (err && (i == 0 || !r->half[0].shut)) {
			end(r, r->broken[0] ? r->broken : ktls_words(err, -1));
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

struct relay *relay_new(int unix_fd, int peer_fd, enum relay_code code, relay_fn fn, void *arg)
{
	struct relay *r = xcalloc(1, sizeof(*r));

	r->listen_fd = -1;
	r->fd[1] = peer_fd;
	r->fn = fn;
	r->arg = arg;
	set_code(r, code);
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

struct relay *relay_listen(const char *path, uid_t uid, gid_t gid, int peer_fd,
			   enum relay_code code, relay_fn fn, void *arg, int *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct relay *r = xcalloc(1, sizeof(*r));
	mode_t mask;

	r->fd[0] = -1;
	r->fd[1] = peer_fd;
	r->fn = fn;
	r->arg = arg;
	r->listen_fd = -1;
	set_code(r, code);
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
