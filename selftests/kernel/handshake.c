// SPDX-License-Identifier: GPL-2.0
/*
 * handshake.c - a process that hands over its memory as Firecracker does
 *
 *	tk-handshake PATH VERSION BYTES [OUT]
 *
 * Connects to PATH (and waits until somebody listens there), sends where its memory
 * lies as the given version of the message (0 to 2; 3: two descriptors, 4: none, 5:
 * a pipe for one, 6: garbage, 7: nothing), writes all of its memory to OUT, says
 * "written" and waits for the end of its input.
 */
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "tk.h"

static uint8_t *memory(size_t len, int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = (uintptr_t)p;
	reg.range.len = len;
	if (p == MAP_FAILED || *uffd < 0 || ioctl(*uffd, UFFDIO_API, &api) ||
	    ioctl(*uffd, UFFDIO_REGISTER, &reg))
		tk_die("userfaultfd: %m");
	return p;
}

/* two ranges, one after the other */
static int message(char *buf, size_t size, int version, uint8_t *p, size_t len)
{
	static const char *const tail[] = { "", ",\"page_size_kib\":4096",
					    ",\"page_size\":4096,\"page_size_kib\":4096" };
	const char *t = tail[version < 3 ? version : 2];
	size_t half = len / 2 / TK_PAGE * TK_PAGE;

	if (version == 6)
		return snprintf(buf, size, "hello");
	return snprintf(buf, size,
			"[{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":%zu,\"offset\":0%s},"
			"{\"base_host_virt_addr\":%" PRIuPTR ",\"size\":%zu,\"offset\":%zu%s}]",
			(uintptr_t)p, half, t, (uintptr_t)p + half, len - half, half, t);
}

static void send_it(int s, int version, const char *buf, int len, int uffd)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[2] = { uffd, uffd }, p[2], n = version == 3 ? 2 : 1;
	struct cmsghdr *c;

	if (version == 5) {
		if (pipe(p))
			tk_die("pipe: %m");
		fds[0] = p[0];
	}
	if (version != 4) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	if (sendmsg(s, &msg, 0) != len)
		tk_die("sendmsg: %m");
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int version, s, uffd, n, out;
	char buf[1024];
	uint8_t *p;
	size_t len;

	if (argc < 4)
		return 2;
	version = atoi(argv[2]);
	len = strtoul(argv[3], NULL, 0);
	p = memory(len, &uffd);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", argv[1]);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!tk_until(!connect(s, (void *)&a, sizeof(a))))
		tk_die("connect %s: %m", argv[1]);
	if (version != 7) {
		n = message(buf, sizeof(buf), version, p, len);
		send_it(s, version, buf, n, uffd);
	}
	if (argc > 4) {
		out = open(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 0600);
		for (size_t at = 0; at < len; at += TK_PAGE) {
			char page[TK_PAGE];

			memcpy(page, p + at, TK_PAGE);
			if (write(out, page, TK_PAGE) != (ssize_t)TK_PAGE)
				tk_die("write: %m");
		}
		close(out);
		puts("written");
		fflush(stdout);
	}
	while (version != 7 && read(0, buf, sizeof(buf)) > 0)
		;
	return 0;
}
