// SPDX-License-Identifier: GPL-2.0
/*
 * origin_plan.c - files that are found while the source's VM still runs
 *
 * A planner finds out which pages are in local files while the source still writes to
 * them. So the region is held: extents come and go and none is used, until the planner
 * knows what was written since it looked (DROP) and says READY. Meanwhile, and for as
 * long as it has not looked at a page (PLANNED), the page is not offered for push: what
 * is here need not cross the link. A planner that ends leaves nothing that waits for it.
 */
#include <linux/mm.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include "link.h"
#include "origin.h"

static void tp_plan_limit(struct tp_region *r, pgoff_t pages)
{
	WRITE_ONCE(r->origin->planned, pages);
	if (r->link)
		tp_link_kick(r->link);
}

/**
 * tp_plan_check - is there anything that what a message asks for can be done to?
 * @r: the region
 * @ask: what is asked for
 * @extack: where to say why not
 *
 * Asked before the first of it is done: of a message that is refused nothing is.
 *
 * Context: under tp_ctl_mutex.
 * Return: 0 or -EINVAL.
 */
int tp_plan_check(const struct tp_region *r, const struct tp_plan_ask *ask,
		  struct netlink_ext_ack *extack)
{
	bool held = ask->hold || (r->origin && r->origin->held);
	bool made = ask->hold || ask->add || r->origin;

	lockdep_assert_held(&tp_ctl_mutex);
	if (ask->drop && (!made || !(r->link || held)))
		NL_SET_ERR_MSG(extack, "the region has no peer that has the pages, or no files");
	else if (ask->ready && r->origin && r->origin->dead)
		NL_SET_ERR_MSG(extack, "the region's files did not answer: it does without");
	else if ((ask->ready && !held) || (ask->planned && !made))
		NL_SET_ERR_MSG(extack, "the region is not held");
	else if (ask->fill && !made)
		NL_SET_ERR_MSG(extack, "no page of the region comes from a file");
	else
		return 0;
	return -EINVAL;
}

/**
 * tp_plan_hold - use no file of a region until READY
 * @r: the region, before it imports
 * @net: of the planner's socket
 * @portid: of the planner's socket; when it is closed pages may be pushed
 * @extack: where to say why not
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0, -EBUSY or -ENOMEM.
 */
int tp_plan_hold(struct tp_region *r, struct net *net, u32 portid, struct netlink_ext_ack *extack)
{
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (r->link || (r->origin && r->origin->fill)) {
		NL_SET_ERR_MSG(extack, "the region imports or fills already: hold it before");
		return -EBUSY;
	}
	err = tp_origin_make(r);
	if (err)
		return err;
	r->origin->net = net;
	WRITE_ONCE(r->origin->planner, portid);
	WRITE_ONCE(r->origin->held, true);
	tp_plan_limit(r, 0);
	return 0;
}

/**
 * tp_plan_unhold - as it was before tp_plan_hold()
 * @r: the region, which was not held
 *
 * Context: under tp_ctl_mutex, and not let go of since it was held.
 */
void tp_plan_unhold(struct tp_region *r)
{
	lockdep_assert_held(&tp_ctl_mutex);
	WRITE_ONCE(r->origin->held, false);
	WRITE_ONCE(r->origin->planner, 0);
	tp_plan_limit(r, ULONG_MAX);
}

/**
 * tp_plan_drop - pages come from the peer, whatever files have them
 * @r: the region, as tp_plan_check() wants it
 * @first: page
 * @count: pages, all in range
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0 or -ENOMEM.
 */
int tp_plan_drop(struct tp_region *r, pgoff_t first, unsigned long count)
{
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	err = tp_origin_take_out(r->origin, first, first + count - 1);
	/* what was left out when it was offered is wanted now */
	set_bit(TP_WANT_AGAIN, &r->want_flags);
	/* a few of them come first in the push, and are not worth going through all of a replay */
	if (count == r->nr_pages)
		tp_ahead_again(r);
	if (r->link)
		tp_link_kick(r->link);
	return err;
}

/**
 * tp_plan_ready - from here on the files are used
 * @r: the region, as tp_plan_check() wants it
 *
 * Context: under tp_ctl_mutex.
 */
void tp_plan_ready(struct tp_region *r)
{
	struct tp_request *req;
	unsigned long index;

	lockdep_assert_held(&tp_ctl_mutex);
	WRITE_ONCE(r->origin->held, false);
	/* Pairs with the barrier in tp_request(): it sees this, or we its request. */
	smp_mb();
	/* With a peer they were sent; without one they wait for this. */
	if (!r->link)
		xa_for_each(&r->reqs, index, req)
			xa_set_mark(&r->reqs, index, TP_REQ_READ);
	tp_origin_kick(r);
	tp_origin_kick_ahead(r);
	/* for what was taken out while it was held */
	tp_ahead_again(r);
}

/**
 * tp_plan_planned - a planner has looked at some more pages
 * @r: the region, as tp_plan_check() wants it
 * @pages: those before this one may be pushed, as far as no file has them
 *
 * Context: under tp_ctl_mutex.
 */
void tp_plan_planned(struct tp_region *r, u64 pages)
{
	lockdep_assert_held(&tp_ctl_mutex);
	/*
	 * Behind tp_plan_lift() nothing is held back: a worker of the planner's outlives its
	 * socket for a moment, and does not hear that the region does without its files.
	 */
	tp_plan_limit(r, r->origin->planner && pages < r->nr_pages ? pages : ULONG_MAX);
}

static bool tp_plan_is_of(const struct tp_region *r, const struct netlink_notify *n)
{
	/* Pairs with smp_store_release() in tp_origin_make(). */
	const struct tp_origin *o = smp_load_acquire(&r->origin);

	return o && READ_ONCE(o->planner) == n->portid && o->net == n->net;
}

/* Nobody is going to say READY: what was left out is offered as well. */
static void tp_plan_lift(struct tp_region *r)
{
	WRITE_ONCE(r->origin->planner, 0);
	set_bit(TP_WANT_AGAIN, &r->want_flags);
	tp_ahead_again(r);
	tp_plan_limit(r, ULONG_MAX);
}

/**
 * tp_plan_do_without - a region's files are not used any more, as if they were never READY
 * @r: the region, which has a peer and files
 *
 * Context: under tp_ctl_mutex.
 */
void tp_plan_do_without(struct tp_region *r)
{
	lockdep_assert_held(&tp_ctl_mutex);
	r->origin->dead = true;
	WRITE_ONCE(r->origin->held, true);
	/* Pairs with the barrier in tp_request(): it sees this, or we its request. */
	smp_mb();
	tp_request_late(r, 0);
	tp_plan_lift(r);
}

/*
 * A planner has ended: a region that is still held goes without its files. Any socket on
 * this machine comes by here, so nothing is locked before it is known to be a planner's.
 */
static int tp_plan_socket(struct notifier_block *nb, unsigned long state, void *data)
{
	struct netlink_notify *n = data;
	struct tp_region *r;
	u32 id = 0;

	if (state != NETLINK_URELEASE || n->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	while ((r = tp_region_next(id))) {
		id = r->id;
		if (tp_plan_is_of(r, n)) {
			mutex_lock(&tp_ctl_mutex);
			if (tp_plan_is_of(r, n))
				tp_plan_lift(r);
			mutex_unlock(&tp_ctl_mutex);
		}
		tp_region_put(r);
	}
	return NOTIFY_DONE;
}

static struct notifier_block tp_plan_notifier = { .notifier_call = tp_plan_socket };

int tp_plan_init(void)
{
	return netlink_register_notifier(&tp_plan_notifier);
}

void tp_plan_exit(void)
{
	netlink_unregister_notifier(&tp_plan_notifier);
}
