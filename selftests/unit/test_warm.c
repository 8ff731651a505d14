// SPDX-License-Identifier: GPL-2.0
/*
 * warm.c, over a line that takes so many bytes at a time: both ends agree on where the
 * zeros end, and a slow line is no failure
 */
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "warm.h"

#define STATE	"device state"

/* sender's socket, the line's two, receiver's */
static struct {
	int from[2], to[2];
	size_t carries;			/* bytes a tick */
	unsigned int tick_ms;
	struct timer timer;
	char buf[65536];
	size_t len, carried;
	bool done;			/* the state may follow */
	bool alone;			/* there is no sender */
	bool sent_ok, got_ok;
	char got[64];
	size_t got_len;
} l;

static void tick(void *arg)
{
	char ack;
	ssize_t n;

	n = recv(l.from[1], l.buf, l.carries, MSG_DONTWAIT);
	if (n > 0 && send(l.to[0], l.buf, n, MSG_NOSIGNAL) == n)
		l.carried += n;
	if (recv(l.to[0], &ack, 1, MSG_DONTWAIT) == 1 && send(l.from[1], &ack, 1, MSG_NOSIGNAL) < 0)
		loop_stop(1);
	if (l.done) {
		n = recv(l.to[1], l.got + l.got_len, sizeof(l.got) - l.got_len, MSG_DONTWAIT);
		if (n > 0)
			l.got_len += n;
		if (l.got_len >= sizeof(STATE)) {
			loop_stop(0);
			return;
		}
	}
	timer_set(&l.timer, l.tick_ms, tick, arg);
}

static void sent(const char *err, void *arg)
{
	l.sent_ok = !err;
	l.done = true;
	if (err) {
		tap_note("sending: %s", err);
		loop_stop(1);
	} else if (send(l.from[0], STATE, sizeof(STATE), MSG_NOSIGNAL) != sizeof(STATE)) {
		loop_stop(1);
	}
}

static void received(const char *err, void *arg)
{
	l.got_ok = !err;
	if (err)
		tap_note("receiving: %s", err);
	if (err || l.alone)
		loop_stop(!!err);
}

static void make_line(size_t carries, unsigned int tick_ms)
{
	int small = 8192;

	memset(&l, 0, sizeof(l));
	l.carries = carries;
	l.tick_ms = tick_ms;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, l.from) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, l.to))
		exit(1);
	/* else all of it would be in the socket at once */
	setsockopt(l.from[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
}

static void drop_line(void)
{
	timer_clear(&l.timer);
	for (int i = 0; i < 2; i++) {
		close(l.from[i]);
		close(l.to[i]);
	}
}

/* both ends over a line; how many bytes of zeros went over it, 0: it failed */
static size_t over(size_t carries, unsigned int tick_ms, size_t bytes)
{
	size_t zeros;
	bool good;

	make_line(carries, tick_ms);
	warm_send(l.from[0], bytes, sent, NULL);
	warm_receive(l.to[1], bytes, received, NULL);
	tick(NULL);
	good = !loop_run() && l.sent_ok && l.got_ok && l.got_len == sizeof(STATE) &&
	       !memcmp(l.got, STATE, sizeof(STATE));
	zeros = l.carried - l.got_len;
	drop_line();
	return good ? zeros : 0;
}

static void fast(void)
{
	static const size_t sizes[] = {
		1, 2, WARM_BLOCK - 1, WARM_BLOCK, WARM_BLOCK + 1, WARM_BLOCK + 2, 5000, WARM_BYTES,
	};
	size_t n;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		n = over(sizeof(l.buf), 1, sizes[i]);
		tap_ok(n == sizes[i], "%zu bytes over a fast line: %zu", sizes[i], n);
	}
}

/* 160 kbit/s: all of it would take 13 s */
static void slow(void)
{
	size_t n = over(1000, 50, WARM_BYTES);

	tap_ok(n > 0, "a slow line is warm, too");
	tap_ok(n < WARM_BYTES, "with less than all: %zu bytes", n);
	tap_ok(n % WARM_BLOCK == 0, "in whole blocks");
}

/* @n bytes of which byte @mark is 1 to a receiver that expects @bytes; what it leaves */
static ssize_t leaves(size_t n, ssize_t mark, size_t bytes)
{
	char buf[8192] = { 0 };
	ssize_t left;

	make_line(1, 1);
	if (mark >= 0)
		buf[mark] = 1;
	if (send(l.to[0], buf, n, 0) != (ssize_t)n)
		exit(1);
	shutdown(l.to[0], SHUT_WR);
	warm_receive(l.to[1], bytes, received, NULL);
	l.alone = true;
	loop_run();
	left = recv(l.to[1], buf, sizeof(buf), MSG_DONTWAIT);
	if (!l.got_ok)
		left = -1;
	drop_line();
	return left;
}

static void receivers(void)
{
	tap_ok(leaves(3000, -1, 2048) == 952, "who marks nothing has sent what he announced");
	tap_ok(leaves(3000, 0, 2048) == 1976, "the first block may be the last");
	tap_ok(leaves(3000, 1024, 2048) == 952, "the last one may be full");
	tap_ok(leaves(3000, 1024, 2000) == 1000, "or not");
	tap_ok(leaves(3000, 5, 2048) == 952, "other bytes mark nothing");
	tap_ok(leaves(1000, -1, 2048) == -1, "an end before the last block is an error");
}

int main(void)
{
	if (loop_init())
		return 1;
	fast();
	slow();
	receivers();
	return tap_done();
}
