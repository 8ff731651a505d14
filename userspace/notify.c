// SPDX-License-Identifier: GPL-2.0
/*
 * notify.c - what systemd wants to be told by a service of Type=notify
 *
 * One datagram to the socket that $NOTIFY_SOCKET names, as sd_notify(3) describes
 * it under "Notes": the protocol is stable, and it is all of libsystemd that we
 * would need.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

int tp_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	socklen_t sa_len = offsetof(struct sockaddr_un, sun_path) + len;
	int fd, err = 0;

	if (!len)
		return 0;
	if ((*path != '/' && *path != '@') || !path[1])
		return -EAFNOSUPPORT;
	if (len >= sizeof(sa.sun_path))
		return -E2BIG;
	memcpy(sa.sun_path, path, len);
	/* the name of an abstract socket begins with a 0, and ends where its length says */
	if (*path == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa, sa_len) < 0)
		err = -errno;
	close(fd);
	return err ? err : 1;
}
