// SPDX-License-Identifier: GPL-2.0
/*
 * procexport.c - the memory of a process as a source: what is read, and that nothing of
 * it is kept
 */
#include <stdio.h>
#include <sys/stat.h>

#include "procfill.h"

static int filled_file(int fd, unsigned long pages, unsigned long step, uint32_t seed)
{
	uint8_t page[TK_PAGE];

	if (fd < 0 || ftruncate(fd, PAGES(pages)))
		tk_die("file: %m");
	for (unsigned long i = 0; i < pages; i += step) {
		tk_page(page, seed, i);
		if (pwrite(fd, page, TK_PAGE, PAGES(i)) != (ssize_t)TK_PAGE)
			tk_die("write: %m");
	}
	return fd;
}

static long blocks(int fd)
{
	struct stat st;

	fstat(fd, &st);
	return st.st_blocks;
}

static void test_kinds(bool push)
{
	int file = filled_file(open("/tmp", O_TMPFILE | O_RDWR, 0600), 32, 1, 2);
	int memfd = filled_file(memfd_create("ram", 0), NR, 2, 3);
	const char *how = push ? "pushed" : "on demand";
	struct tp_range r[6];
	long rss, pte, kept;
	struct proc p;
	uint64_t a;

	proc_start(&p);
	a = fill_anon(&p, NR);				/* the first half is touched */
	proc_must(&p, P_FILL, a, NR / 2, 1, 0);
	r[0] = (struct tp_range){ a, PAGES(NR) };
	a = proc_must(&p, P_MMAP, 0, PAGES(32), RW, MAP_PRIVATE, file);
	proc_must(&p, P_FILL, a + PAGES(5), 1, 4, 5);	/* a copy of its own */
	r[1] = (struct tp_range){ a, PAGES(32) };
	a = proc_must(&p, P_MMAP, 0, PAGES(NR), RW, MAP_SHARED, memfd);
	proc_must(&p, P_LOAD, a + PAGES(8), 2);
	r[2] = (struct tp_range){ a, PAGES(NR) };
	a = fill_anon(&p, 64);				/* zero, read and written */
	proc_must(&p, P_LOAD, a, 16);
	proc_must(&p, P_SET, a + PAGES(16), PAGES(16), 0);
	r[3] = (struct tp_range){ a, PAGES(64) };
	a = proc_must(&p, P_MMAP, 0, PAGES(16), RW, MAP_SHARED | MAP_ANONYMOUS, -1UL);
	proc_must(&p, P_FILL, a, 4, 6, 0);
	r[4] = (struct tp_range){ a, PAGES(16) };
	/* a part of the first that begins and ends anywhere, after it: what is asked for counts */
	r[5] = r[4];
	r[5].addr += PAGES(2);
	r[5].len = PAGES(3);
	r[4].len = PAGES(2);

	rss = proc_kb(&p, "smaps_rollup", "Rss");
	pte = proc_kb(&p, "status", "VmPTE");
	kept = blocks(memfd);
	fill_begin(&p, r, 6, push);
	if (push)
		tap_ok(fill_complete(), "five kinds of memory: %s", how);
	tap_ok(!fill_differ(0, NR / 2, 1, 0), "anonymous memory is right, %s", how);
	tap_ok(!fill_not_zero(NR / 2, NR / 2), "what was never touched is zero");
	tap_ok(!fill_differ(NR, 5, 2, 0) && !fill_differ(NR + 5, 1, 4, 5) && !fill_differ(NR + 6, 26, 2, 6),
	       "a private mapping of a file is the file, but for what was written");
	tap_ok(tk_is_page(fill_map + PAGES(NR + 32), 3, 0) && !fill_not_zero(NR + 33, 1) &&
	       tk_is_page(fill_map + PAGES(NR + 40), 3, 8) && !fill_not_zero(NR + 41, 1) &&
	       tk_is_page(fill_map + PAGES(NR + 42), 3, 10) &&
	       tk_is_page(fill_map + PAGES(NR + 32 + NR - 2), 3, NR - 2) &&
	       !fill_not_zero(NR + 32 + NR - 1, 1),
	       "a shared file is right, mapped or not");
	tap_ok(!fill_not_zero(2 * NR + 32, 64), "zero is zero");
	tap_ok(!fill_differ(2 * NR + 96, 4, 6, 0) && !fill_not_zero(2 * NR + 100, 1),
	       "shared memory is right");
	tap_ok(proc_kb(&p, "smaps_rollup", "Rss") == rss && proc_kb(&p, "status", "VmPTE") == pte &&
	       blocks(memfd) == kept, "and the process has not got a page more");
	fill_end();
	proc_kill(&p);
	close(file);
	close(memfd);
}

static void test_huge(void)
{
	struct tp_range r = { .len = 4 << 20 };
	unsigned long nr = r.len / TK_PAGE;
	struct proc p;
	uint64_t a;
	long huge;

	proc_start(&p);
	a = (fill_anon(&p, 3 * nr) + (2 << 20) - 1) & -(2UL << 20);
	proc_must(&p, P_MADVISE, a, r.len, MADV_HUGEPAGE);
	proc_must(&p, P_FILL, a, nr / 2, 11, 0);
	proc_must(&p, P_LOAD, a + r.len / 2, 1);
	huge = proc_kb(&p, "smaps_rollup", "AnonHugePages");
	r.addr = a;
	fill_begin(&p, &r, 1, true);
	tap_ok(fill_complete() && !fill_differ(0, nr / 2, 11, 0) && !fill_not_zero(nr / 2, nr / 2),
	       "huge pages, one of them the huge zero page");
	if (huge <= 0)
		tap_note("the kernel gave none");
	tap_ok(proc_kb(&p, "smaps_rollup", "AnonHugePages") == huge, "and they stay huge");
	fill_end();
	proc_kill(&p);

	if (tk_write_file("/proc/sys/vm/nr_hugepages", "2")) {
		tap_skip("hugetlb pages", "none");
		return;
	}
	proc_start(&p);
	a = proc_do(&p, P_MMAP, 0, 2 << 20, RW, ANON | MAP_HUGETLB, -1UL);
	if ((long)a > 0 || (long)a < -4096) {
		struct tp_range h[2] = { { a + PAGES(3), PAGES(7) }, { 0, PAGES(8) } };

		proc_must(&p, P_FILL, a, 16, 12, 0);
		h[1].addr = proc_must(&p, P_MMAP, 0, 2 << 20, RW, ANON | MAP_HUGETLB, -1UL);
		fill_begin(&p, h, 2, true);
		tap_ok(fill_complete() && !fill_differ(0, 7, 12, 3) && !fill_not_zero(7, 8),
		       "hugetlb pages, touched and not");
		fill_end();
	} else {
		tap_skip("hugetlb pages", "no memory for them");
	}
	proc_kill(&p);
	tk_write_file("/proc/sys/vm/nr_hugepages", "0");
}

static void test_ksm(void)
{
	char text[32];
	struct tp_range r = { .len = PAGES(64) };
	long sharing;
	struct proc p;

	if (tk_write_file("/sys/kernel/mm/ksm/run", "1")) {
		tap_skip("pages merged by KSM", "the kernel has none");
		return;
	}
	tk_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "0");
	tk_write_file("/sys/kernel/mm/ksm/pages_to_scan", "10000");
	proc_start(&p);
	r.addr = fill_anon(&p, 64);
	proc_must(&p, P_SET, r.addr, PAGES(64), 0x5a);
	proc_must(&p, P_MADVISE, r.addr, r.len, MADV_MERGEABLE);
#define SHARING atol(tk_cat("/sys/kernel/mm/ksm/pages_sharing", text, sizeof(text)))
	tap_ok(tk_until(SHARING >= 60), "KSM merges pages");
	tk_write_file("/sys/kernel/mm/ksm/run", "0");
	sharing = SHARING;
	fill_begin(&p, &r, 1, true);
	tap_ok(fill_complete() && fill_map[0] == 0x5a && !memcmp(fill_map, fill_map + 1, PAGES(64) - 1),
	       "merged pages are right");
	tap_ok(SHARING == sharing, "and stay merged");
#undef SHARING
	fill_end();
	proc_kill(&p);
}

static void test_swap(void)
{
	struct tp_range r[2] = { { 0, PAGES(NR) }, { 0, PAGES(NR) } };
	struct proc p;

	if (system("modprobe brd rd_nr=1 rd_size=65536 2>/dev/null && mkswap /dev/ram0 >/dev/null && swapon /dev/ram0")) {
		tap_skip("swapped out", "no swap in this kernel");
		return;
	}
	proc_start(&p);
	r[0].addr = fill_anon(&p, NR);
	proc_must(&p, P_FILL, r[0].addr, NR, 21, 0);
	r[1].addr = proc_must(&p, P_MMAP, 0, PAGES(NR), RW, MAP_SHARED | MAP_ANONYMOUS, -1UL);
	proc_must(&p, P_FILL, r[1].addr, NR, 22, 0);
	proc_must(&p, P_MADVISE, r[0].addr, r[0].len, MADV_PAGEOUT);
	proc_must(&p, P_MADVISE, r[1].addr, r[1].len, MADV_PAGEOUT);
	tap_ok(proc_kb(&p, "smaps_rollup", "Swap") >= (long)(NR * 4), "pages are swapped out");
	fill_begin(&p, r, 2, true);
	tap_ok(fill_complete() && !fill_differ(0, NR, 21, 0) && !fill_differ(NR, NR, 22, 0),
	       "what is swapped out is brought back and right");
	fill_end();
	proc_kill(&p);
	if (system("swapoff /dev/ram0 && rmmod brd"))
		tap_note("the swap stays");
}

static void test_discard(void)
{
	struct tp_range r = { .len = PAGES(NR) };
	unsigned long other = 0, zero = 0;
	struct proc p;

	proc_start(&p);
	r.addr = fill_anon(&p, NR);
	proc_must(&p, P_FILL, r.addr, NR, 31, 0);
	proc_must(&p, P_MADVISE, r.addr, PAGES(NR / 2), MADV_DONTNEED);
	fill_begin(&p, &r, 1, false);
	tap_ok(!fill_not_zero(0, 8) && !fill_differ(NR / 2, 8, 31, NR / 2), "what was discarded is zero");
	proc_must(&p, P_MADVISE, r.addr + PAGES(NR - 8), PAGES(8), MADV_DONTNEED);
	tap_ok(!fill_not_zero(NR - 8, 8), "also when that happens during the fill");
	fill_end();

	for (unsigned int round = 0; round < 8; round++) {
		struct proc q;

		proc_start(&q);
		r.addr = fill_anon(&q, NR);
		proc_must(&q, P_FILL, r.addr, NR, 32, 0);
		fill_begin(&q, &r, 1, round & 1);
		proc_must(&q, P_DISCARD, r.addr, r.len, round & 2 ? NR : 1);
		for (unsigned long i = 0; i < NR; i++) {
			if (tk_is_zero(fill_map + PAGES(i), TK_PAGE))
				zero++;
			else if (!tk_is_page(fill_map + PAGES(i), 32, i))
				other++;
		}
		tk_until(!tk_stat("d").absent);
		other += tk_stat("d").absent;
		fill_end();
		proc_kill(&q);
	}
	tap_ok(!other, "discarded all the time: each page is what it was, or zero");
	tap_note("%lu of %lu pages were zero", zero, 8 * NR);
	proc_kill(&p);
}

/* a private mapping of a file: what is discarded is the file's again */
static void test_discard_file(void)
{
	int file = filled_file(memfd_create("f", 0), NR, 1, 33);
	struct tp_range r = { .len = PAGES(NR) };
	unsigned long wrong = 0;

	for (unsigned int round = 0; round < 4; round++) {
		struct proc p;

		proc_start(&p);
		r.addr = proc_must(&p, P_MMAP, 0, r.len, RW, MAP_PRIVATE, file);
		proc_must(&p, P_FILL, r.addr, NR, 33, 0);
		fill_begin(&p, &r, 1, round & 1);
		proc_must(&p, P_DISCARD, r.addr, r.len, round & 2 ? NR : 1);
		wrong += fill_differ(0, NR, 33, 0);
		fill_end();
		proc_kill(&p);
	}
	tap_ok(!wrong, "so are private pages of a file, which are the file's again");
	close(file);
}

static void test_mprotect_and_uffd(void)
{
	struct tp_range r = { .len = PAGES(NR) };
	struct proc p;
	pid_t pid;

	proc_start(&p);
	r.addr = fill_anon(&p, NR);
	proc_must(&p, P_FILL, r.addr, NR / 2, 45, 0);
	fill_begin(&p, &r, 1, false);
	proc_must(&p, P_MPROTECT, r.addr, PAGES(8), PROT_NONE);
	pid = fill_wants(3);
	tap_ok(fill_broken(EACCES), "a page that the process may not read itself");
	/* the region heals when the page can be had and a lane asks again */
	proc_must(&p, P_MPROTECT, r.addr, PAGES(8), PROT_READ);
	tk_pair_detach(&fill_pair, 0);
	tk_pair_attach(&fill_pair, 0);
	tap_ok(tk_reap(pid) == 0 && !fill_differ(0, 8, 45, 0), "and when it may again, it comes");
	if (proc_do(&p, P_UFFD, r.addr, r.len) < 0) {
		tap_skip("userfaultfd", "not in this kernel");
	} else {
		tap_ok(!fill_differ(8, 8, 45, 8), "under a userfaultfd what is there comes");
		pid = fill_wants(NR / 2 + 1);
		tap_ok(fill_broken(EBUSY), "what is to come from its handler is not zero");
		fill_give_up(pid);
	}
	fill_end();
	proc_kill(&p);
}

static long free_kb(void)
{
	tk_write_file("/proc/sys/vm/drop_caches", "3");
	return proc_kb(&(struct proc){ .pid = getpid() }, "../meminfo", "MemFree");
}

/*
 * In a process that lives on and one that ends, in turn. What else needs memory
 * meanwhile does not need as much in each round; what is kept is.
 */
static void test_nothing_is_kept(void)
{
	struct tp_range r = { .len = PAGES(16 * NR) };
	unsigned int round, tries, kept = 0, rounds = 4;

	for (round = 0; round < rounds; round++) {
		long before = free_kb(), most = 8 * NR * 4;
		struct proc p;

		proc_start(&p);
		r.addr = fill_anon(&p, 16 * NR);
		proc_must(&p, P_FILL, r.addr, 16 * NR, 71, 0);
		fill_begin(&p, &r, 1, true);
		if (!fill_complete())
			tk_die("the region does not fill");
		if (round % 2)
			proc_must(&p, P_MADVISE, r.addr, r.len, MADV_DONTNEED);
		proc_kill(&p);
		fill_end();
		/* sockets that were closed may still hold some for a moment */
		for (tries = 0; tries < 50 && free_kb() < before - most; tries++)
			tk_nap_ms(50);
		kept += free_kb() < before - most;
	}
	tap_ok(kept < rounds, "no page is held after it was sent (in %u of %u rounds)", kept,
	       rounds);
}

static void test_fork(void)
{
	struct tp_range r = { .len = PAGES(NR) };
	struct proc p;
	long child;

	proc_start(&p);
	r.addr = fill_anon(&p, NR);
	proc_must(&p, P_FILL, r.addr, NR, 61, 0);
	fill_begin(&p, &r, 1, false);
	tap_ok(!fill_differ(0, 8, 61, 0), "pages come over");
	child = proc_must(&p, P_FORK, r.addr, PAGES(NR / 2));
	tk_nap_ms(100);
	tap_ok(!fill_differ(8, NR - 8, 61, 8), "a child of the process writes its own pages");
	kill((pid_t)child, SIGKILL);
	fill_end();
	proc_kill(&p);
}

static void test_shown(void)
{
	struct tp_range r[64];
	struct tp_export ex;
	struct proc p;
	uint64_t a;
	int fd, i, err;
	bool same = true;

	proc_start(&p);
	a = fill_anon(&p, 256);
	for (i = 0; i < 64; i++)
		r[i] = (struct tp_range){ a + PAGES(4 * (63 - i)), PAGES(1 + i % 4) };
	fd = proc_mem(&p);
	err = tp_export_new_pid(tk_nl, "p", "somebody", p.pid, fd, r, 64);
	tk_ok(err, "export");
	tk_ok(tp_export_get(tk_nl, "p", &ex), "get");
	for (i = 0; i < 64; i++)
		same &= ex.ranges[i].addr == r[i].addr && ex.ranges[i].len == r[i].len;
	tap_ok(same && ex.nr_ranges == 64 && ex.pid == (uint32_t)p.pid && !ex.lost && ex.open &&
	       ex.size == PAGES(160) && !*ex.region, "an export shows its process and 64 ranges");
	tp_export_clear(&ex);
	tap_ok(!strcmp(tp_event_name(TELEPAGE_EVENT_EXPORT_LOST), "export-lost"), "the event has a name");
	tk_ok(tp_export_del(tk_nl, "p"), "release");
	close(fd);
	proc_kill(&p);
}

int main(void)
{
	tk_init();
	tk_pair_open(&fill_pair, 2, false);
	test_shown();
	test_kinds(true);
	test_kinds(false);
	test_huge();
	test_ksm();
	test_swap();
	test_discard();
	test_discard_file();
	test_mprotect_and_uffd();
	test_fork();
	test_nothing_is_kept();
	tk_pair_close(&fill_pair);
	return tap_done();
}
