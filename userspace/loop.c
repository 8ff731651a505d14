// SPDX-License-Identifier: GPL-2.0
/*
 * loop.c - the agent's one event loop
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

struct watch {
	int fd;
	uint32_t events;
	watch_fn fn;
	void *arg;
	bool dead;
	struct timer pause;		/* of one that accepts */
	bool paused;			/* and it was told why */
	LIST_ENTRY(watch) list;		/* all of them, so that none is out of reach */
};

#define ACCEPT_PAUSE_MS	1000

struct garbage {
	void *p;
	struct garbage *next;
};

static struct {
	int epfd;
	bool stop;
	int status;
	LIST_HEAD(, watch) watches;
	LIST_HEAD(, timer) timers;	/* sorted, the earliest first */
	struct garbage *garbage;
} loop = { .epfd = -1 };

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void __attribute__((format(printf, 1, 0))) vnote(const char *fmt, va_list ap)
{
	char line[1024];
	char *p;

	vsnprintf(line, sizeof(line), fmt, ap);
	/* some of it came from a peer or a VMM: keep it on one plain line */
	for (p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "telepage agent: %s\n", line);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(fmt, ap);
	va_end(ap);
}

/* A log that others can fill has no room for what else happens. */
#define PEER_NOTES	20
#define PEER_NOTES_MS	10000

void note_peer(const char *fmt, ...)
{
	static unsigned int said, left_out;
	static uint64_t since;
	uint64_t now = now_ms();
	va_list ap;

	if (!since || now - since >= PEER_NOTES_MS) {
		if (left_out)
			note("%u more refusals were not told", left_out);
		since = now;
		said = 0;
		left_out = 0;
	}
	if (said == PEER_NOTES) {
		if (!left_out++)
			note("more refusals than %u in %u s are not told", PEER_NOTES,
			     PEER_NOTES_MS / 1000);
		return;
	}
	said++;
	va_start(ap, fmt);
	vnote(fmt, ap);
	va_end(ap);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p) {
		note("out of memory");
		abort();
	}
	return p;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s ? s : "");

	if (!p) {
		note("out of memory");
		abort();
	}
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0) {
		note("out of memory");
		abort();
	}
	va_end(ap);
	return p;
}

int loop_init(void)
{
	loop.epfd = epoll_create1(EPOLL_CLOEXEC);
	return loop.epfd < 0 ? -errno : 0;
}

void loop_stop(int status)
{
	loop.stop = true;
	loop.status = status;
}

void loop_free(void *p)
{
	struct garbage *g = xcalloc(1, sizeof(*g));

	g->p = p;
	g->next = loop.garbage;
	loop.garbage = g;
}

struct watch *watch_add(int fd, uint32_t events, watch_fn fn, void *arg)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->fd = fd;
	w->events = events;
	w->fn = fn;
	w->arg = arg;
	if (epoll_ctl(loop.epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		note("epoll: %s", strerror(errno));
		abort();
	}
	LIST_INSERT_HEAD(&loop.watches, w, list);
	return w;
}

void watch_set(struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (!w || w->dead || w->events == events)
		return;
	w->events = events;
	epoll_ctl(loop.epfd, EPOLL_CTL_MOD, w->fd, &ev);
}

void watch_del(struct watch *w)
{
	if (!w || w->dead)
		return;
	w->dead = true;
	timer_clear(&w->pause);
	LIST_REMOVE(w, list);
	epoll_ctl(loop.epfd, EPOLL_CTL_DEL, w->fd, NULL);
	loop_free(w);
}

void timer_clear(struct timer *t)
{
	if (!t->set)
		return;
	LIST_REMOVE(t, list);
	t->set = false;
}

void timer_set(struct timer *t, unsigned int ms, void (*fn)(void *arg), void *arg)
{
	struct timer *before = NULL, *next;

	timer_clear(t);
	t->at = now_ms() + ms;
	t->fn = fn;
	t->arg = arg;
	LIST_FOREACH(next, &loop.timers, list) {
		if (next->at > t->at)
			break;
		before = next;
	}
	if (before)
		LIST_INSERT_AFTER(before, t, list);
	else
		LIST_INSERT_HEAD(&loop.timers, t, list);
	t->set = true;
}

static void accept_again(void *arg)
{
	watch_set(arg, EPOLLIN);
}

int watch_accept(struct watch *w, struct sockaddr *sa, socklen_t *len)
{
	int fd = accept4(w->fd, sa, len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		w->paused = false;
		return fd;
	}
	/* who knocked went away again */
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return -1;
	if (!w->paused)
		note("cannot accept a connection: %s", strerror(errno));
	w->paused = true;
	watch_set(w, 0);
	timer_set(&w->pause, ACCEPT_PAUSE_MS, accept_again, w);
	return -1;
}

/* returns how long to sleep until the next one, -1: for ever */
static int run_timers(void)
{
	uint64_t now = now_ms();
	struct timer *t;

	while ((t = LIST_FIRST(&loop.timers)) && t->at <= now && !loop.stop) {
		timer_clear(t);
		t->fn(t->arg);
	}
	if (loop.stop)
		return 0;
	t = LIST_FIRST(&loop.timers);
	if (!t)
		return -1;
	now = now_ms();
	return t->at <= now ? 0 : (int)(t->at - now);
}

static void take_garbage_out(void)
{
	struct garbage *g;

	while ((g = loop.garbage)) {
		loop.garbage = g->next;
		free(g->p);
		free(g);
	}
}

int loop_run(void)
{
	struct epoll_event ev[32];
	int i, n, sleep_ms;

	while (!loop.stop) {
		sleep_ms = run_timers();
		take_garbage_out();
		if (loop.stop)
			break;
		n = epoll_wait(loop.epfd, ev, 32, sleep_ms);
		for (i = 0; i < n && !loop.stop; i++) {
			struct watch *w = ev[i].data.ptr;

			if (!w->dead)
				w->fn(ev[i].events, w->arg);
		}
		take_garbage_out();
	}
	loop.stop = false;
	return loop.status;
}
