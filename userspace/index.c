// SPDX-License-Identifier: GPL-2.0
/*
 * index.c - looking content up in an index
 *
 * The file is mapped, and may be anything, also become anything while it is: what is read from
 * it is checked where it is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index.h"
#include "index_format.h"
#include "pulse.h"

/* digests are uniform: it takes four or so; in a file where they are not, halving ends it */
#define GUESSES		8
#define SAMPLES		16U

struct index {
	const uint8_t *map;
	size_t len;
	unsigned int slot;
	uint64_t nr, n;
	const digest_t *digests;
	const uint32_t *order;
};

/* --- mappings that may lose pages -------------------------------------------- */

/*
 * A page of a mapping that is behind the file's new end, or that the disk cannot read, is
 * SIGBUS. In a mapping of ours it becomes a page of zeros.
 */
static struct {
	_Atomic uintptr_t start, end;
} slots[INDEX_OPEN_MAX];

static struct sigaction before;

static void lost_page(int sig, siginfo_t *si, void *ctx)
{
	uintptr_t page = (uintptr_t)si->si_addr & ~(uintptr_t)(TELEPAGE_PAGE_SIZE - 1);
	int saved = errno;

	(void)ctx;
	for (unsigned int i = 0; i < INDEX_OPEN_MAX; i++) {
		if (page < atomic_load(&slots[i].start) || page >= atomic_load(&slots[i].end))
			continue;
		/* MAP_FIXED takes only an address that is a number here */
		if (mmap((void *)page, TELEPAGE_PAGE_SIZE, PROT_READ,	/* NOLINT */
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			break;
		errno = saved;
		return;
	}
	/* not ours: it happens again, to whoever was there before */
	sigaction(sig, &before, NULL);
	errno = saved;
}

static void catch_lost_pages(void)
{
	struct sigaction sa = { .sa_sigaction = lost_page, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, &before);
}

static bool slot_take(struct index *ix)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, catch_lost_pages);
	for (ix->slot = 0; ix->slot < INDEX_OPEN_MAX; ix->slot++) {
		uintptr_t none = 0;

		if (!atomic_compare_exchange_strong(&slots[ix->slot].start, &none,
						    (uintptr_t)ix->map))
			continue;
		atomic_store(&slots[ix->slot].end, (uintptr_t)ix->map + ix->len);
		return true;
	}
	return false;
}

static void slot_free(struct index *ix)
{
	atomic_store(&slots[ix->slot].end, 0);
	atomic_store(&slots[ix->slot].start, 0);
}

/* --- the header ---------------------------------------------------------------- */

int index_identify(int fd, struct index_of *of)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	/* a device has no size in its inode */
	end = S_ISREG(st.st_mode) ? st.st_size : lseek(fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*of = (struct index_of){
		.size = end,
		.mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.inode = st.st_ino,
	};
	return 0;
}

/* @h, of a file of @len bytes, is a header, and that of @fd; numbers are checked */
static int check_header(const struct index_header *h, uint64_t len, int fd, const char **why)
{
	static const uint8_t zero[sizeof(h->zero)];
	uint64_t nr = le64toh(h->nr_pages), n = le64toh(h->nr_order);
	struct index_of of = { 0 };
	int err;

	*why = "it is no index";
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) != 0)
		return -EBADMSG;
	*why = "it is of another version";
	if (le32toh(h->version) != INDEX_VERSION || memcmp(h->zero, zero, sizeof(zero)) != 0)
		return -EBADMSG;
	*why = "it is damaged";
	if (le32toh(h->page_size) != TELEPAGE_PAGE_SIZE || nr > INDEX_PAGES_MAX || n > nr ||
	    nr != le64toh(h->file_size) / TELEPAGE_PAGE_SIZE || index_bytes(nr, n) != len)
		return -EBADMSG;
	err = index_identify(fd, &of);
	*why = "the file cannot be indexed";
	if (err)
		return err;
	*why = "it is of another file";
	if (le64toh(h->file_inode) != of.inode)
		return -ESTALE;
	*why = "the file has changed";
	if (le64toh(h->file_size) != of.size || le64toh(h->file_mtime) != of.mtime)
		return -ESTALE;
	return 0;
}

/*
 * opens @path if its header is right, or, with @stale, was so for another file than @fd is now; its
 * descriptor, or a negative errno and why
 */
static int open_header(const char *path, int fd, bool stale, struct index_header *h,
		       uint64_t *len, const char **why)
{
	int in = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err;
	struct stat st;

	if (in < 0) {
		*why = errno == ENOENT ? "there is none" : "it cannot be opened";
		return -errno;
	}
	*why = "it is no index";
	err = -EBADMSG;
	if (fstat(in, &st) || !S_ISREG(st.st_mode) || pread(in, h, sizeof(*h), 0) != sizeof(*h))
		goto out;
	*len = st.st_size;
	err = check_header(h, st.st_size, fd, why);
	if (err == -ESTALE && stale)
		err = 0;
out:
	if (!err)
		return in;
	close(in);
	return err;
}

int index_probe(const char *path, int fd)
{
	struct index_header h = { 0 };
	const char *why;
	uint64_t len = 0;
	int in = open_header(path, fd, false, &h, &len, &why);

	if (in < 0)
		return in;
	close(in);
	return 0;
}

/* --- one that is open -------------------------------------------------------------- */

static bool order_in_range(const struct index *ix)
{
	for (uint64_t i = 0; i < ix->n; i++) {
		/* it may have to come from a slow disk */
		if (!(i % 1024))
			pulse_beat();
		if (le32toh(ix->order[i]) >= ix->nr)
			return false;
	}
	return true;
}

static struct index *map_index(int in, const struct index_header *h, uint64_t len)
{
	struct index *ix = calloc(1, sizeof(*ix));
	void *map;

	if (!ix)
		return NULL;
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, in, 0);
	if (map == MAP_FAILED) {
		free(ix);
		return NULL;
	}
	ix->map = map;
	ix->len = len;
	/* what was checked, not what stands there now */
	ix->nr = le64toh(h->nr_pages);
	ix->n = le64toh(h->nr_order);
	ix->digests = (const digest_t *)(ix->map + sizeof(*h));
	ix->order = (const uint32_t *)(ix->map + index_bytes(ix->nr, 0));
	if (!slot_take(ix)) {
		munmap(map, len);
		free(ix);
		return NULL;
	}
	return ix;
}

static struct index *open_index(const char *path, int fd, bool stale, const char **why)
{
	struct index_header h = { 0 };
	struct index *ix;
	const char *words;
	uint64_t len = 0;
	int in = open_header(path, fd, stale, &h, &len, why ? why : &words);

	if (in < 0)
		return NULL;
	ix = map_index(in, &h, len);
	close(in);
	if (!ix) {
		if (why)
			*why = "there is no memory to map it";
		return NULL;
	}
	if (!order_in_range(ix)) {
		if (why)
			*why = "it is damaged";
		index_close(ix);
		return NULL;
	}
	return ix;
}

struct index *index_open(const char *path, int fd, const char **why)
{
	return open_index(path, fd, false, why);
}

void index_close(struct index *ix)
{
	if (!ix)
		return;
	/* in this order: its addresses may be somebody else's mapping at once */
	slot_free(ix);
	munmap((void *)ix->map, ix->len);
	free(ix);
}

uint64_t index_pages(const struct index *ix)
{
	return ix->nr;
}

const uint8_t *index_digest(const struct index *ix, uint64_t page)
{
	return page < ix->nr ? ix->digests[page] : NULL;
}

/* of place @i of order[]; one that is out of range by now is as if it were zero */
static const uint8_t *digest_at(const struct index *ix, uint64_t i, uint64_t *page)
{
	static const digest_t zero;

	*page = le32toh(ix->order[i]);
	return *page < ix->nr ? ix->digests[*page] : zero;
}

bool index_find(const struct index *ix, const uint8_t prefix[8], uint64_t *page)
{
	uint64_t key = index_key(prefix), lo = 0, hi = ix->n, at;
	uint64_t below = 0, above = UINT64_MAX;	/* keys around lo and hi */
	const uint8_t *d;

	/* the first place whose key is not less, which may be hi */
	for (unsigned int i = 0; lo < hi; i++) {
		uint64_t mid = lo + (hi - lo) / 2, k;

		if (i < GUESSES && above > below) {
			mid = lo + (uint64_t)((unsigned __int128)(hi - lo) * (key - below) /
					      (above - below));
			if (mid >= hi)
				mid = hi - 1;
		}
		k = index_key(digest_at(ix, mid, &at));
		if (k < key) {
			lo = mid + 1;
			below = k;
		} else {
			hi = mid;
			above = k;
		}
	}
	if (lo == ix->n)
		return false;
	d = digest_at(ix, lo, &at);
	if (memcmp(d, prefix, sizeof(key)) != 0 || digest_is_zero(d))
		return false;
	*page = at;
	return true;
}

/*
 * Of blocks that are not zero; in the order of their digests neighbours are anywhere in the file, so
 * these are as good as drawn.
 */
static bool holds(const struct index *ix, int fd)
{
	const struct digest_opts one = { .threads = 1 };
	unsigned int right = 0;

	for (unsigned int i = 0; i < SAMPLES && ix->n; i++) {
		uint64_t page;
		const uint8_t *d = digest_at(ix, ix->n / SAMPLES * i + ix->n % SAMPLES * i / SAMPLES,
					     &page);
		digest_t is;

		right += !digest_pages(fd, page, 1, &is, &one) && !digest_is_zero(is) &&
			 !memcmp(is, d, sizeof(is));
	}
	return 2 * right >= SAMPLES;
}

struct index *index_open_stale(const char *path, int fd)
{
	struct index *ix = open_index(path, fd, true, NULL);

	if (ix && !holds(ix, fd)) {
		index_close(ix);
		return NULL;
	}
	return ix;
}

int index_check(const struct index *ix)
{
	const struct index_header *h = (const struct index_header *)ix->map;
	uint64_t i, at, n = 0, last = 0, key_before = 0;
	digest_t sum;

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, ix->map + sizeof(*h), ix->len - sizeof(*h), sum))
		return -EIO;
	if (memcmp(sum, h->sum, sizeof(sum)) != 0)
		return -EBADMSG;
	for (i = 0; i < ix->nr; i++)
		n += !digest_is_zero(ix->digests[i]);
	if (n != ix->n)
		return -EBADMSG;
	for (i = 0; i < ix->n; i++) {
		const uint8_t *d = digest_at(ix, i, &at);
		uint64_t key = index_key(d);

		if (digest_is_zero(d) || (i && (key < key_before ||
						(key == key_before && at <= last))))
			return -EBADMSG;
		key_before = key;
		last = at;
	}
	return 0;
}
