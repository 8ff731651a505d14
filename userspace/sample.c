// SPDX-License-Identifier: GPL-2.0
/*
 * sample.c - which pages a VM uses, see sample.h
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"

void sample_clear(struct sample_set *s)
{
	free(s->runs);
	memset(s, 0, sizeof(*s));
}

int sample_read(struct tp_nl *nl, const char *region, struct sample_set *s, struct tp_sample *st)
{
	uint64_t from = 0;
	size_t n = 0;
	int err;

	memset(s, 0, sizeof(*s));
	do {
		struct telepage_run *more;

		more = realloc(s->runs, (s->n + TELEPAGE_RUNS_MAX) * sizeof(*more));
		if (!more) {
			err = -ENOMEM;
			break;
		}
		s->runs = more;
		err = tp_region_sampled(nl, region, from, s->runs + s->n, &n, st);
		/* a run behind the last page: the kernel does not take a start from there */
		if (err == -ERANGE && from) {
			err = 0;
			break;
		}
		if (err)
			break;
		s->n += n;
		if (n)
			from = s->runs[s->n - 1].start + s->runs[s->n - 1].count;
	} while (n == TELEPAGE_RUNS_MAX);
	if (err)
		sample_clear(s);
	return err;
}

/* how many runs there are left when gaps of at most @gap pages are closed */
static size_t joined(struct sample_set *s, uint64_t gap, bool do_it)
{
	size_t n = 0, i;
	uint64_t end = 0;

	for (i = 0; i < s->n; i++) {
		struct telepage_run r = s->runs[i];

		if (n && r.start - end <= gap) {
			if (do_it)
				s->runs[n - 1].count = r.start + r.count - s->runs[n - 1].start;
		} else {
			if (do_it)
				s->runs[n] = r;
			n++;
		}
		end = r.start + r.count;
	}
	return n;
}

void sample_coarsen(struct sample_set *s, size_t max)
{
	uint64_t gap = 1;

	if (s->n <= max)
		return;
	while (joined(s, gap, false) > max)
		gap *= 2;
	s->n = joined(s, gap, true);
}

/* appends what of @a is not in @b */
static void append_rest(struct sample_set *to, const struct sample_set *a,
			const struct sample_set *b)
{
	size_t j = 0;

	for (size_t i = 0; i < a->n; i++) {
		uint64_t at = a->runs[i].start, end = at + a->runs[i].count;

		while (at < end) {
			while (j < b->n && b->runs[j].start + b->runs[j].count <= at)
				j++;
			if (j == b->n || b->runs[j].start >= end) {
				to->runs[to->n++] = (struct telepage_run){ at, end - at };
				break;
			}
			if (b->runs[j].start > at)
				to->runs[to->n++] = (struct telepage_run){
					at, b->runs[j].start - at };
			at = b->runs[j].start + b->runs[j].count;
		}
	}
}

int sample_order(struct sample_set *last, struct sample_set *before, size_t max,
		 struct sample_set *order)
{
	/* what is left of @before can have as many runs as both: so all of it fits */
	sample_coarsen(last, max / 3);
	sample_coarsen(before, max / 3);
	order->n = 0;
	order->runs = calloc(2 * last->n + before->n + 1, sizeof(*order->runs));
	if (!order->runs)
		return -ENOMEM;
	if (last->n)
		memcpy(order->runs, last->runs, last->n * sizeof(*last->runs));
	order->n = last->n;
	append_rest(order, before, last);
	return 0;
}

bool sample_is_of(const char *region, const char *vm)
{
	size_t n = strlen(vm);
	const char *rest = region + n;

	if (strncmp(region, vm, n) != 0)
		return false;
	return !*rest || (*rest == '.' && rest[1] && !rest[1 + strspn(rest + 1, "0123456789")]);
}
