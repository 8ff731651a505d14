// SPDX-License-Identifier: GPL-2.0
/*
 * handler.c - who serves guest RAM in the VMM's own test, see handler.h
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "handler.h"
#include "vmm.h"

#define WAITING	64

/* the number behind "NAME":; false when there is no such name */
static bool number(const char *text, const char *name, uint64_t *out)
{
	const char *p = strstr(text, name);

	if (!p)
		return false;
	*out = strtoull(p + strlen(name), NULL, 10);
	return true;
}

static void take(struct handler *h)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char text[4096];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct cmsghdr *c;
	uint64_t kib;
	ssize_t n;

	n = recvmsg(h->sock, &msg, MSG_CMSG_CLOEXEC);
	c = CMSG_FIRSTHDR(&msg);
	if (n <= 0 || !c || c->cmsg_type != SCM_RIGHTS ||
	    getsockopt(h->sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		vmm_die("handler: no message with a descriptor: %m");
	text[n] = 0;
	memcpy(&h->fd, CMSG_DATA(c), sizeof(int));
	h->peer = cred.pid;
	if (!number(text, "\"base_host_virt_addr\":", &h->base) ||
	    !number(text, "\"size\":", &h->size))
		vmm_die("handler: what is this: %s", text);
	h->page_size = 0;
	h->both_sizes = number(text, "\"page_size\":", &h->page_size);
	if (number(text, "\"page_size_kib\":", &kib)) {
		if (!h->page_size)
			h->page_size = kib;
		h->both_sizes &= h->page_size == kib;
	} else {
		h->both_sizes = false;
	}
	if (h->page_size)
		h->page = h->page_size;
	h->discarded = calloc(h->size / VMM_PAGE, 1);
	if (!h->discarded)
		vmm_die("out of memory");
}

static void content(const struct handler *h, uint8_t *buf, uint64_t first)
{
	uint64_t i;

	for (i = first; i < first + h->page / VMM_PAGE; i++, buf += VMM_PAGE) {
		if (h->discarded[i] && !h->forgets) {
			memset(buf, 0, VMM_PAGE);
			continue;
		}
		vmm_page(buf, h->seed, i);
		if ((long)i == h->wrong_page)
			buf[1000] ^= 0x10;
	}
}

/* false: EAGAIN, a discard is under way and has to be read before this is tried again */
static bool serve(struct handler *h, uint64_t address, bool minor, uint8_t *buf)
{
	uint64_t at = address & ~(h->page - 1);
	struct uffdio_range all = { .start = at, .len = h->page };
	int err;

	if (minor) {
		struct uffdio_continue cont = { .range = all };

		err = ioctl(h->fd, UFFDIO_CONTINUE, &cont) ? errno : 0;
	} else {
		struct uffdio_copy copy = {
			.dst = at,
			.src = (uintptr_t)buf,
			.len = h->page,
		};

		content(h, buf, (at - h->base) / VMM_PAGE);
		err = ioctl(h->fd, UFFDIO_COPY, &copy) ? errno : 0;
	}
	if (err == EAGAIN)
		return false;
	/* the page is there, as another fault was for it, or its mapping is not: nobody was woken */
	if (err == EEXIST || err == ENOENT)
		err = ioctl(h->fd, UFFDIO_WAKE, &all) ? errno : 0;
	if (err && err != ESRCH)
		vmm_die("handler: page at %#llx: %s", (unsigned long long)address, strerror(err));
	return true;
}

static void forget(struct handler *h, uint64_t start, uint64_t end)
{
	memset(h->discarded + (start - h->base) / VMM_PAGE, 1, (end - start) / VMM_PAGE);
	h->removed += (end - start) / VMM_PAGE;
}

/* All messages come before any answer: a discard among them changes what the pages hold. */
static void serve_all(struct handler *h, uint8_t *buf)
{
	struct { uint64_t address; bool minor; } waiting[WAITING];
	unsigned int nr = 0, i, left;
	struct uffd_msg msg;

	do {
		while (nr < WAITING && read(h->fd, &msg, sizeof(msg)) == sizeof(msg)) {
			if (msg.event == UFFD_EVENT_REMOVE) {
				forget(h, msg.arg.remove.start, msg.arg.remove.end);
			} else if (msg.event == UFFD_EVENT_PAGEFAULT) {
				waiting[nr].address = msg.arg.pagefault.address;
				waiting[nr].minor = msg.arg.pagefault.flags &
						    UFFD_PAGEFAULT_FLAG_MINOR;
				if (waiting[nr++].minor)
					h->minor++;
				else
					h->missing++;
			}
		}
		for (i = 0, left = 0; i < nr; i++)
			if (!serve(h, waiting[i].address, waiting[i].minor, buf))
				waiting[left++] = waiting[i];
		nr = left;
	} while (nr && !h->quit);
}

static void *handle(void *arg)
{
	struct handler *h = arg;
	uint8_t *buf;

	h->sock = accept(h->listener, NULL, NULL);
	if (h->sock < 0)
		return NULL;
	take(h);
	buf = aligned_alloc(VMM_PAGE, h->page);
	while (!h->quit) {
		struct pollfd p = { .fd = h->fd, .events = POLLIN };

		if (poll(&p, 1, 50) > 0)
			serve_all(h, buf);
	}
	free(buf);
	close(h->fd);
	close(h->sock);
	return NULL;
}

void handler_start(struct handler *h, const char *path, uint32_t seed, unsigned long page)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	*h = (struct handler){ .path = path, .seed = seed, .page = page, .wrong_page = -1 };
	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	unlink(path);
	h->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (h->listener < 0 || bind(h->listener, (void *)&a, sizeof(a)) || listen(h->listener, 1))
		vmm_die("%s: %m", path);
	errno = pthread_create(&h->thread, NULL, handle, h);
	if (errno)
		vmm_die("thread: %m");
}

void handler_end(struct handler *h)
{
	h->quit = true;
	shutdown(h->listener, SHUT_RDWR);
	pthread_join(h->thread, NULL);
	close(h->listener);
	unlink(h->path);
	free(h->discarded);
}
