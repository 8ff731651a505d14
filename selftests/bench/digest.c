// SPDX-License-Identifier: GPL-2.0
/*
 * digest.c - what it costs to find pages that are here already
 *
 *	bench-digest MIB DIR
 *
 * Prints "hash" (GiB/s, of CPU time, one thread), "index" (MiB for each GiB of an image),
 * "find" and "miss" (ns to look one page up that is there, and one that is not). The image is
 * a memfd of random data; its index goes to DIR.
 */
#include <sys/random.h>

#include "bench.h"
#include "index.h"

#define ROUNDS	5

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int random_image(uint64_t pages)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	uint64_t x, *p;

	if (fd < 0 || ftruncate(fd, pages * PAGE))
		err(1, "memfd");
	p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || getrandom(&x, sizeof(x), 0) != sizeof(x))
		err(1, "the image");
	for (uint64_t i = 0; i < pages * PAGE / sizeof(*p); i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = x ^ x >> 29;
	}
	munmap(p, pages * PAGE);
	return fd;
}

/* the best of some rounds: what else runs here only ever makes it slower */
static double hash(int fd, uint64_t pages, digest_t *out)
{
	const struct digest_opts o = { .threads = 1 };
	double best = 0;

	for (int i = 0; i < ROUNDS; i++) {
		double t = cpu_s();

		if (digest_pages(fd, 0, pages, out, &o))
			errx(1, "digest_pages failed");
		t = cpu_s() - t;
		if (!i || t < best)
			best = t;
	}
	return pages * PAGE / best / (1 << 30);
}

/* of @pages digests in an order that no cache foresees, @with in them */
static double look_up(const struct index *ix, const digest_t *d, uint64_t pages, uint8_t with)
{
	double t = cpu_s();
	uint64_t page;

	for (uint64_t i = 0; i < pages; i++) {
		uint64_t want = i * 7919 % pages;
		digest_t key;
		bool found;

		memcpy(key, d[want], sizeof(key));
		/* some other page's, as likely as that */
		key[5] ^= with;
		found = index_find(ix, key, &page);
		if (with ? found : !found || page != want)
			errx(1, "page %llu: what is looked up is not what is found",
			     (unsigned long long)want);
	}
	return (cpu_s() - t) / pages * 1e9;
}

int main(int argc, char **argv)
{
	uint64_t pages;
	struct index *ix;
	struct stat st;
	char path[4096];
	digest_t *d;
	int fd;

	if (argc != 3)
		errx(2, "usage: bench-digest MIB DIR");
	pages = number(argv[1]) * (1 << 20) / PAGE;
	snprintf(path, sizeof(path), "%s/image" INDEX_SUFFIX, argv[2]);
	fd = random_image(pages);
	d = malloc(pages * sizeof(*d));
	if (!pages || !d)
		errx(1, "no memory for that");
	printf("hash %.4f\n", hash(fd, pages, d));
	if (index_build(fd, path, NULL, NULL, NULL) || stat(path, &st))
		errx(1, "%s cannot be made", path);
	printf("index %.6f\n", st.st_size / (1024.0 * 1024) / (pages * PAGE / 1073741824.0));
	ix = index_open(path, fd, NULL);
	if (!ix)
		errx(1, "%s cannot be opened", path);
	printf("find %.1f\n", look_up(ix, d, pages, 0));
	printf("miss %.1f\n", look_up(ix, d, pages, 0x55));
	index_close(ix);
	unlink(path);
	return 0;
}
