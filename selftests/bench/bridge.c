// SPDX-License-Identifier: GPL-2.0
/*
 * bridge.c - what a fault costs that the bridge answers, and a handler
 *
 *	bench-bridge REGION MAPPED PAGES
 *
 * Content is at hand on all sides: MAPPED is a region that is mapped, REGION one of
 * the same size that is attached (with --no-fill) to this process's memory, and the
 * handler has it in memory. Lines of output: what, nanoseconds per fault, and
 * context switches per fault of the whole machine; medians of rounds, each over the
 * next PAGES pages of each.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bench.h"

#define ROUNDS	5

static unsigned long pages;

static uint64_t switches(void)
{
	static char buf[65536];
	int fd = open("/proc/stat", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	char *p;

	close(fd);
	buf[n > 0 ? n : 0] = 0;
	p = strstr(buf, "\nctxt ");
	return p ? strtoull(p + 6, NULL, 10) : 0;
}

struct result {
	uint64_t ns;
	double switches;
};

static struct result touch(volatile char *p)
{
	uint64_t s0 = switches(), t0 = now_ns(), t1;
	unsigned long i;

	for (i = 0; i < pages; i++)
		p[i * PAGE] = 1;
	t1 = now_ns();
	return (struct result){ (t1 - t0) / pages, (double)(switches() - s0) / (double)pages };
}

static volatile char *memory(int uffd, size_t len)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	madvise(p, len, MADV_NOHUGEPAGE);
	reg.range.start = (uintptr_t)p;
	reg.range.len = len;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		err(1, "UFFDIO_REGISTER");
	return p;
}

static int new_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_REMOVE };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		err(1, "userfaultfd");
	return fd;
}

/*
 * A handler thread as one writes it well: epoll, since it has a socket and a stop
 * event to watch besides, edge-triggered so that the descriptor is not looked at
 * twice, as many messages at a read as there are, and the page copied from where it
 * is.
 */
struct handler {
	int uffd, epoll;
	const char *content;
	uintptr_t base;
};

static void *handle(void *arg)
{
	struct handler *h = arg;
	struct uffd_msg msg[32];
	struct epoll_event ev;
	ssize_t n;

	for (;;) {
		if (epoll_wait(h->epoll, &ev, 1, -1) != 1)
			continue;
		do {
			n = read(h->uffd, msg, sizeof(msg));
			for (ssize_t i = 0; i < n / (ssize_t)sizeof(msg[0]); i++) {
				uintptr_t at = msg[i].arg.pagefault.address & ~(PAGE - 1);
				struct uffdio_copy copy = {
					.dst = at,
					.src = (uintptr_t)h->content + (at - h->base),
					.len = PAGE,
				};

				if (ioctl(h->uffd, UFFDIO_COPY, &copy))
					err(1, "UFFDIO_COPY");
			}
		} while (n == sizeof(msg));
	}
	return NULL;
}

static volatile char *with_handler(size_t len)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	static struct handler h;
	volatile char *p;
	pthread_t t;
	char *content = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(content, len, MADV_NOHUGEPAGE);
	memset(content, 7, len);
	h.uffd = new_uffd();
	h.content = content;
	p = memory(h.uffd, len);
	h.base = (uintptr_t)p;
	h.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(h.epoll, EPOLL_CTL_ADD, h.uffd, &ev))
		err(1, "epoll");
	errno = pthread_create(&t, NULL, handle, &h);
	if (errno)
		err(1, "pthread_create");
	return p;
}

static volatile char *with_bridge(const char *region, size_t len)
{
	int fd = new_uffd(), status;
	volatile char *p = memory(fd, len);
	char pid[16], nr[16], range[80];

	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(nr, sizeof(nr), "%d", fd);
	snprintf(range, sizeof(range), "%#lx,%zu,0", (unsigned long)p, len);
	if (!vfork()) {
		dup2(2, 1);
		execlp("telepage", "telepage", "attach", region, "--pid", pid, "--fd", nr, "--range",
		       range, "--no-fill", NULL);
		_exit(127);
	}
	if (wait(&status) < 0 || status)
		errx(1, "attach failed");
	return p;
}

static int by_ns(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return x->ns < y->ns ? -1 : x->ns > y->ns;
}

enum { MAPPED, BRIDGE, HANDLER, KINDS };

static const char *const names[KINDS] = { "mapped", "bridge", "handler" };

int main(int argc, char **argv)
{
	struct result res[KINDS][ROUNDS];
	volatile char *p[KINDS];
	unsigned long all;

	if (argc != 4)
		errx(2, "usage: bench-bridge REGION MAPPED PAGES");
	pages = number(argv[3]);
	all = pages * ROUNDS;
	p[MAPPED] = map_file(argv[2], &all, PROT_READ | PROT_WRITE);
	p[BRIDGE] = with_bridge(argv[1], all * PAGE);
	p[HANDLER] = with_handler(all * PAGE);
	/* the first fault of each finds nothing warm: not timed */
	for (int r = 0; r < ROUNDS; r++)
		for (int k = 0; k < KINDS; k++)
			res[k][r] = touch(p[k] + (size_t)r * pages * PAGE);
	for (int k = 0; k < KINDS; k++) {
		qsort(res[k], ROUNDS, sizeof(res[k][0]), by_ns);
		printf("%s %llu\n", names[k], (unsigned long long)res[k][ROUNDS / 2].ns);
		printf("%s_switches %.2f\n", names[k], res[k][ROUNDS / 2].switches);
	}
	return 0;
}
