// SPDX-License-Identifier: GPL-2.0
/*
 * index_build.c - making an index
 *
 * Digests go into the file as they come, so that only sorting takes memory: 16 bytes for
 * each block that is sorted at a time, which is all of them up to 16 GiB of data, then an eighth.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "index.h"
#include "index_format.h"
#include "tmpfile.h"

#define WINDOW		16384		/* digests that are in memory, a progress call for each */
#define SORT_MIN	(4 << 20)
#define SORT_PASSES	8
#define BUCKETS		65536		/* by the first two bytes of a digest */

struct entry {
	uint64_t key;
	uint32_t block;
};

struct build {
	int fd, out;
	struct index_of of;
	uint64_t nr, n;			/* blocks, and those that are not zero */
	const digest_t *given;
	digest_t *window;
	uint64_t *count;		/* of each bucket */
	uint32_t *order;		/* WINDOW of them, on their way to the file */
	gnutls_hash_hd_t sum;
	uint64_t at;			/* in the file */
	const struct digest_opts *opts;
	index_progress_fn progress;
	void *arg;
};

/* the next bytes of the file; zeros are not written */
static int append(struct build *b, const void *buf, size_t len, bool hole)
{
	if (gnutls_hash(b->sum, buf, len))
		return -EIO;
	b->at += len;
	return hole ? 0 : file_write_at(b->out, buf, len, b->at - len);
}

static uint64_t window_at(const struct build *b, uint64_t first)
{
	return b->nr - first < WINDOW ? b->nr - first : WINDOW;
}

static bool go_on(const struct build *b, uint64_t done)
{
	return !b->progress || b->progress(done, b->nr, b->arg);
}

static int put_digests(struct build *b)
{
	uint64_t first, n;

	for (first = 0; first < b->nr; first += n) {
		const digest_t *d = b->given ? b->given + first : b->window;
		bool zero = true;
		int err = 0;

		n = window_at(b, first);
		if (!b->given)
			err = digest_pages(b->fd, first, n, b->window, b->opts);
		for (uint64_t i = 0; !err && i < n; i++)
			if (!digest_is_zero(d[i])) {
				b->count[index_key(d[i]) >> 48]++;
				b->n++;
				zero = false;
			}
		if (!err)
			err = append(b, d, n * DIGEST_SIZE, zero);
		if (err)
			return err;
		if (!go_on(b, first + n))
			return -ECANCELED;
	}
	return 0;
}

/* digests again: those given, or from the file */
static int get_digests(struct build *b, uint64_t first, uint64_t n, const digest_t **d)
{
	uint64_t at = index_bytes(first, 0);
	size_t len = n * DIGEST_SIZE, done = 0;

	*d = b->given ? b->given + first : b->window;
	while (!b->given && done < len) {
		ssize_t got = pread(b->out, (char *)b->window + done, len - done, at + done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		/* its end may be a hole that is not even in the file yet */
		if (!got) {
			memset((char *)b->window + done, 0, len - done);
			break;
		}
		done += got;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->block < y->block ? -1 : x->block > y->block;
}

/* the @want entries whose bucket is at least @from and below @to */
static int collect(struct build *b, unsigned int from, unsigned int to, struct entry *v,
		   uint64_t want)
{
	uint64_t first, n, m = 0;

	for (first = 0; first < b->nr && m < want; first += n) {
		const digest_t *d;
		int err;

		n = window_at(b, first);
		err = get_digests(b, first, n, &d);
		if (err)
			return err;
		/* sorting takes a while, too */
		if (!go_on(b, b->nr))
			return -ECANCELED;
		for (uint64_t i = 0; i < n; i++) {
			uint64_t key = index_key(d[i]);

			if (key >> 48 < from || key >> 48 >= to || digest_is_zero(d[i]))
				continue;
			if (m == want)
				return -EIO;
			v[m++] = (struct entry){ key, first + i };
		}
	}
	/* somebody else writes into the file */
	return m == want ? 0 : -EIO;
}

static int put_order(struct build *b, const struct entry *v, uint64_t n)
{
	int err = 0;

	for (uint64_t i = 0, m = 0; !err && i < n; i++) {
		b->order[m++] = htole32(v[i].block);
		if (m == WINDOW || i + 1 == n) {
			err = append(b, b->order, m * sizeof(*b->order), false);
			m = 0;
		}
	}
	return err;
}

static int sort(struct build *b)
{
	uint64_t most = SORT_MIN, n;
	unsigned int from, to;
	struct entry *v;
	int err = 0;

	if (most < b->n / SORT_PASSES)
		most = b->n / SORT_PASSES;
	for (to = 0; to < BUCKETS; to++)
		if (most < b->count[to])
			most = b->count[to];
	if (most > b->n)
		most = b->n;
	if (!most)
		return 0;
	v = malloc(most * sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (from = 0; !err && from < BUCKETS; from = to) {
		for (n = 0, to = from; to < BUCKETS && b->count[to] <= most - n; to++)
			n += b->count[to];
		err = collect(b, from, to, v, n);
		if (err)
			break;
		qsort(v, n, sizeof(*v), compare);
		err = put_order(b, v, n);
	}
	free(v);
	return err;
}

static int put_header(struct build *b, const uint8_t *sum)
{
	struct index_header h = {
		.version = htole32(INDEX_VERSION),
		.page_size = htole32(TELEPAGE_PAGE_SIZE),
		.file_size = htole64(b->of.size),
		.file_mtime = htole64(b->of.mtime),
		.file_inode = htole64(b->of.inode),
		.nr_pages = htole64(b->nr),
		.nr_order = htole64(b->n),
	};

	memcpy(h.magic, INDEX_MAGIC, sizeof(h.magic));
	memcpy(h.sum, sum, sizeof(h.sum));
	return file_write_at(b->out, &h, sizeof(h), 0);
}

static int fill(struct build *b)
{
	struct index_of now = { 0 };
	digest_t sum;
	int err;

	if (gnutls_hash_init(&b->sum, GNUTLS_DIG_SHA256))
		return -EIO;
	b->at = sizeof(struct index_header);
	err = put_digests(b);
	if (!err)
		err = sort(b);
	gnutls_hash_deinit(b->sum, sum);
	if (err)
		return err;
	err = put_header(b, sum);
	if (err)
		return err;
	if (ftruncate(b->out, index_bytes(b->nr, b->n)) || fsync(b->out))
		return -errno;
	err = index_identify(b->fd, &now);
	if (err)
		return err;
	return now.size == b->of.size && now.mtime == b->of.mtime && now.inode == b->of.inode ?
	       0 : -ESTALE;
}

/*
 * Is what is there an index, so that it may be replaced? Or one that was being written
 * (@partly): its header comes last. What has no content loses none.
 */
static int check_ours(const char *path, bool partly)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	static const uint8_t none[sizeof(INDEX_MAGIC) - 1];
	uint8_t magic[sizeof(none)] = { 0 };
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 : -errno;
	n = fstat(fd, &st) || !S_ISREG(st.st_mode) ? 0 : read(fd, magic, sizeof(magic));
	close(fd);
	if (!n || !memcmp(magic, INDEX_MAGIC, sizeof(magic)) ||
	    (partly && !memcmp(magic, none, sizeof(magic))))
		return 0;
	return -EEXIST;
}

void index_sweep(const char *path)
{
	uint64_t size, bytes;
	char *tmp;

	if (asprintf(&tmp, "%s" TMP_SUFFIX, path) < 0)
		return;
	if (!access(tmp, F_OK) && !check_ours(tmp, true))
		tmp_sweep(AT_FDCWD, tmp, &size, &bytes);
	free(tmp);
}

/* @path.tmp is @out then, whatever becomes of it */
static int make(struct build *b, const char *path)
{
	char *tmp;
	int err;

	if (asprintf(&tmp, "%s" TMP_SUFFIX, path) < 0)
		return -ENOMEM;
	err = check_ours(path, false);
	if (!err)
		err = check_ours(tmp, true);
	if (err)
		goto out;
	b->out = tmp_open(AT_FDCWD, tmp);
	err = b->out < 0 ? b->out : 0;
	if (err)
		goto out;
	err = fill(b);
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	close(b->out);
out:
	free(tmp);
	return err;
}

static int build(struct build *b, const char *path)
{
	int err = -ENOMEM;

	b->window = malloc(WINDOW * sizeof(*b->window));
	b->order = malloc(WINDOW * sizeof(*b->order));
	b->count = calloc(BUCKETS, sizeof(*b->count));
	if (b->window && b->order && b->count)
		err = make(b, path);
	free(b->window);
	free(b->order);
	free(b->count);
	return err;
}

static int begin(struct build *b, int fd)
{
	int err = index_identify(fd, &b->of);

	b->fd = fd;
	b->nr = b->of.size / TELEPAGE_PAGE_SIZE;
	if (!err && b->nr > INDEX_PAGES_MAX)
		err = -EFBIG;
	return err;
}

int index_build(int fd, const char *path, const struct digest_opts *o, index_progress_fn progress,
		void *arg)
{
	struct build b = { .opts = o, .progress = progress, .arg = arg };
	int err = begin(&b, fd);

	return err ? err : build(&b, path);
}

int index_write(int fd, const char *path, const digest_t *digests, uint64_t nr)
{
	struct build b = { .given = digests };
	int err = begin(&b, fd);

	if (!err && nr != b.nr)
		err = -EINVAL;
	return err ? err : build(&b, path);
}
