// SPDX-License-Identifier: GPL-2.0
/*
 * proc.c - a process whose memory is exported, see proc.h
 */
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "proc.h"

#define ARGS	5

struct order {
	enum proc_op op;
	unsigned long a[ARGS];
};

static long sys(long ret)
{
	return ret == -1 ? -errno : ret;
}

static void *discard(void *arg)
{
	const struct order *o = arg;

	for (;;)
		for (unsigned long at = 0; at < o->a[1]; at += o->a[2] * TK_PAGE)
			madvise((void *)(o->a[0] + at), o->a[2] * TK_PAGE, MADV_DONTNEED);
	return NULL;
}

static long watch(void *addr, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)addr, len }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return 0;
}

static long forked(void *addr, size_t len)
{
	pid_t pid = fork();

	if (pid)
		return sys(pid);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(addr, 0, len);
	for (;;)
		pause();
}

static long obey(const struct order *o)
{
	static struct order storm;
	void *p = (void *)o->a[0];
	volatile uint8_t sum = 0;

	switch (o->op) {
	case P_MMAP:
		return sys((long)mmap(p, o->a[1], o->a[2], o->a[3], (int)o->a[4], 0));
	case P_MUNMAP:
		return sys(munmap(p, o->a[1]));
	case P_MREMAP:
		return sys((long)mremap(p, o->a[1], o->a[1], MREMAP_MAYMOVE | MREMAP_FIXED,
					(void *)o->a[2]));
	case P_MPROTECT:
		return sys(mprotect(p, o->a[1], o->a[2]));
	case P_MADVISE:
		return sys(madvise(p, o->a[1], o->a[2]));
	case P_FILL:
		for (unsigned long i = 0; i < o->a[1]; i++)
			tk_page((uint8_t *)p + i * TK_PAGE, o->a[2], o->a[3] + i);
		return 0;
	case P_SET:
		memset(p, o->a[2], o->a[1]);
		return 0;
	case P_LOAD:
		for (unsigned long i = 0; i < o->a[1]; i++)
			sum += *((volatile uint8_t *)p + i * TK_PAGE);
		return 0;
	case P_FORK:
		return forked(p, o->a[1]);
	case P_DISCARD:
		storm = *o;
		tk_thread(discard, &storm);
		return 0;
	case P_UFFD:
		return watch(p, o->a[1]);
	case P_EXEC:
		return 0;
	}
	return -EINVAL;
}

static int serve(void *arg)
{
	int sock = *(int *)arg;
	struct order o;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(sock, &o, sizeof(o)) == sizeof(o)) {
		long ret = obey(&o);

		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			return 1;
		if (o.op == P_EXEC)
			execlp("sleep", "sleep", "1000", NULL);
	}
	return 0;
}

void proc_start(struct proc *p)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		tk_die("socketpair: %m");
	p->pid = tk_fork(serve, &sv[1]);
	close(sv[1]);
	p->sock = sv[0];
}

long proc_order(struct proc *p, enum proc_op op, const unsigned long a[5])
{
	struct order o = { .op = op };
	long ret;

	memcpy(o.a, a, sizeof(o.a));
	if (write(p->sock, &o, sizeof(o)) != sizeof(o) ||
	    read(p->sock, &ret, sizeof(ret)) != sizeof(ret))
		tk_die("the process has gone at order %d", op);
	return ret;
}

void proc_kill(struct proc *p)
{
	kill(p->pid, SIGKILL);
	tk_reap(p->pid);
	close(p->sock);
}

int proc_mem(const struct proc *p)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		tk_die("%s: %m", path);
	return fd;
}

long proc_kb(const struct proc *p, const char *file, const char *name)
{
	char path[64], line[256];
	size_t n = strlen(name);
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", p->pid, file);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) && line[n] == ':')
			kb = strtol(line + n + 1, NULL, 10);
	if (f)
		fclose(f);
	return kb;
}
