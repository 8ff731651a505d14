// SPDX-License-Identifier: GPL-2.0
/*
 * server.c - the source's side of a userspace pager, see pager.h
 *
 *	bench-pager ADDRESS PORT FILE
 *
 * Serves the file to one process, and ends when that does.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "../bench.h"
#include "pager.h"

/* what waits in the socket cannot follow the process to another place any more */
#define PUSH_UNSENT	(2 * PAGER_RUN * PAGE)

static unsigned long pages;
static char *memory;
static atomic_bool *sent;
static atomic_ulong cursor, left;

static int listener(const char *address, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *to;
	int fd, on = 1;

	if (getaddrinfo(address, port, &hints, &to))
		errx(2, "'%s' and '%s' are no address and port", address, port);
	fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, to->ai_addr, to->ai_addrlen) || listen(fd, 2))
		err(1, "%s:%s", address, port);
	freeaddrinfo(to);
	return fd;
}

static void send_run(int fd, unsigned long first, unsigned long count)
{
	struct pager_frame frame = { (uint32_t)first, (uint32_t)count };
	struct iovec iov[2] = {
		{ &frame, sizeof(frame) },
		{ memory + first * PAGE, count * PAGE },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count ? 2 : 1 };

	while (msg.msg_iovlen) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n < 0)
			err(1, "sending");
		while (msg.msg_iovlen && (size_t)n >= msg.msg_iov->iov_len) {
			n -= (ssize_t)msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen) {
			msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + n;
			msg.msg_iov->iov_len -= (size_t)n;
		}
	}
}

static void *demand(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint32_t page;

	while (recv(fd, &page, sizeof(page), MSG_WAITALL) == sizeof(page)) {
		if (page >= pages)
			errx(1, "asked for page %u of %lu", page, pages);
		if (!atomic_exchange(&sent[page], true))
			left--;
		send_run(fd, page, 1);
		cursor = page + 1;
	}
	return NULL;
}

/* takes pages that nobody has sent, from @at on, that stand beside each other */
static unsigned long claim(unsigned long at)
{
	unsigned long n = 0;

	while (n < PAGER_RUN && at + n < pages && !atomic_exchange(&sent[at + n], true))
		n++;
	left -= n;
	return n;
}

static void *push(void *arg)
{
	int fd = (int)(intptr_t)arg;
	int unsent = PUSH_UNSENT;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent)))
		err(1, "TCP_NOTSENT_LOWAT");
	while (left) {
		unsigned long from = cursor, at = from < pages ? from : 0, n = claim(at);

		if (n)
			send_run(fd, at, n);
		/* unless a demand has moved it */
		atomic_compare_exchange_strong(&cursor, &from, at + (n ? n : 1));
	}
	send_run(fd, pages, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	int on = 1, fd;

	if (argc != 4)
		errx(2, "usage: bench-pager ADDRESS PORT FILE");
	memory = (char *)map_file(argv[3], &pages, PROT_READ);
	left = pages;
	sent = calloc(pages, sizeof(*sent));
	if (!sent)
		err(1, "memory");
	fd = listener(argv[1], argv[2]);
	for (int i = 0; i < 2; i++) {
		int with = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		uint32_t role;

		if (with < 0 || setsockopt(with, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
		    recv(with, &role, sizeof(role), MSG_WAITALL) != sizeof(role))
			err(1, "accepting");
		if (role != PAGER_DEMAND && role != PAGER_PUSH)
			errx(1, "a connection of neither kind");
		errno = pthread_create(&threads[i], NULL, role == PAGER_PUSH ? push : demand,
				       (void *)(intptr_t)with);
		if (errno)
			err(1, "pthread_create");
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
