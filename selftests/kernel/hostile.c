// SPDX-License-Identifier: GPL-2.0
/*
 * hostile.c - a peer that speaks the wire badly
 *
 * Our end of the sockets is this program, the other end is the module's. After
 * each evil deed: the lane is gone with a reason or the deed was ignored, nothing
 * of another region has changed, and an honest peer can finish the work.
 */
#include <poll.h>
#include <sys/socket.h>

#include <sys/uio.h>

#include "peer.h"

#define NR	256UL
#define EXPORT	77	/* our number of the export that region "d" imports */

static uint32_t dst;		/* the module's link to us */
static uint8_t *victim;		/* a region of somebody else */
static uint8_t *map;		/* region "d" */

static uint64_t bad(void)
{
	struct tp_link l;
	uint64_t n;

	tk_ok(tp_link_get(tk_nl, dst, &l), "link");
	n = l.bad;
	tp_link_clear(&l);
	return n;
}

static bool intact(void)
{
	return !tk_wrong(victim, 0, NR, 1);
}

/* the lane was given up, with a reason and counted as @counted */
static bool lost(const char *what, bool counted, uint64_t before)
{
	struct tp_event ev = { .error = 0 };
	bool good = tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, &ev) && ev.error && *ev.reason &&
		    bad() - before == counted && intact();

	tap_ok(good, "%s: the lane is given up", what);
	tap_note("errno %d, \"%s\"", ev.error, ev.reason);
	return good;
}

/* ---- before the greeting ---- */

static void test_greetings(void)
{
	struct tp_hdr hdr = { .type = TP_MSG_HELLO, .len = TP_HELLO_LEN };
	struct tp_hello hello = { .version = TP_WIRE_VERSION };
	static uint8_t junk[65536];
	uint8_t buf[TP_HELLO_LEN];
	uint64_t n;
	int fd;

	n = bad();
	fd = peer_lane(dst, 0);
	memset(junk, 0x5a, sizeof(junk));
	peer_put(fd, junk, sizeof(junk));
	lost("garbage", true, n);
	close(fd);

	n = bad();
	fd = peer_lane(dst, 0);
	peer_put(fd, "GET / HTTP/1.1\r\nHost: x\r\nAccept: everything there is\r\n\r\n", 56);
	lost("a web browser", true, n);
	close(fd);

	n = bad();
	hello.version = 99;
	tp_wire_put_hello(buf, &hello);
	fd = peer_lane(dst, 0);
	peer_say(fd, &hdr, buf, sizeof(buf));
	lost("another version", true, n);
	close(fd);

	n = bad();
	hello = (struct tp_hello){ .version = TP_WIRE_VERSION, .lane = 1 };
	tp_wire_put_hello(buf, &hello);
	fd = peer_lane(dst, 0);
	peer_say(fd, &hdr, buf, sizeof(buf));
	lost("a bulk lane for an urgent one", true, n);
	close(fd);

	n = bad();
	tp_wire_put_hello(buf, &(struct tp_hello){ .version = TP_WIRE_VERSION });
	buf[12]++;
	fd = peer_lane(dst, 0);
	peer_say(fd, &hdr, buf, sizeof(buf));
	lost("another page size", true, n);
	close(fd);

	n = bad();
	fd = peer_lane(dst, 0);
	hdr = (struct tp_hdr){ .type = TP_MSG_ZERO, .export = EXPORT, .count = NR };
	peer_say(fd, &hdr, junk, TP_HELLO_LEN);
	lost("pages instead of a greeting", true, n);
	close(fd);

	n = bad();
	fd = peer_lane(dst, 0);
	peer_put(fd, "TP", 2);
	close(fd);
	lost("an end in the middle of the greeting", false, n);

	n = bad();
	fd = peer_lane(dst, 0);
	close(fd);
	lost("no word at all", false, n);

	tk_write_file("/sys/module/telepage/parameters/link_timeout_ms", "1000");
	n = bad();
	fd = peer_lane(dst, 0);
	lost("a peer that is silent", false, n);
	close(fd);
	tk_write_file("/sys/module/telepage/parameters/link_timeout_ms", "20000");
}

/* ---- headers that do not fit ---- */

static uint8_t payload[TP_PAYLOAD_MAX + TP_PAGE];

struct deed {
	const char *what;
	unsigned int lane;
	struct tp_hdr hdr;
};

#define MSG(t, ...)	{ .type = TP_MSG_##t, .export = EXPORT, __VA_ARGS__ }

static const struct deed breaking[] = {
	{ "an unknown message", 0, { .type = 99 } },
	{ "a greeting again", 0, { .type = TP_MSG_HELLO, .len = TP_HELLO_LEN } },
	{ "data longer than it says", 1, MSG(DATA, .count = 1, .len = 2 * TP_PAGE) },
	{ "data shorter than it says", 1, MSG(DATA, .count = 2, .len = TP_PAGE) },
	{ "data of a huge length", 1, MSG(DATA, .count = 1, .len = UINT32_MAX) },
	{ "data of no page", 1, MSG(DATA) },
	{ "data of too many pages", 1, MSG(DATA, .count = 65, .len = 65 * TP_PAGE) },
	{ "data behind the end", 1, MSG(DATA, .index = NR, .count = 1, .len = TP_PAGE) },
	{ "data over the end", 1, MSG(DATA, .index = NR - 1, .count = 2, .len = 2 * TP_PAGE) },
	{ "data far outside", 1, MSG(DATA, .index = -1ULL, .count = 2, .len = 2 * TP_PAGE) },
	{ "pushed data that answers a request", 1,
	  MSG(DATA, .count = 1, .len = TP_PAGE, .gen = 1) },
	{ "data unasked on the urgent lane", 0, MSG(DATA, .count = 1, .len = TP_PAGE) },
	{ "two pages on the urgent lane", 0, MSG(DATA, .count = 2, .len = 2 * TP_PAGE, .gen = 1) },
	{ "zeros unasked on the urgent lane", 0, MSG(ZERO, .count = 1) },
	{ "zeros of no page", 1, MSG(ZERO) },
	{ "zeros with payload", 1, MSG(ZERO, .count = 1, .len = TP_PAGE) },
	{ "zeros over the end", 1, MSG(ZERO, .index = 1, .count = NR) },
	{ "zeros without end", 1, MSG(ZERO, .index = 0, .count = UINT32_MAX) },
	{ "zeros far outside", 1, MSG(ZERO, .index = -1ULL, .count = 1) },
	{ "a failure on a bulk lane that answers a request", 1, MSG(FAIL, .code = 5, .gen = 1) },
	{ "a failure on the urgent lane that answers none", 0, MSG(FAIL, .code = 5) },
	{ "a failure of a page far outside", 1, MSG(FAIL, .code = 5, .index = -1ULL) },
	{ "a failure of a page just outside", 1, MSG(FAIL, .code = 5, .index = NR) },
	{ "a failure with payload", 0, MSG(FAIL, .code = 5, .len = 16) },
	{ "a demand on a bulk lane", 1, MSG(DEMAND, .count = 1, .len = TP_DEMAND_LEN) },
	{ "a demand of nothing", 0, MSG(DEMAND) },
	{ "a demand of too many", 0, MSG(DEMAND, .count = 257, .len = 257 * TP_DEMAND_LEN) },
	{ "a demand of a wrong length", 0, MSG(DEMAND, .count = 4, .len = TP_DEMAND_LEN) },
	{ "a want on a bulk lane", 1, MSG(WANT, .count = 1, .len = TP_RUN_LEN) },
	{ "a want of too many", 0, MSG(WANT, .count = 257, .len = 257 * TP_RUN_LEN) },
};

static void test_messages_that_break_the_lane(void)
{
	unsigned int i;

	memset(payload, 0xee, sizeof(payload));
	for (i = 0; i < sizeof(breaking) / sizeof(*breaking); i++) {
		const struct deed *d = &breaking[i];
		int fd = peer_greeted_lane(dst, d->lane);
		uint64_t n = bad();

		peer_say(fd, &d->hdr, payload,
		    d->hdr.len < sizeof(payload) ? d->hdr.len : sizeof(payload));
		lost(d->what, true, n);
		close(fd);
	}
	tap_ok(tk_stat("d").absent == NR && !tk_stat("d").resident,
	       "none of that became content of a region");
}

/* ---- well-formed, and still a lie ---- */

static int child_loads(void *arg)
{
	return tk_load(map + (uintptr_t)arg * TK_PAGE) < 0;
}

static void test_lies(void)
{
	struct tp_hdr hdr, demand;
	uint8_t list[TP_LIST_MAX * TP_DEMAND_LEN], page[TK_PAGE];
	int urgent = peer_greeted_lane(dst, 0), bulk = peer_greeted_lane(dst, 1), i;
	struct tp_demand d;
	uint64_t stale;
	pid_t pid;

	hdr = (struct tp_hdr)MSG(DATA, .count = 1, .len = TP_PAGE, .gen = 12345);
	peer_say(urgent, &hdr, payload, TP_PAGE);
	tap_ok(tk_until(tk_stat("d").stats.stale == 1) && tk_stat("d").absent == NR,
	       "an answer to no request is dropped");
	hdr = (struct tp_hdr){ .type = TP_MSG_DATA, .export = EXPORT + 1, .count = 64,
			       .len = 64 * TP_PAGE };
	peer_say(bulk, &hdr, payload, hdr.len);
	hdr = (struct tp_hdr){ .type = TP_MSG_ZERO, .export = 1, .count = UINT32_MAX };
	peer_say(bulk, &hdr, NULL, 0);
	for (i = 0; i < 10000; i++) {
		hdr = (struct tp_hdr)MSG(FAIL, .index = i % NR, .gen = i + 1, .code = 5);
		peer_say(urgent, &hdr, NULL, 0);
	}
	tap_ok(tk_until(tk_stat("d").stats.stale >= 10000) &&
	       tk_stat("d").state == TELEPAGE_REGION_FILLING && tk_stat("d").absent == NR,
	       "a flood of failures that nobody asked about is counted, no more");

	pid = tk_fork(child_loads, (void *)9);
	while (peer_hear(urgent, &demand, list, sizeof(list)) && demand.type != TP_MSG_DEMAND)
		;
	tp_wire_get_demand(list, &d);
	tap_ok(demand.count == 1 && d.export == EXPORT && d.index == 9 && d.gen,
	       "a task needs a page: we are asked");
	stale = tk_stat("d").stats.stale;
	tk_page(page, 2, 9);
	hdr = (struct tp_hdr)MSG(DATA, .index = 9, .count = 1, .len = TP_PAGE, .gen = d.gen + 1);
	peer_say(urgent, &hdr, payload, TP_PAGE);
	hdr = (struct tp_hdr)MSG(DATA, .index = 10, .count = 1, .len = TP_PAGE, .gen = d.gen);
	peer_say(urgent, &hdr, payload, TP_PAGE);
	tap_ok(tk_until(tk_stat("d").stats.stale == stale + 2) && !waitpid(pid, NULL, WNOHANG),
	       "an answer of the wrong generation or for another page is dropped");
	hdr.index = 9;
	peer_say(urgent, &hdr, page, TP_PAGE);
	tap_ok(!tk_reap(pid) && tk_is_page(map + 9 * TK_PAGE, 2, 9), "the right one is taken");
	for (i = 0; i < 3; i++)
		peer_say(urgent, &hdr, payload, TP_PAGE);
	hdr.gen = 0;
	peer_say(bulk, &hdr, payload, TP_PAGE);
	hdr = (struct tp_hdr)MSG(ZERO, .index = 9, .count = 1);
	peer_say(bulk, &hdr, NULL, 0);
	tap_ok(tk_until(tk_stat("d").stats.stale == stale + 5 &&
			tk_stat("d").stats.duplicate == 2) && tk_is_page(map + 9 * TK_PAGE, 2, 9),
	       "said again, on any lane, it changes nothing");
	map[9 * TK_PAGE] = 0x77;
	hdr = (struct tp_hdr)MSG(DATA, .index = 9, .count = 1, .len = TP_PAGE);
	peer_say(bulk, &hdr, page, TP_PAGE);
	tap_ok(tk_until(tk_stat("d").stats.duplicate == 3) && map[9 * TK_PAGE] == 0x77,
	       "and never undoes what the guest wrote");

	pid = tk_fork(child_loads, (void *)20);
	while (peer_hear(urgent, &demand, list, sizeof(list)) && demand.type != TP_MSG_DEMAND)
		;
	tp_wire_get_demand(list, &d);
	hdr = (struct tp_hdr)MSG(FAIL, .index = 20, .gen = d.gen, .code = 65535);
	peer_say(urgent, &hdr, NULL, 0);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "d", 0, NULL) && !waitpid(pid, NULL, WNOHANG),
	       "a failure with an impossible errno breaks the region, its task waits");
	for (i = 0; i < 1000; i++)
		peer_say(urgent, &hdr, NULL, 0);
	kill(pid, SIGKILL);
	tk_reap(pid);
	tap_ok(intact(), "nothing of another region was touched");
	close(urgent);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
	close(bulk);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
}

/* ---- a destination that asks for what it must not, and does not read ---- */

static void demand_of(int fd, uint32_t export, uint64_t index, unsigned int count)
{
	static uint8_t list[TP_LIST_MAX * TP_DEMAND_LEN];
	struct tp_hdr hdr = { .type = TP_MSG_DEMAND, .count = count,
			      .len = count * TP_DEMAND_LEN };
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct tp_demand d = { .export = export, .gen = i + 1, .index = index };

		tp_wire_put_demand(list + i * TP_DEMAND_LEN, &d);
	}
	peer_say(fd, &hdr, list, hdr.len);
}

static void test_bad_destination(void)
{
	static uint8_t page[TK_PAGE];
	struct tp_run run = { .index = 0, .count = NR + 1 };
	uint8_t buf[2 * TP_RUN_LEN];
	struct tp_export ex;
	struct tp_hdr hdr;
	uint32_t id, secret;
	uint64_t n;
	int fd, i;

	tk_ok(tp_export_new_region(tk_nl, "v", "v"), "export");
	ex = tk_export_stat("v");
	secret = ex.id;
	fd = peer_greeted_lane(dst, 0);
	demand_of(fd, secret, 0, 1);
	tap_ok(peer_hear_answer(fd, &hdr, page, TK_PAGE) && hdr.type == TP_MSG_FAIL && hdr.code == ENOENT,
	       "an export that is not served on this link is as if it were not there");
	tk_ok(tp_export_serve(tk_nl, "v", dst, &id), "serve");
	tk_ok(tp_region_freeze(tk_nl, "v"), "freeze");
	demand_of(fd, id, NR, 1);
	tap_ok(peer_hear_answer(fd, &hdr, page, TK_PAGE) && hdr.type == TP_MSG_FAIL && hdr.code == ERANGE &&
	       bad() > 0, "a page behind the end is refused");
	demand_of(fd, id, 5, 1);
	tap_ok(peer_hear_answer(fd, &hdr, page, TK_PAGE) && hdr.type == TP_MSG_DATA && hdr.index == 5 &&
	       hdr.gen == 1 && tk_is_page(page, 1, 5), "a page of it is given");

	n = bad();
	hdr = (struct tp_hdr){ .type = TP_MSG_WANT, .export = id, .count = 1, .len = TP_RUN_LEN };
	tp_wire_put_run(buf, &run);
	peer_say(fd, &hdr, buf, TP_RUN_LEN);
	lost("a want over the end", true, n);
	close(fd);
	n = bad();
	fd = peer_greeted_lane(dst, 0);
	run = (struct tp_run){ .index = 1, .count = -1ULL };
	tp_wire_put_run(buf, &run);
	peer_say(fd, &hdr, buf, TP_RUN_LEN);
	lost("a want without end", true, n);
	close(fd);
	n = bad();
	fd = peer_greeted_lane(dst, 0);
	hdr.count = 2;
	hdr.len = 2 * TP_RUN_LEN;
	run = (struct tp_run){ .index = 0, .count = NR };
	tp_wire_put_run(buf, &run);
	tp_wire_put_run(buf + TP_RUN_LEN, &run);
	peer_say(fd, &hdr, buf, sizeof(buf));
	lost("a want that names pages twice", true, n);
	close(fd);

	/* demands without reading the answers: TCP holds us up, memory does not grow */
	fd = peer_greeted_lane(dst, 0);
	for (i = 0; i < 2000; i++) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (poll(&p, 1, 500) <= 0)
			break;
		demand_of(fd, id, 7, 64);
		if (i == 40) {
			int flags = fcntl(fd, F_GETFL);

			fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		}
	}
	ex = tk_export_stat("v");
	tap_note("%d messages of 64 demands sent, %llu answered", i, (unsigned long long)ex.demand);
	tap_ok(ex.demand < 20000, "a flood of demands that are not read is held up");
	tap_ok(!tp_lane_detach(tk_nl, dst, 0), "the lane can be detached all the same");
	close(fd);

	/* the same before the freeze: the source waits, it must not collect them */
	tk_ok(tp_region_thaw(tk_nl, "v"), "thaw");
	tk_ok(tp_export_serve(tk_nl, "v", dst, &id), "serve");
	fd = peer_greeted_lane(dst, 0);
	for (i = 0; i < 64; i++)
		demand_of(fd, id, i, 64);
	tk_nap_ms(200);
	tap_ok(!tp_lane_detach(tk_nl, dst, 0), "with demands that wait for the freeze, too");
	close(fd);
	/* they are answered on a lane that was greeted, or not at all */
	fd = peer_lane(dst, 0);
	tap_ok(peer_hear(fd, &hdr, page, TK_PAGE) && hdr.type == TP_MSG_HELLO,
	       "a new lane begins with a greeting");
	tk_ok(tp_export_del(tk_nl, "v"), "release");
	tk_nap_ms(200);
	tap_ok(recv(fd, page, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN,
	       "a peer that has not greeted is told nothing");
	tk_ok(tp_lane_detach(tk_nl, dst, 0), "detach");
	close(fd);
	tap_ok(intact(), "the region that was asked for is as it was");
}

/* ---- and then an honest one ---- */

static void test_honest_peer(void)
{
	struct tp_hdr hdr;
	int urgent = peer_greeted_lane(dst, 0), bulk = peer_greeted_lane(dst, 1);
	unsigned long i;

	tap_ok(peer_hear(urgent, &hdr, payload, sizeof(payload)), "the module asks again for the rest");
	for (i = 0; i < NR; i += 64) {
		unsigned int j;

		for (j = 0; j < 64; j++)
			tk_page(payload + j * TK_PAGE, 2, i + j);
		hdr = (struct tp_hdr)MSG(DATA, .index = i, .count = 64, .len = 64 * TP_PAGE);
		peer_say(bulk, &hdr, payload, hdr.len);
	}
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_COMPLETE, "d", 0, NULL) &&
	       !tk_wrong(map, 0, 9, 2) && map[9 * TK_PAGE] == 0x77 &&
	       !tk_wrong(map, 10, NR - 10, 2), "an honest peer completes the region");
	tap_ok(intact(), "the other region is as it was");
	close(urgent);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
	close(bulk);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
}

/* ---- two lanes that contradict each other ---- */

#define NR_TWO	4096UL

struct liar {
	int fd;
	bool zero;
};

static pthread_barrier_t together;

static void *say_all(void *arg)
{
	struct liar *l = arg;
	struct tp_hdr hdr = { .export = EXPORT + 2, .count = 1 };
	unsigned long i;

	hdr.type = l->zero ? TP_MSG_ZERO : TP_MSG_DATA;
	hdr.len = l->zero ? 0 : TP_PAGE;
	for (i = 0; i < NR_TWO; i++) {
		hdr.index = i;
		pthread_barrier_wait(&together);
		peer_say(l->fd, &hdr, payload, hdr.len);
	}
	return NULL;
}

/*
 * A page is counted once, whoever fills it: a region that is complete too early
 * would keep the tasks of its last pages waiting for ever.
 */
static void test_contradiction(void)
{
	struct liar data = { .zero = false }, zero = { .zero = true };
	static uint8_t page[TK_PAGE];
	struct iovec iov = { .iov_base = page, .iov_len = TK_PAGE };
	unsigned long i, missing = 0;
	pthread_t t[2];
	int fd;

	tk_new("two", NR_TWO);
	tk_ok(tp_region_import(tk_nl, "two", dst, EXPORT + 2, false), "import");
	fd = tk_open("two", O_RDONLY);
	data.fd = peer_greeted_lane(dst, 1);
	zero.fd = peer_greeted_lane(dst, 2);
	pthread_barrier_init(&together, NULL, 2);
	t[0] = tk_thread(say_all, &data);
	t[1] = tk_thread(say_all, &zero);
	tk_join(t[0]);
	tk_join(t[1]);
	tap_ok(tk_wait_state("two", TELEPAGE_REGION_LOCAL), "said to be zero and data: complete");
	for (i = 0; i < NR_TWO; i++)
		missing += preadv2(fd, &iov, 1, i * TK_PAGE, RWF_NOWAIT) != (ssize_t)TK_PAGE;
	tap_ok(!missing && !tk_stat("two").absent, "and all of it is there (%lu are not)", missing);
	close(fd);
	close(data.fd);
	close(zero.fd);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
	tk_del("two");
	pthread_barrier_destroy(&together);
}

/* ---- wishes without end ---- */

static void test_wishes(void)
{
	static uint8_t page[TK_PAGE];
	struct iovec iov = { .iov_base = page, .iov_len = TK_PAGE };
	uint8_t list[TP_LIST_MAX * TP_DEMAND_LEN];
	unsigned long i, refused = 0, asked = 0;
	struct tp_hdr hdr;
	pid_t pid;
	int fd, peer;

	tk_new("w", 4 * NR_TWO);
	tk_ok(tp_region_import(tk_nl, "w", dst, EXPORT + 3, false), "import");
	fd = tk_open("w", O_RDONLY);
	for (i = 0; i < 4 * NR_TWO - 1; i++)
		refused += preadv2(fd, &iov, 1, i * TK_PAGE, RWF_NOWAIT) < 0 && errno == EAGAIN;
	map = tk_map("w", 4 * NR_TWO, PROT_READ, MAP_SHARED);
	pid = tk_fork(child_loads, (void *)(4 * NR_TWO - 1));
	tk_until(tk_stat("w").stats.faults);
	peer = peer_greeted_lane(dst, 0);
	while (peer_hear(peer, &hdr, list, sizeof(list))) {
		struct tp_demand d = { .index = 0 };

		if (hdr.type != TP_MSG_DEMAND)
			continue;
		asked += hdr.count;
		/* behind it may be what is asked for again because the lane is new */
		for (i = 0; i < hdr.count && d.index != 4 * NR_TWO - 1; i++)
			tp_wire_get_demand(list + i * TP_DEMAND_LEN, &d);
		if (d.index != 4 * NR_TWO - 1)
			continue;
		tk_page(page, 6, d.index);
		hdr = (struct tp_hdr){ .type = TP_MSG_DATA, .export = EXPORT + 3, .index = d.index,
				       .count = 1, .len = TP_PAGE, .gen = d.gen };
		peer_say(peer, &hdr, page, TP_PAGE);
		break;
	}
	tap_ok(refused == 4 * NR_TWO - 1 && asked <= 2 * 4097 + 256 && !tk_reap(pid),
	       "who reads without waiting cannot pile up requests (%lu of %lu), who waits is served",
	       asked, refused);
	tk_unmap(map, 4 * NR_TWO);
	close(fd);
	tk_ok(tp_region_abandon(tk_nl, "w"), "abandon");
	tk_del("w");
	close(peer);
	tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, dst, NULL);
}

int main(void)
{
	tk_init();
	tk_new("v", NR);
	tk_fill("v", 0, NR, 1);
	victim = tk_map("v", NR, PROT_READ, MAP_SHARED);
	tk_ok(tp_link_new(tk_nl, "", &dst), "link");
	tk_new("d", NR);
	tk_ok(tp_region_import(tk_nl, "d", dst, EXPORT, true), "import");
	map = tk_map("d", NR, PROT_READ | PROT_WRITE, MAP_SHARED);
	test_greetings();
	test_messages_that_break_the_lane();
	test_lies();
	test_bad_destination();
	test_honest_peer();
	tk_unmap(map, NR);
	test_contradiction();
	test_wishes();
	tk_unmap(victim, NR);
	tk_del("d");
	tk_del("v");
	tk_ok(tp_link_del(tk_nl, dst), "link del");
	return tap_done();
}
