// SPDX-License-Identifier: GPL-2.0
/*
 * pages.c - put pages into a file
 *
 *	bench-pages random FILE [PAGES [EVERY]]	content that does not compress, in
 *						every EVERYth page
 *	bench-pages touch FILE [PAGES]		write to each through a mapping
 *	bench-pages hold FILE [PAGES]		the same, and keep it mapped until
 *						standard input ends; says "held" first,
 *						and again when it has read all pages,
 *						which it does at each line
 */
#include "bench.h"

/* xorshift64*: fast, and nothing compresses it */
static uint64_t random64(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return x * 0x2545f4914f6cdd1d;
}

/* By write(), so that nothing is mapped when something is measured later. */
static void fill(const char *path, unsigned long pages, unsigned long every)
{
	uint64_t buf[PAGE / sizeof(uint64_t)];
	int fd = open(path, O_WRONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	if (!pages)
		pages = (unsigned long)st.st_size / PAGE;
	for (unsigned long i = 0; i < pages; i += every) {
		for (unsigned int k = 0; k < PAGE / sizeof(uint64_t); k++)
			buf[k] = random64();
		if (pwrite(fd, buf, PAGE, (off_t)(i * PAGE)) != PAGE)
			err(1, "%s", path);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned long pages = argc > 3 ? number(argv[3]) : 0;
	volatile char *p;

	if (argc < 3)
		errx(2, "usage: bench-pages random|touch|hold FILE [PAGES [EVERY]]");
	if (!strcmp(argv[1], "random")) {
		fill(argv[2], pages, argc > 4 ? number(argv[4]) : 1);
		return 0;
	}
	p = map_file(argv[2], &pages, PROT_READ | PROT_WRITE);
	for (unsigned long i = 0; i < pages; i++)
		p[i * PAGE] = (char)(i | 1);
	if (!strcmp(argv[1], "hold")) {
		do {
			for (unsigned long i = 0; i < pages; i++)
				(void)p[i * PAGE];
			puts("held");
			fflush(stdout);
		} while (getchar() != EOF);
	}
	return 0;
}
