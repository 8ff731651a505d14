// SPDX-License-Identifier: GPL-2.0
/*
 * guestpages.c - the pages of a test guest: what they must hold, and do they
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guestpages.h"

#define WORDS		(PAGE / 8)
#define HEAD		4		/* words that say what the page is */
#define MAX_BAD		8
#define FILE_INDEX	(1ULL << 40)	/* page numbers of the file's content */

uint64_t seed;
unsigned int page_noise = 100;
_Atomic uint64_t all_verified, all_bad;

static uint64_t init_sum;		/* of the file we run from */
static size_t file_pages;
static _Atomic unsigned int nr_reports;
static char reports[MAX_BAD][160];

uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	x *= 0xd1b54a32d192ed03ULL;
	return x ^ (x >> 32);
}

/* what follows the head: words that differ in every bit between two pages */
static uint64_t stream_start(uint64_t index, uint32_t gen)
{
	return mix(mix(seed ^ index) + gen);
}

static uint64_t stream_next(uint64_t *x)
{
	*x = *x * 0x5851f42d4c957f2dULL + 0x14057b7ef767814fULL;
	return *x ^ (*x >> 27);
}

/* from where on a page's words are all the same */
static int noise_end(void)
{
	return HEAD + (WORDS - HEAD) * page_noise / 100;
}

void make_page(void *page, uint64_t index, uint32_t gen)
{
	uint64_t *w = page, x = stream_start(index, gen);
	int end = noise_end();

	w[0] = index;
	w[1] = gen;
	w[2] = seed;
	w[3] = ~index;
	for (int i = HEAD; i < end; i++)
		w[i] = stream_next(&x);
	for (int i = end; i < WORDS; i++)
		w[i] = x;
}

void report(const char *fmt, ...)
{
	unsigned int n = atomic_fetch_add(&nr_reports, 1);
	va_list ap;

	atomic_fetch_add(&all_bad, 1);
	if (n >= MAX_BAD)
		return;
	va_start(ap, fmt);
	vsnprintf(reports[n], sizeof(reports[n]), fmt, ap);
	va_end(ap);
}

const char *next_report(void)
{
	static unsigned int shown;

	if (shown == MAX_BAD || shown == atomic_load(&nr_reports))
		return NULL;
	return reports[shown++];
}

/* names the kind of damage: the kinds have different causes */
static void report_page(const uint64_t *w, uint64_t index, uint32_t gen, int at)
{
	const char *kind = "torn";
	int zero = 0;

	for (int i = 0; i < WORDS; i++)
		zero += !w[i];
	if (zero == WORDS)
		kind = "zero";
	else if (w[2] != seed)
		kind = "foreign";
	else if (w[0] != index)
		kind = "another's";
	else if (w[1] != gen)
		kind = w[1] < gen ? "stale" : "from the future";
	report("page=%#llx at=%d %s: want gen %u, has index %#llx gen %llu, %d words zero",
	       (unsigned long long)index, at, kind, gen, (unsigned long long)w[0],
	       (unsigned long long)w[1], zero);
}

bool check_page(const void *page, uint64_t index, uint32_t gen)
{
	const uint64_t *w = page;
	uint64_t x = stream_start(index, gen);
	int end = noise_end(), i = 0;

	atomic_fetch_add_explicit(&all_verified, 1, memory_order_relaxed);
	if (w[0] == index && w[1] == gen && w[2] == seed && w[3] == ~index) {
		for (i = HEAD; i < end && w[i] == stream_next(&x); i++)
			;
		for (; i >= end && i < WORDS && w[i] == x; i++)
			;
		if (i == WORDS)
			return true;
	}
	report_page(w, index, gen, i);
	return false;
}

/* files */

static uint64_t sum_of(const char *path)
{
	static unsigned char buf[PAGE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t sum = 1;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = sum * 0x100000001b3ULL ^ buf[i];
	close(fd);
	return n < 0 ? 0 : sum;
}

int make_files(unsigned int mib)
{
	static unsigned char buf[PAGE];
	int fd = open(FILE_PATH, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	file_pages = (size_t)mib << 8;
	init_sum = sum_of("/init");
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < file_pages; i++) {
		make_page(buf, FILE_INDEX + i, 1);
		if (write(fd, buf, PAGE) != PAGE)
			return -1;
	}
	return close(fd);
}

/* Read by the kernel's own copying, not through a mapping: these faults happen
 * in the guest's kernel, where none can be asynchronous.
 */
static size_t check_file(void)
{
	static unsigned char buf[PAGE];
	int fd = open(FILE_PATH, O_RDONLY | O_CLOEXEC);
	size_t bad = 0;

	for (size_t i = 0; i < file_pages; i++) {
		if (read(fd, buf, PAGE) != PAGE) {
			report("file: page %zu cannot be read: %s", i, strerror(errno));
			bad++;
			break;
		}
		bad += !check_page(buf, FILE_INDEX + i, 1);
	}
	close(fd);
	return bad;
}

size_t check_files(void)
{
	size_t bad = check_file();

	if (sum_of("/init") != init_sum) {
		report("file: /init has changed");
		bad++;
	}
	return bad;
}
