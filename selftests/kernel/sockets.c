// SPDX-License-Identifier: GPL-2.0
/*
 * sockets.c - what can be a lane: IPv6, kernel TLS, sockets with a past
 */
#include <arpa/inet.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tk.h"
#include "wire.h"

#ifndef SOL_TLS
#define SOL_TLS	282
#endif

#define NR	1024UL

static void pair6(int sv[2])
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	socklen_t len = sizeof(a);
	int l = socket(AF_INET6, SOCK_STREAM, 0);

	if (bind(l, (void *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (void *)&a, &len))
		tk_die("IPv6: %m");
	sv[1] = socket(AF_INET6, SOCK_STREAM, 0);
	if (connect(sv[1], (void *)&a, sizeof(a)))
		tk_die("IPv6: %m");
	sv[0] = accept(l, NULL, NULL);
	close(l);
}

static void *load_last(void *map)
{
	tk_load((uint8_t *)map + (NR - 1) * TK_PAGE);
	return NULL;
}

static bool teleport(const char *what, int sv[][2], unsigned int lanes)
{
	struct tk_pair p;
	uint8_t *map;
	unsigned int i;
	pthread_t t;
	bool good;

	tk_pair_open(&p, 0, false);
	tk_pair_detach(&p, 0);
	for (i = 0; i < lanes; i++) {
		tk_ok(tp_lane_attach(tk_nl, p.src, i, sv[i][0]), what);
		tk_ok(tp_lane_attach(tk_nl, p.dst, i, sv[i][1]), what);
		/* the kernel has references of its own */
		close(sv[i][0]);
		close(sv[i][1]);
	}
	tk_new("s", NR);
	tk_fill("s", 0, NR, 1);
	tk_import(&p, "s", "d", true);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	/* the demand has to be there before the push can bring the page */
	t = tk_thread(load_last, map);
	tk_until(tk_stat("d").stats.demand_sent);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	pthread_join(t, NULL);
	good = tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !tk_wrong(map, 0, NR, 1) &&
	       tk_stat("d").stats.push && tk_stat("d").stats.demand_sent;
	tap_ok(good, "a teleport over %s: demand and push", what);
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
	return good;
}

static void test_kinds(void)
{
	static const struct {
		const char *name;
		uint16_t version;
	} versions[] = {
		{ "TLS 1.3", TLS_1_3_VERSION }, { "TLS 1.2", TLS_1_2_VERSION },
	};
	int sv[3][2];
	unsigned int i, v;

	for (i = 0; i < 3; i++)
		pair6(sv[i]);
	teleport("IPv6", sv, 3);
	for (v = 0; v < 2; v++) {
		bool have = true;

		for (i = 0; i < 3; i++) {
			tk_tcp_pair(sv[i], false);
			have &= tk_tls(sv[i][0], versions[v].version, 1, 2) &&
				tk_tls(sv[i][1], versions[v].version, 2, 1);
		}
		if (have)
			teleport(versions[v].name, sv, 3);
		else
			tap_skip(versions[v].name, "this kernel cannot");
	}
}

/* Somebody on the way who does not know the key, or changes a bit. */
static void test_tls_tampered(void)
{
	struct tp_event ev = { .error = 0 };
	uint32_t link;
	char junk[200];
	int sv[2];

	tk_tcp_pair(sv, false);
	if (!tk_tls(sv[0], TLS_1_3_VERSION, 1, 2)) {
		tap_skip("bytes that the key does not fit", "no TLS");
		return;
	}
	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_ok(tp_lane_attach(tk_nl, link, 0, sv[0]), "attach");
	memset(junk, 0x17, sizeof(junk));
	junk[1] = junk[2] = 3;
	junk[3] = 0;
	junk[4] = 100;
	if (send(sv[1], junk, sizeof(junk), MSG_NOSIGNAL) < 0)
		tap_note("send: %m");
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, &ev) && ev.error && *ev.reason,
	       "a TLS lane that gets bytes the key does not fit is given up");
	tap_note("errno %d, \"%s\"", ev.error, ev.reason);
	close(sv[0]);
	close(sv[1]);
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

static void put_record(int fd, uint8_t type, const void *data, size_t len)
{
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	char control[CMSG_SPACE(sizeof(type))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(type));
	*CMSG_DATA(c) = type;
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		tk_die("sendmsg: %m");
}

/* The peer's own records that are no data; each ends the lane, and another can follow. */
static void test_tls_control(void)
{
	static const struct {
		const char *what, *reason, *record;
		uint8_t type, len;
	} cases[] = {
		{ "a key update", "changes its keys", "\30\0\0\1\0", 22, 5 },
		{ "a session ticket", "changes its keys", "\4\0\0\1\0", 22, 5 },
		{ "a goodbye", "closed the connection", "\1\0", 21, 2 },
		{ "a fatal alert", "closed the connection", "\2\24", 21, 2 },
	};
	struct tp_event ev;
	uint32_t link;
	unsigned int i;
	int sv[2];

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tk_tcp_pair(sv, false);
		if (!tk_tls(sv[0], TLS_1_3_VERSION, 1, 2) || !tk_tls(sv[1], TLS_1_3_VERSION, 2, 1)) {
			tap_skip(cases[i].what, "no TLS");
			close(sv[0]);
			close(sv[1]);
			continue;
		}
		memset(&ev, 0, sizeof(ev));
		tk_ok(tp_lane_attach(tk_nl, link, 0, sv[0]), "attach");
		put_record(sv[1], cases[i].type, cases[i].record, cases[i].len);
		tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, &ev) &&
		       strstr(ev.reason, cases[i].reason), "TLS: %s ends the lane", cases[i].what);
		tap_note("errno %d, \"%s\"", ev.error, ev.reason);
		close(sv[0]);
		close(sv[1]);
	}
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

static void test_pasts(void)
{
	struct tp_hdr hdr = { .type = TP_MSG_HELLO, .len = TP_HELLO_LEN };
	struct tp_hello hello = { .version = TP_WIRE_VERSION };
	struct timeval soon = { .tv_usec = 1000 };
	uint8_t buf[TP_HDR_LEN + TP_HELLO_LEN];
	uint32_t link, link2;
	int sv[2], one = 1;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_ok(tp_link_new(tk_nl, "", &link2), "link");
	tp_wire_put_hdr(buf, &hdr);
	tp_wire_put_hello(buf + TP_HDR_LEN, &hello);

	tk_tcp_pair(sv, false);
	if (send(sv[1], buf, sizeof(buf), 0) != sizeof(buf))
		tk_die("send: %m");
	tk_nap_ms(50);
	tk_ok(tp_lane_attach(tk_nl, link, 0, sv[0]), "attach");
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_UP, NULL, link, NULL),
	       "a greeting that was there before the lane");
	tk_ok(tp_lane_detach(tk_nl, link, 0), "detach");
	tap_ok(recv(sv[1], buf, sizeof(buf), MSG_WAITALL) == sizeof(buf) &&
	       !recv(sv[1], buf, 1, 0), "the peer of a detached lane sees the end");
	close(sv[0]);
	close(sv[1]);

	/* options that userspace may have left on it */
	tk_tcp_pair(sv, false);
	setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
	setsockopt(sv[0], SOL_TCP, TCP_CORK, &one, sizeof(one));
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	fcntl(sv[1], F_SETFL, O_NONBLOCK);
	tk_ok(tp_lane_attach(tk_nl, link, 0, sv[0]), "attach");
	tk_nap_ms(100);
	tk_ok(tp_lane_attach(tk_nl, link2, 0, sv[1]), "attach");
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_UP, NULL, link, NULL) &&
	       tk_event(TELEPAGE_EVENT_LANE_UP, NULL, link2, NULL),
	       "timeouts, O_NONBLOCK and a cork left on a socket do not matter");
	close(sv[0]);
	close(sv[1]);

	/* nonsense, and nothing may come of it but two lost lanes */
	tk_tcp_pair(sv, false);
	if (!tp_lane_attach(tk_nl, link, 5, sv[0]) && !tp_lane_attach(tk_nl, link, 6, sv[0]))
		if (send(sv[1], buf, sizeof(buf), MSG_NOSIGNAL) < 0)
			tap_note("send: %m");
	close(sv[0]);
	close(sv[1]);
	tk_nap_ms(100);
	tp_lane_detach(tk_nl, link, 5);
	tp_lane_detach(tk_nl, link, 6);
	tap_ok(!tp_link_del(tk_nl, link), "one socket as two lanes: both can be detached");

	/* a lane to itself: both ends of a socket on one link */
	tk_tcp_pair(sv, false);
	tk_ok(tp_lane_attach(tk_nl, link2, 1, sv[0]), "attach");
	tk_ok(tp_lane_attach(tk_nl, link2, 2, sv[1]), "attach");
	close(sv[0]);
	close(sv[1]);
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_UP, NULL, link2, NULL) &&
	       tk_event(TELEPAGE_EVENT_LANE_UP, NULL, link2, NULL), "a link joined to itself");
	tap_ok(!tp_link_del(tk_nl, link2), "is deleted with its lanes");
}

int main(void)
{
	tk_init();
	test_kinds();
	test_tls_tampered();
	test_tls_control();
	test_pasts();
	return tap_done();
}
