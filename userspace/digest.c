// SPDX-License-Identifier: GPL-2.0
/*
 * digest.c - SHA-256 of 4 KiB pages, on all CPUs
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/telepage.h>

#include "digest.h"
#include "pulse.h"

#define PAGE		((uint64_t)TELEPAGE_PAGE_SIZE)
#define CHUNK_PAGES	256		/* what a thread takes at a time */
#define THREADS_MAX	256

struct job {
	int fd;
	uint64_t first, nr;		/* pages */
	digest_t *out;
	uint64_t rate;
	struct timespec start;
	_Atomic uint64_t next;		/* page from @first */
	_Atomic uint64_t bytes;		/* read */
	_Atomic int err;		/* the first one ends it */
};

bool digest_is_zero(const digest_t d)
{
	static const digest_t zero;

	return !memcmp(d, zero, DIGEST_SIZE);
}

/* most pages differ from zero in their first words, or not at all */
bool page_is_zero(const void *page)
{
	const uint8_t *p = page;
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return !word && !memcmp(p, p + sizeof(word), PAGE - sizeof(word));
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* sleeps until so much may have been read */
static void pace(struct job *job, uint64_t bytes)
{
	struct timespec t = job->start, step;
	unsigned __int128 ns;

	if (!job->rate)
		return;
	ns = (unsigned __int128)(atomic_fetch_add(&job->bytes, bytes) + bytes) * 1000000000;
	ns = ns / job->rate + t.tv_nsec;
	t.tv_sec += ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	/* who is told to be slow does not stand still */
	do {
		pulse_beat();
		clock_gettime(CLOCK_MONOTONIC, &step);
		if (!is_before(&step, &t))
			return;
		step.tv_sec++;
		if (is_before(&t, &step))
			step = t;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &step, NULL);
	} while (true);
}

/* all of @len bytes, zeros behind the end of the file */
static int read_at(int fd, uint8_t *buf, uint64_t len, uint64_t at)
{
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, buf + done, len - done, at + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += n;
	}
	memset(buf + done, 0, len - done);
	return 0;
}

static int hash_run(struct job *job, uint8_t *buf, uint64_t start, uint64_t end)
{
	digest_t *out = job->out + (start / PAGE - job->first);
	int err = read_at(job->fd, buf, end - start, start);

	for (uint64_t at = 0; !err && at < end - start; at += PAGE, out++) {
		if (page_is_zero(buf + at))
			continue;
		if (gnutls_hash_fast(GNUTLS_DIG_SHA256, buf + at, PAGE, *out))
			err = -EIO;
	}
	pace(job, end - start);
	return err;
}

/*
 * Bytes @pos to @end but for a hole that they begin with. Where that hole's data ends is not
 * asked: some filesystems go through all of the file then. One that knows no holes has none.
 */
static int hash_chunk(struct job *job, uint8_t *buf, uint64_t pos, uint64_t end)
{
	off_t data = lseek(job->fd, pos, SEEK_DATA);

	if (data < 0 && errno == ENXIO)
		return 0;
	if (data >= 0 && (uint64_t)data >= end)
		return 0;
	if (data > (off_t)pos)
		pos = data / PAGE * PAGE;
	return hash_run(job, buf, pos, end);
}

static void *work(void *arg)
{
	uint8_t *buf = malloc(CHUNK_PAGES * PAGE);
	struct job *job = arg;
	int err = buf ? 0 : -ENOMEM;

	while (!err && !atomic_load(&job->err)) {
		uint64_t at = atomic_fetch_add(&job->next, CHUNK_PAGES), n = CHUNK_PAGES;

		if (at >= job->nr)
			break;
		if (n > job->nr - at)
			n = job->nr - at;
		pulse_beat();
		memset(job->out[at], 0, n * DIGEST_SIZE);
		err = hash_chunk(job, buf, (job->first + at) * PAGE, (job->first + at + n) * PAGE);
	}
	free(buf);
	if (err)
		atomic_store(&job->err, err);
	return NULL;
}

static unsigned int threads_for(const struct job *job, unsigned int wanted)
{
	uint64_t chunks = (job->nr + CHUNK_PAGES - 1) / CHUNK_PAGES;
	cpu_set_t cpus;

	/* more CPUs than the set has room for */
	if (!wanted)
		wanted = sched_getaffinity(0, sizeof(cpus), &cpus) ? THREADS_MAX : CPU_COUNT(&cpus);
	if (wanted > THREADS_MAX)
		wanted = THREADS_MAX;
	return wanted > chunks ? chunks : wanted;
}

int digest_pages(int fd, uint64_t first, uint64_t nr, digest_t *out, const struct digest_opts *o)
{
	struct job job = { .fd = fd, .first = first, .nr = nr, .out = out,
			   .rate = o ? o->rate : 0 };
	pthread_t threads[THREADS_MAX];
	unsigned int i, n, started = 0;

	/* far behind the end of any file, and where offsets end */
	if (first > INT64_MAX / PAGE || nr > INT64_MAX / PAGE - first)
		return -EOVERFLOW;
	clock_gettime(CLOCK_MONOTONIC, &job.start);
	n = threads_for(&job, o ? o->threads : 0);
	/* we are one of them, so it is done also when there cannot be another */
	for (i = 1; i < n; i++)
		if (!pthread_create(&threads[started], NULL, work, &job))
			started++;
	work(&job);
	for (i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return job.err;
}
