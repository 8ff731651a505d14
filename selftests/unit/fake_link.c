// SPDX-License-Identifier: GPL-2.0
/*
 * fake_link.c - links and lanes without a kernel, and the sockets of events
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake.h"

struct tp_nl {
	int fd;				/* events only: an epoll descriptor */
	int sock;
	char path[108];
};

struct fake_lane {
	uint32_t link, lane;
	int fd;
	bool greeted;
	char line[128];
	size_t len;
	struct fake_lane *next;
};

static struct fake_lane *lanes;
static struct tp_nl *events;

/* sockets */

int tp_nl_open(struct tp_nl **nl)
{
	*nl = calloc(1, sizeof(**nl));
	(*nl)->fd = (*nl)->sock = -1;
	return 0;
}

void tp_nl_close(struct tp_nl *nl)
{
	free(nl);
}

int tp_nl_fd(const struct tp_nl *nl)
{
	return nl->fd;
}

static void epoll_in(int ep, int fd, void *ptr)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = ptr };

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

int tp_nl_events_open(struct tp_nl **nl)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	json_t *links, *link;
	const char *key;

	tp_nl_open(nl);
	(*nl)->fd = epoll_create1(EPOLL_CLOEXEC);
	(*nl)->sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.60s/ev.%s.%d", root(), self(), getpid());
	unlink(sa.sun_path);
	if (bind((*nl)->sock, (struct sockaddr *)&sa, sizeof(sa)))
		return -errno;
	epoll_in((*nl)->fd, (*nl)->sock, NULL);
	events = *nl;
	/* the lanes of the agent before us died with it */
	links = sub(load(), "links");
	json_object_foreach(links, key, link)
		json_object_clear(sub(link, "lanes"));
	return save(0);
}

static void lane_drop(struct fake_lane *l)
{
	struct fake_lane **pos;

	for (pos = &lanes; *pos != l; pos = &(*pos)->next)
		;
	*pos = l->next;
	/* closing is not enough while a child has not come to its exec() yet */
	epoll_ctl(events->fd, EPOLL_CTL_DEL, l->fd, NULL);
	shutdown(l->fd, SHUT_RDWR);
	close(l->fd);
	free(l);
}

static void lane_lost(struct fake_lane *l)
{
	json_t *link = find_link(load(), l->link);
	char key[16];

	snprintf(key, sizeof(key), "%u", l->lane);
	json_object_del(sub(link, "lanes"), key);
	save(0);
	emit(self(), TELEPAGE_EVENT_LANE_LOST, NULL, l->link, l->lane);
	lane_drop(l);
}

static void lane_up(struct fake_lane *l)
{
	char peer[32], key[16];
	unsigned int peer_link;
	json_t *link;

	if (sscanf(l->line, "FAKE %31s %u", peer, &peer_link) != 2) {
		lane_lost(l);
		return;
	}
	l->greeted = true;
	link = find_link(load(), l->link);
	snprintf(key, sizeof(key), "%u", l->lane);
	if (link) {
		json_object_set_new(link, "peer_host", json_string(peer));
		set(link, "peer_link", peer_link);
		json_object_set_new(sub(link, "lanes"), key, json_true());
	}
	save(0);
	emit(self(), TELEPAGE_EVENT_LANE_UP, NULL, l->link, l->lane);
}

static void lane_read(struct fake_lane *l)
{
	char c;

	for (;;) {
		ssize_t n = recv(l->fd, &c, 1, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			lane_lost(l);
			return;
		}
		if (c == '\n') {
			lane_up(l);
			return;
		}
		if (l->len < sizeof(l->line) - 1)
			l->line[l->len++] = c;
	}
}

int tp_nl_events_read(struct tp_nl *nl, void (*cb)(const struct tp_event *ev, void *arg),
		      void *arg)
{
	struct epoll_event ep[16];
	int i, n = epoll_wait(nl->fd, ep, 16, 0);
	bool lost = false;
	char buf[1024];

	for (i = 0; i < n; i++)
		if (ep[i].data.ptr)
			lane_read(ep[i].data.ptr);
	while ((n = recv(nl->sock, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		json_t *obj = json_loadb(buf, n, 0, NULL);
		struct tp_event ev = { .kind = num(obj, "kind") };

		if (flag_here("overrun")) {
			lost = true;
			json_decref(obj);
			continue;
		}
		snprintf(ev.region, sizeof(ev.region), "%s", str(obj, "region"));
		ev.has_link = !ev.region[0];
		ev.link = num(obj, "link");
		ev.lane = num(obj, "lane");
		if (ev.kind == TELEPAGE_EVENT_LANE_LOST)
			strcpy(ev.reason, "the peer closed it");
		json_decref(obj);
		cb(&ev, arg);
	}
	return lost ? -ENOBUFS : 0;
}

/* links and lanes */

static void link_out(const char *key, json_t *l, struct tp_link *out)
{
	const char *lane, *name;
	json_t *up, *r;

	memset(out, 0, sizeof(*out));
	out->id = atoi(key);
	out->peer = strdup(str(l, "note"));
	json_object_foreach(sub(l, "lanes"), lane, up) {
		out->lanes[out->nr_lanes].lane = atoi(lane);
		out->lanes[out->nr_lanes++].up = json_is_true(up);
	}
	out->up = json_is_true(json_object_get(sub(l, "lanes"), "0"));
	json_object_foreach(sub(host(self()), "regions"), name, r)
		out->imports += json_is_true(json_object_get(r, "importing")) &&
				num(r, "link") == (json_int_t)out->id;
}

int tp_link_new(struct tp_nl *nl, const char *peer, uint32_t *id)
{
	json_t *h = load();
	char key[16];

	set(h, "last_link", num(h, "last_link") + 1);
	*id = num(h, "last_link");
	snprintf(key, sizeof(key), "%u", *id);
	json_object_set_new(sub(h, "links"), key, json_pack("{s:s}", "note", peer));
	return save(0);
}

int tp_link_del(struct tp_nl *nl, uint32_t id)
{
	json_t *h = load(), *l = find_link(h, id), *r;
	struct fake_lane *p, *next;
	const char *name;
	char key[16];

	if (!l)
		return save(fail(-ENOENT, "link", "there is no such link"));
	json_object_foreach(sub(h, "regions"), name, r)
		if (json_is_true(json_object_get(r, "importing")) && num(r, "link") == (json_int_t)id)
			return save(fail(-EBUSY, name, "imports over it"));
	for (p = lanes; p; p = next) {
		next = p->next;
		if (p->link == id)
			lane_drop(p);
	}
	snprintf(key, sizeof(key), "%u", id);
	json_object_del(sub(h, "links"), key);
	return save(0);
}

int tp_link_get(struct tp_nl *nl, uint32_t id, struct tp_link *out)
{
	json_t *l = find_link(load(), id);
	char key[16];

	if (!l)
		return save(fail(-ENOENT, "link", "there is no such link"));
	snprintf(key, sizeof(key), "%u", id);
	link_out(key, l, out);
	return save(0);
}

void tp_link_clear(struct tp_link *l)
{
	free(l->peer);
}

int tp_link_dump(struct tp_nl *nl, struct tp_link_list *out)
{
	json_t *list = sub(load(), "links"), *l;
	const char *key;

	out->v = calloc(json_object_size(list) + 1, sizeof(*out->v));
	out->n = 0;
	json_object_foreach(list, key, l)
		link_out(key, l, &out->v[out->n++]);
	return save(0);
}

void tp_link_list_free(struct tp_link_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].peer);
	free(l->v);
}

int tp_link_set(struct tp_nl *nl, uint32_t id, const char *peer)
{
	json_t *l = find_link(load(), id);

	if (!l)
		return save(fail(-ENOENT, "link", "there is no such link"));
	json_object_set_new(l, "note", json_string(peer));
	return save(0);
}

int tp_lane_attach(struct tp_nl *nl, uint32_t link, uint32_t lane, int fd)
{
	json_t *l = find_link(load(), link);
	struct fake_lane *p;
	char key[16], hello[64];

	if (!l)
		return save(fail(-ENOENT, "link", "there is no such link"));
	snprintf(key, sizeof(key), "%u", lane);
	if (json_object_get(sub(l, "lanes"), key))
		return save(fail(-EBUSY, key, "lane has a socket"));
	json_object_set_new(sub(l, "lanes"), key, json_false());
	p = calloc(1, sizeof(*p));
	p->link = link;
	p->lane = lane;
	p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	p->next = lanes;
	lanes = p;
	snprintf(hello, sizeof(hello), "FAKE %s %u\n", self(), link);
	send(p->fd, hello, strlen(hello), MSG_NOSIGNAL);
	epoll_in(events->fd, p->fd, p);
	return save(0);
}

int tp_lane_detach(struct tp_nl *nl, uint32_t link, uint32_t lane)
{
	json_t *l = find_link(load(), link);
	struct fake_lane *p, *next;
	char key[16];

	snprintf(key, sizeof(key), "%u", lane);
	json_object_del(sub(l, "lanes"), key);
	for (p = lanes; p; p = next) {
		next = p->next;
		if (p->link == link && p->lane == lane)
			lane_drop(p);
	}
	return save(0);
}
