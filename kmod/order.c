// SPDX-License-Identifier: GPL-2.0
/*
 * order.c - which pages of an export are pushed first
 *
 * A list of runs, made by userspace. It comes in pieces, is checked when it is whole, and
 * then takes the place of the one before. Each serve goes through it on its own, and looks
 * for what its peer still wants; see Documentation/workingset.md.
 *
 * The list belongs to the export and changes under tp_ctl_mutex. Push threads reach it
 * through serve->order, under serve->lock.
 */
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include "link.h"
#include "telepage.h"

#define TP_ORDER_MAX	65536	/* runs: 1 MiB */
#define TP_ORDER_LOOK	1024	/* runs to look at under the lock */

struct tp_order {
	unsigned int nr;
	struct telepage_run runs[];
};

static int tp_order_cmp(const void *a, const void *b)
{
	const struct telepage_run *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Return: 0, -EINVAL: two runs overlap, -ENOMEM. */
static int tp_order_check(const struct tp_order *o)
{
	struct telepage_run *sorted;
	unsigned int i;
	int err = 0;

	sorted = kvmalloc_array(o->nr, sizeof(*sorted), GFP_KERNEL | __GFP_NOWARN);
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, o->runs, o->nr * sizeof(*sorted));
	sort(sorted, o->nr, sizeof(*sorted), tp_order_cmp, NULL);
	for (i = 1; i < o->nr && !err; i++)
		if (sorted[i].start < sorted[i - 1].start + sorted[i - 1].count)
			err = -EINVAL;
	kvfree(sorted);
	return err;
}

/* What was said of a list so far, and @nr runs more. */
static struct tp_order *tp_order_more(const struct tp_order *before,
				      const struct telepage_run *runs, unsigned int nr)
{
	unsigned int have = before ? before->nr : 0;
	struct tp_order *o;

	o = kvmalloc(struct_size(o, runs, have + nr), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!o)
		return NULL;
	o->nr = have + nr;
	if (have)
		memcpy(o->runs, before->runs, have * sizeof(*o->runs));
	memcpy(o->runs + have, runs, nr * sizeof(*o->runs));
	return o;
}

/* Each serve begins at the start of the list, which has not been looked at. */
static void tp_order_set(struct tp_export *ex, struct tp_order *o)
{
	struct tp_order *old = ex->order;
	struct tp_serve *sv;

	ex->order = o;
	list_for_each_entry(sv, &ex->serves, node)
		tp_order_serve(sv, o);
	kvfree(old);
}

static void tp_order_drop(struct tp_export *ex)
{
	kvfree(ex->draft);
	ex->draft = NULL;
}

/**
 * tp_order_say - push these pages first
 * @ex: the export
 * @start: how many runs were said before of this list; 0: a new one
 * @runs: which pages, in this order
 * @nr: how many runs
 * @more: others follow
 * @extack: where to say what is wrong
 *
 * The last piece makes the list the order; after an error that which was there stays,
 * and the pieces are forgotten.
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EINVAL, -ERANGE, -E2BIG, -ENOMEM.
 */
int tp_order_say(struct tp_export *ex, u64 start, const struct telepage_run *runs,
		 unsigned int nr, bool more, struct netlink_ext_ack *extack)
{
	struct tp_order *o;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!start)
		tp_order_drop(ex);
	if (start != (ex->draft ? ex->draft->nr : 0)) {
		NL_SET_ERR_MSG(extack, "START is not how many runs were said before");
		err = -EINVAL;
		goto drop;
	}
	if (nr > TP_ORDER_MAX - start) {
		NL_SET_ERR_MSG(extack, "an order has at most 65536 runs");
		err = -E2BIG;
		goto drop;
	}
	if (!tp_runs_fit(runs, nr, ex->nr_pages)) {
		NL_SET_ERR_MSG(extack, "a run is empty or not within the export");
		err = -ERANGE;
		goto drop;
	}
	if (!more && !(start + nr)) {
		tp_order_set(ex, NULL);
		return 0;
	}
	o = tp_order_more(ex->draft, runs, nr);
	if (!o) {
		err = -ENOMEM;
		goto drop;
	}
	tp_order_drop(ex);
	if (more) {
		ex->draft = o;
		return 0;
	}
	err = tp_order_check(o);
	if (err) {
		if (err == -EINVAL)
			NL_SET_ERR_MSG(extack, "two runs have the same page");
		kvfree(o);
		return err;
	}
	tp_order_set(ex, o);
	return 0;
drop:
	tp_order_drop(ex);
	return err;
}

/**
 * tp_order_serve - a serve gets an order, or loses it
 * @sv: the serve
 * @o: the order of its export, or NULL
 *
 * Context: under tp_ctl_mutex.
 */
void tp_order_serve(struct tp_serve *sv, struct tp_order *o)
{
	spin_lock(&sv->lock);
	sv->order = o;
	sv->order_run = 0;
	spin_unlock(&sv->lock);
}

/**
 * tp_order_again - the peer wants pages that the list may have passed
 * @sv: the serve
 *
 * Context: any but interrupts.
 */
void tp_order_again(struct tp_serve *sv)
{
	spin_lock(&sv->lock);
	sv->order_run = 0;
	spin_unlock(&sv->lock);
}

/**
 * tp_order_next - the next wanted page of an order
 * @sv: the serve, locked
 * @index: out: the page
 * @end: out: behind its run
 *
 * Return: 1: there is one; 0: none is left; -EAGAIN: none yet, and it takes longer to
 * look than others should wait for the lock: let go of it and come again.
 */
int tp_order_next(struct tp_serve *sv, pgoff_t *index, pgoff_t *end)
{
	unsigned int look = TP_ORDER_LOOK;

	lockdep_assert_held(&sv->lock);
	if (!sv->order)
		return 0;
	for (; sv->order_run < sv->order->nr; sv->order_run++) {
		const struct telepage_run *run = &sv->order->runs[sv->order_run];

		if (!look--)
			return -EAGAIN;
		*end = run->start + run->count;
		*index = find_next_bit(sv->want, *end, run->start);
		if (*index < *end)
			return 1;
	}
	return 0;
}

/**
 * tp_order_free - free the order of an export that goes
 * @ex: the export; nobody serves it
 */
void tp_order_free(struct tp_export *ex)
{
	kvfree(ex->draft);
	kvfree(ex->order);
}
