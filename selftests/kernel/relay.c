// SPDX-License-Identifier: GPL-2.0
/*
 * relay.c - a VM moves on while it still fills: a to b to c
 *
 * Region "b" fills from "a" over a slow network, is frozen before it is whole and
 * exported to "c". All three are in this kernel.
 */
#include <linux/falloc.h>
#include <linux/tls.h>

#include "tk.h"

#define NR	2048UL

static struct tk_pair ab, bc;

static void begin(uint32_t seed, bool push_to_b)
{
	tk_events_forget();
	tk_new("a", NR);
	tk_fill("a", 0, NR, seed);
	tk_ok(tp_region_freeze(tk_nl, "a"), "freeze");
	tk_import(&ab, "a", "b", push_to_b);
}

static void end(void)
{
	struct tp_region r = tk_stat("b");

	if (tk_stat("c").state != TELEPAGE_REGION_LOCAL &&
	    tk_stat("c").state != TELEPAGE_REGION_ABANDONED)
		tk_ok(tp_region_abandon(tk_nl, "c"), "abandon");
	if (r.state == TELEPAGE_REGION_FILLING || r.state == TELEPAGE_REGION_BROKEN)
		tk_ok(tp_region_abandon(tk_nl, "b"), "abandon");
	tk_del("c");
	tp_export_del(tk_nl, "b");
	tk_del("b");
	tp_export_del(tk_nl, "a");
	tk_del("a");
}

/* what b has of a's, what it wrote and what it discarded before it was frozen */
static unsigned long wrong_at_c(const uint8_t *map, uint32_t a, uint32_t b)
{
	return tk_wrong(map, 0, 100, a) + tk_wrong(map, 100, 50, b) +
	       !tk_is_zero(map + 150 * TK_PAGE, 50 * TK_PAGE) + tk_wrong(map, 200, NR - 200, a);
}

static void change_b(uint32_t seed)
{
	int fd;

	tk_fill("b", 100, 50, seed);
	fd = tk_open("b", O_RDWR);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 150 * TK_PAGE,
		      50 * TK_PAGE))
		tk_die("punch: %m");
	close(fd);
}

static void test_push_through(void)
{
	uint8_t *map;

	begin(1, true);
	tk_until(tk_stat("b").stats.push > 50);
	change_b(2);
	tk_ok(tp_region_freeze(tk_nl, "b"), "freeze");
	tap_ok(tk_stat("b").absent, "b is frozen before it is whole");
	tk_import(&bc, "b", "c", true);
	map = tk_map("c", NR, PROT_READ, MAP_SHARED);
	tap_ok(!tk_wrong(map, 100, 5, 2) && tk_is_zero(map + 160 * TK_PAGE, TK_PAGE),
	       "c sees what was written and what was discarded at b");
	tap_ok(tk_is_page(map + (NR - 1) * TK_PAGE, 1, NR - 1),
	       "a page that b has not got either comes from a");
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_COMPLETE, "c", 0, NULL) &&
	       !wrong_at_c(map, 1, 2), "c is completed, every page right");
	tap_ok(tk_wait_state("b", TELEPAGE_REGION_LOCAL), "so is b");
	tk_unmap(map, NR);
	end();
}

static void test_on_demand_through(void)
{
	unsigned long i, wrong = 0;
	uint8_t *map;

	begin(3, false);
	tk_ok(tp_region_freeze(tk_nl, "b"), "freeze");
	tk_import(&bc, "b", "c", false);
	map = tk_map("c", NR, PROT_READ, MAP_SHARED);
	for (i = 0; i < NR; i += 97)
		wrong += !tk_is_page(map + i * TK_PAGE, 3, i);
	tap_ok(!wrong && tk_stat("b").resident == tk_stat("c").resident,
	       "demands alone go through b to a, page by page");
	tk_unmap(map, NR);
	end();
}

#define READERS	16

struct reader {
	const uint8_t *map;
	unsigned long index;
	bool right;
};

static void *read_page(void *arg)
{
	struct reader *r = arg;

	r->right = tk_is_page(r->map + r->index * TK_PAGE, 4, r->index);
	return NULL;
}

static void test_lost_in_the_middle(void)
{
	struct reader r[READERS];
	pthread_t t[READERS];
	unsigned int i, right = 0;
	uint8_t *map;

	begin(4, false);
	tk_ok(tp_region_freeze(tk_nl, "b"), "freeze");
	tk_import(&bc, "b", "c", false);
	/* each reader is to ask for its page itself */
	tk_ok(tk_write_file("/sys/fs/telepage/c/prefetch", "none"), "prefetch");
	map = tk_map("c", NR, PROT_READ, MAP_SHARED);
	tk_pair_detach(&ab, 0);
	for (i = 0; i < READERS; i++) {
		r[i] = (struct reader){ .map = map, .index = 500 + i };
		t[i] = tk_thread(read_page, &r[i]);
	}
	if (!tk_until(tk_stat("c").stats.demand_sent == READERS))
		tk_die("not all of them ask");
	/* c's lane too: b is asked again for what it could not give */
	tk_pair_detach(&bc, 0);
	tk_pair_attach(&bc, 0);
	tk_nap_ms(100);
	tk_pair_attach(&ab, 0);
	for (i = 0; i < READERS; i++) {
		tk_join(t[i]);
		right += r[i].right;
	}
	tap_ok(right == READERS, "lanes lost on both ways: who waits at c gets a's pages");
	tk_unmap(map, NR);
	end();
}

static int child_loads(void *arg)
{
	return tk_load(arg) < 0 ? 7 : 0;
}

static void test_given_up_in_the_middle(void)
{
	uint8_t *map;
	pid_t pid;

	begin(5, false);
	tk_ok(tp_region_freeze(tk_nl, "b"), "freeze");
	tk_import(&bc, "b", "c", false);
	map = tk_map("c", NR, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map, 5, 0), "a page comes through");
	tk_ok(tp_export_del(tk_nl, "a"), "release");
	pid = tk_fork(child_loads, map + 9 * TK_PAGE);
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "b", 0, NULL) &&
	       tk_stat("c").state == TELEPAGE_REGION_FILLING, "a is lost for good: b is broken");
	tk_ok(tp_region_abandon(tk_nl, "b"), "abandon");
	tap_ok(tk_event(TELEPAGE_EVENT_REGION_BROKEN, "c", 0, NULL) && !waitpid(pid, NULL, WNOHANG),
	       "b is abandoned: c is broken and waits");
	tap_ok(tk_is_page(map, 5, 0) && tk_load(map) >= 0, "what c has, it has");
	tk_ok(tp_region_abandon(tk_nl, "c"), "abandon");
	tap_ok(tk_reap(pid) == 7, "c is abandoned: its task gets SIGBUS");
	tk_unmap(map, NR);
	end();
}

/*
 * Of two pages asked for together b has one: who needs that does not wait for the
 * other. TLS sends what it holds back with the next message only.
 */
static void test_not_held_back(void)
{
	struct reader r[2] = { { .index = 3 }, { .index = 9 } };
	pthread_t t[2];
	unsigned int i;
	uint8_t *map;
	int sv[2];

	begin(4, false);
	map = tk_map("b", NR, PROT_READ, MAP_SHARED);
	tap_ok(tk_is_page(map + 3 * TK_PAGE, 4, 3), "b has a page");
	tk_unmap(map, NR);
	/* what is packed is sent at once anyway */
	tk_write_file("/sys/fs/telepage/b/compress", "off\n");
	tk_ok(tp_region_freeze(tk_nl, "b"), "freeze");
	tk_import(&bc, "b", "c", false);
	map = tk_map("c", NR, PROT_READ, MAP_SHARED);
	tk_pair_detach(&ab, 0);
	tk_pair_detach(&bc, 0);
	for (i = 0; i < 2; i++) {
		r[i].map = map;
		t[i] = tk_thread(read_page, &r[i]);
	}
	tk_until(tk_stat("c").stats.faults == 2);
	tk_nap_ms(100);
	tk_tcp_pair(sv, false);
	if (tk_tls(sv[0], TLS_1_3_VERSION, 1, 2) && tk_tls(sv[1], TLS_1_3_VERSION, 2, 1)) {
		tk_ok(tp_lane_attach(tk_nl, bc.src, 0, sv[0]), "lane");
		tk_ok(tp_lane_attach(tk_nl, bc.dst, 0, sv[1]), "lane");
		tap_ok(tk_join(t[0]) && r[0].right, "the page that b has comes at once");
	} else {
		tap_skip("the page that b has comes at once", "no TLS");
		tk_pair_attach(&bc, 0);
		tk_join(t[0]);
	}
	close(sv[0]);
	close(sv[1]);
	tk_pair_attach(&ab, 0);
	tap_ok(tk_join(t[1]) && r[1].right, "the other when a is there again");
	tk_pair_detach(&bc, 0);
	tk_pair_attach(&bc, 0);
	tk_unmap(map, NR);
	end();
}

int main(void)
{
	tk_init();
	tk_far("10ms", "rate 40mbit");
	tk_pair_open(&ab, 2, true);
	tk_pair_open(&bc, 2, false);
	test_push_through();
	test_on_demand_through();
	test_lost_in_the_middle();
	test_given_up_in_the_middle();
	test_not_held_back();
	tk_pair_close(&bc);
	tk_pair_close(&ab);
	return tap_done();
}
