// SPDX-License-Identifier: GPL-2.0
/*
 * disk.c - files whose disk fails, or does not answer
 *
 * What a user would lose: a page that is not the source's, and a VM that hangs with a
 * dead NFS server although its peer has all that it needs.
 */
#include "files.h"
#include "fusefile.h"
#include "peer.h"

#define FILE_	"/tmp/fusefile"
#define EXPORT	5U

static struct tk_pair pair;
static uint8_t *map;

static bool every_seventh(unsigned long page)
{
	return page % 7 == 3;
}

static bool the_first_fifty(unsigned long page)
{
	return page < 50;
}

/* "d" is new, and has all of its pages in the file */
static int begin(void)
{
	int fd;

	fusefile_open(FILE_, 7, PAGES);
	fd = open(FILE_, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		tk_die("%s: %m", FILE_);
	tk_new("d", PAGES);
	tk_ok(origin("d", fd, 0, PAGES, 0, true, false), "origin");
	return fd;
}

/* and imports "s", which has them, too */
static void begin_with_peer(void)
{
	uint32_t id;

	tk_new("s", PAGES);
	tk_fill("s", 0, PAGES, 7);
	tk_pair_open(&pair, 2, false);
	id = tk_serve(&pair, "s");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	close(begin());
	tk_ok(tp_region_import(tk_nl, "d", pair.dst, id, true), "import");
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
}

static void end_with_peer(void)
{
	tk_unmap(map, PAGES);
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_del("s");
	tk_pair_close(&pair);
}

static void fill(void)
{
	tk_ok(tp_region_origin(tk_nl, "d", -1, NULL, 0, false, true), "fill");
}

static int touches(void *arg)
{
	unsigned long page = (unsigned long)arg;

	if (tk_load(map + page * TK_PAGE) == -SIGBUS)
		return 7;
	return !tk_is_page(map + page * TK_PAGE, 7, page);
}

static pid_t toucher(unsigned long page)
{
	return tk_fork(touches, (void *)page);
}

static void fails(void)
{
	struct tp_stats s;
	unsigned long bad = 0;

	begin_with_peer();
	fusefile_set(FUSEFILE_FAILS, every_seventh);
	for (unsigned long i = 0; i < PAGES; i++)
		bad += every_seventh(i);
	fill();
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL), "a disk with errors: all of it comes");
	tap_ok(!tk_wrong(map, 0, PAGES, 7), "every page is the source's");
	s = tk_stat("d").stats;
	tap_is((long)s.file_bad, (long)bad, "what could not be read is counted");
	tap_is((long)(s.demand + s.push), (long)bad, "and only that has crossed the link");
	tap_ok(fusefile_close(), "the file is let go of");
	end_with_peer();
}

/* nobody else has the page */
static void fails_alone(void)
{
	struct tp_event ev;
	int fd = begin();
	pid_t pid;

	fusefile_set(FUSEFILE_FAILS, the_first_fifty);
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
	tap_ok(!tk_wrong(map, 50, PAGES - 50, 7), "no peer: what can be read is there");
	pid = toucher(10);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, &ev) && ev.error == EIO,
	       "what cannot breaks the region");
	fusefile_set(FUSEFILE_WELL, NULL);
	tap_ok(!tp_region_origin(tk_nl, "d", fd, &(struct tp_extent){ .count = PAGES,
				 .digests = digests[0] }, 1, true, false) &&
	       !tk_reap(pid) && !tk_wrong(map, 0, PAGES, 7),
	       "said once more when the disk is well, who has waited gets it");
	close(fd);
	tk_unmap(map, PAGES);
	tk_del("d");
	tap_ok(fusefile_close(), "the file is let go of");
}

static void silent(bool ahead)
{
	const char *what = ahead ? "read ahead" : "touched";
	struct tp_stats s;
	bool right = true;
	pid_t pid[6];		/* more than there are readers */

	begin_with_peer();
	tap_ok(!touches((void *)400) && tk_stat("d").stats.file == 1,
	       "%s: at first the disk answers", what);
	fusefile_set(FUSEFILE_SILENT, NULL);
	if (ahead) {
		fill();
		tk_until(fusefile_waiting() > 0);
	}
	for (unsigned long i = 0; i < 6; i++)
		pid[i] = toucher(i * 40);
	for (unsigned int i = 0; i < 6; i++)
		right &= !tk_reap(pid[i]);
	tap_ok(right && fusefile_waiting(), "%s: what is needed comes from the peer", what);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && fusefile_waiting(),
	       "%s: and then all of it", what);
	tap_ok(!tk_wrong(map, 0, PAGES, 7), "%s: every page is the source's", what);
	s = tk_stat("d").stats;
	tap_ok(s.file + s.demand + s.push == PAGES, "%s: each is counted once", what);
	fusefile_rewrite(8);
	fusefile_set(FUSEFILE_WELL, NULL);
	tap_ok(fusefile_close(), "%s: who has waited for the disk lets go of it", what);
	tap_ok(!tk_wrong(map, 0, PAGES, 7), "%s: what it says at last changes nothing", what);
	end_with_peer();
}

/* ---- this program is the source, and pushes nothing ---- */

static uint32_t dst;
static int urgent;

static void begin_as_source(void)
{
	tk_ok(tp_link_new(tk_nl, "test", &dst), "link");
	urgent = peer_greeted_lane(dst, 0);
	close(begin());
	tk_ok(tp_region_import(tk_nl, "d", dst, EXPORT, false), "import");
	map = tk_map("d", PAGES, PROT_READ, MAP_SHARED);
}

/* is this the next page that is asked for? */
static bool hear(unsigned long page, struct tp_demand *d)
{
	return peer_demanded(urgent, d, 1) == 1 && d->index == page;
}

static void end_as_source(const char *what)
{
	tk_unmap(map, PAGES);
	if (tp_region_abandon(tk_nl, "d"))
		tk_die("abandon");
	tk_del("d");
	fusefile_set(FUSEFILE_WELL, NULL);
	tap_ok(fusefile_close(), "%s: the file is let go of", what);
	tk_ok(tp_link_del(tk_nl, dst), "link del");
}

/* the network fails, which the disk is behind, too */
static void lost_meanwhile(void)
{
	struct tp_demand d;
	pid_t pid;

	begin_as_source();
	fusefile_set(FUSEFILE_SILENT, NULL);
	pid = toucher(10);
	tap_ok(hear(10, &d) && fusefile_waiting(), "lane lost: at first the page is asked for");
	peer_lane_lost(urgent, dst);
	urgent = peer_greeted_lane(dst, 0);
	tap_ok(hear(10, &d), "and again over the next one");
	peer_give(urgent, EXPORT, &d, 7);
	tap_ok(!tk_reap(pid) && fusefile_waiting(), "and comes");
	close(urgent);
	end_as_source("lane lost");
}

/* there is no peer to be asked just now: the disk may answer first */
static void down_for_long(void)
{
	pid_t pid;

	begin_as_source();
	peer_lane_lost(urgent, dst);
	fusefile_set(FUSEFILE_SILENT, NULL);
	pid = toucher(10);
	tk_until(fusefile_waiting() > 0);
	/* longer than it is waited for, were there a peer */
	sleep(13);
	fusefile_set(FUSEFILE_WELL, NULL);
	tap_ok(!tk_reap(pid), "no lane: who has waited for the disk gets the page");
	tap_ok(!touches((void *)300) && tk_stat("d").stats.file == 2,
	       "and others come from there as before");
	end_as_source("no lane");
}

static void given_up(void)
{
	pid_t pid;

	begin_as_source();
	fusefile_set(FUSEFILE_SILENT, NULL);
	pid = toucher(10);
	tk_until(fusefile_waiting() > 0);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tap_is(tk_reap(pid), 7, "given up while the disk is silent it is SIGBUS, never zero");
	tk_unmap(map, PAGES);
	tap_ok(tk_until(!tp_region_del(tk_nl, "d")), "and the region can be deleted");
	close(urgent);
	fusefile_set(FUSEFILE_WELL, NULL);
	tap_ok(fusefile_close(), "given up: the file is let go of");
	tk_ok(tp_link_del(tk_nl, dst), "link del");
}

int main(void)
{
	tk_init();
	if (access("/dev/fuse", F_OK)) {
		tap_skip("disks that fail", "this kernel has no FUSE");
		return tap_done();
	}
	digest_all(7);
	fails();
	fails_alone();
	silent(false);
	silent(true);
	lost_meanwhile();
	down_for_long();
	given_up();
	return tap_done();
}
