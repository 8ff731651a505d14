// SPDX-License-Identifier: GPL-2.0
/*
 * files.c - regions whose pages are in local files, for the tests of that
 */
#include <gnutls/crypto.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "files.h"

uint8_t digests[PAGES][TELEPAGE_DIGEST_SIZE];

void digest_all(uint32_t seed)
{
	uint8_t page[TK_PAGE];

	for (unsigned long i = 0; i < PAGES; i++) {
		tk_page(page, seed, i);
		if (gnutls_hash_fast(GNUTLS_DIG_SHA256, page, sizeof(page), digests[i]))
			tk_die("sha256");
	}
}

int image(const char *path, uint32_t seed, unsigned long pages, unsigned long hole)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint8_t page[TK_PAGE];

	if (fd < 0 || ftruncate(fd, pages * TK_PAGE))
		tk_die("%s: %m", path);
	for (unsigned long i = 0; i < pages; i++) {
		if (hole && !(i % hole))
			continue;
		tk_page(page, seed, i);
		if (pwrite(fd, page, sizeof(page), i * TK_PAGE) != sizeof(page))
			tk_die("%s: %m", path);
	}
	return fd;
}

void spoil(int fd, unsigned long page)
{
	if (pwrite(fd, "spoiled", 7, page * TK_PAGE + 100) != 7)
		tk_die("spoil: %m");
}

int origin(const char *region, int fd, unsigned long start, unsigned long count,
	   unsigned long at, bool verify, bool fill)
{
	struct tp_extent e = {
		.start = start, .count = count, .offset = at * TK_PAGE,
		.digests = verify ? digests[start] : NULL,
	};

	return tp_region_origin(tk_nl, region, fd, &e, 1, false, fill);
}

unsigned long wrong(const char *name, uint32_t seed, unsigned long hole)
{
	uint8_t *map = tk_map(name, PAGES, PROT_READ, MAP_SHARED);
	unsigned long bad = 0;

	for (unsigned long i = 0; i < PAGES; i++)
		bad += hole && !(i % hole) ? !tk_is_zero(map + i * TK_PAGE, TK_PAGE) :
					     !tk_is_page(map + i * TK_PAGE, seed, i);
	tk_unmap(map, PAGES);
	return bad;
}

void files_open(void)
{
	mkdir(DIR, 0700);
	if (mount("none", DIR, "tmpfs", 0, NULL))
		tk_die("tmpfs: %m");
}

bool files_close(void)
{
	return tk_until(!umount(DIR));
}

struct tp_nl *planned(struct tk_pair *p, uint32_t seed, bool push)
{
	struct tp_nl *nl;
	uint32_t id;

	tk_new("s", PAGES);
	tk_fill("s", 0, PAGES, seed);
	tk_pair_open(p, 2, false);
	id = tk_serve(p, "s");
	tk_new("d", PAGES);
	if (tp_nl_open(&nl))
		tk_die("a second socket");
	tk_ok(tp_plan_hold(nl, "d"), "hold");
	tk_ok(tp_region_import(tk_nl, "d", p->dst, id, push), "import");
	return nl;
}

void planned_end(struct tk_pair *p)
{
	tk_del("d");
	tk_ok(tp_export_del(tk_nl, "s"), "release");
	tk_del("s");
	tk_pair_close(p);
}
