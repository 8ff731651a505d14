// SPDX-License-Identifier: GPL-2.0
/*
 * uffd.c - VMMs whose memory is their own, served through a userfaultfd
 *
 * Source and destination are in this one kernel. A VMM is a process of vmm.c.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "uffd_vmm.h"

#define NR	4096UL
#define DATA	(nr - VMM_ZERO)

static unsigned long nr = NR;		/* pages of region and VMM */

static struct tk_pair pair;
static struct vmm v;

static const uint64_t all_events = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
				   UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;

/* region "d" fills from "s", frozen, the last pages zero */
static void source(uint32_t seed, bool push)
{
	tk_events_forget();
	tk_new("s", nr);
	tk_fill("s", 0, DATA, seed);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&pair, "s", "d", push);
}

static bool begin(uint32_t seed, enum vmm_kind kind, bool push, uint64_t features)
{
	if (!vmm_start(&v, kind, nr, features))
		return false;
	source(seed, push);
	if (vmm_attach(&v, "d", true))
		tk_die("attach: %s", vmm_words);
	return true;
}

static struct tp_uffd stat_of(const char *region)
{
	struct tp_uffd u;

	tk_ok(tp_uffd_get(tk_nl, region, &u), "uffd get");
	return u;
}

static bool detached(const char *region)
{
	return tp_uffd_get(tk_nl, region, NULL) == -ENOENT;
}

/* the VMM ends, the module notices, everything can be deleted */
static void end(const char *what)
{
	int status = vmm_stop(&v);
	bool gone = tk_until(detached("d")), event;

	event = tk_event(TELEPAGE_EVENT_UFFD_DETACHED, "d", 0, NULL);
	if (what)
		tap_ok(!status && gone && event, "%s: the VMM ends and is detached", what);
	else if (!gone)
		tk_die("the bridge stays though its VMM has gone");
	tk_import_end("s", "d");
}

static void test_kind(enum vmm_kind kind, const char *what, uint32_t seed)
{
	struct tp_uffd u;

	if (!begin(seed, kind, false, UFFD_FEATURE_EVENT_REMOVE)) {
		tap_skip("pages on demand", "no such memory");
		return;
	}
	tap_ok(!vmm_do(&v, VMM_CHECK, DATA - 100, 100, seed) &&
	       !vmm_do(&v, VMM_NONZERO, DATA, VMM_ZERO, 0),
	       "%s: pages on demand, content and zero", what);
	tap_ok(!vmm_do(&v, VMM_THREADS, 0, nr / 2, seed), "%s: four threads at random", what);
	tap_ok(!vmm_do(&v, VMM_CHECK, 0, DATA, seed), "%s: every page is right", what);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) || kind != VMM_HUGE,
	       "%s: nothing is absent any more", what);
	tap_ok(tk_until(!tk_stat("d").resident), "%s: no page is in memory twice", what);
	u = stat_of("d");
	tap_ok(u.pid == (uint32_t)v.pid && u.nr_ranges == 1 && u.ranges[0].addr == v.addr &&
	       u.faults && u.copied + u.continued >= DATA && u.copied + u.continued <= nr &&
	       !u.failed && (kind == VMM_MEMFD) == !u.copied, "%s: and counted", what);
	/* discarded pages are zero, whatever becomes of the rest */
	tap_ok(!vmm_do(&v, kind == VMM_MEMFD || kind == VMM_SHMEM ? VMM_PUNCH : VMM_DISCARD, 512,
		       512, 0) &&
	       !vmm_do(&v, VMM_NONZERO, 512, 512, 0) && !vmm_do(&v, VMM_CHECK, 0, 512, seed) &&
	       !vmm_do(&v, VMM_CHECK, 1024, DATA - 1024, seed),
	       "%s: what was discarded is zero", what);
	end(what);
}

static void test_push(enum vmm_kind kind, const char *what, uint32_t seed)
{
	if (!begin(seed, kind, true, UFFD_FEATURE_EVENT_REMOVE)) {
		tap_skip("push", "no such memory");
		return;
	}
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_COMPLETE, "d", 0, NULL) &&
	       tk_until(!tk_stat("d").resident) &&
	       tk_until(vmm_do(&v, VMM_RESIDENT, 0, DATA, 0) == (int64_t)DATA),
	       "%s: pages that nobody touched are filled in by push", what);
	tap_ok(!vmm_do(&v, VMM_CHECK, 0, DATA, seed) && !vmm_do(&v, VMM_NONZERO, DATA, VMM_ZERO, 0),
	       "%s: with the right content", what);
	end(NULL);
}

static void test_local(void)
{
	tk_events_forget();
	tk_new("d", nr);
	tk_fill("d", 0, DATA, 30);
	vmm_start(&v, VMM_ANON, nr, 0);
	tk_ok(vmm_attach(&v, "d", false), "attach");
	tap_ok(!vmm_do(&v, VMM_CHECK, 100, 1, 30) && !vmm_do(&v, VMM_NONZERO, DATA, 1, 0) &&
	       stat_of("d").copied == 1 && stat_of("d").zero == 1 &&
	       tk_until(tk_stat("d").resident == DATA - 1),
	       "a region that is here, without filling: only what is touched");
	tap_ok(!vmm_do(&v, VMM_DISCARD, 100, 1, 0) && !vmm_do(&v, VMM_NONZERO, 100, 1, 0),
	       "what a VMM discards without saying so is zero, too");
	tap_ok(tk_until(!tp_uffd_detach(tk_nl, "d")) &&
	       tk_event(TELEPAGE_EVENT_UFFD_DETACHED, "d", 0, NULL),
	       "detached while the VMM runs");
	tap_ok(!vmm_do(&v, VMM_CHECK, 0, 100, 30) && !vmm_do(&v, VMM_CHECK, 101, DATA - 101, 30) &&
	       !vmm_do(&v, VMM_NONZERO, DATA, VMM_ZERO, 0) && !vmm_do(&v, VMM_NONZERO, 100, 1, 0),
	       "it has all its pages");
	tap_ok(vmm_attach(&v, "d", true) == -EBUSY && strstr(vmm_words, "earlier VMM"),
	       "a region whose pages were given away is attached to no other: %s", vmm_words);
	vmm_stop(&v);
	tk_del("d");
}

static void test_storm(enum vmm_kind kind, const char *what)
{
	struct tp_uffd u;

	if (!begin(40, kind, true, UFFD_FEATURE_EVENT_REMOVE)) {
		tap_skip("discards", "no such memory");
		return;
	}
	tap_ok(!vmm_do(&v, VMM_STORM, 0, kind == VMM_HUGE ? 30 : 1500, 40),
	       "%s: discards against faults and push: never stale, zero afterwards", what);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && tk_until(!tk_stat("d").resident),
	       "%s: and the region is completed", what);
	u = stat_of("d");
	printf("# faults %lu copied %lu zero %lu removed %lu retried %lu\n", u.faults, u.copied,
	       u.zero, u.removed, u.retried);
	end(NULL);
}

static void test_unmap_and_remap(void)
{
	struct tp_uffd u;

	begin(50, VMM_ANON, false, all_events);
	tap_ok(!vmm_do(&v, VMM_CHECK, 0, 64, 50) && !vmm_do(&v, VMM_REMAP, 0, 0, 0) &&
	       !vmm_do(&v, VMM_CHECK, 0, 128, 50), "mremap: pages before and after");
	u = stat_of("d");
	tap_ok(u.nr_ranges == 1 && u.ranges[0].addr != v.addr, "its layout is where it is now");
	tap_ok(!vmm_do(&v, VMM_UNMAP, 1024, 1024, 0) && tk_until(stat_of("d").nr_ranges == 2) &&
	       tk_stat("d").absent <= nr - 1024, "munmap: a hole in the layout, nothing to fetch");
	tap_ok(!vmm_do(&v, VMM_CHECK, 0, 1024, 50) && !vmm_do(&v, VMM_CHECK, 2048, 1024, 50),
	       "the rest goes on");
	end("moved and cut");
}

static void test_fork(bool push)
{
	begin(60, VMM_ANON, push, all_events);
	vmm_do(&v, VMM_CHECK, 0, 200, 60);
	vmm_do(&v, VMM_DISCARD, 10, 10, 0);
	tap_ok(!vmm_do(&v, VMM_FORK, 20, 1000, 60), "fork: a child sees pages that came and that did not");
	tap_ok(vmm_do(&v, VMM_FORK, 10, 10, 60) == 10, "and not what was discarded");
	tap_ok(tk_until(stat_of("d").descriptors == 1), "children that ended are let go of");
	tap_ok(!vmm_do(&v, VMM_CHECK, 20, DATA - 20, 60) && !vmm_do(&v, VMM_NONZERO, 10, 10, 0),
	       "the parent goes on");
	tap_ok(tk_until(!tk_stat("d").resident), "nothing is kept for them");
	end(NULL);
}

static void test_cut(void)
{
	begin(70, VMM_ANON, false, UFFD_FEATURE_EVENT_REMOVE);
	vmm_do(&v, VMM_CHECK, 0, 10, 70);
	tk_pair_detach(&pair, 0);
	vmm_tell(&v, VMM_THREADS, 0, 1024, 70);
	tk_until(stat_of("d").faults >= 14);
	tap_ok(!vmm_answered(&v), "the link is cut: faults wait");
	tk_pair_attach(&pair, 0);
	tap_ok(!vmm_hear(&v), "it is back: every page is right");
	end(NULL);
}

/* Its balloon works before anybody serves it: the discard waits for its event to be read. */
static void test_discards_first(void)
{
	struct pollfd there = { .events = POLLIN };
	int err;

	if (!vmm_start(&v, VMM_ANON, nr, UFFD_FEATURE_EVENT_REMOVE))
		tk_die("no VMM");
	source(90, false);
	vmm_tell(&v, VMM_DISCARD, 100, 50, 0);
	there.fd = v.fd;
	poll(&there, 1, -1);
	err = vmm_attach(&v, "d", true);
	tap_ok(!err && !vmm_hear(&v), "a VMM that waits in a discard already is attached: %s",
	       err ? vmm_words : "and goes on");
	tap_ok(!vmm_do(&v, VMM_NONZERO, 100, 50, 0) && !vmm_do(&v, VMM_CHECK, 0, 100, 90) &&
	       !vmm_do(&v, VMM_CHECK, 150, DATA - 150, 90),
	       "what it discarded is zero, all else is right");
	end(NULL);
}

static void test_exit_while_waiting(void)
{
	begin(80, VMM_ANON, false, UFFD_FEATURE_EVENT_REMOVE);
	tk_pair_detach(&pair, 0);
	vmm_tell(&v, VMM_THREADS, 0, 1024, 80);
	tk_until(stat_of("d").faults >= 4);
	kill(v.pid, SIGKILL);
	tap_ok(tk_reap(v.pid) == 128 + SIGKILL, "a VMM whose faults wait can be killed");
	tap_ok(tk_until(detached("d")), "and is detached");
	close(v.sock);
	close(v.fd);
	tk_pair_attach(&pair, 0);
	tk_import_end("s", "d");
}

static void test_close(void)
{
	begin(81, VMM_ANON, false, UFFD_FEATURE_EVENT_REMOVE);
	tk_pair_detach(&pair, 0);
	vmm_do(&v, VMM_CLOSE, 0, 0, 0);
	close(v.fd);
	v.fd = -1;
	vmm_tell(&v, VMM_THREADS, 0, 1024, 81);
	tk_until(stat_of("d").faults >= 4);
	tk_pair_attach(&pair, 0);
	tap_ok(!vmm_hear(&v), "a VMM that closes its descriptor is served on");
	end("closed");
}

static void test_abandon(void)
{
	int status;

	begin(82, VMM_ANON, false, UFFD_FEATURE_EVENT_REMOVE);
	tk_pair_detach(&pair, 0);
	vmm_tell(&v, VMM_CHECK, 7, 1, 82);
	tk_until(stat_of("d").faults >= 1);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	status = tk_reap(v.pid);
	tap_ok(status == 128 + SIGBUS, "abandoned: a waiting fault is SIGBUS, never zero (%d)",
	       status);
	tap_ok(tk_until(detached("d")), "and its VMM is detached");
	close(v.sock);
	close(v.fd);
	tk_pair_attach(&pair, 0);
	tk_import_end("s", "d");
}

static void test_abandon_later(void)
{
	int status;

	begin(83, VMM_ANON, false, UFFD_FEATURE_EVENT_REMOVE);
	vmm_do(&v, VMM_CHECK, 0, 10, 83);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tap_ok(tp_uffd_detach(tk_nl, "d") == -EBUSY, "not detached after an abandon: %s",
	       tp_nl_error(tk_nl));
	tap_ok(!vmm_do(&v, VMM_CHECK, 0, 10, 83), "abandoned: pages that came stay");
	vmm_tell(&v, VMM_CHECK, 100, 1, 83);
	status = tk_reap(v.pid);
	tap_ok(status == 128 + SIGBUS, "a later touch of a lost page is SIGBUS (%d)", status);
	tk_until(detached("d"));
	close(v.sock);
	close(v.fd);
	tk_import_end("s", "d");
}

/* an error, its errno and words of it */
static void refused(const char *what, int err, int want, const char *words)
{
	tap_ok(err == want && strstr(vmm_words, words), "%s: %d \"%s\"", what, err, vmm_words);
}

static int attach1(struct tp_uffd_range r, int fd, uint32_t pid)
{
	return vmm_attach_ranges(&v, "d", fd, pid, -1, true, &r, 1);
}

static void test_bad_input(void)
{
	struct tp_uffd_range r, two[2];
	struct tp_uffd_range many[3];
	int fd, p[2], err;
	struct vmm other;

	tk_new("d", nr);
	vmm_start(&v, VMM_ANON, nr, 0);
	r = (struct tp_uffd_range){ .addr = v.addr, .len = nr * TK_PAGE, .page_size = TK_PAGE };

	if (pipe(p))
		tk_die("pipe");
	refused("a pipe", attach1(r, p[0], v.pid), -EINVAL, "not a userfaultfd");
	refused("no descriptor", attach1(r, 999, v.pid), -EBADF, "no such descriptor");
	close(p[0]);
	close(p[1]);
	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	refused("a userfaultfd without a handshake", attach1(r, fd, v.pid), -EINVAL, "set up");
	close(fd);
	fcntl(v.fd, F_SETFL, 0);
	refused("blocking", attach1(r, v.fd, v.pid), -EINVAL, "O_NONBLOCK");
	fcntl(v.fd, F_SETFL, O_NONBLOCK);
	refused("no process", attach1(r, v.fd, 4194303), -ESRCH, "no process");
	err = tp_uffd_attach(tk_nl, "d", v.fd, getpid(), -1, true, &r, 1);
	tap_ok(err == -EINVAL, "the VMM itself: %s", tp_nl_error(tk_nl));

	two[0] = r;
	two[0].len = 10 * TK_PAGE;
	two[1] = two[0];
	two[1].offset = 100 * TK_PAGE;
	refused("overlapping addresses",
		vmm_attach_ranges(&v, "d", v.fd, v.pid, -1, true, two, 2), -EINVAL, "overlap in the VMM");
	two[1].addr += 10 * TK_PAGE;
	two[1].offset = 9 * TK_PAGE;
	refused("overlapping offsets",
		vmm_attach_ranges(&v, "d", v.fd, v.pid, -1, true, two, 2), -EINVAL,
		"overlap in the region");
	two[0] = r;
	two[0].addr++;
	refused("an unaligned address", attach1(two[0], v.fd, v.pid), -EINVAL, "multiples");
	two[0] = r;
	two[0].len = 100;
	refused("an unaligned length", attach1(two[0], v.fd, v.pid), -EINVAL, "multiples");
	two[0].len = 0;
	refused("an empty range", attach1(two[0], v.fd, v.pid), -EINVAL, "empty");
	two[0] = r;
	two[0].page_size = 8192;
	refused("an odd page size", attach1(two[0], v.fd, v.pid), -EINVAL, "size of pages");
	two[0] = r;
	two[0].offset = TK_PAGE;
	refused("beyond the region", attach1(two[0], v.fd, v.pid), -EINVAL, "end of the region");
	two[0] = r;
	two[0].addr = -TK_PAGE * 16;
	refused("beyond the end", attach1(two[0], v.fd, v.pid), -EINVAL, "address space");
	two[0] = r;
	two[0].addr += nr * TK_PAGE / 2;
	refused("half of it not registered", attach1(two[0], v.fd, v.pid), -ENOENT,
		"not registered");
	refused("no ranges", vmm_attach_ranges(&v, "d", v.fd, v.pid, -1, true, NULL, 0), -EINVAL,
		"ranges");

	fd = tk_open("d", O_RDONLY);
	refused("an open region", attach1(r, v.fd, v.pid), -EBUSY, "open");
	close(fd);
	tk_ok(tp_export_new_region(tk_nl, "e", "d"), "export");
	refused("an exported region", attach1(r, v.fd, v.pid), -EBUSY, "exported");
	tp_export_del(tk_nl, "e");
	tk_ok(tp_region_freeze(tk_nl, "d"), "freeze");
	refused("a frozen region", attach1(r, v.fd, v.pid), -EBUSY, "frozen");
	tk_ok(tp_region_thaw(tk_nl, "d"), "thaw");
	fd = open("/dev/null", O_RDWR);
	refused("a memfd that is none",
		vmm_attach_ranges(&v, "d", v.fd, v.pid, fd, true, &r, 1), -EINVAL, "memfd");
	close(fd);

	many[0] = r;
	many[0].len = 16 * TK_PAGE;
	tk_ok(attach1(many[0], v.fd, v.pid), "attach after all this");
	refused("the region twice", attach1(r, v.fd, v.pid), -EBUSY, "attached to the region already");
	tk_new("d2", nr);
	refused("the descriptor twice",
		vmm_attach_ranges(&v, "d2", v.fd, v.pid, -1, true, &r, 1), -EBUSY, "served already");
	vmm_start(&other, VMM_ANON, 16, 0);
	tk_del("d2");
	vmm_stop(&other);

	fd = open(TK_DIR "/d", O_RDONLY);
	tap_ok(fd < 0 && errno == EBUSY, "a bridged region cannot be opened");
	tap_ok(tp_region_freeze(tk_nl, "d") == -EBUSY, "nor frozen: %s", tp_nl_error(tk_nl));
	tap_ok(tp_export_new_region(tk_nl, "e", "d") == -EBUSY, "nor exported: %s",
	       tp_nl_error(tk_nl));
	tap_ok(tp_region_import(tk_nl, "d", pair.dst, 1, true) == -EBUSY, "nor imported into: %s",
	       tp_nl_error(tk_nl));
	tap_ok(tp_region_del(tk_nl, "d") == -EBUSY, "nor deleted: %s", tp_nl_error(tk_nl));
	tap_ok(tp_uffd_detach(tk_nl, "nothing") == -ENOENT, "detach of nothing: %s",
	       tp_nl_error(tk_nl));
	tap_ok(tk_until(!tp_uffd_detach(tk_nl, "d")) && tp_uffd_detach(tk_nl, "d") == -ENOENT,
	       "detached once: %s", tp_nl_error(tk_nl));
	vmm_stop(&v);
	tk_del("d");
}

/* a fault outside of the ranges that were given, inside of what is registered */
static void test_stray(void)
{
	struct tp_uffd_range r;
	int status;

	tk_new("d", nr);
	vmm_start(&v, VMM_ANON, nr, 0);
	r = (struct tp_uffd_range){ .addr = v.addr, .len = 16 * TK_PAGE, .page_size = TK_PAGE };
	tk_ok(attach1(r, v.fd, v.pid), "attach");
	tap_ok(!vmm_do(&v, VMM_NONZERO, 0, 16, 0), "within the layout");
	vmm_tell(&v, VMM_NONZERO, 16, 1, 0);
	status = tk_reap(v.pid);
	tap_ok(status == 128 + SIGBUS, "a fault that no range covers is SIGBUS, not a hang (%d)",
	       status);
	tap_ok(tk_until(detached("d")), "and detached");
	close(v.sock);
	close(v.fd);
	tk_del("d");
}

static void huge_pages(const char *n)
{
	tk_write_file("/proc/sys/vm/nr_hugepages", n);
}

int main(void)
{
	tk_init();
	srand(1);
	huge_pages("24");
	tk_pair_open(&pair, 1, false);
	test_kind(VMM_ANON, "anonymous", 1);
	test_push(VMM_ANON, "anonymous", 11);
	test_kind(VMM_MEMFD, "memfd", 2);
	test_push(VMM_MEMFD, "memfd", 12);
	test_kind(VMM_SHMEM, "shmem, copied", 3);
	test_kind(VMM_PRIVATE, "private", 4);
	/* a huge page asks for all of its pages at once */
	nr = NR / 2;
	test_kind(VMM_HUGE, "hugetlb", 5);
	nr = NR;
	test_push(VMM_HUGE, "hugetlb", 15);
	test_local();
	test_storm(VMM_ANON, "anonymous");
	test_storm(VMM_HUGE, "hugetlb");
	test_unmap_and_remap();
	test_fork(false);
	test_fork(true);
	test_cut();
	test_discards_first();
	test_exit_while_waiting();
	test_close();
	test_abandon();
	test_abandon_later();
	test_stray();
	test_bad_input();
	tk_pair_close(&pair);
	huge_pages("0");
	return tap_done();
}
