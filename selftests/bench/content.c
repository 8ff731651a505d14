// SPDX-License-Identifier: GPL-2.0
/*
 * content.c - files whose pages are those of others, in part
 *
 *	bench-content random FILE SEED		page I of it is page I of SEED
 *	bench-content rewrite FILE SEED PERCENT
 *						so many of its pages anew, in runs of 1 to 8
 *	bench-content mixed FILE SEED PERCENT FROM PAGES
 *						so many of its pages are some of the first
 *						PAGES of seed FROM, in runs of 1 to 64 that
 *						are at other places; the rest is its own
 *	bench-content same FILE FILE
 *
 * No page compresses, or is like another but for that. FILE has its size already.
 */
#include "bench.h"

#define RUN_OF_IMAGE	64
#define RUN_REWRITTEN	8

struct run {
	uint64_t seed;
	unsigned long first, count;	/* pages of it */
};

static unsigned long below(uint64_t *state, unsigned long n)
{
	*state = mix(*state);
	return *state % n;
}

static void put_page(int fd, unsigned long at, uint64_t seed, unsigned long index)
{
	uint64_t buf[PAGE / sizeof(uint64_t)];

	page_content(buf, seed, index);
	if (pwrite(fd, buf, PAGE, (off_t)(at * PAGE)) != PAGE)
		err(1, "writing");
}

static void fill(int fd, unsigned long pages, uint64_t seed)
{
	for (unsigned long i = 0; i < pages; i++)
		put_page(fd, i, seed, i);
}

static void rewrite(int fd, unsigned long pages, uint64_t seed, unsigned long percent)
{
	unsigned long left = pages * percent / 100, at, n;
	bool *done = calloc(pages, sizeof(*done));
	uint64_t state = seed;

	if (!done)
		err(1, "memory");
	while (left) {
		at = below(&state, pages);
		for (n = 1 + below(&state, RUN_REWRITTEN); n && at < pages && left; n--, at++) {
			if (done[at])
				continue;
			done[at] = true;
			put_page(fd, at, seed, at);
			left--;
		}
	}
	free(done);
}

/* pages 0 to @pages of @seed, cut */
static unsigned long cut(struct run *runs, uint64_t seed, unsigned long pages, uint64_t *state)
{
	unsigned long nr = 0, first = 0, n;

	for (; first < pages; first += n) {
		n = 1 + below(state, RUN_OF_IMAGE);
		if (n > pages - first)
			n = pages - first;
		runs[nr++] = (struct run){ seed, first, n };
	}
	return nr;
}

static void shuffle(struct run *runs, unsigned long nr, uint64_t *state)
{
	while (nr > 1) {
		unsigned long i = below(state, nr--);
		struct run r = runs[i];

		runs[i] = runs[nr];
		runs[nr] = r;
	}
}

static void mixed(int fd, unsigned long pages, uint64_t seed, unsigned long percent, uint64_t from,
		  unsigned long from_pages)
{
	unsigned long left = pages * percent / 100, own = pages - left, nr, all, at = 0;
	struct run *runs = calloc(from_pages + pages, sizeof(*runs));
	uint64_t state = seed;

	if (!runs)
		err(1, "memory");
	if (left > from_pages)
		errx(2, "seed %llu has not so many pages", (unsigned long long)from);
	all = cut(runs, from, from_pages, &state);
	shuffle(runs, all, &state);
	for (nr = 0; left; nr++) {
		if (runs[nr].count > left)
			runs[nr].count = left;
		left -= runs[nr].count;
	}
	nr += cut(runs + nr, seed, own, &state);
	shuffle(runs, nr, &state);
	for (unsigned long i = 0; i < nr; i++)
		for (unsigned long k = 0; k < runs[i].count; k++)
			put_page(fd, at++, runs[i].seed, runs[i].first + k);
	free(runs);
}

static int same(const char *a, const char *b)
{
	unsigned long n = 0, m = 0;
	const volatile char *p = map_file(a, &n, PROT_READ), *q = map_file(b, &m, PROT_READ);

	if (n != m || memcmp((const void *)p, (const void *)q, n * PAGE) != 0)
		errx(1, "%s and %s differ", a, b);
	return 0;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: bench-content random|rewrite|mixed|same FILE ...";
	unsigned long pages;
	struct stat st;
	int fd;

	if (argc < 4)
		errx(2, usage);
	if (!strcmp(argv[1], "same"))
		return same(argv[2], argv[3]);
	fd = open(argv[2], O_WRONLY);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", argv[2]);
	pages = (unsigned long)st.st_size / PAGE;
	if (!strcmp(argv[1], "random") && argc == 4)
		fill(fd, pages, number(argv[3]));
	else if (!strcmp(argv[1], "rewrite") && argc == 5)
		rewrite(fd, pages, number(argv[3]), number(argv[4]));
	else if (!strcmp(argv[1], "mixed") && argc == 7)
		mixed(fd, pages, number(argv[3]), number(argv[4]), number(argv[5]),
		      number(argv[6]));
	else
		errx(2, usage);
	return 0;
}
