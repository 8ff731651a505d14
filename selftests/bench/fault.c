// SPDX-License-Identifier: GPL-2.0
/*
 * fault.c - what the first touch of a page costs
 *
 *	bench-fault REGION SHMEM PAGES
 *
 * REGION and SHMEM are files of at least PAGES pages, all holes. Each line of
 * output is what, and nanoseconds per fault: the median of ROUNDS rounds. In one
 * round every kind is timed on PAGES pages.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "bench.h"

#define ROUNDS	5

static unsigned long pages;

static uint64_t touch(volatile char *p, bool write)
{
	uint64_t t0 = now_ns();

	for (unsigned long i = 0; i < pages; i++) {
		if (write)
			p[i * PAGE] = 1;
		else
			(void)p[i * PAGE];
	}
	return (now_ns() - t0) / pages;
}

static volatile char *anonymous(void)
{
	void *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	/* a huge page would take all its faults in one */
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	return p;
}

static void unmap(volatile char *p)
{
	munmap((void *)p, pages * PAGE);
}

static void punch(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				(off_t)(pages * PAGE)))
		err(1, "%s", path);
	close(fd);
}

/*
 * The handler of a userfaultfd as one writes it well: one thread that does nothing
 * else, as many messages at a read as there are, the page ready at hand. Blocking
 * in read() saves the poll() that most handlers have.
 */
struct handler {
	int fd;
	bool polls;
	char *page;
	pthread_t thread;
};

static void *handle(void *arg)
{
	struct handler *h = arg;
	struct uffd_msg msg[16];

	for (;;) {
		ssize_t n;

		if (h->polls) {
			struct pollfd p = { .fd = h->fd, .events = POLLIN };

			poll(&p, 1, -1);
		}
		n = read(h->fd, msg, sizeof(msg));
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			err(1, "read userfaultfd");
		}
		for (size_t i = 0; i < (size_t)n / sizeof(msg[0]); i++) {
			struct uffdio_copy copy = {
				.dst = msg[i].arg.pagefault.address & ~(PAGE - 1),
				.src = (uintptr_t)h->page,
				.len = PAGE,
			};

			if (ioctl(h->fd, UFFDIO_COPY, &copy))
				err(1, "UFFDIO_COPY");
		}
	}
	return NULL;
}

static void handler_start(struct handler *h, bool polls)
{
	struct uffdio_api api = { .api = UFFD_API };

	h->polls = polls;
	h->page = aligned_alloc(PAGE, PAGE);
	memset(h->page, 0, PAGE);
	h->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | (polls ? O_NONBLOCK : 0));
	if (h->fd < 0 || ioctl(h->fd, UFFDIO_API, &api))
		err(1, "userfaultfd");
	errno = pthread_create(&h->thread, NULL, handle, h);
	if (errno)
		err(1, "pthread_create");
}

static uint64_t touch_missing(const struct handler *h)
{
	volatile char *p = anonymous();
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = pages * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	uint64_t ns;

	if (ioctl(h->fd, UFFDIO_REGISTER, &reg))
		err(1, "UFFDIO_REGISTER");
	ns = touch(p, true);
	unmap(p);
	return ns;
}

enum kind {
	ANON_WRITE, REGION_WRITE, REGION_READ, REGION_WRITE_AFTER_READ, SHMEM_WRITE, SHMEM_READ,
	UFFD_READ, UFFD_POLL, KINDS
};

static const char *const names[KINDS] = {
	[ANON_WRITE] = "anon_write",
	[REGION_WRITE] = "region_write",
	[REGION_READ] = "region_read",
	[REGION_WRITE_AFTER_READ] = "region_write_after_read",
	[SHMEM_WRITE] = "shmem_write",
	[SHMEM_READ] = "shmem_read",
	[UFFD_READ] = "uffd_blocking_read",
	[UFFD_POLL] = "uffd_poll_and_read",
};

static void one_round(const char *region, const char *shmem, const struct handler *h,
		      uint64_t ns[KINDS])
{
	volatile char *p = anonymous();

	ns[ANON_WRITE] = touch(p, true);
	unmap(p);

	p = map_file(region, &pages, PROT_READ | PROT_WRITE);
	ns[REGION_WRITE] = touch(p, true);
	punch(region);
	ns[REGION_READ] = touch(p, false);
	ns[REGION_WRITE_AFTER_READ] = touch(p, true);
	unmap(p);
	punch(region);

	p = map_file(shmem, &pages, PROT_READ | PROT_WRITE);
	ns[SHMEM_WRITE] = touch(p, true);
	punch(shmem);
	ns[SHMEM_READ] = touch(p, false);
	unmap(p);
	punch(shmem);

	ns[UFFD_READ] = touch_missing(&h[0]);
	ns[UFFD_POLL] = touch_missing(&h[1]);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	uint64_t ns[ROUNDS][KINDS], of_kind[ROUNDS];
	struct handler h[2];

	if (argc != 4)
		errx(2, "usage: bench-fault REGION SHMEM PAGES");
	pages = number(argv[3]);
	handler_start(&h[0], false);
	handler_start(&h[1], true);
	for (int r = 0; r < ROUNDS; r++)
		one_round(argv[1], argv[2], h, ns[r]);
	for (int k = 0; k < KINDS; k++) {
		for (int r = 0; r < ROUNDS; r++)
			of_kind[r] = ns[r][k];
		qsort(of_kind, ROUNDS, sizeof(of_kind[0]), by_size);
		printf("%s %llu\n", names[k], (unsigned long long)of_kind[ROUNDS / 2]);
	}
	return 0;
}
