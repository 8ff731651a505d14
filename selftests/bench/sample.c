// SPDX-License-Identifier: GPL-2.0
/*
 * sample.c - what a sample of the pages that are used costs who uses them
 *
 *	bench-sample REGION FILE ROUNDS
 *
 * Walks over all of REGION, which FILE is, and reads each page whole; the first time
 * nobody has to fault. Prints, each the median of the rounds, ns a page:
 *
 *	plain N		without a sample
 *	some N		the walk after a sample of one chunk of 16 has begun
 *	all N		... of all chunks
 *	begin N		to begin that
 *	fault N		what a touch of one byte costs more then
 */
#include "bench.h"
#include "genl.h"

#define ROUNDS_MAX	64

static volatile uint64_t *region;
static unsigned long pages;
static struct tp_nl *nl;

static uint64_t walk(unsigned int words)
{
	uint64_t begin = now_ns(), sum = 0;

	for (unsigned long i = 0; i < pages; i++)
		for (unsigned int w = 0; w < words; w++)
			sum += region[(i * 2654435761UL & (pages - 1)) * (PAGE / 8) + w];
	(void)sum;
	return now_ns() - begin;
}

static uint64_t begin(const char *name, unsigned int every, unsigned int seed)
{
	uint64_t t = now_ns();
	int err = tp_region_sample(nl, name, every, seed);

	if (err)
		errx(1, "sample: %s", tp_nl_error(nl));
	return now_ns() - t;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void tell(const char *what, uint64_t *t, unsigned int n)
{
	qsort(t, n, sizeof(*t), by_size);
	printf("%s %.2f\n", what, (double)t[n / 2] / pages);
}

int main(int argc, char **argv)
{
	static uint64_t plain[ROUNDS_MAX], some[ROUNDS_MAX], all[ROUNDS_MAX], began[ROUNDS_MAX],
			fault[ROUNDS_MAX];
	unsigned int rounds, i;

	if (argc != 4)
		errx(2, "usage: bench-sample REGION FILE ROUNDS");
	rounds = number(argv[3]);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		errx(2, "1 to %u rounds", ROUNDS_MAX);
	region = (volatile uint64_t *)map_file(argv[2], &pages, PROT_READ | PROT_WRITE);
	if (pages & (pages - 1))
		errx(2, "%lu pages are no power of 2", pages);
	if (tp_nl_open(&nl))
		errx(1, "netlink: %s", tp_nl_error(NULL));
	for (unsigned long p = 0; p < pages; p++)
		region[p * (PAGE / 8)] = p + 1;
	for (i = 0; i < rounds; i++) {
		begin(argv[1], 0, 0);
		walk(1);
		plain[i] = walk(PAGE / 8);
		begin(argv[1], 16, i);
		some[i] = walk(PAGE / 8);
		began[i] = begin(argv[1], 1, 0);
		all[i] = walk(PAGE / 8);
		begin(argv[1], 1, 0);
		fault[i] = walk(1);
		fault[i] -= walk(1);
	}
	tell("plain", plain, rounds);
	tell("some", some, rounds);
	tell("all", all, rounds);
	tell("begin", began, rounds);
	tell("fault", fault, rounds);
	begin(argv[1], 0, 0);
	tp_nl_close(nl);
	return 0;
}
