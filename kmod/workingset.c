// SPDX-License-Identifier: GPL-2.0
/*
 * workingset.c - which pages were needed first
 *
 * While a region fills, the pages that tasks needed before they were simply here are
 * written down in their order: what they had to ask for, and what was asked for ahead
 * and then used. The record has a bound; what comes when it is full is not in it. It
 * stays until the region is deleted. What a later life of the VM makes of it: replay.c.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "link.h"
#include "prefetch.h"
#include "telepage.h"

#define TP_CHUNK_RUNS	(TP_TOUCHED_CHUNK / sizeof(struct telepage_run))
#define TP_TOUCHED_MAX	(TP_TOUCHED_CHUNKS * TP_CHUNK_RUNS)	/* runs of a record */

static struct telepage_run *tp_touched_run(const struct tp_ahead *a, unsigned int i)
{
	return a->touched[i / TP_CHUNK_RUNS] + i % TP_CHUNK_RUNS;
}

/* Room for one run more; who faults does not wait for it. */
static struct telepage_run *tp_touched_more(struct tp_ahead *a)
{
	struct telepage_run **chunk;

	if (a->nr_touched == TP_TOUCHED_MAX)
		return NULL;
	chunk = &a->touched[a->nr_touched / TP_CHUNK_RUNS];
	if (!*chunk)
		*chunk = kmalloc(TP_TOUCHED_CHUNK, GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN);
	return *chunk ? tp_touched_run(a, a->nr_touched++) : NULL;
}

/**
 * tp_touched - a page was needed
 * @r: the region
 * @a: its state, locked
 * @index: the page
 *
 * One for which there is no memory at once is not in the record.
 */
void tp_touched(const struct tp_region *r, struct tp_ahead *a, pgoff_t index)
{
	struct telepage_run *run;

	lockdep_assert_held(&a->lock);
	if (!a->records || !READ_ONCE(r->workingset))
		return;
	if (a->nr_touched) {
		run = tp_touched_run(a, a->nr_touched - 1);
		if (index == run->start + run->count) {
			run->count++;
			return;
		}
	}
	run = tp_touched_more(a);
	if (run)
		*run = (struct telepage_run){ .start = index, .count = 1 };
}

/**
 * tp_touched_read - read a record
 * @r: the region
 * @first: the first run to read
 * @runs: where to
 * @nr: how many there is room for; how many there were
 *
 * Context: any but interrupts.
 * Return: how many runs the record has.
 */
unsigned int tp_touched_read(struct tp_region *r, u64 first, struct telepage_run *runs,
			     unsigned int *nr)
{
	/* Pairs with smp_store_release() in tp_import_start(). */
	struct tp_ahead *a = smp_load_acquire(&r->ahead);
	unsigned int all, room = *nr;

	*nr = 0;
	if (!a)
		return 0;
	spin_lock(&a->lock);
	all = a->nr_touched;
	while (*nr < room && first < all)
		runs[(*nr)++] = *tp_touched_run(a, first++);
	spin_unlock(&a->lock);
	return all;
}

/**
 * tp_workingset_free - free a record
 * @a: not used any more
 */
void tp_workingset_free(struct tp_ahead *a)
{
	unsigned int i;

	for (i = 0; i < TP_TOUCHED_CHUNKS; i++)
		kfree(a->touched[i]);
}
