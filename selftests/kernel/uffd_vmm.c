// SPDX-License-Identifier: GPL-2.0
/*
 * uffd_vmm.c - processes that act as VMMs with memory of their own, see vmm.h
 */
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "uffd_vmm.h"

#define HUGE	(2UL << 20)

struct hello {
	uint64_t addr;
	bool good;
};

struct order {
	enum vmm_op op;
	unsigned long first, count;
	uint32_t seed;
};

char vmm_words[256];

/* in the VMM */
static uint8_t *map;
static unsigned long nr;
static uint32_t unit;
static int uffd;

static void *new_memory(enum vmm_kind kind, int *memfd)
{
	size_t len = nr * TK_PAGE;
	int flags = MAP_SHARED;
	void *p;

	*memfd = -1;
	if (kind == VMM_ANON)
		flags = MAP_PRIVATE | MAP_ANONYMOUS;
	else if (kind == VMM_HUGE)
		flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	else if (kind == VMM_PRIVATE)
		flags = MAP_PRIVATE;
	if (!(flags & MAP_ANONYMOUS)) {
		*memfd = memfd_create("guest", MFD_CLOEXEC);
		if (*memfd < 0 || ftruncate(*memfd, len))
			return NULL;
	}
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, *memfd, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (kind == VMM_ANON)
		madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

static bool set_up(enum vmm_kind kind, uint64_t features, int *memfd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	map = new_memory(kind, memfd);
	if (!map)
		return false;
	if (kind == VMM_MEMFD) {
		api.features |= UFFD_FEATURE_MINOR_SHMEM;
		reg.mode |= UFFDIO_REGISTER_MODE_MINOR;
	}
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = (uintptr_t)map;
	reg.range.len = nr * TK_PAGE;
	return uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg);
}

/* threads that look at pages in an order of their own */

struct looker {
	unsigned long first, count, wrong;
	uint32_t seed;
	unsigned int random;
};

static void *look(void *arg)
{
	struct looker *l = arg;
	unsigned long i, n = l->count;

	for (i = 0; i < n; i++) {
		/* every page once: an odd factor and a count that is a power of two */
		unsigned long p = l->first + ((i * 2654435761UL + l->random) & (n - 1));

		l->wrong += !tk_is_page(map + p * TK_PAGE, l->seed, p);
	}
	return NULL;
}

static int64_t by_threads(const struct order *o)
{
	struct looker l[4];
	pthread_t t[4];
	int64_t wrong = 0;
	int i;

	for (i = 0; i < 4; i++) {
		l[i] = (struct looker){ .first = o->first, .count = o->count, .seed = o->seed,
					.random = rand() };
		t[i] = tk_thread(look, &l[i]);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		wrong += l[i].wrong;
	}
	return wrong;
}

/*
 * Discards against faults. Each thread has pages of its own (a page is content, then
 * zero for ever once discarded, but for what the thread writes) and discards and
 * reads them while the others do the same.
 */
struct stormer {
	unsigned int n, of;
	unsigned long first, count, rounds, wrong;
	uint32_t seed;
};

static void *storm(void *arg)
{
	struct stormer *s = arg;
	unsigned int random = s->n * 7919 + 1;
	uint8_t *gone = calloc(s->count, 1);
	unsigned long i, run = unit / TK_PAGE;

	for (i = 0; i < s->rounds; i++) {
		unsigned long p = rand_r(&random) % (s->count / run) * run;
		uint8_t *page = map + (s->first + p) * TK_PAGE;

		if (gone[p])
			s->wrong += !tk_is_zero(page, TK_PAGE);
		else
			s->wrong += !tk_is_page(page, s->seed, s->first + p);
		if (i % 3)
			continue;
		page[5] = 77;
		if (madvise(page, unit, MADV_DONTNEED))
			s->wrong += 1000000;
		gone[p] = 1;
		s->wrong += !tk_is_zero(page, TK_PAGE);
	}
	free(gone);
	return NULL;
}

static int64_t by_storm(const struct order *o)
{
	const unsigned long part = (nr - VMM_ZERO) / 4 / (unit / TK_PAGE) * (unit / TK_PAGE);
	struct stormer s[4];
	pthread_t t[4];
	int64_t wrong = 0;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		s[i] = (struct stormer){ .n = i, .first = i * part, .count = part,
					 .rounds = o->count, .seed = o->seed };
		t[i] = tk_thread(storm, &s[i]);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		wrong += s[i].wrong;
	}
	return wrong;
}

static int64_t resident(unsigned long first, unsigned long count)
{
	uint64_t *v = calloc(count, sizeof(*v));
	int fd = open("/proc/self/pagemap", O_RDONLY);
	int64_t n = 0;
	unsigned long i;

	if (pread(fd, v, count * 8, ((uintptr_t)map / TK_PAGE + first) * 8) == (ssize_t)count * 8)
		for (i = 0; i < count; i++)
			n += v[i] >> 63;
	close(fd);
	free(v);
	return n;
}

static int64_t by_child(const struct order *o)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		int64_t n = tk_wrong(map, o->first, o->count, o->seed);

		_exit(n > 100 ? 100 : n);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int64_t obey(const struct order *o)
{
	uint8_t *p = map + o->first * TK_PAGE;
	size_t len = o->count * TK_PAGE;
	unsigned long i;
	int64_t n = 0;
	void *q;

	switch (o->op) {
	case VMM_CHECK:
		return tk_wrong(map, o->first, o->count, o->seed);
	case VMM_THREADS:
		return by_threads(o);
	case VMM_NONZERO:
		for (i = 0; i < o->count; i++)
			n += !tk_is_zero(p + i * TK_PAGE, TK_PAGE);
		return n;
	case VMM_WRITE:
		for (i = 0; i < o->count; i++)
			tk_page(p + i * TK_PAGE, o->seed, o->first + i);
		return 0;
	case VMM_RESIDENT:
		return resident(o->first, o->count);
	case VMM_DISCARD:
		return madvise(p, len, MADV_DONTNEED) ? errno : 0;
	case VMM_PUNCH:
		return madvise(p, len, MADV_REMOVE) ? errno : 0;
	case VMM_UNMAP:
		return munmap(p, len) ? errno : 0;
	case VMM_REMAP:
		q = mmap(NULL, nr * TK_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		q = mremap(map, nr * TK_PAGE, nr * TK_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q);
		if (q == MAP_FAILED)
			return errno;
		map = q;
		return 0;
	case VMM_FORK:
		return by_child(o);
	case VMM_STORM:
		return by_storm(o);
	case VMM_CLOSE:
		return close(uffd) ? errno : 0;
	case VMM_EXIT:
		break;
	}
	return -1;
}

static void vmm_main(int sock, enum vmm_kind kind, uint64_t features)
{
	struct hello h = { 0 };
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec iov = { &h, sizeof(h) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct order o;
	int memfd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	h.good = set_up(kind, features, &memfd);
	h.addr = (uintptr_t)map;
	if (h.good) {
		int fds[2] = { uffd, memfd };
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = kind == VMM_MEMFD ? CMSG_SPACE(2 * sizeof(int)) :
							 CMSG_SPACE(sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(kind == VMM_MEMFD ? 2 * sizeof(int) : sizeof(int));
		memcpy(CMSG_DATA(c), fds, c->cmsg_len - CMSG_LEN(0));
	}
	if (sendmsg(sock, &msg, 0) != sizeof(h))
		_exit(99);
	while (recv(sock, &o, sizeof(o), 0) == sizeof(o) && o.op != VMM_EXIT) {
		int64_t ret = obey(&o);

		if (send(sock, &ret, sizeof(ret), 0) != sizeof(ret))
			_exit(99);
	}
	_exit(0);
}

/* in the test */

bool vmm_start(struct vmm *v, enum vmm_kind kind, unsigned long pages, uint64_t features)
{
	char control[CMSG_SPACE(2 * sizeof(int))];
	struct hello h;
	struct iovec iov = { &h, sizeof(h) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		tk_die("socketpair: %m");
	nr = pages;
	unit = kind == VMM_HUGE ? HUGE : TK_PAGE;
	fflush(stdout);
	v->pid = fork();
	if (v->pid < 0)
		tk_die("fork: %m");
	if (!v->pid) {
		close(sv[0]);
		signal(SIGBUS, SIG_DFL);
		vmm_main(sv[1], kind, features);
	}
	close(sv[1]);
	v->sock = sv[0];
	v->pages = pages;
	v->page_size = unit;
	v->memfd = -1;
	if (recvmsg(sv[0], &msg, MSG_CMSG_CLOEXEC) != sizeof(h))
		tk_die("a VMM died");
	if (!h.good) {
		vmm_stop(v);
		return false;
	}
	c = CMSG_FIRSTHDR(&msg);
	memcpy(&v->fd, CMSG_DATA(c), sizeof(int));
	if (c->cmsg_len == CMSG_LEN(2 * sizeof(int)))
		memcpy(&v->memfd, CMSG_DATA(c) + sizeof(int), sizeof(int));
	v->addr = h.addr;
	return true;
}

/*
 * By a process of its own, which ends at once: bridges must not need it. What the
 * kernel said comes through a pipe.
 */
int vmm_attach_ranges(const struct vmm *v, const char *region, int fd, uint32_t pid, int memfd,
		      bool fill, const struct tp_uffd_range *ranges, size_t nr_ranges)
{
	int p[2], status;
	ssize_t n;
	pid_t child;

	(void)v;
	if (pipe(p))
		tk_die("pipe: %m");
	fflush(stdout);
	child = fork();
	if (!child) {
		struct tp_nl *nl;
		int err = tp_nl_open(&nl);

		if (!err)
			err = tp_uffd_attach(nl, region, fd, pid, memfd, fill, ranges, nr_ranges);
		if (write(p[1], tp_nl_error(nl), strlen(tp_nl_error(nl))) < 0)
			_exit(255);
		_exit(-err);
	}
	close(p[1]);
	n = read(p[0], vmm_words, sizeof(vmm_words) - 1);
	vmm_words[n > 0 ? n : 0] = 0;
	close(p[0]);
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return -WEXITSTATUS(status);
}

int vmm_attach(const struct vmm *v, const char *region, bool fill)
{
	struct tp_uffd_range r = { .addr = v->addr, .len = v->pages * TK_PAGE,
				   .page_size = v->page_size };

	return vmm_attach_ranges(v, region, v->fd, v->pid, v->memfd, fill, &r, 1);
}

void vmm_tell(const struct vmm *v, enum vmm_op op, unsigned long first, unsigned long count,
	      uint32_t seed)
{
	struct order o = { .op = op, .first = first, .count = count, .seed = seed };

	if (send(v->sock, &o, sizeof(o), MSG_NOSIGNAL) != sizeof(o))
		tk_die("the VMM has gone");
}

bool vmm_answered(const struct vmm *v)
{
	struct pollfd p = { .fd = v->sock, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

int64_t vmm_hear(const struct vmm *v)
{
	struct pollfd p = { .fd = v->sock, .events = POLLIN };
	int64_t ret;

	if (poll(&p, 1, 2 * TK_LONG * 1000) != 1 || recv(v->sock, &ret, sizeof(ret), 0) <= 0)
		return -1;
	return ret;
}

int64_t vmm_do(const struct vmm *v, enum vmm_op op, unsigned long first, unsigned long count,
	       uint32_t seed)
{
	vmm_tell(v, op, first, count, seed);
	return vmm_hear(v);
}

int vmm_stop(struct vmm *v)
{
	struct order o = { .op = VMM_EXIT };
	int status;

	send(v->sock, &o, sizeof(o), MSG_NOSIGNAL);
	status = tk_reap(v->pid);
	if (status < 0) {
		kill(v->pid, SIGKILL);
		tk_reap(v->pid);
	}
	close(v->sock);
	if (v->fd > 0)
		close(v->fd);
	if (v->memfd > 0)
		close(v->memfd);
	return status;
}
