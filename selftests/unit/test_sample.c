// SPDX-License-Identifier: GPL-2.0
/* what is pushed first, made of two samples: sample.c */
#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "tap.h"

#define PAGES	400000UL

static struct sample_set set(const struct telepage_run *runs, size_t n)
{
	struct sample_set s = { .n = n };

	s.runs = calloc(n + 1, sizeof(*runs));
	if (n)
		memcpy(s.runs, runs, n * sizeof(*runs));
	return s;
}

static bool is(const struct sample_set *s, const struct telepage_run *runs, size_t n)
{
	return s->n == n && (!n || !memcmp(s->runs, runs, n * sizeof(*runs)));
}

static void test_order(void)
{
	const struct telepage_run last[] = { { 10, 5 }, { 100, 1 }, { 200, 50 } };
	const struct telepage_run before[] = { { 0, 20 }, { 100, 1 }, { 150, 110 }, { 900, 1 } };
	const struct telepage_run want[] = { { 10, 5 }, { 100, 1 }, { 200, 50 }, { 0, 10 },
					     { 15, 5 }, { 150, 50 }, { 250, 10 }, { 900, 1 } };
	struct sample_set l = set(last, 3), b = set(before, 4), o;

	tap_ok(!sample_order(&l, &b, SAMPLE_ORDER_MAX, &o) && is(&o, want, 8),
	       "the last sample first, then what only the one before has");
	sample_clear(&o);
	sample_clear(&b);
	tap_ok(!sample_order(&l, &b, SAMPLE_ORDER_MAX, &o) && is(&o, last, 3), "without one before: the last");
	sample_clear(&o);
	tap_ok(!sample_order(&b, &l, SAMPLE_ORDER_MAX, &o) && is(&o, last, 3), "without the last: the one before");
	sample_clear(&o);
	tap_ok(!sample_order(&l, &l, SAMPLE_ORDER_MAX, &o) && is(&o, last, 3), "nothing is in it twice");
	sample_clear(&o);
	sample_clear(&l);
	tap_ok(!sample_order(&l, &b, SAMPLE_ORDER_MAX, &o) && !o.n, "nothing of nothing");
	sample_clear(&o);
}

/* every @step'th page, @at a little further */
static struct sample_set comb(unsigned long step, unsigned long at)
{
	struct sample_set s = { .runs = calloc(PAGES / step + 1, sizeof(*s.runs)) };

	for (unsigned long p = at; p < PAGES; p += step)
		s.runs[s.n++] = (struct telepage_run){ p, 1 };
	return s;
}

static void test_bound(size_t max)
{
	struct sample_set l = comb(3, 0), b = comb(5, 1), o;
	bool *has = calloc(PAGES, 1), twice = false, lacks = false, outside = false;
	int err = sample_order(&l, &b, max, &o);

	tap_ok(!err && o.n && o.n <= max, "more than %zu runs are made fewer (%zu)", max, o.n);
	for (size_t i = 0; i < o.n; i++)
		for (uint64_t p = o.runs[i].start; p < o.runs[i].start + o.runs[i].count; p++) {
			if (p >= PAGES) {
				outside = true;
				break;
			}
			twice |= has[p];
			has[p] = true;
		}
	for (unsigned long p = 0; p < PAGES; p++)
		lacks |= (p % 3 == 0 || p % 5 == 1) && !has[p];
	tap_ok(!outside && !twice && !lacks, "and have all pages, none twice");
	sample_clear(&o);
	sample_clear(&l);
	sample_clear(&b);
	free(has);
}

static void test_coarsen(void)
{
	struct telepage_run runs[] = { { 0, 1 }, { 2, 1 }, { 10, 1 }, { 40, 2 } };
	struct sample_set s = set(runs, 4);

	sample_coarsen(&s, 4);
	tap_ok(is(&s, runs, 4), "few enough stay as they are");
	sample_coarsen(&s, 3);
	tap_ok(is(&s, (struct telepage_run[]){ { 0, 3 }, { 10, 1 }, { 40, 2 } }, 3),
	       "the smallest gap goes first");
	sample_coarsen(&s, 1);
	tap_ok(is(&s, (struct telepage_run[]){ { 0, 42 } }, 1), "then all of them");
	sample_clear(&s);
}

static void test_names(void)
{
	tap_ok(sample_is_of("vm0", "vm0") && sample_is_of("vm0.1", "vm0") &&
	       sample_is_of("vm0.12", "vm0") && !sample_is_of("vm01", "vm0") &&
	       !sample_is_of("vm0.", "vm0") && !sample_is_of("vm0.a", "vm0") &&
	       !sample_is_of("vm0.1x", "vm0") && !sample_is_of("vm", "vm0"),
	       "which regions are those of a VM");
}

int main(void)
{
	test_order();
	test_bound(SAMPLE_ORDER_MAX);
	test_bound(8192);
	test_bound(3);
	test_coarsen();
	test_names();
	return tap_done();
}
