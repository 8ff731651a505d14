// SPDX-License-Identifier: GPL-2.0
/*
 * rate.c - the push: limits of a region and of a link, turns between regions, and
 * memory for what is under way
 *
 * A limit is judged by the most that can have been pushed in the time that has
 * passed: a slow machine only pushes less.
 */
#include "peer.h"

#define NR		4096UL
#define BULK		2
#define TAKE		64	/* pages that a lane takes at once, and sends all of */
#define CREDIT_MS	20	/* of unused time that a limit keeps */

static void limit(const char *path, unsigned int kbit)
{
	char value[16];

	snprintf(value, sizeof(value), "%u", kbit);
	tk_ok(tk_write_file(path, value), path);
}

static void frozen_source(const char *name, unsigned long pages, uint32_t seed)
{
	tk_new(name, pages);
	tk_fill(name, 0, pages, seed);
	tk_ok(tp_region_freeze(tk_nl, name), "freeze");
}

static bool whole(const char *name, unsigned long pages, uint32_t seed)
{
	bool local = tk_wait_state(name, TELEPAGE_REGION_LOCAL);
	uint8_t *map = tk_map(name, pages, PROT_READ, MAP_SHARED);
	unsigned long wrong = local ? tk_wrong(map, 0, pages, seed) : pages;

	tk_unmap(map, pages);
	return !wrong;
}

/*
 * Changes the limit and watches it for a while. Besides what the limit lets through
 * there is what each lane had taken when it changed, and what it may take at once.
 */
static bool obeyed(const char *path, unsigned int kbit, unsigned int ms)
{
	uint64_t start = tk_now_ms(), before, n, most, passed;
	bool ok = true;

	limit(path, kbit);
	before = tk_export_stat("s").push;
	do {
		tk_nap_ms(50);
		n = tk_export_stat("s").push - before;
		passed = tk_now_ms() - start;
		most = kbit * (passed + CREDIT_MS) / 8 / TK_PAGE + 2 * BULK * TAKE;
		ok &= n <= most;
	} while (ok && passed < ms);
	tap_note("%u kbit/s: %llu pages in %llu ms, %llu may be", kbit, (unsigned long long)n,
		 (unsigned long long)passed, (unsigned long long)most);
	return ok;
}

static void test_limit(const char *of, bool link)
{
	struct tk_pair p;
	uint64_t before;
	char path[128], buf[16];

	tk_pair_open(&p, BULK, false);
	frozen_source("s", NR, 1);
	snprintf(path, sizeof(path), "%s",
		 link ? tk_link_file(p.src, "push_rate_kbit") : "/sys/fs/telepage/s/push_rate_kbit");
	limit(path, 4000);
	tap_ok(tk_write_file(path, "fast") == -EINVAL && tk_write_file(path, "-1") < 0 &&
	       tk_write_file(path, "4294967296") < 0 &&
	       !strcmp(tk_cat(path, buf, sizeof(buf)), "4000"), "what a limit of a %s can be", of);
	tk_import(&p, "s", "d", true);
	tap_ok(obeyed(path, 4000, 3000), "the limit of a %s is obeyed", of);
	tap_ok(obeyed(path, 16000, 1000), "a higher one that is set meanwhile, too");
	tap_ok(obeyed(path, 800, 2000), "and a lower one");

	/* after what is sent at once the next may follow in half an hour */
	before = tk_export_stat("s").push;
	limit(path, 1);
	tap_ok(tk_until(tk_export_stat("s").push > before) && tk_stat("d").absent,
	       "the lowest is not none");
	limit(path, 0);
	tap_ok(whole("d", NR, 1), "a limit that is lifted holds nobody any more");
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

static void *read_all(void *arg)
{
	return (void *)tk_wrong(arg, 0, TAKE, 4);
}

static void test_turns(void)
{
	uint64_t n[2], less, more;
	struct tk_pair p;
	void *wrong = NULL;
	bool answered;
	char path[128];
	uint8_t *map;
	pthread_t t;

	tk_pair_open(&p, BULK, false);
	snprintf(path, sizeof(path), "%s", tk_link_file(p.src, "push_rate_kbit"));
	limit(path, 1);
	frozen_source("s0", NR, 2);
	frozen_source("s1", NR, 3);
	tk_import(&p, "s0", "d0", true);
	tk_import(&p, "s1", "d1", true);
	if (!tk_until(tk_export_stat("s0").wanted > NR / 2 && tk_export_stat("s1").wanted > NR / 2))
		tk_die("nobody wants anything");
	limit(path, 16000);
	if (!tk_until(tk_export_stat("s0").push + tk_export_stat("s1").push >= NR / 2))
		tk_die("nothing is pushed");
	/* now nearly nothing moves, whenever the second is looked at */
	limit(path, 1);
	n[0] = tk_export_stat("s0").push;
	n[1] = tk_export_stat("s1").push;
	less = n[0] < n[1] ? n[0] : n[1];
	more = n[0] < n[1] ? n[1] : n[0];
	tap_ok(less >= more / 2, "two regions share the limit of their link (%llu, %llu pages)",
	       (unsigned long long)n[0], (unsigned long long)n[1]);

	limit(path, 400);	/* minutes for what is left */
	frozen_source("s2", TAKE, 4);
	tk_import(&p, "s2", "d2", false);
	map = tk_map("d2", TAKE, PROT_READ, MAP_SHARED);
	t = tk_thread(read_all, map);
	answered = tk_join(t) && !tk_stat("d2").absent;
	tap_ok(answered && tk_stat("d2").stats.demand + tk_stat("d2").stats.prefetch_came == TAKE &&
	       tk_stat("d0").absent + tk_stat("d1").absent > NR,
	       "demands of a third do not wait for them");
	limit(path, 0);
	if (!answered)
		pthread_join(t, &wrong);
	tap_ok(!tk_wrong(map, 0, TAKE, 4) && whole("d0", NR, 2) && whole("d1", NR, 3),
	       "all that came is right");
	tk_unmap(map, TAKE);
	tk_import_end("s0", "d0");
	tk_import_end("s1", "d1");
	tk_import_end("s2", "d2");
	tk_pair_close(&p);
}

static unsigned long number(const char *path)
{
	char buf[32];

	return strtoul(tk_cat(path, buf, sizeof(buf)), NULL, 10);
}

/* A peer that wants 64 MB pushed and reads none of it. */
static void test_memory(void)
{
	const unsigned long pages = 16384, lane_most = 4 << 20;
	struct tp_run run = { .index = 0, .count = pages };
	struct tp_hdr want = { .type = TP_MSG_WANT, .count = 1, .len = TP_RUN_LEN };
	unsigned long idle, n, most = 0;
	unsigned int i;
	uint32_t link;
	uint8_t buf[TP_RUN_LEN];
	int fd[BULK + 1];
	uint64_t end;
	char path[128];

	tk_ok(tp_link_new(tk_nl, "", &link), "link");
	snprintf(path, sizeof(path), "%s", tk_link_file(link, "memory"));
	tap_ok(!number(path), "a link without lanes keeps no memory for messages");
	frozen_source("s", pages, 5);
	tk_ok(tp_export_new_region(tk_nl, "s", "s"), "export");
	tk_ok(tp_export_serve(tk_nl, "s", link, &want.export), "serve");
	for (i = 0; i <= BULK; i++)
		fd[i] = peer_greeted_lane(link, i);
	idle = number(path);
	tp_wire_put_run(buf, &run);
	peer_say(fd[0], &want, buf, sizeof(buf));
	tap_ok(tk_until(number(path) >= idle + BULK * 65536), "what a peer does not take shows");
	end = tk_now_ms() + 2000;
	do {
		n = number(path);
		most = n > most ? n : most;
		tk_nap_ms(20);
	} while (tk_now_ms() < end);
	tap_ok(most <= (BULK + 1) * lane_most && tk_export_stat("s").push < pages / 2,
	       "it is little of what the peer wants (%lu KiB)", most >> 10);
	for (i = 0; i <= BULK; i++)
		close(fd[i]);
	tap_ok(tk_until(!number(path)), "and nothing when the lanes are gone");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_del("s");
	tk_ok(tp_link_del(tk_nl, link), "link del");
}

int main(void)
{
	tk_init();
	test_limit("region", false);
	test_limit("link", true);
	test_turns();
	test_memory();
	return tap_done();
}
