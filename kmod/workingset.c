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

#define TP_CHUNK_RUNS	(TP_TOUCHED_CHUNK / sizeof(struct telepage_run))
#define TP_TOUCHED_MAX	(TP_TOUCHED_CHUNKS * TP_CHUNK_RUNS)	/* runs of a record */
#define TP_REPLAY_MAX	65536	/* runs of a replay */

/* what one command brings */
struct tp_replay {
	struct list_head node;		/* in ahead->replay */
	unsigned int nr;
	struct telepage_run runs[];
};

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
	unsigned int i;

	list_for_each_entry_safe(rp, tmp, &a->replay, node)
		kvfree(rp);
	for (i = 0; i < TP_TOUCHED_CHUNKS; i++)
		kfree(a->touched[i]);
}
