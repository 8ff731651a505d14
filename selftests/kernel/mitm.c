// SPDX-License-Identifier: GPL-2.0
/*
 * mitm.c - somebody between two agents
 *
 *	tk-mitm PORT HOST HOSTPORT FILE
 *
 * Forwards every connection to PORT here to HOST and keeps all that passes, both
 * ways, in FILE. SIGUSR1: one bit of what passes next is changed, on each
 * connection that is there. SIGUSR2: each gets a forged end, in both directions.
 */
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS	64

static struct pair {
	int fd[2];			/* -1: free */
	bool spoil, eof[2];
} pairs[PAIRS];

static volatile sig_atomic_t spoil, cut;
static FILE *record;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		spoil = 1;
	else
		cut = 1;
}

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *ai;
	int fd;

	if (getaddrinfo(host, port, &hints, &ai))
		return -1;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, ai->ai_addr, ai->ai_addrlen)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

static void end_pair(struct pair *p)
{
	close(p->fd[0]);
	close(p->fd[1]);
	p->fd[0] = p->fd[1] = -1;
}

static void accept_one(int lfd, const char *host, const char *port)
{
	int i, fd = accept(lfd, NULL, NULL);

	for (i = 0; fd >= 0 && i < PAIRS; i++) {
		if (pairs[i].fd[0] >= 0)
			continue;
		pairs[i] = (struct pair){ .fd = { fd, dial(host, port) } };
		if (pairs[i].fd[1] < 0)
			end_pair(&pairs[i]);
		return;
	}
	close(fd);
}

static bool send_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		buf += n;
		len -= n;
	}
	return true;
}

static void forward(struct pair *p, int from)
{
	static char buf[65536];
	ssize_t n = recv(p->fd[from], buf, sizeof(buf), 0);

	if (n > 0) {
		fwrite(buf, 1, n, record);
		fflush(record);
		/* not in a header: there it would be no change but nonsense */
		if (p->spoil && n > 64) {
			buf[n / 2] ^= 0x10;
			p->spoil = false;
		}
		if (send_all(p->fd[!from], buf, n))
			return;
	} else if (!n) {
		shutdown(p->fd[!from], SHUT_WR);
		p->eof[from] = true;
		if (!p->eof[!from])
			return;
	}
	end_pair(p);
}

static void obey(void)
{
	int i;

	for (i = 0; i < PAIRS; i++) {
		if (pairs[i].fd[0] < 0)
			continue;
		if (spoil)
			pairs[i].spoil = true;
		if (cut) {
			shutdown(pairs[i].fd[0], SHUT_WR);
			shutdown(pairs[i].fd[1], SHUT_WR);
			end_pair(&pairs[i]);
		}
	}
	spoil = cut = 0;
}

static int listen_on(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)) {
		perror("tk-mitm");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct pollfd fds[2 * PAIRS + 1];
	int i, side, nr, who[2 * PAIRS + 1];

	if (argc != 5)
		return 2;
	record = fopen(argv[4], "we");
	if (!record)
		return 1;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	memset(pairs, 0xff, sizeof(pairs));
	fds[0] = (struct pollfd){ .fd = listen_on(argv[1]), .events = POLLIN };
	for (;;) {
		for (i = 0, nr = 1; i < PAIRS; i++)
			for (side = 0; pairs[i].fd[0] >= 0 && side < 2; side++)
				if (!pairs[i].eof[side]) {
					who[nr] = 2 * i + side;
					fds[nr++] = (struct pollfd){ .fd = pairs[i].fd[side],
								     .events = POLLIN };
				}
		if (poll(fds, nr, 1000) < 0) {
			obey();
			continue;
		}
		obey();
		for (i = 1; i < nr; i++)
			if (fds[i].revents && pairs[who[i] / 2].fd[who[i] % 2] == fds[i].fd)
				forward(&pairs[who[i] / 2], who[i] % 2);
		if (fds[0].revents)
			accept_one(fds[0].fd, argv[2], argv[3]);
	}
}
