// SPDX-License-Identifier: GPL-2.0
/*
 * guestio.c - what a test on an emulated host does with a guest
 *
 *   guestio log SOCKET LOG FIFO
 *	connects to QEMU's console socket whenever there is one, appends every
 *	line to LOG as "SECONDS LINE", and sends the guest what is written to
 *	FIFO. "SECONDS ~TEXT" says that a connection ended on which something came;
 *	TEXT is what there is of a line whose other half comes where the guest went.
 *   guestio qmp SOCKET COMMAND [ARGUMENTS]
 *	one QMP command, arguments as a JSON object; prints the answer's line
 *	and fails if that is an error
 *   guestio clock-serve PORT
 *	answers over UDP with this host's clock
 *   guestio clock ADDRESS PORT
 *	prints "OFFSET ERROR": what to add to a time of that host to make it one
 *	of this host, and how wrong that can be (half of the round trip of the
 *	fastest of some), in seconds
 *   guestio now
 *	prints the time
 *
 * All by CLOCK_MONOTONIC. Two emulated hosts have different ones; they run at
 * the same rate up to their calibration, so compare them near to the event.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS	20
#define PROBES		40
#define PROBE_GAP_MS	10

static void die(const char *what)
{
	fprintf(stderr, "guestio: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void nap(int ms)
{
	poll(NULL, 0, ms);
}

/* The stamp is worth what we are prompt; a busy host must not make a gap. */
static void hurry(void)
{
	struct sched_param p = { .sched_priority = 10 };

	sched_setscheduler(0, SCHED_FIFO, &p);
	mlockall(MCL_CURRENT | MCL_FUTURE);
}

/* log */

static char line[512];
static size_t len;
static int64_t line_ns;		/* when its last part came; 0: nothing came yet */
static bool first_line;		/* of a connection */

/*
 * The first line is written even when it is empty: it ends one that was whole but for
 * its end when the guest left the other console.
 */
static void end_line(FILE *log, const char *mark)
{
	if (len || (line_ns && (*mark || first_line)))
		fprintf(log, "%lld.%06lld %s%.*s\n", (long long)(line_ns / 1000000000),
			(long long)(line_ns / 1000 % 1000000), mark, (int)len, line);
	len = 0;
	first_line = false;
}

static void take(FILE *log, const char *buf, ssize_t n)
{
	line_ns = now_ns();
	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n')
			end_line(log, "");
		else if (buf[i] != '\r' && len < sizeof(line))
			line[len++] = buf[i];
	}
	fflush(log);
}

static int try_connect(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0 || strlen(path) >= sizeof(sa.sun_path))
		die(path);
	strcpy(sa.sun_path, path);
	if (!connect(s, (struct sockaddr *)&sa, sizeof(sa)))
		return s;
	close(s);
	return -1;
}

static void relay(int s, int fifo, FILE *log)
{
	struct pollfd p[2] = {
		{ .fd = s, .events = POLLIN },
		{ .fd = fifo, .events = POLLIN },
	};
	char buf[4096];
	ssize_t n;

	for (;;) {
		poll(p, 2, -1);
		if (p[0].revents) {
			n = read(s, buf, sizeof(buf));
			if (n <= 0)
				return;
			take(log, buf, n);
		}
		if (p[1].revents & POLLIN) {
			n = read(fifo, buf, sizeof(buf));
			if (n > 0 && send(s, buf, n, MSG_NOSIGNAL) < 0)
				return;
		}
	}
}

static void log_console(char **args)
{
	/* for reading and writing: a FIFO without a writer is at its end */
	int fifo = open(args[2], O_RDWR | O_CLOEXEC);
	FILE *log = fopen(args[1], "ae");

	if (fifo < 0)
		die(args[2]);
	if (!log)
		die(args[1]);
	hurry();
	for (;;) {
		int s = try_connect(args[0]);

		if (s < 0) {
			nap(RETRY_MS);
			continue;
		}
		line_ns = 0;
		first_line = true;
		relay(s, fifo, log);
		close(s);
		end_line(log, "~");
		fflush(log);
	}
}

/* qmp */

/* the next line that holds one of these; QEMU's events in between are skipped */
static char *wait_line(FILE *f, const char *one, const char *other)
{
	static char buf[65536];

	while (fgets(buf, sizeof(buf), f))
		if (strstr(buf, one) || strstr(buf, other))
			return buf;
	errno = EPIPE;
	die("qmp");
	return NULL;
}

static int qmp(int argc, char **args)
{
	int s = try_connect(args[0]);
	FILE *f = s < 0 ? NULL : fdopen(s, "r");
	const char *answer;

	if (!f)
		die(args[0]);
	wait_line(f, "\"QMP\"", "\"QMP\"");
	dprintf(s, "{\"execute\":\"qmp_capabilities\"}\n");
	wait_line(f, "\"return\"", "\"error\"");
	dprintf(s, "{\"execute\":\"%s\",\"arguments\":%s}\n", args[1],
		argc > 2 ? args[2] : "{}");
	answer = wait_line(f, "\"return\":", "\"error\":");
	fputs(answer, stdout);
	return strncmp(answer, "{\"return\"", 9) != 0;
}

/* clock */

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(port)),
	};

	if (host && inet_pton(AF_INET, host, &sa.sin_addr) != 1) {
		errno = EINVAL;
		die(host);
	}
	return sa;
}

static void serve_clock(char **args)
{
	struct sockaddr_in sa = address(NULL, args[0]), from;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int64_t msg[2];

	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)))
		die("bind");
	hurry();
	for (;;) {
		socklen_t size = sizeof(from);

		if (recvfrom(s, msg, sizeof(msg), 0, (struct sockaddr *)&from, &size) !=
		    sizeof(msg))
			continue;
		msg[1] = now_ns();
		sendto(s, msg, sizeof(msg), 0, (struct sockaddr *)&from, size);
	}
}

static int compare_clocks(char **args)
{
	struct sockaddr_in sa = address(args[0], args[1]);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = s, .events = POLLIN };
	int64_t best = INT64_MAX, offset = 0;

	if (connect(s, (struct sockaddr *)&sa, sizeof(sa)))
		die("connect");
	hurry();
	for (int i = 0; i < PROBES; i++) {
		int64_t msg[2] = { now_ns(), 0 }, sent = msg[0], rtt;

		if (send(s, msg, sizeof(msg), 0) < 0 || poll(&p, 1, 500) <= 0 ||
		    recv(s, msg, sizeof(msg), 0) != sizeof(msg) || msg[0] != sent)
			continue;
		rtt = now_ns() - sent;
		if (rtt < best) {
			best = rtt;
			offset = sent + rtt / 2 - msg[1];
		}
		nap(PROBE_GAP_MS);
	}
	if (best == INT64_MAX) {
		errno = ETIMEDOUT;
		die("clock");
	}
	printf("%.6f %.6f\n", offset / 1e9, best / 2e9);
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 5 && !strcmp(verb, "log"))
		log_console(argv + 2);
	if ((argc == 4 || argc == 5) && !strcmp(verb, "qmp"))
		return qmp(argc - 2, argv + 2);
	if (argc == 3 && !strcmp(verb, "clock-serve"))
		serve_clock(argv + 2);
	if (argc == 4 && !strcmp(verb, "clock"))
		return compare_clocks(argv + 2);
	if (argc == 2 && !strcmp(verb, "now")) {
		printf("%.6f\n", now_ns() / 1e9);
		return 0;
	}
	fputs("usage: guestio log SOCKET LOG FIFO | qmp SOCKET COMMAND [ARGUMENTS] |\n"
	      "       clock-serve PORT | clock ADDRESS PORT | now\n", stderr);
	return 2;
}
