// SPDX-License-Identifier: GPL-2.0
/*
 * walk.c - touch pages of a region one after the other and tell how long that took
 *
 *	bench-walk FILE ORDER COUNT [beside]
 *
 * ORDER: forward, backward, stride (every seventh page) or random (all over the
 * region, no page twice). With a last word a second task walks forward through the
 * other half meanwhile, and the first has the region's lower half. Prints nanoseconds:
 * all, mean and p99 of a touch.
 */
#include <pthread.h>

#include "bench.h"

static volatile char *region;
static unsigned long pages;
static volatile bool stop;

/* a row that comes through 0 .. n - 1 without order; n is a power of two */
static unsigned long scatter(unsigned long i, unsigned long n)
{
	unsigned int round, bits = (unsigned int)__builtin_ctzl(n);

	/* each step can be undone, so no number comes twice */
	for (round = 0; round < 4; round++) {
		i = (i * 2654435761UL + round * 40503 + 12345) & (n - 1);
		i ^= i >> (bits / 2);
	}
	return i;
}

static unsigned long nth(const char *order, unsigned long i, unsigned long n)
{
	if (!strcmp(order, "forward"))
		return i;
	if (!strcmp(order, "backward"))
		return n - 1 - i;
	if (!strcmp(order, "stride"))
		return 7 * i;
	if (!strcmp(order, "random"))
		return scatter(i, n);
	errx(2, "there is no order '%s'", order);
}

static void *walker(void *arg)
{
	(void)arg;
	for (unsigned long i = pages / 2; i < pages && !stop; i++)
		(void)region[i * PAGE];
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 3 ? number(argv[3]) : 0, n;
	uint64_t *ns = calloc(count + 1, sizeof(*ns)), sum = 0;
	pthread_t other;

	if (!count || !ns)
		errx(2, "usage: bench-walk FILE ORDER COUNT [beside]");
	region = map_file(argv[1], &pages, PROT_READ);
	n = argc > 4 ? pages / 2 : pages;
	if (n & (n - 1) || nth(argv[2], count - 1, n) >= n || count > n)
		errx(2, "%lu pages are no power of two, or too few", n);
	if (argc > 4) {
		errno = pthread_create(&other, NULL, walker, NULL);
		if (errno)
			err(1, "pthread_create");
	}
	for (unsigned long i = 0; i < count; i++) {
		volatile char *page = region + nth(argv[2], i, n) * PAGE;
		uint64_t t0 = now_ns();

		(void)*page;
		ns[i] = now_ns() - t0;
		sum += ns[i];
	}
	stop = true;
	if (argc > 4)
		pthread_join(other, NULL);
	qsort(ns, count, sizeof(*ns), by_size);
	printf("all %llu\n", (unsigned long long)sum);
	printf("mean %llu\n", (unsigned long long)(sum / count));
	printf("p99 %llu\n", (unsigned long long)ns[(count * 99 + 99) / 100 - 1]);
	free(ns);
	return 0;
}
