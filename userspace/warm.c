// SPDX-License-Identifier: GPL-2.0
/*
 * warm.c - open TCP's windows before it counts
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "ktls.h"
#include "warm.h"

#define WARM_MS		60000		/* a dead peer is noticed by TCP, and before */
#define WARM_UNSENT	16384		/* what queues here is to be waited for, too */

struct warm {
	int fd;
	bool sends;
	size_t at, end;			/* bytes that went by; all of them */
	struct watch *watch;
	struct timer timer;
	warm_fn fn;
	void *arg;
};

/* 0: as it was */
static void limit_unsent(int fd, int bytes)
{
	/* where this is not TCP there is less to gain, but no harm */
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof(bytes));
}

void warm_cancel(struct warm *w)
{
	if (!w)
		return;
	timer_clear(&w->timer);
	watch_del(w->watch);
	if (w->sends)
		limit_unsent(w->fd, 0);
	loop_free(w);
}

static void end(struct warm *w, const char *err)
{
	warm_fn fn = w->fn;
	void *arg = w->arg;

	warm_cancel(w);
	fn(err, arg);
}

static void too_slow(void *arg)
{
	end(arg, "the connection is too slow");
}

/* the line is slow: the block that has been begun, and one more, the last */
static void enough(void *arg)
{
	struct warm *w = arg;
	size_t end = (w->at + WARM_BLOCK - 1) / WARM_BLOCK * WARM_BLOCK + WARM_BLOCK;

	if (end < w->end)
		w->end = end;
	timer_set(&w->timer, WARM_MS, too_slow, w);
}

/* 0: all of it, 1: not yet, negative errno */
static int send_zeros(struct warm *w)
{
	static const char zeros[WARM_UNSENT], mark = 1;
	ssize_t n;
	char ack;

	while (w->at < w->end) {
		size_t last = (w->end - 1) / WARM_BLOCK * WARM_BLOCK;
		size_t len = (w->at < last ? last : w->end) - w->at;
		bool marks = w->at == last;

		if (marks)
			len = 1;
		else if (len > sizeof(zeros))
			len = sizeof(zeros);
		n = send(w->fd, marks ? &mark : zeros, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 1 : -errno;
		w->at += n;
	}
	watch_set(w->watch, EPOLLIN);
	n = ktls_recv(w->fd, &ack, 1, MSG_DONTWAIT, NULL);
	if (n < 0)
		return n == -EAGAIN || n == -EINTR ? 1 : n;
	return n ? 0 : -ECONNRESET;
}

static int receive_zeros(struct warm *w)
{
	char buf[WARM_BLOCK];
	ssize_t n;

	while (w->at < w->end) {
		size_t into = w->at % WARM_BLOCK, len = WARM_BLOCK - into;

		/* not a byte more: what follows is device state */
		if (len > w->end - w->at)
			len = w->end - w->at;
		n = ktls_recv(w->fd, buf, len, MSG_DONTWAIT, NULL);
		if (n < 0)
			return n == -EAGAIN || n == -EINTR ? 1 : n;
		if (!n)
			return -ECONNRESET;
		if (!into && buf[0] && w->end - w->at > WARM_BLOCK)
			w->end = w->at + WARM_BLOCK;
		w->at += n;
	}
	return send(w->fd, ".", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -EIO;
}

static void warm_event(uint32_t events, void *arg)
{
	struct warm *w = arg;
	int err = w->sends ? send_zeros(w) : receive_zeros(w);

	(void)events;
	if (err <= 0)
		end(w, err ? ktls_words(err, -1) : NULL);
}

static struct warm *warm_new(int fd, size_t bytes, bool sends, warm_fn fn, void *arg)
{
	struct warm *w = xcalloc(1, sizeof(*w));

	w->fd = fd;
	w->sends = sends;
	w->end = bytes;
	w->fn = fn;
	w->arg = arg;
	w->watch = watch_add(fd, sends ? EPOLLOUT : EPOLLIN, warm_event, w);
	if (sends)
		limit_unsent(fd, WARM_UNSENT);
	timer_set(&w->timer, sends ? WARM_SEND_MS : WARM_MS, sends ? enough : too_slow, w);
	return w;
}

struct warm *warm_send(int fd, size_t bytes, warm_fn fn, void *arg)
{
	return warm_new(fd, bytes, true, fn, arg);
}

struct warm *warm_receive(int fd, size_t bytes, warm_fn fn, void *arg)
{
	return warm_new(fd, bytes, false, fn, arg);
}
