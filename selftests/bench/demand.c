// SPDX-License-Identifier: GPL-2.0
/*
 * demand.c - touch absent pages of a region and tell how long that took
 *
 *	bench-demand serial FILE COUNT [FROM]	one after the other: mean, median,
 *						p99 and longest wait
 *	bench-demand threads FILE N [FROM]	N threads, a page each, all at once:
 *						until the last has its page
 *
 * Pages are taken from all over the region, none next to one taken before; FROM is
 * how many were taken by earlier calls. With serial those that came by themselves
 * meanwhile are passed over.
 */
#include <pthread.h>

#include "bench.h"

/* a prime, so that the steps come through the whole region */
#define STEP	1031UL

static volatile char *region;
static unsigned long pages, from;
static pthread_barrier_t start;

static volatile char *nth(unsigned long n)
{
	return region + (from + n) * STEP % pages * PAGE;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool is_here(volatile char *page)
{
	unsigned char here;

	if (mincore((void *)page, PAGE, &here))
		err(1, "mincore");
	return here & 1;
}

static void serial(unsigned long count)
{
	uint64_t *ns = calloc(count, sizeof(*ns)), sum = 0;
	unsigned long n = 0;

	if (!ns)
		err(1, "calloc");
	for (unsigned long i = 0; n < count; i++) {
		volatile char *page = nth(i);
		uint64_t t0;

		if (from + i >= pages)
			errx(1, "only %lu of %lu pages were absent", n, count);
		if (is_here(page))
			continue;
		t0 = now_ns();
		(void)*page;
		ns[n] = now_ns() - t0;
		sum += ns[n++];
	}
	qsort(ns, count, sizeof(*ns), by_size);
	printf("mean %llu\n", (unsigned long long)(sum / count));
	printf("p50 %llu\n", (unsigned long long)ns[count / 2]);
	printf("p99 %llu\n", (unsigned long long)ns[(count * 99 + 99) / 100 - 1]);
	printf("max %llu\n", (unsigned long long)ns[count - 1]);
	free(ns);
}

static void *toucher(void *arg)
{
	pthread_barrier_wait(&start);
	(void)*nth((unsigned long)arg);
	return NULL;
}

static void threads(unsigned long n)
{
	pthread_t *t = calloc(n, sizeof(*t));
	uint64_t t0;

	if (!t)
		err(1, "calloc");
	pthread_barrier_init(&start, NULL, (unsigned int)n + 1);
	for (unsigned long i = 0; i < n; i++) {
		errno = pthread_create(&t[i], NULL, toucher, (void *)i);
		if (errno)
			err(1, "pthread_create");
	}
	t0 = now_ns();
	pthread_barrier_wait(&start);
	for (unsigned long i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	printf("all %llu\n", (unsigned long long)(now_ns() - t0));
	free(t);
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 3 ? number(argv[3]) : 0;

	if (!n)
		errx(2, "usage: bench-demand serial|threads FILE COUNT [FROM]");
	if (argc > 4)
		from = number(argv[4]);
	region = map_file(argv[2], &pages, PROT_READ);
	if (from + n > pages || !(pages % STEP))
		errx(2, "%lu pages cannot give %lu different ones", pages, from + n);
	if (!strcmp(argv[1], "threads"))
		threads(n);
	else
		serial(n);
	return 0;
}
