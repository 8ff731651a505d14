// SPDX-License-Identifier: GPL-2.0
/*
 * origin.c - pages of a region come from local files
 *
 * What a user would lose: a page that is not what the source has, a VM that hangs
 * because of a file, pages that cross the network although they are here.
 */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/uio.h>

#include "files.h"

static void lazy(void)
{
	struct tp_region r;
	uint8_t *map;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 5);
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, PAGES, 0, false, false), "origin");
	close(fd);
	r = tk_stat("d");
	tap_ok(r.state == TELEPAGE_REGION_FILLING && r.absent == PAGES && !r.resident,
	       "nothing is read before it is touched");
	map = tk_map("d", PAGES, PROT_READ | PROT_WRITE, MAP_SHARED);
	tap_ok(tk_is_page(map + 6 * TK_PAGE, 7, 6), "a touched page has the file's content");
	map[7 * TK_PAGE] = 1;
	tap_ok(map[7 * TK_PAGE] == 1 && tk_is_zero(map + 10 * TK_PAGE, TK_PAGE),
	       "one is written to, one is a hole");
	/* a page may be touched before it is counted: who waits for it goes on first */
	tap_ok(tk_until(tk_stat("d").absent == PAGES - 3) && tk_stat("d").stats.file == 2 &&
	       tk_stat("d").stats.zero == 1, "the others are still in the file");
	tap_ok(umount(DIR) && errno == EBUSY, "which is held as long as it is needed");
	fd = tk_open("d", O_RDWR);
	tap_ok(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 11 * TK_PAGE,
			 TK_PAGE) == 0 && tk_is_zero(map + 11 * TK_PAGE, TK_PAGE),
	       "a page that was discarded is zero, not the file's");
	close(fd);
	tk_unmap(map, PAGES);
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL), "asked to, it reads them all");
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_COMPLETE, "d", 0, NULL), "an event tells so");
	tap_ok(wrong("d", 7, 5) == 2, "all but what was written and discarded is the file's");
	tap_ok(files_close(), "and the file is let go of");
}

/* each page from elsewhere in the file, one extent each */
static void scattered(void)
{
	struct tp_extent e[PAGES];
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	for (unsigned long i = 0; i < PAGES; i++)
		e[i] = (struct tp_extent){ .start = PAGES - 1 - i, .count = 1,
					   .offset = (PAGES - 1 - i) * TK_PAGE,
					   .digests = digests[PAGES - 1 - i] };
	digest_all(7);
	tk_new("d", PAGES);
	tk_ok(tp_region_origin(tk_nl, "d", fd, e, PAGES, false, true), "origin");
	close(fd);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0) &&
	       tk_stat("d").stats.file == PAGES, "an extent for each page, with digests");
	tk_del("d");
	tap_ok(files_close(), "the file is let go of");
}

/* the image misses every third page, and has rubbish in some: they come from the peer */
static void with_peer(void)
{
	unsigned long spoiled = 0, cut = PAGES - 40;
	struct tk_pair p;
	struct tp_region r;
	uint32_t id;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	for (unsigned long i = 0; i < cut; i += 10, spoiled++)
		spoil(fd, i);
	if (ftruncate(fd, cut * TK_PAGE + 100))	/* a part of a page is none */
		tk_die("ftruncate: %m");
	tk_new("s", PAGES);
	tk_fill("s", 0, PAGES, 7);
	tk_pair_open(&p, 2, false);
	id = tk_serve(&p, "s");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, PAGES, 0, true, false), "origin");
	close(fd);
	tk_ok(tp_region_import(tk_nl, "d", p.dst, id, true), "import");
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL), "a region with files and a peer completes");
	tap_ok(!wrong("d", 7, 0), "every page is the source's, whatever the file had");
	r = tk_stat("d");
	tap_is((long)r.stats.file_bad, (long)(spoiled + 40), "what the file had not is counted");
	tap_is((long)(r.stats.demand + r.stats.push), (long)(spoiled + 40),
	       "only that crossed the link");
	tap_is((long)r.stats.file, (long)(PAGES - spoiled - 40), "the rest came from the file");
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_del("s");
	tk_pair_close(&p);
	tap_ok(files_close(), "the file is let go of");
}

static void *reads(void *arg)
{
	uint8_t page[TK_PAGE];
	int fd = tk_open("d", O_RDONLY);
	bool ok = pread(fd, page, sizeof(page), 100 * TK_PAGE) == sizeof(page) &&
		  tk_is_page(page, 7, 100);

	close(fd);
	return ok ? arg : NULL;
}

static int touches(void *arg)
{
	uint8_t *map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);

	return tk_load(map + *(unsigned long *)arg * TK_PAGE) == -SIGBUS ? 7 : 0;
}

/* nobody else has the page: whoever needs it waits until there is another file */
static void alone(void)
{
	unsigned long spoiled = 200, lost = 300;
	struct tp_event ev;
	struct iovec io;
	uint8_t page[TK_PAGE];
	pthread_t t;
	void *ret;
	pid_t pid;
	int fd, d;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	spoil(fd, 100);
	spoil(fd, 200);
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, PAGES, 0, true, false), "origin");
	d = tk_open("d", O_RDONLY);
	io = (struct iovec){ page, sizeof(page) };
	tap_ok(preadv2(d, &io, 1, 50 * TK_PAGE, RWF_NOWAIT) < 0 && errno == EAGAIN &&
	       tk_until(preadv2(d, &io, 1, 50 * TK_PAGE, RWF_NOWAIT) == TK_PAGE) &&
	       tk_is_page(page, 7, 50), "who may not wait gets the page read, and then has it");
	close(d);
	t = tk_thread(reads, &d);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, &ev) && ev.error == EBADMSG,
	       "a page that is not what its digest says breaks the region");
	pid = tk_fork(touches, &spoiled);
	tk_nap_ms(200);
	tap_ok(!kill(pid, SIGKILL) && tk_reap(pid) == 128 + SIGKILL, "who waits for one can be killed");
	close(fd);
	fd = image(DIR "/other", 7, PAGES, 0);
	tap_is(origin("d", fd, 100, 1, 100, true, false), -EEXIST,
	       "a file for it is refused while it has one");
	tap_ok(tp_region_origin(tk_nl, "d", fd,
				&(struct tp_extent){ .count = PAGES, .digests = digests[0] }, 1, true,
				false) == 0, "all of its extents can be replaced");
	pthread_join(t, &ret);
	tap_ok(ret, "then the reader gets what it waited for");
	if (ftruncate(fd, 150 * TK_PAGE))
		tk_die("ftruncate: %m");
	close(fd);
	pid = tk_fork(touches, &lost);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, &ev) && ev.error == EIO,
	       "a file that became shorter breaks it, too");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tap_is(tk_reap(pid), 7, "given up, it is SIGBUS, never zero");
	tap_ok(tk_until(!tp_region_del(tk_nl, "d")), "and the region can be deleted");
	tap_ok(files_close(), "the files are let go of");
}

static int reads_third(void *arg)
{
	uint8_t page[TK_PAGE];

	return pread(*(int *)arg, page, sizeof(page), 3 * TK_PAGE) != (ssize_t)sizeof(page) ||
	       !tk_is_page(page, 7, 3);
}

static void refusals(void)
{
	const struct tp_extent twice[] = { { .start = 2, .count = 4 }, { .start = 5, .count = 1 } };
	int fd, p[2], w, own, second;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	w = open(IMAGE, O_WRONLY);
	if (pipe(p))
		tk_die("pipe: %m");
	tk_new("d", PAGES);
	refused("no such region", origin("nope", fd, 0, 1, 0, false, false), -ENOENT, "no region");
	refused("a bad descriptor", origin("d", 999, 0, 1, 0, false, false), -EBADF, "descriptor");
	refused("a pipe", origin("d", p[0], 0, 1, 0, false, false), -EINVAL, "no file");
	refused("a file that cannot be read", origin("d", w, 0, 1, 0, false, false), -EBADF,
		"not open for reading");
	refused("no pages", origin("d", fd, 0, 0, 0, false, false), -ERANGE, "empty");
	refused("pages outside", origin("d", fd, PAGES, 1, 0, false, false), -ERANGE, "not within");
	refused("more pages than there are", origin("d", fd, 1, PAGES, 0, false, false), -ERANGE,
		"not within");
	refused("a number of pages that wraps", origin("d", fd, 1, UINT64_MAX, 0, false, false),
		-ERANGE, "not within");
	refused("an offset that is too large",
		tp_region_origin(tk_nl, "d", fd, &(struct tp_extent){ .count = 1,
				 .offset = UINT64_MAX }, 1, false, false), -EINVAL, "offset");
	refused("nothing at all", tp_region_origin(tk_nl, "d", fd, NULL, 0, false, false), -EINVAL,
		"neither");
	refused("filling without a file", tp_region_origin(tk_nl, "d", fd, NULL, 0, false, true),
		-EINVAL, "no page");
	tap_ok(tk_stat("d").state == TELEPAGE_REGION_LOCAL && !tk_stat("d").absent,
	       "none of this changed anything");
	tk_ok(origin("d", fd, 0, 10, 0, false, false), "origin");
	refused("a page that has a file", origin("d", fd, 9, 5, 0, false, false), -EEXIST,
		"has a file already");
	tap_ok(tk_stat("d").absent == 10, "and its neighbours have none from that");
	own = tk_open("d", O_RDONLY);
	refused("a region that was used", origin("d", fd, 20, 1, 0, false, false), 0, "");
	tap_ok(tk_stat("d").absent == 10, "  (it makes no page absent any more)");
	refused("other files for a page that is named twice",
		tp_region_origin(tk_nl, "d", fd, twice, 2, true, false), -EEXIST, "twice");
	tap_ok(!tk_reap(tk_fork(reads_third, &own)), "and it has the one that it had");
	tk_new("e", PAGES);
	tk_fill("e", 0, PAGES, 9);
	refused("pages that are here", origin("e", fd, 0, 1, 0, false, false), -EBUSY, "absent");
	second = tk_open("e", O_RDONLY);
	refused("a region that is younger", origin("d", second, 10, 1, 0, false, false), -EINVAL,
		"older");
	refused("the region itself", origin("d", own, 10, 1, 0, false, false), -EINVAL, "older");
	tk_new("f", PAGES);
	tk_ok(origin("f", second, 0, PAGES, 0, false, true), "origin");
	tap_ok(tk_wait_state("f", TELEPAGE_REGION_LOCAL) && !wrong("f", 9, 0),
	       "a region can be the origin of another");
	close(own);
	close(second);
	close(p[0]);
	close(p[1]);
	close(w);
	close(fd);
	tk_del("f");
	tk_del("e");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	tap_ok(files_close(), "the file is let go of");
}

struct touch {
	unsigned long page;
	uint32_t seed;
};

static int touches_right(void *arg)
{
	const struct touch *t = arg;
	uint8_t *map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	bool ok = tk_is_page(map + t->page * TK_PAGE, t->seed, t->page);

	tk_unmap(map, PAGES);
	return !ok;
}

/* the source writes on while its pages are found in a file */
static void while_it_runs(void)
{
	struct tp_extent stale[] = { { .start = 0, .count = 10 }, { .start = 100, .count = 1 } };
	struct tp_extent again = { .start = 100, .count = 1, .offset = 100 * TK_PAGE };
	unsigned long bad = 0;
	struct tk_pair p;
	struct tp_nl *nl;
	struct tp_region r;
	uint8_t *map;
	pid_t pid;
	int fd;

	files_open();
	fd = image(IMAGE, 6, PAGES, 0);
	digest_all(6);
	nl = planned(&p, 6, true);
	tk_ok(origin("d", fd, 0, PAGES, 0, true, false), "origin");
	refused("holding what imports already", tp_plan_hold(tk_nl, "d"), -EBUSY, "before");
	tk_fill("s", 0, 10, 8);
	tk_fill("s", 100, 1, 8);
	pid = tk_fork(touches_right, &(struct touch){ 20, 6 });
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(!tk_reap(pid), "a page that is needed before the plan is ready comes from the peer");
	r = tk_stat("d");
	tap_ok(!r.stats.file && !r.stats.push && r.stats.demand == 1,
	       "no file is used and nothing is pushed before");
	tk_ok(tp_plan_drop(nl, "d", stale, 2), "drop");
	tk_ok(tp_plan_planned(nl, "d", 50), "planned");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	tap_ok(tk_until(tk_stat("d").stats.push == 10 && tk_stat("d").absent == 1),
	       "then what was written since is pushed, as far as the plan goes");
	/* what the planner looks at once more has a file again */
	again.digests = digests[100];
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map + 100 * TK_PAGE, 8, 100), "a dropped page is needed: it is the source's");
	tk_unmap(map, PAGES);
	refused("a file for a region that is complete",
		tp_region_origin(tk_nl, "d", fd, &again, 1, false, false), -EBUSY, "absent");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL), "the region completes");
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	for (unsigned long i = 0; i < PAGES; i++)
		bad += !tk_is_page(map + i * TK_PAGE, i < 10 || i == 100 ? 8 : 6, i);
	tk_unmap(map, PAGES);
	tap_is((long)bad, 0, "every page is what the source had when it was frozen");
	r = tk_stat("d");
	tap_ok(r.stats.file == PAGES - 12 && !r.stats.file_bad,
	       "all others came from the file, none in vain");
	tp_nl_close(nl);
	close(fd);
	planned_end(&p);
	tap_ok(files_close(), "the file is let go of");
}

/* a planner that ends before its time */
static void planner_gone(void)
{
	struct tk_pair p;
	struct tp_nl *nl;
	struct tp_region r;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	nl = planned(&p, 7, true);
	tk_ok(origin("d", fd, 0, PAGES / 2, 0, true, false), "origin");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tp_nl_close(nl);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0),
	       "a planner ends before its plan is ready: all pages are pushed");
	tap_ok(tk_stat("d").stats.push == PAGES && !tk_stat("d").stats.file,
	       "and its files are not used");
	planned_end(&p);

	nl = planned(&p, 7, true);
	tk_ok(origin("d", fd, 0, PAGES / 2, 0, true, false), "origin");
	tp_nl_close(nl);
	/* by a worker of its, which is killed a moment later than it */
	tk_ok(tp_plan_planned(tk_nl, "d", 50), "planned");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0),
	       "what is planned behind its end holds nothing back");
	planned_end(&p);

	nl = planned(&p, 7, true);
	tk_ok(origin("d", fd, 0, PAGES / 2, 0, true, false), "origin");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	tap_ok(tk_until(tk_stat("d").absent == PAGES / 2) && !tk_stat("d").stats.push,
	       "a plan that has got no further than this: nothing is pushed");
	/* reading ahead has come to its end by now */
	tk_ok(origin("d", fd, PAGES / 2, 50, PAGES / 2, true, false), "origin");
	tap_ok(tk_until(tk_stat("d").absent == PAGES / 2 - 50),
	       "what the plan finds later is read ahead, too");
	tp_nl_close(nl);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0),
	       "its planner ends: all of it comes");
	r = tk_stat("d");
	tap_ok(r.stats.file == PAGES / 2 + 50 && r.stats.push == PAGES / 2 - 50, "each page once");
	close(fd);
	planned_end(&p);
	tap_ok(files_close(), "the file is let go of");
}

/* a page that was asked for, gets a file, and then the link is lost: who has it? */
static void late_file(void)
{
	struct tk_pair p;
	pid_t pid;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	tk_new("s", PAGES);
	tk_fill("s", 0, PAGES, 7);
	tk_pair_open(&p, 2, false);
	tk_import(&p, "s", "d", false);
	pid = tk_fork(touches_right, &(struct touch){ 5, 7 });
	/* the source answers nothing before it is frozen */
	tk_until(tk_stat("d").stats.demand_sent == 1);
	tk_ok(origin("d", fd, 0, 10, 0, true, false), "origin");
	tk_pair_detach(&p, 0);
	tk_pair_attach(&p, 0);
	tap_ok(!tk_reap(pid) && tk_stat("d").stats.file == 1,
	       "a page that got its file after it was asked for comes when its link was lost");
	tk_import_end("s", "d");
	tk_pair_close(&p);
	close(fd);
	tap_ok(files_close(), "the file is let go of");
}

/* "c" and "e" import what "s" has; "e" is to have its pages from "c", which gets none by itself */
static void two_of_one(struct tk_pair *p)
{
	uint32_t id;
	int fd;

	files_open();
	digest_all(7);
	tk_new("s", PAGES);
	tk_fill("s", 0, PAGES, 7);
	tk_pair_open(p, 2, false);
	tk_import(p, "s", "c", false);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_export_new_region(tk_nl, "s2", "s"), "export");
	tk_ok(tp_export_serve(tk_nl, "s2", p->src, &id), "serve");
	fd = tk_open("c", O_RDONLY);
	tk_new("e", PAGES);
	tk_ok(origin("e", fd, 0, PAGES, 0, true, false), "origin");
	tk_ok(tp_region_import(tk_nl, "e", p->dst, id, true), "import");
	tk_ok(tp_region_origin(tk_nl, "e", -1, NULL, 0, false, true), "fill");
	close(fd);
}

static void two_of_one_end(struct tk_pair *p)
{
	tk_del("e");
	tk_ok(tp_export_del(tk_nl, "s2"), "release");
	tk_import_end("s", "c");
	tk_pair_close(p);
	tap_ok(files_close(), "nothing is left");
}

/* the same pages in two regions: they cross the link once */
static void shared(void)
{
	struct tk_pair p;
	struct tp_region r;
	uint8_t *map;

	two_of_one(&p);
	map = tk_map("e", PAGES, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map + 3 * TK_PAGE, 7, 3) && tk_stat("e").stats.demand == 1,
	       "a page that is absent in the other region, too, is asked of the peer");
	tk_unmap(map, PAGES);
	tap_ok(!wrong("c", 7, 0) && tk_wait_state("c", TELEPAGE_REGION_LOCAL), "the other has all of it");
	tap_ok(tk_wait_state("e", TELEPAGE_REGION_LOCAL) && !wrong("e", 7, 0), "then this one has");
	r = tk_stat("e");
	tap_ok(r.stats.file == PAGES - 1 && !r.stats.push && !r.stats.file_bad,
	       "and nothing crossed the link twice");
	two_of_one_end(&p);
}

/* the region whose pages are to be had gets none: it is only read into where it is touched */
static void standing_still(void)
{
	struct tk_pair p;
	struct tp_region r;

	two_of_one(&p);
	tap_ok(tk_wait_state("e", TELEPAGE_REGION_LOCAL) && !wrong("e", 7, 0),
	       "a region whose files get nothing any more has all of it from its peer");
	r = tk_stat("e");
	tap_ok(r.stats.push == PAGES && tk_stat("c").absent == PAGES, "and leaves them as they are");
	two_of_one_end(&p);
}

static int reads_right(void *arg)
{
	const struct touch *t = arg;
	uint8_t page[TK_PAGE];
	int fd = tk_open("e", O_RDONLY);

	return pread(fd, page, sizeof(page), t->page * TK_PAGE) != (ssize_t)sizeof(page) ||
	       !tk_is_page(page, t->seed, t->page);
}

/* "e", whose file is "d", whose file is @fd; @d: "d" as it is open for that */
static void chain_end(int d, int fd)
{
	close(d);
	close(fd);
	tk_ok(tp_region_abandon(tk_nl, "e"), "abandon");
	tk_del("e");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	tap_ok(files_close(), "the file is let go of");
}

/* a region whose file is another one, which nobody has told to read anything */
static void chained(void)
{
	int fd, middle;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, PAGES, 0, false, false), "origin");
	middle = tk_open("d", O_RDONLY);
	tk_new("e", PAGES);
	tk_ok(origin("e", middle, 0, PAGES, 0, false, false), "origin");
	tap_ok(!tk_reap(tk_fork(reads_right, &(struct touch){ 5, 7 })),
	       "a page that is needed is read through two regions");
	tap_ok(tk_stat("d").stats.file == 1 && tk_stat("e").stats.file == 1,
	       "and no other one");
	chain_end(middle, fd);
}

#define CROWD	600	/* more regions than there are workers for all of them */

static int crowd_reads_right(void *arg)
{
	uint8_t page[TK_PAGE];
	int fd = tk_open(arg, O_RDONLY);

	return pread(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page) || !tk_is_page(page, 7, 0);
}

/* many regions wait for one, which must be read all the same */
static void crowd(void)
{
	pid_t needs[CROWD / 2];
	int fd, one, right = 0, filled = 0;
	char name[16];

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	tk_new("d", PAGES);
	tk_ok(tp_plan_hold(tk_nl, "d"), "hold");
	tk_ok(origin("d", fd, 0, PAGES, 0, false, false), "origin");
	one = tk_open("d", O_RDONLY);
	for (int i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		tk_new(name, 1);
		tk_ok(origin(name, one, 0, 1, 0, false, i % 2), "origin");
		if (!(i % 2))
			needs[i / 2] = tk_fork(crowd_reads_right, name);
	}
	tk_ok(tp_plan_ready(tk_nl, "d"), "ready");
	for (int i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		filled += tk_wait_state(name, TELEPAGE_REGION_LOCAL);
		if (!(i % 2))
			right += !tk_reap(needs[i / 2]);
		tk_del(name);
	}
	tap_is(filled, CROWD, "many regions that wait for one have what they wait for");
	tap_is(right, CROWD / 2, "  and it is right");
	close(one);
	close(fd);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL), "so has the one");
	tk_del("d");
	tap_ok(files_close(), "the file is let go of");
}

#define AWAITED	262144UL	/* pages: a look at all of them takes longer than a request waits */

static int reads_first(void *arg)
{
	uint8_t page[TK_PAGE];
	int fd = tk_open(arg, O_RDONLY);

	return pread(fd, page, sizeof(page), 0) != (ssize_t)sizeof(page);
}

/* somebody waits for a page that cannot be had, and the others are read ahead all the same */
static void waits_alone(void)
{
	pid_t pid;
	int fd, d;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	tk_new("d", AWAITED);
	tk_ok(tp_plan_hold(tk_nl, "d"), "hold");
	tk_ok(origin("d", fd, 0, AWAITED, 0, false, false), "origin");
	d = tk_open("d", O_RDONLY);
	tk_new("e", AWAITED + PAGES);
	tk_ok(origin("e", d, 0, AWAITED, 0, false, false), "origin");
	tk_ok(origin("e", fd, AWAITED, PAGES, 0, false, false), "origin");
	pid = tk_fork(reads_first, "e");
	tk_nap_ms(200);
	tk_ok(tp_region_origin(tk_nl, "e", -1, NULL, 0, false, true), "fill");
	tap_ok(tk_until(tk_stat("e").absent == AWAITED),
	       "what can be had is read ahead while somebody waits for what cannot");
	tap_ok(!kill(pid, SIGKILL) && tk_reap(pid) == 128 + SIGKILL, "who waits can be killed");
	chain_end(d, fd);
}

int main(void)
{
	tk_init();
	lazy();
	tk_del("d");
	scattered();
	with_peer();
	alone();
	refusals();
	while_it_runs();
	planner_gone();
	late_file();
	shared();
	standing_still();
	chained();
	crowd();
	waits_alone();
	return tap_done();
}
