/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench.h - what all programs of the benchmarks need
 */
#ifndef TELEPAGE_BENCH_H
#define TELEPAGE_BENCH_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096UL

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline unsigned long number(const char *s)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, 0);
	if (errno || *end || end == s)
		errx(2, "'%s' is no number", s);
	return v;
}

static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* page @index of @seed: what does not compress, and is no other page's */
static inline void page_content(uint64_t *buf, uint64_t seed, unsigned long index)
{
	uint64_t x = mix(mix(seed) + index);

	for (unsigned int k = 0; k < PAGE / sizeof(uint64_t); k++) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		buf[k] = x * 0x2545f4914f6cdd1d;
	}
}

/* the first @pages pages of a file (0: all of it), mapped shared */
static inline volatile char *map_file(const char *path, unsigned long *pages, int prot)
{
	int fd = open(path, prot & PROT_WRITE ? O_RDWR : O_RDONLY);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	if (!*pages)
		*pages = (unsigned long)st.st_size / PAGE;
	if (!*pages || *pages * PAGE > (unsigned long)st.st_size)
		errx(1, "%s has no %lu pages", path, *pages);
	p = mmap(NULL, *pages * PAGE, prot, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err(1, "mmap %s", path);
	close(fd);
	return p;
}

#endif /* TELEPAGE_BENCH_H */
