// SPDX-License-Identifier: GPL-2.0
/*
 * order.c - which pages of an export are pushed first
 *
 * We are the destination, and see what is pushed in the order in which it comes; then
 * imports, whose pages all have to be right.
 */
#include <stdio.h>

#include "peer.h"

#define NR	1024UL
#define HOLE	600UL		/* so many pages from here on are zero */
#define HOLES	40UL
#define BULK	2
#define TAKE	64		/* pages that a lane takes at once, and sends all of */

static uint32_t peer, id;
static int urgent, bulk, file;
static unsigned long seq[2 * NR];	/* pages, as they came */
static unsigned long nr_seq;

static void limit(uint32_t link, unsigned int kbit)
{
	char value[16];

	snprintf(value, sizeof(value), "%u", kbit);
	tk_ok(tk_write_file(tk_link_file(link, "push_rate_kbit"), value), "push_rate_kbit");
}

/* an export of a file, served to us */
static void serve(void)
{
	uint8_t page[TK_PAGE];

	file = memfd_create("source", MFD_CLOEXEC);
	if (ftruncate(file, NR * TK_PAGE))
		tk_die("memfd: %m");
	for (unsigned long i = 0; i < NR; i++) {
		tk_page(page, 1, i);
		if ((i < HOLE || i >= HOLE + HOLES) &&
		    pwrite(file, page, TK_PAGE, i * TK_PAGE) != (ssize_t)TK_PAGE)
			tk_die("memfd: %m");
	}
	tk_ok(tp_export_new_fd(tk_nl, "s", file, 0, 0), "export");
	tk_ok(tp_link_new(tk_nl, "", &peer), "link");
	tk_ok(tp_export_serve(tk_nl, "s", peer, &id), "serve");
	urgent = peer_greeted_lane(peer, 0);
	bulk = peer_greeted_lane(peer, 1);
}

static void serve_end(void)
{
	close(urgent);
	close(bulk);
	for (int i = 0; i < 2; i++)
		tk_event(TELEPAGE_EVENT_LANE_LOST, NULL, peer, NULL);
	tk_ok(tp_link_del(tk_nl, peer), "link del");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	close(file);
}

static void want(const struct tp_run *runs, unsigned int n)
{
	struct tp_hdr hdr = { .type = TP_MSG_WANT, .export = id, .count = n,
			      .len = n * TP_RUN_LEN };
	uint8_t buf[8 * TP_RUN_LEN];

	for (unsigned int i = 0; i < n; i++)
		tp_wire_put_run(buf + i * TP_RUN_LEN, &runs[i]);
	peer_say(urgent, &hdr, buf, hdr.len);
}

/* until @n pages were pushed since seq was emptied */
static void hear(unsigned long n)
{
	static uint8_t page[TP_PAYLOAD_MAX];
	struct tp_hdr hdr;

	while (nr_seq < n) {
		if (!peer_hear(bulk, &hdr, page, sizeof(page)) ||
		    (hdr.type != TP_MSG_DATA && hdr.type != TP_MSG_ZERO))
			tk_die("nothing is pushed any more: %lu of %lu pages", nr_seq, n);
		for (unsigned int i = 0; i < hdr.count && nr_seq < 2 * NR; i++)
			seq[nr_seq++] = hdr.index + i;
	}
}

static bool all_once(void)
{
	static bool came[NR];

	memset(came, 0, sizeof(came));
	for (unsigned long i = 0; i < nr_seq; i++) {
		if (came[seq[i]])
			return false;
		came[seq[i]] = true;
	}
	return nr_seq == NR;
}

/* are pages @at... of what came those of the runs, in their order? */
static bool came_as(unsigned long at, const struct telepage_run *runs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (unsigned long p = 0; p < runs[i].count; p++, at++)
			if (at >= nr_seq || seq[at] != runs[i].start + p) {
				tap_note("page %lu to come was %lu and not %llu", at, seq[at],
					 (unsigned long long)runs[i].start + p);
				return false;
			}
	return true;
}

static const struct tp_run all = { .index = 0, .count = NR };

/* A page as an answer: it is there when nothing is pushed, and the push goes on behind it. */
static bool demand(unsigned long index)
{
	struct tp_hdr hdr = { .type = TP_MSG_DEMAND, .count = 1, .len = TP_DEMAND_LEN };
	struct tp_demand d = { .export = id, .gen = 1 + index, .index = index };
	uint8_t buf[TP_DEMAND_LEN], page[TK_PAGE];

	tp_wire_put_demand(buf, &d);
	peer_say(urgent, &hdr, buf, sizeof(buf));
	return peer_hear_answer(urgent, &hdr, page, sizeof(page)) && hdr.gen == 1 + index &&
	       hdr.index == index;
}

/* The first pages are pushed without an order, and then a limit holds what is left. */
static void hold(void)
{
	nr_seq = 0;
	tk_ok(tp_export_order(tk_nl, "s", NULL, 0), "no order");
	limit(peer, 1);
	demand(NR - 1);
	want(&all, 1);
	/* what a lane has taken is sent whole */
	hear(TAKE);
}

static void test_order(void)
{
	const struct telepage_run order[] = {
		{ 900, 10 }, { 100, 5 }, { HOLE - 2, 6 }, { 300, 1 }, { 0, 1 }, { NR - 1, 1 },
	}, first = { 0, NR };

	nr_seq = 0;
	want(&all, 1);
	hear(NR);
	tap_ok(came_as(0, &first, 1), "without an order pages come from the first to the last");
	tk_ok(tp_export_order(tk_nl, "s", order, 6), "order");
	nr_seq = 0;
	want(&all, 1);
	hear(NR);
	tap_ok(came_as(0, order, 6), "those of an order come first, zero pages among them");
	tap_ok(all_once(), "and then the others, each once");
	nr_seq = 0;
	want((struct tp_run[]){ { 50, 1 }, { 905, 1 } }, 2);
	hear(2);
	tap_ok(seq[0] == 905 && seq[1] == 50, "what is wanted again comes in this order again");
	tk_ok(tp_export_order(tk_nl, "s", NULL, 0), "no order");
	nr_seq = 0;
	want((struct tp_run[]){ { 50, 1 }, { 905, 1 } }, 2);
	hear(2);
	tap_ok(seq[0] + seq[1] == 955, "an order is taken away");
}

static void test_replaced(void)
{
	const struct telepage_run a[] = { { 800, 20 } }, b[] = { { 700, 20 }, { 500, 20 } };
	const struct telepage_run overlap[] = { { 10, 10 }, { 300, 1 }, { 19, 1 } };
	const struct telepage_run empty = { 10, 0 }, behind = { NR - 1, 2 }, far = { -1ULL, 2 };
	static struct telepage_run many[65537];
	unsigned int i, bad = 0;

	hold();
	tk_ok(tp_export_order(tk_nl, "s", a, 1), "order");
	tk_ok(tp_export_order_part(tk_nl, "s", 0, b, 1, true), "a part");
	tk_ok(tp_export_order_part(tk_nl, "s", 1, b + 1, 1, false), "the rest");
	/* from here on nothing may change the order */
	tk_ok(tp_export_order_part(tk_nl, "s", 0, a, 1, true), "a part");
	bad += tp_export_order_part(tk_nl, "s", 2, a, 1, false) != -EINVAL;
	tap_ok(!bad, "a part that does not follow is refused: %s", tp_nl_error(tk_nl));
	bad += tp_export_order_part(tk_nl, "s", 1, a, 1, false) != -EINVAL;
	tap_ok(!bad, "and nothing is left of the parts before it");
	bad += tp_export_order(tk_nl, "s", overlap, 3) != -EINVAL;
	tap_ok(!bad, "runs that overlap: %s", tp_nl_error(tk_nl));
	tk_ok(tp_export_order_part(tk_nl, "s", 0, overlap, 2, true), "a part");
	bad += tp_export_order_part(tk_nl, "s", 2, overlap + 2, 1, false) != -EINVAL;
	bad += tp_export_order(tk_nl, "s", &empty, 1) != -ERANGE;
	bad += tp_export_order(tk_nl, "s", &behind, 1) != -ERANGE;
	bad += tp_export_order(tk_nl, "s", &far, 1) != -ERANGE;
	tap_ok(!bad, "in two parts as well; an empty run, one over the end: %s", tp_nl_error(tk_nl));
	for (i = 0; i < 65537; i++)
		many[i] = (struct telepage_run){ i % NR, 1 };
	bad += tp_export_order(tk_nl, "s", many, 65537) != -E2BIG;
	tap_ok(!bad, "too many: %s", tp_nl_error(tk_nl));
	bad += tp_export_order(tk_nl, "nobody", a, 1) != -ENOENT;
	tap_ok(!bad, "of no export");
	limit(peer, 0);
	hear(NR);
	tap_ok(came_as(TAKE, b, 2) && all_once(),
	       "an order takes the place of the one before as a whole, and a refused one does not");
}

/* A demand is answered while the push is held, and its page is not pushed any more. */
static void test_demand(void)
{
	const struct telepage_run order[] = { { 900, 10 } };
	const struct telepage_run left[] = { { 900, 5 }, { 906, 4 } };

	hold();
	tk_ok(tp_export_order(tk_nl, "s", order, 1), "order");
	tap_ok(demand(905) && nr_seq == TAKE, "a demand does not wait for the order");
	limit(peer, 0);
	hear(NR - 1);
	tap_ok(came_as(TAKE, left, 2), "its page is passed over");
	seq[nr_seq++] = 905;
	tap_ok(all_once(), "and not pushed any more");
}

static void test_ends(void)
{
	const struct telepage_run order[] = { { 900, 10 } };
	uint32_t link, i;

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	tk_ok(tp_export_order(tk_nl, "s", order, 1), "order");
	tk_ok(tp_export_serve(tk_nl, "s", link, &i), "serve");
	tk_ok(tp_export_order_part(tk_nl, "s", 0, order, 1, true), "a part");
	tk_ok(tp_link_del(tk_nl, link), "link del");
	tk_ok(tp_export_order(tk_nl, "s", order, 1), "order");
	tk_ok(tp_export_order_part(tk_nl, "s", 0, order, 1, true), "a part");
	nr_seq = 0;
	want(&all, 1);
	hear(NR);
	tap_ok(came_as(0, order, 1) && all_once(), "an order outlives a link that it is served on");
}

/* ---- imports ---- */

/* every 8th page, from behind */
static unsigned int scattered(struct telepage_run *runs)
{
	unsigned int n = 0;

	for (unsigned long p = NR - 8; p; p -= 8)
		runs[n++] = (struct telepage_run){ p, 1 };
	return n;
}

/* how many of the scattered pages are here, or of the others */
static unsigned int resident(uint8_t *map, bool others)
{
	static uint8_t in[NR];
	unsigned int n = 0;

	if (mincore(map, NR * TK_PAGE, in))
		tk_die("mincore: %m");
	for (unsigned long p = 0; p < NR; p++)
		n += (in[p] & 1) && others == (!p || p % 8);
	return n;
}

/* until all @n scattered ones are here: have more others come before than may? */
static bool came_first(uint8_t *map, unsigned int n)
{
	unsigned int others;

	/* in this order: pages only come */
	while (others = resident(map, true), resident(map, false) < n) {
		if (others > BULK * TAKE) {
			tap_note("%u other pages are here", others);
			return false;
		}
		tk_nap_ms(1);
	}
	return true;
}

static void test_import(bool broken)
{
	static struct telepage_run order[NR];
	unsigned int n = scattered(order);
	struct tk_pair p;
	uint8_t *map;

	tk_pair_open(&p, BULK, false);
	tk_new("src", NR);
	tk_fill("src", 0, NR, 1);
	tk_import(&p, "src", "d", true);
	tk_ok(tp_export_order(tk_nl, "src", order, n), "order");
	limit(p.src, 4000);
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tk_until(tk_export_stat("src").wanted == NR);
	tk_ok(tp_region_freeze(tk_nl, "src"), "freeze");
	if (broken) {
		tk_until(tk_stat("d").resident);
		tk_pair_detach(&p, 1);
		tk_pair_detach(&p, 2);
		tk_pair_attach(&p, 1);
		tk_pair_attach(&p, 2);
	} else {
		tap_ok(came_first(map, n),
		       "an import over two lanes has the ordered pages before others");
	}
	limit(p.src, 0);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !tk_wrong(map, 0, NR, 1),
	       "every page is right in the end%s", broken ? ", though lanes broke" : "");
	tk_unmap(map, NR);
	tk_import_end("src", "d");
	tk_pair_close(&p);
}

static bool round_over(void)
{
	struct tp_export e = tk_export_stat("src");

	return e.begun && !e.wanted;
}

static void test_live(void)
{
	static struct telepage_run order[NR];
	unsigned int n = scattered(order);
	struct tp_export e;
	struct tk_pair p;
	uint8_t *map;

	tk_pair_open(&p, BULK, false);
	tk_new("src", NR);
	tk_fill("src", 0, NR, 1);
	tk_new("d", NR);
	tk_ok(tp_region_import_live(tk_nl, "d", p.dst, tk_serve(&p, "src")), "import");
	tk_ok(tp_export_order(tk_nl, "src", order, n), "order");
	tk_ok(tp_export_round(tk_nl, "src", &e), "round");
	tp_export_clear(&e);
	tk_until(round_over());
	tk_fill("src", 0, NR, 2);
	tk_ok(tp_export_order(tk_nl, "src", order + n / 2, n - n / 2), "order");
	tk_ok(tp_export_round(tk_nl, "src", &e), "round");
	tp_export_clear(&e);
	tk_fill("src", 0, NR / 2, 3);
	tk_ok(tp_region_freeze(tk_nl, "src"), "freeze");
	map = tk_map("d", NR, PROT_READ, MAP_SHARED);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && !tk_wrong(map, 0, NR / 2, 3) &&
	       !tk_wrong(map, NR / 2, NR / 2, 2), "live rounds with an order: every page is right");
	tk_unmap(map, NR);
	tk_import_end("src", "d");
	tk_pair_close(&p);
}

int main(void)
{
	tk_init();
	serve();
	test_order();
	test_replaced();
	test_demand();
	test_ends();
	serve_end();
	test_import(false);
	test_import(true);
	test_live();
	return tap_done();
}
