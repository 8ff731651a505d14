// SPDX-License-Identifier: GPL-2.0
/*
 * kvm.c - what the first touch of a page costs a KVM guest
 *
 *	bench-kvm anon PAGES		anonymous memory, nobody asked
 *	bench-kvm handler PAGES		the same, served by a userfaultfd's handler
 *	bench-kvm socket:PATH PAGES	the same, served by who listens there and is
 *					handed the RAM as Firecracker does
 *	bench-kvm SPEC PAGES		any other RAM of vmm.h (region:NAME)
 *
 * One line: nanoseconds, context switches of the whole machine, and how many times
 * the vCPU left KVM_RUN, each for one page. One vCPU stores a word into each page, in
 * order; the pages have to be new to it.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "../vmm/vmm.h"
#include "bench.h"

static uint64_t switches(void)
{
	unsigned long long n = 0;
	char line[256];
	FILE *f = fopen("/proc/stat", "r");

	if (!f)
		err(1, "/proc/stat");
	while (fgets(line, sizeof(line), f) && sscanf(line, "ctxt %llu", &n) != 1)
		;
	fclose(f);
	return n;
}

/*
 * A handler as one writes it well: a thread that does nothing else, as many messages
 * at a read as there are, the page at hand.
 */
static void *handle(void *arg)
{
	int fd = *(int *)arg, ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	char *page = aligned_alloc(PAGE, PAGE);
	struct uffd_msg msg[16];

	if (ep < 0 || !page || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
		err(1, "epoll");
	memset(page, 1, PAGE);
	for (;;) {
		ssize_t n;

		epoll_wait(ep, &ev, 1, -1);
		n = read(fd, msg, sizeof(msg));
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				continue;
			err(1, "read userfaultfd");
		}
		for (size_t i = 0; i < (size_t)n / sizeof(msg[0]); i++) {
			struct uffdio_copy copy = {
				.dst = msg[i].arg.pagefault.address & ~(PAGE - 1),
				.src = (uintptr_t)page,
				.len = PAGE,
			};

			if (ioctl(fd, UFFDIO_COPY, &copy))
				err(1, "UFFDIO_COPY");
		}
	}
	return NULL;
}

static void serve(const struct vmm_ram *ram)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)ram->mem, .len = ram->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	static int fd;
	pthread_t t;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		err(1, "userfaultfd");
	errno = pthread_create(&t, NULL, handle, &fd);
	if (errno)
		err(1, "pthread_create");
}

int main(int argc, char **argv)
{
	const char *kind, *spec;
	struct vmm_uffd u;
	struct vmm_ram ram;
	struct vmm vm;
	unsigned long pages, runs;
	uint64_t t0, ns, before;

	if (argc != 3)
		errx(2, "usage: bench-kvm KIND PAGES");
	kind = argv[1];
	pages = number(argv[2]);
	spec = !strcmp(kind, "handler") || !strncmp(kind, "socket:", 7) ? "anon" : kind;
	vmm_ram_open(&ram, spec, pages * PAGE);
	vmm_open(&vm, &ram, 1, 0);
	if (!strcmp(kind, "handler"))
		serve(&ram);
	else if (spec != kind)
		vmm_uffd_open(&u, &ram, kind + 7, VMM_SIZES_BOTH, 0, false);
	/* the guest's own code and tables are there before the clock runs */
	vm.cpu[0].box->pages = 0;
	vmm_run(&vm, VMM_TOUCH, 0);
	vm.cpu[0].box->pages = pages;
	usleep(100000);

	runs = vm.cpu[0].runs;
	before = switches();
	t0 = now_ns();
	vmm_start(&vm, VMM_TOUCH, 0);
	if (!vmm_wait(&vm) || vmm_count(&vm, VMM_IDLE) != 1)
		errx(1, "the guest does not come to its end");
	ns = now_ns() - t0;
	before = switches() - before;
	printf("%.1f %.3f %.3f\n", (double)ns / (double)pages, (double)before / (double)pages,
	       (double)(vm.cpu[0].runs - runs) / (double)pages);
	return 0;
}
