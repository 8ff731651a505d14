// SPDX-License-Identifier: GPL-2.0
/* SHA-256 of pages: digest.c */
#include <errno.h>
#include <time.h>

#include "digest.h"
#include "pages.h"
#include "tap.h"

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static char dir[] = "/tmp/tp-digest.XXXXXX";

static bool digests_right(int fd, uint64_t first, uint64_t nr, const int *ids, size_t n,
			  unsigned int threads)
{
	const struct digest_opts o = { .threads = threads };
	digest_t *out = malloc(nr * sizeof(*out)), want;
	bool good;

	memset(out, 0xee, nr * sizeof(*out));
	good = !digest_pages(fd, first, nr, out, threads ? &o : NULL);
	for (uint64_t i = 0; good && i < nr; i++) {
		digest_of(first + i < n ? ids[first + i] : 0, want);
		good = !memcmp(out[i], want, DIGEST_SIZE);
		if (!good)
			tap_note("page %lu", (unsigned long)(first + i));
	}
	free(out);
	return good;
}

/* others get what is left of the disk: however many threads there are, and at the least so long */
static void limited(int fd, uint64_t nr)
{
	const struct digest_opts slow = { .threads = 3, .rate = nr * PAGE };
	digest_t *out = malloc(nr * sizeof(*out));
	uint64_t begun = now_us(), holes = 0;
	int err = digest_pages(fd, 0, nr, out, &slow);

	/* what is a hole for sure costs nothing */
	for (uint64_t i = 0; i < nr; i++)
		holes += digest_is_zero(out[i]);
	tap_ok(!err && now_us() - begun >= (nr - holes) * 1000000 / nr,
	       "no more bytes a second are read than the limit allows");
	free(out);
}

static void files(void)
{
	static const int few[] = { 2, 0, -1, 3, 1, 2, -1, -1, 4 };
	size_t n = 1500;
	int *ids = malloc(n * sizeof(*ids)), fd, pipes[2];
	uint8_t page[PAGE];
	digest_t d[2], want;

	fd = make_pages(dir, "few", few, 9, 0);
	tap_ok(digests_right(fd, 0, 9, few, 9, 1), "digests of a small file, one thread");
	tap_ok(digests_right(fd, 0, 9, few, 9, 0), "on all CPUs");
	tap_ok(digests_right(fd, 3, 20, few, 9, 2), "from within it to behind its end");
	tap_ok(digests_right(fd, 1000, 600, few, 9, 2), "behind its end");
	tap_ok(digest_pages(fd, UINT64_MAX / PAGE, 2, d, NULL) == -EOVERFLOW,
	       "where there are no files");
	tap_ok(!digest_pages(fd, 0, 0, d, NULL), "of no pages");
	close(fd);

	/* data and holes that begin and end anywhere in what a thread takes at a time */
	for (size_t i = 0; i < n; i++)
		ids[i] = i / 37 % 3 == 1 ? -1 : i % 11 == 5 ? 0 : (int)(i % 700) + 1;
	fd = make_pages(dir, "many", ids, n, 0);
	tap_ok(digests_right(fd, 0, n, ids, n, 1), "many pages, one thread");
	tap_ok(digests_right(fd, 0, n, ids, n, 5), "five threads");
	tap_ok(digests_right(fd, 77, 1111, ids, n, 5), "a part of them");
	limited(fd, n);
	close(fd);
	free(ids);

	fd = make_pages(dir, "cut", few, 1, 100);
	tap_ok(!digest_pages(fd, 0, 2, d, NULL), "a file that ends within a page");
	memset(page, 0, PAGE);
	memset(page, 'x', 100);
	gnutls_hash_fast(GNUTLS_DIG_SHA256, page, PAGE, want);
	tap_ok(!memcmp(d[1], want, DIGEST_SIZE), "as if zeros followed");
	tap_ok(!digest_is_zero(d[1]), "that is not zero");
	close(fd);

	if (pipe(pipes))
		exit(1);
	tap_ok(digest_pages(pipes[0], 0, 1, d, NULL) == -ESPIPE, "a pipe has no pages");
	tap_ok(digest_pages(-1, 0, 1, d, NULL) == -EBADF, "nothing has none");
	close(pipes[0]);
	close(pipes[1]);
}

int main(void)
{
	char cmd[64];

	if (!mkdtemp(dir))
		return 1;
	files();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		tap_note("%s is left", dir);
	return tap_done();
}
