// SPDX-License-Identifier: GPL-2.0
/*
 * client.c - the destination's side of a userspace pager, see pager.h
 */
#include <linux/userfaultfd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../bench.h"
#include "pager.h"

static unsigned long pages;
static char *memory;
static atomic_bool *here;
static int uffd, demand_fd, push_fd;
static pthread_t pusher;

static int connected(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *to;
	int fd, on = 1;

	if (getaddrinfo(host, port, &hints, &to))
		errx(2, "'%s' and '%s' are no address and port", host, port);
	fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		err(1, "%s:%s", host, port);
	freeaddrinfo(to);
	return fd;
}

static void say(int fd, uint32_t word)
{
	if (send(fd, &word, sizeof(word), MSG_NOSIGNAL) != sizeof(word))
		err(1, "sending");
}

/* who waits is woken even if a page came on the other connection meanwhile */
static void place(unsigned long first, unsigned long count, char *from)
{
	unsigned long done = 0;

	while (done < count) {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)memory + (first + done) * PAGE,
			.src = (uintptr_t)from + done * PAGE,
			.len = (count - done) * PAGE,
		};

		if (!ioctl(uffd, UFFDIO_COPY, &copy))
			break;
		if (copy.copy > 0)
			done += (unsigned long)copy.copy / PAGE;
		else if (errno == EEXIST)
			done++;
		else if (errno != EAGAIN)
			err(1, "UFFDIO_COPY");
	}
	for (unsigned long i = first; i < first + count; i++)
		here[i] = true;
}

static void *receive(void *arg)
{
	int fd = *(int *)arg;
	char *buf = aligned_alloc(PAGE, PAGER_RUN * PAGE);
	struct pager_frame frame;

	if (!buf)
		err(1, "memory");
	while (recv(fd, &frame, sizeof(frame), MSG_WAITALL) == sizeof(frame) && frame.count) {
		ssize_t len = (ssize_t)(frame.count * PAGE);

		if (frame.count > PAGER_RUN || frame.first > pages - frame.count)
			errx(1, "%u pages at %u of %lu", frame.count, frame.first, pages);
		if (recv(fd, buf, (size_t)len, MSG_WAITALL) != len)
			err(1, "receiving");
		place(frame.first, frame.count, buf);
	}
	free(buf);
	return NULL;
}

static void *faults(void *arg)
{
	struct uffd_msg msg[16];

	(void)arg;
	for (;;) {
		ssize_t n = read(uffd, msg, sizeof(msg));

		if (n < 0)
			err(1, "userfaultfd");
		for (size_t i = 0; i < (size_t)n / sizeof(msg[0]); i++) {
			unsigned long page = (msg[i].arg.pagefault.address -
					      (uintptr_t)memory) / PAGE;

			if (!here[page])
				say(demand_fd, (uint32_t)page);
		}
	}
	return NULL;
}

static pthread_t thread(void *(*what)(void *), void *arg)
{
	pthread_t t;

	errno = pthread_create(&t, NULL, what, arg);
	if (errno)
		err(1, "pthread_create");
	return t;
}

/* memory whose pages come when they are touched */
char *pager_open(const char *host, const char *port, unsigned long nr_pages)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	pages = nr_pages;
	here = calloc(pages, sizeof(*here));
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (!here || memory == MAP_FAILED)
		err(1, "memory");
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	demand_fd = connected(host, port);
	push_fd = connected(host, port);
	say(demand_fd, PAGER_DEMAND);
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	reg.range.start = (uintptr_t)memory;
	reg.range.len = pages * PAGE;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		err(1, "userfaultfd");
	pusher = thread(receive, &push_fd);
	thread(receive, &demand_fd);
	thread(faults, NULL);
	return memory;
}

/* from now on pages come by themselves, too */
void pager_push(void)
{
	say(push_fd, PAGER_PUSH);
}

/* until all are there */
void pager_wait(void)
{
	const struct timespec nap = { .tv_nsec = 1000000 };

	pthread_join(pusher, NULL);
	/* those that were asked for last come on the other connection */
	for (unsigned long i = 0; i < pages; i++)
		while (!here[i])
			nanosleep(&nap, NULL);
}
