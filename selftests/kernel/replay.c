// SPDX-License-Identifier: GPL-2.0
/*
 * replay.c - pages that a VM will need are read from local files before the others
 *
 * What a user would lose: the pages that are used most are the last to be here; pages cross
 * the link although a file has them, or never come because one was to have them. What is
 * asked of a peer ahead is the matter of prefetch.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"

#define TRACING "/sys/kernel/tracing/"

static const struct telepage_run hot[] = {
	{ .start = 300, .count = 20 }, { .start = 40, .count = 1 }, { .start = 450, .count = 3 },
	{ .start = 41, .count = 1 },
};

#define NR_HOT	(sizeof(hot) / sizeof(hot[0]))
#define HOT	25UL

static bool is_hot(unsigned long page)
{
	for (size_t i = 0; i < NR_HOT; i++)
		if (page >= hot[i].start && page < hot[i].start + hot[i].count)
			return true;
	return false;
}

/* pages that are here although they are not hot, and hot ones that are not */
static unsigned long others(void)
{
	uint8_t *map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	static unsigned char in[PAGES];
	unsigned long n = 0;

	if (mincore(map, PAGES * TK_PAGE, in))
		tk_die("mincore: %m");
	tk_unmap(map, PAGES);
	for (unsigned long i = 0; i < PAGES; i++)
		n += (in[i] & 1) != is_hot(i);
	return n;
}

/* no peer, and nobody asked for the rest */
static void alone(void)
{
	struct telepage_run bad[] = { { .start = PAGES, .count = 1 }, { .start = 1 },
				      { .start = 1, .count = PAGES } };
	int fd, out = 0;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	tk_new("d", PAGES);
	refused("a replay of what does not fill", tp_region_replay(tk_nl, "d", hot, NR_HOT), -EINVAL,
		"does not fill");
	refused("a local one likewise", tp_region_replay_local(tk_nl, "d", hot, NR_HOT), -EINVAL,
		"from a file");
	tk_ok(origin("d", fd, 0, 310, 0, true, false), "origin");
	for (size_t i = 0; i < 3; i++)
		out += tp_region_replay_local(tk_nl, "d", bad + i, 1) == -ERANGE;
	tap_is(out, 3, "runs that are not within the region are refused");
	tk_ok(tp_region_replay(tk_nl, "d", hot, NR_HOT), "replay");
	tap_ok(tk_until(tk_stat("d").stats.file == 12),
	       "a region without a peer: what is replayed is read from its file");
	/* it has passed the others */
	tk_ok(origin("d", fd, 310, PAGES - 310, 310, true, false), "origin");
	tap_ok(tk_until(tk_stat("d").stats.file == HOT), "and from one that comes later");
	tap_is((long)others(), 0, "and nothing else");
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !wrong("d", 7, 0),
	       "then all of it, and each page is right");
	tk_del("d");
	close(fd);
	tap_ok(files_close(), "the file is let go of");
}

/* the pages of region "d" that a file was read for in vain, in their order */
static unsigned long distrusted(unsigned long *page, unsigned long max)
{
	FILE *f = fopen(TRACING "trace", "r");
	unsigned long n = 0;
	char line[512];

	if (!f)
		tk_die("trace: %m");
	while (n < max && fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, "telepage_distrust: region=d page=");

		if (at)
			page[n++] = strtoul(strstr(at, "page=") + 5, NULL, 10);
	}
	fclose(f);
	return n;
}

/* of which some pages were never to come */
static void unfinished_end(struct tk_pair *p)
{
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	planned_end(p);
}

/*
 * In which order are they read? Of a file that has none of them each is told. The peer has
 * them, and pushes nothing.
 */
static void in_order(void)
{
	static unsigned long page[PAGES];
	unsigned long at = 0;
	struct tk_pair p;
	struct tp_nl *nl;
	bool first = true;
	int fd;

	files_open();
	fd = image(IMAGE, 6, PAGES, 0);
	digest_all(7);
	nl = planned(&p, 7, false);
	tk_ok(tk_write_file(TRACING "trace", "\n"), "trace");
	tk_ok(tk_write_file(TRACING "events/telepage/telepage_distrust/enable", "1"), "trace event");
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	/* said before the files are, of which the last ones come first */
	tk_ok(tp_region_replay_local(tk_nl, "d", hot, NR_HOT), "replay");
	tk_ok(origin("d", fd, PAGES / 2, PAGES / 2, PAGES / 2, true, false), "origin");
	tk_ok(origin("d", fd, 0, PAGES / 2, 0, true, false), "origin");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	tap_ok(tk_until(tk_stat("d").stats.file_bad == PAGES), "all pages are looked at");
	tk_ok(tk_write_file(TRACING "events/telepage/telepage_distrust/enable", "0"), "trace event");
	tap_is((long)distrusted(page, PAGES), (long)PAGES, "each of them once");
	for (size_t i = 0; i < NR_HOT; i++)
		for (uint64_t k = 0; k < hot[i].count; k++)
			first &= page[at++] == hot[i].start + k;
	tap_ok(first, "what is replayed comes first, in its order");
	for (at = HOT + 1; at < PAGES && page[at] > page[at - 1]; at++)
		;
	tap_is((long)at, (long)PAGES, "then the others, from the first to the last");
	tap_ok(!wrong("d", 7, 0), "and the peer has what no file has");
	tp_nl_close(nl);
	close(fd);
	planned_end(&p);
	tap_ok(files_close(), "the file is let go of");
}

/* "d" is held, a file may have all of it, and the replay is there; its planner's socket */
static struct tp_nl *all_in_file(struct tk_pair *p, int fd)
{
	struct tp_nl *nl = planned(p, 6, false);

	tk_ok(origin("d", fd, 0, PAGES, 0, true, false), "origin");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_region_replay(tk_nl, "d", hot, NR_HOT), "replay");
	return nl;
}

/* a replay that comes before it is known which files are right; the source does not push */
static void held(void)
{
	const struct tp_extent stale = { .start = 300, .count = 2 };
	struct tp_region r;
	struct tk_pair p;
	struct tp_nl *nl;
	int fd;

	files_open();
	fd = image(IMAGE, 6, PAGES, 0);
	digest_all(6);
	nl = planned(&p, 6, false);
	tk_ok(origin("d", fd, 0, PAGES / 2 + 100, 0, true, false), "origin");
	tk_fill("s", 300, 2, 8);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_region_replay(tk_nl, "d", hot, NR_HOT), "replay");
	/* 3 of the hot pages have no file */
	tap_ok(tk_until(tk_stat("d").stats.prefetch_came == 3),
	       "what no file has is asked of the peer at once");
	tk_ok(tp_plan_drop(nl, "d", &stale, 1), "drop");
	r = tk_stat("d");
	tap_ok(r.stats.prefetch_sent == 3 && !r.stats.file,
	       "what one may have is not, and not read before that is known");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	tap_ok(tk_until(tk_stat("d").absent == PAGES / 2 - 100 - 3), "then all of it comes");
	r = tk_stat("d");
	tap_is((long)r.stats.prefetch_came, 5, "what was written to since from the peer");
	tap_is((long)r.stats.file, PAGES / 2 + 98, "what a file has from the file");
	tap_ok(!r.stats.demand_sent && !r.stats.push, "and nobody had to ask for it");
	tp_nl_close(nl);
	unfinished_end(&p);

	nl = all_in_file(&p, fd);
	tap_ok(!tk_stat("d").stats.prefetch_sent, "a file may have all of a replay: none is asked for");
	tp_nl_close(nl);
	tap_ok(tk_until(tk_stat("d").stats.prefetch_came == HOT),
	       "its planner ends: all of it is asked of the peer");
	tap_ok(!others() && !tk_stat("d").stats.file, "and nothing else comes");
	unfinished_end(&p);

	nl = all_in_file(&p, fd);
	tk_ok(tp_plan_drop(nl, "d", &(struct tp_extent){ .count = PAGES }, 1), "drop");
	tap_ok(tk_until(tk_stat("d").stats.prefetch_came == HOT),
	       "a plan is begun anew: no file has it any more, and it is asked for");
	tp_nl_close(nl);
	close(fd);
	unfinished_end(&p);
	tap_ok(files_close(), "the file is let go of");
}

/* what the source says is in use, of which some pages are here */
static void local_only(void)
{
	struct tp_region r;
	struct tk_pair p;
	struct tp_nl *nl;
	int fd;

	files_open();
	fd = image(IMAGE, 6, PAGES, 0);
	digest_all(6);
	spoil(fd, 41);
	nl = planned(&p, 6, false);
	tk_ok(origin("d", fd, 0, 310, 0, true, false), "origin");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_ok(tp_region_replay_local(tk_nl, "d", hot, NR_HOT), "replay");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	tap_ok(tk_until(tk_stat("d").stats.file == 309 && tk_stat("d").stats.file_bad == 1),
	       "a local replay: what the file has is read");
	r = tk_stat("d");
	tap_ok(!r.stats.prefetch_sent && !r.stats.demand_sent && r.absent == PAGES - 309,
	       "and the peer is asked for nothing");
	tp_nl_close(nl);
	close(fd);
	unfinished_end(&p);
	tap_ok(files_close(), "the file is let go of");
}

/* held, not any more, and then told to read ahead what never was absent */
static void nothing_absent(void)
{
	struct tp_nl *nl;

	tk_new("d", PAGES);
	if (tp_nl_open(&nl))
		tk_die("a second socket");
	tk_ok(tp_plan_hold(nl, "d"), "hold");
	tk_ok(tp_plan_ready(nl, "d"), "ready");
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	tp_nl_close(nl);
	/* deleting it waits for who reads */
	tk_fill("d", 0, PAGES, 3);
	tap_ok(tk_stat("d").state == TELEPAGE_REGION_LOCAL && !wrong("d", 3, 0),
	       "a region that was held for nothing is as any other");
	tk_del("d");
}

#define RUNS	65536UL		/* as many as a region replays */
#define LARGE	200000UL	/* pages */

/* @last behind as many runs as there may be, none of which has a page that is absent */
static void replay_last(unsigned long last)
{
	static struct telepage_run run[RUNS];

	for (unsigned long i = 0; i < RUNS; i++)
		run[i] = (struct telepage_run){ .start = i % 2 * 200, .count = 1 };
	run[RUNS - 1].start = last;
	tk_ok(tp_region_replay(tk_nl, "d", run, RUNS), "replay");
	refused("one run more", tp_region_replay(tk_nl, "d", run, 1), -E2BIG, "65536");
}

/* very many runs, and very long ones, that are here: what is behind them comes all the same */
static void passed_over(void)
{
	/* where what is looked at may end */
	static const unsigned long at[] = { 3, 65535, 65536, 65539, 131071, 131072, LARGE - 1 };
	const struct telepage_run all = { .count = LARGE };
	struct tk_pair p;
	struct tp_nl *nl;
	uint8_t *map;
	int fd;

	files_open();
	fd = image(IMAGE, 7, PAGES, 0);
	digest_all(7);
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 2, 10, 2, true, false), "origin");
	replay_last(50);
	tk_ok(origin("d", fd, 50, 10, 50, true, false), "origin");
	tap_ok(tk_until(tk_stat("d").absent == 19) && tk_stat("d").stats.file == 1,
	       "65535 runs are passed over: the page of the last is read");
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && tk_stat("d").stats.file == 20,
	       "then the others");
	tk_del("d");

	nl = planned(&p, 7, false);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map, 7, 0) && tk_is_page(map + 200 * TK_PAGE, 7, 200), "two pages are here");
	tk_ok(origin("d", fd, 50, 1, 50, true, false), "origin");
	replay_last(50);
	tap_ok(!tk_stat("d").stats.prefetch_sent, "all others of a replay are, and the last may be");
	tp_nl_close(nl);
	tap_ok(tk_until(tk_stat("d").stats.prefetch_came == 1), "its file is not used: the peer is asked");
	tap_ok(tk_is_page(map + 50 * TK_PAGE, 7, 50) && tk_until(tk_stat("d").absent == PAGES - 3),
	       "for this one and no other");
	tk_unmap(map, PAGES);
	unfinished_end(&p);

	tk_new("d", LARGE);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		tk_ok(origin("d", fd, at[i], 1, i, false, false), "origin");
	tk_ok(tp_region_replay(tk_nl, "d", &all, 1), "replay");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) &&
	       tk_stat("d").stats.file == sizeof(at) / sizeof(at[0]),
	       "a long run of which the file has few pages: these are read");
	tk_del("d");
	close(fd);
	tap_ok(files_close(), "the file is let go of");
}

int main(void)
{
	tk_init();
	alone();
	in_order();
	held();
	local_only();
	nothing_absent();
	passed_over();
	return tap_done();
}
