// SPDX-License-Identifier: GPL-2.0
/*
 * control.c - commands go on whatever one of them waits for
 *
 * What a user would lose: the control of all VMs of a host, since one command waits for
 * what answers late or never.
 */
#include <linux/userfaultfd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fusefile.h"
#include "peer.h"
#include "pin.h"

#define PAGES	64UL
/* more than a workqueue of the kernel runs at a time, as far as nobody says how many */
#define MANY	600U

/* a command that may not come back, made by somebody else */
struct late {
	int (*fn)(struct tp_nl *nl, uint32_t link);
	uint32_t link;
	int err;
	pthread_t t;
};

static void *do_late(void *arg)
{
	struct late *l = arg;
	struct tp_nl *nl;

	if (tp_nl_open(&nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	l->err = l->fn(nl, l->link);
	tp_nl_close(nl);
	return NULL;
}

static void begin_late(struct late *l, int (*fn)(struct tp_nl *nl, uint32_t link), uint32_t link)
{
	*l = (struct late){ .fn = fn, .link = link, .err = 1 };
	l->t = tk_thread(do_late, l);
}

static int detach_urgent(struct tp_nl *nl, uint32_t link)
{
	return tp_lane_detach(nl, link, 0);
}

static int freeze_s(struct tp_nl *nl, uint32_t link)
{
	return tp_region_freeze(nl, "s");
}

/* makes, looks at and deletes what all commands on it need */
static int commands(void *arg)
{
	struct tp_nl *nl;
	struct tp_link l;
	uint32_t id;

	if (tp_nl_open(&nl))
		return 1;
	if (tp_link_new(nl, "somebody else", &id) || tp_link_get(nl, id, &l))
		return 2;
	tp_link_clear(&l);
	if (tp_region_new(nl, "other", TK_PAGE, 0600, 0, 0, NULL) || tp_region_freeze(nl, "other"))
		return 3;
	return tp_region_del(nl, "other") || tp_link_del(nl, id) ? 4 : 0;
}

/* ---- a lane whose thread waits for a disk ---- */

#define FILE_	"/tmp/fusefile"

static void demand_of(int lane, uint32_t export)
{
	struct tp_hdr hdr = { .type = TP_MSG_DEMAND, .count = 1, .len = TP_DEMAND_LEN };
	struct tp_demand d = { .export = export, .gen = 1, .index = 3 };
	uint8_t buf[TP_DEMAND_LEN];

	tp_wire_put_demand(buf, &d);
	peer_say(lane, &hdr, buf, sizeof(buf));
}

static void test_disk(int (*fn)(struct tp_nl *nl, uint32_t link), const char *what)
{
	struct late l;
	uint32_t link, id;
	struct stat st;
	int lane, fd;
	pid_t pid;

	fusefile_open(FILE_, 7, PAGES);
	fd = open(FILE_, O_RDONLY | O_CLOEXEC);
	/* a file of such a filesystem has a size from when somebody has asked for it */
	if (fd < 0 || fstat(fd, &st))
		tk_die("%s: %m", FILE_);
	tk_ok(tp_export_new_fd(tk_nl, "f", fd, 0, 0), "export");
	close(fd);
	tk_ok(tp_link_new(tk_nl, "test", &link), "link");
	tk_ok(tp_export_serve(tk_nl, "f", link, &id), "serve");
	lane = peer_greeted_lane(link, 0);
	fusefile_set(FUSEFILE_SILENT, NULL);
	demand_of(lane, id);
	tk_until(fusefile_waiting() > 0);

	begin_late(&l, fn, link);
	/* it is about to wait for the lane */
	tk_nap_ms(500);
	pid = tk_fork(commands, NULL);
	tap_ok(!tk_reap(pid), "%s while its disk is silent: other commands go on", what);
	/* what is told is that it is not over yet, of what can be asked for again */
	tap_ok(tk_join(l.t) && l.err == (fn == tp_link_del ? 0 : -EBUSY),
	       "and the command ends, too");
	fusefile_set(FUSEFILE_WELL, NULL);
	if (fn != tp_link_del)
		tap_ok(tk_until(tp_lane_detach(tk_nl, link, 0) == -ENOENT),
		       "and the lane does when the disk answers");
	close(lane);
	tk_ok(tp_export_del(tk_nl, "f"), "release");
	if (fn != tp_link_del)
		tk_ok(tp_link_del(tk_nl, link), "link del");
	tap_ok(fusefile_close(), "the file is let go of");
}

/* ---- a VMM that holds the lock of its address space ---- */

/* what the VMM tells us of itself, and we tell it */
struct vmm_shared {
	int fd;
	uint64_t addr;
	atomic_int ready, hold;
};

static struct vmm_shared *vmm;
static uint8_t *never;		/* a page of a region that does not come */

/*
 * A read through /proc/self/mem waits for the page with the lock held, shared. Who wants it
 * for himself stands behind that, and everybody else behind him.
 */
static void *hold_lock(void *arg)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char c;

	if (pread(fd, &c, 1, (off_t)(uintptr_t)never) >= 0)
		tk_die("a page has come from nowhere");
	return arg;
}

static void *want_lock(void *arg)
{
	if (mmap(NULL, TK_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		tk_die("mmap: %m");
	return arg;
}

static int be_vmm(void *arg)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	pthread_t t;

	(void)arg;
	vmm->addr = (uintptr_t)mmap(NULL, PAGES * TK_PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	vmm->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = vmm->addr;
	reg.range.len = PAGES * TK_PAGE;
	if (ioctl(vmm->fd, UFFDIO_API, &api) || ioctl(vmm->fd, UFFDIO_REGISTER, &reg))
		return 1;
	never = tk_map("x", 1, PROT_READ, MAP_SHARED);
	vmm->ready = 1;
	tk_until(vmm->hold);
	tk_thread(hold_lock, NULL);
	tk_until(tk_stat("x").stats.faults);
	t = tk_thread(want_lock, NULL);
	tk_nap_ms(200);
	vmm->ready = 2;
	pthread_join(t, NULL);
	return 0;
}

static int attach_u(struct tp_nl *nl, uint32_t pid)
{
	const struct tp_uffd_range all = {
		.addr = vmm->addr, .len = PAGES * TK_PAGE, .page_size = TK_PAGE,
	};
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int fd = syscall(SYS_pidfd_getfd, pidfd, vmm->fd, 0), err;

	if (fd < 0)
		tk_die("the VMM's descriptor: %m");
	err = tp_uffd_attach(nl, "u", fd, pid, -1, true, &all, 1);
	close(fd);
	close(pidfd);
	return err;
}

static int detach_u(struct tp_nl *nl, uint32_t pid)
{
	(void)pid;
	return tp_uffd_detach(nl, "u");
}

static void begin_vmm(pid_t *pid, bool holds, uint32_t *nowhere)
{
	vmm->ready = 0;
	vmm->hold = holds;
	tk_ok(tp_link_new(tk_nl, "", nowhere), "link");
	tk_new("x", 1);
	tk_ok(tp_region_import(tk_nl, "x", *nowhere, 1, false), "import");
	tk_new("u", PAGES);
	*pid = tk_fork(be_vmm, NULL);
	tk_until(vmm->ready == (holds ? 2 : 1));
}

/* Return: was it waited for? */
static bool end_vmm(pid_t pid, struct late *l, uint32_t nowhere, const char *what)
{
	pid_t other = tk_fork(commands, NULL);
	bool waited;

	tap_ok(!tk_reap(other), "%s holds its own lock: other commands go on", what);
	waited = l->err == 1;
	tap_note("it is waited for meanwhile: %s (%d)", waited ? "yes" : "no", l->err);
	kill(pid, SIGKILL);
	tap_ok(tk_reap(pid) == 128 + SIGKILL && tk_join(l->t),
	       "and what waits for it ends with it");
	tap_ok(tk_until(!tp_region_del(tk_nl, "u")), "and the region can be deleted");
	tk_ok(tp_region_abandon(tk_nl, "x"), "abandon");
	tk_del("x");
	tk_ok(tp_link_del(tk_nl, nowhere), "link del");
	return waited;
}

static void test_vmm(void)
{
	bool waited = false;
	uint32_t nowhere;
	struct late l;
	pid_t pid;

	vmm = mmap(NULL, TK_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	begin_vmm(&pid, true, &nowhere);
	begin_late(&l, attach_u, pid);
	tk_nap_ms(500);
	end_vmm(pid, &l, nowhere, "a VMM that is to be attached");

	/* refused if the bridge has something to do, which is so once a second */
	for (int i = 0; i < 8 && !waited; i++) {
		begin_vmm(&pid, false, &nowhere);
		tk_ok(attach_u(tk_nl, pid), "attach");
		vmm->hold = 1;
		tk_until(vmm->ready == 2);
		begin_late(&l, detach_u, pid);
		tk_nap_ms(500);
		waited = end_vmm(pid, &l, nowhere, "a VMM that is to be detached");
	}
	if (!waited)
		tap_note("none was waited for");
}

/* ---- a lane that ends while very many regions become complete ---- */

static const char *name_of(unsigned int i)
{
	static char name[16];

	snprintf(name, sizeof(name), "r%u", i);
	return name;
}

static bool all_are(bool (*fn)(const struct tp_region *r))
{
	for (unsigned int i = 0; i < MANY; i++) {
		struct tp_region r = tk_stat(name_of(i));

		if (!fn(&r))
			return false;
	}
	return true;
}

static bool is_here(const struct tp_region *r)
{
	return !r->absent;
}

static bool is_local(const struct tp_region *r)
{
	return r->state == TELEPAGE_REGION_LOCAL;
}

static void test_many(void)
{
	uint32_t link, other;
	struct late freeze, detach;
	int urgent, bulk, lane;
	unsigned int i;
	struct pin pin;

	tk_ok(tp_link_new(tk_nl, "test", &link), "link");
	urgent = peer_greeted_lane(link, 0);
	bulk = peer_greeted_lane(link, 1);
	tk_ok(tp_link_new(tk_nl, "other", &other), "link");
	lane = peer_greeted_lane(other, 0);
	for (i = 0; i < MANY; i++) {
		tk_new(name_of(i), 1);
		tk_ok(tp_region_import(tk_nl, name_of(i), link, 1 + i, true), "import");
	}

	/* a freeze that waits for a page is a command that takes seconds */
	tk_new("s", 1);
	tk_fill("s", 0, 1, 1);
	pin_begin(&pin, "s", 1);
	begin_late(&freeze, freeze_s, 0);
	tk_until(tk_stat("s").frozen);

	/* the next in turn; and behind it the regions, which are all complete at once */
	begin_late(&detach, detach_urgent, other);
	tk_nap_ms(500);
	for (i = 0; i < MANY; i++) {
		struct tp_hdr hdr = { .type = TP_MSG_ZERO, .export = 1 + i, .count = 1 };

		peer_say(bulk, &hdr, NULL, 0);
	}
	tap_ok(tk_until(all_are(is_here)), "the pages of %u regions come", MANY);
	tap_note("a freeze takes its time meanwhile: %s", freeze.err == 1 ? "yes" : "no");
	if (!tap_ok(tk_join(detach.t) && !detach.err, "a lane can be detached meanwhile"))
		tk_die("commands are blocked for ever");
	tap_ok(tk_join(freeze.t), "a command before it ends");
	tap_ok(tk_until(all_are(is_local)), "all regions are complete");

	pin_end(&pin);
	pin_close(&pin);
	if (!freeze.err)
		tk_ok(tp_region_thaw(tk_nl, "s"), "thaw");
	tk_del("s");
	for (i = 0; i < MANY; i++)
		tk_del(name_of(i));
	close(urgent);
	close(bulk);
	close(lane);
	tk_ok(tp_link_del(tk_nl, link), "link del");
	tk_ok(tp_link_del(tk_nl, other), "link del");
}

int main(void)
{
	tk_init();
	if (access("/dev/fuse", F_OK)) {
		tap_skip("disks that do not answer", "this kernel has no FUSE");
	} else {
		test_disk(detach_urgent, "a lane is detached");
		test_disk(tp_link_del, "a link is deleted");
	}
	test_vmm();
	test_many();
	return tap_done();
}
