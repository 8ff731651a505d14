// SPDX-License-Identifier: GPL-2.0
/*
 * extents.c - very many extents, and what is left of them when they follow each other
 *
 * What a user would lose: memory, for each page that a plan tells by itself; or, where extents
 * are made one that do not belong together, a page that is not what its file has.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "files.h"

#define MANY	(1UL << 15)	/* pages, an extent for each */
#define GROUP	"/sys/fs/cgroup/tk"

/* ---- memory ---- */

struct load {
	int fd;
	bool digests, backwards, scattered;
};

/* bytes of slabs that are accounted to the group */
static long slabs(void)
{
	FILE *f = fopen(GROUP "/memory.stat", "r");
	long bytes = -1;
	char line[128];

	while (f && bytes < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, "slab ", 5))
			bytes = strtol(line + 5, NULL, 10);
	if (f)
		fclose(f);
	return bytes;
}

static int loads(void *arg)
{
	static uint8_t digest[1024][TELEPAGE_DIGEST_SIZE];
	static struct tp_extent e[1024];
	const struct load *l = arg;
	struct tp_nl *nl;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	if (tk_write_file(GROUP "/cgroup.procs", pid) || tp_nl_open(&nl))
		return 9;
	for (unsigned long i = 0; i < MANY; i += 1024) {
		for (unsigned long k = 0; k < 1024; k++) {
			unsigned long page = l->backwards ? MANY - 1 - i - k : i + k;
			unsigned long at = l->scattered ? page * 7919 % MANY : page;

			e[k] = (struct tp_extent){ .start = page, .count = 1,
						   .offset = at * TK_PAGE,
						   .digests = l->digests ? digest[k] : NULL };
		}
		if (tp_region_origin(nl, "d", l->fd, e, 1024, false, false))
			return 8;
	}
	return 0;
}

/* how much memory @l takes, or -1 */
static long taken(const struct load *l)
{
	long before = slabs(), after;
	int ret;

	tk_new("d", MANY);
	ret = tk_reap(tk_fork(loads, (void *)l));
	after = slabs();
	tap_ok(!ret && tk_stat("d").absent == MANY, "an extent for each page: %s%s",
	       l->scattered ? "scattered" : l->backwards ? "last page first" : "in order",
	       l->digests ? ", with digests" : "");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	printf("# %ld bytes\n", after - before);
	return after - before;
}

static void memory(void)
{
	long all, got;
	int fd;

	files_open();
	fd = image(IMAGE, 7, 1, 0);
	tk_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	/* also whatever is made once */
	all = slabs() < 0 ? 0 : taken(&(struct load){ .fd = fd, .scattered = true });
	if (all < (long)MANY * 48) {
		tap_skip("memory that extents take", "no memory cgroup");
	} else {
		got = taken(&(struct load){ .fd = fd });
		tap_ok(got < all / 2, "they follow each other in their file: next to no memory");
		got = taken(&(struct load){ .fd = fd, .backwards = true });
		tap_ok(got < all / 2, "told backwards they take none either");
		got = taken(&(struct load){ .fd = fd, .digests = true });
		tap_ok(got < all, "with digests little more than these are");
	}
	tk_until(!rmdir(GROUP));
	close(fd);
	tap_ok(files_close(), "the file is let go of");
}

/* ---- content ---- */

/* page @i is page @at of a file; in a message of its own */
static int one(int fd, unsigned long i, unsigned long at, bool verify)
{
	return origin("d", fd, i, 1, at, verify, false);
}

static void d_done(int fd)
{
	close(fd);
	tk_del("d");
	tap_ok(files_close(), "the file is let go of");
}

static bool all_right(const char *how)
{
	struct tp_region r;
	bool ok;

	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	ok = tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0);
	r = tk_stat("d");
	return tap_ok(ok && r.stats.file == PAGES && !r.stats.file_bad,
		      "%s: each page is right", how);
}

/* one by one, in any order: each joins what is there before it, behind it, or both */
static void one_by_one(bool verify)
{
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	tk_new("d", PAGES);
	for (unsigned long i = 0; i < 200; i++)
		tk_ok(one(fd, i, i, verify), "origin");
	for (unsigned long i = 300; i-- > 200;)
		tk_ok(one(fd, i, i, verify), "origin");
	for (unsigned long i = 300; i < PAGES; i += 2)
		tk_ok(one(fd, i, i, verify), "origin");
	for (unsigned long i = PAGES - 1; i > 300; i -= 2)
		tk_ok(one(fd, i, i, verify), "origin");
	tap_ok(one(fd, 0, 0, verify) == -EEXIST && one(fd, 250, 250, verify) == -EEXIST &&
	       one(fd, PAGES - 1, PAGES - 1, verify) == -EEXIST, "each page has its file");
	all_right(verify ? "one by one, with digests" : "one by one");
	d_done(fd);
}

/* files and places that only look as if one followed the other */
static void apart(void)
{
	struct tp_extent mixed[] = {
		{ .start = 310, .count = 1, .offset = 10 * TK_PAGE },
		{ .start = 311, .count = 1, .offset = 11 * TK_PAGE },
		{ .start = 300, .count = 1, .offset = 0 },
		{ .start = 312, .count = 1, .offset = 12 * TK_PAGE, },
		{ .start = 301, .count = 1, .offset = 2 * TK_PAGE },
		{ .start = 302, .count = 1, .offset = 4 * TK_PAGE + 512 },
	};
	const size_t nr = sizeof(mixed) / sizeof(mixed[0]);
	int fd, other, again;
	uint8_t *map, half[TK_PAGE];
	bool ok = true;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	other = image(DIR "/other", 8, PAGES, 0);
	again = open(IMAGE, O_RDONLY);
	digest_all(7);
	mixed[3].digests = digests[12];
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, 10, 0, false, false), "origin");
	tk_ok(origin("d", other, 10, 10, 10, false, false), "origin");
	tk_ok(origin("d", fd, 20, 10, 20, true, false), "origin");
	tk_ok(origin("d", again, 30, 10, 30, true, false), "origin");
	tk_ok(origin("d", fd, 40, 10, 40, false, false), "origin");
	tk_ok(tp_region_origin(tk_nl, "d", fd, mixed, nr, false, true), "origin");
	tap_ok(tk_until(tk_stat("d").stats.file == 50 + 6) && !tk_stat("d").stats.file_bad,
	       "extents of several files, with digests and without");
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	for (unsigned long i = 0; i < 50; i++)
		ok &= tk_is_page(map + i * TK_PAGE, i / 10 == 1 ? 8 : 7, i);
	tap_ok(ok, "each page is of its file");
	for (unsigned long i = 10; i < 13; i++)
		ok &= tk_is_page(map + (300 + i) * TK_PAGE, 7, i);
	if (pread(fd, half, sizeof(half), 4 * TK_PAGE + 512) != (ssize_t)sizeof(half))
		tk_die("pread: %m");
	ok &= tk_is_page(map + 300 * TK_PAGE, 7, 0) && tk_is_page(map + 301 * TK_PAGE, 7, 2);
	tap_ok(ok && !memcmp(map + 302 * TK_PAGE, half, TK_PAGE), "and of its place there");
	tk_unmap(map, PAGES);
	close(again);
	close(other);
	d_done(fd);
}

/* a message that is refused changes nothing of its neighbours */
static void refusal(void)
{
	struct tp_extent e[] = {
		{ .start = 10, .count = 5, .offset = 10 * TK_PAGE },
		{ .start = 15, .count = 5, .offset = 15 * TK_PAGE },
		{ .start = 40, .count = 2, .offset = 40 * TK_PAGE },
	};
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, 10, 0, false, false), "origin");
	tk_ok(origin("d", fd, 20, 21, 20, false, false), "origin");
	refused("some follow what is there, and one is there",
		tp_region_origin(tk_nl, "d", fd, e, 3, false, false), -EEXIST, "has a file");
	e[2].start = 12;
	refused("a page twice, in two that follow each other",
		tp_region_origin(tk_nl, "d", fd, e, 3, false, false), -EEXIST, "named twice");
	e[1].offset = UINT64_MAX / 2 - TK_PAGE;
	e[0].offset = e[1].offset - 5 * TK_PAGE;
	refused("two of which the second goes too far",
		tp_region_origin(tk_nl, "d", fd, e, 2, false, false), -EINVAL, "offset");
	tap_is((long)tk_stat("d").absent, 31, "nothing was changed");
	tk_ok(origin("d", fd, 10, 10, 10, false, false), "origin");
	tk_ok(origin("d", fd, 41, PAGES - 41, 41, false, false), "origin");
	all_right("then they are told rightly");
	d_done(fd);
}

/* what was made one is taken out, and put in, in parts */
static void parts(bool verify)
{
	struct tp_extent drop[] = { { .start = 100, .count = 50 }, { .start = 7, .count = 1 },
				    { .start = 0, .count = 2 }, { .start = 511, .count = 1 } };
	struct tp_region r;
	struct tk_pair p;
	struct tp_nl *nl;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	nl = planned(&p, 7, false);
	for (unsigned long i = 0; i < PAGES; i++)
		tk_ok(one(fd, i, i, verify), "origin");
	tk_ok(tp_plan_drop(nl, "d", drop, 4), "drop");
	/* from both ends, and the last one closes the gap */
	for (unsigned long i = 0; i < 20; i++)
		if (one(fd, 100 + i, 100 + i, verify) || one(fd, 149 - i, 149 - i, verify))
			tk_die("origin");
	tk_ok(one(fd, 7, 7, verify), "origin");
	tk_ok(one(fd, 0, 0, verify), "origin");
	tk_ok(origin("d", fd, 125, 5, 125, verify, false), "origin");
	tk_ok(origin("d", fd, 120, 5, 120, verify, false), "origin");
	tk_ok(tp_plan_drop(nl, "d", &(struct tp_extent){ .start = 120, .count = 5 }, 1), "drop");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	/* 120 to 124, 1, and 511 have none */
	tap_ok(tk_until(tk_stat("d").absent == 7), "%s: what has a file is read from it",
	       verify ? "parts of one, with digests" : "parts of one");
	r = tk_stat("d");
	tap_ok(r.stats.file == PAGES - 7 && !r.stats.file_bad && !r.stats.demand_sent,
	       "all of it, and nothing else");
	tap_ok(!wrong("d", 7, 0) && tk_stat("d").stats.file == PAGES - 7, "and the peer has the rest");
	tp_nl_close(nl);
	close(fd);
	planned_end(&p);
	tap_ok(files_close(), "the file is let go of");
}

/* extents grow while they are read; a peer has the pages that are not told yet */
static void while_read(void)
{
	unsigned long good = 0;
	struct tk_pair p;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	for (int round = 0; round < 10; round++) {
		struct tp_region r;

		tk_new("s", PAGES);
		tk_fill("s", 0, PAGES, 7);
		tk_pair_open(&p, 2, false);
		tk_import(&p, "s", "d", false);
		tk_ok(origin("d", fd, 0, 1, 0, true, true), "origin");
		for (unsigned long i = 1; i < PAGES; i++)
			tk_ok(one(fd, i, i, round % 2), "origin");
		good += tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0);
		r = tk_stat("d");
		good += r.stats.file == PAGES && !r.stats.file_bad;
		tk_import_end("s", "d");
		tk_pair_close(&p);
	}
	tap_is((long)good, 20, "they are read while there come more, each page rightly");
	close(fd);
	tap_ok(files_close(), "the file is let go of");
}

#define SWAPS	100

/* another file is given for pages while the one before is read, and found wrong */
static void swapped(void)
{
	const struct tp_extent all = { .count = PAGES, .digests = digests[0] };
	int bad, good, whole = 0;

	files_open();
	digest_all(7);
	bad = image(IMAGE, 8, PAGES, 0);
	good = image(DIR "/other", 7, PAGES, 0);
	for (int i = 0; i < SWAPS; i++) {
		tk_new("d", PAGES);
		tk_ok(origin("d", bad, 0, PAGES, 0, true, true), "origin");
		tk_nap_ms(i % 5);
		tk_ok(tp_region_origin(tk_nl, "d", good, &all, 1, true, false), "replace");
		whole += tk_wait_state("d", TELEPAGE_REGION_LOCAL);
		if (whole <= i)
			break;
		tk_del("d");
	}
	tap_is(whole, SWAPS, "pages that get another file while they are read come from that");
	if (whole < SWAPS) {
		tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
		tk_del("d");
	}
	close(bad);
	close(good);
	tap_ok(files_close(), "the files are let go of");
}

int main(void)
{
	tk_init();
	memory();
	one_by_one(false);
	one_by_one(true);
	apart();
	refusal();
	parts(false);
	parts(true);
	while_read();
	swapped();
	return tap_done();
}
