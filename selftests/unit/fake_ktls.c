// SPDX-License-Identifier: GPL-2.0
/*
 * fake_ktls.c - ktls.c for machines whose kernel has no TLS, for agent_*_test.sh
 *
 * The handshake before it is a real one; behind it the socket stays as it is, and
 * the end of TCP stands for the peer's goodbye.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "ktls.h"

const char *ktls_missing(void)
{
	return NULL;
}

int ktls_start(int fd, const struct ktls_key *tx, const struct ktls_key *rx)
{
	return 0;
}

ssize_t ktls_recv(int fd, void *buf, size_t len, int flags, int *alert)
{
	ssize_t n = recv(fd, buf, len, flags);

	return n < 0 ? -errno : n ? n : -ESHUTDOWN;
}

const char *ktls_words(ssize_t err, int alert)
{
	return err == -ESHUTDOWN ? "closed the connection" : strerror(-err);
}

int ktls_goodbye(int fd)
{
	return shutdown(fd, SHUT_WR) ? -errno : 0;
}
