// SPDX-License-Identifier: GPL-2.0
/*
 * peer.c - this program as the other end of a lane, see peer.h
 */
#include <poll.h>
#include <sys/socket.h>

#include "peer.h"

bool peer_put(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

/* The lane may break before the message is complete. */
void peer_say(int fd, const struct tp_hdr *hdr, const void *payload, size_t len)
{
	uint8_t buf[TP_HDR_LEN];

	tp_wire_put_hdr(buf, hdr);
	if (peer_put(fd, buf, sizeof(buf)) && len)
		peer_put(fd, payload, len);
}

static bool get(int fd, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pfd, 1, TK_LONG * 1000) <= 0)
			return false;
		n = recv(fd, p, len, 0);
		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool peer_hear(int fd, struct tp_hdr *hdr, void *payload, size_t len)
{
	static uint8_t rest[TP_PAYLOAD_MAX];
	uint8_t buf[TP_HDR_LEN];

	if (!get(fd, buf, sizeof(buf)) || tp_wire_get_hdr(buf, hdr) || !get(fd, rest, hdr->len))
		return false;
	memcpy(payload, rest, len < hdr->len ? len : hdr->len);
	return true;
}

bool peer_hear_answer(int fd, struct tp_hdr *hdr, void *buf, size_t len)
{
	bool heard;

	do
		heard = peer_hear(fd, hdr, buf, len);
	while (heard && (hdr->type == TP_MSG_DEMAND || hdr->type == TP_MSG_WANT));
	return heard;
}

unsigned int peer_demanded(int fd, struct tp_demand *d, unsigned int max)
{
	uint8_t list[TP_LIST_MAX * TP_DEMAND_LEN];
	struct tp_hdr hdr;
	unsigned int i;

	do {
		if (!peer_hear(fd, &hdr, list, sizeof(list)))
			return 0;
	} while (hdr.type != TP_MSG_DEMAND);
	for (i = 0; i < hdr.count && i < max; i++)
		tp_wire_get_demand(list + i * TP_DEMAND_LEN, &d[i]);
	return hdr.count;
}

void peer_give(int fd, uint32_t export, const struct tp_demand *d, uint32_t seed)
{
	struct tp_hdr hdr = { .type = TP_MSG_DATA, .export = export, .index = d->index, .count = 1,
			      .gen = d->gen, .len = TP_PAGE };
	uint8_t page[TK_PAGE];

	tk_page(page, seed, d->index);
	peer_say(fd, &hdr, page, TP_PAGE);
}

int peer_lane(uint32_t link, unsigned int lane)
{
	int sv[2];

	tk_tcp_pair(sv, false);
	tk_ok(tp_lane_attach(tk_nl, link, lane, sv[0]), "attach");
	close(sv[0]);
	return sv[1];
}

int peer_greeted_lane(uint32_t link, unsigned int lane)
{
	struct tp_hdr hdr = { .type = TP_MSG_HELLO, .len = TP_HELLO_LEN };
	struct tp_hello hello = { .version = TP_WIRE_VERSION, .lane = lane };
	uint8_t buf[TP_HELLO_LEN];
	int fd = peer_lane(link, lane);

	tp_wire_put_hello(buf, &hello);
	peer_say(fd, &hdr, buf, sizeof(buf));
	if (!peer_hear(fd, &hdr, buf, sizeof(buf)) || hdr.type != TP_MSG_HELLO)
		tk_die("no greeting");
	if (!tk_event(TELEPAGE_EVENT_LANE_UP, NULL, link, NULL))
		tk_die("the lane does not come up");
	return fd;
}

void peer_lane_lost(int fd, uint32_t link)
{
	shutdown(fd, SHUT_RDWR);
	close(fd);
	if (!tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, NULL))
		tk_die("the lane stays");
}
