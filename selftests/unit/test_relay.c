// SPDX-License-Identifier: GPL-2.0
/*
 * The way of a VM's device state between a unix socket and the peer: relay.c. Ends
 * are what it is about: in the clear one is passed on, with TLS one that the peer
 * has not announced is none.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "relay.h"
#include "tap.h"

static struct relay *relay;
static char ended[128];
static bool cut;

static void on_end(const char *err, void *arg)
{
	(void)arg;
	snprintf(ended, sizeof(ended), "%s", err ? err : "well");
	cut = relay_cut(relay);
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
	relay = relay_new(vmm[1], peer[1], on_end, NULL);
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

int main(void)
{
	if (loop_init())
		return TAP_FAIL;
	test_plain();
	test_forged_end();
	test_vmm_first();
	return tap_done();
}
