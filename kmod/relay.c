// SPDX-License-Identifier: GPL-2.0
/*
 * relay.c - demands that cannot be answered yet
 *
 * The region is not frozen, or the page is itself still at another peer. A link has
 * at most TP_RELAY_MAX relays; then its receive thread waits.
 *
 * A relay is armed while it waits. Whoever clears the armed bit makes it ready: the
 * arrival of the page, the freeze, or the end of the serve. One work per link takes
 * the ready ones; only it arms and frees relays. It first withdraws the waiter and
 * takes the relay off the serve, so nobody else can reach what it frees.
 */
#include <linux/slab.h>
#include "link.h"
#include "telepage.h"

struct tp_relay {
	struct list_head node;		/* in serve->relays */
	struct list_head ready;		/* in link->ready, under link->queue_lock */
	struct tp_serve *sv;		/* a reference */
	pgoff_t index;
	u32 gen;
	unsigned long armed;		/* bit 0 */
	struct tp_waiter waiter;
};

static void tp_relay_ready(struct tp_relay *relay)
{
	struct tp_link *link = relay->sv->link;

	/* The relay keeps the link, but once it stands there it may be gone at any time. */
	kref_get(&link->ref);
	spin_lock(&link->queue_lock);
	list_add_tail(&relay->ready, &link->ready);
	spin_unlock(&link->queue_lock);
	if (!queue_work(tp_wq, &link->relay_work))
		tp_link_put(link);
}

/**
 * tp_relays_kick - try the relays of a serve again
 * @sv: the serve
 *
 * Context: any but interrupts.
 */
void tp_relays_kick(struct tp_serve *sv)
{
	struct tp_relay *relay;

	spin_lock(&sv->lock);
	list_for_each_entry(relay, &sv->relays, node)
		if (test_and_clear_bit(0, &relay->armed))
			tp_relay_ready(relay);
	spin_unlock(&sv->lock);
}

static void tp_relay_arrived(struct tp_waiter *w, int err)
{
	struct tp_relay *relay = container_of(w, struct tp_relay, waiter);

	if (test_and_clear_bit(0, &relay->armed))
		tp_relay_ready(relay);
}

/* Arm a relay. Return: is it waiting? Otherwise try at once. */
static bool tp_relay_arm(struct tp_relay *relay)
{
	struct tp_serve *sv = relay->sv;
	struct tp_export *ex = sv->export;
	bool waiting;

	set_bit(0, &relay->armed);
	/* Pairs with smp_mb() in tp_freeze() and tp_serve_end(): who comes later
	 * sees the armed bit, who came before is seen here.
	 */
	smp_mb__after_atomic();
	if (READ_ONCE(sv->dead))
		waiting = false;
	else if (!ex->ops->open(ex))
		waiting = true;
	else
		waiting = ex->region && !tp_request(ex->region, relay->index, &relay->waiter);
	return waiting || !test_and_clear_bit(0, &relay->armed);
}

static void tp_relay_try(struct tp_relay *relay)
{
	struct tp_serve *sv = relay->sv;
	struct tp_link *link = sv->link;

	if (sv->export->region)
		tp_request_cancel(sv->export->region, relay->index, &relay->waiter);
	for (;;) {
		struct tp_lane *lane = tp_lane_get(link, TELEPAGE_LANE_URGENT);
		int ret = 0;

		/* Without a lane that was greeted: the peer asks again when it has one. */
		if (lane && test_bit(TP_LANE_UP, &lane->flags))
			ret = tp_serve_reply(lane, sv, relay->index, relay->gen, false);
		if (lane)
			tp_lane_put(lane);
		if (ret != -EAGAIN)
			break;
		if (tp_relay_arm(relay))
			return;
	}
	spin_lock(&sv->lock);
	list_del(&relay->node);
	spin_unlock(&sv->lock);
	atomic_dec(&link->nr_relays);
	wake_up_all(&link->relay_wq);
	tp_serve_put(sv);
	kfree(relay);
}

/**
 * tp_export_relay_work - answer demands that had to wait
 * @work: link->relay_work, which holds a reference
 *
 * Context: one at a time per link, so a peer that does not read holds up its own
 * link only.
 */
void tp_export_relay_work(struct work_struct *work)
{
	struct tp_link *link = container_of(work, struct tp_link, relay_work);
	struct tp_relay *relay;

	for (;;) {
		spin_lock(&link->queue_lock);
		relay = list_first_entry_or_null(&link->ready, struct tp_relay, ready);
		if (relay)
			list_del_init(&relay->ready);
		spin_unlock(&link->queue_lock);
		if (!relay)
			break;
		tp_relay_try(relay);
	}
	tp_link_put(link);
}

/* May the receive thread go on: is there room for a relay, or nothing to receive? */
static bool tp_relay_room(struct tp_lane *lane)
{
	return atomic_read(&lane->link->nr_relays) < TP_RELAY_MAX ||
	       test_bit(TP_LANE_FAILED, &lane->flags);
}

/**
 * tp_relay_new - a demand has to wait
 * @lane: the lane it came on
 * @sv: of which export
 * @index: page
 * @gen: of the request
 *
 * Context: the receive thread; sleeps while the link has as many as it may.
 * Return: 0, or what fails the lane.
 */
int tp_relay_new(struct tp_lane *lane, struct tp_serve *sv, pgoff_t index, u32 gen)
{
	struct tp_link *link = lane->link;
	struct tp_relay *relay;

	wait_event_idle(link->relay_wq, tp_relay_room(lane));
	if (test_bit(TP_LANE_FAILED, &lane->flags))
		return -ESHUTDOWN;
	relay = kzalloc(sizeof(*relay), GFP_KERNEL_ACCOUNT);
	if (!relay)
		return -ENOMEM;
	relay->index = index;
	relay->gen = gen;
	relay->waiter.done = tp_relay_arrived;
	INIT_LIST_HEAD(&relay->waiter.node);
	INIT_LIST_HEAD(&relay->ready);
	kref_get(&sv->ref);
	relay->sv = sv;
	atomic_inc(&link->nr_relays);
	spin_lock(&sv->lock);
	list_add_tail(&relay->node, &sv->relays);
	spin_unlock(&sv->lock);
	/* Arming is the work's: nobody may free the relay while it is armed. */
	tp_relay_ready(relay);
	return 0;
}
