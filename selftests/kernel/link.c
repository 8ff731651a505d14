// SPDX-License-Identifier: GPL-2.0
/*
 * link.c - filling a region: push, demand, the fence, lanes that break
 */
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tk.h"

#define NR	2048UL
#define SIZE	(NR * TK_PAGE)

static void source(const char *name, unsigned long pages, uint32_t seed)
{
	tk_new(name, pages);
	tk_fill(name, 0, pages, seed);
}

static bool complete(const char *name)
{
	return tk_event(TELEPAGE_EVENT_REGION_COMPLETE, name, 0, NULL) &&
	       tk_stat(name).state == TELEPAGE_REGION_LOCAL && !tk_stat(name).absent;
}

static bool same(const char *name, unsigned long pages, uint32_t seed)
{
	uint8_t *map = tk_map(name, pages, PROT_READ, MAP_SHARED);
	unsigned long wrong = tk_wrong(map, 0, pages, seed);

	tk_unmap(map, pages);
	if (wrong)
		tap_note("%s: %lu pages are wrong", name, wrong);
	return !wrong;
}

static void test_push(void)
{
	struct tk_pair p;
	struct tp_region r;

	tk_events_forget();
	tk_pair_open(&p, 1, false);
	source("s", NR, 1);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	tap_ok(complete("d"), "the source pushes a region until it is complete");
	r = tk_stat("d");
	tap_ok(r.stats.push == NR && !r.stats.demand_sent && !r.stats.duplicate && r.resident == NR,
	       "every page came once and unasked");
	tap_ok(same("d", NR, 1), "with the source's content");
	tap_ok(r.stats.rx_bytes >= SIZE && r.stats.rx_bytes < SIZE + NR * 32,
	       "and little besides");
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void test_zero_pages(void)
{
	struct tp_export ex;
	struct tp_region r;
	struct tk_pair p;
	uint8_t *map;

	tk_pair_open(&p, 1, false);
	tk_new("s", NR);
	tk_fill("s", 100, 10, 2);
	map = tk_map("s", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	memset(map + 500 * TK_PAGE, 0, 100 * TK_PAGE);	/* zero, but they take memory */
	tk_unmap(map, NR);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	tap_ok(complete("d"), "a nearly empty region is filled");
	r = tk_stat("d");
	ex = tk_export_stat("s");
	tap_ok(r.resident == 10 && r.stats.push == 10 && r.stats.zero == NR - 10 &&
	       ex.push == 10 && ex.zero == NR - 10, "zero pages take no memory there");
	tap_ok(ex.tx_bytes < 20 * TK_PAGE, "and do not cross as pages");
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tap_ok(!tk_wrong(map, 100, 10, 2) && tk_is_zero(map, 100 * TK_PAGE) &&
	       tk_is_zero(map + 110 * TK_PAGE, SIZE - 110 * TK_PAGE), "the content is right");
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void *load_page_3(void *arg)
{
	return (void *)(intptr_t)tk_load((uint8_t *)arg + 3 * TK_PAGE);
}

static int child_loads_page_3(void *arg)
{
	return load_page_3(arg) != NULL;
}

static void test_the_fence_gates(void)
{
	struct tp_export ex;
	struct tk_pair p;
	uint8_t *map, page[TK_PAGE];
	pthread_t t;
	void *got = NULL;

	tk_pair_open(&p, 1, false);
	source("s", NR, 3);
	tk_import(&p, "s", "d", true);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	t = tk_thread(load_page_3, map);
	tk_until(tk_stat("d").stats.demand_sent);
	tk_nap_ms(300);
	ex = tk_export_stat("s");
	tap_ok(!ex.open && !ex.demand && !ex.push && !ex.zero && tk_stat("d").absent == NR,
	       "a region that is not frozen gives nothing, asked for or not");
	/* what is written until the fence is what the destination gets */
	tk_fill("s", 0, 8, 4);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	pthread_join(t, &got);
	tk_page(page, 4, 3);
	tap_ok((intptr_t)got == page[0], "the freeze lets the waiting demand through");
	tap_ok(complete("d") && !tk_wrong(map, 0, 8, 4) && !tk_wrong(map, 8, NR - 8, 3),
	       "and starts the push, of the content at the freeze");
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void test_thaw_ends_serving(void)
{
	struct tp_export ex;
	struct tp_event ev;
	struct tk_pair p;
	uint8_t *map;
	pid_t pid;

	tk_events_forget();
	tk_pair_open(&p, 1, false);
	source("s", NR, 5);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", false);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map, 5, 0), "a page comes over");
	tk_ok(tp_region_thaw(tk_nl, "s"), "thaw");
	ex = tk_export_stat("s");
	tap_ok(!ex.nr_links && !ex.open && tk_stat("s").exports == 1,
	       "thaw ends the serving, the export stays");
	tk_fill("s", 0, 1, 6);
	pid = tk_fork(child_loads_page_3, map);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, &ev) && ev.error && *ev.reason &&
	       tk_stat("d").state == TELEPAGE_REGION_BROKEN,
	       "who asks for more is told that the region is broken");
	tk_nap_ms(100);
	tap_ok(!waitpid(pid, NULL, WNOHANG), "its task waits on, no wrong content");
	kill(pid, SIGKILL);
	tk_reap(pid);
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

/* an export of a file whose content is the page pattern, the last page cut short */
static void file_export(const char *what, int fd, off_t size, uint64_t offset)
{
	unsigned long pages = (size - offset + TK_PAGE - 1) / TK_PAGE, i, wrong = 0;
	uint8_t page[TK_PAGE], *map;
	struct tk_pair p;
	uint32_t id;

	for (i = 0; i * TK_PAGE < (unsigned long)size; i++) {
		tk_page(page, 7, i);
		if (i % 5 != 2 && pwrite(fd, page, TK_PAGE, i * TK_PAGE) != (ssize_t)TK_PAGE)
			tk_die("%s: %m", what);
	}
	if (ftruncate(fd, size))
		tk_die("%s: %m", what);
	tk_pair_open(&p, 2, false);
	tk_ok(tp_export_new_fd(tk_nl, "f", fd, offset, 0), what);
	close(fd);
	tk_ok(tp_export_serve(tk_nl, "f", p.src, &id), "serve");
	tk_new("d", pages);
	tk_ok(tp_region_import(tk_nl, "d", p.dst, id, true), "import");
	map = tk_map("d", pages, PROT_READ, MAP_SHARED);
	wrong += !tk_is_page(map + 4 * TK_PAGE, 7, 4 + offset / TK_PAGE);
	wrong += !complete("d");
	for (i = 0; i < pages; i++) {
		uint64_t at = i * TK_PAGE + offset;

		tk_page(page, 7, at / TK_PAGE);
		if (at / TK_PAGE % 5 == 2)
			memset(page, 0, TK_PAGE);
		if (at + TK_PAGE > (uint64_t)size)
			memset(page + size % TK_PAGE, 0, TK_PAGE - size % TK_PAGE);
		wrong += memcmp(page, map + i * TK_PAGE, TK_PAGE) != 0;
	}
	tap_ok(!wrong, "an export of %s%s", what, offset ? " from an offset" : "");
	tk_unmap(map, pages);
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "f"), "release");
	tk_pair_close(&p);
}

static void test_file_exports(void)
{
	const char *out = getenv("OUT");
	char path[256];

	file_export("a memfd", memfd_create("x", 0), 64 * TK_PAGE, 0);
	file_export("a memfd of an odd size", memfd_create("x", 0), 64 * TK_PAGE + 1234, 0);
	file_export("a sparse file on tmpfs", open("/tmp", O_TMPFILE | O_RDWR, 0600),
		    300 * TK_PAGE + 17, 100 * TK_PAGE);
	snprintf(path, sizeof(path), "%s/export", out ? out : "/tmp");
	file_export("a file on a disk", open(path, O_CREAT | O_RDWR, 0600), 100 * TK_PAGE + 1, 0);
	unlink(path);
}

static void put_page(int fd, unsigned long index)
{
	uint8_t page[TK_PAGE];

	tk_page(page, 8, index);
	if (pwrite(fd, page, TK_PAGE, index * TK_PAGE) != (ssize_t)TK_PAGE)
		tk_die("write: %m");
}

/* a file of 16 pages, with the content of seed 8 */
static int small_file(void)
{
	int fd = memfd_create("x", 0);
	unsigned long i;

	for (i = 0; i < 16; i++)
		put_page(fd, i);
	return fd;
}

/* A file that becomes shorter has nothing to give; one that is mended has. */
static void test_broken_and_mended(void)
{
	int fd = small_file();
	uint8_t page[TK_PAGE], *map;
	struct tk_pair p;
	pthread_t t;
	void *got = NULL;
	uint32_t id;

	tk_events_forget();
	tk_pair_open(&p, 0, false);
	tk_ok(tp_export_new_fd(tk_nl, "f", fd, 0, 0), "export");
	tk_ok(tp_export_serve(tk_nl, "f", p.src, &id), "serve");
	if (ftruncate(fd, 2 * TK_PAGE))
		tk_die("truncate: %m");
	tk_new("d", 16);
	tk_ok(tp_region_import(tk_nl, "d", p.dst, id, true), "import");
	map = tk_map("d", 16, PROT_READ, MAP_SHARED);
	t = tk_thread(load_page_3, map);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, NULL),
	       "a page that the source cannot read breaks the region");
	tap_ok(tk_is_page(map + TK_PAGE, 8, 1) && tk_stat("d").state == TELEPAGE_REGION_BROKEN,
	       "other pages of it still come");
	tap_ok(tk_export_stat("f").failed, "the source counts it");
	put_page(fd, 3);
	tk_pair_detach(&p, 0);
	tk_pair_attach(&p, 0);
	pthread_join(t, &got);
	tk_page(page, 8, 3);
	tap_ok((intptr_t)got == page[0] && tk_stat("d").state == TELEPAGE_REGION_FILLING,
	       "mended at the source and attached again it fills on");
	tk_unmap(map, 16);
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "f"), "release");
	tk_pair_close(&p);
	close(fd);
}

/* Nobody touches the page that cannot be read: the push has to tell. */
static void test_unreadable_push(void)
{
	int fd = small_file();
	struct tp_event ev;
	struct tk_pair p;
	uint32_t id;
	int i;

	tk_events_forget();
	tk_pair_open(&p, 1, false);
	source("s", NR, 9);
	tk_import(&p, "s", "e", true);
	tk_ok(tp_export_new_fd(tk_nl, "f", fd, 0, 0), "export");
	tk_ok(tp_export_serve(tk_nl, "f", p.src, &id), "serve");
	if (ftruncate(fd, 12 * TK_PAGE))
		tk_die("truncate: %m");
	tk_new("d", 16);
	tk_ok(tp_region_import(tk_nl, "d", p.dst, id, true), "import");
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, &ev) && ev.error == ENODATA &&
	       tk_until(tk_stat("d").absent == 4),
	       "a page that cannot be pushed breaks its region, the others come");
	tap_ok(tk_stat("e").state == TELEPAGE_REGION_FILLING, "not another on the link");
	for (i = 12; i < 16; i++)
		put_page(fd, i);
	/* the link is busy with the other region all the while, slowly */
	tk_ok(tk_write_file("/sys/fs/telepage/s/push_rate_kbit", "2000"), "rate");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(complete("d") && same("d", 16, 8) && tk_stat("e").absent,
	       "mended at the source it completes by itself");
	tk_ok(tk_write_file("/sys/fs/telepage/s/push_rate_kbit", "0"), "rate");
	tap_ok(complete("e") && same("e", NR, 9), "and so does the other");
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "f"), "release");
	tk_import_end("s", "e");
	tk_pair_close(&p);
	close(fd);
}

struct waiters {
	uint8_t *map;
	int fd;
};

static void *wait_in_read(void *arg)
{
	struct waiters *w = arg;
	char c;

	return (void *)(intptr_t)(pread(w->fd, &c, 1, 5 * TK_PAGE) < 0 ? errno : 0);
}

static void test_release_and_abandon(void)
{
	void *loaded = NULL, *read_errno = NULL;
	struct tk_pair p;
	struct waiters w;
	pthread_t t, u;
	char c;

	tk_events_forget();
	tk_pair_open(&p, 1, false);
	source("s", NR, 9);
	tk_import(&p, "s", "d", true);
	w.map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	w.fd = tk_open("d", O_RDWR);
	t = tk_thread(load_page_3, w.map);
	u = tk_thread(wait_in_read, &w);
	tk_until(tk_stat("d").stats.demand_sent == 2);
	tk_nap_ms(100);
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, NULL) &&
	       tk_stat("d").state == TELEPAGE_REGION_BROKEN,
	       "an export released while its peer fills: the region is broken");
	tk_nap_ms(100);
	tap_ok(pthread_tryjoin_np(t, &loaded) == EBUSY && pthread_tryjoin_np(u, NULL) == EBUSY,
	       "who waits, waits on");
	tap_ok(tp_region_del(tk_nl, "d") == -EBUSY && tp_link_del(tk_nl, p.dst) == -EBUSY,
	       "neither the region nor its link can be deleted");
	tk_ok(tp_region_abandon(tk_nl, "d"), "abandon");
	pthread_join(t, &loaded);
	pthread_join(u, &read_errno);
	tap_ok((intptr_t)loaded == -SIGBUS && (intptr_t)read_errno == EIO,
	       "abandoning ends the waits: SIGBUS for a load, EIO for read()");
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_ABANDONED, "d", 0, NULL) &&
	       tk_stat("d").state == TELEPAGE_REGION_ABANDONED, "there is an event and a state");
	tap_ok(tk_load(w.map) == -SIGBUS && tk_store(w.map, 1) == -SIGBUS &&
	       pread(w.fd, &c, 1, 0) < 0 && errno == EIO && pwrite(w.fd, &c, 1, 0) < 0 &&
	       errno == EIO, "so does every later access to what was given up");
	tap_ok(tp_region_abandon(tk_nl, "d") == -EINVAL, "it cannot be abandoned twice");
	close(w.fd);
	tk_unmap(w.map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void test_lane_lost_with_demands_in_flight(void)
{
	struct tp_event ev;
	struct tp_link l;
	struct tk_pair p;
	uint8_t *map, page[TK_PAGE];
	void *got = NULL;
	pthread_t t;
	int sv[2];

	tk_pair_open(&p, 0, false);
	source("s", NR, 10);
	tk_import(&p, "s", "d", true);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	t = tk_thread(load_page_3, map);
	tk_until(tk_stat("d").stats.demand_sent == 1);
	tk_pair_detach(&p, 0);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	/* a socket that somebody else keeps, and shuts down */
	tk_tcp_pair(sv, false);
	tk_ok(tp_lane_attach(tk_nl, p.src, 0, sv[0]), "attach");
	tk_ok(tp_lane_attach(tk_nl, p.dst, 0, sv[1]), "attach");
	pthread_join(t, &got);
	tk_page(page, 10, 3);
	tap_ok((intptr_t)got == page[0],
	       "a demand that was lost with its lane is answered on the next");
	tk_events_forget();
	shutdown(sv[0], SHUT_RDWR);
	tap_ok(tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, p.dst, &ev) && !ev.lane && ev.error &&
	       *ev.reason, "a broken socket is told: lane, errno and a reason");
	tap_note("reason: %s", ev.reason);
	tap_ok(tk_until(!tp_link_get(tk_nl, p.src, &l) && !l.nr_lanes && !l.up),
	       "and its slot is free at both ends");
	close(sv[0]);
	close(sv[1]);
	t = tk_thread(load_page_3, map + TK_PAGE);
	tk_nap_ms(50);
	tk_pair_attach(&p, 0);
	pthread_join(t, &got);
	tk_page(page, 10, 4);
	tap_ok((intptr_t)got == page[0], "a page needed while there was no lane comes with it");
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

/* which lanes of a link are told as lost, a bit each */
static unsigned int lanes_lost(uint32_t link, unsigned int nr)
{
	unsigned int lanes = 0;
	struct tp_event ev;

	while (nr-- && tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, link, &ev))
		if (ev.error && *ev.reason) {
			lanes |= 1 << ev.lane;
			tap_note("link %u lane %u: %s (%s)", link, ev.lane, ev.reason,
				 strerror(ev.error));
		}
	return lanes;
}

static void far_loss(const char *loss)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "tc qdisc change dev far0 root netem loss %s && "
		 "tc -n far qdisc change dev far1 root netem loss %s", loss, loss);
	if (system(cmd))
		tk_die("%s", cmd);
}

/* No reset, no end: nothing comes any more, whether something is under way or not. */
static void test_silent_peer(void)
{
	static const char timeout[] = "/sys/module/telepage/parameters/link_timeout_ms";
	uint8_t *map, page[TK_PAGE];
	void *got = NULL;
	struct tk_pair p;
	pthread_t t;
	unsigned int i;

	tk_events_forget();
	tk_far("2ms", "");
	tk_ok(tk_write_file(timeout, "3000"), timeout);
	tk_pair_open(&p, 2, true);
	tk_ok(tk_write_file(timeout, "20000"), timeout);
	source("s", NR, 15);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", false);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map, 15, 0), "a page comes");
	far_loss("100%");
	t = tk_thread(load_page_3, map);
	tap_ok(lanes_lost(p.dst, 3) == 7, "the destination notices on each lane that nothing comes");
	tap_ok(lanes_lost(p.src, 3) == 7, "so does the source, which waits for nothing");
	far_loss("0%");
	for (i = 0; i <= 2; i++)
		tk_pair_attach(&p, i);
	pthread_join(t, &got);
	tk_page(page, 15, 3);
	tap_ok((intptr_t)got == page[0], "what was asked for meanwhile comes over new ones");
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void test_bulk_lanes(void)
{
	struct tk_pair p;
	struct tp_link l;
	unsigned int i;
	bool all = true;

	tk_events_forget();
	tk_far("20ms", "rate 60mbit");
	tk_pair_open(&p, 4, true);
	source("s", NR, 11);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	tk_until(tk_stat("d").stats.push > NR / 8);
	tk_pair_detach(&p, 1);
	tap_ok(complete("d") && same("d", NR, 11),
	       "a bulk lane lost in the middle: the others complete the region");
	tk_ok(tp_link_get(tk_nl, p.dst, &l), "link");
	for (i = 0; i < l.nr_lanes; i++)
		all &= !l.lanes[i].lane || l.lanes[i].rx_bytes > 10 * TK_PAGE;
	tap_ok(l.nr_lanes == 4 && all, "each bulk lane carried a part");
	tp_link_clear(&l);
	tk_import_end("s", "d");

	tk_events_forget();
	source("s", NR, 12);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	tk_until(tk_stat("d").stats.push > NR / 8);
	for (i = 0; i <= 4; i++)
		tk_pair_detach(&p, i);
	tap_ok(tk_stat("d").absent, "all lanes lost while there is more to come");
	tk_pair_attach(&p, 0);
	tk_pair_attach(&p, 1);
	tap_ok(complete("d") && same("d", NR, 12), "attached again the push goes on to the end");
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void test_two_regions_on_a_link(void)
{
	struct tk_pair p;
	uint8_t *map;
	int err;

	tk_events_forget();
	tk_pair_open(&p, 2, false);
	source("s", NR, 13);
	source("s2", NR / 2, 14);
	tk_import(&p, "s", "d", true);
	tk_import(&p, "s2", "d2", true);
	err = tp_link_del(tk_nl, p.dst);
	tap_ok(err == -EBUSY && *tp_nl_error(tk_nl), "a link that fills regions cannot be deleted");
	tk_ok(tp_region_freeze(tk_nl, "s2"), "freeze");
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tap_ok(complete("d2") && same("d2", NR / 2, 14), "two regions on a link: one is filled");
	tap_ok(tk_stat("d").absent == NR, "the other waits for its own freeze");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tap_ok(complete("d") && !tk_wrong(map, 0, NR, 13), "then it is filled too");
	tk_unmap(map, NR);
	tk_import_end("s", "d");
	tk_import_end("s2", "d2");
	tk_pair_close(&p);
}

struct seeker {
	int fd;
	atomic_ulong page, looks;
	atomic_bool over;
	unsigned long wrong;
};

static void *seeks(void *arg)
{
	struct seeker *s = arg;

	while (!atomic_load(&s->over)) {
		off_t at = (off_t)(atomic_load(&s->page) * TK_PAGE);

		s->wrong += lseek(s->fd, at, SEEK_DATA) != at;
		atomic_fetch_add(&s->looks, 1);
	}
	return NULL;
}

/*
 * Who copies a region by its holes must not miss a page because it just comes. One page of
 * 64 comes at a time, and the last one is here: the kernel looks long for the next that is.
 */
static void test_seek_while_it_comes(void)
{
	const unsigned long pages = 64UL * 64 * 64, step = 64;
	struct seeker s = { 0 };
	unsigned long i, looks;
	struct tk_pair p;
	uint8_t *map;
	pthread_t t;

	tk_pair_open(&p, 0, false);
	tk_new("s", pages);
	for (i = 0; i < NR * step; i += step)
		tk_fill("s", i, 2, 15);
	tk_fill("s", pages - 1, 1, 15);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", false);
	tk_ok(tk_write_file("/sys/fs/telepage/d/prefetch", "none"), "prefetch");
	map = tk_map("d", pages, PROT_READ, MAP_SHARED);
	tk_load(map + (pages - 1) * TK_PAGE);
	tk_load(map);
	atomic_store(&s.page, 1);
	s.fd = tk_open("d", O_RDONLY);
	t = tk_thread(seeks, &s);
	for (i = 0; i < NR * step; i += step) {
		tk_load(map + i * TK_PAGE);
		atomic_store(&s.page, i + 1);
		looks = atomic_load(&s.looks);
		while (atomic_load(&s.looks) < looks + 2)
			sched_yield();
		tk_load(map + (i + 1) * TK_PAGE);
	}
	atomic_store(&s.over, true);
	tk_join(t);
	tap_ok(!s.wrong, "SEEK_DATA: a page is data before it comes, while and after (%lu of %lu)",
	       s.wrong, atomic_load(&s.looks));
	close(s.fd);
	tk_unmap(map, pages);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

int main(void)
{
	tk_init();
	test_push();
	test_zero_pages();
	test_the_fence_gates();
	test_thaw_ends_serving();
	test_file_exports();
	test_broken_and_mended();
	test_unreadable_push();
	test_release_and_abandon();
	test_lane_lost_with_demands_in_flight();
	test_silent_peer();
	test_bulk_lanes();
	test_two_regions_on_a_link();
	test_seek_while_it_comes();
	return tap_done();
}
