// SPDX-License-Identifier: GPL-2.0
/*
 * replay.c - having pages that a VM will need before it does
 *
 * Userspace knows which, by a record of an earlier life of the VM, by a sample of what it
 * used where it comes from, or because it has looked. They are taken in its order: asked of
 * the peer (ahead.c, behind what the policy asks for), or read from the local file that
 * has them (origin_read.c, before the others). Each of the two has the list for itself, and
 * goes through it at its own pace.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "origin.h"
#include "prefetch.h"
#include "telepage.h"

#define TP_REPLAY_MAX	65536	/* runs */
#define TP_REPLAY_LOOK	65536UL	/* pages that are looked at before the lock is let go of */
#define TP_REPLAY_RUN	256UL	/* so many a run counts for at least, whatever it has */

/* what one command brings */
struct tp_replay_piece {
	struct list_head node;		/* in replay->pieces */
	unsigned int nr;
	struct telepage_run runs[];
};

void tp_replay_init(struct tp_replay *rp)
{
	INIT_LIST_HEAD(&rp->pieces);
}

/**
 * tp_replay_again - go through a replay from its start
 * @rp: the replay, locked by its owner
 *
 * What is here by then is passed over.
 */
void tp_replay_again(struct tp_replay *rp)
{
	rp->at = list_first_entry_or_null(&rp->pieces, struct tp_replay_piece, node);
	rp->run = 0;
	rp->pos = 0;
}

/* behind the run it is at */
static void tp_replay_step(struct tp_replay *rp)
{
	rp->pos = 0;
	if (++rp->run < rp->at->nr)
		return;
	rp->run = 0;
	rp->at = list_is_last(&rp->at->node, &rp->pieces) ? NULL : list_next_entry(rp->at, node);
}

/**
 * tp_replay_next - the next pages of a replay
 * @rp: the replay, locked by its owner
 * @wanted: a bit for each page of the region
 * @also: another: pages with both are wanted; may be @wanted
 * @index: out: the first page
 * @nr: how many there may be, one after the other; out: there are
 *
 * It looks at so many runs, and so many pages of them, as others may wait for the lock. Where
 * none of these is wanted and there are more, @nr is 0: let go of the lock, and ask again.
 *
 * Return: are there any, or may there be?
 */
bool tp_replay_next(struct tp_replay *rp, const unsigned long *wanted, const unsigned long *also,
		    pgoff_t *index, unsigned int *nr)
{
	unsigned long left = TP_REPLAY_LOOK;
	unsigned int n;

	while (rp->at && left) {
		const struct telepage_run *run = &rp->at->runs[rp->run];
		pgoff_t end = run->start + run->count, from = run->start + rp->pos;
		pgoff_t stop = from + min(end - from, left);
		pgoff_t i = tp_find_next_and_bit(wanted, also, stop, from);

		if (i < stop) {
			for (n = 1; n < *nr && i + n < end; n++)
				if (!test_bit(i + n, wanted) || !test_bit(i + n, also))
					break;
			rp->pos = i + n - run->start;
			*index = i;
			*nr = n;
			return true;
		}
		rp->pos = stop - run->start;
		if (stop == end)
			tp_replay_step(rp);
		left -= min(left, max(stop - from, TP_REPLAY_RUN));
	}
	*nr = 0;
	return rp->at;
}

static struct tp_replay_piece *tp_replay_piece(const struct telepage_run *runs, unsigned int nr)
{
	struct tp_replay_piece *piece;

	piece = kvmalloc(struct_size(piece, runs, nr), GFP_KERNEL_ACCOUNT);
	if (!piece)
		return NULL;
	piece->nr = nr;
	memcpy(piece->runs, runs, nr * sizeof(*runs));
	return piece;
}

static void tp_replay_append(struct tp_replay *rp, struct tp_replay_piece *piece)
{
	list_add_tail(&piece->node, &rp->pieces);
	rp->nr += piece->nr;
	if (rp->at)
		return;
	rp->at = piece;
	rp->run = 0;
	rp->pos = 0;
}

/**
 * tp_replay_forget - all of a replay was had, or is not wanted
 * @rp: the replay
 * @lock: its owner's
 *
 * Context: sleeps; without locks but tp_ctl_mutex.
 */
void tp_replay_forget(struct tp_replay *rp, spinlock_t *lock)
{
	struct tp_replay_piece *piece, *tmp;
	LIST_HEAD(gone);

	spin_lock(lock);
	list_splice_init(&rp->pieces, &gone);
	rp->at = NULL;
	rp->nr = 0;
	spin_unlock(lock);
	list_for_each_entry_safe(piece, tmp, &gone, node)
		kvfree(piece);
}

static bool tp_replay_has_room(const struct tp_replay *rp, unsigned int nr)
{
	return nr <= TP_REPLAY_MAX - rp->nr;
}

/**
 * tp_replay_add - have pages before they are needed, behind what was said before
 * @r: the region
 * @runs: which, in this order
 * @nr: how many runs
 * @local: only those that a local file has; none is asked of the peer for it
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EINVAL, -ERANGE, -E2BIG, -ENOMEM.
 */
int tp_replay_add(struct tp_region *r, const struct telepage_run *runs, unsigned int nr,
		  bool local, struct netlink_ext_ack *extack)
{
	struct tp_ahead *a = r->ahead && !r->ahead->ended && !local ? r->ahead : NULL;
	struct tp_origin *o = r->origin && atomic_long_read(&r->absent) > 0 ? r->origin : NULL;
	struct tp_replay_piece *asked = NULL, *read = NULL;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!a && !o) {
		if (local)
			NL_SET_ERR_MSG(extack, "no absent page of the region comes from a file");
		else
			NL_SET_ERR_MSG(extack, "the region does not fill");
		return -EINVAL;
	}
	if (!tp_runs_fit(runs, nr, r->nr_pages)) {
		NL_SET_ERR_MSG(extack, "a run is empty or not within the region");
		return -ERANGE;
	}
	if ((a && !tp_replay_has_room(&a->replay, nr)) ||
	    (o && !tp_replay_has_room(&o->replay, nr))) {
		NL_SET_ERR_MSG(extack, "a region replays at most 65536 runs");
		return -E2BIG;
	}
	if (a)
		asked = tp_replay_piece(runs, nr);
	if (o)
		read = tp_replay_piece(runs, nr);
	if ((a && !asked) || (o && !read)) {
		kvfree(asked);
		kvfree(read);
		return -ENOMEM;
	}
	if (o) {
		spin_lock(&o->lock);
		tp_replay_append(&o->replay, read);
		spin_unlock(&o->lock);
		tp_origin_kick_ahead(r);
	}
	if (a) {
		spin_lock(&a->lock);
		tp_replay_append(&a->replay, asked);
		WRITE_ONCE(a->pending, true);
		spin_unlock(&a->lock);
		tp_link_kick(r->link);
	}
	return 0;
}
