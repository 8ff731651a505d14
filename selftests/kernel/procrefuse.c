// SPDX-License-Identifier: GPL-2.0
/*
 * procrefuse.c - exports of processes that must not come about: no right, bad input
 */
#include <linux/capability.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "proc.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)
#define PAGES(n) ((n) * TK_PAGE)

static int mem_of(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* is it refused with @err, and words? */
static bool refused(pid_t pid, int fd, const struct tp_range *r, size_t n, int err)
{
	int got = tp_export_new_pid(tk_nl, "p", "", pid, fd, r, n);

	if (!got)
		tp_export_del(tk_nl, "p");
	if (got != -err || !*tp_nl_error(tk_nl))
		tap_note("got %d (%s), not %d", -got, tp_nl_error(tk_nl), err);
	return got == -err && *tp_nl_error(tk_nl);
}

static bool allowed(pid_t pid, int fd, const struct tp_range *r)
{
	int got = tp_export_new_pid(tk_nl, "p", "", pid, fd, r, 1);

	if (got)
		tap_note("got %d (%s)", -got, tp_nl_error(tk_nl));
	else
		tk_ok(tp_export_del(tk_nl, "p"), "release");
	return !got;
}

static void only_net_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ 1 << CAP_NET_ADMIN, 1 << CAP_NET_ADMIN, 1 << CAP_NET_ADMIN },
	};

	if (prctl(PR_SET_KEEPCAPS, 1) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534) || syscall(SYS_capset, &head, data))
		tk_die("capabilities: %m");
	/* a process that has changed its user is nobody's to look at */
	if (prctl(PR_SET_DUMPABLE, 1))
		tk_die("prctl: %m");
}

struct target {
	struct proc proc;
	struct tp_range r;
	int fd;				/* of its mem, opened by root */
};

/* bits: what went wrong */
static int unprivileged(void *arg)
{
	const struct target *root = arg;
	struct tp_range r = { .len = PAGES(4) };
	struct proc own;
	int bad = 0, fd;

	tp_nl_close(tk_nl);
	only_net_admin();
	if (tp_nl_open(&tk_nl))
		return 128;
	proc_start(&own);
	r.addr = proc_must(&own, P_MMAP, 0, r.len, RW, ANON, -1UL);
	fd = mem_of(own.pid);
	bad |= !allowed(own.pid, fd, &r) << 0;
	bad |= !refused(own.pid, -1, &r, 1, EPERM) << 1;
	bad |= (mem_of(root->proc.pid) >= 0) << 2;
	bad |= !refused(root->proc.pid, fd, &root->r, 1, EPERM) << 3;
	bad |= !refused(root->proc.pid, -1, &root->r, 1, EPERM) << 4;
	/* what root gave him is his */
	bad |= !allowed(root->proc.pid, root->fd, &root->r) << 5;
	/* a descriptor of before an exec */
	proc_must(&own, P_EXEC, 0);
	for (int i = 0; i < 200; i++) {
		char comm[64], path[32];

		snprintf(path, sizeof(path), "/proc/%d/comm", own.pid);
		if (!strcmp(tk_cat(path, comm, sizeof(comm)), "sleep"))
			break;
		tk_nap_ms(50);
	}
	bad |= !refused(own.pid, fd, &r, 1, EPERM) << 6;
	proc_kill(&own);
	return bad;
}

static void test_rights(void)
{
	struct target t;
	char path[32];
	int bad, fd;

	proc_start(&t.proc);
	t.r.len = PAGES(4);
	t.r.addr = proc_must(&t.proc, P_MMAP, 0, t.r.len, RW, ANON, -1UL);
	t.fd = mem_of(t.proc.pid);
	tap_ok(allowed(t.proc.pid, t.fd, &t.r), "root with /proc/PID/mem");
	tap_ok(allowed(t.proc.pid, -1, &t.r), "CAP_SYS_ADMIN without");
	fd = mem_of(getpid());
	tap_ok(refused(t.proc.pid, fd, &t.r, 1, EPERM), "not with that of another process");
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/maps", t.proc.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	tap_ok(refused(t.proc.pid, fd, &t.r, 1, EPERM), "nor with another file of this one");
	close(fd);
	fd = open("/tmp/mem", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	unlink("/tmp/mem");
	tap_ok(refused(t.proc.pid, fd, &t.r, 1, EPERM), "nor with a file that is called so");
	close(fd);
	tap_ok(refused(t.proc.pid, 999, &t.r, 1, EBADF), "nor with no descriptor at all");

	bad = tk_reap(tk_fork(unprivileged, &t));
	tap_ok(bad >= 0 && !(bad & 1), "CAP_NET_ADMIN alone: a process that may be ptraced");
	tap_ok(bad >= 0 && !(bad & 2), "not without showing it");
	tap_ok(bad >= 0 && !(bad & (4 | 8 | 16)), "root's not at all");
	tap_ok(bad >= 0 && !(bad & 32), "but with what root handed over");
	tap_ok(bad >= 0 && !(bad & 64), "not with what was opened before an exec");
	tap_ok(bad >= 0 && !(bad & 128), "the child came so far");
	close(t.fd);
	proc_kill(&t.proc);
}

static uint64_t special(const char *name)
{
	unsigned long start = 0;
	char line[256];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name))
			sscanf(line, "%lx-", &start);
	if (f)
		fclose(f);
	return start;
}

static int ends(void *arg)
{
	return 0;
}

static void test_bad_input(void)
{
	struct tp_range many[65], two[2];
	struct tp_export ex;
	struct proc p;
	uint64_t a;
	pid_t pid;
	int fd;

	proc_start(&p);
	a = proc_must(&p, P_MMAP, 0, PAGES(200), RW, ANON, -1UL);
	proc_must(&p, P_MUNMAP, a + PAGES(100), PAGES(1));
	proc_must(&p, P_MPROTECT, a + PAGES(110), PAGES(1), PROT_NONE);
	fd = mem_of(p.pid);
#define BAD(err, text, ...) \
	tap_ok(refused(p.pid, fd, &(struct tp_range){ __VA_ARGS__ }, 1, err), text)
	tap_ok(refused(p.pid, fd, NULL, 0, EINVAL), "no range");
	BAD(EINVAL, "an empty range", a, 0);
	BAD(EINVAL, "an address that is not aligned", a + 1, PAGES(1));
	BAD(EINVAL, "a length that is not", a, PAGES(1) + 512);
	BAD(EINVAL, "beyond the end of memory", -PAGES(1), PAGES(2));
	BAD(E2BIG, "all of memory", 0, -PAGES(1));
	BAD(E2BIG, "more than 16 TiB", 0, 1UL << 45);
	BAD(EFAULT, "where nothing is mapped", PAGES(1), PAGES(1));
	BAD(EFAULT, "partly", a + PAGES(98), PAGES(4));
	BAD(EFAULT, "where the kernel is", 0xffff888000000000, PAGES(1));
	BAD(EACCES, "what the process may not read", a + PAGES(108), PAGES(4));
	two[0] = (struct tp_range){ a, PAGES(4) };
	two[1] = (struct tp_range){ a + PAGES(3), PAGES(4) };
	tap_ok(refused(p.pid, fd, two, 2, EINVAL), "ranges that overlap");
	two[1] = two[0];
	tap_ok(refused(p.pid, fd, two, 2, EINVAL), "one range twice");
	two[1].addr = PAGES(1);
	tap_ok(refused(p.pid, fd, two, 2, EFAULT), "a good one and a bad one");
	for (int i = 0; i < 65; i++)
		many[i] = (struct tp_range){ a + PAGES(i), PAGES(1) };
	tap_ok(refused(p.pid, fd, many, 65, E2BIG), "65 ranges");
	tk_ok(tp_export_new_pid(tk_nl, "p", "", p.pid, fd, two, 1), "export");
	tap_ok(tp_export_new_pid(tk_nl, "p", "", p.pid, fd, two, 1) == -EEXIST, "a name that is taken");
	tk_ok(tp_export_get(tk_nl, "p", &ex), "get");
	tp_export_clear(&ex);
	tk_ok(tp_export_del(tk_nl, "p"), "release");
	close(fd);

	tk_new("r", 4);
	fd = tk_open("r", O_RDWR);
	a = (uintptr_t)mmap(NULL, PAGES(4), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	tap_ok(refused(getpid(), -1, &(struct tp_range){ a, PAGES(4) }, 1, EACCES),
	       "a region of telepage");
	munmap((void *)a, PAGES(4));
	tk_del("r");
	a = special("[vvar]");
	tap_ok(refused(getpid(), -1, &(struct tp_range){ a, PAGES(1) }, 1, EACCES),
	       "a page of the kernel");
	a = special("[vdso]");
	tap_ok(refused(getpid(), -1, &(struct tp_range){ a, PAGES(1) }, 1, EACCES), "another");

	two[0] = (struct tp_range){ PAGES(1), PAGES(1) };
	tap_ok(refused(0, -1, two, 1, ESRCH), "no process 0");
	tap_ok(refused(2, -1, two, 1, ESRCH), "a thread of the kernel");
	tap_ok(refused(4194303, -1, two, 1, ESRCH), "nor one that there is not");
	pid = tk_fork(ends, NULL);
	tk_nap_ms(200);
	tap_ok(refused(pid, -1, two, 1, ESRCH), "a zombie");
	tk_reap(pid);
	tap_ok(refused(pid, -1, two, 1, ESRCH), "one that has ended");
	proc_kill(&p);
}

int main(void)
{
	tk_init();
	test_rights();
	test_bad_input();
	return tap_done();
}
