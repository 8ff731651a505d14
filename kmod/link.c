// SPDX-License-Identifier: GPL-2.0
/*
 * link.c - links: lifetime and the queues between regions and lanes
 *
 * A link is made and deleted over netlink and outlives its sockets. LINK_DEL in
 * phases: refuse while regions import over it; mark it dead, so that no lane can
 * be attached; end its serves; let its lanes fail; and then, without tp_ctl_mutex, wait
 * for the end of these and of their threads; stop the works; drop the registry's
 * reference. A region that imported over it keeps
 * the memory until it is evicted. It may still say that there is something to send,
 * which the work then finds no lane for: what is queued has a reference of its own.
 */
#include <linux/netlink.h>
#include <linux/slab.h>
#include "link.h"
#include "prefetch.h"
#include "telepage.h"

DEFINE_XARRAY_ALLOC1(tp_links);

static void tp_link_free(struct kref *ref)
{
	struct tp_link *link = container_of(ref, struct tp_link, ref);

	xa_destroy(&link->imports);
	xa_destroy(&link->serves);
	kfree(link->tx_buf);
	kfree(link->peer);
	kfree(link);
}

void tp_link_put(struct tp_link *link)
{
	kref_put(&link->ref, tp_link_free);
}

/* Offer absent pages of a region for push again when for a while none has come. */
static void tp_want_work(struct work_struct *work)
{
	struct tp_link *link = container_of(to_delayed_work(work), struct tp_link, want_work);
	struct tp_region *r;
	bool again = false;
	unsigned long id;

	if (!atomic_read(&link->nr_imports))
		return;
	xa_lock(&link->imports);
	xa_for_each(&link->imports, id, r) {
		long absent = atomic_long_read(&r->absent);

		if (absent == r->want_absent) {
			set_bit(TP_WANT_AGAIN, &r->want_flags);
			again = true;
		}
		r->want_absent = absent;
	}
	xa_unlock(&link->imports);
	if (again)
		tp_link_kick(link);
	queue_delayed_work(tp_wq, &link->want_work, TP_WANT_INTERVAL);
}

/**
 * tp_link_new - make a link
 * @peer: the agent's note
 * @extack: where to say what is wrong
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: the link, whose reference belongs to the registry, or -ENOMEM.
 */
struct tp_link *tp_link_new(const char *peer, struct netlink_ext_ack *extack)
{
	struct tp_link *link = kzalloc(sizeof(*link), GFP_KERNEL_ACCOUNT);
	static u32 next;
	int err;

	lockdep_assert_held(&tp_ctl_mutex);
	if (!link)
		return ERR_PTR(-ENOMEM);
	kref_init(&link->ref);
	mutex_init(&link->lane_mutex);
	xa_init(&link->imports);
	xa_init(&link->serves);
	spin_lock_init(&link->queue_lock);
	INIT_LIST_HEAD(&link->demands);
	INIT_LIST_HEAD(&link->ready);
	tp_ahead_lane_up(link);
	INIT_WORK(&link->tx_work, tp_import_tx_work);
	INIT_WORK(&link->relay_work, tp_export_relay_work);
	INIT_DELAYED_WORK(&link->want_work, tp_want_work);
	init_waitqueue_head(&link->push_wq);
	init_waitqueue_head(&link->relay_wq);
	link->tx_buf = kmalloc(TP_LIST_MAX * max(TP_DEMAND_LEN, TP_RUN_LEN), GFP_KERNEL_ACCOUNT);
	link->peer = kstrdup(peer, GFP_KERNEL_ACCOUNT);
	if (!link->peer || !link->tx_buf) {
		tp_link_put(link);
		return ERR_PTR(-ENOMEM);
	}
	err = xa_alloc_cyclic(&tp_links, &link->id, link, xa_limit_31b, &next, GFP_KERNEL);
	if (err < 0) {
		tp_link_put(link);
		return ERR_PTR(err);
	}
	err = tp_sysfs_link_add(link);
	if (err) {
		xa_erase(&tp_links, link->id);
		tp_link_put(link);
		return ERR_PTR(err);
	}
	return link;
}

/**
 * tp_link_find - find a link
 * @id: its number
 *
 * Context: under tp_ctl_mutex, which keeps it.
 * Return: the link or NULL.
 */
struct tp_link *tp_link_find(u32 id)
{
	lockdep_assert_held(&tp_ctl_mutex);
	return xa_load(&tp_links, id);
}

int tp_link_set_peer(struct tp_link *link, const char *peer)
{
	char *new = kstrdup(peer, GFP_KERNEL_ACCOUNT);

	lockdep_assert_held(&tp_ctl_mutex);
	if (!new)
		return -ENOMEM;
	kfree(link->peer);
	link->peer = new;
	return 0;
}

/**
 * tp_link_del - delete a link
 * @link: the link; nobody finds it any more, and its lanes end
 * @extack: where to say what stands in the way
 *
 * Context: sleeps; under tp_ctl_mutex.
 * Return: 0: the registry's reference is the caller's, for tp_link_end(); or -EBUSY.
 */
int tp_link_del(struct tp_link *link, struct netlink_ext_ack *extack)
{
	struct tp_serve *sv;
	unsigned long id;
	u32 nr;

	lockdep_assert_held(&tp_ctl_mutex);
	if (atomic_read(&link->nr_imports)) {
		NL_SET_ERR_MSG(extack,
			       "a region imports over the link: wait for it, or abandon it first");
		return -EBUSY;
	}
	xa_erase(&tp_links, link->id);
	tp_sysfs_link_del(link);
	mutex_lock(&link->lane_mutex);
	link->dead = true;
	mutex_unlock(&link->lane_mutex);

	xa_for_each(&link->serves, id, sv)
		tp_serve_end(sv);
	for (nr = 0; nr < TP_LANES; nr++) {
		struct tp_lane *lane = tp_lane_get(link, nr);

		if (lane) {
			tp_lane_fail(lane, -ESHUTDOWN, "the link was deleted");
			tp_lane_put(lane);
		}
	}
	return 0;
}

/**
 * tp_link_end - wait for the end of a link that was deleted
 * @link: the link; perhaps gone afterwards
 *
 * Not for long, nor once killed: what is left of the link then ends by itself.
 *
 * Context: sleeps; not under tp_ctl_mutex while it may have lanes.
 */
void tp_link_end(struct tp_link *link)
{
	unsigned long until = jiffies + TP_GONE_WAIT;
	int err = 0;
	u32 nr;

	for (nr = 0; nr < TP_LANES && !err; nr++) {
		struct tp_lane *lane = tp_lane_get(link, nr);

		if (lane) {
			err = tp_lane_wait_gone(lane, until);
			tp_lane_put(lane);
		}
	}
	cancel_delayed_work_sync(&link->want_work);
	if (cancel_work_sync(&link->tx_work))
		tp_link_put(link);
	/* The end of the serves made every relay ready: let them end. */
	if (!err)
		flush_work(&link->relay_work);
	tp_link_put(link);
}

/**
 * tp_link_is_up - can the peer be asked for anything now?
 * @link: the link
 *
 * Context: sleeps.
 */
bool tp_link_is_up(struct tp_link *link)
{
	struct tp_lane *lane = tp_lane_get(link, TELEPAGE_LANE_URGENT);
	bool up = false;

	if (lane) {
		up = tp_lane_is_up(lane);
		tp_lane_put(lane);
	}
	return up;
}

/**
 * tp_link_kick - there may be something to send to the source
 * @link: the link
 *
 * Context: any; the caller's region or the registry keeps the link. The region may go
 * before the work has run, of a link that is deleted already.
 */
void tp_link_kick(struct tp_link *link)
{
	kref_get(&link->ref);
	if (!queue_work(tp_wq, &link->tx_work))
		tp_link_put(link);
}

/**
 * tp_link_kick_push - there may be something to push
 * @link: the link
 *
 * Context: any but hard interrupts.
 */
void tp_link_kick_push(struct tp_link *link)
{
	atomic_inc(&link->push_kick);
	wake_up_all(&link->push_wq);
}
