// SPDX-License-Identifier: GPL-2.0
/*
 * hot.c - when are the pages that are used here, when a region is read from a file?
 *
 *	bench-hot REGION PATH FILE REPLAY
 *
 * REGION, never touched, seen at PATH, has all of its pages in FILE, which is in the page cache,
 * with their digests. A quarter of them, runs of 16, is used, in no order; with REPLAY 1 that
 * is told. Then all is read. Prints "used" and "all", ns until those pages were here.
 */
#include "bench.h"
#include "digest.h"
#include "genl.h"

#define RUN	16		/* pages */
#define SHARE	4
#define LOOK_NS	1000000

static unsigned long pages, nr;
static struct telepage_run *runs;

/* which quarter it is does not follow the file: @nr is a power of 2 */
static void choose(void)
{
	nr = pages / RUN / SHARE;
	if (nr & (nr - 1))
		errx(2, "%lu pages: no power of 2", pages);
	runs = calloc(nr, sizeof(*runs));
	if (!runs)
		err(1, "memory");
	for (unsigned long i = 0; i < nr; i++) {
		unsigned long at = i * 7919 & (nr - 1);

		runs[i].start = (at * SHARE + at % SHARE) * RUN;
		runs[i].count = RUN;
	}
}

static struct tp_extent all_of(int fd)
{
	digest_t *d = calloc(pages, sizeof(*d));

	if (!d || digest_pages(fd, 0, pages, d, &(struct digest_opts){ .threads = 1 }))
		errx(1, "digests");
	return (struct tp_extent){ .count = pages, .digests = (const uint8_t *)d };
}

/* the first run from @from on that is not here */
static unsigned long here(void *map, unsigned long from)
{
	unsigned char in[RUN];

	for (; from < nr; from++) {
		if (mincore((char *)map + runs[from].start * PAGE, RUN * PAGE, in))
			err(1, "mincore");
		for (unsigned int i = 0; i < RUN; i++)
			if (!(in[i] & 1))
				return from;
	}
	return from;
}

int main(int argc, char **argv)
{
	uint64_t begun, used = 0;
	unsigned long done = 0;
	struct tp_region r;
	struct tp_extent e;
	struct tp_nl *nl;
	void *map;
	int fd;

	if (argc != 5)
		errx(2, "usage: bench-hot REGION PATH FILE REPLAY");
	fd = open(argv[3], O_RDONLY);
	if (fd < 0 || tp_nl_open(&nl))
		err(1, "%s, netlink", argv[3]);
	pages = lseek(fd, 0, SEEK_END) / PAGE;
	choose();
	e = all_of(fd);
	if (tp_region_origin(nl, argv[1], fd, &e, 1, false, false))
		errx(1, "%s: %s", argv[1], tp_nl_error(nl));
	map = (void *)map_file(argv[2], &pages, PROT_READ);
	begun = now_ns();
	if ((number(argv[4]) && tp_region_replay_local(nl, argv[1], runs, nr)) ||
	    tp_region_origin(nl, argv[1], -1, NULL, 0, false, true))
		errx(1, "%s: %s", argv[1], tp_nl_error(nl));
	do {
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		if (!used) {
			done = here(map, done);
			if (done == nr)
				used = now_ns() - begun;
		}
		if (tp_region_get(nl, argv[1], &r))
			errx(1, "%s: %s", argv[1], tp_nl_error(nl));
	} while (r.absent || !used);
	printf("used %llu\nall %llu\n", (unsigned long long)used,
	       (unsigned long long)(now_ns() - begun));
	tp_nl_close(nl);
	return 0;
}
