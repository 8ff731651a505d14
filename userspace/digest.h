/* SPDX-License-Identifier: GPL-2.0 */
/*
 * digest.h - SHA-256 of 4 KiB pages, on all CPUs
 */
#ifndef TELEPAGE_DIGEST_H
#define TELEPAGE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#define DIGEST_SIZE	32

typedef uint8_t digest_t[DIGEST_SIZE];

struct digest_opts {
	unsigned int threads;		/* 0: one per CPU that this process may use */
	uint64_t rate;			/* bytes/s that are read, by all threads, 0: no limit */
};

/*
 * Pages [@first, @first + @nr) of @fd into @out[0..@nr). A page that is zero, in a hole or
 * behind the end of the file has a digest of zeros; one with the end in it is as if zeros
 * followed. @fd has to be one that pread() reads; its file position moves. @o NULL: as if
 * all of it were 0. 0 or a negative errno; then @out is not to be looked at.
 */
int digest_pages(int fd, uint64_t first, uint64_t nr, digest_t *out, const struct digest_opts *o);

bool page_is_zero(const void *page);
bool digest_is_zero(const digest_t d);

#endif /* TELEPAGE_DIGEST_H */
