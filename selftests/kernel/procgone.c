// SPDX-License-Identifier: GPL-2.0
/*
 * procgone.c - the memory of a process as a source that goes away: unmapped, with the
 * process, or taken from it before it has ended
 */
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "procfill.h"

#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

static void test_unmap(void)
{
	struct tp_range r = { .len = PAGES(NR) };
	struct proc p;
	pid_t pid;

	proc_start(&p);
	r.addr = fill_anon(&p, NR);
	proc_must(&p, P_FILL, r.addr, NR, 41, 0);
	fill_begin(&p, &r, 1, false);
	tap_ok(!fill_differ(0, 16, 41, 0), "pages come over");
	proc_must(&p, P_MUNMAP, r.addr + PAGES(8), PAGES(64));
	pid = fill_wants(40);
	tap_ok(fill_broken(EFAULT), "a page that was unmapped breaks the region, which says why");
	tap_ok(!fill_differ(0, 16, 41, 0), "what had come before stays");
	tap_ok(!waitpid(pid, NULL, WNOHANG), "who needs it waits");
	/* something else at the same place is not what was exported */
	proc_must(&p, P_MMAP, r.addr + PAGES(8), PAGES(64), RW, ANON | MAP_FIXED, -1UL);
	proc_must(&p, P_FILL, r.addr + PAGES(8), 64, 42, 8);
	tk_pair_detach(&fill_pair, 0);
	tk_pair_attach(&fill_pair, 0);
	tap_ok(fill_broken(EFAULT) && !waitpid(pid, NULL, WNOHANG),
	       "a new mapping at its place is not given out");
	tap_ok(!fill_differ(72, 8, 41, 72) && !fill_differ(NR - 8, 8, 41, NR - 8),
	       "pages beside the hole still come");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tap_ok(tk_reap(pid) == 7, "given up, the task that needs it gets SIGBUS");
	fill_end();

	/* a mapping over it, without munmap() */
	fill_begin(&p, &(struct tp_range){ r.addr + PAGES(128), PAGES(16) }, 1, false);
	proc_must(&p, P_MMAP, r.addr + PAGES(130), PAGES(4), RW, ANON | MAP_FIXED, -1UL);
	proc_must(&p, P_FILL, r.addr + PAGES(130), 4, 43, 0);
	pid = fill_wants(3);
	tap_ok(fill_broken(EFAULT), "nor one that was put over it");
	fill_give_up(pid);
	fill_end();

	/* moved away: the old place is gone, wherever the pages are now */
	fill_begin(&p, &(struct tp_range){ r.addr + PAGES(256), PAGES(16) }, 1, false);
	proc_must(&p, P_MREMAP, r.addr + PAGES(256), PAGES(8), r.addr + PAGES(8));
	pid = fill_wants(7);
	tap_ok(fill_broken(EFAULT), "what mremap() takes away is gone");
	fill_give_up(pid);
	tap_ok(!fill_differ(8, 8, 41, 264), "the rest is not");
	fill_end();

	/* moved in: where it went is another mapping, too */
	fill_begin(&p, &(struct tp_range){ r.addr + PAGES(320), PAGES(16) }, 1, false);
	proc_must(&p, P_MREMAP, r.addr + PAGES(400), PAGES(8), r.addr + PAGES(320));
	pid = fill_wants(0);
	tap_ok(fill_broken(EFAULT), "what mremap() puts in its place is not given out");
	fill_give_up(pid);
	fill_end();
	proc_kill(&p);
}

/* while all is pushed */
static void test_unmap_under_push(void)
{
	struct tp_range r = { .len = PAGES(8 * NR) };
	unsigned long wrong = 0, got = 0;
	struct tp_region st;
	struct proc p;

	proc_start(&p);
	r.addr = fill_anon(&p, 8 * NR);
	proc_must(&p, P_FILL, r.addr, 8 * NR, 44, 0);
	fill_begin(&p, &r, 1, true);
	for (unsigned long i = 0; i < 8 * NR; i += 32) {
		proc_must(&p, P_MMAP, r.addr + PAGES(8 * NR - i - 32), PAGES(32), RW,
			  ANON | MAP_FIXED, -1UL);
		proc_must(&p, P_SET, r.addr + PAGES(8 * NR - i - 32), PAGES(32), 0xee);
	}
	tk_until(tk_stat("d").state != TELEPAGE_REGION_FILLING);
	st = tk_stat("d");
	fill_abandon();
	got += fill_came(8 * NR, 44, &wrong);
	tap_ok(!wrong && got + st.absent >= 8 * NR,
	       "mapped anew while it is pushed: no page of the new");
	tap_note("%lu of %lu pages came", got, 8 * NR);
	fill_end();
	proc_kill(&p);
}

static long anon_kb(void)
{
	return proc_kb(&(struct proc){ .pid = getpid() }, "../meminfo", "AnonPages");
}

static void test_gone(bool exec)
{
	struct tp_range r = { .len = PAGES(16 * NR) };
	const char *what = exec ? "exec" : "kill -9";
	struct tp_event ev = { 0 };
	struct tp_export ex;
	struct proc p;
	long before;
	pid_t pid;

	proc_start(&p);
	r.addr = fill_anon(&p, 16 * NR);
	proc_must(&p, P_FILL, r.addr, 16 * NR, 51, 0);
	fill_begin(&p, &r, 1, false);
	tap_ok(!fill_differ(0, 32, 51, 0), "pages come over");
	before = anon_kb();
	if (exec)
		proc_must(&p, P_EXEC, 0);
	else
		kill(p.pid, SIGKILL);
	tap_ok(tk_event(TELEPAGE_EVENT_EXPORT_LOST, NULL, 0, &ev) && !strcmp(ev.export, "p") &&
	       ev.error == ESRCH && *ev.reason, "%s: an event says that the export is lost", what);
	tk_ok(tp_export_get(tk_nl, "p", &ex), "get");
	tap_ok(ex.lost && ex.nr_ranges == 1 && ex.ranges[0].addr == r.addr,
	       "and so does the export");
	tp_export_clear(&ex);
	tap_ok(tk_until(anon_kb() < before - (long)(12 * NR * 4)),
	       "its memory is freed, the export does not keep it");
	pid = fill_wants(100);
	tap_ok(fill_broken(ESRCH), "who needs more is told what happened");
	tap_ok(!fill_differ(0, 32, 51, 0), "what has come stays");
	fill_give_up(pid);
	fill_end();
	proc_kill(&p);
}

static void test_killed_under_push(void)
{
	struct tp_range r = { .len = PAGES(8 * NR) };
	unsigned long wrong = 0, got = 0, ended = 0;

	for (unsigned int round = 0; round < 6; round++) {
		struct proc p;

		proc_start(&p);
		r.addr = fill_anon(&p, 8 * NR);
		proc_must(&p, P_FILL, r.addr, 8 * NR, 52, 0);
		fill_begin(&p, &r, 1, true);
		tk_nap_ms(round * 4);
		proc_kill(&p);
		ended += tk_until(tk_stat("d").state != TELEPAGE_REGION_FILLING);
		fill_abandon();
		got += fill_came(8 * NR, 52, &wrong);
		fill_end();
	}
	tap_ok(ended == 6, "killed during the push: whole or broken, never waiting on");
	tap_ok(!wrong, "and no page is wrong, none zero");
	tap_note("%lu of %lu pages came", got, 6 * 8 * NR);
}

/*
 * Killed, and stopped where it has all of its memory yet: it goes on to its end when it
 * is let go, as it does by itself, sooner or later.
 */
static void kill_held(const struct proc *p)
{
	int status;

	if (ptrace(PTRACE_SEIZE, p->pid, 0, PTRACE_O_TRACEEXIT) || kill(p->pid, SIGKILL) ||
	    waitpid(p->pid, &status, __WALL) != p->pid ||
	    status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8))
		tk_die("a process that is held while it ends: %m");
}

static void let_go(struct proc *p)
{
	ptrace(PTRACE_CONT, p->pid, 0, 0);
	proc_kill(p);
}

/* its memory is taken away, as the OOM killer's reaper does */
static void reap_memory(const struct proc *p)
{
	int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);

	if (fd < 0 || syscall(SYS_process_mrelease, fd, 0))
		tk_die("process_mrelease: %m");
	close(fd);
}

/*
 * What is killed for want of memory loses it before it has ended: the addresses are
 * mapped yet, and nothing is there. It must not look like memory that is zero.
 */
static void test_reaped(void)
{
	struct tp_range r = { .len = PAGES(NR) };
	struct proc p;
	long rss;
	pid_t pid;

	proc_start(&p);
	r.addr = fill_anon(&p, NR);
	proc_must(&p, P_FILL, r.addr, NR, 81, 0);
	fill_begin(&p, &r, 1, false);
	tap_ok(!fill_differ(0, 16, 81, 0), "pages come over");
	kill_held(&p);
	tap_ok(!fill_differ(16, 16, 81, 16), "killed, and has its memory yet: they still come");
	rss = proc_kb(&p, "status", "RssAnon");
	reap_memory(&p);
	/* what it has is counted by CPUs, roughly */
	tap_ok(proc_kb(&p, "status", "RssAnon") < rss - (long)(NR * 2),
	       "its memory is taken away before it has ended");
	pid = fill_wants(100);
	tap_ok(fill_broken(ESRCH), "who needs more is told so, and does not get zeros");
	tap_ok(!waitpid(pid, NULL, WNOHANG), "but waits");
	tap_ok(!fill_differ(0, 32, 81, 0), "what has come stays");
	fill_give_up(pid);
	fill_end();
	let_go(&p);
}

/* while all is pushed: anonymous memory, and pages that were the file's before */
static void test_reaped_under_push(void)
{
	struct tp_range r[2] = { { 0, PAGES(4 * NR) }, { 0, PAGES(4 * NR) } };
	unsigned long wrong = 0, got = 0, ended = 0;
	int file = memfd_create("file", 0);

	if (file < 0 || ftruncate(file, (off_t)r[1].len))
		tk_die("file: %m");
	for (unsigned int round = 0; round < 6; round++) {
		struct proc p;

		proc_start(&p);
		r[0].addr = fill_anon(&p, 4 * NR);
		r[1].addr = proc_must(&p, P_MMAP, 0, r[1].len, RW, MAP_PRIVATE, file);
		proc_must(&p, P_FILL, r[0].addr, 4 * NR, 82, 0);
		proc_must(&p, P_FILL, r[1].addr, 4 * NR, 82, 4 * NR);
		fill_begin(&p, r, 2, true);
		kill_held(&p);
		tk_nap_ms(round * 4);
		reap_memory(&p);
		ended += tk_until(tk_stat("d").state != TELEPAGE_REGION_FILLING);
		fill_abandon();
		got += fill_came(8 * NR, 82, &wrong);
		fill_end();
		let_go(&p);
	}
	tap_ok(ended == 6, "taken away during the push: whole or broken, never waiting on");
	tap_ok(!wrong, "and no page is wrong, none zero");
	tap_note("%lu of %lu pages came", got, 6 * 8 * NR);
	close(file);
}

int main(void)
{
	tk_init();
	tk_pair_open(&fill_pair, 2, false);
	test_unmap();
	test_unmap_under_push();
	test_gone(false);
	test_gone(true);
	test_killed_under_push();
	test_reaped();
	test_reaped_under_push();
	tk_pair_close(&fill_pair);
	return tap_done();
}
