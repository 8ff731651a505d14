// SPDX-License-Identifier: GPL-2.0
/*
 * uffd.c - guest RAM that another process serves: the VMM's side of the handshake
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm.h"

static void register_ram(struct vmm_uffd *u, const struct vmm_ram *ram, uint64_t features,
			 bool minor)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_EVENT_REMOVE | features,
	};
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)ram->mem, .len = ram->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ram->shared)
		api.features |= ram->page_size == VMM_PAGE ? UFFD_FEATURE_MISSING_SHMEM :
							     UFFD_FEATURE_MISSING_HUGETLBFS;
	if (minor) {
		api.features |= ram->page_size == VMM_PAGE ? UFFD_FEATURE_MINOR_SHMEM :
							     UFFD_FEATURE_MINOR_HUGETLBFS;
		reg.mode |= UFFDIO_REGISTER_MODE_MINOR;
	}
	u->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (u->fd < 0 || ioctl(u->fd, UFFDIO_API, &api))
		vmm_die("userfaultfd: %m");
	u->features = api.features;
	if (ioctl(u->fd, UFFDIO_REGISTER, &reg))
		vmm_die("UFFDIO_REGISTER: %m");
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		vmm_die("%s: too long", path);
	strcpy(a.sun_path, path);
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)))
		vmm_die("%s: %m", path);
	return fd;
}

static size_t describe(const struct vmm_ram *ram, enum vmm_sizes sizes, char *buf, size_t len)
{
	char page[96] = "";

	if (sizes == VMM_SIZES_BOTH)
		snprintf(page, sizeof(page), ",\"page_size\":%zu", ram->page_size);
	if (sizes != VMM_SIZES_NONE)
		snprintf(page + strlen(page), sizeof(page) - strlen(page),
			 ",\"page_size_kib\":%zu", ram->page_size);
	return snprintf(buf, len, "[{\"base_host_virt_addr\":%llu,\"size\":%zu,\"offset\":0%s}]",
			(unsigned long long)(uintptr_t)ram->mem, ram->size, page);
}

static void give_away(struct vmm_uffd *u, const char *text, size_t len)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { };
	struct iovec iov = { .iov_base = (void *)text, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &u->fd, sizeof(int));
	if (sendmsg(u->sock, &msg, MSG_NOSIGNAL) != (ssize_t)len)
		vmm_die("the userfaultfd cannot be given away: %m");
}

void vmm_uffd_open(struct vmm_uffd *u, const struct vmm_ram *ram, const char *path,
		   enum vmm_sizes sizes, uint64_t features, bool minor)
{
	char text[256];

	register_ram(u, ram, features, minor);
	u->sock = connect_to(path);
	give_away(u, text, describe(ram, sizes, text, sizeof(text)));
}

void vmm_uffd_close(struct vmm_uffd *u)
{
	close(u->sock);
	close(u->fd);
}
