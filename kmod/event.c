// SPDX-License-Identifier: GPL-2.0
/*
 * event.c - multicast events
 *
 * An event is a hint: who missed one (ENOBUFS) dumps. So a failure to send it is
 * no error, as long as who listens is told of it.
 */
#include <net/net_namespace.h>
#include "netlink.h"
#include "telepage.h"

/*
 * To who listens in any network namespace that belongs to the first user namespace. In
 * those of others anybody who is root there may join the group.
 * @skb: the event, or NULL: there was no memory for it.
 */
static void tp_event_multicast(struct sk_buff *skb)
{
	struct sk_buff *copy;
	struct net *net;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net->user_ns != &init_user_ns ||
		    !genl_has_listeners(&tp_family, net, TP_MCGRP_EVENTS))
			continue;
		copy = skb ? skb_clone(skb, GFP_ATOMIC) : NULL;
		if (copy)
			genlmsg_multicast_netns(&tp_family, net, copy, 0, TP_MCGRP_EVENTS,
						GFP_ATOMIC);
		else
			genl_set_err(&tp_family, net, 0, TP_MCGRP_EVENTS, -ENOBUFS);
	}
	rcu_read_unlock();
	nlmsg_free(skb);
}

static void tp_event_send(enum telepage_event kind, int noun, const char *name, bool has_link,
			  u32 link, u32 lane, int err, const char *reason)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!skb) {
		tp_event_multicast(NULL);
		return;
	}
	hdr = genlmsg_put(skb, 0, 0, &tp_family, 0, TELEPAGE_CMD_EVENT);
	if (!hdr || nla_put_u32(skb, TELEPAGE_A_EVENT_KIND, kind) ||
	    (name && nla_put_string(skb, noun, name)) ||
	    (has_link && (nla_put_u32(skb, TELEPAGE_A_EVENT_LINK, link) ||
			  nla_put_u32(skb, TELEPAGE_A_EVENT_LANE, lane))) ||
	    (err && nla_put_u32(skb, TELEPAGE_A_EVENT_ERRNO, err)) ||
	    (reason && nla_put_string(skb, TELEPAGE_A_EVENT_REASON, reason))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	tp_event_multicast(skb);
}

/**
 * tp_event - tell about a region
 * @kind: what happened
 * @r: to which region
 * @err: positive errno, 0: none
 * @reason: for people, or NULL
 *
 * Context: sleeps.
 */
void tp_event(enum telepage_event kind, const struct tp_region *r, int err, const char *reason)
{
	tp_event_send(kind, TELEPAGE_A_EVENT_REGION, r->name, false, 0, 0, err, reason);
}

/**
 * tp_event_export - tell about an export
 * @kind: what happened
 * @name: to which export
 * @err: positive errno, 0: none
 * @reason: for people, or NULL
 *
 * Context: sleeps.
 */
void tp_event_export(enum telepage_event kind, const char *name, int err, const char *reason)
{
	tp_event_send(kind, TELEPAGE_A_EVENT_EXPORT, name, false, 0, 0, err, reason);
}

/**
 * tp_event_lane - tell about a lane
 * @kind: what happened
 * @link: number of the link
 * @lane: number of the lane
 * @err: positive errno, 0: none
 * @reason: for people, or NULL
 *
 * Context: sleeps.
 */
void tp_event_lane(enum telepage_event kind, u32 link, u32 lane, int err, const char *reason)
{
	tp_event_send(kind, 0, NULL, true, link, lane, err, reason);
}
