// SPDX-License-Identifier: GPL-2.0
/* finding content by its digest: index.c, index_build.c */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index.h"
#include "index_format.h"
#include "pages.h"
#include "tap.h"
#include "tmpfile.h"

#define HANG_S	120

static char dir[] = "/tmp/tp-index.XXXXXX";
static char path[PATH_MAX];		/* of the index */

static size_t file_size(const char *file)
{
	struct stat st;

	return stat(file, &st) ? 0 : st.st_size;
}

static bool is_there(const char *file, const char *suffix)
{
	char name[PATH_MAX + 16];

	snprintf(name, sizeof(name), "%s%s", file, suffix);
	return !access(name, F_OK);
}

static void *load(const char *file, size_t *len)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	void *p;

	*len = file_size(file);
	p = malloc(*len + 1);
	if (fd < 0 || !p || read(fd, p, *len) != (ssize_t)*len)
		exit(1);
	close(fd);
	return p;
}

static void store(const char *file, const void *p, size_t len)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, p, len) != (ssize_t)len)
		exit(1);
	close(fd);
}

/* --- finding ---------------------------------------------------------------------- */

/* what is found for each page is what looking at all of them finds */
static bool finds_all(const struct index *ix, const int *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t page = UINT64_MAX;
		size_t first = 0;
		digest_t d;
		bool found;

		digest_of(ids[i], d);
		if (memcmp(index_digest(ix, i), d, DIGEST_SIZE) != 0)
			return false;
		while (ids[first] != ids[i])
			first++;
		found = index_find(ix, d, &page);
		if (found != (ids[i] > 0) || (found && page != first)) {
			tap_note("page %zu: %d, %lu instead of %zu", i, found,
				 (unsigned long)page, first);
			return false;
		}
	}
	return true;
}

static bool finds_nothing_else(const struct index *ix)
{
	uint64_t page;
	digest_t d;

	for (int id = 100000; id < 101000; id++) {
		digest_of(id, d);
		if (index_find(ix, d, &page))
			return false;
	}
	memset(d, 0xff, sizeof(d));
	if (index_find(ix, d, &page))
		return false;
	memset(d, 0, sizeof(d));
	return !index_find(ix, d, &page);
}

static void one_index(const char *what, const int *ids, size_t n, size_t more)
{
	int fd = make_pages(dir, "image", ids, n, more);
	size_t full = 0, len;
	struct index *ix;
	const char *why;
	void *a, *b;
	size_t len2;
	digest_t *d;

	for (size_t i = 0; i < n; i++)
		full += ids[i] > 0;
	if (!tap_ok(!index_build(fd, path, NULL, NULL, NULL), "%s: built", what)) {
		close(fd);
		return;
	}
	tap_ok(!is_there(path, TMP_SUFFIX), "and nothing else");
	tap_ok(file_size(path) == index_bytes(n, full), "36 bytes for each page that is not zero");
	tap_ok(!index_probe(path, fd), "it is one");
	ix = index_open(path, fd, &why);
	if (tap_ok(ix, "it opens")) {
		tap_ok(index_pages(ix) == n, "has all whole pages");
		tap_ok(!index_digest(ix, n), "and no more");
		tap_ok(!index_check(ix), "is what was written");
		tap_ok(finds_all(ix, ids, n), "finds each page, the lowest of equal ones");
		tap_ok(finds_nothing_else(ix), "and nothing else");
	} else {
		tap_note("%s", why);
	}
	index_close(ix);

	a = load(path, &len);
	d = malloc((n + 1) * sizeof(*d));
	for (size_t i = 0; i < n; i++)
		digest_of(ids[i], d[i]);
	tap_ok(!index_write(fd, path, d, n), "written of digests that are known");
	b = load(path, &len2);
	tap_ok(len == len2 && !memcmp(a, b, len), "it is the same");
	tap_ok(index_write(fd, path, d, n + 1) == -EINVAL, "but not of too many");
	tap_ok(!n || index_write(fd, path, d, n - 1) == -EINVAL, "nor of too few");
	free(a);
	free(b);
	free(d);
	close(fd);
}

static void indexes(void)
{
	static const int few[] = { 5, 0, -1, 6, 1, 5, -1, 6, 0, 7, 5, 0 };
	static const int zeros[] = { 0, -1, 0, -1 };
	static const int same[] = { 3, 3, 3, 3, 3, 3, 3 };
	size_t n = 40000;
	int *ids = malloc(n * sizeof(*ids));

	one_index("a few pages", few, 12, 0);
	one_index("a last block that is cut", few, 12, 1);
	one_index("another", few, 11, PAGE - 1);
	one_index("zero pages only", zeros, 4, 0);
	one_index("one content", same, 7, 0);
	one_index("less than a page", few, 0, 100);
	one_index("an empty file", few, 0, 0);
	for (size_t i = 0; i < 3000; i++)
		ids[i] = (int)(i * 7919 % 2500);
	one_index("many pages", ids, 3000, 0);
	/* more than is in memory at a time, with nothing in between */
	for (size_t i = 0; i < n; i++)
		ids[i] = i % 400 == 7 ? (int)(i % 50) + 1 : -1;
	ids[n - 1] = 77;
	one_index("pages that are far from each other", ids, n, 0);
	free(ids);
}

/* --- files that are not what they should be --------------------------------------- */

/* whatever it is: every answer is in range, and is what was asked for */
static bool answers_in_range(const struct index *ix, const int *ids, size_t n)
{
	for (size_t i = 0; i < n + 200; i++) {
		digest_t d;
		uint64_t page;

		digest_of(i < n ? ids[i] : (int)i + 1000, d);
		if (!index_find(ix, d, &page))
			continue;
		if (page >= index_pages(ix) || memcmp(index_digest(ix, page), d, 8) != 0)
			return false;
	}
	return true;
}

static void flips(void)
{
	static const int ids[] = { 5, 0, -1, 6, 1, 5, -1, 6, 0, 7, 5, 0 };
	static const uint8_t masks[] = { 0xff, 0x01, 0x80, 0x10 };
	int fd = make_pages(dir, "image", ids, 12, 0);
	size_t len, opened = 0, refused = 0, taken = 0, wild = 0;
	struct index *ix;
	uint8_t *bytes;

	if (index_build(fd, path, NULL, NULL, NULL))
		exit(1);
	bytes = load(path, &len);
	for (size_t i = 0; i < len; i++)
		for (size_t m = 0; m < sizeof(masks); m++) {
			bytes[i] ^= masks[m];
			store(path, bytes, len);
			bytes[i] ^= masks[m];
			ix = index_open(path, fd, NULL);
			refused += !ix;
			if (!ix)
				continue;
			opened++;
			taken += index_check(ix) != -EBADMSG;
			wild += !answers_in_range(ix, ids, 12);
			index_close(ix);
		}
	tap_ok(opened && refused, "each byte changed: %zu open, %zu do not", opened, refused);
	tap_ok(!taken, "none of them passes for what was written: %zu", taken);
	tap_ok(!wild, "and none answers what cannot be: %zu", wild);

	for (refused = 0, opened = 0; opened < len; opened++) {
		store(path, bytes, opened);
		ix = index_open(path, fd, NULL);
		refused += !ix;
		index_close(ix);
	}
	tap_ok(refused == len, "each shorter file is refused: %zu of %zu", refused, len);
	/* of order[], whose first is less than 12 */
	bytes[index_bytes(12, 0)] += 12;
	store(path, bytes, len);
	tap_ok(!index_open(path, fd, NULL), "so is one with a page that is not there");
	bytes[index_bytes(12, 0)] -= 12;
	bytes[len] = 0;
	store(path, bytes, len + 1);
	tap_ok(!index_open(path, fd, NULL), "so is a longer one");
	store(path, bytes, len);
	ix = index_open(path, fd, NULL);
	tap_ok(ix, "but not the right one");
	index_close(ix);
	free(bytes);
	close(fd);
}

/* a header that is right, and anything behind it */
static void garbage(void)
{
	static const int ids[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
	int fd = make_pages(dir, "image", ids, 10, 0);
	size_t len, wild = 0, sorted = 0;
	uint32_t x = 12345;
	uint8_t *bytes;

	if (index_build(fd, path, NULL, NULL, NULL))
		exit(1);
	bytes = load(path, &len);
	for (int round = 0; round < 3000; round++) {
		struct index *ix;

		for (size_t i = sizeof(struct index_header); i < len; i++) {
			x = x * 1664525 + 1013904223;
			/* few values, so that there are equal ones and those far from any other */
			bytes[i] = (x >> 24) % 3 ? (x >> 16) & 1 : (x >> 16);
		}
		/* order[] has to be in range to be looked at */
		for (size_t i = index_bytes(10, 0); round % 2 && i < len; i += 4)
			memcpy(bytes + i, &(uint32_t){ htole32(bytes[i] % 10) }, 4);
		store(path, bytes, len);
		ix = index_open(path, fd, NULL);
		if (!ix)
			continue;
		sorted += !index_check(ix);
		wild += !answers_in_range(ix, ids, 10);
		for (uint64_t i = 0; i < 10; i++) {
			uint64_t page;

			wild += index_find(ix, index_digest(ix, i), &page) && page >= 10;
		}
		index_close(ix);
	}
	tap_ok(!wild && !sorted, "anything behind the header: %zu wrong, %zu taken", wild, sorted);
	free(bytes);
	close(fd);
}

/* an index that loses its pages while it is open */
static void lost(void)
{
	size_t n = 3000;
	int *ids = malloc(n * sizeof(*ids)), fd;
	struct index *ix, *other;
	size_t found = 0, len;
	uint64_t page;
	digest_t d;
	void *bytes;

	for (size_t i = 0; i < n; i++)
		ids[i] = (int)i + 1;
	fd = make_pages(dir, "image", ids, n, 0);
	if (index_build(fd, path, NULL, NULL, NULL))
		exit(1);
	bytes = load(path, &len);
	ix = index_open(path, fd, NULL);
	tap_ok(ix, "a large index is open");
	if (!ix || truncate(path, 5000))
		exit(1);
	for (size_t i = 0; i < n; i++) {
		digest_of(ids[i], d);
		/* order[] says 0 everywhere */
		found += index_find(ix, d, &page) && page;
	}
	tap_ok(!found, "then it was cut, and nothing is found: %zu", found);
	tap_ok(digest_is_zero(index_digest(ix, n - 1)), "it reads as zeros");
	tap_ok(index_check(ix) == -EBADMSG, "and is not in order");
	store(path, bytes, len);
	other = index_open(path, fd, NULL);
	tap_ok(other && finds_all(other, ids, n), "the whole one is as good as ever");
	index_close(ix);
	index_close(other);
	free(bytes);
	free(ids);
	close(fd);
}

/* --- files that change --------------------------------------------------------------- */

static void touch(int fd, long ns)
{
	const struct timespec t[2] = { { .tv_nsec = UTIME_OMIT }, { 1700000000, ns } };

	if (futimens(fd, t))
		exit(1);
}

static void refused(int fd, int err, const char *what)
{
	const char *why = NULL;

	tap_ok(index_probe(path, fd) == err, "%s: %d", what, index_probe(path, fd));
	tap_ok(!index_open(path, fd, &why) && why, "so it does not open: %s", why ? why : "?");
}

/* changes the file while it is read, by the next nanosecond */
static bool spoil(uint64_t done, uint64_t total, void *arg)
{
	touch(*(int *)arg, 5);
	return true;
}

static bool note_progress(uint64_t done, uint64_t total, void *arg)
{
	uint64_t *last = arg;

	if (!done || done < *last || done > total)
		*last = UINT64_MAX;
	else
		*last = done;
	return true;
}

/* the first time, or when all was read and it is being sorted */
static bool stop(uint64_t done, uint64_t total, void *arg)
{
	int *calls = arg;

	return --*calls;
}

static void stopped(void)
{
	static const int ids[] = { 1, 2, 3, 0 };
	int fd = make_pages(dir, "image", ids, 4, 0);
	char name[PATH_MAX + 16];

	snprintf(name, sizeof(name), "%s.tmp", path);
	unlink(path);
	for (int n = 1; n <= 2; n++) {
		int calls = n;

		tap_ok(index_build(fd, path, NULL, stop, &calls) == -ECANCELED && !calls,
		       "stopped at call %d", n);
		tap_ok(access(path, F_OK) && access(name, F_OK), "nothing of it is left");
	}
	/* of somebody who has died */
	close(make_pages(dir, strrchr(name, '/') + 1, (int[]){ 0 }, 1, 0));
	index_sweep(path);
	tap_ok(access(name, F_OK), "what was left over goes");
	close(make_pages(dir, strrchr(name, '/') + 1, (int[]){ 5 }, 1, 0));
	index_sweep(path);
	tap_ok(!access(name, F_OK), "but no file that is none");
	unlink(name);
	close(fd);
}

static void changes(void)
{
	static const int ids[] = { 1, 2, 3, 0 };
	int fd = make_pages(dir, "image", ids, 4, 0), tmp;
	int other = make_pages(dir, "other", ids, 4, 0);
	char name[PATH_MAX + 16];
	size_t len, len2;
	uint64_t last = 0;
	void *a, *b;

	unlink(path);
	refused(fd, -ENOENT, "there is no index");
	touch(fd, 1);
	touch(other, 1);
	tap_ok(!index_build(fd, path, NULL, note_progress, &last) && last == 4,
	       "progress is told up to the end");
	refused(other, -ESTALE, "a file with the same content is another file");
	touch(fd, 2);
	refused(fd, -ESTALE, "the file was written to");
	touch(fd, 1);
	tap_ok(!index_probe(path, fd), "it was not");
	if (ftruncate(fd, 5 * PAGE))
		exit(1);
	touch(fd, 1);
	refused(fd, -ESTALE, "the file has grown");

	a = load(path, &len);
	tap_ok(index_build(fd, path, NULL, spoil, &fd) == -ESTALE, "it changes while it is read");
	tap_ok(!is_there(path, TMP_SUFFIX), "nothing is left of that");
	b = load(path, &len2);
	tap_ok(len == len2 && !memcmp(a, b, len), "and the old index is as it was");
	free(a);
	free(b);

	snprintf(name, sizeof(name), "%s" TMP_SUFFIX, path);
	tmp = tmp_open(AT_FDCWD, name);
	tap_ok(tmp >= 0, "somebody makes the index");
	tap_ok(index_build(fd, path, NULL, NULL, NULL) == -EBUSY, "nobody else does");
	tap_ok(is_there(path, TMP_SUFFIX), "and leaves that alone");
	close(tmp);
	tap_ok(!index_build(fd, path, NULL, NULL, NULL), "unless he has died");
	tap_ok(!index_probe(path, fd), "then it is done");

	/* what else may stand in the way */
	if (symlink("/etc/passwd", name))
		exit(1);
	tap_ok(index_build(fd, path, NULL, NULL, NULL) == -EEXIST, "links are not written through");
	unlink(name);
	snprintf(name, sizeof(name), "%s/other", dir);
	a = load(name, &len);
	snprintf(name, sizeof(name), "%s/again", dir);
	unlink(path);
	if (symlink(name, path))
		exit(1);
	tap_ok(!index_open(path, fd, NULL), "nor read through");
	unlink(path);
	if (mkfifo(path, 0600))
		exit(1);
	refused(fd, -EBADMSG, "a pipe is no index");
	unlink(path);
	free(a);
	snprintf(name, sizeof(name), "%s/missing/x", dir);
	tap_ok(index_build(fd, name, NULL, NULL, NULL) == -ENOENT, "no directory, no index");
	close(fd);
	close(other);
}

/* more than can be open at a time is refused, and no harm */
static void many_open(void)
{
	static const int ids[] = { 1, 2, 3, 0 };
	int fd = make_pages(dir, "image", ids, 4, 0);
	struct index *v[200];
	size_t n = 0;

	if (index_build(fd, path, NULL, NULL, NULL))
		exit(1);
	while (n < 200 && (v[n] = index_open(path, fd, NULL)))
		n++;
	tap_ok(n >= 16 && n < 200, "many are open: %zu", n);
	tap_ok(finds_all(v[n - 1], ids, 4), "the last one finds all");
	while (n)
		index_close(v[--n]);
	v[0] = index_open(path, fd, NULL);
	tap_ok(v[0], "then there is room again");
	index_close(v[0]);
	close(fd);
}

/* what has the name of an index, or of one that is being written, and is something else */
static void foreign(void)
{
	static const char text[] = "somebody's only copy";
	static const char * const names[] = { "f.tpi", "f.tpi.tmp" };
	static uint8_t page[4096] = { 1 };
	size_t len;

	if (chdir(dir))
		exit(1);
	store("f", page, sizeof(page));
	for (size_t i = 0; i < 2; i++) {
		int fd = open("f", O_RDONLY | O_CLOEXEC), err;
		char *is;

		store(names[i], text, sizeof(text));
		err = index_build(fd, "f.tpi", NULL, NULL, NULL);
		is = load(names[i], &len);
		tap_ok(err == -EEXIST && len == sizeof(text) && !memcmp(is, text, len),
		       "%s that is no index is left alone", names[i]);
		free(is);
		unlink(names[i]);
		err = index_build(fd, "f.tpi", NULL, NULL, NULL) ?:
		      index_build(fd, "f.tpi", NULL, NULL, NULL);
		tap_ok(!err, "without it there is an index, and another in its place");
		unlink("f.tpi");
		close(fd);
	}
}

int main(void)
{
	char cmd[64];

	/* nothing here waits for anybody */
	alarm(HANG_S);
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/image" INDEX_SUFFIX, dir);
	indexes();
	flips();
	garbage();
	lost();
	changes();
	stopped();
	many_open();
	foreign();
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		tap_note("%s is left", dir);
	return tap_done();
}
