/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pages.h - files whose pages have a content that can be told
 */
#ifndef TELEPAGE_PAGES_H
#define TELEPAGE_PAGES_H

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "digest.h"

#define PAGE	4096UL

/* content number @id: 0 is zero, -1 a hole */
static inline void content(uint8_t *p, int id)
{
	uint64_t x = 0x9e3779b97f4a7c15ULL * (uint64_t)(id + 1);

	memset(p, 0, PAGE);
	for (size_t i = 0; id > 0 && i < PAGE; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(p + i, &x, 8);
	}
	/* nearly zero is not zero */
	if (id == 1) {
		memset(p, 0, PAGE);
		p[PAGE - 1] = 1;
	}
}

static inline void digest_of(int id, digest_t d)
{
	uint8_t page[PAGE];

	content(page, id);
	memset(d, 0, DIGEST_SIZE);
	if (id > 0 && gnutls_hash_fast(GNUTLS_DIG_SHA256, page, PAGE, d))
		exit(1);
}

/* a new file of these pages and @more bytes; its descriptor */
static inline int make_pages(const char *dir, const char *name, const int *ids, size_t n,
			     size_t more)
{
	char file[PATH_MAX];
	uint8_t page[PAGE];
	int fd;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, n * PAGE + more))
		exit(1);
	for (size_t i = 0; i < n; i++) {
		content(page, ids[i]);
		if (ids[i] >= 0 && pwrite(fd, page, PAGE, i * PAGE) != (ssize_t)PAGE)
			exit(1);
	}
	memset(page, 'x', PAGE);
	if (more && pwrite(fd, page, more, n * PAGE) != (ssize_t)more)
		exit(1);
	return fd;
}

#endif /* TELEPAGE_PAGES_H */
