// SPDX-License-Identifier: GPL-2.0
/*
 * The way of a VM's device state between a unix socket and the peer: relay.c. Ends
 * are what it is about: in the clear one is passed on, with TLS one that the peer
 * has not announced is none. And what is packed on the way: nothing waits, nothing
 * swells, and what is broken ends it.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "relay.h"
#include "tap.h"
#include "zstream.h"

#define MUCH	(64 << 20)

static struct relay *relay;
static enum relay_code code;
static char ended[128], broke[128];
static bool cut;
static uint64_t out, wire;

static void on_end(const char *err, void *arg)
{
	(void)arg;
	snprintf(ended, sizeof(ended), "%s", err ? err : "well");
	cut = relay_cut(relay);
	snprintf(broke, sizeof(broke), "%s", relay_broken(relay) ? relay_broken(relay) : "no");
	out = relay_out(relay);
	wire = relay_wire(relay);
	relay = NULL;
	loop_stop(0);
}

static void on_timeout(void *arg)
{
	(void)arg;
	loop_stop(1);
}

static void run(unsigned int ms)
{
	static struct timer timer;

	timer_set(&timer, ms, on_timeout, NULL);
	loop_run();
	timer_clear(&timer);
}

static void begin(bool is_plain, int vmm[2], int peer[2])
{
	agent.plain = is_plain;
	ended[0] = 0;
	cut = false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, vmm) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, peer))
		tap_note("no sockets");
	relay = relay_new(vmm[1], peer[1], code, on_end, NULL);
}

static bool gets(int fd, const char *want)
{
	char buf[64] = "";

	return recv(fd, buf, sizeof(buf) - 1, 0) == (ssize_t)strlen(want) && !strcmp(buf, want);
}

static void test_plain(void)
{
	int vmm[2], peer[2];

	begin(true, vmm, peer);
	(void)!write(peer[0], "state", 5);
	shutdown(peer[0], SHUT_WR);
	run(200);
	tap_ok(gets(vmm[0], "state") && gets(vmm[0], "") && relay,
	       "in the clear: bytes and an end are passed on, one way");
	(void)!write(vmm[0], "back", 4);
	shutdown(vmm[0], SHUT_WR);
	run(5000);
	tap_ok(gets(peer[0], "back") && gets(peer[0], ""), "and the other");
	tap_str(ended, "well", "then it is over");
	tap_ok(!cut, "and was not cut off");
	close(vmm[0]);
	close(peer[0]);
}

static void test_forged_end(void)
{
	int vmm[2], peer[2];

	begin(false, vmm, peer);
	(void)!write(peer[0], "half of the st", 14);
	shutdown(peer[0], SHUT_WR);
	run(5000);
	tap_ok(gets(vmm[0], "half of the st"), "with TLS: bytes are passed on");
	tap_ok(*ended && strcmp(ended, "well") != 0, "an end that nobody has announced is an error: %s",
	       ended);
	tap_ok(cut, "and the stream was cut off");
	close(vmm[0]);
	close(peer[0]);
}

/* a VMM that has loaded all of it closes first; how the peer ends is no matter then */
static void test_vmm_first(void)
{
	int vmm[2], peer[2];

	begin(false, vmm, peer);
	(void)!write(peer[0], "state", 5);
	run(200);
	tap_ok(gets(vmm[0], "state"), "with TLS: the VMM gets its state");
	shutdown(vmm[0], SHUT_WR);
	run(200);
	/* on this socket, which is none of TLS, the alert is two bytes */
	tap_ok(recv(peer[0], &(char[8]){ 0 }, 8, 0) == 2, "its end is said to the peer");
	shutdown(peer[0], SHUT_WR);
	run(5000);
	tap_str(ended, "well", "then the peer may end as it likes");
	close(vmm[0]);
	close(peer[0]);
}

/* what the peer would make of @text, up to its end if @whole */
static size_t packed(const void *text, size_t len, bool whole, char *to, size_t room)
{
	struct zstream *z = zstream_pack();
	size_t pos = 0, made = 0;
	ssize_t n;

	while ((n = zstream_step(z, whole ? ZSTREAM_END : ZSTREAM_FLUSH, text, &pos, len, to + made,
				 room - made)) > 0)
		made += n;
	zstream_free(z);
	return made;
}

static bool unpacks(struct zstream *z, int fd, enum zstream_op op, const char *want)
{
	char buf[4096], text[64] = "";
	ssize_t len = recv(fd, buf, sizeof(buf), 0), n;
	size_t pos = 0, made = 0;

	if (len <= 0)
		return false;
	while ((n = zstream_step(z, op, buf, &pos, len, text + made, sizeof(text) - 1 - made)) > 0)
		made += n;
	return !n && !strcmp(text, want);
}

static void test_pack(void)
{
	struct zstream *z = zstream_unpack();
	int vmm[2], peer[2], i;

	code = RELAY_PACK;
	begin(true, vmm, peer);
	for (i = 0; i < 3; i++) {
		(void)!write(vmm[0], "some more state", 15);
		run(200);
		tap_ok(unpacks(z, peer[0], ZSTREAM_FLUSH, "some more state"),
		       "packed: what there is goes at once");
	}
	(void)!write(peer[0], "back", 4);
	run(200);
	tap_ok(gets(vmm[0], "back"), "and what comes back is not packed");
	shutdown(vmm[0], SHUT_WR);
	run(200);
	tap_ok(unpacks(z, peer[0], ZSTREAM_END, "") && gets(peer[0], ""), "its end is one of both");
	shutdown(peer[0], SHUT_WR);
	run(5000);
	tap_str(ended, "well", "then it is over");
	tap_ok(out == 45 && wire > 0 && wire != out, "%llu bytes were %llu on the wire",
	       (unsigned long long)out, (unsigned long long)wire);
	zstream_free(z);
	close(vmm[0]);
	close(peer[0]);
}

static void test_unpack(void)
{
	int vmm[2], peer[2];
	char buf[256];
	size_t n, half;

	code = RELAY_UNPACK;
	half = packed("state", 5, false, buf, sizeof(buf));
	n = packed("state", 5, true, buf + half, sizeof(buf) - half);
	begin(true, vmm, peer);
	(void)!write(peer[0], buf, half);
	run(200);
	tap_ok(gets(vmm[0], "state") && relay, "unpacked: the VMM has it before its end");
	shutdown(peer[0], SHUT_WR);
	run(5000);
	tap_str(ended, "it ends too early", "cut off there: an error");
	tap_ok(cut && !strcmp(broke, ended), "as of a connection that was cut off");
	close(vmm[0]);
	close(peer[0]);

	begin(true, vmm, peer);
	(void)!write(peer[0], buf + half, n);
	shutdown(peer[0], SHUT_WR);
	run(200);
	tap_ok(gets(vmm[0], "state") && gets(vmm[0], ""), "a whole one is passed on with its end");
	shutdown(vmm[0], SHUT_WR);
	run(5000);
	tap_ok(!strcmp(ended, "well") && !cut && !strcmp(broke, "no"), "and all is well: %s", ended);
	close(vmm[0]);
	close(peer[0]);

	begin(false, vmm, peer);
	(void)!write(peer[0], buf + half, n - 1);
	shutdown(peer[0], SHUT_WR);
	run(5000);
	tap_ok(cut && !strcmp(broke, "no"), "an end that nobody has announced is one of the connection");
	close(vmm[0]);
	close(peer[0]);

	begin(true, vmm, peer);
	(void)!write(peer[0], "state in the clear", 18);
	run(5000);
	tap_ok(cut && !strcmp(broke, "it is no zstd stream"), "garbage is an error: %s", broke);
	tap_ok(gets(vmm[0], ""), "of which the VMM sees nothing but an end");
	close(vmm[0]);
	close(peer[0]);
}

static struct {
	struct watch *from, *to;
	int from_fd;
	size_t written, read;
	bool same;
} flow;

/* as hard to pack as it looks */
static char byte_at(size_t i)
{
	return (i * 2654435761u >> 13) & (i & 1 << 16 ? 0xff : 1);
}

static void flow_write(uint32_t events, void *arg)
{
	char buf[30000];
	size_t i;
	ssize_t n;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = byte_at(flow.written + i);
	n = send(flow.from_fd, buf, flow.written + i < MUCH ? i : MUCH - flow.written,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	flow.written += n > 0 ? n : 0;
	if (flow.written < MUCH)
		return;
	watch_del(flow.from);
	flow.from = NULL;
	shutdown(flow.from_fd, SHUT_WR);
}

static void flow_read(uint32_t events, void *arg)
{
	int fd = *(int *)arg;
	char buf[50000];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT), i;

	for (i = 0; i < n; i++)
		flow.same &= buf[i] == (flow.from_fd < 0 ? 0 : byte_at(flow.read + i));
	flow.read += n > 0 ? n : 0;
	if (n)
		return;
	watch_del(flow.to);
	shutdown(fd, SHUT_WR);
}

static struct relay *first;

static void first_ended(const char *err, void *arg)
{
	first = NULL;
}

/* much of it, from one relay to the next */
static void test_both(void)
{
	int vmm[2], peer[2], there[2];

	code = RELAY_UNPACK;
	begin(true, there, peer);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, vmm))
		tap_note("no sockets");
	first = relay_new(vmm[1], peer[0], RELAY_PACK, first_ended, NULL);
	memset(&flow, 0, sizeof(flow));
	flow.same = true;
	flow.from_fd = vmm[0];
	flow.from = watch_add(vmm[0], EPOLLOUT, flow_write, NULL);
	flow.to = watch_add(there[0], EPOLLIN, flow_read, &there[0]);
	run(100000);
	tap_ok(flow.read == MUCH && flow.same, "packed and unpacked: %zu of %d bytes, all the same",
	       flow.read, MUCH);
	tap_str(ended, "well", "and the end of it");
	tap_ok(out == 0 && wire == 0, "what a destination gets it has not sent");
	relay_close(first);
	close(vmm[0]);
	close(there[0]);
}

static long rss_kib(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_maxrss;
}

/* a peer that sends little which is much, and a VMM that does not read */
static void test_bomb(void)
{
	static char bomb[65536], zeros[65536];
	struct zstream *z = zstream_pack();
	size_t n = 0, made, pos;
	int vmm[2], peer[2];
	long before;

	for (made = 0; made < MUCH; made += sizeof(zeros)) {
		pos = 0;
		n += zstream_step(z, ZSTREAM_GO, zeros, &pos, sizeof(zeros), bomb + n, sizeof(bomb) - n);
	}
	pos = 0;
	n += zstream_step(z, ZSTREAM_END, NULL, &pos, 0, bomb + n, sizeof(bomb) - n);
	zstream_free(z);
	before = rss_kib();
	code = RELAY_UNPACK;
	begin(true, vmm, peer);
	(void)!write(peer[0], bomb, n);
	shutdown(peer[0], SHUT_WR);
	run(500);
	tap_ok(relay && rss_kib() - before < 16 << 10,
	       "%zu bytes that are %d MiB wait for the VMM and take %ld KiB", n, MUCH >> 20,
	       rss_kib() - before);
	memset(&flow, 0, sizeof(flow));
	flow.same = true;
	flow.from_fd = -1;
	flow.to = watch_add(vmm[0], EPOLLIN, flow_read, &vmm[0]);
	run(100000);
	tap_ok(flow.read == MUCH && flow.same && !strcmp(ended, "well"),
	       "when it reads, all of them come: %zu", flow.read);
	close(vmm[0]);
	close(peer[0]);
}

int main(void)
{
	if (loop_init())
		return TAP_FAIL;
	/* first: what was used once does not show any more */
	test_bomb();
	code = RELAY_PLAIN;
	test_plain();
	test_forged_end();
	test_vmm_first();
	test_pack();
	test_unpack();
	test_both();
	return tap_done();
}
