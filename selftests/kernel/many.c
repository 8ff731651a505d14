// SPDX-License-Identifier: GPL-2.0
/*
 * many.c - more objects than fit into one netlink message, and large regions
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>

#include "tk.h"

#define REGIONS	400U
#define LINKS	256U	/* as many as one export can be served on */

static void test_dumps(void)
{
	static bool seen[REGIONS];
	struct tp_region_list regions;
	struct tp_export_list exports;
	struct tp_link_list links;
	uint32_t link[LINKS], more, id;
	struct tp_export ex;
	char name[64];
	unsigned int i, n, good = 0;
	int err;

	for (i = 0; i < REGIONS; i++) {
		snprintf(name, sizeof(name), "region-with-a-long-name-%u", i);
		tk_new(name, 1 + i % 5);
		tk_ok(tp_export_new_region(tk_nl, name, name), "export");
	}
	for (i = 0; i < LINKS; i++) {
		snprintf(name, sizeof(name), "note %u", i);
		tk_ok(tp_link_new(tk_nl, name, &link[i]), "link");
		tk_ok(tp_export_serve(tk_nl, "region-with-a-long-name-7", link[i], &id), "serve");
	}
	tk_ok(tp_region_dump(tk_nl, &regions), "dump");
	for (i = 0; i < regions.n; i++)
		if (sscanf(regions.v[i].name, "region-with-a-long-name-%u", &n) == 1 &&
		    n < REGIONS && !seen[n] && regions.v[i].size == (1 + n % 5) * TK_PAGE &&
		    regions.v[i].exports == 1) {
			seen[n] = true;
			good++;
		}
	tap_ok(good == REGIONS && regions.n == REGIONS, "a dump has every region once");
	tk_ok(tp_export_dump(tk_nl, &exports), "dump");
	for (i = good = 0; i < exports.n; i++)
		good += !strcmp(exports.v[i].name, exports.v[i].region);
	tap_ok(good == REGIONS && exports.n == REGIONS, "and every export");
	tk_ok(tp_link_dump(tk_nl, &links), "dump");
	for (i = good = 0; i < links.n; i++) {
		snprintf(name, sizeof(name), "note %u", i);
		good += i < LINKS && links.v[i].id == link[i] && !strcmp(links.v[i].peer, name) &&
			links.v[i].serves == 1;
	}
	tap_ok(good == LINKS && links.n == LINKS, "and every link with its note");
	ex = tk_export_stat("region-with-a-long-name-7");
	tap_ok(ex.nr_links == LINKS, "an export tells all links it is served on");
	tk_ok(tp_link_new(tk_nl, "one too many", &more), "link");
	err = tp_export_serve(tk_nl, "region-with-a-long-name-7", more, &id);
	tap_ok(err == -E2BIG && *tp_nl_error(tk_nl), "and refuses to be served on more than it can tell");
	tk_ok(tp_link_del(tk_nl, more), "link del");
	tp_region_list_free(&regions);
	tp_export_list_free(&exports);
	tp_link_list_free(&links);
	for (i = 0; i < LINKS; i++)
		tk_ok(tp_link_del(tk_nl, link[i]), "link del");
	for (i = 0; i < REGIONS; i++) {
		snprintf(name, sizeof(name), "region-with-a-long-name-%u", i);
		tk_ok(tp_export_del(tk_nl, name), "release");
		tk_del(name);
	}
}

static atomic_bool stop;

static void *come_and_go(void *arg)
{
	struct tp_nl *nl;
	char name[16];

	if (tp_nl_open(&nl))
		tk_die("netlink: %s", tp_nl_error(NULL));
	while (!stop) {
		unsigned int i;

		for (i = 0; i < 8; i++) {
			snprintf(name, sizeof(name), "gone-%u", i);
			tp_region_new(nl, name, TK_PAGE, 0600, 0, 0, NULL);
		}
		for (i = 0; i < 8; i++) {
			snprintf(name, sizeof(name), "gone-%u", i);
			tp_region_del(nl, name);
		}
	}
	tp_nl_close(nl);
	return NULL;
}

/* An agent that starts anew finds what there is by a dump. */
static void test_dumps_while_regions_come_and_go(void)
{
	unsigned int i, missed = 0, unread = 0, rounds = 0;
	uint64_t end = tk_now_ms() + 4000;
	pthread_t t;
	char name[16];

	/* some of those that go stand before those that stay */
	t = tk_thread(come_and_go, NULL);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "stay-%u", i);
		tk_new(name, 1);
		tk_nap_ms(1);
	}
	while (tk_now_ms() < end) {
		struct tp_region_list r;
		unsigned int stay = 0;
		struct dirent *d;
		DIR *dir;

		tk_ok(tp_region_dump(tk_nl, &r), "dump");
		for (i = 0; i < r.n; i++)
			stay += !strncmp(r.v[i].name, "stay-", 5);
		missed += stay != 100;
		tp_region_list_free(&r);
		dir = opendir(TK_DIR);
		for (stay = 0; dir && (d = readdir(dir));)
			stay += !strncmp(d->d_name, "stay-", 5);
		closedir(dir);
		unread += stay != 100;
		rounds++;
	}
	stop = true;
	tk_join(t);
	tap_ok(!missed, "no dump misses a region that stays while others come and go (%u of %u)",
	       missed, rounds);
	tap_ok(!unread, "nor does the directory (%u of %u)", unread, rounds);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "stay-%u", i);
		tk_del(name);
	}
}

static void test_all_lanes(void)
{
	struct tk_pair p;
	struct tp_link l;
	unsigned int i, up = 0;

	tk_pair_open(&p, TELEPAGE_LANE_MAX, false);
	tk_ok(tp_link_get(tk_nl, p.src, &l), "link");
	for (i = 0; i < l.nr_lanes; i++)
		up += l.lanes[i].lane == i && l.lanes[i].up;
	tap_ok(l.up && up == TELEPAGE_LANE_MAX + 1, "a link with all lanes tells each of them");
	tp_link_clear(&l);
	tk_new("s", 4096);
	tk_fill("s", 0, 4096, 1);
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_import(&p, "s", "d", true);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && tk_stat("d").stats.push == 4096 &&
	       !tk_stat("d").stats.duplicate, "and fills a region over them, each page once");
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

/* As large as this machine may make it; nothing of it is touched but the ends. */
static void test_large_region(void)
{
	const unsigned long pages = (1UL << 30) / TK_PAGE;
	static uint8_t bits[TELEPAGE_DIRTY_MAX / 8];
	struct tk_pair p;
	uint8_t *map;
	unsigned long i, n = 0;

	tk_new("s", pages);
	tk_fill("s", pages - 3, 3, 1);
	tk_fill("s", pages / 2, 1, 1);
	tk_ok(tp_region_dirty(tk_nl, "s", 0, TELEPAGE_DIRTY_MAX, false, bits), "dirty");
	for (i = 0; i < pages; i++)
		n += bits[i / 8] >> i % 8 & 1;
	tap_ok(n == 4, "the dirty bits of a whole gigabyte in one answer");
	tk_ok(tp_region_freeze(tk_nl, "s"), "freeze");
	tk_pair_open(&p, 1, false);
	tk_import(&p, "s", "d", true);
	map = tk_map("d", pages, PROT_READ, MAP_SHARED);
	tap_ok(tk_wait_state("d", TELEPAGE_REGION_LOCAL) && tk_stat("d").resident == 4 &&
	       tk_stat("d").stats.zero == pages - 4, "a gigabyte of zeros is there at once");
	tap_ok(!tk_wrong(map, pages - 3, 3, 1) && !tk_wrong(map, pages / 2, 1, 1) &&
	       tk_is_zero(map + (pages - 4) * TK_PAGE, TK_PAGE), "with what is in it");
	tk_unmap(map, pages);
	tk_import_end("s", "d");
	tk_pair_close(&p);
}

int main(void)
{
	tk_init();
	test_dumps();
	test_dumps_while_regions_come_and_go();
	test_all_lanes();
	test_large_region();
	return tap_done();
}
