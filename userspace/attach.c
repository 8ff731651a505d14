// SPDX-License-Identifier: GPL-2.0
/*
 * attach.c - a VMM's userfaultfd is handed to the kernel
 *
 * The kernel borrows the address space of the process that attaches, for as long as
 * the VMM lives. So this runs in a process that ends afterwards, never in the agent.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach.h"
#include "cmd.h"
#include "fmt.h"
#include "handshake.h"
#include "progress.h"

#define MESSAGE_MS	10000	/* for all of the message, once the VMM has connected */
#define FDS_MAX		8	/* taken in, so that they can be closed */

uint64_t attach_region_size(const char *region)
{
	struct tp_region r = { .size = 0 };
	struct tp_nl *nl;
	int err;

	if (tp_open(&nl, "attach"))
		return 0;
	err = tp_region_get(nl, region, &r);
	if (err)
		tp_fail_nl(nl, err, NULL, "attach %s", region);
	tp_nl_close(nl);
	return err ? 0 : r.size;
}

/* a socket that nobody listens to any more is in nobody's way */
static void remove_stale(const struct sockaddr_un *a)
{
	struct stat st;
	int s;

	if (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s >= 0 && connect(s, (const void *)a, sizeof(*a)) && errno == ECONNREFUSED)
		unlink(a->sun_path);
	if (s >= 0)
		close(s);
}

/*
 * The directory may be the VMM's, who can put anything in the socket's place: nothing is
 * done to what merely has its name.
 */
static int give_away(const char *path, uint32_t uid, uint32_t gid)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		err = -ESTALE;
	else if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH))
		err = -errno;
	close(fd);
	return err;
}

int attach_listen(const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	mode_t old;
	int s, err;

	if (strlen(path) >= sizeof(a.sun_path)) {
		tp_fail("%s: too long for the path of a socket", path);
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	remove_stale(&a);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* it is made with the mode of the descriptor */
	old = umask(0);
	err = s < 0 || fchmod(s, mode) || bind(s, (void *)&a, sizeof(a)) ? -errno : 0;
	umask(old);
	if (err) {
		tp_fail("%s: %s", path, strerror(-err));
		if (s >= 0)
			close(s);
		return -1;
	}
	/* before listen(), so that nobody connects who may not */
	if (uid || gid)
		err = give_away(path, uid, gid);
	if (!err && listen(s, 1))
		err = -errno;
	if (err) {
		tp_fail("%s: %s", path,
			err == -ESTALE ? "something else was put in its place" : strerror(-err));
		unlink(path);
		close(s);
		return -1;
	}
	return s;
}

/* what a VMM sent */
struct message {
	char json[HANDSHAKE_MAX];
	size_t len;
	int fds[FDS_MAX];
	size_t nr_fds;
	bool lost;			/* descriptors that did not fit */
};

static void take_fds(struct message *m, struct msghdr *msg)
{
	struct cmsghdr *c;

	m->lost |= msg->msg_flags & MSG_CTRUNC;
	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->nr_fds < FDS_MAX) {
				m->fds[m->nr_fds++] = fd;
			} else {
				m->lost = true;
				close(fd);
			}
		}
	}
}

static void drop_fds(struct message *m)
{
	while (m->nr_fds)
		close(m->fds[--m->nr_fds]);
}

/*
 * A stream has no ends of messages: reads until it is JSON, the VMM has closed, or too
 * much time or data went by. NULL, or what is wrong.
 */
static const char *receive(int s, struct message *m, uint64_t region_size,
			   struct tp_uffd_range *ranges, size_t *nr)
{
	uint64_t until = tp_now_ns() + MESSAGE_MS * 1000000ULL;
	const char *bad = "it sent nothing";

	for (;;) {
		char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct iovec iov = { m->json + m->len, sizeof(m->json) - m->len };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				      .msg_controllen = sizeof(control) };
		struct pollfd p = { .fd = s, .events = POLLIN };
		uint64_t now = tp_now_ns();
		ssize_t n;

		if (!iov.iov_len)
			return "its message is longer than 64 KiB";
		if (now >= until || poll(&p, 1, (int)((until - now) / 1000000) + 1) == 0)
			return m->len ? bad : "it sent nothing";
		n = recvmsg(s, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return m->len ? bad : "it closed the connection without a message";
		take_fds(m, &msg);
		m->len += n;
		bad = handshake_parse(m->json, m->len, region_size, ranges, nr);
		if (bad != handshake_incomplete)
			return bad;
	}
}

static const char *one_descriptor(const struct message *m)
{
	if (m->lost || m->nr_fds > 1)
		return "it sent more than one descriptor";
	return m->nr_fds ? NULL : "it sent no descriptor";
}

int attach_one(const struct attach *a, int listener, const char *path)
{
	static struct message m;
	struct tp_uffd_range ranges[TELEPAGE_RANGE_MAX];
	uint64_t size = attach_region_size(a->region);
	struct attach with_pid = *a;
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	const char *bad;
	int s = -1, status = TP_FAILED;
	size_t nr = 0;

	if (size) {
		do {
			s = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		} while (s < 0 && errno == EINTR);
		if (s < 0)
			tp_fail("%s: %s", path, strerror(errno));
	}
	close(listener);
	unlink(path);
	if (s < 0)
		return TP_FAILED;
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		peer.pid = 0;
	if (!with_pid.pid)
		with_pid.pid = peer.pid;

	m.len = 0;
	bad = receive(s, &m, size, ranges, &nr);
	if (!bad)
		bad = one_descriptor(&m);
	if (!bad && !with_pid.pid)
		bad = "its process is in a namespace that is not seen from here (give --pid)";
	if (bad) {
		tp_fail("attach %s: the VMM (process %d): %s", a->region, (int)peer.pid, bad);
	} else {
		status = attach_fd(&with_pid, m.fds[0], -1, ranges, nr);
		m.nr_fds = 0;
	}
	drop_fds(&m);
	close(s);
	return status;
}

int attach_fd(const struct attach *a, int fd, int memfd, struct tp_uffd_range *ranges, size_t nr)
{
	int flags = fcntl(fd, F_GETFL), err, status;
	uint64_t bytes = 0;
	char size[TP_FMT_LEN];
	struct tp_nl *nl;

	status = tp_open(&nl, "attach");
	if (status)
		goto out;
	/* the kernel wants it so; it is the VMM's as well, which does not read it */
	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	err = tp_uffd_attach(nl, a->region, fd, a->pid, memfd, a->fill, ranges, nr);
	for (size_t i = 0; i < nr; i++)
		bytes += ranges[i].len;
	if (err)
		status = tp_fail_nl(nl, err, NULL, "attach %s", a->region);
	else
		printf("%s: attached to process %" PRIu32 ", %s in %zu range%s\n", a->region,
		       a->pid, tp_fmt_size(size, sizeof(size), bytes), nr, nr == 1 ? "" : "s");
	tp_nl_close(nl);
out:
	close(fd);
	if (memfd >= 0)
		close(memfd);
	return status;
}
