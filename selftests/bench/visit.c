// SPDX-License-Identifier: GPL-2.0
/*
 * visit.c - a process that begins to run on memory of another host
 *
 *	bench-visit ORDER PAGES COUNT SEED WAITS BEGIN END FILE [random]
 *	bench-visit ORDER PAGES COUNT SEED WAITS pager HOST PORT SIZE
 *
 * Its working set are PAGES pages of memory that holds what "bench-content random FILE
 * SEED" writes: ORDER sequential (a run of them, over and over), random, or zipf (the
 * n-th with 1/n of the first one's likelihood), both of pages from all over. A visit
 * checks all of one page; the next follows a moment later. Memory is a file, which the
 * shell command BEGIN lets come and END waits for, or has a pager of its own (pager.h).
 * With a last word the kernel is told that the file is not read in order.
 *
 * Prints: usual, visits in a second when all is local; walk, ns from BEGIN to the
 * COUNTth visit; recover90, ns from BEGIN to the first quarter of a second with nine
 * tenths of the usual; complete, ns to when all memory was there; busy, ns of CPU until
 * then, of both hosts; and of visits that had to wait for their page faults (how many),
 * mean, p50, p99, p999, max (ns). WAITS gets them all, one a line.
 */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bench.h"
#include "pager/pager.h"

#define THINK_NS	200000		/* between two visits */
#define WINDOW_NS	250000000ULL	/* recover90's */
#define PATIENCE	400000UL	/* visits */

static const char *order;
static unsigned long pages, nr_set, count;
static uint64_t seed, lot, start, complete, busy;
static double *upto;			/* zipf: likelihood of the first n */
static uint64_t *at;			/* when each visit was over */
static uint64_t *waits;
static unsigned long nr_waits;

/* a row that comes through 0 .. pages - 1 without order, for the n-th of a set */
static unsigned long scattered(unsigned long n)
{
	unsigned int bits = (unsigned int)__builtin_ctzl(pages);

	for (unsigned int round = 0; round < 4; round++) {
		n = (n * 2654435761UL + round * 40503 + seed) & (pages - 1);
		n ^= n >> (bits / 2);
	}
	return n;
}

static unsigned long zipf(double r)
{
	unsigned long low = 0, high = nr_set - 1;

	while (low < high) {
		unsigned long mid = (low + high) / 2;

		if (upto[mid] < r)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static unsigned long nth(unsigned long n)
{
	if (*order == 's')
		return (pages / 4 + n % nr_set) % pages;
	lot = mix(lot);
	if (*order == 'r')
		return scattered(lot % nr_set);
	return scattered(zipf((double)(lot >> 11) / 9007199254740992.0 * upto[nr_set - 1]));
}

static void choose(void)
{
	lot = mix(seed);
	if (!strcmp(order, "zipf")) {
		upto = calloc(nr_set, sizeof(*upto));
		if (!upto)
			err(1, "memory");
		for (unsigned long i = 0; i < nr_set; i++)
			upto[i] = (i ? upto[i - 1] : 0) + 1.0 / (double)(i + 1);
	} else if (strcmp(order, "sequential") != 0 && strcmp(order, "random") != 0) {
		errx(2, "there is no order '%s'", order);
	}
}

/* how often this task has slept; a touch in which it does is one that waits */
static long waited(void)
{
	struct rusage use;

	if (getrusage(RUSAGE_THREAD, &use))
		err(1, "getrusage");
	return use.ru_nvcsw;
}

static void check(const volatile char *page, unsigned long index)
{
	uint64_t want[PAGE / sizeof(uint64_t)];

	page_content(want, seed, index);
	if (memcmp(want, (const void *)page, PAGE) != 0)
		errx(1, "page %lu is wrong", index);
}

static void think(void)
{
	const struct timespec nap = { .tv_nsec = THINK_NS };

	nanosleep(&nap, NULL);
}

/* the same work on memory of our own, visits in a second */
static double usual(void)
{
	const unsigned long visits = 500, own = 64;
	uint64_t *p = aligned_alloc(PAGE, own * PAGE), t0;

	if (!p)
		err(1, "memory");
	for (unsigned long i = 0; i < own; i++)
		page_content(p + i * PAGE / sizeof(*p), seed, i);
	t0 = now_ns();
	for (unsigned long i = 0; i < visits; i++) {
		long before = waited();
		uint64_t t = now_ns();

		check((char *)p + i % own * PAGE, i % own);
		if (waited() != before || now_ns() < t)
			t0++;
		think();
	}
	t0 = now_ns() - t0;
	free(p);
	return (double)visits * 1e9 / (double)t0;
}

/* both hosts are this one */
static uint64_t idle_ns(void)
{
	unsigned long long idle, iowait;
	FILE *f = fopen("/proc/stat", "r");

	if (!f || fscanf(f, "cpu %*u %*u %*u %llu %llu", &idle, &iowait) != 2)
		errx(1, "/proc/stat");
	fclose(f);
	return (idle + iowait) * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void run(const char *command)
{
	if (system(command))
		errx(1, "failed: %s", command);
}

/* until all of the memory is there, beside the visits */
static void *wait_for_all(void *command)
{
	if (command)
		run(command);
	else
		pager_wait();
	complete = now_ns() - start;
	busy = complete - (idle_ns() - busy);
	return NULL;
}

/* all of the visits; returns when it was back at nine tenths of @rate */
static uint64_t visit(const volatile char *memory, double rate)
{
	unsigned long least = (unsigned long)(0.9 * rate * (double)WINDOW_NS / 1e9), n;
	uint64_t back = 0;

	for (n = 0; n < count || !back; n++) {
		unsigned long page = nth(n);
		const volatile char *p = memory + page * PAGE;
		long before = waited();
		uint64_t t0 = now_ns();

		if (n == PATIENCE)
			errx(1, "the usual rate does not come back");
		(void)*p;
		t0 = now_ns() - t0;
		if (waited() != before)
			waits[nr_waits++] = t0;
		check(p, page);
		at[n] = now_ns() - start;
		if (!back && n >= least && at[n] - at[n - least] <= WINDOW_NS)
			back = at[n - least];
		think();
	}
	return back;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void say(const char *what, uint64_t value)
{
	printf("%s %llu\n", what, (unsigned long long)value);
}

static void tell_waits(const char *path)
{
	FILE *f = fopen(path, "w");
	uint64_t sum = 0;

	if (!f)
		err(1, "%s", path);
	qsort(waits, nr_waits, sizeof(*waits), by_size);
	for (unsigned long i = 0; i < nr_waits; i++) {
		fprintf(f, "%llu\n", (unsigned long long)waits[i]);
		sum += waits[i];
	}
	if (fclose(f))
		err(1, "%s", path);
	say("faults", nr_waits);
	if (!nr_waits)
		waits[nr_waits++] = 0;
	say("mean", sum / nr_waits);
	say("p50", waits[nr_waits / 2]);
	say("p99", waits[(nr_waits * 99 + 99) / 100 - 1]);
	say("p999", waits[(nr_waits * 999 + 999) / 1000 - 1]);
	say("max", waits[nr_waits - 1]);
}

int main(int argc, char **argv)
{
	bool pager = argc == 10 && !strcmp(argv[6], "pager");
	const volatile char *memory = NULL;
	pthread_t waiter;
	uint64_t back;
	double rate;

	if (argc != 9 && argc != 10)
		errx(2, "usage: bench-visit ORDER PAGES COUNT SEED WAITS BEGIN END FILE [random]\n"
			"       bench-visit ORDER PAGES COUNT SEED WAITS pager HOST PORT SIZE");
	order = argv[1];
	nr_set = number(argv[2]);
	count = number(argv[3]);
	seed = number(argv[4]);
	at = calloc(PATIENCE + 1, sizeof(*at));
	waits = calloc(PATIENCE + 1, sizeof(*waits));
	if (!at || !waits)
		err(1, "memory");
	/* not the usual fifty microseconds later */
	prctl(PR_SET_TIMERSLACK, 1);
	rate = usual();
	if (pager) {
		pages = number(argv[9]) / PAGE;
		memory = pager_open(argv[7], argv[8], pages);
	}
	busy = idle_ns();
	start = now_ns();
	if (pager)
		pager_push();
	else
		run(argv[6]);
	errno = pthread_create(&waiter, NULL, wait_for_all, pager ? NULL : argv[7]);
	if (errno)
		err(1, "pthread_create");
	if (!pager)
		memory = map_file(argv[8], &pages, PROT_READ);
	if (argc == 10 && !pager)
		madvise((void *)memory, pages * PAGE, MADV_RANDOM);
	if (!nr_set || nr_set > pages || pages & (pages - 1) || !count || count >= PATIENCE)
		errx(2, "%lu of %lu pages, %lu visits", nr_set, pages, count);
	choose();
	back = visit(memory, rate);
	pthread_join(waiter, NULL);
	say("usual", (uint64_t)rate);
	say("walk", at[count - 1]);
	say("recover90", back);
	say("complete", complete);
	say("busy", busy);
	tell_waits(argv[5]);
	for (unsigned long i = 0; i < pages; i++)
		check(memory + i * PAGE, i);
	return 0;
}
