// SPDX-License-Identifier: GPL-2.0
/*
 * plan_wire.c - messages between two workers
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "loop.h"
#include "plan_wire.h"
#include "pulse.h"

struct header {
	uint8_t type, zero;
	uint16_t zero2;
	uint32_t len;
};

/* DIGESTS of as many pages as a message may name is the longest */
#define BODY_MAX	(sizeof(struct plan_head) + PLAN_PAGES_MAX * DIGEST_SIZE)

void plan_wire_init(struct plan_wire *w, int fd)
{
	*w = (struct plan_wire){ .fd = fd, .in = xcalloc(1, BODY_MAX), .in_size = BODY_MAX };
}

void plan_wire_free(struct plan_wire *w)
{
	free(w->in);
	free(w->out);
}

static void append(struct plan_wire *w, const void *data, size_t len)
{
	if (!len)
		return;
	if (w->out_len + len > w->out_size) {
		w->out_size = (w->out_len + len) * 2;
		w->out = realloc(w->out, w->out_size);
		if (!w->out)
			abort();
	}
	memcpy(w->out + w->out_len, data, len);
	w->out_len += len;
}

void plan_put(struct plan_wire *w, enum plan_msg type, const void *head, size_t head_len,
	      const void *body, size_t len)
{
	struct header h = { .type = type, .len = htole32(head_len + len) };

	append(w, &h, sizeof(h));
	append(w, head, head_len);
	append(w, body, len);
}

static int broken(struct plan_wire *w, int err)
{
	w->broken = true;
	return err;
}

int plan_end_turn(struct plan_wire *w)
{
	size_t done = 0;

	plan_put(w, PLAN_TURN, NULL, 0, NULL, 0);
	while (done < w->out_len) {
		ssize_t n;

		pulse_is(PULSE_SENDS);
		n = send(w->fd, w->out + done, w->out_len - done, MSG_NOSIGNAL);
		pulse_is(PULSE_WORKS);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return broken(w, n ? -errno : -EPIPE);
		done += n;
	}
	w->sent += w->out_len;
	w->out_len = 0;
	return 0;
}

static int get_all(struct plan_wire *w, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n;

		pulse_is(PULSE_RECEIVES);
		n = recv(w->fd, (char *)buf + done, len - done, 0);
		pulse_is(PULSE_WORKS);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return broken(w, n ? -errno : -ECONNRESET);
		done += n;
	}
	w->got += len;
	return 0;
}

int plan_get(struct plan_wire *w, const uint8_t **body, size_t *len)
{
	struct header h;
	int err = get_all(w, &h, sizeof(h));

	if (err)
		return err;
	*len = le32toh(h.len);
	*body = w->in;
	if (!h.type || h.type > PLAN_UNCHANGED || *len > w->in_size)
		return -EPROTO;
	err = get_all(w, w->in, *len);
	return err ? err : h.type;
}

bool plan_head(const uint8_t *body, size_t len, const uint64_t *pages, unsigned int nr,
	       struct plan_head *h)
{
	if (len < sizeof(*h))
		return false;
	memcpy(h, body, sizeof(*h));
	h->region = le32toh(h->region);
	h->count = le32toh(h->count);
	h->first = le64toh(h->first);
	return h->region < nr && h->count && h->count <= PLAN_PAGES_MAX &&
	       h->first < pages[h->region] && h->count <= pages[h->region] - h->first;
}

struct plan_run *plan_runs(const uint8_t *body, size_t len, const uint64_t *pages,
			   unsigned int nr, struct plan_list *l)
{
	struct plan_run *runs;

	if (len < sizeof(*l))
		return NULL;
	memcpy(l, body, sizeof(*l));
	l->region = le32toh(l->region);
	l->nr = le32toh(l->nr);
	if (l->region >= nr || l->nr > PLAN_RUNS_MAX ||
	    len != sizeof(*l) + l->nr * sizeof(*runs))
		return NULL;
	runs = xcalloc(l->nr + 1, sizeof(*runs));
	memcpy(runs, body + sizeof(*l), l->nr * sizeof(*runs));
	for (uint32_t i = 0; i < l->nr; i++) {
		runs[i].first = le64toh(runs[i].first);
		runs[i].count = le64toh(runs[i].count);
		if (runs[i].count && runs[i].first < pages[l->region] &&
		    runs[i].count <= pages[l->region] - runs[i].first)
			continue;
		free(runs);
		return NULL;
	}
	return runs;
}

void plan_put_runs(struct plan_wire *w, enum plan_msg type, unsigned int region,
		   const struct plan_run *runs, size_t nr)
{
	while (nr) {
		size_t n = nr < PLAN_RUNS_MAX ? nr : PLAN_RUNS_MAX;
		struct plan_list l = { htole32(region), htole32(n) };
		struct plan_run *wire = xcalloc(n, sizeof(*wire));

		for (size_t i = 0; i < n; i++)
			wire[i] = (struct plan_run){ htole64(runs[i].first),
						     htole64(runs[i].count) };
		plan_put(w, type, &l, sizeof(l), wire, n * sizeof(*wire));
		free(wire);
		runs += n;
		nr -= n;
	}
}
