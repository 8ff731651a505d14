// SPDX-License-Identifier: GPL-2.0
/*
 * workingset.c - which pages were needed first, and asking for those again
 *
 * While a region fills, the pages that tasks needed before they were simply here are
 * written down in their order: what they had to ask for, and what was asked for ahead
 * and then used. The record has a bound; what comes when it is full is not in it. It
 * stays until the region is deleted.
 *
 * A replay is such a record of an earlier life of the VM. It is asked for ahead like
 * what a policy asks for, behind that, and in its order.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "prefetch.h"
#include "telepage.h"

#define TP_TOUCHED_MAX	16384	/* runs of a record: 256 KiB */
#define TP_REPLAY_MAX	65536	/* runs of a replay */

/* what one command brings */
struct tp_replay {
	struct list_head node;		/* in ahead->replay */
	unsigned int nr;
	struct telepage_run runs[];
};

/**
 * tp_touched_new - room for a record
 * @r: the region
 * @a: its new state
 *
 * Context: sleeps. Without memory there is no record.
 */
void tp_touched_new(const struct tp_region *r, struct tp_ahead *a)
{
	if (!READ_ONCE(r->workingset))
		return;
	a->touched_max = min_t(unsigned long, TP_TOUCHED_MAX, r->nr_pages);
	a->touched = kvmalloc_array(a->touched_max, sizeof(*a->touched),
				    GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!a->touched)
		a->touched_max = 0;
}

/**
 * tp_touched - a page was needed
 * @r: the region
 * @a: its state, locked
 * @index: the page
 */
void tp_touched(const struct tp_region *r, struct tp_ahead *a, pgoff_t index)
{
	struct telepage_run *last;

	lockdep_assert_held(&a->lock);
	if (!a->touched || !READ_ONCE(r->workingset))
		return;
	if (a->nr_touched) {
		last = &a->touched[a->nr_touched - 1];
		if (index == last->start + last->count) {
			last->count++;
			return;
		}
	}
	if (a->nr_touched < a->touched_max)
		a->touched[a->nr_touched++] = (struct telepage_run){ .start = index, .count = 1 };
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
	if (first < all) {
		*nr = min_t(u64, room, all - first);
		memcpy(runs, a->touched + first, *nr * sizeof(*runs));
	}
	spin_unlock(&a->lock);
	return all;
}

/**
 * tp_replay_add - ask for pages ahead, behind what was said before
 * @r: the region, importing
 * @runs: which, in this order
 * @nr: how many runs
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EINVAL, -ERANGE, -E2BIG, -ENOMEM.
 */
int tp_replay_add(struct tp_region *r, const struct telepage_run *runs, unsigned int nr,
		  struct netlink_ext_ack *extack)
{
	struct tp_ahead *a = r->ahead;
	struct tp_replay *rp;
	unsigned int i;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!a || a->ended) {
		NL_SET_ERR_MSG(extack, "the region does not fill from a peer");
		return -EINVAL;
	}
	for (i = 0; i < nr; i++) {
		if (!runs[i].count || !tp_wire_fits(runs[i].start, runs[i].count, r->nr_pages)) {
			NL_SET_ERR_MSG(extack, "a run is empty or not within the region");
			return -ERANGE;
		}
	}
	if (nr > TP_REPLAY_MAX - a->nr_replay) {
		NL_SET_ERR_MSG(extack, "a region replays at most 65536 runs");
		return -E2BIG;
	}
	rp = kvmalloc(struct_size(rp, runs, nr), GFP_KERNEL_ACCOUNT);
	if (!rp)
		return -ENOMEM;
	rp->nr = nr;
	memcpy(rp->runs, runs, nr * sizeof(*runs));
	spin_lock(&a->lock);
	list_add_tail(&rp->node, &a->replay);
	a->nr_replay += nr;
	if (!a->replay_at) {
		a->replay_at = rp;
		a->replay_run = 0;
		a->replay_pos = 0;
	}
	WRITE_ONCE(a->pending, true);
	spin_unlock(&a->lock);
	tp_link_kick(r->link);
	return 0;
}

/**
 * tp_replay_next - the next page of a replay
 * @r: the region
 * @a: its state, locked
 * @index: where to
 *
 * Return: is there one?
 */
bool tp_replay_next(const struct tp_region *r, struct tp_ahead *a, pgoff_t *index)
{
	lockdep_assert_held(&a->lock);
	while (a->replay_at) {
		struct tp_replay *rp = a->replay_at;

		while (a->replay_run < rp->nr) {
			const struct telepage_run *run = &rp->runs[a->replay_run];
			pgoff_t end = run->start + run->count;

			*index = find_next_bit(r->remote, end, run->start + a->replay_pos);
			if (*index < end) {
				a->replay_pos = *index - run->start + 1;
				return true;
			}
			a->replay_run++;
			a->replay_pos = 0;
		}
		a->replay_run = 0;
		a->replay_at = list_is_last(&rp->node, &a->replay) ? NULL :
			       list_next_entry(rp, node);
	}
	return false;
}

/**
 * tp_replay_again - what was asked for may have gone with a lane
 * @r: the region, importing
 *
 * Context: any but interrupts. What is here already is passed over.
 */
void tp_replay_again(struct tp_region *r)
{
	struct tp_ahead *a = r->ahead;

	spin_lock(&a->lock);
	a->replay_at = list_first_entry_or_null(&a->replay, struct tp_replay, node);
	a->replay_run = 0;
	a->replay_pos = 0;
	if (a->replay_at && !a->ended)
		WRITE_ONCE(a->pending, true);
	spin_unlock(&a->lock);
}

/**
 * tp_workingset_free - free record and replay
 * @a: not used any more
 */
void tp_workingset_free(struct tp_ahead *a)
{
	struct tp_replay *rp, *tmp;

	list_for_each_entry_safe(rp, tmp, &a->replay, node)
		kvfree(rp);
	kvfree(a->touched);
}
