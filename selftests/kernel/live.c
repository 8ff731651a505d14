// SPDX-License-Identifier: GPL-2.0
/*
 * live.c - pages that are pushed while the source still writes to them
 */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>

#include "peer.h"

#define NR	2048UL
#define EXPORT	77

static uint8_t *src;

/* --- a source that does not stand still ------------------------------------------- */

struct writer {
	pthread_t thread;
	unsigned int seed;
	unsigned long pages;		/* it writes to this many */
	bool punches;
	bool stop;
	unsigned long stores;
};

/* Stores until the freeze refuses one: each to a random page, each another value. */
static void *write_on(void *arg)
{
	struct writer *w = arg;
	int fd = w->punches ? tk_open("s", O_RDWR) : -1;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		unsigned long page = rand_r(&w->seed) % w->pages;
		unsigned long at = page * TK_PAGE + rand_r(&w->seed) % TK_PAGE;

		if (w->punches && !(w->stores % 64) &&
		    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * TK_PAGE,
			      TK_PAGE))
			break;
		if (tk_store(src + at, w->stores + 1))
			break;
		w->stores++;
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void writer_start(struct writer *w, unsigned int seed, unsigned long pages, bool punches)
{
	*w = (struct writer){ .seed = seed, .pages = pages, .punches = punches };
	w->thread = tk_thread(write_on, w);
}

static struct tp_export begin_round(void)
{
	struct tp_export e;
	int err = 0;

	/* the one before may still be on its way */
	if (!tk_until((err = tp_export_round(tk_nl, "s", &e)) != -EAGAIN))
		tk_die("a round is never heard of");
	tk_ok(err, "round");
	tp_export_clear(&e);
	return e;
}

static bool round_over(void)
{
	struct tp_export e = tk_export_stat("s");

	return e.begun && !e.wanted;
}

/* @dst imports region "s" live, which has not said a round yet */
static void open_unsaid(struct tk_pair *p, const char *dst, unsigned int bulk, bool far)
{
	uint32_t id;

	tk_pair_open(p, bulk, far);
	id = tk_serve(p, "s");
	tk_new(dst, NR);
	tk_ok(tp_region_import_live(tk_nl, dst, p->dst, id), "import");
}

/* the same, and the first round begins */
static void open_live(struct tk_pair *p, const char *dst, unsigned int bulk, bool far)
{
	open_unsaid(p, dst, bulk, far);
	begin_round();
}

/* a third of the pages zero */
static void make_source(void)
{
	tk_new("s", NR);
	tk_fill("s", 0, NR / 3, 1);
	tk_fill("s", 2 * NR / 3, NR - 2 * NR / 3, 1);
	src = tk_map("s", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static unsigned long different(const uint8_t *a, const uint8_t *b)
{
	unsigned long n = 0;

	for (unsigned long i = 0; i < NR; i++) {
		if (!memcmp(a + i * TK_PAGE, b + i * TK_PAGE, TK_PAGE))
			continue;
		if (!n++)
			printf("# page %lu is wrong: zero %d here, %d there\n", i,
			       tk_is_zero(a + i * TK_PAGE, TK_PAGE),
			       tk_is_zero(b + i * TK_PAGE, TK_PAGE));
	}
	if (n)
		printf("# %lu pages are wrong\n", n);
	return n;
}

/* is all of "d" what "s" has? */
static bool arrives(const char *dst)
{
	uint8_t *map;
	bool same;

	if (!tk_wait_state(dst, TELEPAGE_REGION_LOCAL)) {
		struct tp_region d = tk_stat(dst);
		struct tp_export e = tk_export_stat("s");

		printf("# live %d, %lu absent, round %u%s, %lu wanted, %lu rewritten\n", d.live,
		       (unsigned long)d.absent, e.round, e.begun ? "" : " not heard of",
		       (unsigned long)e.wanted, (unsigned long)e.rewritten);
		return false;
	}
	map = tk_map(dst, NR, PROT_READ, MAP_SHARED);
	same = !different(src, map);
	tk_unmap(map, NR);
	return same;
}

static void close_live(struct tk_pair *p, const char *dst)
{
	tk_unmap(src, NR);
	tk_import_end("s", dst);
	tk_pair_close(p);
}

/* --- what nobody writes to crosses once -------------------------------------------- */

static void test_still(void)
{
	struct tp_region d;
	struct tk_pair p;
	uint8_t byte = 0x5a;

	make_source();
	open_live(&p, "d", 2, false);
	tap_ok(tk_stat("d").live, "the region says that its source still writes");
	tap_ok(tk_until(round_over()), "all of it is pushed while it is not frozen");
	/* the last pages may still be on their way */
	tap_ok(tk_until(!tk_stat("d").absent), "and arrives");
	d = tk_stat("d");
	tap_ok(d.state == TELEPAGE_REGION_FILLING && d.live, "it is not complete by that");
	for (unsigned long i = 0; i < 10; i++)
		tk_store(src + i * 100 * TK_PAGE, byte);
	tap_ok(tk_export_stat("s").rewritten == 10, "ten pages that are written to are told");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(arrives("d"), "after the freeze everything is right");
	d = tk_stat("d");
	tap_ok(d.stats.rewritten == 10, "ten pages have crossed again");
	tap_ok(d.stats.push + d.stats.zero + d.stats.demand == NR + 10, "and no other one");
	tap_ok(!d.live, "the region is an ordinary one then");
	close_live(&p, "d");
}

/* --- nobody sees a page before ------------------------------------------------------ */

static void *load_first(void *arg)
{
	return (void *)(long)tk_load(arg);
}

static int load_child(void *arg)
{
	tk_load(arg);
	return 0;
}

static void test_unseen(void)
{
	struct iovec iov = { .iov_base = (uint8_t [64]){ 0 }, .iov_len = 64 };
	struct tk_pair p;
	pthread_t reader;
	uint8_t *map;
	int fd, err;
	pid_t pid;

	make_source();
	src[0] = 1;
	open_live(&p, "d", 2, false);
	tk_until(!tk_stat("d").absent);
	fd = tk_open("d", O_RDWR);
	map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	reader = tk_thread(load_first, map);
	pid = tk_fork(load_child, map + TK_PAGE);
	tap_ok(preadv2(fd, &iov, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN,
	       "who may not wait is told to come again");
	tap_ok(lseek(fd, 0, SEEK_HOLE) == (off_t)(NR * TK_PAGE) &&
	       lseek(fd, NR / 2 * TK_PAGE, SEEK_DATA) == (off_t)(NR / 2 * TK_PAGE),
	       "nothing is a hole yet");
	err = tp_region_freeze(tk_nl, "d");
	tap_ok(err == -EAGAIN, "it cannot be frozen: %s", tp_nl_error(tk_nl));
	tk_nap_ms(100);
	tap_ok(pthread_tryjoin_np(reader, NULL) && !waitpid(pid, NULL, WNOHANG),
	       "who needs a page that is here waits nevertheless");
	kill(pid, SIGKILL);
	tap_ok(tk_reap(pid) == 128 + SIGKILL, "and can be killed");
	src[0] = 2;
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(!pthread_join(reader, (void **)&iov.iov_base) && (long)iov.iov_base == 2,
	       "he sees what was written last");
	tk_unmap(map, NR);
	close(fd);
	tap_ok(arrives("d"), "and everything is right");
	close_live(&p, "d");
}

/* --- written to all the time --------------------------------------------------------- */

static void busy(const char *what, bool far, bool punches, bool cuts)
{
	struct writer w[2];
	struct tk_pair p;
	uint64_t rewritten;
	unsigned int i;

	make_source();
	writer_start(&w[0], 1, NR, false);
	writer_start(&w[1], 2, NR / 4, punches);
	open_live(&p, "d", 3, far);
	for (i = 0; i < 6; i++) {
		if (cuts) {
			unsigned int lane = i % 4;

			tk_pair_detach(&p, lane);
			tk_nap_ms(20);
			tk_pair_attach(&p, lane);
		} else {
			tk_until(round_over());
		}
		begin_round();
	}
	/* in the middle of a round */
	tk_nap_ms(5);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
		if (!tk_join(w[i].thread))
			tk_die("a writer does not end");
	}
	tap_ok(arrives("d"), "%s: every page is what was written last", what);
	rewritten = tk_stat("d").stats.rewritten;
	tap_ok(rewritten && w[0].stores && w[1].stores, "%s: pages were written to meanwhile", what);
	close_live(&p, "d");
}

/* --- a move that comes to nothing ------------------------------------------------------ */

static void test_undone(void)
{
	struct tk_pair p, q;
	struct tp_export e;
	struct writer w;
	uint32_t id;
	uint8_t *map;
	int status;
	pid_t pid;

	make_source();
	open_live(&p, "d", 2, false);
	tk_until(round_over());
	tk_ok(tp_export_new_region(tk_nl, "s2", "s"), "export");
	tap_ok(tp_export_round(tk_nl, "s2", &e) == -EINVAL, "served nowhere: %s", tp_nl_error(tk_nl));
	tk_pair_open(&q, 1, false);
	tk_ok(tp_export_serve(tk_nl, "s2", q.src, &id), "serve");
	tap_ok(tp_export_round(tk_nl, "s2", &e) == -EBUSY, "to one peer at a time: %s",
	       tp_nl_error(tk_nl));
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(tp_export_round(tk_nl, "s", &e) == -EBUSY, "not when it is frozen: %s",
	       tp_nl_error(tk_nl));
	tk_ok(tp_export_del(tk_nl, "s2"), "release");
	tk_pair_close(&q);

	/* the VM goes on here: what was given out is worthless, and the next is right */
	tk_ok(tp_region_thaw(tk_nl, "s"), "thaw");
	tk_wait_state("d", TELEPAGE_REGION_LOCAL);
	if (tk_stat("d").state != TELEPAGE_REGION_LOCAL)
		tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_pair_close(&p);
	writer_start(&w, 3, NR, true);
	open_live(&p, "d", 2, false);
	tk_until(round_over());
	begin_round();
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	if (!tk_join(w.thread))
		tk_die("the writer does not end");
	tap_ok(arrives("d"), "a second try after one that was undone is right");
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_ok(tp_region_thaw(tk_nl, "s"), "thaw");
	tk_pair_close(&p);

	/* given up while live */
	open_live(&p, "d", 1, false);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	pid = tk_fork(load_child, map);
	tk_nap_ms(50);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	status = tk_reap(pid);
	tap_ok(!status, "who waits for a region that is given up is told");
	tap_ok(tk_load(map) == -SIGBUS, "and who comes later, too");
	tk_unmap(map, NR);
	close_live(&p, "d");
}

/* --- a live region as the file of another ---------------------------------------------- */

static void test_file(void)
{
	const struct tp_extent all = { .count = NR };
	struct tk_pair p, q;
	uint64_t wrong;
	uint8_t *map;
	int fd;

	make_source();
	open_live(&p, "d", 2, false);
	tk_until(!tk_stat("d").absent);
	tk_new("t", NR);
	tk_fill("t", 0, NR, 5);
	tk_pair_open(&q, 2, false);
	tk_ok(tp_region_freeze(tk_nl, "t"), "freeze");
	tk_import(&q, "t", "y", true);
	fd = tk_open("d", O_RDONLY);
	tk_ok(tp_region_origin(tk_nl, "y", fd, &all, 1, false, true), "origin");
	close(fd);
	/* what is read ahead may wait for the file; who asks for a page does not */
	map = tk_map("y", NR, PROT_READ, MAP_SHARED);
	wrong = tk_wrong(map, 0, NR, 5);
	tk_unmap(map, NR);
	tap_ok(!wrong && tk_wait_state("y", TELEPAGE_REGION_LOCAL) && tk_stat("d").live,
	       "who has a live region for a file does not wait for it");
	tap_ok(!tk_stat("y").stats.file, "and sees no page of it");
	tk_import_end("t", "y");
	tk_pair_close(&q);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(arrives("d"), "the live one is right afterwards");
	close_live(&p, "d");
}

/* --- a working set is replayed -------------------------------------------------------- */

static void test_replay(void)
{
	const struct telepage_run all = { .count = NR };
	struct tk_pair p;

	make_source();
	open_unsaid(&p, "d", 2, false);
	tk_ok(tp_region_replay(tk_nl, "d", &all, 1), "replay");
	begin_round();
	tk_until(round_over());
	tap_ok(!tk_stat("d").stats.prefetch_sent, "nothing is asked for ahead while it is live");
	tk_fill("s", NR / 4, NR / 4, 2);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(arrives("d"), "what was written to since is right");
	close_live(&p, "d");
}

/* --- a source that says no round -------------------------------------------------------- */

static atomic_bool asked_enough;

/* how many answers were no answers */
static void *ask_on(void *arg)
{
	struct tp_region r;
	struct tp_nl *nl;
	long bad = 0;

	(void)arg;
	if (tp_nl_open(&nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	while (!atomic_load(&asked_enough)) {
		int err = tp_region_get(nl, "d", &r);

		if (!err || err == -ENOENT)
			continue;
		tap_note("%s: %s", strerror(-err), tp_nl_error(nl));
		bad++;
	}
	tp_nl_close(nl);
	return (void *)bad;
}

/* at the moment at which it is live no more, too */
static void test_asked(struct tk_pair *p, uint32_t id)
{
	pthread_t t = tk_thread(ask_on, NULL);
	bool good = true;
	void *bad;

	for (int i = 0; i < 500 && good; i++) {
		tk_new("d", 1);
		tk_ok(tp_region_import_live(tk_nl, "d", p->dst, id), "import");
		good = tk_wait_state("d", TELEPAGE_REGION_LOCAL);
		tk_del("d");
		tk_events_forget();
	}
	atomic_store(&asked_enough, true);
	pthread_join(t, &bad);
	tap_ok(good && !bad, "who asks meanwhile gets an answer: %ld times none", (long)bad);
}

static void test_unsaid(void)
{
	struct tk_pair p;
	uint32_t id;
	int fd;

	make_source();
	open_unsaid(&p, "d", 2, false);
	tk_nap_ms(50);
	tap_ok(tk_stat("d").absent == NR, "nothing comes before it is frozen, or says a round");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(arrives("d"), "frozen without a round: all of it comes, and is right");
	close_live(&p, "d");

	tk_pair_open(&p, 2, false);
	fd = memfd_create("f", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 8 * TK_PAGE))
		tk_die("memfd: %m");
	tk_ok(tp_export_new_fd(tk_nl, "f", fd, 0, 0), "export");
	close(fd);
	tk_ok(tp_export_serve(tk_nl, "f", p.src, &id), "serve");
	tk_new("d", 8);
	tk_ok(tp_region_import_live(tk_nl, "d", p.dst, id), "import");
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL), "a file, which has no rounds: so does it");
	tk_del("d");
	test_asked(&p, id);
	tk_ok(tp_export_del(tk_nl, "f"), "release");
	tk_pair_close(&p);
}

/* --- a source that lies --------------------------------------------------------------- */

static void stale(int fd, uint64_t index, uint64_t count, uint32_t round, uint16_t code)
{
	struct tp_hdr hdr = { .type = TP_MSG_STALE, .export = EXPORT, .gen = round, .code = code,
			      .count = !!count, .len = count ? TP_RUN_LEN : 0 };
	struct tp_run run = { .index = index, .count = count };
	uint8_t buf[TP_RUN_LEN];

	tp_wire_put_run(buf, &run);
	peer_say(fd, &hdr, buf, hdr.len);
}

static void pushed(int fd, unsigned long index, uint32_t seed, uint32_t round)
{
	struct tp_hdr hdr = { .type = TP_MSG_DATA, .export = EXPORT, .gen = round, .index = index,
			      .count = 1, .len = TP_PAGE };
	uint8_t page[TP_PAGE];

	tk_page(page, seed, index);
	peer_say(fd, &hdr, page, TP_PAGE);
}

/* the destination has obeyed the list of @round */
static bool obeyed(int fd, uint32_t round)
{
	uint8_t buf[TP_LIST_MAX * TP_RUN_LEN];
	struct tp_hdr hdr;

	while (peer_hear(fd, &hdr, buf, sizeof(buf)))
		if (hdr.type == TP_MSG_ROUND)
			return hdr.gen == round;
	return false;
}

static void test_peer(void)
{
	uint32_t link;
	int urgent, bulk, fd;
	uint8_t *map;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_new("d", NR);
	tk_ok(tp_region_import_live(tk_nl, "d", link, EXPORT), "import");
	urgent = peer_greeted_lane(link, 0);
	bulk = peer_greeted_lane(link, 1);
	pushed(bulk, 1, 1, 7);
	tap_ok(tk_until(tk_stat("d").stats.duplicate == 1) && tk_stat("d").absent == NR,
	       "pages of a round that was not heard of are not taken");
	stale(urgent, 0, 0, 7, TP_STALE_LAST);
	tap_ok(obeyed(urgent, 7), "a round begins");
	pushed(bulk, 0, 1, 0);
	tap_ok(tk_until(tk_stat("d").stats.duplicate == 2) && tk_stat("d").absent == NR,
	       "pages of no round are not taken then");
	pushed(bulk, 2, 1, 7);
	pushed(bulk, 3, 1, 7);
	tap_ok(tk_until(tk_stat("d").absent == NR - 2), "and its pages are taken");
	stale(urgent, 2, 1, 8, 0);
	if (!tk_until(tk_stat("d").absent == NR - 1))
		tk_die("a list is not obeyed");
	pushed(bulk, 2, 2, 7);
	tap_ok(tk_until(tk_stat("d").stats.duplicate == 3) && tk_stat("d").absent == NR - 1,
	       "while a list comes no page is taken");
	stale(urgent, 100, 1, 8, TP_STALE_LAST);
	tap_ok(obeyed(urgent, 8) && tk_stat("d").absent == NR - 1, "what is stale is absent again");
	pushed(bulk, 2, 2, 7);
	pushed(bulk, 4, 2, 8);
	tap_ok(tk_until(tk_stat("d").absent == NR - 2) && tk_stat("d").stats.duplicate == 4,
	       "a page of the round before is too late");
	pushed(bulk, 2, 3, 8);
	tap_ok(tk_until(tk_stat("d").absent == NR - 3), "the one of this round comes");
	stale(urgent, 0, 0, 9, TP_STALE_LAST | TP_STALE_FINAL);
	tap_ok(obeyed(urgent, 9) && !tk_stat("d").live, "the last round");
	stale(urgent, 0, NR, 10, TP_STALE_LAST);
	tap_ok(obeyed(urgent, 10) && tk_stat("d").absent == NR - 3,
	       "after it nothing can be taken back any more");
	pushed(bulk, 5, 4, 9);
	pushed(bulk, 6, 4, 0);
	tap_ok(tk_until(tk_stat("d").absent == NR - 4) && tk_stat("d").stats.duplicate == 5,
	       "nor is a page of a round taken");
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map + 2 * TK_PAGE, 3, 2) && tk_is_page(map + 3 * TK_PAGE, 1, 3) &&
	       tk_is_page(map + 4 * TK_PAGE, 2, 4) && tk_is_page(map + 6 * TK_PAGE, 4, 6),
	       "the pages are what they should be");
	tk_unmap(map, NR);

	tk_events_forget();
	stale(urgent, NR - 1, 2, 11, 0);
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, NULL),
	       "pages outside of the region break the lane");
	close(urgent);
	stale(bulk, 0, 1, 11, 0);
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, NULL), "so does the list on a bulk lane");
	close(bulk);
	urgent = peer_greeted_lane(link, 0);
	stale(urgent, 0, 1, 0, 0);
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, NULL), "and one of no round");
	close(urgent);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");

	/* rounds are of regions */
	fd = memfd_create("x", 0);
	if (ftruncate(fd, TK_PAGE))
		tk_die("memfd: %m");
	tk_ok(tp_export_new_fd(tk_nl, "f", fd, 0, 0), "export");
	tap_ok(tp_export_round(tk_nl, "f", &(struct tp_export){ 0 }) == -EINVAL,
	       "a file has no rounds: %s", tp_nl_error(tk_nl));
	close(fd);
	tk_ok(tp_export_del(tk_nl, "f"), "release");
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

int main(void)
{
	tk_init();
	test_still();
	test_unseen();
	busy("busy", false, false, false);
	busy("busy, discarding", false, true, false);
	tk_far("10ms", "rate 200mbit");
	busy("over a line", true, true, false);
	busy("lanes break", true, true, true);
	test_undone();
	test_file();
	test_replay();
	test_unsaid();
	test_peer();
	return tap_done();
}
