// SPDX-License-Identifier: GPL-2.0
/*
 * prefetch.c - pages that are asked for ahead of use
 *
 * Walkers go through region "d", which fills from "s" over a slow network, on demand
 * alone: how many round trips they wait for is what a demand sent counts. Then this
 * program is the source and sees what is asked for in which order.
 */
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "peer.h"
#include "uffd_vmm.h"

#define NR	4096UL
#define EXPORT	77		/* our number of the export, as a peer */

static struct tk_pair pair;
static uint8_t *map;

static void tune(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/fs/telepage/d/%s", name);
	tk_ok(tk_write_file(path, value), path);
}

static unsigned long seen(const char *name)
{
	char path[128], buf[32];

	snprintf(path, sizeof(path), "/sys/fs/telepage/d/%s", name);
	return strtoul(tk_cat(path, buf, sizeof(buf)), NULL, 0);
}

/* "s" is filled and frozen once; "d" is made anew for each walk */
static void begin(const char *policy, const char *window)
{
	tk_import(&pair, "s", "d", false);
	tune("prefetch", policy);
	tune("prefetch_window", window);
	map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void end(void)
{
	tk_unmap(map, NR);
	if (tk_stat("d").state == TELEPAGE_REGION_FILLING)
		tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
}

static struct tp_stats stats(void)
{
	return tk_stat("d").stats;
}

/* @count pages, @stride apart, from @first on; how many are not what they should be */
static unsigned long walk(long first, long stride, long count)
{
	unsigned long wrong = 0;
	long i;

	for (i = 0; i < count; i++) {
		long page = first + i * stride;

		wrong += !tk_is_page(map + page * TK_PAGE, 1, page);
	}
	return wrong;
}

static void say(const char *what)
{
	struct tp_stats s = stats();

	tap_note("%s: %lu demands, %lu asked ahead, %lu came, %lu hits, %lu waste, window %lu", what,
		 s.demand_sent, s.prefetch_sent, s.prefetch_came, s.prefetch_hit, s.prefetch_waste,
		 seen("prefetch_now"));
}

/* everything that was asked for ahead has come */
static bool quiet(void)
{
	struct tp_stats s = stats();

	return s.prefetch_came == s.prefetch_sent;
}

static void test_none(void)
{
	begin("none", "64");
	tap_ok(!walk(0, 1, 64) && stats().demand_sent == 64 && !stats().prefetch_sent,
	       "none: a page is asked for when it is needed, and not before");
	end();
}

static void test_fixed(void)
{
	begin("fixed", "8");
	tap_ok(!walk(100, 1, 1) && tk_until(stats().prefetch_sent == 8 && quiet()) &&
	       stats().demand_sent == 1, "fixed: the pages behind one that was needed");
	tap_ok(!walk(101, 1, 8) && stats().demand_sent == 1 && stats().prefetch_hit == 8,
	       "they are here without another demand, and counted as used");
	tap_ok(!walk(NR - 3, 1, 3) && tk_until(stats().prefetch_sent == 10),
	       "none is asked for behind the last page");
	say("fixed");
	end();
}

/* what @what is: @count pages walked, with a tenth of the round trips */
static void test_walk(const char *what, long first, long stride, long count)
{
	struct tp_stats s;
	unsigned long wrong;

	begin("adaptive", "64");
	wrong = walk(first, stride, count);
	s = stats();
	tap_ok(!wrong, "%s: every page is right", what);
	tap_ok(s.demand_sent * 10 <= (uint64_t)count && s.prefetch_hit + s.demand_sent >= (uint64_t)count,
	       "%s: nine of ten come before they are needed", what);
	say(what);
	end();
}

static void test_streams(void)
{
	unsigned long wrong = 0, i;
	struct tp_stats s;

	begin("adaptive", "64");
	for (i = 0; i < 128; i++) {
		wrong += walk(i, 1, 1);
		wrong += walk(2000 - i, 1, 1);
		wrong += walk(2100 + 3 * i, 1, 1);
		wrong += walk(3000 + 5 * i, 1, 1);
	}
	s = stats();
	tap_ok(!wrong && s.demand_sent * 10 <= 4 * 128,
	       "four walks at once, forward, backward and in strides, are told apart");
	say("four walks");
	end();
}

/* the @i-th of a row in which no page comes twice and no distance is repeated soon */
static unsigned long scatter(unsigned long i)
{
	unsigned long x = i, k;

	for (k = 0; k < 3; k++) {
		x = (x * 2654435761UL + k * 40503 + 12345) % NR;
		x ^= x >> 5;
	}
	return x % NR;
}

static void test_random(void)
{
	unsigned long wrong = 0, i;
	struct tp_stats s;

	begin("adaptive", "64");
	for (i = 0; i < 400; i++)
		wrong += walk(scatter(i), 1, 1);
	s = stats();
	tap_ok(!wrong && s.prefetch_sent * 10 <= 400,
	       "at random: right, and less than a tenth is asked for ahead");
	say("random");
	end();
}

static void test_waste(void)
{
	unsigned long grown, i;

	begin("adaptive", "64");
	walk(0, 1, 512);
	grown = seen("prefetch_now");
	tap_ok(grown == 64, "a long walk opens the window as far as it may");
	tune("prefetch_window", "32");
	/* Walks that end after three pages. Their beginnings are to be no walk themselves. */
	for (i = 0; i < 24; i++)
		walk(600 + i * 7 % 24 * 140 + i * i * 13 % 97, 1, 3);
	say("short walks");
	tap_ok(seen("prefetch_now") <= 2 && stats().prefetch_waste,
	       "walks that end soon close it, and what was in vain is counted");
	tap_ok(stats().prefetch_hit + stats().prefetch_waste <= stats().prefetch_sent,
	       "nothing is counted twice");
	end();
}

/* read() and write() use pages, too, and nothing is left over at the end */
static void test_ends(void)
{
	uint8_t page[TK_PAGE];
	unsigned long wrong = 0, i;
	struct tp_stats s;
	int fd;

	begin("adaptive", "32");
	fd = tk_open("d", O_RDWR);
	for (i = 0; i < 200; i++) {
		if (pread(fd, page, TK_PAGE, i * TK_PAGE) != TK_PAGE)
			tk_die("read: %m");
		wrong += !tk_is_page(page, 1, i);
	}
	tk_until(quiet());
	s = stats();
	tap_ok(!wrong && s.demand_sent <= 20 && s.prefetch_hit >= 180, "read() walks as well");
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 200 * TK_PAGE, 300 * TK_PAGE))
		tk_die("punch: %m");
	close(fd);
	s = stats();
	/* a source that has much else to do may leave out what nobody needs yet */
	tap_ok(s.prefetch_hit + s.prefetch_waste == s.prefetch_came &&
	       tk_is_zero(map + 200 * TK_PAGE, 300 * TK_PAGE),
	       "what came ahead and is discarded is zero, and was in vain");
	say("read");
	walk(1000, 1, 20);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tap_ok(tk_load(map + 3000 * TK_PAGE) == -SIGBUS && !walk(1000, 1, 20),
	       "given up with pages on their way: what is here stays");
	end();
}

static void test_uffd(void)
{
	struct vmm v;
	struct tp_stats s;
	bool right;

	tk_import(&pair, "s", "d", false);
	if (!vmm_start(&v, VMM_ANON, NR, 0))
		tk_die("no VMM");
	if (vmm_attach(&v, "d", true))
		tk_die("attach: %s", vmm_words);
	right = !vmm_do(&v, VMM_CHECK, 0, 1024, 1);
	s = stats();
	tap_ok(right && s.demand_sent <= 102 && s.prefetch_hit >= 900,
	       "a VMM with memory of its own walks as well");
	say("userfaultfd");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	/* Given up pages are not touched any more; those that came are the VMM's in the end. */
	tap_ok(tk_until(!tk_stat("d").resident), "and gets what came ahead in the end");
	vmm_stop(&v);
	tk_until(tp_uffd_get(tk_nl, "d", NULL) == -ENOENT);
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
}

/* ---- working sets ---- */

#define SET	400UL		/* pages that a VM needs first, at random */

static struct telepage_run record[TELEPAGE_RUNS_MAX];
static size_t nr_record;

static unsigned long touch_set(void)
{
	unsigned long wrong = 0, i;

	for (i = 0; i < SET; i++)
		wrong += walk(scatter(i), 1, 1);
	return wrong;
}

static void test_record(void)
{
	struct telepage_run r[TELEPAGE_RUNS_MAX];
	unsigned long i, k = 0, at = 0, right = 0;
	uint64_t all = 0, total = 0;
	size_t n = 0;

	begin("adaptive", "64");
	tap_ok(!tp_region_touched(tk_nl, "d", 0, r, &n, &all) && !n && !all,
	       "nothing was touched yet, nothing is recorded");
	touch_set();
	tk_ok(tp_region_touched(tk_nl, "d", 0, record, &nr_record, &all), "touched");
	/* neighbours by chance are one run */
	for (i = 0; i < nr_record; i++) {
		total += record[i].count;
		for (k = 0; k < record[i].count; k++)
			right += record[i].start + k == scatter(at++);
	}
	tap_ok(nr_record == all && total == SET && right == SET,
	       "the pages that were needed are recorded in their order (%lu)", right);
	tap_ok(!tp_region_touched(tk_nl, "d", all - 1, r, &n, &all) && n == 1 &&
	       r[0].start == record[nr_record - 1].start, "a record is read from anywhere");
	tap_ok(!tp_region_touched(tk_nl, "d", -1ULL, r, &n, &all) && !n, "and has an end");
	end();

	tk_ok(tk_write_file("/sys/module/telepage/parameters/workingset", "0"), "parameter");
	begin("adaptive", "64");
	tk_ok(tk_write_file("/sys/module/telepage/parameters/workingset", "1"), "parameter");
	touch_set();
	tk_ok(tp_region_touched(tk_nl, "d", 0, r, &n, &all), "touched");
	tap_ok(!n && !all, "a region that does not record has no record");
	end();
}

static bool all_asked(void)
{
	struct tp_stats s = stats();

	return s.prefetch_sent + s.demand_sent >= SET && quiet();
}

static void test_replay(void)
{
	struct telepage_run bad[] = { { NR, 1 }, { NR - 1, 2 }, { 0, 0 }, { 5, -3ULL } };
	unsigned long wrong, refused = 0, i;
	struct tp_stats s;

	/* what it is without: "none", so that nothing else is asked for either */
	begin("none", "64");
	touch_set();
	tap_ok(stats().demand_sent == SET, "without a replay each page is a round trip");
	end();

	begin("none", "64");
	tk_ok(tp_region_replay(tk_nl, "d", record, nr_record), "replay");
	tk_until(all_asked());
	wrong = touch_set();
	s = stats();
	tap_ok(!wrong && s.demand_sent * 10 <= SET, "replayed before, at most a tenth is");
	tap_ok(s.prefetch_sent == SET && s.prefetch_hit == SET && !s.prefetch_waste,
	       "what was replayed was used, and counted");
	say("replay");
	for (i = 0; i < 4; i++)
		refused += tp_region_replay(tk_nl, "d", bad + i, 1) == -ERANGE;
	tap_ok(refused == 4, "runs that are empty or outside of the region are refused");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tap_ok(tp_region_replay(tk_nl, "d", record, 1) == -EINVAL,
	       "so is a replay into a region that does not fill");
	end();

	/* the lane goes in the middle of it, and comes again */
	begin("none", "64");
	tk_ok(tp_region_replay(tk_nl, "d", record, nr_record), "replay");
	tk_until(stats().prefetch_came > 20);
	tk_pair_detach(&pair, 0);
	tk_pair_attach(&pair, 0);
	tk_until(NR - tk_stat("d").absent >= SET);
	wrong = touch_set();
	s = stats();
	tap_ok(!wrong && s.demand_sent * 10 <= SET, "a lane lost in the middle costs no more");
	say("lane lost");
	end();
}

static void test_replay_uffd(void)
{
	struct vmm v;
	unsigned long wrong = 0, i;
	struct tp_stats s;

	tk_import(&pair, "s", "d", false);
	if (!vmm_start(&v, VMM_ANON, NR, 0))
		tk_die("no VMM");
	tk_ok(tp_region_replay(tk_nl, "d", record, nr_record), "replay");
	if (vmm_attach(&v, "d", true))
		tk_die("attach: %s", vmm_words);
	tk_until(all_asked());
	for (i = 0; i < SET; i++)
		wrong += vmm_do(&v, VMM_CHECK, scatter(i), 1, 1) != 0;
	s = stats();
	tap_ok(!wrong && s.demand_sent * 10 <= SET,
	       "a VMM with memory of its own has its working set replayed as well");
	say("replay, userfaultfd");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	vmm_stop(&v);
	tk_until(tp_uffd_get(tk_nl, "d", NULL) == -ENOENT);
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
}

/* ---- this program is the source ---- */

static uint32_t dst;
static int urgent;
static struct tp_demand asked[1024];
static unsigned int nr_asked;

/* all entries of the next message of demands, behind those that were heard */
static unsigned int hear(void)
{
	unsigned int room = 1024 - nr_asked, n = peer_demanded(urgent, asked + nr_asked, room);

	if (!n)
		tk_die("the lane broke");
	nr_asked += n < room ? n : room;
	return n;
}

static bool silent(void)
{
	struct pollfd p = { .fd = urgent, .events = POLLIN };

	return !poll(&p, 1, 300);
}

static void answer(const struct tp_demand *d)
{
	peer_give(urgent, EXPORT, d, 1);
}

static void deny(const struct tp_demand *d)
{
	struct tp_hdr hdr = { .type = TP_MSG_FAIL, .export = EXPORT, .index = d->index,
			      .gen = d->gen, .code = EIO };

	peer_say(urgent, &hdr, NULL, 0);
}

static int touch(void *arg)
{
	unsigned long page = (unsigned long)arg;

	return !tk_is_page(map + page * TK_PAGE, 1, page);
}

static bool was_asked(unsigned long index)
{
	unsigned int i;

	for (i = 0; i < nr_asked; i++)
		if (asked[i].index == index)
			return true;
	return false;
}

static void peer_begin(const char *policy, const char *window)
{
	tk_new("d", NR);
	tk_ok(tp_region_import(tk_nl, "d", dst, EXPORT, false), "import");
	tune("prefetch", policy);
	tune("prefetch_window", window);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	nr_asked = 0;
}

static void peer_end(void)
{
	tk_unmap(map, NR);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
}

static void lane_again(void)
{
	peer_lane_lost(urgent, dst);
	urgent = peer_greeted_lane(dst, 0);
	nr_asked = 0;
}

static void test_order(void)
{
	unsigned int i;
	pid_t a, b, c;

	peer_begin("fixed", "256");
	a = tk_fork(touch, (void *)100);
	hear();
	tap_ok(nr_asked == 1 && asked[0].index == 100, "a demand is sent before what is asked for ahead");
	while (nr_asked < 9)
		hear();
	tap_ok(silent() && nr_asked == 9 && asked[8].index == 108,
	       "as long as nothing is answered only a few pages are on their way");
	b = tk_fork(touch, (void *)3000);
	hear();
	tap_ok(nr_asked == 10 && asked[9].index == 3000, "and they hold up no demand");
	c = tk_fork(touch, (void *)104);
	tk_until(stats().faults == 3);
	tap_ok(silent() && nr_asked == 10, "who needs one of them asks no second time");
	answer(&asked[5]);
	answer(&asked[0]);
	answer(&asked[9]);
	tap_ok(asked[5].index == 105 && !tk_reap(a) && !tk_reap(b), "answers come in any order");
	while (nr_asked < 12)
		hear();
	tap_ok(was_asked(109) && was_asked(3001), "each makes room for more, in turns");

	/* these two are waited for; what nobody waits for goes with the lane, and makes room */
	a = tk_fork(touch, (void *)3001);
	tk_until(stats().faults == 4);
	/* it is counted before it joins */
	tap_ok(silent(), "nor does who needs the last of them");
	for (i = 0; i < 20; i++) {
		lane_again();
		while (nr_asked < 2)
			hear();
		if (asked[0].index != 104 || asked[1].index != 3001)
			break;
	}
	tap_ok(i == 20,
	       "after a lane was lost what is waited for is asked for again, as a demand");
	answer(&asked[0]);
	answer(&asked[1]);
	tap_ok(!tk_reap(c) && !tk_reap(a), "and comes");
	nr_asked = 0;
	a = tk_fork(touch, (void *)102);
	while (!was_asked(102))
		hear();
	for (i = 0; i < nr_asked; i++)
		if (asked[i].index == 102)
			answer(&asked[i]);
	tap_ok(!tk_reap(a), "and what was forgotten with the lane comes when it is needed");
	peer_end();
	lane_again();
}

static void test_promoted_before_sent(void)
{
	pid_t a, b;

	/* nothing can be sent: what is asked for ahead waits here */
	peer_lane_lost(urgent, dst);
	peer_begin("fixed", "64");
	a = tk_fork(touch, (void *)100);
	tk_until(stats().faults == 1);
	b = tk_fork(touch, (void *)150);
	tk_until(stats().faults == 2);
	urgent = peer_greeted_lane(dst, 0);
	tap_ok(hear() == 2 && was_asked(100) && was_asked(150),
	       "a page that was to be asked for and is needed goes with the demands");
	while (nr_asked < 10)
		hear();
	answer(&asked[0]);
	answer(&asked[1]);
	tap_ok(!tk_reap(a) && !tk_reap(b), "and is asked for once");
	peer_end();
	lane_again();
}

static void test_denied(void)
{
	unsigned int i;
	pid_t a;

	tk_events_forget();
	peer_begin("fixed", "4");
	a = tk_fork(touch, (void *)10);
	while (nr_asked < 5)
		hear();
	for (i = 1; i < 5; i++)
		deny(&asked[i]);
	answer(&asked[0]);
	tap_ok(!tk_reap(a) && tk_stat("d").state == TELEPAGE_REGION_FILLING,
	       "a page that cannot be had ahead breaks nothing");
	nr_asked = 0;
	tune("prefetch", "none");
	a = tk_fork(touch, (void *)11);
	hear();
	deny(&asked[0]);
	tap_ok(nr_asked == 1 && asked[0].index == 11 &&
	       tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, NULL),
	       "who needs it asks for it, and only that does");
	kill(a, SIGKILL);
	tk_reap(a);
	peer_end();
}

int main(void)
{
	tk_init();
	tk_far("10ms", "rate 200mbit");
	tk_pair_open(&pair, 0, true);
	tk_new("s", NR);
	tk_fill("s", 0, NR, 1);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	test_none();
	test_fixed();
	test_walk("forward", 0, 1, 1000);
	test_walk("backward", 2000, -1, 1000);
	test_walk("every third page", 0, 3, 1000);
	test_walk("every 17th page, backward", NR - 1, -17, 240);
	test_streams();
	test_random();
	test_waste();
	test_ends();
	test_uffd();
	test_record();
	test_replay();
	test_replay_uffd();
	tk_del("s");
	tk_pair_close(&pair);

	tk_ok(tp_link_new(tk_nl, "test", &dst), "link");
	urgent = peer_greeted_lane(dst, 0);
	test_order();
	test_promoted_before_sent();
	test_denied();
	close(urgent);
	tk_ok(tp_link_del(tk_nl, dst), "link del");
	return tap_done();
}
